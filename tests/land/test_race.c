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
        assert_int_equal(tsession_land(&f->ts), HIF_OK);
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
        assert_int_equal(tsession_land(&f->ts), HIF_OK);
        assert_int_equal(f->ts.result.attempts, 5);
        tproject_land_put(&f->others, "shared/theirs", "3");
        tproject_expect(&f->others, "ours", "1");
        tproject_expect(&f->others, "shared/ours", "2");
        tproject_expect(&f->others, "theirs", "a");
        tproject_verify(&f->others);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(a_lost_race_goes_on_from_the_winner),
            TEST(a_lost_race_finds_the_tail_behind_the_winner),
            TEST(a_lost_race_carries_over_what_others_changed),
        };

        return cmocka_run_group_tests_name("race", tests, NULL, NULL);
}
