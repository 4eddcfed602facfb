/* The nodes of one level of a tree, as their parents name them. */
#include "check/internal.h"

void refs_free(struct refs *refs)
{
        free(refs->items);
        buf_free(&refs->keys);
        *refs = (struct refs){0};
}

struct span ref_key(const struct refs *refs, size_t index)
{
        return span_of(refs->keys.data + refs->items[index].key_at, refs->items[index].key_size);
}

static enum hif_err add(struct refs *refs, const struct hif_hash *hash, uint64_t entries,
                        const struct tree_node *node, uint32_t index, bool last)
{
        size_t at = refs->keys.size;

        if (refs->count == refs->capacity) {
                size_t capacity = refs->capacity ? refs->capacity * 2 : 64;
                struct ref *grown = realloc(refs->items, capacity * sizeof(*grown));

                if (!grown)
                        return HIF_ENOMEM;
                refs->items = grown;
                refs->capacity = capacity;
        }
        tree_node_key(node, index, &refs->keys);
        if (buf_failed(&refs->keys))
                return HIF_ENOMEM;
        refs->items[refs->count++] = (struct ref){.hash = *hash,
                                                  .entries = entries,
                                                  .key_at = at,
                                                  .key_size = refs->keys.size - at,
                                                  .last = last};
        return HIF_OK;
}

enum hif_err refs_of(const struct tree_node *node, bool last, struct refs *out)
{
        enum hif_err err = HIF_OK;

        for (uint32_t i = 0; i < node->count && err == HIF_OK; i++) {
                struct hif_hash hash;
                uint64_t entries;

                tree_node_child(node, i, &hash, &entries);
                err = add(out, &hash, entries, node, i, last && i + 1 == node->count);
        }
        return err;
}

struct gather {
        struct tree_source *source;
        uint8_t level;
        struct span from, to;
        struct refs *out;
        void (*bad)(void *arg, const struct hif_hash *hash);
        void *arg;
        struct buf key; /* scratch */
};

static bool below_end(struct gather *g, const struct tree_node *node, uint32_t index)
{
        if (g->to.size == 0)
                return true;
        buf_reset(&g->key);
        tree_node_key(node, index, &g->key);
        return !buf_failed(&g->key) && span_cmp(buf_span(&g->key), g->to) < 0;
}

/* Levels descend by one: at most TREE_LEVEL_MAX deep. */
static enum hif_err descend(struct gather *g, const struct tree_node *node, bool last)
{
        bool exact;
        uint32_t first = tree_node_search(node, g->from, &exact);
        enum hif_err err = HIF_OK;

        for (uint32_t i = first; i < node->count && err == HIF_OK; i++) {
                bool last_child = last && i + 1 == node->count;
                struct hif_hash hash;
                struct tree_node child;
                uint64_t entries;

                if (i > first && !below_end(g, node, i))
                        break;
                tree_node_child(node, i, &hash, &entries);
                if (node->level == g->level + 1) {
                        err = add(g->out, &hash, entries, node, i, last_child);
                        continue;
                }
                err = g->source->get(g->source, &hash, &child);
                if (node_is_bad(err)) {
                        g->out->unknown = true;
                        g->bad(g->arg, &hash);
                        err = HIF_OK;
                        continue;
                }
                if (err != HIF_OK)
                        break;
                if (child.level + 1 == node->level)
                        err = descend(g, &child, last_child);
                else
                        g->out->unknown = true; /* told when that tree was checked */
                g->source->put(g->source, &child);
        }
        return err;
}

enum hif_err refs_gather(struct tree_source *source, const struct hif_hash *root, uint8_t level,
                         struct span from, struct span to, struct refs *out,
                         void (*bad)(void *arg, const struct hif_hash *hash), void *arg)
{
        struct gather g = {.source = source,
                           .level = level,
                           .from = from,
                           .to = to,
                           .out = out,
                           .bad = bad,
                           .arg = arg};
        struct tree_node node;
        enum hif_err err = source->get(source, root, &node);

        if (node_is_bad(err)) {
                out->unknown = true;
                bad(arg, root);
                return HIF_OK;
        }
        if (err != HIF_OK)
                return err;
        if (node.level == level)
                err = add(out, root, tree_node_entries(&node), &node, 0, true);
        else if (node.level > level)
                err = descend(&g, &node, true);
        source->put(source, &node);
        buf_free(&g.key);
        return err;
}
