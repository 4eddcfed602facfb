/* Faults before a store: each does what its name says, and to no other request. */
#include "tstore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fixture {
        struct env env;
        struct store *inner, *store;
};

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        f->env = env_system(NULL);
        assert_int_equal(store_mem_new(&f->env, &f->inner), HIF_OK);
        assert_int_equal(store_fault_new(&f->env, f->inner, &f->store), HIF_OK);
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        store_close(f->store);
        store_close(f->inner);
        free(f);
        return 0;
}

/* Once, at the next request of this kind. */
static void fault_next(struct fixture *f, int op, enum store_fault fault, enum hif_err err)
{
        struct store_fault_rule rule = {.op = op, .count = 1, .fault = fault, .err = err};

        assert_int_equal(store_fault_add(f->store, &rule), HIF_OK);
}

/* A failed request has no effect, and the next one is untouched. */
static void failed_request_has_no_effect(void **state)
{
        struct fixture *f = *state;

        fault_next(f, STORE_PUT, STORE_FAULT_FAIL, HIF_EUNREACHABLE);
        assert_int_equal(t_put(f->store, STORE_PUT, "k", "x"), HIF_EUNREACHABLE);
        t_expect(f->inner, "k", NULL);
        assert_int_equal(t_put(f->store, STORE_PUT, "k", "x"), HIF_OK);
        t_expect(f->inner, "k", "x");
}

/* A lost answer hides an effect. */
static void lost_answer_hides_the_effect(void **state)
{
        struct fixture *f = *state;
        uint64_t size = 7;

        fault_next(f, STORE_PUT_NEW, STORE_FAULT_LOST, HIF_OK);
        assert_int_equal(t_put(f->store, STORE_PUT_NEW, "k", "x"), HIF_EUNKNOWN);
        t_expect(f->inner, "k", "x");
        assert_int_equal(t_put(f->store, STORE_PUT_NEW, "k", "x"), HIF_ELOST);
        fault_next(f, STORE_HEAD, STORE_FAULT_LOST, HIF_OK);
        assert_int_equal(t_head(f->store, "k", &size, NULL), HIF_EUNREACHABLE);
        assert_int_equal(size, 7);
        fault_next(f, STORE_DELETE, STORE_FAULT_LOST, HIF_OK);
        assert_int_equal(t_delete(f->store, "k"), HIF_EUNKNOWN);
        t_expect(f->inner, "k", NULL);
}

/* A late write is answered before it happens, with what its submitter had at the time. */
static void late_write_arrives_when_delivered(void **state)
{
        struct fixture *f = *state;
        char key[] = "k", body[] = "late";

        fault_next(f, -1, STORE_FAULT_LATE, HIF_OK);
        assert_int_equal(t_put(f->store, STORE_PUT_NEW, key, body), HIF_EUNKNOWN);
        t_expect(f->inner, "k", NULL);
        assert_int_equal(store_fault_waiting(f->store), 1);
        memset(key, 'z', 1);
        memset(body, 'z', 4);
        store_fault_deliver(f->store);
        t_expect(f->inner, "k", "late");
        assert_int_equal(store_fault_waiting(f->store), 0);
}

/* A late conditional write still has its condition: what has changed meanwhile stays. */
static void late_write_keeps_its_condition(void **state)
{
        struct fixture *f = *state;
        struct store_tag tag, stale;

        assert_int_equal(t_put_tag(f->store, STORE_PUT_NEW, "head", "0", &tag), HIF_OK);
        stale = tag;
        fault_next(f, STORE_PUT_MATCH, STORE_FAULT_LATE, HIF_OK);
        assert_int_equal(t_put_match(f->store, "head", "late", &stale), HIF_EUNKNOWN);
        assert_int_equal(t_put_match(f->store, "head", "1", &tag), HIF_OK);
        store_fault_deliver(f->store);
        t_expect(f->inner, "head", "1");
}

/* What is late when the store closes never arrives. */
static void late_write_may_never_arrive(void **state)
{
        struct fixture *f = *state;

        fault_next(f, STORE_PUT, STORE_FAULT_LATE, HIF_OK);
        assert_int_equal(t_put(f->store, STORE_PUT, "k", "x"), HIF_EUNKNOWN);
        store_close(f->store);
        f->store = NULL;
        t_expect(f->inner, "k", NULL);
}

/* A false loser has written; one that lost anyway is told the truth, and so is any other request.
 */
static void false_loser_has_written(void **state)
{
        struct fixture *f = *state;

        fault_next(f, STORE_PUT_NEW, STORE_FAULT_FALSE_LOST, HIF_OK);
        assert_int_equal(t_put(f->store, STORE_PUT_NEW, "k", "ours"), HIF_ELOST);
        t_expect(f->inner, "k", "ours");
        fault_next(f, STORE_PUT, STORE_FAULT_FALSE_LOST, HIF_OK);
        assert_int_equal(t_put(f->store, STORE_PUT, "k", "x"), HIF_OK);
}

static void get_damaged(struct fixture *f, enum store_fault fault, struct store_req *get)
{
        *get = (struct store_req){.op = STORE_GET, .key = "k"};
        fault_next(f, STORE_GET, fault, HIF_OK);
        store_run(f->store, get, 1);
        assert_int_equal(get->result, HIF_OK);
        assert_int_equal(get->size, 10);
}

/* Damage is in the answer, not in the object. */
static void damage_is_in_the_answer(void **state)
{
        struct fixture *f = *state;
        struct store_req get;
        size_t bits = 0;

        assert_int_equal(t_put(f->store, STORE_PUT, "k", "0123456789"), HIF_OK);
        get_damaged(f, STORE_FAULT_TRUNCATE, &get);
        assert_true(span_eq(buf_span(&get.data), span_str("012345678")));
        store_req_free(&get);
        get_damaged(f, STORE_FAULT_FLIP, &get);
        for (size_t i = 0; i < 10; i++)
                bits += (size_t)__builtin_popcount(get.data.data[i] ^ (uint8_t)('0' + i));
        assert_int_equal(bits, 1);
        store_req_free(&get);
        t_expect(f->store, "k", "0123456789");
}

static void count_done(struct store_req *req)
{
        ++*(unsigned *)req->arg;
}

/* A held request is neither done nor answered until it is delivered, in order. */
static void held_requests_wait(void **state)
{
        struct fixture *f = *state;
        struct store_fault_rule rule = {.op = -1, .count = 2, .fault = STORE_FAULT_HOLD};
        unsigned done = 0;
        struct store_req put = {.op = STORE_PUT_NEW,
                                .key = "k",
                                .body = span_str("x"),
                                .done = count_done,
                                .arg = &done};
        struct store_req get = {.op = STORE_GET, .key = "k", .done = count_done, .arg = &done};

        assert_int_equal(store_fault_add(f->store, &rule), HIF_OK);
        store_submit(f->store, &put);
        store_submit(f->store, &get);
        assert_int_equal(done, 0);
        t_expect(f->store, "k", NULL);
        store_fault_deliver(f->store);
        assert_int_equal(done, 2);
        assert_int_equal(put.result, HIF_OK);
        assert_int_equal(get.result, HIF_OK);
        assert_true(span_eq(buf_span(&get.data), span_str("x")));
        store_req_free(&get);
}

/* Rules choose by operation and key, skip, count, and yield to the ones before them. */
static void rules_choose(void **state)
{
        struct fixture *f = *state;
        static const struct store_fault_rule rules[] = {
            {.op = STORE_PUT, .key_contains = "trees/", .skip = 1, .count = 2, .err = HIF_EIO},
            {.op = STORE_PUT, .count = 1000, .err = HIF_EDENIED},
            {.op = STORE_LIST, .key_contains = "trees/", .count = 1, .err = HIF_EUNREACHABLE},
        };
        static const struct {
                const char *key;
                enum hif_err expected;
        } puts[] = {
            {"p/trees/1", HIF_EDENIED}, {"p/blobs/1", HIF_EDENIED}, {"p/trees/2", HIF_EIO},
            {"p/trees/3", HIF_EIO},     {"p/trees/4", HIF_EDENIED},
        };
        struct store_req list = {.op = STORE_LIST, .prefix = "p/trees/"};

        for (size_t i = 0; i < 3; i++)
                assert_int_equal(store_fault_add(f->store, &rules[i]), HIF_OK);
        for (size_t i = 0; i < 5; i++)
                assert_int_equal(t_put(f->store, STORE_PUT, puts[i].key, "x"), puts[i].expected);
        assert_int_equal(t_put(f->store, STORE_PUT_NEW, "p/trees/1", "x"), HIF_OK);
        t_expect_list(f->store, "p/", NULL, 0, "p/trees/1");
        store_run(f->store, &list, 1);
        assert_int_equal(list.result, HIF_EUNREACHABLE);
        store_fault_clear(f->store);
        assert_int_equal(t_put(f->store, STORE_PUT, "p/trees/1", "y"), HIF_OK);
}

/* The helpers of the memory store see, flip and drop what is there, and only that. */
static void memory_can_be_tampered_with(void **state)
{
        struct fixture *f = *state;

        assert_int_equal(t_put(f->inner, STORE_PUT, "k", "ab"), HIF_OK);
        assert_int_equal(store_mem_count(f->inner), 1);
        assert_true(span_eq(store_mem_peek(f->inner, "k"), span_str("ab")));
        assert_null(store_mem_peek(f->inner, "none").data);
        assert_true(store_mem_flip(f->inner, "k", 9));
        t_expect(f->inner, "k", "a`");
        assert_false(store_mem_flip(f->inner, "k", 16));
        assert_true(store_mem_drop(f->inner, "k"));
        assert_false(store_mem_drop(f->inner, "k"));
        t_expect(f->inner, "k", NULL);
        assert_int_equal(store_mem_count(f->inner), 0);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            EACH(failed_request_has_no_effect),
            EACH(lost_answer_hides_the_effect),
            EACH(late_write_arrives_when_delivered),
            EACH(late_write_keeps_its_condition),
            EACH(late_write_may_never_arrive),
            EACH(false_loser_has_written),
            EACH(damage_is_in_the_answer),
            EACH(held_requests_wait),
            EACH(rules_choose),
            EACH(memory_can_be_tampered_with),
        };

        return cmocka_run_group_tests_name("store_fault", tests, NULL, NULL);
}
