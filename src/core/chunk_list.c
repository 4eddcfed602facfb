/* chunk_list.c - the list that stands for a file of more than one blob. */
#include "core/body.h"

#include <assert.h>

/*      0   4   "HIFC"
 *      4   1   version, 1
 *      5   1   depth: 0, the entries are chunks; d, they are lists of depth d - 1
 *      6   2   zero
 *      8   4   count, 1 to 4,096
 *     12   ..  count times:
 *              0   32  hash
 *              32  8   end: of this entry's content, counted from the start of the list's
 *
 * Ends instead of sizes, so that an offset is found by bisection in the encoded bytes.
 */
#define LIST_HEADER_SIZE 12
#define LIST_ENTRY_SIZE  40
#define LIST_VERSION     1
#define LIST_DEPTH_MAX   3

static const char list_magic[4] = "HIFC";

/* The most content that one entry of a list of that depth can stand for. */
static uint64_t entry_size_max(uint8_t depth)
{
        uint64_t size = BODY_CHUNK_MAX;

        for (uint8_t i = 0; i < depth; i++)
                size *= BODY_LIST_MAX;
        return size;
}

static bool entry_end_valid(uint8_t depth, uint64_t start, uint64_t end)
{
        return end > start && end - start <= entry_size_max(depth) && end <= INT64_MAX;
}

void chunk_list_put(struct buf *out, uint8_t depth, const struct chunk *chunks, uint32_t count)
{
        uint64_t start = 0;

        assert(depth <= LIST_DEPTH_MAX && count >= 1 && count <= BODY_LIST_MAX);
        buf_put(out, list_magic, sizeof(list_magic));
        buf_put_u8(out, LIST_VERSION);
        buf_put_u8(out, depth);
        buf_put_u16(out, 0);
        buf_put_u32(out, count);
        for (uint32_t i = 0; i < count; i++) {
                uint64_t end = start + chunks[i].size;

                assert(entry_end_valid(depth, start, end));
                buf_put(out, chunks[i].hash.bytes, HIF_HASH_SIZE);
                buf_put_u64(out, end);
                start = end;
        }
}

static const uint8_t *entry_at(const struct chunk_list *list, uint32_t index)
{
        return list->bytes.data + LIST_HEADER_SIZE + (size_t)index * LIST_ENTRY_SIZE;
}

static uint64_t end_at(const struct chunk_list *list, uint32_t index)
{
        return be64_get(entry_at(list, index) + HIF_HASH_SIZE);
}

static uint64_t start_at(const struct chunk_list *list, uint32_t index)
{
        return index == 0 ? 0 : end_at(list, index - 1);
}

enum hif_err chunk_list_open(struct span bytes, struct chunk_list *out)
{
        struct chunk_list list = {.bytes = bytes};
        struct reader rd = rd_open(bytes);
        struct span magic = rd_span(&rd, sizeof(list_magic));
        uint8_t version = rd_u8(&rd);
        uint16_t zero;

        list.depth = rd_u8(&rd);
        zero = rd_u16(&rd);
        list.count = rd_u32(&rd);
        if (rd_bad(&rd) || !span_eq(magic, span_of(list_magic, sizeof(list_magic))))
                return HIF_ECORRUPT;
        if (version != LIST_VERSION)
                return HIF_EUNSUPPORTED;
        if (list.depth > LIST_DEPTH_MAX || zero != 0 || list.count < 1 ||
            list.count > BODY_LIST_MAX || rd_left(&rd) != (size_t)list.count * LIST_ENTRY_SIZE)
                return HIF_ECORRUPT;
        for (uint32_t i = 0; i < list.count; i++) {
                uint64_t end = end_at(&list, i);

                if (!entry_end_valid(list.depth, list.size, end))
                        return HIF_ECORRUPT;
                list.size = end;
        }
        *out = list;
        return HIF_OK;
}

void chunk_list_at(const struct chunk_list *list, uint32_t index, struct chunk *out)
{
        assert(index < list->count);
        memcpy(out->hash.bytes, entry_at(list, index), HIF_HASH_SIZE);
        out->size = end_at(list, index) - start_at(list, index);
}

uint32_t chunk_list_search(const struct chunk_list *list, uint64_t offset, uint64_t *start)
{
        uint32_t low = 0, high = list->count - 1; /* the first entry that ends behind offset */

        assert(offset < list->size);
        while (low < high) {
                uint32_t middle = low + (high - low) / 2;

                if (end_at(list, middle) > offset)
                        high = middle;
                else
                        low = middle + 1;
        }
        *start = start_at(list, low);
        return low;
}
