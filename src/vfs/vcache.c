#include "vfs/internal.h"

#include <assert.h>
#include <stdlib.h>

/* Room beyond VCACHE_MAX for what one call may add before the next trim; more goes by uncached
 * growth of the ring. */
#define RING_START (VCACHE_MAX * 2)

enum hif_err vcache_init(struct vcache *cache)
{
        *cache = (struct vcache){0};
        cache->ring = malloc(RING_START * sizeof(*cache->ring)); /* untouched where unused */
        return cache->ring != NULL ? HIF_OK : HIF_ENOMEM;
}

void vcache_clear(struct vcache *cache)
{
        for (size_t i = 0; i < cache->count; i++)
                free(cache->ring[(cache->first + i) % RING_START]);
        map_free(&cache->by_id);
        cache->first = cache->count = 0;
}

void vcache_free(struct vcache *cache)
{
        if (cache->ring == NULL)
                return;
        vcache_clear(cache);
        free(cache->ring);
        *cache = (struct vcache){0};
}

void vcache_trim(struct vcache *cache)
{
        /* Second chance: at most one full round, since every look clears `used`. */
        while (cache->count > VCACHE_MAX) {
                struct vcached *oldest = cache->ring[cache->first];

                cache->first = (cache->first + 1) % RING_START;
                cache->count--;
                if (oldest->used) {
                        oldest->used = false;
                        cache->ring[(cache->first + cache->count++) % RING_START] = oldest;
                        continue;
                }
                map_del(&cache->by_id, oldest->id);
                free(oldest);
        }
}

struct vcached *vcache_get(struct vcache *cache, uint64_t id)
{
        struct vcached *cached = map_get(&cache->by_id, id);

        if (cached != NULL)
                cached->used = true;
        return cached;
}

struct vcached *vcache_put(struct vcache *cache, uint64_t id, uint64_t rank, struct span key,
                           const struct entry *entry)
{
        struct vcached *cached;

        if (cache->count == RING_START)
                return NULL;
        cached = malloc(sizeof(*cached) + key.size);
        if (cached == NULL)
                return NULL;
        *cached = (struct vcached){
            .id = id, .rank = rank, .entry = *entry, .key_size = (uint32_t)key.size};
        cached->entry.target = cached->entry.ext = (struct span){0};
        if (key.size > 0)
                memcpy(cached->key, key.data, key.size);
        assert(map_get(&cache->by_id, id) == NULL);
        if (map_put(&cache->by_id, id, cached) != HIF_OK) {
                free(cached);
                return NULL;
        }
        cache->ring[(cache->first + cache->count++) % RING_START] = cached;
        return cached;
}
