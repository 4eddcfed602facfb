#include "vfs/rows.h"

#include <stdlib.h>

struct copying {
        struct arena *arena;
        struct vfs_rows *rows;
        size_t index;
        enum hif_err err;
};

static bool copy_dirent(void *arg, const struct odirent *row)
{
        struct copying *copying = arg;
        struct odirent *copy = &copying->rows->dirents[copying->index++];

        *copy = *row;
        copy->name = arena_span(copying->arena, row->name);
        if (copy->name.data == NULL)
                copying->err = HIF_ENOMEM;
        return copying->err == HIF_OK;
}

static enum hif_err copy_content(struct copying *copying, const struct onode *node,
                                 struct vfs_content *out)
{
        size_t max = (size_t)node->extent_count * 2 + 2;

        out->base = node->base;
        out->size = node->size;
        out->data_seq = node->data_seq;
        out->pieces = arena_alloc(copying->arena, max * sizeof(*out->pieces));
        if (out->pieces == NULL)
                return HIF_ENOMEM;
        out->piece_count = overlay_pieces(node, 0, node->size, out->pieces, max);
        return HIF_OK;
}

static bool copy_node(void *arg, const struct onode *node)
{
        struct copying *copying = arg;
        struct onode *copy = &copying->rows->nodes[copying->index];

        *copy = *node;
        copy->extents = NULL;
        copy->name = arena_span(copying->arena, node->name);
        copy->target = arena_span(copying->arena, node->target);
        if (copy->name.size > 0 && copy->name.data == NULL)
                copying->err = HIF_ENOMEM;
        if (copy->target.size > 0 && copy->target.data == NULL)
                copying->err = HIF_ENOMEM;
        if (copying->err == HIF_OK && node->kind == ONODE_FILE &&
            (node->flags & (ONODE_CONTENT | ONODE_REMOVED)) == ONODE_CONTENT)
                copying->err =
                    copy_content(copying, node, &copying->rows->contents[copying->index]);
        copying->index++;
        return copying->err == HIF_OK;
}

static int compare_dirents(const void *a, const void *b)
{
        const struct odirent *row_a = a, *row_b = b;

        if (row_a->dir != row_b->dir)
                return row_a->dir < row_b->dir ? -1 : 1;
        if (row_a->hash60 != row_b->hash60)
                return row_a->hash60 < row_b->hash60 ? -1 : 1;
        return span_cmp(row_a->name, row_b->name);
}

static enum hif_err index_rows(struct vfs_rows *rows)
{
        enum hif_err err = HIF_OK;

        for (size_t i = 0; i < rows->node_count && err == HIF_OK; i++)
                err = map_put(&rows->node_by_id, rows->nodes[i].id, &rows->nodes[i]);
        for (size_t i = 0; i < rows->dirent_count && err == HIF_OK; i++) {
                struct odirent *row = &rows->dirents[i];

                if (row->base_child != NODEID_NONE)
                        err = map_put(&rows->by_base_child, row->base_child, row);
                if (err != HIF_OK || row->child == NODEID_NONE)
                        continue;
                if (map_get(&rows->by_child, row->child) == NULL || vfs_rows_lands(rows, row))
                        err = map_put(&rows->by_child, row->child, row);
        }
        return err;
}

enum hif_err vfs_rows_copy(const struct overlay *overlay, struct arena *arena,
                           struct vfs_rows **out)
{
        struct overlay_stats stats = overlay_stats(overlay);
        struct vfs_rows *rows = arena_zalloc(arena, sizeof(*rows));
        struct copying copying = {.arena = arena, .rows = rows};
        enum hif_err err;

        if (rows == NULL)
                return HIF_ENOMEM;
        rows->dirent_count = stats.dirents;
        rows->node_count = stats.nodes;
        rows->dirents = arena_alloc(arena, (stats.dirents + 1) * sizeof(*rows->dirents));
        rows->nodes = arena_alloc(arena, (stats.nodes + 1) * sizeof(*rows->nodes));
        rows->contents = arena_zalloc(arena, (stats.nodes + 1) * sizeof(*rows->contents));
        if (rows->dirents == NULL || rows->nodes == NULL || rows->contents == NULL)
                return HIF_ENOMEM;
        overlay_each_dirent(overlay, copy_dirent, &copying);
        copying.index = 0;
        if (copying.err == HIF_OK)
                overlay_each_node(overlay, copy_node, &copying);
        if (copying.err != HIF_OK)
                return copying.err;
        qsort(rows->dirents, rows->dirent_count, sizeof(*rows->dirents), compare_dirents);
        err = index_rows(rows);
        if (err != HIF_OK) {
                vfs_rows_free(rows);
                return err;
        }
        *out = rows;
        return HIF_OK;
}

void vfs_rows_free(struct vfs_rows *rows)
{
        if (rows == NULL)
                return;
        map_free(&rows->node_by_id);
        map_free(&rows->by_base_child);
        map_free(&rows->by_child);
}

const struct onode *vfs_rows_node(const struct vfs_rows *rows, uint64_t id)
{
        return map_get(&rows->node_by_id, id);
}

const struct vfs_content *vfs_rows_content(const struct vfs_rows *rows, const struct onode *node)
{
        return &rows->contents[node - rows->nodes];
}

const struct odirent *vfs_rows_dirent(const struct vfs_rows *rows, uint64_t dir, uint64_t hash60,
                                      struct span name)
{
        struct odirent key = {.dir = dir, .hash60 = hash60, .name = name};

        return bsearch(&key, rows->dirents, rows->dirent_count, sizeof(key), compare_dirents);
}

bool vfs_rows_alive(const struct vfs_rows *rows, uint64_t id)
{
        for (size_t depth = 0; id != NODEID_ROOT; depth++) {
                const struct onode *node = vfs_rows_node(rows, id);

                if (depth > PATH_DEPTH_MAX || node == NULL || (node->flags & ONODE_PLACED) == 0 ||
                    (node->flags & ONODE_REMOVED) != 0)
                        return false;
                id = node->parent;
        }
        return true;
}

static bool any_local(const struct vfs_rows *rows, uint64_t id)
{
        while (id != NODEID_ROOT) {
                const struct onode *node = vfs_rows_node(rows, id);

                if (name_is_local(node->name))
                        return true;
                id = node->parent;
        }
        return false;
}

bool vfs_rows_lands(const struct vfs_rows *rows, const struct odirent *row)
{
        const struct onode *node = vfs_rows_node(rows, row->child);
        enum entry_kind kind;

        return node != NULL && vfs_rows_entry_kind(node, &kind) && !name_is_local(row->name) &&
               vfs_rows_alive(rows, row->dir) && !any_local(rows, row->dir);
}

bool vfs_rows_at_home(const struct vfs_rows *rows, const struct runs *runs,
                      const struct onode *node)
{
        uint64_t rank;

        return (node->flags & ONODE_REMOVED) == 0 && runs_rank(runs, node->id, &rank) &&
               map_get(&rows->by_base_child, node->id) == NULL && vfs_rows_alive(rows, node->id) &&
               !any_local(rows, node->id);
}

/* One step up, in the present or in the base. */
static bool step_up(const struct vfs_rows *rows, bool in_base, uint64_t *id, struct span *name)
{
        const struct onode *node = vfs_rows_node(rows, *id);
        const struct odirent *left = in_base ? map_get(&rows->by_base_child, *id) : NULL;

        if (left != NULL) {
                *id = left->dir;
                *name = left->name;
                return true;
        }
        if (node == NULL || (node->flags & ONODE_PLACED) == 0)
                return false;
        *id = node->parent;
        *name = node->name;
        return true;
}

bool vfs_rows_renamed(const struct vfs_rows *rows, uint64_t id)
{
        const struct odirent *given = map_get(&rows->by_child, id);

        return given != NULL && map_get(&rows->by_base_child, id) != NULL &&
               vfs_rows_lands(rows, given);
}

bool vfs_rows_carried(const struct vfs_rows *rows, uint64_t id)
{
        struct span name;

        for (size_t depth = 0; id != NODEID_ROOT && depth < PATH_DEPTH_MAX; depth++)
                if (vfs_rows_renamed(rows, id))
                        return true;
                else if (!step_up(rows, true, &id, &name))
                        return false;
        return false;
}

static enum hif_err path_up(const struct vfs_rows *rows, uint64_t id, bool in_base, struct buf *out)
{
        struct span names[PATH_DEPTH_MAX];
        size_t depth = 0;

        while (id != NODEID_ROOT) {
                if (depth == PATH_DEPTH_MAX || !step_up(rows, in_base, &id, &names[depth]))
                        return HIF_ENOENT;
                depth++;
        }
        for (size_t i = depth; i > 0; i--) {
                buf_put_span(out, names[i - 1]);
                if (i > 1)
                        buf_put_u8(out, '/');
        }
        return buf_failed(out) ? HIF_ENOMEM : HIF_OK;
}

enum hif_err vfs_rows_path(const struct vfs_rows *rows, uint64_t id, struct buf *out)
{
        return path_up(rows, id, false, out);
}

enum hif_err vfs_rows_base_path(const struct vfs_rows *rows, uint64_t id, struct buf *out)
{
        return path_up(rows, id, true, out);
}

bool vfs_rows_entry_kind(const struct onode *node, enum entry_kind *out)
{
        switch (node->kind) {
        case ONODE_FILE:
                *out = (node->mode & 0100) != 0 ? ENTRY_EXEC : ENTRY_FILE;
                return true;
        case ONODE_DIR:
                *out = ENTRY_DIR;
                return true;
        case ONODE_SYMLINK:
                *out = ENTRY_SYMLINK;
                return true;
        case ONODE_FIFO:
        case ONODE_SOCKET:
        case ONODE_BLOCK:
        case ONODE_CHAR:
                return false;
        }
        return false;
}
