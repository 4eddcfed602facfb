/* tree_apply.c - new nodes from old nodes and edits.
 *
 * All levels work alike. A level takes edits in key order: of entries at level 0, of children
 * above, where they are what the level below has become. It goes to the old node that the first
 * edit falls into, and from its start on puts old items and edits through a builder, which ends
 * nodes by the rule. Where the builder is empty at the end of an old node, the boundaries are those
 * of the old tree again: what follows is as it was, unread, up to the node of the next edit.
 *
 * To the level above goes a removal for each old node passed, by its first key, and a child for
 * each new node; a pair that is equal in key and hash cancels out, so that nodes which come out as
 * they were are neither written nor known above.
 *
 * The level that is left with a single child has the root in it. */
#include "core/tree_impl.h"

#include <assert.h>
#include <stdlib.h>

/* An old node that was passed, not yet told to the level above. */
struct passed {
        uint32_t key_at, key_size;
        struct hif_hash hash;
};

struct level {
        struct node_builder builder;
        struct tree_cursor old; /* its last node is the one being passed */
        bool running;           /* at old.index[] of that node; else between nodes */
        bool from_start;        /* the run began at the level's first node */
        bool edited;
        uint64_t nodes;    /* ended so far */
        struct buf passed; /* of struct passed, from passed_first on */
        struct buf passed_keys;
        size_t passed_first;
};

struct apply {
        struct tree_source *source;
        struct tree_sink *sink;
        const struct tree_params *params;
        const struct hif_hash *root; /* NULL: none */
        int old_level;               /* of the old root; -1: none */
        struct level *levels[TREE_LEVEL_MAX + 1];
        struct tree_stats stats;
        struct tree_source counting; /* counts gets on their way to source */
};

/* hash NULL, entry NULL: remove. */
struct item {
        struct span key;
        const struct entry *entry;   /* level 0 */
        const struct hif_hash *hash; /* above */
        uint64_t entries;
};

static enum hif_err level_edit(struct apply *apply, int l, const struct item *edit);

/* --- counting gets --- */

static struct apply *apply_of(struct tree_source *counting)
{
        return (struct apply *)((char *)counting - offsetof(struct apply, counting));
}

static enum hif_err counting_get(struct tree_source *counting, const struct hif_hash *hash,
                                 struct tree_node *out)
{
        struct apply *apply = apply_of(counting);

        apply->stats.nodes_read++;
        return apply->source->get(apply->source, hash, out);
}

static void counting_put(struct tree_source *counting, struct tree_node *node)
{
        struct tree_source *source = apply_of(counting)->source;

        source->put(source, node);
}

/* --- levels --- */

static enum hif_err level_get(struct apply *apply, int l, struct level **out)
{
        struct level *level = apply->levels[l];

        if (!level) {
                /* A level above TREE_LEVEL_MAX - 1 may hold the root, but no node of its own. */
                if (l > TREE_LEVEL_MAX)
                        return HIF_ELIMIT;
                level = calloc(1, sizeof(*level));
                if (!level)
                        return HIF_ENOMEM;
                level->builder.level = (uint8_t)l;
                tree_cursor_init(&level->old, &apply->counting);
                apply->levels[l] = level;
        }
        *out = level;
        return HIF_OK;
}

static void level_free(struct level *level)
{
        if (!level)
                return;
        tree_cursor_close(&level->old);
        builder_free(&level->builder);
        buf_free(&level->passed);
        buf_free(&level->passed_keys);
        free(level);
}

/* --- what goes up --- */

static struct passed passed_at(const struct level *level, size_t index)
{
        struct passed passed;

        memcpy(&passed, level->passed.data + sizeof(passed) * index, sizeof(passed));
        return passed;
}

static size_t passed_count(const struct level *level)
{
        return level->passed.size / sizeof(struct passed);
}

static struct span passed_key(const struct level *level, const struct passed *passed)
{
        if (passed->key_size == 0)
                return span_str("");
        return span_of(level->passed_keys.data + passed->key_at, passed->key_size);
}

/* Tell the level above of the old nodes whose first key is below `key` (NULL: all). */
static enum hif_err send_passed(struct apply *apply, int l, const struct span *key)
{
        struct level *level = apply->levels[l];

        for (; level->passed_first < passed_count(level); level->passed_first++) {
                struct passed passed = passed_at(level, level->passed_first);
                struct item removal = {.key = passed_key(level, &passed)};
                enum hif_err err;

                if (key && span_cmp(removal.key, *key) >= 0)
                        return HIF_OK;
                err = level_edit(apply, l + 1, &removal);
                if (err)
                        return err;
        }
        buf_reset(&level->passed);
        buf_reset(&level->passed_keys);
        level->passed_first = 0;
        return HIF_OK;
}

/* The old node that now stands last on the cursor is going to be passed. */
static enum hif_err pass_node(struct apply *apply, int l)
{
        struct level *level = apply->levels[l];
        const struct tree_cursor *old = &level->old;
        struct passed passed = {.key_at = (uint32_t)level->passed_keys.size};
        uint64_t entries;

        if (old->depth > 1)
                tree_node_child(&old->nodes[old->depth - 2], old->index[old->depth - 2],
                                &passed.hash, &entries);
        else
                passed.hash = old->root;
        tree_node_key(&old->nodes[old->depth - 1], 0, &level->passed_keys);
        passed.key_size = (uint32_t)level->passed_keys.size - passed.key_at;
        buf_put(&level->passed, &passed, sizeof(passed));
        if (buf_failed(&level->passed) || buf_failed(&level->passed_keys))
                return HIF_ENOMEM;
        if (level->builder.count == 0) {
                struct span key = passed_key(level, &passed);

                return send_passed(apply, l, &key);
        }
        return HIF_OK;
}

/* End the node in the builder: give it to the sink and to the level above, unless it is an old one.
 */
static enum hif_err end_node(struct apply *apply, int l)
{
        struct level *level = apply->levels[l];
        struct node_builder *builder = &level->builder;
        struct item child = {.key = builder_key(builder, 0), .entries = builder->entries};
        struct hif_hash hash;
        enum hif_err err;
        bool same = false;

        if (l >= TREE_LEVEL_MAX)
                return HIF_ELIMIT;
        err = send_passed(apply, l, &child.key);
        if (!err)
                err = builder_encode(builder, &hash);
        if (err)
                return err;
        if (level->passed_first < passed_count(level)) {
                struct passed passed = passed_at(level, level->passed_first);

                if (span_eq(passed_key(level, &passed), child.key)) {
                        same = hash_eq(&passed.hash, &hash);
                        level->passed_first++;
                }
        }
        if (!same) {
                err = apply->sink->put(apply->sink, &hash, buf_span(&builder->bytes));
                if (err)
                        return err;
                apply->stats.nodes_written++;
                apply->stats.bytes_written += builder->bytes.size;
        }
        /* The old root has no parent that knows it: it may have got siblings. */
        if (!same || l == apply->old_level) {
                child.hash = &hash;
                err = level_edit(apply, l + 1, &child);
        }
        level->nodes++;
        builder_reset(builder);
        return err;
}

/* --- a level's run over old nodes --- */

static enum hif_err add(struct apply *apply, int l, const struct item *item)
{
        struct node_builder *builder = &apply->levels[l]->builder;
        enum hif_err err;

        if (l == 0)
                err = builder_add_entry(builder, item->key, item->entry);
        else
                err = builder_add_child(builder, item->key, item->hash, item->entries);
        if (!err && tree_boundary(apply->params, (uint8_t)l, builder->count, item->key))
                err = end_node(apply, l);
        return err;
}

static enum hif_err add_old(struct apply *apply, int l, const struct tree_node *node,
                            uint32_t index)
{
        uint8_t key[KEY_SIZE_MAX];
        struct item item = {.key = {.data = key, .size = node_key_copy(node, index, key)}};
        struct hif_hash hash;
        struct entry entry;

        if (l == 0) {
                tree_node_entry(node, index, &entry);
                item.entry = &entry;
        } else {
                tree_node_child(node, index, &hash, &item.entries);
                item.hash = &hash;
        }
        return add(apply, l, &item);
}

/* At the end of an old node. It goes on covering a key that is below the next one's first. *more:
 * the run goes on in the next node. */
static enum hif_err run_on(struct apply *apply, int l, const struct span *key, bool *more)
{
        struct level *level = apply->levels[l];
        struct tree_cursor *old = &level->old;
        int fork = cursor_fork(old);
        enum hif_err err;

        *more = false;
        if (key && (fork < 0 || node_key_cmp(&old->nodes[fork], old->index[fork] + 1, *key) > 0))
                return HIF_OK;
        if (level->builder.count == 0)
                level->running = false;
        if (level->builder.count == 0 || fork < 0)
                return HIF_OK;
        err = cursor_next_node(old, fork);
        if (err)
                return err;
        old->index[old->depth - 1] = 0;
        *more = true;
        return pass_node(apply, l);
}

/* Add old items with keys below `key` (NULL: as far as the run goes). */
static enum hif_err run_until(struct apply *apply, int l, const struct span *key)
{
        struct level *level = apply->levels[l];
        struct tree_cursor *old = &level->old;
        enum hif_err err;
        bool more = true;

        while (more) {
                struct tree_node *node = &old->nodes[old->depth - 1];
                uint32_t *index = &old->index[old->depth - 1];

                for (; *index < node->count; ++*index) {
                        if (key && node_key_cmp(node, *index, *key) >= 0)
                                return HIF_OK;
                        err = add_old(apply, l, node, *index);
                        if (err)
                                return err;
                }
                err = run_on(apply, l, key, &more);
                if (err)
                        return err;
        }
        return HIF_OK;
}

/* Begin a run at the old node that covers key. */
static enum hif_err run_begin(struct apply *apply, int l, struct span key)
{
        struct level *level = apply->levels[l];
        struct tree_cursor *old = &level->old;
        enum hif_err err = cursor_descend(old, apply->root, key, l);

        if (err)
                return err;
        old->index[old->depth - 1] = 0;
        level->running = true;
        level->from_start = true;
        for (int d = 0; d < old->depth - 1; d++)
                level->from_start = level->from_start && old->index[d] == 0;
        return pass_node(apply, l);
}

static enum hif_err level_edit(struct apply *apply, int l, const struct item *edit)
{
        struct level *level;
        enum hif_err err = level_get(apply, l, &level);

        if (err)
                return err;
        level->edited = true;
        if (l <= apply->old_level) {
                struct tree_cursor *old = &level->old;

                if (level->running)
                        err = run_until(apply, l, &edit->key);
                if (!err && !level->running) {
                        err = run_begin(apply, l, edit->key);
                        if (!err)
                                err = run_until(apply, l, &edit->key);
                }
                if (err)
                        return err;
                if (level->running) {
                        struct tree_node *node = &old->nodes[old->depth - 1];
                        uint32_t *index = &old->index[old->depth - 1];

                        if (*index < node->count && node_key_cmp(node, *index, edit->key) == 0)
                                ++*index;
                }
        }
        return edit->entry || edit->hash ? add(apply, l, edit) : HIF_OK;
}

/* --- the end --- */

/* No more edits come. *root: this level was left with one child, which is the root. */
static enum hif_err level_finish(struct apply *apply, int l, bool *found, struct hif_hash *root)
{
        struct level *level = apply->levels[l];
        enum hif_err err = HIF_OK;

        if (level->running)
                err = run_until(apply, l, NULL);
        if (err)
                return err;
        if (l > 0 && level->builder.count == 1 && level->nodes == 0 &&
            (l > apply->old_level || level->from_start)) {
                *root = builder_child(&level->builder, 0);
                *found = true;
                return HIF_OK;
        }
        if (level->builder.count > 0)
                err = end_node(apply, l);
        return err ? err : send_passed(apply, l, NULL);
}

static enum hif_err finish(struct apply *apply, struct hif_hash *root)
{
        bool found = false;

        for (int l = 0; l <= TREE_LEVEL_MAX && !found; l++) {
                enum hif_err err;

                if (!apply->levels[l] || !apply->levels[l]->edited) {
                        assert(apply->root);
                        *root = *apply->root;
                        return HIF_OK;
                }
                err = level_finish(apply, l, &found, root);
                if (err)
                        return err;
        }
        return found ? HIF_OK : HIF_ELIMIT;
}

/* Keys and entries of edits are the caller's: asserted. Their order is asserted by comparing with
 * the last key, which is copied because an edit lives only until the next. */
static enum hif_err feed(struct apply *apply, struct tree_edits *edits)
{
        struct tree_edit edit;
        uint8_t last[KEY_SIZE_MAX];
        size_t last_size = 0;
        bool first = true;

        while (edits->next(edits, &edit)) {
                struct item item = {.key = edit.key, .entry = edit.entry};
                enum hif_err err;

                assert(edit.key.size <= KEY_SIZE_MAX);
                assert(first || span_cmp(span_of(last, last_size), edit.key) < 0);
                if (edit.key.size == 0 && (!edit.entry || edit.entry->kind != ENTRY_DIR))
                        return HIF_EINVAL;
                if (first && !apply->root && edit.key.size > 0)
                        return HIF_EINVAL;
                err = level_edit(apply, 0, &item);
                if (err)
                        return err;
                first = false;
                last_size = edit.key.size;
                if (last_size > 0)
                        memcpy(last, edit.key.data, last_size);
        }
        return first && !apply->root ? HIF_EINVAL : HIF_OK;
}

static enum hif_err find_old_level(struct apply *apply)
{
        struct tree_node node;
        enum hif_err err;

        if (!apply->root)
                return HIF_OK;
        err = tree_get_root(&apply->counting, apply->root, &node);
        if (err)
                return err;
        apply->old_level = node.level;
        apply->source->put(apply->source, &node);
        return HIF_OK;
}

enum hif_err tree_apply(struct tree_source *source, struct tree_sink *sink,
                        const struct tree_params *params, const struct hif_hash *root,
                        struct tree_edits *edits, struct hif_hash *new_root,
                        struct tree_stats *stats)
{
        struct apply apply = {.source = source,
                              .sink = sink,
                              .params = params,
                              .root = root,
                              .old_level = -1,
                              .counting = {.get = counting_get, .put = counting_put}};
        struct hif_hash out;
        enum hif_err err;

        assert(tree_params_valid(params) && (source || !root));
        err = find_old_level(&apply);
        if (!err)
                err = feed(&apply, edits);
        if (!err)
                err = finish(&apply, &out);
        for (int l = 0; l <= TREE_LEVEL_MAX; l++)
                level_free(apply.levels[l]);
        if (err)
                return err;
        *new_root = out;
        if (stats)
                *stats = apply.stats;
        return HIF_OK;
}
