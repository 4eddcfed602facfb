/* bloom.h - a filter over paths: may say maybe wrongly, never no wrongly.
 *
 * Double hashing of BLAKE3(path): bit i is h1 + i * h2 modulo the bit count, with h1, h2 the first
 * two 64-bit words (Kirsch and Mitzenmacher, 2006). Sized by item count for p = 1e-4. Holds each
 * path touched and every ancestor directory. Test your own paths against the other side's filter;
 * a shared bit between two filters means nothing. */
#ifndef HIF_CORE_BLOOM_H
#define HIF_CORE_BLOOM_H

#include "base/buf.h"
#include "base/err.h"

#define BLOOM_HASHES        14
#define BLOOM_BITS_PER_ITEM 20 /* p = 6.7e-5 with 14 hashes */

struct bloom {
        uint8_t *bits;
        uint32_t bit_count; /* a multiple of 64; 0 = empty filter: nothing is in it */
        uint32_t item_count;
};

/* Zero-initialised is empty and valid. */
HIF_MUST_USE enum hif_err bloom_init(struct bloom *bloom, uint32_t items_expected);
void bloom_free(struct bloom *bloom);
void bloom_add(struct bloom *bloom, struct span item);
/* The path and every ancestor directory but the root. */
void bloom_add_path(struct bloom *bloom, struct span path);
bool bloom_maybe(const struct bloom *bloom, struct span item);
/* Or another of the same bit count into this one (HIF_EINVAL otherwise). */
HIF_MUST_USE enum hif_err bloom_merge(struct bloom *bloom, const struct bloom *other);

/* bit_count u32, item_count u32, bits. */
void bloom_put(struct buf *out, const struct bloom *bloom);
HIF_MUST_USE enum hif_err bloom_get(struct reader *rd, struct bloom *out); /* owns a copy */

#endif
