/* The shim's own checks: a back end, or a caller, that breaks the contract is stopped at once. */
#include "tstore.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* A back end that answers as `answer` does. */
struct scripted {
        struct store store;
        void (*answer)(struct store *store, struct store_req *req);
        size_t waited;
        struct store_req *held[4];
        size_t held_count;
};

static void scripted_submit(struct store *store, struct store_req *req)
{
        ((struct scripted *)store)->answer(store, req);
}

static void scripted_close(struct store *store)
{
        (void)store;
}

static const char *scripted_url(struct store *store)
{
        (void)store;
        return "scripted:";
}

static void init(struct scripted *scripted,
                 void (*answer)(struct store *store, struct store_req *req))
{
        static const struct store_ops ops = {
            .submit = scripted_submit, .close = scripted_close, .url = scripted_url};

        *scripted = (struct scripted){.answer = answer};
        store_init(&scripted->store, &ops, NULL);
}

static void answer_ok(struct store *store, struct store_req *req)
{
        req->tag.text[0] = 't';
        store_done(store, req, HIF_OK);
}

static void answer_twice(struct store *store, struct store_req *req)
{
        answer_ok(store, req);
        store_done(store, req, HIF_OK);
}

static void answer_untagged(struct store *store, struct store_req *req)
{
        store_done(store, req, HIF_OK);
}

static void answer_lost(struct store *store, struct store_req *req)
{
        store_done(store, req, HIF_ELOST);
}

static void answer_too_much(struct store *store, struct store_req *req)
{
        buf_put(&req->data, "0123456789", 10);
        req->size = 10;
        answer_ok(store, req);
}

static void answer_unsorted(struct store *store, struct store_req *req)
{
        if (store_list_add(&req->list, "p/b", 1) || store_list_add(&req->list, "p/a", 1))
                abort();
        store_done(store, req, HIF_OK);
}

static void answer_foreign(struct store *store, struct store_req *req)
{
        if (store_list_add(&req->list, "q", 1))
                abort();
        store_done(store, req, HIF_OK);
}

static void run_one(void (*answer)(struct store *store, struct store_req *req),
                    struct store_req req)
{
        struct scripted scripted;

        init(&scripted, answer);
        store_run(&scripted.store, &req, 1);
        store_req_free(&req);
        store_close(&scripted.store);
}

/* Whether it ends with an assertion. */
static bool stops(void (*answer)(struct store *store, struct store_req *req), struct store_req req)
{
        int status;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                signal(SIGABRT, SIG_DFL);
                dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
                run_one(answer, req);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

/* Answers that the contract does not know are stopped; the same back end passes where it is right.
 */
static void broken_back_end_is_stopped(void **state)
{
        struct store_req put = {.op = STORE_PUT, .key = "k"};
        struct store_req put_new = {.op = STORE_PUT_NEW, .key = "k"};
        struct store_req get = {.op = STORE_GET, .key = "k"};
        struct store_req part = {.op = STORE_GET, .key = "k", .range_size = 9};
        struct store_req list = {.op = STORE_LIST, .prefix = "p/"};

        (void)state;
        assert_false(stops(answer_ok, put));
        assert_true(stops(answer_twice, put));
        assert_true(stops(answer_untagged, put));
        assert_true(stops(answer_lost, put));
        assert_false(stops(answer_lost, put_new));
        assert_false(stops(answer_too_much, get));
        assert_true(stops(answer_too_much, part));
        assert_true(stops(answer_too_much, put));
        assert_true(stops(answer_unsorted, list));
        assert_true(stops(answer_foreign, list));
}

/* So are callers' mistakes. */
static void broken_caller_is_stopped(void **state)
{
        struct store_req keyless = {.op = STORE_PUT};
        struct store_req tagless = {.op = STORE_PUT_MATCH, .key = "k"};
        struct store_req start_only = {.op = STORE_GET, .key = "k", .range_start = 1};
        struct store_req used = {.op = STORE_GET, .key = "k", .data = {.data = (uint8_t *)"x"}};

        (void)state;
        assert_true(stops(answer_ok, keyless));
        assert_true(stops(answer_ok, tagless));
        assert_true(stops(answer_ok, start_only));
        assert_true(stops(answer_ok, used));
}

static void hold(struct store *store, struct store_req *req)
{
        struct scripted *scripted = (struct scripted *)store;

        scripted->held[scripted->held_count++] = req;
}

static void answer_held(struct store *store, struct store_req *reqs, size_t count)
{
        struct scripted *scripted = (struct scripted *)store;

        assert_int_equal(count, 3);
        assert_ptr_equal(reqs, scripted->held[0]);
        scripted->waited++;
        while (scripted->held_count > 0)
                answer_ok(store, scripted->held[--scripted->held_count]);
}

/* A back end that waits in its own way (a simulation's scheduler) is asked once per batch. */
static void back_end_may_wait_itself(void **state)
{
        static const struct store_ops ops = {.submit = scripted_submit,
                                             .wait = answer_held,
                                             .close = scripted_close,
                                             .url = scripted_url};
        struct scripted scripted;
        struct store_req reqs[3] = {{.op = STORE_PUT, .key = "a"},
                                    {.op = STORE_PUT, .key = "b"},
                                    {.op = STORE_PUT, .key = "c"}};

        (void)state;
        init(&scripted, hold);
        scripted.store.ops = &ops;
        store_run(&scripted.store, reqs, 3);
        assert_int_equal(scripted.waited, 1);
        for (size_t i = 0; i < 3; i++)
                assert_int_equal(reqs[i].result, HIF_OK);
        store_close(&scripted.store);
}

static size_t cancelled;

static void count_cancel(struct store *store)
{
        (void)store;
        cancelled++;
}

static uint64_t silence;

static void note_silence(struct store *store, uint64_t silent_ms)
{
        (void)store;
        silence = silent_ms;
}

static bool tell_date(struct store *store, uint64_t *wall_ns)
{
        (void)store;
        *wall_ns = 7;
        return true;
}

static bool tell_denied(struct store *store, enum hif_err result, struct hif_why *out)
{
        (void)store;
        if (result != HIF_EDENIED)
                return false;
        (void)why_set(out, result, "not you");
        return true;
}

/* What a store may have beside its requests is asked of it, through faults, too; a store without it
 * has no date, no words of its own, and nothing to cancel. */
static void optional_parts_are_optional(void **state)
{
        static const struct store_ops ops = {.submit = scripted_submit,
                                             .close = scripted_close,
                                             .url = scripted_url,
                                             .cancel = count_cancel,
                                             .cancel_silent = note_silence,
                                             .date = tell_date,
                                             .why = tell_denied};
        struct env env = env_system(NULL);
        struct scripted with = {.answer = answer_ok}, without = {.answer = answer_ok};
        struct hif_why why = {.text = ""};
        struct store *faults;
        uint64_t date = 0;

        (void)state;
        store_init(&with.store, &ops, &env);
        init(&without, answer_ok);
        assert_int_equal(store_fault_new(&env, &with.store, &faults), HIF_OK);
        store_cancel(faults);
        assert_int_equal(cancelled, 1);
        store_cancel_silent(faults, 7);
        assert_int_equal(silence, 7);
        assert_true(store_date(faults, &date));
        assert_int_equal(date, 7);
        assert_string_equal(store_reason(faults, HIF_EDENIED, &why), "not you");
        assert_string_equal(store_reason(faults, HIF_EIO, &why), hif_strerror(HIF_EIO));
        store_close(faults);
        store_cancel(&without.store);
        store_cancel_silent(&without.store, 7);
        store_cancel(NULL);
        assert_false(store_date(&without.store, &date));
        assert_false(store_why(&without.store, HIF_EDENIED, &why));
}

/* Keys: what is one, and what may start one. */
static void keys_and_prefixes(void **state)
{
        (void)state;
        assert_true(store_key_valid("projects/org/name/head"));
        assert_true(store_key_valid("a.b/c..d/e "));
        assert_true(store_prefix_valid(""));
        assert_true(store_prefix_valid("a/"));
        assert_true(store_prefix_valid("a/b"));
        assert_false(store_prefix_valid("/"));
        assert_false(store_prefix_valid("a//"));
        assert_false(store_prefix_valid("../"));
        assert_false(store_prefix_valid("a/."));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(broken_back_end_is_stopped),
            cmocka_unit_test(broken_caller_is_stopped),
            cmocka_unit_test(back_end_may_wait_itself),
            cmocka_unit_test(optional_parts_are_optional),
            cmocka_unit_test(keys_and_prefixes),
        };

        return cmocka_run_group_tests_name("store_shim", tests, NULL, NULL);
}
