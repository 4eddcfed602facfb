/* heal.c - after a failed sync, nobody knows what the disk holds: what was written since is written
 * once more, and a fresh log says everything that the rows say. It is a new generation: it counts
 * from the moment its complete mark is on disk; until then the old one does. */
#include "overlay/state.h"

#include <assert.h>

#define RECORD_BYTES ((size_t)256 << 10)

struct heal {
        struct overlay *overlay;
        struct oplog log; /* the fresh one */
        struct buf body;
        uint64_t seq; /* of its last record */
        uint64_t ids_next;
        enum hif_err err;
};

static void heal_flush(struct heal *heal)
{
        struct span none = {0};

        if (heal->err == HIF_OK && buf_failed(&heal->body))
                heal->err = HIF_ENOMEM;
        if (heal->err != HIF_OK || heal->body.size == 0)
                return;
        heal->err = oplog_reserve(&heal->log, heal->seq + 1, heal->body.size, OVERLAY_ORDINARY);
        if (heal->err == HIF_OK)
                oplog_append(&heal->log, ++heal->seq, buf_span(&heal->body), none);
        buf_reset(&heal->body);
}

static void heal_limit(struct heal *heal)
{
        if (heal->body.size >= RECORD_BYTES)
                heal_flush(heal);
}

static bool heal_node(void *arg, const struct onode *node)
{
        struct heal *heal = arg;

        put_node(&heal->body, node, NODE_FIELDS_ALL);
        heal_limit(heal);
        return heal->err == HIF_OK;
}

static bool heal_dirent(void *arg, const struct odirent *row)
{
        struct heal *heal = arg;

        put_dirent(&heal->body, row, row->seq);
        heal_limit(heal);
        return heal->err == HIF_OK;
}

static enum hif_err heal_op(void *arg, struct span item)
{
        struct heal *heal = arg;

        buf_put_span(&heal->body, item);
        heal_limit(heal);
        return heal->err;
}

/* Those that only the database has: it is folded anew from this log. */
static void heal_ops(struct heal *heal)
{
        struct overlay *overlay = heal->overlay;
        const struct rows *rows = &overlay->rows;
        struct hif_why why = {""};

        if (rows->ops_dropped > 0)
                put_ops_drop(&heal->body, rows->ops_dropped);
        if (rows->ops_folded <= rows->ops_dropped || heal->err != HIF_OK)
                return;
        heal->err = fold_ops(overlay, rows->ops_dropped, rows->ops_folded, heal_op, heal, &why);
        if (heal->err != HIF_OK)
                log_line(overlay->env->log, LOG_ERROR, "overlay", "%s", why.text);
}

static void heal_rows(struct heal *heal)
{
        struct overlay *overlay = heal->overlay;
        const struct rows *rows = &overlay->rows;
        const struct replies *replies = rows->replies;
        uint64_t first =
            replies->count > OVERLAY_REPLIES_MAX ? replies->count - OVERLAY_REPLIES_MAX : 0;

        put_reset(&heal->body);
        put_ids(&heal->body, heal->ids_next);
        overlay_each_node(overlay, heal_node, heal);
        overlay_each_dirent(overlay, heal_dirent, heal);
        heal_ops(heal);
        for (size_t i = 0; i < rows->op_count; i++) {
                put_op(&heal->body, &rows->ops[i]->op, rows->ops[i]->seq);
                heal_limit(heal);
        }
        for (size_t i = 0; i < rows->notes.count; i++) {
                put_note(&heal->body, &rows->notes.rows[i]->note, rows->notes.rows[i]->note.seq);
                heal_limit(heal);
        }
        for (size_t i = 0; i < rows->value_count; i++) {
                put_value(&heal->body, rows->values[i].name, rows->values[i].value);
                heal_limit(heal);
        }
        for (uint64_t i = first; i < replies->count; i++)
                put_reply(&heal->body, &replies->ring[i % OVERLAY_REPLIES_MAX]);
        heal_flush(heal);
}

/* Sync the fresh log, then say that it is complete, and sync that. */
static enum hif_err heal_sync(struct heal *heal)
{
        struct oplog *log = &heal->log;
        enum hif_err err = oplog_sync(log, oplog_capture(log, 0), heal->seq, 0);

        if (err != HIF_OK)
                return err;
        oplog_mark_complete(log->current, heal->seq);
        return log->env->ops->fdatasync(log->env, log->current->fd);
}

/* The fresh log takes the place of the old one, whose files go away; where they stay, the next open
 * removes them, as the fresh one counts. */
static void heal_swap(struct heal *heal)
{
        struct overlay *overlay = heal->overlay;
        struct oplog old = overlay->log;

        pthread_mutex_lock(&overlay->lock);
        overlay->log.oldest = heal->log.oldest;
        overlay->log.current = heal->log.current;
        overlay->log.next_number = heal->log.next_number;
        overlay->log.generation = heal->log.generation;
        overlay->log.bytes = heal->log.bytes;
        overlay->log.dir_dirty = true;
        overlay->log.whole = heal->seq;
        heal->log.oldest = heal->log.current = NULL;
        pthread_mutex_unlock(&overlay->lock);
        if (overlay->rows.ids_next < heal->ids_next)
                overlay->rows.ids_next = heal->ids_next;
        overlay->seq = heal->seq;
        overlay->durable = overlay->settled = heal->seq;
        if (oplog_remove(&old, NULL, 0) != HIF_OK)
                oplog_free(&old);
}

enum hif_err heal(struct overlay *overlay)
{
        struct heal heal = {.overlay = overlay, .seq = overlay->seq};
        uint64_t captured;

        fold_wait(overlay);
        heal.ids_next = overlay->ids_next + OVERLAY_IDS_BLOCK;
        heal.log = overlay->log;
        heal.log.oldest = heal.log.current = NULL;
        heal.log.bytes = 0;
        heal.log.generation = ++overlay->log.generation_max;
        /* All that no sync is known to have written is rewritten: one would say now that it has. */
        data_release(&overlay->data, data_capture(&overlay->data, &overlay->seq, &captured));
        heal.err = data_rewrite(&overlay->data);
        if (heal.err == HIF_OK)
                heal_rows(&heal);
        if (heal.err == HIF_OK)
                heal.err = heal_sync(&heal);
        if (heal.err == HIF_OK)
                heal_swap(&heal);
        else {
                /* Its names are not used again, and the next open removes what stays. */
                overlay->log.next_number = heal.log.next_number;
                if (oplog_remove(&heal.log, NULL, 0) != HIF_OK)
                        oplog_free(&heal.log);
        }
        buf_free(&heal.body);
        return heal.err;
}
