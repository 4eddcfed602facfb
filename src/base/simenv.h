/* simenv.h - a simulated machine: a clock that the test moves, a seeded generator, a disk in
 * memory.
 *
 * The disk knows what was synced. simenv_power_cut() keeps synced bytes and names, and of the rest
 * a seeded choice (kept, dropped, torn at 512 bytes); simenv_process_kill() keeps everything
 * written and every mapping, and closes all descriptors. simenv_fail_at() makes the n-th file call
 * from now fail. simenv_crash_at() makes every call from the n-th on fail with HIF_ECANCELED, as if
 * the process had died there: the test then drops its objects, kills or cuts, and starts over. */
#ifndef HIF_BASE_SIMENV_H
#define HIF_BASE_SIMENV_H

#include "base/env.h"

struct simenv;

/* NULL when out of memory. */
struct simenv *simenv_new(uint64_t seed);
void simenv_free(struct simenv *sim);
struct env *simenv_env(struct simenv *sim);

void simenv_advance(struct simenv *sim, uint64_t ns);
uint64_t simenv_rand(struct simenv *sim); /* the test's own stream, apart from env_random */

uint64_t simenv_calls(const struct simenv *sim);                         /* file calls so far */
void simenv_fail_at(struct simenv *sim, uint64_t nth, enum hif_err err); /* 1 = the next; 0 = off */
void simenv_crash_at(struct simenv *sim, uint64_t nth);                  /* 1 = the next; 0 = off */
void simenv_set_capacity(struct simenv *sim, uint64_t bytes);            /* HIF_ENOSPC beyond */

void simenv_process_kill(struct simenv *sim);
void simenv_power_cut(struct simenv *sim);

#endif
