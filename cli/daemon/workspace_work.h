/* workspace_work.h - what a session holds at one moment: its records, and its changes ready to be
 * staged. What landing and publishing begin with.
 *
 * Calling sequence, in an entered workspace on a request's thread: work_flush, work_take,
 * work_list; work_free after any result. */
#ifndef HIF_CLI_DAEMON_WORKSPACE_WORK_H
#define HIF_CLI_DAEMON_WORKSPACE_WORK_H

#include "cli/daemon/frame.h"
#include "land/land.h"
#include "vfs/changes.h"

struct work {
        struct workspace *workspace;
        struct land_reader reader;         /* of `changes` */
        struct fetch_nodes_blocking nodes; /* of the base's tree */
        struct vfs_snapshot snapshot;
        bool taken;
        struct vfs_expanded *expanded; /* in the snapshot's arena */
        size_t expanded_count;
        struct land_change *changes; /* `content` is the index in expanded */
        size_t change_count;
        struct session session; /* state open, all but a new goal filled in */
        enum hif_err err;
};

/* What programs have written, out of the client's caches. verb: what did not happen when it fails.
 */
HIF_MUST_USE enum hif_err work_flush(struct workspace *workspace, const char *verb,
                                     struct hif_why *why);
/* A frozen snapshot; uploads ahead pause until work_free, so that the journal has
 * one writer.
 * HIF_EBUSY: there is one. */
HIF_MUST_USE enum hif_err work_take(struct work *work, struct workspace *workspace);
/* The paths that land, without the ignored ones. */
HIF_MUST_USE enum hif_err work_list(struct work *work, struct hif_why *why);
/* After land_stage: the move to the new base need not hash it all once more. */
void work_staged(struct work *work);
/* The session has landed from elsewhere, with this tree: what it has is landed, and the rest is to
 * stay as it is here (skip). workspace_left.c. */
HIF_MUST_USE enum hif_err work_keep_unlanded(struct work *work, const struct hif_hash *tree);
void work_free(struct work *work);

#endif
