/* Two who want the same position: the one who loses goes on from there. */
#include "tests/land/tland.h"
#include "tests/land/trips.h"

#include <stdlib.h>

/* We, over a store that counts; and others, who land just before our slot is tried. */
struct fixture {
        struct tproject tp, others;
        struct trips trips;
        struct tsession ts;
        struct land_hooks inner; /* the session's own */
        int races, others_a_race, landed;
        uint64_t slots, heads; /* requests between the first try and the second */
        int tries;
};

static struct fixture *from_hooks(struct land_hooks *hooks)
{
        struct tsession *ts = (struct tsession *)((char *)hooks - offsetof(struct tsession, hooks));

        return (struct fixture *)((char *)ts - offsetof(struct fixture, ts));
}

static enum hif_err save_intent(struct land_hooks *hooks, const struct land_intent *intent)
{
        struct fixture *f = from_hooks(hooks);

        f->tries++;
        if (f->tries == 2) {
                f->slots = f->trips.slots - f->slots;
                f->heads = f->trips.heads - f->heads;
        }
        for (int i = 0; f->tries <= f->races && i < f->others_a_race; i++)
                tproject_land_put(&f->others, "theirs", f->landed++ % 2 ? "a" : "b");
        if (f->tries == 1) {
                f->slots = f->trips.slots;
                f->heads = f->trips.heads;
        }
        return f->inner.save_intent(hooks, intent);
}

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        tproject_open(&f->tp, NULL, 0);
        f->others = f->tp;
        trips_init(&f->trips, &f->tp.env, f->tp.store);
        f->tp.project.store = &f->trips.store;
        tsession_open(&f->ts, &f->tp, 0);
        f->inner = f->ts.hooks;
        f->ts.hooks.save_intent = save_intent;
        tsession_put(&f->ts, "ours", "1");
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        tsession_close(&f->ts);
        tproject_close(&f->others);
        free(f);
        return 0;
}

/* On its own, however many races that takes. */
static enum hif_err land_alone(struct fixture *f)
{
        struct tsession *ts = &f->ts;
        struct land_member member = {.changes = ts->changes, .out = &ts->result, .why = &ts->why};
        struct land_batch batch = {.members = &member, .count = 1};

        assert_int_equal(tsession_land_with(ts, NULL, true), HIF_OK); /* staged */
        assert_int_equal(land_line_new(&ts->tp->project, NULL, &batch.line), HIF_OK);
        member.land = ts->land;
        member.count = ts->count;
        land_commit_batch(&batch);
        land_line_free(batch.line);
        return member.err;
}

/* The slot that won is known: our PUT, its GET, and a look whether another one follows. */
static void a_lost_race_goes_on_from_the_winner(void **state)
{
        struct fixture *f = *state;

        f->races = f->others_a_race = 1;
        assert_int_equal(tsession_land(&f->ts), HIF_OK);
        assert_int_equal(f->ts.result.position, 2);
        assert_int_equal(f->ts.result.attempts, 2);
        assert_int_equal(f->slots, 3);
        assert_int_equal(f->heads, 0);
        tproject_expect(&f->others, "ours", "1");
        tproject_expect(&f->others, "theirs", "b");
}

/* However many landed meanwhile, and however often. */
static void a_lost_race_finds_the_tail_behind_the_winner(void **state)
{
        struct fixture *f = *state;

        f->races = 3;
        f->others_a_race = 7;
        assert_int_equal(land_alone(f), HIF_OK);
        assert_int_equal(f->ts.result.position, 22);
        assert_int_equal(f->ts.result.attempts, 4);
        tproject_expect(&f->others, "ours", "1");
        tproject_verify(&f->others);
}

/* What others changed beside us is written over our tree: the result is what deciding anew gives,
 * also for a directory that both have put something into. */
static void a_lost_race_carries_over_what_others_changed(void **state)
{
        struct fixture *f = *state;

        tsession_mkdir(&f->ts, "shared", 5);
        tsession_put(&f->ts, "shared/ours", "2");
        f->races = 4;
        f->others_a_race = 2;
        assert_int_equal(land_alone(f), HIF_OK);
        assert_int_equal(f->ts.result.attempts, 5);
        tproject_land_put(&f->others, "shared/theirs", "3");
        tproject_expect(&f->others, "ours", "1");
        tproject_expect(&f->others, "shared/ours", "2");
        tproject_expect(&f->others, "theirs", "a");
        tproject_verify(&f->others);
}

/* Who loses twice proposes: one more slot, however many others race. */
static void who_loses_again_proposes(void **state)
{
        struct fixture *f = *state;
        struct slot_read slot;

        f->races = 1000;
        f->others_a_race = 1;
        assert_int_equal(tsession_land(&f->ts), HIF_OK);
        assert_int_equal(f->ts.result.attempts, 3);
        assert_int_equal(f->ts.result.member, 1);
        assert_int_equal(
            project_slot(&f->others.project, f->ts.result.position, false, &slot, NULL), HIF_OK);
        assert_int_equal(slot.slot.rivals, 2);
        slot_read_free(&slot);
        tproject_expect(&f->others, "ours", "1");
        assert_int_equal(tproject_count(&f->others, "/proposals/"), 0);
        tproject_verify(&f->others);
}

/* Behind a slot that others wanted, too, nobody tries alone; behind one that nobody did, they do. */
static void a_crowd_is_seen_and_forgotten(void **state)
{
        struct fixture *f = *state;
        struct slot_read slot;

        f->races = 2;
        f->others_a_race = 1;
        assert_int_equal(tsession_land(&f->ts), HIF_OK);
        tproject_land_put(&f->others, "next", "2");
        assert_int_equal(
            project_slot(&f->others.project, f->ts.result.position + 1, false, &slot, NULL),
            HIF_OK);
        assert_int_equal(slot.slot.kind, SLOT_BATCH); /* a proposal */
        assert_int_equal(slot.slot.rivals, 0);
        slot_read_free(&slot);
        tproject_land_put(&f->others, "last", "3");
        assert_int_equal(
            project_slot(&f->others.project, f->ts.result.position + 2, false, &slot, NULL),
            HIF_OK);
        assert_int_equal(slot.slot.kind, SLOT_LANDING);
        slot_read_free(&slot);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(a_lost_race_goes_on_from_the_winner),
            TEST(a_lost_race_finds_the_tail_behind_the_winner),
            TEST(a_lost_race_carries_over_what_others_changed),
            TEST(who_loses_again_proposes),
            TEST(a_crowd_is_seen_and_forgotten),
        };

        return cmocka_run_group_tests_name("race", tests, NULL, NULL);
}
