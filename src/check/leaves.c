/* A new leaf against what the older tree had in its range: which entries are other ones, and
 * whether slot, tags, directories and contents agree with that. */
#include "check/internal.h"

/* --- the older entries of a range, in order --- */

struct old_entries {
        struct walk *w;
        struct refs refs;
        struct span from, bound;
        size_t leaf;    /* the next one */
        uint32_t index; /* of the present entry */
        bool open;      /* node is held */
        struct tree_node node;
        struct buf key; /* of the present entry */
        bool any;       /* there is one */
};

static void old_leaf_close(struct old_entries *it)
{
        if (it->open)
                it->w->source->put(it->w->source, &it->node);
        it->open = false;
}

static enum hif_err old_leaf_open(struct old_entries *it)
{
        const struct hif_hash *hash = &it->refs.items[it->leaf++].hash;
        enum hif_err err = it->w->source->get(it->w->source, hash, &it->node);

        if (node_is_bad(err)) {
                walk_bad_node(it->w, hash);
                it->w->exact = false;
                return HIF_OK;
        }
        if (err != HIF_OK)
                return err;
        it->open = true;
        it->index = 0;
        if (it->node.level != 0) { /* told when that tree was checked */
                old_leaf_close(it);
                it->w->exact = false;
        }
        return HIF_OK;
}

/* On to the first entry at or after the present one that lies in the range. */
static enum hif_err old_settle(struct old_entries *it)
{
        it->any = false;
        for (;;) {
                if (it->open && it->index == it->node.count)
                        old_leaf_close(it);
                if (!it->open) {
                        enum hif_err err;

                        if (it->leaf == it->refs.count)
                                return HIF_OK;
                        err = old_leaf_open(it);
                        if (err != HIF_OK)
                                return err;
                        continue;
                }
                buf_reset(&it->key);
                tree_node_key(&it->node, it->index, &it->key);
                if (buf_failed(&it->key))
                        return HIF_ENOMEM;
                if (it->bound.size > 0 && span_cmp(buf_span(&it->key), it->bound) >= 0)
                        return HIF_OK;
                it->any = span_cmp(buf_span(&it->key), it->from) >= 0;
                if (it->any)
                        return HIF_OK;
                it->index++;
        }
}

static enum hif_err old_open(struct old_entries *it)
{
        enum hif_err err = HIF_OK;
        struct hif_hash wanted[BATCH];
        size_t n = 0;

        if (it->w->old_root)
                err = refs_gather(it->w->source, it->w->old_root, 0, it->from, it->bound, &it->refs,
                                  walk_bad_node, it->w);
        if (it->refs.unknown)
                it->w->exact = false;
        while (n < it->refs.count && n < BATCH) {
                wanted[n] = it->refs.items[n].hash;
                n++;
        }
        if (err == HIF_OK)
                err = nodes_prefetch(it->w->c->nodes, wanted, n);
        /* Before anything is compared: one that cannot be read makes the whole comparison void. */
        for (size_t i = 0; i < it->refs.count && err == HIF_OK; i++) {
                struct tree_node node;

                err = it->w->source->get(it->w->source, &it->refs.items[i].hash, &node);
                if (err == HIF_OK) {
                        it->w->source->put(it->w->source, &node);
                } else if (node_is_bad(err)) {
                        it->w->exact = false;
                        err = HIF_OK;
                }
        }
        return err == HIF_OK ? old_settle(it) : err;
}

static void old_free(struct old_entries *it)
{
        old_leaf_close(it);
        refs_free(&it->refs);
        buf_free(&it->key);
}

/* --- what an entry that changed must agree with --- */

static bool in_slot_paths(const struct walk *w, struct span path)
{
        size_t low = 0, high = w->slot_path_count;

        while (low < high) {
                size_t middle = low + (high - low) / 2;
                int order = span_cmp(w->slot_paths[middle], path);

                if (order == 0)
                        return true;
                if (order < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return false;
}

static void keep_first(struct buf *kept, struct span path)
{
        if (kept->size == 0)
                buf_put_span(kept, path);
}

static bool lands(const struct slot *slot)
{
        return slot->position > 0 && (slot->kind == SLOT_LANDING || slot->kind == SLOT_BATCH);
}

static void check_path(struct walk *w, const struct entry *before, const struct entry *now)
{
        if (!w->exact || !w->have_paths || w->path.size == 0 || entry_same(before, now) ||
            in_slot_paths(w, buf_span(&w->path)))
                return;
        w->path_count++;
        keep_first(&w->wrong_path, buf_span(&w->path));
}

static bool slot_has_tag(const struct slot *slot, const struct landing_tag *tag)
{
        for (uint32_t i = 0; i < slot_landing_count(slot); i++) {
                struct slot_member landing;

                slot_landing_at(slot, i, &landing, NULL);
                if (tag->id == landing.tag)
                        return tag->position <= slot->position;
        }
        return false;
}

static void check_tag(struct walk *w, const struct entry *now)
{
        if (!w->exact || !w->have_members || !lands(w->slot) || slot_has_tag(w->slot, &now->tag))
                return;
        w->tag_count++;
        keep_first(&w->tag_path, buf_span(&w->path));
}

/* Everything has a directory above it. w->path is the entry's. */
static enum hif_err check_parent(struct walk *w, const struct hif_hash *leaf, struct span key)
{
        struct span prefix = key_parent_prefix(key);
        AUTO_BUF struct buf parent_key = {0};
        struct entry parent;
        enum hif_err err;

        if (prefix.size == 0 || (w->parent.size > 0 && span_eq(prefix, buf_span(&w->parent))))
                return HIF_OK;
        key_from_path(&parent_key, path_parent(buf_span(&w->path)));
        if (buf_failed(&parent_key))
                return HIF_ENOMEM;
        err = tree_find(&w->parents, &w->slot->tree, buf_span(&parent_key), &parent, NULL);
        if (node_is_bad(err))
                return HIF_OK;
        if (err == HIF_ENOENT || (err == HIF_OK && parent.kind != ENTRY_DIR)) {
                walk_wrong(w, leaf, "an entry's parent is no directory");
                return HIF_OK;
        }
        if (err != HIF_OK)
                return err;
        buf_reset(&w->parent);
        buf_put_span(&w->parent, prefix);
        return buf_failed(&w->parent) ? HIF_ENOMEM : HIF_OK;
}

/* A directory went: nothing below it may have stayed. */
static enum hif_err check_below(struct walk *w, const struct hif_hash *leaf, struct span key)
{
        AUTO_BUF struct buf from = {0};
        AUTO_BUF struct buf to = {0};
        enum hif_err err;

        key_prefix_of_key(&from, key);
        key_prefix_end(&to, buf_span(&from));
        if (buf_failed(&from) || buf_failed(&to))
                return HIF_ENOMEM;
        err = tree_seek(&w->parents, &w->slot->tree, buf_span(&from));
        if (err == HIF_OK && span_cmp(tree_cursor_key(&w->parents), buf_span(&to)) < 0)
                walk_wrong(w, leaf, "entries stayed below a directory that went");
        return err == HIF_ENOENT || node_is_bad(err) ? HIF_OK : err;
}

static bool same_content(const struct entry *a, const struct entry *b)
{
        return a && b && entry_is_file(a) && entry_is_file(b) && a->size == b->size &&
               hash_eq(&a->hash, &b->hash) && a->loc.size == b->loc.size &&
               (a->loc.size == 0 ||
                (hash_eq(&a->loc.pack, &b->loc.pack) && a->loc.offset == b->loc.offset));
}

/* One key whose entries differ; NULL: it was not there, or went. */
static enum hif_err changed(struct walk *w, const struct hif_hash *leaf, struct span key,
                            const struct entry *before, const struct entry *now)
{
        enum hif_err err = HIF_OK;
        bool same = same_content(before, now);

        buf_reset(&w->path);
        key_to_path(&w->path, key);
        if (buf_failed(&w->path))
                return HIF_ENOMEM;
        check_path(w, before, now);
        if (before && !same)
                content_gone(w, before);
        if (now) {
                check_tag(w, now);
                err = check_parent(w, leaf, key);
                if (err == HIF_OK && !same)
                        err = content_check(w, now);
        }
        if (err == HIF_OK && before && before->kind == ENTRY_DIR &&
            (!now || now->kind != ENTRY_DIR))
                err = check_below(w, leaf, key);
        return err;
}

static enum hif_err compare(struct old_entries *it, const struct hif_hash *hash,
                            const struct tree_node *leaf)
{
        AUTO_BUF struct buf key = {0};
        enum hif_err err = HIF_OK;

        for (uint32_t i = 0; (i < leaf->count || it->any) && err == HIF_OK;) {
                struct entry before, now;
                int order = i == leaf->count ? 1 : -1;

                if (i < leaf->count) {
                        buf_reset(&key);
                        tree_node_key(leaf, i, &key);
                        if (buf_failed(&key))
                                return HIF_ENOMEM;
                        tree_node_entry(leaf, i, &now);
                        if (it->any)
                                order = span_cmp(buf_span(&key), buf_span(&it->key));
                }
                if (it->any && order >= 0)
                        tree_node_entry(&it->node, it->index, &before);
                if (order > 0)
                        err = changed(it->w, hash, buf_span(&it->key), &before, NULL);
                else if (order < 0)
                        err = changed(it->w, hash, buf_span(&key), NULL, &now);
                else if (!entry_identical(&before, &now))
                        err = changed(it->w, hash, buf_span(&key), &before, &now);
                i += order <= 0;
                if (err == HIF_OK && it->any && order >= 0) {
                        it->index++;
                        err = old_settle(it);
                }
        }
        return err;
}

enum hif_err leaf_check(struct walk *w, const struct hif_hash *hash, const struct tree_node *leaf,
                        struct span from, struct span bound)
{
        struct old_entries it = {.w = w, .from = from, .bound = bound};
        enum hif_err err = old_open(&it);

        if (err == HIF_OK)
                err = compare(&it, hash, leaf);
        old_free(&it);
        return err;
}
