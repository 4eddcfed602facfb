/* The real machine: each call is one system call, retried after a signal. */
#include "base/env.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define RETRY(call)                                                                                \
        ({                                                                                         \
                __typeof__(call) result_;                                                          \
                do {                                                                               \
                        result_ = (call);                                                          \
                } while (result_ < 0 && errno == EINTR);                                           \
                result_;                                                                           \
        })

static enum hif_err result(int rc)
{
        return rc < 0 ? hif_err_from_errno(errno) : HIF_OK;
}

static bool in_off_t(uint64_t offset, uint64_t size)
{
        uint64_t end;

        return !__builtin_add_overflow(offset, size, &end) && end <= INT64_MAX;
}

static uint64_t clock_ns(clockid_t clock)
{
        struct timespec now;

        clock_gettime(clock, &now);
        return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t sys_wall_ns(struct env *env)
{
        (void)env;
        return clock_ns(CLOCK_REALTIME);
}

static uint64_t sys_mono_ns(struct env *env)
{
        (void)env;
        return clock_ns(CLOCK_MONOTONIC);
}

static void sys_random(struct env *env, void *out, size_t size)
{
        uint8_t *next = out;

        (void)env;
        while (size > 0) {
                ssize_t got = RETRY(getrandom(next, size, 0));

                assert(got > 0); /* with no flags and valid memory it cannot fail (getrandom(2)) */
                next += got;
                size -= (size_t)got;
        }
}

static enum hif_err sys_open(struct env *env, const char *path, int flags, mode_t mode, int *fd)
{
        int opened = RETRY(open(path, flags | O_CLOEXEC, mode));

        (void)env;
        if (opened < 0)
                return hif_err_from_errno(errno);
        *fd = opened;
        return HIF_OK;
}

static void sys_close(struct env *env, int fd)
{
        (void)env;
        close(fd); /* write errors were reported by fsync; after EINTR Linux has closed it anyway */
}

static enum hif_err counted(ssize_t got, size_t *count)
{
        if (got < 0)
                return hif_err_from_errno(errno);
        *count = (size_t)got;
        return HIF_OK;
}

static enum hif_err sys_pread(struct env *env, int fd, void *out, size_t size, uint64_t offset,
                              size_t *count)
{
        (void)env;
        if (!in_off_t(offset, size))
                return HIF_EINVAL;
        return counted(RETRY(pread(fd, out, size, (off_t)offset)), count);
}

static enum hif_err sys_pwrite(struct env *env, int fd, const void *data, size_t size,
                               uint64_t offset, size_t *count)
{
        (void)env;
        if (!in_off_t(offset, size))
                return HIF_EFBIG;
        return counted(RETRY(pwrite(fd, data, size, (off_t)offset)), count);
}

/* EOPNOTSUPP says that this file system never honours RWF_NOWAIT (readv(2)), ENOSYS that the kernel
 * or its filter lacks preadv2: then a plain read, which may wait, is all there is. A file system
 * that supports the flag says EAGAIN instead, and that goes to the caller. */
static enum hif_err sys_pread_nowait(struct env *env, int fd, void *out, size_t size,
                                     uint64_t offset, size_t *count)
{
        struct iovec iov = {.iov_base = out, .iov_len = size};
        ssize_t got;

        if (!in_off_t(offset, size))
                return HIF_EINVAL;
        got = RETRY(preadv2(fd, &iov, 1, (off_t)offset, RWF_NOWAIT));
        if (got < 0 && (errno == EOPNOTSUPP || errno == ENOSYS))
                return sys_pread(env, fd, out, size, offset, count);
        return counted(got, count);
}

static enum hif_err sys_fdatasync(struct env *env, int fd)
{
        (void)env;
        return result(RETRY(fdatasync(fd)));
}

static enum hif_err sys_fsync(struct env *env, int fd)
{
        (void)env;
        return result(RETRY(fsync(fd)));
}

static enum hif_err sys_ftruncate(struct env *env, int fd, uint64_t size)
{
        (void)env;
        if (!in_off_t(0, size))
                return HIF_EFBIG;
        return result(RETRY(ftruncate(fd, (off_t)size)));
}

static enum hif_err sys_fallocate(struct env *env, int fd, uint64_t offset, uint64_t size)
{
        (void)env;
        if (!in_off_t(offset, size))
                return HIF_EFBIG;
        return result(RETRY(fallocate(fd, 0, (off_t)offset, (off_t)size)));
}

static enum hif_err sys_punch(struct env *env, int fd, uint64_t offset, uint64_t size)
{
        (void)env;
        if (!in_off_t(offset, size))
                return HIF_EFBIG;
        return result(RETRY(
            fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size)));
}

static enum hif_err sys_fstat(struct env *env, int fd, struct stat *out)
{
        struct stat st;

        (void)env;
        if (fstat(fd, &st) < 0)
                return hif_err_from_errno(errno);
        *out = st;
        return HIF_OK;
}

static enum hif_err sys_stat(struct env *env, const char *path, struct stat *out)
{
        struct stat st;

        (void)env;
        if (lstat(path, &st) < 0)
                return hif_err_from_errno(errno);
        *out = st;
        return HIF_OK;
}

static enum hif_err sys_mkdir(struct env *env, const char *path, mode_t mode)
{
        (void)env;
        return result(mkdir(path, mode));
}

static enum hif_err sys_rmdir(struct env *env, const char *path)
{
        (void)env;
        return result(rmdir(path));
}

static enum hif_err sys_unlink(struct env *env, const char *path)
{
        (void)env;
        return result(unlink(path));
}

static enum hif_err sys_link(struct env *env, const char *from, const char *to)
{
        (void)env;
        return result(link(from, to));
}

static enum hif_err sys_rename(struct env *env, const char *from, const char *to)
{
        (void)env;
        return result(rename(from, to));
}

static enum hif_err sys_rename_noreplace(struct env *env, const char *from, const char *to)
{
        (void)env;
        if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
                return HIF_OK;
        /* EINVAL is how a file system says that it lacks the flag (rename(2)). */
        return errno == EINVAL ? HIF_ENOTSUP : hif_err_from_errno(errno);
}

static enum hif_err sys_list(struct env *env, const char *path,
                             bool (*each)(void *arg, const char *name), void *arg)
{
        DIR *dir = opendir(path);
        struct dirent *entry;
        int errnum;

        (void)env;
        if (!dir)
                return hif_err_from_errno(errno);
        while (errno = 0, (entry = readdir(dir))) {
                if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                        continue;
                if (!each(arg, entry->d_name)) {
                        errno = 0;
                        break;
                }
        }
        errnum = errno;
        closedir(dir);
        return hif_err_from_errno(errnum);
}

static enum hif_err sys_map(struct env *env, int fd, uint64_t offset, size_t size, void **out)
{
        void *address;

        (void)env;
        if (!in_off_t(offset, size))
                return HIF_EINVAL;
        address = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);
        if (address == MAP_FAILED)
                return hif_err_from_errno(errno);
        *out = address;
        return HIF_OK;
}

static void sys_unmap(struct env *env, void *address, size_t size)
{
        int rc = munmap(address, size);

        (void)env;
        assert(rc == 0);
        (void)rc;
}

static enum hif_err sys_space(struct env *env, const char *path, uint64_t *free_bytes,
                              uint64_t *total_bytes)
{
        struct statvfs st;

        (void)env;
        if (RETRY(statvfs(path, &st)) < 0)
                return hif_err_from_errno(errno);
        *free_bytes = (uint64_t)st.f_bavail * st.f_frsize;
        *total_bytes = (uint64_t)st.f_blocks * st.f_frsize;
        return HIF_OK;
}

static enum hif_err sys_lock(struct env *env, int fd)
{
        (void)env;
        if (RETRY(flock(fd, LOCK_EX | LOCK_NB)) == 0)
                return HIF_OK;
        return errno == EWOULDBLOCK ? HIF_EBUSY : hif_err_from_errno(errno);
}

struct env env_system(struct log *log)
{
        static const struct env_ops ops = {
            .wall_ns = sys_wall_ns,
            .mono_ns = sys_mono_ns,
            .random = sys_random,
            .open = sys_open,
            .close = sys_close,
            .pread = sys_pread,
            .pwrite = sys_pwrite,
            .pread_nowait = sys_pread_nowait,
            .fdatasync = sys_fdatasync,
            .fsync = sys_fsync,
            .ftruncate = sys_ftruncate,
            .fallocate = sys_fallocate,
            .punch = sys_punch,
            .fstat = sys_fstat,
            .stat = sys_stat,
            .mkdir = sys_mkdir,
            .rmdir = sys_rmdir,
            .unlink = sys_unlink,
            .link = sys_link,
            .rename = sys_rename,
            .rename_noreplace = sys_rename_noreplace,
            .list = sys_list,
            .map = sys_map,
            .unmap = sys_unmap,
            .space = sys_space,
            .lock = sys_lock,
        };

        return (struct env){.ops = &ops, .log = log};
}
