/* The fault proxy, before a server that counts: each fault does what it says, and no more. */
#include "s3fault.h"
#include "wire.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <sys/socket.h>

#include <cmocka.h>

/* The server: "500" in a target answers so; everything else gets its own body back. */
struct origin {
        int listener;
        uint16_t port;
        pthread_t thread;
        unsigned applied; /* atomic: requests that arrived whole */
        unsigned connections;
        char last[HTTP_HEAD_MAX + 1]; /* the last request's head */
};

struct fixture {
        struct origin origin;
        struct s3fault *proxy;
        struct wire client;
};

static void serve_connection(struct origin *origin, int fd)
{
        static struct http_head head;
        struct wire wire;
        uint64_t size;

        if (!wire_open(&wire, fd))
                return;
        while (wire_read_head(&wire, &head)) {
                char body[4096], answer[256];
                int status = strstr(head.text, "500") ? 500 : 200;
                bool bodyless = strncmp(head.text, "HEAD", 4) == 0;

                size = 0;
                (void)http_length(&head, &size);
                if (size > sizeof(body) || !wire_read(&wire, body, size))
                        break;
                memcpy(origin->last, head.text, head.size + 1);
                __atomic_add_fetch(&origin->applied, 1, __ATOMIC_SEQ_CST);
                snprintf(answer, sizeof(answer),
                         "HTTP/1.1 %d X\r\nETag: \"tag\"\r\nContent-Length: %lu\r\n\r\n", status,
                         (unsigned long)size);
                if (!wire_send(&wire, answer, strlen(answer)) ||
                    (!bodyless && !wire_send(&wire, body, size)))
                        break;
        }
        wire_close(&wire);
}

/* One connection after the other is enough: the proxy keeps one, and a test uses one client. */
static void *serve(void *arg)
{
        struct origin *origin = arg;
        int fd;

        while ((fd = accept(origin->listener, NULL, NULL)) >= 0) {
                origin->connections++;
                serve_connection(origin, fd);
        }
        return NULL;
}

static void connect_client(struct fixture *f)
{
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons(s3fault_port(f->proxy)),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = address_connect(&address);

        assert_true(fd >= 0);
        assert_true(wire_open(&f->client, fd));
}

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));
        struct sockaddr_in address;
        char upstream[16];

        assert_true(address_parse("0", &address));
        f->origin.listener = address_listen(&address);
        assert_true(f->origin.listener >= 0);
        assert_int_equal(pthread_create(&f->origin.thread, NULL, serve, &f->origin), 0);
        snprintf(upstream, sizeof(upstream), "%u", ntohs(address.sin_port));
        f->proxy = s3fault_start("0", upstream, 7);
        assert_non_null(f->proxy);
        connect_client(f);
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        wire_close(&f->client);
        s3fault_stop(f->proxy);
        shutdown(f->origin.listener, SHUT_RDWR);
        pthread_join(f->origin.thread, NULL);
        close(f->origin.listener);
        free(f);
        return 0;
}

static const char *say(struct fixture *f, const char *line)
{
        static char reply[S3FAULT_REPLY_MAX];

        if (!s3fault_say(f->proxy, line, reply))
                fail_msg("%s: %s", line, reply);
        return reply;
}

static bool send_request(struct fixture *f, const char *method, const char *target,
                         const char *fields, const char *body)
{
        char text[1024];

        snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %zu\r\n\r\n%s",
                 method, target, fields, strlen(body), body);
        return wire_send(&f->client, text, strlen(text));
}

/* The answer's status and body; 0: the connection ended before them, -1: within the body. */
static int read_answer(struct fixture *f, bool bodyless, char body[1024])
{
        static struct http_head head;
        uint64_t size = 0;
        int status = 0;

        body[0] = '\0';
        if (!wire_read_head(&f->client, &head))
                return 0;
        assert_int_equal(sscanf(head.text, "HTTP/1.1 %d", &status), 1);
        assert_true(http_length(&head, &size) && size < 1024);
        if (!bodyless && !wire_read(&f->client, body, size))
                return -1;
        if (!bodyless)
                body[size] = '\0';
        return status;
}

static int ask(struct fixture *f, const char *method, const char *target, const char *body)
{
        char answer[1024];

        if (!send_request(f, method, target, "", body))
                return 0;
        return read_answer(f, strcmp(method, "HEAD") == 0, answer);
}

static unsigned applied(struct fixture *f)
{
        return __atomic_load_n(&f->origin.applied, __ATOMIC_SEQ_CST);
}

static void reconnect(struct fixture *f)
{
        wire_close(&f->client);
        connect_client(f);
}

static uint64_t now_ms(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Without rules requests and answers pass unchanged, on one connection. */
static void what_meets_no_rule_passes(void **state)
{
        struct fixture *f = *state;
        char body[1024];

        assert_true(send_request(f, "PUT", "/b/k", "If-Match: \"a\"\r\n", "content"));
        assert_int_equal(read_answer(f, false, body), 200);
        assert_string_equal(body, "content");
        assert_non_null(strstr(f->origin.last, "PUT /b/k HTTP/1.1\r\nHost: x\r\nIf-Match: \"a\""));
        assert_int_equal(ask(f, "HEAD", "/b/k", ""), 200);
        assert_int_equal(ask(f, "GET", "/b/k", ""), 200);
        assert_int_equal(applied(f), 3);
        assert_int_equal(f->origin.connections, 1);
}

/* A rule looks at its method and target, and acts on the matches that it was told. */
static void rule_acts_on_its_requests_only(void **state)
{
        struct fixture *f = *state;

        say(f, "add PUT /b/k 1 2 status 503");
        say(f, "add * *deep 0 -1 status 404");
        assert_int_equal(ask(f, "GET", "/b/k", ""), 200);
        assert_int_equal(ask(f, "PUT", "/b/other", "x"), 200);
        assert_int_equal(ask(f, "PUT", "/b/k1", "x"), 200);
        assert_int_equal(ask(f, "PUT", "/b/k2", "x"), 503);
        assert_int_equal(ask(f, "PUT", "/b/k3", "x"), 503);
        assert_int_equal(ask(f, "PUT", "/b/k4", "x"), 200);
        assert_int_equal(ask(f, "GET", "/b/in/deep/er", ""), 404);
        assert_string_equal(say(f, "hits 1"), "2");
        assert_string_equal(say(f, "hits 2"), "1");
        say(f, "clear");
        assert_int_equal(ask(f, "GET", "/b/in/deep/er", ""), 200);
        assert_int_equal(applied(f), 5);
}

struct expected {
        const char *rule;
        int status;
        unsigned applied;
        bool connection_ends;
};

/* Each action, on a PUT of ten bytes: what is answered, and what the server did. */
static void every_action_does_what_it_says(void **state)
{
        static const struct expected table[] = {
            {"add PUT /b 0 1 status 503", 503, 0, false},
            {"add PUT /b 0 1 reset", 0, 0, true},
            {"add PUT /b 0 1 close", 0, 0, true},
            {"add PUT /b 0 1 cutreq 3", 0, 0, true},
            {"add PUT /b 0 1 lost 500", 500, 1, false},
            {"add PUT /b 0 1 resetlate", 0, 1, true},
            {"add PUT /b 0 1 closelate", 0, 1, true},
            {"add PUT /b 0 1 cutresp 3", -1, 1, true},
            {"add PUT /b 0 1 late 30", 200, 1, false},
            {"add PUT /b 0 1 delay 30", 200, 1, false},
        };
        struct fixture *f = *state;

        for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
                unsigned before = applied(f);
                uint64_t start = now_ms();

                say(f, table[i].rule);
                assert_int_equal(ask(f, "PUT", "/b/k", "0123456789"), table[i].status);
                assert_int_equal(applied(f) - before, table[i].applied);
                if (strstr(table[i].rule, " 30"))
                        assert_true(now_ms() - start >= 30);
                if (table[i].connection_ends)
                        reconnect(f);
                assert_int_equal(ask(f, "PUT", "/b/k", "0123456789"), 200);
                say(f, "clear");
        }
}

/* An answer that never comes: the server has done it, or has not heard of it. */
static void hanging_request_is_never_answered(void **state)
{
        struct fixture *f = *state;
        struct timeval patience = {.tv_usec = 50000};

        say(f, "add PUT /b 0 1 hang");
        say(f, "add PUT /b 0 1 hanglate");
        for (unsigned i = 0; i < 2; i++) {
                setsockopt(f->client.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
                assert_int_equal(ask(f, "PUT", "/b/k", "x"), 0);
                assert_int_equal(applied(f), i);
                reconnect(f);
        }
}

/* What is delayed arrives although its sender has left: a write after its timeout. */
static void delayed_request_outlives_its_client(void **state)
{
        struct fixture *f = *state;

        say(f, "add PUT /b 0 1 delay 2000");
        assert_true(send_request(f, "PUT", "/b/k", "", "content"));
        usleep(10000);
        wire_close(&f->client);
        assert_int_equal(applied(f), 0);
        for (int i = 0; i < 6000 && applied(f) == 0; i++)
                usleep(10000);
        assert_int_equal(applied(f), 1);
        connect_client(f);
}

/* What is held goes on when it is released. */
static void held_request_waits_for_its_release(void **state)
{
        struct fixture *f = *state;
        char body[1024];

        say(f, "add PUT /b 0 1 hold");
        assert_true(send_request(f, "PUT", "/b/k", "", "held"));
        for (int i = 0; i < 1000 && strcmp(say(f, "hits 1"), "1") != 0; i++)
                usleep(10000);
        assert_string_equal(say(f, "hits 1"), "1");
        usleep(30000);
        assert_int_equal(applied(f), 0);
        say(f, "release 1");
        assert_int_equal(read_answer(f, false, body), 200);
        assert_string_equal(body, "held");
}

/* By chance: about as many as were asked for, and the same ones for the same seed. */
static void chance_follows_the_seed(void **state)
{
        struct fixture *f = *state;
        char drawn[2][200];

        for (int round = 0; round < 2; round++) {
                int lost = 0;

                say(f, "chance PUT /b 20 lost 500");
                for (int i = 0; i < 200; i++) {
                        drawn[round][i] = ask(f, "PUT", "/b/k", "x") == 500;
                        lost += drawn[round][i];
                }
                assert_in_range(lost, 25, 55);
                teardown(state);
                setup(state);
                f = *state;
        }
        assert_memory_equal(drawn[0], drawn[1], sizeof(drawn[0]));
}

/* Other servers' dialects: tags without quotes, and 409 where this one says 500. */
static void dialects_change_what_they_name(void **state)
{
        struct fixture *f = *state;
        char body[1024];

        say(f, "dialect qce");
        assert_true(send_request(f, "PUT", "/b/500", "If-Match: \"a\"\r\n", "x"));
        assert_int_equal(read_answer(f, false, body), 409);
        assert_non_null(strstr(body, "ConditionalRequestConflict"));
        assert_non_null(strstr(f->origin.last, "If-Match: a\r\n"));
        assert_int_equal(ask(f, "PUT", "/b/500", "x"), 500);
        say(f, "dialect -");
        assert_true(send_request(f, "PUT", "/b/500", "If-Match: \"a\"\r\n", "x"));
        assert_int_equal(read_answer(f, false, body), 500);
}

/* 100-continue is answered by the proxy, which lets the server see none of it. */
static void expect_is_answered_here(void **state)
{
        static struct http_head head;
        struct fixture *f = *state;
        char body[1024];

        assert_true(send_request(f, "PUT", "/b/k", "Expect: 100-continue\r\n", "content"));
        assert_true(wire_read_head(&f->client, &head));
        assert_string_equal(head.text, "HTTP/1.1 100 Continue\r\n\r\n");
        assert_int_equal(read_answer(f, false, body), 200);
        assert_null(strstr(f->origin.last, "Expect"));
}

/* Requests, bytes and trips are counted; latency is added to each, and twice to a connection's
 * first. */
static void traffic_is_counted_and_slowed(void **state)
{
        struct fixture *f = *state;
        uint64_t start = now_ms();

        say(f, "latency 20");
        for (int i = 0; i < 3; i++)
                assert_int_equal(ask(f, "PUT", "/b/k", "x"), 200);
        assert_int_equal(ask(f, "GET", "/b/k", ""), 200);
        assert_true(now_ms() - start >= 100);
        assert_non_null(strstr(say(f, "stats"), "\"get\": 1, \"head\": 0, \"put\": 3,"));
        assert_non_null(strstr(say(f, "stats"), "\"answered\": 4, \"trips\": 4,"));
        say(f, "reset");
        assert_non_null(strstr(say(f, "stats"), "\"get\": 0, \"head\": 0, \"put\": 0,"));
}

/* What is under way at a reset is the first trip after it. */
static void reset_begins_a_new_chain(void **state)
{
        struct fixture *f = *state;
        char body[1024];

        for (int i = 0; i < 3; i++)
                assert_int_equal(ask(f, "GET", "/b/k", ""), 200);
        say(f, "add PUT /b 0 1 hold");
        assert_true(send_request(f, "PUT", "/b/k", "", "held"));
        for (int i = 0; i < 1000 && strcmp(say(f, "hits 1"), "1") != 0; i++)
                usleep(1000);
        say(f, "reset");
        say(f, "release 1");
        assert_int_equal(read_answer(f, false, body), 200);
        assert_int_equal(ask(f, "GET", "/b/k", ""), 200);
        assert_non_null(strstr(say(f, "stats"), "\"trips\": 2,"));
}

/* What is no command is refused, and says why. */
static void nonsense_is_refused(void **state)
{
        static const char *const lines[] = {
            "",           "ad",          "add PUT /b 0 1",         "add PUT /b 0 1 vanish",
            "hits 9",     "release x",   "add PUT /b 0 x reset",   "chance PUT /b 101 reset",
            "latency -1", "dialect qxc", "add PUT /b 0 1 delay x", "del 1",
            "trace x",
        };
        struct fixture *f = *state;
        char reply[S3FAULT_REPLY_MAX];

        for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
                assert_false(s3fault_say(f->proxy, lines[i], reply));
                assert_int_equal(strncmp(reply, "error: ", 7), 0);
        }
}

/* Behind the proxy nobody listens: the client is told that the service is not there. */
static void absent_server_is_unavailable(void **state)
{
        struct fixture *f = *state;
        struct s3fault *real = f->proxy;

        f->proxy = s3fault_start("0", "1", 1);
        reconnect(f);
        assert_int_equal(ask(f, "PUT", "/b/k", "x"), 503);
        wire_close(&f->client);
        s3fault_stop(f->proxy);
        f->proxy = real;
        connect_client(f);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
            TEST(what_meets_no_rule_passes),
            TEST(rule_acts_on_its_requests_only),
            TEST(every_action_does_what_it_says),
            TEST(hanging_request_is_never_answered),
            TEST(delayed_request_outlives_its_client),
            TEST(held_request_waits_for_its_release),
            TEST(chance_follows_the_seed),
            TEST(dialects_change_what_they_name),
            TEST(expect_is_answered_here),
            TEST(traffic_is_counted_and_slowed),
            TEST(reset_begins_a_new_chain),
            TEST(nonsense_is_refused),
            TEST(absent_server_is_unavailable),
        };

        return cmocka_run_group_tests_name("s3fault", tests, NULL, NULL);
}
