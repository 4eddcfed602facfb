/* test_bloom.c - never a no that is wrong, and few a maybe.
 *
 * An argument replaces the fixed seeds. */
#include "core/bloom.h"
#include "tests/core/codec_check.h"

#define FALSE_MAYBES_PER_MILLION_MAX 200
#define FLIP_ROUNDS                  5000

static uint64_t seeds[] = {1, 2, 3, 4};
static size_t seed_count = sizeof(seeds) / sizeof(seeds[0]);

static struct span numbered(char text[48], uint64_t seed, uint64_t number)
{
        int size = snprintf(text, 48, "src/%llx/%llu.c", (unsigned long long)seed,
                            (unsigned long long)number);

        return span_of(text, (size_t)size);
}

static void fill(struct bloom *bloom, uint64_t seed, uint32_t count)
{
        char text[48];

        assert_int_equal(bloom_init(bloom, count), HIF_OK);
        for (uint32_t i = 0; i < count; i++)
                bloom_add(bloom, numbered(text, seed, i));
}

static enum hif_err decode(struct span stored)
{
        CLEANUP(bloom_free) struct bloom bloom = {0};
        AUTO_ARENA struct arena arena = {0};
        struct bloom in_arena;
        struct reader rd = rd_open(stored), rd2 = rd_open(stored);
        enum hif_err err = bloom_get(&rd, &bloom);

        assert_int_equal(bloom_get_arena(&rd2, &arena, &in_arena), err);
        if (err)
                return err;
        (void)bloom_maybe(&bloom, span_str("x"));
        return rd_done(&rd) ? HIF_OK : HIF_ECORRUPT;
}

/* Which bits an item sets, and how they lie, is part of the format. */
static void golden_filter(void **state)
{
        static uint8_t bits[16];
        struct bloom bloom = {.bits = bits, .bit_count = 128};
        AUTO_BUF struct buf stored = {0};

        (void)state;
        /* BLAKE3("abc") = 6437b3ac38465133 ffb63b75273a8db5 ... */
        bloom_add(&bloom, span_str("abc"));
        bloom_put(&stored, &bloom);
        expect_hex(buf_span(&stored), "00000080 00000001 00011240008008000020414000050000");
}

/* The bits by the formula that the header gives, computed another way. */
static void bits_follow_the_formula(void **state)
{
        static uint8_t bits[1024 / 8], want[1024 / 8];
        struct bloom bloom = {.bits = bits, .bit_count = 1024};
        struct hif_hash hash = hash_of(HASH_BLOB, span_str("some/path"));
        uint64_t h1 = be64_get(hash.bytes), h2 = be64_get(hash.bytes + 8);

        (void)state;
        for (uint64_t i = 0; i < BLOOM_HASHES; i++) {
                uint64_t bit = (h1 + i * h2 + (i * i * i - i) / 6) % 1024;

                want[bit / 8] |= (uint8_t)(1u << (bit % 8));
        }
        bloom_add(&bloom, span_str("some/path"));
        assert_memory_equal(bits, want, sizeof(want));
}

/* What was added is in, always. */
static void never_a_false_no(void **state)
{
        static const uint32_t counts[] = {1, 3, 51, 1000, 100000};
        char text[48];

        (void)state;
        for (size_t s = 0; s < seed_count; s++) {
                for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
                        CLEANUP(bloom_free) struct bloom bloom = {0};

                        fill(&bloom, seeds[s], counts[c]);
                        for (uint32_t i = 0; i < counts[c]; i++) {
                                if (!bloom_maybe(&bloom, numbered(text, seeds[s], i)))
                                        fail_msg("seed %llu: item %u of %u is missing",
                                                 (unsigned long long)seeds[s], i, counts[c]);
                        }
                }
        }
}

/* Full to the count that it was made for, a filter says maybe wrongly at most twice in 10,000. */
static void few_false_maybes(void **state)
{
        static const struct {
                uint32_t count;
                unsigned filters; /* small ones vary: many of them */
        } cases[] = {{1, 400}, {10, 400}, {51, 400}, {200, 100}, {1000, 20}, {100000, 1}};
        const uint32_t questions = 400000;
        char text[48];

        (void)state;
        for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
                uint64_t wrong = 0, per_million;

                for (unsigned f = 0; f < cases[c].filters; f++) {
                        CLEANUP(bloom_free) struct bloom bloom = {0};

                        fill(&bloom, seeds[0] * 1000 + f, cases[c].count);
                        for (uint32_t i = 0; i < questions / cases[c].filters; i++)
                                wrong +=
                                    bloom_maybe(&bloom, numbered(text, seeds[0] * 1000 + f,
                                                                 (uint64_t)cases[c].count + i));
                }
                per_million = wrong * 1000000 / questions;
                print_message("%u items: %llu false maybes in a million\n", cases[c].count,
                              (unsigned long long)per_million);
                assert_true(per_million <= FALSE_MAYBES_PER_MILLION_MAX);
        }
}

/* A path brings its directories along, but neither the root nor what only looks alike. */
static void path_brings_its_ancestors(void **state)
{
        CLEANUP(bloom_free) struct bloom bloom = {0};

        (void)state;
        assert_int_equal(bloom_init(&bloom, 3), HIF_OK);
        bloom_add_path(&bloom, span_str("src/core/bloom.c"));
        assert_int_equal(bloom.item_count, 3);
        assert_true(bloom_maybe(&bloom, span_str("src")));
        assert_true(bloom_maybe(&bloom, span_str("src/core")));
        assert_true(bloom_maybe(&bloom, span_str("src/core/bloom.c")));
        assert_false(bloom_maybe(&bloom, span_str("")));
        assert_false(bloom_maybe(&bloom, span_str("src/")));
        assert_false(bloom_maybe(&bloom, span_str("src/core/bloom")));
        bloom_add_path(&bloom, span_str(""));
        bloom_add_path(&bloom, span_str("src/core"));
        assert_int_equal(bloom.item_count, 3);
}

/* A filter of nothing says no to everything. */
static void empty_filter_says_no(void **state)
{
        CLEANUP(bloom_free) struct bloom bloom = {0};
        AUTO_BUF struct buf stored = {0};

        (void)state;
        assert_false(bloom_maybe(&bloom, span_str("a")));
        assert_int_equal(bloom_init(&bloom, 0), HIF_OK);
        assert_false(bloom_maybe(&bloom, span_str("a")));
        bloom_put(&stored, &bloom);
        expect_hex(buf_span(&stored), "00000000 00000000");
        assert_int_equal(decode(buf_span(&stored)), HIF_OK);
        assert_int_equal(bloom_init(&bloom, UINT32_MAX), HIF_ELIMIT);
}

/* A merged filter knows what either knew; filters of other sizes do not merge. */
static void merge_keeps_both(void **state)
{
        CLEANUP(bloom_free) struct bloom a = {0};
        CLEANUP(bloom_free) struct bloom b = {0};
        CLEANUP(bloom_free) struct bloom other = {0};
        char text[48];

        (void)state;
        fill(&a, 1, 500);
        fill(&b, 2, 500);
        fill(&other, 3, 600);
        assert_int_equal(bloom_merge(&a, &b), HIF_OK);
        for (uint32_t i = 0; i < 500; i++) {
                assert_true(bloom_maybe(&a, numbered(text, 1, i)));
                assert_true(bloom_maybe(&a, numbered(text, 2, i)));
        }
        assert_true(a.item_count > 990 && a.item_count <= 1000);
        assert_int_equal(bloom_merge(&a, &other), HIF_EINVAL);
}

/* A filter comes back as it was; shapes that none has are refused, before any allocation. */
static void filter_round_trips(void **state)
{
        CLEANUP(bloom_free) struct bloom bloom = {0};
        CLEANUP(bloom_free) struct bloom got = {0};
        AUTO_BUF struct buf stored = {0};
        struct reader rd;

        (void)state;
        fill(&bloom, 1, 51);
        bloom_put(&stored, &bloom);
        rd = rd_open(buf_span(&stored));
        assert_int_equal(bloom_get(&rd, &got), HIF_OK);
        assert_true(rd_done(&rd));
        assert_int_equal(got.bit_count, bloom.bit_count);
        assert_int_equal(got.item_count, bloom.item_count);
        assert_memory_equal(got.bits, bloom.bits, bloom.bit_count / 8);
        expect_whole_only(buf_span(&stored), decode);
        expect_survives_flips(buf_span(&stored), decode, 31, FLIP_ROUNDS);
        assert_int_equal(decode_with(buf_span(&stored), 0, 0xff, decode), HIF_ECORRUPT);
        assert_int_equal(decode_with(buf_span(&stored), 3, 1, decode), HIF_ECORRUPT);
        buf_reset(&stored);
        buf_put_u32(&stored, 0);
        buf_put_u32(&stored, 1);
        assert_int_equal(decode(buf_span(&stored)), HIF_ECORRUPT);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(golden_filter),
            cmocka_unit_test(bits_follow_the_formula),
            cmocka_unit_test(never_a_false_no),
            cmocka_unit_test(few_false_maybes),
            cmocka_unit_test(path_brings_its_ancestors),
            cmocka_unit_test(empty_filter_says_no),
            cmocka_unit_test(merge_keeps_both),
            cmocka_unit_test(filter_round_trips),
        };

        if (argc > 1) {
                seeds[0] = strtoull(argv[1], NULL, 0);
                seed_count = 1;
        }
        return cmocka_run_group_tests_name("bloom", tests, NULL, NULL);
}
