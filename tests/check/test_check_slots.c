/* Format, slots, their chain, ids, lists, and head. */
#include "tests/check/tcheck.h"

/* A project that hif wrote has nothing to find in it. */
static void a_clean_project_has_no_findings(void **state)
{
        struct tcheck *tc = *state;

        tcheck_expect_clean(tc);
        assert_int_equal(tc->report.tail, 4);
        assert_int_equal(tc->report.slots, 5);
        assert_true(tc->report.nodes > 5);
}

/* Reading everything, or beginning later, finds nothing either. */
static void every_way_of_checking_a_clean_project_finds_nothing(void **state)
{
        struct tcheck *tc = *state;

        tc->options.subset.kind = CHECK_SUBSET_ALL;
        tcheck_expect_clean(tc);
        for (uint64_t from = 1; from <= 4; from++) {
                tc->options.from = from;
                tcheck_expect_clean(tc);
        }
        tc->options.from = 5;
        assert_int_equal(tcheck_run(tc), HIF_ENOENT);
}

static void no_project_is_no_finding(void **state)
{
        struct tcheck *tc = *state;

        assert_int_equal(check_run(&tc->tp.env, tc->store, "org/other", &tc->options, &tc->hooks,
                                   &tc->report, &tc->why),
                         HIF_ENOENT);
        assert_non_null(strstr(tc->why.text, "org/other"));
}

static void a_format_that_is_gone(void **state)
{
        struct tcheck *tc = *state;

        tcheck_drop(tc, layout_format(&tc->tp.project.layout).text);
        assert_int_equal(tcheck_expect(tc, CHECK_FORMAT_MISSING)->severity, CHECK_FATAL);
}

static void a_format_that_is_changed(void **state)
{
        struct tcheck *tc = *state;

        tcheck_flip(tc, layout_format(&tc->tp.project.layout).text, 20);
        tcheck_expect(tc, CHECK_FORMAT_DAMAGED);
}

static void a_format_of_a_newer_version(void **state)
{
        struct tcheck *tc = *state;

        tcheck_flip(tc, layout_format(&tc->tp.project.layout).text, 4);
        tcheck_expect(tc, CHECK_FORMAT_UNSUPPORTED);
}

/* The last positions can go without a trace, but for head. */
static void a_log_that_lost_its_end(void **state)
{
        struct tcheck *tc = *state;

        tcheck_drop(tc, tcheck_slot_key(tc, 4).text);
        assert_int_equal(tcheck_run(tc), HIF_OK);
        assert_int_equal(tcheck_found(tc, CHECK_HEAD_AHEAD, 0)->first, 4);
        assert_int_equal(tc->report.counts[CHECK_ERROR], 0);
}

static void a_slot_that_is_gone(void **state)
{
        struct tcheck *tc = *state;
        const struct tfinding *finding;

        tcheck_drop(tc, tcheck_slot_key(tc, 2).text);
        finding = tcheck_expect(tc, CHECK_SLOT_MISSING);
        assert_int_equal(finding->first, 2);
        assert_int_equal(finding->last, 2);
        assert_int_equal(tc->report.slots, 4);
}

/* Where someone has put one at the end of all positions, the history before it is checked. */
static void a_stray_slot_far_away(void **state)
{
        struct tcheck *tc = *state;
        struct buf slot = {0};

        tcheck_read(tc, tcheck_slot_key(tc, 4).text, &slot);
        tcheck_write(tc, tcheck_slot_key(tc, POSITION_MAX).text, buf_span(&slot));
        buf_free(&slot);
        assert_int_equal(tcheck_run(tc), HIF_OK);
        assert_int_equal(tc->count, 2);
        assert_int_equal(tcheck_found(tc, CHECK_SLOT_DAMAGED, 0)->first, POSITION_MAX);
        assert_int_equal(tcheck_found(tc, CHECK_SLOT_MISSING, 0)->last, POSITION_MAX - 1);
        assert_int_equal(tc->report.slots, 5);
        assert_int_equal(tc->report.tail, 4);
}

static void no_slot_at_all(void **state)
{
        struct tcheck *tc = *state;

        for (uint64_t i = 0; i <= 4; i++)
                tcheck_drop(tc, tcheck_slot_key(tc, i).text);
        assert_int_equal(tcheck_run(tc), HIF_OK);
        tcheck_found(tc, CHECK_SLOT_MISSING, 0);
        assert_false(tc->report.have_tail);
}

/* What a damaged slot listed is not held against its neighbours. */
static void a_slot_that_is_changed(void **state)
{
        struct tcheck *tc = *state;

        for (uint64_t position = 0; position <= 4; position++) {
                struct layout_key key = tcheck_slot_key(tc, position);

                tcheck_flip(tc, key.text, 100);
                if (position < 4) {
                        assert_int_equal(tcheck_expect(tc, CHECK_SLOT_DAMAGED)->first, position);
                } else {
                        assert_int_equal(tcheck_run(tc), HIF_OK);
                        tcheck_found(tc, CHECK_SLOT_DAMAGED, 0);
                }
                tcheck_flip(tc, key.text, 100);
        }
        tcheck_expect_clean(tc);
}

static void a_slot_of_a_newer_version(void **state)
{
        struct tcheck *tc = *state;

        tcheck_flip(tc, tcheck_slot_key(tc, 1).text, 4);
        tcheck_expect(tc, CHECK_SLOT_UNSUPPORTED);
}

static void a_slot_that_follows_another_one(void **state)
{
        struct tcheck *tc = *state;
        struct tslot ts;

        tslot_begin(tc, &ts);
        ts.slot.previous.bytes[0] ^= 1;
        tslot_put(tc, &ts);
        assert_int_equal(tcheck_expect(tc, CHECK_CHAIN_BROKEN)->first, 5);
}

static void a_clock_that_goes_back(void **state)
{
        struct tcheck *tc = *state;
        struct tslot ts;

        tslot_begin(tc, &ts);
        ts.slot.hlc -= 2;
        tslot_put(tc, &ts);
        tcheck_expect(tc, CHECK_CLOCK_BACKWARDS);
}

static void a_session_that_landed_twice(void **state)
{
        struct tcheck *tc = *state;
        struct slot_read first;
        struct tslot ts;

        assert_int_equal(project_slot(&tc->tp.project, 3, false, &first, &tc->why), HIF_OK);
        tslot_begin(tc, &ts);
        ts.slot.session = first.slot.session;
        tslot_put(tc, &ts);
        slot_read_free(&first);
        assert_non_null(strstr(tcheck_expect(tc, CHECK_SESSION_TWICE)->detail, "@3"));
}

/* Who was refused has been told to land under another id. */
static void a_session_that_landed_after_it_was_refused(void **state)
{
        struct tcheck *tc = *state;
        struct slot_refused refused = {.session = {.bytes = {1, 2, 3}}};
        struct tslot ts;

        tslot_begin(tc, &ts);
        ts.slot.refused = &refused;
        ts.slot.refused_count = 1;
        tslot_put(tc, &ts);
        tcheck_expect_clean(tc);
        tslot_begin(tc, &ts);
        ts.slot.session = refused.session;
        tslot_put(tc, &ts);
        assert_non_null(strstr(tcheck_expect(tc, CHECK_SESSION_REFUSED)->detail, "@5"));
}

static void batch_of(struct tcheck *tc, struct slot_member members[2])
{
        struct tslot ts;

        tslot_begin(tc, &ts);
        ts.slot.kind = SLOT_BATCH;
        ts.slot.base_position = 0;
        ts.slot.tag = 0;
        ts.slot.author = (struct span){0};
        ts.slot.member_count = 2;
        ts.slot.members = members;
        tslot_put(tc, &ts);
}

/* Members of a batch are landings like others. */
static void members_of_a_batch_land_once(void **state)
{
        struct tcheck *tc = *state;
        struct slot_read first;
        struct slot_member members[2] = {
            {.landing_id = {1}, .tag = 5, .session = {{1}}, .base_position = 4},
            {.landing_id = {2}, .tag = 6, .session = {{2}}, .base_position = 4}};

        batch_of(tc, members);
        tcheck_expect_clean(tc);
        members[0].landing_id[0] = 3;
        members[1].landing_id[0] = 4;
        assert_int_equal(project_slot(&tc->tp.project, 3, false, &first, &tc->why), HIF_OK);
        members[0].session = first.slot.session;
        members[1].session = first.slot.session;
        slot_read_free(&first);
        batch_of(tc, members);
        assert_int_equal(tcheck_run(tc), HIF_OK);
        assert_int_equal(tcheck_count(tc, CHECK_SESSION_TWICE), 3); /* two with @3, one within */
}

static void a_landing_id_that_is_there_twice(void **state)
{
        struct tcheck *tc = *state;
        struct tslot ts;

        tslot_begin(tc, &ts);
        memcpy(ts.slot.landing_id, ts.before.slot.landing_id, LANDING_ID_SIZE);
        tslot_put(tc, &ts);
        tcheck_expect(tc, CHECK_LANDING_TWICE);
}

static void a_session_record_that_is_gone_or_changed(void **state)
{
        struct tcheck *tc = *state;
        struct slot_read slot;
        struct layout_key key;

        assert_int_equal(project_slot(&tc->tp.project, 3, false, &slot, &tc->why), HIF_OK);
        key = layout_session(&tc->tp.project.layout, &slot.slot.session, &slot.slot.session_object);
        slot_read_free(&slot);
        tcheck_flip(tc, key.text, 70);
        tcheck_expect_clean(tc); /* without reading */
        tc->options.subset.kind = CHECK_SUBSET_ALL;
        assert_int_equal(tcheck_expect(tc, CHECK_SESSION_DAMAGED)->first, 3);
        tcheck_drop(tc, key.text);
        assert_int_equal(tcheck_expect(tc, CHECK_SESSION_MISSING)->first, 3);
}

/* @2 lists more objects and paths than fit a slot. */
static struct layout_key a_list_of(struct tcheck *tc, uint64_t position, bool of_paths)
{
        struct slot_read slot;
        struct layout_key key;

        assert_int_equal(project_slot(&tc->tp.project, position, false, &slot, &tc->why), HIF_OK);
        key = layout_list(&tc->tp.project.layout,
                          of_paths ? &slot.slot.paths_list : &slot.slot.objects_list);
        slot_read_free(&slot);
        return key;
}

static void put_with_lists(struct tcheck *tc, uint32_t said)
{
        struct tslot ts;
        struct buf list = {0};
        struct entry dir;

        tslot_begin(tc, &ts);
        dir = tslot_dir(&ts);
        tslot_edit(tc, &ts, "new-dir", &dir);
        slot_paths_put(&list, ts.paths, ts.slot.path_count);
        ts.slot.paths_list = hash_of(HASH_LIST, buf_span(&list));
        tcheck_write(tc, layout_list(&tc->tp.project.layout, &ts.slot.paths_list).text,
                     buf_span(&list));
        ts.slot.paths = NULL;
        ts.slot.path_count = said;
        tslot_put(tc, &ts);
        buf_free(&list);
}

static void a_list_that_is_gone_or_changed(void **state)
{
        struct tcheck *tc = *state;
        struct layout_key key;

        put_with_lists(tc, 1);
        tcheck_expect_clean(tc);
        key = a_list_of(tc, 5, true);
        tcheck_flip(tc, key.text, 9);
        assert_int_equal(tcheck_expect(tc, CHECK_LIST_DAMAGED)->first, 5);
        tcheck_drop(tc, key.text);
        assert_string_equal(tcheck_expect(tc, CHECK_LIST_MISSING)->key, key.text);
}

static void a_list_of_another_length_than_the_slot_says(void **state)
{
        struct tcheck *tc = *state;

        put_with_lists(tc, 2);
        tcheck_expect(tc, CHECK_LIST_DAMAGED);
}

static void a_filter_that_denies_its_own_path(void **state)
{
        struct tcheck *tc = *state;
        struct entry dir;
        struct tslot ts;

        tslot_begin(tc, &ts);
        dir = tslot_dir(&ts);
        tslot_edit(tc, &ts, "new-dir", &dir);
        ts.slot.bloom_absent = false;
        assert_int_equal(bloom_init(&ts.slot.bloom, 1), HIF_OK);
        bloom_add_path(&ts.slot.bloom, span_str("another"));
        tslot_put(tc, &ts);
        bloom_free(&ts.slot.bloom);
        assert_string_equal(tcheck_expect(tc, CHECK_BLOOM_WRONG)->path, "new-dir");
}

/* --- head --- */

static void write_head(struct tcheck *tc, uint64_t position, struct hif_hash tree)
{
        struct head head = {.position = position, .tree = tree, .hlc = 1};
        struct buf body = {0};

        head_put(&body, &head);
        tcheck_write(tc, layout_head(&tc->tp.project.layout).text, buf_span(&body));
        buf_free(&body);
}

static void a_head_that_is_behind_is_only_worth_knowing(void **state)
{
        struct tcheck *tc = *state;

        write_head(tc, 2, tcheck_root(tc, 2));
        assert_int_equal(tcheck_expect(tc, CHECK_HEAD_BEHIND)->severity, CHECK_INFO);
}

static void a_head_with_another_tree(void **state)
{
        struct tcheck *tc = *state;

        write_head(tc, 2, tcheck_root(tc, 1));
        tcheck_expect(tc, CHECK_HEAD_WRONG);
        write_head(tc, 4, tcheck_root(tc, 1));
        tcheck_expect(tc, CHECK_HEAD_WRONG);
        tcheck_write(tc, layout_head(&tc->tp.project.layout).text, span_str("short"));
        tcheck_expect(tc, CHECK_HEAD_WRONG);
}

static void a_head_beyond_the_tail_and_none(void **state)
{
        struct tcheck *tc = *state;

        write_head(tc, 9, tcheck_root(tc, 1));
        assert_int_equal(tcheck_expect(tc, CHECK_HEAD_AHEAD)->first, 9);
        tcheck_drop(tc, layout_head(&tc->tp.project.layout).text);
        tcheck_expect(tc, CHECK_HEAD_MISSING);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tcheck_setup, tcheck_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(a_clean_project_has_no_findings),
            TEST(every_way_of_checking_a_clean_project_finds_nothing),
            TEST(no_project_is_no_finding),
            TEST(a_format_that_is_gone),
            TEST(a_format_that_is_changed),
            TEST(a_format_of_a_newer_version),
            TEST(a_log_that_lost_its_end),
            TEST(a_slot_that_is_gone),
            TEST(a_stray_slot_far_away),
            TEST(no_slot_at_all),
            TEST(a_slot_that_is_changed),
            TEST(a_slot_of_a_newer_version),
            TEST(a_slot_that_follows_another_one),
            TEST(a_clock_that_goes_back),
            TEST(a_session_that_landed_twice),
            TEST(a_session_that_landed_after_it_was_refused),
            TEST(members_of_a_batch_land_once),
            TEST(a_landing_id_that_is_there_twice),
            TEST(a_session_record_that_is_gone_or_changed),
            TEST(a_list_that_is_gone_or_changed),
            TEST(a_list_of_another_length_than_the_slot_says),
            TEST(a_filter_that_denies_its_own_path),
            TEST(a_head_that_is_behind_is_only_worth_knowing),
            TEST(a_head_with_another_tree),
            TEST(a_head_beyond_the_tail_and_none),
        };

        return cmocka_run_group_tests_name("check: slots", tests, NULL, NULL);
}
