/* blake3_portable.c - the compression function in plain C. */
#include "core/blake3_impl.h"

const uint32_t blake3_iv[8] = {BLAKE3_IV0, BLAKE3_IV1, BLAKE3_IV2, BLAKE3_IV3,
                               BLAKE3_IV4, BLAKE3_IV5, BLAKE3_IV6, BLAKE3_IV7};

static inline uint32_t rotate_right(uint32_t word, unsigned count)
{
        return (word >> count) | (word << (32 - count));
}

/* §3.2 */
static inline __attribute__((always_inline)) void mix(uint32_t v[16], int a, int b, int c, int d,
                                                      uint32_t x, uint32_t y)
{
        v[a] += v[b] + x;
        v[d] = rotate_right(v[d] ^ v[a], 16);
        v[c] += v[d];
        v[b] = rotate_right(v[b] ^ v[c], 12);
        v[a] += v[b] + y;
        v[d] = rotate_right(v[d] ^ v[a], 8);
        v[c] += v[d];
        v[b] = rotate_right(v[b] ^ v[c], 7);
}

static inline __attribute__((always_inline)) void mix_round(uint32_t v[16], const uint32_t m[16],
                                                            int round)
{
        const uint8_t *s = blake3_schedule[round];

        mix(v, 0, 4, 8, 12, m[s[0]], m[s[1]]);
        mix(v, 1, 5, 9, 13, m[s[2]], m[s[3]]);
        mix(v, 2, 6, 10, 14, m[s[4]], m[s[5]]);
        mix(v, 3, 7, 11, 15, m[s[6]], m[s[7]]);
        mix(v, 0, 5, 10, 15, m[s[8]], m[s[9]]);
        mix(v, 1, 6, 11, 12, m[s[10]], m[s[11]]);
        mix(v, 2, 7, 8, 13, m[s[12]], m[s[13]]);
        mix(v, 3, 4, 9, 14, m[s[14]], m[s[15]]);
}

/* §3.3 up to the output transformation, which the callers differ in. */
static inline __attribute__((always_inline)) void compress(uint32_t v[16], const uint32_t cv[8],
                                                           const uint8_t *block, unsigned size,
                                                           uint64_t counter, uint32_t flags)
{
        uint32_t m[16];

        memcpy(m, block, sizeof(m));
        memcpy(v, cv, 8 * sizeof(v[0]));
        v[8] = BLAKE3_IV0;
        v[9] = BLAKE3_IV1;
        v[10] = BLAKE3_IV2;
        v[11] = BLAKE3_IV3;
        v[12] = (uint32_t)counter;
        v[13] = (uint32_t)(counter >> 32);
        v[14] = size;
        v[15] = flags;
        mix_round(v, m, 0);
        mix_round(v, m, 1);
        mix_round(v, m, 2);
        mix_round(v, m, 3);
        mix_round(v, m, 4);
        mix_round(v, m, 5);
        mix_round(v, m, 6);
}

static void chain(uint32_t cv[8], const uint8_t *blocks, size_t count, unsigned last_size,
                  uint64_t counter, uint8_t flags, uint8_t first_flags, uint8_t last_flags)
{
        for (size_t i = 0; i < count; i++) {
                bool last = i + 1 == count;
                uint32_t block_flags = flags;
                uint32_t v[16];

                block_flags |= i == 0 ? first_flags : 0U;
                block_flags |= last ? last_flags : 0U;
                compress(v, cv, blocks + i * BLAKE3_BLOCK_SIZE,
                         last ? last_size : BLAKE3_BLOCK_SIZE, counter, block_flags);
                for (int word = 0; word < 8; word++)
                        cv[word] = v[word] ^ v[word + 8];
        }
}

void blake3_compress_wide(const uint32_t cv[8], const uint8_t block[BLAKE3_BLOCK_SIZE],
                          unsigned size, uint64_t counter, uint8_t flags,
                          uint8_t out[BLAKE3_BLOCK_SIZE])
{
        uint32_t v[16];

        compress(v, cv, block, size, counter, flags);
        for (int word = 0; word < 8; word++) {
                v[word] ^= v[word + 8];
                v[word + 8] ^= cv[word];
        }
        memcpy(out, v, sizeof(v));
}

static bool supported(void)
{
        return true;
}

const struct blake3_ops blake3_portable = {
    .name = "portable",
    .supported = supported,
    .chain = chain,
};
