/* Tree nodes out of the store, verified one by one: unlike land's reader, one node that is missing
 * or damaged does not stop the batch, and is remembered with what is wrong. */
#include "check/internal.h"
#include "land/node_cache.h"

#include <assert.h>

/* One that could not be had. */
struct bad {
        struct hif_hash hash;
        enum node_state state;
        enum hif_err err;
};

struct nodes {
        struct tree_source source;
        struct check *c;
        struct node_cache cache;
        struct map bad_map; /* hash prefix -> bad */
        struct arena bad_arena;
};

/* --- what could not be had --- */

static struct bad *find_bad(struct nodes *nodes, const struct hif_hash *hash)
{
        struct bad *bad = map_get(&nodes->bad_map, hash_prefix(hash));

        return bad && hash_eq(&bad->hash, hash) ? bad : NULL;
}

static enum hif_err note_bad(struct nodes *nodes, const struct hif_hash *hash,
                             enum node_state state, enum hif_err err)
{
        struct bad *bad = arena_alloc(&nodes->bad_arena, sizeof(*bad));

        if (!bad)
                return HIF_ENOMEM;
        *bad = (struct bad){.hash = *hash, .state = state, .err = err};
        return map_put(&nodes->bad_map, hash_prefix(hash), bad);
}

enum node_state nodes_state(struct nodes *nodes, const struct hif_hash *hash, enum hif_err *err)
{
        const struct bad *bad = find_bad(nodes, hash);

        *err = bad ? bad->err : HIF_OK;
        return bad ? bad->state : NODE_GOOD;
}

/* --- reading --- */

static enum hif_err take(struct nodes *nodes, const struct hif_hash *hash,
                         const struct store_req *req, bool again, bool *damaged)
{
        enum hif_err err;

        *damaged = false;
        if (answer_of(req) == ANSWER_ABSENT)
                return note_bad(nodes, hash, NODE_MISSING, HIF_ENOENT);
        if (answer_of(req) == ANSWER_NONE)
                return note_bad(nodes, hash, NODE_UNREAD, req->result);
        err = node_cache_accept(&nodes->cache, nodes->c->codec, hash, buf_span(&req->data));
        nodes->c->report->nodes += err == HIF_OK;
        if (err == HIF_OK || err == HIF_ENOMEM)
                return err;
        *damaged = again; /* on the way, perhaps: once more */
        return again ? HIF_OK : note_bad(nodes, hash, NODE_DAMAGED, err);
}

static enum hif_err read_batch(struct nodes *nodes, const struct hif_hash *hashes, size_t count,
                               bool again)
{
        struct store_req reqs[BATCH] = {0};
        struct layout_key keys[BATCH];
        struct hif_hash damaged[BATCH];
        size_t damaged_count = 0;
        enum hif_err err;

        assert(count <= BATCH);
        for (size_t i = 0; i < count; i++) {
                keys[i] = layout_node(&nodes->c->project.layout, &hashes[i]);
                reqs[i].op = STORE_GET;
                reqs[i].key = keys[i].text;
        }
        err = run_requests(nodes->c, reqs, count);
        for (size_t i = 0; i < count; i++) {
                bool once_more = false;

                if (err == HIF_OK)
                        err = take(nodes, &hashes[i], &reqs[i], again, &once_more);
                if (once_more)
                        damaged[damaged_count++] = hashes[i];
                store_req_free(&reqs[i]);
        }
        if (err == HIF_OK && damaged_count > 0)
                err = read_batch(nodes, damaged, damaged_count, false);
        return err;
}

enum hif_err nodes_prefetch(struct nodes *nodes, const struct hif_hash *hashes, size_t count)
{
        struct hif_hash wanted[BATCH];
        size_t n = 0;
        enum hif_err err = HIF_OK;

        for (size_t i = 0; i < count && err == HIF_OK; i++) {
                if (!node_cache_find(&nodes->cache, &hashes[i]) && !find_bad(nodes, &hashes[i]))
                        wanted[n++] = hashes[i];
                if (n == BATCH || (i + 1 == count && n > 0)) {
                        err = read_batch(nodes, wanted, n, true);
                        n = 0;
                }
        }
        return err;
}

static enum hif_err get(struct tree_source *source, const struct hif_hash *hash,
                        struct tree_node *out)
{
        struct nodes *nodes = (struct nodes *)source;
        struct cached_node *node = node_cache_find(&nodes->cache, hash);

        if (!node && !find_bad(nodes, hash)) {
                enum hif_err err = read_batch(nodes, hash, 1, true);

                if (err != HIF_OK)
                        return err;
                node = node_cache_find(&nodes->cache, hash);
        }
        if (!node) {
                const struct bad *bad = find_bad(nodes, hash);

                return bad && bad->state == NODE_UNREAD ? HIF_EIO : HIF_ECORRUPT;
        }
        node_cache_open(&nodes->cache, node, out);
        return HIF_OK;
}

static void put(struct tree_source *source, struct tree_node *view)
{
        (void)source;
        node_cache_close(view);
}

enum hif_err nodes_new(struct check *c, struct nodes **out)
{
        struct nodes *nodes = calloc(1, sizeof(*nodes));

        if (!nodes)
                return HIF_ENOMEM;
        nodes->source = (struct tree_source){.get = get, .put = put};
        nodes->c = c;
        node_cache_init(&nodes->cache, NODES_BYTES);
        *out = nodes;
        return HIF_OK;
}

void nodes_free(struct nodes *nodes)
{
        if (!nodes)
                return;
        node_cache_free(&nodes->cache);
        map_free(&nodes->bad_map);
        arena_free(&nodes->bad_arena);
        free(nodes);
}

struct tree_source *nodes_source(struct nodes *nodes)
{
        return &nodes->source;
}
