/* Objects on their way to the store, many at a time. */
#include "tests/land/tland.h"

#include "core/layout.h"
#include "land/internal.h"

#include <stdlib.h>

/* A store whose answers come when the test says so. */
struct slow {
        struct store store;
        struct store *inner;
        struct store_req *held[1024];
        size_t count, most; /* now, ever */
        size_t bytes, bytes_most;
};

struct fixture {
        struct tproject tp;
        struct slow slow;
        struct puts puts;
        struct land_hooks hooks;
        struct hif_why why;
        int pauses;
};

static void answer(struct slow *slow, struct store_req *req)
{
        struct store_req inner = {.op = req->op, .key = req->key, .body = req->body};

        store_run(slow->inner, &inner, 1);
        req->tag = inner.tag;
        store_done(&slow->store, req, inner.result);
}

static void slow_submit(struct store *store, struct store_req *req)
{
        struct slow *slow = (struct slow *)store;

        assert_true(slow->count < 1024);
        slow->held[slow->count++] = req;
        slow->bytes += req->body.size;
        if (slow->count > slow->most)
                slow->most = slow->count;
        if (slow->bytes > slow->bytes_most)
                slow->bytes_most = slow->bytes;
}

static void slow_wait(struct store *store, struct store_req *reqs, size_t count)
{
        struct slow *slow = (struct slow *)store;

        (void)reqs;
        (void)count;
        for (size_t i = 0; i < slow->count; i++)
                answer(slow, slow->held[i]);
        slow->count = slow->bytes = 0;
}

static const char *slow_url(struct store *store)
{
        return store_url(((struct slow *)store)->inner);
}

static void slow_close(struct store *store)
{
        (void)store;
}

static void on_sleep(struct land_hooks *hooks, uint64_t ns)
{
        (void)ns;
        ((struct fixture *)((char *)hooks - offsetof(struct fixture, hooks)))->pauses++;
}

static int setup(void **state)
{
        static const struct store_ops ops = {
            .submit = slow_submit, .wait = slow_wait, .close = slow_close, .url = slow_url};
        struct fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        tproject_open(&f->tp, NULL, 0);
        store_init(&f->slow.store, &ops, &f->tp.env);
        f->hooks.sleep = on_sleep;
        f->puts.project = &f->tp.project;
        f->puts.hooks = &f->hooks;
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        puts_free(&f->puts);
        tproject_close(&f->tp);
        free(f);
        return 0;
}

static enum hif_err put(struct fixture *f, uint32_t number, size_t size)
{
        struct buf body = {0};
        struct hif_hash hash;
        struct layout_key key;

        buf_put_u32(&body, number);
        buf_put_zero(&body, size);
        hash = hash_of(HASH_BLOB, buf_span(&body));
        key = layout_blob(&f->tp.project.layout, &hash);
        return puts_add(&f->puts, &key, &hash, &body, NULL, &f->why);
}

/* Batches overlap: nobody waits before several are on their way, and what is in flight is bounded.
 */
static void batches_fly_together(void **state)
{
        struct fixture *f = *state;

        f->slow.inner = f->tp.store;
        f->tp.project.store = &f->slow.store;
        for (uint32_t i = 0; i < 1000; i++)
                assert_int_equal(put(f, i, 10), HIF_OK);
        assert_int_equal(puts_flush(&f->puts, &f->why), HIF_OK);
        assert_int_equal(f->slow.most, PUTS_FLYING * PUTS_BATCH);
        for (uint32_t i = 0; i < 40; i++)
                assert_int_equal(put(f, i, 4u << 20), HIF_OK);
        assert_int_equal(puts_flush(&f->puts, &f->why), HIF_OK);
        assert_in_range(f->slow.bytes_most, PUTS_FLYING * PUTS_BYTES,
                        PUTS_FLYING * (PUTS_BYTES + (4u << 20) + 4));
        assert_int_equal(f->puts.objects_put, 1040);
        assert_int_equal(tproject_count(&f->tp, "/blobs/"), 1040);
        f->tp.project.store = f->tp.store;
}

/* With nothing done, what is in flight is waited for, and what is not sent is dropped. */
static void freeing_waits_for_what_is_in_flight(void **state)
{
        struct fixture *f = *state;

        f->slow.inner = f->tp.store;
        f->tp.project.store = &f->slow.store;
        for (uint32_t i = 0; i < PUTS_BATCH + 1; i++)
                assert_int_equal(put(f, i, 10), HIF_OK);
        assert_int_equal(f->slow.count, PUTS_BATCH);
        puts_free(&f->puts);
        assert_int_equal(f->slow.count, 0);
        assert_int_equal(tproject_count(&f->tp, "/blobs/"), PUTS_BATCH);
        f->tp.project.store = f->tp.store;
}

/* Doubtful answers are asked again, alone and with pauses; a refusal is an error at once. */
static void doubt_is_repeated_and_refusal_is_not(void **state)
{
        struct fixture *f = *state;
        struct store_fault_rule lost = {
            .op = STORE_PUT, .skip = 70, .count = 3, .fault = STORE_FAULT_LOST};
        struct store_fault_rule full = {
            .op = STORE_PUT, .skip = 0, .count = 1, .fault = STORE_FAULT_FAIL, .err = HIF_ENOSPC};
        struct store *faulty;

        assert_int_equal(store_fault_new(&f->tp.env, f->tp.store, &faulty), HIF_OK);
        f->tp.project.store = faulty;
        assert_int_equal(store_fault_add(faulty, &lost), HIF_OK);
        for (uint32_t i = 0; i < 200; i++)
                assert_int_equal(put(f, i, 10), HIF_OK);
        assert_int_equal(puts_flush(&f->puts, &f->why), HIF_OK);
        assert_int_equal(store_stats_get(faulty).requests[STORE_PUT], 203);
        assert_int_equal(f->pauses, 1);
        store_fault_clear(faulty);
        assert_int_equal(store_fault_add(faulty, &full), HIF_OK);
        assert_int_equal(put(f, 1000, 10), HIF_OK);
        assert_int_equal(puts_flush(&f->puts, &f->why), HIF_ENOSPC);
        assert_int_equal(f->pauses, 1);
        assert_non_null(strstr(f->why.text, "free some space"));
        puts_free(&f->puts);
        f->tp.project.store = f->tp.store;
        store_close(faulty);
}

/* Doubt does not last for ever: so many tries, then the store counts as unreachable. */
static void doubt_ends(void **state)
{
        struct fixture *f = *state;
        struct store_fault_rule down = {
            .op = STORE_PUT, .count = UINT64_MAX, .fault = STORE_FAULT_LATE};
        struct store *faulty;

        assert_int_equal(store_fault_new(&f->tp.env, f->tp.store, &faulty), HIF_OK);
        f->tp.project.store = faulty;
        assert_int_equal(store_fault_add(faulty, &down), HIF_OK);
        assert_int_equal(put(f, 1, 10), HIF_OK);
        assert_int_equal(puts_flush(&f->puts, &f->why), HIF_EUNREACHABLE);
        assert_int_equal(f->pauses, PUT_REPEATS - 1);
        puts_free(&f->puts);
        f->tp.project.store = f->tp.store;
        store_close(faulty);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(batches_fly_together),
            TEST(freeing_waits_for_what_is_in_flight),
            TEST(doubt_is_repeated_and_refusal_is_not),
            TEST(doubt_ends),
        };

        return cmocka_run_group_tests_name("puts", tests, NULL, NULL);
}
