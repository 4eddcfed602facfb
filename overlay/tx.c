/* tx.c - transactions: collect, reserve, log, apply. */
#include "overlay/state.h"

#include <assert.h>
#include <stdlib.h>

#define INDEX_FROM 16         /* nodes from which on the index is used */
#define BUF_KEEP   (1u << 20) /* larger buffers are not kept */

void tx_init(struct overlay *overlay)
{
        overlay->tx.overlay = overlay;
}

void tx_free(struct overlay *overlay)
{
        struct otx *tx = &overlay->tx;

        for (size_t i = 0; i < tx->block_count; i++)
                free(tx->blocks[i]);
        free(tx->blocks);
        free(tx->dirs);
        idmap_free(&tx->index);
        buf_free(&tx->nodes);
        buf_free(&tx->rest);
}

struct otx *otx_begin(struct overlay *overlay)
{
        struct otx *tx = &overlay->tx;

        assert(!tx->open);
        tx->open = true;
        tx->need = OVERLAY_ORDINARY;
        tx->carry = tx->bulk = false;
        tx->carried = 0;
        tx->err = HIF_OK;
        return tx;
}

void otx_need(struct otx *tx, enum overlay_need need)
{
        assert(tx->open);
        tx->need = need;
}

void otx_carry(struct otx *tx)
{
        assert(tx->open);
        tx->carry = true;
}

static struct tx_node *node_at(const struct otx *tx, size_t index)
{
        return &tx->blocks[index / TX_BLOCK][index % TX_BLOCK];
}

static struct tx_node *tx_find(const struct otx *tx, uint64_t id)
{
        if (tx->node_count > INDEX_FROM)
                return idmap_get(&tx->index, id);
        for (size_t i = 0; i < tx->node_count; i++)
                if (node_at(tx, i)->node.id == id)
                        return node_at(tx, i);
        return NULL;
}

static enum hif_err tx_index(struct otx *tx)
{
        size_t from = tx->node_count - 1;

        if (tx->node_count <= INDEX_FROM)
                return HIF_OK;
        if (tx->node_count == INDEX_FROM + 1)
                from = 0;
        for (size_t i = from; i < tx->node_count; i++)
                if (idmap_put(&tx->index, node_at(tx, i)->node.id, node_at(tx, i)) != HIF_OK)
                        return HIF_ENOMEM;
        return HIF_OK;
}

static enum hif_err tx_grow(struct otx *tx)
{
        struct tx_node **blocks;

        if (tx->node_count < tx->block_count * TX_BLOCK)
                return HIF_OK;
        if ((tx->block_count & (tx->block_count - 1)) == 0) {
                size_t capacity = tx->block_count == 0 ? 1 : tx->block_count * 2;

                blocks = realloc(tx->blocks, capacity * sizeof(struct tx_node *));
                if (blocks == NULL)
                        return HIF_ENOMEM;
                tx->blocks = blocks;
        }
        tx->blocks[tx->block_count] = malloc(TX_BLOCK * sizeof(struct tx_node));
        if (tx->blocks[tx->block_count] == NULL)
                return HIF_ENOMEM;
        tx->block_count++;
        return HIF_OK;
}

/* The transaction's view of a node, present or not. */
static struct tx_node *tx_touch(struct otx *tx, uint64_t id)
{
        struct tx_node *node = tx_find(tx, id);

        assert(tx->open && id != NODEID_NONE);
        if (node != NULL)
                return node;
        if (tx->err == HIF_OK)
                tx->err = tx_grow(tx);
        if (tx->err != HIF_OK) {
                const struct node_row *row = rows_node(&tx->overlay->rows, id);

                tx->scrap = (struct tx_node){0};
                if (row != NULL)
                        tx->scrap.node = row->node;
                tx->scrap.node.id = id;
                return &tx->scrap;
        }
        node = node_at(tx, tx->node_count++);
        *node = (struct tx_node){.row = rows_node(&tx->overlay->rows, id), .own = true};
        if (node->row != NULL) {
                node->node = node->row->node;
                node->present = true;
                node->sparse = node->row->sparse_file;
        }
        node->node.id = id;
        tx->err = tx_index(tx);
        return node;
}

struct onode *otx_node(struct otx *tx, uint64_t id)
{
        struct tx_node *node = tx_touch(tx, id);

        node->present = true;
        return &node->node;
}

void otx_node_del(struct otx *tx, uint64_t id)
{
        struct tx_node *node = tx_touch(tx, id);

        node->deleted = node->row != NULL;
        node->present = false;
        node->own = false;
        node->node = (struct onode){.id = id};
}

void otx_truncate(struct otx *tx, uint64_t id, uint64_t size)
{
        struct tx_node *touched = tx_touch(tx, id);
        struct onode *node = &touched->node;
        uint64_t limit = size < node->size ? size : node->size;

        touched->present = true;
        touched->own = false;
        if (node->base_limit > limit)
                node->base_limit = limit;
        node->size = size;
        put_cut(&tx->rest, id, limit);
}

void otx_drop_extents(struct otx *tx, uint64_t id)
{
        tx_touch(tx, id)->own = false;
        put_drop_extents(&tx->rest, id);
}

/* Room for the count of a directory that has no row yet. */
static enum hif_err tx_reserve_dir(struct otx *tx, uint64_t dir)
{
        struct idmap *per_dir = &tx->overlay->rows.dirents.per_dir;
        enum hif_err err;

        if (idmap_get(per_dir, dir) != NULL)
                return HIF_OK;
        if (tx->dir_count > 0 && tx->dirs[tx->dir_count - 1] == dir)
                return HIF_OK;
        if (tx->dir_count == tx->dir_capacity) {
                size_t capacity = tx->dir_capacity * 2 + 8;
                uint64_t *dirs = realloc(tx->dirs, capacity * sizeof(*dirs));

                if (dirs == NULL)
                        return HIF_ENOMEM;
                tx->dirs = dirs;
                tx->dir_capacity = capacity;
        }
        err = idmap_reserve(per_dir, dir);
        if (err == HIF_OK)
                tx->dirs[tx->dir_count++] = dir;
        return err;
}

void otx_dirent_put(struct otx *tx, const struct odirent *row)
{
        assert(tx->open && row->name.size > 0 && row->name.size <= 255);
        if (tx->err == HIF_OK)
                tx->err = tx_reserve_dir(tx, row->dir);
        tx->puts++;
        tx->name_bytes += slab_cost(row->name.size);
        put_dirent(&tx->rest, row, 0);
}

void otx_dirent_del(struct otx *tx, uint64_t dir, uint64_t hash60, struct span name)
{
        assert(tx->open);
        put_del_dirent(&tx->rest, dir, hash60, name);
}

void otx_op(struct otx *tx, const struct session_op *op)
{
        assert(tx->open);
        tx->ops++;
        tx->cost += slab_cost(sizeof(struct op_row) + op->path.size + op->path2.size);
        put_op(&tx->rest, op, 0);
}

void otx_ops_drop(struct otx *tx, uint64_t through_seq)
{
        assert(tx->open);
        put_ops_drop(&tx->rest, through_seq);
}

void otx_note(struct otx *tx, const struct onote *note)
{
        assert(tx->open && note->role.size <= RECORD_NAME_MAX);
        tx->notes++;
        tx->cost += slab_cost(note_size(note));
        put_note(&tx->rest, note, 0);
}

void otx_notes_drop(struct otx *tx, uint64_t through_seq)
{
        assert(tx->open);
        put_notes_drop(&tx->rest, through_seq);
}

void otx_value(struct otx *tx, const char *name, struct span value)
{
        struct span key = span_str(name);

        assert(tx->open && key.size > 0 && key.size <= RECORD_NAME_MAX);
        tx->values++;
        tx->cost += slab_cost(key.size + 1) + slab_cost(value.size + 1);
        put_value(&tx->rest, key, value);
}

void otx_reply(struct otx *tx, const struct overlay_reply *reply)
{
        assert(tx->open);
        put_reply(&tx->rest, reply);
}

enum hif_err overlay_write(struct otx *tx, uint64_t id, uint64_t offset, struct span data)
{
        struct overlay *overlay = tx->overlay;
        struct tx_node *node;
        struct oextent extent;
        uint32_t sparse;
        bool carry;
        enum hif_err err;

        if (overlay->sync_state != SYNC_OK)
                return HIF_EROFS;
        if (offset > INT64_MAX || data.size > INT64_MAX - offset)
                return HIF_EFBIG;
        if (data.size == 0)
                return HIF_OK;
        node = tx_touch(tx, id);
        if (tx->err != HIF_OK)
                return tx->err;
        sparse = node->sparse;
        err = data_write(&overlay->data, node->row, node->own && !node->deleted, &node->sparse,
                         offset, data, &extent);
        if (node->sparse != sparse)
                node->sparse_made = true;
        if (err != HIF_OK) {
                overlay->torn++;
                return err;
        }
        node->present = true;
        node->own = false;
        node->extents++;
        if (offset + data.size > node->node.size) {
                if (node->node.base_limit > node->node.size)
                        node->node.base_limit = node->node.size;
                node->node.size = offset + data.size;
        }
        carry = tx->carry && (extent.file & OVERLAY_FILE_SPARSE) == 0;
        put_extent(&tx->rest, id, &extent, carry ? data : (struct span){0});
        tx->carried += carry ? data.size : 0;
        tx->bulk |= !carry;
        return HIF_OK;
}

/* --- commit --- */

static void tx_encode(struct otx *tx)
{
        static const struct onode none;

        for (size_t i = 0; i < tx->node_count; i++) {
                const struct tx_node *node = node_at(tx, i);
                const struct onode *old =
                    node->row != NULL && !node->deleted ? &node->row->node : &none;
                uint16_t fields;

                if (node->deleted)
                        put_del_node(&tx->nodes, node->node.id);
                if (!node->present)
                        continue;
                fields = node_diff(old, &node->node);
                if (fields == 0 && old != &none)
                        continue;
                put_node(&tx->nodes, &node->node, fields);
                if (old == &none)
                        tx->cost += slab_cost(sizeof(struct node_row));
                if (fields & NODE_PLACE)
                        tx->cost += slab_cost(node->node.name.size + 1);
                if (fields & NODE_TARGET)
                        tx->cost += slab_cost(node->node.target.size + 1);
        }
        if (tx->overlay->ids_next + OVERLAY_IDS_BLOCK / 2 > tx->overlay->rows.ids_next)
                put_ids(&tx->rest, tx->overlay->ids_next + OVERLAY_IDS_BLOCK);
}

/* After this, applying the record cannot fail. */
static enum hif_err tx_reserve(struct otx *tx, size_t *reserved)
{
        struct rows *rows = &tx->overlay->rows;
        enum hif_err err = HIF_OK;

        for (size_t i = 0; i < tx->node_count && err == HIF_OK; i++) {
                struct tx_node *node = node_at(tx, i);
                bool anew = node->row == NULL || node->deleted;

                if (node->extents > 0 && anew)
                        tx->cost += rows_extents_cost(node->extents * 2 + 2);
                else if (node->extents > 0)
                        err = rows_reserve_extents(rows, node->row, node->extents * 2 + 2);
                if (err == HIF_OK)
                        err = idmap_reserve(&rows->nodes, node->node.id);
                if (err == HIF_OK)
                        *reserved = i + 1;
        }
        if (err == HIF_OK)
                err = rows_reserve_ops(rows, tx->ops);
        if (err == HIF_OK)
                err = notes_reserve(&rows->notes, tx->notes);
        if (err == HIF_OK)
                err = rows_reserve_values(rows, tx->values);
        if (err == HIF_OK)
                err = slab_reserve(
                    &rows->slab, tx->cost + dirents_cost(&rows->dirents, tx->puts, tx->name_bytes));
        return err;
}

static void tx_end(struct otx *tx)
{
        for (size_t i = 0; i < tx->dir_count; i++)
                idmap_unreserve(&tx->overlay->rows.dirents.per_dir, tx->dirs[i]);
        if (tx->node_count > INDEX_FROM)
                idmap_free(&tx->index);
        if (tx->nodes.capacity > BUF_KEEP)
                buf_free(&tx->nodes);
        if (tx->rest.capacity > BUF_KEEP)
                buf_free(&tx->rest);
        buf_reset(&tx->nodes);
        buf_reset(&tx->rest);
        while (tx->block_count > 4)
                free(tx->blocks[--tx->block_count]);
        tx->node_count = tx->dir_count = 0;
        tx->puts = tx->name_bytes = tx->ops = tx->notes = tx->values = tx->cost = 0;
        tx->open = false;
}

void otx_abort(struct otx *tx)
{
        assert(tx->open);
        for (size_t i = 0; i < tx->node_count; i++) {
                tx->overlay->torn += node_at(tx, i)->extents > 0;
                if (node_at(tx, i)->sparse_made)
                        data_abandon(&tx->overlay->data, node_at(tx, i)->sparse);
        }
        tx_end(tx);
}

/* A landing drops the rows of what it landed: in steps, so that it is seldom made anew. */
static void want_spare(struct overlay *overlay)
{
        const struct rows *rows = &overlay->rows;
        uint64_t need = (rows->nodes.count + rows->dirents.count) * OVERLAY_SPARE_PER_ROW;
        uint64_t want = overlay->config.spare_bytes;

        if (want == 0)
                return;
        while (want < need && want < OPLOG_RECORD_MAX)
                want *= 2;
        overlay->spare_want = want;
}

enum hif_err otx_commit(struct otx *tx, uint64_t *seq)
{
        struct overlay *overlay = tx->overlay;
        uint64_t next = overlay->seq + 1;
        size_t reserved = 0;
        struct span body;
        enum hif_err err = tx->err;

        assert(tx->open);
        if (err == HIF_OK && overlay->sync_state != SYNC_OK) {
                flusher_seen(overlay);
                err = HIF_EROFS;
        }
        if (err == HIF_OK)
                tx_encode(tx);
        if (err == HIF_OK && (buf_failed(&tx->nodes) || buf_failed(&tx->rest)))
                err = HIF_ENOMEM;
        if (err == HIF_OK && tx->nodes.size + tx->rest.size == 0) {
                *seq = overlay->seq;
                tx_end(tx);
                return HIF_OK;
        }
        if (err == HIF_OK)
                err = tx_reserve(tx, &reserved);
        if (err == HIF_OK)
                err = oplog_reserve(&overlay->log, next, tx->nodes.size + tx->rest.size, tx->need);
        if (err == HIF_OK) {
                body = oplog_append(&overlay->log, next, buf_span(&tx->nodes), buf_span(&tx->rest));
                err = rows_apply(&overlay->rows, next, body);
                assert(err == HIF_OK); /* what it needs was reserved */
        }
        if (err == HIF_OK && overlay->folded > overlay->rows.ops_folded)
                rows_ops_folded(&overlay->rows, overlay->folded);
        for (size_t i = 0; i < reserved; i++)
                idmap_unreserve(&overlay->rows.nodes, node_at(tx, i)->node.id);
        if (err != HIF_OK) {
                otx_abort(tx);
                return err;
        }
        data_settle(&overlay->data, next);
        want_spare(overlay);
        overlay->carried += tx->carried;
        if (tx->bulk)
                overlay->bulk = next;
        overlay->seq = next; /* the flusher takes everything before it */
        tx_end(tx);
        *seq = next;
        return HIF_OK;
}
