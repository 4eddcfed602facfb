/* blake3_chain.h - one input at a time, the state's four rows in four vectors of 128 bits. Included
 * by each x86 back end, which defines ROR16, ROR12, ROR8 and ROR7 of four words.
 *
 * What bounds it is latency: the adds, xors and rotations of a round wait for each other. So the
 * rest is kept off that path: row b, the last to be ready, never moves (rows a, c and d turn
 * instead), and the message words of the next round are arranged while this one runs. */
#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))

/* Two words of `a`, then two of `b`. */
#define PICK(a, b, a0, a1, b0, b1)                                                                 \
        _mm_castps_si128(                                                                          \
            _mm_shuffle_ps(_mm_castsi128_ps(a), _mm_castsi128_ps(b), _MM_SHUFFLE(b1, b0, a1, a0)))
#define ORDER(a, i0, i1, i2, i3) _mm_shuffle_epi32(a, _MM_SHUFFLE(i3, i2, i1, i0))

/* The message as a round takes it: w0 and w1 are x and y of its columns, w2 and w3 those of its
 * diagonals, turned by one because row b stays. */
struct words {
        __m128i w0; /*  0  2  4  6 */
        __m128i w1; /*  1  3  5  7 */
        __m128i w2; /* 14  8 10 12 */
        __m128i w3; /* 15  9 11 13 */
};

INLINE struct words load_words(const uint8_t *block)
{
        const __m128i *in = (const __m128i *)(const void *)block;
        __m128i a = _mm_loadu_si128(in), b = _mm_loadu_si128(in + 1);
        __m128i c = _mm_loadu_si128(in + 2), d = _mm_loadu_si128(in + 3);
        __m128i even = PICK(c, d, 0, 2, 0, 2), odd = PICK(c, d, 1, 3, 1, 3);

        return (struct words){
            .w0 = PICK(a, b, 0, 2, 0, 2),
            .w1 = PICK(a, b, 1, 3, 1, 3),
            .w2 = ORDER(even, 3, 0, 1, 2),
            .w3 = ORDER(odd, 3, 0, 1, 2),
        };
}

/* §2.3 on that order:  w0 := 2 3 7 4    w1 := 6 10 0 13    w2 := 15 1 12 9    w3 := 8 11 5 14 */
INLINE struct words permute(struct words m)
{
        __m128i w0 = PICK(m.w0, m.w1, 1, 2, 1, 3);      /* 2 4 3 7 */
        __m128i w1 = _mm_blend_epi16(m.w3, m.w2, 0x30); /* . . 10 13 */
        __m128i w2 = _mm_blend_epi16(m.w1, m.w2, 0xc0); /* 1 . . 12 */
        __m128i w3 = _mm_unpackhi_epi32(m.w3, m.w1);    /* 11 5 . . */

        w1 = PICK(m.w0, w1, 3, 0, 2, 3); /* 6 0 10 13 */
        w2 = PICK(m.w3, w2, 0, 1, 0, 3); /* 15 9 1 12 */
        w3 = PICK(m.w2, w3, 1, 0, 0, 1); /* 8 14 11 5 */
        return (struct words){
            .w0 = ORDER(w0, 0, 2, 3, 1),
            .w1 = ORDER(w1, 0, 2, 1, 3),
            .w2 = ORDER(w2, 0, 2, 3, 1),
            .w3 = ORDER(w3, 0, 2, 3, 1),
        };
}

struct rows {
        __m128i a;
        __m128i b;
        __m128i c;
        __m128i d;
};

/* §3.2, four times side by side */
INLINE struct rows mix4(struct rows v, __m128i x, __m128i y)
{
        v.a = _mm_add_epi32(_mm_add_epi32(v.a, x), v.b);
        v.d = ROR16(_mm_xor_si128(v.d, v.a));
        v.c = _mm_add_epi32(v.c, v.d);
        v.b = ROR12(_mm_xor_si128(v.b, v.c));
        v.a = _mm_add_epi32(_mm_add_epi32(v.a, y), v.b);
        v.d = ROR8(_mm_xor_si128(v.d, v.a));
        v.c = _mm_add_epi32(v.c, v.d);
        v.b = ROR7(_mm_xor_si128(v.b, v.c));
        return v;
}

INLINE struct rows mix_round(struct rows v, struct words m)
{
        v = mix4(v, m.w0, m.w1);
        v.a = ORDER(v.a, 3, 0, 1, 2);
        v.d = ORDER(v.d, 2, 3, 0, 1);
        v.c = ORDER(v.c, 1, 2, 3, 0);
        v = mix4(v, m.w2, m.w3);
        v.a = ORDER(v.a, 1, 2, 3, 0);
        v.d = ORDER(v.d, 2, 3, 0, 1);
        v.c = ORDER(v.c, 3, 0, 1, 2);
        return v;
}

static void chain(uint32_t cv[8], const uint8_t *blocks, size_t count, unsigned last_size,
                  uint64_t counter, uint8_t flags, uint8_t first_flags, uint8_t last_flags)
{
        const __m128i iv =
            _mm_setr_epi32((int)BLAKE3_IV0, (int)BLAKE3_IV1, (int)BLAKE3_IV2, (int)BLAKE3_IV3);
        __m128i *const state = (__m128i *)(void *)cv;
        __m128i low = _mm_loadu_si128(state), high = _mm_loadu_si128(state + 1);
        unsigned block_flags = (unsigned)flags | first_flags;

        for (size_t i = 0; i < count; i++, block_flags = flags) {
                bool last = i + 1 == count;
                unsigned size = last ? last_size : BLAKE3_BLOCK_SIZE;
                struct words m = load_words(blocks + i * BLAKE3_BLOCK_SIZE);
                struct rows v;

                block_flags |= last ? last_flags : 0U;
                v = (struct rows){low, high, iv,
                                  _mm_set_epi64x((int64_t)((uint64_t)block_flags << 32 | size),
                                                 (int64_t)counter)};
                for (int round = 0; round < BLAKE3_ROUNDS - 1; round++) {
                        v = mix_round(v, m);
                        m = permute(m);
                }
                v = mix_round(v, m);
                low = _mm_xor_si128(v.a, v.c);
                high = _mm_xor_si128(v.b, v.d);
        }
        _mm_storeu_si128(state, low);
        _mm_storeu_si128(state + 1, high);
}

#undef INLINE
#undef PICK
#undef ORDER
