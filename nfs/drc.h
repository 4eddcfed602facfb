/* drc.h - the duplicate-request cache: what was answered to requests that must not run twice.
 *
 * A client that lost its connection sends its requests again on a new one. A REMOVE that is then
 * run a second time says NOENT although it succeeded. So replies of non-idempotent procedures are
 * kept, by caller, xid, procedure and arguments; not by address or port, which have changed. A
 * fixed ring: the oldest goes. What went, or was lost in a restart, is still known to the overlay
 * by the same key (struct overlay_reply), which tells that it ran, and what it made. */
#ifndef HIF_NFS_DRC_H
#define HIF_NFS_DRC_H

#include "base/err.h"
#include "base/siphash.h"
#include "nfs/rpc.h"

#define DRC_ENTRIES   1024u
#define DRC_REPLY_MAX 320u

enum drc_state { DRC_FREE, DRC_RUNNING, DRC_DONE };

struct drc_entry {
        uint64_t key;
        uint32_t xid, proc;
        uint32_t next; /* of the same bucket: index + 1, 0 = none */
        enum drc_state state;
        void *request;       /* RUNNING: the cache's user's */
        uint64_t stable_seq; /* DONE: not to be sent before the overlay is durable up to here */
        size_t size;
        uint8_t reply[DRC_REPLY_MAX]; /* with its record mark */
};

struct drc;

struct drc *drc_new(void); /* NULL when out of memory */
void drc_free(struct drc *drc);

/* What identifies a request, also over restarts. */
uint64_t drc_key(struct sipkey key, const struct rpc_call *call);

/* RUNNING or DONE, or NULL. */
struct drc_entry *drc_find(struct drc *drc, uint64_t key, const struct rpc_call *call);
struct drc_entry *drc_find_key(struct drc *drc, uint64_t key, uint32_t xid, uint32_t proc);
/* A RUNNING entry, in the place of the oldest one that is not RUNNING; NULL when all are. */
struct drc_entry *drc_begin(struct drc *drc, uint64_t key, const struct rpc_call *call);
/* Its answer. A reply of more than DRC_REPLY_MAX bytes is not kept. */
void drc_finish(struct drc *drc, struct drc_entry *entry, struct span reply, uint64_t stable_seq);
/* It has not been run after all, and changed nothing. */
void drc_forget(struct drc *drc, struct drc_entry *entry);

#endif
