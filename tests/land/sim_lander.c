/* A lander's life: sessions of its own or taken over, landed alone, together, or through proposals;
 * with deaths in between. */
#include "land/internal.h"
#include "tests/land/sim.h"
#include "tests/land/sim_derive.h"

#include <inttypes.h>

#define MS       1000000ull
#define RUNS_MAX 5

/* --- sessions --- */

static void set_value(struct state *state, int path, uint8_t value)
{
        if (value != VALUE_ABSENT)
                for (int above = path_above(path); above >= 0; above = path_above(above))
                        state->at[above] = VALUE_DIR;
        for (int p = 0; p < PATHS && value != VALUE_DIR; p++)
                if (path_below(p, path))
                        state->at[p] = VALUE_ABSENT;
        state->at[path] = value;
}

static uint8_t draw_value(struct world *world)
{
        uint64_t draw = world_below(world, 100);

        if (draw < 20)
                return VALUE_ABSENT;
        if (draw < 30)
                return VALUE_DIR;
        return (uint8_t)(VALUE_FILE + world_below(world, VALUES - VALUE_FILE));
}

/* A session based on some position, that changes a few paths. */
static struct sim_session *draw_session(struct world *world, uint64_t tail)
{
        struct sim_session *session = &world->sessions[world->session_count];
        uint64_t back = world_chance(world, 70) ? 0 : world_below(world, 4);
        uint64_t edits = 1 + world_below(world, 4);

        if (world->session_count == SESSIONS_MAX || tail + 8 >= POSITIONS_MAX)
                return NULL;
        *session = (struct sim_session){.number = world->session_count++};
        for (size_t i = 0; i < SESSION_ID_SIZE; i++)
                session->id.bytes[i] = (uint8_t)world_rand(world);
        session->origin = tail;
        session->base_position = tail - (back < tail ? back : tail);
        session->base = session->ours = world->states[session->base_position];
        for (uint64_t i = 0; i < edits; i++)
                set_value(&session->ours, (int)world_below(world, PATHS), draw_value(world));
        return session;
}

/* A session that another lander has begun: the same work continued on a second machine. */
static struct sim_session *take_over(struct world *world)
{
        struct sim_session *session;

        if (world->session_count == 0 || !world_chance(world, 15))
                return NULL;
        session = &world->sessions[world_below(world, (uint64_t)world->session_count)];
        if (session->ended || session->report == REPORT_GIVEN_UP)
                return NULL;
        session->shared = session->ran_before = true;
        return session;
}

static bool goes_with_its_directory(const struct sim_session *session, int path)
{
        for (path = path_above(path); path >= 0; path = path_above(path))
                if (session->base.at[path] == VALUE_DIR && session->ours.at[path] != VALUE_DIR)
                        return true;
        return false;
}

static struct land_change change_of(struct lander *lander, int path, uint8_t value)
{
        struct land_change change = {
            .kind = LAND_PUT,
            .path = span_str(path_text(path)),
            .mtime = {.sec = (int64_t)(env_wall_ns(&lander->env) / 1000000000)},
            .content = value,
        };

        if (value == VALUE_ABSENT) {
                change.kind = LAND_REMOVE;
        } else if (value == VALUE_DIR) {
                change.entry_kind = ENTRY_DIR;
        } else if (value >= VALUE_LINK) {
                change.entry_kind = ENTRY_SYMLINK;
                change.target = span_str(value_text(value));
        } else {
                change.entry_kind = value >= VALUE_EXEC ? ENTRY_EXEC : ENTRY_FILE;
                change.size = strlen(value_text(value));
        }
        return change;
}

static size_t list_changes(struct lander *lander, const struct sim_session *session,
                           struct land_change changes[PATHS])
{
        struct world *world = lander->world;
        size_t count = 0;

        for (int i = 0; i < PATHS; i++) {
                int p = world->by_key[i];
                uint8_t before = session->base.at[p], after = session->ours.at[p];

                if (before == after && (after == VALUE_ABSENT || !world_chance(world, 5)))
                        continue; /* now and then a change that is none */
                if (after == VALUE_ABSENT && goes_with_its_directory(session, p) &&
                    world_chance(world, 50))
                        continue; /* the directory's removal says it */
                changes[count++] = change_of(lander, p, after);
        }
        return count;
}

static enum hif_err read_value(struct land_reader *reader, uint64_t content, uint64_t offset,
                               void *out, size_t size)
{
        (void)reader;
        memcpy(out, value_text((uint8_t)content) + offset, size);
        return HIF_OK;
}

/* --- hooks --- */

static struct sim_member *from_hooks(struct land_hooks *hooks)
{
        return (struct sim_member *)hooks;
}

static void hook_sleep(struct land_hooks *hooks, uint64_t ns)
{
        lander_sleep(from_hooks(hooks)->lander, ns);
}

static void copy_intent(struct land_intent *to, const struct land_intent *from)
{
        land_intent_free(to);
        *to = *from;
        to->slot = (struct buf){0};
        buf_put_span(&to->slot, buf_span(&from->slot));
}

static enum hif_err hook_save_intent(struct land_hooks *hooks, const struct land_intent *intent)
{
        struct sim_member *member = from_hooks(hooks);
        struct lander *lander = member->lander;
        bool dies = lander_dies(lander);

        if (lander->crashed)
                return HIF_ECANCELED;
        if (!dies || world_chance(lander->world, 50)) {
                copy_intent(&member->intent, intent);
                member->have_intent = true;
        }
        if (dies)
                lander_crash(lander);
        return dies ? HIF_ECANCELED : HIF_OK;
}

/* --- one process: from land_begin to its answers, or to its death --- */

static void say(struct sim_member *member, enum hif_err err)
{
        member->err = err;
        member->said = true;
}

/* What an earlier run has left open. A proposal's intent goes here always. */
static void settle(struct sim_member *member)
{
        struct world *world = member->lander->world;
        struct land_intent intent = {0};
        enum hif_err err;

        if (!member->have_intent || (member->intent.position > 0 && world_chance(world, 50)))
                return;
        copy_intent(&intent, &member->intent);
        err = land_resolve(member->land, &intent, &member->result, &member->why);
        land_intent_free(&intent);
        if (err != HIF_ENOENT || member->lander->crashed)
                say(member, err);
        else
                member->have_intent = false;
}

static void begin(struct sim_member *member)
{
        struct land_reader reader = {.read = read_value};
        struct lander *lander = member->lander;
        enum hif_err err;

        member->said = false;
        member->result = (struct land_result){0};
        member->why.text[0] = '\0';
        memcpy(member->staged, member->changes, sizeof(member->staged));
        lander->uploading = 1ull << member->session->number;
        err = land_begin(&lander->project, &member->value, NULL, NULL, &member->hooks, NULL,
                         &member->land);
        if (err != HIF_OK) {
                say(member, err);
                return;
        }
        settle(member);
        if (member->said || lander->crashed)
                return;
        err = land_stage(member->land, member->staged, member->count, &reader, &member->why);
        if (err != HIF_OK)
                say(member, member->have_intent ? HIF_EUNKNOWN : err);
}

static void propose(struct sim_member *member)
{
        member->session->proposed = true;
        member->lander->uploading = 1ull << member->session->number;
        say(member, land_propose(member->land, member->lander->line, member->staged, member->count,
                                 &member->result, &member->why));
}

/* Members of a lander in one batch, and those who land behind it. */
struct group {
        struct land_batch batch; /* first */
        struct land_member members[MEMBERS_MAX];
        struct sim_member *whose[MEMBERS_MAX];
        struct land_intent intents[MEMBERS_MAX];
        struct group *behind;
};

static struct land_batch *who_is_behind(struct land_batch *batch)
{
        struct group *behind = ((struct group *)batch)->behind;

        return behind ? &behind->batch : NULL;
}

static void enlist(struct group *group, struct sim_member *member)
{
        size_t at = group->batch.count++;

        if (member->have_intent)
                copy_intent(&group->intents[at], &member->intent);
        group->members[at] =
            (struct land_member){.land = member->land,
                                 .changes = member->staged,
                                 .count = member->count,
                                 .intent = member->have_intent ? &group->intents[at] : NULL,
                                 .out = &member->result,
                                 .why = &member->why};
        group->whose[at] = member;
}

/* Some of them in one batch, the others prepared behind it. */
static void land_together(struct lander *lander)
{
        struct world *world = lander->world;
        struct group groups[2] = {0};
        int cut = world_chance(world, 50) ? MEMBERS_MAX : 1 + (int)world_below(world, 2);

        lander->uploading = 0;
        for (int i = 0; i < lander->member_count; i++) {
                struct sim_member *member = &lander->members[i];

                if (member->answered || member->said)
                        continue;
                lander->uploading |= 1ull << member->session->number;
                enlist(&groups[groups[0].batch.count >= (size_t)cut], member);
        }
        for (int g = 0; g < 2; g++) {
                groups[g].batch.line = lander->line;
                groups[g].batch.members = groups[g].members;
                groups[g].batch.next = who_is_behind;
                groups[g].batch.races_max = (uint32_t)world_below(world, 3);
        }
        if (groups[1].batch.count > 0)
                groups[0].behind = &groups[1];
        for (int g = 0; g < 2; g++) {
                if (groups[g].batch.count > 0)
                        land_commit_batch(&groups[g].batch);
                for (size_t i = 0; i < groups[g].batch.count; i++) {
                        say(groups[g].whose[i], groups[g].members[i].err);
                        land_intent_free(&groups[g].intents[i]);
                }
        }
        for (int i = 0; i < lander->member_count && !lander->crashed; i++)
                if (lander->members[i].said && lander->members[i].err == HIF_ELOST)
                        propose(&lander->members[i]);
}

static void run_once(struct lander *lander)
{
        if (!lander->line && land_line_new(&lander->project, NULL, &lander->line) != HIF_OK)
                return;
        for (int i = 0; i < lander->member_count && !lander->crashed; i++)
                if (!lander->members[i].answered)
                        begin(&lander->members[i]);
        if (lander->crashed)
                return;
        if (!lander->epoch)
                land_together(lander);
        for (int i = 0; i < lander->member_count && lander->epoch && !lander->crashed; i++)
                if (!lander->members[i].answered && !lander->members[i].said)
                        propose(&lander->members[i]);
}

/* --- what was answered --- */

static void report(struct sim_member *member, enum hif_err err, const struct land_result *result)
{
        struct sim_session *session = member->session;
        bool told = err == HIF_ECONFLICT || err == HIF_ENOTHING || err == HIF_EAGAIN;

        session->reported_at = result->position;
        switch (err) {
        case HIF_OK:
                session->report = REPORT_LANDED;
                break;
        case HIF_ECONFLICT:
        case HIF_EAGAIN:
                session->report = REPORT_CONFLICT;
                member->lander->world->conflicts++;
                break;
        case HIF_ENOTHING:
                session->report = REPORT_NOTHING;
                break;
        default:
                session->report = err == HIF_EUNKNOWN ? REPORT_NONE : REPORT_REFUSED;
        }
        session->ended = session->report == REPORT_LANDED ||
                         (told && (result->refused || (!session->intent_lost && !session->shared)));
        member->answered = err == HIF_OK || told;
}

static void give_up(struct sim_member *member)
{
        struct sim_session *session = member->session;
        struct world *world = member->lander->world;
        bool proposal = member->intent.position == 0;
        struct land_result result = {0};
        struct hif_why why = {.text = ""};
        enum hif_err err;

        session->giving_up = session->giving_up || proposal;
        err =
            land_give_up(&member->lander->project, &member->intent, &member->hooks, &result, &why);
        world_trace(world, "lander %d: gives session %d up: %s", member->lander->number,
                    session->number, hif_err_name(err));
        if (member->lander->crashed)
                return;
        if (err == HIF_EEXIST) {
                report(member, HIF_OK, &result);
                check_report(world, session, HIF_OK, &result, "");
        } else if (err == HIF_OK && (proposal || (!session->intent_lost && !session->shared))) {
                session->report = REPORT_GIVEN_UP;
                session->ended = member->answered = true;
                if (session->landed_at)
                        world_fail(world, "session %d was given up, and is at @%" PRIu64,
                                   session->number, session->landed_at);
        }
}

static void hear(struct sim_member *member, int run)
{
        struct world *world = member->lander->world;
        struct sim_session *session = member->session;

        world_trace(world, "lander %d: session %d run %d: %s @%" PRIu64 ".%u %s",
                    member->lander->number, session->number, run, hif_err_name(member->err),
                    member->result.position, member->result.member,
                    member->err == HIF_OK ? "" : member->why.text);
        report(member, member->err, &member->result);
        check_report(world, session, member->err, &member->result, member->why.text);
        session->ran_before = true;
        if (!member->answered && member->err == HIF_EUNKNOWN && member->have_intent &&
            world_chance(world, 50))
                give_up(member);
}

/* --- deaths, and what the next process knows --- */

static void forget_run(struct lander *lander)
{
        for (int i = 0; i < lander->member_count; i++) {
                land_free(lander->members[i].land);
                lander->members[i].land = NULL;
        }
}

static void restart(struct lander *lander)
{
        struct world *world = lander->world;

        forget_run(lander);
        land_line_free(lander->line);
        lander->line = NULL;
        lander->crashed = false;
        for (int i = 0; i < lander->member_count; i++) {
                struct sim_member *member = &lander->members[i];

                if (member->answered)
                        continue;
                member->session->ran_before = true;
                member->session->report = REPORT_NONE; /* the last run said nothing */
                if (world_chance(world, 30) || !member->have_intent) {
                        member->have_intent = false;
                        member->session->intent_lost = true;
                }
        }
        lander_sleep(lander, world_below(world, 500 * MS));
}

static bool all_answered(const struct lander *lander)
{
        for (int i = 0; i < lander->member_count; i++)
                if (!lander->members[i].answered)
                        return false;
        return true;
}

/* What the landings of this run have completed. */
static void tidy(struct lander *lander)
{
        for (int i = 0; i < lander->member_count && !lander->crashed; i++) {
                const struct sim_member *member = &lander->members[i];

                if (member->said && member->err == HIF_OK && member->result.member <= 1)
                        derive_after(lander, member->result.position);
        }
}

/* Until there is an answer that ends it, or patience does. */
static void land_sessions(struct lander *lander)
{
        struct world *world = lander->world;

        for (int run = 0; run < RUNS_MAX && !world->failed && !all_answered(lander); run++) {
                lander->crash_in = !lander->honest && world_chance(world, 30)
                                       ? 1 + (uint32_t)world_below(world, 25)
                                       : 0;
                run_once(lander);
                for (int i = 0; i < lander->member_count && !lander->crashed; i++)
                        if (!lander->members[i].answered)
                                hear(&lander->members[i], run);
                tidy(lander);
                if (lander->crashed)
                        restart(lander);
                forget_run(lander);
                if (!all_answered(lander))
                        lander_sleep(lander, world_below(world, 200 * MS));
        }
        land_line_free(lander->line);
        lander->line = NULL;
}

/* --- a life --- */

static bool find_origin(struct lander *lander, uint64_t *origin)
{
        for (int i = 0; i < 20; i++) {
                struct slot_read tail;
                struct hif_why why;
                enum hif_err err = project_tail(&lander->project, 0, &tail, &why);

                if (err == HIF_OK) {
                        *origin = tail.slot.position;
                        slot_read_free(&tail);
                        return true;
                }
                if (err != HIF_EUNREACHABLE) {
                        world_fail(lander->world, "the tail: %s (%s)", hif_err_name(err), why.text);
                        return false;
                }
                lander_sleep(lander, 10 * MS);
        }
        return false;
}

static bool has_session(const struct lander *lander, const struct sim_session *session)
{
        for (int i = 0; i < lander->member_count; i++)
                if (lander->members[i].session == session)
                        return true;
        return false;
}

static bool add_member(struct lander *lander, uint64_t origin)
{
        struct world *world = lander->world;
        struct sim_member *member = &lander->members[lander->member_count];
        struct sim_session *session = lander->honest ? NULL : take_over(world);

        if (!session || has_session(lander, session))
                session = draw_session(world, origin);
        if (!session)
                return false;
        land_intent_free(&member->intent);
        *member = (struct sim_member){.hooks = {.save_intent = hook_save_intent,
                                                .sleep = hook_sleep,
                                                .attempts_max = lander->attempts_max},
                                      .lander = lander,
                                      .session = session};
        member->count = list_changes(lander, session, member->changes);
        member->value = (struct session){.id = session->id,
                                         .state = SESSION_OPEN,
                                         .origin = session->origin,
                                         .base_position = session->base_position,
                                         .base_slot = world->slot_hashes[session->base_position],
                                         .author = span_str("A <a@b>"),
                                         .goal = span_str("goal")};
        lander->member_count++;
        return true;
}

void lander_main(struct lander *lander)
{
        struct world *world = lander->world;
        uint64_t groups = lander->honest ? 1 : 1 + world_below(world, 3);

        for (uint64_t i = 0; i < groups && !world->failed; i++) {
                uint64_t origin, members = world_chance(world, 50) ? 1 : 1 + world_below(world, 3);

                lander->uploading = 0;
                lander->member_count = 0;
                lander->crash_in = 0;
                lander->epoch = world_chance(world, world->epoch_percent);
                if (!find_origin(lander, &origin) || world->failed)
                        return;
                while ((uint64_t)lander->member_count < members && add_member(lander, origin))
                        ;
                if (lander->member_count == 0)
                        return;
                land_sessions(lander);
                lander_sleep(lander, world_below(world, 100 * MS));
        }
}
