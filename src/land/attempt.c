/* Trying a slot: all that it names is stored, then the intents are saved, then it is claimed; and what
 * becomes of those who were in it. */
#include "land/batch.h"

#include <assert.h>
#include <stdlib.h>

/* --- answers --- */

void commit_finish_with(struct entrant *entrant, enum hif_err err, const struct hif_why *why)
{
        if (entrant->member->why && why->text[0] != '\0')
                *entrant->member->why = *why;
        entrant_finish(entrant, err);
}

void commit_finish_waiting(struct commit *c, enum hif_err err, const struct hif_why *why)
{
        for (size_t i = 0; i < c->count; i++)
                if (c->entrants[i].state == ENTRANT_WAITS)
                        commit_finish_with(&c->entrants[i], err, why);
}

void commit_wait_again(struct commit *c)
{
        for (size_t i = 0; i < c->count; i++)
                if (c->entrants[i].state != ENTRANT_DONE)
                        c->entrants[i].state = ENTRANT_WAITS;
}

void commit_landed(struct entrant *entrant, const struct slot_read *slot, uint32_t index,
                   bool already)
{
        struct land_result *out = entrant->member->out;
        uint32_t attempts = out->attempts;

        land_result_of(slot, index, out);
        out->attempts = attempts;
        out->already_landed = already;
        entrant->pending = false;
        entrant_finish(entrant, HIF_OK);
}

/* A hint: the next reader that finds it behind helps. */
void commit_move_head(struct commit *c, const struct slot *slot)
{
        if (c->batch->head_later)
                return;
        if (project_advance_head(c->line->project, slot) != HIF_OK)
                return;
}

/* --- what goes before --- */

static void ask_to_save(struct commit *c)
{
        const struct batch_built *built = &c->built;

        for (size_t i = 0; i < c->landing_count; i++) {
                struct entrant *entrant = c->landing[i];

                if (entrant->proposal)
                        continue; /* its intent is the proposal */
                entrant->intent = (struct land_intent){.tag = entrant->tag.id,
                                                       .session = entrant->land->session->id,
                                                       .position = built->slot.position,
                                                       .slot = built->bytes};
                memcpy(entrant->intent.landing_id, built->slot.landing_id, LANDING_ID_SIZE);
                entrant->member->to_save = &entrant->intent;
                entrant->member->saved = HIF_OK;
        }
        if (c->batch->save_start)
                c->batch->save_start(c->batch);
}

enum hif_err land_member_save(struct land_member *member)
{
        struct land_hooks *hooks = member->land->hooks;
        enum hif_err err;

        if (!hooks || !hooks->save_intent)
                return HIF_OK;
        err = hooks->save_intent(hooks, member->to_save);
        if (err != HIF_OK)
                return why_set(member->why, err, "cannot note what is about to be landed: %s",
                               hif_strerror(err));
        return HIF_OK;
}

/* Contents were sent off when they were staged. Whose are refused leaves the batch; *all: nobody
 * had to. */
static void settle_contents(struct commit *c, bool *all)
{
        for (size_t i = 0; i < c->landing_count; i++) {
                struct entrant *entrant = c->landing[i];
                enum hif_err err = land_settle(entrant->land, entrant->member->why);

                if (err == HIF_OK)
                        continue;
                entrant_finish(entrant, err);
                *all = false;
        }
}

/* Until every intent is durable: whoever reads one may send the slot, so all that it names is
 * stored before. Who cannot save leaves the batch. */
static void save_intents(struct commit *c, bool *all)
{
        ask_to_save(c);
        if (c->batch->save_wait)
                c->batch->save_wait(c->batch);
        for (size_t i = 0; i < c->landing_count; i++) {
                struct entrant *entrant = c->landing[i];

                if (!entrant->member->to_save)
                        continue;
                if (!c->batch->save_wait)
                        entrant->member->saved = land_member_save(entrant->member);
                entrant->member->to_save = NULL;
                if (entrant->member->saved == HIF_OK)
                        continue;
                entrant_finish(entrant, entrant->member->saved);
                *all = false;
        }
}

/* --- the slot --- */

static void count_try(struct commit *c)
{
        for (size_t i = 0; i < c->landing_count; i++) {
                c->landing[i]->tries++;
                c->landing[i]->member->out->attempts++;
        }
}

static enum hif_err won_slot(struct commit *c, struct hif_why *why)
{
        const struct batch_built *built = &c->built;
        AUTO_BUF struct buf bytes = {0};
        struct slot_read read = {0};
        const struct slot_read *kept;
        enum hif_err err;

        buf_put_span(&bytes, buf_span(&built->bytes));
        err = buf_failed(&bytes)
                  ? HIF_ENOMEM
                  : slot_accept(c->line->project, built->slot.position, &bytes, &read, why);
        if (err != HIF_OK)
                return err;
        line_learn(c->line, &read);
        c->line->ours = true;
        kept = line_slot(c->line, built->slot.position);
        for (size_t i = 0; i < c->landing_count; i++)
                commit_landed(c->landing[i], kept, (uint32_t)i, false);
        batch_tell_deferred(c, kept);
        commit_move_head(c, &kept->slot);
        return HIF_OK;
}

static void lost_slot(struct commit *c, struct slot_read *winner)
{
        struct hif_why why = {.text = ""};

        c->lost = true;
        /* Who only believed that nobody had followed was late, and in no race. */
        c->races_lost += c->sure;
        commit_wait_again(c);
        for (size_t i = 0; i < c->landing_count; i++) {
                struct entrant *entrant = c->landing[i];

                if (LAND_MUTATION == MUTATE_LOST_IS_LOST) {
                        entrant->land->scan.position = winner->slot.position;
                        entrant->land->scan.hash = winner->hash;
                }
                if (entrant->tries < entrant->tries_max)
                        continue;
                (void)why_set(&why, HIF_ELIMIT,
                              "others landed first %u times in a row: nothing was landed, try "
                              "again",
                              entrant->tries);
                commit_finish_with(entrant, HIF_ELIMIT, &why);
        }
        line_learn(c->line, winner);
        if (c->mode == COMMIT_ONCE)
                commit_finish_waiting(c, HIF_ELOST, &why);
}

/* Claim the slot: everything that it names is stored, and every intent is. */
static enum hif_err claim(struct commit *c, struct hif_why *why)
{
        const struct batch_built *built = &c->built;
        struct slot_read winner = {0};
        struct publish publish;
        bool won = false;
        enum hif_err err = HIF_OK;

        if (LAND_MUTATION == MUTATE_HEAD_FIRST)
                err = project_advance_head(c->line->project, &built->slot);
        if (err != HIF_OK)
                return err;
        publish_start(&publish, c->line->project, built->slot.position, buf_span(&built->bytes));
        batch_prepare_following(c);
        err = publish_end(&publish, c->hooks, built->slot.landing_id, false, &winner, &won, why);
        if (err != HIF_OK)
                return err;
        count_try(c);
        if (won)
                return won_slot(c, why);
        lost_slot(c, &winner);
        return HIF_OK;
}

/* Those who are not in the slot, or lose it, wait for the next turn. */
void commit_try_built(struct commit *c, enum hif_err err, struct hif_why *why)
{
        bool all = true;

        if (err == HIF_OK && LAND_MUTATION == MUTATE_INTENT_FIRST)
                save_intents(c, &all);
        if (err == HIF_OK && LAND_MUTATION != MUTATE_SLOT_FIRST)
                err = batch_stored(c, why);
        if (err == HIF_OK && LAND_MUTATION != MUTATE_SLOT_FIRST)
                settle_contents(c, &all);
        if (err == HIF_OK && all && LAND_MUTATION != MUTATE_INTENT_FIRST)
                save_intents(c, &all);
        if (err == HIF_OK && all)
                err = claim(c, why);
        for (size_t i = 0; i < c->count && err != HIF_OK; i++)
                if (c->entrants[i].state == ENTRANT_LANDS || entrant_is_refused(&c->entrants[i]))
                        commit_finish_with(&c->entrants[i], err, why);
        commit_wait_again(c);
        batch_built_free(&c->built);
}

/* Store everything, then claim the slot. */
void commit_attempt(struct commit *c)
{
        struct hif_why why = {.text = ""};
        enum hif_err err = batch_build(c, &why);

        commit_try_built(c, err, &why);
}
