/* Tree nodes out of the store, verified one by one: unlike land's reader, one node that is missing
 * or damaged does not stop the batch, and is remembered with what is wrong. */
#include "check/internal.h"

#include <assert.h>

struct cached {
        struct hif_hash hash;
        struct buf bytes;
        uint32_t pins;
        bool dropped;               /* out of the map, freed with its last pin */
        struct cached *prev, *next; /* by last use; [0] of the ring is the newest */
};

/* One that could not be had. */
struct bad {
        struct hif_hash hash;
        enum node_state state;
        enum hif_err err;
};

struct nodes {
        struct tree_source source;
        struct check *c;
        struct map map; /* hash prefix -> cached */
        struct cached ring;
        size_t bytes;
        struct map bad_map; /* hash prefix -> bad */
        struct arena bad_arena;
};

static void unlink_cached(struct cached *node)
{
        node->prev->next = node->next;
        node->next->prev = node->prev;
}

static void link_newest(struct nodes *nodes, struct cached *node)
{
        node->next = nodes->ring.next;
        node->prev = &nodes->ring;
        node->next->prev = node;
        node->prev->next = node;
}

static void free_cached(struct cached *node)
{
        buf_free(&node->bytes);
        free(node);
}

static void drop(struct nodes *nodes, struct cached *node)
{
        (void)map_del(&nodes->map, hash_prefix(&node->hash));
        unlink_cached(node);
        nodes->bytes -= node->bytes.size;
        node->dropped = true;
        if (node->pins == 0)
                free_cached(node);
}

static void make_room(struct nodes *nodes)
{
        struct cached *node = nodes->ring.prev;

        while (nodes->bytes > NODES_BYTES && node != &nodes->ring) {
                struct cached *older = node->prev;

                if (node->pins == 0)
                        drop(nodes, node);
                node = older;
        }
}

static struct cached *find(struct nodes *nodes, const struct hif_hash *hash)
{
        struct cached *node = map_get(&nodes->map, hash_prefix(hash));

        return node && hash_eq(&node->hash, hash) ? node : NULL;
}

static enum hif_err insert(struct nodes *nodes, const struct hif_hash *hash, struct buf *bytes)
{
        struct cached *node = calloc(1, sizeof(*node));
        struct cached *other = map_get(&nodes->map, hash_prefix(hash));

        if (!node)
                return HIF_ENOMEM;
        if (other)
                drop(nodes, other);
        if (map_put(&nodes->map, hash_prefix(hash), node) != HIF_OK) {
                free(node);
                return HIF_ENOMEM;
        }
        node->hash = *hash;
        node->bytes = *bytes;
        *bytes = (struct buf){0};
        nodes->bytes += node->bytes.size;
        link_newest(nodes, node);
        return HIF_OK;
}

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

/* Expansion, hash, structure. */
static enum hif_err accept(struct nodes *nodes, const struct hif_hash *hash, struct span stored)
{
        AUTO_BUF struct buf bytes = {0};
        struct hif_hash actual;
        enum hif_err err = body_get(nodes->c->codec, BODY_NODE, stored, &bytes);

        if (err != HIF_OK)
                return err;
        actual = hash_of(HASH_NODE, buf_span(&bytes));
        if (!hash_eq(&actual, hash))
                return HIF_ECORRUPT;
        err = tree_node_check(buf_span(&bytes));
        if (err == HIF_OK)
                err = insert(nodes, hash, &bytes);
        if (err == HIF_OK)
                nodes->c->report->nodes++;
        return err;
}

static enum hif_err take(struct nodes *nodes, const struct hif_hash *hash,
                         const struct store_req *req, bool again, bool *damaged)
{
        enum hif_err err;

        *damaged = false;
        if (answer_of(req) == ANSWER_ABSENT)
                return note_bad(nodes, hash, NODE_MISSING, HIF_ENOENT);
        if (answer_of(req) == ANSWER_NONE)
                return note_bad(nodes, hash, NODE_UNREAD, req->result);
        err = accept(nodes, hash, buf_span(&req->data));
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
                if (!find(nodes, &hashes[i]) && !find_bad(nodes, &hashes[i]))
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
        struct cached *node = find(nodes, hash);

        if (!node && !find_bad(nodes, hash)) {
                enum hif_err err = read_batch(nodes, hash, 1, true);

                if (err != HIF_OK)
                        return err;
                node = find(nodes, hash);
        }
        if (!node) {
                const struct bad *bad = find_bad(nodes, hash);

                return bad && bad->state == NODE_UNREAD ? HIF_EIO : HIF_ECORRUPT;
        }
        unlink_cached(node);
        link_newest(nodes, node);
        node->pins++;
        tree_node_open(buf_span(&node->bytes), out);
        out->pin = node;
        make_room(nodes);
        return HIF_OK;
}

static void put(struct tree_source *source, struct tree_node *view)
{
        struct cached *node = view->pin;

        (void)source;
        assert(node && node->pins > 0);
        node->pins--;
        if (node->pins == 0 && node->dropped)
                free_cached(node);
}

enum hif_err nodes_new(struct check *c, struct nodes **out)
{
        struct nodes *nodes = calloc(1, sizeof(*nodes));

        if (!nodes)
                return HIF_ENOMEM;
        nodes->source = (struct tree_source){.get = get, .put = put};
        nodes->c = c;
        nodes->ring.prev = nodes->ring.next = &nodes->ring;
        *out = nodes;
        return HIF_OK;
}

void nodes_free(struct nodes *nodes)
{
        if (!nodes)
                return;
        while (nodes->ring.next != &nodes->ring) {
                assert(nodes->ring.next->pins == 0);
                drop(nodes, nodes->ring.next);
        }
        map_free(&nodes->map);
        map_free(&nodes->bad_map);
        arena_free(&nodes->bad_arena);
        free(nodes);
}

struct tree_source *nodes_source(struct nodes *nodes)
{
        return &nodes->source;
}
