/* apply_impl.h - a move of the base while it is carried out; shared by the files that do. */
#ifndef HIF_VFS_APPLY_IMPL_H
#define HIF_VFS_APPLY_IMPL_H

#include "vfs/move_impl.h"

struct applying {
        struct vfs *vfs;
        struct otx *tx;
        const struct vfs_move *move;
        struct runs *runs; /* the new ones */
        struct map names;  /* node -> a live row that names it */
        struct map kept;   /* directories that others removed, and in which something of ours is */
        struct map shown;  /* nodes that got a row because their directory lost its base */
        struct map gone_dirs;
        struct buf dropped; /* struct odirent: names that others' changes replace */
        struct buf gone;    /* u64: nodes that lost their last name */
        enum hif_err err;
};

/* --- apply_names.c --- */

/* Rows of names: what the new base has under each; what it shows no more. */
HIF_MUST_USE enum hif_err apply_names(struct applying *ap);
/* Had the old base the node, and has the new one not? */
bool apply_lost_base(const struct applying *ap, uint64_t id);
/* A row that gives way to what others made of the name (what the move says of it): as the snapshot
 * had it, of a node that was not written since. */
bool apply_gives_way(const struct applying *ap, const struct move_name *name,
                     const struct odirent *row);
/* A name that only the old base gave, as a row. */
void apply_keep_name(struct applying *ap, struct odirent *row);
/* The node loses a name; where that was its place and it has others, one of them is. */
void apply_lose_name(struct applying *ap, uint64_t id, uint64_t dir, struct span name);
/* Nodes lose the names in ap->dropped. */
void apply_drop_names(struct applying *ap);

/* --- apply_nodes.c --- */

/* Rows of nodes: content that has landed; nodes that have lost the names that the old base gave. */
HIF_MUST_USE enum hif_err apply_nodes(struct applying *ap);

#endif
