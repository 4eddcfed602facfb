/* env.h - the only list of what this program needs from outside: clocks, randomness, files, log.
 *
 * Everything below the composition root takes a `struct env` and calls nothing else of the system
 * for these, so that a test can put a simulated machine underneath: a clock that it moves, a seeded
 * generator, a disk that fails at the n-th call or loses what was not synced.
 * (Sockets and processes belong to the front ends and to cli/ alone.) */
#ifndef HIF_BASE_ENV_H
#define HIF_BASE_ENV_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

struct log;

struct env {
        const struct env_ops *ops;
        struct log *log; /* may be NULL */
        void *state;     /* belongs to ops */
};

/* File calls convert errno at once. Paths are absolute. fds are what open returned; in a simulated
 * environment they need not be real descriptors. */
struct env_ops {
        uint64_t (*wall_ns)(struct env *env); /* since 1970 */
        uint64_t (*mono_ns)(struct env *env);
        void (*random)(struct env *env, void *out, size_t size);

        /* flags and mode as open(2); O_CLOEXEC is added. */
        enum hif_err (*open)(struct env *env, const char *path, int flags, mode_t mode, int *fd);
        void (*close)(struct env *env, int fd);
        /* Reads or writes up to size bytes; a short count is not an error. */
        enum hif_err (*pread)(struct env *env, int fd, void *out, size_t size, uint64_t offset,
                              size_t *count);
        enum hif_err (*pwrite)(struct env *env, int fd, const void *data, size_t size,
                               uint64_t offset, size_t *count);
        /* As pread, but only what is in memory: HIF_EAGAIN where it would wait for the disk. On a
         * file system that never honours RWF_NOWAIT it is a plain pread, which may wait. */
        enum hif_err (*pread_nowait)(struct env *env, int fd, void *out, size_t size,
                                     uint64_t offset, size_t *count);
        enum hif_err (*fdatasync)(struct env *env, int fd);
        enum hif_err (*fsync)(struct env *env, int fd);
        enum hif_err (*ftruncate)(struct env *env, int fd, uint64_t size);
        /* Allocate [offset, offset + size), extending the file: HIF_ENOSPC comes from here;
         * HIF_ENOTSUP where the file system cannot. */
        enum hif_err (*fallocate)(struct env *env, int fd, uint64_t offset, uint64_t size);
        /* Deallocate a range, keeping the size. */
        enum hif_err (*punch)(struct env *env, int fd, uint64_t offset, uint64_t size);
        enum hif_err (*fstat)(struct env *env, int fd, struct stat *out);
        enum hif_err (*stat)(struct env *env, const char *path, struct stat *out); /* lstat */
        enum hif_err (*mkdir)(struct env *env, const char *path, mode_t mode);
        enum hif_err (*rmdir)(struct env *env, const char *path);
        enum hif_err (*unlink)(struct env *env, const char *path);
        enum hif_err (*link)(struct env *env, const char *from, const char *to);
        enum hif_err (*rename)(struct env *env, const char *from, const char *to);
        /* renameat2(RENAME_NOREPLACE); HIF_ENOTSUP where the file system lacks it. */
        enum hif_err (*rename_noreplace)(struct env *env, const char *from, const char *to);
        /* Call each for every name but "." and "..", in no order, until it returns false. */
        enum hif_err (*list)(struct env *env, const char *path,
                             bool (*each)(void *arg, const char *name), void *arg);
        /* A shared, writable mapping of an fallocated range (offset page-aligned), and its end.
         * What is stored in it survives the death of the process, and after fdatasync of the file
         * also a power cut. */
        enum hif_err (*map)(struct env *env, int fd, uint64_t offset, size_t size, void **out);
        void (*unmap)(struct env *env, void *address, size_t size);
        /* Free and total bytes of the file system that holds path. */
        enum hif_err (*space)(struct env *env, const char *path, uint64_t *free_bytes,
                              uint64_t *total_bytes);
        /* Exclusive on the open file, until it is closed or the process ends: HIF_EBUSY when
         * another has it. NULL: a machine with one process. */
        enum hif_err (*lock)(struct env *env, int fd);
};

/* The real machine. The log may be NULL; it stays the caller's. */
struct env env_system(struct log *log);

/* --- conveniences over any env --- */

/* The whole count or an error; a short file is HIF_EIO for read. */
HIF_MUST_USE enum hif_err env_read_all(struct env *env, int fd, void *out, size_t size,
                                       uint64_t offset);
HIF_MUST_USE enum hif_err env_write_all(struct env *env, int fd, const void *data, size_t size,
                                        uint64_t offset);
struct buf;
/* Append the file's content; HIF_ELIMIT when it is larger than size_max. */
HIF_MUST_USE enum hif_err env_read_file(struct env *env, const char *path, size_t size_max,
                                        struct buf *out);
/* Replace path with data: temporary file beside it, fsync, rename, fsync of the directory. */
HIF_MUST_USE enum hif_err env_write_file(struct env *env, const char *path, const void *data,
                                         size_t size, mode_t mode);
/* mkdir -p; existing directories are fine, anything else in the way is HIF_ENOTDIR. Nothing is
 * synced. */
HIF_MUST_USE enum hif_err env_mkdirs(struct env *env, const char *path, mode_t mode);
/* fsync a directory by path. */
HIF_MUST_USE enum hif_err env_sync_dir(struct env *env, const char *path);

/* Make the name of a directory durable, and the names of those above it: a process that died may have
 * made them. What we may pass through but not read is not ours, and was there before. */
HIF_MUST_USE enum hif_err env_sync_above(struct env *env, const char *path);

static inline uint64_t env_wall_ns(struct env *env)
{
        return env->ops->wall_ns(env);
}

static inline uint64_t env_mono_ns(struct env *env)
{
        return env->ops->mono_ns(env);
}

static inline void env_random(struct env *env, void *out, size_t size)
{
        env->ops->random(env, out, size);
}

uint64_t env_random_u64(struct env *env);

#define ENV_LOCK_WAIT_MS 5000 /* for a process that is just dying, or looks at something */

/* The lock of the file that path names, open as fd. A process that was killed has its locks until it is
 * quite gone, which takes a while on a busy machine: whoever has it is waited for, wait_ms at most.
 *      HIF_EBUSY     it goes on having it
 *      HIF_ENOENT    whoever had it has removed or moved the file: a lock on this one excludes nobody
 * HIF_OK also on a machine without locks. */
HIF_MUST_USE enum hif_err env_lock(struct env *env, int fd, const char *path, unsigned wait_ms);

#endif
