/* The contract of store.h, held against every back end. */
#include "s3/place.h"
#include "tstore.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fixture {
        struct env env;
        struct store *store;
        struct store *inner; /* below faults */
        char *dir;
        struct place *place; /* owns the store */
        size_t key_max;
        bool far; /* where the contract leaves a back end the choice, S3 takes the other one */
};

/* --- objects --- */

/* What was put is what is got, in every size around the ones that code treats apart. */
static void object_comes_back_as_put(void **state)
{
        struct fixture *f = *state;
        static const size_t sizes[] = {0, 1, 48, 4095, 4096, 4097, 65536, 1000003};

        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
                uint8_t *bytes = malloc(sizes[i] + 1);
                struct store_req put = {.op = STORE_PUT, .key = "a/object"};
                struct store_req get = {.op = STORE_GET, .key = "a/object"};
                struct store_req head = {.op = STORE_HEAD, .key = "a/object"};

                for (size_t j = 0; j < sizes[i]; j++)
                        bytes[j] = (uint8_t)(j * 31 >> 3);
                put.body = span_of(bytes, sizes[i]);
                store_run(f->store, &put, 1);
                assert_int_equal(put.result, HIF_OK);
                store_run(f->store, &get, 1);
                assert_int_equal(get.result, HIF_OK);
                assert_true(span_eq(buf_span(&get.data), put.body));
                assert_int_equal(get.size, sizes[i]);
                assert_string_equal(get.tag.text, put.tag.text);
                store_run(f->store, &head, 1);
                assert_int_equal(head.result, HIF_OK);
                assert_int_equal(head.size, sizes[i]);
                assert_string_equal(head.tag.text, put.tag.text);
                store_req_free(&get);
                free(bytes);
        }
}

/* Where nothing is, GET and HEAD say so, and DELETE is content. */
static void absent_object_is_absent(void **state)
{
        struct fixture *f = *state;

        t_expect(f->store, "no/such/object", NULL);
        assert_int_equal(t_head(f->store, "no/such/object", NULL, NULL), HIF_ENOENT);
        assert_int_equal(t_delete(f->store, "no/such/object"), HIF_OK);
        assert_int_equal(t_put(f->store, STORE_PUT, "an/object", "x"), HIF_OK);
        t_expect(f->store, "an/object/below", NULL);
        t_expect(f->store, "an", NULL);
        assert_int_equal(t_head(f->store, "an", NULL, NULL), HIF_ENOENT);
}

/* An unconditional PUT replaces, and DELETE removes; what is deleted can be created again. */
static void put_replaces_and_delete_removes(void **state)
{
        struct fixture *f = *state;

        assert_int_equal(t_put(f->store, STORE_PUT, "k", "one"), HIF_OK);
        assert_int_equal(t_put(f->store, STORE_PUT, "k", "three"), HIF_OK);
        t_expect(f->store, "k", "three");
        assert_int_equal(t_delete(f->store, "k"), HIF_OK);
        t_expect(f->store, "k", NULL);
        assert_int_equal(t_put(f->store, STORE_PUT_NEW, "k", "new"), HIF_OK);
        t_expect(f->store, "k", "new");
}

/* --- conditions --- */

/* Create-only succeeds once; the loser changes nothing. */
static void put_new_succeeds_once(void **state)
{
        struct fixture *f = *state;

        assert_int_equal(t_put(f->store, STORE_PUT_NEW, "log/1", "first"), HIF_OK);
        assert_int_equal(t_put(f->store, STORE_PUT_NEW, "log/1", "second"), HIF_ELOST);
        assert_int_equal(t_put(f->store, STORE_PUT_NEW, "log/1", "first"), HIF_ELOST);
        t_expect(f->store, "log/1", "first");
}

/* A conditional replacement needs the present tag, and gives the next one. */
static void put_match_needs_the_present_tag(void **state)
{
        struct fixture *f = *state;
        struct store_tag stale, tag;

        assert_int_equal(t_put_tag(f->store, STORE_PUT_NEW, "head", "0", &tag), HIF_OK);
        stale = tag;
        assert_int_equal(t_put_match(f->store, "head", "1", &tag), HIF_OK);
        assert_string_not_equal(tag.text, stale.text);
        assert_string_equal(tag.text, t_tag(f->store, "head").text);
        assert_int_equal(t_put_match(f->store, "head", "x", &stale), HIF_ELOST);
        t_expect(f->store, "head", "1");
        assert_int_equal(t_put_match(f->store, "head", "2", &tag), HIF_OK);
        t_expect(f->store, "head", "2");
}

/* A tag from GET, from HEAD and from an unconditional PUT serve as conditions alike. */
static void every_source_of_a_tag_serves(void **state)
{
        struct fixture *f = *state;
        struct store_req get = {.op = STORE_GET, .key = "head"};
        struct store_tag tag;

        assert_int_equal(t_put_tag(f->store, STORE_PUT, "head", "0", &tag), HIF_OK);
        assert_int_equal(t_put_match(f->store, "head", "1", &tag), HIF_OK);
        tag = t_tag(f->store, "head");
        assert_int_equal(t_put_match(f->store, "head", "2", &tag), HIF_OK);
        get.range_size = 1;
        store_run(f->store, &get, 1);
        assert_int_equal(get.result, HIF_OK);
        assert_int_equal(t_put_match(f->store, "head", "3", &get.tag), HIF_OK);
        store_req_free(&get);
        t_expect(f->store, "head", "3");
}

/* What vanished is not replaced, and not created either. */
static void put_match_of_a_vanished_object_is_absent(void **state)
{
        struct fixture *f = *state;
        struct store_tag tag;
        enum hif_err err;

        assert_int_equal(t_put_tag(f->store, STORE_PUT, "head", "0", &tag), HIF_OK);
        assert_int_equal(t_delete(f->store, "head"), HIF_OK);
        err = t_put_match(f->store, "head", "1", &tag);
        assert_true(err == HIF_ENOENT || (f->far && err == HIF_ELOST));
        t_expect(f->store, "head", NULL);
}

/* Conditional replacement is for small objects, on both sides. */
static void put_match_is_bounded(void **state)
{
        struct fixture *f = *state;
        char large[STORE_MATCH_MAX + 2] = {0};
        struct store_tag tag;

        memset(large, 'x', STORE_MATCH_MAX);
        assert_int_equal(t_put_tag(f->store, STORE_PUT, "head", "0", &tag), HIF_OK);
        assert_int_equal(t_put_match(f->store, "head", large, &tag), HIF_OK);
        large[STORE_MATCH_MAX] = 'x';
        assert_int_equal(t_put_match(f->store, "head", large, &tag), HIF_ELIMIT);
        assert_int_equal(t_put_tag(f->store, STORE_PUT, "head", large, &tag), HIF_OK);
        assert_int_equal(t_put_match(f->store, "head", "1", &tag), f->far ? HIF_OK : HIF_ELIMIT);
}

#define RACERS 4
#define ROUNDS 25

struct racer {
        struct fixture *fixture;
        unsigned id;
        unsigned wins;
        unsigned unknown; /* tries that may have won */
        pthread_t thread;
};

static void *race_create(void *arg)
{
        struct racer *racer = arg;

        for (unsigned round = 0; round < ROUNDS; round++) {
                char key[32], text[16];
                enum hif_err err;

                snprintf(key, sizeof(key), "race/%03u", round);
                snprintf(text, sizeof(text), "%u", racer->id);
                err = t_put(racer->fixture->store, STORE_PUT_NEW, key, text);
                assert_true(err == HIF_OK || err == HIF_ELOST);
                racer->wins += err == HIF_OK;
        }
        return NULL;
}

static void *race_count(void *arg)
{
        struct racer *racer = arg;
        struct store *store = racer->fixture->store;

        while (racer->wins < ROUNDS) {
                struct store_req get = {.op = STORE_GET, .key = "counter"};
                char text[16] = {0};
                enum hif_err err;

                store_run(store, &get, 1);
                assert_int_equal(get.result, HIF_OK);
                memcpy(text, get.data.data, get.data.size);
                snprintf(text, sizeof(text), "%u", (unsigned)atoi(text) + 1);
                err = t_put_match(store, "counter", text, &get.tag);
                assert_true(err == HIF_OK || err == HIF_ELOST || err == HIF_EUNKNOWN);
                racer->wins += err == HIF_OK;
                racer->unknown += err == HIF_EUNKNOWN;
                store_req_free(&get);
        }
        return NULL;
}

/* unknown: NULL where no doubt is allowed. */
static unsigned race(struct fixture *f, void *(*run)(void *arg), unsigned *unknown)
{
        struct racer racers[RACERS];
        unsigned wins = 0, doubts = 0;

        for (unsigned i = 0; i < RACERS; i++) {
                racers[i] = (struct racer){.fixture = f, .id = i};
                assert_int_equal(pthread_create(&racers[i].thread, NULL, run, &racers[i]), 0);
        }
        for (unsigned i = 0; i < RACERS; i++) {
                assert_int_equal(pthread_join(racers[i].thread, NULL), 0);
                wins += racers[i].wins;
                doubts += racers[i].unknown;
        }
        if (unknown)
                *unknown = doubts;
        else
                assert_int_equal(doubts, 0);
        return wins;
}

/* Of threads that create the same keys, each key has exactly one winner. */
static void concurrent_creation_has_one_winner(void **state)
{
        assert_int_equal(race(*state, race_create, NULL), ROUNDS);
}

/* Threads that count up by conditional replacement lose no update. Near by, none is in doubt; S3
 * may leave one, which then has been counted or not. */
static void concurrent_replacement_loses_no_update(void **state)
{
        struct fixture *f = *state;
        struct store_req get = {.op = STORE_GET, .key = "counter"};
        char text[16] = {0};
        unsigned unknown = 0, total;

        assert_int_equal(t_put(f->store, STORE_PUT_NEW, "counter", "0"), HIF_OK);
        assert_int_equal(race(f, race_count, f->far ? &unknown : NULL), RACERS * ROUNDS);
        store_run(f->store, &get, 1);
        assert_int_equal(get.result, HIF_OK);
        assert_true(get.data.size < sizeof(text));
        memcpy(text, get.data.data, get.data.size);
        store_req_free(&get);
        total = (unsigned)atoi(text);
        assert_in_range(total, RACERS * ROUNDS, RACERS * ROUNDS + unknown);
}

/* --- ranges --- */

static enum hif_err get_range(struct store *store, const char *key, uint64_t start, uint64_t size,
                              uint64_t size_max, const char *expected)
{
        struct store_req req = {.op = STORE_GET,
                                .key = key,
                                .range_start = start,
                                .range_size = size,
                                .size_max = size_max};
        enum hif_err err;

        store_run(store, &req, 1);
        err = req.result;
        if (err == HIF_OK) {
                assert_true(span_eq(buf_span(&req.data), span_str(expected)));
                assert_int_equal(req.size, 10);
        }
        store_req_free(&req);
        return err;
}

/* A range is cut at the object's end; one that starts there is an error. */
static void ranges_are_cut_at_the_end(void **state)
{
        struct fixture *f = *state;

        assert_int_equal(t_put(f->store, STORE_PUT, "k", "0123456789"), HIF_OK);
        assert_int_equal(get_range(f->store, "k", 0, 4, 0, "0123"), HIF_OK);
        assert_int_equal(get_range(f->store, "k", 3, 4, 0, "3456"), HIF_OK);
        assert_int_equal(get_range(f->store, "k", 9, 1, 0, "9"), HIF_OK);
        assert_int_equal(get_range(f->store, "k", 7, 100, 0, "789"), HIF_OK);
        assert_int_equal(get_range(f->store, "k", 7, STORE_RANGE_END, 0, "789"), HIF_OK);
        assert_int_equal(get_range(f->store, "k", 10, 1, 0, NULL), HIF_EINVAL);
        assert_int_equal(get_range(f->store, "k", UINT64_MAX, STORE_RANGE_END, 0, NULL),
                         HIF_EINVAL);
}

/* The limit is on what would be answered, not on the object. */
static void answers_are_limited(void **state)
{
        struct fixture *f = *state;

        assert_int_equal(t_put(f->store, STORE_PUT, "k", "0123456789"), HIF_OK);
        assert_int_equal(get_range(f->store, "k", 0, 0, 10, "0123456789"), HIF_OK);
        assert_int_equal(get_range(f->store, "k", 0, 0, 9, NULL), HIF_ELIMIT);
        assert_int_equal(get_range(f->store, "k", 1, 9, 9, "123456789"), HIF_OK);
        assert_int_equal(get_range(f->store, "k", 0, 100, 9, NULL), HIF_ELIMIT);
}

/* --- lists --- */

static void put_keys(struct store *store, const char *const *keys)
{
        for (; *keys; keys++)
                assert_int_equal(t_put(store, STORE_PUT, *keys, "x"), HIF_OK);
}

/* Keys come in byte order of the whole key: '-' and '.' sort before '/', and '0' behind it. */
static void list_is_sorted_by_bytes(void **state)
{
        struct fixture *f = *state;

        put_keys(f->store, (const char *const[]){"b", "a/z", "a0", "a-", "a.b/c", "a/b/c", "a/b-",
                                                 "\xc3\xa9", "B", NULL});
        t_expect_list(f->store, "", NULL, 0, "B a- a.b/c a/b- a/b/c a/z a0 b \xc3\xa9");
}

/* A prefix is of bytes, not of components. */
static void list_keeps_to_the_prefix(void **state)
{
        struct fixture *f = *state;

        put_keys(f->store, (const char *const[]){"p/a", "p/ab/x", "p/abc", "p/b", "pa", "q", NULL});
        t_expect_list(f->store, "p/", NULL, 0, "p/a p/ab/x p/abc p/b");
        t_expect_list(f->store, "p/ab", NULL, 0, "p/ab/x p/abc");
        t_expect_list(f->store, "p/ab/", NULL, 0, "p/ab/x");
        t_expect_list(f->store, "p", NULL, 0, "p/a p/ab/x p/abc p/b pa");
        t_expect_list(f->store, "p/a", NULL, 0, "p/a p/ab/x p/abc");
        t_expect_list(f->store, "p/b/", NULL, 0, "");
        t_expect_list(f->store, "nothing/here/", NULL, 0, "");
}

/* start-after need not be a key, nor have the prefix. */
static void list_starts_after_a_key(void **state)
{
        struct fixture *f = *state;

        put_keys(f->store, (const char *const[]){"p/a", "p/b/c", "p/b/d", "p/c", NULL});
        t_expect_list(f->store, "p/", "p/a", 0, "p/b/c p/b/d p/c");
        t_expect_list(f->store, "p/", "p/b", 0, "p/b/c p/b/d p/c");
        t_expect_list(f->store, "p/", "p/b/", 0, "p/b/c p/b/d p/c");
        t_expect_list(f->store, "p/", "p/b/c", 0, "p/b/d p/c");
        t_expect_list(f->store, "p/", "p/b/cc", 0, "p/b/d p/c");
        t_expect_list(f->store, "p/", f->far ? "p/b/\xf4\x8f\xbf\xbf" : "p/b/\xff", 0, "p/c");
        t_expect_list(f->store, "p/", "p/b0", 0, "p/c");
        t_expect_list(f->store, "p/", "p/c", 0, "");
        t_expect_list(f->store, "p/", "o", 0, "p/a p/b/c p/b/d p/c");
        t_expect_list(f->store, "p/", "q", 0, "");
}

/* A cut list says that there is more, and goes on after its last key without gap or repetition. */
static void cut_list_goes_on(void **state)
{
        struct fixture *f = *state;

        put_keys(f->store, (const char *const[]){"p/a", "p/b/c", "p/b/d", "p/c", "q", NULL});
        t_expect_list(f->store, "p/", NULL, 3, "p/a p/b/c p/b/d ...");
        t_expect_list(f->store, "p/", "p/b/d", 3, "p/c");
        t_expect_list(f->store, "p/", NULL, 4, "p/a p/b/c p/b/d p/c");
        t_expect_list(f->store, "p/", "p/a", 1, "p/b/c ...");
}

/* Pages of any size add up to the same keys, over names that a seeded choice made. */
static void pages_add_up(void **state)
{
        struct fixture *f = *state;
        static const char alphabet[] = "ab-.0/";
        uint32_t seed = 7;
        char *all;

        for (size_t i = 0; i < 120; i++) {
                char key[16];
                size_t size = 0;

                while (size < 8) {
                        seed = seed * 1664525 + 1013904223;
                        key[size++] = alphabet[(seed >> 16) % 6];
                }
                key[size] = '\0';
                if (store_key_valid(key))
                        (void)t_put(f->store, STORE_PUT, key, "x");
        }
        all = t_list(f->store, "", NULL, 0);
        assert_true(strlen(all) > 9 * 10);
        for (size_t max = 1; max < 12; max += 5) {
                struct buf joined = {0};
                char after[STORE_KEY_MAX + 1] = "";
                bool more = true;

                while (more) {
                        struct store_req req = {
                            .op = STORE_LIST, .prefix = "", .key = after, .list_max = max};

                        store_run(f->store, &req, 1);
                        assert_int_equal(req.result, HIF_OK);
                        for (size_t i = 0; i < req.list.count; i++) {
                                snprintf(after, sizeof(after), "%s", req.list.items[i].key);
                                buf_printf(&joined, "%s%s", joined.size ? " " : "", after);
                        }
                        more = req.list.more;
                        store_req_free(&req);
                }
                buf_put_u8(&joined, 0);
                assert_string_equal((char *)joined.data, all);
                buf_free(&joined);
        }
        free(all);
}

/* Lists give sizes. */
static void list_gives_sizes(void **state)
{
        struct fixture *f = *state;
        struct store_req req = {.op = STORE_LIST, .prefix = "s/"};

        assert_int_equal(t_put(f->store, STORE_PUT, "s/five", "12345"), HIF_OK);
        assert_int_equal(t_put(f->store, STORE_PUT, "s/none", ""), HIF_OK);
        store_run(f->store, &req, 1);
        assert_int_equal(req.list.count, 2);
        assert_int_equal(req.list.items[0].size, 5);
        assert_int_equal(req.list.items[1].size, 0);
        store_req_free(&req);
}

/* --- keys and batches --- */

/* A malformed key reaches nothing. */
static void malformed_keys_are_refused(void **state)
{
        struct fixture *f = *state;
        char *component = calloc(1, 257);
        char *longest = calloc(1, STORE_KEY_MAX + 2);
        static const char *const bad[] = {"",     "/",    "/a",     "a/",   "a//b", ".",
                                          "..",   "../a", "a/../b", "a/..", "./a",  ".hif/tmp/x",
                                          "a/.b", "a\nb", "a\x7f",  "\x01"};

        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                assert_int_equal(t_put(f->store, STORE_PUT, bad[i], "x"), HIF_EINVAL);
                assert_int_equal(t_put(f->store, STORE_PUT_NEW, bad[i], "x"), HIF_EINVAL);
                assert_int_equal(t_head(f->store, bad[i], NULL, NULL), HIF_EINVAL);
                assert_int_equal(t_delete(f->store, bad[i]), HIF_EINVAL);
        }
        memset(component, 'c', 255);
        assert_int_equal(t_put(f->store, STORE_PUT, component, "x"), HIF_OK);
        component[255] = 'c';
        assert_int_equal(t_put(f->store, STORE_PUT, component, "x"), HIF_EINVAL);
        for (size_t i = 0; i < f->key_max; i++)
                longest[i] = i % 128 == 127 ? '/' : 'k';
        longest[f->key_max - 1] = 'k';
        assert_int_equal(t_put(f->store, STORE_PUT, longest, "x"), HIF_OK);
        t_expect(f->store, longest, "x");
        longest[f->key_max] = 'k';
        assert_int_equal(t_put(f->store, STORE_PUT, longest, "x"), HIF_EINVAL);
        free(component);
        free(longest);
}

/* Each request of a batch has its own result, whatever happens to the others. */
static void batch_answers_each(void **state)
{
        struct fixture *f = *state;
        struct store_req reqs[] = {
            {.op = STORE_PUT, .key = "b/1", .body = span_str("one")},
            {.op = STORE_PUT, .key = "../b", .body = span_str("bad")},
            {.op = STORE_PUT_NEW, .key = "b/old", .body = span_str("new")},
            {.op = STORE_PUT_NEW, .key = "b/2", .body = span_str("two")},
            {.op = STORE_HEAD, .key = "b/old"},
            {.op = STORE_GET, .key = "b/none"},
            {.op = STORE_DELETE, .key = "b/none"},
            {.op = STORE_PUT, .key = "c/3", .body = span_str("three")},
        };
        static const enum hif_err expected[] = {HIF_OK, HIF_EINVAL, HIF_ELOST, HIF_OK,
                                                HIF_OK, HIF_ENOENT, HIF_OK,    HIF_OK};

        assert_int_equal(t_put(f->store, STORE_PUT, "b/old", "old"), HIF_OK);
        store_run(f->store, reqs, 8);
        for (size_t i = 0; i < 8; i++)
                assert_int_equal(reqs[i].result, expected[i]);
        t_expect(f->store, "b/1", "one");
        t_expect(f->store, "b/2", "two");
        t_expect(f->store, "c/3", "three");
        t_expect(f->store, "b/old", "old");
        store_run(f->store, reqs, 0);
}

/* In a batch, too, exactly one of several creations of a key succeeds. */
static void batch_has_one_winner(void **state)
{
        struct fixture *f = *state;
        struct store_req reqs[40] = {0};
        size_t wins = 0;

        for (size_t i = 0; i < 40; i++) {
                reqs[i].op = STORE_PUT_NEW;
                reqs[i].key = "one/key";
                reqs[i].body = span_str("x");
        }
        store_run(f->store, reqs, 40);
        for (size_t i = 0; i < 40; i++) {
                assert_true(reqs[i].result == HIF_OK || reqs[i].result == HIF_ELOST);
                wins += reqs[i].result == HIF_OK;
        }
        assert_int_equal(wins, 1);
}

/* A large batch of creations is all there, each with its own content and its tag. */
static void large_batch_is_all_there(void **state)
{
        struct fixture *f = *state;
        enum { COUNT = 300 };
        struct store_req *reqs = calloc(COUNT, sizeof(*reqs));
        char(*keys)[32] = calloc(COUNT, sizeof(*keys));

        for (size_t i = 0; i < COUNT; i++) {
                snprintf(keys[i], sizeof(keys[i]), "trees/%02zx/%zu", i % 37, i);
                reqs[i] = (struct store_req){.op = i % 2 ? STORE_PUT : STORE_PUT_NEW,
                                             .key = keys[i],
                                             .body = span_str(keys[i])};
        }
        store_run(f->store, reqs, COUNT);
        for (size_t i = 0; i < COUNT; i++) {
                assert_int_equal(reqs[i].result, HIF_OK);
                t_expect(f->store, keys[i], keys[i]);
                assert_string_equal(reqs[i].tag.text, t_tag(f->store, keys[i]).text);
        }
        free(keys);
        free(reqs);
}

struct submitted {
        pthread_mutex_t mutex;
        pthread_cond_t cond;
        size_t done;
};

static void count_done(struct store_req *req)
{
        struct submitted *submitted = req->arg;

        pthread_mutex_lock(&submitted->mutex);
        submitted->done++;
        pthread_cond_signal(&submitted->cond);
        pthread_mutex_unlock(&submitted->mutex);
}

/* Each submitted request is done once, and may then be submitted again. */
static void submitted_requests_are_done_once(void **state)
{
        struct fixture *f = *state;
        struct submitted submitted = {.mutex = PTHREAD_MUTEX_INITIALIZER,
                                      .cond = PTHREAD_COND_INITIALIZER};
        struct store_req reqs[20] = {0};
        char keys[20][8];

        for (size_t round = 1; round <= 2; round++) {
                for (size_t i = 0; i < 20; i++) {
                        snprintf(keys[i], sizeof(keys[i]), "k%zu", i);
                        reqs[i].op = STORE_PUT;
                        reqs[i].key = keys[i];
                        reqs[i].body = span_str(keys[i]);
                        reqs[i].done = count_done;
                        reqs[i].arg = &submitted;
                        store_submit(f->store, &reqs[i]);
                }
                pthread_mutex_lock(&submitted.mutex);
                while (submitted.done < round * 20)
                        pthread_cond_wait(&submitted.cond, &submitted.mutex);
                pthread_mutex_unlock(&submitted.mutex);
        }
        for (size_t i = 0; i < 20; i++) {
                assert_int_equal(reqs[i].result, HIF_OK);
                t_expect(f->store, keys[i], keys[i]);
        }
        assert_int_equal(submitted.done, 40);
}

/* The counts are of what was asked and what was moved. */
static void requests_are_counted(void **state)
{
        struct fixture *f = *state;
        struct store_stats stats;

        assert_int_equal(t_put(f->store, STORE_PUT_NEW, "k", "12345"), HIF_OK);
        assert_int_equal(t_put(f->store, STORE_PUT_NEW, "k", "12345"), HIF_ELOST);
        t_expect(f->store, "k", "12345");
        t_expect(f->store, "none", NULL);
        assert_int_equal(t_put(f->store, STORE_PUT, "..", "12345"), HIF_EINVAL);
        stats = store_stats_get(f->store);
        assert_int_equal(stats.requests[STORE_PUT_NEW], 2);
        assert_int_equal(stats.requests[STORE_GET], 2);
        assert_int_equal(stats.bytes_put, 5);
        assert_int_equal(stats.bytes_got, 5);
        assert_int_equal(stats.failed, 1);
}

/* --- the back ends --- */

static struct fixture *fixture_new(void)
{
        struct fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        f->env = env_system(NULL);
        f->key_max = STORE_KEY_MAX;
        return f;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        if (f->place)
                place_free(f->place);
        else
                store_close(f->store);
        store_close(f->inner);
        if (f->dir)
                t_remove_tree(f->dir);
        free(f);
        return 0;
}

static int setup_mem(void **state)
{
        struct fixture *f = *state = fixture_new();

        return store_mem_new(&f->env, &f->store) != HIF_OK;
}

static int setup_fault(void **state)
{
        struct fixture *f = *state = fixture_new();

        if (store_mem_new(&f->env, &f->inner))
                return 1;
        return store_fault_new(&f->env, f->inner, &f->store) != HIF_OK;
}

static int setup_dir(void **state, size_t io_threads)
{
        struct fixture *f = *state = fixture_new();

        f->dir = t_temp_dir();
        return store_dir_open(&f->env, f->dir, true, io_threads, &f->store, NULL) != HIF_OK;
}

static int setup_dir_inline(void **state)
{
        return setup_dir(state, 0);
}

static int setup_dir_threads(void **state)
{
        return setup_dir(state, 4);
}

/* S3 counts the store's prefix as a part of the key. */
static size_t key_max_below(const char *url)
{
        const char *prefix = strchr(url + strlen("s3://"), '/');

        return STORE_KEY_MAX - (prefix ? strcspn(prefix, "?") : 0);
}

static int setup_place(void **state)
{
        struct fixture *f = *state = fixture_new();

        f->place = place_new(&f->env, place_asked());
        f->store = place_store(f->place);
        f->far = strncmp(place_asked(), "s3", 2) == 0;
        if (f->far)
                f->key_max = key_max_below(place_url(f->place));
        return 0;
}

#define CONTRACT(setup)                                                                            \
        {                                                                                          \
                EACH(object_comes_back_as_put, setup), EACH(absent_object_is_absent, setup),       \
                    EACH(put_replaces_and_delete_removes, setup),                                  \
                    EACH(put_new_succeeds_once, setup),                                            \
                    EACH(put_match_needs_the_present_tag, setup),                                  \
                    EACH(every_source_of_a_tag_serves, setup),                                     \
                    EACH(put_match_of_a_vanished_object_is_absent, setup),                         \
                    EACH(put_match_is_bounded, setup),                                             \
                    EACH(concurrent_creation_has_one_winner, setup),                               \
                    EACH(concurrent_replacement_loses_no_update, setup),                           \
                    EACH(ranges_are_cut_at_the_end, setup), EACH(answers_are_limited, setup),      \
                    EACH(list_is_sorted_by_bytes, setup), EACH(list_keeps_to_the_prefix, setup),   \
                    EACH(list_starts_after_a_key, setup), EACH(cut_list_goes_on, setup),           \
                    EACH(pages_add_up, setup), EACH(list_gives_sizes, setup),                      \
                    EACH(malformed_keys_are_refused, setup), EACH(batch_answers_each, setup),      \
                    EACH(batch_has_one_winner, setup), EACH(large_batch_is_all_there, setup),      \
                    EACH(submitted_requests_are_done_once, setup),                                 \
                    EACH(requests_are_counted, setup),                                             \
        }
#define EACH(test, setup) cmocka_unit_test_setup_teardown(test, setup, teardown)

/* With HIF_TEST_STORE (see s3/place.h) that back end; without, all that need nothing. */
int main(void)
{
        const struct CMUnitTest place[] = CONTRACT(setup_place);
        const struct CMUnitTest mem[] = CONTRACT(setup_mem);
        const struct CMUnitTest fault[] = CONTRACT(setup_fault);
        const struct CMUnitTest dir_inline[] = CONTRACT(setup_dir_inline);
        const struct CMUnitTest dir_threads[] = CONTRACT(setup_dir_threads);
        int failed = 0;

        if (place_asked())
                return cmocka_run_group_tests_name(place_asked(), place, NULL, NULL);
        failed += cmocka_run_group_tests_name("store_contract/mem", mem, NULL, NULL);
        failed += cmocka_run_group_tests_name("store_contract/fault", fault, NULL, NULL);
        failed +=
            cmocka_run_group_tests_name("store_contract/dir, no threads", dir_inline, NULL, NULL);
        failed +=
            cmocka_run_group_tests_name("store_contract/dir, 4 threads", dir_threads, NULL, NULL);
        return failed;
}
