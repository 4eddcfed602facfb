/* move_names.c - which names in which directories stand for something else after a move. */
#include "vfs/move_impl.h"

#include <stdlib.h>

struct naming {
        struct vfs_move *move;
        struct tree_cursor cursor;
        struct runs *old;
        struct buf key;
};

int vfs_move_compare_names(const void *a, const void *b)
{
        const struct move_name *name_a = a, *name_b = b;

        if (name_a->dir != name_b->dir)
                return name_a->dir < name_b->dir ? -1 : 1;
        if (name_a->hash60 != name_b->hash60)
                return name_a->hash60 < name_b->hash60 ? -1 : 1;
        return span_cmp(name_a->name, name_b->name);
}

const struct move_name *vfs_move_find_name(const struct vfs_move *move, const struct odirent *row)
{
        struct move_name key = {.dir = row->dir, .hash60 = row->hash60, .name = row->name};
        const struct move_name *found = NULL;
        const struct odirent *then = vfs_rows_dirent(move->rows, row->dir, row->hash60, row->name);

        if (then != NULL)
                return &move->dirents[then - move->rows->dirents];
        if (move->names.size > 0)
                found = bsearch(&key, move->names.data, move->names.size / sizeof(key), sizeof(key),
                                vfs_move_compare_names);
        return found;
}

/* The number of the directory that holds a path in one of the trees; NODEID_NONE: it has none. */
static enum hif_err number_of(struct naming *naming, const struct hif_hash *tree, struct runs *runs,
                              struct span path, uint64_t *id)
{
        struct entry entry;
        uint64_t rank;
        enum hif_err err;

        *id = NODEID_ROOT;
        if (path.size == 0)
                return HIF_OK;
        buf_reset(&naming->key);
        key_from_path(&naming->key, path);
        if (buf_failed(&naming->key))
                return HIF_ENOMEM;
        err = tree_find(&naming->cursor, tree, buf_span(&naming->key), &entry, &rank);
        *id = err == HIF_OK ? runs_id(runs, rank) : NODEID_NONE;
        return err == HIF_ENOENT ? HIF_OK : err;
}

static enum hif_err touch(struct vfs_move *move, uint64_t id, struct span path)
{
        struct vfs_touched touched = {.path = path, .id = id};
        size_t count = move->touched.size / sizeof(touched);
        const struct vfs_touched *list = (const void *)move->touched.data;

        if (id == NODEID_NONE || (count > 0 && list[count - 1].id == id))
                return HIF_OK;
        buf_put(&move->touched, &touched, sizeof(touched));
        return buf_failed(&move->touched) ? HIF_ENOMEM : HIF_OK;
}

static enum hif_err list_name(struct buf *list, const struct move_name *name)
{
        buf_put(list, name, sizeof(*name));
        return buf_failed(list) ? HIF_ENOMEM : HIF_OK;
}

static enum hif_err name_key(struct naming *naming, const struct move_key *key)
{
        struct vfs_move *move = naming->move;
        CLEANUP(buf_free) struct buf full = {0};
        struct move_name name = {.hash60 = key_hash60(key->key), .name = key_name(key->key)};
        struct move_node node = {.entry = key->entry};
        struct span parent;
        uint64_t dir;
        enum hif_err err;

        key_to_path(&full, key->key);
        if (buf_failed(&full))
                return HIF_ENOMEM;
        parent = arena_span(&move->arena, path_parent(buf_span(&full)));
        err = number_of(naming, &move->to.tree, &move->runs, parent, &dir);
        if (err == HIF_OK && key->other)
                err = touch(move, dir, parent);
        name.dir = dir;
        if (err == HIF_OK && key->removed)
                err = number_of(naming, &move->from.tree, naming->old, parent, &name.dir);
        if (err != HIF_OK)
                return err;
        if (!key->removed) {
                node.id = name.base_child = runs_id(&move->runs, key->rank);
                name.base = key->entry;
                if (key->other && key->entry.kind != ENTRY_DIR)
                        buf_put(&move->changed, &node, sizeof(node));
        }
        if (name.dir == NODEID_NONE)
                return HIF_OK;
        err = list_name(&move->names, &name);
        return err == HIF_OK && key->other && dir != NODEID_NONE ? list_name(&move->others, &name)
                                                                 : err;
}

/* A directory that moved has lost each name at its old path, and has it at the new one: keep that.
 */
static void sort_names(struct buf *list)
{
        struct move_name *names = (struct move_name *)(void *)list->data;
        size_t count = list->size / sizeof(*names), kept = 0;

        if (count > 0)
                qsort(names, count, sizeof(*names), vfs_move_compare_names);
        for (size_t i = 0; i < count; i++) {
                if (kept > 0 && vfs_move_compare_names(&names[kept - 1], &names[i]) == 0) {
                        if (names[i].base_child != NODEID_NONE)
                                names[kept - 1] = names[i];
                        continue;
                }
                names[kept++] = names[i];
        }
        list->size = kept * sizeof(*names);
}

enum hif_err vfs_move_names(struct vfs_move *move, struct tree_source *nodes, struct runs *old,
                            const struct move_key *keys, size_t count)
{
        struct naming naming = {.move = move, .old = old};
        enum hif_err err = HIF_OK;

        tree_cursor_init(&naming.cursor, nodes);
        for (size_t i = 0; i < count && err == HIF_OK; i++)
                err = name_key(&naming, &keys[i]);
        tree_cursor_close(&naming.cursor);
        buf_free(&naming.key);
        if (buf_failed(&move->changed))
                return HIF_ENOMEM;
        sort_names(&move->names);
        sort_names(&move->others);
        return err;
}
