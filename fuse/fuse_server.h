/* fuse_server.h - the FUSE front end of one workspace, through libfuse3's low-level API.
 *
 * For machines whose kernel has no NFS client, or where the user may not use it. The same vfs calls
 * as nfs/; node numbers are vfs's. Requests are read on the workspace's loop, parked on a miss, and
 * answered when they complete. Kernel notifications (after land, sync, goto) go through a thread of
 * their own: from the loop they deadlock. No writeback cache: what write(2) has returned is in the
 * overlay. default_permissions: the kernel checks modes.
 *
 * The kernel keeps names, attributes and content without asking again, for all changes pass through
 * it; but for moves of the base, which it is told of. docs/architecture.md, "NFS and FUSE". */
#ifndef HIF_FUSE_FUSE_SERVER_H
#define HIF_FUSE_FUSE_SERVER_H

#include "vfs/vfs.h"

struct fuse_server;
struct ledger;

struct fuse_server_config;
/* Who mounts and unmounts for a process that may not. From any thread. */
struct fuse_mounter {
        enum hif_err (*mount)(void *arg, const struct fuse_server_config *config, int *fd,
                              struct hif_why *why);
        bool (*unmount)(void *arg, const char *mount_point, bool detach);
        void *arg;
};

struct fuse_server_config {
        const struct fuse_mounter *mounter; /* outlives the server; NULL: this process does it */
        const char *mount_point;            /* absolute */
        const char *name;                   /* "hif:acme/app": what mount(8) shows */
        bool allow_other;
        bool read_only;
};

/* What a mounter does, in a process that may: /dev/fuse of a new mount, and taking one away. at: a
 * path by which root's mount(2) finds the mount point; NULL: its own. */
HIF_MUST_USE enum hif_err fuse_mount_here(const struct fuse_server_config *config, const char *at,
                                          int *fd, struct hif_why *why);
bool fuse_unmount_here(const char *mount_point, bool detach);

/* Mounts (through fusermount3 where we are not root) and serves on the vfs's loop. With a sentence:
 * HIF_ENOTSUP (/dev/fuse, fusermount3 or user_allow_other is missing), HIF_EACCES, HIF_ENOENT,
 * HIF_ENOTDIR, HIF_ENOTEMPTY, HIF_EBUSY (mounted already, or inside another mount of ours), HIF_EIO
 * (mount(2) or fusermount3 refused). */
HIF_MUST_USE enum hif_err fuse_server_new(struct vfs *vfs, const struct fuse_server_config *config,
                                          struct fuse_server **out, struct hif_why *why);
/* --- a mount that outlives its server ---
 *
 * As long as someone keeps the two descriptors of struct fuse_kept, the kernel keeps the mount: open
 * files, directories that programs stand in, and requests wait for the next server, which finds
 * them where the last one was. docs/fuse.md. */

struct fuse_kept {
        int fd;          /* /dev/fuse, as it was mounted */
        int ledger_fd;   /* ledger.h */
        struct buf note; /* handshake.h */
};
/* What to keep of a server: the descriptors stay the server's; the caller frees the note. */
HIF_MUST_USE enum hif_err fuse_server_kept(const struct fuse_server *server, struct fuse_kept *out);
/* Serve what a predecessor mounted. The descriptors are taken over, whatever the result. What it had
 * read and not answered is run (a change that it had made is not made again) before anything
 * else. HIF_ENOENT: that mount is gone; HIF_ECORRUPT, HIF_EUNSUPPORTED: not a server that this
 * program can follow. Each with a sentence; then the mount has to be made anew. */
HIF_MUST_USE enum hif_err fuse_server_resume(struct vfs *vfs,
                                             const struct fuse_server_config *config,
                                             const struct fuse_kept *kept, struct fuse_server **out,
                                             struct hif_why *why);
/* Free, and leave the mount with all that waits to a successor. On the loop. */
void fuse_server_leave(struct fuse_server *server);

/* Unmounts and frees: on the loop, before vfs_close. Blocks while the kernel writes back what
 * programs have mapped. When the mount is busy it is detached: programs that still have files open
 * there get errors. Requests that are parked are answered with EIO. NULL is fine. */
void fuse_server_free(struct fuse_server *server);
/* The kernel has let go of the mount (umount(8) by the user): called on the loop, once; it may free
 * the server. */
void fuse_server_on_unmount(struct fuse_server *server, void (*gone)(void *arg), void *arg);

/* --- after a move of the base: on the loop; the notifying thread does it
 * ---------------------------- */

/* What is queued at once, in items; more is not taken. */
#define FUSE_NOTICES_MAX (1u << 20)

/* The attributes and the content (or listing) of these nodes may have changed. False: not all could
 * be queued; the kernel keeps what it has of the rest. */
bool fuse_server_invalidate(struct fuse_server *server, const uint64_t *ids, size_t count);

/* What these names stand for may have changed. A directory's names are not part of its content:
 * they need this. */
struct fuse_name {
        uint64_t dir;
        struct span name; /* copied */
};
bool fuse_server_invalidate_names(struct fuse_server *server, const struct fuse_name *names,
                                  size_t count);

/* done() runs on the loop once the kernel knows of everything queued before. Embed it; it stays in
 * place until then. Freeing the server calls it too. */
struct fuse_told {
        void (*done)(struct fuse_told *told);
        struct loop_msg msg;
};
/* HIF_ENOMEM, HIF_ELIMIT: done() will not be called. */
HIF_MUST_USE enum hif_err fuse_server_when_told(struct fuse_server *server, struct fuse_told *told);

#endif
