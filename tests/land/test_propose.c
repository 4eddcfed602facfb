/* Sessions that are proposed in the store, and landed by whoever wins the slot. */
#include "core/key.h"
#include "core/layout.h"
#include "land/propose.h"
#include "tests/land/tland.h"
#include "tests/land/trips.h"

#include <stdlib.h>

struct fixture {
        struct tproject tp;
        struct tsession ts;
};

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        tproject_open(&f->tp, NULL, 0);
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

static int by_key(const void *a, const void *b)
{
        AUTO_BUF struct buf key_a = {0};
        AUTO_BUF struct buf key_b = {0};

        key_from_path(&key_a, ((const struct land_change *)a)->path);
        key_from_path(&key_b, ((const struct land_change *)b)->path);
        return span_cmp(buf_span(&key_a), buf_span(&key_b));
}

static void stage(struct tsession *ts)
{
        qsort(ts->changes, ts->count, sizeof(ts->changes[0]), by_key);
        land_free(ts->land);
        assert_int_equal(
            land_begin(&ts->tp->project, &ts->session, NULL, NULL, &ts->hooks, NULL, &ts->land),
            HIF_OK);
        assert_int_equal(land_stage(ts->land, ts->changes, ts->count, &ts->reader, &ts->why),
                         HIF_OK);
}

static enum hif_err propose(struct tsession *ts)
{
        stage(ts);
        return land_propose(ts->land, NULL, ts->changes, ts->count, &ts->result, &ts->why);
}

/* One that is proposed, and whose author is gone: no slot can be written meanwhile. */
static void leave_a_proposal(struct fixture *f, struct tsession *ts)
{
        struct store *real = f->tp.project.store, *faulty;
        struct store_fault_rule rule = {.op = STORE_PUT_NEW,
                                        .key_contains = "landing-log",
                                        .count = 10000,
                                        .fault = STORE_FAULT_FAIL,
                                        .err = HIF_EUNREACHABLE};

        assert_int_equal(store_fault_new(&f->tp.env, real, &faulty), HIF_OK);
        assert_int_equal(store_fault_add(faulty, &rule), HIF_OK);
        f->tp.project.store = faulty;
        assert_int_equal(propose(ts), HIF_EUNKNOWN);
        assert_non_null(strstr(ts->why.text, "run hif land again"));
        land_free(ts->land);
        ts->land = NULL;
        f->tp.project.store = real;
        store_close(faulty);
}

static enum hif_err resolve(struct tsession *ts)
{
        land_free(ts->land);
        assert_int_equal(
            land_begin(&ts->tp->project, &ts->session, NULL, NULL, &ts->hooks, NULL, &ts->land),
            HIF_OK);
        return land_resolve(ts->land, &ts->intent, &ts->result, &ts->why);
}

/* Alone: proposed, landed by its own author as a batch of one, and taken away. */
static void alone_it_lands_itself(void **state)
{
        struct fixture *f = *state;
        struct slot_read slot;

        tsession_put(&f->ts, "a", "1");
        assert_int_equal(propose(&f->ts), HIF_OK);
        assert_int_equal(f->ts.result.position, 1);
        assert_int_equal(f->ts.result.member, 1);
        assert_false(f->ts.result.already_landed);
        tproject_expect(&f->tp, "a", "1");
        assert_int_equal(tproject_count(&f->tp, "/proposals/"), 0);
        assert_int_equal(project_slot(&f->tp.project, 1, true, &slot, NULL), HIF_OK);
        assert_int_equal(slot.slot.kind, SLOT_BATCH);
        slot_read_free(&slot);
        tproject_verify(&f->tp);
}

/* Whoever comes lands what others have left, with what it brings itself. */
static void others_proposals_land_with_ours(void **state)
{
        struct fixture *f = *state;
        struct tsession *other = calloc(1, sizeof(*other));

        assert_non_null(other);
        tsession_open(other, &f->tp, 0);
        tsession_put(other, "theirs", "2");
        leave_a_proposal(f, other);
        assert_int_equal(tproject_count(&f->tp, "/proposals/"), 1);
        tsession_put(&f->ts, "a", "1");
        assert_int_equal(propose(&f->ts), HIF_OK);
        assert_int_equal(tproject_tail(&f->tp), 1);
        tproject_expect(&f->tp, "a", "1");
        tproject_expect(&f->tp, "theirs", "2");
        assert_int_equal(tproject_count(&f->tp, "/proposals/"), 0);
        assert_int_equal(resolve(other), HIF_OK);
        assert_int_equal(other->result.position, 1);
        tproject_verify(&f->tp);
        tsession_close(other);
        free(other);
}

/* A conflict is told only once a slot has refused the session; then it never lands. */
static void a_conflict_is_refused_by_a_slot(void **state)
{
        struct fixture *f = *state;
        struct slot_read slot;

        tproject_land_put(&f->tp, "a", "theirs");
        tsession_put(&f->ts, "a", "ours");
        assert_int_equal(propose(&f->ts), HIF_ECONFLICT);
        assert_true(f->ts.result.refused);
        assert_int_equal(f->ts.result.position, 2);
        tsession_expect_conflict(&f->ts, "a", "added", "added");
        assert_int_equal(f->ts.result.conflicts[0].position, 1);
        assert_int_equal(project_slot(&f->tp.project, 2, true, &slot, NULL), HIF_OK);
        assert_int_equal(slot.slot.kind, SLOT_VOID);
        assert_true(slot_refuses(&slot.slot, &f->ts.session.id));
        slot_read_free(&slot);
        assert_int_equal(tproject_count(&f->tp, "/proposals/"), 0);

        tproject_land_remove(&f->tp, "a"); /* what stood in the way is gone */
        assert_int_equal(tsession_land(&f->ts), HIF_ECONFLICT);
        assert_true(f->ts.result.refused);
        assert_false(tproject_has(&f->tp, tproject_tail(&f->tp), "a"));
}

/* Refused by others, while its author was gone: told when it comes back, by the trees. */
static void who_was_refused_meanwhile_is_told_why(void **state)
{
        struct fixture *f = *state;
        struct tsession *other = calloc(1, sizeof(*other));

        assert_non_null(other);
        tsession_put(&f->ts, "a", "ours");
        leave_a_proposal(f, &f->ts);
        tproject_land_put(&f->tp, "a", "theirs");
        tsession_open(other, &f->tp, 1);
        tsession_put(other, "b", "1");
        assert_int_equal(propose(other), HIF_OK);
        assert_int_equal(resolve(&f->ts), HIF_ENOENT);
        assert_true(f->ts.result.refused);
        assert_int_equal(f->ts.result.position, 2);
        assert_int_equal(propose(&f->ts), HIF_ECONFLICT);
        assert_true(f->ts.result.refused);
        tsession_close(other);
        free(other);
}

/* Giving up has the session refused; nobody lands it behind that. */
static void giving_up_has_it_refused(void **state)
{
        struct fixture *f = *state;
        struct tsession *other = calloc(1, sizeof(*other));
        struct land_result result;

        assert_non_null(other);
        tsession_put(&f->ts, "a", "1");
        leave_a_proposal(f, &f->ts);
        assert_int_equal(land_give_up(&f->tp.project, &f->ts.intent, NULL, &result, &f->ts.why),
                         HIF_OK);
        assert_int_equal(land_give_up(&f->tp.project, &f->ts.intent, NULL, &result, &f->ts.why),
                         HIF_OK); /* again: fine */
        assert_int_equal(tproject_tail(&f->tp), 1);
        tsession_open(other, &f->tp, 0);
        tsession_put(other, "b", "1");
        assert_int_equal(propose(other), HIF_OK);
        assert_false(tproject_has(&f->tp, 2, "a"));
        assert_int_equal(tproject_count(&f->tp, "/proposals/"), 0);
        tsession_close(other);
        free(other);
}

/* Too late to give up: somebody has landed it. */
static void giving_up_too_late_says_where_it_is(void **state)
{
        struct fixture *f = *state;
        struct tsession *other = calloc(1, sizeof(*other));
        struct land_result result;

        assert_non_null(other);
        tsession_put(&f->ts, "a", "1");
        leave_a_proposal(f, &f->ts);
        tsession_open(other, &f->tp, 0);
        tsession_put(other, "b", "1");
        assert_int_equal(propose(other), HIF_OK);
        assert_int_equal(land_give_up(&f->tp.project, &f->ts.intent, NULL, &result, &f->ts.why),
                         HIF_EEXIST);
        assert_int_equal(result.position, 1);
        tsession_close(other);
        free(other);
}

/* A session that is proposed twice, as on two machines, lands once. */
static void a_session_is_landed_once_of_two_proposals(void **state)
{
        struct fixture *f = *state;

        tsession_put(&f->ts, "a", "1");
        leave_a_proposal(f, &f->ts);
        assert_int_equal(propose(&f->ts), HIF_OK);
        assert_int_equal(tproject_count(&f->tp, "/proposals/"), 1);
        tproject_land_put(&f->tp, "x", "1");
        f->ts.session.id.bytes[0] ^= 1; /* one more, which sees what is left over */
        f->ts.session.origin = f->ts.session.base_position;
        f->ts.count = 0;
        tsession_put(&f->ts, "b", "1");
        assert_int_equal(propose(&f->ts), HIF_OK);
        assert_int_equal(tproject_tail(&f->tp), 3);
        assert_int_equal(tproject_count(&f->tp, "/proposals/"), 0);
        tproject_verify(&f->tp);
}

/* What is no proposal, or another's bytes under this key, is left out and harms nobody. */
static void garbage_is_left_out(void **state)
{
        struct fixture *f = *state;
        struct tsession *other = calloc(1, sizeof(*other));
        uint8_t id[LANDING_ID_SIZE] = {0};
        struct layout_key key = layout_proposal(&f->tp.project.layout, id);
        struct store_req req = {.op = STORE_PUT, .key = key.text, .body = span_str("garbage")};
        struct layout_key moved;

        assert_non_null(other);
        store_run(f->tp.store, &req, 1);
        store_req_free(&req);
        tsession_open(other, &f->tp, 0);
        tsession_put(other, "theirs", "1");
        leave_a_proposal(f, other);
        id[0] = 1;
        moved = layout_proposal(&f->tp.project.layout, id);
        req = (struct store_req){
            .op = STORE_PUT, .key = moved.text, .body = buf_span(&other->intent.slot)};
        store_run(f->tp.store, &req, 1);
        store_req_free(&req);
        tsession_put(&f->ts, "a", "1");
        assert_int_equal(propose(&f->ts), HIF_OK);
        tproject_expect(&f->tp, "a", "1");
        tproject_expect(&f->tp, "theirs", "1");
        assert_int_equal(tproject_count(&f->tp, "/proposals/"), 2);
        tsession_close(other);
        free(other);
}

/* One that names a base which this project does not have is nobody's to land. */
static void a_strange_base_is_left_out(void **state)
{
        struct fixture *f = *state;
        struct tsession *other = calloc(1, sizeof(*other));

        assert_non_null(other);
        tsession_open(other, &f->tp, 0);
        tsession_put(other, "theirs", "1");
        leave_a_proposal(f, other);
        /* The same bytes with another base slot, sealed anew. */
        AUTO_ARENA struct arena arena = {0};
        AUTO_BUF struct buf bytes = {0};
        struct proposal proposal;
        struct layout_key key;

        assert_int_equal(proposal_get(buf_span(&other->intent.slot), &arena, &proposal), HIF_OK);
        proposal.base_slot.bytes[0] ^= 1;
        assert_int_equal(proposal_put(&bytes, &proposal), HIF_OK);
        key = layout_proposal(&f->tp.project.layout, proposal.landing_id);
        struct store_req req = {.op = STORE_PUT, .key = key.text, .body = buf_span(&bytes)};
        store_run(f->tp.store, &req, 1);
        store_req_free(&req);
        tsession_put(&f->ts, "a", "1");
        assert_int_equal(propose(&f->ts), HIF_OK);
        assert_false(tproject_has(&f->tp, 1, "theirs"));
        tproject_expect(&f->tp, "a", "1");
        tsession_close(other);
        free(other);
}

/* Nobody answers whether the slot was written: what lands is found, and once. */
static void a_lost_answer_is_looked_up(void **state)
{
        struct fixture *f = *state;
        struct store *faulty;
        struct store_fault_rule rule = {.op = STORE_PUT_NEW,
                                        .key_contains = "landing-log",
                                        .count = 1,
                                        .fault = STORE_FAULT_LOST};

        assert_int_equal(store_fault_new(&f->tp.env, f->tp.store, &faulty), HIF_OK);
        assert_int_equal(store_fault_add(faulty, &rule), HIF_OK);
        f->tp.project.store = faulty;
        tsession_put(&f->ts, "a", "1");
        assert_int_equal(propose(&f->ts), HIF_OK);
        f->tp.project.store = f->tp.store;
        store_close(faulty);
        assert_int_equal(tproject_tail(&f->tp), 1);
}

/* More changes than fit the proposal are in an object of their own. */
static void many_changes_go_into_a_list(void **state)
{
        static char names[1500][64];
        struct fixture *f = *state;

        for (size_t i = 0; i < 1500; i++) {
                snprintf(names[i], sizeof(names[i]), "a-file-with-quite-a-long-name-%zu", i);
                tsession_put(&f->ts, names[i], names[i]);
        }
        assert_int_equal(propose(&f->ts), HIF_OK);
        tproject_expect(&f->tp, names[1499], names[1499]);
        tproject_verify(&f->tp);
}

/* One that is too large for others' batches has the next slot to itself for a while; its owner does
 * not come, so the others go on, and it stays. */
static void a_large_one_is_given_way_and_not_waited_for_ever(void **state)
{
        static char names[OFFERS_CHANGES_MAX + 1][16];
        struct fixture *f = *state;
        struct tsession *large = calloc(1, sizeof(*large));

        assert_non_null(large);
        tsession_open(large, &f->tp, 0);
        for (size_t i = 0; i <= OFFERS_CHANGES_MAX; i++) {
                snprintf(names[i], sizeof(names[i]), "large-%zu", i);
                tsession_put(large, names[i], "x");
        }
        leave_a_proposal(f, large);
        tsession_put(&f->ts, "a", "1");
        f->ts.slept_ns = 0;
        assert_int_equal(propose(&f->ts), HIF_OK);
        assert_true(f->ts.slept_ns > 0);
        assert_int_equal(tproject_tail(&f->tp), 1);
        assert_false(tproject_has(&f->tp, 1, "large-0"));
        assert_int_equal(tproject_count(&f->tp, "/proposals/"), 1);
        assert_int_equal(resolve(large), HIF_OK); /* here it is: whatever it takes */
        assert_true(tproject_has(&f->tp, 2, "large-0"));
        tsession_close(large);
        free(large);
        tproject_verify(&f->tp);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(alone_it_lands_itself),
            TEST(others_proposals_land_with_ours),
            TEST(a_conflict_is_refused_by_a_slot),
            TEST(who_was_refused_meanwhile_is_told_why),
            TEST(giving_up_has_it_refused),
            TEST(giving_up_too_late_says_where_it_is),
            TEST(a_session_is_landed_once_of_two_proposals),
            TEST(garbage_is_left_out),
            TEST(a_strange_base_is_left_out),
            TEST(a_lost_answer_is_looked_up),
            TEST(many_changes_go_into_a_list),
            TEST(a_large_one_is_given_way_and_not_waited_for_ever),
        };

        return cmocka_run_group_tests_name("propose", tests, NULL, NULL);
}
