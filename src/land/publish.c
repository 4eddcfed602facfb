/* The commit point: one create-only PUT, whose outcome has three values (I6, I7). */
#include "land/internal.h"

#include <inttypes.h>

/* What one try has shown. */
enum shown {
        SHOWN_WON,
        SHOWN_THERE,   /* the slot was read: `winner` */
        SHOWN_NOTHING, /* no definite answer, or certainly no effect */
};

void publish_start(struct publish *publish, const struct project *project, uint64_t position,
                   struct span bytes)
{
        publish->project = project;
        publish->position = position;
        publish->bytes = bytes;
        publish->key = layout_slot(&project->layout, position);
        publish->reqs[0] =
            (struct store_req){.op = STORE_PUT_NEW, .key = publish->key.text, .body = bytes};
        publish->reqs[1] =
            (struct store_req){.op = STORE_GET, .key = publish->key.text, .settled = true};
        store_batch_start(project->store, &publish->flight, publish->reqs, 2);
}

static enum shown read_answers(struct publish *publish, struct slot_read *winner, enum hif_err *put,
                               enum hif_err *err, struct hif_why *why)
{
        struct store *store = publish->project->store;
        struct store_req *reqs = publish->reqs;
        enum shown shown = SHOWN_NOTHING;

        store_batch_wait(store, &publish->flight, reqs, 2);
        *put = reqs[0].result;
        *err = HIF_OK;
        if (*put == HIF_OK) {
                shown = SHOWN_WON;
        } else {
                if (reqs[1].result != HIF_OK && *put == HIF_ELOST) {
                        /* The GET overtook the PUT, or failed: the key exists, so ask again. */
                        store_req_free(&reqs[1]);
                        reqs[1] = (struct store_req){
                            .op = STORE_GET, .key = publish->key.text, .settled = true};
                        store_run(store, &reqs[1], 1);
                }
                if (reqs[1].result == HIF_OK) {
                        *err = slot_accept(publish->project, publish->position, &reqs[1].data,
                                           winner, why);
                        shown = SHOWN_THERE;
                }
        }
        store_req_free(&reqs[0]);
        store_req_free(&reqs[1]);
        return shown;
}

/* Errors of a PUT that certainly had no effect and that a repeat would not change. */
static bool refused(enum hif_err put)
{
        switch (put) {
        case HIF_EDENIED:
        case HIF_EROFS:
        case HIF_ENOSPC:
        case HIF_ENOMEM:
        case HIF_EINVAL:
        case HIF_EACCES:
                return true;
        default:
                return false;
        }
}

enum hif_err publish_end(struct publish *publish, struct land_hooks *hooks,
                         const uint8_t landing_id[LANDING_ID_SIZE], bool pending,
                         struct slot_read *winner, bool *won, struct hif_why *why)
{
        const struct project *project = publish->project;
        uint64_t start = env_mono_ns(project->env);
        enum hif_err put = HIF_EUNKNOWN, err;

        for (uint32_t i = 0; i < PUT_REPEATS && !(i > 0 && store_was_patient(project->env, start));
             i++) {
                enum shown shown;

                if (i > 0) {
                        land_pause(project->env, hooks, project->store->local, i);
                        publish_start(publish, project, publish->position, publish->bytes);
                }
                shown = read_answers(publish, winner, &put, &err, why);
                if (shown == SHOWN_WON) {
                        *won = true;
                        return HIF_OK;
                }
                if (shown == SHOWN_THERE) {
                        /* "It exists" alone says nothing: a library that resends, or an earlier
                         * try of ours, may have made it. The id decides. */
                        if (err == HIF_OK)
                                *won = LAND_MUTATION != MUTATE_LOST_IS_LOST &&
                                       memcmp(winner->slot.landing_id, landing_id,
                                              LANDING_ID_SIZE) == 0;
                        if (err == HIF_OK && *won)
                                slot_read_free(winner);
                        return err == HIF_OK ? HIF_OK : HIF_EUNKNOWN;
                }
                if (refused(put) && !pending) {
                        struct hif_why said;
                        const char *reason = store_reason(project->store, put, &said);

                        return why_set(why, put, "cannot write @%" PRIu64 " to %s: %s%s",
                                       publish->position, store_url(project->store), reason,
                                       reason == said.text ? "" : next_step(put));
                }
                if (!refused(put) && put != HIF_EUNREACHABLE)
                        pending = true; /* it may arrive, now or later */
        }
        if (!pending)
                return why_set(why, put, "%s does not answer: nothing was landed",
                               store_url(project->store));
        return why_set(why, HIF_EUNKNOWN,
                       "%s did not say whether @%" PRIu64 " was written: the outcome is unknown, "
                       "run hif land again",
                       store_url(project->store), publish->position);
}

enum hif_err publish_slot(const struct project *project, struct land_hooks *hooks,
                          uint64_t position, struct span bytes,
                          const uint8_t landing_id[LANDING_ID_SIZE], bool pending,
                          struct slot_read *winner, bool *won, struct hif_why *why)
{
        struct publish publish;

        publish_start(&publish, project, position, bytes);
        return publish_end(&publish, hooks, landing_id, pending, winner, won, why);
}
