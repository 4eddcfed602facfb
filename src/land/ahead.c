/* The next batch, prepared while the slot of this one is on its way: decided onto the tree that there
 * will be, its nodes and records on their way to the store. So batches follow each other at the pace
 * of one request. What was prepared counts only if that slot is there; else it is forgotten, and
 * nobody was told anything of it. */
#include "land/batch.h"

#include <stdlib.h>

static bool waits(const struct entrant *entrant)
{
        return entrant->state == ENTRANT_WAITS;
}

/* What an earlier run has left open is settled first, and by itself. */
static bool can_wait_for_none(const struct commit *c)
{
        for (size_t i = 0; i < c->count; i++)
                if (waits(&c->entrants[i]) && c->entrants[i].pending)
                        return false;
        return true;
}

/* The position that was expected may never be: a tag may not name one behind that of its landing, and
 * what was decided is not followed up from a tree that may never be. */
static void forget(struct commit *c)
{
        for (size_t i = 0; i < c->count; i++)
                if (c->entrants[i].tries == 0 && !c->entrants[i].proposal)
                        c->entrants[i].tag.position = 0;
        batch_built_free(&c->built);
        slot_read_free(&c->onto);
        c->followable = false;
        c->prepared = false;
        commit_wait_again(c);
}

/* The slot on its way, as it will be read. */
static enum hif_err read_built(const struct commit *before, struct slot_read *out)
{
        AUTO_BUF struct buf bytes = {0};

        buf_put_span(&bytes, buf_span(&before->built.bytes));
        return buf_failed(&bytes) ? HIF_ENOMEM
                                  : slot_accept(before->line->project, before->built.slot.position,
                                                &bytes, out, NULL);
}

static void prepare(struct commit *c, const struct commit *before)
{
        struct hif_why ignored;

        if (!can_wait_for_none(c) || read_built(before, &c->onto) != HIF_OK)
                return;
        c->prepared = true;
        c->tail = before->tail; /* as far as it is known for certain */
        for (size_t i = 0; i < c->count; i++)
                if (waits(&c->entrants[i]))
                        commit_look_for(c, &c->entrants[i]);
        c->tail = &c->onto;
        commit_load_bases(c);
        batch_decide(c);
        if (c->landing_count == 0 || batch_build(c, &ignored) != HIF_OK)
                forget(c);
}

void batch_prepare_following(struct commit *c)
{
        struct land_batch *batch = c->following;

        if (!batch && c->batch->next && c->mode == COMMIT_LAND)
                batch = c->following = c->batch->next(c->batch);
        if (!batch)
                return;
        if (!batch->prepared)
                batch->prepared = commit_new(batch, COMMIT_LAND);
        else if (batch->prepared->prepared)
                forget(batch->prepared); /* our slot was another one then */
        if (batch->prepared)
                prepare(batch->prepared, c);
}

/* It is the newest that is known, and was won an instant ago. */
static const struct slot_read *now_there(const struct commit *c)
{
        const struct slot_read *read =
            c->line->any && c->line->ours ? line_slot(c->line, c->line->newest) : NULL;

        if (LAND_MUTATION == MUTATE_AHEAD_ANYWAY)
                return &c->onto;
        return read && hash_eq(&read->hash, &c->onto.hash) ? read : NULL;
}

void batch_take_up(struct commit *c)
{
        const struct slot_read *there = now_there(c);
        struct hif_why why = {.text = ""};
        bool all = true;

        if (there) {
                c->tail = there;
                for (size_t i = 0; i < c->count; i++) {
                        struct entrant *entrant = &c->entrants[i];

                        if (entrant->state == ENTRANT_DONE)
                                continue;
                        commit_look_for(c, entrant);
                        all = all && entrant->state != ENTRANT_DONE;
                }
        }
        if (there && all)
                commit_try_built(c, HIF_OK, &why);
        forget(c);
}
