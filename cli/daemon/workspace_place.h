/* workspace_place.h - where a workspace's mount is, by the kernel's list of mounts. */
#ifndef HIF_CLI_DAEMON_WORKSPACE_PLACE_H
#define HIF_CLI_DAEMON_WORKSPACE_PLACE_H

#include "cli/daemon/frame.h"

/* Is it there still? umount(8) asks no one. */
bool workspace_is_mounted(struct workspace *workspace);
/* Where its mount is; *now: the caller's to free, NULL: still at its place, or nowhere. */
HIF_MUST_USE enum hif_err workspace_moved(struct workspace *workspace, char **now);

#endif
