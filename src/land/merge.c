/* From a list of changes to the entries of the merged tree: what the decision has to look at, and
 * what is written once it is made. */
#include "core/key.h"
#include "land/internal.h"

#include <assert.h>
#include <stdlib.h>

void merge_init(struct merge *merge, struct node_reader *reader, const struct hif_hash *base_tree,
                const struct hif_hash *their_tree, struct sipkey mix)
{
        *merge = (struct merge){
            .reader = reader, .base_tree = *base_tree, .their_tree = *their_tree, .mix = mix};
}

void merge_free(struct merge *merge)
{
        map_free(&merge->index);
        free(merge->items);
        free(merge->conflicts);
        free(merge->conflict_tags);
        arena_free(&merge->arena);
        memset(merge, 0, sizeof(*merge));
}

/* --- the index of paths --- */

struct touched *merge_find(const struct merge *merge, struct span path)
{
        struct touched *item = map_get(&merge->index, siphash(merge->mix, path.data, path.size));

        while (item && !span_eq(item->path, path))
                item = item->chain;
        return item;
}

static enum hif_err grow(struct merge *merge)
{
        size_t capacity = merge->capacity ? merge->capacity * 2 : 64;
        struct touched **grown = realloc(merge->items, capacity * sizeof(struct touched *));

        if (!grown)
                return HIF_ENOMEM;
        merge->items = grown;
        merge->capacity = capacity;
        return HIF_OK;
}

/* The item of a path, new or as it is. Path bytes are borrowed: the changes' or the arena's. */
static enum hif_err add(struct merge *merge, struct span path, struct touched **out)
{
        uint64_t mixed = siphash(merge->mix, path.data, path.size);
        struct touched *item = merge_find(merge, path);
        AUTO_BUF struct buf key = {0};

        *out = item;
        if (item)
                return HIF_OK;
        if (merge->count == merge->capacity && grow(merge) != HIF_OK)
                return HIF_ENOMEM;
        key_from_path(&key, path);
        item = arena_zalloc(&merge->arena, sizeof(*item));
        if (!item || buf_failed(&key))
                return HIF_ENOMEM;
        item->path = path;
        item->key = key.size > 0 ? arena_span(&merge->arena, buf_span(&key)) : span_str("");
        if (!item->key.data)
                return HIF_ENOMEM;
        item->chain = map_get(&merge->index, mixed);
        if (map_put(&merge->index, mixed, item) != HIF_OK)
                return HIF_ENOMEM;
        merge->items[merge->count++] = item;
        *out = item;
        return HIF_OK;
}

static enum hif_err add_ancestors(struct merge *merge, struct span path)
{
        while (path.size > 0) {
                size_t before = merge->count;
                struct touched *item;
                enum hif_err err;

                path = path_parent(path);
                err = add(merge, path, &item);
                if (err != HIF_OK)
                        return err;
                if (merge->count == before)
                        return HIF_OK; /* its own ancestors are in already */
        }
        return HIF_OK;
}

static int by_key(const void *a, const void *b)
{
        return span_cmp((*(struct touched *const *)a)->key, (*(struct touched *const *)b)->key);
}

static void sort(struct merge *merge)
{
        if (merge->count > 0)
                qsort(merge->items, merge->count, sizeof(struct touched *), by_key);
}

/* --- entries --- */

struct entry *merge_keep_entry(struct arena *arena, const struct entry *entry)
{
        struct entry *copy = arena_alloc(arena, sizeof(*copy));

        if (!copy)
                return NULL;
        *copy = *entry;
        copy->target = arena_span(arena, entry->target);
        copy->ext = arena_span(arena, entry->ext);
        if ((entry->target.size > 0 && !copy->target.data) ||
            (entry->ext.size > 0 && !copy->ext.data))
                return NULL;
        return copy;
}

/* Look items [from, count), in key order, up in one of the trees. */
static enum hif_err look_up(struct merge *merge, size_t from, bool theirs)
{
        const struct hif_hash *root = theirs ? &merge->their_tree : &merge->base_tree;
        struct tree_cursor cursor;
        size_t count = merge->count - from;
        AUTO_FREE struct span *keys = malloc((count + 1) * sizeof(*keys));
        enum hif_err err;

        if (!keys)
                return HIF_ENOMEM;
        for (size_t i = 0; i < count; i++)
                keys[i] = merge->items[from + i]->key;
        err = node_reader_touch(merge->reader, root, keys, count);
        tree_cursor_init(&cursor, node_reader_source(merge->reader));
        for (size_t i = from; i < merge->count && err == HIF_OK; i++) {
                struct touched *item = merge->items[i];
                const struct entry **slot = theirs ? &item->theirs : &item->base;
                struct entry entry;

                err = tree_find(&cursor, root, item->key, &entry, NULL);
                if (err == HIF_OK) {
                        *slot = merge_keep_entry(&merge->arena, &entry);
                        err = *slot ? HIF_OK : HIF_ENOMEM;
                } else if (err == HIF_ENOENT) {
                        err = HIF_OK;
                }
        }
        tree_cursor_close(&cursor);
        return err;
}

static enum hif_err entry_of_change(struct merge *merge, const struct land_change *change,
                                    const struct entry **out)
{
        struct entry *entry = arena_zalloc(&merge->arena, sizeof(*entry));

        if (!entry)
                return HIF_ENOMEM;
        entry->kind = change->entry_kind;
        entry->mtime = change->mtime;
        if (change->entry_kind == ENTRY_SYMLINK) {
                entry->target = change->target;
                entry->size = change->target.size;
                entry->hash = hash_of(HASH_BLOB, change->target);
        } else if (change->entry_kind != ENTRY_DIR) {
                entry->size = change->size;
                entry->hash = change->hash;
                entry->loc = change->loc;
        }
        *out = entry;
        return HIF_OK;
}

/* --- gathering --- */

static bool is_dir(const struct entry *entry)
{
        return entry && entry->kind == ENTRY_DIR;
}

static bool removes_dir(const struct touched *item)
{
        return item->change && is_dir(item->base) && !is_dir(item->ours);
}

static enum hif_err add_changes(struct merge *merge, const struct land_change *changes,
                                size_t count, struct hif_why *why)
{
        enum hif_err err = HIF_OK;

        for (size_t i = 0; i < count && err == HIF_OK; i++) {
                struct touched *item;

                assert(changes[i].path.size > 0 && path_valid(changes[i].path));
                err = add(merge, changes[i].path, &item);
                if (err != HIF_OK)
                        break;
                assert(!item->change); /* unique */
                item->change = &changes[i];
                if (changes[i].kind == LAND_PUT)
                        err = entry_of_change(merge, &changes[i], &item->ours);
                if (err == HIF_OK && item->ours && !entry_valid(item->ours))
                        err =
                            why_set(why, HIF_EINVAL, "%.*s: no entry of a tree",
                                    (int)changes[i].path.size, (const char *)changes[i].path.data);
        }
        return err;
}

/* One of base's entries below a directory that we do not have any more. */
static enum hif_err add_below(struct merge *merge, struct span key, const struct entry *entry)
{
        AUTO_BUF struct buf path = {0};
        struct touched *item;
        struct span kept;
        enum hif_err err;

        key_to_path(&path, key);
        kept = arena_span(&merge->arena, buf_span(&path));
        if (buf_failed(&path) || !kept.data)
                return HIF_ENOMEM;
        err = add(merge, kept, &item);
        if (err != HIF_OK)
                return err;
        if (!item->change)
                item->implied = true;
        if (!item->base)
                item->base = merge_keep_entry(&merge->arena, entry);
        return item->base ? HIF_OK : HIF_ENOMEM;
}

static enum hif_err remove_below(struct merge *merge, const struct touched *dir)
{
        AUTO_BUF struct buf from = {0};
        AUTO_BUF struct buf to = {0};
        struct tree_cursor cursor;
        enum hif_err err;

        key_prefix(&from, dir->path);
        key_prefix_end(&to, buf_span(&from));
        if (buf_failed(&from) || buf_failed(&to))
                return HIF_ENOMEM;
        err = node_reader_touch_range(merge->reader, &merge->base_tree, buf_span(&from),
                                      buf_span(&to));
        if (err != HIF_OK)
                return err;
        tree_cursor_init(&cursor, node_reader_source(merge->reader));
        err = tree_seek(&cursor, &merge->base_tree, buf_span(&from));
        while (err == HIF_OK && span_cmp(tree_cursor_key(&cursor), buf_span(&to)) < 0) {
                struct entry entry;

                tree_cursor_entry(&cursor, &entry);
                err = add_below(merge, tree_cursor_key(&cursor), &entry);
                if (err == HIF_OK)
                        err = tree_next(&cursor);
        }
        tree_cursor_close(&cursor);
        return err == HIF_ENOENT ? HIF_OK : err;
}

/* True when a directory above `path` goes as a whole: then that one's range holds this one's. */
static bool goes_with_another(const struct merge *merge, struct span path)
{
        while (path.size > 0) {
                const struct touched *above;

                path = path_parent(path);
                above = merge_find(merge, path);
                if (above && removes_dir(above))
                        return true;
        }
        return false;
}

static enum hif_err add_implied(struct merge *merge)
{
        size_t count = merge->count;
        enum hif_err err = HIF_OK;

        for (size_t i = 0; i < count && err == HIF_OK; i++) {
                struct touched *item = merge->items[i];

                if (removes_dir(item) && !goes_with_another(merge, item->path))
                        err = remove_below(merge, item);
        }
        return err;
}

/* What is there after the session, by its own account. */
static const struct entry *our_view(const struct touched *item)
{
        return item->change || item->implied ? item->ours : item->base;
}

static enum hif_err check_parents(const struct merge *merge, struct hif_why *why)
{
        for (size_t i = 0; i < merge->count; i++) {
                const struct touched *item = merge->items[i];
                const struct touched *parent;

                if (!item->change || !item->ours || item->path.size == 0)
                        continue;
                parent = merge_find(merge, path_parent(item->path));
                assert(parent);
                if (!is_dir(our_view(parent)))
                        return why_set(why, HIF_EINVAL,
                                       "%.*s lies below something that is no directory in this "
                                       "session: this is a bug in hif",
                                       (int)item->path.size, (const char *)item->path.data);
        }
        return HIF_OK;
}

enum hif_err merge_gather(struct merge *merge, const struct land_change *changes, size_t count,
                          struct hif_why *why)
{
        bool same = hash_eq(&merge->base_tree, &merge->their_tree);
        enum hif_err err = add_changes(merge, changes, count, why);
        size_t first;

        for (size_t i = 0; i < count && err == HIF_OK; i++)
                err = add_ancestors(merge, changes[i].path);
        sort(merge);
        if (err == HIF_OK)
                err = look_up(merge, 0, false);
        first = merge->count;
        if (err == HIF_OK)
                err = add_implied(merge);
        for (size_t i = first; i < merge->count && err == HIF_OK; i++)
                err = add_ancestors(merge, merge->items[i]->path); /* all below: already in */
        sort(merge);
        if (err == HIF_OK)
                err = check_parents(merge, why);
        if (err == HIF_OK && !same)
                err = look_up(merge, 0, true);
        for (size_t i = 0; i < merge->count && same; i++)
                merge->items[i]->theirs = merge->items[i]->base;
        return err;
}

/* --- what is written --- */

static bool later(struct hif_time a, struct hif_time b)
{
        return a.sec > b.sec || (a.sec == b.sec && a.nsec > b.nsec);
}

/* What is written for a directory that N has: theirs, at this time or later. */
static enum hif_err set_time(struct merge *merge, struct touched *dir, struct hif_time mtime)
{
        dir->entry = merge_keep_entry(&merge->arena, dir->theirs);
        if (!dir->entry)
                return HIF_ENOMEM;
        dir->act = TOUCH_TIME;
        dir->entry->tag = merge->tag;
        if (later(mtime, dir->entry->mtime))
                dir->entry->mtime = mtime;
        return HIF_OK;
}

/* A directory's time changes with its membership only, and never back. */
static enum hif_err touch_parent(struct merge *merge, const struct touched *item)
{
        struct touched *parent = merge_find(merge, path_parent(item->path));
        struct hif_time mtime = merge->now;

        assert(parent);
        if (parent->act != TOUCH_NONE)
                return HIF_OK; /* new with its own time, gone, or done */
        assert(is_dir(parent->theirs));
        if (parent->change && is_dir(parent->ours))
                mtime = parent->ours->mtime;
        return set_time(merge, parent, mtime);
}

enum hif_err merge_follow_dir(struct merge *merge, struct touched *dir, const struct entry *theirs)
{
        struct entry *kept = merge_keep_entry(&merge->arena, theirs);

        assert(!dir->change && !dir->implied);
        if (!kept)
                return HIF_ENOMEM;
        dir->theirs = kept;
        return dir->act == TOUCH_TIME ? set_time(merge, dir, merge->now) : HIF_OK;
}

static bool changes_membership(const struct touched *item)
{
        return item->act == TOUCH_ADD || item->act == TOUCH_REMOVE ||
               (item->act == TOUCH_CHANGE && is_dir(item->ours) != is_dir(item->theirs));
}

static enum hif_err our_entry(struct merge *merge, struct touched *item)
{
        item->entry = merge_keep_entry(&merge->arena, item->ours);
        if (!item->entry)
                return HIF_ENOMEM;
        item->entry->tag = merge->tag;
        if (item->theirs)
                item->entry->ext = item->theirs->ext; /* a newer version's: not ours to drop */
        return HIF_OK;
}

/* After the merge the parent of everything that we wrote is a directory: else it is a bug, and
 * landing it would break the tree for everyone. */
static bool parent_stays(const struct merge *merge, const struct touched *item)
{
        const struct touched *parent = merge_find(merge, path_parent(item->path));

        if (!parent)
                return false;
        if (parent->act == TOUCH_NONE || parent->act == TOUCH_TIME)
                return is_dir(parent->theirs);
        return parent->act != TOUCH_REMOVE && is_dir(parent->ours);
}

enum hif_err merge_entries(struct merge *merge, struct hif_why *why)
{
        enum hif_err err = HIF_OK;

        assert(merge->conflict_count == 0);
        for (size_t i = 0; i < merge->count && err == HIF_OK; i++) {
                struct touched *item = merge->items[i];

                if (item->act != TOUCH_ADD && item->act != TOUCH_CHANGE)
                        continue;
                if (!parent_stays(merge, item))
                        return why_set(why, HIF_ECORRUPT,
                                       "landing %.*s would leave it without a directory: nothing "
                                       "was landed; this is a bug in hif",
                                       (int)item->path.size, (const char *)item->path.data);
                err = our_entry(merge, item);
        }
        for (size_t i = 0; i < merge->count && err == HIF_OK; i++) {
                struct touched *item = merge->items[i];

                merge->added += item->act == TOUCH_ADD;
                merge->removed += item->act == TOUCH_REMOVE;
                merge->edit_count += item->act != TOUCH_NONE && item->act != TOUCH_TIME;
                if (changes_membership(item))
                        err = touch_parent(merge, item);
        }
        return err;
}

static bool edits_next(struct tree_edits *edits, struct tree_edit *out)
{
        struct merge_edits *it = (struct merge_edits *)edits;

        while (it->next < it->merge->count) {
                const struct touched *item = it->merge->items[it->next++];

                if (item->act == TOUCH_NONE)
                        continue;
                *out = (struct tree_edit){.key = item->key, .entry = item->entry};
                return true;
        }
        return false;
}

void merge_edits_init(struct merge_edits *it, const struct merge *merge)
{
        *it = (struct merge_edits){.edits.next = edits_next, .merge = merge};
}

/* --- what the slot says of them --- */

/* The path is where a rename of ours came from: that record tells of both. */
static bool renamed_away(const struct touched *const *sources, size_t count,
                         const struct touched *item)
{
        return count > 0 && bsearch(&item, sources, count, sizeof(*sources), by_key) != NULL;
}

static bool is_rename(const struct merge *merge, const struct touched *item)
{
        const struct touched *from;

        if (!item->change || item->change->path_from.size == 0 ||
            (item->act != TOUCH_ADD && item->act != TOUCH_CHANGE))
                return false;
        from = merge_find(merge, item->change->path_from);
        return from && from->act == TOUCH_REMOVE;
}

enum hif_err merge_paths(const struct merge *merge, struct arena *arena, struct slot_path **out,
                         uint32_t *out_count)
{
        struct slot_path *paths = arena_alloc(arena, (merge->edit_count + 1) * sizeof(*paths));
        AUTO_FREE const struct touched **sources =
            malloc((merge->edit_count + 1) * sizeof(struct touched *));
        uint32_t count = 0;
        size_t source_count = 0;

        if (!paths || !sources)
                return HIF_ENOMEM;
        for (size_t i = 0; i < merge->count; i++)
                if (is_rename(merge, merge->items[i]))
                        sources[source_count++] =
                            merge_find(merge, merge->items[i]->change->path_from);
        qsort(sources, source_count, sizeof(*sources), by_key);
        for (size_t i = 0; i < merge->count; i++) {
                const struct touched *item = merge->items[i];
                struct slot_path *path = &paths[count];

                if (item->act == TOUCH_NONE || item->act == TOUCH_TIME ||
                    (item->act == TOUCH_REMOVE && renamed_away(sources, source_count, item)))
                        continue;
                *path = (struct slot_path){.path = item->path, .kind = SLOT_CHANGED};
                if (is_rename(merge, item)) {
                        path->kind = SLOT_RENAMED;
                        path->path_from = item->change->path_from;
                } else if (item->act != TOUCH_CHANGE) {
                        path->kind = item->act == TOUCH_ADD ? SLOT_ADDED : SLOT_REMOVED;
                }
                count++;
        }
        *out = paths;
        *out_count = count;
        return HIF_OK;
}
