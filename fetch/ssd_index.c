/* ssd_index.c - where on the SSD an object is. Slots of an evicted segment are not searched for and
 * cleared, they just count as deleted from then on. */
#include "fetch/ssd_index.h"

#include <stdlib.h>

#define CAPACITY_MIN 1024

static bool alive(const struct ssd_index *index, const struct ssd_slot *slot)
{
        return slot->segment && map_get(&index->segments, slot->segment);
}

static size_t start_of(const struct ssd_index *index, uint64_t key)
{
        return (size_t)(key * 0x9e3779b97f4a7c15u >> 20) & (index->capacity - 1);
}

struct ssd_slot *ssd_index_find(struct ssd_index *index, uint64_t key)
{
        size_t at;

        if (!index->capacity)
                return NULL;
        for (at = start_of(index, key); index->slots[at].key;
             at = (at + 1) & (index->capacity - 1)) {
                struct ssd_slot *slot = &index->slots[at];

                if (slot->key == key)
                        return alive(index, slot) ? slot : NULL;
        }
        return NULL;
}

/* The key's own slot, or the one that it should get. There is an empty one. */
static struct ssd_slot *slot_for(struct ssd_index *index, uint64_t key)
{
        struct ssd_slot *reuse = NULL;
        size_t at;

        for (at = start_of(index, key); index->slots[at].key;
             at = (at + 1) & (index->capacity - 1)) {
                if (index->slots[at].key == key)
                        return &index->slots[at];
                if (!reuse && !alive(index, &index->slots[at]))
                        reuse = &index->slots[at];
        }
        return reuse ? reuse : &index->slots[at];
}

static void set(struct ssd_index *index, const struct ssd_slot *value)
{
        struct ssd_slot *slot = slot_for(index, value->key);

        index->used += slot->key == 0;
        *slot = *value;
}

static enum hif_err make_space(struct ssd_index *index)
{
        struct ssd_index bigger = {.capacity = CAPACITY_MIN, .segments = index->segments};
        size_t live = 0;

        if (index->used * 10 < index->capacity * 7)
                return HIF_OK;
        for (size_t i = 0; i < index->capacity; i++)
                live += index->slots[i].key && alive(index, &index->slots[i]);
        while (bigger.capacity < live * 2)
                bigger.capacity *= 2;
        bigger.slots = calloc(bigger.capacity, sizeof(*bigger.slots));
        if (!bigger.slots)
                return HIF_ENOMEM;
        for (size_t i = 0; i < index->capacity; i++) {
                if (index->slots[i].key && alive(index, &index->slots[i]))
                        set(&bigger, &index->slots[i]);
        }
        free(index->slots);
        *index = bigger;
        return HIF_OK;
}

enum hif_err ssd_index_put(struct ssd_index *index, uint32_t segment, struct ssd_record record)
{
        enum hif_err err = make_space(index);

        if (err)
                return err;
        set(index, &(struct ssd_slot){.key = record.key,
                                      .segment = segment,
                                      .offset = record.offset,
                                      .size = record.size});
        return HIF_OK;
}

void ssd_index_free(struct ssd_index *index)
{
        free(index->slots);
        map_free(&index->segments);
        *index = (struct ssd_index){0};
}
