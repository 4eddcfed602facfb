/* apply.c - carry a planned move of the base out, in one transaction. On the loop. */
#include "vfs/apply_impl.h"

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

/* What the move changed gets the time of the move, so that make(1) sees it. */
static void apply_times(struct vfs *vfs, struct otx *tx, const struct vfs_move *move)
{
        const struct move_node *changed = (const void *)move->changed.data;
        const struct vfs_touched *touched = (const void *)move->touched.data;
        struct hif_time now = now_of(vfs);

        for (size_t i = 0; i < move->changed.size / sizeof(*changed); i++) {
                struct onode *row = otx_node(tx, changed[i].id);

                if ((row->flags & ONODE_ATTRS) != 0)
                        continue;
                fill_of_base(vfs, row, &changed[i].entry);
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

static void applying_free(struct applying *ap)
{
        map_free(&ap->names);
        map_free(&ap->kept);
        map_free(&ap->shown);
        map_free(&ap->gone_dirs);
        buf_free(&ap->dropped);
        buf_free(&ap->gone);
}

static enum hif_err commit(struct applying *ap, const struct vfs_value *values, size_t value_count)
{
        CLEANUP(buf_free) struct buf epochs_value = {0};
        uint64_t seq;
        enum hif_err err;

        ap->tx = otx_begin(ap->vfs->config.overlay);
        otx_need(ap->tx, OVERLAY_LANDING);
        err = put_epochs(ap->vfs, ap->tx, &ap->move->to, &epochs_value);
        if (err == HIF_OK)
                err = apply_names(ap);
        if (err == HIF_OK)
                err = apply_nodes(ap);
        if (err != HIF_OK) {
                otx_abort(ap->tx);
                return err;
        }
        otx_value(ap->tx, VALUE_RUNS, buf_span(&ap->move->runs_stored));
        for (size_t i = 0; i < value_count; i++)
                otx_value(ap->tx, values[i].name, values[i].value);
        apply_times(ap->vfs, ap->tx, ap->move);
        if (ap->move->landing)
                otx_ops_drop(ap->tx, ap->move->seq);
        if (ap->move->landing)
                otx_notes_drop(ap->tx, ap->move->seq);
        return otx_commit(ap->tx, &seq);
}

enum hif_err vfs_move_apply(struct vfs *vfs, const struct vfs_move *move,
                            const struct vfs_value *values, size_t value_count)
{
        CLEANUP(applying_free) struct applying applying = {.vfs = vfs, .move = move};
        struct vfs_base *epochs;
        struct runs runs;
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
        applying.runs = &runs;
        err = commit(&applying, values, value_count);
        if (err != HIF_OK) {
                runs_free(&runs);
                return err;
        }
        take_over(vfs, epochs, move, &runs);
        for (size_t i = 0; i < applying.gone.size; i += sizeof(uint64_t))
                removed_note(vfs, be64_get(applying.gone.data + i));
        return HIF_OK;
}
