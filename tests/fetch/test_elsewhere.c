/* Contents that lie neither where their entry says nor under their own name: the locator is asked. */
#include "tests/fetch/tfetch.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define COUNT 24

/* What the locator of these tests knows. */
struct known {
        struct fetch_want wants[COUNT]; /* as they are really stored */
        struct pack_loc wrong[3];       /* told before the right place */
        size_t wrong_count;
        bool nothing;
        _Atomic uint32_t calls, inside, inside_most;
        _Atomic bool hold; /* who asks stays inside */
};

struct fixture {
        struct tfetch t;
        struct known known;
};

static size_t find(void *arg, const struct hif_hash *hash, uint64_t content_size,
                   struct pack_loc *places, size_t most)
{
        struct known *known = arg;
        uint32_t inside = ++known->inside;
        size_t count = 0;

        assert_int_equal(most, FETCH_PLACES_MAX);
        known->calls++;
        if (inside > known->inside_most)
                known->inside_most = inside;
        while (known->hold)
                usleep(1000);
        for (size_t i = 0; i < COUNT && !known->nothing; i++) {
                if (!hash_eq(&known->wants[i].hash, hash))
                        continue;
                assert_int_equal(content_size, known->wants[i].size);
                memcpy(places, known->wrong, known->wrong_count * sizeof(places[0]));
                count = known->wrong_count;
                places[count++] = known->wants[i].loc;
        }
        known->inside--;
        return count;
}

static int start(void **state, size_t threads)
{
        struct fixture *f = calloc(1, sizeof(*f));
        struct tfetch_options options = {.threads = threads};

        assert_non_null(f);
        tfetch_start(&f->t, &options);
        tput_pack(&f->t, 10, 4000, COUNT, f->known.wants);
        fetch_origin_set_locator(f->t.origin,
                                 (struct fetch_locator){.find = find, .arg = &f->known});
        *state = f;
        return 0;
}

static int setup(void **state)
{
        return start(state, 0);
}

static int setup_threads(void **state)
{
        return start(state, 4);
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        tfetch_stop(&f->t);
        free(f);
        return 0;
}

/* As an entry has it whose pack has gone. */
static struct fetch_want lost(const struct fixture *f, size_t i)
{
        struct fetch_want want = f->known.wants[i];

        want.loc.pack.bytes[0] ^= 1;
        return want;
}

static void what_has_moved_is_found(void **state)
{
        struct fixture *f = *state;
        struct fetch_want want = lost(f, 3), nowhere = lost(f, 4);

        assert_int_equal(tget(&f->t, &want), HIF_OK);
        texpect_content(&f->t, &want, 13, 4000);
        nowhere.loc.size = 0; /* nor does its entry name a pack */
        assert_int_equal(tget(&f->t, &nowhere), HIF_OK);
        texpect_content(&f->t, &nowhere, 14, 4000);
        texpect(&f->t, elsewhere, 2);
        assert_int_equal(f->known.calls, 2);
}

/* Bytes under the blob's own name that stay wrong are no reason to give up either. */
static void a_damaged_object_is_found_elsewhere(void **state)
{
        struct fixture *f = *state;
        struct fetch_want own = tput_blob(&f->t, 12, 4000), want = lost(f, 2);
        struct layout_key key = tkey(&f->t, &own);

        assert_true(hash_eq(&own.hash, &want.hash));
        assert_true(store_mem_flip(f->t.mem, key.text, 8 * 700));
        assert_int_equal(tget(&f->t, &want), HIF_OK);
        texpect_content(&f->t, &want, 12, 4000);
}

/* What it says is a hint: each place is tried, and its bytes are held against the hash. */
static void places_are_tried_in_turn(void **state)
{
        struct fixture *f = *state;
        struct known *known = &f->known;
        struct fetch_want want = lost(f, 5);

        known->wrong_count = 3;
        for (size_t i = 0; i < 3; i++)
                known->wrong[i] = known->wants[5].loc;
        known->wrong[0].pack.bytes[1] ^= 1;
        known->wrong[1].offset++;
        known->wrong[2] = known->wants[6].loc;
        assert_int_equal(tget(&f->t, &want), HIF_OK);
        texpect_content(&f->t, &want, 15, 4000);
        assert_int_equal(known->calls, 1);
        assert_false(tresident(&f->t, &known->wants[6]));
}

/* The error is that of the places that the entry names, and the next who wants it asks again. */
static void what_is_nowhere_is_an_error(void **state)
{
        struct fixture *f = *state;
        struct fetch_want want = lost(f, 7), damaged = f->known.wants[8];
        struct layout_key key = tpack_key(&f->t, &damaged);

        f->known.nothing = true;
        for (uint32_t i = 1; i <= 2; i++) {
                assert_int_equal(tget(&f->t, &want), HIF_ENOENT);
                assert_int_equal(f->known.calls, i);
        }
        assert_true(store_mem_flip(f->t.mem, key.text, ((size_t)damaged.loc.offset + 2000) * 8));
        assert_int_equal(tget(&f->t, &damaged), HIF_ECORRUPT);
        f->known.nothing = false; /* it says the place where it is damaged */
        assert_int_equal(tget(&f->t, &damaged), HIF_ECORRUPT);
        assert_int_equal(tget(&f->t, &want), HIF_OK);
}

/* A store that is away, what is too large for packs or no blob, and what is only hinted at. */
static void not_everything_is_looked_for(void **state)
{
        struct fixture *f = *state;
        struct fetch_want want = lost(f, 9), large = {.kind = FETCH_BLOB, .hash = {{9}}};
        struct fetch_want node = {.kind = FETCH_NODE, .hash = {{9}}, .size = 100};

        tfault(&f->t, NULL, 0, UINT64_MAX, STORE_FAULT_FAIL, HIF_EUNREACHABLE);
        assert_int_equal(tget(&f->t, &want), HIF_EUNREACHABLE);
        store_fault_clear(f->t.store);
        large.size = BODY_PACK_BLOB_MAX + 1;
        assert_int_equal(tget(&f->t, &large), HIF_ENOENT);
        assert_int_equal(tget(&f->t, &node), HIF_ENOENT);
        fetch_hint(f->t.hints, &want, 1);
        fetch_quiesce(f->t.fetch);
        assert_int_equal(f->known.calls, 0);
        assert_int_equal(tget(&f->t, &want), HIF_OK);
        assert_int_equal(f->known.calls, 1);
}

/* A pack that is missing as a whole floods neither the store nor the pool with questions. */
static void one_is_looked_for_at_a_time(void **state)
{
        struct fixture *f = *state;
        struct twait waits[COUNT];

        f->known.hold = true;
        for (size_t i = 0; i < COUNT; i++) {
                struct fetch_want want = lost(f, i);

                twant(&f->t, &waits[i], &want, 1);
        }
        while (f->known.calls == 0)
                usleep(1000);
        usleep(20000); /* for those that should not come */
        f->known.hold = false;
        fetch_quiesce(f->t.fetch);
        for (size_t i = 0; i < COUNT; i++) {
                assert_int_equal(waits[i].err, HIF_OK);
                fetch_waiter_release(&waits[i].waiter);
        }
        assert_int_equal(f->known.calls, COUNT);
        assert_int_equal(f->known.inside_most, 1);
        texpect(&f->t, elsewhere, COUNT);
}

static void *free_origin(void *arg)
{
        fetch_origin_free(arg);
        return NULL;
}

/* Freeing the origin waits for the question that is just being asked, and for no other. */
static void an_origin_ends_amid_a_search(void **state)
{
        struct fixture *f = *state;
        struct twait waits[COUNT];
        struct fetch_origin *other;
        pthread_t thread;

        assert_int_equal(fetch_origin_new(f->t.fetch, f->t.store, &f->t.layout, &other), HIF_OK);
        fetch_origin_set_locator(other, (struct fetch_locator){.find = find, .arg = &f->known});
        f->known.hold = true;
        for (size_t i = 0; i < COUNT; i++) {
                struct fetch_want want = lost(f, i);

                waits[i] = (struct twait){0};
                twant(&f->t, &waits[i], &want, 1);
        }
        while (f->known.calls == 0)
                usleep(1000);
        fetch_hints_free(f->t.hints);
        assert_int_equal(pthread_create(&thread, NULL, free_origin, f->t.origin), 0);
        usleep(20000);
        f->known.hold = false;
        assert_int_equal(pthread_join(thread, NULL), 0);
        for (size_t i = 0; i < COUNT; i++) {
                assert_int_equal(waits[i].done, 1);
                assert_int_equal(waits[i].err, HIF_ECANCELED);
        }
        assert_int_equal(f->known.calls, 1);
        f->t.origin = other;
        assert_int_equal(fetch_hints_new(other, &f->t.hints), HIF_OK);
        for (size_t i = 0; i < COUNT; i++) {
                struct fetch_want want = lost(f, i);

                assert_int_equal(tget(&f->t, &want), HIF_OK);
        }
}

#define TEST(name)         cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_THREADS(name) cmocka_unit_test_setup_teardown(name, setup_threads, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(what_has_moved_is_found),
            TEST(a_damaged_object_is_found_elsewhere),
            TEST(places_are_tried_in_turn),
            TEST(what_is_nowhere_is_an_error),
            TEST(not_everything_is_looked_for),
            TEST_THREADS(one_is_looked_for_at_a_time),
            TEST_THREADS(an_origin_ends_amid_a_search),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
