/* tree_diff.c - two trees walked side by side.
 *
 * Each side stands on an item: an entry, or a child that was not descended into yet. The item with
 * the lower first key goes on alone; at equal keys two children of one level with one hash are
 * skipped, else the higher item is descended into, or both. So after a difference that moved the
 * boundaries of nodes, both sides run through the same entries until they leave their leaves at the
 * same key; there they are back on children, and skip again. */
#include "core/tree_impl.h"

#include <assert.h>

/* How many misses one run makes known before it gives up. */
#define MISSES_MAX 256

struct side {
        struct tree_cursor cursor; /* its rank: entries before the item */
        uint8_t keys[2][KEY_SIZE_MAX];
        int key_slot;
        struct span key; /* the item's first */
        bool done;
};

typedef enum hif_err diff_each(void *arg, struct span key, const struct entry *a,
                               const struct entry *b, uint64_t rank_a, uint64_t rank_b);

struct diff {
        struct side a, b;
        struct span from, to;
        diff_each *each;
        void *arg;
        uint32_t misses; /* after the first, each() is not called any more */
};

static struct tree_node *item_node(struct side *side)
{
        return &side->cursor.nodes[side->cursor.depth - 1];
}

static uint32_t *item_index(struct side *side)
{
        return &side->cursor.index[side->cursor.depth - 1];
}

/* After a move: leave nodes at their end, and read the key. Keys ascend, or it is corrupt; a
 * child's first key is its parent's. */
static enum hif_err side_load(struct diff *diff, struct side *side, bool descended)
{
        struct span key;
        int order;

        while (*item_index(side) == item_node(side)->count) {
                if (side->cursor.depth == 1) {
                        side->done = true;
                        return HIF_OK;
                }
                cursor_drop(&side->cursor, side->cursor.depth - 1);
                ++*item_index(side);
                descended = false;
        }
        side->key_slot ^= 1;
        key.data = side->keys[side->key_slot];
        key.size = node_key_copy(item_node(side), *item_index(side), side->keys[side->key_slot]);
        order = span_cmp(side->key, key);
        if (order > 0 || (order == 0 && !descended))
                return HIF_ECORRUPT;
        side->key = key;
        side->done = diff->to.size > 0 && span_cmp(key, diff->to) >= 0;
        return HIF_OK;
}

static enum hif_err side_skip(struct diff *diff, struct side *side)
{
        struct tree_node *node = item_node(side);
        uint32_t index = (*item_index(side))++;

        side->cursor.rank += node_sum(node, index + 1) - node_sum(node, index);
        return side_load(diff, side, false);
}

/* Stand on the first item of a node just got that may hold `from`. */
static enum hif_err side_enter(struct diff *diff, struct side *side, const struct tree_node *node)
{
        bool exact;
        uint32_t index = tree_node_search(node, diff->from, &exact);

        assert(side->cursor.depth < TREE_LEVEL_MAX);
        side->cursor.nodes[side->cursor.depth] = *node;
        side->cursor.index[side->cursor.depth] = index;
        side->cursor.depth++;
        side->cursor.rank += node_sum(node, index);
        return side_load(diff, side, true);
}

static enum hif_err side_descend(struct diff *diff, struct side *side)
{
        struct tree_node node;
        enum hif_err err =
            tree_get_child(side->cursor.source, item_node(side), *item_index(side), &node);

        return err ? err : side_enter(diff, side, &node);
}

static void side_entry(struct side *side, struct entry *out)
{
        tree_node_entry(item_node(side), *item_index(side), out);
}

/* Only one side has something before the other's item. */
static enum hif_err step_one(struct diff *diff, struct side *side)
{
        enum hif_err err = HIF_OK;
        struct entry entry;

        if (item_node(side)->level > 0)
                return side_descend(diff, side);
        if (diff->misses == 0) {
                side_entry(side, &entry);
                err = diff->each(diff->arg, side->key, side == &diff->a ? &entry : NULL,
                                 side == &diff->b ? &entry : NULL, diff->a.cursor.rank,
                                 diff->b.cursor.rank);
        }
        return err ? err : side_skip(diff, side);
}

static enum hif_err skip_both(struct diff *diff)
{
        enum hif_err err = side_skip(diff, &diff->a);

        return err ? err : side_skip(diff, &diff->b);
}

static enum hif_err step_entries(struct diff *diff)
{
        struct entry a, b;
        enum hif_err err = HIF_OK;

        side_entry(&diff->a, &a);
        side_entry(&diff->b, &b);
        if (diff->misses == 0 && !entry_identical(&a, &b))
                err = diff->each(diff->arg, diff->a.key, &a, &b, diff->a.cursor.rank,
                                 diff->b.cursor.rank);
        return err ? err : skip_both(diff);
}

/* Two children that differ, with one first key and of one level. When one is missing, both are
 * asked for and the walk goes on behind them, so that one run tells of many misses. */
static enum hif_err step_children(struct diff *diff)
{
        struct side *a = &diff->a, *b = &diff->b;
        struct tree_source *source = a->cursor.source;
        struct tree_node node_a, node_b;
        enum hif_err err_a = tree_get_child(source, item_node(a), *item_index(a), &node_a);
        enum hif_err err_b = tree_get_child(source, item_node(b), *item_index(b), &node_b);
        enum hif_err err;

        if (!err_a && !err_b && (diff->misses == 0 || node_a.level > 0)) {
                err_a = side_enter(diff, a, &node_a);
                err_b = side_enter(diff, b, &node_b);
                return err_a ? err_a : err_b;
        }
        if (!err_a)
                source->put(source, &node_a);
        if (!err_b)
                source->put(source, &node_b);
        if (err_a && err_a != HIF_EMISS)
                return err_a;
        if (err_b && err_b != HIF_EMISS)
                return err_b;
        if (err_a || err_b)
                diff->misses++;
        err = skip_both(diff);
        return !err && diff->misses >= MISSES_MAX ? HIF_EMISS : err;
}

static enum hif_err step_equal(struct diff *diff)
{
        struct tree_node *node_a = item_node(&diff->a), *node_b = item_node(&diff->b);
        struct hif_hash hash_a, hash_b;
        uint64_t entries;

        if (node_a->level != node_b->level)
                return side_descend(diff, node_a->level > node_b->level ? &diff->a : &diff->b);
        if (node_a->level == 0)
                return step_entries(diff);
        tree_node_child(node_a, *item_index(&diff->a), &hash_a, &entries);
        tree_node_child(node_b, *item_index(&diff->b), &hash_b, &entries);
        return hash_eq(&hash_a, &hash_b) ? skip_both(diff) : step_children(diff);
}

static enum hif_err walk(struct diff *diff)
{
        struct side *a = &diff->a, *b = &diff->b;
        enum hif_err err = HIF_OK;

        while (!err && !(a->done && b->done)) {
                int order = a->done ? 1 : b->done ? -1 : span_cmp(a->key, b->key);

                if (order == 0)
                        err = step_equal(diff);
                else
                        err = step_one(diff, order < 0 ? a : b);
        }
        if (!err && diff->misses > 0)
                err = HIF_EMISS;
        return err;
}

static enum hif_err open_sides(struct diff *diff, const struct hif_hash *root_a,
                               const struct hif_hash *root_b)
{
        struct tree_source *source = diff->a.cursor.source;
        struct tree_node a, b;
        enum hif_err err_a = tree_get_root(source, root_a, &a);
        enum hif_err err_b = tree_get_root(source, root_b, &b);

        if (!err_a && !err_b) {
                err_a = side_enter(diff, &diff->a, &a);
                err_b = side_enter(diff, &diff->b, &b);
                return err_a ? err_a : err_b;
        }
        if (!err_a)
                source->put(source, &a);
        if (!err_b)
                source->put(source, &b);
        return err_a ? err_a : err_b;
}

enum hif_err tree_diff(struct tree_source *source, const struct hif_hash *root_a,
                       const struct hif_hash *root_b, struct span from, struct span to,
                       diff_each *each, void *arg)
{
        struct diff diff;
        enum hif_err err;

        if (hash_eq(root_a, root_b))
                return HIF_OK;
        diff.from = from;
        diff.to = to;
        diff.each = each;
        diff.arg = arg;
        diff.misses = 0;
        for (struct side *side = &diff.a; side; side = side == &diff.a ? &diff.b : NULL) {
                tree_cursor_init(&side->cursor, source);
                side->key_slot = 0;
                side->key = (struct span){0};
                side->done = false;
        }
        err = open_sides(&diff, root_a, root_b);
        if (!err)
                err = walk(&diff);
        tree_cursor_close(&diff.a.cursor);
        tree_cursor_close(&diff.b.cursor);
        return err;
}
