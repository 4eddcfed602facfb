/* ssd_segment.c - the bytes of a segment file.
 *
 * A segment is records one after the other and, once it is sealed, a footer. A record:
 *
 *      0   4   "HIFR"
 *      4   1   version, 1
 *      5   1   kind: 1 node, 2 blob, 3 chunk list
 *      6   2   zero
 *      8   4   content size
 *     12   32  hash
 *     44   8   SipHash-2-4 of bytes 0..43 with the key 0
 *     52   ..  content
 *
 * The footer: a line for each record, then
 *
 *      0   8   the index's key: 64 bits of the hash, plus the kind
 *      8   4   offset of the record
 *     12   4   content size
 *
 *      0   4   "HIFS"
 *      4   4   count of lines
 *      8   8   where the footer starts
 *     16   8   SipHash-2-4 of all lines and bytes 0..15 with the key 0
 *
 * Checksums tell torn from whole; the hash is what vouches for the content. */
#include "fetch/ssd_segment.h"

#include "base/siphash.h"

#include <assert.h>
#include <stdlib.h>

#define RECORD_VERSION 1
#define CONTENT_MAX    (8u << 20) /* more than any object */
#define WINDOW_SIZE    (256u << 10)

static const char record_magic[4] = "HIFR";
static const char footer_magic[4] = "HIFS";

static uint64_t checksum(const void *data, size_t size)
{
        return siphash((struct sipkey){0}, data, size);
}

/* --- records --- */

static uint8_t kind_code(enum fetch_kind kind)
{
        switch (kind) {
        case FETCH_NODE:
                return 1;
        case FETCH_BLOB:
                return 2;
        case FETCH_CHUNKS:
                return 3;
        }
        abort();
}

static bool kind_from_code(uint8_t code, enum fetch_kind *out)
{
        static const enum fetch_kind kinds[] = {FETCH_NODE, FETCH_BLOB, FETCH_CHUNKS};

        if (code < 1 || code > 3)
                return false;
        *out = kinds[code - 1];
        return true;
}

enum hif_err ssd_record_write(struct env *env, int fd, uint64_t offset, enum fetch_kind kind,
                              const struct hif_hash *hash, struct span content)
{
        uint8_t header[SSD_HEADER_SIZE] = {0};
        enum hif_err err;

        assert(content.size <= CONTENT_MAX);
        memcpy(header, record_magic, sizeof(record_magic));
        header[4] = RECORD_VERSION;
        header[5] = kind_code(kind);
        be32_put(header + 8, (uint32_t)content.size);
        memcpy(header + 12, hash->bytes, HIF_HASH_SIZE);
        be64_put(header + 44, checksum(header, 44));
        err = env_write_all(env, fd, header, sizeof(header), offset);
        if (err)
                return err;
        return env_write_all(env, fd, content.data, content.size, offset + sizeof(header));
}

struct header {
        enum fetch_kind kind;
        uint32_t size;
        struct hif_hash hash;
};

static bool header_get(const uint8_t *bytes, struct header *out)
{
        if (memcmp(bytes, record_magic, sizeof(record_magic)) != 0 ||
            be64_get(bytes + 44) != checksum(bytes, 44) || bytes[4] != RECORD_VERSION ||
            !kind_from_code(bytes[5], &out->kind))
                return false;
        out->size = be32_get(bytes + 8);
        memcpy(out->hash.bytes, bytes + 12, HIF_HASH_SIZE);
        return out->size <= CONTENT_MAX;
}

enum hif_err ssd_record_read(struct env *env, int fd, const struct ssd_record *record,
                             enum fetch_kind kind, const struct hif_hash *hash, struct buf *out)
{
        uint8_t bytes[SSD_HEADER_SIZE];
        struct header header;
        uint8_t *content;

        if (env_read_all(env, fd, bytes, sizeof(bytes), record->offset) != HIF_OK ||
            !header_get(bytes, &header) || header.size != record->size)
                return HIF_ECORRUPT;
        if (header.kind != kind || !hash_eq(&header.hash, hash))
                return HIF_ENOENT;
        content = buf_reserve(out, header.size);
        if (!content)
                return HIF_ENOMEM;
        if (env_read_all(env, fd, content, header.size, (uint64_t)record->offset + sizeof(bytes)) !=
            HIF_OK)
                return HIF_ECORRUPT;
        buf_extend(out, header.size);
        return HIF_OK;
}

/* --- segments --- */

enum hif_err ssd_segment_add(struct ssd_segment *segment, struct ssd_record record)
{
        if (segment->record_count == segment->record_capacity) {
                size_t capacity = segment->record_capacity ? segment->record_capacity * 2 : 64;
                struct ssd_record *records = realloc(segment->records, capacity * sizeof(*records));

                if (!records)
                        return HIF_ENOMEM;
                segment->records = records;
                segment->record_capacity = capacity;
        }
        segment->records[segment->record_count++] = record;
        return HIF_OK;
}

enum hif_err ssd_footer_write(struct env *env, const struct ssd_segment *segment)
{
        AUTO_BUF struct buf footer = {0};

        for (size_t i = 0; i < segment->record_count; i++) {
                buf_put_u64(&footer, segment->records[i].key);
                buf_put_u32(&footer, segment->records[i].offset);
                buf_put_u32(&footer, segment->records[i].size);
        }
        buf_put(&footer, footer_magic, sizeof(footer_magic));
        buf_put_u32(&footer, (uint32_t)segment->record_count);
        buf_put_u64(&footer, segment->end);
        if (buf_failed(&footer))
                return HIF_ENOMEM;
        buf_put_u64(&footer, checksum(footer.data, footer.size));
        if (buf_failed(&footer))
                return HIF_ENOMEM;
        return env_write_all(env, segment->fd, footer.data, footer.size, segment->end);
}

/* HIF_ENOENT: no valid footer. */
static enum hif_err footer_load(struct env *env, struct ssd_segment *segment, uint64_t file_size)
{
        AUTO_BUF struct buf footer = {0};
        uint8_t trailer[SSD_TRAILER_SIZE];
        uint64_t start, size;
        struct reader rd;
        uint32_t count;

        if (file_size < sizeof(trailer) ||
            env_read_all(env, segment->fd, trailer, sizeof(trailer), file_size - sizeof(trailer)))
                return HIF_ENOENT;
        count = be32_get(trailer + 4);
        start = be64_get(trailer + 8);
        size = (uint64_t)count * SSD_LISTED_SIZE + sizeof(trailer);
        if (memcmp(trailer, footer_magic, sizeof(footer_magic)) != 0 || size > file_size ||
            start != file_size - size)
                return HIF_ENOENT;
        if (!buf_reserve(&footer, (size_t)size))
                return HIF_ENOMEM;
        if (env_read_all(env, segment->fd, footer.data, (size_t)size, start) != HIF_OK ||
            checksum(footer.data, (size_t)size - 8) != be64_get(trailer + 16))
                return HIF_ENOENT;
        rd = rd_open(span_of(footer.data, (size_t)size));
        for (uint32_t i = 0; i < count; i++) {
                struct ssd_record record = {.key = rd_u64(&rd)};
                enum hif_err err;

                record.offset = rd_u32(&rd);
                record.size = rd_u32(&rd);
                if (record.key == 0)
                        return HIF_ENOENT;
                err = ssd_segment_add(segment, record);
                if (err)
                        return err;
        }
        segment->end = start;
        return HIF_OK;
}

/* Walk records from the start, reading ahead a window at a time, to the first that is not whole. */
static enum hif_err records_scan(struct env *env, struct ssd_segment *segment, uint64_t file_size)
{
        AUTO_FREE uint8_t *window = malloc(WINDOW_SIZE);
        uint64_t window_at = 0, at = 0;
        size_t window_size = 0;

        if (!window)
                return HIF_ENOMEM;
        while (at + SSD_HEADER_SIZE <= file_size && at <= UINT32_MAX) {
                struct header header;
                enum hif_err err;

                if (at + SSD_HEADER_SIZE > window_at + window_size) {
                        window_at = at;
                        window_size =
                            file_size - at < WINDOW_SIZE ? (size_t)(file_size - at) : WINDOW_SIZE;
                        if (env_read_all(env, segment->fd, window, window_size, at) != HIF_OK)
                                break;
                }
                if (!header_get(window + (at - window_at), &header) ||
                    header.size > file_size - at - SSD_HEADER_SIZE)
                        break;
                err = ssd_segment_add(segment,
                                      (struct ssd_record){.key = ssd_key(header.kind, &header.hash),
                                                          .offset = (uint32_t)at,
                                                          .size = header.size});
                if (err)
                        return err;
                at += SSD_HEADER_SIZE + header.size;
        }
        segment->end = at;
        return HIF_OK;
}

enum hif_err ssd_segment_load(struct env *env, struct ssd_segment *segment)
{
        struct stat st;
        uint64_t size;
        enum hif_err err = env->ops->fstat(env, segment->fd, &st);

        if (err)
                return err;
        size = st.st_size > 0 ? (uint64_t)st.st_size : 0;
        err = footer_load(env, segment, size);
        if (err == HIF_OK) {
                segment->sealed = segment->footed = true;
        } else if (err == HIF_ENOENT) {
                segment->record_count = 0;
                err = records_scan(env, segment, size);
                if (!err && segment->end < size)
                        err = env->ops->ftruncate(env, segment->fd, segment->end);
        }
        segment->charge = segment->end + segment->record_count * SSD_LISTED_SIZE + SSD_TRAILER_SIZE;
        return err;
}

void ssd_segment_free(struct env *env, struct ssd_segment *segment)
{
        if (segment->fd >= 0)
                env->ops->close(env, segment->fd);
        free(segment->records);
        free(segment->path);
        free(segment);
}
