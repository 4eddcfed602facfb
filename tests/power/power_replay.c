/* power_replay - cut the power at random moments of a recorded run, and see what is left.
 *
 *      power_replay TRACE LEVEL OVERLAY STORE PROJECT [--cuts N] [--seed S] [--without KIND]
 *
 * A cut takes the events up to a moment onto a simulated disk, writes some pages back early, and then
 * drops, tears and reorders what was not synced (src/base/simenv.h). After it
 *
 *      - each overlay opens;
 *      - OVERLAY holds the state after k operations of the load: none that was acknowledged as stable is
 *        missing; what is missing of the others is counted, and by how much it came too early;
 *      - each landing that was acknowledged is in STORE, and all that it names is whole.
 *
 * --without leaves out a kind of sync, as a mistake in the program would: data, log, log-names,
 * data-names, rows, slots, objects. Then something must be found: else it exits with 1. */
#include "pmodel.h"
#include "replay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct totals {
        uint64_t cuts, opened, lost_ops, lost_cuts, landings;
        double lost_ms_max;
        uint64_t found;
};

static int usage(void)
{
        fprintf(stderr, "usage: power_replay TRACE process|power OVERLAY STORE PROJECT [--cuts N] "
                        "[--seed S] [--without KIND] [-v]\n");
        return 2;
}

static void one_cut(struct replay *replay, uint64_t seed, struct totals *totals, bool verbose)
{
        struct cut cut = {.seed = seed};

        replay_cut(replay, &cut);
        totals->cuts++;
        totals->opened += cut.opened;
        totals->lost_ops += cut.lost_ops;
        totals->lost_cuts += cut.lost_ops > 0;
        totals->landings += cut.landings;
        if (cut.lost_ms > totals->lost_ms_max)
                totals->lost_ms_max = cut.lost_ms;
        if (cut.found[0] != '\0') {
                totals->found++;
                if (verbose || replay->without == NULL)
                        fprintf(stderr, "cut %llu (at event %zu of %zu): %s\n",
                                (unsigned long long)seed, cut.at, replay->count, cut.found);
        }
}

int main(int argc, char **argv)
{
        struct replay replay = {0};
        struct totals totals = {0};
        uint64_t cuts = 20, seed = 1;
        bool verbose = false;

        if (argc < 6)
                return usage();
        for (int i = 6; i < argc; i++) {
                if (strcmp(argv[i], "--cuts") == 0 && i + 1 < argc)
                        cuts = strtoull(argv[++i], NULL, 10);
                else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
                        seed = strtoull(argv[++i], NULL, 10);
                else if (strcmp(argv[i], "--without") == 0 && i + 1 < argc)
                        replay.without = argv[++i];
                else if (strcmp(argv[i], "-v") == 0)
                        verbose = true;
                else
                        return usage();
        }
        replay.power = strcmp(argv[2], "power") == 0;
        replay.overlay = argv[3];
        replay.store = argv[4];
        replay.project = argv[5];
        if (!replay_load(&replay, argv[1]))
                return 1;
        for (uint64_t i = 0; i < cuts; i++)
                one_cut(&replay, seed + i, &totals, verbose);
        printf("%s%s%s: %llu cuts of %zu events: %llu overlays opened, %llu landings whole, %llu "
               "findings; unsynced operations lost in %llu cuts, %.1f each, at most %.0f ms old\n",
               argv[2], replay.without != NULL ? " without " : "",
               replay.without != NULL ? replay.without : "", (unsigned long long)totals.cuts,
               replay.count, (unsigned long long)totals.opened, (unsigned long long)totals.landings,
               (unsigned long long)totals.found, (unsigned long long)totals.lost_cuts,
               totals.lost_cuts > 0 ? (double)totals.lost_ops / (double)totals.lost_cuts : 0.0,
               totals.lost_ms_max);
        replay_free(&replay);
        return (totals.found > 0) != (replay.without != NULL);
}
