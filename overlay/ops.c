/* ops.c - what the session did, as one list: the older operations are in rows.db alone once they were
 * folded, the newer ones in memory. */
#include "overlay/state.h"

enum hif_err overlay_ops_take(const struct overlay *overlay, struct overlay_ops *out)
{
        const struct rows *rows = &overlay->rows;

        *out = (struct overlay_ops){
            .after = rows->ops_dropped,
            .folded = rows->ops_folded > rows->ops_dropped ? rows->ops_folded : 0};
        for (size_t i = 0; i < rows->op_count; i++)
                put_op(&out->newer, &rows->ops[i]->op, rows->ops[i]->seq);
        if (!buf_failed(&out->newer))
                return HIF_OK;
        overlay_ops_free(out);
        return HIF_ENOMEM;
}

void overlay_ops_free(struct overlay_ops *ops)
{
        buf_free(&ops->newer);
        *ops = (struct overlay_ops){0};
}

struct telling {
        overlay_op_each each;
        void *arg;
};

static enum hif_err tell_op(void *arg, struct span blob)
{
        const struct telling *telling = arg;
        struct reader rd = rd_open(blob);
        struct item item = {0};
        enum hif_err err = item_next(&rd, &item);

        if (err == HIF_OK && (item.kind != ITEM_OP || !rd_done(&rd)))
                err = HIF_ECORRUPT;
        return err == HIF_OK ? telling->each(telling->arg, item.number, &item.op) : err;
}

enum hif_err overlay_ops_each(struct overlay *overlay, const struct overlay_ops *ops,
                              overlay_op_each each, void *arg, struct hif_why *why)
{
        struct telling telling = {.each = each, .arg = arg};
        struct reader rd = rd_open(buf_span(&ops->newer));
        struct item item = {0};
        enum hif_err err = HIF_OK;

        if (ops->folded != 0)
                err = fold_ops(overlay, ops->after, ops->folded, tell_op, &telling, why);
        while (err == HIF_OK && rd_left(&rd) > 0) {
                err = item_next(&rd, &item);
                if (err == HIF_OK)
                        err = each(arg, item.number, &item.op);
        }
        return err;
}

uint64_t overlay_op_last(const struct overlay *overlay)
{
        const struct rows *rows = &overlay->rows;

        if (rows->op_count > 0)
                return rows->ops[rows->op_count - 1]->seq;
        return rows->ops_folded > rows->ops_dropped ? rows->ops_folded : 0;
}
