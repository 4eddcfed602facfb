/* test_maintain.c - all derived records of a project: made, removed, made again, compared. Windows
 * are small here (WINDOW_FANOUT), so that a few hundred landings fill all levels. */
#include "land/derived/maintain.h"
#include "tests/land/synth.h"
#include "tests/land/tland.h"

#include <stdlib.h>

#define TAIL (5 * WINDOW_FANOUT * WINDOW_FANOUT * WINDOW_FANOUT / 2 + 3)

struct fixture {
        struct tproject tp;
        struct maintain_hooks hooks;
        struct maintain_report report;
        struct hif_why why;
        uint64_t last_done, total;
        uint64_t named;
};

static void on_progress(struct maintain_hooks *hooks, enum window_kind kind, uint64_t done,
                        uint64_t total, uint64_t bytes)
{
        struct fixture *f = (struct fixture *)((char *)hooks - offsetof(struct fixture, hooks));

        (void)kind;
        (void)bytes;
        assert_true(done > f->last_done && done <= total);
        f->last_done = done;
        f->total = total;
}

static void on_difference(struct maintain_hooks *hooks, enum window_kind kind, const char *key,
                          const char *reason)
{
        struct fixture *f = (struct fixture *)((char *)hooks - offsetof(struct fixture, hooks));

        (void)kind;
        assert_non_null(strstr(key, "projects/org/name/"));
        assert_true(strlen(reason) > 0);
        f->named++;
}

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));
        struct slot_read tail;

        assert_non_null(f);
        f->hooks = (struct maintain_hooks){.progress = on_progress, .differs = on_difference};
        f->tp.env = env_system(NULL);
        assert_int_equal(store_mem_new(&f->tp.env, &f->tp.store), HIF_OK);
        assert_int_equal(pool_new(0, "test", &f->tp.pool), HIF_OK);
        assert_int_equal(
            project_create(&f->tp.env, f->tp.store, "org/name", "A <a@b>", &f->tp.project, &f->why),
            HIF_OK);
        tproject_land_put(&f->tp, "early", "content in a pack");
        tproject_land_put(&f->tp, "other", "more content");
        assert_int_equal(project_tail(&f->tp.project, 0, &tail, &f->why), HIF_OK);
        assert_int_equal(synth_append(&f->tp.project, &tail, TAIL, true, &f->why), HIF_OK);
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

static void run(struct fixture *f, enum maintain_mode mode)
{
        f->last_done = f->named = 0;
        if (derived_maintain(&f->tp.project, mode, &f->hooks, &f->report, &f->why) != HIF_OK)
                fail_msg("%s", f->why.text);
        assert_int_equal(f->last_done, f->total);
}

static uint64_t sum(const struct fixture *f, size_t field)
{
        uint64_t total = 0;

        for (int kind = WINDOW_SEGMENT; kind < WINDOW_KINDS; kind++)
                total += *(const uint64_t *)((const char *)&f->report.kinds[kind] + field);
        return total;
}
#define SUM(f, name) sum(f, offsetof(struct maintain_kind, name))

/* One hash over all derived objects: names and bytes. */
static struct hif_hash fingerprint(struct fixture *f)
{
        struct store_req list = {
            .op = STORE_LIST, .prefix = "projects/org/name/", .list_max = 100000};
        struct blake3 state;
        struct hif_hash hash;

        blake3_init(&state);
        store_run(f->tp.store, &list, 1);
        assert_int_equal(list.result, HIF_OK);
        for (size_t i = 0; i < list.list.count; i++) {
                const char *key = list.list.items[i].key;

                if (!strstr(key, "segments/") && !strstr(key, "-index/"))
                        continue;
                blake3_update(&state, span_of(key, strlen(key) + 1));
                blake3_update(&state, store_mem_peek(f->tp.store, key));
        }
        store_req_free(&list);
        blake3_final(&state, &hash);
        return hash;
}

static const char *key_of(struct fixture *f, enum window_kind kind, uint64_t start)
{
        static struct layout_key key;

        key = layout_window(&f->tp.project.layout, kind, start);
        return key.text;
}

/* --- --- */

/* Every complete window gets its record, and a second run finds nothing to do. */
static void makes_what_is_missing(void **state)
{
        struct fixture *f = *state;

        run(f, MAINTAIN_MAKE);
        for (int kind = WINDOW_SEGMENT; kind < WINDOW_KINDS; kind++) {
                const struct maintain_kind *counts = &f->report.kinds[kind];

                assert_int_equal(counts->windows, (TAIL + 1) / window_size((enum window_kind)kind));
                assert_true(counts->windows > 0);
                assert_int_equal(counts->made, counts->windows);
        }
        run(f, MAINTAIN_MAKE);
        assert_int_equal(SUM(f, made), 0);
        assert_int_equal(SUM(f, present), SUM(f, windows));
}

/* Removed and made again, all of it is the same to the byte; also in another order. */
static void rebuilds_bit_for_bit(void **state)
{
        struct fixture *f = *state;
        struct hif_hash first, second;

        run(f, MAINTAIN_MAKE);
        first = fingerprint(f);
        run(f, MAINTAIN_REBUILD);
        assert_int_equal(SUM(f, made), SUM(f, windows));
        second = fingerprint(f);
        assert_true(hash_eq(&first, &second));
        assert_true(store_mem_drop(f->tp.store, key_of(f, WINDOW_LEVEL_1, 0)));
        assert_true(store_mem_drop(f->tp.store, key_of(f, WINDOW_LEVEL_3, 0)));
        run(f, MAINTAIN_MAKE);
        assert_int_equal(SUM(f, made), 2);
        second = fingerprint(f);
        assert_true(hash_eq(&first, &second));
        run(f, MAINTAIN_VERIFY);
        assert_int_equal(SUM(f, same), SUM(f, windows));
        assert_int_equal(SUM(f, different), 0);
}

/* Verifying tells of every damaged record, and of what should not be there; rebuilding mends it. */
static void verify_tells_of_damage(void **state)
{
        struct fixture *f = *state;

        run(f, MAINTAIN_MAKE);
        for (int kind = WINDOW_SEGMENT; kind < WINDOW_KINDS; kind++) {
                const char *key = key_of(f, (enum window_kind)kind, 0);
                size_t bits = store_mem_peek(f->tp.store, key).size * 8;

                assert_true(store_mem_flip(f->tp.store, key, bits / 2));
        }
        struct store_req req = {
            .op = STORE_PUT,
            .key = key_of(f, WINDOW_LEVEL_1, TAIL / WINDOW_FANOUT * WINDOW_FANOUT + WINDOW_FANOUT),
            .body = span_str("of a window that is not complete")};
        store_run(f->tp.store, &req, 1);
        store_req_free(&req);
        run(f, MAINTAIN_VERIFY);
        assert_int_equal(f->named, SUM(f, different));
        for (int kind = WINDOW_SEGMENT; kind < WINDOW_KINDS; kind++)
                assert_true(f->report.kinds[kind].different > 0);
        run(f, MAINTAIN_REBUILD);
        run(f, MAINTAIN_VERIFY);
        assert_int_equal(SUM(f, different), 0);
}

/* A missing record is no fault: it can be made at any time. */
static void verify_counts_what_is_missing(void **state)
{
        struct fixture *f = *state;

        run(f, MAINTAIN_VERIFY);
        assert_int_equal(SUM(f, missing), SUM(f, windows));
        assert_int_equal(SUM(f, different), 0);
}

/* A level is not made of damaged records: those are made anew first. */
static void damage_below_is_mended_on_the_way(void **state)
{
        struct fixture *f = *state;
        struct hif_hash first, second;

        run(f, MAINTAIN_MAKE);
        first = fingerprint(f);
        assert_true(store_mem_flip(f->tp.store, key_of(f, WINDOW_LEVEL_1, WINDOW_FANOUT), 777));
        assert_true(store_mem_flip(f->tp.store, key_of(f, WINDOW_LEVEL_2, 0), 777));
        assert_true(store_mem_drop(f->tp.store, key_of(f, WINDOW_LEVEL_3, 0)));
        run(f, MAINTAIN_MAKE);
        second = fingerprint(f);
        assert_true(hash_eq(&first, &second));
}

/* Stopped by the store, it goes on where it was. */
static void goes_on_where_it_stopped(void **state)
{
        struct fixture *f = *state;
        struct store *faulty;
        struct project project = f->tp.project;
        struct store_fault_rule rule = {
            .op = STORE_PUT, .skip = 20, .count = 1, .fault = STORE_FAULT_FAIL, .err = HIF_ENOSPC};

        assert_int_equal(store_fault_new(&f->tp.env, f->tp.store, &faulty), HIF_OK);
        assert_int_equal(store_fault_add(faulty, &rule), HIF_OK);
        project.store = faulty;
        assert_int_equal(derived_maintain(&project, MAINTAIN_MAKE, NULL, &f->report, &f->why),
                         HIF_ENOSPC);
        assert_int_equal(SUM(f, made), 20);
        store_close(faulty);
        run(f, MAINTAIN_MAKE);
        assert_int_equal(SUM(f, present), 20);
        assert_int_equal(SUM(f, made), SUM(f, windows) - 20);
}

/* A slot that is lost stops it: a record with a hole would last. */
static void a_lost_slot_stops_it(void **state)
{
        struct fixture *f = *state;
        struct layout_key key = layout_slot(&f->tp.project.layout, 33);

        assert_true(store_mem_drop(f->tp.store, key.text));
        assert_int_equal(derived_maintain(&f->tp.project, MAINTAIN_MAKE, NULL, &f->report, &f->why),
                         HIF_ECORRUPT);
        assert_non_null(strstr(f->why.text, "000000000033"));
        assert_int_equal(
            tproject_count(&f->tp, key_of(f, WINDOW_LEVEL_1, 33 / WINDOW_FANOUT * WINDOW_FANOUT)),
            0);
}

/* --- the hash index --- */

static enum hif_err take(void *arg, struct span piece)
{
        buf_put_span(arg, piece);
        return HIF_OK;
}

/* A content whose location does not hold any more is found by its hash. */
static void contents_are_found_by_hash(void **state)
{
        struct fixture *f = *state;
        struct entry entry = tproject_entry(&f->tp, TAIL, "early");
        struct pack_loc where = entry.loc, found[4];
        AUTO_BUF struct buf content = {0};

        assert_true(where.size > 0);
        entry.loc.pack.bytes[0] ^= 1;
        assert_int_equal(
            project_read_file(&f->tp.project, &entry, 0, UINT64_MAX, take, &content, &f->why),
            HIF_ENOENT);
        run(f, MAINTAIN_MAKE);
        assert_int_equal(hash_index_find(&f->tp.project, &entry.hash, entry.size, found, 4), 1);
        assert_true(hash_eq(&found[0].pack, &where.pack));
        assert_int_equal(found[0].offset, where.offset);
        assert_int_equal(found[0].size, where.size);
        assert_int_equal(
            project_read_file(&f->tp.project, &entry, 0, UINT64_MAX, take, &content, &f->why),
            HIF_OK);
        assert_true(span_eq(buf_span(&content), span_str("content in a pack")));
        entry.hash.bytes[0] ^= 1;
        assert_int_equal(hash_index_find(&f->tp.project, &entry.hash, entry.size, found, 4), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(makes_what_is_missing, setup, teardown),
            cmocka_unit_test_setup_teardown(rebuilds_bit_for_bit, setup, teardown),
            cmocka_unit_test_setup_teardown(verify_tells_of_damage, setup, teardown),
            cmocka_unit_test_setup_teardown(verify_counts_what_is_missing, setup, teardown),
            cmocka_unit_test_setup_teardown(damage_below_is_mended_on_the_way, setup, teardown),
            cmocka_unit_test_setup_teardown(goes_on_where_it_stopped, setup, teardown),
            cmocka_unit_test_setup_teardown(a_lost_slot_stops_it, setup, teardown),
            cmocka_unit_test_setup_teardown(contents_are_found_by_hash, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
