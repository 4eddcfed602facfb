/* Names (v0..v3, SIPROUND, c = 2, d = 4) follow Aumasson and Bernstein, "SipHash: a fast
 * short-input PRF", section 2. Words are little-endian, as is every machine that we build for. */
#include "base/siphash.h"

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words are loaded as they lie");

struct sipstate {
        uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotl(uint64_t x, unsigned bits)
{
        return x << bits | x >> (64 - bits);
}

static inline void sipround(struct sipstate *s)
{
        s->v0 += s->v1;
        s->v2 += s->v3;
        s->v1 = rotl(s->v1, 13) ^ s->v0;
        s->v3 = rotl(s->v3, 16) ^ s->v2;
        s->v0 = rotl(s->v0, 32);
        s->v2 += s->v1;
        s->v0 += s->v3;
        s->v1 = rotl(s->v1, 17) ^ s->v2;
        s->v3 = rotl(s->v3, 21) ^ s->v0;
        s->v2 = rotl(s->v2, 32);
}

static inline void compress(struct sipstate *s, uint64_t word)
{
        s->v3 ^= word;
        sipround(s);
        sipround(s);
        s->v0 ^= word;
}

uint64_t siphash(struct sipkey key, const void *data, size_t size)
{
        const uint8_t *next = data;
        uint64_t last = (uint64_t)size << 56;
        struct sipstate s = {
            .v0 = key.k0 ^ 0x736f6d6570736575,
            .v1 = key.k1 ^ 0x646f72616e646f6d,
            .v2 = key.k0 ^ 0x6c7967656e657261,
            .v3 = key.k1 ^ 0x7465646279746573,
        };

        for (size_t left = size / 8; left > 0; left--, next += 8) {
                uint64_t word;

                memcpy(&word, next, 8);
                compress(&s, word);
        }
        for (size_t i = 0; i < size % 8; i++)
                last |= (uint64_t)next[i] << (8 * i);
        compress(&s, last);
        s.v2 ^= 0xff;
        for (int i = 0; i < 4; i++)
                sipround(&s);
        return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
