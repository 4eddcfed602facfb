/* mounts.h - mounts of ours, as the kernel lists them (proc_pid_mountinfo(5)); none is touched. */
#ifndef HIF_CLI_MOUNTS_H
#define HIF_CLI_MOUNTS_H

#include "base/buf.h"
#include "base/env.h"

struct mount {
        const char *path;
        struct span type, source, options; /* options: of the file system */
        unsigned minor;                    /* of the device: the number of a FUSE connection */
        bool ours;                         /* of hif: no one else's look so */
};

/* All mounts, oldest first, until each() returns false. Spans and path are good until it returns. */
HIF_MUST_USE enum hif_err mounts_each(struct env *env,
                                      bool (*each)(void *arg, const struct mount *mount),
                                      void *arg);
/* Is the canonical path in a mount of ours? The mount point is the caller's to free. */
HIF_MUST_USE enum hif_err mounts_find(struct env *env, const char *path, bool *found,
                                      char **mount_point);
/* The mount that holds the canonical path, whoever's it is: where, and its type; both are the caller's
 * to free. HIF_ENOENT: none does. */
HIF_MUST_USE enum hif_err mounts_holding(struct env *env, const char *path, char **mount_point,
                                         char **type);
/* Is this source mounted at this very place, maybe below another mount? */
HIF_MUST_USE enum hif_err mounts_hold(struct env *env, const char *source, const char *mount_point,
                                      bool *found);
/* The device of what is mounted at this very place, if that is ours; 0: nothing is. */
HIF_MUST_USE enum hif_err mounts_device(struct env *env, const char *mount_point, unsigned *minor);
/* A mount goes with its directory when that, or one above it, is renamed. It is known by its source,
 * where that is no one else's, else (NULL) by its device. *now: where this one of ours is, the caller's
 * to free; NULL: still at its mount point, or nowhere. */
HIF_MUST_USE enum hif_err mounts_moved(struct env *env, const char *source, unsigned minor,
                                       const char *mount_point, char **now);

#endif
