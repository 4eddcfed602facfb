/* simenv.h - a simulated machine: a clock that the test moves, a seeded generator, a disk in
 * memory.
 *
 * Every choice comes from the seed. Calls may come from several threads, but then their order, and
 * with it the choices, is the scheduler's. What differs from a real disk: no permissions, no
 * symbolic links, no "." and ".." in paths, no O_APPEND and O_TMPFILE; a mapped file ends at 16
 * GiB.
 *
 * The disk knows what was synced. fsync or fdatasync of a file makes its content and size durable,
 * but not its name; fsync of a directory makes its names durable, but not the name of the directory
 * itself. simenv_power_cut() keeps that, and of the rest a seeded choice:
 *
 *   content   each page (4 KiB) is kept, dropped, or torn at 512 bytes; a size is the synced one,
 * the current one, or between the two names     each change is kept or dropped, a rename as a
 * whole, and none is kept without what a journal would have kept before it: an earlier change of
 * the same name or inode, the mkdir of its directory, the emptying of a directory that it removes
 *
 * simenv_process_kill() keeps everything written, stores into mappings too. Both close all
 * descriptors, remove all mappings, and turn off what was set to fail. Stale descriptors may still
 * be closed and stale mappings unmapped, but touching their memory is a fault. */
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

/* File calls so far: all of env_ops but the clocks, random, close and unmap. */
uint64_t simenv_calls(struct simenv *sim);
/* The n-th file call from now fails, and does nothing; 1 = the next, 0 = off. Of what a failed sync should
 * have written, later syncs leave out some or all, unless it is written once more. */
void simenv_fail_at(struct simenv *sim, uint64_t nth, enum hif_err err);
/* Every file call from the n-th on fails with HIF_ECANCELED, as if the process had died there (in a
 * pwrite: after some of its pages); what is stored into mappings from then on reaches no file. The
 * test then drops its objects, kills or cuts, and starts over. 1 = the next, 0 = off. */
void simenv_crash_at(struct simenv *sim, uint64_t nth);
bool simenv_crashed(struct simenv *sim); /* whether that call has come */

/* How many calls of fsync and fdatasync there were. */
uint64_t simenv_syncs(struct simenv *sim);

/* HIF_ENOSPC beyond; only content counts, in pages of 4 KiB. 1 TiB at first. */
void simenv_set_capacity(struct simenv *sim, uint64_t bytes);
/* The same, with HIF_EDQUOT. */
void simenv_set_quota(struct simenv *sim, uint64_t bytes);
/* So many of the pread_nowait calls give HIF_EAGAIN, and as many are short; none at first. */
void simenv_set_nowait_misses(struct simenv *sim, unsigned percent);

/* Some pages that were not synced, of any file, reach the disk as they are now: so that a later power
 * cut may leave what lay there in between. */
void simenv_write_back(struct simenv *sim);

void simenv_process_kill(struct simenv *sim);
void simenv_power_cut(struct simenv *sim);

#endif
