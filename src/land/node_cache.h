/* node_cache.h - verified tree nodes in memory, the last used ones, up to a limit in bytes.
 *
 * What readers of nodes share: node_reader.c, and checking a project. One thread at a time. */
#ifndef HIF_LAND_NODE_CACHE_H
#define HIF_LAND_NODE_CACHE_H

#include "base/buf.h"
#include "base/map.h"
#include "core/body.h"
#include "core/tree.h"

struct cached_node {
        struct hif_hash hash;
        struct buf bytes;
        uint32_t pins;
        bool dropped;                    /* out of the map, freed with its last pin */
        struct cached_node *prev, *next; /* by last use */
};

struct node_cache {
        struct map map;          /* hash prefix -> cached_node */
        struct cached_node ring; /* next: the newest */
        size_t bytes, bytes_max;
        uint64_t bytes_arrived; /* ever */
};

void node_cache_init(struct node_cache *cache, size_t bytes_max);
void node_cache_free(struct node_cache *cache); /* nothing pinned (asserted) */

/* NULL: it is not there. */
struct cached_node *node_cache_find(const struct node_cache *cache, const struct hif_hash *hash);
/* Take verified bytes in, which are empty then; HIF_ENOMEM: they are still the caller's. Room is
 * made when nodes are opened, so that what was read together stays together until then. */
HIF_MUST_USE enum hif_err node_cache_insert(struct node_cache *cache, const struct hif_hash *hash,
                                            struct buf *bytes);
/* The same of a node as it is stored, checked all the way: expansion, hash, structure.
 * HIF_ECORRUPT, HIF_EUNSUPPORTED, HIF_ENOMEM. */
HIF_MUST_USE enum hif_err node_cache_accept(struct node_cache *cache, struct body_codec *codec,
                                            const struct hif_hash *hash, struct span stored);
/* A pinned view, for tree_source.get; and its end, for tree_source.put. */
void node_cache_open(struct node_cache *cache, struct cached_node *node, struct tree_node *out);
void node_cache_close(struct tree_node *view);
void node_cache_make_room(struct node_cache *cache);

#endif
