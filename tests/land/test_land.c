/* What a landing does: to the tree, to the store, and what it says. */
#include "tests/land/tland.h"

#include "base/cleanup.h"
#include "core/layout.h"

#include <unistd.h>

#include <stdlib.h>

struct fixture {
        struct tproject tp;
        struct tsession ts;
};

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        tproject_open(&f->tp, NULL, 2);
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

static void land(struct fixture *f)
{
        enum hif_err err = tsession_land(&f->ts);

        if (err != HIF_OK)
                fail_msg("%s: %s", hif_err_name(err), f->ts.why.text);
        tproject_verify(&f->tp);
}

/* A new session, on top of what was landed. */
static void next_session(struct fixture *f)
{
        tsession_close(&f->ts);
        tsession_open(&f->ts, &f->tp, tproject_tail(&f->tp));
}

/* --- kinds of change --- */

/* Files, an executable, a link and directories, empty ones too, come out as they went in. */
static void additions_of_every_kind(void **state)
{
        struct fixture *f = *state;

        tsession_put(&f->ts, "file", "content");
        tsession_put(&f->ts, "nothing", "");
        tsession_exec(&f->ts, "run.sh", "#!/bin/sh\n");
        tsession_link(&f->ts, "link", "some/where");
        tsession_mkdir(&f->ts, "dir", 1234);
        tsession_mkdir(&f->ts, "dir/empty", 5678);
        tsession_put(&f->ts, "dir/file", "content");
        land(f);
        assert_int_equal(f->ts.result.position, 1);
        assert_int_equal(f->ts.result.paths, 7);
        assert_int_equal(f->ts.result.attempts, 1);
        tproject_expect(&f->tp, "file", "content");
        tproject_expect(&f->tp, "nothing", "");
        tproject_expect(&f->tp, "dir/file", "content");
        assert_int_equal(tproject_entry(&f->tp, 1, "run.sh").kind, ENTRY_EXEC);
        assert_int_equal(tproject_entry(&f->tp, 1, "link").kind, ENTRY_SYMLINK);
        assert_int_equal(tproject_entry(&f->tp, 1, "link").size, 10);
        assert_int_equal(tproject_entry(&f->tp, 1, "dir").mtime.sec, 1234);
        assert_int_equal(tproject_entry(&f->tp, 1, "dir/empty").mtime.sec, 5678);
        assert_int_equal(tproject_entry(&f->tp, 1, "file").mtime.sec, 1000);
}

/* An entry's tag names the landing that changed it last, and no other entry's changes. */
static void a_change_and_its_tag(void **state)
{
        struct fixture *f = *state;
        struct slot_read slot;

        tsession_put(&f->ts, "a", "1");
        tsession_put(&f->ts, "b", "1");
        land(f);
        next_session(f);
        tsession_put(&f->ts, "a", "2");
        land(f);
        tproject_expect(&f->tp, "a", "2");
        tproject_expect(&f->tp, "b", "1");
        assert_int_equal(project_slot(&f->tp.project, 2, true, &slot, NULL), HIF_OK);
        assert_int_equal(tproject_entry(&f->tp, 2, "a").tag.id, slot.slot.tag);
        assert_int_equal(tproject_entry(&f->tp, 2, "a").tag.position, 2);
        assert_int_equal(tproject_entry(&f->tp, 2, "b").tag.position, 1);
        assert_int_equal(slot.slot.path_count, 1);
        assert_int_equal(slot.slot.paths[0].kind, SLOT_CHANGED);
        assert_true(bloom_maybe(&slot.slot.bloom, span_str("a")));
        slot_read_free(&slot);
}

static void the_executable_bit_alone_is_a_change(void **state)
{
        struct fixture *f = *state;

        tsession_put(&f->ts, "a", "1");
        land(f);
        next_session(f);
        tsession_exec(&f->ts, "a", "1");
        land(f);
        assert_int_equal(tproject_entry(&f->tp, 2, "a").kind, ENTRY_EXEC);
}

/* A rename moves the entry and its location: nothing is read or uploaded for it. */
static void a_rename_uploads_nothing(void **state)
{
        struct fixture *f = *state;
        struct entry before, after;
        struct slot_read slot;
        size_t packs;

        tsession_put(&f->ts, "old", "content");
        land(f);
        before = tproject_entry(&f->tp, 1, "old");
        next_session(f);
        tsession_rename(&f->ts, "old", "new");
        packs = tproject_count(&f->tp, "/packs/");
        f->tp.reads = 0;
        land(f);
        after = tproject_entry(&f->tp, 2, "new");
        assert_memory_equal(&before.loc, &after.loc, sizeof(before.loc));
        assert_false(tproject_has(&f->tp, 2, "old"));
        assert_int_equal(f->tp.reads, 0);
        assert_int_equal(tproject_count(&f->tp, "/packs/"), packs);
        assert_int_equal(project_slot(&f->tp.project, 2, true, &slot, NULL), HIF_OK);
        assert_int_equal(slot.slot.path_count, 1);
        assert_int_equal(slot.slot.paths[0].kind, SLOT_RENAMED);
        assert_true(span_eq(slot.slot.paths[0].path_from, span_str("old")));
        slot_read_free(&slot);
}

/* A directory's time changes with its membership, and with nothing else. */
static void times_of_directories(void **state)
{
        struct fixture *f = *state;
        int64_t before;

        tsession_mkdir(&f->ts, "dir", 1000);
        tsession_put(&f->ts, "dir/file", "1");
        land(f);
        before = tproject_entry(&f->tp, 1, "dir").mtime.sec;
        assert_int_equal(before, 1000);
        next_session(f); /* content alone */
        tsession_put(&f->ts, "dir/file", "2");
        tsession_mkdir(&f->ts, "dir", 2000);
        land(f);
        assert_int_equal(tproject_entry(&f->tp, 2, "dir").mtime.sec, 1000);
        next_session(f); /* membership, with a time of the session's */
        tsession_put(&f->ts, "dir/more", "2");
        tsession_mkdir(&f->ts, "dir", 3000);
        land(f);
        assert_int_equal(tproject_entry(&f->tp, 3, "dir").mtime.sec, 3000);
        next_session(f); /* membership, and the session says nothing: the time of landing */
        tsession_remove(&f->ts, "dir/more");
        land(f);
        assert_true(tproject_entry(&f->tp, 4, "dir").mtime.sec > 1000000);
}

/* A file below a file is the caller's mistake, and no tree. */
static void a_path_below_a_file_is_refused(void **state)
{
        struct fixture *f = *state;

        tsession_put(&f->ts, "file", "1");
        tsession_put(&f->ts, "file/below", "1");
        assert_int_equal(tsession_land(&f->ts), HIF_EINVAL);
        assert_int_equal(tproject_tail(&f->tp), 0);
}

/* --- contents --- */

static void fill(uint8_t *out, size_t size, uint64_t seed)
{
        for (size_t i = 0; i + 8 <= size; i += 8) {
                uint64_t z = (seed += 0x9e3779b97f4a7c15);

                z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
                z ^= z >> 27;
                memcpy(out + i, &z, 8);
        }
}

/* Many small files share a pack; equal ones share their bytes. */
static void small_files_travel_in_one_pack(void **state)
{
        static char names[300][8], texts[300][16];
        struct fixture *f = *state;

        for (int i = 0; i < 300; i++) {
                snprintf(names[i], sizeof(names[i]), "f%d", i);
                snprintf(texts[i], sizeof(texts[i]), "content %d", i / 2);
                tsession_put(&f->ts, names[i], texts[i]);
        }
        land(f);
        assert_int_equal(tproject_count(&f->tp, "/packs/"), 1);
        assert_int_equal(tproject_count(&f->tp, "/blobs/"), 0);
        for (int i = 0; i < 300; i += 7)
                tproject_expect(&f->tp, names[i], texts[i]);
        assert_int_equal(f->ts.progress.files_done, 300);
        assert_int_equal(f->ts.progress.files_total, 300);
}

struct landing_job {
        struct pool_job job;
        struct fixture *f;
        enum hif_err err;
};

static void land_in_job(struct pool_job *job)
{
        struct landing_job *landing = (struct landing_job *)job;

        landing->err = tsession_land(&landing->f->ts);
        land_free(STEAL(landing->f->ts.land));
}

/* A landing that runs on the only thread of the pool that it was given does not wait for itself. */
static void landing_on_a_thread_of_its_own_pool(void **state)
{
        struct fixture *f = *state;
        struct landing_job landing = {.job.run = land_in_job, .f = f};

        pool_free(f->tp.pool);
        assert_int_equal(pool_new(1, "one", &f->tp.pool), HIF_OK);
        tsession_put(&f->ts, "a", "1");
        pool_submit(f->tp.pool, &landing.job);
        pool_drain(f->tp.pool);
        assert_int_equal(landing.err, HIF_OK);
        tproject_expect(&f->tp, "a", "1");
}

/* One MiB changed within a large file stores about that much. */
static void a_change_within_a_large_file_stores_little(void **state)
{
        struct fixture *f = *state;
        size_t size = 40u << 20, blobs;
        uint8_t *content = malloc(size);
        struct store_stats before, after;

        fill(content, size, 1);
        tsession_put_bytes(&f->ts, "big", span_of(content, size));
        land(f);
        tproject_expect_bytes(&f->tp, "big", span_of(content, size));
        blobs = tproject_count(&f->tp, "/blobs/");
        assert_in_range(blobs, 12, 120);
        next_session(f);
        fill(content + (17u << 20), 1u << 20, 2);
        tsession_put_bytes(&f->ts, "big", span_of(content, size));
        before = store_stats_get(f->tp.store);
        land(f);
        after = store_stats_get(f->tp.store);
        assert_in_range(after.bytes_put - before.bytes_put, 1u << 20, 8u << 20);
        tproject_expect_bytes(&f->tp, "big", span_of(content, size));
        free(content);
}

/* A touched file is hashed, and not uploaded. */
static void content_that_base_has_is_not_uploaded(void **state)
{
        struct fixture *f = *state;
        size_t packs;

        tsession_put(&f->ts, "a", "1");
        land(f);
        packs = tproject_count(&f->tp, "/packs/");
        next_session(f);
        tsession_put(&f->ts, "a", "1");
        assert_int_equal(tsession_land(&f->ts), HIF_ENOTHING);
        assert_int_equal(tproject_count(&f->tp, "/packs/"), packs);
}

static enum hif_err fails_reading(struct land_reader *reader, uint64_t content, uint64_t offset,
                                  void *out, size_t size)
{
        (void)reader;
        (void)content;
        (void)offset;
        memset(out, 0, size);
        return HIF_EIO;
}

/* A file that changes while it is read stops the landing, and the sentence names it. */
static void a_file_that_cannot_be_read_is_named(void **state)
{
        struct fixture *f = *state;

        tsession_put(&f->ts, "unsteady", "1");
        f->ts.reader.read = fails_reading;
        assert_int_equal(tsession_land(&f->ts), HIF_EIO);
        assert_non_null(strstr(f->ts.why.text, "unsteady"));
        assert_int_equal(tproject_tail(&f->tp), 0);
}

/* What the store had before a crash is found by the journal, and not uploaded again: small files,
 * a blob, and the chunks of a large file. */
static void a_repeated_landing_goes_on_where_it_stopped(void **state)
{
        struct fixture *f = *state;
        char path[] = "/tmp/hif-journal-XXXXXX";
        int fd = mkstemp(path);
        size_t size = 9u << 20;
        uint8_t *content = malloc(size);
        struct store_stats before, after;
        struct slot_read slot;
        size_t objects;

        assert_true(fd >= 0);
        fill(content, size, 3);
        f->ts.journal = path;
        tsession_put(&f->ts, "small", "content");
        tsession_put_bytes(&f->ts, "blob", span_of(content, 1u << 20));
        tsession_put_bytes(&f->ts, "big", span_of(content, size));
        /* Everything is stored, then the process dies: only the journal is left. */
        assert_int_equal(tsession_land_with(&f->ts, NULL, true), HIF_OK);
        land_free(f->ts.land);
        f->ts.land = NULL;
        for (size_t i = 0; i < f->ts.count; i++)
                f->ts.changes[i].have_hash = false;
        objects = tproject_count(&f->tp, "");
        before = store_stats_get(f->tp.store);
        land(f);
        after = store_stats_get(f->tp.store);
        assert_in_range(after.bytes_put - before.bytes_put, 1, 8192); /* nodes, session, slot */
        assert_in_range(tproject_count(&f->tp, "") - objects, 1, 4);
        tproject_expect_bytes(&f->tp, "big", span_of(content, size));
        tproject_expect(&f->tp, "small", "content");
        /* What was found in the journal is as new as before, to whoever collects garbage. */
        assert_int_equal(project_slot(&f->tp.project, 1, true, &slot, NULL), HIF_OK);
        assert_int_equal(slot.slot.object_count, tproject_count(&f->tp, "/blobs/") +
                                                     tproject_count(&f->tp, "/packs/") +
                                                     tproject_count(&f->tp, "/trees/") - 1);
        slot_read_free(&slot);
        free(content);
        (void)close(fd);
        unlink(path);
}

/* The same when the caller kept what was staged and stages nothing again. */
static void what_was_staged_before_is_listed(void **state)
{
        struct fixture *f = *state;
        size_t size = 9u << 20;
        uint8_t *content = malloc(size);
        struct slot_read slot;

        fill(content, size, 4);
        tsession_put(&f->ts, "small", "content");
        tsession_put_bytes(&f->ts, "big", span_of(content, size));
        assert_int_equal(tsession_land_with(&f->ts, NULL, true), HIF_OK);
        f->tp.reads = 0;
        land(f);
        assert_int_equal(f->tp.reads, 0);
        assert_int_equal(project_slot(&f->tp.project, 1, true, &slot, NULL), HIF_OK);
        assert_int_equal(slot.slot.object_count, tproject_count(&f->tp, "/blobs/") +
                                                     tproject_count(&f->tp, "/packs/") +
                                                     tproject_count(&f->tp, "/trees/") - 1);
        slot_read_free(&slot);
        next_session(f); /* renamed: base reaches all of it */
        tsession_rename(&f->ts, "big", "bigger");
        land(f);
        assert_int_equal(project_slot(&f->tp.project, 2, true, &slot, NULL), HIF_OK);
        assert_int_equal(slot.slot.object_count, 1); /* the node */
        slot_read_free(&slot);
        free(content);
}

/* A journal that was torn in the middle of a record counts up to there. */
static void a_torn_journal_is_cut(void **state)
{
        struct fixture *f = *state;
        char path[] = "/tmp/hif-journal-XXXXXX";
        int fd = mkstemp(path);

        f->ts.journal = path;
        tsession_put(&f->ts, "a", "1");
        tsession_put(&f->ts, "b", "2");
        assert_int_equal(tsession_land_with(&f->ts, NULL, true), HIF_OK);
        for (size_t i = 0; i < f->ts.count; i++)
                f->ts.changes[i].have_hash = false;
        assert_int_equal(ftruncate(fd, lseek(fd, 0, SEEK_END) - 5), 0);
        land(f);
        tproject_expect(&f->tp, "a", "1");
        tproject_expect(&f->tp, "b", "2");
        (void)close(fd);
        unlink(path);
}

/* --- the record --- */

/* Lists that do not fit a slot are objects that it names; nothing is missing from them. */
static void long_lists_leave_the_slot(void **state)
{
        static char names[500][160];
        struct fixture *f = *state;
        struct slot_read slot;

        for (int i = 0; i < 500; i++) {
                memset(names[i], 'n', sizeof(names[i]));
                snprintf(names[i] + 140, 20, "%d", i);
                tsession_put(&f->ts, names[i], "x");
        }
        land(f);
        assert_int_equal(project_slot(&f->tp.project, 1, true, &slot, NULL), HIF_OK);
        assert_true(slot.stored.size <= SLOT_SIZE_MAX);
        assert_false(hash_is_zero(&slot.slot.paths_list));
        assert_int_equal(slot.slot.path_count, 500);
        assert_non_null(slot.slot.paths);
        slot_read_free(&slot);
        assert_int_equal(tproject_count(&f->tp, "/lists/"), 1);
}

/* The slot names the session's record; that one says what was done, and with which content. */
static void the_session_is_recorded(void **state)
{
        struct fixture *f = *state;
        struct session_op ops[] = {{.kind = SESSION_CREATE, .path = span_str("a")}};
        struct slot_read slot;
        struct layout_key key;
        struct session read;
        struct arena arena = {0};
        struct hif_hash hash = hash_of(HASH_BLOB, span_str("1"));

        f->ts.session.ops = ops;
        f->ts.session.op_count = 1;
        tsession_put(&f->ts, "a", "1");
        land(f);
        assert_int_equal(project_slot(&f->tp.project, 1, false, &slot, NULL), HIF_OK);
        key = layout_session(&f->tp.project.layout, &f->ts.session.id, &slot.slot.session_object);
        assert_int_equal(session_get(tproject_peek(&f->tp, key.text), &arena, &read), HIF_OK);
        assert_int_equal(read.state, SESSION_LANDED);
        assert_true(span_eq(read.goal, span_str("a goal")));
        assert_memory_equal(&read.ops[0].hash, &hash, sizeof(hash));
        arena_free(&arena);
        slot_read_free(&slot);
}

/* --- what it says --- */

static void nothing_to_land(void **state)
{
        struct fixture *f = *state;

        assert_int_equal(tsession_land(&f->ts), HIF_ENOTHING);
        tsession_remove(&f->ts, "never/was");
        assert_int_equal(tsession_land(&f->ts), HIF_ENOTHING);
        assert_int_equal(tproject_tail(&f->tp), 0);
}

/* The same session again is the same landing, whoever asks. */
static void a_session_lands_once(void **state)
{
        struct fixture *f = *state;
        uint64_t position;
        struct hif_hash slot, tree;
        struct hif_why why;

        assert_int_equal(
            land_find(&f->tp.project, &f->ts.session.id, 0, &position, &slot, &tree, &why),
            HIF_ENOENT);
        tsession_put(&f->ts, "a", "1");
        land(f);
        tproject_land_put(&f->tp, "other", "2");
        land(f);
        assert_true(f->ts.result.already_landed);
        assert_int_equal(f->ts.result.position, 1);
        assert_int_equal(tproject_tail(&f->tp), 2);
        assert_int_equal(
            land_find(&f->tp.project, &f->ts.session.id, 0, &position, &slot, &tree, &why), HIF_OK);
        assert_int_equal(position, 1);
        assert_memory_equal(&slot, &f->ts.result.slot_hash, sizeof(slot));
}

/* --dry-run decides, and writes nothing but contents. */
static void a_dry_run_lands_nothing(void **state)
{
        struct fixture *f = *state;

        tsession_put(&f->ts, "a", "1");
        assert_int_equal(tsession_land_with(&f->ts, NULL, true), HIF_OK);
        assert_int_equal(f->ts.result.paths, 1);
        assert_int_equal(tproject_tail(&f->tp), 0);
        assert_int_equal(tproject_count(&f->tp, "/sessions/"), 0);
        tproject_land_put(&f->tp, "a", "theirs");
        assert_int_equal(tsession_land_with(&f->ts, NULL, true), HIF_ECONFLICT);
        assert_int_equal(f->ts.result.conflict_count, 1);
}

/* A store that has something else at the session's base is another store. */
static void another_history_stops_us(void **state)
{
        struct fixture *f = *state;

        tsession_put(&f->ts, "a", "1");
        f->ts.session.base_slot.bytes[0] ^= 1;
        assert_int_equal(tsession_land(&f->ts), HIF_ECORRUPT);
        assert_int_equal(tproject_tail(&f->tp), 0);
}

static bool an_hour_later(struct land_hooks *hooks, uint64_t *wall_ns)
{
        (void)hooks;
        struct env env = env_system(NULL);

        *wall_ns = env_wall_ns(&env) + 3600000000000ull;
        return true;
}

/* A clock that is over 5 minutes from the store's refuses, and says so. */
static void a_wrong_clock_refuses(void **state)
{
        struct fixture *f = *state;

        tsession_put(&f->ts, "a", "1");
        f->ts.hooks.store_time = an_hour_later;
        assert_int_equal(tsession_land(&f->ts), HIF_EINVAL);
        assert_non_null(strstr(f->ts.why.text, "clock"));
        f->ts.hooks.skew_max_ms = 7200000;
        land(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(additions_of_every_kind),
            TEST(a_change_and_its_tag),
            TEST(the_executable_bit_alone_is_a_change),
            TEST(a_rename_uploads_nothing),
            TEST(times_of_directories),
            TEST(a_path_below_a_file_is_refused),
            TEST(small_files_travel_in_one_pack),
            TEST(landing_on_a_thread_of_its_own_pool),
            TEST(a_change_within_a_large_file_stores_little),
            TEST(content_that_base_has_is_not_uploaded),
            TEST(a_file_that_cannot_be_read_is_named),
            TEST(a_repeated_landing_goes_on_where_it_stopped),
            TEST(what_was_staged_before_is_listed),
            TEST(a_torn_journal_is_cut),
            TEST(long_lists_leave_the_slot),
            TEST(the_session_is_recorded),
            TEST(nothing_to_land),
            TEST(a_session_lands_once),
            TEST(a_dry_run_lands_nothing),
            TEST(another_history_stops_us),
            TEST(a_wrong_clock_refuses),
        };

        return cmocka_run_group_tests_name("land", tests, NULL, NULL);
}
