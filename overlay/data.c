/* data.c - choosing a place for written bytes, and accounting for it. */
#include "overlay/data_files.h"

#include <assert.h>
#include <stdlib.h>

#define PAGE            4096u
#define ALLOC_CHUNK_MIN ((uint64_t)256 << 10)
#define ALLOC_CHUNK_MAX ((uint64_t)4 << 20)
#define SPARSE_AHEAD    ((uint64_t)1 << 20)

/* --- accounting --- */

void data_account(void *arg, uint32_t number, uint64_t at, uint64_t added, uint64_t removed)
{
        struct data *data = arg;
        struct dfile *file = idmap_get(&data->files, number);

        if (file == NULL)
                file = dfile_add(data, number);
        if (file == NULL) {
                data->failed_alloc = true;
                return;
        }
        if (added > 0 && at + added > file->end)
                file->end = at + added;
        assert(file->live + added >= removed);
        file->live += added - removed;
        data->live_bytes += added - removed;
        if (file->live == 0 && !file->in_zero) {
                file->in_zero = true;
                file->zero_next = data->zero;
                data->zero = file;
        }
}

static void retire(struct data *data, struct dfile *file, uint64_t seq)
{
        pthread_mutex_lock(&data->lock);
        if (!file->dead) {
                file->dead = true;
                file->dead_seq = seq;
                file->dead_next = data->dead;
                data->dead = file;
        }
        pthread_mutex_unlock(&data->lock);
}

void data_settle(struct data *data, uint64_t seq)
{
        struct dfile *file;

        while ((file = data->zero) != NULL) {
                data->zero = file->zero_next;
                file->in_zero = false;
                if (file->live == 0 && file != data->segment)
                        retire(data, file, seq);
        }
        if (__atomic_load_n(&data->gone, __ATOMIC_RELAXED) != NULL)
                dfile_drop_gone(data);
}

void data_abandon(struct data *data, uint32_t number)
{
        struct dfile *file = idmap_get(&data->files, number);

        if (file != NULL && file->live == 0 && file != data->segment)
                retire(data, file, 0);
}

void data_freeze(struct data *data)
{
        pthread_mutex_lock(&data->lock);
        data->frozen++;
        data->epoch++;
        if (data->segment != NULL)
                data->floor = data->segment->end;
        pthread_mutex_unlock(&data->lock);
}

void data_thaw(struct data *data)
{
        pthread_mutex_lock(&data->lock);
        assert(data->frozen > 0);
        data->frozen--;
        pthread_mutex_unlock(&data->lock);
}

/* --- allocation --- */

/* Writes leave reserve_bytes of the file system to whoever has to land. */
static enum hif_err check_reserve(struct data *data, uint64_t size)
{
        uint64_t free_bytes, total_bytes;
        enum hif_err err;

        if (data->reserve_bytes == 0)
                return HIF_OK;
        err = data->env->ops->space(data->env, data->dir, &free_bytes, &total_bytes);
        if (err != HIF_OK)
                return err;
        if (free_bytes < size || free_bytes - size < data->reserve_bytes)
                return HIF_ENOSPC;
        return HIF_OK;
}

static enum hif_err allocate(struct data *data, struct dfile *file, uint64_t from, uint64_t to)
{
        enum hif_err err = check_reserve(data, to - from);

        if (err == HIF_OK)
                err = data->env->ops->fallocate(data->env, file->fd, from, to - from);
        if (err != HIF_OK)
                return err;
        if (from > file->alloc_to || to < file->alloc_from || file->alloc_to == 0) {
                file->alloc_from = from;
                file->alloc_to = to;
                return HIF_OK;
        }
        if (from < file->alloc_from)
                file->alloc_from = from;
        if (to > file->alloc_to)
                file->alloc_to = to;
        return HIF_OK;
}

/* Ahead of what is needed, where there is room for it; the more the file has already. */
static enum hif_err allocate_ahead(struct data *data, struct dfile *file, uint64_t from,
                                   uint64_t to, uint64_t ahead_to)
{
        enum hif_err err = HIF_ENOSPC;

        from = from / PAGE * PAGE;
        to = (to + PAGE - 1) / PAGE * PAGE;
        if (ahead_to > to)
                err = allocate(data, file, from, ahead_to);
        return hif_err_is_full(err) ? allocate(data, file, from, to) : err;
}

/* --- sparse files --- */

/* The bytes [offset, end) are wholly in extents of this very file: allocated and its own. */
static bool covered(const struct onode *node, uint32_t file, uint64_t offset, uint64_t end)
{
        for (uint32_t i = extents_find(node, offset); i < node->extent_count; i++) {
                const struct oextent *extent = &node->extents[i];

                if (extent->offset > offset || extent->file != file)
                        return false;
                offset = extent->offset + extent->size;
                if (offset >= end)
                        return true;
        }
        return false;
}

static enum hif_err sparse_write(struct data *data, const struct node_row *row, bool own,
                                 uint32_t *sparse, uint64_t offset, struct span bytes,
                                 struct oextent *out)
{
        struct dfile *file = *sparse != 0 ? idmap_get(&data->files, *sparse) : NULL;
        uint64_t end = offset + bytes.size, ahead;
        enum hif_err err = HIF_OK;

        if (file == NULL || file->dead || (data->frozen > 0 && file->epoch < data->epoch)) {
                err = dfile_make(data, true, &file);
                if (err != HIF_OK)
                        return err;
                *sparse = file->number;
        }
        err = dfile_pin(data, file);
        if (err != HIF_OK)
                return err;
        if ((offset < file->alloc_from || end > file->alloc_to) &&
            !(own && row != NULL && covered(&row->node, file->number, offset, end))) {
                /* Sequential writers get up to as much again as they have written. */
                ahead = offset == file->end
                            ? end + (file->live < SPARSE_AHEAD ? file->live : SPARSE_AHEAD)
                            : end;
                err = allocate_ahead(data, file, offset, end, ahead / PAGE * PAGE);
        }
        if (err == HIF_OK) {
                err = env_write_all(data->env, file->fd, bytes.data, bytes.size, offset);
                dfile_dirty(data, file, offset, end);
        }
        dfile_unpin(data, file);
        if (err != HIF_OK)
                return err;
        *out = (struct oextent){
            .offset = offset, .size = bytes.size, .at = offset, .file = file->number};
        return HIF_OK;
}

/* --- segments --- */

/* The place of a range that begins in an extent at the end of the segment, or lies in one that no
 * sync has seen: rewritten where it is. UINT64_MAX: no such place. */
static uint64_t place_in_segment(const struct data *data, const struct onode *node, uint64_t offset,
                                 uint64_t size)
{
        const struct dfile *segment = data->segment;
        uint32_t i = extents_find(node, offset);
        const struct oextent *extent;
        uint64_t at, extent_end;

        if (i == node->extent_count || node->extents[i].offset > offset) {
                if (i == 0)
                        return UINT64_MAX;
                i--; /* perhaps it ends where the range begins */
        }
        extent = &node->extents[i];
        extent_end = extent->offset + extent->size;
        if (extent->file != segment->number || extent_end < offset)
                return UINT64_MAX;
        at = extent->at + (offset - extent->offset);
        if (offset < extent_end && at < data->floor)
                return UINT64_MAX;
        if (offset + size <= extent_end)
                return at;
        return extent->at + extent->size == segment->end ? at : UINT64_MAX;
}

/* A new file is the segment from now on; the current one stays pinned. */
static enum hif_err segment_next(struct data *data)
{
        struct dfile *old = data->segment, *segment;
        enum hif_err err = dfile_make(data, false, &segment);

        if (err != HIF_OK)
                return err;
        pthread_mutex_lock(&data->lock);
        segment->pins++;
        data->segment = segment;
        data->floor = 0;
        if (old != NULL)
                old->pins--;
        pthread_mutex_unlock(&data->lock);
        if (old != NULL && old->live == 0 && !old->in_zero) {
                old->in_zero = true;
                old->zero_next = data->zero;
                data->zero = old;
        }
        return HIF_OK;
}

static enum hif_err segment_room(struct data *data, uint64_t size)
{
        struct dfile *segment = data->segment;
        uint64_t ahead;

        if (segment == NULL || (segment->end + size > data->segment_bytes && segment->end > 0)) {
                enum hif_err err = segment_next(data);

                if (err != HIF_OK)
                        return err;
                segment = data->segment;
        }
        if (segment->end + size <= segment->alloc_to)
                return HIF_OK;
        ahead = segment->alloc_to;
        ahead += ahead < ALLOC_CHUNK_MIN   ? ALLOC_CHUNK_MIN
                 : ahead > ALLOC_CHUNK_MAX ? ALLOC_CHUNK_MAX
                                           : ahead;
        if (ahead > data->segment_bytes)
                ahead = data->segment_bytes;
        return allocate_ahead(data, segment, segment->alloc_to, segment->end + size, ahead);
}

static enum hif_err segment_write(struct data *data, const struct node_row *row, bool own,
                                  uint64_t offset, struct span bytes, struct oextent *out)
{
        struct dfile *segment;
        uint64_t at = UINT64_MAX;
        enum hif_err err = segment_room(data, bytes.size);

        if (err != HIF_OK)
                return err;
        segment = data->segment;
        if (own && row != NULL && row->node.extent_count > 0) {
                /* The lock keeps the flusher from starting on what is being rewritten. */
                pthread_mutex_lock(&data->lock);
                at = place_in_segment(data, &row->node, offset, bytes.size);
                if (at != UINT64_MAX)
                        err = env_write_all(data->env, segment->fd, bytes.data, bytes.size, at);
        } else {
                err = env_write_all(data->env, segment->fd, bytes.data, bytes.size, segment->end);
                pthread_mutex_lock(&data->lock);
                at = segment->end;
        }
        if (at == UINT64_MAX) {
                at = segment->end;
                err = env_write_all(data->env, segment->fd, bytes.data, bytes.size, at);
        }
        dfile_dirty_locked(data, segment, at, at + bytes.size);
        if (err == HIF_OK && at + bytes.size > segment->end)
                segment->end = at + bytes.size;
        pthread_mutex_unlock(&data->lock);
        if (err != HIF_OK)
                return err;
        *out = (struct oextent){
            .offset = offset, .size = bytes.size, .at = at, .file = segment->number};
        return HIF_OK;
}

enum hif_err data_write(struct data *data, const struct node_row *row, bool own, uint32_t *sparse,
                        uint64_t offset, struct span bytes, struct oextent *out)
{
        const struct dfile *file = *sparse != 0 ? idmap_get(&data->files, *sparse) : NULL;

        assert(bytes.size > 0 && offset <= UINT64_MAX - bytes.size);
        if (offset + bytes.size > DATA_SMALL_MAX || (file != NULL && !file->dead) ||
            (row != NULL && row->node.extent_count >= DATA_EXTENTS_SMALL))
                return sparse_write(data, row, own, sparse, offset, bytes, out);
        return segment_write(data, row, own, offset, bytes, out);
}
