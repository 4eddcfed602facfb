/* front.h - the way in: NFS or FUSE. */
#ifndef HIF_CLI_DAEMON_FRONT_H
#define HIF_CLI_DAEMON_FRONT_H

#include "cli/daemon/frame.h"

/* Decide (FRONT_AUTO), serve, and mount unless `resume`. note as in workspace_mount. */
HIF_MUST_USE enum hif_err front_start(struct workspace *workspace, bool resume, char **note,
                                      struct hif_why *why);
HIF_MUST_USE enum hif_err front_unmount(struct workspace *workspace, bool force,
                                        struct hif_why *why);
/* HIF_EBUSY, and the sentence: its mount is elsewhere now. */
HIF_MUST_USE enum hif_err front_not_moved(struct workspace *workspace, struct hif_why *why);
void front_stop(struct workspace *workspace);

#endif
