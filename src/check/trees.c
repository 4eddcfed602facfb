/* The tree of a slot against that of the slot before it. Only nodes that the older tree has not are
 * read; each is held against everything that tree_verify checks of a whole tree. So, position by
 * position, every node of the history is read once, in the place where it first stood, and the
 * newest tree is checked in whole.
 *
 * A node that both trees have was checked in the older one. What can still be wrong with it in the
 * new one is how it meets its neighbours: whether it may end where it ends, and whether its last
 * key lies before the next node's first. Where a neighbour is another one, it is looked at again.
 */
#include "check/internal.h"

#include <assert.h>

/* --- a node that cannot be read --- */

/* Paths that the slot lists in the range, and else those that the older tree had there. */
static enum hif_err name_paths(struct walk *w, struct broken *broken, struct span from,
                               struct span bound)
{
        struct refs old = {0};
        enum hif_err err = HIF_OK;

        for (size_t i = 0; i < w->slot_path_count && broken->path_count < CHECK_PATHS_NAMED; i++) {
                buf_reset(&w->key);
                key_from_path(&w->key, w->slot_paths[i]);
                if (buf_failed(&w->key))
                        return HIF_ENOMEM;
                if (span_cmp(buf_span(&w->key), from) >= 0 &&
                    (bound.size == 0 || span_cmp(buf_span(&w->key), bound) < 0))
                        broken_path(w->c, broken, w->slot_paths[i]);
        }
        if (w->old_root)
                err = refs_gather(w->source, w->old_root, 0, from, bound, &old, walk_bad_node, w);
        for (size_t i = 0; i < old.count && err == HIF_OK && broken->path_count < CHECK_PATHS_NAMED;
             i++) {
                struct tree_node leaf;

                err = w->source->get(w->source, &old.items[i].hash, &leaf);
                if (node_is_bad(err)) {
                        err = HIF_OK;
                        continue;
                }
                if (err != HIF_OK)
                        break;
                for (uint32_t k = 0; k < leaf.count && leaf.level == 0; k++) {
                        buf_reset(&w->key);
                        buf_reset(&w->path);
                        tree_node_key(&leaf, k, &w->key);
                        if (span_cmp(buf_span(&w->key), from) < 0 || w->key.size == 0 ||
                            (bound.size > 0 && span_cmp(buf_span(&w->key), bound) >= 0))
                                continue;
                        key_to_path(&w->path, buf_span(&w->key));
                        if (!buf_failed(&w->path))
                                broken_path(w->c, broken, buf_span(&w->path));
                }
                w->source->put(w->source, &leaf);
        }
        refs_free(&old);
        return err;
}

static enum hif_err bad_node(struct walk *w, const struct ref *ref, struct span from,
                             struct span bound)
{
        enum hif_err why = HIF_OK, err = HIF_OK;
        enum node_state state = nodes_state(w->c->nodes, &ref->hash, &why);
        struct broken *broken = broken_find(w->c, OBJECT_NODE, &ref->hash);

        w->incomplete = true;
        if (broken) { /* it was gone meanwhile, or it is in the tree twice */
                broken->open = true;
                return HIF_OK;
        }
        broken = broken_add(w->c, OBJECT_NODE, &ref->hash,
                            state == NODE_MISSING ? CHECK_NODE_MISSING : CHECK_NODE_DAMAGED,
                            state == NODE_MISSING   ? BROKEN_MISSING
                            : state == NODE_DAMAGED ? BROKEN_DAMAGED
                                                    : BROKEN_UNREAD,
                            w->slot->position);
        if (!broken)
                return HIF_OK;
        broken->err = why;
        if (state == NODE_UNREAD || why == HIF_EUNSUPPORTED)
                broken->detail = hif_strerror(why);
        err = name_paths(w, broken, from, bound);
        if (ref->entries > broken->path_total)
                broken->path_total = ref->entries;
        return err;
}

/* --- a node that both trees have, beside another neighbour --- */

static enum hif_err meet_again(struct walk *w, const struct ref *ref, struct span bound)
{
        struct tree_node node;
        enum hif_err err = w->source->get(w->source, &ref->hash, &node);
        struct hif_why why = {.text = ""};

        if (err != HIF_OK)
                return node_is_bad(err) ? HIF_OK : err; /* told before */
        buf_reset(&w->key);
        tree_node_key(&node, node.count - 1, &w->key);
        if (buf_failed(&w->key))
                err = HIF_ENOMEM;
        else if (bound.size > 0 && span_cmp(buf_span(&w->key), bound) >= 0)
                walk_wrong(w, &ref->hash, "its last key is not below the first of the next node");
        if (err == HIF_OK)
                err = tree_verify_node(&w->c->project.format.tree, &ref->hash, &node, ref->last,
                                       &why);
        if (err == HIF_ECORRUPT) {
                walk_wrong(w, &ref->hash, why.text);
                err = HIF_OK;
        }
        w->source->put(w->source, &node);
        return err;
}

/* --- new nodes --- */

static enum hif_err visit(struct walk *w, const struct ref *ref, struct span from, int level,
                          struct span bound);

/* What lies between `from` and `bound` in the older tree, on the level of these children. */
static enum hif_err find_common(struct walk *w, struct refs *children, uint8_t level,
                                struct span from, struct span bound, struct refs *old)
{
        enum hif_err err = HIF_OK;
        size_t at = 0;

        if (!w->old_root)
                return HIF_OK;
        err = refs_gather(w->source, w->old_root, level, from, bound, old, walk_bad_node, w);
        for (size_t i = 0; i < children->count && err == HIF_OK; i++) {
                struct ref *child = &children->items[i];
                struct span key = ref_key(children, i);
                struct ref *before;

                while (at < old->count && span_cmp(ref_key(old, at), key) < 0)
                        at++;
                if (at == old->count)
                        break;
                before = &old->items[at];
                if (!span_eq(ref_key(old, at), key) || !hash_eq(&before->hash, &child->hash) ||
                    before->entries != child->entries)
                        continue;
                before->used = child->used = true;
                child->partner = at;
        }
        for (size_t i = 0; i < old->count && err == HIF_OK; i++)
                if (!old->items[i].used && span_cmp(ref_key(old, i), from) >= 0)
                        broken_close(w->c, OBJECT_NODE, &old->items[i].hash, w->slot->position);
        return err;
}

/* Does the child meet the same neighbour as in the older tree? */
static bool meets_as_before(const struct refs *old, size_t index, bool last, struct span bound)
{
        if (old->items[index].last)
                return last;
        if (index + 1 == old->count)
                return false; /* not known from here */
        return bound.size > 0 && span_cmp(bound, ref_key(old, index + 1)) >= 0;
}

static enum hif_err prefetch_new(struct walk *w, const struct refs *children, size_t first)
{
        struct hif_hash wanted[BATCH];
        size_t n = 0;

        for (size_t i = first; i < children->count && i < first + BATCH; i++)
                if (!children->items[i].used)
                        wanted[n++] = children->items[i].hash;
        return nodes_prefetch(w->c->nodes, wanted, n);
}

static enum hif_err visit_children(struct walk *w, const struct tree_node *node, bool last,
                                   struct span from, struct span bound)
{
        struct refs children = {0}, old = {0};
        uint8_t level = (uint8_t)(node->level - 1);
        enum hif_err err = refs_of(node, last, &children);

        if (err == HIF_OK)
                err = find_common(w, &children, level, from, bound, &old);
        if (old.unknown)
                w->exact = false;
        for (size_t i = 0; i < children.count && err == HIF_OK; i++) {
                struct span end = i + 1 < children.count ? ref_key(&children, i + 1) : bound;

                if (i % BATCH == 0)
                        err = prefetch_new(w, &children, i);
                if (err != HIF_OK)
                        break;
                if (!children.items[i].used)
                        err = visit(w, &children.items[i], ref_key(&children, i), level, end);
                else if (!meets_as_before(&old, children.items[i].partner, children.items[i].last,
                                          end))
                        err = meet_again(w, &children.items[i], end);
        }
        refs_free(&children);
        refs_free(&old);
        return err;
}

/* What the parent says of a node, and what a node shows by itself. *descend: it is worth going on
 * below. */
static enum hif_err check_node(struct walk *w, const struct ref *ref, struct span from, int level,
                               struct span bound, const struct tree_node *node, bool *descend)
{
        struct hif_why why = {.text = ""};
        enum hif_err err;

        *descend = false;
        buf_reset(&w->key);
        tree_node_key(node, 0, &w->key);
        if (buf_failed(&w->key))
                return HIF_ENOMEM;
        if (!span_eq(buf_span(&w->key), from) || (level >= 0 && node->level != level)) {
                walk_wrong(w, &ref->hash, "it is not what its parent says of it");
                return HIF_OK;
        }
        if (level >= 0 && tree_node_entries(node) != ref->entries) {
                walk_wrong(w, &ref->hash, "it has not as many entries as its parent says");
                return HIF_OK;
        }
        if (level < 0 && node->level > 0 && node->count == 1)
                walk_wrong(w, &ref->hash, "it is no root: it has one child");
        *descend = true;
        err = tree_verify_node(&w->c->project.format.tree, &ref->hash, node, ref->last, &why);
        if (err == HIF_ECORRUPT)
                walk_wrong(w, &ref->hash, why.text);
        else if (err != HIF_OK)
                return err;
        buf_reset(&w->key);
        tree_node_key(node, node->count - 1, &w->key);
        if (buf_failed(&w->key))
                return HIF_ENOMEM;
        if (bound.size > 0 && span_cmp(buf_span(&w->key), bound) >= 0) {
                walk_wrong(w, &ref->hash, "its last key is not below the first of the next node");
                *descend = false;
        }
        return HIF_OK;
}

static void ignore_bad(void *arg, const struct hif_hash *hash)
{
        (void)arg;
        (void)hash;
}

/* A tree that shrank can have a root that was an inner node before, which is then not new. */
static bool was_below(struct walk *w, const struct ref *root)
{
        struct refs old = {0};
        struct tree_node node;
        bool was = false;

        if (!w->old_root || w->source->get(w->source, &root->hash, &node) != HIF_OK)
                return false;
        if (refs_gather(w->source, w->old_root, node.level, span_str(""), span_of("", 1), &old,
                        ignore_bad, NULL) == HIF_OK)
                was = old.count > 0 && hash_eq(&old.items[0].hash, &root->hash);
        w->source->put(w->source, &node);
        refs_free(&old);
        return was;
}

/* A node that the older tree has not. level -1: the root. Recursion: levels descend by one. */
static enum hif_err visit(struct walk *w, const struct ref *ref, struct span from, int level,
                          struct span bound)
{
        struct layout_key key = layout_node(&w->c->project.layout, &ref->hash);
        struct object *object;
        struct tree_node node;
        bool descend;
        enum hif_err err = inventory_add(&w->c->inventory, OBJECT_NODE, &ref->hash, &object);

        if (err != HIF_OK)
                return err;
        if (object)
                object->reached = 1;
        if (level >= 0 || !was_below(w, ref))
                walk_listed(w, SLOT_NODE, &ref->hash, object, key.text);
        err = w->source->get(w->source, &ref->hash, &node);
        if (node_is_bad(err))
                return bad_node(w, ref, from, bound);
        if (err != HIF_OK)
                return err;
        err = check_node(w, ref, from, level, bound, &node, &descend);
        if (err == HIF_OK && descend && node.level > 0)
                err = visit_children(w, &node, ref->last, from, bound);
        else if (err == HIF_OK && descend)
                err = leaf_check(w, &ref->hash, &node, from, bound);
        w->source->put(w->source, &node);
        return err;
}

/* --- the whole --- */

static int slot_object_cmp(const void *a, const void *b)
{
        const struct slot_object *x = a, *y = b;
        int order = memcmp(x->hash.bytes, y->hash.bytes, HIF_HASH_SIZE);

        return order ? order : (int)x->kind - (int)y->kind;
}

static int path_cmp(const void *a, const void *b)
{
        return span_cmp(*(const struct span *)a, *(const struct span *)b);
}

static enum object_kind kind_of(enum slot_object_kind kind)
{
        return kind == SLOT_NODE ? OBJECT_NODE : kind == SLOT_PACK ? OBJECT_PACK : OBJECT_BLOB;
}

static enum hif_err walk_begin(struct walk *w)
{
        struct slot *slot = (struct slot *)w->slot;
        enum hif_err err = HIF_OK;

        if (w->have_objects && slot->object_count > 0) {
                qsort(slot->objects, slot->object_count, sizeof(*slot->objects), slot_object_cmp);
                w->object_seen = calloc(slot->object_count, sizeof(*w->object_seen));
                if (!w->object_seen)
                        return HIF_ENOMEM;
        }
        if (w->have_paths && slot->path_count > 0) {
                w->slot_paths = calloc(2 * (size_t)slot->path_count, sizeof(*w->slot_paths));
                if (!w->slot_paths)
                        return HIF_ENOMEM;
                for (uint32_t i = 0; i < slot->path_count; i++) {
                        w->slot_paths[w->slot_path_count++] = slot->paths[i].path;
                        if (slot->paths[i].kind == SLOT_RENAMED)
                                w->slot_paths[w->slot_path_count++] = slot->paths[i].path_from;
                }
                qsort(w->slot_paths, w->slot_path_count, sizeof(*w->slot_paths), path_cmp);
        }
        for (uint32_t i = 0; w->have_objects && i < slot->object_count && err == HIF_OK; i++) {
                const struct slot_object *at = &slot->objects[i];
                struct object *object;

                err = inventory_add(&w->c->inventory, kind_of(at->kind), &at->hash, &object);
                if (err == HIF_OK && object)
                        object->listed = 1;
        }
        return err;
}

static void tell_count(struct walk *w, enum check_kind kind, uint64_t count, const char *key,
                       const struct buf *path)
{
        struct span named = buf_span(path);
        struct check_finding finding = {.kind = kind,
                                        .key = key,
                                        .at = true,
                                        .first = w->slot->position,
                                        .last = w->slot->position,
                                        .count = count,
                                        .paths = &named,
                                        .path_count = named.size > 0};

        if (count > 0)
                found(w->c, &finding);
}

static void walk_end(struct walk *w, uint64_t entries)
{
        struct check *c = w->c;
        struct layout_key key = layout_slot(&c->project.layout, w->slot->position);
        char detail[128];
        uint64_t surplus = 0;

        tell_count(w, CHECK_OBJECT_UNLISTED, w->unlisted_count, w->unlisted, &w->unlisted_path);
        tell_count(w, CHECK_PATH_UNLISTED, w->path_count, key.text, &w->wrong_path);
        tell_count(w, CHECK_TAG_WRONG, w->tag_count, key.text, &w->tag_path);
        if (w->wrong_count > WRONG_MAX) {
                (void)snprintf(detail, sizeof(detail), "and %llu more of its nodes break rules",
                               (unsigned long long)(w->wrong_count - WRONG_MAX));
                found_at(c, CHECK_TREE_WRONG, w->slot->position, key.text, detail);
        }
        if (entries > 0 && entries != w->slot->tree_entries) {
                (void)snprintf(detail, sizeof(detail), "the slot says %llu, the tree has %llu",
                               (unsigned long long)w->slot->tree_entries,
                               (unsigned long long)entries);
                found_at(c, CHECK_ENTRIES_WRONG, w->slot->position, key.text, detail);
        }
        /* A batch lists what one member wrote and the next one replaced, a repair what older
         * positions need. */
        if (!w->exact || w->incomplete || !w->have_objects || w->slot->kind != SLOT_LANDING)
                return;
        for (uint32_t i = 0; i < w->slot->object_count; i++)
                surplus += !w->object_seen[i];
        if (surplus > 0) {
                c->surplus_first = c->surplus_count == 0 ? w->slot->position : c->surplus_first;
                c->surplus_last = w->slot->position;
                c->surplus_count += surplus;
        }
}

static void walk_free(struct walk *w)
{
        tree_cursor_close(&w->parents);
        free(w->object_seen);
        free(w->slot_paths);
        buf_free(&w->parent);
        buf_free(&w->path);
        buf_free(&w->key);
        buf_free(&w->unlisted_path);
        buf_free(&w->wrong_path);
        buf_free(&w->tag_path);
}

enum hif_err tree_reach(struct check *c, const struct hif_hash *tree, const struct slot *base,
                        const char *detail)
{
        struct slot slot = {
            .kind = SLOT_VOID, .position = base->position, .tree = *tree, .tree_entries = 0};
        struct walk w = {
            .c = c, .source = nodes_source(c->nodes), .slot = &slot, .old_root = &base->tree};
        struct ref root = {.hash = *tree, .last = true};
        size_t before = c->broken_count;
        char *kept = NULL;
        enum hif_err err;

        tree_cursor_init(&w.parents, w.source);
        err = hash_eq(tree, &base->tree) ? HIF_OK
                                         : visit(&w, &root, span_str(""), -1, (struct span){0});
        if (c->broken_count > before)
                kept = arena_str(&c->broken_arena, detail);
        for (size_t i = before; i < c->broken_count && kept; i++) {
                c->broken[i].open = false;
                c->broken[i].detail = kept;
        }
        walk_free(&w);
        return err;
}

enum hif_err tree_check(struct check *c, const struct slot_view *view, const struct before *before)
{
        const struct slot *slot = &view->read.slot;
        struct walk w = {.c = c,
                         .source = nodes_source(c->nodes),
                         .slot = slot,
                         .have_paths = view->have_paths,
                         .have_objects = view->have_objects,
                         .have_members = view->have_members,
                         .old_root = before->tree_known ? &before->tree : NULL,
                         .exact = before->known || slot->position == 0};
        struct ref root = {.hash = slot->tree, .entries = slot->tree_entries, .last = true};
        struct tree_node node;
        uint64_t entries = 0;
        enum hif_err err;

        tree_cursor_init(&w.parents, w.source);
        err = walk_begin(&w);
        if (err == HIF_OK && !(w.old_root && hash_eq(w.old_root, &slot->tree)))
                err = visit(&w, &root, span_str(""), -1, (struct span){0});
        if (err == HIF_OK && w.source->get(w.source, &slot->tree, &node) == HIF_OK) {
                entries = tree_node_entries(&node);
                w.source->put(w.source, &node);
        }
        if (err == HIF_OK)
                walk_end(&w, entries);
        walk_free(&w);
        return err;
}
