/* rows.c - applying items to the rows in memory. */
#include "overlay/rows.h"

#include <assert.h>
#include <stdlib.h>

void rows_init(struct rows *rows)
{
        memset(rows, 0, sizeof(*rows));
        dirents_init(&rows->dirents, &rows->slab);
        rows->ids_next = NODEID_FIRST;
}

void rows_free(struct rows *rows)
{
        idmap_free(&rows->nodes);
        dirents_free(&rows->dirents);
        free(rows->ops);
        notes_free(&rows->notes);
        free(rows->values);
        free(rows->replies);
        slab_release(&rows->slab);
        memset(rows, 0, sizeof(*rows));
}

/* --- nodes --- */

static struct node_row *node_make(struct rows *rows, uint64_t id)
{
        struct node_row *row = rows_node(rows, id);

        if (row != NULL)
                return row;
        row = slab_alloc(&rows->slab, sizeof(*row));
        if (row == NULL)
                return NULL;
        memset(row, 0, sizeof(*row));
        row->node.id = id;
        if (idmap_put(&rows->nodes, id, row) != HIF_OK) {
                slab_free(&rows->slab, row, sizeof(*row));
                return NULL;
        }
        return row;
}

static void text_free(struct rows *rows, struct span *text)
{
        if (text->data != NULL)
                slab_free(&rows->slab, (void *)(uintptr_t)text->data, text->size + 1);
        *text = (struct span){0};
}

/* Replace an owned copy, NUL-terminated for debuggers. */
static enum hif_err text_set(struct rows *rows, struct span *text, struct span value)
{
        uint8_t *copy = NULL;

        if (value.size > 0) {
                copy = slab_alloc(&rows->slab, value.size + 1);
                if (copy == NULL)
                        return HIF_ENOMEM;
                memcpy(copy, value.data, value.size);
                copy[value.size] = 0;
        }
        text_free(rows, text);
        *text = span_of(copy, value.size);
        return HIF_OK;
}

static enum hif_err node_put(struct rows *rows, uint64_t seq, const struct item *item)
{
        struct node_row *row = node_make(rows, item->id);
        const struct onode *from = &item->node;
        struct onode *node;
        enum hif_err err = HIF_OK;

        if (row == NULL)
                return HIF_ENOMEM;
        node = &row->node;
        node->seq = seq;
        if (item->fields & NODE_ATTRS) {
                node->kind = from->kind;
                node->mode = from->mode;
                node->flags = from->flags;
                node->uid = from->uid;
                node->gid = from->gid;
                node->nlink = from->nlink;
        }
        if (item->fields & NODE_SIZE) {
                node->size = from->size;
                node->base_limit = from->base_limit;
        }
        if (item->fields & NODE_TIMES) {
                node->atime = from->atime;
                node->mtime = from->mtime;
                node->ctime = from->ctime;
        }
        if (item->fields & NODE_PLACE) {
                node->parent = from->parent;
                err = text_set(rows, &node->name, from->name);
        }
        if (err == HIF_OK && (item->fields & NODE_TARGET))
                err = text_set(rows, &node->target, from->target);
        if (item->fields & NODE_VERIFIER)
                node->verifier = from->verifier;
        if (item->fields & NODE_BASE)
                node->base = from->base;
        if (err == HIF_OK && (item->fields & NODE_STATE)) {
                node->seq = from->seq;
                node->data_seq = from->data_seq;
                err = extents_load(rows, row, item->extent_bytes);
                for (uint32_t i = 0; i < node->extent_count; i++)
                        if (node->extents[i].file & OVERLAY_FILE_SPARSE &&
                            node->extents[i].file > row->sparse_file)
                                row->sparse_file = node->extents[i].file;
        }
        return err;
}

static void node_del(struct rows *rows, uint64_t id)
{
        struct node_row *row = idmap_del(&rows->nodes, id);

        if (row == NULL)
                return;
        extents_free(rows, row);
        text_free(rows, &row->node.name);
        text_free(rows, &row->node.target);
        slab_free(&rows->slab, row, sizeof(*row));
}

/* EXTENT, CUT and DROP_EXTENTS: a node that is gone again in the same record is no error. */
static enum hif_err node_content(struct rows *rows, uint64_t seq, const struct item *item)
{
        struct node_row *row = rows_node(rows, item->id);

        if (row == NULL)
                return HIF_OK;
        row->node.seq = row->node.data_seq = seq;
        if (item->kind == ITEM_CUT) {
                extents_cut(rows, row, item->number);
                return HIF_OK;
        }
        if (item->kind == ITEM_DROP_EXTENTS) {
                extents_cut(rows, row, 0);
                return HIF_OK;
        }
        if (item->extent.file & OVERLAY_FILE_SPARSE && item->extent.file > row->sparse_file)
                row->sparse_file = item->extent.file;
        return extents_put(rows, row, &item->extent);
}

/* --- operations --- */

enum hif_err rows_reserve_ops(struct rows *rows, size_t more)
{
        size_t capacity = rows->op_capacity * 2;
        struct op_row **ops;

        if (rows->op_count + more <= rows->op_capacity)
                return HIF_OK;
        if (capacity < rows->op_count + more)
                capacity = rows->op_count + more + 64;
        ops = realloc(rows->ops, capacity * sizeof(struct op_row *));
        if (ops == NULL)
                return HIF_ENOMEM;
        rows->ops = ops;
        rows->op_capacity = capacity;
        return HIF_OK;
}

static size_t op_size(const struct session_op *op)
{
        return sizeof(struct op_row) + op->path.size + op->path2.size;
}

static enum hif_err op_add(struct rows *rows, uint64_t seq, const struct item *item)
{
        const struct session_op *op = &item->op;
        struct op_row *row;
        uint8_t *bytes;

        if (rows_reserve_ops(rows, 1) != HIF_OK)
                return HIF_ENOMEM;
        row = slab_alloc(&rows->slab, op_size(op));
        if (row == NULL)
                return HIF_ENOMEM;
        bytes = (uint8_t *)(row + 1);
        row->seq = item->number != 0 ? item->number : seq;
        row->op = *op;
        if (op->path.size > 0)
                memcpy(bytes, op->path.data, op->path.size);
        if (op->path2.size > 0)
                memcpy(bytes + op->path.size, op->path2.data, op->path2.size);
        row->op.path = span_of(bytes, op->path.size);
        row->op.path2 = span_of(bytes + op->path.size, op->path2.size);
        rows->ops[rows->op_count] = row;
        rows->op_count++;
        return HIF_OK;
}

/* Those up to that record leave memory. Returns the last of them; 0: there are none. */
static uint64_t ops_forget(struct rows *rows, uint64_t through)
{
        size_t count = 0;
        uint64_t last = 0;

        while (count < rows->op_count && rows->ops[count]->seq <= through) {
                last = rows->ops[count]->seq;
                slab_free(&rows->slab, rows->ops[count], op_size(&rows->ops[count]->op));
                count++;
        }
        if (count > 0) {
                rows->op_count -= count;
                memmove(rows->ops, rows->ops + count, rows->op_count * sizeof(struct op_row *));
        }
        return last;
}

static void ops_drop(struct rows *rows, uint64_t through)
{
        (void)ops_forget(rows, through);
        if (rows->ops_dropped < through)
                rows->ops_dropped = through;
}

void rows_ops_folded(struct rows *rows, uint64_t through)
{
        uint64_t last = ops_forget(rows, through);

        if (last != 0)
                rows->ops_folded = last;
}

/* --- values and replies --- */

struct value_row *rows_value(const struct rows *rows, struct span name)
{
        for (size_t i = 0; i < rows->value_count; i++)
                if (span_eq(rows->values[i].name, name))
                        return &rows->values[i];
        return NULL;
}

enum hif_err rows_reserve_values(struct rows *rows, size_t more)
{
        size_t capacity = rows->value_count + more + 16;
        struct value_row *values;

        if (rows->value_count + more <= rows->value_capacity)
                return HIF_OK;
        values = realloc(rows->values, capacity * sizeof(*values));
        if (values == NULL)
                return HIF_ENOMEM;
        rows->values = values;
        rows->value_capacity = capacity;
        return HIF_OK;
}

static enum hif_err value_put(struct rows *rows, struct span name, struct span value)
{
        struct value_row *row = rows_value(rows, name);

        if (value.size == 0) {
                if (row != NULL) {
                        text_free(rows, &row->name);
                        text_free(rows, &row->value);
                        *row = rows->values[--rows->value_count];
                }
                return HIF_OK;
        }
        if (row != NULL)
                return text_set(rows, &row->value, value);
        if (rows_reserve_values(rows, 1) != HIF_OK)
                return HIF_ENOMEM;
        row = &rows->values[rows->value_count];
        *row = (struct value_row){0};
        if (text_set(rows, &row->name, name) != HIF_OK ||
            text_set(rows, &row->value, value) != HIF_OK)
                return HIF_ENOMEM;
        rows->value_count++;
        return HIF_OK;
}

/* The ring is not touched before it is used: it is large. */
static void replies_clear(struct replies *replies)
{
        replies->count = 0;
        for (size_t i = 0; i < OVERLAY_REPLIES_MAX; i++)
                replies->heads[i] = REPLY_NONE;
}

enum hif_err rows_reserve_replies(struct rows *rows)
{
        struct replies *replies;

        if (rows->replies != NULL)
                return HIF_OK;
        replies = malloc(sizeof(*replies));
        if (replies == NULL)
                return HIF_ENOMEM;
        replies_clear(replies);
        rows->replies = replies;
        return HIF_OK;
}

static uint16_t *reply_head(struct replies *replies, uint64_t key)
{
        return &replies->heads[(key ^ key >> 32) % OVERLAY_REPLIES_MAX];
}

static enum hif_err reply_add(struct rows *rows, const struct overlay_reply *reply)
{
        enum hif_err err = rows_reserve_replies(rows);
        struct replies *replies = rows->replies;
        uint16_t at, *link;

        if (err != HIF_OK)
                return err;
        at = (uint16_t)(replies->count % OVERLAY_REPLIES_MAX);
        if (replies->count >= OVERLAY_REPLIES_MAX) {
                for (link = reply_head(replies, replies->ring[at].key); *link != at;
                     link = &replies->next[*link])
                        ;
                *link = replies->next[at];
        }
        link = reply_head(replies, reply->key);
        replies->ring[at] = *reply;
        replies->next[at] = *link;
        *link = at;
        replies->count++;
        return HIF_OK;
}

const struct overlay_reply *replies_find(const struct replies *replies, uint64_t key)
{
        uint16_t at = REPLY_NONE;

        if (replies != NULL)
                at = replies->heads[(key ^ key >> 32) % OVERLAY_REPLIES_MAX];
        while (at != REPLY_NONE && replies->ring[at].key != key)
                at = replies->next[at];
        return at == REPLY_NONE ? NULL : &replies->ring[at];
}

/* --- records --- */

/* No row is left, and no extent counts. */
static void rows_reset(struct rows *rows)
{
        void (*account)(void *, uint32_t, uint64_t, uint64_t, uint64_t) = rows->account;
        void *arg = rows->account_arg;
        struct replies *replies = rows->replies;
        uint64_t id, ids_next = rows->ids_next;
        void *row;

        for (struct idmap_at at = {0}; idmap_next(&rows->nodes, &at, &id, &row);)
                extents_free(rows, row);
        rows->replies = NULL;
        rows_free(rows);
        rows_init(rows);
        if (replies != NULL)
                replies_clear(replies);
        rows->replies = replies;
        rows->account = account;
        rows->account_arg = arg;
        rows->ids_next = ids_next;
}

enum hif_err rows_apply_item(struct rows *rows, uint64_t seq, const struct item *item)
{
        struct odirent dirent;

        switch (item->kind) {
        case ITEM_PUT_NODE:
                return node_put(rows, seq, item);
        case ITEM_DEL_NODE:
                node_del(rows, item->id);
                return HIF_OK;
        case ITEM_PUT_DIRENT:
                dirent = item->dirent;
                if (dirent.seq == 0)
                        dirent.seq = seq;
                return dirents_put(&rows->dirents, &dirent);
        case ITEM_DEL_DIRENT:
                dirents_del(&rows->dirents, item->dirent.dir, item->dirent.hash60,
                            item->dirent.name);
                return HIF_OK;
        case ITEM_EXTENT:
        case ITEM_CUT:
        case ITEM_DROP_EXTENTS:
                return node_content(rows, seq, item);
        case ITEM_OP:
                return op_add(rows, seq, item);
        case ITEM_OPS_DROP:
                ops_drop(rows, item->number);
                return HIF_OK;
        case ITEM_NOTE:
                return notes_add(&rows->notes, &rows->slab, seq, &item->note);
        case ITEM_NOTES_DROP:
                notes_drop(&rows->notes, &rows->slab, item->number);
                return HIF_OK;
        case ITEM_VALUE:
                return value_put(rows, item->name, item->value);
        case ITEM_REPLY:
                return reply_add(rows, &item->reply);
        case ITEM_IDS:
                if (item->number > rows->ids_next)
                        rows->ids_next = item->number;
                return HIF_OK;
        case ITEM_RESET:
                rows_reset(rows);
                return HIF_OK;
        }
        return HIF_EUNSUPPORTED;
}

enum hif_err rows_apply(struct rows *rows, uint64_t seq, struct span body)
{
        struct reader rd = rd_open(body);
        struct item item = {0};

        while (rd_left(&rd) > 0) {
                enum hif_err err = item_next(&rd, &item);

                if (err == HIF_OK)
                        err = rows_apply_item(rows, seq, &item);
                if (err != HIF_OK)
                        return err;
        }
        return HIF_OK;
}

enum hif_err rows_load(struct rows *rows, struct span blob)
{
        struct reader rd = rd_open(blob);
        struct item item = {0};
        enum hif_err err = item_next(&rd, &item);

        if (err == HIF_OK && !rd_done(&rd))
                err = HIF_ECORRUPT;
        return err == HIF_OK ? rows_apply_item(rows, 0, &item) : err;
}
