/* blake3_avx512.c - sixteen lanes, and fewer with the same rotate instruction. */
#include "core/blake3_impl.h"

#include <immintrin.h>

#define ROR16(v) _mm_ror_epi32(v, 16)
#define ROR12(v) _mm_ror_epi32(v, 12)
#define ROR8(v)  _mm_ror_epi32(v, 8)
#define ROR7(v)  _mm_ror_epi32(v, 7)
#include "core/blake3_chain.h"

static blake3_kernel kernel4, kernel8, kernel16;

#define QUARTER(p)          _mm_loadu_si128((const __m128i *)(const void *)(p))
#define STORE_QUARTER(p, v) _mm_storeu_si128((__m128i *)(void *)(p), v)

#define LANES                     4
#define KERNEL                    kernel4
#define vec                       __m128i
#define V_ADD                     _mm_add_epi32
#define V_XOR                     _mm_xor_si128
#define V_SET(word)               _mm_set1_epi32((int)(word))
#define V_LOADU(words)            QUARTER(words)
#define V_ROR16                   ROR16
#define V_ROR12                   ROR12
#define V_ROR8                    ROR8
#define V_ROR7                    ROR7
#define V_LOW32                   _mm_unpacklo_epi32
#define V_HIGH32                  _mm_unpackhi_epi32
#define V_LOW64                   _mm_unpacklo_epi64
#define V_HIGH64                  _mm_unpackhi_epi64
#define V_GATHER(lane, byte)      QUARTER((lane)[0] + (byte))
#define V_SCATTER(v, out, stride) STORE_QUARTER(out, v)
#include "core/blake3_lanes.h"

#define LANES          8
#define KERNEL         kernel8
#define vec            __m256i
#define V_ADD          _mm256_add_epi32
#define V_XOR          _mm256_xor_si256
#define V_SET(word)    _mm256_set1_epi32((int)(word))
#define V_LOADU(words) _mm256_loadu_si256((const __m256i *)(const void *)(words))
#define V_ROR16(v)     _mm256_ror_epi32(v, 16)
#define V_ROR12(v)     _mm256_ror_epi32(v, 12)
#define V_ROR8(v)      _mm256_ror_epi32(v, 8)
#define V_ROR7(v)      _mm256_ror_epi32(v, 7)
#define V_LOW32        _mm256_unpacklo_epi32
#define V_HIGH32       _mm256_unpackhi_epi32
#define V_LOW64        _mm256_unpacklo_epi64
#define V_HIGH64       _mm256_unpackhi_epi64
#define V_GATHER(lane, byte)                                                                       \
        _mm256_inserti32x4(_mm256_castsi128_si256(QUARTER((lane)[0] + (byte))),                    \
                           QUARTER((lane)[4] + (byte)), 1)
#define V_SCATTER(v, out, stride)                                                                  \
        do {                                                                                       \
                STORE_QUARTER(out, _mm256_castsi256_si128(v));                                     \
                STORE_QUARTER((out) + 4 * (stride), _mm256_extracti32x4_epi32(v, 1));              \
        } while (0)
#include "core/blake3_lanes.h"

#define LANES          16
#define KERNEL         kernel16
#define vec            __m512i
#define V_ADD          _mm512_add_epi32
#define V_XOR          _mm512_xor_si512
#define V_SET(word)    _mm512_set1_epi32((int)(word))
#define V_LOADU(words) _mm512_loadu_si512(words)
#define V_ROR16(v)     _mm512_ror_epi32(v, 16)
#define V_ROR12(v)     _mm512_ror_epi32(v, 12)
#define V_ROR8(v)      _mm512_ror_epi32(v, 8)
#define V_ROR7(v)      _mm512_ror_epi32(v, 7)
#define V_LOW32        _mm512_unpacklo_epi32
#define V_HIGH32       _mm512_unpackhi_epi32
#define V_LOW64        _mm512_unpacklo_epi64
#define V_HIGH64       _mm512_unpackhi_epi64
#define V_GATHER(lane, byte)                                                                       \
        _mm512_inserti32x4(_mm512_inserti32x4(_mm512_inserti32x4(_mm512_castsi128_si512(           \
                                                                     QUARTER((lane)[0] + (byte))), \
                                                                 QUARTER((lane)[4] + (byte)), 1),  \
                                              QUARTER((lane)[8] + (byte)), 2),                     \
                           QUARTER((lane)[12] + (byte)), 3)
#define V_SCATTER(v, out, stride)                                                                  \
        do {                                                                                       \
                STORE_QUARTER(out, _mm512_castsi512_si128(v));                                     \
                STORE_QUARTER((out) + 4 * (stride), _mm512_extracti32x4_epi32(v, 1));              \
                STORE_QUARTER((out) + 8 * (stride), _mm512_extracti32x4_epi32(v, 2));              \
                STORE_QUARTER((out) + 12 * (stride), _mm512_extracti32x4_epi32(v, 3));             \
        } while (0)
#include "core/blake3_lanes.h"

static bool supported(void)
{
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl");
}

const struct blake3_ops blake3_avx512 = {
    .name = "avx512",
    .supported = supported,
    .chain = chain,
    .kernels = {{4, kernel4}, {8, kernel8}, {16, kernel16}},
};
