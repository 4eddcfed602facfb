/* mount_fuse.h - FUSE mounts, and taking away either kind. */
#ifndef HIF_CLI_DAEMON_MOUNT_FUSE_H
#define HIF_CLI_DAEMON_MOUNT_FUSE_H

#include "cli/daemon/frame.h"

/* Set workspace->mounter. */
void mounter_init(struct workspace *workspace);
/* Of a mount that a next server would know of, or that is gone in order. */
HIF_MUST_USE enum hif_err mount_keep(struct workspace *workspace);
/* A mount of either kind; not mounted: fine. how: HELP_UNMOUNT and its like (helper.h). HIF_EBUSY and
 * others, with a sentence. */
HIF_MUST_USE enum hif_err unmount(const struct daemon *daemon, const char *mount_point, int how,
                                  struct hif_why *why);

#endif
