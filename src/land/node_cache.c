#include "land/node_cache.h"

#include "base/cleanup.h"

#include <assert.h>
#include <stdlib.h>

static void unlink_node(struct cached_node *node)
{
        node->prev->next = node->next;
        node->next->prev = node->prev;
}

static void link_newest(struct node_cache *cache, struct cached_node *node)
{
        node->next = cache->ring.next;
        node->prev = &cache->ring;
        node->next->prev = node;
        node->prev->next = node;
}

static void free_node(struct cached_node *node)
{
        buf_free(&node->bytes);
        free(node);
}

static void drop(struct node_cache *cache, struct cached_node *node)
{
        (void)map_del(&cache->map, hash_prefix(&node->hash));
        unlink_node(node);
        cache->bytes -= node->bytes.size;
        node->dropped = true;
        if (node->pins == 0)
                free_node(node);
}

void node_cache_init(struct node_cache *cache, size_t bytes_max)
{
        *cache = (struct node_cache){.bytes_max = bytes_max};
        cache->ring.prev = cache->ring.next = &cache->ring;
}

void node_cache_free(struct node_cache *cache)
{
        while (cache->ring.next != &cache->ring) {
                assert(cache->ring.next->pins == 0);
                drop(cache, cache->ring.next);
        }
        map_free(&cache->map);
}

struct cached_node *node_cache_find(const struct node_cache *cache, const struct hif_hash *hash)
{
        struct cached_node *node = map_get(&cache->map, hash_prefix(hash));

        return node && hash_eq(&node->hash, hash) ? node : NULL;
}

enum hif_err node_cache_insert(struct node_cache *cache, const struct hif_hash *hash,
                               struct buf *bytes)
{
        struct cached_node *node = calloc(1, sizeof(*node));
        struct cached_node *other = map_get(&cache->map, hash_prefix(hash));

        if (!node)
                return HIF_ENOMEM;
        if (other)
                drop(cache, other);
        if (map_put(&cache->map, hash_prefix(hash), node) != HIF_OK) {
                free(node);
                return HIF_ENOMEM;
        }
        node->hash = *hash;
        node->bytes = *bytes;
        *bytes = (struct buf){0};
        cache->bytes += node->bytes.size;
        cache->bytes_arrived += node->bytes.size;
        link_newest(cache, node);
        return HIF_OK;
}

enum hif_err node_cache_accept(struct node_cache *cache, struct body_codec *codec,
                               const struct hif_hash *hash, struct span stored)
{
        AUTO_BUF struct buf bytes = {0};
        struct hif_hash actual;
        enum hif_err err = body_get(codec, BODY_NODE, stored, &bytes);

        if (err != HIF_OK)
                return err;
        actual = hash_of(HASH_NODE, buf_span(&bytes));
        if (!hash_eq(&actual, hash))
                return HIF_ECORRUPT;
        err = tree_node_check(buf_span(&bytes));
        return err == HIF_OK ? node_cache_insert(cache, hash, &bytes) : err;
}

void node_cache_make_room(struct node_cache *cache)
{
        struct cached_node *node = cache->ring.prev;

        while (cache->bytes > cache->bytes_max && node != &cache->ring) {
                struct cached_node *older = node->prev;

                if (node->pins == 0)
                        drop(cache, node);
                node = older;
        }
}

void node_cache_open(struct node_cache *cache, struct cached_node *node, struct tree_node *out)
{
        unlink_node(node);
        link_newest(cache, node);
        node->pins++;
        tree_node_open(buf_span(&node->bytes), out);
        out->pin = node;
        node_cache_make_room(cache);
}

void node_cache_close(struct tree_node *view)
{
        struct cached_node *node = view->pin;

        assert(node && node->pins > 0);
        node->pins--;
        if (node->pins == 0 && node->dropped)
                free_node(node);
}
