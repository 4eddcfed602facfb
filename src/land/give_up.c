/* Giving up what may still land: a slot is occupied by nothing, or refuses the proposal. */
#include "land/batch.h"

#include <inttypes.h>

#define TRIES_MAX 64u

/* A slot that stands for nothing: the tree before it, no session. */
static enum hif_err encode_void(const struct project *project, const struct slot_read *before,
                                const uint8_t landing_id[LANDING_ID_SIZE],
                                struct slot_refused *refused, struct buf *out)
{
        uint64_t now = env_wall_ns(project->env);
        struct slot slot = {.kind = SLOT_VOID,
                            .position = before->slot.position + 1,
                            .tag = env_random_u64(project->env),
                            .base_position = before->slot.position,
                            .previous = before->hash,
                            .tree = before->slot.tree,
                            .tree_entries = before->slot.tree_entries,
                            .hlc = hlc_merge(0, before->slot.hlc, now / 1000000),
                            .wall_ns = now,
                            .refused_count = refused ? 1 : 0,
                            .refused = refused};
        enum hif_err err;

        memcpy(slot.landing_id, landing_id, LANDING_ID_SIZE);
        err = slot_put(out, &slot);
        return err == HIF_OK && buf_failed(out) ? HIF_ENOMEM : err;
}

static enum hif_err judge(const struct land_intent *intent, const struct slot_read *there,
                          struct land_result *out, struct hif_why *why)
{
        char name[LANDING_NAME_SIZE];
        uint32_t index;

        if (!slot_lands(&there->slot, &intent->session, &index))
                return HIF_OK;
        *out = (struct land_result){0};
        land_result_of(there, index, out);
        landing_name(out->position, out->member, name);
        return why_set(why, HIF_EEXIST, "the session had landed, at %s", name);
}

static enum hif_err occupy(const struct project *project, const struct land_intent *intent,
                           struct land_hooks *hooks, struct land_result *out, struct hif_why *why)
{
        uint8_t landing_id[LANDING_ID_SIZE];
        AUTO_BUF struct buf bytes = {0};
        struct slot_read before = {0}, there = {0};
        bool won = false;
        enum hif_err err;

        err = project_slot(project, intent->position - 1, false, &before, why);
        if (err == HIF_OK) {
                env_random(project->env, landing_id, sizeof(landing_id));
                err = encode_void(project, &before, landing_id, NULL, &bytes);
        }
        if (err == HIF_OK)
                err = publish_slot(project, hooks, intent->position, buf_span(&bytes), landing_id,
                                   false, &there, &won, why);
        slot_read_free(&before);
        if (err == HIF_OK && !won)
                err = judge(intent, &there, out, why);
        slot_read_free(&there);
        /* Until its slot is taken, the attempt may still arrive. */
        return err == HIF_OK || err == HIF_EEXIST ? err : HIF_EUNKNOWN;
}

/* --- a proposal --- */

/* One look, and one slot tried. HIF_EAGAIN: somebody else had it. */
static enum hif_err refuse_once(const struct project *project, struct scan *scan,
                                const struct land_intent *intent, struct land_hooks *hooks,
                                struct land_result *out, struct hif_why *why)
{
        struct slot_refused refused = {.session = intent->session};
        uint8_t landing_id[LANDING_ID_SIZE];
        AUTO_BUF struct buf bytes = {0};
        struct slot_read tail = {0}, winner = {0};
        bool found = false, won = false;
        char name[LANDING_NAME_SIZE];
        enum hif_err err = project_tail(project, scan->position, &tail, why);

        if (err != HIF_OK)
                return err;
        err = scan_to(scan, &tail, &found, out, why);
        if (err == HIF_OK && !found) {
                memcpy(refused.landing_id, intent->landing_id, LANDING_ID_SIZE);
                env_random(project->env, landing_id, sizeof(landing_id));
                err = encode_void(project, &tail, landing_id, &refused, &bytes);
        }
        if (err == HIF_OK && !found)
                err = publish_slot(project, hooks, tail.slot.position + 1, buf_span(&bytes),
                                   landing_id, false, &winner, &won, why);
        slot_read_free(&tail);
        slot_read_free(&winner);
        if (err != HIF_OK || won || (found && out->refused))
                return err;
        if (!found)
                return HIF_EAGAIN;
        landing_name(out->position, out->member, name);
        return why_set(why, HIF_EEXIST, "the session had landed, at %s", name);
}

/* Nobody lands it behind a slot that refuses it. */
static enum hif_err refuse(const struct project *project, const struct land_intent *intent,
                           struct land_hooks *hooks, struct land_result *out, struct hif_why *why)
{
        AUTO_ARENA struct arena arena = {0};
        struct proposal proposal;
        struct scan scan;
        enum hif_err err = proposal_get(buf_span(&intent->slot), &arena, &proposal);

        if (err != HIF_OK)
                return why_set(why, HIF_EUNKNOWN, "what was proposed cannot be read: %s",
                               hif_strerror(err));
        scan = (struct scan){.project = project,
                             .session = proposal.session,
                             .origin = proposal.origin,
                             .position = proposal.origin};
        err = HIF_EAGAIN;
        for (uint32_t i = 0; i < TRIES_MAX && err == HIF_EAGAIN; i++) {
                if (i > 0)
                        land_pause(project->env, hooks, project->store->local, i - 1);
                err = refuse_once(project, &scan, intent, hooks, out, why);
        }
        scan_free(&scan);
        return err == HIF_OK || err == HIF_EEXIST ? err : HIF_EUNKNOWN;
}

enum hif_err land_give_up(const struct project *project, const struct land_intent *intent,
                          struct land_hooks *hooks, struct land_result *out, struct hif_why *why)
{
        *out = (struct land_result){0};
        return intent->position == 0 ? refuse(project, intent, hooks, out, why)
                                     : occupy(project, intent, hooks, out, why);
}
