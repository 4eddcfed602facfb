/* Creating, opening and listing projects; finding the tail; reading slots, nodes and files. */
#include "tests/land/tland.h"

#include "core/landing_check.h"
#include "core/layout.h"

#include <stdlib.h>

static void put_raw(struct tproject *tp, const char *key, struct span body)
{
        struct store_req req = {.op = STORE_PUT, .key = key, .body = body};

        store_run(tp->store, &req, 1);
        assert_int_equal(req.result, HIF_OK);
        store_req_free(&req);
}

static struct head read_head(struct tproject *tp)
{
        struct layout_key key = layout_head(&tp->project.layout);
        struct head head = {0};

        assert_int_equal(head_get(tproject_peek(tp, key.text), &head), HIF_OK);
        return head;
}

/* A new project is at position 0, with the root directory and nothing else. */
static void a_new_project_is_empty(void **state)
{
        struct tproject *tp = *state;

        assert_int_equal(tproject_tail(tp), 0);
        assert_int_equal(tproject_entry(tp, 0, "").kind, ENTRY_DIR);
        assert_int_equal(read_head(tp).position, 0);
        tproject_verify(tp);
}

static void creating_twice_is_refused(void **state)
{
        struct tproject *tp = *state;
        struct project other;
        struct hif_why why;

        assert_int_equal(project_create(&tp->env, tp->store, "org/name", "B", &other, &why),
                         HIF_EEXIST);
        assert_non_null(strstr(why.text, "org/name"));
}

/* Creation that stopped after any of its objects is finished by the next one. */
static void an_interrupted_creation_is_finished(void **state)
{
        struct tproject *tp = *state;
        struct layout_key slot = layout_slot(&tp->project.layout, 0);
        struct layout_key head = layout_head(&tp->project.layout);
        struct project again;
        struct hif_why why;

        tproject_drop(tp, head.text);
        assert_int_equal(project_create(&tp->env, tp->store, "org/name", "B", &again, &why),
                         HIF_OK);
        assert_int_equal(read_head(tp).position, 0);
        tproject_drop(tp, head.text);
        tproject_drop(tp, slot.text);
        assert_int_equal(project_create(&tp->env, tp->store, "org/name", "B", &again, &why),
                         HIF_OK);
        assert_memory_equal(again.format.project_id, tp->project.format.project_id, 16);
        tproject_verify(tp);
}

static void a_project_that_is_not_there_says_how_to_create_it(void **state)
{
        struct tproject *tp = *state;
        struct project other;
        struct hif_why why;

        assert_int_equal(project_open(&tp->env, tp->store, "org/other", &other, &why), HIF_ENOENT);
        assert_non_null(strstr(why.text, "hif project create org/other"));
        assert_int_equal(project_open(&tp->env, tp->store, "../x", &other, &why), HIF_EINVAL);
}

/* A required feature that is not known here; the same bit without its checksum is damage. */
static void a_newer_format_is_refused(void **state)
{
        struct tproject *tp = *state;
        struct layout_key key = layout_format(&tp->project.layout);
        struct project other;
        struct hif_why why;
        struct span stored;
        struct buf newer = {0};

        tproject_flip(tp, key.text, 31 * 8 + 2);
        assert_int_equal(project_open(&tp->env, tp->store, "org/name", &other, &why), HIF_ECORRUPT);
        stored = tproject_peek(tp, key.text);
        buf_put(&newer, stored.data, stored.size - LANDING_CHECK_SIZE);
        landing_check_put(&newer, 0);
        put_raw(tp, key.text, buf_span(&newer));
        assert_int_equal(project_open(&tp->env, tp->store, "org/name", &other, &why),
                         HIF_EUNSUPPORTED);
        buf_free(&newer);
}

static enum hif_err collect_name(void *arg, const char *name)
{
        buf_printf(arg, "%s ", name);
        return HIF_OK;
}

/* Sorted by name, whatever lies beside them, at a few requests a project. */
static void projects_are_listed_by_name(void **state)
{
        static const char *const names[] = {"org/name-1", "org/nam", "org/name.x", "a/z", "zz/a"};
        struct tproject *tp = *state;
        struct project other;
        struct hif_why why;
        struct buf seen = {0};

        for (size_t i = 0; i < 5; i++)
                assert_int_equal(project_create(&tp->env, tp->store, names[i], "B", &other, &why),
                                 HIF_OK);
        put_raw(tp, "projects/org/not-one/something", span_str("x"));
        put_raw(tp, "projects/stray", span_str("x"));
        assert_int_equal(project_list(&tp->env, tp->store, collect_name, &seen, &why), HIF_OK);
        buf_put_u8(&seen, 0);
        assert_string_equal((char *)seen.data, "a/z org/nam org/name org/name-1 org/name.x zz/a ");
        buf_free(&seen);
}

/* --- the tail --- */

#define LANDINGS 70

static void land_many(struct tproject *tp)
{
        for (int i = 0; i < LANDINGS; i++) {
                char text[16];

                snprintf(text, sizeof(text), "%d", i);
                tproject_land_put(tp, "file", text);
        }
}

static void set_head(struct tproject *tp, uint64_t position, uint64_t tree_of)
{
        struct layout_key key = layout_head(&tp->project.layout);
        struct slot_read slot;
        struct hif_why why;
        struct head head;
        struct buf body = {0};

        assert_int_equal(project_slot(&tp->project, tree_of, false, &slot, &why), HIF_OK);
        head = (struct head){.position = position, .tree = slot.slot.tree};
        head_put(&body, &head);
        put_raw(tp, key.text, buf_span(&body));
        buf_free(&body);
        slot_read_free(&slot);
}

static void expect_tail(struct tproject *tp, uint64_t known)
{
        struct slot_read tail;
        struct hif_why why = {.text = ""};

        if (project_tail(&tp->project, known, &tail, &why) != HIF_OK)
                fail_msg("%s", why.text);
        assert_int_equal(tail.slot.position, LANDINGS);
        slot_read_free(&tail);
}

/* From anywhere that is known, with head right, old, untrue or gone: and head is right after. */
static void the_tail_is_found_whatever_head_says(void **state)
{
        struct tproject *tp = *state;
        struct layout_key key = layout_head(&tp->project.layout);

        land_many(tp);
        for (uint64_t known = 0; known <= LANDINGS; known++)
                expect_tail(tp, known);
        for (uint64_t at = 0; at < LANDINGS; at += 3) {
                set_head(tp, at, at); /* behind */
                expect_tail(tp, 0);
                assert_int_equal(read_head(tp).position, LANDINGS);
        }
        set_head(tp, 40, 3); /* another tree than the slot's */
        expect_tail(tp, 0);
        assert_int_equal(read_head(tp).position, LANDINGS);
        set_head(tp, LANDINGS + 5, LANDINGS); /* past the last slot */
        expect_tail(tp, 7);
        assert_int_equal(read_head(tp).position, LANDINGS);
        put_raw(tp, key.text, span_str("garbage"));
        expect_tail(tp, 0);
        assert_int_equal(read_head(tp).position, LANDINGS);
        tproject_drop(tp, key.text);
        expect_tail(tp, 0);
        assert_int_equal(read_head(tp).position, LANDINGS);
}

/* Far behind and without a head, the tail costs a logarithm of requests. */
static void finding_the_tail_takes_few_requests(void **state)
{
        struct tproject *tp = *state;
        struct layout_key key = layout_head(&tp->project.layout);
        struct store_stats before, after;
        uint64_t requests = 0;

        land_many(tp);
        before = store_stats_get(tp->store);
        expect_tail(tp, LANDINGS);
        after = store_stats_get(tp->store);
        assert_int_equal(after.requests[STORE_GET] - before.requests[STORE_GET], 2);
        assert_int_equal(after.requests[STORE_HEAD] - before.requests[STORE_HEAD], 1);
        tproject_drop(tp, key.text);
        before = store_stats_get(tp->store);
        expect_tail(tp, 0);
        after = store_stats_get(tp->store);
        for (int op = 0; op <= STORE_LIST; op++)
                requests += after.requests[op] - before.requests[op];
        assert_in_range(requests, 1, 32);
}

/* A position that was seen and is gone is said aloud. */
static void a_store_that_lost_a_position_is_refused(void **state)
{
        struct tproject *tp = *state;
        struct slot_read tail;
        struct hif_why why;

        tproject_land_put(tp, "file", "1");
        assert_int_equal(project_tail(&tp->project, 5, &tail, &why), HIF_ECORRUPT);
        assert_non_null(strstr(why.text, "@5"));
}

/* A slot, or a list of one, that is damaged on its way here is fetched once more; twice is an error.
 */
static void damage_on_the_way_is_fetched_once_more(void **state)
{
        static char names[500][160];
        struct tproject *tp = *state;
        struct tsession *ts = calloc(1, sizeof(*ts));
        static const char *const keys[] = {"/landing-log/", "/lists/"};
        struct project over = tp->project;
        struct store *faulty;

        tsession_open(ts, tp, 0);
        for (int i = 0; i < 500; i++) { /* too many for the slot: its paths are a list */
                memset(names[i], 'n', sizeof(names[i]));
                snprintf(names[i] + 140, 20, "%d", i);
                tsession_put(ts, names[i], "x");
        }
        assert_int_equal(tsession_land(ts), HIF_OK);
        assert_int_equal(store_fault_new(&tp->env, tp->store, &faulty), HIF_OK);
        over.store = faulty;
        for (uint64_t times = 1; times <= 2; times++) {
                for (size_t i = 0; i < 2; i++) {
                        struct store_fault_rule flip = {.op = STORE_GET,
                                                        .key_contains = keys[i],
                                                        .count = times,
                                                        .fault = STORE_FAULT_FLIP};
                        struct slot_read read;
                        struct hif_why why;

                        assert_int_equal(store_fault_add(faulty, &flip), HIF_OK);
                        assert_int_equal(project_slot(&over, 1, true, &read, &why),
                                         times == 1 ? HIF_OK : HIF_ECORRUPT);
                        if (times == 1)
                                slot_read_free(&read);
                        store_fault_clear(faulty);
                }
        }
        store_close(faulty);
        tsession_close(ts);
        free(ts);
}

/* A slot with any bit flipped does not pass for one, though nothing names the newest. */
static void a_damaged_slot_is_not_used(void **state)
{
        struct tproject *tp = *state;
        struct layout_key key = layout_slot(&tp->project.layout, 1);
        struct slot_read tail;
        struct hif_why why;
        size_t size, stride = tp->far ? 61 : 1;

        tproject_land_put(tp, "file", "1");
        size = tproject_peek(tp, key.text).size;
        for (size_t bit = 0; bit < size * 8; bit += stride) {
                enum hif_err err;

                tproject_flip(tp, key.text, bit);
                err = project_tail(&tp->project, 0, &tail, &why);
                assert_true(err == HIF_ECORRUPT || (err == HIF_EUNSUPPORTED && bit / 8 == 4));
                tproject_flip(tp, key.text, bit);
        }
        assert_int_equal(project_tail(&tp->project, 0, &tail, &why), HIF_OK);
        slot_read_free(&tail);
}

/* --- reading --- */

static enum hif_err append(void *arg, struct span piece)
{
        buf_put_span(arg, piece);
        return HIF_OK;
}

/* Any range of a file is those bytes of it, for each way that content is kept. */
static void ranges_of_files(void **state)
{
        static const size_t sizes[] = {0, 1, 1000, 300000, 5000000, 9000001};
        struct tproject *tp = *state;
        struct tsession *ts = calloc(1, sizeof(*ts));
        static const char *const paths[] = {"0", "1", "2", "3", "4", "5"};
        uint8_t *content = malloc(9000001);
        struct hif_why why = {.text = ""};

        for (size_t i = 0; i < 9000001; i++)
                content[i] = (uint8_t)((i * 2654435761u) >> 13);
        tsession_open(ts, tp, 0);
        for (size_t i = 0; i < 6; i++)
                tsession_put_bytes(ts, paths[i], span_of(content, sizes[i]));
        assert_int_equal(tsession_land(ts), HIF_OK);
        for (size_t i = 0; i < 6; i++) {
                struct entry entry = tproject_entry(tp, 1, paths[i]);

                for (uint64_t offset = 0; offset <= sizes[i]; offset += sizes[i] / 3 + 1) {
                        uint64_t size = sizes[i] / 2 + 1;
                        struct buf out = {0};
                        uint64_t expected = sizes[i] - offset < size ? sizes[i] - offset : size;

                        assert_int_equal(project_read_file(&tp->project, &entry, offset, size,
                                                           append, &out, &why),
                                         HIF_OK);
                        assert_int_equal(out.size, expected);
                        if (expected > 0)
                                assert_memory_equal(out.data, content + offset, expected);
                        buf_free(&out);
                }
        }
        tsession_close(ts);
        free(ts);
        free(content);
}

/* Wrong bytes are never given out: damage is an error, whatever it hits. */
static void damaged_content_is_an_error(void **state)
{
        struct tproject *tp = *state;
        struct entry entry;
        struct layout_key key;
        struct buf out = {0};
        struct hif_why why;

        tproject_land_put(tp, "file", "some content");
        entry = tproject_entry(tp, 1, "file");
        key = layout_pack(&tp->project.layout, &entry.loc.pack);
        tproject_flip(tp, key.text, entry.loc.offset * 8 + 80);
        assert_int_equal(project_read_file(&tp->project, &entry, 0, UINT64_MAX, append, &out, &why),
                         HIF_ECORRUPT);
        assert_int_equal(out.size, 0);
        buf_free(&out);
}

/* A location is a hint: when it leads nowhere, the blob's own name is asked. */
static void a_wrong_location_falls_back_to_the_name(void **state)
{
        struct tproject *tp = *state;
        struct entry entry;
        struct layout_key key;
        struct body_codec *codec = body_codec_new(3);
        struct buf blob = {0};

        tproject_land_put(tp, "file", "some content");
        entry = tproject_entry(tp, 1, "file");
        key = layout_pack(&tp->project.layout, &entry.loc.pack);
        tproject_drop(tp, key.text);
        assert_int_equal(body_put(codec, BODY_BLOB, span_str("some content"), &blob), HIF_OK);
        key = layout_blob(&tp->project.layout, &entry.hash);
        put_raw(tp, key.text, buf_span(&blob));
        tproject_expect(tp, "file", "some content");
        buf_free(&blob);
        body_codec_free(codec);
}

/* A node that does not match its name is fetched once more, and then an error. */
static void a_damaged_node_is_an_error(void **state)
{
        struct tproject *tp = *state;
        struct node_reader *reader;
        struct tree_node node;
        struct slot_read slot;
        struct hif_why why;
        struct layout_key key;

        assert_int_equal(project_slot(&tp->project, 0, false, &slot, &why), HIF_OK);
        key = layout_node(&tp->project.layout, &slot.slot.tree);
        tproject_flip(tp, key.text, 200);
        assert_int_equal(node_reader_new(&tp->project, 1 << 20, &reader), HIF_OK);
        assert_int_equal(
            node_reader_source(reader)->get(node_reader_source(reader), &slot.slot.tree, &node),
            HIF_ECORRUPT);
        node_reader_free(reader);
        slot_read_free(&slot);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tproject_setup, tproject_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(a_new_project_is_empty),
            TEST(creating_twice_is_refused),
            TEST(an_interrupted_creation_is_finished),
            TEST(a_project_that_is_not_there_says_how_to_create_it),
            TEST(a_newer_format_is_refused),
            TEST(projects_are_listed_by_name),
            TEST(the_tail_is_found_whatever_head_says),
            TEST(finding_the_tail_takes_few_requests),
            TEST(a_store_that_lost_a_position_is_refused),
            TEST(damage_on_the_way_is_fetched_once_more),
            TEST(a_damaged_slot_is_not_used),
            TEST(ranges_of_files),
            TEST(damaged_content_is_an_error),
            TEST(a_wrong_location_falls_back_to_the_name),
            TEST(a_damaged_node_is_an_error),
        };

        return cmocka_run_group_tests_name("project", tests, NULL, NULL);
}
