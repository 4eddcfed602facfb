/* Contents: packs, blobs, chunk lists; and what nothing names. */
#include "tests/check/tcheck.h"

/* The key of what holds a path's content at a position. */
static struct layout_key content_key(struct tcheck *tc, uint64_t position, const char *path)
{
        struct entry entry = tproject_entry(&tc->tp, position, path);

        return entry.loc.size > 0 ? layout_pack(&tc->tp.project.layout, &entry.loc.pack)
                                  : layout_blob(&tc->tp.project.layout, &entry.hash);
}

static void read_all(struct tcheck *tc)
{
        tc->options.subset.kind = CHECK_SUBSET_ALL;
}

/* --- packs --- */

static void a_pack_that_is_gone(void **state)
{
        struct tcheck *tc = *state;
        struct layout_key key = content_key(tc, 4, "many/file-0007");
        const struct tfinding *finding;

        tcheck_drop(tc, key.text);
        finding = tcheck_expect(tc, CHECK_PACK_MISSING);
        assert_string_equal(finding->key, key.text);
        assert_int_equal(finding->first, 2);
        assert_int_equal(finding->last, 4);
        assert_int_equal(finding->path_total, 511);
}

/* Positions tell how long something is missed: "1" of dir/one was replaced at @3, "2" of dir/two
 * removed at @4. */
static void a_pack_that_only_older_positions_need(void **state)
{
        struct tcheck *tc = *state;
        const struct tfinding *finding;

        tcheck_drop(tc, content_key(tc, 3, "dir/one").text);
        tproject_land_put(&tc->tp, "dir/one", "111");
        finding = tcheck_expect(tc, CHECK_PACK_MISSING);
        assert_int_equal(finding->first, 3);
        assert_int_equal(finding->last, 4);
        assert_string_equal(finding->path, "dir/one");
        assert_int_equal(finding->path_total, 1);
}

/* Nobody would know without reading it. */
static void a_pack_that_is_changed(void **state)
{
        struct tcheck *tc = *state;
        struct entry entry = tproject_entry(&tc->tp, 4, "many/file-0007");
        struct layout_key key = content_key(tc, 4, "many/file-0007");
        const struct tfinding *finding;

        tcheck_flip(tc, key.text, entry.loc.offset + entry.loc.size - 1);
        tcheck_expect_clean(tc);
        read_all(tc);
        finding = tcheck_expect(tc, CHECK_PACK_DAMAGED);
        assert_string_equal(finding->key, key.text);
        assert_string_equal(finding->path, "many/file-0007");
        assert_int_equal(finding->path_total, 1);
}

static void a_pack_whose_index_is_changed(void **state)
{
        struct tcheck *tc = *state;
        struct layout_key key = content_key(tc, 4, "many/file-0007");

        tcheck_flip(tc, key.text, tproject_peek(&tc->tp, key.text).size - 3);
        read_all(tc);
        assert_int_equal(tcheck_expect(tc, CHECK_PACK_DAMAGED)->path_total, 0);
}

static struct hif_hash write_blob(struct tcheck *tc, const char *content)
{
        struct hif_hash hash = hash_of(HASH_BLOB, span_str(content));
        struct body_codec *codec = body_codec_new(3);
        struct buf body = {0};

        assert_int_equal(body_put(codec, BODY_BLOB, span_str(content), &body), HIF_OK);
        tcheck_write(tc, layout_blob(&tc->tp.project.layout, &hash).text, buf_span(&body));
        body_codec_free(codec);
        buf_free(&body);
        return hash;
}

/* Readers ask for the content by its own name then. */
static void a_pack_that_is_gone_but_whose_contents_have_blobs(void **state)
{
        struct tcheck *tc = *state;
        struct layout_key key = content_key(tc, 4, "dir/three");

        tcheck_drop(tc, key.text);
        (void)write_blob(tc, "3");
        assert_int_equal(tcheck_expect(tc, CHECK_PACK_REPLACED)->severity, CHECK_INFO);
        tproject_expect(&tc->tp, "dir/three", "3");
}

static struct entry entry_in_pack(struct tcheck *tc, const struct tslot *ts, const char *content)
{
        struct entry entry = tslot_file(ts);

        entry.size = strlen(content);
        entry.hash = hash_of(HASH_BLOB, span_str(content));
        entry.loc = tproject_entry(&tc->tp, 4, "many/file-0007").loc;
        return entry;
}

/* Before the end of the pack, and beyond it; with a blob of its own, and without. */
static void a_location_where_the_content_is_not(void **state)
{
        struct tcheck *tc = *state;
        struct entry entry;
        struct tslot ts;
        struct hif_hash hash;

        tslot_begin(tc, &ts);
        entry = entry_in_pack(tc, &ts, "elsewhere");
        hash = write_blob(tc, "elsewhere");
        tslot_object(&ts, SLOT_BLOB, &hash);
        tslot_edit(tc, &ts, "dir/lost", &entry);
        entry.loc.offset = 1u << 24;
        tslot_edit(tc, &ts, "dir/beyond", &entry);
        tslot_put(tc, &ts);
        assert_int_equal(tcheck_run(tc), HIF_OK);
        assert_int_equal(tcheck_count(tc, CHECK_LOCATION_WRONG), 1);
        assert_string_equal(tcheck_found(tc, CHECK_LOCATION_WRONG, 0)->path, "dir/beyond");
        read_all(tc);
        assert_int_equal(tcheck_run(tc), HIF_OK);
        assert_int_equal(tcheck_count(tc, CHECK_LOCATION_WRONG), 2);
        assert_string_not_equal(tcheck_found(tc, CHECK_LOCATION_WRONG, 0)->path,
                                tcheck_found(tc, CHECK_LOCATION_WRONG, 1)->path);
        assert_int_equal(tc->report.counts[CHECK_ERROR], 0);
        tcheck_drop(tc, layout_blob(&tc->tp.project.layout, &hash).text);
        assert_int_equal(tcheck_run(tc), HIF_OK);
        assert_string_equal(tcheck_found(tc, CHECK_BLOB_MISSING, 0)->path, "dir/beyond");
}

/* --- blobs and chunks --- */

static struct chunk first_chunk(struct tcheck *tc)
{
        struct chunk_list list;
        struct chunk chunk;

        assert_int_equal(
            chunk_list_open(tproject_peek(&tc->tp, content_key(tc, 4, "big").text), &list), HIF_OK);
        assert_true(list.count > 1);
        chunk_list_at(&list, 0, &chunk);
        return chunk;
}

static void a_chunk_that_is_gone_or_changed(void **state)
{
        struct tcheck *tc = *state;
        struct chunk chunk = first_chunk(tc);
        struct layout_key key = layout_blob(&tc->tp.project.layout, &chunk.hash);
        const struct tfinding *finding;

        tcheck_flip(tc, key.text, 1000);
        tcheck_expect_clean(tc);
        read_all(tc);
        finding = tcheck_expect(tc, CHECK_BLOB_DAMAGED);
        assert_string_equal(finding->key, key.text);
        assert_string_equal(finding->path, "big");
        tcheck_drop(tc, key.text);
        tc->options.subset.kind = CHECK_SUBSET_NONE;
        finding = tcheck_expect(tc, CHECK_BLOB_MISSING);
        assert_string_equal(finding->path, "big");
        assert_int_equal(finding->first, 1);
        assert_int_equal(finding->last, 4);
}

static void a_chunk_list_that_is_gone_or_changed(void **state)
{
        struct tcheck *tc = *state;
        struct layout_key key = content_key(tc, 4, "big");

        tcheck_flip(tc, key.text, 40);
        assert_string_equal(tcheck_expect(tc, CHECK_CHUNKS_DAMAGED)->path, "big");
        tcheck_drop(tc, key.text);
        assert_string_equal(tcheck_expect(tc, CHECK_CHUNKS_MISSING)->path, "big");
}

static void a_chunk_list_of_another_size_than_the_file(void **state)
{
        struct tcheck *tc = *state;
        struct entry entry = tproject_entry(&tc->tp, 4, "big");
        struct tslot ts;

        tproject_land_remove(&tc->tp, "big");
        tslot_begin(tc, &ts);
        entry.tag = tslot_file(&ts).tag;
        entry.size--;
        tslot_object(&ts, SLOT_CHUNKS, &entry.hash);
        tslot_edit(tc, &ts, "big", &entry);
        tslot_put(tc, &ts);
        tc->options.from = 6; /* or the list is known already */
        assert_string_equal(tcheck_expect(tc, CHECK_CHUNKS_WRONG)->path, "big");
}

static void a_blob_that_its_slot_does_not_list(void **state)
{
        struct tcheck *tc = *state;
        struct entry entry;
        struct tslot ts;

        tslot_begin(tc, &ts);
        entry = tslot_file(&ts);
        entry.size = 4;
        entry.hash = write_blob(tc, "blob");
        tslot_edit(tc, &ts, "dir/blob", &entry);
        tslot_put(tc, &ts);
        assert_string_equal(tcheck_expect(tc, CHECK_OBJECT_UNLISTED)->path, "dir/blob");
}

static void a_blob_that_is_gone_or_changed(void **state)
{
        struct tcheck *tc = *state;
        struct layout_key key;
        struct entry entry;
        struct tslot ts;

        tslot_begin(tc, &ts);
        entry = tslot_file(&ts);
        entry.size = 4;
        entry.hash = write_blob(tc, "blob");
        tslot_object(&ts, SLOT_BLOB, &entry.hash);
        tslot_edit(tc, &ts, "dir/blob", &entry);
        tslot_put(tc, &ts);
        read_all(tc);
        tcheck_expect_clean(tc);
        key = layout_blob(&tc->tp.project.layout, &entry.hash);
        tcheck_flip(tc, key.text, 14);
        assert_string_equal(tcheck_expect(tc, CHECK_BLOB_DAMAGED)->path, "dir/blob");
        tcheck_drop(tc, key.text);
        assert_string_equal(tcheck_expect(tc, CHECK_BLOB_MISSING)->path, "dir/blob");
}

/* --- the part that is read --- */

/* Each object is in exactly one of the parts. */
static void the_parts_together_are_everything(void **state)
{
        struct tcheck *tc = *state;
        struct chunk chunk = first_chunk(tc);
        size_t found = 0;

        tcheck_flip(tc, layout_blob(&tc->tp.project.layout, &chunk.hash).text, 1000);
        for (uint32_t n = 1; n <= 5; n++) {
                tc->options.subset =
                    (struct check_subset){.kind = CHECK_SUBSET_PART, .n = n, .m = 5};
                assert_int_equal(tcheck_run(tc), HIF_OK);
                found += tcheck_count(tc, CHECK_BLOB_DAMAGED);
        }
        assert_int_equal(found, 1);
}

static void a_share_of_the_data_is_about_that(void **state)
{
        struct tcheck *tc = *state;
        uint64_t before, none;

        assert_int_equal(tcheck_run(tc), HIF_OK);
        none = tc->report.bytes_got;
        tc->options.subset = (struct check_subset){.kind = CHECK_SUBSET_SHARE, .share = 1};
        assert_int_equal(tcheck_run(tc), HIF_OK);
        before = tc->report.bytes_got;
        assert_true(before - none > 5u << 20);
        tc->options.subset = (struct check_subset){.kind = CHECK_SUBSET_BYTES, .bytes = 0};
        assert_int_equal(tcheck_run(tc), HIF_OK);
        assert_int_equal(tc->report.bytes_got, none);
        tc->options.subset = (struct check_subset){.kind = CHECK_SUBSET_BYTES, .bytes = 1u << 30};
        assert_int_equal(tcheck_run(tc), HIF_OK);
        assert_int_equal(tc->report.bytes_got, before);
}

static void what_is_written_as_a_subset(void **state)
{
        static const char *const wrong[] = {"",     "0/3",   "4/3", "1/0",  "1/",  "/2",
                                            "-1/2", "x",     "5%%", "101%", "-5%", "5X",
                                            "5MB",  "1e99G", "nan", "inf",  " 5%"};
        struct check_subset subset;
        struct hif_why why;

        (void)state;
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
                if (check_subset_parse(wrong[i], &subset, &why) != HIF_EINVAL)
                        fail_msg("\"%s\" should be wrong", wrong[i]);
        }
        assert_int_equal(check_subset_parse("2/3", &subset, &why), HIF_OK);
        assert_int_equal(subset.n * 10 + subset.m, 23);
        assert_int_equal(check_subset_parse("2.5%", &subset, &why), HIF_OK);
        assert_true(subset.share > 0.0249 && subset.share < 0.0251);
        assert_int_equal(check_subset_parse("3M", &subset, &why), HIF_OK);
        assert_int_equal(subset.bytes, 3u << 20);
        assert_int_equal(check_subset_parse("all", &subset, &why), HIF_OK);
        assert_int_equal(subset.kind, CHECK_SUBSET_ALL);
}

/* --- leftovers --- */

static void what_nothing_names(void **state)
{
        struct tcheck *tc = *state;
        const struct tfinding *finding;

        (void)write_blob(tc, "nobody's");
        finding = tcheck_expect(tc, CHECK_UNREFERENCED);
        assert_int_equal(finding->count, 1);
        assert_string_equal(finding->detail, "1 blobs");
        assert_int_equal(finding->severity, CHECK_INFO);
}

static void keys_that_are_not_known(void **state)
{
        static const char *const keys[] = {"a-file", "blobs/xx/else", "landing-log/12",
                                           "trees/00/abc.bin", "zzz/last"};
        struct tcheck *tc = *state;
        char key[128];

        for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
                (void)snprintf(key, sizeof(key), "projects/org/name/%s", keys[i]);
                tcheck_write(tc, key, span_str("?"));
        }
        assert_int_equal(tcheck_expect(tc, CHECK_UNKNOWN_KEY)->count, 5);
}

/* A listing has pages, and what they are cut into must come together again. */
static void more_objects_than_a_page_of_keys(void **state)
{
        struct tcheck *tc = *state;
        char content[32];

        for (unsigned i = 0; i < 2500; i++) {
                (void)snprintf(content, sizeof(content), "content %u", i);
                (void)write_blob(tc, content);
        }
        assert_int_equal(tcheck_expect(tc, CHECK_UNREFERENCED)->count, 2500);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tcheck_setup, tcheck_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(a_pack_that_is_gone),
            TEST(a_pack_that_only_older_positions_need),
            TEST(a_pack_that_is_changed),
            TEST(a_pack_whose_index_is_changed),
            TEST(a_pack_that_is_gone_but_whose_contents_have_blobs),
            TEST(a_location_where_the_content_is_not),
            TEST(a_chunk_that_is_gone_or_changed),
            TEST(a_chunk_list_that_is_gone_or_changed),
            TEST(a_chunk_list_of_another_size_than_the_file),
            TEST(a_blob_that_its_slot_does_not_list),
            TEST(a_blob_that_is_gone_or_changed),
            TEST(the_parts_together_are_everything),
            TEST(a_share_of_the_data_is_about_that),
            TEST(what_is_written_as_a_subset),
            TEST(what_nothing_names),
            TEST(keys_that_are_not_known),
            TEST(more_objects_than_a_page_of_keys),
        };

        return cmocka_run_group_tests_name("check: contents", tests, NULL, NULL);
}
