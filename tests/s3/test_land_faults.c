/* Landing on S3 when the network does its worst to single requests. Behind the proxy is a real
 * server, in front the real HTTP library with its kept connections: what it does by itself is part
 * of the test. */
#include "tests/land/tland.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fixture {
        struct tproject tp;
        struct tsession ts;
};

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        tproject_open(&f->tp, NULL, 2);
        tsession_open(&f->ts, &f->tp, 0);
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        tsession_close(&f->ts);
        tproject_close(&f->tp);
        free(f);
        return 0;
}

static void expect_one_landing(struct fixture *f)
{
        (void)place_say(f->tp.place, "clear");
        assert_int_equal(f->ts.result.position, 1);
        assert_int_equal(tproject_tail(&f->tp), 1);
        tproject_expect(&f->tp, "file", "content");
        tproject_verify(&f->tp);
}

/* The slot's PUT meets this, once; the landing is reported as landed, and is there once. */
static void land_while(struct fixture *f, const char *action)
{
        const char *rule, *more;

        (void)place_say(f->tp.place, "reset");
        rule = strdup(place_say(f->tp.place, "add PUT *landing-log/ 0 1 %s", action));
        more = strdup(place_say(f->tp.place, "add PUT *landing-log/ 0 -1 late 0"));
        tsession_put(&f->ts, "file", "content");
        if (tsession_land(&f->ts) != HIF_OK)
                fail_msg("%s: %s", action, f->ts.why.text);
        assert_false(f->ts.result.already_landed);
        assert_int_equal(f->ts.result.attempts, 1);
        assert_string_equal(place_say(f->tp.place, "hits %s", rule), "1");
        printf("%s: then %s more PUTs of the slot\n", action,
               place_say(f->tp.place, "hits %s", more));
        free((char *)rule);
        free((char *)more);
        expect_one_landing(f);
}

/* What libcurl does by itself, if it is let: the slot's PUT goes out on a connection that was in
 * use before, takes effect, and the connection ends; sent again unseen, it gives a 412 for what was
 * ours. */
static void reused_connection_that_ends_fools_nobody(void **state)
{
        static const char *const actions[] = {"closelate", "resetlate"};
        struct fixture *f = *state;

        for (uint64_t i = 0; i < 2; i++) {
                struct tsession *ts = calloc(1, sizeof(*ts));
                unsigned connections = 0;
                const char *stats;

                tproject_land_put(&f->tp, "before", i ? "b" : "a");
                tsession_open(ts, &f->tp, 2 * i + 1);
                tsession_put(ts, "file", actions[i]);
                (void)place_say(f->tp.place, "reset");
                (void)place_say(f->tp.place, "add PUT *landing-log/ 0 1 %s", actions[i]);
                assert_int_equal(tsession_land(ts), HIF_OK);
                stats = strstr(place_say(f->tp.place, "stats"), "\"connections\": ");
                assert_int_equal(sscanf(stats, "\"connections\": %u", &connections), 1);
                assert_true(connections <= 2); /* in the place of what ended, if any */
                assert_int_equal(ts->result.position, 2 * i + 2);
                assert_int_equal(ts->result.attempts, 1);
                assert_int_equal(tproject_tail(&f->tp), 2 * i + 2);
                (void)place_say(f->tp.place, "clear");
                tsession_close(ts);
                free(ts);
        }
}

static void slot_answered_with_a_close(void **state)
{
        land_while(*state, "closelate");
}

static void slot_answered_with_a_reset(void **state)
{
        land_while(*state, "resetlate");
}

static void slot_answered_with_nothing(void **state)
{
        land_while(*state, "hanglate");
}

static void slot_answered_after_the_timeout(void **state)
{
        land_while(*state, "late 1500");
}

/* The request comes to the server when we have long given it up: a write from the past. */
static void slot_arrives_after_the_timeout(void **state)
{
        struct fixture *f = *state;

        land_while(f, "delay 1500");
        usleep(1000000);
        expect_one_landing(f);
}

static void slot_applied_and_answered_500(void **state)
{
        land_while(*state, "lost 500");
}

static void slot_applied_and_answered_503(void **state)
{
        land_while(*state, "lost 503");
}

static void slot_applied_and_answered_412(void **state)
{
        land_while(*state, "lost 412");
}

static void slot_applied_and_answered_409(void **state)
{
        land_while(*state, "lost 409");
}

static void slot_refused_with_503(void **state)
{
        land_while(*state, "status 503");
}

static void slot_refused_with_409(void **state)
{
        land_while(*state, "status 409");
}

static void slot_cut_on_the_way(void **state)
{
        land_while(*state, "cutreq 100");
}

static void connection_lost_before_the_slot(void **state)
{
        land_while(*state, "close");
}

/* Every kind of request loses its answer, or is lost, one time in four. */
static void everything_is_unreliable(void **state)
{
        static const char *const commands[] = {
            "chance PUT * 8 closelate", "chance PUT * 8 reset",       "chance PUT * 8 lost 500",
            "chance GET * 8 close",     "chance GET * 8 cutresp 5",   "chance GET * 8 status 503",
            "chance HEAD * 8 reset",    "chance HEAD * 8 status 500",
        };
        struct fixture *f = *state;
        enum hif_err err = HIF_EUNKNOWN;

        for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
                (void)place_say(f->tp.place, "%s", commands[i]);
        tsession_put(&f->ts, "file", "content");
        err = tsession_land(&f->ts);
        for (int i = 0; i < 20 && (err == HIF_EUNKNOWN || err == HIF_EUNREACHABLE); i++)
                err = tsession_land_with(&f->ts, f->ts.intent.slot.size ? &f->ts.intent : NULL,
                                         false);
        if (err != HIF_OK)
                fail_msg("%s", f->ts.why.text);
        expect_one_landing(f);
}

/* Head cannot be moved: landed all the same, and the next who looks finds the tail and helps. */
static void head_that_cannot_be_written_is_no_failure(void **state)
{
        struct fixture *f = *state;
        struct layout_key head = layout_head(&f->tp.project.layout);
        struct head moved = {0};

        (void)place_say(f->tp.place, "add PUT */head 0 -1 reset");
        tsession_put(&f->ts, "file", "content");
        assert_int_equal(tsession_land(&f->ts), HIF_OK);
        assert_int_equal(head_get(tproject_peek(&f->tp, head.text), &moved), HIF_OK);
        assert_int_equal(moved.position, 0);
        expect_one_landing(f);
        assert_int_equal(head_get(tproject_peek(&f->tp, head.text), &moved), HIF_OK);
        assert_int_equal(moved.position, 1);
}

/* Content that arrives short is never taken for the content. */
static void short_answers_are_read_again(void **state)
{
        struct fixture *f = *state;

        tsession_put(&f->ts, "file", "content");
        assert_int_equal(tsession_land(&f->ts), HIF_OK);
        (void)place_say(f->tp.place, "add GET *packs/ 0 1 cutresp 3");
        (void)place_say(f->tp.place, "add GET *trees/ 0 1 cutresp 20");
        tproject_expect(&f->tp, "file", "content");
        assert_string_equal(place_say(f->tp.place, "hits 1"), "1");
        assert_string_equal(place_say(f->tp.place, "hits 2"), "1");
        expect_one_landing(f);
}

struct held {
        struct fixture *f;
        enum hif_err err;
};

static void *land_held(void *arg)
{
        struct held *held = arg;

        held->err = tsession_land(&held->f->ts);
        return NULL;
}

/* Our slot's PUT is on its way when somebody else lands there: we come after them, once. */
static void who_is_overtaken_lands_after(void **state)
{
        struct fixture *f = *state;
        struct held held = {.f = f};
        char rule[16];
        pthread_t thread;

        snprintf(rule, sizeof(rule), "%s",
                 place_say(f->tp.place, "add PUT *landing-log/ 0 1 hold"));
        tsession_put(&f->ts, "file", "content");
        assert_int_equal(pthread_create(&thread, NULL, land_held, &held), 0);
        while (strcmp(place_say(f->tp.place, "hits %s", rule), "1") != 0)
                usleep(2000);
        tproject_land_put(&f->tp, "theirs", "1");
        (void)place_say(f->tp.place, "release %s", rule);
        pthread_join(thread, NULL);
        assert_int_equal(held.err, HIF_OK);
        assert_int_equal(f->ts.result.position, 2);
        assert_int_equal(tproject_tail(&f->tp), 2);
        tproject_expect(&f->tp, "file", "content");
        tproject_expect(&f->tp, "theirs", "1");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(reused_connection_that_ends_fools_nobody),
            TEST(slot_answered_with_a_close),
            TEST(slot_answered_with_a_reset),
            TEST(slot_answered_with_nothing),
            TEST(slot_answered_after_the_timeout),
            TEST(slot_arrives_after_the_timeout),
            TEST(slot_applied_and_answered_500),
            TEST(slot_applied_and_answered_503),
            TEST(slot_applied_and_answered_412),
            TEST(slot_applied_and_answered_409),
            TEST(slot_refused_with_503),
            TEST(slot_refused_with_409),
            TEST(slot_cut_on_the_way),
            TEST(connection_lost_before_the_slot),
            TEST(everything_is_unreliable),
            TEST(head_that_cannot_be_written_is_no_failure),
            TEST(short_answers_are_read_again),
            TEST(who_is_overtaken_lands_after),
        };

        return cmocka_run_group_tests_name("faults on S3", tests, NULL, NULL);
}
