/* move.h - give a workspace another base (after land, sync, goto) without losing who is who.
 *
 * Identity (I10): a directory that stays one and a file whose content did not change keep handle
 * and number. A file that the move changed gets a new one, and the old one goes on reading the old
 * bytes. The run table says which (epoch, rank) the current ranks were first seen under; making the
 * next one costs what differs between the two trees. */
#ifndef HIF_VFS_MOVE_H
#define HIF_VFS_MOVE_H

#include "vfs/changes.h"

struct vfs_move; /* a plan */

/* On a job thread: compare the old base with the new one, following the snapshot's renames (NULL: a
 * move without a landing). nodes answers for both trees. */
HIF_MUST_USE enum hif_err vfs_move_plan(const struct vfs_snapshot *landed,
                                        struct tree_source *nodes, const struct vfs_base *from,
                                        const struct vfs_base *to, const struct span *runs,
                                        struct vfs_move **out, struct hif_why *why);
void vfs_move_free(struct vfs_move *move);

/* The run table as stored, to give to vfs_move_plan (copied into the arena). On the loop. */
HIF_MUST_USE enum hif_err vfs_runs(struct vfs *vfs, struct arena *arena, struct span *out);

/* On the loop: one overlay transaction sets base, epoch and run table, drops what was landed and
 * not touched since (landed->seq), and stores `values` (a new session id, the landed mark) with it.
 * HIF_EBUSY when the base is not `from` any more. Nothing has changed on an error. */
struct vfs_value {
        const char *name;
        struct span value;
};
HIF_MUST_USE enum hif_err vfs_move_apply(struct vfs *vfs, const struct vfs_move *move,
                                         const struct vfs_snapshot *landed,
                                         const struct vfs_value *values, size_t value_count);

/* Directories (and files that kept their handle) whose attributes the move changed: their paths,
 * for telling the kernel. In the arena. */
HIF_MUST_USE enum hif_err vfs_move_touched(const struct vfs_move *move, struct arena *arena,
                                           struct span **paths, size_t *count);

#endif
