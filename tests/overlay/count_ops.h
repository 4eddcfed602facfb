/* count_ops.h - how many operations an overlay has, read as a landing reads them. */
#ifndef HIF_TESTS_OVERLAY_COUNT_OPS_H
#define HIF_TESTS_OVERLAY_COUNT_OPS_H

#include "overlay/overlay.h"

static inline enum hif_err count_op(void *arg, uint64_t seq, const struct session_op *op)
{
        (void)seq;
        (void)op;
        ++*(size_t *)arg;
        return HIF_OK;
}

/* SIZE_MAX: they cannot be read. */
static inline size_t count_ops(struct overlay *overlay)
{
        struct hif_why why = {""};
        struct overlay_ops ops;
        size_t count = 0;
        enum hif_err err = overlay_ops_take(overlay, &ops);

        if (err == HIF_OK)
                err = overlay_ops_each(overlay, &ops, count_op, &count, &why);
        overlay_ops_free(&ops);
        return err == HIF_OK ? count : SIZE_MAX;
}

#endif
