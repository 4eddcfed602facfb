/* drc.h - the duplicate-request cache: what was answered to requests that must not run twice.
 *
 * A client that lost its connection sends its requests again on a new one. A REMOVE that is then
 * run a second time says NOENT although it succeeded. So replies of non-idempotent procedures are
 * kept, by caller, xid, procedure and arguments; not by address or port, which have changed. A
 * fixed ring: the oldest goes. What went, or was lost in a restart, is still known to the overlay
 * by the same key (struct overlay_reply), which tells that it ran, and what it made.
 *
 * WRITE has a cache of its own, in memory only: one that comes late must not undo what was written,
 * or cut off, since. Such a one can only come on a connection that the server still has, so it need
 * not be known after a restart.
 *
 * Two connections may have the same request waiting for objects at the same time. They share an
 * entry: the one that gets to run first finishes it, and the others find its reply there. As long
 * as one waits, its entry stays, so that a pointer to it is good from drc_begin or drc_join to
 * drc_leave. */
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
        uint32_t users;      /* who has begun or joined it and not left */
        uint64_t stable_seq; /* DONE: not to be sent before the overlay is durable up to here */
        size_t size;
        uint8_t reply[DRC_REPLY_MAX]; /* with its record mark */
};

struct drc;

struct drc *drc_new(void); /* NULL when out of memory */
void drc_free(struct drc *drc);

/* What identifies a request, also over restarts. Of long arguments (content) their beginning and
 * size count. */
#define DRC_KEY_BYTES 256u
uint64_t drc_key(struct sipkey key, const struct rpc_call *call);

/* RUNNING or DONE, or NULL. */
struct drc_entry *drc_find(struct drc *drc, uint64_t key, const struct rpc_call *call);
struct drc_entry *drc_find_key(struct drc *drc, uint64_t key, uint32_t xid, uint32_t proc);
/* A RUNNING entry, in the place of the oldest one that nobody uses; NULL when all are in use. */
struct drc_entry *drc_begin(struct drc *drc, uint64_t key, const struct rpc_call *call);
/* Wait for the same request, in a second place. */
void drc_join(struct drc_entry *entry);
/* Its answer, or another one from now on: at most DRC_REPLY_MAX bytes. */
void drc_finish(struct drc_entry *entry, struct span reply, uint64_t stable_seq);
/* Whoever began or joined it is through with it. If nobody is left who may run it, and nobody has,
 * it is forgotten. */
void drc_leave(struct drc *drc, struct drc_entry *entry);

#endif
