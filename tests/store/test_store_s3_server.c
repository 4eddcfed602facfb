/* What only a real S3 server shows: uploads in parts, keys that need encoding, a bucket that is not
 * there. Runs on the back end that HIF_TEST_STORE asks for. */
#include "s3/place.h"
#include "store/s3/impl.h"
#include "tstore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fixture {
        struct env env;
        struct place *place;
        struct store *store;
};

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        f->env = env_system(NULL);
        f->place = place_new(&f->env, place_asked() ? place_asked() : "s3");
        f->store = place_store(f->place);
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        place_free(f->place);
        free(f);
        return 0;
}

/* A body in parts comes back whole, with a tag that GET and HEAD agree on. */
static void body_in_parts_comes_back(void **state)
{
        struct fixture *f = *state;
        size_t size = ((size_t)13 << 20) + 7;
        uint8_t *bytes = malloc(size);
        struct store_req put = {.op = STORE_PUT, .key = "large", .body = span_of(bytes, size)};
        struct store_req get = {.op = STORE_GET, .key = "large"};
        struct store_tag tag;

        for (size_t i = 0; i < size; i++)
                bytes[i] = (uint8_t)(i * 2654435761u >> 11);
        s3_of(f->store)->multipart_size = (size_t)8 << 20;
        s3_of(f->store)->part_size = (size_t)5 << 20; /* S3's least */
        for (int round = 0; round < 2; round++) {
                bytes[0] ^= 1;
                store_run(f->store, &put, 1);
                assert_int_equal(put.result, HIF_OK);
                assert_non_null(strchr(put.tag.text, '-'));
                assert_int_equal(t_head(f->store, "large", NULL, &tag), HIF_OK);
                assert_string_equal(tag.text, put.tag.text);
                store_run(f->store, &get, 1);
                assert_int_equal(get.result, HIF_OK);
                assert_true(span_eq(buf_span(&get.data), put.body));
                store_req_free(&get);
        }
        free(bytes);
}

/* Keys with every kind of byte that has to be encoded. */
static void keys_are_encoded(void **state)
{
        struct fixture *f = *state;
        static const char *const keys[] = {"a b",
                                           "a+b",
                                           "a%20b",
                                           "a%b",
                                           "a=b&c=d",
                                           "a?b#c",
                                           "a;b,c:d@e",
                                           "a~b_",
                                           "a'(b)",
                                           "a!*$",
                                           "\xc3\xa9/\xe4\xb8\xad",
                                           "a\"b<c>",
                                           "a\\b^c`{|}",
                                           "a..b/c.."};

        for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
                char after[64];

                assert_int_equal(t_put(f->store, STORE_PUT_NEW, keys[i], keys[i]), HIF_OK);
                assert_int_equal(t_put(f->store, STORE_PUT_NEW, keys[i], "x"), HIF_ELOST);
                t_expect(f->store, keys[i], keys[i]);
                t_expect_list(f->store, keys[i], NULL, 0, keys[i]);
                snprintf(after, sizeof(after), "%s", keys[i]);
                t_expect_list(f->store, keys[i], after, 0, "");
                assert_int_equal(t_delete(f->store, keys[i]), HIF_OK);
                t_expect(f->store, keys[i], NULL);
        }
}

/* More keys than a page holds. */
static void long_lists_are_whole(void **state)
{
        struct fixture *f = *state;
        enum { COUNT = 2100 };
        struct store_req *reqs = calloc(COUNT, sizeof(*reqs));
        char(*keys)[16] = calloc(COUNT, sizeof(*keys));
        struct store_req list = {.op = STORE_LIST, .prefix = "l/", .list_max = 5000};

        for (size_t i = 0; i < COUNT; i++) {
                snprintf(keys[i], sizeof(keys[i]), "l/%05zu", i);
                reqs[i] = (struct store_req){.op = STORE_PUT, .key = keys[i]};
        }
        store_run(f->store, reqs, COUNT);
        for (size_t i = 0; i < COUNT; i++)
                assert_int_equal(reqs[i].result, HIF_OK);
        store_run(f->store, &list, 1);
        assert_int_equal(list.result, HIF_OK);
        assert_false(list.list.more);
        assert_int_equal(list.list.count, COUNT);
        for (size_t i = 0; i < COUNT; i++)
                assert_string_equal(list.list.items[i].key, keys[i]);
        store_req_free(&list);
        list.list_max = 1500;
        store_run(f->store, &list, 1);
        assert_true(list.list.more);
        assert_int_equal(list.list.count, 1500);
        store_req_free(&list);
        free(keys);
        free(reqs);
}

/* A bucket that is not there is told when the store is opened to be written to. */
static void missing_bucket_is_told(void **state)
{
        struct fixture *f = *state;
        struct hif_why why = {.text = ""};
        struct store *store;

        assert_int_equal(store_open(&f->env, "s3://no-such-bucket/x", true, &store, &why), HIF_EIO);
        assert_non_null(strstr(why.text, "NoSuchBucket"));
        assert_non_null(strstr(why.text, "no-such-bucket"));
        assert_int_equal(store_open(&f->env, "s3://no-such-bucket/x", false, &store, &why), HIF_OK);
        assert_int_equal(t_put(store, STORE_PUT, "k", "x"), HIF_EIO);
        assert_true(store_why(store, HIF_EIO, &why));
        assert_non_null(strstr(why.text, "NoSuchBucket"));
        store_close(store);
}

/* A key that the server does not take: refused, and said so. */
static void wrong_secret_is_told(void **state)
{
        struct fixture *f = *state;
        const char *secret = getenv("AWS_SECRET_ACCESS_KEY");
        char *kept = strdup(secret ? secret : "");
        struct hif_why why = {.text = ""};
        struct store *store;

        assert_int_equal(setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret", 1), 0);
        assert_int_equal(store_open(&f->env, place_url(f->place), true, &store, &why), HIF_EDENIED);
        assert_int_equal(setenv("AWS_SECRET_ACCESS_KEY", kept, 1), 0);
        assert_non_null(strstr(why.text, "SignatureDoesNotMatch"));
        assert_null(strstr(why.text, "not-the-secret"));
        free(kept);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            EACH(body_in_parts_comes_back), EACH(keys_are_encoded),     EACH(long_lists_are_whole),
            EACH(missing_bucket_is_told),   EACH(wrong_secret_is_told),
        };

        return cmocka_run_group_tests_name("store_s3_server", tests, NULL, NULL);
}
