/* test_hash_index.c - where contents lie, by their hash. */
#include "core/hash_index.h"
#include "core/landing_check.h"
#include "tests/core/codec_check.h"

#include <stdlib.h>

#define START 20000u
#define PACKS 3u

static struct window make_window(void)
{
        return (struct window){.kind = WINDOW_HASHES,
                               .start = START,
                               .before = hash_filled(0x0b),
                               .end = hash_filled(0x0e)};
}

static void make_index(uint32_t count, struct buf *out)
{
        struct window window = make_window();
        struct hash_item *items = calloc(count + 1, sizeof(*items));
        struct hif_hash packs[PACKS] = {hash_filled(0x1a), hash_filled(0x1b), hash_filled(0x1c)};

        assert_non_null(items);
        for (uint32_t i = 0; i < count; i++) /* in no order; every prefix twice */
                items[i] = (struct hash_item){.prefix = (i * 7919ull % count) / 2 * 1000003,
                                              .pack = i % PACKS,
                                              .offset = 8 + i * 100,
                                              .size = 100,
                                              .content_size = 250 + i};
        assert_int_equal(hash_index_put(&window, items, count, packs, PACKS, out), HIF_OK);
        free(items);
}

static enum hif_err decode(struct span stored)
{
        struct hash_index index;
        uint64_t end;
        enum hif_err err = hash_index_open(stored, START, &index);

        if (err != HIF_OK)
                return err;
        end = hash_index_pack_at(&index, index.pack_count);
        for (uint32_t block = 0; block < index.block_count && err == HIF_OK; block++) {
                uint64_t offset;
                uint32_t size, count;

                hash_index_block_at(&index, block, &offset, &size);
                if (offset + size > stored.size)
                        return HIF_ECORRUPT;
                err = hash_index_block(&index, block, span_of(stored.data + offset, size), &count);
        }
        return err == HIF_OK && end != stored.size ? HIF_ECORRUPT : err;
}

static uint32_t count_found(struct span stored, uint64_t prefix)
{
        struct hash_index index;
        uint32_t block, found = 0;

        assert_int_equal(hash_index_open(stored, START, &index), HIF_OK);
        if (!hash_index_block_of(&index, prefix, &block))
                return 0;
        for (int i = 0; i < 2 && block < index.block_count; i++, block++) {
                uint64_t offset;
                uint32_t size, count;
                struct span bytes;

                hash_index_block_at(&index, block, &offset, &size);
                bytes = span_of(stored.data + offset, size);
                assert_int_equal(hash_index_block(&index, block, bytes, &count), HIF_OK);
                for (uint32_t k = 0; k < count; k++) {
                        struct hash_item item;

                        hash_index_item(bytes, k, &item);
                        found += item.prefix == prefix;
                }
        }
        return found;
}

/* Everything that was put in is found, also where it goes on in the next block. */
static void finds_what_is_in(void **state)
{
        const uint32_t count = 3 * HASH_INDEX_BLOCK_ITEMS + 10;
        AUTO_BUF struct buf stored = {0};

        (void)state;
        make_index(count, &stored);
        assert_int_equal(decode(buf_span(&stored)), HIF_OK);
        for (uint32_t i = 0; i < count / 2; i++)
                assert_int_equal(count_found(buf_span(&stored), i * 1000003ull), 2);
        assert_int_equal(count_found(buf_span(&stored), 5), 0);
}

/* The order in which packs' contents are found does not show. */
static void the_same_in_any_order(void **state)
{
        struct hash_item items[] = {{.prefix = 9, .size = 1},
                                    {.prefix = 3, .size = 1},
                                    {.prefix = 3, .pack = 1, .size = 1}};
        struct hash_item turned[] = {items[2], items[0], items[1]};
        struct hif_hash packs[] = {hash_filled(1), hash_filled(2)};
        struct window window = make_window();
        AUTO_BUF struct buf a = {0}, b = {0};

        (void)state;
        assert_int_equal(hash_index_put(&window, items, 3, packs, 2, &a), HIF_OK);
        assert_int_equal(hash_index_put(&window, turned, 3, packs, 2, &b), HIF_OK);
        assert_true(span_eq(buf_span(&a), buf_span(&b)));
}

static void golden_bytes(void **state)
{
        struct hash_item items[] = {
            {.prefix = 0x1122334455667788, .pack = 0, .offset = 8, .size = 20, .content_size = 30}};
        struct hif_hash packs[] = {hash_filled(0x1a)};
        struct window window = make_window();
        AUTO_BUF struct buf stored = {0};

        (void)state;
        assert_int_equal(hash_index_put(&window, items, 1, packs, 1, &stored), HIF_OK);
        expect_hex(buf_span(&stored),
                   "48494644 01 05 0000 0000000000004e20 000000000000752f"
                   "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"
                   "0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e"
                   "00000001 00000001 00000000 1122334455667788 28dc78664fc7d198 d3c18fbc72938d57"
                   "1122334455667788 00000000 00000008 00000014 0000001e"
                   "1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a");
}

static void damage_is_told(void **state)
{
        AUTO_BUF struct buf stored = {0};
        size_t packs_at;

        (void)state;
        make_index(40, &stored);
        packs_at = stored.size - PACKS * HIF_HASH_SIZE; /* names: the content's hash tells */
        expect_whole_only(buf_span(&stored), decode);
        for (size_t at = 0; at < packs_at; at++)
                assert_int_not_equal(
                    decode_with(buf_span(&stored), at, (uint8_t)(stored.data[at] ^ 0x04), decode),
                    HIF_OK);
        expect_survives_flips(buf_span(&stored), decode, 3, 2000);
}

static void an_empty_one_has_nothing(void **state)
{
        struct window window = make_window();
        AUTO_BUF struct buf stored = {0};

        (void)state;
        assert_int_equal(hash_index_put(&window, NULL, 0, NULL, 0, &stored), HIF_OK);
        assert_int_equal(count_found(buf_span(&stored), 1), 0);
        expect_whole_only(buf_span(&stored), decode);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(finds_what_is_in),
            cmocka_unit_test(the_same_in_any_order),
            cmocka_unit_test(golden_bytes),
            cmocka_unit_test(damage_is_told),
            cmocka_unit_test(an_empty_one_has_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
