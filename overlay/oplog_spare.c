/* oplog_spare.c - a segment file that is allocated ahead, and becomes the log's next one when the disk
 * has no room for another.
 *
 * It is all zeros under the name log/spare; a segment once it has the name of one. Nothing else ever
 * gets its blocks, so whoever fills the disk cannot take them. */
#include "overlay/oplog.h"

#include <fcntl.h>
#include <stdio.h>

#define PAGE 4096u

static enum hif_err spare_path(const struct oplog *log, char out[OPLOG_PATH_MAX])
{
        int size = snprintf(out, OPLOG_PATH_MAX, "%s/log/spare", log->dir);

        return size < 0 || size >= OPLOG_PATH_MAX ? HIF_ENAMETOOLONG : HIF_OK;
}

/* Unused, and with a block under each byte? *size: how large it is. */
static enum hif_err spare_check(struct oplog *log, int fd, uint64_t *size)
{
        static const uint8_t zeros[OPLOG_RECORD_HEADER];
        const struct env_ops *ops = log->env->ops;
        uint8_t head[sizeof(zeros)];
        struct stat st = {0};
        enum hif_err err = ops->fstat(log->env, fd, &st);

        if (err == HIF_OK && st.st_size < (off_t)OPLOG_SPARE_MIN)
                err = HIF_ENOENT;
        if (err == HIF_OK)
                err = env_read_all(log->env, fd, head, sizeof(head), 0);
        if (err == HIF_OK && memcmp(head, zeros, sizeof(head)) != 0)
                err = HIF_ECORRUPT;
        *size = (uint64_t)st.st_size;
        if (err == HIF_OK)
                err = ops->fallocate(log->env, fd, 0, *size);
        /* It was being made larger. */
        while (hif_err_is_full(err) && *size / 2 >= OPLOG_SPARE_MIN) {
                *size = *size / 2 / PAGE * PAGE;
                err = ops->ftruncate(log->env, fd, *size);
                if (err == HIF_OK)
                        err = ops->fallocate(log->env, fd, 0, *size);
        }
        return err;
}

void oplog_spare_find(struct oplog *log)
{
        const struct env_ops *ops = log->env->ops;
        char path[OPLOG_PATH_MAX];
        uint64_t size = 0;
        int fd;

        if (spare_path(log, path) != HIF_OK || ops->open(log->env, path, O_RDWR, 0, &fd) != HIF_OK)
                return;
        if (spare_check(log, fd, &size) == HIF_OK)
                log->spare_size = size;
        else
                /* Where it stays, none is made in its place. */
                (void)ops->unlink(log->env, path);
        ops->close(log->env, fd);
}

void oplog_spare_make(struct oplog *log, uint64_t size)
{
        const struct env_ops *ops = log->env->ops;
        uint64_t had = log->spare_size, made = 0;
        enum hif_err err = HIF_ENOSPC;
        char path[OPLOG_PATH_MAX];
        int fd;

        size = (size + PAGE - 1) / PAGE * PAGE;
        if (had >= size || spare_path(log, path) != HIF_OK)
                return;
        if (ops->open(log->env, path, O_RDWR | O_CREAT, 0600, &fd) != HIF_OK)
                return;
        log->spare_size = 0;
        for (; size >= OPLOG_SPARE_MIN && size > had && hif_err_is_full(err);
             size = size / 2 / PAGE * PAGE) {
                err = ops->fallocate(log->env, fd, 0, size);
                if (err == HIF_OK)
                        made = size;
        }
        /* What was allocated in part is given back. */
        if (made == 0 && had > 0)
                (void)ops->ftruncate(log->env, fd, had);
        /* That it is there is no promise to anyone: its name reaches the disk with the next one. */
        if (made > 0 && ops->fdatasync(log->env, fd) != HIF_OK)
                made = 0;
        ops->close(log->env, fd);
        if (made == 0 && had == 0)
                (void)ops->unlink(log->env, path);
        pthread_mutex_lock(log->lock);
        log->dir_dirty = true;
        log->spare_size = made > 0 ? made : had;
        pthread_mutex_unlock(log->lock);
}

enum hif_err oplog_spare_take(struct oplog *log, const char *path, int *fd)
{
        const struct env_ops *ops = log->env->ops;
        char spare[OPLOG_PATH_MAX];
        enum hif_err err = spare_path(log, spare);

        if (log->spare_size == 0)
                return HIF_ENOSPC;
        log->spare_size = 0;
        if (err == HIF_OK)
                err = ops->rename(log->env, spare, path);
        if (err == HIF_OK)
                err = ops->open(log->env, path, O_RDWR, 0, fd);
        return err;
}
