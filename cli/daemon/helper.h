/* helper.h - what mounts FUSE for a server that may not.
 *
 * fusermount3 is set-user-id root, and a server with no_new_privs (sandbox.h) cannot start it with
 * that. So before it enters the sandbox it forks a small process that can, and asks it: to mount,
 * with options that the helper makes itself, and to unmount what is a mount of hif. The helper knows
 * no other word, reads nothing but these, and ends with its server.
 *
 * Thread-safe; one request at a time. As root it is not needed. */
#ifndef HIF_CLI_DAEMON_HELPER_H
#define HIF_CLI_DAEMON_HELPER_H

#include "fuse/fuse_server.h"

struct helper;

/* Fork it. Before there are threads. */
HIF_MUST_USE enum hif_err helper_start(struct helper **out);
void helper_free(struct helper *helper); /* it ends; NULL is fine */

/* For fuse_server_config. */
const struct fuse_mounter *helper_mounter(const struct helper *helper);
/* fusermount3 -u, or -uz. HIF_EBUSY: it would not; HIF_ENOENT: the helper is gone. */
HIF_MUST_USE enum hif_err helper_unmount(struct helper *helper, const char *mount_point,
                                         bool detach);

#endif
