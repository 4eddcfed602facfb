/* test_history.c - who changed a path: through rollups, through trees, and through neither. Windows
 * are small here (WINDOW_FANOUT), so that a hundred landings fill all levels. */
#include "land/derived/history.h"
#include "land/derived/maintain.h"
#include "tests/land/tland.h"

#include <stdlib.h>

#define LANDINGS 150u
#define PATHS    10

static const char *const paths[PATHS] = {"a/x", "a/y",   "a/d/z", "b/x", "b/y",
                                         "c",   "d/e/f", "d/e/g", "d/h", "i"};

struct fixture {
        struct tproject tp;
        bool there[PATHS];
        uint64_t random;
};

static uint64_t draw(struct fixture *f, uint64_t n)
{
        f->random ^= f->random << 13;
        f->random ^= f->random >> 7;
        f->random ^= f->random << 17;
        return f->random % n;
}

/* A landing that adds, changes, removes or renames one or two files. */
static void land_something(struct fixture *f, uint64_t base)
{
        static const char *const contents[] = {"one", "two", "three", "four", "five"};
        struct tsession *ts = malloc(sizeof(*ts));
        int p = (int)draw(f, PATHS), q = (int)draw(f, PATHS);
        enum hif_err err;

        assert_non_null(ts);
        tsession_open(ts, &f->tp, base);
        if (f->there[p] && !f->there[q] && p != q && draw(f, 2) == 0) {
                tsession_rename(ts, paths[p], paths[q]);
                f->there[p] = false;
                f->there[q] = true;
        } else if (f->there[p] && draw(f, 3) == 0) {
                tsession_remove(ts, paths[p]);
                f->there[p] = false;
        } else {
                tsession_put(ts, paths[p], contents[draw(f, 5)]);
                f->there[p] = true;
        }
        err = tsession_land(ts);
        if (err != HIF_OK && err != HIF_ENOTHING)
                fail_msg("%s", ts->why.text);
        tsession_close(ts);
        free(ts);
}

static void make_dirs(struct fixture *f)
{
        static const char *const dirs[] = {"a", "b", "d", "a/d", "d/e"};

        for (int i = 0; i < 5; i++)
                tproject_land_mkdir(&f->tp, dirs[i]);
}

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        f->random = 20260131;
        tproject_open(&f->tp, NULL, 0);
        make_dirs(f);
        for (uint32_t i = 0; i < LANDINGS && tproject_tail(&f->tp) < LANDINGS; i++)
                land_something(f, tproject_tail(&f->tp));
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        tproject_close(&f->tp);
        free(f);
        return 0;
}

/* Every slot read and looked through: what history has to say. */
static size_t look_through(struct fixture *f, const char *path, uint64_t *out)
{
        struct span wanted = span_str(path);
        size_t count = 0;

        for (uint64_t position = tproject_tail(&f->tp);; position--) {
                struct slot_read read;
                bool touches = false;

                assert_int_equal(project_slot(&f->tp.project, position, true, &read, NULL), HIF_OK);
                for (uint32_t i = 0; i < read.slot.path_count; i++) {
                        const struct slot_path *at = &read.slot.paths[i];

                        touches = touches || span_eq(at->path, wanted) ||
                                  path_within(at->path, wanted) || span_eq(at->path_from, wanted) ||
                                  (at->path_from.size > 0 && path_within(at->path_from, wanted));
                }
                slot_read_free(&read);
                if (touches)
                        out[count++] = position;
                if (position == 0)
                        return count;
        }
}

static void expect_history(struct fixture *f, const char *path)
{
        uint64_t wanted[LANDINGS + 1];
        size_t count = look_through(f, path, wanted), got = 0;
        uint64_t tail = tproject_tail(&f->tp);
        struct history_wish wish = {.tail = tail, .from = tail, .path = span_str(path)};
        struct history_item item;
        struct history *history;
        struct hif_why why = {.text = ""};
        enum hif_err err;

        assert_int_equal(history_new(&f->tp.project, &wish, &history), HIF_OK);
        while ((err = history_next(history, &item, &why)) == HIF_OK) {
                if (got == count || item.slot->position != wanted[got])
                        fail_msg("%s: @%llu, not @%llu", path,
                                 (unsigned long long)item.slot->position,
                                 got < count ? (unsigned long long)wanted[got] : 0);
                got++;
        }
        if (err != HIF_ENOENT)
                fail_msg("%s", why.text);
        assert_int_equal(got, count);
        history_free(history);
}

static void expect_all(struct fixture *f)
{
        static const char *const dirs[] = {"a", "b", "d", "d/e", "nothing", "a/nothing", "c/below"};

        for (int i = 0; i < PATHS; i++)
                expect_history(f, paths[i]);
        for (int i = 0; i < 7; i++)
                expect_history(f, dirs[i]);
}

static void maintain(struct fixture *f)
{
        struct maintain_report report;
        struct hif_why why = {.text = ""};

        if (derived_maintain(&f->tp.project, MAINTAIN_MAKE, NULL, &report, &why) != HIF_OK)
                fail_msg("%s", why.text);
        assert_true(report.kinds[WINDOW_LEVEL_3].made + report.kinds[WINDOW_LEVEL_3].present > 0);
}

static uint64_t gets(struct fixture *f)
{
        return store_stats_get(f->tp.store).requests[STORE_GET];
}

static void drop_some(struct fixture *f, const char *key_contains, uint64_t one_in)
{
        struct store_req list = {
            .op = STORE_LIST, .prefix = "projects/org/name/", .list_max = 100000};

        store_run(f->tp.store, &list, 1);
        assert_int_equal(list.result, HIF_OK);
        for (size_t i = 0; i < list.list.count; i++) {
                struct store_req req = {.op = STORE_DELETE, .key = list.list.items[i].key};

                if (!strstr(req.key, key_contains) || draw(f, one_in) > 0)
                        continue;
                store_run(f->tp.store, &req, 1);
                store_req_free(&req);
        }
        store_req_free(&list);
}

/* --- --- */

/* Files through their entries' tags, removed ones through their directory's, directories slot by
 * slot. */
static void told_by_trees(void **state)
{
        expect_all(*state);
}

static void told_by_rollups(void **state)
{
        struct fixture *f = *state;

        maintain(f);
        expect_all(f);
}

/* Whatever is missing, history is the same. */
static void told_with_records_missing(void **state)
{
        struct fixture *f = *state;
        static const char *const kinds[] = {"level-1/", "level-2/", "level-3/", "bloom-index/"};

        for (int i = 0; i < 4; i++) {
                maintain(f);
                drop_some(f, kinds[i], 2);
                expect_all(f);
        }
}

/* A file that was changed once long ago is found without reading what lies between. */
static void a_rare_change_is_found_in_few_reads(void **state)
{
        struct fixture *f = *state;
        uint64_t wanted[LANDINGS + 1];
        uint64_t before;

        tproject_land_put(&f->tp, "rare", "content");
        for (int i = 0; i < 120; i++)
                tproject_land_put(&f->tp, "often", i % 2 ? "x" : "y");
        assert_int_equal(look_through(f, "rare", wanted), 1);
        for (int made = 0; made < 2; made++) {
                struct history_wish wish = {.path = span_str("rare")};
                struct history_item item;
                struct history *history;

                wish.tail = wish.from = tproject_tail(&f->tp);
                before = gets(f);
                assert_int_equal(history_new(&f->tp.project, &wish, &history), HIF_OK);
                assert_int_equal(history_next(history, &item, NULL), HIF_OK);
                assert_int_equal(item.slot->position, wanted[0]);
                history_free(history);
                assert_true(gets(f) - before < 40);
                maintain(f);
        }
}

/* Over a rename: the old name's changes come after, where that is asked. */
static void follows_a_rename(void **state)
{
        struct fixture *f = *state;
        struct tsession *ts = malloc(sizeof(*ts));
        uint64_t tail;

        assert_non_null(ts);
        tproject_land_put(&f->tp, "first", "1");
        tproject_land_put(&f->tp, "first", "2");
        tail = tproject_tail(&f->tp);
        tsession_open(ts, &f->tp, tail);
        tsession_rename(ts, "first", "second");
        ts->changes[ts->count - 1].path_from = span_str("first");
        assert_int_equal(tsession_land(ts), HIF_OK);
        tsession_close(ts);
        free(ts);
        tproject_land_put(&f->tp, "second", "3");
        for (int made = 0; made < 2; made++) {
                for (int follow = 0; follow < 2; follow++) {
                        const uint64_t wanted[] = {tail + 2, tail + 1, tail, tail - 1};
                        struct history_wish wish = {.tail = tail + 2,
                                                    .from = tail + 2,
                                                    .path = span_str("second"),
                                                    .follow = follow};
                        struct history_item item;
                        struct history *history;
                        int got = 0;

                        assert_int_equal(history_new(&f->tp.project, &wish, &history), HIF_OK);
                        while (history_next(history, &item, NULL) == HIF_OK)
                                assert_int_equal(item.slot->position, wanted[got++]);
                        assert_int_equal(got, follow ? 4 : 2);
                        history_free(history);
                }
                maintain(f);
        }
}

/* All landings, in pages and ranges: from segments where there are some. */
static void everything_newest_first(void **state)
{
        struct fixture *f = *state;
        uint64_t tail = tproject_tail(&f->tp), before;

        maintain(f);
        for (uint64_t until = 0; until < tail; until += 31) {
                for (uint64_t from = until; from <= tail; from += 17) {
                        struct history_wish wish = {.tail = tail, .from = from, .until = until};
                        struct history_item item;
                        struct history *history;
                        uint64_t at = from;
                        enum hif_err err;

                        assert_int_equal(history_new(&f->tp.project, &wish, &history), HIF_OK);
                        while ((err = history_next(history, &item, NULL)) == HIF_OK) {
                                assert_int_equal(item.slot->position, at);
                                at--;
                        }
                        assert_int_equal(err, HIF_ENOENT);
                        assert_int_equal(at + 1, until);
                        history_free(history);
                }
        }
        struct history_wish wish = {.tail = tail, .from = tail};
        struct history_item item;
        struct history *history;

        before = gets(f);
        assert_int_equal(history_new(&f->tp.project, &wish, &history), HIF_OK);
        while (history_next(history, &item, NULL) == HIF_OK)
                ;
        history_free(history);
        assert_true(gets(f) - before < tail / 2);
}

/* A slot that is lost is an error wherever it would have to be read. */
static void a_lost_slot_is_an_error(void **state)
{
        struct fixture *f = *state;
        uint64_t tail = tproject_tail(&f->tp);
        struct history_wish wish = {.tail = tail, .from = tail, .path = span_str("d")};
        struct layout_key key = layout_slot(&f->tp.project.layout, tail - 7);
        struct store_req req = {.op = STORE_DELETE, .key = key.text};
        struct history_item item;
        struct history *history;
        struct hif_why why = {.text = ""};
        enum hif_err err;

        store_run(f->tp.store, &req, 1);
        store_req_free(&req);
        assert_int_equal(history_new(&f->tp.project, &wish, &history), HIF_OK);
        while ((err = history_next(history, &item, &why)) == HIF_OK)
                ;
        assert_int_equal(err, HIF_ECORRUPT);
        assert_true(strlen(why.text) > 0);
        history_free(history);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(told_by_trees, setup, teardown),
            cmocka_unit_test_setup_teardown(told_by_rollups, setup, teardown),
            cmocka_unit_test_setup_teardown(told_with_records_missing, setup, teardown),
            cmocka_unit_test_setup_teardown(a_rare_change_is_found_in_few_reads, setup, teardown),
            cmocka_unit_test_setup_teardown(follows_a_rename, setup, teardown),
            cmocka_unit_test_setup_teardown(everything_newest_first, setup, teardown),
            cmocka_unit_test_setup_teardown(a_lost_slot_is_an_error, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
