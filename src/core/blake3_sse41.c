/* blake3_sse41.c - four lanes. */
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

#define LANES                     4
#define KERNEL                    blake3_sse41_kernel4
#define vec                       __m128i
#define V_ADD                     _mm_add_epi32
#define V_XOR                     _mm_xor_si128
#define V_SET(word)               _mm_set1_epi32((int)(word))
#define V_LOADU(words)            _mm_loadu_si128((const __m128i *)(const void *)(words))
#define V_ROR16                   ROR16
#define V_ROR12                   ROR12
#define V_ROR8                    ROR8
#define V_ROR7                    ROR7
#define V_LOW32                   _mm_unpacklo_epi32
#define V_HIGH32                  _mm_unpackhi_epi32
#define V_LOW64                   _mm_unpacklo_epi64
#define V_HIGH64                  _mm_unpackhi_epi64
#define V_GATHER(lane, byte)      _mm_loadu_si128((const __m128i *)(const void *)((lane)[0] + (byte)))
#define V_SCATTER(v, out, stride) _mm_storeu_si128((__m128i *)(void *)(out), v)
#include "core/blake3_lanes.h"

static bool supported(void)
{
        return __builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("ssse3");
}

const struct blake3_ops blake3_sse41 = {
    .name = "sse41",
    .supported = supported,
    .chain = chain,
    .kernels = {{4, blake3_sse41_kernel4}},
};
