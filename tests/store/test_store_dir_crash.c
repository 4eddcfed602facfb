/* The directory store on a simulated disk that dies at every call: what was acknowledged is there
 * after a power cut, and nothing is ever there by half.
 *
 * A failure prints its seed and call; `test_store_dir_crash SEED` runs that seed alone. */
#include "tstore.h"

#include "base/simenv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEDS 6
#define KEYS  8
#define ROOT  "/srv/store"

struct fixture {
        uint64_t seed_first, seed_count;
};

/* What one key may hold: the last acknowledged content, or any that was tried since. */
struct expected {
        const char *key;
        const char *settled; /* NULL: absent */
        const char *tried[8];
        size_t tried_count;
};

struct model {
        struct expected keys[KEYS];
        size_t count;
};

static struct expected *expected_of(struct model *model, const char *key)
{
        for (size_t i = 0; i < model->count; i++) {
                if (strcmp(model->keys[i].key, key) == 0)
                        return &model->keys[i];
        }
        assert_true(model->count < KEYS);
        model->keys[model->count].key = key;
        return &model->keys[model->count++];
}

/* content NULL: a DELETE. Only an unknown outcome, or a death, leaves both possible. */
static void note(struct model *model, const char *key, const char *content, enum hif_err result)
{
        struct expected *expected = expected_of(model, key);

        if (result == HIF_OK) {
                expected->settled = content;
                expected->tried_count = 0;
        } else if (result == HIF_EUNKNOWN || result == HIF_ECANCELED) {
                assert_true(expected->tried_count < 8);
                expected->tried[expected->tried_count++] = content;
        }
}

static bool same(const char *content, const struct store_req *got)
{
        if (!content || got->result == HIF_ENOENT)
                return !content && got->result == HIF_ENOENT;
        return span_eq(buf_span(&got->data), span_str(content));
}

static void check(struct store *store, struct model *model, uint64_t seed, uint64_t call)
{
        for (size_t i = 0; i < model->count; i++) {
                struct expected *expected = &model->keys[i];
                struct store_req get = {.op = STORE_GET, .key = expected->key};
                bool good;

                store_run(store, &get, 1);
                good = (get.result == HIF_OK || get.result == HIF_ENOENT) &&
                       same(expected->settled, &get);
                for (size_t j = 0; !good && j < expected->tried_count; j++)
                        good = same(expected->tried[j], &get);
                if (!good)
                        fail_msg("seed %ju call %ju: %s: %s, %zu bytes; settled: %s",
                                 (uintmax_t)seed, (uintmax_t)call, expected->key,
                                 hif_strerror(get.result), get.data.size,
                                 expected->settled ? "there" : "absent");
                store_req_free(&get);
        }
}

/* --- the work that is interrupted --- */

static char large[20000], larger[9000];

static void work_put(struct store *store, struct model *model, enum store_op op, const char *key,
                     const char *content)
{
        note(model, key, content, t_put(store, op, key, content));
}

static void work_batch(struct store *store, struct model *model)
{
        static const char *const keys[] = {"t/aa/1", "t/aa/2", "t/bb/1"};
        const char *contents[] = {"batch", large, "other"};
        struct store_req reqs[3] = {0};

        for (size_t i = 0; i < 3; i++) {
                reqs[i] = (struct store_req){.op = i == 2 ? STORE_PUT_NEW : STORE_PUT,
                                             .key = keys[i],
                                             .body = span_str(contents[i])};
        }
        store_run(store, reqs, 3);
        for (size_t i = 0; i < 3; i++)
                note(model, keys[i], contents[i], reqs[i].result);
}

static void work_match(struct store *store, struct model *model, const char *content)
{
        struct store_req get = {.op = STORE_GET, .key = "head"};
        struct store_tag tag;
        enum hif_err err;

        store_run(store, &get, 1);
        if (get.result == HIF_OK) {
                tag = get.tag;
                err = t_put_match(store, "head", content, &tag);
                note(model, "head", content, err);
        }
        store_req_free(&get);
}

static void work(struct store *store, struct model *model)
{
        work_put(store, model, STORE_PUT_NEW, "log/1", "slot one");
        work_put(store, model, STORE_PUT_NEW, "head", "1");
        work_batch(store, model);
        work_match(store, model, "2");
        work_put(store, model, STORE_PUT_NEW, "log/2", large);
        work_match(store, model, "3");
        work_put(store, model, STORE_PUT, "t/aa/2", larger);
        note(model, "t/bb/1", NULL, t_delete(store, "t/bb/1"));
        work_put(store, model, STORE_PUT, "t/bb/1", "anew");
}

static struct store *open_on(struct simenv *sim)
{
        struct store *store = NULL;

        if (store_dir_open(simenv_env(sim), ROOT, true, 0, &store, NULL))
                return NULL;
        return store;
}

static struct store *open_again(struct simenv *sim)
{
        struct store *store = open_on(sim);

        assert_non_null(store);
        return store;
}

/* How many calls it all takes. */
static uint64_t count_calls(uint64_t seed)
{
        struct simenv *sim = simenv_new(seed);
        struct model model = {0};
        struct store *store = open_again(sim);
        uint64_t calls;

        work(store, &model);
        store_close(store);
        calls = simenv_calls(sim);
        simenv_free(sim);
        assert_true(calls > 50);
        return calls;
}

static void for_each_call(struct fixture *f, void (*run)(uint64_t seed, uint64_t call))
{
        for (uint64_t i = 0; i < f->seed_count; i++) {
                uint64_t seed = f->seed_first + i;
                uint64_t calls = count_calls(seed);

                for (uint64_t call = 1; call <= calls + 1; call++)
                        run(seed, call);
        }
}

/* --- the suites --- */

static void crash_and_cut(uint64_t seed, uint64_t call)
{
        struct simenv *sim = simenv_new(seed);
        struct model model = {0};
        struct store *store;

        simenv_crash_at(sim, call);
        store = open_on(sim);
        if (store)
                work(store, &model);
        store_close(store);
        simenv_power_cut(sim);
        store = open_again(sim);
        check(store, &model, seed, call);
        free(t_list(store, "", NULL, 0));
        /* And it works on. */
        assert_int_equal(t_put(store, STORE_PUT, "log/after", "x"), HIF_OK);
        store_close(store);
        simenv_free(sim);
}

/* The power fails at any call: each acknowledged write is there, each object is whole. */
static void acknowledged_writes_survive_power_cut(void **state)
{
        for_each_call(*state, crash_and_cut);
}

static void kill_and_go_on(uint64_t seed, uint64_t call)
{
        struct simenv *sim = simenv_new(seed);
        struct model model = {0};
        struct store *store;

        simenv_crash_at(sim, call);
        store = open_on(sim);
        if (store)
                work(store, &model);
        store_close(store);
        simenv_process_kill(sim);
        store = open_again(sim);
        check(store, &model, seed, call);
        model = (struct model){0};
        work_put(store, &model, STORE_PUT, "t/aa/9", "after the kill");
        work_put(store, &model, STORE_PUT, "log/9", "after the kill");
        store_close(store);
        simenv_power_cut(sim);
        store = open_again(sim);
        check(store, &model, seed, call);
        store_close(store);
        simenv_free(sim);
}

/* A process dies at any call, another one writes into the directories it made, then the power
 * fails: what the second one acknowledged is there, though the first never synced those
 * directories. */
static void names_that_the_dead_made_are_synced(void **state)
{
        for_each_call(*state, kill_and_go_on);
}

static void kill_and_lose(uint64_t seed, uint64_t call)
{
        struct simenv *sim = simenv_new(seed);
        struct store_req get = {.op = STORE_GET, .key = "new/log/1", .settled = true};
        struct store *store;
        const char *content = NULL;
        enum hif_err err;

        simenv_crash_at(sim, call);
        store = open_on(sim);
        if (store)
                (void)t_put(store, STORE_PUT_NEW, "new/log/1", "dead");
        store_close(store);
        simenv_process_kill(sim);
        store = open_again(sim);
        if (seed % 2) {
                err = t_put(store, STORE_PUT_NEW, "new/log/1", "living");
                assert_true(err == HIF_OK || err == HIF_ELOST);
                content = err ? "dead" : "living";
        } else {
                store_run(store, &get, 1);
                assert_true(get.result == HIF_OK || get.result == HIF_ENOENT);
                content = get.result ? NULL : "dead";
                store_req_free(&get);
        }
        store_close(store);
        simenv_power_cut(sim);
        store = open_again(sim);
        if (content)
                t_expect(store, "new/log/1", content);
        store_close(store);
        simenv_free(sim);
}

/* Who was told that the key exists, or read it settled, may build on it: it survives even if its
 * creator died before it synced the name. */
static void what_a_loser_saw_survives(void **state)
{
        for_each_call(*state, kill_and_lose);
}

static void fail_one(uint64_t seed, uint64_t call, enum hif_err injected)
{
        struct simenv *sim = simenv_new(seed);
        struct model model = {0};
        struct store *store;

        simenv_fail_at(sim, call, injected);
        store = open_on(sim);
        if (store) {
                work(store, &model);
                simenv_fail_at(sim, 0, HIF_OK);
                check(store, &model, seed, call);
                store_close(store);
        }
        simenv_power_cut(sim);
        store = open_again(sim);
        check(store, &model, seed, call);
        store_close(store);
        simenv_free(sim);
}

static void fail_with_io(uint64_t seed, uint64_t call)
{
        fail_one(seed, call, HIF_EIO);
}

static void fail_with_nospc(uint64_t seed, uint64_t call)
{
        fail_one(seed, call, HIF_ENOSPC);
}

/* Any one call fails: what is answered with an error had no effect, unless that says "unknown". */
static void failed_calls_leave_no_trace(void **state)
{
        for_each_call(*state, fail_with_io);
        for_each_call(*state, fail_with_nospc);
}

/* --- leftovers --- */

static bool count_name(void *arg, const char *name)
{
        (void)name;
        ++*(size_t *)arg;
        return true;
}

static size_t temp_count(struct simenv *sim)
{
        struct env *env = simenv_env(sim);
        size_t count = 0;

        assert_int_equal(env->ops->list(env, ROOT "/.hif/tmp", count_name, &count), HIF_OK);
        return count;
}

/* What a crash left is removed by an opening a day later, not before, and is never listed. */
static void old_leftovers_are_removed(void **state)
{
        struct simenv *sim = simenv_new(1);
        struct store *store = open_again(sim);

        (void)state;
        assert_int_equal(temp_count(sim), 0);
        simenv_crash_at(sim, 6); /* stat, mkdir, open, pwrite, fsync, and not the link */
        assert_int_equal(t_put(store, STORE_PUT_NEW, "k/x", "x"), HIF_ECANCELED);
        store_close(store);
        simenv_process_kill(sim);
        assert_int_equal(temp_count(sim), 1);
        simenv_advance(sim, UINT64_C(23) * 3600 * 1000000000);
        store = open_again(sim);
        t_expect_list(store, "", NULL, 0, "");
        store_close(store);
        assert_int_equal(temp_count(sim), 1);
        simenv_advance(sim, UINT64_C(2) * 3600 * 1000000000);
        store_close(open_again(sim));
        assert_int_equal(temp_count(sim), 0);
        simenv_free(sim);
}

int main(int argc, char **argv)
{
        struct fixture f = {.seed_first = 1, .seed_count = SEEDS};
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_prestate(acknowledged_writes_survive_power_cut, &f),
            cmocka_unit_test_prestate(names_that_the_dead_made_are_synced, &f),
            cmocka_unit_test_prestate(what_a_loser_saw_survives, &f),
            cmocka_unit_test_prestate(failed_calls_leave_no_trace, &f),
            cmocka_unit_test(old_leftovers_are_removed),
        };

        memset(large, 'L', sizeof(large) - 1);
        memset(larger, 'M', sizeof(larger) - 1);
        if (argc > 1)
                f = (struct fixture){.seed_first = strtoull(argv[1], NULL, 10), .seed_count = 1};
        return cmocka_run_group_tests_name("store_dir_crash", tests, NULL, NULL);
}
