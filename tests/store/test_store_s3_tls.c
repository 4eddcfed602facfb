/* The way to the server: TLS and its certificates, proxies. */
#include "aws/sign.h"
#include "ts3.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fixture {
        struct ts3 *s3;
        char *dir;
        char certificate[256];
};

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        f->dir = t_temp_dir();
        snprintf(f->certificate, sizeof(f->certificate), "%s/ca.pem", f->dir);
        assert_int_equal(ts3_setup((void **)&f->s3), 0);
        tserver_stop(f->s3->server);
        f->s3->server = tserver_start_tls(f->certificate);
        f->s3->config.endpoint = tserver_url(f->s3->server);
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;
        void *s3 = f->s3;

        assert_int_equal(ts3_teardown(&s3), 0);
        t_remove_tree(f->dir);
        free(f);
        return 0;
}

static void expect_sent(struct ts3 *s3, size_t index, const char *text)
{
        if (!tserver_saw(s3->server, index, text))
                fail_msg("request %zu lacks \"%s\":\n%.2000s", index, text,
                         tserver_request(s3->server, index));
}

/* A server whose certificate the bundle has is spoken to. */
static void certificate_of_the_bundle_is_trusted(void **state)
{
        struct fixture *f = *state;

        f->s3->config.ca_bundle = f->certificate;
        tserver_always(f->s3->server, (struct tserver_reply)TS3_OBJECT("x"));
        assert_int_equal(ts3_run(f->s3, STORE_GET, "k", NULL), HIF_OK);
        assert_int_equal(ts3_run(f->s3, STORE_GET, "k", NULL), HIF_OK);
        assert_int_equal(tserver_connections(f->s3->server), 1);
}

/* Any other is not, and nothing is sent to it. */
static void other_certificates_are_refused(void **state)
{
        struct fixture *f = *state;
        struct hif_why why = {.text = ""};

        f->s3->config.patience_ms = 60000; /* which would be in vain */
        assert_int_equal(ts3_run(f->s3, STORE_PUT_NEW, "k", NULL), HIF_EUNREACHABLE);
        assert_int_equal(tserver_count(f->s3->server), 0);
        assert_true(store_why(f->s3->store, HIF_EUNREACHABLE, &why));
        assert_non_null(strstr(why.text, "certificate"));
}

/* A bundle that is not there is told at once. */
static void missing_bundle_is_told(void **state)
{
        struct fixture *f = *state;
        struct hif_why why = {.text = ""};
        struct store *store;

        f->s3->config.ca_bundle = "/no/such/bundle.pem";
        assert_int_equal(store_s3_new(&f->s3->env, &f->s3->config, &store, &why), HIF_EINVAL);
        assert_non_null(strstr(why.text, "/no/such/bundle.pem"));
        assert_non_null(strstr(why.text, "AWS_CA_BUNDLE"));
}

/* Under TLS a large body need not be hashed twice: its MD5 goes along instead. */
static void large_bodies_are_not_signed_under_tls(void **state)
{
        struct fixture *f = *state;
        size_t size = ((size_t)1 << 20) + 1;
        char *body = malloc(size), md5[25], line[64];
        struct store_req put = {.op = STORE_PUT, .key = "k"};

        memset(body, 'x', size);
        put.body = span_of(body, size);
        f->s3->config.ca_bundle = f->certificate;
        f->s3->config.limits.answer_ms = 5000;
        tserver_always(f->s3->server, (struct tserver_reply)TS3_PUT_DONE);
        ts3_open(f->s3);
        store_run(f->s3->store, &put, 1);
        assert_int_equal(put.result, HIF_OK);
        expect_sent(f->s3, 0, "\r\nx-amz-content-sha256: UNSIGNED-PAYLOAD\r\n");
        s3_md5_base64(put.body, md5);
        snprintf(line, sizeof(line), "\r\nContent-MD5: %s\r\n", md5);
        expect_sent(f->s3, 0, line);
        put.body.size--;
        store_run(f->s3->store, &put, 1);
        assert_false(tserver_saw(f->s3->server, 1, "UNSIGNED-PAYLOAD"));
        assert_false(tserver_saw(f->s3->server, 1, "Content-MD5"));
        free(body);
}

/* Without TLS every body is hashed and signed. */
static void all_bodies_are_signed_without_tls(void **state)
{
        struct ts3 *s3 = *state;
        size_t size = ((size_t)1 << 20) + 1;
        char *body = malloc(size), hash[S3_HASH_SIZE], line[128];
        struct store_req put = {.op = STORE_PUT, .key = "k"};

        memset(body, 'y', size);
        put.body = span_of(body, size);
        s3->config.limits.answer_ms = 5000;
        tserver_always(s3->server, (struct tserver_reply)TS3_PUT_DONE);
        ts3_open(s3);
        store_run(s3->store, &put, 1);
        assert_int_equal(put.result, HIF_OK);
        s3_sha256_hex(put.body, hash);
        snprintf(line, sizeof(line), "\r\nx-amz-content-sha256: %s\r\n", hash);
        expect_sent(s3, 0, line);
        free(body);
}

/* The proxy of the environment is used, and the hosts that it leaves out are asked directly. */
static void proxy_is_used_but_for_its_exceptions(void **state)
{
        struct ts3 *s3 = *state;
        struct tserver *proxy = tserver_start();

        tserver_always(proxy, (struct tserver_reply)TS3_OBJECT("by proxy"));
        tserver_always(s3->server, (struct tserver_reply)TS3_OBJECT("direct"));
        assert_int_equal(setenv("http_proxy", tserver_url(proxy), 1), 0);
        assert_int_equal(setenv("no_proxy", "127.0.0.1", 1), 0);
        ts3_open(s3);
        t_expect(s3->store, "k", "direct");
        assert_int_equal(tserver_count(proxy), 0);
        store_close(s3->store);
        s3->config.endpoint = "http://s3.example";
        ts3_open(s3);
        t_expect(s3->store, "k", "by proxy");
        assert_true(tserver_saw(proxy, 0, "GET http://s3.example/bucket/pre/k HTTP/1.1\r\n"));
        assert_true(tserver_saw(proxy, 0, "\r\nHost: s3.example\r\n") ||
                    tserver_saw(proxy, 0, "\r\nhost: s3.example\r\n"));
        unsetenv("http_proxy");
        unsetenv("no_proxy");
        store_close(s3->store);
        s3->store = NULL;
        tserver_stop(proxy);
}

/* Virtual-host style: the bucket is a part of the host's name, in the URL and in what is signed. */
static void virtual_hosts_name_the_bucket(void **state)
{
        struct ts3 *s3 = *state;
        struct tserver *proxy = tserver_start();

        tserver_always(proxy, (struct tserver_reply)TS3_OBJECT("x"));
        assert_int_equal(setenv("http_proxy", tserver_url(proxy), 1), 0);
        s3->config.endpoint = "http://s3.example:8000";
        s3->config.style = S3_STYLE_VIRTUAL;
        ts3_open(s3);
        t_expect(s3->store, "k", "x");
        (void)ts3_run(s3, STORE_LIST, "p/", NULL);
        assert_true(tserver_saw(proxy, 0, "GET http://bucket.s3.example:8000/pre/k HTTP/1.1\r\n"));
        assert_true(tserver_saw(proxy, 0, "\r\nHost: bucket.s3.example:8000\r\n"));
        assert_true(tserver_saw(proxy, 1, "GET http://bucket.s3.example:8000/?encoding-type=url"));
        unsetenv("http_proxy");
        store_close(s3->store);
        s3->store = NULL;
        tserver_stop(proxy);
}

#define TLS(test)   cmocka_unit_test_setup_teardown(test, setup, teardown)
#define PLAIN(test) cmocka_unit_test_setup_teardown(test, ts3_setup, ts3_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TLS(certificate_of_the_bundle_is_trusted),
            TLS(other_certificates_are_refused),
            TLS(missing_bundle_is_told),
            TLS(large_bodies_are_not_signed_under_tls),
            PLAIN(all_bodies_are_signed_without_tls),
            PLAIN(proxy_is_used_but_for_its_exceptions),
            PLAIN(virtual_hosts_name_the_bucket),
        };

        return cmocka_run_group_tests_name("store_s3_tls", tests, NULL, NULL);
}
