/* workspace_parts.h - what a workspace is made of, made and closed. */
#ifndef HIF_CLI_DAEMON_WORKSPACE_PARTS_H
#define HIF_CLI_DAEMON_WORKSPACE_PARTS_H

#include "cli/daemon/workspace_impl.h"

/* Not in the daemon's list, and nothing is open yet. NULL: out of memory. */
struct workspace *workspace_new(struct daemon *daemon, const struct workspace_options *options);
void workspace_free(struct workspace *workspace); /* NULL is fine */
/* Its store, project and origin. */
HIF_MUST_USE enum hif_err workspace_open_store(struct workspace *workspace, struct hif_why *why);
/* Everything but the front end, whatever of it is open. */
void workspace_close_parts(struct workspace *workspace);

#endif
