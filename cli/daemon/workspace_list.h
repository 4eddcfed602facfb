/* workspace_list.h - which workspaces a daemon has, and which request works on which. */
#ifndef HIF_CLI_DAEMON_WORKSPACE_LIST_H
#define HIF_CLI_DAEMON_WORKSPACE_LIST_H

#include "cli/daemon/frame.h"

/* Add to the daemon's list, entered: who finds it waits until it is open, or closed again.
 * HIF_EBUSY when the session, or the mount point, is taken. */
HIF_MUST_USE enum hif_err workspace_enlist(struct workspace *workspace, struct hif_why *why);
void workspace_delist(struct workspace *workspace);
/* The first that matches, entered; NULL: none does. match is called under the daemon's lock. */
struct workspace *workspace_enter(struct daemon *daemon,
                                  bool (*match)(const struct workspace *workspace, const void *arg),
                                  const void *arg);

/* By a path at or below its mount point; entered for this thread until workspace_leave. NULL: none.
 */
struct workspace *workspace_enter_path(struct daemon *daemon, const char *path);
struct workspace *workspace_enter_name(struct daemon *daemon, const char *project,
                                       const char *session);
struct workspace *workspace_enter_any(struct daemon *daemon);
void workspace_leave(struct workspace *workspace);
bool workspace_is_at(const struct workspace *workspace, const char *mount_point);
const char *workspace_mount_point(const struct workspace *workspace);
/* With daemon->lock held: the next in the list. */
struct workspace *workspace_after(const struct workspace *workspace);
/* Is the workspace with this directory there? */
bool workspace_listed(struct daemon *daemon, const char *dir);

#endif
