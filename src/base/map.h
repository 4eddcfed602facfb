/* map.h - open-addressing hash map from a 64-bit key to a pointer, for keys that are numbers.
 *
 * Keys are mixed, so that dense ones spread; an adversary who chooses keys is out of scope (hash
 * such keys with siphash first). Not thread-safe. Values are never NULL. */
#ifndef HIF_BASE_MAP_H
#define HIF_BASE_MAP_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct map_slot;

struct map {
        struct map_slot *slots;
        size_t count;
        size_t capacity; /* a power of two, or 0 */
};

void map_free(struct map *map); /* values stay the caller's; leaves it empty and valid */
void *map_get(const struct map *map, uint64_t key); /* NULL: absent */
HIF_MUST_USE enum hif_err map_put(struct map *map, uint64_t key,
                                  void *value); /* replaces; HIF_ENOMEM */
void *map_del(struct map *map, uint64_t key);   /* the value, or NULL */

/* Iterate: for (size_t i = 0; map_next(map, &i, &key, &value);). The map must not change meanwhile.
 */
bool map_next(const struct map *map, size_t *index, uint64_t *key, void **value);

#endif
