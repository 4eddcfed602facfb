/* test_chunker.c - where a file is cut.
 *
 * An argument replaces the fixed seeds. */
#include "core/body.h"
#include "core/chunker_gear.h"
#include "tests/core/codec_check.h"

#define MIB        ((size_t)1 << 20)
#define FILE_SIZE  (64 * MIB)
#define CHUNKS_MAX (FILE_SIZE / BODY_CHUNK_MIN + 8)

static uint64_t seeds[] = {1, 2, 3, 4};
static size_t seed_count = sizeof(seeds) / sizeof(seeds[0]);

struct cuts {
        size_t count;
        size_t sizes[CHUNKS_MAX];
        struct hif_hash hashes[CHUNKS_MAX];
};

static uint8_t *file, *edited;
static struct cuts before, after;

static int setup(void **state)
{
        (void)state;
        file = malloc(FILE_SIZE);
        edited = malloc(FILE_SIZE + MIB);
        return file && edited ? 0 : -1;
}

static int teardown(void **state)
{
        (void)state;
        free(file);
        free(edited);
        return 0;
}

static void fill_random(uint8_t *data, size_t size, uint64_t seed)
{
        uint64_t random = seed * 0x9e3779b97f4a7c15 + 1;

        assert_int_equal(size % 8, 0);
        for (size_t i = 0; i < size; i += 8)
                be64_put(data + i, next_random(&random));
}

static void end_chunk(struct cuts *cuts, const uint8_t *data, size_t size)
{
        assert_true(cuts->count < CHUNKS_MAX);
        cuts->sizes[cuts->count] = size;
        cuts->hashes[cuts->count] = hash_of(HASH_BLOB, span_of(data, size));
        cuts->count++;
}

/* Cut data that arrives in pieces of at most piece_max bytes; 0: at once. */
static void cut(const uint8_t *data, size_t size, size_t piece_max, uint64_t seed, struct cuts *out)
{
        struct chunker chunker = {0};
        uint64_t random = seed + 1;
        size_t start = 0, at = 0;
        bool ended;

        out->count = 0;
        while (at < size) {
                size_t piece = piece_max ? 1 + next_random(&random) % piece_max : size;
                size_t taken;

                if (piece > size - at)
                        piece = size - at;
                taken = chunker_next(&chunker, span_of(data + at, piece), &ended);
                assert_true(taken >= 1 && taken <= piece);
                at += taken;
                assert_true(ended || taken == piece);
                if (ended) {
                        end_chunk(out, data + start, at - start);
                        start = at;
                }
        }
        if (start < size)
                end_chunk(out, data + start, size - start);
}

static bool knows(const struct cuts *cuts, const struct hif_hash *hash)
{
        for (size_t i = 0; i < cuts->count; i++) {
                if (hash_eq(&cuts->hashes[i], hash))
                        return true;
        }
        return false;
}

static size_t bytes_anew(const struct cuts *old, const struct cuts *new)
{
        size_t bytes = 0;

        for (size_t i = 0; i < new->count; i++)
                bytes += knows(old, &new->hashes[i]) ? 0 : new->sizes[i];
        return bytes;
}

/* The table is what its context derives: nobody chose it. */
static void table_is_derived(void **state)
{
        uint8_t want[256 * 8];
        struct blake3 blake3;

        (void)state;
        blake3_init_derive(&blake3, span_str(CHUNKER_GEAR_CONTEXT));
        blake3_final_xof(&blake3, 0, want, sizeof(want));
        for (size_t i = 0; i < 256; i++)
                assert_int_equal(chunker_gear[i], be64_get(want + 8 * i));
}

/* A cut as the paper defines it, from the last 64 bytes alone. */
static size_t first_cut_by_definition(const uint8_t *data, size_t size)
{
        for (size_t end = BODY_CHUNK_MIN + 1; end <= size && end <= BODY_CHUNK_MAX; end++) {
                unsigned bits = end <= BODY_CHUNK_MEAN ? 22 : 18;
                uint64_t sum = 0;

                for (size_t age = 0; age < 64 && end - age > BODY_CHUNK_MIN; age++)
                        sum += chunker_gear[data[end - age - 1]] << age;
                if (sum >> (64 - bits) == 0)
                        return end;
        }
        return size < BODY_CHUNK_MAX ? size : BODY_CHUNK_MAX;
}

/* Chunks end where the definition says. */
static void cuts_follow_the_definition(void **state)
{
        size_t at = 0;

        (void)state;
        fill_random(file, 8 * MIB, seeds[0]);
        cut(file, 8 * MIB, 0, 0, &before);
        for (size_t i = 0; i < before.count; i++) {
                assert_int_equal(before.sizes[i], first_cut_by_definition(file + at, 8 * MIB - at));
                at += before.sizes[i];
        }
}

/* These cuts are part of the format: every project's equal files share chunks. */
static void golden_cuts(void **state)
{
        static const size_t want[] = {1287505, 739981,  1089124, 1155569, 942279,
                                      1278108, 1195892, 1296261, 1096455, 881575,
                                      1452649, 1302116, 1273207, 1630634, 155861};

        (void)state;
        fill_random(file, 16 * MIB, 20260101);
        cut(file, 16 * MIB, 0, 0, &before);
        assert_int_equal(before.count, sizeof(want) / sizeof(want[0]));
        for (size_t i = 0; i < before.count; i++)
                assert_int_equal(before.sizes[i], want[i]);
}

/* How the bytes arrive does not show. */
static void pieces_do_not_show(void **state)
{
        static const size_t piece_max[] = {1000, 65536, 3 * MIB};

        (void)state;
        for (size_t s = 0; s < seed_count; s++) {
                fill_random(file, 16 * MIB, seeds[s]);
                cut(file, 16 * MIB, 0, 0, &before);
                for (size_t p = 0; p < sizeof(piece_max) / sizeof(piece_max[0]); p++) {
                        cut(file, 16 * MIB, piece_max[p], seeds[s], &after);
                        assert_int_equal(after.count, before.count);
                        assert_memory_equal(after.sizes, before.sizes,
                                            before.count * sizeof(before.sizes[0]));
                }
        }
}

/* All chunks but the last are within the limits, for any content; their mean is about 1 MiB. */
static void sizes_are_limited(void **state)
{
        size_t mean;

        (void)state;
        for (size_t s = 0; s < seed_count + 2; s++) {
                if (s < seed_count)
                        fill_random(file, FILE_SIZE, seeds[s]);
                else
                        memset(file, s == seed_count ? 0 : 'x', FILE_SIZE);
                cut(file, FILE_SIZE, 0, 0, &before);
                for (size_t i = 0; i < before.count; i++) {
                        assert_true(before.sizes[i] <= BODY_CHUNK_MAX);
                        assert_true(i + 1 == before.count || before.sizes[i] > BODY_CHUNK_MIN);
                }
                mean = FILE_SIZE / before.count;
                print_message("seed %llu: %zu chunks, %zu KiB on average\n",
                              s < seed_count ? (unsigned long long)seeds[s] : 0, before.count,
                              mean >> 10);
                if (s < seed_count)
                        assert_true(mean > MIB * 3 / 4 && mean < MIB * 3 / 2);
        }
}

/* Small files are one chunk. */
static void small_file_is_one_chunk(void **state)
{
        (void)state;
        fill_random(file, MIB, seeds[0]);
        cut(file, 1, 0, 0, &before);
        assert_int_equal(before.count, 1);
        cut(file, BODY_CHUNK_MIN, 0, 0, &before);
        assert_int_equal(before.count, 1);
}

/* 1 MiB put into, or written over, 64 MiB stores about 1 MiB anew: it, and the chunks at its ends.
 */
static void little_is_stored_anew(void **state)
{
        size_t inserted = 0, overwritten = 0;

        (void)state;
        for (size_t s = 0; s < seed_count; s++) {
                uint64_t random = seeds[s] + 77;
                size_t at = next_random(&random) % (FILE_SIZE - MIB);

                fill_random(file, FILE_SIZE, seeds[s]);
                cut(file, FILE_SIZE, 0, 0, &before);

                memcpy(edited, file, at);
                fill_random(edited + at, MIB, seeds[s] + 1000);
                memcpy(edited + at + MIB, file + at, FILE_SIZE - at);
                cut(edited, FILE_SIZE + MIB, 0, 0, &after);
                inserted += bytes_anew(&before, &after);

                memcpy(edited + at + MIB, file + at + MIB, FILE_SIZE - at - MIB);
                cut(edited, FILE_SIZE, 0, 0, &after);
                overwritten += bytes_anew(&before, &after);
        }
        print_message("1 MiB inserted: %zu KiB anew; overwritten: %zu KiB\n",
                      inserted / seed_count >> 10, overwritten / seed_count >> 10);
        assert_true(inserted / seed_count >= MIB && inserted / seed_count < 4 * MIB);
        assert_true(overwritten / seed_count >= MIB && overwritten / seed_count < 4 * MIB);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(table_is_derived),      cmocka_unit_test(cuts_follow_the_definition),
            cmocka_unit_test(golden_cuts),           cmocka_unit_test(pieces_do_not_show),
            cmocka_unit_test(sizes_are_limited),     cmocka_unit_test(small_file_is_one_chunk),
            cmocka_unit_test(little_is_stored_anew),
        };

        if (argc > 1) {
                seeds[0] = strtoull(argv[1], NULL, 0);
                seed_count = 1;
        }
        return cmocka_run_group_tests_name("chunker", tests, setup, teardown);
}
