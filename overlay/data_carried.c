/* data_carried.c - content that records carry, after a reboot: put where it belongs, or, where nothing
 * may be written, seen by readers as if it had been. */
#include "overlay/data_files.h"

#include <stdlib.h>

enum hif_err data_restore(struct data *data, uint32_t number, uint64_t at, struct span bytes)
{
        struct dfile *file;
        enum hif_err err = data_mark_dirty(data, number, at, at + bytes.size);

        if (err != HIF_OK)
                return err;
        file = idmap_get(&data->files, number);
        err = dfile_pin_made(data, file);
        if (err != HIF_OK)
                return err;
        err = env_write_all(data->env, file->fd, bytes.data, bytes.size, at);
        dfile_unpin(data, file);
        return err;
}

enum hif_err data_keep(struct data *data, uint32_t number, uint64_t at, struct span bytes)
{
        struct kept *kept;

        if (data->kept_count == data->kept_capacity) {
                size_t capacity = data->kept_capacity * 2 + 16;

                kept = realloc(data->kept, capacity * sizeof(*kept));
                if (kept == NULL)
                        return HIF_ENOMEM;
                data->kept = kept;
                data->kept_capacity = capacity;
        }
        kept = &data->kept[data->kept_count];
        *kept = (struct kept){.file = number, .at = at, .size = bytes.size};
        kept->bytes = malloc(bytes.size);
        if (kept->bytes == NULL)
                return HIF_ENOMEM;
        memcpy(kept->bytes, bytes.data, bytes.size);
        data->kept_count++;
        return HIF_OK;
}

/* What covers `at`, the newest, or NULL; *size: up to where that holds. */
static const struct kept *kept_at(const struct data *data, uint32_t file, uint64_t at,
                                  uint64_t *size)
{
        for (size_t i = data->kept_count; i-- > 0;) {
                const struct kept *kept = &data->kept[i];

                if (kept->file != file || kept->at + kept->size <= at)
                        continue;
                if (kept->at <= at) {
                        if (*size > kept->at + kept->size - at)
                                *size = kept->at + kept->size - at;
                        return kept;
                }
                if (*size > kept->at - at)
                        *size = kept->at - at;
        }
        return NULL;
}

static enum hif_err dfile_read(struct data *data, uint32_t number, uint64_t at, uint64_t size,
                               bool wait, void *out)
{
        const struct env_ops *ops = data->env->ops;
        struct dfile *file;
        uint8_t *next = out;
        enum hif_err err;

        pthread_mutex_lock(&data->lock);
        file = idmap_get(&data->files, number);
        err = file == NULL || file->gone ? HIF_EIO : dfile_pin_locked(data, file);
        pthread_mutex_unlock(&data->lock);
        if (err != HIF_OK)
                return err == HIF_ENOENT ? HIF_EIO : err;
        while (size > 0 && err == HIF_OK) {
                size_t count = 0;

                err = (wait ? ops->pread : ops->pread_nowait)(data->env, file->fd, next,
                                                              (size_t)size, at, &count);
                if (err == HIF_ENOTSUP && !wait)
                        err = ops->pread(data->env, file->fd, next, (size_t)size, at, &count);
                if (err == HIF_OK && count == 0)
                        err = HIF_EIO;
                next += count;
                at += count;
                size -= count;
        }
        dfile_unpin(data, file);
        return err == HIF_EAGAIN ? HIF_EMISS : err;
}

enum hif_err data_read(struct data *data, uint32_t number, uint64_t at, uint64_t size, bool wait,
                       void *out)
{
        uint8_t *next = out;
        enum hif_err err = HIF_OK;

        if (data->kept_count == 0)
                return dfile_read(data, number, at, size, wait, out);
        while (size > 0 && err == HIF_OK) {
                uint64_t part = size;
                const struct kept *kept = kept_at(data, number, at, &part);

                if (kept != NULL)
                        memcpy(next, kept->bytes + (at - kept->at), (size_t)part);
                else
                        err = dfile_read(data, number, at, part, wait, next);
                next += part;
                at += part;
                size -= part;
        }
        return err;
}
