/* front_fuse.h - a FUSE mount from server to server. */
#ifndef HIF_CLI_DAEMON_FRONT_FUSE_H
#define HIF_CLI_DAEMON_FRONT_FUSE_H

#include "cli/daemon/frame.h"

/* Go on where a predecessor was (resume), if the supervisor has kept what that takes; else mount. */
HIF_MUST_USE enum hif_err front_fuse_start(struct workspace *workspace, bool resume,
                                           struct hif_why *why);
/* A mount that is to stay is left to the next server; else unmount. */
void front_fuse_stop(struct workspace *workspace);

#endif
