/* tfuse.h - a workspace of tests/vfs/tmount.h, really mounted through FUSE, its loop on a thread of
 * its own, so that a test can use plain system calls on it. Needs /dev/fuse and root. */
#ifndef HIF_TESTS_FUSE_TFUSE_H
#define HIF_TESTS_FUSE_TFUSE_H

#include "fuse/fuse_server.h"
#include "vfs/tmount.h"

struct tfuse {
        struct tmount *m;
        struct fuse_server *server;
        char root[96]; /* the mount point */
        char path[4096];
        bool read_only;
        bool gone; /* the kernel has let go */
};

/* A workspace without a base yet: tmount_add what it should hold, then tfuse_mount. */
struct tfuse *tfuse_new(void);
void tfuse_mount(struct tfuse *t);
/* Serve what a predecessor left. The descriptors are taken over. */
enum hif_err tfuse_resume(struct tfuse *t, const struct fuse_kept *kept, struct hif_why *why);
void tfuse_unmount(struct tfuse *t);
/* The vfs was closed on the loop: close what is below it. */
void tfuse_close_rest(struct tfuse *t);
void tfuse_free(struct tfuse *t);
/* "root/name"; good until the next call. */
const char *tfuse_path(struct tfuse *t, const char *name);
/* Run it on the loop, and wait. */
void tfuse_on_loop(struct tfuse *t, void (*run)(struct tfuse *t, void *arg), void *arg);

#endif
