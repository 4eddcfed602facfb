/* workspace.h - a mounted session: the composition of overlay, vfs and a front end.
 *
 * Lives in the daemon. A workspace's directory is state_dir/workspaces/{org}/{name}/{session}/. It
 * holds the overlay; what the workspace needs to come back after a crash (mount point, front end,
 * port, handle key, export path, session id) are values of the overlay, so that there is one
 * history. Beside it lie `session.json`, a summary for `hif session list`, and `mounted`, which
 * says that the daemon has to bring it back.
 *
 * All functions block and belong on a request's thread. What touches vfs runs on the workspace's
 * loop (loop_call), and one request at a time works on a workspace (workspace_enter). */
#ifndef HIF_CLI_DAEMON_WORKSPACE_H
#define HIF_CLI_DAEMON_WORKSPACE_H

#include "cli/daemon/frame.h"

/* Open or resume the session and mount it. *note: a sentence on which front end was taken and why
 * (malloc'd). HIF_EBUSY: the session is mounted elsewhere. */
HIF_MUST_USE enum hif_err workspace_mount(struct daemon *daemon,
                                          const struct workspace_options *options,
                                          struct workspace **out, char **note,
                                          struct hif_why *why); /* not entered */
/* After a crash of the daemon: bring back a workspace that was mounted, same port, same handles.
 * *mount_point, the caller's to free, is set also on errors, when it can be told. */
HIF_MUST_USE enum hif_err workspace_resume(struct daemon *daemon, const char *dir,
                                           char **mount_point, struct hif_why *why);
/* Flush the client's pages, unmount, publish, close. Entered; leave it afterwards. force: also when
 * it is busy, and nothing is published. *warning (may be NULL): a sentence, the caller's to free,
 * on what was not published; untouched where there is nothing to say. */
HIF_MUST_USE enum hif_err workspace_unmount(struct workspace *workspace, bool force, char **warning,
                                            struct hif_why *why);
/* Close without unmounting: the daemon stops, and the kernel's client waits for the next one. */
void workspace_suspend(struct workspace *workspace);

#endif
