/* kernel.h - what has to touch the mount, in a child process, with a timeout. */
#ifndef HIF_CLI_DAEMON_KERNEL_H
#define HIF_CLI_DAEMON_KERNEL_H

#include "cli/daemon/frame.h"

/* Write the client's dirty pages back. HIF_ETIMEDOUT: it did not finish. */
HIF_MUST_USE enum hif_err kernel_sync(const char *mount_point, uint64_t timeout_ms);
/* Tell the client what a move of the base changed (refresh.h), and wait until it knows. NFS: statx with
 * AT_STATX_FORCE_SYNC; FUSE: invalidation of nodes and names. Best effort: a client that was not
 * told shows old attributes for a while, and the log says so. */
void kernel_refresh(struct workspace *workspace, struct span list);

#endif
