/* test_derived.c - segments and rollups: made from slots, read instead of them, never believed
 * where they do not fit. */
#include "land/derived/derived.h"
#include "land/internal.h"
#include "tests/land/synth.h"
#include "tests/land/tland.h"

#include <stdlib.h>

#define TAIL 2345u

struct fixture {
        struct tproject tp;
        struct hif_why why;
};

static const enum window_kind made_by_landers[] = {WINDOW_LEVEL_1, WINDOW_SEGMENT};

static void append(struct fixture *f, uint64_t position)
{
        struct slot_read tail;

        assert_int_equal(project_tail(&f->tp.project, 0, &tail, &f->why), HIF_OK);
        assert_int_equal(synth_append(&f->tp.project, &tail, position, true, &f->why), HIF_OK);
}

static void make(struct fixture *f, enum window_kind kind, uint64_t start)
{
        if (derived_make(&f->tp.project, kind, start, NULL, &f->why) != HIF_OK)
                fail_msg("%s", f->why.text);
}

static void make_all(struct fixture *f, uint64_t tail)
{
        for (int i = 0; i < 2; i++) {
                enum window_kind kind = made_by_landers[i];

                for (uint64_t start = 0; window_last(kind, start) <= tail;
                     start += window_size(kind))
                        make(f, kind, start);
        }
}

/* Thousands of slots: in memory whatever store is asked for. */
static void open_memory(struct tproject *tp)
{
        struct hif_why why;

        *tp = (struct tproject){.env = env_system(NULL)};
        assert_int_equal(store_mem_new(&tp->env, &tp->store), HIF_OK);
        assert_int_equal(pool_new(0, "test", &tp->pool), HIF_OK);
        assert_int_equal(
            project_create(&tp->env, tp->store, "org/name", "A <a@b>", &tp->project, &why), HIF_OK);
}

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        open_memory(&f->tp);
        append(f, TAIL);
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

static const char *key_of(struct fixture *f, enum window_kind kind, uint64_t start)
{
        static struct layout_key key;

        key = layout_window(&f->tp.project.layout, kind, start);
        return key.text;
}

static void copy_object(struct fixture *f, const char *key, struct buf *out)
{
        buf_put_span(out, store_mem_peek(f->tp.store, key));
        assert_true(out->size > 0);
}

static uint64_t gets(struct fixture *f)
{
        return store_stats_get(f->tp.store).requests[STORE_GET];
}

/* Where a session landed after the origin; 0: nowhere. */
static uint64_t find_session(struct fixture *f, const struct session_id *session, uint64_t origin)
{
        struct hif_hash hash, tree;
        uint64_t position = 0;
        enum hif_err err =
            land_find(&f->tp.project, session, origin, &position, &hash, &tree, &f->why);

        if (err != HIF_OK && err != HIF_ENOENT)
                fail_msg("%s", f->why.text);
        return err == HIF_OK ? position : 0;
}

static struct session_id session_at(uint64_t position)
{
        struct synth_landing landing;

        synth_landing_at(position, &landing);
        return landing.session;
}

/* --- --- */

/* Whoever makes a record writes the same bytes; removed, it comes back as it was. */
static void the_same_whoever_makes_it(void **state)
{
        struct fixture *f = *state;

        for (int i = 0; i < 2; i++) {
                AUTO_BUF struct buf first = {0}, second = {0};
                const char *key = key_of(f, made_by_landers[i], 1000);

                make(f, made_by_landers[i], 1000);
                copy_object(f, key, &first);
                assert_true(store_mem_drop(f->tp.store, key));
                make(f, made_by_landers[i], 1000);
                copy_object(f, key, &second);
                assert_true(span_eq(buf_span(&first), buf_span(&second)));
        }
}

/* There is nothing to make of a window whose last slot is not there. */
static void no_record_of_an_incomplete_window(void **state)
{
        struct fixture *f = *state;

        assert_int_equal(derived_make(&f->tp.project, WINDOW_LEVEL_1, 2300, NULL, &f->why),
                         HIF_ECORRUPT);
        assert_int_equal(derived_make(&f->tp.project, WINDOW_SEGMENT, 2000, NULL, &f->why),
                         HIF_ECORRUPT);
        assert_int_equal(tproject_count(&f->tp, "bloom-index"), 0);
        assert_int_equal(tproject_count(&f->tp, "segments"), 0);
}

/* A session is found wherever it landed, in few reads; one that did not land, nowhere. */
static void scan_finds_every_session(void **state)
{
        struct fixture *f = *state;
        struct session_id nobody = {{9}};
        uint64_t slots, before = gets(f);

        assert_int_equal(find_session(f, &nobody, 0), 0);
        slots = gets(f) - before;
        make_all(f, TAIL);
        before = gets(f);
        assert_int_equal(find_session(f, &nobody, 0), 0);
        assert_true(gets(f) - before < slots / 15);
        for (uint64_t position = 1; position <= TAIL; position += 37) {
                struct session_id session = session_at(position);

                assert_int_equal(find_session(f, &session, 0), position);
                assert_int_equal(find_session(f, &session, position - 1), position);
                if (position < TAIL)
                        assert_int_equal(find_session(f, &session, position), 0);
        }
}

/* The second member of a batch is found as well as the first. */
static void scan_finds_members_of_batches(void **state)
{
        struct fixture *f = *state;
        struct session_id session;
        struct slot_read read;
        uint64_t position = 100;

        for (;; position += 100) {
                struct synth_landing landing;

                assert_int_equal(project_slot(&f->tp.project, position, false, &read, &f->why),
                                 HIF_OK);
                synth_landing_at(position, &landing);
                session = landing.session;
                session.bytes[0] ^= 1;
                if (read.slot.kind == SLOT_BATCH)
                        break;
                slot_read_free(&read);
        }
        slot_read_free(&read);
        make_all(f, TAIL);
        assert_int_equal(find_session(f, &session, 0), position);
        /* By the segment, too. */
        for (uint64_t start = 0; start < 1000; start += 100)
                assert_true(store_mem_drop(f->tp.store, key_of(f, WINDOW_LEVEL_1, start)));
        assert_int_equal(find_session(f, &session, 0), position);
}

/* Anything derived may be missing or damaged: what is finer is asked, with the same answer. */
static void missing_and_damaged_records_are_passed_over(void **state)
{
        struct fixture *f = *state;
        struct session_id session = session_at(777), nobody = {{9}};
        enum { DROP, FLIP, WAYS };

        for (int way = DROP; way < WAYS; way++) {
                make_all(f, TAIL);
                for (int i = 0; i < 2; i++) {
                        enum window_kind kind = made_by_landers[i];

                        for (uint64_t start = 0; window_last(kind, start) <= TAIL;
                             start += window_size(kind)) {
                                const char *key = key_of(f, kind, start);
                                size_t bits = store_mem_peek(f->tp.store, key).size * 8;

                                if (way == FLIP)
                                        assert_true(store_mem_flip(f->tp.store, key,
                                                                   (start * 7919 + 3) % bits));
                                else if (start / window_size(kind) % 2 == 0)
                                        assert_true(store_mem_drop(f->tp.store, key));
                        }
                }
                assert_int_equal(find_session(f, &session, 0), 777);
                assert_int_equal(find_session(f, &nobody, 0), 0);
        }
}

/* Records of another history, such as another store's, do not count: they do not end in the slot
 * that is there. */
static void records_of_another_history_do_not_count(void **state)
{
        struct fixture *f = *state;
        struct fixture other = {0};
        struct session_id session = session_at(777);

        open_memory(&other.tp);
        tproject_land_put(&other.tp, "else", "where");
        append(&other, TAIL);
        make_all(&other, TAIL);
        for (int i = 0; i < 2; i++) {
                enum window_kind kind = made_by_landers[i];

                for (uint64_t start = 0; window_last(kind, start) <= TAIL;
                     start += window_size(kind)) {
                        struct store_req req = {
                            .op = STORE_PUT,
                            .key = key_of(f, kind, start),
                            .body = store_mem_peek(other.tp.store, key_of(f, kind, start))};

                        store_run(f->tp.store, &req, 1);
                        store_req_free(&req);
                }
        }
        tproject_close(&other.tp);
        assert_int_equal(find_session(f, &session, 0), 777);
}

/* A slot that cannot be read where nothing else tells of it is an error: never "nothing there". */
static void a_lost_slot_is_an_error(void **state)
{
        struct fixture *f = *state;
        struct session_id nobody = {{9}};
        struct hif_hash hash, tree;
        struct layout_key key = layout_slot(&f->tp.project.layout, 777);
        uint64_t position;

        assert_true(store_mem_drop(f->tp.store, key.text));
        assert_int_equal(land_find(&f->tp.project, &nobody, 0, &position, &hash, &tree, &f->why),
                         HIF_ECORRUPT);
}

/* --- paths --- */

static bool touches(uint64_t position, const char *path)
{
        struct synth_landing landing;
        size_t size = strlen(path);

        synth_landing_at(position, &landing);
        for (uint32_t i = 0; i < landing.path_count; i++)
                if (strncmp(landing.paths[i], path, size) == 0 &&
                    (landing.paths[i][size] == '\0' || landing.paths[i][size] == '/'))
                        return true;
        return false;
}

/* Forwards and backwards: every slot that touched a path or something below it is a candidate, and
 * next to none other. */
static void index_tells_who_touched_a_path(void **state)
{
        struct fixture *f = *state;
        static const char *const dirs[] = {"src", "web/net2"};
        char file[SYNTH_PATH_SIZE];
        uint64_t wrong = 0;

        make_all(f, TAIL);
        synth_path(997, file);
        for (int i = 0; i < 3; i++) {
                const char *path = i < 2 ? dirs[i] : file;
                struct index_item item = index_path(span_str(path));
                struct derived_index *index;
                uint64_t at, from = 1, to = 2299;
                bool covered;

                assert_int_equal(index_new(&f->tp.project, TAIL, &index), HIF_OK);
                for (uint64_t position = 1; position < 2300; position++) {
                        enum hif_err err = index_next(index, &item, 1, from, 2299, &at, &covered);

                        if (!touches(position, path))
                                continue;
                        while (err == HIF_OK && at < position) {
                                wrong++;
                                from = at + 1;
                                err = index_next(index, &item, 1, from, 2299, &at, &covered);
                        }
                        assert_int_equal(err, HIF_OK);
                        assert_int_equal(at, position);
                        assert_true(covered);
                        from = position + 1;
                }
                for (uint64_t position = 2299; position > 0; position--) {
                        if (!touches(position, path))
                                continue;
                        assert_int_equal(index_previous(index, &item, 1, 1, to, &at, &covered),
                                         HIF_OK);
                        assert_int_equal(at, position);
                        to = position - 1;
                }
                index_free(index);
        }
        assert_int_equal(wrong, 0); /* of a few thousand tests; chance is 1 in 10^9 each */
}

/* What no rollup covers is never passed over. */
static void index_says_what_it_does_not_know(void **state)
{
        struct fixture *f = *state;
        struct index_item item = index_path(span_str("not/there"));
        struct derived_index *index;
        uint64_t at;
        bool covered;

        make(f, WINDOW_LEVEL_1, 0);
        make(f, WINDOW_LEVEL_1, 200);
        assert_int_equal(index_new(&f->tp.project, TAIL, &index), HIF_OK);
        assert_int_equal(index_next(index, &item, 1, 0, TAIL, &at, &covered), HIF_OK);
        assert_int_equal(at, 100);
        assert_false(covered);
        assert_int_equal(index_next(index, &item, 1, 200, TAIL, &at, &covered), HIF_OK);
        assert_int_equal(at, 300);
        assert_int_equal(index_previous(index, &item, 1, 0, 299, &at, &covered), HIF_OK);
        assert_int_equal(at, 199);
        assert_false(covered);
        assert_int_equal(index_previous(index, &item, 1, 0, 99, &at, &covered), HIF_ENOENT);
        index_free(index);
}

/* --- who makes them --- */

/* A landing that completes a window makes its record; another one finds what was left undone. */
static void landers_make_what_they_complete(void **state)
{
        struct fixture *f = *state;

        derived_after_landing(&f->tp.project, 1098);
        assert_int_equal(tproject_count(&f->tp, "bloom-index"), 0);
        derived_after_landing(&f->tp.project, 1099);
        assert_int_equal(tproject_count(&f->tp, "bloom-index/level-1/000000001000"), 1);
        derived_after_landing(&f->tp.project, 1224);
        assert_int_equal(tproject_count(&f->tp, "bloom-index/level-1/000000001100"), 1);
        assert_int_equal(tproject_count(&f->tp, "segments/000000000000"), 1);
        assert_int_equal(tproject_count(&f->tp, "segments/000000001000"), 0);
        derived_after_landing(&f->tp.project, 1999);
        assert_int_equal(tproject_count(&f->tp, "segments/000000001000"), 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(the_same_whoever_makes_it, setup, teardown),
            cmocka_unit_test_setup_teardown(no_record_of_an_incomplete_window, setup, teardown),
            cmocka_unit_test_setup_teardown(scan_finds_every_session, setup, teardown),
            cmocka_unit_test_setup_teardown(scan_finds_members_of_batches, setup, teardown),
            cmocka_unit_test_setup_teardown(missing_and_damaged_records_are_passed_over, setup,
                                            teardown),
            cmocka_unit_test_setup_teardown(records_of_another_history_do_not_count, setup,
                                            teardown),
            cmocka_unit_test_setup_teardown(a_lost_slot_is_an_error, setup, teardown),
            cmocka_unit_test_setup_teardown(index_tells_who_touched_a_path, setup, teardown),
            cmocka_unit_test_setup_teardown(index_says_what_it_does_not_know, setup, teardown),
            cmocka_unit_test_setup_teardown(landers_make_what_they_complete, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
