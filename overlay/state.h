/* state.h - the parts of an overlay, for the files of this room.
 *
 * The owner's loop: rows, tx, the log's end, data's places. The flusher: everything that syncs. The
 * fold job: the database. They meet in the fields under `lock`, in data's own lock, and in the
 * atomic numbers. */
#ifndef HIF_OVERLAY_STATE_H
#define HIF_OVERLAY_STATE_H

#include "overlay/data.h"
#include "overlay/oplog.h"
#include "overlay/rows.h"

#define OVERLAY_SYNC_DELAY_NS 50000000ull   /* what nobody waits for follows within */
#define OVERLAY_HEAL_DELAY_NS 1000000000ull /* between attempts after a failed sync */
#define OVERLAY_IDS_BLOCK     (1ull << 20)  /* numbers promised at a time */
#define OVERLAY_FOLD_SEGMENTS 2             /* synced segments that start a fold */
#define OVERLAY_CARRIED_MAX   (8u << 20)    /* then the data files are synced */
#define OVERLAY_SETTLE_NS     1000000000ull /* or after that time */
#define OVERLAY_SPARE_PER_ROW 128           /* bytes of the log for each row that a landing drops */

struct tx_node {
        struct onode node;
        struct node_row *row; /* as committed; NULL: none */
        bool deleted;         /* the row goes first */
        bool present;         /* then this one is put */
        bool own;             /* its extents are what the transaction sees */
        bool sparse_made;
        uint32_t sparse;
        uint32_t extents; /* logged in this transaction */
};

#define TX_BLOCK 16

struct otx {
        struct overlay *overlay;
        bool open;
        enum overlay_need need;
        bool carry, bulk; /* bulk: content that the record does not carry */
        uint64_t carried; /* bytes */
        enum hif_err err;
        struct tx_node **blocks; /* of TX_BLOCK each */
        size_t block_count, node_count;
        struct idmap index; /* id -> tx_node, once there are many */
        struct tx_node scrap;
        struct buf nodes, rest;
        uint64_t *dirs; /* reserved in dirents.per_dir */
        size_t dir_count, dir_capacity;
        size_t puts, name_bytes, ops, notes, values, cost;
};

enum sync_state {
        SYNC_OK,
        SYNC_FAILED,   /* read-only; the owner may still be in a commit */
        SYNC_SEEN,     /* the owner knows: rows stand still until the log is written anew */
        SYNC_SALVAGED, /* opened after damage: read-only for good */
};

struct fold;

struct overlay {
        struct env *env;
        struct pool *pool;
        char *dir;
        int lock_fd;
        struct witness witness;
        struct damage *damage; /* of a salvaged one; else NULL */
        struct overlay_config config;
        struct rows rows;
        struct data data;
        struct oplog log;
        struct otx tx;
        uint64_t ids_next;

        _Atomic uint64_t seq, durable, verifier, torn;
        _Atomic uint64_t spare_want; /* bytes */
        _Atomic uint64_t bulk;       /* the newest record with content that it does not carry */
        _Atomic uint64_t carried;    /* bytes of content that only the log has on disk */
        _Atomic uint64_t folded;     /* rows.db has all operations up to here */
        _Atomic uint64_t settled; /* content of records up to here is on disk in the data files */
        _Atomic int sync_state;
        _Atomic bool kicked; /* the flusher knows that there is something new */
        bool secured;        /* overlay_secure is done; the opener's, then the flusher's */

        pthread_mutex_t lock;
        pthread_cond_t wake, idle;
        struct overlay_sync *waiters; /* oldest last */
        pthread_t thread;
        bool threaded, stop, flushing;
        uint64_t kicked_ns, healed_ns, settled_ns;
        uint64_t spare_ns; /* the flusher last looked for room for a spare; 0: never */
        uint64_t syncs, folds;

        struct fold *fold;
};

/* overlay.c */
HIF_MUST_USE enum hif_err overlay_new(struct env *env, struct pool *pool, const char *dir,
                                      const struct overlay_config *config, struct overlay **out);
void overlay_free(struct overlay *overlay);
/* Learn which start of the machine this is. */
HIF_MUST_USE enum hif_err overlay_read_boot(struct overlay *overlay, struct hif_why *why);

/* tx.c */
void tx_init(struct overlay *overlay);
void tx_free(struct overlay *overlay);

/* flusher.c */
HIF_MUST_USE enum hif_err flusher_start(struct overlay *overlay);
void flusher_stop(struct overlay *overlay); /* after a last sync */
/* Sync the directory's name and the database, as the process before left them. */
HIF_MUST_USE enum hif_err overlay_secure(struct overlay *overlay);
/* One round on the calling thread. */
enum hif_err flusher_round(struct overlay *overlay);
/* The owner saw that the state is not SYNC_OK. */
void flusher_seen(struct overlay *overlay);

/* heal.c: after a failed sync, everything once more; a fresh log from the rows. */
HIF_MUST_USE enum hif_err heal(struct overlay *overlay);

/* fold.c */
struct fold_state {
        uint32_t generation;
        uint64_t seq; /* folded up to here */
};
HIF_MUST_USE enum hif_err fold_init(struct overlay *overlay);
/* Load what was folded into the rows. */
HIF_MUST_USE enum hif_err fold_load(struct overlay *overlay, struct fold_state *out,
                                    struct hif_why *why);
/* Sync what a commit of the process before may have left in memory. */
HIF_MUST_USE enum hif_err fold_secure(struct overlay *overlay);
/* Fold what is durable and sealed, if there is enough, on the pool. Thread-safe. */
void fold_start(struct overlay *overlay);
/* Call each for the items of the operations after one record and up to another, of which all are
 * folded. Waits for the disk, and for a transaction of the fold job. HIF_ECANCELED: some of them were
 * dropped meanwhile. */
HIF_MUST_USE enum hif_err fold_ops(struct overlay *overlay, uint64_t after, uint64_t through,
                                   enum hif_err (*each)(void *arg, struct span blob), void *arg,
                                   struct hif_why *why);
/* Wait until no job runs; none starts before the caller lets one. */
void fold_wait(struct overlay *overlay);
/* Wait for a running job; then fold everything. */
void fold_finish(struct overlay *overlay);
void fold_free(struct overlay *overlay);

#endif
