/* window_slots.c - the slots that a derived record is made of. */
#include "core/layout.h"
#include "land/derived/parts.h"

#include <inttypes.h>

static enum hif_err check_links(const struct slot_read *read, const struct hif_hash *previous,
                                struct hif_why *why)
{
        if (hash_is_zero(previous) || hash_eq(&read->slot.previous, previous))
                return HIF_OK;
        return why_set(why, HIF_ECORRUPT, "@%" PRIu64 " does not follow @%" PRIu64,
                       read->slot.position, read->slot.position - 1);
}

enum hif_err window_slots(const struct project *project, enum window_kind kind, uint64_t start,
                          enum hif_err (*each)(void *arg, struct slot_read *read,
                                               struct hif_why *why),
                          void *arg, struct window *out, struct hif_why *why)
{
        struct window window = {.kind = kind, .start = start};
        struct hif_hash previous = {0};
        uint64_t end = start + window_size(kind);
        enum hif_err err = HIF_OK;

        for (uint64_t at = start; at < end && err == HIF_OK;) {
                struct slot_read reads[SLOTS_BATCH];
                size_t count = end - at < SLOTS_BATCH ? (size_t)(end - at) : SLOTS_BATCH;

                if (LAND_MUTATION == MUTATE_INCOMPLETE_WINDOW)
                        count = 1;
                err = slots_get(project, at, count, reads, why);
                if (LAND_MUTATION == MUTATE_INCOMPLETE_WINDOW && err != HIF_OK && at > start) {
                        /* A segment could not even be encoded. */
                        err = kind == WINDOW_SEGMENT ? HIF_ELIMIT : HIF_OK;
                        break;
                }
                if (err != HIF_OK)
                        return err;
                for (size_t i = 0; i < count; i++) {
                        if (err == HIF_OK)
                                err = check_links(&reads[i], &previous, why);
                        if (err == HIF_OK && at + i == start)
                                window.before = reads[i].slot.previous;
                        previous = reads[i].hash;
                        if (err == HIF_OK)
                                err = each(arg, &reads[i], why);
                        slot_read_free(&reads[i]);
                }
                at += count;
        }
        window.end = previous;
        if (err == HIF_OK)
                *out = window;
        return err;
}

bool window_fits(const struct window *window, const struct store_req *req)
{
        struct hif_hash hash;

        if (req->result != HIF_OK)
                return false;
        hash = hash_of(HASH_SLOT, buf_span(&req->data));
        return hash_eq(&hash, &window->end);
}
