/* tree_read.c - moving in a tree: cursors, lookups, rank, asking for a range. */
#include "core/tree_impl.h"

#include <assert.h>

/* --- getting --- */

static enum hif_err misfit(struct tree_source *source, const struct hif_hash *hash)
{
        if (source->misfit)
                source->misfit(source, hash);
        return HIF_ECORRUPT;
}

static bool first_is_dir(const struct tree_node *leaf)
{
        struct entry entry;

        tree_node_entry(leaf, 0, &entry);
        return entry.kind == ENTRY_DIR;
}

enum hif_err tree_get_root(struct tree_source *source, const struct hif_hash *root,
                           struct tree_node *out)
{
        enum hif_err err = source->get(source, root, out);

        if (err)
                return err;
        if (node_key_cmp(out, 0, (struct span){0}) == 0 && (out->level > 0 || first_is_dir(out)))
                return HIF_OK;
        source->put(source, out);
        return misfit(source, root);
}

enum hif_err tree_get_child(struct tree_source *source, const struct tree_node *parent,
                            uint32_t index, struct tree_node *out)
{
        struct hif_hash hash;
        uint64_t entries;
        enum hif_err err;

        tree_node_child(parent, index, &hash, &entries);
        err = source->get(source, &hash, out);
        if (err)
                return err;
        if (out->level + 1 == parent->level && tree_node_entries(out) == entries &&
            node_key_eq(parent, index, out, 0) &&
            (index + 1 == parent->count || node_key_below(out, out->count - 1, parent, index + 1)))
                return HIF_OK;
        source->put(source, out);
        return misfit(source, &hash);
}

/* --- a cursor's path --- */

void tree_cursor_init(struct tree_cursor *cursor, struct tree_source *source)
{
        cursor->source = source;
        cursor->depth = 0;
        cursor->rank = 0;
}

void cursor_drop(struct tree_cursor *cursor, int depth)
{
        while (cursor->depth > depth) {
                cursor->depth--;
                cursor->source->put(cursor->source, &cursor->nodes[cursor->depth]);
        }
}

void tree_cursor_close(struct tree_cursor *cursor)
{
        cursor_drop(cursor, 0);
}

static enum hif_err fail(struct tree_cursor *cursor, enum hif_err err)
{
        tree_cursor_close(cursor);
        return err;
}

static struct tree_node *last_node(struct tree_cursor *cursor)
{
        assert(cursor->depth > 0);
        return &cursor->nodes[cursor->depth - 1];
}

static enum hif_err open_root(struct tree_cursor *cursor, const struct hif_hash *root)
{
        enum hif_err err;

        if (cursor->depth > 0 && hash_eq(&cursor->root, root))
                return HIF_OK;
        tree_cursor_close(cursor);
        err = tree_get_root(cursor->source, root, &cursor->nodes[0]);
        if (err)
                return err;
        cursor->root = *root;
        cursor->index[0] = 0;
        cursor->rank = 0;
        cursor->depth = 1;
        return HIF_OK;
}

/* Does node d end before what comes next in the nodes above it? */
static bool ends_in_place(const struct tree_cursor *cursor, int d)
{
        const struct tree_node *node = &cursor->nodes[d];

        for (d--; d >= 0; d--)
                if (cursor->index[d] + 1 < cursor->nodes[d].count)
                        return node_key_below(node, node->count - 1, &cursor->nodes[d],
                                              cursor->index[d] + 1);
        return true;
}

/* Hold child `index` of node d next, which may be held already. */
static enum hif_err hold_child(struct tree_cursor *cursor, int d, uint32_t index)
{
        enum hif_err err;

        if (d + 1 < cursor->depth && cursor->index[d] == index)
                return HIF_OK;
        cursor_drop(cursor, d + 1);
        cursor->index[d] = index;
        err = tree_get_child(cursor->source, &cursor->nodes[d], index, &cursor->nodes[d + 1]);
        if (err)
                return fail(cursor, err);
        cursor->index[d + 1] = 0;
        cursor->depth = d + 2;
        if (index + 1 == cursor->nodes[d].count && !ends_in_place(cursor, d + 1)) {
                struct hif_hash hash;
                uint64_t entries;

                tree_node_child(&cursor->nodes[d], index, &hash, &entries);
                return fail(cursor, misfit(cursor->source, &hash));
        }
        return HIF_OK;
}

enum hif_err cursor_descend(struct tree_cursor *cursor, const struct hif_hash *root,
                            struct span key, int level)
{
        enum hif_err err = open_root(cursor, root);
        bool exact;

        for (int d = 0; !err && cursor->nodes[d].level > level; d++)
                err = hold_child(cursor, d, tree_node_search(&cursor->nodes[d], key, &exact));
        return err;
}

int cursor_fork(const struct tree_cursor *cursor)
{
        int d = cursor->depth - 2;

        while (d >= 0 && cursor->index[d] + 1 == cursor->nodes[d].count)
                d--;
        return d;
}

enum hif_err cursor_next_node(struct tree_cursor *cursor, int fork)
{
        int depth = cursor->depth;
        enum hif_err err = hold_child(cursor, fork, cursor->index[fork] + 1);

        for (int d = fork + 1; !err && d < depth - 1; d++)
                err = hold_child(cursor, d, 0);
        return err;
}

/* --- seeking --- */

static bool leaf_covers(const struct tree_cursor *cursor, const struct hif_hash *root,
                        struct span key)
{
        const struct tree_node *leaf;

        if (cursor->depth == 0 || !hash_eq(&cursor->root, root))
                return false;
        leaf = &cursor->nodes[cursor->depth - 1];
        return leaf->level == 0 && node_key_cmp(leaf, 0, key) <= 0 &&
               node_key_cmp(leaf, leaf->count - 1, key) >= 0;
}

/* To the place of key in the leaf that covers it, which may be the leaf's end. */
static enum hif_err seek_leaf(struct tree_cursor *cursor, const struct hif_hash *root,
                              struct span key, bool *exact)
{
        uint32_t *index;

        if (leaf_covers(cursor, root, key)) {
                index = &cursor->index[cursor->depth - 1];
                cursor->rank -= *index;
        } else {
                enum hif_err err = cursor_descend(cursor, root, key, 0);

                if (err)
                        return err;
                index = &cursor->index[cursor->depth - 1];
                cursor->rank = 0;
                for (int d = 0; d < cursor->depth - 1; d++)
                        cursor->rank += node_sum(&cursor->nodes[d], cursor->index[d]);
        }
        *index = tree_node_search(last_node(cursor), key, exact);
        cursor->rank += *index;
        return HIF_OK;
}

/* From a leaf's end to the next leaf. */
static enum hif_err settle(struct tree_cursor *cursor)
{
        int fork;

        if (cursor->index[cursor->depth - 1] < last_node(cursor)->count)
                return HIF_OK;
        fork = cursor_fork(cursor);
        return fork < 0 ? HIF_ENOENT : cursor_next_node(cursor, fork);
}

enum hif_err tree_seek(struct tree_cursor *cursor, const struct hif_hash *root, struct span key)
{
        bool exact;
        enum hif_err err = seek_leaf(cursor, root, key, &exact);

        return err ? err : settle(cursor);
}

enum hif_err tree_seek_rank(struct tree_cursor *cursor, const struct hif_hash *root, uint64_t rank)
{
        enum hif_err err = open_root(cursor, root);
        uint64_t left = rank;
        int d = 0;

        if (err)
                return err;
        if (rank >= tree_node_entries(&cursor->nodes[0]))
                return HIF_ENOENT;
        for (; cursor->nodes[d].level > 0; d++) {
                uint32_t index = node_select(&cursor->nodes[d], left);

                left -= node_sum(&cursor->nodes[d], index);
                err = hold_child(cursor, d, index);
                if (err)
                        return err;
        }
        cursor->index[d] = (uint32_t)left;
        cursor->rank = rank;
        return HIF_OK;
}

enum hif_err tree_next(struct tree_cursor *cursor)
{
        assert(cursor->index[cursor->depth - 1] < last_node(cursor)->count);
        cursor->index[cursor->depth - 1]++;
        cursor->rank++;
        return settle(cursor);
}

struct span tree_cursor_key(struct tree_cursor *cursor)
{
        size_t size =
            node_key_copy(last_node(cursor), cursor->index[cursor->depth - 1], cursor->key);

        return span_of(cursor->key, size);
}

void tree_cursor_entry(const struct tree_cursor *cursor, struct entry *out)
{
        assert(cursor->depth > 0);
        tree_node_entry(&cursor->nodes[cursor->depth - 1], cursor->index[cursor->depth - 1], out);
}

enum hif_err tree_find(struct tree_cursor *cursor, const struct hif_hash *root, struct span key,
                       struct entry *out, uint64_t *rank)
{
        bool exact;
        enum hif_err err = seek_leaf(cursor, root, key, &exact);

        if (err)
                return err;
        if (!exact)
                return HIF_ENOENT;
        tree_cursor_entry(cursor, out);
        if (rank)
                *rank = cursor->rank;
        return HIF_OK;
}

enum hif_err tree_rank(struct tree_source *source, const struct hif_hash *root, struct span key,
                       uint64_t *out)
{
        struct tree_cursor cursor;
        enum hif_err err;
        bool exact;

        tree_cursor_init(&cursor, source);
        err = seek_leaf(&cursor, root, key, &exact);
        if (err)
                return err;
        *out = cursor.rank;
        tree_cursor_close(&cursor);
        return HIF_OK;
}

enum hif_err tree_rank_about(struct tree_source *source, const struct hif_hash *root,
                             struct span key, uint64_t *out)
{
        struct tree_node node;
        uint64_t rank = 0;
        enum hif_err err = tree_get_root(source, root, &node);
        bool exact;

        while (!err) {
                uint32_t index = tree_node_search(&node, key, &exact);
                struct tree_node child;

                if (node.level == 0) {
                        *out = rank + index;
                        source->put(source, &node);
                        return HIF_OK;
                }
                rank += node_sum(&node, index);
                err = tree_get_child(source, &node, index, &child);
                source->put(source, &node);
                if (err == HIF_EMISS) {
                        *out = rank;
                        return HIF_OK;
                }
                node = child;
        }
        return err;
}

enum hif_err tree_count(struct tree_source *source, const struct hif_hash *root, uint64_t *out)
{
        struct tree_node node;
        enum hif_err err = tree_get_root(source, root, &node);

        if (err)
                return err;
        *out = tree_node_entries(&node);
        source->put(source, &node);
        return HIF_OK;
}

/* --- asking for a range --- */

struct touch {
        struct tree_source *source;
        struct span from, to;
        size_t nodes_left;
        bool missed;
};

/* Levels descend by one, so the recursion is at most TREE_LEVEL_MAX deep. */
static enum hif_err touch_below(struct touch *touch, const struct tree_node *node)
{
        bool exact;

        for (uint32_t i = tree_node_search(node, touch->from, &exact); i < node->count; i++) {
                struct tree_node child;
                enum hif_err err;

                if (touch->to.size > 0 && node_key_cmp(node, i, touch->to) >= 0)
                        break;
                if (touch->nodes_left == 0)
                        break;
                touch->nodes_left--;
                err = tree_get_child(touch->source, node, i, &child);
                if (err == HIF_EMISS) {
                        touch->missed = true;
                        continue;
                }
                if (err)
                        return err;
                if (child.level > 0)
                        err = touch_below(touch, &child);
                touch->source->put(touch->source, &child);
                if (err)
                        return err;
        }
        return HIF_OK;
}

enum hif_err tree_touch(struct tree_source *source, const struct hif_hash *root, struct span from,
                        struct span to, size_t nodes_max)
{
        struct touch touch = {.source = source, .from = from, .to = to};
        struct tree_node node;
        enum hif_err err;

        if (nodes_max == 0)
                return HIF_OK;
        touch.nodes_left = nodes_max - 1;
        err = tree_get_root(source, root, &node);
        if (err)
                return err;
        if (node.level > 0)
                err = touch_below(&touch, &node);
        source->put(source, &node);
        if (!err && touch.missed)
                err = HIF_EMISS;
        return err;
}
