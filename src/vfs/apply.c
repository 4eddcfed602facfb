/* apply.c - carry a planned move of the base out, in one transaction. On the loop. */
#include "vfs/move_impl.h"

#include <stdlib.h>

static enum hif_err put_epochs(struct vfs *vfs, struct otx *tx, const struct vfs_base *to,
                               struct buf *value)
{
        for (uint32_t i = 0; i <= vfs->epoch + 1; i++) {
                const struct vfs_base *base = i <= vfs->epoch ? &vfs->epochs[i] : to;

                buf_put_u64(value, base->position);
                buf_put(value, base->slot.bytes, HIF_HASH_SIZE);
                buf_put(value, base->tree.bytes, HIF_HASH_SIZE);
        }
        if (buf_failed(value))
                return HIF_ENOMEM;
        otx_value(tx, VALUE_EPOCHS, buf_span(value));
        return HIF_OK;
}

static void put_dirent(struct otx *tx, const struct odirent *row, uint64_t base_child,
                       const struct entry *base)
{
        struct odirent changed = *row;

        changed.base_child = base_child;
        changed.base = *base;
        if (changed.child == base_child)
                otx_dirent_del(tx, row->dir, row->hash60, row->name);
        else
                otx_dirent_put(tx, &changed);
}

/* Rows that the snapshot had. */
static void apply_dirents(struct vfs *vfs, struct otx *tx, const struct vfs_move *move)
{
        for (size_t i = 0; i < move->dirent_count; i++) {
                const struct move_dirent *dirent = &move->dirents[i];
                const struct odirent *was = dirent->row;
                const struct odirent *row =
                    overlay_dirent(vfs->config.overlay, was->dir, was->hash60, was->name);

                if (row != NULL)
                        put_dirent(tx, row, dirent->base_child, &dirent->base);
                else if (dirent->base_child != was->base_child || !dirent->landed) {
                        /* The row went since: the name was given back to what the old base had. */
                        struct odirent back = *was;

                        back.child = was->base_child;
                        put_dirent(tx, &back, dirent->base_child, &dirent->base);
                }
        }
}

struct newer {
        struct vfs *vfs;
        struct otx *tx;
        const struct vfs_move *move;
};

static int compare_other(const void *key, const void *item)
{
        const struct odirent *row = key;
        const struct move_other *other = item;

        if (row->dir != other->dir)
                return row->dir < other->dir ? -1 : 1;
        if (row->hash60 != other->hash60)
                return row->hash60 < other->hash60 ? -1 : 1;
        return span_cmp(row->name, other->name);
}

/* Rows made since the snapshot: where others changed the name, the facts of the base are new. */
static bool refresh_newer(void *arg, const struct odirent *row)
{
        struct newer *newer = arg;
        const struct move_other *other;

        if (row->seq <= newer->move->seq || newer->move->others.size == 0)
                return true;
        other = bsearch(row, newer->move->others.data, newer->move->others.size / sizeof(*other),
                        sizeof(*other), compare_other);
        if (other != NULL)
                put_dirent(newer->tx, row, other->base_child, &other->base);
        return true;
}

/* Content that has landed is the base's from now on; attributes stay as they are. */
static void apply_nodes(struct vfs *vfs, struct otx *tx, const struct vfs_move *move)
{
        const struct move_node *nodes = (const void *)move->nodes.data;

        for (size_t i = 0; i < move->nodes.size / sizeof(*nodes); i++) {
                const struct onode *row = overlay_node(vfs->config.overlay, nodes[i].id);
                struct onode *changed;

                if (row == NULL || row->kind != ONODE_FILE || row->data_seq > move->seq)
                        continue;
                otx_drop_extents(tx, nodes[i].id);
                changed = otx_node(tx, nodes[i].id);
                changed->flags &= ~(uint32_t)ONODE_CONTENT;
                changed->base = nodes[i].entry;
                changed->base_limit = nodes[i].entry.size;
                changed->data_seq = 0;
        }
}

/* What the move changed gets the time of the move, so that make(1) sees it. */
static void apply_times(struct vfs *vfs, struct otx *tx, const struct vfs_move *move)
{
        const struct move_node *changed = (const void *)move->changed.data;
        const struct vfs_touched *touched = (const void *)move->touched.data;
        struct hif_time now = now_of(vfs);

        for (size_t i = 0; i < move->changed.size / sizeof(*changed); i++) {
                struct onode *row = otx_node(tx, changed[i].id);
                struct vfs_attr attr;

                if ((row->flags & ONODE_ATTRS) != 0)
                        continue;
                attr_of_base(vfs, changed[i].id, &changed[i].entry, &attr);
                row->flags |= ONODE_ATTRS;
                row->kind = attr.kind;
                row->mode = attr.mode;
                row->uid = attr.uid;
                row->gid = attr.gid;
                row->nlink = 1;
                row->size = changed[i].entry.size;
                row->base = changed[i].entry;
                row->base_limit = row->size;
                row->atime = row->mtime = now;
                row->ctime = tick(vfs);
        }
        for (size_t i = 0; i < move->touched.size / sizeof(*touched); i++) {
                const struct onode *row = overlay_node(vfs->config.overlay, touched[i].id);
                struct onode *dir;

                if (row == NULL || (row->flags & ONODE_ATTRS) == 0)
                        continue;
                dir = otx_node(tx, touched[i].id);
                dir->mtime = now;
                dir->ctime = tick(vfs);
        }
}

static void take_over(struct vfs *vfs, struct vfs_base *epochs, const struct vfs_move *move,
                      struct runs *runs)
{
        tree_cursor_close(&vfs->cursor);
        tree_cursor_close(&vfs->scan);
        vcache_clear(&vfs->cache);
        fetch_hints_cancel(vfs->directory_hints);
        vfs->prefetched_dir = NODEID_NONE;
        vfs->epochs = epochs;
        vfs->epochs[++vfs->epoch] = move->to;
        runs_free(&vfs->runs);
        vfs->runs = *runs;
        vfs->dirty = true;
}

enum hif_err vfs_move_apply(struct vfs *vfs, const struct vfs_move *move,
                            const struct vfs_value *values, size_t value_count)
{
        CLEANUP(buf_free) struct buf epochs_value = {0};
        struct vfs_base *epochs;
        struct newer newer = {.vfs = vfs, .move = move};
        struct runs runs;
        uint64_t seq;
        enum hif_err err;

        if (vfs->epoch + 1 != move->epoch ||
            !hash_eq(&vfs->epochs[vfs->epoch].tree, &move->from.tree))
                return HIF_EBUSY;
        err = runs_get(buf_span(&move->runs_stored), &runs);
        if (err != HIF_OK)
                return err;
        epochs = realloc(vfs->epochs, (vfs->epoch + 2) * sizeof(*epochs));
        if (epochs == NULL) {
                runs_free(&runs);
                return HIF_ENOMEM;
        }
        vfs->epochs = epochs;

        newer.tx = otx_begin(vfs->config.overlay);
        err = put_epochs(vfs, newer.tx, &move->to, &epochs_value);
        if (err != HIF_OK) {
                otx_abort(newer.tx);
                runs_free(&runs);
                return err;
        }
        otx_value(newer.tx, VALUE_RUNS, buf_span(&move->runs_stored));
        for (size_t i = 0; i < value_count; i++)
                otx_value(newer.tx, values[i].name, values[i].value);
        apply_dirents(vfs, newer.tx, move);
        overlay_each_dirent(vfs->config.overlay, refresh_newer, &newer);
        apply_nodes(vfs, newer.tx, move);
        apply_times(vfs, newer.tx, move);
        if (move->landing)
                otx_ops_drop(newer.tx, move->seq);
        err = otx_commit(newer.tx, &seq);
        if (err != HIF_OK) {
                runs_free(&runs);
                return err;
        }
        take_over(vfs, epochs, move, &runs);
        return HIF_OK;
}
