/* sim_duplicates.h - what the files of sim_duplicates share: the model, requests, and rounds of them. */
#ifndef HIF_TESTS_NFS_SIM_DUPLICATES_H
#define HIF_TESTS_NFS_SIM_DUPLICATES_H

#include "nfs/tclient.h"

#define DIRS      4
#define NAMES     48
#define NODES_MAX (DIRS * NAMES)
#define ROUND_MAX 8
#define HISTORY   512 /* requests that may come again, late: within what is remembered */
#define MUTATION  0x40000000u

struct node {
        uint64_t id;
        enum onode_kind kind;
        uint32_t mode, links;
        bool busy; /* some request of this round is about it */
};

struct slot {
        struct node *node; /* NULL: no such name */
        bool busy;
};

struct op {
        enum nfs_proc proc;
        enum nfsstat3 status; /* that it has to have */
        uint32_t xid;
        struct buf record;
        struct buf answer; /* the first one */
        bool answered;
        uint64_t life; /* of the server, when that came */
        struct slot *slot, *to;
        struct node *node;
        uint32_t mode;
};

struct past {
        struct buf record;
        enum nfsstat3 status;
        uint64_t life;
};

struct dup {
        struct tmount *m;
        struct tclient first, second;
        struct node nodes[NODES_MAX];
        struct slot slots[DIRS][NAMES];
        uint64_t dirs[DIRS];
        struct op ops[ROUND_MAX];
        size_t op_count;
        struct past past[HISTORY];
        uint64_t past_count;
        uint64_t random, life;
        uint32_t xid;
        unsigned long long seed, done, every, sent;
        unsigned long long waiting, soon, late, again, reconnects, closed, killed;
        bool mutation;
};

/* --- sim_duplicates_model.c: what has to be there --- */

uint64_t dup_pick(struct dup *d, uint64_t below);
/* Else the run ends, with the seed; with a mistake in it, that is what was wanted. */
void dup_require(struct dup *d, bool holds, const struct op *op, const char *what);
const char *dup_name_of(const struct dup *d, const struct slot *slot, char *out, size_t size);
uint64_t dup_dir_of(const struct dup *d, const struct slot *slot);
/* A name that no request of this round is about, taken or free; NULL: none was found. */
struct slot *dup_choose(struct dup *d, bool taken);
/* What a request that succeeded has done. */
void dup_apply(struct dup *d, const struct op *op);
/* Every name is what the model says. */
void dup_audit(struct dup *d);

/* --- sim_duplicates_requests.c: made, sent, answered --- */

/* One more of this round, unless no names are left for it. */
void dup_make_op(struct dup *d);
void dup_send_op(struct dup *d, struct tclient *c, const struct buf *record, bool repeated);
/* The next answer on this connection: what it has to be. */
void dup_receive(struct dup *d, struct tclient *c);
void dup_reconnect(struct dup *d, struct tclient *c);
/* The server is closed, or killed, and started again. */
void dup_restart(struct dup *d);
/* All that is not answered, once more, on a connection that works. */
void dup_send_again(struct dup *d);

#endif
