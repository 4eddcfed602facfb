#include "quiet_env.h"

#include "faults.h"

/* All simulated machines have the same operations. */
static const struct env_ops *inner;

#define QUIET(type, name, parameters, arguments)                                                   \
        static type quiet_##name parameters                                                        \
        {                                                                                          \
                type result;                                                                       \
                                                                                                   \
                fault_pause();                                                                     \
                result = inner->name arguments;                                                    \
                fault_resume();                                                                    \
                return result;                                                                     \
        }

#define QUIET_VOID(name, parameters, arguments)                                                    \
        static void quiet_##name parameters                                                        \
        {                                                                                          \
                fault_pause();                                                                     \
                inner->name arguments;                                                             \
                fault_resume();                                                                    \
        }

#define ERR enum hif_err

/* In the order of struct env_ops. */
QUIET(uint64_t, wall_ns, (struct env * env), (env))
QUIET(uint64_t, mono_ns, (struct env * env), (env))
QUIET_VOID(random, (struct env * env, void *out, size_t size), (env, out, size))
QUIET(ERR, open, (struct env * env, const char *path, int flags, mode_t mode, int *fd),
      (env, path, flags, mode, fd))
QUIET_VOID(close, (struct env * env, int fd), (env, fd))
QUIET(ERR, pread, (struct env * env, int fd, void *out, size_t size, uint64_t at, size_t *count),
      (env, fd, out, size, at, count))
QUIET(ERR, pwrite,
      (struct env * env, int fd, const void *data, size_t size, uint64_t at, size_t *count),
      (env, fd, data, size, at, count))
QUIET(ERR, pread_nowait,
      (struct env * env, int fd, void *out, size_t size, uint64_t at, size_t *count),
      (env, fd, out, size, at, count))
QUIET(ERR, fdatasync, (struct env * env, int fd), (env, fd))
QUIET(ERR, fsync, (struct env * env, int fd), (env, fd))
QUIET(ERR, ftruncate, (struct env * env, int fd, uint64_t size), (env, fd, size))
QUIET(ERR, fallocate, (struct env * env, int fd, uint64_t at, uint64_t size), (env, fd, at, size))
QUIET(ERR, punch, (struct env * env, int fd, uint64_t at, uint64_t size), (env, fd, at, size))
QUIET(ERR, fstat, (struct env * env, int fd, struct stat *out), (env, fd, out))
QUIET(ERR, stat, (struct env * env, const char *path, struct stat *out), (env, path, out))
QUIET(ERR, mkdir, (struct env * env, const char *path, mode_t mode), (env, path, mode))
QUIET(ERR, rmdir, (struct env * env, const char *path), (env, path))
QUIET(ERR, unlink, (struct env * env, const char *path), (env, path))
QUIET(ERR, link, (struct env * env, const char *from, const char *to), (env, from, to))
QUIET(ERR, rename, (struct env * env, const char *from, const char *to), (env, from, to))
QUIET(ERR, rename_noreplace, (struct env * env, const char *from, const char *to), (env, from, to))
QUIET(ERR, list,
      (struct env * env, const char *path, bool (*each)(void *arg, const char *name), void *arg),
      (env, path, each, arg))
QUIET(ERR, map, (struct env * env, int fd, uint64_t at, size_t size, void **out),
      (env, fd, at, size, out))
QUIET_VOID(unmap, (struct env * env, void *at, size_t size), (env, at, size))
QUIET(ERR, space, (struct env * env, const char *path, uint64_t *free_bytes, uint64_t *total),
      (env, path, free_bytes, total))

void quiet_env(struct env *env)
{
        static struct env_ops ops;

        inner = env->ops;
        ops = *inner;
        ops.wall_ns = quiet_wall_ns;
        ops.mono_ns = quiet_mono_ns;
        ops.random = quiet_random;
        ops.open = quiet_open;
        ops.close = quiet_close;
        ops.pread = quiet_pread;
        ops.pwrite = quiet_pwrite;
        ops.pread_nowait = quiet_pread_nowait;
        ops.fdatasync = quiet_fdatasync;
        ops.fsync = quiet_fsync;
        ops.ftruncate = quiet_ftruncate;
        ops.fallocate = quiet_fallocate;
        ops.punch = quiet_punch;
        ops.fstat = quiet_fstat;
        ops.stat = quiet_stat;
        ops.mkdir = quiet_mkdir;
        ops.rmdir = quiet_rmdir;
        ops.unlink = quiet_unlink;
        ops.link = quiet_link;
        ops.rename = quiet_rename;
        ops.rename_noreplace = quiet_rename_noreplace;
        ops.list = quiet_list;
        ops.map = quiet_map;
        ops.unmap = quiet_unmap;
        ops.space = quiet_space;
        env->ops = &ops;
}
