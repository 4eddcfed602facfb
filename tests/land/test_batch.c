/* Several sessions that land together: one position, and an answer for each. */
#include "core/layout.h"
#include "tests/land/tland.h"
#include "tests/land/trips.h"

#include <inttypes.h>
#include <stdlib.h>

#define SESSIONS_MAX 80

struct fixture {
        struct tproject tp;
        struct trips trips;
        struct land_line *line;
        struct tsession *sessions[SESSIONS_MAX];
        struct land_member members[SESSIONS_MAX];
        size_t count;
};

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        tproject_open(&f->tp, NULL, 0);
        trips_init(&f->trips, &f->tp.env, f->tp.store);
        f->tp.project.store = &f->trips.store;
        assert_int_equal(land_line_new(&f->tp.project, NULL, &f->line), HIF_OK);
        *state = f;
        return 0;
}

static void close_sessions(struct fixture *f)
{
        for (size_t i = 0; i < f->count; i++) {
                tsession_close(f->sessions[i]);
                free(f->sessions[i]);
        }
        f->count = 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        close_sessions(f);
        land_line_free(f->line);
        f->tp.project.store = f->tp.store;
        tproject_close(&f->tp);
        free(f);
        return 0;
}

/* One more for the batch, from this base. */
static struct tsession *join_from(struct fixture *f, uint64_t base)
{
        struct tsession *ts = calloc(1, sizeof(*ts));

        assert_non_null(ts);
        assert_true(f->count < SESSIONS_MAX);
        tsession_open(ts, &f->tp, base);
        f->sessions[f->count++] = ts;
        return ts;
}

static struct tsession *join(struct fixture *f)
{
        return join_from(f, tproject_tail(&f->tp));
}

static struct tsession *join_put(struct fixture *f, const char *path, const char *content)
{
        struct tsession *ts = join(f);

        tsession_put(ts, path, content);
        return ts;
}

static void stage(struct fixture *f)
{
        for (size_t i = 0; i < f->count; i++) {
                struct tsession *ts = f->sessions[i];

                land_free(ts->land);
                assert_int_equal(land_begin(&f->tp.project, &ts->session, NULL, NULL, &ts->hooks,
                                            NULL, &ts->land),
                                 HIF_OK);
                assert_int_equal(
                    land_stage(ts->land, ts->changes, ts->count, &ts->reader, &ts->why), HIF_OK);
                f->members[i] = (struct land_member){.land = ts->land,
                                                     .changes = ts->changes,
                                                     .count = ts->count,
                                                     .out = &ts->result,
                                                     .why = &ts->why};
        }
}

static void commit(struct fixture *f)
{
        struct land_batch batch = {.line = f->line, .members = f->members, .count = f->count};

        land_commit_batch(&batch);
}

static void land_all(struct fixture *f)
{
        stage(f);
        commit(f);
}

static void expect(struct fixture *f, size_t index, enum hif_err err)
{
        if (f->members[index].err != err)
                fail_msg("member %zu: %s (%s)", index, hif_err_name(f->members[index].err),
                         f->sessions[index]->why.text);
}

static void expect_landed(struct fixture *f, size_t index, uint64_t position, uint32_t member)
{
        const struct land_result *result = &f->sessions[index]->result;

        expect(f, index, HIF_OK);
        assert_int_equal(result->position, position);
        assert_int_equal(result->member, member);
}

static struct slot_read slot_at(struct fixture *f, uint64_t position)
{
        struct slot_read read;

        assert_int_equal(project_slot(&f->tp.project, position, true, &read, NULL), HIF_OK);
        return read;
}

/* Three sessions are one slot, with each one's own words and paths, in order. */
static void several_land_as_one_position(void **state)
{
        struct fixture *f = *state;
        struct slot_read slot;
        struct slot_member member;
        uint32_t first;

        join_put(f, "a", "1");
        join_put(f, "b", "2");
        tsession_put(join_put(f, "c", "3"), "d", "4");
        f->sessions[2]->session.goal = span_str("two files");
        land_all(f);
        for (uint32_t i = 0; i < 3; i++)
                expect_landed(f, i, 1, i + 1);
        assert_int_equal(f->sessions[2]->result.paths, 2);
        assert_int_equal(tproject_tail(&f->tp), 1);
        tproject_expect(&f->tp, "a", "1");
        tproject_expect(&f->tp, "d", "4");
        tproject_verify(&f->tp);
        slot = slot_at(f, 1);
        assert_int_equal(slot.slot.kind, SLOT_BATCH);
        slot_landing_at(&slot.slot, 2, &member, &first);
        assert_int_equal(first, 2);
        assert_true(span_eq(member.goal, span_str("two files")));
        assert_true(session_id_eq(&member.session, &f->sessions[2]->session.id));
        assert_int_equal(slot.slot.tree_entries, 5);
        slot_read_free(&slot);
}

/* One is no batch. */
static void one_lands_as_ever(void **state)
{
        struct fixture *f = *state;
        struct slot_read slot;

        join_put(f, "a", "1");
        land_all(f);
        expect_landed(f, 0, 1, 0);
        slot = slot_at(f, 1);
        assert_int_equal(slot.slot.kind, SLOT_LANDING);
        slot_read_free(&slot);
}

/* What two of them changed is one's; the other is told by whom, as of any other landing. */
static void a_conflict_within_the_batch_names_its_member(void **state)
{
        struct fixture *f = *state;

        join_put(f, "other", "0");
        join_put(f, "a", "1");
        f->sessions[1]->session.goal = span_str("first");
        join_put(f, "a", "2");
        join_put(f, "b", "3");
        land_all(f);
        expect_landed(f, 1, 1, 2);
        expect_landed(f, 3, 1, 3);
        expect(f, 2, HIF_ECONFLICT);
        tsession_expect_conflict(f->sessions[2], "a", "added", "added");
        assert_int_equal(f->sessions[2]->result.conflicts[0].position, 1);
        assert_int_equal(f->sessions[2]->result.conflicts[0].member, 2);
        assert_true(span_eq(f->sessions[2]->result.conflicts[0].goal, span_str("first")));
        assert_non_null(strstr(f->sessions[2]->why.text, "@1.2 added"));
        tproject_expect(&f->tp, "a", "1");
        tproject_verify(&f->tp);
}

/* A directory goes, and another one's file would have been in it. */
static void a_file_below_a_removed_directory_conflicts(void **state)
{
        struct fixture *f = *state;

        tproject_land_mkdir(&f->tp, "dir");
        tsession_remove(join(f), "dir");
        join_put(f, "dir/new", "1");
        land_all(f);
        expect_landed(f, 0, 2, 0);
        expect(f, 1, HIF_ECONFLICT);
        assert_false(tproject_has(&f->tp, 2, "dir"));
        tproject_verify(&f->tp);
}

/* The same change twice: the second has nothing left to do. */
static void an_equal_change_is_nothing(void **state)
{
        struct fixture *f = *state;

        join_put(f, "a", "1");
        join_put(f, "a", "1");
        land_all(f);
        expect_landed(f, 0, 1, 0);
        expect(f, 1, HIF_ENOTHING);
        assert_int_equal(f->sessions[1]->result.position, 1);
}

/* What stands in the way of one is taken back by one behind it: then both land. */
static void one_that_conflicts_is_asked_again(void **state)
{
        struct fixture *f = *state;
        struct tsession *late;
        struct slot_read slot;
        struct slot_member member;

        tproject_land_put(&f->tp, "a", "1");
        tproject_land_put(&f->tp, "a", "2");
        late = join_from(f, 1);
        tsession_put(late, "a", "3");
        join_put(f, "a", "1");
        land_all(f);
        expect_landed(f, 1, 3, 1);
        expect_landed(f, 0, 3, 2);
        tproject_expect(&f->tp, "a", "3");
        slot = slot_at(f, 3);
        slot_landing_at(&slot.slot, 1, &member, NULL);
        assert_true(session_id_eq(&member.session, &late->session.id));
        slot_read_free(&slot);
}

/* Nobody can land: each is told, and no position is spent. */
static void all_conflict(void **state)
{
        struct fixture *f = *state;

        join_put(f, "a", "1");
        join_put(f, "b", "1");
        tproject_land_put(&f->tp, "a", "theirs");
        tproject_land_put(&f->tp, "b", "theirs");
        land_all(f);
        expect(f, 0, HIF_ECONFLICT);
        expect(f, 1, HIF_ECONFLICT);
        assert_int_equal(f->sessions[1]->result.conflicts[0].position, 2);
        assert_int_equal(tproject_tail(&f->tp), 2);
}

/* Whose disk is full is left out. */
static enum hif_err fail_to_save(struct land_hooks *hooks, const struct land_intent *intent)
{
        (void)hooks;
        (void)intent;
        return HIF_ENOSPC;
}

static void an_intent_that_is_not_saved_harms_one(void **state)
{
        struct fixture *f = *state;

        join_put(f, "a", "1");
        join_put(f, "b", "2");
        join_put(f, "c", "3");
        f->sessions[1]->hooks.save_intent = fail_to_save;
        land_all(f);
        expect_landed(f, 0, 1, 1);
        expect_landed(f, 2, 1, 2);
        expect(f, 1, HIF_ENOSPC);
        assert_non_null(strstr(f->sessions[1]->why.text, "cannot note"));
        assert_false(tproject_has(&f->tp, 1, "b"));
}

/* A session that had landed before is told where; the others land without it. */
static void who_has_landed_is_not_landed_again(void **state)
{
        struct fixture *f = *state;

        join_put(f, "a", "1");
        land_all(f);
        join_put(f, "b", "2");
        land_all(f);
        expect_landed(f, 0, 1, 0);
        assert_true(f->sessions[0]->result.already_landed);
        expect_landed(f, 1, 2, 0);
        assert_false(f->sessions[1]->result.already_landed);
}

/* Somebody else's slot is in the way: all go on from there. */
static void a_lost_race_is_lost_by_all(void **state)
{
        struct fixture *f = *state;
        struct tproject others = f->tp;

        others.project.store = f->tp.store;
        join_put(f, "a", "1");
        land_all(f); /* the line knows @1, and believes that it is the tail */
        close_sessions(f);
        join_put(f, "b", "2");
        join_put(f, "c", "3");
        stage(f);
        tproject_land_put(&others, "theirs", "x");
        commit(f);
        expect_landed(f, 0, 3, 1);
        expect_landed(f, 1, 3, 2);
        assert_int_equal(f->sessions[0]->result.attempts, 2);
        tproject_expect(&f->tp, "theirs", "x");
        tproject_verify(&f->tp);
}

/* What a conflict is told against is the tail, not what the line takes for it. */
static void a_conflict_is_told_against_the_tail(void **state)
{
        struct fixture *f = *state;
        struct tproject others = f->tp;

        others.project.store = f->tp.store;
        join_put(f, "a", "1");
        land_all(f);
        close_sessions(f);
        tsession_put(join_from(f, 0), "a", "2");
        stage(f);
        tproject_land_put(&others, "a", "3");
        commit(f);
        expect(f, 0, HIF_ECONFLICT);
        assert_int_equal(f->sessions[0]->result.position, 2);
        assert_int_equal(f->sessions[0]->result.conflicts[0].position, 2);
}

/* No answer to the slot: every member has the same bytes in its intent, and whoever comes back
 * first lands them all. */
static void any_member_replays_the_batch(void **state)
{
        struct fixture *f = *state;
        struct store *faulty;
        struct store_fault_rule rule = {.op = STORE_PUT_NEW,
                                        .key_contains = "landing-log",
                                        .count = 100,
                                        .fault = STORE_FAULT_LATE};

        assert_int_equal(store_fault_new(&f->tp.env, f->tp.store, &faulty), HIF_OK);
        assert_int_equal(store_fault_add(faulty, &rule), HIF_OK);
        join_put(f, "a", "1");
        join_put(f, "b", "2");
        f->tp.project.store = faulty;
        land_all(f);
        expect(f, 0, HIF_EUNKNOWN);
        expect(f, 1, HIF_EUNKNOWN);
        assert_true(span_eq(buf_span(&f->sessions[0]->intent.slot),
                            buf_span(&f->sessions[1]->intent.slot)));
        store_fault_clear(faulty);
        assert_int_equal(land_resolve(f->sessions[1]->land, &f->sessions[1]->intent,
                                      &f->sessions[1]->result, &f->sessions[1]->why),
                         HIF_OK);
        assert_int_equal(f->sessions[1]->result.member, 2);
        assert_int_equal(land_resolve(f->sessions[0]->land, &f->sessions[0]->intent,
                                      &f->sessions[0]->result, &f->sessions[0]->why),
                         HIF_OK);
        assert_int_equal(f->sessions[0]->result.member, 1);
        store_fault_deliver(faulty);
        f->tp.project.store = &f->trips.store;
        store_close(faulty);
        assert_int_equal(tproject_tail(&f->tp), 1);
        tproject_expect(&f->tp, "a", "1");
        tproject_expect(&f->tp, "b", "2");
}

/* Giving one up gives up the slot: nobody of the batch arrives any more. */
static void giving_up_occupies_the_slot_of_all(void **state)
{
        struct fixture *f = *state;
        struct store *faulty;
        struct land_result result;
        struct store_fault_rule rule = {.op = STORE_PUT_NEW,
                                        .key_contains = "landing-log",
                                        .count = 100,
                                        .fault = STORE_FAULT_LATE};

        assert_int_equal(store_fault_new(&f->tp.env, f->tp.store, &faulty), HIF_OK);
        assert_int_equal(store_fault_add(faulty, &rule), HIF_OK);
        join_put(f, "a", "1");
        join_put(f, "b", "2");
        f->tp.project.store = faulty;
        land_all(f);
        store_fault_clear(faulty);
        assert_int_equal(land_give_up(&f->tp.project, &f->sessions[0]->intent, NULL, &result, NULL),
                         HIF_OK);
        store_fault_deliver(faulty);
        assert_int_equal(land_resolve(f->sessions[1]->land, &f->sessions[1]->intent,
                                      &f->sessions[1]->result, &f->sessions[1]->why),
                         HIF_ENOENT);
        f->tp.project.store = &f->trips.store;
        store_close(faulty);
        assert_false(tproject_has(&f->tp, 1, "a"));
        assert_false(tproject_has(&f->tp, 1, "b"));
}

/* The trees between two members never get to the store: what is there, the slot names. */
static void only_the_last_tree_is_stored(void **state)
{
        struct fixture *f = *state;
        struct slot_read slot;
        size_t before, nodes = 0;

        join_put(f, "a", "1");
        join_put(f, "b", "2");
        join_put(f, "c", "3");
        before = tproject_count(&f->tp, "/trees/");
        land_all(f);
        slot = slot_at(f, 1);
        for (uint32_t i = 0; i < slot.slot.object_count; i++) {
                const struct slot_object *object = &slot.slot.objects[i];
                struct layout_key key = object->kind == SLOT_NODE
                                            ? layout_node(&f->tp.project.layout, &object->hash)
                                            : layout_pack(&f->tp.project.layout, &object->hash);

                nodes += object->kind == SLOT_NODE;
                assert_non_null(store_mem_peek(f->tp.store, key.text).data);
        }
        slot_read_free(&slot);
        assert_int_equal(nodes, 1);
        assert_int_equal(tproject_count(&f->tp, "/trees/") - before, nodes);
}

/* On a line that won before, a batch is one trip for what it names, one for the slot. */
static void a_batch_behind_another_is_two_trips(void **state)
{
        struct fixture *f = *state;
        struct land_batch batch = {.line = f->line, .members = f->members, .head_later = true};
        uint64_t trips;

        join_put(f, "a", "1");
        join_put(f, "b", "2");
        land_all(f);
        close_sessions(f);
        join_put(f, "a", "3");
        join_put(f, "c", "4");
        stage(f);
        batch.count = f->count;
        trips = f->trips.trips;
        land_commit_batch(&batch);
        expect_landed(f, 0, 2, 1);
        expect_landed(f, 1, 2, 2);
        assert_int_equal(f->trips.trips - trips, 2);
}

/* Members that do not fit the slot are in a list; every reader finds them there. */
static void many_members_go_into_a_list(void **state)
{
        static char goal[SLOT_GOAL_MAX], names[SESSIONS_MAX][8];
        struct fixture *f = *state;
        struct slot_read slot;
        uint64_t position;
        struct hif_hash hash, tree;

        memset(goal, 'g', sizeof(goal));
        for (size_t i = 0; i < SESSIONS_MAX; i++) {
                snprintf(names[i], sizeof(names[i]), "f%zu", i);
                join_put(f, names[i], "1")->session.goal = span_of(goal, sizeof(goal));
        }
        land_all(f);
        for (uint32_t i = 0; i < SESSIONS_MAX; i++)
                expect_landed(f, i, 1, i + 1);
        slot = slot_at(f, 1);
        assert_false(hash_is_zero(&slot.slot.members_list));
        assert_int_equal(slot_landing_count(&slot.slot), SESSIONS_MAX);
        slot_read_free(&slot);
        assert_int_equal(land_find(&f->tp.project, &f->sessions[77]->session.id, 0, &position,
                                   &hash, &tree, NULL),
                         HIF_OK);
        assert_int_equal(position, 1);
        tproject_verify(&f->tp);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(several_land_as_one_position),
            TEST(one_lands_as_ever),
            TEST(a_conflict_within_the_batch_names_its_member),
            TEST(a_file_below_a_removed_directory_conflicts),
            TEST(an_equal_change_is_nothing),
            TEST(one_that_conflicts_is_asked_again),
            TEST(all_conflict),
            TEST(an_intent_that_is_not_saved_harms_one),
            TEST(who_has_landed_is_not_landed_again),
            TEST(a_lost_race_is_lost_by_all),
            TEST(a_conflict_is_told_against_the_tail),
            TEST(any_member_replays_the_batch),
            TEST(giving_up_occupies_the_slot_of_all),
            TEST(only_the_last_tree_is_stored),
            TEST(a_batch_behind_another_is_two_trips),
            TEST(many_members_go_into_a_list),
        };

        return cmocka_run_group_tests_name("batch", tests, NULL, NULL);
}
