/* nodeid.h - the number of a node in a workspace: NFS fileid, FUSE nodeid, st_ino.
 *
 *      1                              the root directory
 *      2 .. 2^62 - 1                  made in the overlay, in order
 *      2^62 | epoch << 48 | rank      of the base: the entry of that rank in the base tree of that
 *                                     epoch. Epoch 0 is the session's first base; each move of the
 *                                     base adds one
 *
 * A number never changes its meaning: a directory that stays one and a file whose content did not
 * change keep theirs through land, sync, restart and remount (I10), because the run table
 * (vfs/runs.h) maps current ranks to the (epoch, rank) that they were first seen under. */
#ifndef HIF_CORE_NODEID_H
#define HIF_CORE_NODEID_H

#include <stdbool.h>
#include <stdint.h>

#define NODEID_NONE      0u
#define NODEID_ROOT      1u
#define NODEID_FIRST     2u
#define NODEID_BASE_BIT  (1ull << 62)
#define NODEID_EPOCH_MAX ((1u << 14) - 1)
#define NODEID_RANK_MAX  ((1ull << 48) - 1)

static inline bool nodeid_is_base(uint64_t id)
{
        return (id & NODEID_BASE_BIT) != 0;
}

static inline uint64_t nodeid_base(uint32_t epoch, uint64_t rank)
{
        return NODEID_BASE_BIT | (uint64_t)epoch << 48 | rank;
}

static inline uint32_t nodeid_epoch(uint64_t id)
{
        return (uint32_t)(id >> 48) & NODEID_EPOCH_MAX;
}

static inline uint64_t nodeid_rank(uint64_t id)
{
        return id & NODEID_RANK_MAX;
}

#endif
