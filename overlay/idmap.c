/* idmap.c - linear probing with deletion by backward shift, in 256 shards. */
#include "overlay/idmap.h"

#include <assert.h>
#include <stdlib.h>

struct idmap_slot {
        uint64_t id;
        void *value; /* NULL: free */
};

static uint64_t mix(uint64_t id)
{
        /* Fibonacci hashing, folded so that the low bits depend on all. */
        id ^= id >> 32;
        id *= 0x9e3779b97f4a7c15ull;
        id ^= id >> 29;
        return id * 0xbf58476d1ce4e5b9ull;
}

static struct idmap_slot *slot_of(const struct idmap_shard *shard, uint64_t hash, uint64_t id)
{
        uint32_t mask = shard->capacity - 1;

        for (uint32_t i = (uint32_t)(hash >> 24) & mask;; i = (i + 1) & mask) {
                struct idmap_slot *slot = &shard->slots[i];

                if (slot->value == NULL || slot->id == id)
                        return slot;
        }
}

static enum hif_err shard_grow(struct idmap_shard *shard, uint32_t count)
{
        struct idmap_shard bigger = *shard;

        if ((uint64_t)count * 4 <= (uint64_t)shard->capacity * 3)
                return HIF_OK;
        if (bigger.capacity == 0)
                bigger.capacity = 8;
        while ((uint64_t)count * 4 > (uint64_t)bigger.capacity * 3)
                bigger.capacity *= 2;
        bigger.slots = calloc(bigger.capacity, sizeof(*bigger.slots));
        if (bigger.slots == NULL)
                return HIF_ENOMEM;
        for (uint32_t i = 0; i < shard->capacity; i++) {
                struct idmap_slot *slot = &shard->slots[i];

                if (slot->value != NULL)
                        *slot_of(&bigger, mix(slot->id), slot->id) = *slot;
        }
        free(shard->slots);
        *shard = bigger;
        return HIF_OK;
}

void idmap_free(struct idmap *map)
{
        for (size_t i = 0; i < IDMAP_SHARDS; i++) {
                free(map->shards[i].slots);
                map->shards[i] = (struct idmap_shard){0};
        }
        map->count = 0;
}

void *idmap_get(const struct idmap *map, uint64_t id)
{
        uint64_t hash = mix(id);
        const struct idmap_shard *shard = &map->shards[hash >> 56];

        return shard->count == 0 ? NULL : slot_of(shard, hash, id)->value;
}

enum hif_err idmap_put(struct idmap *map, uint64_t id, void *value)
{
        uint64_t hash = mix(id);
        struct idmap_shard *shard = &map->shards[hash >> 56];
        struct idmap_slot *slot;

        assert(value != NULL);
        if (shard->capacity != 0) {
                slot = slot_of(shard, hash, id);
                if (slot->value != NULL) {
                        slot->value = value;
                        return HIF_OK;
                }
        }
        if (shard_grow(shard, shard->count + 1) != HIF_OK)
                return HIF_ENOMEM;
        *slot_of(shard, hash, id) = (struct idmap_slot){.id = id, .value = value};
        shard->count++;
        map->count++;
        return HIF_OK;
}

void *idmap_del(struct idmap *map, uint64_t id)
{
        uint64_t hash = mix(id);
        struct idmap_shard *shard = &map->shards[hash >> 56];
        uint32_t mask = shard->capacity - 1;
        struct idmap_slot *slot;
        uint32_t hole, i;
        void *value;

        if (shard->count == 0)
                return NULL;
        slot = slot_of(shard, hash, id);
        value = slot->value;
        if (value == NULL)
                return NULL;
        hole = (uint32_t)(slot - shard->slots);
        for (i = (hole + 1) & mask; shard->slots[i].value != NULL; i = (i + 1) & mask) {
                uint32_t home = (uint32_t)(mix(shard->slots[i].id) >> 24) & mask;

                /* Its home lies outside (hole, i]: it may move into the hole. */
                if (((i - home) & mask) >= ((i - hole) & mask)) {
                        shard->slots[hole] = shard->slots[i];
                        hole = i;
                }
        }
        shard->slots[hole].value = NULL;
        shard->count--;
        map->count--;
        return value;
}

enum hif_err idmap_reserve(struct idmap *map, uint64_t id)
{
        struct idmap_shard *shard = &map->shards[mix(id) >> 56];

        if (shard_grow(shard, shard->count + shard->reserved + 1) != HIF_OK)
                return HIF_ENOMEM;
        shard->reserved++;
        return HIF_OK;
}

void idmap_unreserve(struct idmap *map, uint64_t id)
{
        struct idmap_shard *shard = &map->shards[mix(id) >> 56];

        assert(shard->reserved > 0);
        shard->reserved--;
}

bool idmap_next(const struct idmap *map, struct idmap_at *at, uint64_t *id, void **value)
{
        for (; at->shard < IDMAP_SHARDS; at->shard++, at->slot = 0) {
                const struct idmap_shard *shard = &map->shards[at->shard];

                while (at->slot < shard->capacity) {
                        const struct idmap_slot *slot = &shard->slots[at->slot++];

                        if (slot->value == NULL)
                                continue;
                        *id = slot->id;
                        *value = slot->value;
                        return true;
                }
        }
        return false;
}
