/* runs.h - the run table: which node number the entry of each current rank goes by (I10).
 *
 * A run says that the entries of ranks [rank, rank + count) have the numbers id, id + 1, ... The
 * number is one of an earlier epoch's (kept through moves of the base), or of the overlay (a file
 * that was made in the session and has landed). Ranks that no run covers are new with the current
 * epoch. Rank 0 is always NODEID_ROOT. */
#ifndef HIF_VFS_RUNS_H
#define HIF_VFS_RUNS_H

#include "base/buf.h"
#include "base/err.h"
#include "core/nodeid.h"

struct run {
        uint64_t rank, count;
        uint64_t id;
};

struct runs {
        struct run *by_rank; /* sorted, disjoint */
        struct run *by_id;   /* the same runs, sorted by id, disjoint */
        size_t count;
        uint32_t epoch;
        size_t hint; /* the run that was found last: scans go forward */
};

/* Epoch 0: every rank goes by itself. */
void runs_init(struct runs *runs, uint32_t epoch);
void runs_free(struct runs *runs);

uint64_t runs_id(struct runs *runs, uint64_t rank);
/* How many ranks from this one on have consecutive numbers, at least: at least 1. */
uint64_t runs_stretch(const struct runs *runs, uint64_t rank);
/* False: the number stands for nothing in the current tree. */
bool runs_rank(const struct runs *runs, uint64_t id, uint64_t *rank);

/* Stored: epoch u32, then per run rank u64, count u64, id u64; ascending by rank. */
void runs_put(struct buf *out, uint32_t epoch, const struct run *by_rank, size_t count);
HIF_MUST_USE enum hif_err runs_get(struct span stored, struct runs *out);

#endif
