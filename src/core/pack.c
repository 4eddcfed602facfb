/* pack.c - the small blobs of one landing, in one object. */
#include "core/body.h"

#include <assert.h>

/*      0   4   "HIFP"
 *      4   1   version, 1
 *      5   3   zero
 *      8   ..  zstd frames, one after the other, in tree order
 *      e   ..  count times, in the order of the frames:
 *              0   32  hash of the content (HASH_BLOB)
 *              32  4   offset of the frame, from the start of the pack
 *              36  4   size of the frame
 *              40  4   content size
 *     -8   4   e, where the frames end
 *     -4   4   count
 *
 * The fixed fields at the end let a reader find the index from the last bytes. Frames lie without
 * gaps between the header and e.
 */
#define PACK_HEADER_SIZE 8
#define PACK_ENTRY_SIZE  44
#define PACK_FOOTER_SIZE 8
#define PACK_VERSION     1

static const char pack_magic[4] = "HIFP";

void pack_begin(struct pack_writer *pack)
{
        *pack = (struct pack_writer){0};
        buf_put(&pack->bytes, pack_magic, sizeof(pack_magic));
        buf_put_u8(&pack->bytes, PACK_VERSION);
        buf_put_zero(&pack->bytes, 3);
}

enum hif_err pack_add(struct pack_writer *pack, const struct hif_hash *hash, struct span frame,
                      uint32_t content_size, uint32_t *offset)
{
        size_t at = pack->bytes.size, index_size = pack->index.size;

        assert(frame.size > 0 && content_size <= BODY_PACK_BLOB_MAX);
        if (frame.size > BODY_PACK_MAX ||
            at + frame.size + index_size + PACK_ENTRY_SIZE + PACK_FOOTER_SIZE > BODY_PACK_MAX)
                return HIF_ELIMIT;
        buf_put_span(&pack->bytes, frame);
        buf_put(&pack->index, hash->bytes, HIF_HASH_SIZE);
        buf_put_u32(&pack->index, (uint32_t)at);
        buf_put_u32(&pack->index, (uint32_t)frame.size);
        buf_put_u32(&pack->index, content_size);
        if (buf_failed(&pack->bytes) || buf_failed(&pack->index))
                return HIF_ENOMEM;
        pack->count++;
        *offset = (uint32_t)at;
        return HIF_OK;
}

enum hif_err pack_finish(struct pack_writer *pack, struct hif_hash *name)
{
        size_t frames_end = pack->bytes.size;

        assert(pack->count > 0);
        buf_put_span(&pack->bytes, buf_span(&pack->index));
        buf_put_u32(&pack->bytes, (uint32_t)frames_end);
        buf_put_u32(&pack->bytes, pack->count);
        if (buf_failed(&pack->bytes))
                return HIF_ENOMEM;
        *name = hash_of(HASH_PACK, buf_span(&pack->bytes));
        return HIF_OK;
}

void pack_free(struct pack_writer *pack)
{
        buf_free(&pack->bytes);
        buf_free(&pack->index);
        pack->count = 0;
}

/* One index entry, and that its frame starts where the one before it ended. */
static bool read_entry(struct reader *rd, uint32_t start, uint32_t frames_end,
                       struct pack_entry *out)
{
        rd_copy(rd, out->hash.bytes, HIF_HASH_SIZE);
        out->offset = rd_u32(rd);
        out->size = rd_u32(rd);
        out->content_size = rd_u32(rd);
        return !rd_bad(rd) && out->offset == start && out->size > 0 &&
               out->size <= frames_end - start && out->content_size <= BODY_PACK_BLOB_MAX;
}

uint64_t pack_index_size(struct span tail)
{
        if (tail.size < PACK_FOOTER_SIZE)
                return 0;
        return be32_get(tail.data + tail.size - 4) * (uint64_t)PACK_ENTRY_SIZE + PACK_FOOTER_SIZE;
}

enum hif_err pack_index_of_tail(struct span tail, uint64_t pack_size, struct arena *arena,
                                struct pack_entry **entries, uint32_t *count)
{
        uint64_t index_size = pack_index_size(tail);
        uint32_t frames_end, total, at = PACK_HEADER_SIZE;
        struct pack_entry *list;
        struct reader rd;

        if (pack_size > BODY_PACK_MAX || index_size <= PACK_FOOTER_SIZE || index_size > tail.size)
                return HIF_ECORRUPT;
        frames_end = be32_get(tail.data + tail.size - 8);
        total = be32_get(tail.data + tail.size - 4);
        if (frames_end < PACK_HEADER_SIZE || frames_end + index_size != pack_size)
                return HIF_ECORRUPT;
        list = arena_alloc(arena, (size_t)total * sizeof(*list));
        if (!list)
                return HIF_ENOMEM;
        rd = rd_open(span_of(tail.data + (tail.size - index_size), index_size - PACK_FOOTER_SIZE));
        for (uint32_t i = 0; i < total; i++) {
                if (!read_entry(&rd, at, frames_end, &list[i]))
                        return HIF_ECORRUPT;
                at += list[i].size;
        }
        if (at != frames_end || !rd_done(&rd))
                return HIF_ECORRUPT;
        *entries = list;
        *count = total;
        return HIF_OK;
}

enum hif_err pack_index(struct span stored, struct arena *arena, struct pack_entry **entries,
                        uint32_t *count)
{
        struct reader rd = rd_open(stored);
        struct span magic = rd_span(&rd, sizeof(pack_magic));
        uint8_t version = rd_u8(&rd);
        struct span zero = rd_span(&rd, 3);

        if (rd_bad(&rd) || !span_eq(magic, span_of(pack_magic, sizeof(pack_magic))))
                return HIF_ECORRUPT;
        if (version != PACK_VERSION)
                return HIF_EUNSUPPORTED;
        if (!span_eq(zero, span_of("\0\0\0", 3)) || rd_left(&rd) < PACK_FOOTER_SIZE)
                return HIF_ECORRUPT;
        return pack_index_of_tail(span_of(rd.next, rd_left(&rd)), stored.size, arena, entries,
                                  count);
}
