/* test_rollup.c - fingerprints, and which parts of a window have them. */
#include "core/landing_check.h"
#include "core/rollup.h"
#include "tests/core/codec_check.h"

#define START 10000u

static struct window make_window(void)
{
        return (struct window){.kind = WINDOW_LEVEL_2,
                               .start = START,
                               .before = hash_filled(0x0b),
                               .end = hash_filled(0x0e)};
}

static struct rollup_set set_of(uint32_t first, uint32_t count)
{
        struct rollup_set set = {0};

        for (uint32_t i = 0; i < count; i++)
                rollup_set_add(&set, first + i);
        return set;
}

/* `count` items, spread over all fingerprints; item i is in i % 100 + 1 parts. */
static uint64_t nth_fingerprint(uint32_t i)
{
        return ((uint64_t)i << 24 | 0x1234) + i % 7;
}

static void make_rollup(uint32_t count, struct buf *out)
{
        struct window window = make_window();
        struct rollup_set wide = set_of(64, 1);
        struct rollup_writer writer;

        rollup_begin(&writer, &window, &wide);
        for (uint32_t i = 0; i < count; i++) {
                struct rollup_set set = set_of(i % (100 - i % 100), i % 100 + 1);

                rollup_add(&writer, nth_fingerprint(i), &set);
        }
        assert_int_equal(rollup_finish(&writer, out), HIF_OK);
        rollup_writer_free(&writer);
}

/* The whole record: head and every block. */
static enum hif_err decode(struct span stored)
{
        struct rollup rollup;
        uint64_t end;
        enum hif_err err = rollup_open(stored, WINDOW_LEVEL_2, START, &rollup);

        if (err != HIF_OK)
                return err;
        end = rollup.head_size;
        for (uint32_t block = 0; block < rollup.block_count; block++) {
                struct rollup_items items;
                uint64_t offset;
                uint32_t size;

                rollup_block_at(&rollup, block, &offset, &size);
                if (offset + size > stored.size)
                        return HIF_ECORRUPT;
                end = offset + size;
                err =
                    rollup_items_open(&rollup, block, span_of(stored.data + offset, size), &items);
                while (err == HIF_OK)
                        err = rollup_items_next(&items);
                if (err != HIF_ENOENT)
                        return err;
        }
        return end == stored.size ? HIF_OK : HIF_ECORRUPT;
}

static bool find(struct span stored, uint64_t fingerprint, struct rollup_set *out)
{
        struct rollup rollup;
        uint32_t block, size;
        uint64_t offset;

        assert_int_equal(rollup_open(stored, WINDOW_LEVEL_2, START, &rollup), HIF_OK);
        if (!rollup_block_of(&rollup, fingerprint, &block))
                return false;
        rollup_block_at(&rollup, block, &offset, &size);
        assert_int_equal(
            rollup_find(&rollup, block, span_of(stored.data + offset, size), fingerprint, out),
            HIF_OK);
        return out->bits[0] || out->bits[1];
}

/* Everything that was put in is found, with its parts, and nothing else is. */
static void finds_what_is_in(void **state)
{
        const uint32_t count = 3 * ROLLUP_BLOCK_ITEMS + 5;
        AUTO_BUF struct buf stored = {0};
        struct rollup rollup;

        (void)state;
        make_rollup(count, &stored);
        assert_int_equal(rollup_open(buf_span(&stored), WINDOW_LEVEL_2, START, &rollup), HIF_OK);
        assert_int_equal(rollup.item_count, count);
        assert_int_equal(rollup.block_count, 4);
        assert_true(rollup_set_has(&rollup.wide, 64));
        for (uint32_t i = 0; i < count; i++) {
                struct rollup_set got;

                assert_true(find(buf_span(&stored), nth_fingerprint(i), &got));
                assert_int_equal(__builtin_popcountll(got.bits[0]) +
                                     __builtin_popcountll(got.bits[1]),
                                 i % 100 + 1);
                assert_false(find(buf_span(&stored), nth_fingerprint(i) + 1, &got));
        }
        assert_int_equal(decode(buf_span(&stored)), HIF_OK);
}

/* A window in which nothing was touched has a rollup, too. */
static void an_empty_one_has_nothing(void **state)
{
        AUTO_BUF struct buf stored = {0};
        struct rollup_set set;

        (void)state;
        make_rollup(0, &stored);
        assert_int_equal(stored.size, ROLLUP_HEAD_FIXED + LANDING_CHECK_SIZE);
        assert_false(find(buf_span(&stored), 1, &set));
        expect_whole_only(buf_span(&stored), decode);
}

static void golden_bytes(void **state)
{
        AUTO_BUF struct buf stored = {0};
        struct window window = make_window();
        struct rollup_set wide = {0}, one = set_of(7, 1), two = set_of(98, 2), all = set_of(0, 100);
        struct rollup_writer writer;

        (void)state;
        rollup_begin(&writer, &window, &wide);
        rollup_add(&writer, 0x0000000005, &one);
        rollup_add(&writer, 0x0000000105, &two);
        rollup_add(&writer, 0xffffffffff, &all);
        assert_int_equal(rollup_finish(&writer, &stored), HIF_OK);
        rollup_writer_free(&writer);
        expect_hex(buf_span(&stored),
                   "48494644 01 03 0000 0000000000002710 0000000000004e1f"
                   "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"
                   "0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e"
                   "00000003 00000001 00000000 0000000000000000 0000000000000000"
                   "0000000005 0000001b c7e4811f9a3b39af db8d560e5a0d7c9b"
                   "00 07 8002 82 62 63 fafdffffff1f e4 ffffffffffffffffffffffff0f");
}

/* What paths and sessions are searched by. */
static void golden_fingerprints(void **state)
{
        struct session_id id = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

        (void)state;
        /* echo -n src/main.c | b3sum */
        assert_int_equal(rollup_of_path(span_str("src/main.c")), 0xa9a4416ab2);
        assert_int_equal(rollup_of_session(&id), 0x8462aa7be9);
}

static void damage_is_told(void **state)
{
        AUTO_BUF struct buf stored = {0};

        (void)state;
        make_rollup(300, &stored);
        expect_whole_only(buf_span(&stored), decode);
        for (size_t at = 0; at < stored.size; at++)
                assert_int_not_equal(
                    decode_with(buf_span(&stored), at, (uint8_t)(stored.data[at] ^ 0x04), decode),
                    HIF_OK);
        expect_survives_flips(buf_span(&stored), decode, 3, 2000);
}

/* A record of another window, or another kind, is none. */
static void another_window_is_refused(void **state)
{
        AUTO_BUF struct buf stored = {0};
        struct rollup rollup;

        (void)state;
        make_rollup(3, &stored);
        assert_int_equal(rollup_open(buf_span(&stored), WINDOW_LEVEL_2, 0, &rollup), HIF_ECORRUPT);
        assert_int_equal(rollup_open(buf_span(&stored), WINDOW_LEVEL_1, START, &rollup),
                         HIF_ECORRUPT);
        stored.data[4] = 2;
        assert_int_equal(rollup_open(buf_span(&stored), WINDOW_LEVEL_2, START, &rollup),
                         HIF_EUNSUPPORTED);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(finds_what_is_in), cmocka_unit_test(an_empty_one_has_nothing),
            cmocka_unit_test(golden_bytes),     cmocka_unit_test(golden_fingerprints),
            cmocka_unit_test(damage_is_told),   cmocka_unit_test(another_window_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
