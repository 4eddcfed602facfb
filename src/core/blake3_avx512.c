/* blake3_avx512.c - sixteen lanes, and fewer with the same rotate instruction. */
#include "core/blake3_impl.h"

#include <immintrin.h>

#define ROR16(v) _mm_ror_epi32(v, 16)
#define ROR12(v) _mm_ror_epi32(v, 12)
#define ROR8(v)  _mm_ror_epi32(v, 8)
#define ROR7(v)  _mm_ror_epi32(v, 7)
#include "core/blake3_row1.h"

static blake3_kernel rows4, kernel8, kernel16;

#define QUARTER(p)          _mm_loadu_si128((const __m128i *)(const void *)(p))
#define STORE_QUARTER(p, v) _mm_storeu_si128((__m128i *)(void *)(p), v)

#define FOUR(lane, offset, step)                                                                   \
        _mm512_inserti32x4(                                                                        \
            _mm512_inserti32x4(                                                                    \
                _mm512_inserti32x4(_mm512_castsi128_si512(QUARTER((lane)[0] + (offset))),          \
                                   QUARTER((lane)[step] + (offset)), 1),                           \
                QUARTER((lane)[2 * (step)] + (offset)), 2),                                        \
            QUARTER((lane)[3 * (step)] + (offset)), 3)
#define STORE_FOUR(v, out, step)                                                                   \
        do {                                                                                       \
                STORE_QUARTER(out, _mm512_castsi512_si128(v));                                     \
                STORE_QUARTER((out) + (step), _mm512_extracti32x4_epi32(v, 1));                    \
                STORE_QUARTER((out) + 2 * (step), _mm512_extracti32x4_epi32(v, 2));                \
                STORE_QUARTER((out) + 3 * (step), _mm512_extracti32x4_epi32(v, 3));                \
        } while (0)

#define ROWS              4
#define ROWS_NAME         rows4
#define vec               __m512i
#define R_ADD             _mm512_add_epi32
#define R_XOR             _mm512_xor_si512
#define R_ROR16(v)        _mm512_ror_epi32(v, 16)
#define R_ROR12(v)        _mm512_ror_epi32(v, 12)
#define R_ROR8(v)         _mm512_ror_epi32(v, 8)
#define R_ROR7(v)         _mm512_ror_epi32(v, 7)
#define R_ORDER(v, order) _mm512_shuffle_epi32(v, (_MM_PERM_ENUM)(order))
#define R_PICK(v, w, order)                                                                        \
        _mm512_castps_si512(                                                                       \
            _mm512_shuffle_ps(_mm512_castsi512_ps(v), _mm512_castsi512_ps(w), order))
#define R_WORD2(v, w)          _mm512_mask_blend_epi32(0x4444, v, w)
#define R_WORD3(v, w)          _mm512_mask_blend_epi32(0x8888, v, w)
#define R_HIGH32               _mm512_unpackhi_epi32
#define R_LOW64                _mm512_unpacklo_epi64
#define R_SET(low, high)       _mm512_setr_epi64(low, high, low, high, low, high, low, high)
#define R_ALL(words)           _mm512_broadcast_i32x4(QUARTER(words))
#define R_LOADU(words)         _mm512_loadu_si512(words)
#define R_GATHER(lane, offset) FOUR(lane, offset, 1)
#define R_SCATTER(v, out)      STORE_FOUR(v, out, HIF_HASH_SIZE)
#include "core/blake3_rows.h"

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

#define LANES                     16
#define KERNEL                    kernel16
#define vec                       __m512i
#define V_ADD                     _mm512_add_epi32
#define V_XOR                     _mm512_xor_si512
#define V_SET(word)               _mm512_set1_epi32((int)(word))
#define V_LOADU(words)            _mm512_loadu_si512(words)
#define V_ROR16(v)                _mm512_ror_epi32(v, 16)
#define V_ROR12(v)                _mm512_ror_epi32(v, 12)
#define V_ROR8(v)                 _mm512_ror_epi32(v, 8)
#define V_ROR7(v)                 _mm512_ror_epi32(v, 7)
#define V_LOW32                   _mm512_unpacklo_epi32
#define V_HIGH32                  _mm512_unpackhi_epi32
#define V_LOW64                   _mm512_unpacklo_epi64
#define V_HIGH64                  _mm512_unpackhi_epi64
#define V_GATHER(lane, offset)    FOUR(lane, offset, 4)
#define V_SCATTER(v, out, stride) STORE_FOUR(v, out, 4 * (stride))
#include "core/blake3_lanes.h"

static bool supported(void)
{
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl");
}

const struct blake3_ops blake3_avx512 = {
    .name = "avx512",
    .supported = supported,
    .chain = chain,
    .kernels = {{4, rows4}, {8, kernel8}, {16, kernel16}},
};
