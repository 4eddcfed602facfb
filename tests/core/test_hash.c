/* test_hash.c - BLAKE3 on every back end that this CPU has, and the hashes that name things.
 *
 * An argument replaces the fixed seeds of the randomised tests. */
#include "core/hash.h"
#include "tests/core/blake3_vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define INPUT_SIZE ((size_t)4 << 20)

static const char *const backends[] = {"portable", "sse41", "avx2", "avx512"};
#define BACKEND_COUNT (sizeof(backends) / sizeof(backends[0]))

static const struct {
        size_t size;
        const char *hash; /* as b3sum prints it, of i mod 251 */
} large[] = {
    {262143, "4fbb10c248894f1b56ec8298555b96e597147150a061b1cf1af19f16dbc0557b"},
    {262144, "d57dc906e20d3fd326ffaa85535500486f46a0979f5a323f028dcabfd381fd4a"},
    {262145, "531c319935cf78f34869faebd865e5748266b1799039103bfb851a680d9ed30c"},
    {263168, "016a8ebdc93c38f6e5afbfb937fdc9130808969f33fc82a10a36c92acd21eed7"},
    {1000003, "cd5a3272e01b1a2f47bb4565d8d202db0f95704d32550a2da61a0fd363d4c90d"},
    {4194304, "4e94e6f582581a0f3855f3ce504b153e951e65036fe9e2f010b7e25473c54f98"},
};

static uint64_t seeds[] = {1, 20260101, 0x9e3779b97f4a7c15};
static size_t seed_count = sizeof(seeds) / sizeof(seeds[0]);

struct fixture {
        uint8_t *input; /* byte i is i mod 251 */
        char detected[16];
};

static uint64_t next_random(uint64_t *random)
{
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        return *random;
}

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        f->input = malloc(INPUT_SIZE);
        assert_non_null(f->input);
        for (size_t i = 0; i < INPUT_SIZE; i++)
                f->input[i] = (uint8_t)(i % 251);
        snprintf(f->detected, sizeof(f->detected), "%s", blake3_backend());
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        assert_true(blake3_use_backend(f->detected));
        free(f->input);
        free(f);
        return 0;
}

static void expect_hex(const uint8_t *bytes, size_t size, const char *hex)
{
        char text[2 * VECTOR_OUTPUT_SIZE + 1];

        assert_in_range(size, 1, VECTOR_OUTPUT_SIZE);
        for (size_t i = 0; i < size; i++)
                snprintf(text + 2 * i, 3, "%02x", bytes[i]);
        assert_int_equal(strncmp(text, hex, 2 * size), 0);
}

static void update_in_random_parts(struct blake3 *state, const uint8_t *data, size_t size,
                                   uint64_t *random)
{
        while (size > 0) {
                uint64_t range = (uint64_t)1 << (next_random(random) % 20);
                size_t part = (size_t)(next_random(random) % (range + 1));

                if (part > size)
                        part = size;
                blake3_update(state, span_of(data, part));
                data += part;
                size -= part;
        }
}

/* The state's hash of the first `size` bytes, as far as `hex` goes. */
static void expect_vector(const struct fixture *f, struct blake3 state, size_t size,
                          const char *hex)
{
        uint8_t out[VECTOR_OUTPUT_SIZE];
        struct hif_hash hash;

        for (size_t i = 0; i < seed_count + 1; i++) {
                struct blake3 fork = state;

                if (i == 0) {
                        blake3_update(&fork, span_of(f->input, size));
                } else {
                        uint64_t random = seeds[i - 1];

                        update_in_random_parts(&fork, f->input, size, &random);
                }
                blake3_final(&fork, &hash);
                expect_hex(hash.bytes, sizeof(hash.bytes), hex);
                blake3_final_xof(&fork, 0, out, sizeof(out));
                expect_hex(out, strlen(hex) / 2, hex);
        }
}

/* The official vectors hold in all three modes, at once and in random parts, on each back end. */
static void official_vectors_hold(void **state)
{
        const struct fixture *f = *state;

        for (size_t b = 0; b < BACKEND_COUNT; b++) {
                if (!blake3_use_backend(backends[b])) {
                        print_message("this CPU lacks %s\n", backends[b]);
                        continue;
                }
                assert_string_equal(blake3_backend(), backends[b]);
                for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
                        const struct vector *v = &vectors[i];
                        struct hif_hash hash;
                        struct blake3 plain, keyed, derive;

                        hash = hash_of(HASH_BLOB, span_of(f->input, v->size));
                        expect_hex(hash.bytes, sizeof(hash.bytes), v->hash);
                        blake3_init(&plain);
                        expect_vector(f, plain, v->size, v->hash);
                        blake3_init_keyed(&keyed, (const uint8_t *)VECTOR_KEY);
                        expect_vector(f, keyed, v->size, v->keyed_hash);
                        blake3_init_derive(&derive, span_str(VECTOR_CONTEXT));
                        expect_vector(f, derive, v->size, v->derive_key);
                }
        }
}

/* Inputs around and far above the size of one batch hash as b3sum hashes them. */
static void large_inputs_hash_as_b3sum_does(void **state)
{
        const struct fixture *f = *state;

        for (size_t b = 0; b < BACKEND_COUNT; b++) {
                if (!blake3_use_backend(backends[b]))
                        continue;
                for (size_t i = 0; i < sizeof(large) / sizeof(large[0]); i++) {
                        struct hif_hash hash = hash_of(HASH_BLOB, span_of(f->input, large[i].size));
                        struct blake3 plain;

                        expect_hex(hash.bytes, sizeof(hash.bytes), large[i].hash);
                        blake3_init(&plain);
                        expect_vector(f, plain, large[i].size, large[i].hash);
                }
        }
}

/* One-shot hashing on each back end gives, at each size, what the portable one gives when it is fed
 * a block at a time: ragged ends and every number of lanes are covered. */
static void back_ends_agree_on_every_size(void **state)
{
        const struct fixture *f = *state;
        const size_t size_max = 40 * 1024;

        for (size_t size = 0; size <= size_max; size += size < 2200 ? 1 : 61) {
                struct hif_hash expected;
                struct blake3 blockwise;

                assert_true(blake3_use_backend("portable"));
                blake3_init_kind(&blockwise, HASH_NODE);
                for (size_t done = 0; done < size; done += 64) {
                        size_t part = size - done < 64 ? size - done : 64;

                        blake3_update(&blockwise, span_of(f->input + done, part));
                }
                blake3_final(&blockwise, &expected);
                for (size_t b = 0; b < BACKEND_COUNT; b++) {
                        struct hif_hash hash;

                        if (!blake3_use_backend(backends[b]))
                                continue;
                        hash = hash_of(HASH_NODE, span_of(f->input, size));
                        if (!hash_eq(&hash, &expected))
                                fail_msg("%s differs at size %zu", backends[b], size);
                }
        }
}

/* Sizes and contents at random: all back ends agree, in one piece, in parts, and unaligned. */
static void back_ends_agree_on_random_input(void **state)
{
        const struct fixture *f = *state;
        uint8_t *data = malloc((size_t)1 << 20);

        assert_non_null(data);
        for (size_t s = 0; s < seed_count; s++) {
                uint64_t random = seeds[s];

                for (size_t round = 0; round < 24; round++) {
                        size_t offset = (size_t)(next_random(&random) % 64);
                        size_t size = (size_t)(next_random(&random) % (700 * 1024));
                        struct hif_hash expected, hash;

                        for (size_t i = 0; i < size; i++)
                                data[offset + i] = f->input[i] ^ (uint8_t)next_random(&random);
                        assert_true(blake3_use_backend("portable"));
                        expected = hash_of(HASH_SLOT, span_of(data + offset, size));
                        for (size_t b = 0; b < BACKEND_COUNT; b++) {
                                struct blake3 parts;

                                if (!blake3_use_backend(backends[b]))
                                        continue;
                                hash = hash_of(HASH_SLOT, span_of(data + offset, size));
                                if (!hash_eq(&hash, &expected))
                                        fail_msg("%s differs: seed %llu round %zu", backends[b],
                                                 (unsigned long long)seeds[s], round);
                                blake3_init_kind(&parts, HASH_SLOT);
                                update_in_random_parts(&parts, data + offset, size, &random);
                                blake3_final(&parts, &hash);
                                if (!hash_eq(&hash, &expected))
                                        fail_msg("%s differs in parts: seed %llu round %zu",
                                                 backends[b], (unsigned long long)seeds[s], round);
                        }
                }
        }
        free(data);
}

/* No back end reads past its input, which ends at a page that may not be read. (Reads past the
 * padded copy of its last block are for the sanitizer build to see.) */
static void nothing_behind_the_input_is_read(void **state)
{
        const struct fixture *f = *state;
        const size_t page = (size_t)sysconf(_SC_PAGESIZE), room = 16 * page;
        uint8_t *map =
            mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        assert_true(map != MAP_FAILED);
        assert_int_equal(mprotect(map + room, page, PROT_NONE), 0);
        for (size_t size = 1; size <= room; size += 37) {
                uint8_t *input = map + room - size;

                memcpy(input, f->input, size);
                for (size_t b = 0; b < BACKEND_COUNT; b++) {
                        struct hif_hash hash, expected;

                        if (!blake3_use_backend(backends[b]))
                                continue;
                        hash = hash_of(HASH_BLOB, span_of(input, size));
                        expected = hash_of(HASH_BLOB, span_of(f->input, size));
                        assert_true(hash_eq(&hash, &expected));
                }
        }
        munmap(map, room + page);
}

/* Behind 4 TiB of input the chunk counter carries into its high word, within a pass of lanes too:
 * the state is set up as if that much had been hashed. */
static void chunk_counter_carries_into_its_high_word(void **state)
{
        const struct fixture *f = *state;

        for (uint64_t before = 1; before < 40; before += 3) {
                struct hif_hash expected = {0};
                struct blake3 far;

                memset(&far, 0, sizeof(far));
                blake3_init(&far);
                far.chunk_counter = ((uint64_t)1 << 32) - before;
                far.stack_size = (uint8_t)__builtin_popcountll(far.chunk_counter);
                for (size_t b = 0; b < BACKEND_COUNT; b++) {
                        struct blake3 fork = far;
                        struct hif_hash hash;

                        if (!blake3_use_backend(backends[b]))
                                continue;
                        blake3_update(&fork, span_of(f->input, 100 * 1024));
                        blake3_final(&fork, &hash);
                        if (b == 0)
                                expected = hash;
                        assert_true(hash_eq(&hash, &expected));
                }
        }
}

/* A hash may be read at any point, and more input may follow. */
static void final_leaves_the_state_as_it_is(void **state)
{
        const struct fixture *f = *state;
        struct blake3 running;
        struct hif_hash hash, expected;

        blake3_init(&running);
        for (size_t size = 0; size < 9000; size += 500) {
                blake3_final(&running, &hash);
                expected = hash_of(HASH_BLOB, span_of(f->input, size));
                assert_true(hash_eq(&hash, &expected));
                blake3_update(&running, span_of(f->input + size, 500));
        }
}

/* Output from byte n on is what longer output has at byte n. */
static void extended_output_can_start_anywhere(void **state)
{
        const struct fixture *f = *state;
        const struct vector *v = &vectors[sizeof(vectors) / sizeof(vectors[0]) - 1];
        struct blake3 plain;

        blake3_init(&plain);
        blake3_update(&plain, span_of(f->input, v->size));
        for (size_t seek = 0; seek < VECTOR_OUTPUT_SIZE; seek++) {
                uint8_t out[VECTOR_OUTPUT_SIZE];

                blake3_final_xof(&plain, seek, out, VECTOR_OUTPUT_SIZE - seek);
                expect_hex(out, VECTOR_OUTPUT_SIZE - seek, v->hash + 2 * seek);
        }
}

/* An empty span without an address is the empty message. */
static void empty_span_is_the_empty_message(void **state)
{
        struct hif_hash hash = hash_of(HASH_BLOB, (struct span){0});
        struct blake3 plain;

        (void)state;
        expect_hex(hash.bytes, sizeof(hash.bytes), vectors[0].hash);
        blake3_init(&plain);
        blake3_update(&plain, (struct span){0});
        blake3_final(&plain, &hash);
        expect_hex(hash.bytes, sizeof(hash.bytes), vectors[0].hash);
}

/* The contexts are part of the format: each kind is derive_key with its own, or plain. */
static void kinds_are_derived_from_their_contexts(void **state)
{
        static const char *const contexts[HASH_KIND_COUNT] = {
            [HASH_CHUNKS] = "hif 2026 chunk list v1", [HASH_NODE] = "hif 2026 tree node v1",
            [HASH_SESSION] = "hif 2026 session v1",   [HASH_SLOT] = "hif 2026 slot v1",
            [HASH_LIST] = "hif 2026 list v1",
        };
        const struct fixture *f = *state;

        for (int kind = 0; kind < HASH_KIND_COUNT; kind++) {
                struct hif_hash hash = hash_of((enum hash_kind)kind, span_of(f->input, 3000));
                struct hif_hash expected;
                struct blake3 derive;

                if (contexts[kind] != NULL)
                        blake3_init_derive(&derive, span_str(contexts[kind]));
                else
                        blake3_init(&derive);
                blake3_update(&derive, span_of(f->input, 3000));
                blake3_final(&derive, &expected);
                assert_true(hash_eq(&hash, &expected));
                blake3_init_kind(&derive, (enum hash_kind)kind);
                blake3_update(&derive, span_of(f->input, 3000));
                blake3_final(&derive, &hash);
                assert_true(hash_eq(&hash, &expected));
        }
}

/* As `printf abc | b3sum --derive-key "hif 2026 tree node v1"` prints it, and so on. */
static void kinds_have_their_golden_bytes(void **state)
{
        static const char *const golden[HASH_KIND_COUNT] = {
            [HASH_BLOB] = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85",
            [HASH_CHUNKS] = "007cd29a58cf07815ce1943b6da0a073b3420bfc8059ef1e8420a89b2a80bb1a",
            [HASH_NODE] = "8b560e1596252a5c2206119ca5cf385f022a4dee5243855c532659faf2f7c213",
            [HASH_SESSION] = "e3d2b72a76a478b4eee6f66aaca6c69aab5ab4d8a9513c354cf2962bda51f0af",
            [HASH_SLOT] = "5c46001561876f2c39add4d59a50ffadae6dd31033f8f982542a2f3caf876c33",
            [HASH_LIST] = "f20e200e07fcbb4e9518e2694563a26b5ecb2287a3c1e92933a376606070edc0",
            [HASH_PACK] = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85",
        };

        (void)state;
        for (int kind = 0; kind < HASH_KIND_COUNT; kind++) {
                struct hif_hash hash = hash_of((enum hash_kind)kind, span_str("abc"));
                char hex[HIF_HASH_HEX_SIZE];

                hash_to_hex(&hash, hex);
                assert_string_equal(hex, golden[kind]);
        }
}

/* Hex text survives the way there and back. */
static void hex_goes_there_and_back(void **state)
{
        struct hif_hash hash, back;
        char hex[HIF_HASH_HEX_SIZE];

        (void)state;
        for (size_t i = 0; i < HIF_HASH_SIZE; i++)
                hash.bytes[i] = (uint8_t)(i * 9 + 1);
        hash_to_hex(&hash, hex);
        assert_int_equal(strlen(hex), 64);
        assert_memory_equal(hex, "010a131c", 8);
        assert_true(hash_from_hex(span_str(hex), &back));
        assert_true(hash_eq(&hash, &back));
}

/* Anything but 64 lower-case digits is refused, and the hash is left alone. */
static void bad_hex_is_refused(void **state)
{
        static const char good[] =
            "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
        static const char bad_digits[] = {'A', 'F', 'g', '/',  ':',   '`',
                                          '@', 'G', ' ', '\0', '\xff'};
        struct hif_hash hash = {.bytes = {42}};
        char text[sizeof(good) + 1];

        (void)state;
        assert_false(hash_from_hex(span_of(good, 63), &hash));
        assert_false(hash_from_hex(span_of(good, 65), &hash));
        assert_false(hash_from_hex((struct span){0}, &hash));
        for (size_t at = 0; at < 64; at++) {
                for (size_t i = 0; i < sizeof(bad_digits); i++) {
                        memcpy(text, good, sizeof(good));
                        text[at] = bad_digits[i];
                        assert_false(hash_from_hex(span_of(text, 64), &hash));
                }
        }
        assert_int_equal(hash.bytes[0], 42);
        assert_true(hash_from_hex(span_of(good, 64), &hash));
        assert_int_equal(hash.bytes[1], 0x11);
}

/* An unknown back end is refused, and the one in use stays. */
static void unknown_back_end_is_refused(void **state)
{
        (void)state;
        assert_true(blake3_use_backend("portable"));
        assert_false(blake3_use_backend("abacus"));
        assert_string_equal(blake3_backend(), "portable");
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(official_vectors_hold),
            cmocka_unit_test(large_inputs_hash_as_b3sum_does),
            cmocka_unit_test(back_ends_agree_on_every_size),
            cmocka_unit_test(back_ends_agree_on_random_input),
            cmocka_unit_test(nothing_behind_the_input_is_read),
            cmocka_unit_test(chunk_counter_carries_into_its_high_word),
            cmocka_unit_test(final_leaves_the_state_as_it_is),
            cmocka_unit_test(extended_output_can_start_anywhere),
            cmocka_unit_test(empty_span_is_the_empty_message),
            cmocka_unit_test(kinds_are_derived_from_their_contexts),
            cmocka_unit_test(kinds_have_their_golden_bytes),
            cmocka_unit_test(hex_goes_there_and_back),
            cmocka_unit_test(bad_hex_is_refused),
            cmocka_unit_test(unknown_back_end_is_refused),
        };

        if (argc > 1) {
                seeds[0] = strtoull(argv[1], NULL, 0);
                seed_count = seeds[0] != 0 ? 1 : seed_count; /* the generator has no zero state */
        }
        return cmocka_run_group_tests_name("hash", tests, setup, teardown);
}
