/* move_impl.h - a plan to move the base: what move.c works out and apply.c carries out. */
#ifndef HIF_VFS_MOVE_IMPL_H
#define HIF_VFS_MOVE_IMPL_H

#include "vfs/move.h"
#include "vfs/rows.h"

/* A dirent row of the snapshot, and what the new base has under its name. */
struct move_dirent {
        const struct odirent *row; /* the snapshot's */
        uint64_t base_child;
        struct entry base;
        bool landed; /* the base shows the same now: the row goes, unless it changed meanwhile */
};

/* A node whose content (as of the snapshot) is the base's now. */
struct move_node {
        uint64_t id;
        struct entry entry;
};

/* A name that others changed: for rows made since the snapshot. */
struct move_other {
        uint64_t dir;
        uint64_t hash60;
        struct span name;
        uint64_t base_child; /* NODEID_NONE: removed */
        struct entry base;
};

struct vfs_move {
        struct arena arena;
        struct vfs_base from, to;
        uint64_t seq; /* of the snapshot */
        uint32_t epoch;
        struct runs runs;
        struct buf runs_stored;
        struct move_dirent *dirents;
        size_t dirent_count;
        struct buf nodes;  /* struct move_node */
        struct buf others; /* struct move_other, sorted by (dir, hash60, name) */
        struct buf
            changed; /* struct move_node: files that the move changed, under their new numbers */
        struct buf touched; /* struct vfs_touched */
        bool landing;
};

/* runs_plan.c: the new run table. assigned: ranks of the new tree with a number of their own,
 * ascending by rank, numbers unique. each_changed is called for every key that differs and is not
 * assigned. */
struct assigned {
        uint64_t rank, id;
};
HIF_MUST_USE enum hif_err runs_plan(
    struct tree_source *nodes, const struct hif_hash *from, const struct hif_hash *to,
    struct runs *old, const struct assigned *assigned, size_t assigned_count, struct runs *out,
    enum hif_err (*each_changed)(void *arg, struct span key, const struct entry *a,
                                 const struct entry *b, uint64_t rank_b),
    void *arg);

#endif
