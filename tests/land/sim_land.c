/* sim_land - landers against each other, a faulty store and their own deaths.
 *
 *      sim_land --seeds 1:10000            every seed of a range (both included)
 *      sim_land --seeds 42:42 --trace      one, with everything that happens
 *      sim_land --seeds 1:400 --expect-violation
 *                                          succeeds if a seed fails: for the builds that have a
 *                                          mistake in them */
#include "tests/land/sim.h"

#include "core/layout.h"
#include "land/internal.h"

#include <inttypes.h>
#include <stdlib.h>

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

static size_t list_changes(struct lander *lander, struct land_change changes[PATHS])
{
        struct world *world = lander->world;
        const struct sim_session *session = lander->session;
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

static void hook_sleep(struct land_hooks *hooks, uint64_t ns)
{
        lander_sleep((struct lander *)hooks, ns);
}

static void copy_intent(struct lander *lander, const struct land_intent *intent)
{
        land_intent_free(&lander->intent);
        lander->intent = *intent;
        lander->intent.slot = (struct buf){0};
        buf_put_span(&lander->intent.slot, buf_span(&intent->slot));
        lander->have_intent = true;
}

static enum hif_err hook_save_intent(struct land_hooks *hooks, const struct land_intent *intent)
{
        struct lander *lander = (struct lander *)hooks;
        bool dies = lander_dies(lander);

        if (lander->crashed)
                return HIF_ECANCELED;
        if (!dies || world_chance(lander->world, 50))
                copy_intent(lander, intent);
        if (dies)
                lander_crash(lander);
        return dies ? HIF_ECANCELED : HIF_OK;
}

/* --- landers --- */

/* One process: from land_begin to its answer, or to its death. */
static enum hif_err run_once(struct lander *lander, const struct session *session,
                             struct land_change *changes, size_t count, struct land **land,
                             struct land_result *result, struct hif_why *why)
{
        struct land_reader reader = {.read = read_value};
        struct land_intent intent = {0};
        bool have_intent = lander->have_intent;
        enum hif_err err;

        why->text[0] = '\0';
        err = land_begin(&lander->project, session, NULL, NULL, &lander->hooks, NULL, land);
        if (err != HIF_OK)
                return err;
        if (have_intent) {
                intent = lander->intent;
                intent.slot = (struct buf){0};
                buf_put_span(&intent.slot, buf_span(&lander->intent.slot));
        }
        if (have_intent && world_chance(lander->world, 50)) {
                err = land_resolve(*land, &intent, result, why);
                if (err != HIF_ENOENT || lander->crashed) {
                        land_intent_free(&intent);
                        return err;
                }
                land_intent_free(&intent); /* settled */
                have_intent = lander->have_intent = false;
        }
        err = land_stage(*land, changes, count, &reader, why);
        if (err == HIF_OK && !lander->crashed)
                err = land_commit(*land, changes, count, have_intent ? &intent : NULL, false,
                                  result, why);
        else if (have_intent)
                err = HIF_EUNKNOWN; /* an earlier run's slot may be on its way */
        land_intent_free(&intent);
        return err;
}

static void report(struct lander *lander, enum hif_err err, const struct land_result *result)
{
        struct sim_session *session = lander->session;

        session->reported_at = result->position;
        switch (err) {
        case HIF_OK:
                session->report = REPORT_LANDED;
                break;
        case HIF_ECONFLICT:
                session->report = REPORT_CONFLICT;
                lander->world->conflicts++;
                break;
        case HIF_ENOTHING:
                session->report = REPORT_NOTHING;
                break;
        default:
                session->report = err == HIF_EUNKNOWN ? REPORT_NONE : REPORT_REFUSED;
        }
        session->ended =
            session->report == REPORT_LANDED || ((err == HIF_ECONFLICT || err == HIF_ENOTHING) &&
                                                 !session->intent_lost && !session->shared);
}

static void give_up(struct lander *lander)
{
        struct sim_session *session = lander->session;
        struct land_result result = {0};
        struct hif_why why;
        enum hif_err err;

        err = land_give_up(&lander->project, &lander->intent, &lander->hooks, &result, &why);
        world_trace(lander->world, "lander %d: gives session %d up: %s", lander->number,
                    session->number, hif_err_name(err));
        if (lander->crashed)
                return;
        if (err == HIF_EEXIST) {
                report(lander, HIF_OK, &result);
                check_report(lander->world, session, HIF_OK, &result, "");
        } else if (err == HIF_OK && !session->intent_lost && !session->shared) {
                session->report = REPORT_GIVEN_UP;
                session->ended = true;
                if (session->landed_at)
                        world_fail(lander->world, "session %d was given up, and is at @%" PRIu64,
                                   session->number, session->landed_at);
        }
}

/* After a death: what the next process knows. */
static void restart(struct lander *lander)
{
        struct world *world = lander->world;

        lander->session->ran_before = true;
        lander->session->report = REPORT_NONE; /* the last run said nothing */
        lander->crashed = false;
        if (world_chance(world, 30) || !lander->have_intent) {
                lander->have_intent = false;
                lander->session->intent_lost = true;
        }
        lander_sleep(lander, world_below(world, 500 * MS));
}

/* Until there is an answer that ends it, or patience does. */
static void land_session(struct lander *lander, int runs)
{
        struct world *world = lander->world;
        struct sim_session *session = lander->session;
        struct land_change changes[PATHS];
        size_t count = list_changes(lander, changes);
        struct session value = {.id = session->id,
                                .state = SESSION_OPEN,
                                .origin = session->origin,
                                .base_position = session->base_position,
                                .base_slot = world->slot_hashes[session->base_position],
                                .author = span_str("A <a@b>"),
                                .goal = span_str("goal")};

        lander->have_intent = false;
        for (int i = 0; i < runs && !world->failed; i++) {
                struct land_change staged[PATHS];
                struct land_result result = {0};
                struct land *land = NULL;
                struct hif_why why;
                enum hif_err err;

                memcpy(staged, changes, sizeof(staged));
                lander->crash_in = !lander->honest && world_chance(world, 30)
                                       ? 1 + (uint32_t)world_below(world, 20)
                                       : 0;
                err = run_once(lander, &value, staged, count, &land, &result, &why);
                world_trace(world, "lander %d: session %d run %d: %s%s @%" PRIu64 " %s",
                            lander->number, session->number, i, hif_err_name(err),
                            lander->crashed ? " (dead)" : "", result.position,
                            err == HIF_OK ? "" : why.text);
                if (!lander->crashed) {
                        report(lander, err, &result);
                        check_report(world, session, err, &result, why.text);
                }
                land_free(land);
                if (lander->crashed) {
                        restart(lander);
                        continue;
                }
                if (err == HIF_OK || err == HIF_ECONFLICT || err == HIF_ENOTHING)
                        return;
                session->ran_before = true;
                if (err == HIF_EUNKNOWN && lander->have_intent && world_chance(world, 50)) {
                        give_up(lander);
                        if (lander->crashed)
                                restart(lander);
                        if (session->report == REPORT_GIVEN_UP || session->report == REPORT_LANDED)
                                return;
                }
                lander_sleep(lander, world_below(world, 200 * MS));
        }
}

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

static void lander_main(struct lander *lander)
{
        struct world *world = lander->world;
        uint64_t sessions = lander->honest ? 1 : 1 + world_below(world, 3);

        for (uint64_t i = 0; i < sessions && !world->failed; i++) {
                uint64_t origin;

                lander->session = NULL;
                lander->crash_in = 0;
                if (!find_origin(lander, &origin) || world->failed)
                        return;
                lander->session = lander->honest ? NULL : take_over(world);
                if (!lander->session)
                        lander->session = draw_session(world, origin);
                if (!lander->session)
                        return;
                land_session(lander, RUNS_MAX);
                lander_sleep(lander, world_below(world, 100 * MS));
        }
}

/* --- others' doing --- */

/* Someone writes a head that is old, or not true, or takes it away. */
static void event_head(struct world *world, void *arg)
{
        struct layout_key key = layout_head(&world->project.layout);
        struct slot_read read;
        struct head head;
        AUTO_BUF struct buf body = {0};
        uint64_t at = world_below(world, world->positions);

        (void)arg;
        if (world_chance(world, 20)) {
                store_mem_drop(world->inner, key.text);
                world_trace(world, "someone removes head");
                return;
        }
        if (project_slot(&world->project, at, false, &read, NULL) != HIF_OK)
                return;
        head = (struct head){.position = at, .tree = read.slot.tree, .hlc = read.slot.hlc};
        slot_read_free(&read);
        if (world_chance(world, 50))
                head.position = world->positions + world_below(world, 20);
        head_put(&body, &head);
        world_trace(world, "someone sets head to @%" PRIu64, head.position);
        struct store_req req = {.op = STORE_PUT, .key = key.text, .body = buf_span(&body)};
        store_run(world->inner, &req, 1);
        store_req_free(&req);
}

static void event_sweep(struct world *world, void *arg)
{
        (void)arg;
        sweep(world);
}

/* --- one seed --- */

static bool create_project(struct world *world)
{
        struct slot_read first;
        struct hif_why why;

        if (project_create(&world->env, world->inner, "o/p", "A <a@b>", &world->project, &why) !=
                HIF_OK ||
            project_slot(&world->project, 0, false, &first, &why) != HIF_OK ||
            node_reader_new(&world->project, 1 << 20, &world->reader) != HIF_OK) {
                world_fail(world, "cannot create the project: %s", why.text);
                return false;
        }
        world->slot_hashes[0] = first.hash;
        world->hlcs[0] = first.slot.hlc;
        world->positions = 1;
        slot_read_free(&first);
        return true;
}

static bool start_lander(struct world *world, struct lander *lander, bool honest)
{
        lander->hooks = (struct land_hooks){.save_intent = hook_save_intent, .sleep = hook_sleep};
        lander->honest = honest;
        if (!honest && world_chance(world, 20))
                lander->hooks.attempts_max = 2;
        lander->skew_ns =
            honest ? 0 : (int64_t)world_below(world, 20000 * MS) - (int64_t)(10000 * MS);
        lander->project = world->project;
        lander->project.store = lander->store;
        lander->project.env = &lander->env;
        return lander_start(lander, lander_main, world_below(world, 50 * MS));
}

/* At the end one more lander, whom nothing happens to, must get through. */
static void finish_honestly(struct world *world)
{
        struct lander *lander = &world->landers[LANDERS_MAX - 1];
        int before = world->session_count;

        if (!start_lander(world, lander, true))
                return;
        world_run(world);
        if (world->failed || world->session_count == before)
                return;
        if (world->sessions[before].report != REPORT_LANDED &&
            world->sessions[before].report != REPORT_NOTHING &&
            world->sessions[before].report != REPORT_CONFLICT)
                world_fail(world, "an undisturbed landing did not get through");
}

static void play(struct world *world)
{
        static const uint32_t fault_percents[] = {0, 2, 5, 15, 30};

        if (!create_project(world))
                return;
        world->fault_percent = fault_percents[world_below(world, 5)];
        world->lander_count = 2 + (int)world_below(world, LANDERS_MAX - 2);
        for (int i = 0; i < world->lander_count; i++)
                if (!start_lander(world, &world->landers[i], false))
                        return;
        for (uint64_t i = world_below(world, 3); i > 0; i--)
                world_after(world, world_below(world, 1500 * MS), event_head, NULL);
        for (uint64_t i = world_below(world, 4); i > 0; i--)
                world_after(world, world_below(world, 1500 * MS), event_sweep, NULL);
        world_run(world);
        sweep(world);
        if (!world->failed)
                finish_honestly(world);
        if (!world->failed)
                check_end(world);
}

struct totals {
        uint64_t seeds, requests, faults, crashes, landings, conflicts;
};

static bool run_seed(uint64_t seed, bool trace, struct totals *totals, char failure[1024])
{
        struct world *world = calloc(1, sizeof(*world));
        bool good = false;

        if (world && world_init(world, seed, trace)) {
                play(world);
                good = !world->failed;
                memcpy(failure, world->failure, sizeof(world->failure));
                totals->seeds++;
                totals->requests += world->requests;
                totals->faults += world->faults;
                totals->crashes += world->crashes;
                totals->landings += world->landings;
                totals->conflicts += world->conflicts;
                world_free(world);
        }
        free(world);
        return good;
}

int main(int argc, char **argv)
{
        uint64_t first = 1, last = 200;
        bool trace = false, expect_violation = false;
        struct totals totals = {0};
        char failure[1024] = "";

        for (int i = 1; i < argc; i++) {
                if (strcmp(argv[i], "--trace") == 0) {
                        trace = true;
                } else if (strcmp(argv[i], "--expect-violation") == 0) {
                        expect_violation = true;
                } else if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc &&
                           sscanf(argv[i + 1], "%" SCNu64 ":%" SCNu64, &first, &last) == 2) {
                        i++;
                } else {
                        fprintf(stderr, "usage: %s [--seeds A:B] [--trace] [--expect-violation]\n",
                                argv[0]);
                        return 2;
                }
        }
        for (uint64_t seed = first; seed <= last; seed++) {
                if (run_seed(seed, trace, &totals, failure))
                        continue;
                printf("seed %" PRIu64 ": %s\nrepeat with: %s --seeds %" PRIu64 ":%" PRIu64
                       " --trace\n",
                       seed, failure, argv[0], seed, seed);
                return expect_violation ? 0 : 1;
        }
        printf("%" PRIu64 " seeds: %" PRIu64 " landings, %" PRIu64 " conflicts, %" PRIu64
               " requests, %" PRIu64 " faults, %" PRIu64 " deaths: no violation\n",
               totals.seeds, totals.landings, totals.conflicts, totals.requests, totals.faults,
               totals.crashes);
        return expect_violation ? 1 : 0;
}
