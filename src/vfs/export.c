/* export.c - see export.h. */
#include "vfs/export.h"

#include "vfs/rows.h"

#include <stdio.h>
#include <stdlib.h>

struct exporting {
        struct vfs_export *export;
        struct buf list; /* of struct vfs_export_item */
        struct buf path;
        struct map named; /* nodes that a name was found for */
};

static enum hif_err add(struct exporting *exporting, struct vfs_export_item *item)
{
        if (!path_valid(buf_span(&exporting->path)) || exporting->path.size == 0)
                return HIF_OK; /* no such path can be */
        item->path = arena_span(&exporting->export->arena, buf_span(&exporting->path));
        buf_put(&exporting->list, item, sizeof(*item));
        return item->path.data == NULL || buf_failed(&exporting->list) ? HIF_ENOMEM : HIF_OK;
}

/* Where nothing else is known: lost+found/NUMBER/NAME. */
static void lost_path(struct exporting *exporting, uint64_t dir, struct span name)
{
        buf_reset(&exporting->path);
        buf_printf(&exporting->path, "lost+found/%llx/", (unsigned long long)dir);
        buf_put_span(&exporting->path, name);
}

/* directory/name, in exporting->path. */
static enum hif_err find_path(struct exporting *exporting, uint64_t dir, struct span name,
                              bool *lost)
{
        enum hif_err err;

        buf_reset(&exporting->path);
        err = vfs_rows_path(exporting->export->rows, dir, &exporting->path);
        if (err == HIF_OK && exporting->path.size > 0)
                buf_put_u8(&exporting->path, '/');
        if (err == HIF_OK)
                buf_put_span(&exporting->path, name);
        *lost = err == HIF_ENOENT;
        if (*lost)
                lost_path(exporting, dir, name);
        else if (err != HIF_OK)
                return err;
        return buf_failed(&exporting->path) ? HIF_ENOMEM : HIF_OK;
}

/* As the base has it, from its first byte to the last. */
static enum hif_err base_content(struct exporting *exporting, const struct onode *node,
                                 struct vfs_content *out)
{
        struct opiece piece = {.kind = OPIECE_BASE, .size = node->base.size};

        *out = (struct vfs_content){.base = node->base, .size = node->base.size};
        if (node->base.size == 0)
                return HIF_OK;
        out->pieces = arena_alloc(&exporting->export->arena, sizeof(*out->pieces));
        if (out->pieces == NULL)
                return HIF_ENOMEM;
        *out->pieces = piece;
        out->piece_count = 1;
        return HIF_OK;
}

/* What the node is, at the path that was found. */
static enum hif_err add_node(struct exporting *exporting, const struct onode *node, bool lost)
{
        struct vfs_export_item item = {.lost = lost,
                                       .renamed = nodeid_is_base(node->id),
                                       .mode = node->mode,
                                       .mtime = node->mtime};
        enum hif_err err = HIF_OK;

        switch (node->kind) {
        case ONODE_FILE:
                item.kind = VFS_EXPORT_FILE;
                if ((node->flags & ONODE_CONTENT) != 0)
                        item.content = *vfs_rows_content(exporting->export->rows, node);
                else
                        err = base_content(exporting, node, &item.content);
                break;
        case ONODE_DIR:
                item.kind = VFS_EXPORT_DIR;
                break;
        case ONODE_SYMLINK:
                item.kind = VFS_EXPORT_SYMLINK;
                item.target = node->target;
                break;
        default:
                item.kind = VFS_EXPORT_SPECIAL;
        }
        if (err == HIF_OK)
                err = map_put(&exporting->named, node->id, exporting);
        return err == HIF_OK ? add(exporting, &item) : err;
}

/* What a directory entry of the overlay says. */
static enum hif_err export_name(struct exporting *exporting, const struct odirent *row)
{
        const struct vfs_rows *rows = exporting->export->rows;
        const struct onode *node = vfs_rows_node(rows, row->child);
        struct vfs_export_item gone = {.kind = VFS_EXPORT_REMOVED};
        enum hif_err err;

        if (name_is_local(row->name))
                return HIF_OK;
        if (row->child != NODEID_NONE) {
                if (node == NULL || (node->flags & ONODE_REMOVED) != 0)
                        return HIF_OK;
                err = find_path(exporting, row->dir, row->name, &gone.lost);
                return err == HIF_OK ? add_node(exporting, node, gone.lost) : err;
        }
        if (row->base_child == NODEID_NONE || !vfs_rows_alive(rows, row->dir))
                return HIF_OK;
        err = find_path(exporting, row->dir, row->name, &gone.lost);
        return err == HIF_OK ? add(exporting, &gone) : err;
}

/* A node that kept the base's name, or whose name is lost. */
static enum hif_err export_node(struct exporting *exporting, const struct onode *node)
{
        enum entry_kind kind;
        bool lost, changed = node->kind == ONODE_FILE && (node->flags & ONODE_CONTENT) != 0;
        enum hif_err err;

        if (node->id == NODEID_ROOT || (node->flags & ONODE_REMOVED) != 0 ||
            (node->flags & ONODE_PLACED) == 0 || name_is_local(node->name) ||
            map_get(&exporting->named, node->id) != NULL)
                return HIF_OK;
        if (!changed && node->kind == ONODE_FILE && (node->flags & ONODE_ATTRS) != 0)
                changed = vfs_rows_entry_kind(node, &kind) && kind != node->base.kind;
        if (!changed)
                return HIF_OK;
        err = find_path(exporting, node->parent, node->name, &lost);
        return err == HIF_OK ? add_node(exporting, node, lost) : err;
}

static int compare_items(const void *a, const void *b)
{
        const struct vfs_export_item *item_a = a, *item_b = b;

        return span_cmp(item_a->path, item_b->path);
}

static enum hif_err build(struct exporting *exporting)
{
        struct vfs_export *export = exporting->export;
        enum hif_err err = HIF_OK;
        struct span kept;

        for (size_t i = 0; i < export->rows->dirent_count && err == HIF_OK; i++)
                err = export_name(exporting, &export->rows->dirents[i]);
        for (size_t i = 0; i < export->rows->node_count && err == HIF_OK; i++)
                err = export_node(exporting, &export->rows->nodes[i]);
        if (err != HIF_OK)
                return err;
        kept = arena_span(&export->arena, buf_span(&exporting->list));
        if (kept.size > 0 && kept.data == NULL)
                return HIF_ENOMEM;
        export->items = (struct vfs_export_item *)(uintptr_t)kept.data;
        export->count = kept.size / sizeof(*export->items);
        if (export->count > 0)
                qsort(export->items, export->count, sizeof(*export->items), compare_items);
        return HIF_OK;
}

enum hif_err vfs_export_take(struct overlay *overlay, struct vfs_export *out)
{
        struct exporting exporting = {.export = out};
        enum hif_err err;

        *out = (struct vfs_export){.overlay = overlay};
        overlay_freeze(overlay);
        err = vfs_rows_copy(overlay, &out->arena, &out->rows);
        if (err == HIF_OK)
                err = build(&exporting);
        buf_free(&exporting.list);
        buf_free(&exporting.path);
        map_free(&exporting.named);
        if (err != HIF_OK)
                vfs_export_free(out);
        return err;
}

enum hif_err vfs_export_read(const struct vfs_export *export, struct fetch_origin *origin,
                             const struct vfs_export_item *item, uint64_t offset, void *out,
                             size_t size)
{
        struct vfs_snapshot view = {.overlay = export->overlay, .origin = origin};

        for (size_t i = 0; origin == NULL && i < item->content.piece_count; i++) {
                const struct opiece *piece = &item->content.pieces[i];

                if (piece->kind == OPIECE_BASE && piece->offset < offset + size &&
                    piece->offset + piece->size > offset)
                        return HIF_ENOENT;
        }
        return vfs_content_read(&view, &item->content, offset, out, size);
}

void vfs_export_free(struct vfs_export *export)
{
        if (export->overlay == NULL)
                return;
        overlay_thaw(export->overlay);
        vfs_rows_free(export->rows);
        arena_free(&export->arena);
        *export = (struct vfs_export){0};
}
