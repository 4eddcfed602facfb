/* walk.c - what the files about one tree tell of it. */
#include "check/internal.h"

#include <stdio.h>

void walk_listed(struct walk *w, enum slot_object_kind kind, const struct hif_hash *hash,
                 const struct object *object, const char *key)
{
        uint32_t low = 0, high = w->have_objects ? w->slot->object_count : 0;

        while (low < high) { /* sorted by slot_object_cmp */
                uint32_t middle = low + (high - low) / 2;
                const struct slot_object *at = &w->slot->objects[middle];
                int order = memcmp(at->hash.bytes, hash->bytes, HIF_HASH_SIZE);

                if (order == 0 && at->kind == kind) {
                        w->object_seen[middle] = true;
                        return;
                }
                if (order < 0 || (order == 0 && at->kind < kind))
                        low = middle + 1;
                else
                        high = middle;
        }
        if (!w->exact || !w->have_objects || !object || (object->listed && kind != SLOT_NODE))
                return;
        if (w->unlisted_count++ == 0)
                (void)snprintf(w->unlisted, sizeof(w->unlisted), "%s", key);
}

void walk_wrong(struct walk *w, const struct hif_hash *node, const char *reason)
{
        struct layout_key key = layout_node(&w->c->project.layout, node);

        w->incomplete = true;
        if (w->wrong_count++ < WRONG_MAX)
                found_at(w->c, CHECK_TREE_WRONG, w->slot->position, key.text, reason);
}

void walk_bad_node(void *arg, const struct hif_hash *hash)
{
        struct walk *w = arg;

        broken_close(w->c, OBJECT_NODE, hash, w->slot->position);
}
