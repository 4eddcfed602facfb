/* data.c - READ, WRITE, COMMIT. */
#include "vfs/internal.h"

#define PIECES_MAX (VFS_IOV_MAX - 2)

static const uint8_t zeros[64 << 10];

/* The owner may read and write whatever the mode says: the mode was checked at open, and NFSv3 has
 * no open (RFC 1813 §4.4). So git can fill the 0444 file that it has just created. */
static enum hif_err may_io(const struct vfs *vfs, const struct vfs_call *call,
                           const struct vfs_attr *attr, uint32_t wanted)
{
        if (call->caller->uid == attr->uid || call->caller->uid == 0)
                return HIF_OK;
        if (wanted == VFS_READ && (granted_of(vfs, attr, call->caller) & VFS_EXECUTE) != 0)
                return HIF_OK; /* to execute is to read */
        return require(vfs, call, attr, wanted);
}

static enum hif_err io_kind(const struct vnode *node)
{
        return node->kind == ONODE_FILE  ? HIF_OK
               : node->kind == ONODE_DIR ? HIF_EISDIR
                                         : HIF_EINVAL;
}

static void add_zeros(struct vfs_data *data, uint64_t size)
{
        while (size > 0 && data->iov_count < VFS_IOV_MAX) {
                size_t take = size < sizeof(zeros) ? (size_t)size : sizeof(zeros);

                data->iov[data->iov_count++] =
                    (struct iovec){.iov_base = (void *)(uintptr_t)zeros, .iov_len = take};
                data->size += take;
                size -= take;
        }
}

/* One piece of overlaid content. *partial: no more room, answer short. */
static enum hif_err read_piece(struct vfs *vfs, struct vfs_call *call, const struct onode *row,
                               const struct opiece *piece, uint8_t **scratch, struct vfs_data *data,
                               bool *partial)
{
        size_t before = data->size;
        enum hif_err err;

        switch (piece->kind) {
        case OPIECE_DATA:
                err = overlay_read(vfs->config.overlay, piece, false, *scratch);
                if (err == HIF_EMISS) {
                        call->load = *piece;
                        vfs->stats.faults++;
                }
                if (err != HIF_OK)
                        return err;
                data->iov[data->iov_count++] =
                    (struct iovec){.iov_base = *scratch, .iov_len = piece->size};
                data->size += piece->size;
                *scratch += piece->size;
                break;
        case OPIECE_BASE:
                err = base_read(vfs, call, &row->base, piece->offset, piece->size, data);
                if (err == HIF_EMISS)
                        vfs->stats.faults++;
                if (err != HIF_OK)
                        return err;
                break;
        case OPIECE_ZERO:
                add_zeros(data, piece->size);
                break;
        }
        *partial = data->size - before < piece->size;
        return HIF_OK;
}

static enum hif_err read_row(struct vfs *vfs, struct vfs_call *call, const struct onode *row,
                             uint64_t offset, uint64_t size, uint8_t *scratch,
                             struct vfs_data *data)
{
        struct opiece pieces[PIECES_MAX];
        size_t count = overlay_pieces(row, offset, size, pieces, PIECES_MAX);
        bool partial = false;

        for (size_t i = 0; i < count && !partial && data->iov_count + 2 < VFS_IOV_MAX; i++) {
                enum hif_err err = read_piece(vfs, call, row, &pieces[i], &scratch, data, &partial);

                if (err != HIF_OK)
                        return err;
        }
        return HIF_OK;
}

enum hif_err vfs_read(struct vfs *vfs, struct vfs_call *call, uint64_t id, uint64_t offset,
                      size_t size, void *scratch, struct vfs_data *data, struct vfs_attr *attr)
{
        const struct entry *entry;
        struct vnode node;
        enum hif_err err = enter(vfs, call);

        data->iov_count = 0;
        data->size = 0;
        if (err == HIF_OK)
                err = resolve(vfs, call, id, &node);
        if (err != HIF_OK)
                return err;
        attr_of(vfs, &node, attr);
        err = io_kind(&node);
        if (err == HIF_OK)
                err = may_io(vfs, call, attr, VFS_READ);
        if (err != HIF_OK)
                return err;
        if (offset >= attr->size) {
                data->eof = true;
                return HIF_OK;
        }
        if (size > attr->size - offset)
                size = (size_t)(attr->size - offset);
        if (node.row != NULL && (node.row->flags & ONODE_ATTRS) != 0) {
                entry = &node.row->base;
                err = read_row(vfs, call, node.row, offset, size, scratch, data);
        } else {
                entry = &node.base->entry;
                err = base_read(vfs, call, entry, offset, size, data);
                if (err == HIF_EMISS)
                        vfs->stats.faults++;
        }
        if (err == HIF_EMISS && call->want_count > 0)
                ahead_of_miss(vfs, call, id, entry, offset);
        if (err != HIF_OK)
                return err;
        if (entry->size > BODY_BLOB_MAX)
                ahead_of_read(vfs, entry, offset);
        else if (offset == 0)
                ahead_of_begin(vfs, call, id);
        data->eof = offset + data->size == attr->size;
        return HIF_OK;
}

/* In written content: the first piece of that kind. */
static bool seek_row(const struct onode *row, uint64_t offset, bool hole, uint64_t *found)
{
        struct opiece pieces[PIECES_MAX];

        while (offset < row->size) {
                size_t count = overlay_pieces(row, offset, row->size - offset, pieces, PIECES_MAX);

                for (size_t i = 0; i < count; i++) {
                        if ((pieces[i].kind == OPIECE_ZERO) == hole) {
                                *found = offset;
                                return true;
                        }
                        offset += pieces[i].size;
                }
        }
        *found = row->size;
        return hole;
}

enum hif_err vfs_seek(struct vfs *vfs, struct vfs_call *call, uint64_t id, uint64_t offset,
                      bool hole, uint64_t *found)
{
        struct vfs_attr attr;
        struct vnode node;
        enum hif_err err = enter(vfs, call);

        if (err == HIF_OK)
                err = resolve(vfs, call, id, &node);
        if (err != HIF_OK)
                return err;
        attr_of(vfs, &node, &attr);
        err = io_kind(&node);
        if (err == HIF_OK)
                err = may_io(vfs, call, &attr, VFS_READ);
        if (err != HIF_OK)
                return err;
        if (offset >= attr.size)
                return HIF_ENOENT;
        if (node.row != NULL && (node.row->flags & ONODE_ATTRS) != 0)
                return seek_row(node.row, offset, hole, found) ? HIF_OK : HIF_ENOENT;
        *found = hole ? attr.size : offset;
        return HIF_OK;
}

enum hif_err vfs_write(struct vfs *vfs, struct vfs_call *call, uint64_t id, uint64_t offset,
                       struct span data, bool stable, struct vfs_wcc *wcc)
{
        CLEANUP(buf_free) struct buf path = {0};
        struct vfs_attr attr;
        struct vnode node;
        struct onode *row;
        struct otx *tx;
        bool first;
        enum hif_err err = enter(vfs, call);

        wcc->have = false;
        if (err == HIF_OK)
                err = resolve(vfs, call, id, &node);
        if (err != HIF_OK)
                return err;
        attr_of(vfs, &node, &attr);
        wcc_before(wcc, &attr);
        err = io_kind(&node);
        if (err == HIF_OK)
                err = may_change(vfs);
        if (err == HIF_OK)
                err = may_io(vfs, call, &attr, VFS_MODIFY);
        if (err == HIF_OK && (offset > VFS_SIZE_MAX || data.size > VFS_SIZE_MAX - offset))
                err = HIF_EFBIG;
        if (err == HIF_OK && node.base != NULL && node.base->ghost)
                err = HIF_ESTALE;
        if (err != HIF_OK)
                return err;
        first = attr.nlink > 0 && (node.row == NULL || node.row->data_seq == 0);
        if (attr.nlink > 0) {
                err = place(vfs, call, id, first ? &path : NULL);
                if (err != HIF_OK)
                        return err;
        }
        if (buf_failed(&path))
                return HIF_ENOMEM;

        tx = otx_begin(vfs->config.overlay);
        if (stable || overlay_durability(vfs->config.overlay) == OVERLAY_POWER)
                otx_carry(tx);
        place_all(vfs, tx);
        row = adopt(vfs, tx, &node);
        if (data.size > 0) {
                row->flags |= ONODE_CONTENT;
                row->mtime = now_of(vfs);
                row->ctime = tick(vfs);
                if (!is_super(call))
                        row->mode &= (uint16_t)~06000u;
                err = overlay_write(tx, id, offset, data);
                if (err != HIF_OK) {
                        otx_abort(tx);
                        return err;
                }
        }
        if (first)
                record_op(tx, SESSION_WRITE, buf_span(&path), (struct span){0});
        err = finish(vfs, call, tx, id, stable);
        /* With durability "power", too: whoever wants it on the disk says so, here or by a commit. */
        if (!stable)
                call->stable_seq = 0;
        if (err == HIF_OK)
                wcc_after(vfs, call, id, wcc);
        return err;
}

void vfs_closed(const struct vfs *vfs, struct vfs_call *call, uint64_t id)
{
        const struct onode *row = overlay_node(vfs->config.overlay, id);

        if (row != NULL && overlay_durability(vfs->config.overlay) == OVERLAY_POWER)
                call->stable_seq = row->seq;
}

enum hif_err vfs_commit(struct vfs *vfs, struct vfs_call *call, uint64_t id, struct vfs_wcc *wcc)
{
        struct vfs_attr attr;
        struct vnode node;
        enum hif_err err = enter(vfs, call);

        wcc->have = false;
        if (err == HIF_OK)
                err = resolve(vfs, call, id, &node);
        if (err != HIF_OK)
                return err;
        attr_of(vfs, &node, &attr);
        wcc_before(wcc, &attr);
        /* The whole prefix, not only this node's records: what is on disk is always a prefix (I9).
         */
        call->stable_seq = overlay_seq(vfs->config.overlay);
        return HIF_OK;
}
