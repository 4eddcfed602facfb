/* slab.h - memory for rows, with room that can be reserved ahead.
 *
 * A transaction reserves the most that applying its record can need before the record is logged, so
 * that applying cannot fail. Freed pieces are kept by size class. Not thread-safe. */
#ifndef HIF_OVERLAY_SLAB_H
#define HIF_OVERLAY_SLAB_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define SLAB_FINE_MAX 512 /* up to here classes are 16 bytes apart, above powers of two */
#define SLAB_CLASSES  (SLAB_FINE_MAX / 16 + 40)

struct slab_chunk;

/* Zero-initialised is empty and valid. */
struct slab {
        void *free[SLAB_CLASSES];
        uint8_t *bump;
        size_t bump_left;
        struct slab_chunk *chunks;
};

/* The bytes that slab_alloc(size) takes at most. */
size_t slab_cost(size_t size);
/* The next slab_alloc calls of together `bytes` (in slab_cost) succeed. HIF_ENOMEM. */
HIF_MUST_USE enum hif_err slab_reserve(struct slab *slab, size_t bytes);
/* 16-byte aligned, uninitialised; NULL when out of memory. */
void *slab_alloc(struct slab *slab, size_t size);
/* size as it was allocated; NULL is fine. */
void slab_free(struct slab *slab, void *ptr, size_t size);
/* Everything at once; leaves it empty and valid. */
void slab_release(struct slab *slab);

#endif
