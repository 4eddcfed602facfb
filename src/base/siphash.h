/* siphash.h - SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed 64-bit hash of short inputs, for
 * hash tables over hostile keys and for the MAC of file handles. */
#ifndef HIF_BASE_SIPHASH_H
#define HIF_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct sipkey {
        uint64_t k0, k1;
};

uint64_t siphash(struct sipkey key, const void *data, size_t size);

#endif
