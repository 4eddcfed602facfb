/* ahead_use.h - what others ask of uploads ahead of landing (workspace_ahead.h). NULL is fine for all. */
#ifndef HIF_CLI_DAEMON_AHEAD_USE_H
#define HIF_CLI_DAEMON_AHEAD_USE_H

#include "cli/cli.h"
#include "land/land.h"
#include "vfs/changes.h"

struct ahead;

/* Stop soon, and wait until nothing is written any more; may be nested. */
void ahead_pause(struct ahead *ahead);
void ahead_resume(struct ahead *ahead);

/* Has this content of a node been stored? `content` of a snapshot at `base`, taken before. */
bool ahead_stored(struct ahead *ahead, const struct vfs_base *base, uint64_t node,
                  const struct vfs_content *content, struct hif_hash *hash, struct pack_loc *loc);

/* {"uploads": ...} of the status (docs/cli.md); NULL: out of memory. */
json_t *ahead_status(struct ahead *ahead, const struct vfs_snapshot *snapshot);

#endif
