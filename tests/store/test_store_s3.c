/* The S3 store before a scripted server: what is sent, and what each answer becomes. */
#include "ts3.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- what is sent --- */

static void expect_sent(struct ts3 *s3, size_t index, const char *text)
{
        if (!tserver_saw(s3->server, index, text))
                fail_msg("request %zu lacks \"%s\":\n%s", index, text,
                         tserver_request(s3->server, index));
}

/* Keys lie below the prefix, in path style, and each request is signed. */
static void requests_are_signed_and_placed(void **state)
{
        struct ts3 *s3 = *state;
        struct store_req get;

        TS3_SCRIPT(s3, TS3_OBJECT("hello"));
        assert_int_equal(ts3_run(s3, STORE_GET, "a/b c+\xc3\xa9", &get), HIF_OK);
        assert_true(span_eq(buf_span(&get.data), span_str("hello")));
        assert_int_equal(get.size, 5);
        assert_string_equal(get.tag.text, "tag-1");
        store_req_free(&get);
        expect_sent(s3, 0, "GET /bucket/pre/a/b%20c%2B%C3%A9 HTTP/1.1\r\n");
        expect_sent(s3, 0, "Authorization: AWS4-HMAC-SHA256 Credential=AKID1/");
        expect_sent(s3, 0,
                    "/eu-central-1/s3/aws4_request,SignedHeaders=host;x-amz-content-sha256;"
                    "x-amz-date,Signature=");
        assert_false(tserver_saw(s3->server, 0, "Expect"));
        assert_false(tserver_saw(s3->server, 0, TS3_SECRET));
}

/* Conditions go out as the dialect wants them: the tag without quotes, unless it is switched. */
static void conditions_are_unquoted(void **state)
{
        struct ts3 *s3 = *state;

        TS3_SCRIPT(s3, TS3_PUT_DONE, TS3_PUT_DONE);
        assert_int_equal(ts3_run(s3, STORE_PUT_NEW, "k", NULL), HIF_OK);
        assert_int_equal(ts3_run(s3, STORE_PUT_MATCH, "k", NULL), HIF_OK);
        expect_sent(s3, 0, "\r\nIf-None-Match: *\r\n");
        expect_sent(s3, 1, "\r\nIf-Match: tag-1\r\n");
        expect_sent(s3, 1, "\r\nContent-Length: 4\r\n");
        expect_sent(s3, 1, "\r\n\r\nbody");
        expect_sent(s3, 1,
                    "x-amz-content-sha256: "
                    "230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5");
}

static void conditions_can_be_quoted(void **state)
{
        struct ts3 *s3 = *state;

        s3->config.quoted_match = true;
        TS3_SCRIPT(s3, TS3_PUT_DONE);
        assert_int_equal(ts3_run(s3, STORE_PUT_MATCH, "k", NULL), HIF_OK);
        expect_sent(s3, 0, "\r\nIf-Match: \"tag-1\"\r\n");
}

/* The URL can say so, too, and how long to be patient; and the store's own URL repeats it. */
static void url_has_options(void **state)
{
        struct ts3 *s3 = *state;
        char url[256];

        s3->config.url = "s3://bucket/a?quotes=yes&patience=1&region=r-1";
        TS3_SCRIPT(s3, TS3_PUT_DONE);
        assert_int_equal(ts3_run(s3, STORE_PUT_MATCH, "k", NULL), HIF_OK);
        expect_sent(s3, 0, "\r\nIf-Match: \"tag-1\"\r\n");
        expect_sent(s3, 0, "/r-1/s3/aws4_request");
        snprintf(url, sizeof(url), "s3://bucket/a?endpoint=%s&patience=1&quotes=yes",
                 tserver_url(s3->server));
        assert_string_equal(store_url(s3->store), url);
        tserver_always(s3->server, (struct tserver_reply)TS3_ERROR(503, "SlowDown"));
        assert_int_equal(ts3_run(s3, STORE_GET, "k", NULL), HIF_EUNREACHABLE);
        assert_true(tserver_count(s3->server) > 3); /* config.patience_ms would end it earlier */
}

/* --- one answer, one result --- */

struct row {
        enum store_op op;
        struct tserver_reply reply;
        enum hif_err expected;
        bool again; /* more than one request is sent */
};

static const struct row table[] = {
    {STORE_GET, TS3_ERROR(404, "NoSuchKey"), HIF_ENOENT, false},
    {STORE_HEAD, {.status = 404}, HIF_ENOENT, false},
    {STORE_PUT_MATCH, TS3_ERROR(404, "NoSuchKey"), HIF_ENOENT, false},
    {STORE_DELETE, TS3_ERROR(404, "NoSuchKey"), HIF_OK, false},
    {STORE_DELETE, {.status = 204}, HIF_OK, false},
    {STORE_GET, TS3_ERROR(404, "NoSuchBucket"), HIF_EIO, false},
    {STORE_PUT, TS3_ERROR(404, "NoSuchBucket"), HIF_EIO, false},
    {STORE_LIST, TS3_ERROR(404, "NoSuchBucket"), HIF_EIO, false},

    {STORE_PUT_NEW, TS3_ERROR(412, "PreconditionFailed"), HIF_ELOST, false},
    {STORE_PUT_MATCH, TS3_ERROR(412, "PreconditionFailed"), HIF_ELOST, false},
    {STORE_PUT_NEW, TS3_ERROR(409, "ConditionalRequestConflict"), HIF_EUNREACHABLE, true},

    {STORE_GET, TS3_ERROR(403, "AccessDenied"), HIF_EDENIED, false},
    {STORE_PUT_NEW, TS3_ERROR(403, "SignatureDoesNotMatch"), HIF_EDENIED, false},
    {STORE_HEAD, {.status = 403}, HIF_EDENIED, false},
    {STORE_PUT, TS3_ERROR(403, "QuotaExceeded"), HIF_ENOSPC, false},
    {STORE_PUT, TS3_ERROR(507, "InsufficientCapacity"), HIF_ENOSPC, false},
    {STORE_PUT_NEW, TS3_ERROR(501, "NotImplemented"), HIF_EIO, false},
    {STORE_PUT, TS3_ERROR(400, "KeyTooLongError"), HIF_EINVAL, false},
    {STORE_PUT, TS3_ERROR(400, "InvalidRequest"), HIF_EIO, false},

    /* A conditional write is in doubt at once; everything else is repeated until patience ends. */
    {STORE_GET, TS3_ERROR(500, "InternalError"), HIF_EUNREACHABLE, true},
    {STORE_LIST, TS3_ERROR(500, "InternalError"), HIF_EUNREACHABLE, true},
    {STORE_PUT, TS3_ERROR(500, "InternalError"), HIF_EUNKNOWN, true},
    {STORE_DELETE, TS3_ERROR(502, "BadGateway"), HIF_EUNKNOWN, true},
    {STORE_PUT_NEW, TS3_ERROR(500, "UnknownError"), HIF_EUNKNOWN, false},
    {STORE_PUT_MATCH, {.status = 504}, HIF_EUNKNOWN, false},
    {STORE_PUT_NEW, TS3_ERROR(503, "SlowDown"), HIF_EUNKNOWN, true},
    {STORE_GET, TS3_ERROR(503, "SlowDown"), HIF_EUNREACHABLE, true},
    {STORE_PUT, TS3_ERROR(429, "TooManyRequests"), HIF_EUNKNOWN, true},
    {STORE_PUT, TS3_ERROR(400, "RequestTimeout"), HIF_EUNKNOWN, true},
    {STORE_PUT, TS3_ERROR(400, "BadDigest"), HIF_EIO, true},

    {STORE_PUT_NEW, {.act = TSERVER_CLOSE}, HIF_EUNKNOWN, false},
    {STORE_PUT_MATCH, {.act = TSERVER_HANG}, HIF_EUNKNOWN, false},
    {STORE_PUT, {.act = TSERVER_CLOSE}, HIF_EUNKNOWN, true},
    {STORE_GET, {.act = TSERVER_CLOSE}, HIF_EUNREACHABLE, true},
    {STORE_GET, {.act = TSERVER_HANG}, HIF_EUNREACHABLE, true},

    /* Answers that lack what the contract needs. */
    {STORE_GET, {.status = 200, .body = "no tag"}, HIF_EIO, false},
    {STORE_HEAD, {.status = 200, .body = "no tag"}, HIF_EIO, false},
    {STORE_GET, {.status = 206, .headers = "ETag: \"t\"\r\n", .body = "x"}, HIF_EIO, false},
    {STORE_PUT_NEW, {.status = 200}, HIF_EUNKNOWN, false},
    {STORE_GET, {.status = 304}, HIF_EIO, false},
    {STORE_GET, TS3_ERROR(301, "PermanentRedirect"), HIF_EIO, false},
    {STORE_LIST, {.status = 200, .body = "<html>hello</html>"}, HIF_EIO, false},
};

static void each_answer_has_its_result(void **state)
{
        struct ts3 *s3 = *state;

        s3->config.patience_ms = 250;
        s3->config.limits.answer_ms = 60;
        for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
                size_t before = tserver_count(s3->server);
                enum hif_err err;
                bool again;

                tserver_always(s3->server, table[i].reply);
                err = ts3_run(s3, table[i].op, table[i].op == STORE_LIST ? "" : "k", NULL);
                again = tserver_count(s3->server) > before + 1;
                if (err != table[i].expected || again != table[i].again)
                        fail_msg("row %zu: op %d, status %d: %s, %zu requests", i, (int)table[i].op,
                                 table[i].reply.status, hif_err_name(err),
                                 tserver_count(s3->server) - before);
        }
}

/* --- conditional writes --- */

/* "Try the same again" is tried again, and is no doubt. */
static void conflict_is_repeated(void **state)
{
        struct ts3 *s3 = *state;

        TS3_SCRIPT(s3, TS3_ERROR(409, "ConditionalRequestConflict"), TS3_PUT_DONE,
                   TS3_ERROR(409, "OperationAborted"), TS3_ERROR(412, "PreconditionFailed"));
        assert_int_equal(ts3_run(s3, STORE_PUT_NEW, "k", NULL), HIF_OK);
        assert_int_equal(ts3_run(s3, STORE_PUT_MATCH, "k", NULL), HIF_ELOST);
        assert_int_equal(tserver_count(s3->server), 4);
}

/* After a try that may have had an effect, a lost condition may be our own doing. */
static void lost_after_doubt_is_unknown(void **state)
{
        struct ts3 *s3 = *state;

        TS3_SCRIPT(s3, TS3_ERROR(503, "SlowDown"), TS3_ERROR(412, "PreconditionFailed"),
                   TS3_ERROR(503, "SlowDown"), TS3_PUT_DONE, TS3_ERROR(503, "SlowDown"),
                   TS3_ERROR(404, "NoSuchKey"));
        assert_int_equal(ts3_run(s3, STORE_PUT_NEW, "k", NULL), HIF_EUNKNOWN);
        assert_int_equal(ts3_run(s3, STORE_PUT_NEW, "k", NULL), HIF_OK);
        assert_int_equal(ts3_run(s3, STORE_PUT_MATCH, "k", NULL), HIF_EUNKNOWN);
        assert_int_equal(tserver_count(s3->server), 6);
}

/* The HTTP library would send a write again when its kept connection dies without an answer, and
 * then report the second answer: lost, though it won. It must be sent once, and be in doubt. */
static void dead_connection_is_no_lost_race(void **state)
{
        struct ts3 *s3 = *state;
        static const enum store_op ops[] = {STORE_PUT_NEW, STORE_PUT_MATCH};

        for (size_t i = 0; i < 2; i++) {
                size_t before;

                TS3_SCRIPT(s3, TS3_OBJECT("warm"));
                assert_int_equal(ts3_run(s3, STORE_GET, "warm", NULL), HIF_OK);
                before = tserver_count(s3->server);
                TS3_SCRIPT(s3, {.act = TSERVER_CLOSE});
                tserver_always(s3->server,
                               (struct tserver_reply)TS3_ERROR(412, "PreconditionFailed"));
                assert_int_equal(ts3_run(s3, ops[i], "k", NULL), HIF_EUNKNOWN);
                assert_int_equal(tserver_count(s3->server), before + 1);
        }
}

/* Not even with an empty body, which the library would not notice that it sends again. */
static void empty_conditional_write_is_sent_once(void **state)
{
        struct ts3 *s3 = *state;
        struct store_req req = {.op = STORE_PUT_NEW, .key = "k"};

        TS3_SCRIPT(s3, TS3_OBJECT("warm"), {.act = TSERVER_CLOSE});
        tserver_always(s3->server, (struct tserver_reply)TS3_ERROR(412, "PreconditionFailed"));
        assert_int_equal(ts3_run(s3, STORE_GET, "warm", NULL), HIF_OK);
        store_run(s3->store, &req, 1);
        assert_int_equal(req.result, HIF_EUNKNOWN);
        assert_int_equal(tserver_count(s3->server), 2);
}

/* --- reads --- */

/* A body that ends early is never handed out: it is read again. */
static void short_body_is_read_again(void **state)
{
        struct ts3 *s3 = *state;
        struct tserver_reply cut = TS3_OBJECT("0123456789");
        struct store_req get;

        cut.act = TSERVER_CUT;
        tserver_script(s3->server, &cut, 1);
        TS3_SCRIPT(s3, TS3_OBJECT("0123456789"));
        assert_int_equal(ts3_run(s3, STORE_GET, "k", &get), HIF_OK);
        assert_true(span_eq(buf_span(&get.data), span_str("0123456789")));
        store_req_free(&get);
        tserver_always(s3->server, cut);
        assert_int_equal(ts3_run(s3, STORE_GET, "k", &get), HIF_EUNREACHABLE);
        assert_null(get.data.data);
}

static enum hif_err get_range(struct ts3 *s3, uint64_t start, uint64_t size, const char *expected)
{
        struct store_req req = {
            .op = STORE_GET, .key = "k", .range_start = start, .range_size = size};

        if (!s3->store)
                ts3_open(s3);
        store_run(s3->store, &req, 1);
        if (req.result == HIF_OK) {
                assert_non_null(expected);
                assert_true(span_eq(buf_span(&req.data), span_str(expected)));
        }
        store_req_free(&req);
        return req.result;
}

/* A range is believed only where the answer says that it is that range, and it has that size. */
static void ranges_are_checked(void **state)
{
        struct ts3 *s3 = *state;
        struct tserver_reply part = {.status = 206,
                                     .headers = "ETag: \"t\"\r\nContent-Range: bytes 2-4/10\r\n",
                                     .body = "234"};
        struct tserver_reply small = part, whole = TS3_OBJECT("0123456789"), odd = part;

        tserver_always(s3->server, part);
        assert_int_equal(get_range(s3, 2, 3, "234"), HIF_OK);
        expect_sent(s3, 0, "\r\nRange: bytes=2-4\r\n");
        assert_int_equal(get_range(s3, 2, 2, NULL), HIF_EIO); /* more than was asked for */
        small.body = "23";
        tserver_always(s3->server, small);
        assert_int_equal(get_range(s3, 2, 3, NULL), HIF_EIO);
        odd.headers = "ETag: \"t\"\r\nContent-Range: bytes 2-4/3\r\n";
        tserver_always(s3->server, odd);
        assert_int_equal(get_range(s3, 2, 3, NULL), HIF_EIO);
        tserver_always(s3->server, whole); /* something ignores Range */
        assert_int_equal(get_range(s3, 2, 8, NULL), HIF_EIO);
        assert_int_equal(get_range(s3, 0, 10, "0123456789"), HIF_OK);
        assert_int_equal(get_range(s3, 0, 9, NULL), HIF_EIO);
}

/* No range lies inside an empty object: a HEAD tells it from one that ends too early. */
static void range_of_an_empty_object_is_empty(void **state)
{
        struct ts3 *s3 = *state;

        TS3_SCRIPT(s3, TS3_ERROR(416, "InvalidRange"), TS3_OBJECT(""),
                   TS3_ERROR(416, "InvalidRange"));
        assert_int_equal(get_range(s3, 0, 10, ""), HIF_OK);
        assert_true(strncmp(tserver_request(s3->server, 1), "HEAD ", 5) == 0);
        assert_int_equal(get_range(s3, 5, 10, NULL), HIF_EINVAL);
        assert_int_equal(tserver_count(s3->server), 3);
}

/* An answer over the limit is not received. */
static void large_answers_are_refused(void **state)
{
        struct ts3 *s3 = *state;
        struct store_req req = {.op = STORE_GET, .key = "k", .size_max = 9};
        struct tserver_reply huge = TS3_OBJECT("0123456789");

        ts3_open(s3);
        tserver_always(s3->server, huge);
        store_run(s3->store, &req, 1);
        assert_int_equal(req.result, HIF_ELIMIT);
        huge.length = "1000000000000";
        tserver_always(s3->server, huge);
        store_run(s3->store, &req, 1);
        assert_int_equal(req.result, HIF_ELIMIT);
}

/* Nor is an error that goes on for ever, or headers that do. */
static void endless_answers_are_broken_off(void **state)
{
        struct ts3 *s3 = *state;
        size_t size = (size_t)2 << 20;
        char *huge = malloc(size + 1);
        struct tserver_reply error = {.status = 404, .body = huge};
        struct tserver_reply header = TS3_OBJECT("x");

        memset(huge, 'x', size);
        huge[size] = '\0';
        s3->config.limits.answer_ms = 5000;
        tserver_always(s3->server, error);
        assert_int_equal(ts3_run(s3, STORE_GET, "k", NULL), HIF_EUNREACHABLE);
        for (size_t i = 0; i + 64 < size; i += 64)
                memcpy(huge + i, i % 128 ? "\r\nH: " : "\r\nI: ", 5);
        memcpy(huge, "E: ", 3);
        memcpy(huge + size - 2, "\r\n", 2);
        header.headers = huge;
        tserver_always(s3->server, header);
        assert_int_equal(ts3_run(s3, STORE_GET, "k", NULL), HIF_EUNREACHABLE);
        free(huge);
}

/* --- lists --- */

#define PAGE(truncated, contents)                                                                  \
        {                                                                                          \
                .status = 200,                                                                     \
                .body = "<?xml version=\"1.0\"?><ListBucketResult "                                \
                        "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><EncodingType>url"      \
                        "</EncodingType><IsTruncated>" truncated "</IsTruncated>" contents         \
                        "</ListBucketResult>"                                                      \
        }
#define ITEM(key) "<Contents><Key>" key "</Key><Size>3</Size></Contents>"

/* Pages are joined by start-after; keys that are none of ours are left out. */
static void pages_are_joined(void **state)
{
        struct ts3 *s3 = *state;

        ts3_open(s3);
        TS3_SCRIPT(s3, PAGE("true", ITEM("pre%2Fp%2F.x")),
                   PAGE("true", ITEM("pre%2Fp%2F%2Fodd") ITEM("pre%2Fp%2Fa")),
                   PAGE("false", ITEM("pre%2Fp%2Fb%25")));
        t_expect_list(s3->store, "p/", NULL, 0, "p/a p/b%");
        expect_sent(s3, 0, "GET /bucket?encoding-type=url&list-type=2&prefix=pre%2Fp%2F HTTP");
        expect_sent(s3, 1, "&start-after=pre%2Fp%2F.x HTTP");
        expect_sent(s3, 2, "&start-after=pre%2Fp%2Fa HTTP");
        TS3_SCRIPT(s3, PAGE("true", ITEM("pre%2Fp%2Fb") ITEM("pre%2Fp%2Fc")));
        t_expect_list(s3->store, "p/", "p/a", 2, "p/b p/c ...");
        expect_sent(s3, 3,
                    "?encoding-type=url&list-type=2&max-keys=2&prefix=pre%2Fp%2F&start-after=pre"
                    "%2Fp%2Fa HTTP");
}

/* A list that is out of order, or that would never end, could hide keys: it is an error. */
static void bad_lists_are_refused(void **state)
{
        struct ts3 *s3 = *state;
        static const struct tserver_reply bad[] = {
            PAGE("false", ITEM("pre%2Fb") ITEM("pre%2Fa")),
            PAGE("false", ITEM("pre%2Fb") ITEM("pre%2Fb")),
            PAGE("true", ""),
            PAGE("false", ITEM("pre%2")),
            PAGE("false", "<Contents><Size>3</Size></Contents>"),
            PAGE("false", "<Contents><Key>pre%2Fa</Key><Size>-3</Size></Contents>"),
            {.status = 200, .body = "<ListBucketResult>"},
            {.status = 200,
             .body = "<!DOCTYPE x [<!ENTITY a \"b\">]><ListBucketResult></ListBucketResult>"},
        };

        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                tserver_always(s3->server, bad[i]);
                assert_int_equal(ts3_run(s3, STORE_LIST, "", NULL), HIF_EIO);
        }
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, ts3_setup, ts3_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            EACH(requests_are_signed_and_placed),
            EACH(conditions_are_unquoted),
            EACH(conditions_can_be_quoted),
            EACH(url_has_options),
            EACH(each_answer_has_its_result),
            EACH(conflict_is_repeated),
            EACH(lost_after_doubt_is_unknown),
            EACH(dead_connection_is_no_lost_race),
            EACH(empty_conditional_write_is_sent_once),
            EACH(short_body_is_read_again),
            EACH(ranges_are_checked),
            EACH(range_of_an_empty_object_is_empty),
            EACH(large_answers_are_refused),
            EACH(endless_answers_are_broken_off),
            EACH(pages_are_joined),
            EACH(bad_lists_are_refused),
        };

        return cmocka_run_group_tests_name("store_s3", tests, NULL, NULL);
}
