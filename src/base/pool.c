#include "base/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Jobs are numbered from 1 in the order of submission, which is the order of taking. */
struct worker {
        struct pool *pool;
        pthread_t thread;
        uint64_t running; /* the number of its job; 0: none */
};

struct pool {
        pthread_mutex_t mutex;
        pthread_cond_t work; /* there is a job, or the end has come */
        pthread_cond_t done; /* a job has ended */
        struct pool_job *first, **last;
        uint64_t submitted, taken;
        bool ending;
        char name[12];
        size_t threads_max, thread_count, busy; /* there may be; there are; of these, in a job */
        struct worker workers[];
};

/* With the mutex held. */
static struct pool_job *job_take(struct pool *pool)
{
        struct pool_job *job = pool->first;

        if (!job)
                return NULL;
        pool->first = job->next;
        if (!pool->first)
                pool->last = &pool->first;
        pool->taken++;
        return job;
}

static void *worker_main(void *arg)
{
        struct worker *worker = arg;
        struct pool *pool = worker->pool;
        struct pool_job *job;

        pthread_mutex_lock(&pool->mutex);
        for (;;) {
                while (!pool->first && !pool->ending)
                        pthread_cond_wait(&pool->work, &pool->mutex);
                job = job_take(pool);
                if (!job)
                        break;
                worker->running = pool->taken;
                pool->busy++;
                pthread_mutex_unlock(&pool->mutex);
                job->run(job);
                pthread_mutex_lock(&pool->mutex);
                worker->running = 0;
                pool->busy--;
                pthread_cond_broadcast(&pool->done);
        }
        pthread_mutex_unlock(&pool->mutex);
        return NULL;
}

/* One more, with the mutex held, if any other knows the pool. Signals stay with other threads. */
static enum hif_err worker_start(struct pool *pool)
{
        struct worker *worker = &pool->workers[pool->thread_count];
        char title[16]; /* the kernel's limit */
        sigset_t all, before;
        int errnum;

        worker->pool = pool;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        errnum = pthread_create(&worker->thread, NULL, worker_main, worker);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (errnum)
                return hif_err_from_errno(errnum);
        snprintf(title, sizeof(title), "%s/%u", pool->name, (unsigned)pool->thread_count % 1000);
        pthread_setname_np(worker->thread, title);
        pool->thread_count++;
        return HIF_OK;
}

enum hif_err pool_new(size_t threads, const char *name, struct pool **out)
{
        struct pool *pool;
        enum hif_err err = HIF_OK;

        if (threads > POOL_THREADS_MAX)
                return HIF_EINVAL;
        pool = calloc(1, sizeof(*pool) + threads * sizeof(pool->workers[0]));
        if (!pool)
                return HIF_ENOMEM;
        pthread_mutex_init(&pool->mutex, NULL);
        pthread_cond_init(&pool->work, NULL);
        pthread_cond_init(&pool->done, NULL);
        pool->last = &pool->first;
        pool->threads_max = threads;
        snprintf(pool->name, sizeof(pool->name), "%s", name);
        if (threads > 0)
                err = worker_start(pool);
        if (err) {
                pool_free(pool);
                return err;
        }
        *out = pool;
        return HIF_OK;
}

/* Run, here, jobs up to the one numbered target. */
static void serial_run(struct pool *pool, uint64_t target)
{
        struct pool_job *job = NULL;

        do {
                pthread_mutex_lock(&pool->mutex);
                job = pool->taken < target ? job_take(pool) : NULL;
                pthread_mutex_unlock(&pool->mutex);
                if (job)
                        job->run(job);
        } while (job);
}

void pool_free(struct pool *pool)
{
        if (!pool)
                return;
        pthread_mutex_lock(&pool->mutex);
        pool->ending = true;
        pthread_cond_broadcast(&pool->work);
        pthread_mutex_unlock(&pool->mutex);
        for (size_t i = 0; i < pool->thread_count; i++)
                pthread_join(pool->workers[i].thread, NULL);
        serial_run(pool, UINT64_MAX);
        pthread_cond_destroy(&pool->done);
        pthread_cond_destroy(&pool->work);
        pthread_mutex_destroy(&pool->mutex);
        free(pool);
}

void pool_submit(struct pool *pool, struct pool_job *job)
{
        job->next = NULL;
        pthread_mutex_lock(&pool->mutex);
        *pool->last = job;
        pool->last = &job->next;
        pool->submitted++;
        /* Where no more can be started, those that are there do it. */
        if (pool->submitted - pool->taken > pool->thread_count - pool->busy &&
            pool->thread_count < pool->threads_max && !pool->ending)
                (void)!worker_start(pool);
        pthread_cond_signal(&pool->work);
        pthread_mutex_unlock(&pool->mutex);
}

/* With the mutex held: whether every job up to target has ended. */
static bool all_done(const struct pool *pool, uint64_t target)
{
        if (pool->taken < target)
                return false;
        for (size_t i = 0; i < pool->thread_count; i++) {
                if (pool->workers[i].running && pool->workers[i].running <= target)
                        return false;
        }
        return true;
}

void pool_drain(struct pool *pool)
{
        uint64_t target;

        pthread_mutex_lock(&pool->mutex);
        target = pool->submitted;
        while (pool->threads_max && !all_done(pool, target))
                pthread_cond_wait(&pool->done, &pool->mutex);
        pthread_mutex_unlock(&pool->mutex);
        if (!pool->threads_max)
                serial_run(pool, target);
}
