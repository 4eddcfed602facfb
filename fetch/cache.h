/* cache.h - the RAM tier: verified, immutable objects under counted pins and a limit in bytes.
 *
 * Sharded by hash, a mutex a shard. Each shard keeps two queues (after S3-FIFO; Yang et al., 2023):
 * what arrives goes through a short one, and only what is used again from there enters the long
 * one, which is swept as a clock. So a scan flushes an eighth of the cache. Uses right after the
 * arrival do not count: they are the ones that it was fetched for.
 *
 * A pin is taken under the shard's lock and given back without it, so that eviction, which holds
 * the lock, never frees what somebody has. Thread-safe. */
#ifndef HIF_FETCH_CACHE_H
#define HIF_FETCH_CACHE_H

#include "fetch/fetch.h"

#include <stdatomic.h>

struct cache;

/* A hit reads and writes the first 64 bytes only. */
struct fetch_ref {
        struct hif_hash hash;
        struct fetch_ref *chain; /* of its hash bucket */
        uint8_t *data;
        _Atomic uint32_t pins;
        uint32_t seen; /* the shard's arrivals at its last use that counted */
        uint8_t kind;
        uint8_t uses; /* that counted, up to USES_MAX */
        uint8_t shard;
        bool main;   /* which queue */
        bool hinted; /* came for a hint and was not used since */
        struct cache *cache;
        size_t size;
        size_t charge; /* what it costs of the limit */
        struct fetch_ref *newer, *older;
};

/* HIF_ENOMEM */
HIF_MUST_USE enum hif_err cache_new(uint64_t bytes_max, struct cache **out);
void cache_free(struct cache *cache); /* nothing pinned (asserted) */

/* A pin, or NULL. cache_peek counts as a use and in the statistics, cache_pin does not. */
struct fetch_ref *cache_peek(struct cache *cache, enum fetch_kind kind,
                             const struct hif_hash *hash);
struct fetch_ref *cache_pin(struct cache *cache, enum fetch_kind kind, const struct hif_hash *hash);
bool cache_has(struct cache *cache, enum fetch_kind kind, const struct hif_hash *hash);

/* Evict until `size` more bytes of content would fit, as far as pins let it. */
void cache_make_room(struct cache *cache, size_t size);

/* Take over the content (content is empty then) and give one pin. Where pins leave no room: over
 * the limit when `needed`, else *out is NULL and the content freed. hinted: for the statistics.
 * HIF_ENOMEM: the content is still the caller's. */
HIF_MUST_USE enum hif_err cache_insert(struct cache *cache, enum fetch_kind kind,
                                       const struct hif_hash *hash, struct buf *content,
                                       bool needed, bool hinted, struct fetch_ref **out);

/* Fills ram_bytes, ram_objects, pinned_bytes, hits, misses, evicted, hints_useful. */
void cache_stats(struct cache *cache, struct fetch_stats *stats);

#endif
