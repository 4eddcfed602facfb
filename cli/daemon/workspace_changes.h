/* workspace_changes.h - what a workspace's changes look like to its user: ignore rules applied. */
#ifndef HIF_CLI_DAEMON_WORKSPACE_CHANGES_H
#define HIF_CLI_DAEMON_WORKSPACE_CHANGES_H

#include "cli/daemon/workspace_impl.h"
#include "cli/ignore.h"

/* Rules of the .gitignore and .hifignore files in every directory above the paths that are asked
 * about, as the snapshot has them. */
struct change_rules;
HIF_MUST_USE enum hif_err change_rules_new(struct workspace *workspace,
                                           struct vfs_snapshot *snapshot,
                                           struct change_rules **out);
void change_rules_free(struct change_rules *rules);
HIF_MUST_USE enum hif_err change_rules_match(struct change_rules *rules, struct span path,
                                             bool is_dir, bool *ignored);

/* Mark what is new and ignored; what the base has is never ignored, as with git. */
HIF_MUST_USE enum hif_err changes_skip_ignored(struct workspace *workspace,
                                               struct vfs_snapshot *snapshot,
                                               struct vfs_expanded *expanded, size_t count,
                                               struct hif_why *why);

/* *ignored when the rules could not be read: then what they ignore is among the changes. */
#define IGNORED_UNKNOWN SIZE_MAX

/* A settled snapshot of the workspace, taken on its loop; without what is ignored. */
HIF_MUST_USE enum hif_err changes_take(struct workspace *workspace, struct vfs_snapshot *out,
                                       size_t *ignored, struct hif_why *why);
void changes_free(struct workspace *workspace, struct vfs_snapshot *snapshot);

/* The sentence for changes that could not be `done` ("told", "compared"): when the reason is the
 * store, with its name and what to do. */
enum hif_err changes_why(const struct workspace *workspace, enum hif_err err, const char *done,
                         struct hif_why *why);

/* The whole content of one side of a change, up to size_max bytes (HIF_ELIMIT). */
HIF_MUST_USE enum hif_err change_old_content(struct workspace *workspace,
                                             const struct vfs_change *change, size_t size_max,
                                             struct buf *out);
HIF_MUST_USE enum hif_err change_new_content(struct workspace *workspace,
                                             const struct vfs_snapshot *snapshot,
                                             const struct vfs_change *change, size_t size_max,
                                             struct buf *out);

#endif
