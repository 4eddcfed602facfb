/* sim_land - landers against each other, a faulty store and their own deaths.
 *
 *      sim_land --seeds 1:10000            every seed of a range (both included)
 *      sim_land --seeds 42:42 --trace      one, with everything that happens
 *      sim_land --seeds 1:400 --expect-violation
 *                                          succeeds if a seed fails: for the builds that have a
 *                                          mistake in them */
#include "tests/land/sim.h"
#include "tests/land/sim_derive.h"

#include "core/layout.h"
#include "land/internal.h"

#include <inttypes.h>
#include <stdlib.h>

#define MS 1000000ull

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
        lander->honest = honest;
        if (!honest && world_chance(world, 20))
                lander->attempts_max = 2;
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
        for (int i = before; i < world->session_count; i++)
                if (world->sessions[i].report != REPORT_LANDED &&
                    world->sessions[i].report != REPORT_NOTHING &&
                    world->sessions[i].report != REPORT_CONFLICT)
                        world_fail(world, "an undisturbed landing did not get through");
}

static void play(struct world *world)
{
        static const uint32_t fault_percents[] = {0, 2, 5, 15, 30};
        static const uint32_t epoch_percents[] = {0, 30, 90};

        if (!create_project(world))
                return;
        world->fault_percent = fault_percents[world_below(world, 5)];
        world->epoch_percent = epoch_percents[world_below(world, 3)];
        world->lander_count = 2 + (int)world_below(world, LANDERS_MAX - 2);
        for (int i = 0; i < world->lander_count; i++)
                if (!start_lander(world, &world->landers[i], false))
                        return;
        if (!derive_start(world))
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
        if (!world->failed)
                derive_check(world);
}

struct totals {
        uint64_t seeds, requests, faults, crashes, landings, batches, refusals, conflicts;
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
                totals->batches += world->batches;
                totals->refusals += world->refusals;
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
        printf("%" PRIu64 " seeds: %" PRIu64 " landings (%" PRIu64 " batches), %" PRIu64
               " conflicts, %" PRIu64 " refusals, %" PRIu64 " requests, %" PRIu64
               " faults, %" PRIu64 " deaths: no violation\n",
               totals.seeds, totals.landings, totals.batches, totals.conflicts, totals.refusals,
               totals.requests, totals.faults, totals.crashes);
        return expect_violation ? 1 : 0;
}
