/* blake3_avx2.c - eight lanes. */
#include "core/blake3_impl.h"

#include <immintrin.h>

#define SHIFT_ROR(v, n) _mm_or_si128(_mm_srli_epi32(v, n), _mm_slli_epi32(v, 32 - (n)))
#define ROR16(v)                                                                                   \
        _mm_shuffle_epi8(v, _mm_setr_epi8(2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13))
#define ROR12(v) SHIFT_ROR(v, 12)
#define ROR8(v)                                                                                    \
        _mm_shuffle_epi8(v, _mm_setr_epi8(1, 2, 3, 0, 5, 6, 7, 4, 9, 10, 11, 8, 13, 14, 15, 12))
#define ROR7(v) SHIFT_ROR(v, 7)
#include "core/blake3_row1.h"

static blake3_kernel rows2, kernel8;

#define HALF(p)            _mm_loadu_si128((const __m128i *)(const void *)(p))
#define STORE_HALF(p, v)   _mm_storeu_si128((__m128i *)(void *)(p), v)
#define SHIFT_ROR256(v, n) _mm256_or_si256(_mm256_srli_epi32(v, n), _mm256_slli_epi32(v, 32 - (n)))
#define BYTES256(v, ...)   _mm256_shuffle_epi8(v, _mm256_setr_epi8(__VA_ARGS__, __VA_ARGS__))
#define ROR16_256(v)       BYTES256(v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13)
#define ROR12_256(v)       SHIFT_ROR256(v, 12)
#define ROR8_256(v)        BYTES256(v, 1, 2, 3, 0, 5, 6, 7, 4, 9, 10, 11, 8, 13, 14, 15, 12)
#define ROR7_256(v)        SHIFT_ROR256(v, 7)

#define ROWS      2
#define ROWS_NAME rows2
#define vec       __m256i
#define R_ADD     _mm256_add_epi32
#define R_XOR     _mm256_xor_si256
#define R_ROR16   ROR16_256
#define R_ROR12   ROR12_256
#define R_ROR8    ROR8_256
#define R_ROR7    ROR7_256
#define R_ORDER   _mm256_shuffle_epi32
#define R_PICK(v, w, order)                                                                        \
        _mm256_castps_si256(                                                                       \
            _mm256_shuffle_ps(_mm256_castsi256_ps(v), _mm256_castsi256_ps(w), order))
#define R_WORD2(v, w)    _mm256_blend_epi32(v, w, 0x44)
#define R_WORD3(v, w)    _mm256_blend_epi32(v, w, 0x88)
#define R_HIGH32         _mm256_unpackhi_epi32
#define R_LOW64          _mm256_unpacklo_epi64
#define R_SET(low, high) _mm256_setr_epi64x(low, high, low, high)
#define R_ALL(words)     _mm256_broadcastsi128_si256(HALF(words))
#define R_LOADU(words)   _mm256_loadu_si256((const __m256i *)(const void *)(words))
#define R_GATHER(lane, offset)                                                                     \
        _mm256_inserti128_si256(_mm256_castsi128_si256(HALF((lane)[0] + (offset))),                \
                                HALF((lane)[1] + (offset)), 1)
#define R_SCATTER(v, out)                                                                          \
        do {                                                                                       \
                STORE_HALF(out, _mm256_castsi256_si128(v));                                        \
                STORE_HALF((out) + HIF_HASH_SIZE, _mm256_extracti128_si256(v, 1));                 \
        } while (0)
#include "core/blake3_rows.h"

#define LANES          8
#define KERNEL         kernel8
#define vec            __m256i
#define V_ADD          _mm256_add_epi32
#define V_XOR          _mm256_xor_si256
#define V_SET(word)    _mm256_set1_epi32((int)(word))
#define V_LOADU(words) _mm256_loadu_si256((const __m256i *)(const void *)(words))
#define V_ROR16        ROR16_256
#define V_ROR12        ROR12_256
#define V_ROR8         ROR8_256
#define V_ROR7         ROR7_256
#define V_LOW32        _mm256_unpacklo_epi32
#define V_HIGH32       _mm256_unpackhi_epi32
#define V_LOW64        _mm256_unpacklo_epi64
#define V_HIGH64       _mm256_unpackhi_epi64
#define V_GATHER(lane, byte)                                                                       \
        _mm256_inserti128_si256(_mm256_castsi128_si256(HALF((lane)[0] + (byte))),                  \
                                HALF((lane)[4] + (byte)), 1)
#define V_SCATTER(v, out, stride)                                                                  \
        do {                                                                                       \
                STORE_HALF(out, _mm256_castsi256_si128(v));                                        \
                STORE_HALF((out) + 4 * (stride), _mm256_extracti128_si256(v, 1));                  \
        } while (0)
#include "core/blake3_lanes.h"

static bool supported(void)
{
        return __builtin_cpu_supports("avx2");
}

const struct blake3_ops blake3_avx2 = {
    .name = "avx2",
    .supported = supported,
    .chain = chain,
    .kernels = {{2, rows2}, {4, blake3_sse41_kernel4}, {8, kernel8}},
};
