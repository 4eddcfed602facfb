/* Everything at once, from several threads. For the thread sanitizer, too. */
#include "tfetch.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#define THREADS 5
#define MIB     (1u << 20)

struct crowd;

struct member {
        struct crowd *crowd;
        pthread_t thread;
        uint64_t random;
        struct twait waits[4];
};

struct crowd {
        struct tfetch *t;
        void (*act)(struct member *member);
        pthread_barrier_t start;
        const struct fetch_want *wants;
        size_t count;
        atomic_int done, failed;
        struct member members[THREADS];
};

static void *member_main(void *arg)
{
        struct member *member = arg;

        pthread_barrier_wait(&member->crowd->start);
        member->crowd->act(member);
        return NULL;
}

static void crowd_run(struct crowd *crowd, uint64_t seed)
{
        pthread_barrier_init(&crowd->start, NULL, THREADS);
        for (size_t i = 0; i < THREADS; i++) {
                crowd->members[i] = (struct member){.crowd = crowd, .random = seed + i * 1000};
                assert_int_equal(pthread_create(&crowd->members[i].thread, NULL, member_main,
                                                &crowd->members[i]),
                                 0);
        }
        for (size_t i = 0; i < THREADS; i++)
                pthread_join(crowd->members[i].thread, NULL);
        pthread_barrier_destroy(&crowd->start);
}

static void wait_until(atomic_int *value, int target)
{
        for (int i = 0; i < 20000 && atomic_load(value) < target; i++)
                usleep(1000);
        assert_int_equal(atomic_load(value), target);
}

/* --- single flight --- */

static void count_done(struct fetch_waiter *waiter, enum hif_err err)
{
        struct crowd *crowd = waiter->arg;

        if (err)
                atomic_fetch_add(&crowd->failed, 1);
        atomic_fetch_add(&crowd->done, 1);
}

static void want_four_times(struct member *member)
{
        for (size_t i = 0; i < 4; i++) {
                member->waits[i].waiter.done = count_done;
                member->waits[i].waiter.arg = member->crowd;
                fetch_want(member->crowd->t->origin, member->crowd->wants, 1,
                           &member->waits[i].waiter);
        }
}

/* 20 waiters on 5 threads: one request. */
static void twenty_waiters_are_one_request(void **state)
{
        struct tfetch t;

        (void)state;
        tfetch_start(&t, &(struct tfetch_options){.threads = 2});
        for (uint64_t round = 0; round < 50; round++) {
                struct fetch_want want = tput_blob(&t, round, 3000);
                struct crowd crowd = {.t = &t, .act = want_four_times, .wants = &want, .count = 1};

                crowd_run(&crowd, round);
                wait_until(&crowd.done, 20);
                assert_int_equal(atomic_load(&crowd.failed), 0);
                assert_int_equal(tgets(&t), round + 1);
                for (size_t i = 0; i < THREADS; i++)
                        for (size_t j = 0; j < 4; j++)
                                fetch_waiter_release(&crowd.members[i].waits[j].waiter);
        }
        tfetch_stop(&t);
}

/* --- load --- */

static void get_some(struct member *member)
{
        struct tfetch *t = member->crowd->t;
        struct fetch_hints *hints;

        assert_int_equal(fetch_hints_new(t->origin, &hints), HIF_OK);
        for (int i = 0; i < 400; i++) {
                size_t at = trandom(&member->random) % member->crowd->count;
                const struct fetch_want *want = &member->crowd->wants[at];
                struct fetch_ref *ref;
                struct hif_hash hash;
                enum hif_err err;

                if (i % 20 == 0 && at + 10 < member->crowd->count)
                        fetch_hint(hints, want, 10);
                if (i % 50 == 0)
                        fetch_hints_cancel(hints);
                err = fetch_get_blocking(t->origin, want, &ref);
                if (err) {
                        atomic_fetch_add(&member->crowd->failed, 1);
                        continue;
                }
                hash = hash_of(HASH_BLOB, fetch_ref_bytes(ref));
                if (!hash_eq(&hash, &want->hash))
                        atomic_fetch_add(&member->crowd->failed, 1);
                fetch_unref(ref);
        }
        fetch_hints_free(hints);
}

/* Five threads read at random through tiers that are far too small, with faults on the way: all get
 * the right bytes, and the limits hold. */
static void random_load_from_threads(void **state)
{
        static const uint64_t seeds[] = {1, 2};
        char dir[] = "/tmp/hif-fetch-XXXXXX";
        char command[64];
        struct fetch_want wants[300];
        struct tfetch t;

        (void)state;
        assert_non_null(mkdtemp(dir));
        tfetch_start(
            &t, &(struct tfetch_options){
                    .threads = 2, .config = {.ram_max = MIB, .ssd_max = 2 * MIB, .ssd_dir = dir}});
        tput_pack(&t, 0, 15000, 200, wants);
        for (size_t i = 200; i < 300; i++)
                wants[i] = tput_blob(&t, i, 40000);
        for (size_t s = 0; s < 2; s++) {
                struct crowd crowd = {.t = &t, .act = get_some, .wants = wants, .count = 300};
                struct fetch_stats stats;

                tfault(&t, NULL, 5, 1, STORE_FAULT_FLIP, HIF_OK);
                crowd_run(&crowd, seeds[s]);
                fetch_quiesce(t.fetch);
                stats = fetch_stats(t.fetch);
                if (atomic_load(&crowd.failed))
                        fail_msg("seed %lu: %d failed", (unsigned long)seeds[s],
                                 atomic_load(&crowd.failed));
                assert_true(stats.ram_bytes <= MIB);
                assert_true(stats.ssd_bytes <= 2 * MIB);
                assert_int_equal(stats.pinned_bytes, 0);
                assert_true(stats.ssd_hits > 0);
        }
        tfetch_stop(&t);
        snprintf(command, sizeof(command), "rm -r %s", dir);
        assert_int_equal(system(command), 0);
}

/* --- the pool itself --- */

struct pool_getter {
        struct pool_job job; /* first */
        struct crowd *crowd;
        const struct fetch_want *want;
};

static void get_on_pool(struct pool_job *job)
{
        struct pool_getter *getter = (struct pool_getter *)job;

        if (tget(getter->crowd->t, getter->want))
                atomic_fetch_add(&getter->crowd->failed, 1);
        atomic_fetch_add(&getter->crowd->done, 1);
}

/* Job threads may wait for objects even when they are the whole pool: who waits helps. */
static void jobs_that_fill_the_pool_can_wait(void **state)
{
        struct pool_getter getters[20];
        struct fetch_want wants[20];
        struct crowd crowd = {0};
        struct tfetch t;

        (void)state;
        tfetch_start(&t, &(struct tfetch_options){.threads = 2});
        crowd.t = &t;
        for (size_t i = 0; i < 20; i++) {
                wants[i] = tput_blob(&t, i, 3000);
                getters[i] = (struct pool_getter){
                    .job.run = get_on_pool, .crowd = &crowd, .want = &wants[i]};
        }
        for (size_t i = 0; i < 20; i++)
                pool_submit(t.pool, &getters[i].job);
        wait_until(&crowd.done, 20);
        assert_int_equal(atomic_load(&crowd.failed), 0);
        tfetch_stop(&t);
}

/* The timer thread ends what a silent store leaves waiting. */
static void timer_ends_what_waits_too_long(void **state)
{
        struct crowd crowd = {0};
        struct fetch_want want;
        struct twait wait = {.waiter = {.done = count_done, .arg = &crowd}};
        struct tfetch t;

        (void)state;
        tfetch_start(&t, &(struct tfetch_options){.threads = 1, .config = {.deadline_ms = 60}});
        want = tput_blob(&t, 1, 3000);
        tfault(&t, NULL, 0, 1, STORE_FAULT_HOLD, HIF_OK);
        fetch_want(t.origin, &want, 1, &wait.waiter);
        wait_until(&crowd.done, 1);
        assert_int_equal(atomic_load(&crowd.failed), 1);
        store_fault_deliver(t.store);
        fetch_quiesce(t.fetch);
        texpect_content(&t, &want, 1, 3000);
        tfetch_stop(&t);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(twenty_waiters_are_one_request),
            cmocka_unit_test(random_load_from_threads),
            cmocka_unit_test(jobs_that_fill_the_pool_can_wait),
            cmocka_unit_test(timer_ends_what_waits_too_long),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
