/* workspace_export.h - what a session holds, saved as a plain directory: for sessions that are
 * damaged above all. It needs neither a mount nor the store; what lies in the store only is fetched
 * where that can be reached.
 *
 *      DIR/files/...     each file that the session made or changed, under its path; below
 *                        lost+found what has none any more
 *      DIR/report.txt    what is damaged, what the session removed, what could not be saved and why
 */
#ifndef HIF_CLI_DAEMON_WORKSPACE_EXPORT_H
#define HIF_CLI_DAEMON_WORKSPACE_EXPORT_H

#include "cli/daemon/frame.h"

/* Into `dir` (absolute), which is made, or is there and empty. Of a mounted workspace, entered; or
 * of one that is not mounted. *result: docs/cli.md, "hif session export". HIF_ENOENT: no such
 * session; HIF_EBUSY: another process has it; HIF_EEXIST: the directory is not empty. */
HIF_MUST_USE enum hif_err workspace_export(struct workspace *workspace, const char *dir,
                                           json_t **result, struct hif_why *why);
HIF_MUST_USE enum hif_err workspace_export_closed(struct daemon *daemon, const char *project,
                                                  const char *session, const char *dir,
                                                  json_t **result, struct hif_why *why);

#endif
