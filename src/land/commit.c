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
#define RACES_MAX       2u /* that a landing alone loses before it proposes */

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
                commit_landed(entrant, &sent, index, true);
                commit_move_head(c, &sent.slot);
                line_learn(c->line, &sent);
        } else if (err == HIF_OK) {
                c->lost = true;
                line_learn(c->line, &winner);
        }
        slot_read_free(&sent);
        return err;
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
                commit_attempt(c);
        } else if (!c->sure) {
                c->sure = true; /* what is told has to hold against the tail */
                commit_wait_again(c);
        } else {
                batch_tell_deferred(c, c->tail);
        }
}

/* A race of equals has no end for who needs longer: better all of them propose. */
static bool is_contested(const struct commit *c)
{
        if (c->batch->races_max == 0 || c->mode != COMMIT_LAND)
                return false;
        return c->races_lost >= c->batch->races_max || (c->count == 1 && c->tail->slot.rivals > 0);
}

/* One look at the store and, unless that answers it, one slot tried. */
static void turn(struct commit *c)
{
        struct hif_why why = {.text = ""};
        enum hif_err err = find_tail(c, &why);

        if (err != HIF_OK) {
                commit_finish_waiting(c, err, &why);
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
                        commit_finish_with(entrant, err, &why);
                return; /* the tail is another one now */
        }
        if (c->mode == COMMIT_RESOLVE || c->mode == COMMIT_LOOK)
                commit_finish_waiting(c, HIF_ENOENT, &why);
        else if (is_contested(c))
                commit_finish_waiting(c, HIF_ELOST, &why);
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
        commit_finish_waiting(c, HIF_ELOST, &nothing);
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
        assert(false && "one batch at a time, and one behind it");
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
        struct land_batch batch = {.line = land->line,
                                   .members = &member,
                                   .count = 1,
                                   .races_max = count > 0 ? RACES_MAX : 0};

        assert(!intent || intent->position > 0); /* a proposal's goes to land_resolve */
        commit_batch(&batch, check_only ? COMMIT_CHECK : COMMIT_LAND);
        if (member.err == HIF_ELOST)
                return propose_after(land, land->line, out->attempts, changes, count, out, why);
        return member.err;
}
