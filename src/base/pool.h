/* pool.h - threads for what may be slow: disk reads, hashing, compression, folding.
 *
 * With 0 threads it is its own serial twin: jobs run only inside pool_drain(), in order, so that a
 * test is deterministic. */
#ifndef HIF_BASE_POOL_H
#define HIF_BASE_POOL_H

#include "base/err.h"

#include <stddef.h>

#define POOL_THREADS_MAX 256

struct pool;

/* Intrusive; belongs to the pool from pool_submit() until run() is called, which may free it. */
struct pool_job {
        void (*run)(struct pool_job *job); /* on a pool thread */
        struct pool_job *next;
};

/* Threads are started as they are needed, up to that many; one is there from the start. (Sixteen take
 * 40 ms on a slow machine, and a server that takes over is waited for.)
 * name: of the threads, as ps(1) shows it, cut at 11 bytes. Signals are blocked in them. */
HIF_MUST_USE enum hif_err pool_new(size_t threads, const char *name, struct pool **out);
/* Runs what is queued, then joins. */
void pool_free(struct pool *pool);
void pool_submit(struct pool *pool, struct pool_job *job); /* thread-safe, never fails */
/* Wait until everything submitted so far has run (0 threads: run it here). What those jobs submit
 * does not count. */
void pool_drain(struct pool *pool);

#endif
