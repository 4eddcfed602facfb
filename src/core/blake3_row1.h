/* blake3_row1.h - blake3_rows.h for one input, the same for all x86 back ends but for rotations:
 * the includer has ROR16, ROR12, ROR8 and ROR7 of four words. */
#include <immintrin.h>

#define ROWS      1
#define ROWS_NAME chain
#define vec       __m128i
#define R_ADD     _mm_add_epi32
#define R_XOR     _mm_xor_si128
#define R_ROR16   ROR16
#define R_ROR12   ROR12
#define R_ROR8    ROR8
#define R_ROR7    ROR7
#define R_ORDER   _mm_shuffle_epi32
#define R_PICK(v, w, order)                                                                        \
        _mm_castps_si128(_mm_shuffle_ps(_mm_castsi128_ps(v), _mm_castsi128_ps(w), order))
#define R_WORD2(v, w)          _mm_blend_epi16(v, w, 0x30)
#define R_WORD3(v, w)          _mm_blend_epi16(v, w, 0xc0)
#define R_HIGH32               _mm_unpackhi_epi32
#define R_LOW64                _mm_unpacklo_epi64
#define R_SET(low, high)       _mm_set_epi64x(high, low)
#define R_ALL(words)           R_LOADU(words)
#define R_LOADU(words)         _mm_loadu_si128((const __m128i *)(const void *)(words))
#define R_GATHER(lane, offset) R_LOADU((lane)[0] + (offset))
#define R_SCATTER(v, out)      _mm_storeu_si128((__m128i *)(void *)(out), v)
#include "core/blake3_rows.h"
