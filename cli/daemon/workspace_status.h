/* workspace_status.h - what the session has changed. */
#ifndef HIF_CLI_DAEMON_WORKSPACE_STATUS_H
#define HIF_CLI_DAEMON_WORKSPACE_STATUS_H

#include "cli/daemon/frame.h"

/* JSON shapes: docs/cli.md. */
HIF_MUST_USE enum hif_err workspace_status(struct workspace *workspace, json_t **result,
                                           struct hif_why *why);
/* paths: NULL or an array of paths inside the workspace. */
HIF_MUST_USE enum hif_err workspace_diff(struct workspace *workspace, const json_t *paths,
                                         json_t **result, struct hif_why *why);
/* What diff needs of libraries: once, before anything is served, since libgit2 does not outlive the lack
 * of memory in its first call. HIF_ENOMEM. */
HIF_MUST_USE enum hif_err workspace_diff_prepare(void);

#endif
