/* Batches that follow each other: the second is decided and stored while the first one's slot is on
 * its way, and counts only if that slot is there. */
#include "tests/land/tland.h"
#include "tests/land/trips.h"

#include <stdlib.h>

#define SESSIONS_MAX 8

struct group {
        struct land_batch batch; /* first */
        struct fixture *fixture;
        struct tsession *sessions[SESSIONS_MAX];
        struct land_member members[SESSIONS_MAX];
        struct group *behind;
        int asked;
};

struct fixture {
        struct tproject tp;
        struct store *fault;
        struct trips trips;
        struct land_line *line;
        struct group first, second;
        struct store *inner;
};

static struct land_batch *who_is_behind(struct land_batch *batch)
{
        struct group *group = (struct group *)batch;

        group->asked++;
        return group->behind && group->behind->batch.count > 0 ? &group->behind->batch : NULL;
}

static void group_init(struct fixture *f, struct group *group)
{
        group->fixture = f;
        group->batch =
            (struct land_batch){.line = f->line, .members = group->members, .next = who_is_behind};
}

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        tproject_open(&f->tp, NULL, 0);
        f->inner = f->tp.store;
        assert_int_equal(store_fault_new(&f->tp.env, f->inner, &f->fault), HIF_OK);
        trips_init(&f->trips, &f->tp.env, f->fault);
        f->tp.project.store = &f->trips.store;
        assert_int_equal(land_line_new(&f->tp.project, NULL, &f->line), HIF_OK);
        group_init(f, &f->first);
        group_init(f, &f->second);
        f->first.behind = &f->second;
        *state = f;
        return 0;
}

static void group_close(struct group *group)
{
        for (size_t i = 0; i < group->batch.count; i++) {
                tsession_close(group->sessions[i]);
                free(group->sessions[i]);
        }
        group->batch.count = 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        group_close(&f->first);
        group_close(&f->second);
        land_line_free(f->line);
        f->tp.project.store = f->inner;
        store_close(f->fault);
        tproject_close(&f->tp);
        free(f);
        return 0;
}

/* Staged, and in the group. */
static struct tsession *join(struct group *group, const char *path, const char *content)
{
        struct fixture *f = group->fixture;
        struct tsession *ts = calloc(1, sizeof(*ts));
        size_t at = group->batch.count++;

        assert_non_null(ts);
        tsession_open(ts, &f->tp, tproject_tail(&f->tp));
        tsession_put(ts, path, content);
        assert_int_equal(
            land_begin(&f->tp.project, &ts->session, NULL, NULL, &ts->hooks, NULL, &ts->land),
            HIF_OK);
        assert_int_equal(land_stage(ts->land, ts->changes, ts->count, &ts->reader, &ts->why),
                         HIF_OK);
        group->sessions[at] = ts;
        group->members[at] = (struct land_member){.land = ts->land,
                                                  .changes = ts->changes,
                                                  .count = ts->count,
                                                  .out = &ts->result,
                                                  .why = &ts->why};
        return ts;
}

static void land_both(struct fixture *f)
{
        land_commit_batch(&f->first.batch);
        if (f->second.batch.count > 0)
                land_commit_batch(&f->second.batch);
}

static void expect_landed(const struct group *group, size_t index, uint64_t position)
{
        if (group->members[index].err != HIF_OK)
                fail_msg("member %zu: %s (%s)", index, hif_err_name(group->members[index].err),
                         group->sessions[index]->why.text);
        assert_int_equal(group->sessions[index]->result.position, position);
}

/* The second needs no look at the tail, and nothing of it is sent twice. */
static void the_second_lands_right_behind_the_first(void **state)
{
        struct fixture *f = *state;
        uint64_t puts;

        join(&f->first, "a", "1");
        join(&f->first, "b", "2");
        join(&f->second, "c", "3");
        join(&f->second, "d", "4");
        puts = f->trips.puts;
        land_both(f);
        for (size_t i = 0; i < 2; i++) {
                expect_landed(&f->first, i, 1);
                expect_landed(&f->second, i, 2);
                assert_int_equal(f->second.sessions[i]->result.attempts, 1);
        }
        assert_int_equal(f->first.asked, 1);
        /* Each: two nodes at most, two records, a slot; and head. */
        assert_true(f->trips.puts - puts <= 2 * (2 + 2 + 1 + 1));
        tproject_expect(&f->tp, "a", "1");
        tproject_expect(&f->tp, "d", "4");
        tproject_verify(&f->tp);
}

/* What the first one changed is seen, though it was no position yet: the conflict is told once it
 * is one, and names it. */
static void a_conflict_with_the_slot_on_its_way_is_told_when_it_is_there(void **state)
{
        struct fixture *f = *state;

        join(&f->first, "a", "1");
        join(&f->second, "a", "2");
        join(&f->second, "b", "3");
        land_both(f);
        expect_landed(&f->first, 0, 1);
        assert_int_equal(f->second.members[0].err, HIF_ECONFLICT);
        tsession_expect_conflict(f->second.sessions[0], "a", "added", "added");
        assert_int_equal(f->second.sessions[0]->result.conflicts[0].position, 1);
        expect_landed(&f->second, 1, 2);
        tproject_expect(&f->tp, "a", "1");
        tproject_verify(&f->tp);
}

/* The first one loses its race: what was prepared onto its slot is decided anew. */
static void a_lost_race_undoes_what_was_prepared(void **state)
{
        struct fixture *f = *state;

        join(&f->first, "z", "0");
        land_commit_batch(&f->first.batch); /* now the line takes its own slot for the tail */
        group_close(&f->first);
        group_close(&f->second);
        join(&f->first, "a", "1");
        join(&f->second, "a", "2");
        join(&f->second, "b", "3");
        f->tp.project.store = f->inner;
        tproject_land_put(&f->tp, "a", "other");
        f->tp.project.store = &f->trips.store;
        land_both(f);
        assert_int_equal(f->first.members[0].err, HIF_ECONFLICT);
        assert_int_equal(f->second.members[0].err, HIF_ECONFLICT);
        assert_int_equal(f->second.sessions[0]->result.conflicts[0].position, 2);
        expect_landed(&f->second, 1, 3);
        tproject_expect(&f->tp, "a", "other");
        tproject_expect(&f->tp, "b", "3");
        tproject_verify(&f->tp);
}

/* Nobody knows what became of the first: the second is not sent on top of it. */
static void an_unknown_outcome_is_not_built_upon(void **state)
{
        struct fixture *f = *state;
        /* Its PUT is answered with nothing, and so are all repeats and looks. */
        struct store_fault_rule late = {.op = STORE_PUT_NEW,
                                        .key_contains = "/landing-log/",
                                        .count = 6,
                                        .fault = STORE_FAULT_LATE};

        join(&f->first, "a", "1");
        join(&f->second, "b", "2");
        assert_int_equal(store_fault_add(f->fault, &late), HIF_OK);
        land_both(f);
        assert_int_equal(f->first.members[0].err, HIF_EUNKNOWN);
        expect_landed(&f->second, 0, 1);
        store_fault_deliver(f->fault); /* they come too late */
        assert_int_equal(tproject_tail(&f->tp), 1);
        tproject_expect(&f->tp, "b", "2");
        assert_false(tproject_has(&f->tp, 1, "a"));
        tproject_verify(&f->tp);
}

/* A member whose content the store refuses is told so, and the others land. */
static void content_that_is_refused_keeps_its_member_out(void **state)
{
        struct fixture *f = *state;
        struct store_fault_rule full = {.op = STORE_PUT,
                                        .key_contains = "/packs/",
                                        .skip = 1,
                                        .count = 1,
                                        .fault = STORE_FAULT_FAIL,
                                        .err = HIF_ENOSPC};

        assert_int_equal(store_fault_add(f->fault, &full), HIF_OK);
        join(&f->first, "a", "1");
        join(&f->first, "b", "2");
        join(&f->first, "c", "3");
        land_both(f);
        expect_landed(&f->first, 0, 1);
        assert_int_equal(f->first.members[1].err, HIF_ENOSPC);
        expect_landed(&f->first, 2, 1);
        assert_false(tproject_has(&f->tp, 1, "b"));
        tproject_expect(&f->tp, "c", "3");
        tproject_verify(&f->tp);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(the_second_lands_right_behind_the_first),
            TEST(a_conflict_with_the_slot_on_its_way_is_told_when_it_is_there),
            TEST(a_lost_race_undoes_what_was_prepared),
            TEST(an_unknown_outcome_is_not_built_upon),
            TEST(content_that_is_refused_keeps_its_member_out),
        };

        return cmocka_run_group_tests_name("pipeline", tests, NULL, NULL);
}
