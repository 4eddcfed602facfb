/* bloom.h - a filter over paths: may say maybe wrongly, never no wrongly.
 *
 * Enhanced double hashing of BLAKE3(path): bit i is h1 + i * h2 + (i^3 - i) / 6 modulo 2^64, modulo
 * the bit count, with h1, h2 the first two 64-bit words (Kirsch and Mitzenmacher, 2006; Dillinger
 * and Manolios, 2004, for the cubic term: without it filters of a few dozen paths say maybe ten
 * times too often). Sized by item count for p = 1e-4. Holds each path touched and every ancestor
 * directory. Test your own paths against the other side's filter; a shared bit between two filters
 * means nothing. */
#ifndef HIF_CORE_BLOOM_H
#define HIF_CORE_BLOOM_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#define BLOOM_HASHES        14
#define BLOOM_BITS_PER_ITEM 20 /* p = 6.7e-5 with 14 hashes */
#define BLOOM_BIT_COUNT_MAX (1u << 31)

struct bloom {
        uint8_t *bits;
        uint32_t bit_count;  /* a multiple of 64; 0 = empty filter: nothing is in it */
        uint32_t item_count; /* adds that set a bit: about the number of different items */
};

/* Zero-initialised is empty and valid: nothing is in it, and nothing may be added (asserted).
 * HIF_ELIMIT: over BLOOM_BIT_COUNT_MAX. */
HIF_MUST_USE enum hif_err bloom_init(struct bloom *bloom, uint32_t items_expected);
void bloom_free(struct bloom *bloom);
void bloom_add(struct bloom *bloom, struct span item);
/* The path and every ancestor directory but the root; for the root nothing. */
void bloom_add_path(struct bloom *bloom, struct span path);
bool bloom_maybe(const struct bloom *bloom, struct span item);
/* Or another of the same bit count into this one (HIF_EINVAL otherwise). */
HIF_MUST_USE enum hif_err bloom_merge(struct bloom *bloom, const struct bloom *other);

/*      0   4   bit count, a multiple of 64
 *      4   4   item count
 *      8   ..  bit count / 8 bytes; bit b is bit b % 8, from the lowest, of byte b / 8
 */
void bloom_put(struct buf *out, const struct bloom *bloom);
HIF_MUST_USE enum hif_err bloom_get(struct reader *rd, struct bloom *out); /* owns a copy */
/* The same with the bits in an arena: no bloom_free. */
HIF_MUST_USE enum hif_err bloom_get_arena(struct reader *rd, struct arena *arena,
                                          struct bloom *out);

#endif
