/* data.c - READ, WRITE, COMMIT. */
#include "vfs/internal.h"

#include "base/log.h"

#define PIECES_MAX (VFS_IOV_MAX - 2)
#define READ_AHEAD (8u << 20)

#define AHEAD_ENTRIES_MIN 64
#define AHEAD_ENTRIES_MAX 4096
#define AHEAD_AGAIN       16 /* misses until a directory is looked at again */

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

/* False when this workspace has had its share: what crawls through everything must not bring the
 * world. */
static bool may_look_ahead(struct vfs *vfs, struct fetch_hinted *hinted)
{
        uint64_t bytes;

        *hinted = fetch_hints_total(vfs->directory_hints);
        bytes = hinted->bytes + fetch_hints_total(vfs->chunk_hints).bytes;
        if (bytes < vfs->config.hydrate_bytes_max)
                return true;
        if (!vfs->ahead.used_up)
                log_line(vfs->config.env->log, LOG_INFO, "vfs",
                         "%llu MiB were fetched ahead for '%s', as many as may be: from now on, "
                         "only what is read is fetched",
                         (unsigned long long)(bytes >> 20), vfs->dir);
        vfs->ahead.used_up = true;
        return false;
}

/* Ranks of the keys [from, to); to empty: to the end. False: the nodes are not all here. */
static bool ranks_of(struct vfs *vfs, struct span from, struct span to, uint64_t *first,
                     uint64_t *end)
{
        const struct hif_hash *tree = &vfs->epochs[vfs->epoch].tree;
        struct tree_source *source = &vfs->nodes.source;
        enum hif_err err = tree_rank(source, tree, from, first);

        if (err == HIF_OK)
                err =
                    to.size > 0 ? tree_rank(source, tree, to, end) : tree_count(source, tree, end);
        return err == HIF_OK;
}

/* What to ask for around a file: its directory (if that is too large, from the file on), and the
 * largest subtree around that which holds at most `entries`. Keys are kept in `keys`. */
static void range_around(struct vfs *vfs, const struct vcached *file, struct buf keys[4],
                         struct prefetch_range *range)
{
        struct span key = span_of(file->key, file->key_size), prefix = key_parent_prefix(key);
        struct look_ahead *ahead = &vfs->ahead;
        uint64_t first, end;

        buf_put_span(&keys[0], prefix);
        buf_put_u8(&keys[0], 0);
        buf_put_span(&keys[1], prefix);
        buf_put_u8(&keys[1], 1);
        *range =
            (struct prefetch_range){.near_from = buf_span(&keys[0]), .near_to = buf_span(&keys[1])};
        ahead->first = file->rank;
        ahead->end = file->rank + 1;
        if (!ranks_of(vfs, range->near_from, range->near_to, &first, &end))
                return;
        ahead->end = end;
        if (end - first > ahead->entries) {
                range->near_from = key;
                return;
        }
        for (;;) {
                ahead->first = first;
                ahead->end = end;
                buf_reset(&keys[3]);
                key_prefix_end(&keys[3], prefix);
                if (!ranks_of(vfs, prefix, buf_span(&keys[3]), &first, &end) ||
                    end - first > ahead->entries)
                        break;
                buf_reset(&keys[2]);
                buf_put_span(&keys[2], prefix);
                range->wide = true;
                if (prefix.size == 0)
                        break;
                do
                        prefix.size--;
                while (prefix.size > 0 && prefix.data[prefix.size - 1] != 0);
        }
        if (!range->wide)
                return;
        range->from = buf_span(&keys[2]);
        buf_reset(&keys[3]);
        key_prefix_end(&keys[3], range->from);
        range->to = buf_span(&keys[3]);
}

/* A small file is missing: bring what lies around it. Who reads all that is brought, as what
 * searches or copies a tree does, gets twice as much the next time. */
static void look_around(struct vfs *vfs, const struct vcached *file,
                        const struct fetch_hinted *hinted)
{
        struct hif_hash name =
            hash_of(HASH_BLOB, key_parent_prefix(span_of(file->key, file->key_size)));
        uint64_t brought = hinted->objects - vfs->ahead.objects;
        struct look_ahead *ahead = &vfs->ahead;
        struct buf keys[4] = {0};
        struct prefetch_range range;

        if (hinted->searching && file->rank >= ahead->first && file->rank < ahead->end)
                return;
        if (hash_prefix(&name) == vfs->prefetched_dir && ++ahead->misses % AHEAD_AGAIN != 0)
                return;
        if (ahead->begun >= brought / 2)
                ahead->entries *= 2;
        else if (ahead->begun < brought / 8)
                ahead->entries /= 2;
        if (ahead->entries < AHEAD_ENTRIES_MIN)
                ahead->entries = AHEAD_ENTRIES_MIN;
        if (ahead->entries > AHEAD_ENTRIES_MAX)
                ahead->entries = AHEAD_ENTRIES_MAX;
        ahead->begun = ahead->misses = 0;
        ahead->objects = hinted->objects;
        vfs->prefetched_dir = hash_prefix(&name);
        range_around(vfs, file, keys, &range);
        vfs->nodes.want_count = 0; /* what it misses, the prefetch fetches */
        if (!buf_failed(&keys[0]) && !buf_failed(&keys[1]) && !buf_failed(&keys[2]) &&
            !buf_failed(&keys[3]))
                prefetch_range(vfs->directory_hints, &vfs->epochs[vfs->epoch].tree, &range,
                               vfs->config.prefetch_bytes_max);
        for (size_t i = 0; i < 4; i++)
                buf_free(&keys[i]);
}

/* A miss on content tells what the user works on: bring the small files beside it, and what
 * follows. */
static void read_ahead(struct vfs *vfs, struct vfs_call *call, uint64_t id,
                       const struct entry *entry, uint64_t offset)
{
        const struct vcached *file;
        struct fetch_hinted hinted;

        if (!may_look_ahead(vfs, &hinted))
                return;
        if (entry->size > BODY_BLOB_MAX) {
                uint64_t size =
                    entry->size - offset < READ_AHEAD ? entry->size - offset : READ_AHEAD;

                prefetch_chunks(vfs->chunk_hints, entry, offset, size);
                return;
        }
        if (entry->size > BODY_PACK_BLOB_MAX ||
            fetch_is_coming(vfs->config.fetch, FETCH_BLOB, &entry->hash))
                return;
        if (base_of(vfs, call, id, &file) == HIF_OK && !file->ghost)
                look_around(vfs, file, &hinted);
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
                read_ahead(vfs, call, id, entry, offset);
        if (err != HIF_OK)
                return err;
        vfs->ahead.begun += offset == 0;
        data->eof = offset + data->size == attr->size;
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
        if (err == HIF_OK && offset > INT64_MAX - data.size)
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
        if (err == HIF_OK)
                wcc_after(vfs, call, id, wcc);
        return err;
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
