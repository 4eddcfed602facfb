/* Wanting objects: one request, verified bytes, pins, deadlines. All in one thread. */
#include "tfetch.h"

#include <stdlib.h>

static int setup(void **state)
{
        struct tfetch *t = malloc(sizeof(*t));

        assert_non_null(t);
        tfetch_start(t, &(struct tfetch_options){.simulated = true,
                                                 .config = {.ram_max = 8 << 20, .no_timer = true}});
        *state = t;
        return 0;
}

static int teardown(void **state)
{
        tfetch_stop(*state);
        free(*state);
        return 0;
}

/* Nothing is there before it is wanted; then it is, with its content, and stays. */
static void wanted_object_becomes_resident(void **state)
{
        struct tfetch *t = *state;
        struct fetch_want want = tput_blob(t, 1, 5000);
        struct twait wait;

        assert_false(tresident(t, &want));
        twant(t, &wait, &want, 1);
        assert_int_equal(wait.done, 0);
        pool_drain(t->pool);
        assert_int_equal(wait.done, 1);
        assert_int_equal(wait.err, HIF_OK);
        texpect(t, pinned_bytes, fetch_stats(t->fetch).ram_bytes);
        fetch_waiter_release(&wait.waiter);
        texpect(t, pinned_bytes, 0);
        texpect_content(t, &want, 1, 5000);
        assert_int_equal(tgets(t), 1);
}

/* However many want an object, the store is asked once. */
static void one_request_serves_all_waiters(void **state)
{
        struct tfetch *t = *state;
        struct fetch_want want = tput_blob(t, 1, 5000);
        struct twait waits[20];

        for (size_t i = 0; i < 20; i++)
                twant(t, &waits[i], &want, 1);
        pool_drain(t->pool);
        for (size_t i = 0; i < 20; i++) {
                assert_int_equal(waits[i].err, HIF_OK);
                assert_int_equal(waits[i].done, 1);
                fetch_waiter_release(&waits[i].waiter);
        }
        assert_int_equal(tgets(t), 1);
        texpect(t, pinned_bytes, 0);
}

/* The same object twice in one want is two pins on one object. */
static void duplicate_wants_are_served_together(void **state)
{
        struct tfetch *t = *state;
        struct fetch_want want = tput_blob(t, 1, 5000);
        struct fetch_want wants[2] = {want, want};
        struct twait wait;

        twant(t, &wait, wants, 2);
        pool_drain(t->pool);
        assert_int_equal(wait.err, HIF_OK);
        assert_ptr_equal(wait.waiter.refs[0], wait.waiter.refs[1]);
        fetch_waiter_release(&wait.waiter);
        assert_int_equal(tgets(t), 1);
}

/* A want of nothing, and of what is resident, is answered at once. */
static void resident_wants_are_answered_at_once(void **state)
{
        struct tfetch *t = *state;
        struct fetch_want want = tput_blob(t, 1, 5000);
        struct twait wait;

        twant(t, &wait, &want, 0);
        assert_int_equal(wait.done, 1);
        fetch_waiter_release(&wait.waiter);
        assert_int_equal(tget(t, &want), HIF_OK);
        twant(t, &wait, &want, 1);
        assert_int_equal(wait.done, 1);
        assert_int_equal(wait.err, HIF_OK);
        fetch_waiter_release(&wait.waiter);
}

/* What the store lacks is ENOENT, and nothing stays pinned of the others. */
static void missing_object_fails_the_waiter(void **state)
{
        struct tfetch *t = *state;
        struct fetch_want wants[2] = {tput_blob(t, 1, 5000), {.kind = FETCH_BLOB, .hash = {{9}}}};
        struct twait wait;

        twant(t, &wait, wants, 2);
        pool_drain(t->pool);
        assert_int_equal(wait.done, 1);
        assert_int_equal(wait.err, HIF_ENOENT);
        texpect(t, pinned_bytes, 0);
        fetch_waiter_release(&wait.waiter);
}

/* I3: bytes that do not match are never served; they are asked for once more, and then an error. */
static void corrupt_object_is_refetched_once(void **state)
{
        struct tfetch *t = *state;
        struct fetch_want want = tput_blob(t, 1, 5000);
        struct layout_key key = tkey(t, &want);

        assert_true(store_mem_flip(t->mem, key.text, 8 * 700));
        assert_int_equal(tget(t, &want), HIF_ECORRUPT);
        assert_int_equal(tgets(t), 2);
        assert_false(tresident(t, &want));
        texpect(t, corrupt, 2);
        texpect(t, refetched, 1);
}

/* A flip on the way is healed by the second try. */
static void flip_on_the_way_is_healed(void **state)
{
        struct tfetch *t = *state;
        struct fetch_want want = tput_blob(t, 1, 5000);

        tfault(t, "blobs/", 0, 1, STORE_FAULT_FLIP, HIF_OK);
        assert_int_equal(tget(t, &want), HIF_OK);
        texpect_content(t, &want, 1, 5000);
        assert_int_equal(tgets(t), 2);
}

/* Valid bytes under another object's name are as wrong as garbage; so are nodes that do not decode
 * and lists that do not open. */
static void object_under_a_wrong_name_is_refused(void **state)
{
        struct tfetch *t = *state;
        struct fetch_want a = tput_blob(t, 1, 5000), b = tput_blob(t, 2, 5000);
        struct layout_key key_a = tkey(t, &a), key_b = tkey(t, &b);
        struct store_req req = {
            .op = STORE_PUT, .key = key_b.text, .body = store_mem_peek(t->mem, key_a.text)};

        store_run(t->store, &req, 1);
        assert_int_equal(req.result, HIF_OK);
        assert_int_equal(tget(t, &b), HIF_ECORRUPT);
        b = a;
        b.kind = FETCH_CHUNKS;
        assert_int_equal(tget(t, &b), HIF_ECORRUPT);
        assert_int_equal(tget(t, &a), HIF_OK);
}

/* A store that is away is said to be away. */
static void unreachable_store_is_reported(void **state)
{
        struct tfetch *t = *state;
        struct fetch_want wants[3], want = tput_blob(t, 1, 5000);

        tfault(t, NULL, 0, UINT64_MAX, STORE_FAULT_FAIL, HIF_EUNREACHABLE);
        assert_int_equal(tget(t, &want), HIF_EUNREACHABLE);
        tput_pack(t, 10, 4000, 3, wants);
        assert_int_equal(tget(t, &wants[1]), HIF_EUNREACHABLE);
        store_fault_clear(t->store);
        assert_int_equal(tget(t, &want), HIF_OK);
        assert_int_equal(tget(t, &wants[1]), HIF_OK);
}

/* --- locations --- */

/* A location makes a ranged GET of the pack; neighbours come with one request. */
static void neighbours_in_a_pack_are_one_request(void **state)
{
        struct tfetch *t = *state;
        struct fetch_want wants[40];
        struct twait wait;

        tput_pack(t, 10, 4000, 40, wants);
        twant(t, &wait, wants, 40);
        pool_drain(t->pool);
        assert_int_equal(wait.err, HIF_OK);
        fetch_waiter_release(&wait.waiter);
        for (size_t i = 0; i < 40; i++)
                texpect_content(t, &wants[i], 10 + i, 4000);
        assert_int_equal(tgets(t), 1);
        texpect(t, store_blobs, 40);
}

/* A location that is wrong in any way costs a request, not the answer. */
static void wrong_location_falls_back_to_the_object(void **state)
{
        struct tfetch *t = *state;
        struct fetch_want packed[2], want;
        struct pack_loc wrong[5];

        tput_pack(t, 10, 4000, 2, packed);
        for (size_t i = 0; i < 5; i++)
                wrong[i] = packed[1].loc;
        wrong[0].pack.bytes[0] ^= 1; /* no such pack */
        wrong[1].offset -= 1;        /* not a frame */
        wrong[2] = packed[0].loc;    /* another blob's */
        wrong[3].offset = 1u << 30;  /* past the end */
        wrong[4].size = UINT32_MAX;  /* absurd */
        for (size_t i = 0; i < 5; i++) {
                want = tput_blob(t, 100 + i, 4000);
                want.loc = wrong[i];
                assert_int_equal(tget(t, &want), HIF_OK);
                texpect_content(t, &want, 100 + i, 4000);
        }
}

/* A blob that is only in its pack is found there after a flip on the way, and a lasting flip is
 * ECORRUPT, although the object of its own does not exist. */
static void flipped_pack_is_refetched_then_corrupt(void **state)
{
        struct tfetch *t = *state;
        struct fetch_want wants[3];
        struct layout_key key;

        tput_pack(t, 10, 4000, 3, wants);
        tfault(t, "packs/", 0, 1, STORE_FAULT_TRUNCATE, HIF_OK);
        assert_int_equal(tget(t, &wants[0]), HIF_OK);
        key = tpack_key(t, &wants[1]);
        assert_true(store_mem_flip(t->mem, key.text, ((size_t)wants[1].loc.offset + 2000) * 8));
        assert_int_equal(tget(t, &wants[1]), HIF_ECORRUPT);
        assert_int_equal(tget(t, &wants[2]), HIF_OK);
}

/* One bad blob of a shared request does not spoil the others. */
static void bad_neighbour_spoils_nothing(void **state)
{
        struct tfetch *t = *state;
        struct fetch_want wants[10];
        struct layout_key key;
        struct twait waits[10];

        tput_pack(t, 10, 4000, 10, wants);
        key = tpack_key(t, &wants[4]);
        assert_true(store_mem_flip(t->mem, key.text, ((size_t)wants[4].loc.offset + 2000) * 8));
        for (size_t i = 0; i < 10; i++)
                twant(t, &waits[i], &wants[i], 1);
        fetch_quiesce(t->fetch);
        for (size_t i = 0; i < 10; i++) {
                assert_int_equal(waits[i].err, i == 4 ? HIF_ECORRUPT : HIF_OK);
                fetch_waiter_release(&waits[i].waiter);
        }
}

/* The same blob wanted of two projects, and only the second has it: both get their answer. */
static void other_project_serves_its_own_waiters(void **state)
{
        struct tfetch *t = *state;
        struct fetch_want want = tput_blob(t, 1, 5000);
        struct fetch_origin *other;
        struct layout layout;
        struct twait here, there;

        assert_int_equal(layout_init(&layout, "acme/other", NULL), HIF_OK);
        assert_int_equal(fetch_origin_new(t->fetch, t->store, &layout, &other), HIF_OK);
        tfault(t, NULL, 0, 1, STORE_FAULT_HOLD, HIF_OK);
        there = (struct twait){.waiter.done = NULL};
        here = there;
        {
                struct fetch_origin *mine = t->origin;

                t->origin = other;
                twant(t, &there, &want, 1);
                t->origin = mine;
        }
        twant(t, &here, &want, 1);
        store_fault_deliver(t->store);
        fetch_quiesce(t->fetch);
        assert_int_equal(there.err, HIF_ENOENT);
        assert_int_equal(here.err, HIF_OK);
        assert_int_equal(here.done + there.done, 2);
        fetch_waiter_release(&here.waiter);
        fetch_origin_free(other);
}

/* --- time and pins --- */

/* A store that does not answer: ETIMEDOUT at the deadline, not before, and the download goes on. */
static void silent_store_times_out_and_delivers_later(void **state)
{
        struct tfetch *t = *state;
        struct fetch_want want = tput_blob(t, 1, 5000);
        struct twait wait;

        tfault(t, NULL, 0, 1, STORE_FAULT_HOLD, HIF_OK);
        twant(t, &wait, &want, 1);
        simenv_advance(t->sim, 29999ull * 1000000);
        fetch_tick(t->fetch);
        assert_int_equal(wait.done, 0);
        simenv_advance(t->sim, 1000000);
        fetch_tick(t->fetch);
        assert_int_equal(wait.done, 1);
        assert_int_equal(wait.err, HIF_ETIMEDOUT);
        store_fault_deliver(t->store);
        fetch_quiesce(t->fetch);
        assert_int_equal(wait.done, 1);
        texpect_content(t, &want, 1, 5000);
        texpect(t, pinned_bytes, 0);
}

/* Pins are granted within half of the RAM tier: the second of two big requests waits unissued, and
 * so neither can evict what the other got. */
static void big_requests_go_one_after_the_other(void **state)
{
        struct tfetch *t = *state;
        struct fetch_want wants[2][3];
        struct twait waits[2];

        for (size_t i = 0; i < 6; i++)
                wants[i / 3][i % 3] = tput_blob(t, i, 1 << 20);
        twant(t, &waits[0], wants[0], 3);
        twant(t, &waits[1], wants[1], 3);
        pool_drain(t->pool);
        assert_int_equal(waits[0].done, 1);
        assert_int_equal(waits[1].done, 0);
        assert_int_equal(tgets(t), 3);
        for (size_t i = 0; i < 3; i++)
                texpect_content(t, &wants[0][i], i, 1 << 20);
        fetch_waiter_release(&waits[0].waiter);
        pool_drain(t->pool);
        assert_int_equal(waits[1].err, HIF_OK);
        for (size_t i = 0; i < 3; i++)
                texpect_content(t, &wants[1][i], 3 + i, 1 << 20);
        fetch_waiter_release(&waits[1].waiter);
        assert_true(fetch_stats(t->fetch).ram_bytes <= 8 << 20);
}

/* Requests that hold all the budget while they wait for more do not wait for ever. */
static void holders_that_want_more_are_let_through(void **state)
{
        struct tfetch *t = *state;
        struct fetch_want first = tput_blob(t, 1, 3 << 20), second = tput_blob(t, 2, 3 << 20);
        struct twait waits[2];

        twant(t, &waits[0], &first, 1);
        pool_drain(t->pool);
        assert_int_equal(waits[0].done, 1);
        twant(t, &waits[1], &second, 1);
        pool_drain(t->pool);
        fetch_tick(t->fetch);
        assert_int_equal(waits[1].done, 0);
        simenv_advance(t->sim, 200 * 1000000);
        fetch_tick(t->fetch);
        pool_drain(t->pool);
        assert_int_equal(waits[1].done, 1);
        assert_int_equal(waits[1].err, HIF_OK);
        fetch_waiter_release(&waits[0].waiter);
        fetch_waiter_release(&waits[1].waiter);
}

/* A tree may claim absurd sizes: they are no reason to wait, nor to overflow. */
static void claimed_sizes_are_not_believed(void **state)
{
        struct tfetch *t = *state;
        struct fetch_want wants[3];
        struct twait wait;

        for (size_t i = 0; i < 3; i++) {
                wants[i] = tput_blob(t, i, 3000);
                wants[i].size = UINT64_MAX - 1000 * i;
        }
        fetch_hint(t->hints, &wants[0], 1);
        twant(t, &wait, &wants[1], 2);
        fetch_quiesce(t->fetch);
        assert_int_equal(wait.err, HIF_OK);
        fetch_waiter_release(&wait.waiter);
        wants[0].size = 3000;
        assert_int_equal(tget(t, &wants[0]), HIF_OK);
        for (size_t i = 0; i < 3; i++)
                texpect_content(t, &wants[i], i, 3000);
}

/* Nor are they one for others: whoever wants something else while the store is slow with one such gets
 * it. */
static void claimed_sizes_keep_nobody_out(void **state)
{
        struct tfetch *t = *state;
        struct fetch_want claims = tput_blob(t, 1, 3000), honest = tput_blob(t, 2, 3000);
        struct twait waits[2];

        t->config.ram_max = 64 << 20;
        tfetch_restart(t);
        claims.size = UINT64_MAX / 2;
        tfault(t, NULL, 0, 1, STORE_FAULT_HOLD, HIF_OK);
        twant(t, &waits[0], &claims, 1);
        twant(t, &waits[1], &honest, 1);
        pool_drain(t->pool);
        assert_int_equal(waits[0].done, 0);
        assert_int_equal(waits[1].done, 1);
        assert_int_equal(waits[1].err, HIF_OK);
        store_fault_deliver(t->store);
        fetch_quiesce(t->fetch);
        assert_int_equal(waits[0].err, HIF_OK);
        for (size_t i = 0; i < 2; i++)
                fetch_waiter_release(&waits[i].waiter);
}

/* At most requests_max are at the store at a time; the others follow. */
static void requests_in_flight_are_bounded(void **state)
{
        struct tfetch *t = *state;
        struct fetch_want wants[40];
        struct twait wait;

        t->config.requests_max = 8;
        tfetch_restart(t);
        for (size_t i = 0; i < 40; i++)
                wants[i] = tput_blob(t, i, 3000);
        tfault(t, NULL, 0, UINT64_MAX, STORE_FAULT_HOLD, HIF_OK);
        twant(t, &wait, wants, 40);
        assert_int_equal(store_fault_waiting(t->store), 8);
        store_fault_clear(t->store);
        store_fault_deliver(t->store);
        fetch_quiesce(t->fetch);
        assert_int_equal(wait.err, HIF_OK);
        fetch_waiter_release(&wait.waiter);
}

/* Who frees an origin cancels what is queued, and gets what is in flight over with. */
static void freeing_an_origin_cancels(void **state)
{
        struct tfetch *t = *state;
        struct fetch_want want = tput_blob(t, 1, 5000);
        struct fetch_origin *other;
        struct fetch_origin *mine = t->origin;
        struct twait wait;

        assert_int_equal(fetch_origin_new(t->fetch, t->store, &t->layout, &other), HIF_OK);
        t->origin = other;
        twant(t, &wait, &want, 1);
        t->origin = mine;
        fetch_origin_free(other);
        assert_int_equal(wait.done, 1);
        assert_int_equal(wait.err, HIF_ECANCELED);
}

/* Nodes and lists come through as what they are; a tree can be read through fetch. */
static void tree_is_read_through_faults(void **state)
{
        struct tfetch *t = *state;
        struct hif_hash root = tput_tree(t, "src", 3000, 100, NULL);
        struct fetch_nodes_blocking nodes;
        struct fetch_nodes peek;
        struct tree_params params = tree_params_default(7);
        struct hif_why why = {""};
        uint64_t count;
        int rounds = 0;
        enum hif_err err;

        fetch_nodes_init(&peek, t->fetch);
        do {
                struct twait wait;

                peek.want_count = 0;
                err = tree_touch(&peek.source, &root, span_str(""), span_str(""), 10000);
                if (err == HIF_EMISS) {
                        twant(t, &wait, peek.wants, peek.want_count);
                        fetch_quiesce(t->fetch);
                        assert_int_equal(wait.err, HIF_OK);
                        fetch_waiter_release(&wait.waiter);
                }
        } while (err == HIF_EMISS && rounds++ < 10);
        assert_int_equal(err, HIF_OK);
        assert_in_range(rounds, 1, 4);
        fetch_nodes_blocking_init(&nodes, t->origin);
        assert_int_equal(tree_count(&nodes.source, &root, &count), HIF_OK);
        assert_int_equal(count, 3002);
        tfetch_restart(t);
        fetch_nodes_blocking_init(&nodes, t->origin);
        err = tree_verify(&nodes.source, &params, &root, &why);
        if (err)
                fail_msg("%s", why.text);
        texpect(t, pinned_bytes, 0);
        texpect(t, store_blobs, 0);
}

/* Nodes that were made here are there for everyone, and nobody asks the store for them. */
static void nodes_made_here_are_not_fetched(void **state)
{
        struct tfetch *t = *state;
        struct hif_hash root = tput_tree(t, "", 3, 100, NULL);
        struct fetch_want want = {.kind = FETCH_NODE, .hash = root};
        struct fetch_nodes_made made;
        struct fetch_ref *ref;
        AUTO_BUF struct buf bytes = {0};
        uint64_t gets;

        assert_int_equal(tget(t, &want), HIF_OK);
        assert_int_equal(fetch_peek(t->fetch, FETCH_NODE, &root, &ref), HIF_OK);
        buf_put_span(&bytes, fetch_ref_bytes(ref));
        fetch_unref(ref);
        tfetch_restart(t);
        assert_false(tresident(t, &want));
        gets = tgets(t);
        fetch_nodes_made_init(&made, t->origin);
        for (int i = 0; i < 2; i++) /* and again, which changes nothing */
                assert_int_equal(made.sink.put(&made.sink, &root, buf_span(&bytes)), HIF_OK);
        assert_true(tresident(t, &want));
        assert_int_equal(tget(t, &want), HIF_OK);
        assert_int_equal(tgets(t), gets);
        texpect(t, ram_objects, 1);
        texpect(t, pinned_bytes, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(wanted_object_becomes_resident),
            TEST(one_request_serves_all_waiters),
            TEST(duplicate_wants_are_served_together),
            TEST(resident_wants_are_answered_at_once),
            TEST(missing_object_fails_the_waiter),
            TEST(corrupt_object_is_refetched_once),
            TEST(flip_on_the_way_is_healed),
            TEST(object_under_a_wrong_name_is_refused),
            TEST(unreachable_store_is_reported),
            TEST(neighbours_in_a_pack_are_one_request),
            TEST(wrong_location_falls_back_to_the_object),
            TEST(flipped_pack_is_refetched_then_corrupt),
            TEST(bad_neighbour_spoils_nothing),
            TEST(other_project_serves_its_own_waiters),
            TEST(silent_store_times_out_and_delivers_later),
            TEST(big_requests_go_one_after_the_other),
            TEST(holders_that_want_more_are_let_through),
            TEST(claimed_sizes_are_not_believed),
            TEST(claimed_sizes_keep_nobody_out),
            TEST(requests_in_flight_are_bounded),
            TEST(freeing_an_origin_cancels),
            TEST(tree_is_read_through_faults),
            TEST(nodes_made_here_are_not_fetched),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
