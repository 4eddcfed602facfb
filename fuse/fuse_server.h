/* fuse_server.h - the FUSE front end of one workspace, through libfuse3's low-level API.
 *
 * For machines whose kernel has no NFS client, or where the user may not use it. The same vfs calls
 * as nfs/; node numbers are vfs's. Requests are read on the workspace's loop, parked on a miss, and
 * answered when they complete. Kernel notifications (after land, sync, goto) go through a thread of
 * their own: from the loop they deadlock. No writeback cache: what write(2) has returned is in the
 * overlay. default_permissions: the kernel checks modes. */
#ifndef HIF_FUSE_FUSE_SERVER_H
#define HIF_FUSE_FUSE_SERVER_H

#include "vfs/vfs.h"

struct fuse_server;

struct fuse_server_config {
        const char *mount_point; /* absolute */
        const char *name;        /* "hif:acme/app": what mount(8) shows */
        bool allow_other;
        bool read_only;
};

/* Mounts (through fusermount3 where we are not root) and serves on the vfs's loop. HIF_ENOTSUP with
 * a sentence that says what is missing: /dev/fuse, fusermount3, user_allow_other. */
HIF_MUST_USE enum hif_err fuse_server_new(struct vfs *vfs, const struct fuse_server_config *config,
                                          struct fuse_server **out, struct hif_why *why);
/* Unmounts (lazily when it is busy) and frees. Before vfs_close. */
void fuse_server_free(struct fuse_server *server);
/* The kernel has let go of the mount (umount(8) by the user): called on the loop, once. */
void fuse_server_on_unmount(struct fuse_server *server, void (*gone)(void *arg), void *arg);

/* Tell the kernel that these nodes and names may have changed (after a move of the base).
 * Thread-safe to call from the loop; done by the notifying thread. */
void fuse_server_invalidate(struct fuse_server *server, const uint64_t *ids, size_t count);

#endif
