/* Sessions that are open and lie in the store. */
#include "land/session_store.h"
#include "tests/check/tcheck.h"

struct topen {
        struct session_id id;
        struct hif_hash object;
};

/* Publish a session from the tail that has written dir/four. */
static void publish(struct tcheck *tc, struct topen *out)
{
        struct tsession *ts = calloc(1, sizeof(*ts));
        struct land_stored stored;
        struct open_session record;

        assert_non_null(ts);
        tsession_open(ts, &tc->tp, tproject_tail(&tc->tp));
        tsession_put(ts, "dir/four", "4");
        assert_int_equal(
            land_begin(&tc->tp.project, &ts->session, NULL, NULL, &ts->hooks, NULL, &ts->land),
            HIF_OK);
        assert_int_equal(land_stage(ts->land, ts->changes, ts->count, &ts->reader, &ts->why),
                         HIF_OK);
        assert_int_equal(land_session_store(ts->land, ts->changes, ts->count, &stored, &ts->why),
                         HIF_OK);
        assert_true(stored.changed);
        record = (struct open_session){.id = ts->session.id,
                                       .state = SESSION_OPEN,
                                       .changed = true,
                                       .revision = 1,
                                       .base_position = ts->session.base_position,
                                       .origin = ts->session.origin,
                                       .base_slot = ts->session.base_slot,
                                       .tree = stored.tree,
                                       .object = stored.object,
                                       .published_ns = 1};
        assert_int_equal(open_record_write(&tc->tp.project, &record, NULL, &ts->why), HIF_OK);
        *out = (struct topen){.id = ts->session.id, .object = stored.object};
        tsession_close(ts);
        free(ts);
}

/* What an open session has stored is not left over, and not damage. */
static void an_open_session_is_nothing_to_find(void **state)
{
        struct tcheck *tc = *state;
        struct topen open;

        publish(tc, &open);
        tcheck_expect_clean(tc);
        tproject_land_put(&tc->tp, "dir/one", "others land meanwhile");
        tc->options.subset.kind = CHECK_SUBSET_ALL;
        tcheck_expect_clean(tc);
}

/* With its record gone (it was abandoned), its objects are left over: of a record, a node at least,
 * and a pack. */
static void what_an_abandoned_session_leaves_is_told(void **state)
{
        struct tcheck *tc = *state;
        struct topen open;

        publish(tc, &open);
        tcheck_drop(tc, layout_open_session(&tc->tp.project.layout, &open.id).text);
        assert_true(tcheck_expect(tc, CHECK_UNREFERENCED)->count >= 3);
}

static void a_record_that_is_changed(void **state)
{
        struct tcheck *tc = *state;
        struct topen open;
        struct layout_key key;

        publish(tc, &open);
        key = layout_open_session(&tc->tp.project.layout, &open.id);
        tcheck_flip(tc, key.text, 90);
        assert_int_equal(tcheck_run(tc), HIF_OK);
        assert_string_equal(tcheck_found(tc, CHECK_OPEN_SESSION_DAMAGED, 0)->key, key.text);
}

static void what_it_needs_that_is_gone(void **state)
{
        struct tcheck *tc = *state;
        struct store_req before = {.op = STORE_LIST, .prefix = "projects/org/name/packs/"};
        struct store_req after = {.op = STORE_LIST, .prefix = "projects/org/name/packs/"};
        const struct tfinding *finding;
        struct topen open;

        store_run(tc->store, &before, 1);
        publish(tc, &open);
        store_run(tc->store, &after, 1);
        assert_int_equal(after.list.count, before.list.count + 1);
        for (size_t i = 0; i < after.list.count; i++)
                if (i == before.list.count ||
                    strcmp(after.list.items[i].key, before.list.items[i].key) != 0) {
                        tcheck_drop(tc, after.list.items[i].key);
                        break;
                }
        store_req_free(&before);
        store_req_free(&after);
        finding = tcheck_expect(tc, CHECK_PACK_MISSING);
        assert_string_equal(finding->path, "dir/four");
        assert_non_null(strstr(finding->detail, "open session"));
}

static void its_own_record_that_is_gone(void **state)
{
        struct tcheck *tc = *state;
        struct topen open;

        publish(tc, &open);
        tcheck_drop(tc, layout_session(&tc->tp.project.layout, &open.id, &open.object).text);
        tcheck_expect(tc, CHECK_SESSION_MISSING);
}

/* Proposed, and no slot can be written meanwhile: it lies in the store, and so does what it names. */
static void a_proposal_is_nothing_to_find(void **state)
{
        struct tcheck *tc = *state;
        struct tsession *ts = calloc(1, sizeof(*ts));
        struct store *real = tc->tp.project.store, *faulty;
        const struct tfinding *left;
        struct store_fault_rule rule = {.op = STORE_PUT_NEW,
                                        .key_contains = "landing-log",
                                        .count = 10000,
                                        .fault = STORE_FAULT_FAIL,
                                        .err = HIF_EUNREACHABLE};

        assert_non_null(ts);
        assert_int_equal(store_fault_new(&tc->tp.env, real, &faulty), HIF_OK);
        assert_int_equal(store_fault_add(faulty, &rule), HIF_OK);
        tsession_open(ts, &tc->tp, tproject_tail(&tc->tp));
        tsession_put(ts, "dir/four", "4");
        tc->tp.project.store = faulty;
        assert_int_equal(
            land_begin(&tc->tp.project, &ts->session, NULL, NULL, &ts->hooks, NULL, &ts->land),
            HIF_OK);
        assert_int_equal(land_stage(ts->land, ts->changes, ts->count, &ts->reader, &ts->why),
                         HIF_OK);
        assert_int_equal(
            land_propose(ts->land, NULL, ts->changes, ts->count, &ts->result, &ts->why),
            HIF_EUNKNOWN);
        tsession_close(ts);
        free(ts);
        tc->tp.project.store = real;
        store_close(faulty);
        assert_int_equal(tproject_count(&tc->tp, "/proposals/"), 1);
        /* Nodes that its owner made in vain are left over; the proposal names the rest. */
        left = tcheck_expect(tc, CHECK_UNREFERENCED);
        assert_non_null(strstr(left->detail, "tree node"));
        assert_null(strstr(left->detail, "pack"));
        assert_null(strstr(left->detail, "session"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tcheck_setup, tcheck_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(an_open_session_is_nothing_to_find),
            TEST(what_an_abandoned_session_leaves_is_told),
            TEST(a_record_that_is_changed),
            TEST(what_it_needs_that_is_gone),
            TEST(its_own_record_that_is_gone),
            TEST(a_proposal_is_nothing_to_find),
        };

        return cmocka_run_group_tests_name("check: open sessions", tests, NULL, NULL);
}
