/* codec_check.h - what every decoder is held to: exact bytes, no truncation, no trailing bytes, no
 * crash on garbage. For the suites of src/core. */
#ifndef HIF_TESTS_CORE_CODEC_CHECK_H
#define HIF_TESTS_CORE_CODEC_CHECK_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "core/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Decode, let go of the result, and say how it went. */
typedef enum hif_err codec_decode(struct span stored);

static inline uint64_t next_random(uint64_t *random)
{
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        return *random;
}

static inline int nibble(char digit)
{
        return digit <= '9' ? digit - '0' : digit - 'a' + 10;
}

/* The bytes of lower-case hexadecimal digits; blanks only part them for the reader. */
static inline struct buf unhex(const char *hex)
{
        struct buf out = {0};

        for (; *hex; hex++) {
                if (*hex == ' ')
                        continue;
                buf_put_u8(&out, (uint8_t)(nibble(hex[0]) << 4 | nibble(hex[1])));
                hex++;
        }
        assert_false(buf_failed(&out));
        return out;
}

static inline void expect_hex(struct span got, const char *hex)
{
        AUTO_BUF struct buf want = unhex(hex);

        for (size_t i = 0; i < got.size && i < want.size; i++) {
                if (got.data[i] != want.data[i])
                        print_error("byte %zu: %02x, not %02x\n", i, got.data[i], want.data[i]);
        }
        assert_int_equal(got.size, want.size);
        if (got.size > 0)
                assert_memory_equal(got.data, want.data, got.size);
}

static inline struct hif_hash hash_filled(uint8_t byte)
{
        struct hif_hash hash;

        memset(hash.bytes, byte, sizeof(hash.bytes));
        return hash;
}

/* From memory of just that size, so that a sanitizer sees the first byte read past its end. */
static inline enum hif_err decode_exact(struct span stored, codec_decode *decode)
{
        AUTO_FREE uint8_t *copy = malloc(stored.size ? stored.size : 1);

        assert_non_null(copy);
        if (stored.size > 0)
                memcpy(copy, stored.data, stored.size);
        return decode(span_of(copy, stored.size));
}

static inline void expect_whole_only(struct span stored, codec_decode *decode)
{
        AUTO_BUF struct buf longer = {0};

        assert_int_equal(decode_exact(stored, decode), HIF_OK);
        for (size_t size = 0; size < stored.size; size++) {
                enum hif_err err = decode_exact(span_of(stored.data, size), decode);

                if (err != HIF_ECORRUPT)
                        print_error("cut to %zu bytes: %s\n", size, hif_err_name(err));
                assert_int_equal(err, HIF_ECORRUPT);
        }
        buf_put_span(&longer, stored);
        buf_put_u8(&longer, 0);
        assert_int_equal(decode_exact(buf_span(&longer), decode), HIF_ECORRUPT);
}

/* Any answer will do, but a crash. */
static inline void expect_survives_flips(struct span stored, codec_decode *decode, uint64_t seed,
                                         unsigned rounds)
{
        AUTO_FREE uint8_t *copy = malloc(stored.size);
        uint64_t random = seed;

        assert_non_null(copy);
        assert_true(stored.size > 0);
        for (unsigned round = 0; round < rounds; round++) {
                unsigned flips = 1 + (unsigned)(next_random(&random) % 8);
                enum hif_err err;

                memcpy(copy, stored.data, stored.size);
                for (unsigned i = 0; i < flips; i++) {
                        size_t bit = next_random(&random) % (stored.size * 8);

                        copy[bit / 8] ^= (uint8_t)(1u << (bit & 7));
                }
                err = decode(span_of(copy, stored.size));
                if (err != HIF_OK && err != HIF_ECORRUPT && err != HIF_EUNSUPPORTED)
                        print_error("seed %llu, round %u: %s\n", (unsigned long long)seed, round,
                                    hif_err_name(err));
                assert_true(err == HIF_OK || err == HIF_ECORRUPT || err == HIF_EUNSUPPORTED);
        }
}

/* One byte changed: for the fields that have one right value. */
static inline enum hif_err decode_with(struct span stored, size_t at, uint8_t value,
                                       codec_decode *decode)
{
        AUTO_FREE uint8_t *copy = malloc(stored.size);

        assert_non_null(copy);
        assert_true(at < stored.size);
        memcpy(copy, stored.data, stored.size);
        copy[at] = value;
        return decode(span_of(copy, stored.size));
}

#endif
