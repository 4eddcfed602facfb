/* Answers that do not arrive, and races that are lost. */
#include "tests/land/tland.h"

#include <stdlib.h>

struct fixture {
        struct tproject tp;
        struct tsession ts;
};

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
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

static void land(struct fixture *f)
{
        enum hif_err err = tsession_land(&f->ts);

        if (err != HIF_OK)
                fail_msg("%s: %s", hif_err_name(err), f->ts.why.text);
        tproject_verify(&f->tp);
}

/* --- unknown outcomes --- */

/* Puts a store with faults before the fixture's. */
static struct store *with_faults(struct fixture *f, const struct store_fault_rule *rule)
{
        struct store *faulty;

        assert_int_equal(store_fault_new(&f->tp.env, f->tp.store, &faulty), HIF_OK);
        assert_int_equal(store_fault_add(faulty, rule), HIF_OK);
        f->tp.project.store = faulty;
        return faulty;
}

static void without_faults(struct fixture *f, struct store *faulty)
{
        f->tp.project.store = f->tp.store;
        store_close(faulty);
}

/* The answer to the slot's PUT is lost once: its repeat, or its GET, finds our own id. */
static void a_lost_answer_is_no_failure(void **state)
{
        struct fixture *f = *state;
        struct store *faulty =
            with_faults(f, &(struct store_fault_rule){.op = STORE_PUT_NEW,
                                                      .key_contains = "landing-log",
                                                      .count = 1,
                                                      .fault = STORE_FAULT_LOST});

        tsession_put(&f->ts, "a", "1");
        assert_int_equal(tsession_land(&f->ts), HIF_OK);
        assert_false(f->ts.result.already_landed);
        assert_int_equal(f->ts.result.position, 1);
        without_faults(f, faulty);
        assert_int_equal(tproject_tail(&f->tp), 1);
}

/* "It exists" is not believed: an HTTP library that resends says so of our own. */
static void a_false_412_is_no_lost_race(void **state)
{
        struct fixture *f = *state;
        struct store *faulty =
            with_faults(f, &(struct store_fault_rule){.op = STORE_PUT_NEW,
                                                      .key_contains = "landing-log",
                                                      .count = 1,
                                                      .fault = STORE_FAULT_FALSE_LOST});

        tsession_put(&f->ts, "a", "1");
        assert_int_equal(tsession_land(&f->ts), HIF_OK);
        assert_int_equal(f->ts.result.attempts, 1);
        assert_false(
            f->ts.result.already_landed); /* found by its id in a second look at the slots */
        assert_int_equal(f->ts.result.position, 1);
        without_faults(f, faulty);
        assert_int_equal(tproject_tail(&f->tp), 1);
}

/* Nothing definite comes: the outcome is unknown, and said to be. With the intent the next run
 * sends the same bytes; the late one finds them there. */
static void an_unknown_outcome_is_replayed(void **state)
{
        struct fixture *f = *state;
        struct store *faulty =
            with_faults(f, &(struct store_fault_rule){.op = STORE_PUT_NEW,
                                                      .key_contains = "landing-log",
                                                      .count = 100,
                                                      .fault = STORE_FAULT_LATE});

        tsession_put(&f->ts, "a", "1");
        assert_int_equal(tsession_land(&f->ts), HIF_EUNKNOWN);
        assert_non_null(strstr(f->ts.why.text, "run hif land again"));
        assert_true(f->ts.slept_ns > 0);
        assert_int_equal(f->ts.intent.position, 1);
        store_fault_clear(faulty);
        assert_int_equal(tsession_land_with(&f->ts, &f->ts.intent, false), HIF_OK);
        assert_true(f->ts.result.already_landed);
        assert_int_equal(f->ts.result.position, 1);
        store_fault_deliver(faulty);
        without_faults(f, faulty);
        assert_int_equal(tproject_tail(&f->tp), 1);
        tproject_expect(&f->tp, "a", "1");
}

/* The same, asked before anything is staged; and asked of an attempt that lost for certain. */
static void an_intent_is_settled_first(void **state)
{
        struct fixture *f = *state;
        struct store *faulty =
            with_faults(f, &(struct store_fault_rule){.op = STORE_PUT_NEW,
                                                      .key_contains = "landing-log",
                                                      .count = 100,
                                                      .fault = STORE_FAULT_LATE});
        struct project project = f->tp.project;

        tsession_put(&f->ts, "a", "1");
        assert_int_equal(tsession_land(&f->ts), HIF_EUNKNOWN);
        assert_int_equal(land_resolve(f->ts.land, &f->ts.intent, &f->ts.result, &f->ts.why),
                         HIF_EUNKNOWN);
        f->tp.project.store = f->tp.store;
        tproject_land_put(&f->tp, "theirs", "2"); /* takes the position */
        f->tp.project = project;
        store_fault_clear(faulty);
        assert_int_equal(land_resolve(f->ts.land, &f->ts.intent, &f->ts.result, &f->ts.why),
                         HIF_ENOENT);
        assert_int_equal(tsession_land(&f->ts), HIF_OK);
        assert_int_equal(f->ts.result.position, 2);
        assert_int_equal(land_resolve(f->ts.land, &f->ts.intent, &f->ts.result, &f->ts.why),
                         HIF_OK);
        assert_int_equal(f->ts.result.position, 2);
        store_fault_deliver(faulty);
        without_faults(f, faulty);
        assert_int_equal(tproject_tail(&f->tp), 2);
}

/* While an earlier attempt may still arrive, a store that does not answer means "unknown". */
static void an_unreachable_store_does_not_settle_an_intent(void **state)
{
        struct fixture *f = *state;
        struct store *faulty =
            with_faults(f, &(struct store_fault_rule){.op = STORE_PUT_NEW,
                                                      .key_contains = "landing-log",
                                                      .count = 100,
                                                      .fault = STORE_FAULT_LATE});
        struct store_fault_rule down = {
            .op = -1, .count = 1000, .fault = STORE_FAULT_FAIL, .err = HIF_EUNREACHABLE};

        tsession_put(&f->ts, "a", "1");
        assert_int_equal(tsession_land(&f->ts), HIF_EUNKNOWN);
        f->ts.count = 0; /* nothing to stage: the commit meets the store first */
        land_free(f->ts.land);
        f->ts.land = NULL;
        store_fault_clear(faulty);
        assert_int_equal(store_fault_add(faulty, &down), HIF_OK);
        assert_int_equal(
            land_begin(&f->tp.project, &f->ts.session, NULL, NULL, &f->ts.hooks, NULL, &f->ts.land),
            HIF_OK);
        assert_int_equal(
            land_commit(f->ts.land, NULL, 0, &f->ts.intent, false, &f->ts.result, &f->ts.why),
            HIF_EUNKNOWN);
        store_fault_clear(faulty);
        without_faults(f, faulty);
}

/* Giving up occupies the slot: what arrives later finds it taken, and lands nothing. */
static void giving_up_occupies_the_slot(void **state)
{
        struct fixture *f = *state;
        struct store *faulty =
            with_faults(f, &(struct store_fault_rule){.op = STORE_PUT_NEW,
                                                      .key_contains = "landing-log",
                                                      .count = 100,
                                                      .fault = STORE_FAULT_LATE});
        struct slot_read slot;
        struct land_result result = {0};

        tsession_put(&f->ts, "a", "1");
        assert_int_equal(tsession_land(&f->ts), HIF_EUNKNOWN);
        store_fault_clear(faulty);
        assert_int_equal(land_give_up(&f->tp.project, &f->ts.intent, NULL, &result, &f->ts.why),
                         HIF_OK);
        store_fault_deliver(faulty);
        without_faults(f, faulty);
        assert_int_equal(tproject_tail(&f->tp), 1);
        assert_int_equal(project_slot(&f->tp.project, 1, false, &slot, NULL), HIF_OK);
        assert_int_equal(slot.slot.kind, SLOT_VOID);
        slot_read_free(&slot);
        assert_false(tproject_has(&f->tp, 1, "a"));
        tproject_land_put(&f->tp, "b", "2"); /* life goes on */
        assert_int_equal(tproject_tail(&f->tp), 2);
}

/* It had landed after all. */
static void giving_up_too_late_says_where_it_landed(void **state)
{
        struct fixture *f = *state;
        struct land_result result = {0};

        tsession_put(&f->ts, "a", "1");
        land(f);
        assert_int_equal(land_give_up(&f->tp.project, &f->ts.intent, NULL, &result, &f->ts.why),
                         HIF_EEXIST);
        assert_int_equal(result.position, 1);
}

/* A refusal before anything was sent is a plain error: nothing landed. */
static void a_refused_slot_is_an_error(void **state)
{
        struct fixture *f = *state;
        struct store *faulty =
            with_faults(f, &(struct store_fault_rule){.op = STORE_PUT_NEW,
                                                      .key_contains = "landing-log",
                                                      .count = 1,
                                                      .fault = STORE_FAULT_FAIL,
                                                      .err = HIF_EDENIED});

        tsession_put(&f->ts, "a", "1");
        assert_int_equal(tsession_land(&f->ts), HIF_EDENIED);
        without_faults(f, faulty);
        assert_int_equal(tproject_tail(&f->tp), 0);
}

/* --- races --- */

static struct fixture *racing; /* for the hook below, which has nothing else to go by */

static enum hif_err someone_lands_first(struct land_hooks *hooks, const struct land_intent *intent)
{
        (void)intent;
        hooks->save_intent = NULL;
        tproject_land_put(&racing->tp, "theirs", "2");
        return HIF_OK;
}

/* The slot is taken in the last moment: the next one is tried, with both changes in it, and what
 * was stored is not stored again. */
static void a_lost_race_is_tried_again(void **state)
{
        struct fixture *f = *state;
        struct entry entry;

        racing = f;
        f->ts.hooks.save_intent = someone_lands_first;
        tsession_put(&f->ts, "ours", "1");
        land(f);
        assert_int_equal(f->ts.result.position, 2);
        assert_int_equal(f->ts.result.attempts, 2);
        tproject_expect(&f->tp, "ours", "1");
        tproject_expect(&f->tp, "theirs", "2");
        entry = tproject_entry(&f->tp, 2, "ours");
        assert_int_equal(entry.tag.position, 1); /* where it was tried first */
        assert_int_equal(tproject_count(&f->tp, "/sessions/"), 2);
}

static enum hif_err someone_always_lands_first(struct land_hooks *hooks,
                                               const struct land_intent *intent)
{
        static char names[16][8];
        static int count;

        (void)hooks;
        (void)intent;
        snprintf(names[count % 16], sizeof(names[0]), "n%d", count % 16);
        tproject_land_put(&racing->tp, names[count % 16], count < 16 ? "1" : "2");
        count++;
        return HIF_OK;
}

static void attempts_are_limited(void **state)
{
        struct fixture *f = *state;

        racing = f;
        f->ts.hooks.save_intent = someone_always_lands_first;
        f->ts.hooks.attempts_max = 1;
        tsession_put(&f->ts, "ours", "1");
        assert_int_equal(tsession_land(&f->ts), HIF_ELIMIT);
        assert_int_equal(f->ts.result.attempts, 1);
        assert_false(tproject_has(&f->tp, 1, "ours"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(a_lost_answer_is_no_failure),
            TEST(a_false_412_is_no_lost_race),
            TEST(an_unknown_outcome_is_replayed),
            TEST(an_intent_is_settled_first),
            TEST(an_unreachable_store_does_not_settle_an_intent),
            TEST(giving_up_occupies_the_slot),
            TEST(giving_up_too_late_says_where_it_landed),
            TEST(a_refused_slot_is_an_error),
            TEST(a_lost_race_is_tried_again),
            TEST(attempts_are_limited),
        };

        return cmocka_run_group_tests_name("land_unknown", tests, NULL, NULL);
}
