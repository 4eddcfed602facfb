/* expand.c - changes spelled out path by path, for landing. On a job thread.
 *
 * Removals come from every name that the base has and the workspace has not (or has for another
 * node): that path, and all that the base holds below it. Puts come from every name that the
 * overlay gives, and, where that is a directory of the base, from all that shows through below it;
 * and from nodes that changed in place. Where a path is both, the put stands. What lies under names
 * that never land goes to a list of its own: once its base is gone, only rows can tell of it. */
#include "vfs/changes.h"

#include "vfs/rows.h"

#include <assert.h>
#include <stdlib.h>

struct item {
        struct span key;
        size_t order;
        struct vfs_expanded what;
};

/* A base directory that shows through at another path. */
struct shown_dir {
        uint64_t id;
        struct span base_path, path;
        bool local;
};

struct expanding {
        struct vfs_snapshot *snapshot;
        struct vfs_rows *rows;
        struct tree_source *nodes;
        struct runs runs;
        struct tree_cursor cursor;
        struct buf items; /* struct item */
        struct buf kept;  /* struct item */
        bool local;       /* where puts go to */
        struct buf todo;  /* struct shown_dir, a stack */
        struct buf key, scratch;
        size_t order;
};

static enum hif_err push_item(struct expanding *ex, const struct vfs_expanded *what)
{
        struct item item = {.order = ex->order++, .what = *what};
        struct buf *list = ex->local && !what->remove ? &ex->kept : &ex->items;

        /* Of a directory that was renamed to where what is in it is too deep. */
        if (what->path.data != NULL && what->path.size > PATH_SIZE_MAX)
                return HIF_ENAMETOOLONG;
        buf_reset(&ex->key);
        key_from_path(&ex->key, what->path);
        item.key = arena_span(&ex->snapshot->arena, buf_span(&ex->key));
        if (buf_failed(&ex->key) || item.key.data == NULL || what->path.data == NULL)
                return HIF_ENOMEM;
        buf_put(list, &item, sizeof(item));
        return buf_failed(list) ? HIF_ENOMEM : HIF_OK;
}

static struct span keep(struct expanding *ex, struct span bytes)
{
        return arena_span(&ex->snapshot->arena, bytes);
}

static struct span keep_joined(struct expanding *ex, struct span dir, struct span name)
{
        buf_reset(&ex->scratch);
        buf_put_span(&ex->scratch, dir);
        if (dir.size > 0)
                buf_put_u8(&ex->scratch, '/');
        buf_put_span(&ex->scratch, name);
        return buf_failed(&ex->scratch) ? (struct span){0} : keep(ex, buf_span(&ex->scratch));
}

/* --- removals --- */

static enum hif_err remove_below(struct expanding *ex, struct span base_path)
{
        CLEANUP(buf_free) struct buf from = {0}, end = {0}, path = {0};
        enum hif_err err;

        key_prefix(&from, base_path);
        key_prefix_end(&end, buf_span(&from));
        if (buf_failed(&from) || buf_failed(&end))
                return HIF_ENOMEM;
        err = tree_seek(&ex->cursor, &ex->snapshot->base.tree, buf_span(&from));
        while (err == HIF_OK) {
                struct vfs_expanded what = {.remove = true};
                struct span key = tree_cursor_key(&ex->cursor);

                if (span_cmp(key, buf_span(&end)) >= 0)
                        return HIF_OK;
                buf_reset(&path);
                key_to_path(&path, key);
                if (buf_failed(&path))
                        return HIF_ENOMEM;
                what.path = keep(ex, buf_span(&path));
                err = push_item(ex, &what);
                if (err == HIF_OK)
                        err = tree_next(&ex->cursor);
        }
        return err == HIF_ENOENT ? HIF_OK : err;
}

static enum hif_err remove_name(struct expanding *ex, const struct odirent *row)
{
        CLEANUP(buf_free) struct buf dir = {0};
        struct vfs_expanded what = {.remove = true};
        enum hif_err err = vfs_rows_base_path(ex->rows, row->dir, &dir);

        if (err != HIF_OK)
                return err;
        what.path = keep_joined(ex, buf_span(&dir), row->name);
        err = push_item(ex, &what);
        if (err == HIF_OK && row->base.kind == ENTRY_DIR)
                err = remove_below(ex, what.path);
        return err;
}

/* --- puts --- */

static enum hif_err base_target(struct expanding *ex, uint64_t id, struct span *target)
{
        const struct hif_hash *tree = &ex->snapshot->base.tree;
        struct entry entry;
        uint64_t rank;
        enum hif_err err;

        if (!runs_rank(&ex->runs, id, &rank)) {
                /* No base has it any more: the one that it was first seen in still tells. */
                const struct vfs_base *epochs = (const void *)ex->snapshot->epochs.data;

                if (!nodeid_is_base(id) ||
                    nodeid_epoch(id) >= ex->snapshot->epochs.size / sizeof(*epochs))
                        return HIF_ECORRUPT;
                tree = &epochs[nodeid_epoch(id)].tree;
                rank = nodeid_rank(id);
        }
        err = tree_seek_rank(&ex->cursor, tree, rank);
        if (err != HIF_OK)
                return err == HIF_ENOENT ? HIF_ECORRUPT : err;
        tree_cursor_entry(&ex->cursor, &entry);
        *target = keep(ex, entry.target);
        return target->data != NULL ? HIF_OK : HIF_ENOMEM;
}

static enum hif_err put_row(struct expanding *ex, const struct onode *node, struct span path,
                            struct span path_from)
{
        struct vfs_expanded what = {.path = path,
                                    .path_from = path_from,
                                    .node = node->id,
                                    .mtime = node->mtime,
                                    .target = node->target};
        enum hif_err err = HIF_OK;

        if (!vfs_rows_entry_kind(node, &what.entry_kind))
                return HIF_OK;
        if (what.entry_kind == ENTRY_SYMLINK) {
                if (node->target.size == 0)
                        err = base_target(ex, node->id, &what.target);
                what.size = what.target.size;
        } else if (what.entry_kind != ENTRY_DIR) {
                what.size = node->size;
                what.have_hash = (node->flags & ONODE_CONTENT) == 0;
                if (what.have_hash) {
                        what.hash = node->base.hash;
                        what.loc = node->base.loc;
                } else {
                        what.content = vfs_rows_content(ex->rows, node);
                }
        }
        return err == HIF_OK ? push_item(ex, &what) : err;
}

/* A child of the base, as it is, at another path. */
static enum hif_err put_entry(struct expanding *ex, uint64_t id, const struct entry *entry,
                              struct span path, struct span base_path)
{
        struct vfs_expanded what = {.path = path,
                                    .path_from = base_path,
                                    .node = id,
                                    .entry_kind = entry->kind,
                                    .mtime = entry->mtime,
                                    .size = entry->size,
                                    .have_hash = true,
                                    .hash = entry->hash,
                                    .loc = entry->loc};

        if (entry->kind == ENTRY_SYMLINK) {
                what.target = keep(ex, entry->target);
                if (what.target.data == NULL)
                        return HIF_ENOMEM;
        }
        return push_item(ex, &what);
}

static enum hif_err push_dir(struct expanding *ex, uint64_t id, struct span base_path,
                             struct span path)
{
        struct shown_dir dir = {.id = id, .base_path = base_path, .path = path, .local = ex->local};

        buf_put(&ex->todo, &dir, sizeof(dir));
        return buf_failed(&ex->todo) ? HIF_ENOMEM : HIF_OK;
}

static enum hif_err show_child(struct expanding *ex, const struct shown_dir *dir)
{
        struct span key = tree_cursor_key(&ex->cursor), name = key_name(key), path, base_path;
        uint64_t id = runs_id(&ex->runs, ex->cursor.rank);
        const struct onode *node = vfs_rows_node(ex->rows, id);
        struct entry entry;
        enum hif_err err;

        if (vfs_rows_dirent(ex->rows, dir->id, key_hash60(key), name) != NULL)
                return HIF_OK; /* the overlay speaks for this name */
        tree_cursor_entry(&ex->cursor, &entry);
        path = keep_joined(ex, dir->path, name);
        base_path = keep_joined(ex, dir->base_path, name);
        if (path.data == NULL || base_path.data == NULL)
                return HIF_ENOMEM;
        if (node != NULL && (node->flags & ONODE_ATTRS) != 0 && entry_is_file(&entry))
                err = put_row(ex, node, path, base_path);
        else
                err = put_entry(ex, id, &entry, path, base_path);
        if (err == HIF_OK && entry.kind == ENTRY_DIR)
                err = push_dir(ex, id, base_path, path);
        return err;
}

/* Children of one base directory, at its new path. */
static enum hif_err show_children(struct expanding *ex, const struct shown_dir *dir)
{
        CLEANUP(buf_free) struct buf from = {0}, end = {0};
        enum hif_err err;

        key_prefix(&from, dir->base_path);
        buf_put_span(&end, buf_span(&from));
        buf_put_u8(&from, 0);
        buf_put_u8(&end, 1);
        if (buf_failed(&from) || buf_failed(&end))
                return HIF_ENOMEM;
        err = tree_seek(&ex->cursor, &ex->snapshot->base.tree, buf_span(&from));
        while (err == HIF_OK && span_cmp(tree_cursor_key(&ex->cursor), buf_span(&end)) < 0) {
                err = show_child(ex, dir);
                if (err == HIF_OK)
                        err = tree_next(&ex->cursor);
        }
        return err == HIF_ENOENT ? HIF_OK : err;
}

static enum hif_err show_todo(struct expanding *ex)
{
        enum hif_err err = HIF_OK;

        while (err == HIF_OK && ex->todo.size > 0) {
                struct shown_dir dir;

                ex->todo.size -= sizeof(dir);
                memcpy(&dir, ex->todo.data + ex->todo.size, sizeof(dir));
                ex->local = dir.local;
                err = show_children(ex, &dir);
        }
        return err;
}

static enum hif_err put_name_given(struct expanding *ex, const struct odirent *row)
{
        const struct onode *node = vfs_rows_node(ex->rows, row->child);
        CLEANUP(buf_free) struct buf dir = {0}, base = {0};
        struct span path, base_path = {0};
        uint64_t rank;
        enum hif_err err;

        assert(node != NULL);
        ex->local = !vfs_rows_lands(ex->rows, row);
        err = vfs_rows_path(ex->rows, row->dir, &dir);
        if (err != HIF_OK)
                return err;
        path = keep_joined(ex, buf_span(&dir), row->name);
        if (path.data == NULL)
                return HIF_ENOMEM;
        if (map_get(&ex->rows->by_base_child, row->child) != NULL) {
                err = vfs_rows_base_path(ex->rows, row->child, &base);
                if (err != HIF_OK)
                        return err;
                base_path = keep(ex, buf_span(&base));
                if (base_path.data == NULL)
                        return HIF_ENOMEM;
        }
        err = put_row(ex, node, path, base_path);
        if (err != HIF_OK || node->kind != ONODE_DIR || !runs_rank(&ex->runs, node->id, &rank))
                return err;
        if (base_path.data == NULL)
                return HIF_ECORRUPT; /* of the base, moved, and no row tells from where */
        err = push_dir(ex, node->id, base_path, path);
        return err == HIF_OK ? show_todo(ex) : err;
}

static enum hif_err put_changed(struct expanding *ex, const struct onode *node)
{
        CLEANUP(buf_free) struct buf path = {0};
        enum entry_kind kind;
        struct span kept;
        enum hif_err err;

        if (node->base.kind == 0 || node->kind != ONODE_FILE || (node->flags & ONODE_ATTRS) == 0 ||
            !vfs_rows_entry_kind(node, &kind) ||
            ((node->flags & ONODE_CONTENT) == 0 && kind == node->base.kind) ||
            !vfs_rows_at_home(ex->rows, &ex->runs, node))
                return HIF_OK;
        ex->local = false;
        err = vfs_rows_path(ex->rows, node->id, &path);
        if (err != HIF_OK)
                return err;
        kept = keep(ex, buf_span(&path));
        return kept.data != NULL ? put_row(ex, node, kept, (struct span){0}) : HIF_ENOMEM;
}

/* --- the list --- */

static int compare_items(const void *a, const void *b)
{
        const struct item *item_a = a, *item_b = b;
        int order = span_cmp(item_a->key, item_b->key);

        if (order != 0)
                return order;
        if (item_a->what.remove != item_b->what.remove)
                return item_a->what.remove ? -1 : 1;
        return item_a->order < item_b->order ? -1 : 1;
}

static enum hif_err collect(struct expanding *ex, const struct buf *from, struct vfs_expanded **out,
                            size_t *count)
{
        struct item *items = (struct item *)(void *)from->data;
        size_t item_count = from->size / sizeof(struct item), kept = 0;
        struct vfs_expanded *list =
            arena_alloc(&ex->snapshot->arena, (item_count + 1) * sizeof(*list));

        if (list == NULL)
                return HIF_ENOMEM;
        if (item_count > 0)
                qsort(items, item_count, sizeof(*items), compare_items);
        for (size_t i = 0; i < item_count; i++) {
                if (i + 1 < item_count && span_eq(items[i].key, items[i + 1].key))
                        continue; /* the last one of a key stands */
                list[kept++] = items[i].what;
        }
        *out = list;
        *count = kept;
        return HIF_OK;
}

enum hif_err vfs_changes_expand(struct vfs_snapshot *snapshot, struct tree_source *nodes,
                                struct vfs_expanded **out, size_t *count)
{
        struct expanding ex = {.snapshot = snapshot, .rows = snapshot->rows, .nodes = nodes};
        enum hif_err err = runs_get(snapshot->runs, &ex.runs);

        if (err != HIF_OK)
                return err;
        tree_cursor_init(&ex.cursor, nodes);
        for (size_t i = 0; i < ex.rows->dirent_count && err == HIF_OK; i++) {
                const struct odirent *row = &ex.rows->dirents[i];

                if (row->base_child != NODEID_NONE)
                        err = remove_name(&ex, row);
                if (err == HIF_OK && row->child != NODEID_NONE && vfs_rows_alive(ex.rows, row->dir))
                        err = put_name_given(&ex, row);
        }
        for (size_t i = 0; i < ex.rows->node_count && err == HIF_OK; i++)
                err = put_changed(&ex, &ex.rows->nodes[i]);
        if (err == HIF_OK)
                err = collect(&ex, &ex.kept, &snapshot->kept, &snapshot->kept_count);
        if (err == HIF_OK)
                err = collect(&ex, &ex.items, out, count);
        tree_cursor_close(&ex.cursor);
        runs_free(&ex.runs);
        buf_free(&ex.items);
        buf_free(&ex.kept);
        buf_free(&ex.todo);
        buf_free(&ex.key);
        buf_free(&ex.scratch);
        return err;
}
