/* The S3 store over more than one request: what it learns, keys that come and go, uploads in parts,
 * many requests at once. */
#include "base/log.h"
#include "ts3.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void expect_sent(struct ts3 *s3, size_t index, const char *text)
{
        if (!tserver_saw(s3->server, index, text))
                fail_msg("request %zu lacks \"%s\":\n%s", index, text,
                         tserver_request(s3->server, index));
}

static void expect_why(struct ts3 *s3, enum hif_err result, const char *text)
{
        struct hif_why why = {.text = ""};

        assert_true(store_why(s3->store, result, &why));
        if (!strstr(why.text, text))
                fail_msg("\"%s\" does not say \"%s\"", why.text, text);
        assert_null(strstr(why.text, TS3_SECRET));
}

static void sleep_ms(long ms)
{
        struct timespec left = {.tv_nsec = ms * 1000000};

        nanosleep(&left, NULL);
}

/* --- what it learns --- */

/* A bucket elsewhere says where; from then on requests are signed for there. */
static void region_is_learnt_once(void **state)
{
        struct ts3 *s3 = *state;
        struct tserver_reply moved = {.status = 301,
                                      .headers = "x-amz-bucket-region: us-west-2\r\n",
                                      .body = "<Error><Code>PermanentRedirect</Code></Error>"};
        struct tserver_reply malformed = {
            .status = 400,
            .body = "<Error><Code>AuthorizationHeaderMalformed</Code><Message>wrong</Message>"
                    "<Region>sa-east-1</Region></Error>"};

        tserver_script(s3->server, &moved, 1);
        TS3_SCRIPT(s3, TS3_OBJECT("x"), TS3_OBJECT("x"));
        assert_int_equal(ts3_run(s3, STORE_GET, "k", NULL), HIF_OK);
        assert_int_equal(ts3_run(s3, STORE_GET, "k", NULL), HIF_OK);
        expect_sent(s3, 0, "/eu-central-1/s3/");
        expect_sent(s3, 1, "/us-west-2/s3/");
        expect_sent(s3, 2, "/us-west-2/s3/");
        tserver_script(s3->server, &malformed, 1);
        TS3_SCRIPT(s3, TS3_PUT_DONE);
        assert_int_equal(ts3_run(s3, STORE_PUT_NEW, "k", NULL), HIF_OK);
        expect_sent(s3, 4, "/sa-east-1/s3/");
}

/* HEAD has no body to say it in: the header is enough. One that sends us round is not followed. */
static void region_is_learnt_from_head_and_not_for_ever(void **state)
{
        struct ts3 *s3 = *state;
        struct tserver_reply moved = {.status = 400,
                                      .headers = "x-amz-bucket-region: us-west-2\r\n"};
        struct tserver_reply round = {.status = 301,
                                      .headers = "x-amz-bucket-region: us-east-2\r\n"};

        tserver_script(s3->server, &moved, 1);
        TS3_SCRIPT(s3, TS3_OBJECT("x"));
        assert_int_equal(ts3_run(s3, STORE_HEAD, "k", NULL), HIF_OK);
        tserver_always(s3->server, round);
        assert_int_equal(ts3_run(s3, STORE_GET, "k", NULL), HIF_EIO);
        assert_int_equal(tserver_count(s3->server), 4);
        expect_why(s3, HIF_EIO, "us-east-2; set AWS_REGION=us-east-2");
}

/* A clock that is wrong is corrected by the store's, once; a store that insists is refused. */
static void wrong_clock_is_corrected(void **state)
{
        struct ts3 *s3 = *state;
        struct tserver_reply skewed = TS3_ERROR(403, "RequestTimeTooSkewed");
        uint64_t date = 0;

        skewed.headers = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
        tserver_script(s3->server, &skewed, 1);
        TS3_SCRIPT(s3, TS3_OBJECT("x"));
        assert_int_equal(ts3_run(s3, STORE_GET, "k", NULL), HIF_OK);
        expect_sent(s3, 1, "x-amz-date: 19941106T0849");
        assert_true(store_date(s3->store, &date));
        assert_in_range(date / 1000000000, 784111777, 784111777 + 60);
        tserver_always(s3->server, skewed);
        assert_int_equal(ts3_run(s3, STORE_GET, "k", NULL), HIF_EDENIED);
        assert_int_equal(tserver_count(s3->server), 4);
        expect_why(s3, HIF_EDENIED, "RequestTimeTooSkewed: as scripted to GET");
        expect_why(s3, HIF_EDENIED, "set this machine's clock");
}

/* Without an answer there is no date. */
static void date_comes_with_the_first_answer(void **state)
{
        struct ts3 *s3 = *state;
        uint64_t date = 7;

        ts3_open(s3);
        assert_false(store_date(s3->store, &date));
        assert_int_equal(date, 7);
}

static struct env_ops jumping_ops;
static uint64_t jump_ns; /* what the wall clock was moved by */

static uint64_t jumped_wall_ns(struct env *env)
{
        struct env real = env_system(NULL);

        (void)env;
        return env_wall_ns(&real) + jump_ns;
}

/* A machine that slept, or whose clock was set, does not take the time since the last answer for
 * granted: until the next one there is no date. */
static void date_is_forgotten_when_clocks_jump(void **state)
{
        struct ts3 *s3 = *state;
        struct tserver_reply dated = TS3_OBJECT("x");
        uint64_t date;

        dated.headers = "ETag: \"t\"\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
        jumping_ops = *s3->env.ops;
        jumping_ops.wall_ns = jumped_wall_ns;
        s3->env.ops = &jumping_ops;
        tserver_always(s3->server, dated);
        assert_int_equal(ts3_run(s3, STORE_GET, "k", NULL), HIF_OK);
        assert_true(store_date(s3->store, &date));
        jump_ns = UINT64_C(3600) * 1000000000;
        assert_false(store_date(s3->store, &date));
        assert_int_equal(ts3_run(s3, STORE_GET, "k", NULL), HIF_OK);
        assert_true(store_date(s3->store, &date));
        jump_ns = 0; /* and back */
        assert_false(store_date(s3->store, &date));
}

/* --- keys --- */

/* An expired key is replaced, and the request goes out again with the new one: once. */
static void expired_key_is_replaced(void **state)
{
        struct ts3 *s3 = *state;

        TS3_SCRIPT(s3, TS3_ERROR(400, "ExpiredToken"), TS3_PUT_DONE);
        assert_int_equal(ts3_run(s3, STORE_PUT_NEW, "k", NULL), HIF_OK);
        assert_int_equal(s3->keys_expired, 1);
        assert_int_equal(s3->expired_generation, 1);
        expect_sent(s3, 0, "Credential=AKID1/");
        expect_sent(s3, 1, "Credential=AKID2/");
        tserver_always(s3->server, (struct tserver_reply)TS3_ERROR(400, "ExpiredToken"));
        assert_int_equal(ts3_run(s3, STORE_GET, "k", NULL), HIF_EDENIED);
        assert_int_equal(tserver_count(s3->server), 4);
        expect_why(s3, HIF_EDENIED, "renew the session token");
}

/* HEAD cannot say that the key has expired, and a key that is unknown may have been replaced: both
 * are reasons to ask for another, once. */
static void doubtful_keys_are_replaced(void **state)
{
        struct ts3 *s3 = *state;

        TS3_SCRIPT(s3, {.status = 400}, TS3_OBJECT("x"), TS3_ERROR(403, "InvalidAccessKeyId"),
                   TS3_OBJECT("x"));
        assert_int_equal(ts3_run(s3, STORE_HEAD, "k", NULL), HIF_OK);
        assert_int_equal(s3->keys_expired, 1);
        assert_int_equal(ts3_run(s3, STORE_GET, "k", NULL), HIF_OK);
        assert_int_equal(s3->keys_expired, 2);
        tserver_always(s3->server, (struct tserver_reply){.status = 400});
        assert_int_equal(ts3_run(s3, STORE_HEAD, "k", NULL), HIF_EIO);
        assert_int_equal(s3->keys_expired, 3);
}

static void *bring_key(void *arg)
{
        struct ts3 *s3 = arg;

        while (__atomic_load_n(&s3->keys_asked, __ATOMIC_SEQ_CST) < 3)
                sleep_ms(1);
        __atomic_store_n(&s3->key_result, HIF_OK, __ATOMIC_SEQ_CST);
        store_s3_wake(s3->store);
        return NULL;
}

/* While a key is being fetched, requests wait for it; nothing is sent, and nobody is blocked. */
static void requests_wait_for_a_key(void **state)
{
        struct ts3 *s3 = *state;
        struct store_req reqs[3] = {{.op = STORE_GET, .key = "a"},
                                    {.op = STORE_GET, .key = "b"},
                                    {.op = STORE_GET, .key = "c"}};
        pthread_t thread;

        s3->key_result = HIF_EAGAIN;
        tserver_always(s3->server, (struct tserver_reply)TS3_OBJECT("x"));
        ts3_open(s3);
        assert_int_equal(pthread_create(&thread, NULL, bring_key, s3), 0);
        store_run(s3->store, reqs, 3);
        pthread_join(thread, NULL);
        for (size_t i = 0; i < 3; i++) {
                assert_int_equal(reqs[i].result, HIF_OK);
                store_req_free(&reqs[i]);
        }
        assert_int_equal(tserver_count(s3->server), 3);
}

/* No key: nothing is sent, and the sentence is the source's own. */
static void missing_key_is_explained(void **state)
{
        struct ts3 *s3 = *state;

        s3->key_result = HIF_EDENIED;
        assert_int_equal(ts3_run(s3, STORE_GET, "k", NULL), HIF_EDENIED);
        assert_int_equal(tserver_count(s3->server), 0);
        expect_why(s3, HIF_EDENIED, "there is no key; find one");
}

/* --- sentences --- */

static void troubles_are_explained(void **state)
{
        struct ts3 *s3 = *state;
        struct hif_why why = {.text = ""};

        ts3_open(s3);
        assert_false(store_why(s3->store, HIF_EIO, &why));
        TS3_SCRIPT(s3, TS3_ERROR(404, "NoSuchBucket"));
        assert_int_equal(store_s3_check(s3->store, &why), HIF_EIO);
        assert_non_null(strstr(why.text, "404 NoSuchBucket: as scripted to ListObjectsV2 in bucket "
                                         "bucket; create the bucket"));
        TS3_SCRIPT(s3, TS3_ERROR(403, "AccessDenied"));
        assert_int_equal(ts3_run(s3, STORE_GET, "k", NULL), HIF_EDENIED);
        expect_why(s3, HIF_EDENIED, "s3:ListBucket");
        tserver_always(s3->server, (struct tserver_reply){.act = TSERVER_CLOSE});
        assert_int_equal(ts3_run(s3, STORE_PUT_NEW, "k", NULL), HIF_EUNKNOWN);
        expect_why(s3, HIF_EUNKNOWN, "gave no whole answer to PUT If-None-Match");
}

/* Nobody listens: certainly no effect, and so it is said. */
static void absent_server_is_unreachable(void **state)
{
        struct ts3 *s3 = *state;
        static const enum store_op ops[] = {STORE_GET, STORE_PUT, STORE_PUT_NEW, STORE_PUT_MATCH};

        s3->config.endpoint = "http://127.0.0.1:1";
        s3->config.patience_ms = 100;
        ts3_open(s3);
        for (size_t i = 0; i < 4; i++)
                assert_int_equal(ts3_run(s3, ops[i], "k", NULL), HIF_EUNREACHABLE);
        expect_why(s3, HIF_EUNREACHABLE, "http://127.0.0.1:1 cannot be reached: ");
}

/* Nor was a connection of use that was kept from before. */
static void server_that_went_away_is_unreachable(void **state)
{
        struct ts3 *s3 = *state;

        s3->config.patience_ms = 100;
        TS3_SCRIPT(s3, TS3_OBJECT("x"));
        assert_int_equal(ts3_run(s3, STORE_GET, "k", NULL), HIF_OK);
        tserver_stop(s3->server);
        s3->server = NULL;
        assert_int_equal(ts3_run(s3, STORE_PUT_NEW, "k", NULL), HIF_EUNREACHABLE);
        assert_int_equal(ts3_run(s3, STORE_PUT, "k", NULL), HIF_EUNREACHABLE);
}

/* A server that takes connections and never completes TLS has got nothing. */
static void silent_handshake_is_unreachable(void **state)
{
        struct ts3 *s3 = *state;
        char url[64];

        s3->config.patience_ms = 100;
        s3->config.limits.connect_ms = 100;
        snprintf(url, sizeof(url), "https://%s", tserver_url(s3->server) + strlen("http://"));
        tserver_always(s3->server, (struct tserver_reply){.act = TSERVER_HANG});
        s3->config.endpoint = url;
        ts3_open(s3);
        assert_int_equal(ts3_run(s3, STORE_PUT_NEW, "k", NULL), HIF_EUNREACHABLE);
}

/* Neither keys nor signatures get into the log, whatever fails. */
static void secrets_are_not_logged(void **state)
{
        struct ts3 *s3 = *state;
        struct tserver_reply echo = {.status = 403,
                                     .body = "<Error><Code>SignatureDoesNotMatch</Code><Message>no"
                                             "</Message><StringToSign>AWS4 " TS3_SECRET
                                             "</StringToSign></Error>"};
        char text[4096] = "";
        int fds[2];

        assert_int_equal(pipe(fds), 0);
        s3->env.log = log_new(fds[1], LOG_DEBUG);
        tserver_script(s3->server, &echo, 1);
        TS3_SCRIPT(s3, TS3_ERROR(503, "SlowDown"), {.act = TSERVER_CLOSE}, TS3_ERROR(500, "Oops"));
        assert_int_equal(ts3_run(s3, STORE_GET, "k", NULL), HIF_EDENIED);
        (void)ts3_run(s3, STORE_PUT, "k", NULL);
        store_close(s3->store);
        s3->store = NULL;
        log_free(s3->env.log);
        s3->env.log = NULL;
        close(fds[1]);
        assert_true(read(fds[0], text, sizeof(text) - 1) > 0);
        close(fds[0]);
        assert_non_null(strstr(text, "SignatureDoesNotMatch"));
        assert_non_null(strstr(text, "SlowDown"));
        assert_null(strstr(text, TS3_SECRET));
        assert_null(strstr(text, "Signature="));
}

/* --- uploads in parts --- */

#define CREATED                                                                                    \
        {                                                                                          \
                .status = 200, .body = "<InitiateMultipartUploadResult><UploadId>id/1</UploadId>"  \
                                       "</InitiateMultipartUploadResult>"                          \
        }
#define PART(tag)                                                                                  \
        {                                                                                          \
                .status = 200, .headers = "ETag: \"" tag "\"\r\n"                                  \
        }
#define COMPLETED(tag)                                                                             \
        {                                                                                          \
                .status = 200, .body = "<CompleteMultipartUploadResult><ETag>" tag "</ETag>"       \
                                       "</CompleteMultipartUploadResult>"                          \
        }
#define MD5_1 "0cc175b9c0f1b6a831c399e269772661"
#define BOTH  "7b3c799ee8b11a11c798c8b41bed8502-2" /* of two such parts */

static enum hif_err put_large(struct ts3 *s3, const char *body, struct store_tag *tag)
{
        struct store_req req = {.op = STORE_PUT, .key = "large", .body = span_str(body)};

        s3->config.multipart_size = 4;
        s3->config.part_size = 3;
        if (!s3->store)
                ts3_open(s3);
        store_run(s3->store, &req, 1);
        if (req.result == HIF_OK)
                *tag = req.tag;
        return req.result;
}

/* Bodies over the limit go up in parts, and nothing is lost between them. */
static void large_bodies_go_in_parts(void **state)
{
        struct ts3 *s3 = *state;
        struct store_tag tag;
        unsigned seen = 0;

        TS3_SCRIPT(s3, CREATED, PART("p"), PART("p"), PART("p"), COMPLETED("&quot;whole-3&quot;"));
        assert_int_equal(put_large(s3, "abcdefgh", &tag), HIF_OK);
        assert_string_equal(tag.text, "whole-3");
        expect_sent(s3, 0, "POST /bucket/pre/large?uploads= HTTP");
        for (size_t i = 1; i < 4; i++) { /* in any order */
                seen |= tserver_saw(s3->server, i, "?partNumber=1&uploadId=id%2F1 HTTP") &&
                                tserver_saw(s3->server, i, "\r\n\r\nabc")
                            ? 1
                            : 0;
                seen |= tserver_saw(s3->server, i, "?partNumber=2&uploadId=id%2F1 HTTP") &&
                                tserver_saw(s3->server, i, "\r\n\r\ndef")
                            ? 2
                            : 0;
                seen |= tserver_saw(s3->server, i, "?partNumber=3&uploadId=id%2F1 HTTP") &&
                                tserver_saw(s3->server, i, "\r\n\r\ngh")
                            ? 4
                            : 0;
        }
        assert_int_equal(seen, 7);
        expect_sent(s3, 4, "POST /bucket/pre/large?uploadId=id%2F1 HTTP");
        expect_sent(s3, 4,
                    "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>\"p\"</ETag>"
                    "</Part><Part><PartNumber>2</PartNumber>");
        assert_int_equal(tserver_count(s3->server), 5);
}

/* Small ones, and conditional ones of any size, do not. */
static void other_bodies_go_whole(void **state)
{
        struct ts3 *s3 = *state;
        struct store_req req = {.op = STORE_PUT_NEW, .key = "k", .body = span_str("abcdefgh")};
        struct store_tag tag;

        tserver_always(s3->server, (struct tserver_reply)TS3_PUT_DONE);
        assert_int_equal(put_large(s3, "abcd", &tag), HIF_OK);
        store_run(s3->store, &req, 1);
        assert_int_equal(req.result, HIF_OK);
        assert_int_equal(tserver_count(s3->server), 2);
}

/* Where the completion gives no tag, HEAD does. */
static void missing_tag_is_asked_for(void **state)
{
        struct ts3 *s3 = *state;
        struct store_tag tag;

        TS3_SCRIPT(s3, CREATED, PART("p"), PART("p"), COMPLETED(""), TS3_OBJECT("abcde"));
        assert_int_equal(put_large(s3, "abcde", &tag), HIF_OK);
        assert_string_equal(tag.text, "tag-1");
        assert_true(strncmp(tserver_request(s3->server, 4), "HEAD ", 5) == 0);
}

/* A part that cannot be stored ends the upload, and takes its parts away. */
static void failed_upload_is_aborted(void **state)
{
        struct ts3 *s3 = *state;
        struct store_tag tag;
        bool aborted = false;

        TS3_SCRIPT(s3, CREATED);
        tserver_always(s3->server, (struct tserver_reply)TS3_ERROR(403, "AccessDenied"));
        assert_int_equal(put_large(s3, "abcde", &tag), HIF_EDENIED);
        for (size_t i = 1; i < tserver_count(s3->server); i++)
                aborted |=
                    tserver_saw(s3->server, i, "DELETE /bucket/pre/large?uploadId=id%2F1 HTTP");
        assert_true(aborted);
        assert_int_equal(tserver_count(s3->server), 4);
}

/* "200" with an error inside is no success. What is there then is held against the parts. */
static void doubtful_completion_is_settled_by_tags(void **state)
{
        struct ts3 *s3 = *state;
        struct tserver_reply error = {.status = 200,
                                      .body = "<Error><Code>InternalError</Code></Error>"};
        struct tserver_reply ours = {.status = 200, .length = "6", .headers = NULL};
        struct tserver_reply other = {.status = 200, .length = "6", .headers = "ETag: \"x-2\"\r\n"};
        struct store_tag tag;

        ours.headers = "ETag: \"" BOTH "\"\r\n";
        for (int i = 0; i < 2; i++) {
                TS3_SCRIPT(s3, CREATED, PART(MD5_1), PART(MD5_1));
                tserver_script(s3->server, &error, 1);
                tserver_script(s3->server, i == 0 ? &ours : &other, 1);
                assert_int_equal(put_large(s3, "abcdef", &tag), i == 0 ? HIF_OK : HIF_EUNKNOWN);
        }
}

/* --- patience --- */

/* It begins with the first failure, however long that took, and then lasts. */
static void patience_begins_with_the_first_failure(void **state)
{
        struct ts3 *s3 = *state;
        struct store_req req = {.op = STORE_LIST, .prefix = ""};

        s3->config.patience_ms = 3000;
        s3->config.limits = (struct http_limits){1000, 60000, 1};
        tserver_always(s3->server, (struct tserver_reply){.act = TSERVER_HANG});
        ts3_open(s3);
        store_run(s3->store, &req, 1);
        assert_int_equal(req.result, HIF_EUNREACHABLE);
        assert_in_range(tserver_count(s3->server), 3, 4);
}

/* --- many at once --- */

static void count_canceled(struct store_req *req)
{
        if (req->result == HIF_ECANCELED)
                __atomic_add_fetch((unsigned *)req->arg, 1, __ATOMIC_SEQ_CST);
}

/* Cancelling answers all: what waits for an answer, for a connection, for its next try. */
static void cancelling_answers_all(void **state)
{
        struct ts3 *s3 = *state;
        enum { COUNT = HTTP_CONNECTIONS + 10 };
        struct store_req *reqs = calloc(COUNT, sizeof(*reqs));
        unsigned canceled = 0;

        s3->config.limits = (struct http_limits){60000, 60000, 60};
        s3->config.patience_ms = 60000;
        TS3_SCRIPT(s3, TS3_ERROR(503, "SlowDown"));
        tserver_always(s3->server, (struct tserver_reply){.act = TSERVER_HANG});
        ts3_open(s3);
        for (size_t i = 0; i < COUNT; i++) {
                reqs[i] = (struct store_req){
                    .op = STORE_GET, .key = "k", .done = count_canceled, .arg = &canceled};
                store_submit(s3->store, &reqs[i]);
        }
        while (tserver_count(s3->server) < HTTP_CONNECTIONS)
                sleep_ms(1);
        store_cancel(s3->store);
        for (int i = 0; i < 5000 && __atomic_load_n(&canceled, __ATOMIC_SEQ_CST) < COUNT; i++)
                sleep_ms(1);
        assert_int_equal(canceled, COUNT);
        assert_int_equal(ts3_run(s3, STORE_GET, "k", NULL), HIF_ECANCELED);
        free(reqs);
}

/* Who waits no longer than the server says something goes on while it does, and then ends soon: also
 * what was in flight before, and what waits for its next try. */
static void silence_cancels(void **state)
{
        struct ts3 *s3 = *state;
        struct store_req req = {.op = STORE_GET, .key = "k", .done = count_canceled};
        struct tserver_reply late = TS3_OBJECT("x");
        unsigned canceled = 0;

        s3->config.limits = (struct http_limits){60000, 60000, 60};
        s3->config.patience_ms = 60000;
        late.late_ms = 300;
        for (int i = 0; i < 4; i++)
                tserver_script(s3->server, &late, 1);
        tserver_always(s3->server, (struct tserver_reply){.act = TSERVER_HANG});
        ts3_open(s3);
        store_cancel_silent(s3->store, 1000);
        for (int i = 0; i < 4; i++)
                assert_int_equal(ts3_run(s3, STORE_GET, "k", NULL), HIF_OK);
        sleep_ms(900); /* nothing is asked: that is no silence */
        sleep_ms(900);
        req.arg = &canceled;
        store_submit(s3->store, &req);
        sleep_ms(500);
        assert_int_equal(__atomic_load_n(&canceled, __ATOMIC_SEQ_CST), 0);
        for (int i = 0; i < 5000 && __atomic_load_n(&canceled, __ATOMIC_SEQ_CST) == 0; i++)
                sleep_ms(1);
        assert_int_equal(canceled, 1);
        assert_int_equal(ts3_run(s3, STORE_GET, "k", NULL), HIF_ECANCELED);
}

/* Connections that are reset say nothing. */
static void resets_are_silence(void **state)
{
        struct ts3 *s3 = *state;

        s3->config.patience_ms = 60000;
        tserver_always(s3->server, (struct tserver_reply){.act = TSERVER_CLOSE});
        ts3_open(s3);
        store_cancel_silent(s3->store, 300);
        assert_int_equal(ts3_run(s3, STORE_GET, "k", NULL), HIF_ECANCELED);
}

static void ignore(struct store_req *req)
{
        (void)req;
}

static void wait_for_requests(struct ts3 *s3, size_t count)
{
        for (int i = 0; i < 5000 && tserver_count(s3->server) < count; i++)
                sleep_ms(1);
        sleep_ms(20); /* for one too many */
        assert_int_equal(tserver_count(s3->server), count);
}

/* However many uploads there are, reads find connections. */
static void uploads_leave_room_for_reads(void **state)
{
        struct ts3 *s3 = *state;
        enum { UPLOADS = HTTP_BULK_MAX + 5, READS = HTTP_CONNECTIONS };
        struct store_req *puts = calloc(UPLOADS, sizeof(*puts));
        struct store_req *gets = calloc(READS, sizeof(*gets));
        uint8_t *body = calloc(1, HTTP_BULK_SIZE);

        s3->config.limits = (struct http_limits){60000, 60000, 60};
        tserver_always(s3->server, (struct tserver_reply){.act = TSERVER_HANG});
        ts3_open(s3);
        for (size_t i = 0; i < UPLOADS; i++) {
                puts[i] = (struct store_req){.op = STORE_PUT,
                                             .key = "k",
                                             .body = span_of(body, HTTP_BULK_SIZE),
                                             .done = ignore};
                store_submit(s3->store, &puts[i]);
        }
        wait_for_requests(s3, HTTP_BULK_MAX);
        for (size_t i = 0; i < READS; i++) {
                gets[i] = (struct store_req){.op = STORE_GET, .key = "k", .done = ignore};
                store_submit(s3->store, &gets[i]);
        }
        wait_for_requests(s3, HTTP_CONNECTIONS);
        store_cancel(s3->store);
        for (int i = 0; i < 5000 && __atomic_load_n(&s3->store->in_flight, __ATOMIC_ACQUIRE); i++)
                sleep_ms(1);
        free(body);
        free(gets);
        free(puts);
}

/* Requests share a bounded number of connections, which are used again. */
static void connections_are_bounded_and_kept(void **state)
{
        struct ts3 *s3 = *state;
        enum { COUNT = 1000 };
        struct store_req *reqs = calloc(COUNT, sizeof(*reqs));

        tserver_always(s3->server, (struct tserver_reply)TS3_OBJECT("x"));
        ts3_open(s3);
        for (size_t i = 0; i < COUNT; i++)
                reqs[i] = (struct store_req){.op = STORE_GET, .key = "k"};
        store_run(s3->store, reqs, COUNT);
        for (size_t i = 0; i < COUNT; i++) {
                assert_int_equal(reqs[i].result, HIF_OK);
                store_req_free(&reqs[i]);
        }
        assert_int_equal(tserver_count(s3->server), COUNT);
        assert_in_range(tserver_connections(s3->server), 1, HTTP_CONNECTIONS);
        free(reqs);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, ts3_setup, ts3_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            EACH(region_is_learnt_once),
            EACH(region_is_learnt_from_head_and_not_for_ever),
            EACH(wrong_clock_is_corrected),
            EACH(date_comes_with_the_first_answer),
            EACH(date_is_forgotten_when_clocks_jump),
            EACH(expired_key_is_replaced),
            EACH(doubtful_keys_are_replaced),
            EACH(requests_wait_for_a_key),
            EACH(missing_key_is_explained),
            EACH(troubles_are_explained),
            EACH(absent_server_is_unreachable),
            EACH(server_that_went_away_is_unreachable),
            EACH(silent_handshake_is_unreachable),
            EACH(secrets_are_not_logged),
            EACH(large_bodies_go_in_parts),
            EACH(other_bodies_go_whole),
            EACH(missing_tag_is_asked_for),
            EACH(failed_upload_is_aborted),
            EACH(doubtful_completion_is_settled_by_tags),
            EACH(patience_begins_with_the_first_failure),
            EACH(cancelling_answers_all),
            EACH(silence_cancels),
            EACH(resets_are_silence),
            EACH(uploads_leave_room_for_reads),
            EACH(connections_are_bounded_and_kept),
        };

        return cmocka_run_group_tests_name("store_s3_life", tests, NULL, NULL);
}
