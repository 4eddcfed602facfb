/* move.h - give a workspace another base (after land, sync, goto) without losing who is who.
 *
 * Identity (I10): a directory that stays one and a file whose content did not change keep handle
 * and number; so does what this session made or changed and has landed. A file that the move
 * changed gets a new number, and the old one goes on reading the old bytes. The run table (runs.h)
 * says which number each rank of the new tree goes by; making it costs what differs between the two
 * trees.
 *
 *      loop: vfs_snapshot_take(freeze)    job: expand, land    job: vfs_move_plan
 *      loop: vfs_move_apply               loop: vfs_snapshot_free
 */
#ifndef HIF_VFS_MOVE_H
#define HIF_VFS_MOVE_H

#include "vfs/changes.h"

struct vfs_move; /* a plan */

/* On a job thread: compare the snapshot's base with `to`. landed: what of the snapshot's changes is
 * in the new tree now (those with `skip` are not); none for a move without a landing. nodes answers
 * for both trees, and does not answer HIF_EMISS. HIF_ECONFLICT, without a landing: others changed
 * something below a directory that is another one here, which only a landing can merge. */
HIF_MUST_USE enum hif_err vfs_move_plan(struct vfs_snapshot *snapshot,
                                        const struct vfs_expanded *landed, size_t landed_count,
                                        struct tree_source *nodes, const struct vfs_base *to,
                                        struct vfs_move **out, struct hif_why *why);
void vfs_move_free(struct vfs_move *move);

/* A named value to store with the move (a new session id, the landed mark). */
struct vfs_value {
        const char *name;
        struct span value;
};

/* On the loop, while the snapshot is alive: one overlay transaction sets base, epoch and run table,
 * drops what was landed and not touched since the snapshot, and stores `values`. HIF_EBUSY: the
 * base is not the snapshot's any more, or a directory was made since where others have landed one:
 * take another snapshot and plan again, as after a landing whose process died. HIF_ELIMIT: as many
 * moves as a session may have; land or start a new one. Nothing has changed on an error. */
HIF_MUST_USE enum hif_err vfs_move_apply(struct vfs *vfs, const struct vfs_move *move,
                                         const struct vfs_value *values, size_t value_count);

/* What the kernel has to be told to look at again: paths (of directories, and of files that kept
 * their handle), and their numbers. Owned by the move. */
struct vfs_touched {
        struct span path;
        uint64_t id;
};
const struct vfs_touched *vfs_move_touched(const struct vfs_move *move, size_t *count);

/* The names that stand for something else now, or for nothing, by index: for a kernel that keeps
 * names until it is told (FUSE). False: there are no more. Owned by the move. */
bool vfs_move_name(const struct vfs_move *move, size_t index, uint64_t *dir, struct span *name);

#endif
