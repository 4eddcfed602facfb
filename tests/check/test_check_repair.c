/* Repairs: what was damaged is whole again, or said to be lost; and a second check finds nothing. */
#include "land/derived/maintain.h"
#include "tests/check/tcheck.h"

static struct layout_key content_key(struct tcheck *tc, const char *path)
{
        struct entry entry = tproject_entry(&tc->tp, 4, path);

        return entry.loc.size > 0 ? layout_pack(&tc->tp.project.layout, &entry.loc.pack)
                                  : layout_blob(&tc->tp.project.layout, &entry.hash);
}

static void read_all(struct tcheck *tc)
{
        tc->options.subset.kind = CHECK_SUBSET_ALL;
}

static void repair_and_expect_clean(struct tcheck *tc)
{
        assert_int_equal(tcheck_repair(tc, false), HIF_OK);
        assert_true(tc->report.repaired > 0);
        assert_int_equal(tc->report.unrepaired, 0);
        tcheck_expect_clean(tc);
}

/* A check alone writes nothing, whatever it finds. */
static void a_check_without_repair_writes_nothing(void **state)
{
        struct tcheck *tc = *state;
        struct layout_key key = layout_head(&tc->tp.project.layout);

        tcheck_copy(tc);
        tcheck_drop(tc, key.text);
        tcheck_expect(tc, CHECK_HEAD_MISSING);
        assert_int_equal(tproject_count(&tc->tp, "/head"), 0);
}

/* Any object but the format and the slots, from a copy of the store. */
static void whatever_a_copy_has_comes_back(void **state)
{
        struct tcheck *tc = *state;
        struct store_req req = {.op = STORE_LIST, .prefix = "projects/org/name/"};

        read_all(tc);
        tcheck_copy(tc);
        store_run(tc->store, &req, 1);
        for (size_t i = 0; i < req.list.count; i++) {
                const char *key = req.list.items[i].key;
                size_t size = (size_t)req.list.items[i].size;

                if (strstr(key, "/format") || strstr(key, "/landing-log/"))
                        continue;
                tcheck_flip(tc, key, size / 2);
                repair_and_expect_clean(tc);
                tcheck_drop(tc, key);
                repair_and_expect_clean(tc);
        }
        store_req_free(&req);
        assert_int_equal(tproject_tail(&tc->tp), 4); /* no position was needed for that */
}

/* All at once. */
static void everything_at_once(void **state)
{
        static const char *const folders[] = {"trees/", "blobs/", "packs/", "sessions/"};
        struct tcheck *tc = *state;

        tcheck_copy(tc);
        for (size_t k = 0; k < sizeof(folders) / sizeof(folders[0]); k++) {
                char prefix[64];
                struct store_req req = {.op = STORE_LIST, .prefix = prefix};

                (void)snprintf(prefix, sizeof(prefix), "projects/org/name/%s", folders[k]);
                store_run(tc->store, &req, 1);
                assert_true(req.list.count > 0);
                for (size_t i = 0; i < req.list.count; i++)
                        tcheck_drop(tc, req.list.items[i].key);
                store_req_free(&req);
        }
        /* Whose nodes are gone does not show what else is: so it takes some rounds. */
        for (int i = 0; i < 8; i++)
                assert_int_equal(tcheck_repair(tc, false), HIF_OK);
        read_all(tc);
        tcheck_expect_clean(tc);
}

/* Slots are created, never replaced; only one that fits the chain is. */
static void slots_that_are_gone_come_back(void **state)
{
        struct tcheck *tc = *state;

        tcheck_copy(tc);
        tcheck_drop(tc, tcheck_slot_key(tc, 1).text);
        tcheck_drop(tc, tcheck_slot_key(tc, 2).text);
        repair_and_expect_clean(tc);
}

static void another_slot_does_not_take_the_place_of_one_that_is_gone(void **state)
{
        struct tcheck *tc = *state;

        tcheck_copy(tc);
        assert_true(store_mem_flip(tc->copy, tcheck_slot_key(tc, 2).text, 320));
        tcheck_drop(tc, tcheck_slot_key(tc, 2).text);
        assert_int_equal(tcheck_repair(tc, false), HIF_OK);
        assert_int_equal(tc->report.unrepaired, 1);
        assert_int_equal(tcheck_expect(tc, CHECK_SLOT_MISSING)->first, 2);
}

static void a_damaged_slot_stays(void **state)
{
        struct tcheck *tc = *state;

        tcheck_copy(tc);
        tcheck_flip(tc, tcheck_slot_key(tc, 2).text, 100);
        assert_int_equal(tcheck_repair(tc, false), HIF_OK);
        tcheck_expect(tc, CHECK_SLOT_DAMAGED);
}

static void a_head_that_is_not_true(void **state)
{
        struct tcheck *tc = *state;
        struct head head = {.position = 77, .tree = tcheck_root(tc, 1), .hlc = 1};
        struct layout_key key = layout_head(&tc->tp.project.layout);
        struct buf body = {0};

        head_put(&body, &head);
        tcheck_write(tc, key.text, buf_span(&body));
        repair_and_expect_clean(tc);
        tcheck_write(tc, key.text, span_str("?"));
        repair_and_expect_clean(tc);
        tcheck_drop(tc, key.text);
        repair_and_expect_clean(tc);
        buf_free(&body);
}

/* A store that takes nothing is told of, and stays as it is. */
static void a_store_that_takes_nothing(void **state)
{
        struct store_fault_rule rule = {
            .op = STORE_PUT, .count = UINT64_MAX, .fault = STORE_FAULT_FAIL, .err = HIF_EDENIED};
        struct tcheck *tc = *state;

        tcheck_copy(tc);
        tcheck_drop(tc, content_key(tc, "dir/three").text);
        assert_int_equal(store_fault_new(&tc->tp.env, tc->tp.store, &tc->store), HIF_OK);
        assert_int_equal(store_fault_add(tc->store, &rule), HIF_OK);
        assert_int_equal(tcheck_repair(tc, false), HIF_OK);
        assert_int_equal(tc->report.repaired, 0);
        assert_true(tc->report.unrepaired > 0);
        tcheck_expect(tc, CHECK_PACK_MISSING);

        /* Nor is a location taken away for the sake of a blob that could not be stored. */
        store_close(tc->copy);
        tc->copy = NULL;
        tproject_flip(&tc->tp, content_key(tc, "many/file-0007").text, 8 * 20);
        read_all(tc);
        assert_int_equal(tcheck_repair(tc, true), HIF_OK);
        assert_int_equal(tproject_tail(&tc->tp), 4);
}

/* --- contents, without a copy of the store --- */

static void a_pack_whose_index_is_damaged_is_made_again(void **state)
{
        struct tcheck *tc = *state;
        struct layout_key key = content_key(tc, "many/file-0007");

        tcheck_flip(tc, key.text, tproject_peek(&tc->tp, key.text).size - 3);
        read_all(tc);
        repair_and_expect_clean(tc);
        assert_int_equal(tproject_tail(&tc->tp), 4);
}

/* From the file itself the frame is made again, and with the others it is that pack, to the byte. */
static void a_pack_with_a_damaged_frame_is_made_again(void **state)
{
        struct tcheck *tc = *state;
        struct entry entry = tproject_entry(&tc->tp, 4, "many/file-0007");
        struct layout_key key = content_key(tc, "many/file-0007");

        tcheck_flip(tc, key.text, entry.loc.offset + entry.loc.size - 1);
        tcheck_offer(tc, span_str("file-0007"));
        read_all(tc);
        repair_and_expect_clean(tc);
        assert_int_equal(tproject_tail(&tc->tp), 4);
        tproject_expect(&tc->tp, "many/file-0007", "file-0007");
}

/* dir/three is alone in its pack. */
static void a_pack_that_is_gone_is_made_again(void **state)
{
        struct tcheck *tc = *state;

        tcheck_drop(tc, content_key(tc, "dir/three").text);
        tcheck_offer(tc, span_str("3"));
        repair_and_expect_clean(tc);
        tproject_expect(&tc->tp, "dir/three", "3");
}

/* Another pack has the same content. */
static void a_content_is_found_in_another_pack(void **state)
{
        struct tcheck *tc = *state;

        struct tsession *ts = calloc(1, sizeof(*ts));

        assert_non_null(ts);
        tsession_open(ts, &tc->tp, 4);
        tsession_put(ts, "other", "3");
        tsession_put(ts, "more", "4"); /* or it would be the same pack */
        assert_int_equal(tsession_land(ts), HIF_OK);
        tsession_close(ts);
        free(ts);
        tcheck_drop(tc, content_key(tc, "dir/three").text);
        repair_and_expect_clean(tc);
        tproject_expect(&tc->tp, "dir/three", "3");
}

/* Of 511 contents one is lost: the others get blobs of their own, and the newest tree says so. */
static void what_is_left_of_a_pack_is_saved(void **state)
{
        struct tcheck *tc = *state;
        struct entry entry = tproject_entry(&tc->tp, 4, "many/file-0007");
        struct layout_key key = content_key(tc, "many/file-0007");

        tcheck_flip(tc, key.text, entry.loc.offset + entry.loc.size - 1);
        read_all(tc);
        assert_int_equal(tcheck_repair(tc, false), HIF_OK);
        assert_true(tc->report.unrepaired > 0);
        assert_int_equal(tproject_tail(&tc->tp), 5);
        assert_int_equal(tproject_entry(&tc->tp, 5, "many/file-0008").loc.size, 0);
        tproject_expect(&tc->tp, "many/file-0008", "file-0008");
        assert_string_equal(tcheck_expect(tc, CHECK_PACK_DAMAGED)->path, "many/file-0007");
        tproject_verify(&tc->tp);

        /* The file turns up after all. */
        tcheck_offer(tc, span_str("file-0007"));
        assert_int_equal(tcheck_repair(tc, false), HIF_OK);
        tcheck_expect_clean(tc);
        tproject_expect(&tc->tp, "many/file-0007", "file-0007");
}

/* When it does not, it is left out, if someone says so: the newest position is whole again. */
static void a_file_that_is_lost_is_left_out_only_when_asked(void **state)
{
        struct tcheck *tc = *state;
        uint64_t entries;

        tcheck_drop(tc, content_key(tc, "big").text);
        assert_int_equal(tcheck_repair(tc, false), HIF_OK);
        assert_int_equal(tproject_tail(&tc->tp), 4);
        entries = tc->report.entries;
        assert_int_equal(tcheck_repair(tc, true), HIF_OK);
        assert_int_equal(tproject_tail(&tc->tp), 5);
        assert_false(tproject_has(&tc->tp, 5, "big"));
        assert_true(tproject_has(&tc->tp, 4, "big"));
        tproject_expect(&tc->tp, "dir/one", "11");
        tproject_verify(&tc->tp);
        assert_int_equal(tcheck_expect(tc, CHECK_CHUNKS_MISSING)->last, 4);
        assert_int_equal(tc->report.entries, entries - 1);
        /* Landing goes on from there. */
        tproject_land_put(&tc->tp, "dir/one", "after");
        assert_int_equal(tcheck_expect(tc, CHECK_CHUNKS_MISSING)->last, 4);
}

/* A file whose content the store does not give now is not lost. */
static void what_is_only_not_given_is_not_left_out(void **state)
{
        struct tcheck *tc = *state;
        struct layout_key key = content_key(tc, "many/file-0007");
        struct store_fault_rule rule = {.op = STORE_GET,
                                        .key_contains = strstr(key.text, "packs/"),
                                        .skip = 2,
                                        .count = UINT64_MAX,
                                        .fault = STORE_FAULT_FAIL,
                                        .err = HIF_EDENIED};

        tproject_flip(&tc->tp, key.text, 8 * (tproject_peek(&tc->tp, key.text).size - 3));
        read_all(tc);
        assert_int_equal(store_fault_new(&tc->tp.env, tc->tp.store, &tc->store), HIF_OK);
        /* It is read twice, damaged, and refused when its frames are to be looked at. */
        assert_int_equal(store_fault_add(tc->store, &rule), HIF_OK);
        assert_int_equal(tcheck_repair(tc, true), HIF_OK);
        assert_int_equal(tproject_tail(&tc->tp), 4);
        tproject_expect(&tc->tp, "many/file-0007", "file-0007");
}

static void a_chunk_comes_from_the_file(void **state)
{
        struct tcheck *tc = *state;
        struct chunk_list list;
        struct chunk chunk;
        struct layout_key key;

        assert_int_equal(
            chunk_list_open(tproject_peek(&tc->tp, content_key(tc, "big").text), &list), HIF_OK);
        chunk_list_at(&list, 0, &chunk);
        key = layout_blob(&tc->tp.project.layout, &chunk.hash);
        tcheck_offer(tc, span_of(tc->big, (size_t)chunk.size));
        read_all(tc);
        tcheck_flip(tc, key.text, 1000);
        repair_and_expect_clean(tc);
        tcheck_drop(tc, key.text);
        repair_and_expect_clean(tc);
        tproject_expect_bytes(&tc->tp, "big", span_of(tc->big, TCHECK_BIG_SIZE));
}

/* Where a location leads nowhere and the content has a blob, the newest tree forgets the location. */
static void a_location_that_leads_nowhere_is_taken_away(void **state)
{
        struct tcheck *tc = *state;
        struct entry entry;
        struct tslot ts;

        tslot_begin(tc, &ts);
        entry = tslot_file(&ts);
        entry.size = 4;
        entry.hash = hash_of(HASH_BLOB, span_str("4444"));
        entry.loc = tproject_entry(&tc->tp, 4, "many/file-0007").loc;
        entry.loc.offset = 1u << 24;
        tslot_edit(tc, &ts, "dir/four", &entry);
        tslot_put(tc, &ts);
        tcheck_offer(tc, span_str("4444"));
        repair_and_expect_clean(tc);
        assert_int_equal(tproject_entry(&tc->tp, 6, "dir/four").loc.size, 0);
        tproject_expect(&tc->tp, "dir/four", "4444");
}

/* --- derived data --- */

static void derived_records_are_removed_and_made_again(void **state)
{
        struct tcheck *tc = *state;
        struct layout_key key = layout_window(&tc->tp.project.layout, WINDOW_LEVEL_1, 0);
        struct maintain_report report;
        const struct tfinding *finding;

        for (int i = 0; i < 100; i++) {
                struct tslot ts;

                tslot_begin(tc, &ts);
                tslot_put(tc, &ts);
        }
        assert_int_equal(derived_maintain(&tc->tp.project, MAINTAIN_MAKE, NULL, &report, &tc->why),
                         HIF_OK);
        tcheck_expect_clean(tc);
        tcheck_flip(tc, key.text, tproject_peek(&tc->tp, key.text).size / 2);
        finding = tcheck_expect(tc, CHECK_DERIVED_WRONG);
        assert_string_equal(finding->key, key.text);
        assert_int_equal(finding->severity, CHECK_WARNING);
        repair_and_expect_clean(tc);
        assert_int_equal(tproject_count(&tc->tp, "bloom-index/level-1"), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tcheck_setup, tcheck_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(a_check_without_repair_writes_nothing),
            TEST(whatever_a_copy_has_comes_back),
            TEST(everything_at_once),
            TEST(slots_that_are_gone_come_back),
            TEST(another_slot_does_not_take_the_place_of_one_that_is_gone),
            TEST(a_damaged_slot_stays),
            TEST(a_head_that_is_not_true),
            TEST(a_store_that_takes_nothing),
            TEST(a_pack_whose_index_is_damaged_is_made_again),
            TEST(a_pack_with_a_damaged_frame_is_made_again),
            TEST(a_pack_that_is_gone_is_made_again),
            TEST(a_content_is_found_in_another_pack),
            TEST(what_is_left_of_a_pack_is_saved),
            TEST(a_file_that_is_lost_is_left_out_only_when_asked),
            TEST(what_is_only_not_given_is_not_left_out),
            TEST(a_chunk_comes_from_the_file),
            TEST(a_location_that_leads_nowhere_is_taken_away),
            TEST(derived_records_are_removed_and_made_again),
        };

        return cmocka_run_group_tests_name("check: repair", tests, NULL, NULL);
}
