/* slab.c - size classes over chunks that are carved from one end. */
#include "overlay/slab.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CHUNK_SIZE_MIN ((size_t)64 << 10)
#define CHUNK_SIZE_MAX ((size_t)2 << 20) /* a huge page */

struct slab_chunk {
        struct slab_chunk *next;
        size_t size;
        uint8_t bytes[];
};

static size_t class_of(size_t size)
{
        if (size <= SLAB_FINE_MAX)
                return size == 0 ? 0 : (size - 1) / 16;
        /* 513..1024 is the first class above the fine ones. */
        return SLAB_FINE_MAX / 16 + (size_t)(64 - __builtin_clzll(size - 1) - 10);
}

size_t slab_cost(size_t size)
{
        if (size <= SLAB_FINE_MAX)
                return size == 0 ? 16 : (size + 15) & ~(size_t)15;
        return (size_t)1 << (64 - __builtin_clzll(size - 1));
}

/* Small overlays take little; large ones take huge pages where the machine has them. */
static struct slab_chunk *chunk_new(const struct slab *slab, size_t bytes)
{
        size_t size = slab->chunks == NULL ? CHUNK_SIZE_MIN : slab->chunks->size * 2;
        struct slab_chunk *chunk;

        if (size > CHUNK_SIZE_MAX)
                size = CHUNK_SIZE_MAX;
        if (size < bytes + sizeof(*chunk))
                size = (bytes + sizeof(*chunk) + CHUNK_SIZE_MIN - 1) & ~(CHUNK_SIZE_MIN - 1);
        if (size < CHUNK_SIZE_MAX) {
                chunk = malloc(size);
        } else {
                size = (size + CHUNK_SIZE_MAX - 1) & ~(CHUNK_SIZE_MAX - 1);
                chunk = aligned_alloc(CHUNK_SIZE_MAX, size);
                if (chunk != NULL)
                        /* Advice: nothing depends on it. */
                        (void)madvise(chunk, size, MADV_HUGEPAGE);
        }
        if (chunk != NULL)
                chunk->size = size;
        return chunk;
}

enum hif_err slab_reserve(struct slab *slab, size_t bytes)
{
        struct slab_chunk *chunk;

        if (slab->bump_left >= bytes)
                return HIF_OK;
        chunk = chunk_new(slab, bytes);
        if (chunk == NULL)
                return HIF_ENOMEM;
        chunk->next = slab->chunks;
        slab->chunks = chunk;
        slab->bump = chunk->bytes;
        slab->bump_left = chunk->size - sizeof(*chunk);
        return HIF_OK;
}

void *slab_alloc(struct slab *slab, size_t size)
{
        size_t class = class_of(size), cost = slab_cost(size);
        void *ptr = slab->free[class];

        assert(class < SLAB_CLASSES);
        if (ptr != NULL) {
                memcpy(&slab->free[class], ptr, sizeof(void *));
                return ptr;
        }
        if (slab->bump_left < cost && slab_reserve(slab, cost) != HIF_OK)
                return NULL;
        ptr = slab->bump;
        slab->bump += cost;
        slab->bump_left -= cost;
        return ptr;
}

void slab_free(struct slab *slab, void *ptr, size_t size)
{
        size_t class = class_of(size);

        if (ptr == NULL)
                return;
        memcpy(ptr, &slab->free[class], sizeof(void *));
        slab->free[class] = ptr;
}

void slab_release(struct slab *slab)
{
        while (slab->chunks != NULL) {
                struct slab_chunk *next = slab->chunks->next;

                free(slab->chunks);
                slab->chunks = next;
        }
        *slab = (struct slab){0};
}
