/* oplog_read.c - what of the log counts after its process or its machine died. */
#include "overlay/oplog.h"

#include "overlay/record.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#define SEGMENT_FILE_MAX (OPLOG_RECORD_MAX + (1u << 20))

/* One segment file as found. */
struct found {
        uint32_t generation;
        uint64_t number, first_seq, salt;
        bool valid;     /* its header */
        bool same_boot; /* written since this machine started */
        bool complete;
        uint64_t marked, durable;
};

struct found_list {
        struct found *list;
        size_t count, capacity;
        size_t kept; /* the first ones are those that count; the rest goes away at the end */
        bool failed;
};

static bool note_name(void *arg, const char *name)
{
        struct found_list *found = arg;
        unsigned generation;
        unsigned long long number;
        int end = 0;

        if (sscanf(name, "%8x-%16llx.log%n", &generation, &number, &end) != 2 || end == 0 ||
            name[end] != '\0')
                return true;
        if (found->count == found->capacity) {
                size_t capacity = found->capacity * 2 + 16;
                struct found *list = realloc(found->list, capacity * sizeof(*list));

                if (list == NULL) {
                        found->failed = true;
                        return false;
                }
                found->list = list;
                found->capacity = capacity;
        }
        found->list[found->count++] = (struct found){.generation = generation, .number = number};
        return true;
}

static int by_number(const void *a, const void *b)
{
        const struct found *left = a, *right = b;

        if (left->generation != right->generation)
                return left->generation < right->generation ? -1 : 1;
        return left->number < right->number ? -1 : left->number > right->number;
}

static bool mark_get(const uint8_t *header, uint32_t offset, uint64_t salt, uint64_t *seq,
                     uint64_t *durable)
{
        if (be64_get(header + offset + 16) != sum64(salt, header + offset, 16))
                return false;
        *seq = be64_get(header + offset);
        *durable = be64_get(header + offset + 8);
        return true;
}

static void header_parse(const struct oplog *log, const uint8_t *header, struct found *seg)
{
        uint64_t seq, durable;

        if (memcmp(header, "HIFOLOG1", 8) != 0 || be64_get(header + 56) != sum64(0, header, 56) ||
            be32_get(header + 12) != seg->generation || be64_get(header + 16) != seg->number)
                return;
        seg->valid = true;
        seg->first_seq = be64_get(header + 24);
        seg->salt = be64_get(header + 32);
        seg->same_boot = memcmp(header + 40, log->boot, OPLOG_BOOT_SIZE) == 0;
        for (uint32_t at = OPLOG_MARK_A; at <= OPLOG_MARK_B; at += OPLOG_MARK_B - OPLOG_MARK_A)
                if (mark_get(header, at, seg->salt, &seq, &durable)) {
                        if (seq > seg->marked)
                                seg->marked = seq;
                        if (durable > seg->durable)
                                seg->durable = durable;
                }
        seg->complete = mark_get(header, OPLOG_MARK_COMPLETE, seg->salt, &seq, &durable);
}

static enum hif_err seg_read(struct oplog *log, uint32_t generation, uint64_t number, size_t max,
                             struct buf *out)
{
        char path[OPLOG_PATH_MAX];
        struct stat st;
        enum hif_err err = oplog_path(log, generation, number, path);
        int fd = -1;
        uint8_t *room;

        if (err == HIF_OK)
                err = log->env->ops->open(log->env, path, O_RDONLY, 0, &fd);
        if (err != HIF_OK)
                return err;
        buf_reset(out);
        err = log->env->ops->fstat(log->env, fd, &st);
        if (err == HIF_OK) {
                size_t size = st.st_size < 0 ? 0 : (size_t)st.st_size;

                if (size > max)
                        size = max;
                room = buf_reserve(out, size + 1);
                err = room == NULL ? HIF_ENOMEM : env_read_all(log->env, fd, room, size, 0);
                if (err == HIF_OK)
                        buf_extend(out, size);
        }
        log->env->ops->close(log->env, fd);
        return err;
}

static enum hif_err find_segments(struct oplog *log, struct found_list *found)
{
        char path[OPLOG_PATH_MAX];
        struct buf header = {0};
        enum hif_err err = oplog_dir(log, path);

        if (err == HIF_OK)
                err = log->env->ops->list(log->env, path, note_name, found);
        if (err == HIF_OK && found->failed)
                err = HIF_ENOMEM;
        if (err == HIF_OK && found->count > 0)
                qsort(found->list, found->count, sizeof(found->list[0]), by_number);
        for (size_t i = 0; i < found->count && err == HIF_OK; i++) {
                struct found *seg = &found->list[i];

                err = seg_read(log, seg->generation, seg->number, OPLOG_HEADER_SIZE, &header);
                if (err == HIF_OK && header.size == OPLOG_HEADER_SIZE)
                        header_parse(log, header.data, seg);
                if (seg->generation > log->generation_max)
                        log->generation_max = seg->generation;
                if (seg->number >= log->next_number)
                        log->next_number = seg->number + 1;
        }
        buf_free(&header);
        return err;
}

/* Call each for the valid records of a segment's bytes with a seq from `*next` on; stops at the
 * first that is not valid, or for which each returns HIF_ECANCELED. *pos: where it stopped. */
static enum hif_err each_record(struct span bytes, uint64_t first_seq, uint64_t salt,
                                uint64_t *next, size_t *pos, oplog_each each, void *arg)
{
        uint64_t seq = first_seq;

        for (*pos = OPLOG_HEADER_SIZE; bytes.size - *pos >= OPLOG_RECORD_HEADER; seq++) {
                const uint8_t *record = bytes.data + *pos;
                size_t body = be32_get(record);

                if (body > bytes.size - *pos - OPLOG_RECORD_HEADER || be64_get(record + 8) != seq ||
                    be64_get(record + 16) != oplog_record_sum(salt, record))
                        break;
                if (seq >= *next) {
                        enum hif_err err =
                            each(arg, seq, span_of(record + OPLOG_RECORD_HEADER, body));

                        if (err == HIF_ECANCELED)
                                break;
                        if (err != HIF_OK)
                                return err;
                        *next = seq + 1;
                }
                *pos += (OPLOG_RECORD_HEADER + body + 7) & ~(size_t)7;
                if (*pos > bytes.size)
                        break;
        }
        return HIF_OK;
}

/* --- recovery --- */

struct recovery {
        struct oplog *log;
        oplog_each each;
        void *arg;
        struct oplog_scan *scan;
        const struct found *seg;
        bool cut; /* a record that must not count was met */
};

static enum hif_err recover_record(void *arg, uint64_t seq, struct span body)
{
        struct recovery *recovery = arg;

        if (!recovery->seg->same_boot && seq > recovery->scan->marked && record_has_extents(body)) {
                recovery->cut = true;
                return HIF_ECANCELED;
        }
        return recovery->each(recovery->arg, seq, body);
}

static enum hif_err unlink_segment(struct oplog *log, const struct found *seg)
{
        char path[OPLOG_PATH_MAX];
        enum hif_err err = oplog_path(log, seg->generation, seg->number, path);

        if (err == HIF_OK)
                err = log->env->ops->unlink(log->env, path);
        log->dir_dirty = true;
        return err;
}

/* End the segment here for good, and make sure of what stands before. */
static enum hif_err seg_settle(struct oplog *log, const struct found *seg, bool cut, size_t pos)
{
        static const uint8_t zeros[OPLOG_RECORD_HEADER];
        char path[OPLOG_PATH_MAX];
        enum hif_err err = oplog_path(log, seg->generation, seg->number, path);
        int fd = -1;

        if (err == HIF_OK)
                err = log->env->ops->open(log->env, path, O_RDWR, 0, &fd);
        if (err != HIF_OK)
                return err;
        if (cut)
                err = env_write_all(log->env, fd, zeros, sizeof(zeros), pos);
        if (err == HIF_OK)
                err = log->env->ops->fdatasync(log->env, fd);
        log->env->ops->close(log->env, fd);
        return err;
}

static enum hif_err list_segment(struct oplog *log, const struct found *seg, uint64_t last_seq,
                                 size_t size)
{
        struct oseg *oseg = calloc(1, sizeof(*oseg)), **link = &log->oldest;

        if (oseg == NULL)
                return HIF_ENOMEM;
        oseg->number = seg->number;
        oseg->generation = seg->generation;
        oseg->first_seq = seg->first_seq;
        oseg->last_seq = last_seq;
        oseg->salt = seg->salt;
        oseg->size = size;
        oseg->fd = -1;
        oseg->sealed = true;
        log->bytes += size;
        while (*link != NULL)
                link = &(*link)->next;
        *link = oseg;
        return HIF_OK;
}

/* Other generations are left-overs of a log written from memory; a segment without a header was
 * being made. */
static void choose_generation(struct oplog *log, struct found_list *found, uint32_t folded)
{
        uint32_t chosen = folded;

        for (size_t i = 0; i < found->count; i++)
                if (found->list[i].complete && found->list[i].generation > chosen)
                        chosen = found->list[i].generation;
        for (size_t i = 0; i < found->count; i++) {
                struct found seg = found->list[i];

                if (!seg.valid || seg.generation != chosen)
                        continue;
                found->list[i] = found->list[found->kept];
                found->list[found->kept++] = seg;
        }
        log->generation = chosen;
        if (log->generation_max < chosen)
                log->generation_max = chosen;
}

static enum hif_err recover_segments(struct recovery *recovery, struct found_list *found,
                                     uint64_t after, bool damaged_ok, struct hif_why *why)
{
        struct oplog *log = recovery->log;
        struct oplog_scan *scan = recovery->scan;
        struct buf bytes = {0};
        uint64_t next = after + 1;
        enum hif_err err = HIF_OK;
        size_t i = 0;

        for (; i < found->kept && err == HIF_OK; i++) {
                const struct found *seg = &found->list[i];
                size_t pos = 0;

                if (i + 1 < found->kept && found->list[i + 1].first_seq <= next &&
                    found->list[i + 1].first_seq > 0) {
                        err = unlink_segment(log, seg);
                        continue;
                }
                if (seg->first_seq > next)
                        break;
                err = seg_read(log, seg->generation, seg->number, SEGMENT_FILE_MAX, &bytes);
                if (err != HIF_OK)
                        break;
                recovery->seg = seg;
                err = each_record(buf_span(&bytes), seg->first_seq, seg->salt, &next, &pos,
                                  recover_record, recovery);
                if (err == HIF_OK && (recovery->cut || next - 1 > scan->durable))
                        err = seg_settle(log, seg, recovery->cut, pos);
                if (err == HIF_OK)
                        err = list_segment(log, seg, next - 1, bytes.size);
                if (recovery->cut) {
                        i++;
                        break;
                }
        }
        buf_free(&bytes);
        scan->last_seq = next - 1;
        scan->cut = recovery->cut || i < found->kept;
        if (err != HIF_OK)
                return why_set(why, err, "cannot read the log in %s at record %llu: %s", log->dir,
                               (unsigned long long)next, hif_strerror(err));
        if (next <= scan->durable && !damaged_ok)
                return why_set(why, HIF_ECORRUPT,
                               "the log in %s is damaged: record %llu of at least %llu cannot be "
                               "read; what stands before it can be opened as damaged",
                               log->dir, (unsigned long long)next,
                               (unsigned long long)scan->durable);
        for (; i < found->count && err == HIF_OK; i++)
                err = unlink_segment(log, &found->list[i]);
        return err;
}

enum hif_err oplog_recover(struct oplog *log, uint32_t generation, uint64_t after, bool damaged_ok,
                           oplog_each each, void *arg, struct oplog_scan *out, struct hif_why *why)
{
        struct recovery recovery = {.log = log, .each = each, .arg = arg, .scan = out};
        struct found_list found = {0};
        char path[OPLOG_PATH_MAX];
        enum hif_err err = find_segments(log, &found);

        if (err == HIF_OK)
                choose_generation(log, &found, generation);
        if (err != HIF_OK) {
                free(found.list);
                return why_set(why, err, "cannot read the log in %s: %s", log->dir,
                               hif_strerror(err));
        }
        *out = (struct oplog_scan){.marked = after, .durable = after};
        for (size_t i = 0; i < found.kept; i++) {
                /* A mark may speak of records that a power cut took, and others took their
                 * numbers: but never beyond where the next segment begins. */
                if (i + 1 < found.kept && found.list[i].marked >= found.list[i + 1].first_seq)
                        found.list[i].marked = found.list[i + 1].first_seq - 1;
                if (found.list[i].marked > out->marked)
                        out->marked = found.list[i].marked;
                if (found.list[i].durable > out->durable)
                        out->durable = found.list[i].durable;
        }
        /* A log written from memory starts anew, wherever the one before it was folded to. */
        if (found.kept > 0 && log->generation > generation && after + 1 < found.list[0].first_seq)
                after = found.list[0].first_seq - 1;
        err = recover_segments(&recovery, &found, after, damaged_ok, why);
        if (err == HIF_OK && log->dir_dirty) {
                err = oplog_dir(log, path);
                if (err == HIF_OK)
                        err = env_sync_dir(log->env, path);
                log->dir_dirty = false;
        }
        free(found.list);
        return err;
}

/* --- folding --- */

struct window {
        uint64_t upto;
        oplog_each each;
        void *arg;
};

static enum hif_err window_record(void *arg, uint64_t seq, struct span body)
{
        struct window *window = arg;

        return seq > window->upto ? HIF_ECANCELED : window->each(window->arg, seq, body);
}

enum hif_err oplog_read(struct oplog *log, const struct oseg *seg, uint64_t after, uint64_t upto,
                        oplog_each each, void *arg)
{
        struct window window = {.upto = upto, .each = each, .arg = arg};
        struct buf bytes = {0};
        uint64_t next = after + 1;
        size_t pos;
        enum hif_err err = seg_read(log, seg->generation, seg->number, SEGMENT_FILE_MAX, &bytes);

        if (err == HIF_OK)
                err = each_record(buf_span(&bytes), seg->first_seq, seg->salt, &next, &pos,
                                  window_record, &window);
        buf_free(&bytes);
        if (err == HIF_OK && next <= seg->last_seq && next <= upto)
                return HIF_ECORRUPT;
        return err;
}
