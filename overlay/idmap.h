/* idmap.h - hash map from a node number to a pointer, in shards that grow one at a time, so that
 * no insertion into a large map pauses its loop, and with room that can be reserved ahead.
 *
 * Numbers are mixed; they are chosen by us, never by a client. Not thread-safe. */
#ifndef HIF_OVERLAY_IDMAP_H
#define HIF_OVERLAY_IDMAP_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IDMAP_SHARDS 256

struct idmap_slot;

struct idmap_shard {
        struct idmap_slot *slots;
        uint32_t count;
        uint32_t capacity; /* a power of two, or 0 */
        uint32_t reserved;
};

/* Zero-initialised is empty and valid. */
struct idmap {
        struct idmap_shard shards[IDMAP_SHARDS];
        size_t count;
};

void idmap_free(struct idmap *map); /* values stay the caller's; leaves it empty and valid */
void *idmap_get(const struct idmap *map, uint64_t id); /* NULL: absent */
/* Insert or replace; value is not NULL. HIF_ENOMEM, but not after idmap_reserve of this id. */
HIF_MUST_USE enum hif_err idmap_put(struct idmap *map, uint64_t id, void *value);
void *idmap_del(struct idmap *map, uint64_t id); /* the value, or NULL */

/* Room for one more with this id; given back by idmap_unreserve, whether it was put or not. */
HIF_MUST_USE enum hif_err idmap_reserve(struct idmap *map, uint64_t id);
void idmap_unreserve(struct idmap *map, uint64_t id);

/* for (struct idmap_at at = {0}; idmap_next(map, &at, &id, &value);) The map must not change. */
struct idmap_at {
        uint32_t shard, slot;
};
bool idmap_next(const struct idmap *map, struct idmap_at *at, uint64_t *id, void **value);

#endif
