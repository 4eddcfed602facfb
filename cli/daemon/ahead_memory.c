#include "cli/daemon/ahead_impl.h"

#include <stdlib.h>

void ahead_memory_clear(struct ahead_memory *memory)
{
        uint64_t node;
        void *item;

        for (size_t i = 0; map_next(&memory->items, &i, &node, &item);)
                free(item);
        map_free(&memory->items);
}

const struct ahead_item *ahead_memory_find(const struct ahead_memory *memory, uint64_t node)
{
        return map_get(&memory->items, node);
}

/* A session that makes and removes files for ever would fill the memory: then all is forgotten, and
 * what is still there is hashed once more. */
enum hif_err ahead_memory_put(struct ahead_memory *memory, uint64_t node,
                              const struct ahead_item *item)
{
        struct ahead_item *own = map_get(&memory->items, node);
        enum hif_err err = HIF_OK;

        if (own == NULL && memory->items.count >= AHEAD_REMEMBERED_MAX)
                ahead_memory_clear(memory);
        if (own == NULL) {
                own = calloc(1, sizeof(*own));
                err = own != NULL ? map_put(&memory->items, node, own) : HIF_ENOMEM;
        }
        if (err != HIF_OK) {
                free(own);
                return err;
        }
        *own = *item;
        return HIF_OK;
}
