/* The landing machine: find the tail, look for ourselves, decide, store, claim the next slot; and
 * again when someone else had it. docs/landing.md says why in this order. Any number of sessions go
 * through it together, and each leaves it with an answer of its own. */
#include "land/batch.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#define ATTEMPTS_DEFAULT 64u
/* After a lost race the pause is below 50 ms, and doubles so often: who waits for longer loses to
 * those who come later, again and again. */
#define PAUSE_DOUBLINGS 3u

/* --- who is in it --- */

static bool waits(const struct entrant *entrant)
{
        return entrant->state == ENTRANT_WAITS;
}

/* Others' proposals are nothing to wait for. */
static bool any_waits(const struct commit *c)
{
        for (size_t i = 0; i < c->count; i++)
                if (waits(&c->entrants[i]) && !c->entrants[i].member->others)
                        return true;
        return false;
}

static void finish_with(struct entrant *entrant, enum hif_err err, const struct hif_why *why)
{
        if (entrant->member->why && why->text[0] != '\0')
                *entrant->member->why = *why;
        entrant_finish(entrant, err);
}

/* What hit all that wait. */
static void finish_waiting(struct commit *c, enum hif_err err, const struct hif_why *why)
{
        for (size_t i = 0; i < c->count; i++)
                if (waits(&c->entrants[i]))
                        finish_with(&c->entrants[i], err, why);
}

void commit_wait_again(struct commit *c)
{
        for (size_t i = 0; i < c->count; i++)
                if (c->entrants[i].state != ENTRANT_DONE)
                        c->entrants[i].state = ENTRANT_WAITS;
}

/* --- the tail --- */

/* The newest position that must be there: bases, and what was scanned. */
static uint64_t known_position(const struct commit *c)
{
        uint64_t known = c->line->any ? c->line->newest : 0;

        for (size_t i = 0; i < c->count; i++) {
                const struct land *land = c->entrants[i].land;

                if (!waits(&c->entrants[i]))
                        continue;
                if (land->scan.position > known)
                        known = land->scan.position;
                if (land->session->base_position > known)
                        known = land->session->base_position;
        }
        return known;
}

static enum hif_err copy_slot(const struct project *project, const struct slot_read *read,
                              struct slot_read *out, struct hif_why *why)
{
        AUTO_BUF struct buf stored = {0};

        buf_put_span(&stored, buf_span(&read->stored));
        if (buf_failed(&stored))
                return why_set(why, HIF_ENOMEM, "out of memory");
        return slot_accept(project, read->slot.position, &stored, out, why);
}

/* The tail; on the way, in the same trip, the slot from which it was found, which is a base most
 * often. After a lost race the slot that won is where to go on from; and who has won the last race
 * itself believes, until told otherwise, that nobody has followed. */
static enum hif_err find_tail(struct commit *c, struct hif_why *why)
{
        struct land_line *line = c->line;
        uint64_t known = known_position(c);
        bool kept = line->any && line->newest == known;
        struct slot_read first = {0}, tail = {0};
        enum hif_err err = HIF_OK;

        if (kept && !c->sure && (line->ours || c->mode == COMMIT_ONCE)) {
                c->tail = line_slot(line, line->newest);
                return HIF_OK;
        }
        c->sure = true;
        if (kept && (c->lost || c->mode == COMMIT_LOOK)) {
                err = copy_slot(line->project, line_slot(line, known), &tail, why);
                if (err == HIF_OK)
                        err = tail_follow(line->project, &tail, why);
        } else {
                err = tail_read(line->project, known, &first, &tail, why);
                if (err == HIF_OK)
                        line_learn(line, &first);
        }
        c->lost = false;
        if (err != HIF_OK)
                return err;
        line_learn(line, &tail);
        c->tail = line_slot(line, line->newest);
        return HIF_OK;
}

/* --- looking for ourselves --- */

void commit_look_for(struct commit *c, struct entrant *entrant)
{
        struct land *land = entrant->land;
        bool found = false;
        enum hif_err err;

        land->scan.line = c->line;
        err = scan_to(&land->scan, c->tail, &found, entrant->member->out, entrant->member->why);
        land->scan.line = NULL;
        if (err == HIF_OK && found)
                entrant->pending = false;
        if (err == HIF_OK && found && entrant->member->out->refused)
                batch_tell_refused(c, entrant);
        else if (err != HIF_OK || found)
                entrant_finish(entrant, err);
}

static void landed(struct entrant *entrant, const struct slot_read *slot, uint32_t index,
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
static void move_head(struct commit *c, const struct slot *slot)
{
        if (c->batch->head_later)
                return;
        if (project_advance_head(c->line->project, slot) != HIF_OK)
                return;
}

/* --- an earlier run's slot, which may still arrive --- */

/* At the position that comes next: then it has to be sent again, before anything else. */
static bool must_replay(struct commit *c, struct entrant *entrant)
{
        if (entrant->pending && entrant->member->intent->position <= c->tail->slot.position)
                entrant->pending = false; /* its slot is taken, and not by us: it cannot arrive */
        return entrant->pending;
}

static enum hif_err check_intent(struct commit *c, struct entrant *entrant, struct slot_read *sent,
                                 uint32_t *index, struct hif_why *why)
{
        const struct land_intent *intent = entrant->member->intent;
        AUTO_BUF struct buf bytes = {0};
        enum hif_err err;

        buf_put_span(&bytes, buf_span(&intent->slot));
        err = buf_failed(&bytes)
                  ? HIF_ENOMEM
                  : slot_accept(c->line->project, intent->position, &bytes, sent, NULL);
        if (err == HIF_OK && (intent->position != c->tail->slot.position + 1 ||
                              !hash_eq(&sent->slot.previous, &c->tail->hash) ||
                              !slot_lands(&sent->slot, &entrant->land->session->id, index)))
                err = HIF_EINVAL;
        if (err == HIF_OK)
                return HIF_OK;
        return why_set(why, err,
                       "the landing that was tried at @%" PRIu64 " does not fit what %s holds now",
                       intent->position, store_url(c->line->project->store));
}

/* Send that slot again, as it was: it may have been a batch's, and lands whoever is in it. */
static enum hif_err replay(struct commit *c, struct entrant *entrant, struct hif_why *why)
{
        const struct land_intent *intent = entrant->member->intent;
        struct slot_read sent = {0}, winner = {0};
        uint32_t index;
        bool won = false;
        enum hif_err err = check_intent(c, entrant, &sent, &index, why);

        if (err == HIF_OK)
                err = publish_slot(c->line->project, c->hooks, intent->position,
                                   buf_span(&intent->slot), intent->landing_id, true, &winner, &won,
                                   why);
        if (err == HIF_OK)
                entrant->pending = false;
        if (err == HIF_OK && won) {
                landed(entrant, &sent, index, true);
                move_head(c, &sent.slot);
                line_learn(c->line, &sent);
        } else if (err == HIF_OK) {
                c->lost = true;
                line_learn(c->line, &winner);
        }
        slot_read_free(&sent);
        return err;
}

/* --- trying --- */

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
                landed(c->landing[i], kept, (uint32_t)i, false);
        batch_tell_deferred(c, kept);
        move_head(c, &kept->slot);
        return HIF_OK;
}

static void lost_slot(struct commit *c, struct slot_read *winner)
{
        struct hif_why why = {.text = ""};

        c->lost = true;
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
                finish_with(entrant, HIF_ELIMIT, &why);
        }
        line_learn(c->line, winner);
        if (c->mode == COMMIT_ONCE)
                finish_waiting(c, HIF_ELOST, &why);
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
                        finish_with(&c->entrants[i], err, why);
        commit_wait_again(c);
        batch_built_free(&c->built);
}

/* Store everything, then claim the slot. */
static void attempt(struct commit *c)
{
        struct hif_why why = {.text = ""};
        enum hif_err err = batch_build(c, &why);

        commit_try_built(c, err, &why);
}

/* --- turns --- */

/* Nothing is written: who would land is told so. */
static void only_checked(struct commit *c)
{
        for (size_t i = 0; i < c->landing_count; i++) {
                struct land_result *out = c->landing[i]->member->out;

                out->position = c->tail->slot.position;
                out->slot_hash = c->tail->hash;
                out->tree = c->tail->slot.tree;
                out->paths = c->landing[i]->land->merge.edit_count;
                entrant_finish(c->landing[i], HIF_OK);
        }
        batch_tell_deferred(c, c->tail);
}

void commit_load_bases(struct commit *c)
{
        for (size_t i = 0; i < c->count; i++) {
                struct entrant *entrant = &c->entrants[i];
                enum hif_err err;

                if (!waits(entrant))
                        continue;
                if (entrant->tag.position == 0)
                        entrant->tag.position = c->tail->slot.position + 1;
                err = line_base(c->line, entrant->land, entrant->member->why);
                if (err != HIF_OK)
                        entrant_finish(entrant, err);
        }
}

static bool any_refused(const struct commit *c)
{
        for (size_t i = 0; i < c->count; i++)
                if (entrant_is_refused(&c->entrants[i]))
                        return true;
        return false;
}

static void decide_and_try(struct commit *c)
{
        commit_load_bases(c);
        batch_decide(c);
        if (c->landing_count > 0 && c->mode == COMMIT_CHECK) {
                only_checked(c);
        } else if (c->landing_count > 0 || any_refused(c)) {
                attempt(c);
        } else if (!c->sure) {
                c->sure = true; /* what is told has to hold against the tail */
                commit_wait_again(c);
        } else {
                batch_tell_deferred(c, c->tail);
        }
}

/* One look at the store and, unless that answers it, one slot tried. */
static void turn(struct commit *c)
{
        struct hif_why why = {.text = ""};
        enum hif_err err = find_tail(c, &why);

        if (err != HIF_OK) {
                finish_waiting(c, err, &why);
                return;
        }
        for (size_t i = 0; i < c->count; i++)
                if (waits(&c->entrants[i]))
                        commit_look_for(c, &c->entrants[i]);
        for (size_t i = 0; i < c->count; i++) {
                struct entrant *entrant = &c->entrants[i];

                if (!waits(entrant) || !must_replay(c, entrant))
                        continue;
                err = replay(c, entrant, &why);
                if (err != HIF_OK)
                        finish_with(entrant, err, &why);
                return; /* the tail is another one now */
        }
        if (c->mode == COMMIT_RESOLVE || c->mode == COMMIT_LOOK)
                finish_waiting(c, HIF_ENOENT, &why);
        else
                decide_and_try(c);
}

static void run(struct commit *c)
{
        const struct hif_why nothing = {.text = ""};
        uint32_t losses = 0;

        if (c->prepared)
                batch_take_up(c);
        while (any_waits(c)) {
                if (c->lost) {
                        land_pause(c->env, c->hooks, c->line->project->store->local, losses);
                        losses += losses < PAUSE_DOUBLINGS;
                }
                turn(c);
        }
        finish_waiting(c, HIF_ELOST, &nothing);
}

static void enter(struct commit *c, struct land_member *member, struct entrant *entrant)
{
        struct land_hooks *hooks = member->land->hooks;
        enum hif_err err;

        *entrant = (struct entrant){.member = member,
                                    .land = member->land,
                                    .proposal = member->proposal,
                                    .pending = member->intent != NULL && c->mode != COMMIT_CHECK,
                                    .tries_max = hooks && hooks->attempts_max ? hooks->attempts_max
                                                                              : ATTEMPTS_DEFAULT,
                                    .tag.id = env_random_u64(c->env)};
        env_random(c->env, entrant->landing_id, sizeof(entrant->landing_id));
        if (entrant->tag.id == 0)
                entrant->tag.id = 1; /* 0 means "nobody's" */
        if (entrant->proposal) {
                entrant->tag = entrant->proposal->tag;
                memcpy(entrant->landing_id, entrant->proposal->landing_id, LANDING_ID_SIZE);
        }
        if (hooks)
                c->hooks = hooks;
        c->sure = c->sure || entrant->pending;
        *member->out = (struct land_result){0};
        err = check_skew(member->land, member->why);
        if (err != HIF_OK)
                entrant_finish(entrant, err);
}

static struct made *take_made(struct land_line *line)
{
        for (size_t i = 0; i < LINE_BATCHES; i++)
                if (!line->made[i].taken) {
                        line->made[i].taken = true;
                        return &line->made[i];
                }
        assert(!"one batch at a time, and one behind it");
        return NULL;
}

static void commit_free(struct commit *c)
{
        if (!c)
                return;
        assert(!c->prepared);
        if (c->made) {
                made_reset(c->made);
                c->made->taken = false;
        }
        known_free(&c->known);
        free(c->entrants);
        free(c->landing);
        free(c);
}

static struct commit *alloc(const struct land_batch *batch)
{
        struct commit *c = calloc(1, sizeof(*c));

        if (!c)
                return NULL;
        c->entrants = calloc(batch->count, sizeof(*c->entrants));
        c->landing = calloc(batch->count, sizeof(struct entrant *));
        if (c->entrants && c->landing)
                return c;
        commit_free(c);
        return NULL;
}

struct commit *commit_new(struct land_batch *batch, enum commit_mode mode)
{
        struct commit *c = alloc(batch);
        uint64_t now = env_wall_ns(batch->line->project->env);

        assert(batch->count > 0 && batch->count <= LAND_BATCH_MAX);
        if (!c)
                return NULL;
        c->line = batch->line;
        c->batch = batch;
        c->made = take_made(batch->line);
        c->env = batch->line->project->env;
        c->count = batch->count;
        c->mode = mode;
        c->sure = mode != COMMIT_LAND && mode != COMMIT_ONCE;
        c->now = (struct hif_time){.sec = (int64_t)(now / 1000000000),
                                   .nsec = (uint32_t)(now % 1000000000)};
        for (size_t i = 0; i < c->count; i++)
                enter(c, &batch->members[i], &c->entrants[i]);
        return c;
}

void commit_batch(struct land_batch *batch, enum commit_mode mode)
{
        struct commit *c = batch->prepared ? STEAL(batch->prepared) : commit_new(batch, mode);

        for (size_t i = 0; i < batch->count && !c; i++)
                batch->members[i].err =
                    why_set(batch->members[i].why,
                            batch->members[i].intent ? HIF_EUNKNOWN : HIF_ENOMEM, "out of memory");
        if (c)
                run(c);
        commit_free(c);
}

void land_commit_batch(struct land_batch *batch)
{
        commit_batch(batch, COMMIT_LAND);
}

enum hif_err land_resolve(struct land *land, const struct land_intent *intent,
                          struct land_result *out, struct hif_why *why)
{
        struct land_member member = {.land = land, .intent = intent, .out = out, .why = why};
        struct land_batch batch = {.line = land->line, .members = &member, .count = 1};

        if (intent->position == 0)
                return propose_again(land, intent, out, why);
        commit_batch(&batch, COMMIT_RESOLVE);
        if (member.err == HIF_ENOENT)
                return why_set(why, HIF_ENOENT,
                               "the landing that was tried at @%" PRIu64 " did not succeed",
                               intent->position);
        return member.err;
}

enum hif_err land_commit(struct land *land, const struct land_change *changes, size_t count,
                         const struct land_intent *intent, bool check_only, struct land_result *out,
                         struct hif_why *why)
{
        struct land_member member = {.land = land,
                                     .changes = changes,
                                     .count = count,
                                     .intent = intent,
                                     .out = out,
                                     .why = why};
        struct land_batch batch = {.line = land->line, .members = &member, .count = 1};

        assert(!intent || intent->position > 0); /* a proposal's goes to land_resolve */
        commit_batch(&batch, check_only ? COMMIT_CHECK : COMMIT_LAND);
        return member.err;
}
