/* move_impl.h - a plan to move the base: what move.c works out and apply.c carries out. */
#ifndef HIF_VFS_MOVE_IMPL_H
#define HIF_VFS_MOVE_IMPL_H

#include "vfs/move.h"
#include "vfs/rows.h"

/* What the new base has under a name. */
struct move_name {
        uint64_t dir;
        uint64_t hash60;
        struct span name;
        uint64_t base_child; /* NODEID_NONE: nothing */
        struct entry base;
        bool plain; /* others changed the path, and the snapshot showed there what the old base has
                     */
};

/* A node whose content (as of the snapshot) is the base's now. */
struct move_node {
        uint64_t id;
        struct entry entry;
};

/* A node that the old base showed in a directory that has no base any more: from now on rows tell
 * of it. */
struct move_kept {
        uint64_t dir;
        const struct vfs_expanded *item;
};

struct vfs_move {
        struct arena arena;
        struct vfs_base from, to;
        uint64_t seq; /* of the snapshot */
        uint32_t epoch;
        struct runs runs;
        struct buf runs_stored;
        const struct vfs_rows *rows; /* the snapshot's */
        struct move_name *dirents;   /* [i] is of rows->dirents[i] */
        struct buf names;            /* struct move_name: all that differ between the two bases */
        struct buf others;           /* struct move_name: those that others changed */
        struct buf nodes;            /* struct move_node */
        struct buf kept;             /* struct move_kept */
        struct map plain;            /* nodes that were written and held what the old base has */
        struct buf
            changed; /* struct move_node: files that the move changed, under their new numbers */
        struct buf touched; /* struct vfs_touched */
        bool landing;
};

/* By (dir, hash60, name), as rows are. */
int vfs_move_compare_names(const void *a, const void *b);
/* What the move says of a name; NULL: nothing, it stands for what it stood for. */
const struct move_name *vfs_move_find_name(const struct vfs_move *move, const struct odirent *row);

/* move_names.c: from the keys that differ to names in directories. */
struct move_key {
        struct span key; /* in the move's arena */
        uint64_t rank;   /* in the new tree */
        bool removed;
        bool other; /* others changed it */
        struct entry entry;
};
HIF_MUST_USE enum hif_err vfs_move_names(struct vfs_move *move, struct tree_source *nodes,
                                         struct runs *old, const struct move_key *keys,
                                         size_t count);

/* runs_plan.c: the new run table. assigned: ranks of the new tree with a number of their own,
 * ascending by rank, numbers unique. each_changed is called for every key that differs. */
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
