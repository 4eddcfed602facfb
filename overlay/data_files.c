/* data_files.c - descriptors, syncing and unlinking of data files. */
#include "overlay/data_files.h"

#include <assert.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#define REWRITE_CHUNK ((size_t)1 << 20)

/* data/s0000002a: segment 42; data/n0000002a: a node's own file. */
enum hif_err dfile_path(const struct data *data, uint32_t number, char out[PATH_MAX])
{
        int size =
            snprintf(out, PATH_MAX, "%s/data/%c%08x", data->dir,
                     number & OVERLAY_FILE_SPARSE ? 'n' : 's', number & ~OVERLAY_FILE_SPARSE);

        return size < 0 || size >= PATH_MAX ? HIF_ENAMETOOLONG : HIF_OK;
}

bool dfile_number(const char *name, uint32_t *number)
{
        unsigned value;
        char kind;
        int end = 0;

        if (sscanf(name, "%c%8x%n", &kind, &value, &end) != 2 || end != 9 || name[9] != '\0' ||
            (kind != 's' && kind != 'n') || value >= OVERLAY_FILE_SPARSE)
                return false;
        *number = value | (kind == 'n' ? OVERLAY_FILE_SPARSE : 0);
        return true;
}

enum hif_err data_init(struct data *data, struct env *env, const char *dir, uint64_t segment_bytes,
                       uint64_t reserve_bytes)
{
        *data = (struct data){.env = env,
                              .dir = dir,
                              .segment_bytes = segment_bytes ? segment_bytes : DATA_SEGMENT_BYTES,
                              .reserve_bytes = reserve_bytes,
                              .next_segment = 1,
                              .next_sparse = OVERLAY_FILE_SPARSE + 1};
        return pthread_mutex_init(&data->lock, NULL) == 0 ? HIF_OK : HIF_ENOMEM;
}

static void kept_free(struct data *data)
{
        for (size_t i = 0; i < data->kept_count; i++)
                free(data->kept[i].bytes);
        free(data->kept);
}

void data_free(struct data *data)
{
        uint64_t number;
        void *value;

        for (struct idmap_at at = {0}; idmap_next(&data->files, &at, &number, &value);) {
                struct dfile *file = value;

                if (file->fd >= 0)
                        data->env->ops->close(data->env, file->fd);
                free(file);
        }
        idmap_free(&data->files);
        kept_free(data);
        pthread_mutex_destroy(&data->lock);
}

/* --- open files --- */

static void lru_remove(struct data *data, struct dfile *file)
{
        *(file->newer ? &file->newer->older : &data->newest) = file->older;
        *(file->older ? &file->older->newer : &data->oldest) = file->newer;
        file->newer = file->older = NULL;
}

static void lru_front(struct data *data, struct dfile *file)
{
        file->older = data->newest;
        *(file->older ? &file->older->newer : &data->oldest) = file;
        data->newest = file;
}

static void close_file(struct data *data, struct dfile *file)
{
        lru_remove(data, file);
        data->env->ops->close(data->env, file->fd);
        file->fd = -1;
        data->open_count--;
}

/* A dirty file stays open: the error of its failed write is reported to this descriptor alone. */
static void close_all_but(struct data *data, size_t count)
{
        struct dfile *file = data->oldest;

        while (file != NULL && data->open_count > count) {
                struct dfile *newer = file->newer;

                if (file->pins == 0 && !file->dirty && file->sync_to == 0)
                        close_file(data, file);
                file = newer;
        }
}

static enum hif_err open_file(struct data *data, struct dfile *file, int flags)
{
        struct env *env = data->env;
        char path[PATH_MAX];
        enum hif_err err = dfile_path(data, file->number, path);

        if (err != HIF_OK)
                return err;
        flags |= data->read_only ? O_RDONLY : O_RDWR;
        close_all_but(data, DATA_OPEN_MAX - 1);
        err = env->ops->open(env, path, flags, 0600, &file->fd);
        if (err == HIF_ELIMIT) { /* this process may have fewer: ours make room */
                close_all_but(data, data->open_count / 2);
                err = env->ops->open(env, path, flags, 0600, &file->fd);
        }
        if (err != HIF_OK)
                return err;
        data->open_count++;
        lru_front(data, file);
        return HIF_OK;
}

enum hif_err dfile_pin_locked(struct data *data, struct dfile *file)
{
        if (file->fd < 0) {
                enum hif_err err = open_file(data, file, 0);

                if (err != HIF_OK)
                        return err;
        } else if (data->newest != file) {
                lru_remove(data, file);
                lru_front(data, file);
        }
        file->pins++;
        return HIF_OK;
}

enum hif_err dfile_pin_made(struct data *data, struct dfile *file)
{
        enum hif_err err = HIF_OK;

        pthread_mutex_lock(&data->lock);
        if (file->fd < 0) {
                err = open_file(data, file, O_CREAT);
                data->dir_dirty = true;
        }
        if (err == HIF_OK)
                err = dfile_pin_locked(data, file);
        pthread_mutex_unlock(&data->lock);
        return err;
}

enum hif_err dfile_pin(struct data *data, struct dfile *file)
{
        enum hif_err err;

        pthread_mutex_lock(&data->lock);
        err = dfile_pin_locked(data, file);
        pthread_mutex_unlock(&data->lock);
        return err;
}

void dfile_unpin(struct data *data, struct dfile *file)
{
        pthread_mutex_lock(&data->lock);
        assert(file->pins > 0);
        file->pins--;
        pthread_mutex_unlock(&data->lock);
}

struct dfile *dfile_add(struct data *data, uint32_t number)
{
        struct dfile *file = calloc(1, sizeof(*file));
        enum hif_err err;

        if (file == NULL)
                return NULL;
        file->number = number;
        file->fd = -1;
        pthread_mutex_lock(&data->lock);
        file->epoch = data->epoch;
        err = idmap_put(&data->files, number, file);
        pthread_mutex_unlock(&data->lock);
        if (err != HIF_OK) {
                free(file);
                return NULL;
        }
        if (number & OVERLAY_FILE_SPARSE) {
                if (number >= data->next_sparse)
                        data->next_sparse = number + 1;
        } else if (number >= data->next_segment) {
                data->next_segment = number + 1;
        }
        return file;
}

enum hif_err dfile_make(struct data *data, bool sparse, struct dfile **out)
{
        struct dfile *file = dfile_add(data, sparse ? data->next_sparse : data->next_segment);
        enum hif_err err;

        if (file == NULL)
                return HIF_ENOMEM;
        pthread_mutex_lock(&data->lock);
        err = open_file(data, file, O_CREAT | O_EXCL);
        if (err == HIF_OK)
                data->dir_dirty = true;
        else
                idmap_del(&data->files, file->number);
        pthread_mutex_unlock(&data->lock);
        if (err != HIF_OK) {
                free(file);
                return err;
        }
        *out = file;
        return HIF_OK;
}

/* --- syncing --- */

void dfile_dirty_locked(struct data *data, struct dfile *file, uint64_t from, uint64_t to)
{
        if (!file->dirty) {
                file->dirty = true;
                file->dirty_from = from;
                file->dirty_to = to;
                file->dirty_next = data->dirty;
                data->dirty = file;
        }
        if (from < file->dirty_from)
                file->dirty_from = from;
        if (to > file->dirty_to)
                file->dirty_to = to;
}

void dfile_dirty(struct data *data, struct dfile *file, uint64_t from, uint64_t to)
{
        pthread_mutex_lock(&data->lock);
        dfile_dirty_locked(data, file, from, to);
        pthread_mutex_unlock(&data->lock);
}

enum hif_err data_mark_dirty(struct data *data, uint32_t number, uint64_t from, uint64_t to)
{
        struct dfile *file = idmap_get(&data->files, number);

        if (file == NULL)
                file = dfile_add(data, number);
        if (file == NULL)
                return HIF_ENOMEM;
        dfile_dirty(data, file, from, to);
        return HIF_OK;
}

bool data_is_dirty(struct data *data)
{
        bool dirty;

        pthread_mutex_lock(&data->lock);
        dirty = data->dirty != NULL || data->dir_dirty;
        pthread_mutex_unlock(&data->lock);
        return dirty;
}

struct dfile *data_capture(struct data *data, const _Atomic uint64_t *seq, uint64_t *captured)
{
        struct dfile *list;

        pthread_mutex_lock(&data->lock);
        *captured = *seq;
        list = data->dirty;
        data->dirty = NULL;
        for (struct dfile *file = list; file != NULL; file = file->capture_next) {
                file->dirty = false;
                file->capture_next = file->dirty_next;
                if (file->sync_to == 0 || file->dirty_from < file->sync_from)
                        file->sync_from = file->dirty_from;
                if (file->dirty_to > file->sync_to)
                        file->sync_to = file->dirty_to;
                file->pins++;
        }
        if (data->segment != NULL)
                data->floor = data->segment->end;
        pthread_mutex_unlock(&data->lock);
        return list;
}

static enum hif_err sync_dir(struct data *data)
{
        char path[PATH_MAX];
        enum hif_err err;
        bool dirty;

        pthread_mutex_lock(&data->lock);
        dirty = data->dir_dirty;
        data->dir_dirty = false;
        pthread_mutex_unlock(&data->lock);
        if (!dirty)
                return HIF_OK;
        if (snprintf(path, sizeof(path), "%s/data", data->dir) >= (int)sizeof(path))
                return HIF_ENAMETOOLONG;
        err = env_sync_dir(data->env, path);
        if (err != HIF_OK) {
                pthread_mutex_lock(&data->lock);
                data->dir_dirty = true;
                pthread_mutex_unlock(&data->lock);
        }
        return err;
}

enum hif_err data_sync(struct data *data, struct dfile *list)
{
        enum hif_err result = HIF_OK;

        while (list != NULL) {
                struct dfile *file = list;
                enum hif_err err = HIF_OK;

                pthread_mutex_lock(&data->lock);
                list = file->capture_next;
                if (file->gone)
                        file->sync_to = 0;
                else if (file->fd < 0)
                        err = open_file(data, file, 0);
                pthread_mutex_unlock(&data->lock);
                if (err == HIF_OK && file->sync_to != 0)
                        err = data->env->ops->fdatasync(data->env, file->fd);
                pthread_mutex_lock(&data->lock);
                if (err == HIF_OK)
                        file->sync_to = 0;
                file->pins--;
                pthread_mutex_unlock(&data->lock);
                if (err != HIF_OK)
                        result = err;
        }
        if (result == HIF_OK)
                result = sync_dir(data);
        return result;
}

void data_release(struct data *data, struct dfile *list)
{
        pthread_mutex_lock(&data->lock);
        for (; list != NULL; list = list->capture_next)
                list->pins--;
        pthread_mutex_unlock(&data->lock);
}

/* What failed to reach the disk is still in memory, but counts as clean there: written again, it is
 * dirty again, and a new sync tells the truth. Blocks. */
static enum hif_err rewrite_range(struct data *data, struct dfile *file, uint8_t *chunk)
{
        enum hif_err err = HIF_OK;

        for (uint64_t at = file->sync_from; at < file->sync_to && err == HIF_OK;) {
                uint64_t left = file->sync_to - at;
                size_t count = 0, size = left < REWRITE_CHUNK ? (size_t)left : REWRITE_CHUNK;

                err = data->env->ops->pread(data->env, file->fd, chunk, size, at, &count);
                if (err != HIF_OK || count == 0)
                        break; /* beyond the end lies nothing that anything names */
                err = env_write_all(data->env, file->fd, chunk, count, at);
                at += count;
        }
        return err == HIF_OK ? data->env->ops->fdatasync(data->env, file->fd) : err;
}

enum hif_err data_rewrite(struct data *data)
{
        uint8_t *chunk = malloc(REWRITE_CHUNK);
        enum hif_err err = chunk != NULL ? HIF_OK : HIF_ENOMEM;
        uint64_t number;
        void *value;

        for (struct idmap_at at = {0};
             err == HIF_OK && idmap_next(&data->files, &at, &number, &value);) {
                struct dfile *file = value;

                if (file->sync_to == 0 || file->gone)
                        continue;
                err = dfile_pin(data, file);
                if (err != HIF_OK)
                        break;
                err = rewrite_range(data, file, chunk);
                if (err == HIF_OK)
                        file->sync_to = 0;
                dfile_unpin(data, file);
        }
        free(chunk);
        return err == HIF_OK ? sync_dir(data) : err;
}

/* --- going away --- */

/* Unlinking a large file takes time, which the owner does not have to wait for. */
void data_reap(struct data *data, uint64_t durable)
{
        struct dfile **link = &data->dead, *list = NULL, **end = &list;

        pthread_mutex_lock(&data->lock);
        while (*link != NULL && data->frozen == 0) {
                struct dfile *file = *link;

                if (file->dead_seq > durable || file->pins > 0 || file->dirty) {
                        link = &file->dead_next;
                        continue;
                }
                *link = file->dead_next;
                if (file->fd >= 0)
                        close_file(data, file);
                file->gone = true;
                file->dead_next = NULL;
                *end = file;
                end = &file->dead_next;
        }
        pthread_mutex_unlock(&data->lock);
        for (struct dfile *file = list; file != NULL; file = file->dead_next) {
                char path[PATH_MAX];

                /* What stays behind after an error is found and unlinked at the next open. */
                if (dfile_path(data, file->number, path) == HIF_OK)
                        (void)data->env->ops->unlink(data->env, path);
        }
        if (list == NULL)
                return;
        pthread_mutex_lock(&data->lock);
        *end = data->gone;
        __atomic_store_n(&data->gone, list, __ATOMIC_RELAXED);
        pthread_mutex_unlock(&data->lock);
}

void dfile_drop_gone(struct data *data)
{
        struct dfile *file;

        pthread_mutex_lock(&data->lock);
        while ((file = data->gone) != NULL) {
                data->gone = file->dead_next;
                idmap_del(&data->files, file->number);
                free(file);
        }
        pthread_mutex_unlock(&data->lock);
}

static bool unlink_orphan(void *arg, const char *name)
{
        struct data *data = arg;
        char path[PATH_MAX];
        uint32_t number;

        if (!dfile_number(name, &number) || idmap_get(&data->files, number) != NULL ||
            dfile_path(data, number, path) != HIF_OK)
                return true;
        /* One that stays is only never used again. */
        if (data->env->ops->unlink(data->env, path) != HIF_OK) {
                if (number & OVERLAY_FILE_SPARSE) {
                        if (number >= data->next_sparse)
                                data->next_sparse = number + 1;
                } else if (number >= data->next_segment) {
                        data->next_segment = number + 1;
                }
        }
        return true;
}

/* Go on at the end of the newest segment. Nothing else is known of what is allocated, and nothing
 * that is there may be rewritten: it may be durable. */
static void resume_segment(struct data *data)
{
        struct dfile *file = idmap_get(&data->files, data->next_segment - 1);

        if (data->next_segment <= 1 || file == NULL || file->live == 0 ||
            dfile_pin(data, file) != HIF_OK)
                return;
        data->segment = file;
        data->floor = file->end;
        file->alloc_from = 0;
        file->alloc_to = file->end / 4096 * 4096;
}

void data_trim(struct data *data)
{
        struct dfile *segment = data->segment;

        /* What stays allocated ahead is no more than space. */
        if (segment != NULL && segment->alloc_to > segment->end)
                (void)data->env->ops->ftruncate(data->env, segment->fd, segment->end);
}

enum hif_err data_recover(struct data *data)
{
        char path[PATH_MAX];

        if (data->failed_alloc)
                return HIF_ENOMEM;
        if (snprintf(path, sizeof(path), "%s/data", data->dir) >= (int)sizeof(path))
                return HIF_ENAMETOOLONG;
        resume_segment(data);
        /* The process before may have died between making a file and syncing its name. */
        data->dir_dirty = true;
        return data->env->ops->list(data->env, path, unlink_orphan, data);
}
