/* memtree.c - tree nodes in memory. */
#include "tests/core/memtree.h"

#include <stdio.h>
#include <stdlib.h>

/* In every build: this is what tests rely on. */
#define CHECK(condition)                                                                           \
        do {                                                                                       \
                if (!(condition)) {                                                                \
                        fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
                        abort();                                                                   \
                }                                                                                  \
        } while (0)

struct memnode {
        struct hif_hash hash;
        bool resident, missed;
        size_t size;
        uint8_t bytes[];
};

static struct memnode *find(const struct memtree *tree, const struct hif_hash *hash)
{
        struct memnode *node = map_get(&tree->nodes, hash_prefix(hash));

        CHECK(!node || hash_eq(&node->hash, hash));
        return node;
}

static enum hif_err memtree_get(struct tree_source *source, const struct hif_hash *hash,
                                struct tree_node *out)
{
        struct memtree *tree = (struct memtree *)source;
        struct memnode *node = find(tree, hash);

        tree->gets++;
        if (tree->miss_at > 0 && --tree->miss_at == 0) {
                tree->misses++;
                return HIF_EMISS;
        }
        if (!node)
                return HIF_EIO;
        if (!node->resident) {
                tree->misses++;
                tree->missed_count += !node->missed;
                node->missed = true;
                return HIF_EMISS;
        }
        tree_node_open(span_of(node->bytes, node->size), out);
        out->pin = node;
        tree->held++;
        return HIF_OK;
}

static void memtree_put(struct tree_source *source, struct tree_node *node)
{
        struct memtree *tree = (struct memtree *)source;

        CHECK(node->pin && tree->held > 0);
        node->pin = NULL;
        tree->held--;
}

struct hif_hash memtree_add(struct memtree *tree, struct span bytes)
{
        struct hif_hash hash = hash_of(HASH_NODE, bytes);
        struct memnode *node;
        enum hif_err err;

        if (find(tree, &hash))
                return hash;
        node = malloc(sizeof(*node) + bytes.size);
        CHECK(node);
        *node = (struct memnode){.hash = hash, .resident = true, .size = bytes.size};
        memcpy(node->bytes, bytes.data, bytes.size);
        err = map_put(&tree->nodes, hash_prefix(&hash), node);
        CHECK(err == HIF_OK);
        tree->writes++;
        return hash;
}

static enum hif_err memtree_sink_put(struct tree_sink *sink, const struct hif_hash *hash,
                                     struct span bytes)
{
        struct memtree *tree = (struct memtree *)((char *)sink - offsetof(struct memtree, sink));
        enum hif_err err = tree_node_check(bytes);
        struct hif_hash added;

        CHECK(err == HIF_OK);
        added = memtree_add(tree, bytes);
        CHECK(hash_eq(&added, hash));
        return HIF_OK;
}

void memtree_init(struct memtree *tree)
{
        *tree = (struct memtree){.source = {.get = memtree_get, .put = memtree_put},
                                 .sink = {.put = memtree_sink_put}};
}

void memtree_free(struct memtree *tree)
{
        uint64_t key;
        void *node;

        CHECK(tree->held == 0);
        for (size_t i = 0; map_next(&tree->nodes, &i, &key, &node);)
                free(node);
        map_free(&tree->nodes);
}

struct span memtree_bytes(struct memtree *tree, const struct hif_hash *hash)
{
        struct memnode *node = find(tree, hash);

        CHECK(node);
        return span_of(node->bytes, node->size);
}

bool memtree_next(const struct memtree *tree, size_t *index, struct span *bytes)
{
        uint64_t key;
        void *value;

        if (!map_next(&tree->nodes, index, &key, &value))
                return false;
        *bytes = span_of(((struct memnode *)value)->bytes, ((struct memnode *)value)->size);
        return true;
}

void memtree_evict(struct memtree *tree)
{
        uint64_t key;
        void *value;

        for (size_t i = 0; map_next(&tree->nodes, &i, &key, &value);) {
                struct memnode *node = value;

                node->resident = node->missed = false;
        }
        tree->missed_count = 0;
}

uint64_t memtree_fetch(struct memtree *tree)
{
        uint64_t count = 0, key;
        void *value;

        for (size_t i = 0; map_next(&tree->nodes, &i, &key, &value);) {
                struct memnode *node = value;

                if (!node->missed)
                        continue;
                node->missed = false;
                node->resident = true;
                count++;
        }
        tree->missed_count = 0;
        return count;
}

static bool edits_next(struct tree_edits *edits, struct tree_edit *out)
{
        struct memtree_edits *array = (struct memtree_edits *)edits;

        if (array->next == array->count)
                return false;
        *out = array->array[array->next++];
        return true;
}

void memtree_edits_init(struct memtree_edits *edits, const struct tree_edit *array, size_t count)
{
        *edits =
            (struct memtree_edits){.edits = {.next = edits_next}, .array = array, .count = count};
}

enum hif_err memtree_apply(struct memtree *tree, const struct tree_params *params,
                           const struct hif_hash *root, const struct tree_edit *array, size_t count,
                           struct hif_hash *new_root, struct tree_stats *stats)
{
        struct memtree_edits edits;

        memtree_edits_init(&edits, array, count);
        return tree_apply(&tree->source, &tree->sink, params, root, &edits.edits, new_root, stats);
}
