/* fold.c - folding old records into SQLite. */
#include "overlay/state.h"

enum hif_err fold_init(struct overlay *overlay)
{
        (void)overlay;
        return HIF_OK;
}

enum hif_err fold_load(struct overlay *overlay, struct fold_state *out, struct hif_why *why)
{
        (void)overlay;
        (void)why;
        *out = (struct fold_state){0};
        return HIF_OK;
}

void fold_start(struct overlay *overlay)
{
        (void)overlay;
}

void fold_wait(struct overlay *overlay)
{
        (void)overlay;
}

void fold_finish(struct overlay *overlay)
{
        (void)overlay;
}

void fold_free(struct overlay *overlay)
{
        (void)overlay;
}
