/* rollup.c - see rollup.h. */
#include "core/rollup.h"

#include "core/landing_check.h"

#include <assert.h>

/*      0   88  window (window.h), of the kinds WINDOW_LEVEL_1 to 3
 *     88   4   item count
 *     92   4   block count
 *     96   4   zero
 *    100   16  wide parts: part p is bit p % 64, from the lowest, of word p / 64
 *    116   ..  for each block:
 *              0   5   its first fingerprint
 *              5   4   where it ends, from the first block on
 *              9   8   the first bytes of BLAKE3 of it
 *      ..  8   check of all before (landing_check.h)
 *      ..  ..  blocks, of ROLLUP_BLOCK_ITEMS items, the last of what is left
 *
 *      An item:
 *      0   ..  fingerprint less that of the item before (0 for the first of a block), in groups of
 *              7 bits, the lowest first, all but the last with the bit 80
 *      ..  ..  one part: its number. Otherwise 80 + how many, and up to 12 numbers in ascending
 *              order; or, from 13 on, 13 bytes with a bit for each part: bit p % 8 of byte p / 8
 */
#define TABLE_ENTRY_SIZE 17u
#define PARTS_LISTED_MAX 12u
#define PARTS_BYTES      13u
#define PART_MANY        0x80u

static_assert(ROLLUP_PARTS <= 8 * PARTS_BYTES && ROLLUP_PARTS < PART_MANY, "parts fit");

/* --- what is put in --- */

static uint64_t fingerprint_of(const struct hif_hash *hash)
{
        return hash_prefix(hash) >> (64 - ROLLUP_FINGERPRINT_BITS);
}

uint64_t rollup_of_path(struct span path)
{
        struct hif_hash hash = hash_of(HASH_BLOB, path);

        return fingerprint_of(&hash);
}

/* Behind a NUL, which no path has. */
uint64_t rollup_of_session(const struct session_id *session)
{
        uint8_t item[1 + SESSION_ID_SIZE] = {0};
        struct hif_hash hash;

        memcpy(item + 1, session->bytes, SESSION_ID_SIZE);
        hash = hash_of(HASH_BLOB, span_of(item, sizeof(item)));
        return fingerprint_of(&hash);
}

/* --- writing --- */

void rollup_begin(struct rollup_writer *writer, const struct window *window,
                  const struct rollup_set *wide)
{
        *writer = (struct rollup_writer){.window = *window, .wide = *wide};
}

void rollup_writer_free(struct rollup_writer *writer)
{
        buf_free(&writer->table);
        buf_free(&writer->blocks);
}

static void put_fingerprint(struct buf *out, uint64_t fingerprint)
{
        buf_put_u8(out, (uint8_t)(fingerprint >> 32));
        buf_put_u32(out, (uint32_t)fingerprint);
}

static void end_block(struct rollup_writer *writer)
{
        struct span bytes;
        struct hif_hash hash;

        if (writer->block_items == 0 || buf_failed(&writer->blocks))
                return;
        if (writer->blocks.size > UINT32_MAX) {
                writer->full = true;
                return;
        }
        bytes = span_of(writer->blocks.data + writer->block_start,
                        writer->blocks.size - writer->block_start);
        hash = hash_of(HASH_BLOB, bytes);
        buf_put_u32(&writer->table, (uint32_t)writer->blocks.size);
        buf_put(&writer->table, hash.bytes, 8);
        writer->block_start = (uint32_t)writer->blocks.size;
        writer->block_items = 0;
        writer->block_count++;
}

static void put_parts(struct buf *out, const struct rollup_set *set)
{
        uint32_t count = (uint32_t)__builtin_popcountll(set->bits[0]) +
                         (uint32_t)__builtin_popcountll(set->bits[1]);
        uint8_t bytes[PARTS_BYTES] = {0};

        assert(count > 0 && count <= ROLLUP_PARTS);
        if (count > 1)
                buf_put_u8(out, (uint8_t)(PART_MANY | count));
        for (uint32_t part = 0; part < ROLLUP_PARTS; part++) {
                if (!rollup_set_has(set, part))
                        continue;
                bytes[part / 8] |= (uint8_t)(1u << part % 8);
                if (count <= PARTS_LISTED_MAX)
                        buf_put_u8(out, (uint8_t)part);
        }
        if (count > PARTS_LISTED_MAX)
                buf_put(out, bytes, sizeof(bytes));
}

void rollup_add(struct rollup_writer *writer, uint64_t fingerprint, const struct rollup_set *set)
{
        uint64_t delta = fingerprint - writer->last;

        assert(fingerprint >> ROLLUP_FINGERPRINT_BITS == 0);
        assert(writer->items == 0 || fingerprint > writer->last);
        if (writer->block_items == ROLLUP_BLOCK_ITEMS)
                end_block(writer);
        if (writer->block_items == 0) {
                put_fingerprint(&writer->table, fingerprint);
                delta = 0;
        }
        for (; delta >= 0x80; delta >>= 7)
                buf_put_u8(&writer->blocks, (uint8_t)(0x80 | (delta & 0x7f)));
        buf_put_u8(&writer->blocks, (uint8_t)delta);
        put_parts(&writer->blocks, set);
        writer->last = fingerprint;
        writer->block_items++;
        writer->items++;
}

enum hif_err rollup_finish(struct rollup_writer *writer, struct buf *out)
{
        size_t start = out->size;

        end_block(writer);
        if (writer->full)
                return HIF_ELIMIT;
        if (buf_failed(&writer->table) || buf_failed(&writer->blocks))
                return HIF_ENOMEM;
        window_put(out, &writer->window);
        buf_put_u32(out, writer->items);
        buf_put_u32(out, writer->block_count);
        buf_put_u32(out, 0);
        buf_put_u64(out, writer->wide.bits[0]);
        buf_put_u64(out, writer->wide.bits[1]);
        buf_put_span(out, buf_span(&writer->table));
        landing_check_put(out, start);
        buf_put_span(out, buf_span(&writer->blocks));
        return buf_failed(out) ? HIF_ENOMEM : HIF_OK;
}

/* --- the head --- */

enum hif_err rollup_head_size(struct span start, uint32_t *out)
{
        struct reader rd = rd_open(start);
        uint32_t items, blocks;

        (void)rd_span(&rd, WINDOW_HEAD_SIZE);
        items = rd_u32(&rd);
        blocks = rd_u32(&rd);
        if (rd_bad(&rd) || items > ROLLUP_ITEMS_MAX ||
            blocks != (items + ROLLUP_BLOCK_ITEMS - 1) / ROLLUP_BLOCK_ITEMS)
                return HIF_ECORRUPT;
        *out = ROLLUP_HEAD_FIXED + blocks * TABLE_ENTRY_SIZE + LANDING_CHECK_SIZE;
        return HIF_OK;
}

static uint64_t table_first(const struct rollup *rollup, uint32_t block)
{
        const uint8_t *at = rollup->table.data + (size_t)block * TABLE_ENTRY_SIZE;

        return (uint64_t)at[0] << 32 | be32_get(at + 1);
}

static uint32_t table_end(const struct rollup *rollup, uint32_t block)
{
        return be32_get(rollup->table.data + (size_t)block * TABLE_ENTRY_SIZE + 5);
}

static bool table_valid(const struct rollup *rollup)
{
        uint32_t end = 0;

        for (uint32_t i = 0; i < rollup->block_count; i++) {
                if (table_end(rollup, i) <= end ||
                    (i > 0 && table_first(rollup, i) <= table_first(rollup, i - 1)))
                        return false;
                end = table_end(rollup, i);
        }
        return true;
}

static bool set_valid(const struct rollup_set *set)
{
        for (uint32_t part = ROLLUP_PARTS; part < 128; part++)
                if (rollup_set_has(set, part))
                        return false;
        return true;
}

enum hif_err rollup_open(struct span head, enum window_kind kind, uint64_t start,
                         struct rollup *out)
{
        struct rollup rollup = {0};
        struct reader rd = rd_open(head);
        struct span record;
        enum hif_err err = window_get(&rd, kind, start, &rollup.window);

        if (err == HIF_OK)
                err = rollup_head_size(head, &rollup.head_size);
        if (err != HIF_OK)
                return err;
        if (head.size < rollup.head_size ||
            landing_check_get(span_of(head.data, rollup.head_size), &record) != HIF_OK)
                return HIF_ECORRUPT;
        rd = rd_open(record);
        (void)rd_span(&rd, WINDOW_HEAD_SIZE);
        rollup.item_count = rd_u32(&rd);
        rollup.block_count = rd_u32(&rd);
        if (rd_u32(&rd) != 0)
                return HIF_ECORRUPT;
        rollup.wide.bits[0] = rd_u64(&rd);
        rollup.wide.bits[1] = rd_u64(&rd);
        rollup.table = rd_span(&rd, (size_t)rollup.block_count * TABLE_ENTRY_SIZE);
        if (!rd_done(&rd) || !set_valid(&rollup.wide) || !table_valid(&rollup))
                return HIF_ECORRUPT;
        *out = rollup;
        return HIF_OK;
}

bool rollup_block_of(const struct rollup *rollup, uint64_t fingerprint, uint32_t *block)
{
        uint32_t low = 0, high = rollup->block_count;

        /* The last block that starts at or before it. */
        while (low < high) {
                uint32_t middle = low + (high - low) / 2;

                if (table_first(rollup, middle) <= fingerprint)
                        low = middle + 1;
                else
                        high = middle;
        }
        if (low == 0)
                return false;
        *block = low - 1;
        return true;
}

void rollup_block_at(const struct rollup *rollup, uint32_t block, uint64_t *offset, uint32_t *size)
{
        uint32_t start = block > 0 ? table_end(rollup, block - 1) : 0;

        assert(block < rollup->block_count);
        *offset = (uint64_t)rollup->head_size + start;
        *size = table_end(rollup, block) - start;
}

/* --- items --- */

enum hif_err rollup_items_open(const struct rollup *rollup, uint32_t block, struct span bytes,
                               struct rollup_items *out)
{
        const uint8_t *entry = rollup->table.data + (size_t)block * TABLE_ENTRY_SIZE;
        struct hif_hash hash = hash_of(HASH_BLOB, bytes);
        bool last = block + 1 == rollup->block_count;

        assert(block < rollup->block_count);
        if (memcmp(hash.bytes, entry + 9, 8) != 0)
                return HIF_ECORRUPT;
        *out = (struct rollup_items){.rd = rd_open(bytes),
                                     .fingerprint = table_first(rollup, block),
                                     .left = last ? rollup->item_count - block * ROLLUP_BLOCK_ITEMS
                                                  : ROLLUP_BLOCK_ITEMS};
        return HIF_OK;
}

static bool get_delta(struct reader *rd, uint64_t *out)
{
        uint64_t value = 0;

        for (unsigned shift = 0; shift < ROLLUP_FINGERPRINT_BITS + 7; shift += 7) {
                uint8_t byte = rd_u8(rd);

                value |= (uint64_t)(byte & 0x7f) << shift;
                if (byte < 0x80) {
                        *out = value;
                        return !rd_bad(rd) && (byte > 0 || shift == 0);
                }
        }
        return false;
}

static bool get_parts(struct reader *rd, struct rollup_set *set)
{
        uint8_t first = rd_u8(rd);
        uint32_t count = first & ~PART_MANY, got = 0;

        *set = (struct rollup_set){0};
        if (first < PART_MANY) {
                if (first >= ROLLUP_PARTS)
                        return false;
                rollup_set_add(set, first);
                return true;
        }
        if (count < 2 || count > ROLLUP_PARTS)
                return false;
        if (count <= PARTS_LISTED_MAX) {
                for (int last = -1; got < count; got++) {
                        uint8_t part = rd_u8(rd);

                        if (part >= ROLLUP_PARTS || part <= last)
                                return false;
                        rollup_set_add(set, part);
                        last = part;
                }
                return true;
        }
        for (uint32_t i = 0; i < PARTS_BYTES; i++) {
                uint8_t byte = rd_u8(rd);

                got += (uint32_t)__builtin_popcount(byte);
                set->bits[i / 8] |= (uint64_t)byte << i % 8 * 8;
        }
        return got == count && set_valid(set);
}

enum hif_err rollup_items_next(struct rollup_items *items)
{
        uint64_t delta;
        bool first = items->set.bits[0] == 0 && items->set.bits[1] == 0;

        if (items->left == 0)
                return rd_done(&items->rd) ? HIF_ENOENT : HIF_ECORRUPT;
        if (!get_delta(&items->rd, &delta) || (delta == 0) != first ||
            delta >> ROLLUP_FINGERPRINT_BITS != 0)
                return HIF_ECORRUPT;
        items->fingerprint += delta;
        if (items->fingerprint >> ROLLUP_FINGERPRINT_BITS != 0 ||
            !get_parts(&items->rd, &items->set) || rd_bad(&items->rd))
                return HIF_ECORRUPT;
        items->left--;
        return HIF_OK;
}

enum hif_err rollup_find(const struct rollup *rollup, uint32_t block, struct span bytes,
                         uint64_t fingerprint, struct rollup_set *out)
{
        struct rollup_items items;
        enum hif_err err = rollup_items_open(rollup, block, bytes, &items);

        while (err == HIF_OK) {
                err = rollup_items_next(&items);
                if (err == HIF_OK && items.fingerprint == fingerprint) {
                        *out = items.set;
                        return HIF_OK;
                }
                if (err == HIF_ENOENT || (err == HIF_OK && items.fingerprint > fingerprint)) {
                        *out = (struct rollup_set){0};
                        return HIF_OK;
                }
        }
        return err;
}
