/* Linear probing. A deletion moves later entries of the run back instead of leaving a tombstone
 * (Knuth, TAOCP 6.4, algorithm R), so that lookups stay short whatever the history. */
#include "base/map.h"

#include <assert.h>
#include <stdlib.h>

#define CAPACITY_MIN 16

struct map_slot {
        uint64_t key;
        void *value; /* NULL: free */
};

/* The finaliser of MurmurHash3: a bijection under which every input bit reaches every output bit.
 */
static uint64_t mix(uint64_t x)
{
        x ^= x >> 33;
        x *= 0xff51afd7ed558ccd;
        x ^= x >> 33;
        x *= 0xc4ceb9fe1a85ec53;
        x ^= x >> 33;
        return x;
}

static size_t slot_home(const struct map *map, uint64_t key)
{
        return (size_t)mix(key) & (map->capacity - 1);
}

/* The slot of key, or the free one where it would go. The map has a free slot. */
static struct map_slot *slot_find(const struct map *map, uint64_t key)
{
        size_t i = slot_home(map, key);

        while (map->slots[i].value && map->slots[i].key != key)
                i = (i + 1) & (map->capacity - 1);
        return &map->slots[i];
}

void map_free(struct map *map)
{
        free(map->slots);
        *map = (struct map){0};
}

void *map_get(const struct map *map, uint64_t key)
{
        return map->capacity ? slot_find(map, key)->value : NULL;
}

static enum hif_err map_grow(struct map *map)
{
        struct map grown = {
            .count = map->count,
            .capacity = map->capacity ? map->capacity * 2 : CAPACITY_MIN,
        };

        grown.slots = calloc(grown.capacity, sizeof(*grown.slots));
        if (!grown.slots)
                return HIF_ENOMEM;
        for (size_t i = 0; i < map->capacity; i++) {
                if (map->slots[i].value)
                        *slot_find(&grown, map->slots[i].key) = map->slots[i];
        }
        free(map->slots);
        *map = grown;
        return HIF_OK;
}

enum hif_err map_put(struct map *map, uint64_t key, void *value)
{
        struct map_slot *slot;

        assert(value);
        if (map->capacity) {
                slot = slot_find(map, key);
                if (slot->value) {
                        slot->value = value;
                        return HIF_OK;
                }
        }
        if (map->count >= map->capacity / 4 * 3) {
                enum hif_err err = map_grow(map);

                if (err)
                        return err;
        }
        *slot_find(map, key) = (struct map_slot){.key = key, .value = value};
        map->count++;
        return HIF_OK;
}

/* Close the gap at `gap`: move back each later entry of the run whose home is not past the gap. */
static void run_close(struct map *map, size_t gap)
{
        size_t mask = map->capacity - 1;

        for (size_t i = (gap + 1) & mask; map->slots[i].value; i = (i + 1) & mask) {
                size_t from_home = (i - slot_home(map, map->slots[i].key)) & mask;
                size_t from_gap = (i - gap) & mask;

                if (from_home >= from_gap) {
                        map->slots[gap] = map->slots[i];
                        gap = i;
                }
        }
        map->slots[gap].value = NULL;
}

void *map_del(struct map *map, uint64_t key)
{
        struct map_slot *slot;
        void *value;

        if (!map->capacity)
                return NULL;
        slot = slot_find(map, key);
        value = slot->value;
        if (!value)
                return NULL;
        run_close(map, (size_t)(slot - map->slots));
        map->count--;
        return value;
}

bool map_next(const struct map *map, size_t *index, uint64_t *key, void **value)
{
        while (*index < map->capacity) {
                const struct map_slot *slot = &map->slots[(*index)++];

                if (!slot->value)
                        continue;
                *key = slot->key;
                *value = slot->value;
                return true;
        }
        return false;
}
