/* oplog.c - appending records, and syncing them. */
#include "overlay/oplog.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#define PAGE 4096u

void oplog_init(struct oplog *log, struct env *env, const char *dir, struct witness *witness,
                pthread_mutex_t *lock, uint64_t segment_bytes)
{
        *log = (struct oplog){.env = env, .dir = dir, .witness = witness, .lock = lock};
        log->segment_bytes = segment_bytes != 0 ? segment_bytes : OPLOG_SEGMENT_BYTES;
        log->segment_bytes = (log->segment_bytes + PAGE - 1) / PAGE * PAGE;
}

static void seg_close(struct oplog *log, struct oseg *seg)
{
        if (seg->map != NULL)
                log->env->ops->unmap(log->env, seg->map, (size_t)seg->size);
        if (seg->fd >= 0)
                log->env->ops->close(log->env, seg->fd);
        seg->map = NULL;
        seg->fd = -1;
}

void oplog_free(struct oplog *log)
{
        while (log->oldest != NULL) {
                struct oseg *next = log->oldest->next;

                seg_close(log, log->oldest);
                free(log->oldest);
                log->oldest = next;
        }
        log->current = NULL;
}

enum hif_err oplog_dir(const struct oplog *log, char out[OPLOG_PATH_MAX])
{
        int size = snprintf(out, OPLOG_PATH_MAX, "%s/log", log->dir);

        return size < 0 || size >= OPLOG_PATH_MAX ? HIF_ENAMETOOLONG : HIF_OK;
}

enum hif_err oplog_path(const struct oplog *log, uint32_t generation, uint64_t number,
                        char out[OPLOG_PATH_MAX])
{
        int size = snprintf(out, OPLOG_PATH_MAX, "%s/log/%08x-%08llx.log", log->dir, generation,
                            (unsigned long long)number);

        return size < 0 || size >= OPLOG_PATH_MAX ? HIF_ENAMETOOLONG : HIF_OK;
}

static void header_put(const struct oplog *log, const struct oseg *seg, uint8_t *out)
{
        memcpy(out, "HIFOLOG1", 8);
        be32_put(out + 8, OPLOG_VERSION);
        be32_put(out + 12, seg->generation);
        be64_put(out + 16, seg->number);
        be64_put(out + 24, seg->first_seq);
        be64_put(out + 32, seg->salt);
        memcpy(out + 40, log->boot, OPLOG_BOOT_SIZE);
        be64_put(out + 56, sum64(0, out, 56));
}

/* A file with room in it. */
static enum hif_err seg_make(struct oplog *log, struct oseg *seg, const char *path)
{
        const struct env_ops *ops = log->env->ops;
        enum hif_err err = ops->open(log->env, path, O_RDWR | O_CREAT | O_EXCL, 0600, &seg->fd);

        if (err != HIF_OK)
                return err;
        /* Room first: a store into a mapping without blocks under it would be SIGBUS. */
        err = ops->fallocate(log->env, seg->fd, 0, seg->size);
        if (err != HIF_OK) {
                ops->close(log->env, seg->fd);
                /* What stays is empty, and is passed over when the log is read. */
                (void)ops->unlink(log->env, path);
        }
        return err;
}

static enum hif_err seg_map(struct oplog *log, struct oseg *seg, const char *path)
{
        const struct env_ops *ops = log->env->ops;
        void *map = NULL;
        enum hif_err err =
            seg->spare ? oplog_spare_take(log, path, &seg->fd) : seg_make(log, seg, path);

        if (err != HIF_OK)
                return err;
        err = ops->map(log->env, seg->fd, 0, (size_t)seg->size, &map);
        if (err != HIF_OK) {
                ops->close(log->env, seg->fd);
                (void)ops->unlink(log->env, path);
                return err;
        }
        seg->map = map;
        return HIF_OK;
}

static enum hif_err seg_new(struct oplog *log, uint64_t seq, uint64_t size, bool spare)
{
        struct oseg *seg = calloc(1, sizeof(*seg));
        char path[OPLOG_PATH_MAX];
        enum hif_err err;

        if (seg == NULL)
                return HIF_ENOMEM;
        seg->generation = log->generation;
        seg->number = log->next_number;
        seg->first_seq = seq;
        seg->salt = env_random_u64(log->env);
        seg->size = size;
        seg->spare = spare;
        seg->pos = OPLOG_HEADER_SIZE;
        seg->fd = -1;
        /* Also after a failure: its name may be taken by what could not be unlinked. */
        log->next_number++;
        err = oplog_path(log, seg->generation, seg->number, path);
        if (err == HIF_OK)
                err = seg_map(log, seg, path);
        if (err != HIF_OK) {
                free(seg);
                return err;
        }
        header_put(log, seg, seg->map);
        pthread_mutex_lock(log->lock);
        if (log->current != NULL) {
                log->current->sealed = true;
                log->current->next = seg;
        } else {
                struct oseg **link = &log->oldest;

                while (*link != NULL)
                        link = &(*link)->next;
                *link = seg;
        }
        log->current = seg;
        log->dir_dirty = true;
        log->bytes += size;
        pthread_mutex_unlock(log->lock);
        return HIF_OK;
}

static uint64_t record_size(size_t body)
{
        return (OPLOG_RECORD_HEADER + (uint64_t)body + 7) & ~7ull;
}

/* Up to where a segment may be filled. Who makes room leaves half of the spare to who lands. */
static uint64_t seg_limit(const struct oseg *seg, enum overlay_need need)
{
        if (!seg->spare || need == OVERLAY_LANDING)
                return seg->size;
        return need == OVERLAY_FREEING ? seg->size / 2 : 0;
}

enum hif_err oplog_reserve(struct oplog *log, uint64_t seq, size_t body, enum overlay_need need)
{
        uint64_t record = record_size(body), size = log->segment_bytes;
        const struct oseg *current = log->current;
        enum hif_err err;

        if (body > OPLOG_RECORD_MAX)
                return HIF_ELIMIT;
        if (current != NULL && current->pos + record <= seg_limit(current, need))
                return HIF_OK;
        if (size < OPLOG_HEADER_SIZE + record)
                size = (OPLOG_HEADER_SIZE + record + PAGE - 1) / PAGE * PAGE;
        err = seg_new(log, seq, size, false);
        size = log->spare_size;
        if (!hif_err_is_full(err) || need == OVERLAY_ORDINARY || OPLOG_HEADER_SIZE + record > size)
                return err;
        log_line(log->env->log, LOG_WARN, "overlay", "the disk of %s is full: the spare is used",
                 log->dir);
        return seg_new(log, seq, size, true);
}

uint64_t oplog_record_sum(uint64_t salt, const uint8_t *record)
{
        uint64_t head = be64_get(record) ^ be64_get(record + 8) * 0x9e3779b97f4a7c15ull;

        return sum64(salt ^ head, record + OPLOG_RECORD_HEADER, be32_get(record));
}

struct span oplog_append(struct oplog *log, uint64_t seq, struct span head, struct span tail)
{
        struct oseg *seg = log->current;
        uint8_t *record = seg->map + seg->pos;
        size_t size = head.size + tail.size;

        assert(seg->pos + record_size(size) <= seg->size && seq >= seg->first_seq);
        be32_put(record, (uint32_t)size);
        be32_put(record + 4, 0);
        be64_put(record + 8, seq);
        if (head.size > 0)
                memcpy(record + OPLOG_RECORD_HEADER, head.data, head.size);
        if (tail.size > 0)
                memcpy(record + OPLOG_RECORD_HEADER + head.size, tail.data, tail.size);
        be64_put(record + 16, oplog_record_sum(seg->salt, record));
        seg->pos += record_size(size);
        __atomic_store_n(&seg->last_seq, seq, __ATOMIC_RELEASE);
        return span_of(record + OPLOG_RECORD_HEADER, size);
}

void oplog_seal(struct oplog *log)
{
        pthread_mutex_lock(log->lock);
        if (log->current != NULL)
                log->current->sealed = true;
        log->current = NULL;
        pthread_mutex_unlock(log->lock);
}

/* --- syncing --- */

struct oseg *oplog_capture(struct oplog *log, uint64_t durable)
{
        struct oseg *list = NULL, **link = &list;

        pthread_mutex_lock(log->lock);
        for (struct oseg *seg = log->oldest; seg != NULL; seg = seg->next) {
                if (!seg->unsynced &&
                    (seg->map == NULL ||
                     __atomic_load_n(&seg->last_seq, __ATOMIC_ACQUIRE) <= durable))
                        continue;
                seg->capture_next = NULL;
                *link = seg;
                link = &seg->capture_next;
        }
        pthread_mutex_unlock(log->lock);
        return list;
}

static void mark_put(struct oseg *seg, uint32_t offset, uint64_t seq, uint64_t durable)
{
        be64_put(seg->map + offset, seq);
        be64_put(seg->map + offset + 8, durable);
        be64_put(seg->map + offset + 16, sum64(seg->salt, seg->map + offset, 16));
}

static enum hif_err sync_dir(struct oplog *log)
{
        char path[OPLOG_PATH_MAX];
        enum hif_err err;
        bool dirty;

        pthread_mutex_lock(log->lock);
        dirty = log->dir_dirty;
        log->dir_dirty = false;
        pthread_mutex_unlock(log->lock);
        if (!dirty)
                return HIF_OK;
        err = oplog_dir(log, path);
        if (err == HIF_OK)
                err = env_sync_dir(log->env, path);
        if (err != HIF_OK) {
                pthread_mutex_lock(log->lock);
                log->dir_dirty = true;
                pthread_mutex_unlock(log->lock);
        }
        return err;
}

enum hif_err oplog_seg_open(const struct oplog *log, uint32_t generation, uint64_t number,
                            int flags, int *fd)
{
        char path[OPLOG_PATH_MAX];
        enum hif_err err = oplog_path(log, generation, number, path);

        return err == HIF_OK ? log->env->ops->open(log->env, path, flags, 0, fd) : err;
}

/* One of a process before: nobody appends to it, so what it was allocated beyond its end is given back.
 * Whoever opens the log next need not read it. */
static enum hif_err sync_closed(struct oplog *log, struct oseg *seg)
{
        int fd = -1;
        enum hif_err err = oplog_seg_open(log, seg->generation, seg->number, O_RDWR, &fd);

        if (err != HIF_OK)
                return err;
        if (log->env->ops->ftruncate(log->env, fd, seg->pos) == HIF_OK) { /* else it stays large */
                pthread_mutex_lock(log->lock);
                log->bytes -= seg->size - seg->pos;
                seg->size = seg->pos;
                pthread_mutex_unlock(log->lock);
        }
        err = log->env->ops->fdatasync(log->env, fd);
        log->env->ops->close(log->env, fd);
        seg->unsynced = err != HIF_OK;
        return err;
}

enum hif_err oplog_sync(struct oplog *log, struct oseg *list, uint64_t seq, uint64_t durable)
{
        const struct oseg *last = NULL;
        enum hif_err err;

        for (struct oseg *seg = list; seg != NULL; seg = seg->capture_next) {
                if (seg->unsynced) {
                        err = sync_closed(log, seg);
                        if (err != HIF_OK)
                                return err;
                        continue;
                }
                last = seg;
                if (seg->capture_next == NULL) {
                        mark_put(seg, seg->mark_odd ? OPLOG_MARK_B : OPLOG_MARK_A, seq, durable);
                        seg->mark_odd = !seg->mark_odd;
                }
                err = log->env->ops->fdatasync(log->env, seg->fd);
                if (err != HIF_OK)
                        return err;
        }
        err = sync_dir(log);
        if (err == HIF_OK && last != NULL)
                witness_segment(log->witness, last->generation, last->number);
        return err;
}

void oplog_mark_complete(struct oseg *seg, uint64_t seq)
{
        assert(seg->map != NULL);
        mark_put(seg, OPLOG_MARK_COMPLETE, seq, 0);
        mark_put(seg, OPLOG_MARK_A, seq, seq);
}

void oplog_release(struct oplog *log, uint64_t durable)
{
        pthread_mutex_lock(log->lock);
        for (struct oseg *seg = log->oldest; seg != NULL; seg = seg->next)
                if (seg->sealed && seg->last_seq <= durable)
                        seg_close(log, seg);
        pthread_mutex_unlock(log->lock);
}

enum hif_err oplog_remove(struct oplog *log, const struct oseg *upto, uint64_t folded)
{
        uint64_t highest = 0;
        enum hif_err err;

        pthread_mutex_lock(log->lock);
        for (const struct oseg *seg = log->oldest; seg != NULL && seg != upto; seg = seg->next)
                highest = seg->number;
        pthread_mutex_unlock(log->lock);
        err = witness_removing(log->witness, highest, folded);
        if (err != HIF_OK)
                return err;
        for (;;) {
                char path[OPLOG_PATH_MAX];
                struct oseg *seg;

                pthread_mutex_lock(log->lock);
                seg = log->oldest;
                if (seg != NULL && seg != upto) {
                        log->oldest = seg->next;
                        log->bytes -= seg->size;
                }
                pthread_mutex_unlock(log->lock);
                if (seg == NULL || seg == upto)
                        return HIF_OK;
                seg_close(log, seg);
                /* One that stays is passed over, as all of it is folded, and unlinked then. */
                if (oplog_path(log, seg->generation, seg->number, path) == HIF_OK &&
                    log->env->ops->unlink(log->env, path) != HIF_OK)
                        log_line(log->env->log, LOG_WARN, "overlay", "cannot remove %s", path);
                free(seg);
        }
}

void oplog_trim(struct oplog *log)
{
        const struct env_ops *ops = log->env->ops;

        for (const struct oseg *seg = log->oldest; seg != NULL; seg = seg->next) {
                char path[OPLOG_PATH_MAX];
                int fd;

                if (!seg->sealed || seg->map != NULL || seg->pos >= seg->size ||
                    oplog_path(log, seg->generation, seg->number, path) != HIF_OK ||
                    ops->open(log->env, path, O_RDWR, 0, &fd) != HIF_OK)
                        continue;
                /* What is not given back is missed by nobody but who looks for room. */
                (void)ops->ftruncate(log->env, fd, seg->pos);
                ops->close(log->env, fd);
        }
}
