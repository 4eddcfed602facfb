/* test_pool.c - the thread pool and its serial twin. */
#include "base/pool.h"

#include "tests/base/check.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Jobs write the order in which they ran. */
struct order {
        pthread_mutex_t mutex;
        int ran[4096];
        int count;
};

struct job {
        struct pool_job job;
        struct order *order;
        int number;
        struct pool *resubmit; /* with it, the job submits itself once more */
        unsigned sleep_us;
};

static void job_run(struct pool_job *base)
{
        struct job *job = (struct job *)base;
        struct pool *again = job->resubmit;

        if (job->sleep_us)
                usleep(job->sleep_us);
        pthread_mutex_lock(&job->order->mutex);
        job->order->ran[job->order->count++] = job->number;
        pthread_mutex_unlock(&job->order->mutex);
        job->resubmit = NULL;
        if (again)
                pool_submit(again, &job->job);
}

static struct job job_of(struct order *order, int number)
{
        return (struct job){.job = {.run = job_run}, .order = order, .number = number};
}

/* With no threads nothing runs before the drain, and then in the order of submission. */
static void serial_twin_runs_in_order(void **state)
{
        struct order order = {.mutex = PTHREAD_MUTEX_INITIALIZER};
        struct job jobs[100];
        struct pool *pool;

        (void)state;
        assert_ok(pool_new(0, "twin", &pool));
        for (int i = 0; i < 100; i++) {
                jobs[i] = job_of(&order, i);
                pool_submit(pool, &jobs[i].job);
        }
        assert_int_equal(order.count, 0);
        pool_drain(pool);
        assert_int_equal(order.count, 100);
        for (int i = 0; i < 100; i++)
                assert_int_equal(order.ran[i], i);
        pool_drain(pool);
        assert_int_equal(order.count, 100);
        pool_free(pool);
}

/* What a job submits waits for the next drain, and for pool_free at the latest. */
static void serial_drain_runs_what_was_there(void **state)
{
        struct order order = {.mutex = PTHREAD_MUTEX_INITIALIZER};
        struct job jobs[2] = {job_of(&order, 0), job_of(&order, 1)};
        struct pool *pool;

        (void)state;
        assert_ok(pool_new(0, "twin", &pool));
        jobs[0].resubmit = pool;
        pool_submit(pool, &jobs[0].job);
        pool_drain(pool);
        assert_int_equal(order.count, 1);
        pool_drain(pool);
        assert_int_equal(order.count, 2);

        jobs[1].resubmit = pool;
        pool_submit(pool, &jobs[1].job);
        pool_free(pool);
        assert_int_equal(order.count, 4);
}

/* With one thread jobs run in order too, and the drain waits for them. */
static void one_thread_keeps_order(void **state)
{
        struct order order = {.mutex = PTHREAD_MUTEX_INITIALIZER};
        struct job jobs[1000];
        struct pool *pool;

        (void)state;
        assert_ok(pool_new(1, "one", &pool));
        for (int i = 0; i < 1000; i++) {
                jobs[i] = job_of(&order, i);
                pool_submit(pool, &jobs[i].job);
        }
        pool_drain(pool);
        assert_int_equal(order.count, 1000);
        for (int i = 0; i < 1000; i++)
                assert_int_equal(order.ran[i], i);
        pool_free(pool);
}

/* The drain waits for a slow job that was taken first, not only for an empty queue. */
static void drain_waits_for_running_jobs(void **state)
{
        struct order order = {.mutex = PTHREAD_MUTEX_INITIALIZER};
        struct job jobs[9];
        struct pool *pool;

        (void)state;
        assert_ok(pool_new(4, "many", &pool));
        for (int i = 0; i < 9; i++) {
                jobs[i] = job_of(&order, i);
                jobs[i].sleep_us = i == 0 ? 50000 : 0;
                pool_submit(pool, &jobs[i].job);
        }
        pool_drain(pool);
        assert_int_equal(order.count, 9);
        assert_int_equal(order.ran[8], 0);
        pool_free(pool);
}

struct submitter {
        struct pool *pool;
        struct job *jobs;
        struct order *order;
};

static void *submit_many(void *arg)
{
        struct submitter *submitter = arg;

        for (int i = 0; i < 500; i++) {
                submitter->jobs[i] = job_of(submitter->order, i);
                pool_submit(submitter->pool, &submitter->jobs[i].job);
        }
        return NULL;
}

/* Every job of every submitter runs once, and pool_free runs what is still queued. */
static void jobs_of_many_threads_all_run(void **state)
{
        struct order order = {.mutex = PTHREAD_MUTEX_INITIALIZER};
        struct submitter submitters[4];
        pthread_t threads[4];
        struct pool *pool;
        int seen[500] = {0};

        (void)state;
        assert_ok(pool_new(3, "a long name for a pool", &pool));
        for (int i = 0; i < 4; i++) {
                submitters[i] = (struct submitter){.pool = pool, .order = &order};
                submitters[i].jobs = calloc(500, sizeof(struct job));
                assert_non_null(submitters[i].jobs);
                assert_int_equal(pthread_create(&threads[i], NULL, submit_many, &submitters[i]), 0);
        }
        for (int i = 0; i < 4; i++)
                pthread_join(threads[i], NULL);
        pool_free(pool);
        assert_int_equal(order.count, 2000);
        for (int i = 0; i < 2000; i++)
                seen[order.ran[i]]++;
        for (int i = 0; i < 500; i++)
                assert_int_equal(seen[i], 4);
        for (int i = 0; i < 4; i++)
                free(submitters[i].jobs);
}

/* Threads of this process. */
static size_t thread_count(void)
{
        DIR *dir = opendir("/proc/self/task");
        const struct dirent *entry;
        size_t count = 0;

        assert_non_null(dir);
        while ((entry = readdir(dir)) != NULL)
                count += entry->d_name[0] != '.';
        closedir(dir);
        return count;
}

struct meeting {
        struct pool_job job;
        pthread_barrier_t *barrier;
};

static void meet(struct pool_job *job)
{
        pthread_barrier_wait(((struct meeting *)job)->barrier);
}

/* Jobs that wait for each other get a thread each, and what nobody needs is not started. */
static void threads_are_started_as_they_are_needed(void **state)
{
        size_t before = thread_count();
        struct meeting meetings[5];
        pthread_barrier_t barrier;
        struct pool *pool;

        (void)state;
        pthread_barrier_init(&barrier, NULL, 5);
        assert_ok(pool_new(16, "needed", &pool));
        assert_int_equal(thread_count(), before + 1);
        for (int i = 0; i < 5; i++) {
                meetings[i] = (struct meeting){.job = {.run = meet}, .barrier = &barrier};
                pool_submit(pool, &meetings[i].job);
        }
        pool_drain(pool);
        assert_int_equal(thread_count(), before + 5);
        pool_free(pool);
        pthread_barrier_destroy(&barrier);
}

/* More threads than anybody means is refused. */
static void absurd_thread_count_is_refused(void **state)
{
        struct pool *pool = NULL;

        (void)state;
        assert_err(pool_new(POOL_THREADS_MAX + 1, "absurd", &pool), HIF_EINVAL);
        assert_null(pool);
        pool_free(NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(serial_twin_runs_in_order),
            cmocka_unit_test(serial_drain_runs_what_was_there),
            cmocka_unit_test(one_thread_keeps_order),
            cmocka_unit_test(drain_waits_for_running_jobs),
            cmocka_unit_test(jobs_of_many_threads_all_run),
            cmocka_unit_test(threads_are_started_as_they_are_needed),
            cmocka_unit_test(absurd_thread_count_is_refused),
        };

        return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
