/* Landings from many threads at once, through one queue. */
#include "land/queue.h"
#include "tests/land/tland.h"
#include "tests/land/trips.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define THREADS 12
#define ROUNDS  6

struct fixture {
        struct tproject tp;
        struct store slow; /* before the project's: a slot takes its time */
        struct store *inner;
        struct land_queue *queue;
        pthread_mutex_t lock; /* assertions of cmocka are one thread's */
        unsigned landed, in_batches, failed, conflicts;
};

static struct fixture *from_slow(struct store *store)
{
        return (struct fixture *)((char *)store - offsetof(struct fixture, slow));
}

/* Others come while one lands. */
static void slow_submit(struct store *store, struct store_req *req)
{
        struct store_req inner = *req;

        if (req->op == STORE_PUT_NEW)
                usleep(3000);
        inner.done = NULL;
        inner.batch = NULL;
        inner.submitted = false;
        inner.data = (struct buf){0};
        store_run(from_slow(store)->inner, &inner, 1);
        req->data = inner.data;
        req->size = inner.size;
        req->tag = inner.tag;
        req->list = inner.list;
        store_done(store, req, inner.result);
}

static void slow_close(struct store *store)
{
        (void)store;
}

static const char *slow_url(struct store *store)
{
        return store_url(from_slow(store)->inner);
}

static int setup(void **state)
{
        static const struct store_ops ops = {
            .submit = slow_submit, .close = slow_close, .url = slow_url};
        struct fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        tproject_open(&f->tp, NULL, 0);
        f->inner = f->tp.store;
        store_init(&f->slow, &ops, &f->tp.env);
        f->tp.project.store = &f->slow;
        pthread_mutex_init(&f->lock, NULL);
        assert_int_equal(land_queue_new(&f->tp.project, NULL, &f->queue), HIF_OK);
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        land_queue_free(f->queue);
        f->tp.project.store = f->inner;
        tproject_close(&f->tp);
        pthread_mutex_destroy(&f->lock);
        free(f);
        return 0;
}

struct writer {
        struct fixture *fixture;
        int number;
        bool cannot_save, all_alike;
        pthread_t thread;
};

static enum hif_err cannot_save(struct land_hooks *hooks, const struct land_intent *intent)
{
        (void)hooks;
        (void)intent;
        return HIF_EIO;
}

/* One landing of a file of its own: from a session to the answer. */
static enum hif_err land_once(struct writer *writer, int round, struct tsession *ts)
{
        struct fixture *f = writer->fixture;
        char path[32], content[32];
        enum hif_err err;

        snprintf(path, sizeof(path), "f%d", writer->all_alike ? 0 : writer->number);
        snprintf(content, sizeof(content), "%d of %d", round, writer->number);
        tsession_put(ts, path, content);
        if (writer->cannot_save)
                ts->hooks.save_intent = cannot_save;
        err = land_begin(&f->tp.project, &ts->session, NULL, NULL, &ts->hooks, NULL, &ts->land);
        if (err == HIF_OK)
                err = land_stage(ts->land, ts->changes, ts->count, &ts->reader, &ts->why);
        if (err == HIF_OK)
                err = land_queue_commit(f->queue, ts->land, ts->changes, ts->count, &ts->result,
                                        &ts->why);
        return err;
}

static void *write_files(void *arg)
{
        struct writer *writer = arg;
        struct fixture *f = writer->fixture;

        for (int round = 0; round < ROUNDS; round++) {
                struct tsession *ts = calloc(1, sizeof(*ts));
                enum hif_err err;

                pthread_mutex_lock(&f->lock);
                tsession_open(ts, &f->tp, tproject_tail(&f->tp));
                pthread_mutex_unlock(&f->lock);
                err = land_once(writer, round, ts);
                pthread_mutex_lock(&f->lock);
                f->landed += err == HIF_OK;
                f->in_batches += err == HIF_OK && ts->result.member > 0;
                f->conflicts += err == HIF_ECONFLICT;
                f->failed += err != HIF_OK && err != HIF_ECONFLICT;
                pthread_mutex_unlock(&f->lock);
                tsession_close(ts);
                free(ts);
        }
        return NULL;
}

static void run(struct writer *writers, int count)
{
        for (int i = 0; i < count; i++)
                assert_int_equal(pthread_create(&writers[i].thread, NULL, write_files, &writers[i]),
                                 0);
        for (int i = 0; i < count; i++)
                assert_int_equal(pthread_join(writers[i].thread, NULL), 0);
}

/* Every one lands, once, and most of them in company. */
static void who_comes_together_lands_together(void **state)
{
        struct fixture *f = *state;
        struct writer writers[THREADS];
        struct land_queue_stats stats;

        for (int i = 0; i < THREADS; i++)
                writers[i] = (struct writer){.fixture = f, .number = i};
        run(writers, THREADS);
        stats = land_queue_stats(f->queue);
        assert_int_equal(f->failed, 0);
        assert_int_equal(f->landed, THREADS * ROUNDS);
        assert_int_equal(stats.landings, THREADS * ROUNDS);
        assert_true(f->in_batches > THREADS);
        assert_true(stats.batches < THREADS * ROUNDS);
        assert_int_equal(tproject_tail(&f->tp), stats.batches);
        for (int i = 0; i < THREADS; i++) {
                char path[32], content[32];

                snprintf(path, sizeof(path), "f%d", i);
                snprintf(content, sizeof(content), "%d of %d", ROUNDS - 1, i);
                tproject_expect(&f->tp, path, content);
        }
        tproject_verify(&f->tp);
}

/* One who cannot save its intent is told so, and the others do not notice. */
static void one_that_fails_harms_no_other(void **state)
{
        struct fixture *f = *state;
        struct writer writers[THREADS];

        for (int i = 0; i < THREADS; i++)
                writers[i] = (struct writer){.fixture = f, .number = i, .cannot_save = i == 3};
        run(writers, THREADS);
        assert_int_equal(f->failed, ROUNDS);
        assert_int_equal(f->landed, (THREADS - 1) * ROUNDS);
        assert_false(tproject_has(&f->tp, tproject_tail(&f->tp), "f3"));
}

/* All want the same file: each round has winners and conflicts, and nothing else. */
static void rivals_conflict_and_nothing_else(void **state)
{
        struct fixture *f = *state;
        struct writer writers[THREADS];

        for (int i = 0; i < THREADS; i++)
                writers[i] = (struct writer){.fixture = f, .number = i, .all_alike = true};
        run(writers, THREADS);
        assert_int_equal(f->failed, 0);
        assert_int_equal(f->landed + f->conflicts, THREADS * ROUNDS);
        assert_true(f->landed > 0 && f->conflicts > 0);
        tproject_verify(&f->tp);
}

/* Alone it is a landing as ever, and head follows. */
static void alone_nobody_waits(void **state)
{
        struct fixture *f = *state;
        struct writer writer = {.fixture = f};

        run(&writer, 1);
        assert_int_equal(f->landed, ROUNDS);
        assert_int_equal(f->in_batches, 0);
        assert_int_equal(tproject_tail(&f->tp), ROUNDS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(who_comes_together_lands_together),
            TEST(one_that_fails_harms_no_other),
            TEST(rivals_conflict_and_nothing_else),
            TEST(alone_nobody_waits),
        };

        return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
