/* sum64.c - the log's checksum: 64x64-bit products folded to 64 bits, in two lanes. */
#include "overlay/oplog.h"

#define PRIME_A 0xa0761d6478bd642full
#define PRIME_B 0xe7037ed1a0b428dbull
#define PRIME_C 0x8ebc6af09c88c6e3ull
#define PRIME_D 0x589965cc75374cc3ull

static uint64_t fold(uint64_t a, uint64_t b)
{
        unsigned __int128 product = (unsigned __int128)a * b;

        return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t sum64(uint64_t salt, const void *data, size_t size)
{
        const uint8_t *p = data;
        uint64_t a = salt ^ PRIME_A, b = salt + PRIME_B, total = size;

        for (; size >= 32; p += 32, size -= 32) {
                /* The running value is added again, so that a product of 0 forgets nothing. */
                a = fold(a ^ be64_get(p), be64_get(p + 8) ^ PRIME_C) + a;
                b = fold(b ^ be64_get(p + 16), be64_get(p + 24) ^ PRIME_D) + b;
        }
        if (size > 0) {
                uint8_t last[32] = {0};

                memcpy(last, p, size);
                a = fold(a ^ be64_get(last), be64_get(last + 8) ^ PRIME_C) + a;
                b = fold(b ^ be64_get(last + 16), be64_get(last + 24) ^ PRIME_D) + b;
        }
        return fold(a ^ PRIME_D, b ^ total ^ PRIME_A) ^ fold(b + PRIME_C, a ^ PRIME_B);
}
