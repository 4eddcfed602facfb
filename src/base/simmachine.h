/* simmachine.h - the state behind a simulated env, shared by the files that implement its calls.
 * Private to simenv. */
#ifndef HIF_BASE_SIMMACHINE_H
#define HIF_BASE_SIMMACHINE_H

#include "base/cleanup.h"
#include "base/env.h"
#include "base/simdisk.h"

#include <pthread.h>

#define SIM_FD_FIRST (1 << 20) /* a real system call that is given one refuses it */

struct simenv {
        struct env env;
        struct env_ops ops;
        pthread_mutex_t mutex; /* a flusher may be a real thread */
        uint64_t elapsed_ns;
        struct sim_rng random, fate, test; /* for env_random, for the disk, for the test */
        struct sim_disk disk;

        struct map files;      /* descriptor -> struct sim_open */
        int fd_last, fd_stale; /* those up to fd_stale belonged to a process that is dead */

        uint64_t calls, fail_at, crash_at; /* in numbers of calls; 0: off */
        uint64_t syncs;
        enum hif_err fail_err;
        bool crashed;
        unsigned nowait_misses; /* percent */
};

struct sim_open {
        struct sim_inode *inode;
        int flags;
};

struct simenv *sim_lock(struct env *env);
void sim_unlock(struct simenv **sim);

/* The machine of env, held until the end of the scope. */
#define SIM(env) CLEANUP(sim_unlock) struct simenv *sim = sim_lock(env)

uint64_t sim_wall_ns(const struct simenv *sim);

/* Every file call starts here: count it, and fail where the test wants it. */
HIF_MUST_USE enum hif_err sim_call(struct simenv *sim);

/* A new descriptor. */
HIF_MUST_USE enum hif_err sim_fd_open(struct simenv *sim, struct sim_inode *inode, int flags,
                                      int *fd);

void sim_stat(const struct sim_inode *inode, struct stat *out);

/* Fill in the calls that take descriptors, and those that take paths. */
void sim_file_ops(struct env_ops *ops);
void sim_path_ops(struct env_ops *ops);

#endif
