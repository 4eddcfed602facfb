/* slab.c - size classes over chunks that are carved from one end. */
#include "overlay/slab.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_SIZE ((size_t)1 << 20)

struct slab_chunk {
        struct slab_chunk *next;
        void *align;
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

enum hif_err slab_reserve(struct slab *slab, size_t bytes)
{
        struct slab_chunk *chunk;
        size_t size = bytes > CHUNK_SIZE ? bytes : CHUNK_SIZE;

        if (slab->bump_left >= bytes)
                return HIF_OK;
        chunk = malloc(sizeof(*chunk) + size);
        if (chunk == NULL)
                return HIF_ENOMEM;
        chunk->next = slab->chunks;
        slab->chunks = chunk;
        slab->bump = chunk->bytes;
        slab->bump_left = size;
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
