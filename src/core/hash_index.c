/* hash_index.c - see hash_index.h. */
#include "core/hash_index.h"

#include "core/landing_check.h"

#include <assert.h>
#include <stdlib.h>

/*      0   88  window (window.h), of the kind WINDOW_HASHES
 *     88   4   item count
 *     92   4   pack count
 *     96   4   zero
 *    100   ..  for each block of HASH_INDEX_BLOCK_ITEMS items, the last of what is left:
 *              0   8   the prefix of its first item
 *              8   8   the first bytes of BLAKE3 of it
 *      ..  8   check of all before (landing_check.h)
 *      ..  ..  items, in ascending order of prefix, pack, offset:
 *              0   8   the first bytes of the content's hash
 *              8   4   pack
 *             12   4   offset of the frame in the pack
 *             16   4   size of the frame
 *             20   4   size of the content
 *      ..  ..  32 for each pack: its name, in the order in which slots list them
 */
#define TABLE_ENTRY_SIZE 16u

static uint32_t blocks_for(uint32_t items)
{
        return (items + HASH_INDEX_BLOCK_ITEMS - 1) / HASH_INDEX_BLOCK_ITEMS;
}

static uint32_t items_in(const struct hash_index *index, uint32_t block)
{
        return block + 1 == index->block_count ? index->item_count - block * HASH_INDEX_BLOCK_ITEMS
                                               : HASH_INDEX_BLOCK_ITEMS;
}

/* --- writing --- */

static int by_prefix(const void *a, const void *b)
{
        const struct hash_item *x = a, *y = b;

        if (x->prefix != y->prefix)
                return x->prefix < y->prefix ? -1 : 1;
        if (x->pack != y->pack)
                return x->pack < y->pack ? -1 : 1;
        return (x->offset > y->offset) - (x->offset < y->offset);
}

static void put_block(struct buf *out, const struct hash_item *items, uint32_t count)
{
        for (uint32_t i = 0; i < count; i++) {
                buf_put_u64(out, items[i].prefix);
                buf_put_u32(out, items[i].pack);
                buf_put_u32(out, items[i].offset);
                buf_put_u32(out, items[i].size);
                buf_put_u32(out, items[i].content_size);
        }
}

enum hif_err hash_index_put(const struct window *window, struct hash_item *items, uint32_t count,
                            const struct hif_hash *packs, uint32_t pack_count, struct buf *out)
{
        AUTO_BUF struct buf blocks = {0};
        size_t start = out->size;

        assert(window->kind == WINDOW_HASHES);
        if (count > HASH_INDEX_ITEMS_MAX)
                return HIF_ELIMIT;
        if (count > 0)
                qsort(items, count, sizeof(*items), by_prefix);
        window_put(out, window);
        buf_put_u32(out, count);
        buf_put_u32(out, pack_count);
        buf_put_u32(out, 0);
        for (uint32_t at = 0; at < count; at += HASH_INDEX_BLOCK_ITEMS) {
                uint32_t n =
                    count - at < HASH_INDEX_BLOCK_ITEMS ? count - at : HASH_INDEX_BLOCK_ITEMS;
                size_t block = blocks.size;
                struct hif_hash hash;

                put_block(&blocks, items + at, n);
                if (buf_failed(&blocks))
                        return HIF_ENOMEM;
                hash = hash_of(HASH_BLOB, span_of(blocks.data + block, blocks.size - block));
                buf_put_u64(out, items[at].prefix);
                buf_put(out, hash.bytes, 8);
        }
        landing_check_put(out, start);
        buf_put_span(out, buf_span(&blocks));
        for (uint32_t i = 0; i < pack_count; i++)
                buf_put(out, packs[i].bytes, HIF_HASH_SIZE);
        return buf_failed(out) ? HIF_ENOMEM : HIF_OK;
}

/* --- reading --- */

enum hif_err hash_index_head_size(struct span start, uint32_t *out)
{
        struct reader rd = rd_open(start);
        uint32_t items;

        (void)rd_span(&rd, WINDOW_HEAD_SIZE);
        items = rd_u32(&rd);
        if (rd_bad(&rd) || items > HASH_INDEX_ITEMS_MAX)
                return HIF_ECORRUPT;
        *out = HASH_INDEX_HEAD_FIXED + blocks_for(items) * TABLE_ENTRY_SIZE + LANDING_CHECK_SIZE;
        return HIF_OK;
}

static uint64_t table_first(const struct hash_index *index, uint32_t block)
{
        return be64_get(index->table.data + (size_t)block * TABLE_ENTRY_SIZE);
}

enum hif_err hash_index_open(struct span head, uint64_t start, struct hash_index *out)
{
        struct hash_index index = {0};
        struct reader rd = rd_open(head);
        struct span record;
        enum hif_err err = window_get(&rd, WINDOW_HASHES, start, &index.window);

        if (err == HIF_OK)
                err = hash_index_head_size(head, &index.head_size);
        if (err != HIF_OK)
                return err;
        if (head.size < index.head_size ||
            landing_check_get(span_of(head.data, index.head_size), &record) != HIF_OK)
                return HIF_ECORRUPT;
        rd = rd_open(record);
        (void)rd_span(&rd, WINDOW_HEAD_SIZE);
        index.item_count = rd_u32(&rd);
        index.pack_count = rd_u32(&rd);
        index.block_count = blocks_for(index.item_count);
        if (rd_u32(&rd) != 0 || index.pack_count > HASH_INDEX_ITEMS_MAX)
                return HIF_ECORRUPT;
        index.table = rd_span(&rd, (size_t)index.block_count * TABLE_ENTRY_SIZE);
        if (!rd_done(&rd))
                return HIF_ECORRUPT;
        for (uint32_t i = 1; i < index.block_count; i++)
                if (table_first(&index, i) < table_first(&index, i - 1))
                        return HIF_ECORRUPT;
        *out = index;
        return HIF_OK;
}

bool hash_index_block_of(const struct hash_index *index, uint64_t prefix, uint32_t *block)
{
        uint32_t low = 0, high = index->block_count;

        /* The first block that starts at or after it; it may have begun in the one before. */
        while (low < high) {
                uint32_t middle = low + (high - low) / 2;

                if (table_first(index, middle) < prefix)
                        low = middle + 1;
                else
                        high = middle;
        }
        if (low > 0)
                low--;
        if (low == index->block_count || table_first(index, low) > prefix)
                return false;
        *block = low;
        return true;
}

void hash_index_block_at(const struct hash_index *index, uint32_t block, uint64_t *offset,
                         uint32_t *size)
{
        assert(block < index->block_count);
        *offset =
            index->head_size + (uint64_t)block * HASH_INDEX_BLOCK_ITEMS * HASH_INDEX_ITEM_SIZE;
        *size = items_in(index, block) * HASH_INDEX_ITEM_SIZE;
}

uint64_t hash_index_pack_at(const struct hash_index *index, uint32_t pack)
{
        return index->head_size + (uint64_t)index->item_count * HASH_INDEX_ITEM_SIZE +
               (uint64_t)pack * HIF_HASH_SIZE;
}

enum hif_err hash_index_block(const struct hash_index *index, uint32_t block, struct span bytes,
                              uint32_t *count)
{
        struct hif_hash hash = hash_of(HASH_BLOB, bytes);
        uint32_t items = items_in(index, block);

        if (bytes.size != (size_t)items * HASH_INDEX_ITEM_SIZE ||
            memcmp(hash.bytes, index->table.data + (size_t)block * TABLE_ENTRY_SIZE + 8, 8) != 0)
                return HIF_ECORRUPT;
        for (uint32_t i = 0; i < items; i++) {
                struct hash_item item;

                hash_index_item(bytes, i, &item);
                if (item.pack >= index->pack_count || item.size == 0)
                        return HIF_ECORRUPT;
        }
        *count = items;
        return HIF_OK;
}

void hash_index_item(struct span block, uint32_t i, struct hash_item *out)
{
        const uint8_t *at = block.data + (size_t)i * HASH_INDEX_ITEM_SIZE;

        *out = (struct hash_item){.prefix = be64_get(at),
                                  .pack = be32_get(at + 8),
                                  .offset = be32_get(at + 12),
                                  .size = be32_get(at + 16),
                                  .content_size = be32_get(at + 20)};
}
