/* changes.c - status: rows of the overlay, told as changes of paths. */
#include "vfs/changes.h"

#include "vfs/rows.h"

#include <assert.h>
#include <stdlib.h>

struct building {
        struct vfs_snapshot *snapshot;
        struct vfs_rows *rows;
        struct buf list; /* of struct vfs_change */
        struct buf path;
};

static struct span keep_path(struct building *building)
{
        return arena_span(&building->snapshot->arena, buf_span(&building->path));
}

/* parent path '/' name, in building->path. */
static enum hif_err join(struct building *building, uint64_t dir, struct span name, bool in_base)
{
        enum hif_err err;

        buf_reset(&building->path);
        err = in_base ? vfs_rows_base_path(building->rows, dir, &building->path)
                      : vfs_rows_path(building->rows, dir, &building->path);
        if (err != HIF_OK)
                return err;
        if (building->path.size > 0)
                buf_put_u8(&building->path, '/');
        buf_put_span(&building->path, name);
        return buf_failed(&building->path) ? HIF_ENOMEM : HIF_OK;
}

static enum hif_err add(struct building *building, const struct vfs_change *change)
{
        buf_put(&building->list, change, sizeof(*change));
        return buf_failed(&building->list) || change->path.data == NULL ? HIF_ENOMEM : HIF_OK;
}

/* Is the node, as it is now, of that kind and content? False where only reading could tell. */
static bool equals(const struct vfs_change *change, const struct entry *base)
{
        struct hif_hash hash = change->content.base.hash;

        if (change->entry_kind != base->kind)
                return false;
        if (change->entry_kind == ENTRY_DIR)
                return true;
        if (change->entry_kind == ENTRY_SYMLINK && change->target.size > 0)
                hash = hash_of(HASH_BLOB, change->target);
        return !change->content_changed && hash_eq(&hash, &base->hash);
}

static void fill(struct building *building, const struct onode *node, enum entry_kind kind,
                 struct vfs_change *change)
{
        change->node = node->id;
        change->entry_kind = kind;
        change->mtime = node->mtime;
        change->size = kind == ENTRY_DIR ? 0 : node->size;
        change->target = node->target;
        change->content_changed = node->kind == ONODE_FILE && (node->flags & ONODE_CONTENT) != 0;
        if (change->content_changed)
                change->content = *vfs_rows_content(building->rows, node);
        else
                change->content = (struct vfs_content){.base = node->base, .size = node->size};
}

/* A directory of the base that was not emptied and removed, but went under a name which never
 * lands, or is hidden by another that was here first: no other row tells of what is in it. */
static bool is_whole(const struct building *building, const struct odirent *row)
{
        const struct onode *node = vfs_rows_node(building->rows, row->base_child);

        return row->base_child != NODEID_NONE && row->base.kind == ENTRY_DIR &&
               (node == NULL || (node->flags & ONODE_REMOVED) == 0);
}

/* A name of a file of the base that a file made since has, which lands: one modification, whatever
 * became of the base's file. So an editor that renames what it saves aside has changed it, and made
 * a backup. */
static bool is_saved_anew(const struct building *building, const struct odirent *row)
{
        const struct onode *node = vfs_rows_node(building->rows, row->child);
        enum entry_kind kind;

        return node != NULL && row->base.kind != ENTRY_DIR &&
               map_get(&building->rows->by_base_child, row->child) == NULL &&
               vfs_rows_lands(building->rows, row) && vfs_rows_entry_kind(node, &kind) &&
               kind != ENTRY_DIR;
}

/* A name that the overlay gives to a node. A node of the base that has several now was renamed to
 * one of them; the others are new. */
static enum hif_err name_given(struct building *building, const struct odirent *row)
{
        const struct onode *node = vfs_rows_node(building->rows, row->child);
        const struct odirent *left = map_get(&building->rows->by_base_child, row->child);
        struct vfs_change change = {.kind = VFS_ADDED};
        enum entry_kind kind;
        enum hif_err err;

        assert(node != NULL);
        if (!vfs_rows_entry_kind(node, &kind))
                return HIF_OK;
        fill(building, node, kind, &change);
        if (left != NULL && map_get(&building->rows->by_child, row->child) == row &&
            !is_saved_anew(building, left)) {
                err = join(building, left->dir, left->name, true);
                if (err != HIF_OK)
                        return err;
                change.kind = VFS_RENAMED;
                change.path_from = keep_path(building);
                change.base = left->base;
                change.subtree = left->base.kind == ENTRY_DIR;
        } else if (row->base_child != NODEID_NONE && !is_whole(building, row) &&
                   (!vfs_rows_renamed(building->rows, row->base_child) ||
                    is_saved_anew(building, row))) {
                if (equals(&change, &row->base))
                        return HIF_OK;
                change.kind = VFS_MODIFIED;
                change.base = row->base;
        }
        err = join(building, row->dir, row->name, false);
        if (err != HIF_OK)
                return err;
        change.path = keep_path(building);
        return add(building, &change);
}

/* A name that the base has and the workspace has not, and whose node lives on nowhere. */
static enum hif_err name_gone(struct building *building, const struct odirent *row)
{
        struct vfs_change change = {.kind = VFS_DELETED,
                                    .entry_kind = row->base.kind,
                                    .base = row->base,
                                    .node = row->base_child,
                                    .subtree = row->base.kind == ENTRY_DIR};
        enum hif_err err;

        if (vfs_rows_renamed(building->rows, row->base_child))
                return HIF_OK; /* told at its new name */
        change.apart = is_whole(building, row) || vfs_rows_carried(building->rows, row->dir);
        err = join(building, row->dir, row->name, true);
        if (err != HIF_OK)
                return err;
        change.path = keep_path(building);
        return add(building, &change);
}

/* A node that kept the base's name, and changed. */
static enum hif_err node_changed(struct building *building, const struct onode *node)
{
        struct vfs_change change = {.kind = VFS_MODIFIED, .base = node->base};
        enum entry_kind kind;
        enum hif_err err;

        if (node->base.kind == 0 || node->kind != ONODE_FILE || (node->flags & ONODE_ATTRS) == 0 ||
            !vfs_rows_at_home(building->rows, &building->snapshot->vfs->runs, node) ||
            !vfs_rows_entry_kind(node, &kind))
                return HIF_OK;
        fill(building, node, kind, &change);
        if (equals(&change, &node->base))
                return HIF_OK;
        buf_reset(&building->path);
        err = vfs_rows_path(building->rows, node->id, &building->path);
        if (err != HIF_OK)
                return err;
        change.path = keep_path(building);
        return add(building, &change);
}

static int compare_changes(const void *a, const void *b)
{
        const struct vfs_change *change_a = a, *change_b = b;
        int order = span_cmp(change_a->path, change_b->path);

        if (order != 0)
                return order;
        return (change_b->kind == VFS_DELETED) - (change_a->kind == VFS_DELETED);
}

/* A path that is deleted under one directory and made under another that took its name: one
 * modification, or none. */
static size_t reduce(struct vfs_change *changes, size_t count)
{
        size_t kept = 0;

        for (size_t i = 0; i < count; i++) {
                struct vfs_change *gone = &changes[i], *next = gone + 1;

                if (gone->kind == VFS_DELETED && !gone->apart && i + 1 < count &&
                    span_eq(gone->path, next->path)) {
                        if (next->kind == VFS_ADDED) {
                                next->kind = VFS_MODIFIED;
                                next->base = gone->base;
                        }
                        i += next->kind == VFS_MODIFIED && equals(next, &gone->base);
                        continue;
                }
                changes[kept++] = changes[i];
        }
        return kept;
}

static enum hif_err build(struct vfs_snapshot *snapshot)
{
        CLEANUP(buf_free) struct buf list_owner = {0};
        struct building building = {.snapshot = snapshot, .rows = snapshot->rows};
        enum hif_err err = HIF_OK;
        struct span kept;

        for (size_t i = 0; i < building.rows->dirent_count && err == HIF_OK; i++) {
                const struct odirent *row = &building.rows->dirents[i];

                bool given = row->child != NODEID_NONE && vfs_rows_lands(building.rows, row);

                if (given)
                        err = name_given(&building, row);
                if (err == HIF_OK && row->base_child != NODEID_NONE &&
                    (!given || is_whole(&building, row)))
                        err = name_gone(&building, row);
        }
        for (size_t i = 0; i < building.rows->node_count && err == HIF_OK; i++)
                err = node_changed(&building, &building.rows->nodes[i]);
        buf_free(&building.path);
        list_owner = building.list;
        if (err != HIF_OK)
                return err;
        kept = arena_span(&snapshot->arena, buf_span(&building.list));
        if (kept.size > 0 && kept.data == NULL)
                return HIF_ENOMEM;
        snapshot->changes = (struct vfs_change *)(uintptr_t)kept.data;
        snapshot->change_count = kept.size / sizeof(struct vfs_change);
        if (snapshot->change_count > 0)
                qsort(snapshot->changes, snapshot->change_count, sizeof(*snapshot->changes),
                      compare_changes);
        snapshot->change_count = reduce(snapshot->changes, snapshot->change_count);
        return HIF_OK;
}

static enum hif_err copy_runs(struct vfs *vfs, struct vfs_snapshot *snapshot)
{
        CLEANUP(buf_free) struct buf stored = {0};

        runs_put(&stored, vfs->runs.epoch, vfs->runs.by_rank, vfs->runs.count);
        snapshot->runs = arena_span(&snapshot->arena, buf_span(&stored));
        snapshot->epochs = arena_span(
            &snapshot->arena, span_of(vfs->epochs, (vfs->epoch + 1) * sizeof(*vfs->epochs)));
        return buf_failed(&stored) || snapshot->runs.data == NULL || snapshot->epochs.data == NULL
                   ? HIF_ENOMEM
                   : HIF_OK;
}

enum hif_err vfs_snapshot_take(struct vfs *vfs, bool freeze, struct vfs_snapshot *out)
{
        enum hif_err err;

        if (freeze && vfs->frozen)
                return HIF_EBUSY;
        *out = (struct vfs_snapshot){.base = vfs_base(vfs),
                                     .seq = overlay_seq(vfs->config.overlay),
                                     .vfs = vfs,
                                     .overlay = vfs->config.overlay,
                                     .origin = vfs->config.origin};
        if (freeze) {
                out->seq = overlay_freeze(vfs->config.overlay);
                out->frozen = vfs->frozen = true;
        }
        err = vfs_rows_copy(vfs->config.overlay, &out->arena, &out->rows);
        if (err == HIF_OK)
                err = build(out);
        if (err == HIF_OK)
                err = overlay_ops_take(vfs->config.overlay, &out->recorded);
        if (err == HIF_OK)
                err = copy_runs(vfs, out);
        if (err != HIF_OK)
                vfs_snapshot_free(out);
        return err;
}

void vfs_snapshot_free(struct vfs_snapshot *snapshot)
{
        if (snapshot->vfs == NULL)
                return;
        if (snapshot->frozen) {
                overlay_thaw(snapshot->overlay);
                snapshot->vfs->frozen = false;
        }
        vfs_rows_free(snapshot->rows);
        overlay_ops_free(&snapshot->recorded);
        arena_free(&snapshot->arena);
        *snapshot = (struct vfs_snapshot){0};
}
