#include "base/env.h"

#include "base/buf.h"
#include "base/cleanup.h"

#include <assert.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#define READ_STEP    (64 * 1024)
#define LOCK_POLL_MS 10

enum hif_err env_read_all(struct env *env, int fd, void *out, size_t size, uint64_t offset)
{
        uint8_t *next = out;

        while (size > 0) {
                size_t count;
                enum hif_err err = env->ops->pread(env, fd, next, size, offset, &count);

                if (err)
                        return err;
                if (count == 0)
                        return HIF_EIO;
                next += count;
                offset += count;
                size -= count;
        }
        return HIF_OK;
}

enum hif_err env_write_all(struct env *env, int fd, const void *data, size_t size, uint64_t offset)
{
        const uint8_t *next = data;

        while (size > 0) {
                size_t count;
                enum hif_err err = env->ops->pwrite(env, fd, next, size, offset, &count);

                if (err)
                        return err;
                if (count == 0)
                        return HIF_EIO;
                next += count;
                offset += count;
                size -= count;
        }
        return HIF_OK;
}

/* Append until the end of the file; one byte more than size_max is asked for, to see it. */
static enum hif_err read_to_end(struct env *env, int fd, size_t size_max, struct buf *out)
{
        size_t total = 0;

        for (;;) {
                size_t want = READ_STEP;
                size_t count;
                uint8_t *room;
                enum hif_err err;

                if (want > size_max - total)
                        want = size_max - total + 1;
                room = buf_reserve(out, want);
                if (!room)
                        return HIF_ENOMEM;
                err = env->ops->pread(env, fd, room, want, total, &count);
                if (err)
                        return err;
                if (count == 0)
                        return HIF_OK;
                if (count > size_max - total)
                        return HIF_ELIMIT;
                buf_extend(out, count);
                total += count;
        }
}

enum hif_err env_read_file(struct env *env, const char *path, size_t size_max, struct buf *out)
{
        size_t size_before = out->size;
        enum hif_err err;
        int fd;

        err = env->ops->open(env, path, O_RDONLY, 0, &fd);
        if (err)
                return err;
        err = read_to_end(env, fd, size_max, out);
        env->ops->close(env, fd);
        if (err)
                out->size = size_before;
        return err;
}

static enum hif_err write_new_file(struct env *env, const char *path, const void *data, size_t size,
                                   mode_t mode)
{
        enum hif_err err;
        int fd;

        err = env->ops->open(env, path, O_WRONLY | O_CREAT | O_EXCL, mode, &fd);
        if (err)
                return err;
        err = env_write_all(env, fd, data, size, 0);
        if (!err)
                err = env->ops->fsync(env, fd);
        env->ops->close(env, fd);
        if (err)
                (void)env->ops->unlink(env, path); /* the first error is the one to tell */
        return err;
}

static enum hif_err sync_parent(struct env *env, const char *path)
{
        const char *slash = strrchr(path, '/');
        AUTO_FREE char *dir = NULL;

        assert(slash);
        dir = slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
        return dir ? env_sync_dir(env, dir) : HIF_ENOMEM;
}

enum hif_err env_write_file(struct env *env, const char *path, const void *data, size_t size,
                            mode_t mode)
{
        AUTO_BUF struct buf temporary = {0};
        const char *name;
        enum hif_err err;

        buf_printf(&temporary, "%s.%016jx.tmp", path, (uintmax_t)env_random_u64(env));
        buf_put_u8(&temporary, 0);
        if (buf_failed(&temporary))
                return HIF_ENOMEM;
        name = (const char *)temporary.data;
        err = write_new_file(env, name, data, size, mode);
        if (err)
                return err;
        err = env->ops->rename(env, name, path);
        if (err) {
                (void)env->ops->unlink(env, name);
                return err;
        }
        return sync_parent(env, path);
}

/* mkdir says EEXIST of anything: find out whether it is a directory, or a link to one. */
static enum hif_err check_dir(struct env *env, const char *path)
{
        enum hif_err err;
        int fd;

        err = env->ops->open(env, path, O_RDONLY | O_DIRECTORY, 0, &fd);
        if (err)
                return err;
        env->ops->close(env, fd);
        return HIF_OK;
}

enum hif_err env_mkdirs(struct env *env, const char *path, mode_t mode)
{
        AUTO_FREE char *prefix = strdup(path);
        enum hif_err err;

        if (!prefix)
                return HIF_ENOMEM;
        err = env->ops->mkdir(env, path, mode); /* the usual case: only the last is missing */
        if (err == HIF_EEXIST)
                return check_dir(env, path);
        if (err != HIF_ENOENT)
                return err;
        for (char *slash = strchr(prefix + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
                *slash = '\0';
                err = env->ops->mkdir(env, prefix, mode);
                *slash = '/';
                if (err && err != HIF_EEXIST)
                        return err;
        }
        err = env->ops->mkdir(env, path, mode);
        return err == HIF_EEXIST ? check_dir(env, path) : err;
}

enum hif_err env_sync_dir(struct env *env, const char *path)
{
        enum hif_err err;
        int fd;

        err = env->ops->open(env, path, O_RDONLY | O_DIRECTORY, 0, &fd);
        if (err)
                return err;
        err = env->ops->fsync(env, fd);
        env->ops->close(env, fd);
        return err;
}

uint64_t env_random_u64(struct env *env)
{
        uint64_t value;

        env_random(env, &value, sizeof(value));
        return value;
}

enum hif_err env_sync_above(struct env *env, const char *path)
{
        AUTO_FREE char *above = strdup(path);
        char *slash;

        if (!above)
                return HIF_ENOMEM;
        while ((slash = strrchr(above, '/'))) {
                enum hif_err err;

                *slash = '\0';
                err = env_sync_dir(env, *above ? above : "/");
                if (err && err != HIF_EACCES && err != HIF_EPERM)
                        return err;
        }
        return HIF_OK;
}

static enum hif_err lock_wait(struct env *env, int fd, unsigned wait_ms)
{
        const struct timespec pause = {.tv_nsec = LOCK_POLL_MS * 1000000l};

        for (unsigned waited = 0;; waited += LOCK_POLL_MS) {
                enum hif_err err = env->ops->lock(env, fd);

                if (err != HIF_EBUSY || waited >= wait_ms)
                        return err;
                nanosleep(&pause, NULL);
        }
}

enum hif_err env_lock(struct env *env, int fd, const char *path, unsigned wait_ms)
{
        struct stat locked, named;
        enum hif_err err;

        if (env->ops->lock == NULL)
                return HIF_OK;
        err = lock_wait(env, fd, wait_ms);
        if (err == HIF_OK)
                err = env->ops->fstat(env, fd, &locked);
        if (err == HIF_OK)
                err = env->ops->stat(env, path, &named);
        if (err != HIF_OK)
                return err;
        return locked.st_dev == named.st_dev && locked.st_ino == named.st_ino ? HIF_OK : HIF_ENOENT;
}
