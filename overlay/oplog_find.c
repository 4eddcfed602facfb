/* oplog_find.c - the segment files of a log, and the records in one. */
#include "overlay/oplog_files.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#define LOAD_BLOCK_MIN ((size_t)4 << 10)
#define LOAD_BLOCK_MAX ((size_t)16 << 10)
#define LOAD_ROOM      ((size_t)256 << 10)

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
        if (be32_get(header + 8) > OPLOG_VERSION) {
                seg->read = HIF_EUNSUPPORTED;
                return;
        }
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
        seg->complete = mark_get(header, OPLOG_MARK_COMPLETE, seg->salt, &seg->whole, &durable);
}

enum hif_err oplog_seg_read(struct oplog *log, uint32_t generation, uint64_t number, size_t max,
                            struct buf *out)
{
        int fd = -1;
        enum hif_err err = oplog_seg_open(log, generation, number, O_RDONLY, &fd);
        struct stat st;
        uint8_t *room;

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

static bool is_zero(const uint8_t *bytes, size_t size)
{
        return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

/* Usually a segment is short: then memory that was used before does. */
static enum hif_err make_room(struct seg_bytes *bytes, size_t need)
{
        size_t room = bytes->room > 0 ? 2 * bytes->room : LOAD_ROOM;
        uint8_t *data;

        if (need <= bytes->room)
                return HIF_OK;
        if (room < need)
                room = need;
        data = realloc(bytes->data, room);
        if (data == NULL)
                return HIF_ENOMEM;
        bytes->data = data;
        bytes->room = room;
        return HIF_OK;
}

/* Only what is there costs memory. */
static enum hif_err load_blocks(struct oplog *log, int fd, struct seg_bytes *bytes)
{
        uint8_t block[LOAD_BLOCK_MAX];
        size_t most = (size_t)log->segment_bytes / 64;

        if (most < LOAD_BLOCK_MIN)
                most = LOAD_BLOCK_MIN;
        if (most > sizeof(block))
                most = sizeof(block);
        while (bytes->loaded < bytes->size) {
                size_t at = bytes->loaded, size = bytes->size - at;
                enum hif_err err;

                if (size > most)
                        size = most;
                err = env_read_all(log->env, fd, block, size, at);
                if (err == HIF_OK)
                        err = make_room(bytes, at + size);
                if (err != HIF_OK)
                        return err;
                bytes->loaded = at + size;
                if (!is_zero(block, size)) {
                        memcpy(bytes->data + at, block, size);
                        bytes->used = at + size;
                } else if (!bytes->whole) {
                        memset(bytes->data + at, 0, size);
                        return HIF_OK;
                }
        }
        return HIF_OK;
}

bool seg_is_open(const struct seg_bytes *bytes, size_t end)
{
        return bytes->loaded < bytes->size &&
               (end >= bytes->loaded || !is_zero(bytes->data + end, bytes->loaded - end));
}

void seg_bytes_free(struct seg_bytes *bytes)
{
        free(bytes->data);
        *bytes = (struct seg_bytes){0};
}

enum hif_err oplog_seg_load(struct oplog *log, uint32_t generation, uint64_t number, bool whole,
                            struct seg_bytes *out)
{
        int fd = -1;
        enum hif_err err = oplog_seg_open(log, generation, number, O_RDONLY, &fd);
        struct stat st = {0};

        if (err != HIF_OK)
                return err;
        seg_bytes_free(out);
        err = log->env->ops->fstat(log->env, fd, &st);
        if (err == HIF_OK) {
                out->size = st.st_size < 0                            ? 0
                            : (uint64_t)st.st_size > SEGMENT_FILE_MAX ? SEGMENT_FILE_MAX
                                                                      : (size_t)st.st_size;
                out->whole = whole;
                if (whole) {
                        out->data = calloc(1, out->size + 1);
                        out->room = out->size + 1;
                }
                err = whole && out->data == NULL ? HIF_ENOMEM : load_blocks(log, fd, out);
        }
        log->env->ops->close(log->env, fd);
        if (err != HIF_OK)
                seg_bytes_free(out);
        return err;
}

enum hif_err oplog_find(struct oplog *log, struct found_list *found)
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

                seg->read =
                    oplog_seg_read(log, seg->generation, seg->number, OPLOG_HEADER_SIZE, &header);
                if (seg->read == HIF_ENOMEM)
                        err = HIF_ENOMEM;
                if (seg->read == HIF_OK && header.size == OPLOG_HEADER_SIZE)
                        header_parse(log, header.data, seg);
                if (seg->generation > log->generation_max)
                        log->generation_max = seg->generation;
                if (seg->number >= log->next_number)
                        log->next_number = seg->number + 1;
        }
        buf_free(&header);
        return err;
}

/* At pos, with room for its header. */
static bool is_record(struct span bytes, size_t pos, uint64_t salt)
{
        const uint8_t *record = bytes.data + pos;

        return be32_get(record) <= bytes.size - pos - OPLOG_RECORD_HEADER &&
               be64_get(record + 16) == oplog_record_sum(salt, record);
}

enum hif_err oplog_records(struct span bytes, uint64_t first_seq, uint64_t salt, uint64_t *next,
                           size_t *pos, oplog_each each, void *arg)
{
        uint64_t seq = first_seq;

        for (*pos = OPLOG_HEADER_SIZE; bytes.size - *pos >= OPLOG_RECORD_HEADER; seq++) {
                const uint8_t *record = bytes.data + *pos;
                size_t body = be32_get(record);

                if (be64_get(record + 8) != seq || !is_record(bytes, *pos, salt))
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

size_t oplog_seek(struct span bytes, size_t pos, size_t end, uint64_t salt, uint64_t seq)
{
        /* Bytes that were made to look like many records are not summed up again and again. */
        uint64_t budget = 16 * (uint64_t)bytes.size;

        for (pos = (pos + 7) & ~(size_t)7; pos < end && bytes.size - pos >= OPLOG_RECORD_HEADER;
             pos += 8) {
                const uint8_t *record = bytes.data + pos;
                uint64_t number = be64_get(record + 8), body = be32_get(record);

                if (be32_get(record + 4) != 0 || number <= seq || body > budget)
                        continue;
                if (is_record(bytes, pos, salt))
                        return pos;
                budget -= body < bytes.size ? body : 0;
        }
        return bytes.size;
}

/* Other generations are left-overs of a log written from memory; a segment without a header was
 * being made. */
void oplog_choose(struct oplog *log, struct found_list *found, uint32_t folded)
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
                if (seg.complete && seg.whole > log->whole)
                        log->whole = seg.whole;
        }
        log->generation = chosen;
        if (log->generation_max < chosen)
                log->generation_max = chosen;
}

bool oplog_misses(const struct oplog *log, const struct found_list *found)
{
        const struct witness *witness = log->witness;

        /* A log that was written from memory takes the place of those before it. */
        if (!witness->named || witness->generation < log->generation)
                return false;
        for (size_t i = 0; i < found->count; i++)
                if (found->list[i].generation == witness->generation &&
                    found->list[i].number == witness->number)
                        return !found->list[i].valid;
        return true;
}

void oplog_marks(struct found_list *found, uint64_t after, struct oplog_scan *out)
{
        *out = (struct oplog_scan){.marked = after, .durable = after};
        for (size_t i = 0; i < found->kept; i++) {
                struct found *seg = &found->list[i];

                /* A mark may speak of records that a power cut took, and others took their
                 * numbers: but never beyond where the next segment begins. */
                if (i + 1 < found->kept && seg->marked >= seg[1].first_seq)
                        seg->marked = seg[1].first_seq - 1;
                if (seg->marked > out->marked)
                        out->marked = seg->marked;
                if (seg->durable > out->durable)
                        out->durable = seg->durable;
        }
}
