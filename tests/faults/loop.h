/* loop.h - run a scenario again and again, with its first, second, third ... point failing, until
 * it passes without a failure.
 *
 *      PROGRAM [--kind KIND] [--from N] [--to N] [--every N] [--burst N] [--trace]
 *
 * A program is a list of scenarios. One that finds something wrong says so with loop_check, which
 * prints the options that bring exactly this run back, and aborts. The driver itself checks that
 * nothing that a run allocated is left, and that the points do not run away. */
#ifndef HIF_TESTS_FAULTS_LOOP_H
#define HIF_TESTS_FAULTS_LOOP_H

#include "base/simenv.h"
#include "faults.h"

#define LOOP_FROM_ENV 5 /* beside enum fault_kind: the n-th file call of a simulated machine */

struct loop_run {
        int kind; /* enum fault_kind, or LOOP_FROM_ENV */
        uint64_t n, burst;
        bool trace;
        struct simenv *sim;
        uint64_t calls_before;
        bool armed;
        /* what came of it */
        bool hit;
        uint64_t points;
        unsigned errors; /* answers that said that it had not worked */
};

/* From here on the n-th point fails; paused at first. sim: for LOOP_FROM_ENV. */
void loop_arm(struct loop_run *run, struct simenv *sim);
/* No more; run->hit and run->points are set. */
void loop_disarm(struct loop_run *run);

struct loop_scenario {
        const char *name;
        unsigned kinds; /* 1 << kind, for each that it is run with */
        void (*run)(struct loop_run *run);
        void (*prepare)(void); /* once, may be NULL */
};

/* The end of main. scenarios: ends with a NULL name. */
int loop_main(int argc, char **argv, const struct loop_scenario *scenarios);

#define loop_check(condition) ((condition) ? (void)0 : loop_wrong(__FILE__, __LINE__, #condition))
_Noreturn void loop_wrong(const char *file, int line, const char *what);

#endif
