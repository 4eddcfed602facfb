/* sim_vfs --seeds A:B [-t] - random use of a workspace against a model, with faults on everything
 * that is cold, status, landings of ours and of others, moves of the base, and kills. Each run is a
 * function of its seed. -t prints what it does. */
#include "sim.h"

#include <stdlib.h>

#define STEPS 120

static void reopen(struct sim *sim)
{
        sim->doing = "reopening";
        if (chance(sim, 50)) {
                sim_trace(sim, "kill");
                world_kill(sim);
        } else {
                sim_trace(sim, "close and open");
                world_close(sim);
                world_open(sim);
        }
}

static void step(struct sim *sim)
{
        uint64_t what = pick(sim, 100);

        if (what < 76)
                op_random(sim);
        else if (what < 84)
                listing_step(sim, &sim->listings[pick(sim, LISTINGS)]);
        else if (what < 88)
                check_status(sim);
        else if (what < 91)
                land_foreign(sim);
        else if (what < 95)
                land_ours(sim);
        else if (what < 97)
                move_to_tail(sim);
        else
                reopen(sim);
}

static void run_seed(struct sim *sim)
{
        world_start(sim);
        check_all(sim);
        for (sim->steps = 1; sim->steps <= STEPS; sim->steps++) {
                simenv_advance(sim->machine, chance(sim, 2)    ? 70ull * 1000000000
                                             : chance(sim, 50) ? 0
                                                               : pick(sim, 20) * 1000000);
                world_turn(sim);
                step(sim);
                sim->doing = "comparing";
                check_all(sim);
        }
        check_status(sim);
        world_stop(sim);
}

int main(int argc, char **argv)
{
        unsigned long long from = 1, to = 20;
        bool trace = false;
        unsigned long long faults = 0, landings = 0, conflicts = 0, syncs = 0, kills = 0;

        for (int i = 1; i < argc; i++) {
                if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc &&
                    sscanf(argv[i + 1], "%llu:%llu", &from, &to) == 2) {
                        i++;
                } else if (strcmp(argv[i], "-t") == 0) {
                        trace = true;
                } else {
                        fprintf(stderr, "usage: sim_vfs [--seeds FROM:TO] [-t]\n");
                        return 2;
                }
        }
        for (unsigned long long seed = from; seed <= to; seed++) {
                struct sim *sim = calloc(1, sizeof(*sim));

                if (sim == NULL)
                        abort();
                sim->seed = seed;
                sim->trace = trace;
                sim->doing = "starting";
                run_seed(sim);
                faults += sim->faults;
                landings += sim->landings;
                conflicts += sim->conflicts;
                syncs += sim->syncs;
                kills += sim->kills;
                free(sim);
        }
        printf("sim_vfs: seeds %llu:%llu passed: %llu faults, %llu landings, %llu conflicts, %llu "
               "moves, %llu kills\n",
               from, to, faults, landings, conflicts, syncs, kills);
        return 0;
}
