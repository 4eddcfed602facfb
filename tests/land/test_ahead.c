/* Contents that are stored ahead of their landing, and what has become of them when it comes. */
#include "tests/land/tland.h"
#include "tests/land/trips.h"

#include "land/session_store.h"

#include <stdlib.h>
#include <unistd.h>

struct fixture {
        struct tproject tp;
        struct store *inner;
        struct trips trips;
        struct tsession ts;
        char journal[32];
        bool cancel;
};

static bool cancelled(struct land_hooks *hooks)
{
        struct tsession *ts = (struct tsession *)((char *)hooks - offsetof(struct tsession, hooks));

        return ((struct fixture *)((char *)ts - offsetof(struct fixture, ts)))->cancel;
}

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));
        int fd;

        assert_non_null(f);
        tproject_open(&f->tp, NULL, 0);
        f->inner = f->tp.store;
        trips_init(&f->trips, &f->tp.env, f->inner);
        f->tp.project.store = &f->trips.store;
        tsession_open(&f->ts, &f->tp, 0);
        strcpy(f->journal, "/tmp/hif-ahead-XXXXXX");
        fd = mkstemp(f->journal);
        assert_true(fd >= 0);
        (void)close(fd);
        f->ts.journal = f->journal;
        f->ts.hooks.cancelled = cancelled;
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        tsession_close(&f->ts);
        tproject_close(&f->tp);
        unlink(f->journal);
        free(f);
        return 0;
}

/* --- verbs --- */

static enum hif_err try_ahead(struct fixture *f)
{
        enum hif_err err;

        land_free(f->ts.land);
        assert_int_equal(land_begin(&f->tp.project, &f->ts.session, NULL, NULL, &f->ts.hooks,
                                    f->journal, &f->ts.land),
                         HIF_OK);
        err = land_stage_ahead(f->ts.land, f->ts.changes, f->ts.count, &f->ts.reader, &f->ts.why);
        land_free(f->ts.land);
        f->ts.land = NULL;
        return err;
}

static void ahead(struct fixture *f)
{
        assert_int_equal(try_ahead(f), HIF_OK);
}

/* As after a restart of the daemon: only the journal tells. */
static void forget_hashes(struct fixture *f)
{
        for (size_t i = 0; i < f->ts.count; i++)
                f->ts.changes[i].have_hash = false;
}

static void drop_change(struct fixture *f, const char *path)
{
        for (size_t i = 0; i < f->ts.count; i++) {
                if (!span_eq(f->ts.changes[i].path, span_str(path)))
                        continue;
                f->ts.changes[i] = f->ts.changes[--f->ts.count];
                return;
        }
        fail_msg("no change of %s", path);
}

static void land(struct fixture *f)
{
        enum hif_err err = tsession_land(&f->ts);

        if (err != HIF_OK)
                fail_msg("%s: %s", hif_err_name(err), f->ts.why.text);
        land_tidy(f->ts.land);
        tproject_verify(&f->tp);
}

static bool is_named(struct fixture *f, const char *key)
{
        bool named = false;

        for (uint64_t i = 0; i <= tproject_tail(&f->tp); i++) {
                struct slot_read read;

                assert_int_equal(project_slot(&f->tp.project, i, true, &read, NULL), HIF_OK);
                for (uint32_t k = 0; k < read.slot.object_count; k++) {
                        char hex[HIF_HASH_HEX_SIZE];

                        hash_to_hex(&read.slot.objects[k].hash, hex);
                        named |= strstr(key, hex) != NULL;
                }
                slot_read_free(&read);
        }
        return named;
}

/* Does any pack of the store hold this content; any that a slot names? */
static bool a_pack_holds_it(struct fixture *f, const char *content, bool named)
{
        struct hif_hash hash = hash_of(HASH_BLOB, span_str(content));
        struct store_req req = {.op = STORE_LIST, .prefix = "projects/", .list_max = 100000};
        bool found = false;

        store_run(f->inner, &req, 1);
        for (size_t i = 0; i < req.list.count; i++) {
                struct arena arena = {0};
                struct pack_entry *entries;
                uint32_t count;

                if (!strstr(req.list.items[i].key, "/packs/") ||
                    (named && !is_named(f, req.list.items[i].key)))
                        continue;
                assert_int_equal(pack_index(tproject_peek(&f->tp, req.list.items[i].key), &arena,
                                            &entries, &count),
                                 HIF_OK);
                for (uint32_t k = 0; k < count; k++)
                        found |= hash_eq(&entries[k].hash, &hash);
                arena_free(&arena);
        }
        store_req_free(&req);
        return found;
}

static bool a_pack_holds(struct fixture *f, const char *content)
{
        return a_pack_holds_it(f, content, false);
}

static bool a_named_pack_holds(struct fixture *f, const char *content)
{
        return a_pack_holds_it(f, content, true);
}

static void put_many(struct fixture *f, int count)
{
        static char names[TSESSION_CHANGES][16];

        for (int i = 0; i < count; i++) {
                snprintf(names[i], sizeof(names[i]), "f%d", i);
                tsession_put(&f->ts, names[i], names[i]);
        }
}

/* --- what is there is not stored again --- */

/* After everything was stored ahead, a landing puts its nodes, its record, slot and head. */
static void landing_puts_no_content_that_was_stored_ahead(void **state)
{
        struct fixture *f = *state;
        uint8_t *large = calloc(1, 9u << 20);

        put_many(f, 100);
        tsession_put_bytes(&f->ts, "blob", span_of(large, 1u << 20));
        tsession_put_bytes(&f->ts, "large", span_of(large, 9u << 20));
        ahead(f);
        f->trips.contents = f->trips.puts = f->trips.trips = 0;
        f->tp.reads = 0;
        land(f);
        assert_int_equal(f->trips.contents, 0);
        assert_in_range(f->trips.puts, 4, 12); /* where nodes end is drawn with the project */
        assert_int_equal(f->tp.reads, 0);
        assert_int_equal(f->trips.deletes, 0);
        assert_int_equal(f->ts.progress.files_total, 0); /* nothing is left to show */
        tproject_expect(&f->tp, "f42", "f42");
        tproject_expect_bytes(&f->tp, "large", span_of(large, 9u << 20));
        free(large);
}

/* A restart hashes again, and finds it. */
static void a_restart_finds_what_was_stored_ahead(void **state)
{
        struct fixture *f = *state;

        put_many(f, 100);
        ahead(f);
        forget_hashes(f);
        f->trips.contents = 0;
        ahead(f);
        forget_hashes(f);
        land(f);
        assert_int_equal(f->trips.contents, 0);
        assert_int_equal(tproject_count(&f->tp, "/packs/"), 1);
        tproject_expect(&f->tp, "f0", "f0");
}

/* What came after is stored in a pack of its own; the first one stays. */
static void what_came_later_goes_beside(void **state)
{
        struct fixture *f = *state;

        put_many(f, 10);
        ahead(f);
        tsession_put(&f->ts, "late", "later");
        f->trips.contents = 0;
        land(f);
        assert_int_equal(f->trips.contents, 1);
        assert_int_equal(tproject_count(&f->tp, "/packs/"), 2);
        tproject_expect(&f->tp, "late", "later");
        tproject_expect(&f->tp, "f9", "f9");
}

static void landing_of_many_small_files_is_a_handful_of_puts(void **state)
{
        struct fixture *f = *state;

        put_many(f, 512);
        land(f);
        assert_int_equal(f->trips.contents, 1);
        assert_in_range(f->trips.puts, 5, 15);
}

/* --- what is not landed is not published --- */

/* A secret was saved for a while, stored ahead with its neighbours, and removed: nothing that a
 * slot names holds it, nor does the store any more. */
static void a_secret_that_was_removed_is_not_published(void **state)
{
        struct fixture *f = *state;

        put_many(f, 10);
        tsession_put(&f->ts, "secret", "my password");
        ahead(f);
        assert_true(a_pack_holds(f, "my password"));
        drop_change(f, "secret");
        f->trips.contents = 0;
        land(f);
        assert_int_equal(f->trips.contents, 1);
        assert_int_equal(f->trips.deletes, 1);
        assert_false(a_pack_holds(f, "my password"));
        assert_int_equal(tproject_count(&f->tp, "/packs/"), 1);
        for (int i = 0; i < 10; i++) {
                char name[16];

                snprintf(name, sizeof(name), "f%d", i);
                tproject_expect(&f->tp, name, name);
        }
}

/* The same when the daemon was started anew in between, and when the file was written over. */
static void a_secret_that_was_written_over_is_not_published(void **state)
{
        struct fixture *f = *state;

        put_many(f, 10);
        tsession_put(&f->ts, "config", "my password");
        ahead(f);
        drop_change(f, "config");
        tsession_put(&f->ts, "config", "see the vault");
        forget_hashes(f);
        ahead(f);
        forget_hashes(f);
        land(f);
        assert_false(a_pack_holds(f, "my password"));
        tproject_expect(&f->tp, "config", "see the vault");
        tproject_expect(&f->tp, "f3", "f3");
}

/* A pack of which nothing is left is deleted, too. */
static void a_pack_of_nothing_but_garbage_is_deleted(void **state)
{
        struct fixture *f = *state;

        tsession_put(&f->ts, "secret", "my password");
        ahead(f);
        drop_change(f, "secret");
        tsession_put(&f->ts, "file", "content");
        land(f);
        assert_false(a_pack_holds(f, "my password"));
        tproject_expect(&f->tp, "file", "content");
}

/* What a landing that found a conflict has stored anew does not count as more than it is: the next
 * one decides again. */
static void garbage_is_found_by_every_landing_anew(void **state)
{
        struct fixture *f = *state;

        tproject_land_put(&f->tp, "other", "1");
        tsession_put(&f->ts, "a", "1");
        tsession_put(&f->ts, "secret", "my password");
        tsession_put(&f->ts, "other", "2");
        ahead(f);
        drop_change(f, "secret");
        assert_int_equal(tsession_land(&f->ts), HIF_ECONFLICT);
        drop_change(f, "other");
        forget_hashes(f);
        land(f);
        assert_false(a_pack_holds(f, "my password"));
        assert_false(a_named_pack_holds(f, "2"));
        assert_true(a_named_pack_holds(f, "1"));
        tproject_expect(&f->tp, "a", "1");
        tproject_expect(&f->tp, "other", "1");
}

/* The journal lost the last of a pack's contents: nobody knows any more what else is in there. */
static void a_pack_that_is_not_known_whole_is_written_anew(void **state)
{
        struct fixture *f = *state;
        FILE *file;

        put_many(f, 10);
        tsession_put(&f->ts, "zzz-secret", "my password");
        ahead(f);
        file = fopen(f->journal, "r+");
        assert_non_null(file);
        assert_int_equal(fseek(file, 0, SEEK_END), 0);
        assert_int_equal(ftruncate(fileno(file), ftell(file) - 3 * 88), 0);
        (void)fclose(file);
        drop_change(f, "zzz-secret");
        forget_hashes(f);
        land(f);
        assert_false(a_pack_holds(f, "my password"));
        tproject_expect(&f->tp, "f7", "f7");
}

/* Two sessions that store the same contents ahead do not share a pack: one deletes its own. */
static void two_sessions_never_share_a_pack(void **state)
{
        struct fixture *f = *state;
        struct tsession *other = calloc(1, sizeof(*other));
        char path[] = "/tmp/hif-ahead-XXXXXX";
        int fd = mkstemp(path);

        tsession_put(&f->ts, "a", "same");
        tsession_put(&f->ts, "b", "as well");
        ahead(f);
        tsession_open(other, &f->tp, 0);
        other->journal = path;
        tsession_put(other, "c", "same");
        tsession_put(other, "d", "as well");
        assert_int_equal(
            land_begin(&f->tp.project, &other->session, NULL, NULL, NULL, path, &other->land),
            HIF_OK);
        assert_int_equal(land_stage_ahead(other->land, other->changes, other->count, &other->reader,
                                          &other->why),
                         HIF_OK);
        drop_change(f, "b");
        land(f); /* its pack is stale, and goes */
        assert_int_equal(f->trips.deletes, 1);
        assert_int_equal(tsession_land(other), HIF_OK);
        tproject_expect(&f->tp, "a", "same");
        tproject_expect(&f->tp, "c", "same");
        tproject_expect(&f->tp, "d", "as well");
        tsession_close(other);
        free(other);
        (void)close(fd);
        unlink(path);
}

/* What someone else may name by now is not deleted; the slot does not name it all the same. */
static void what_is_shared_is_not_deleted(void **state)
{
        struct fixture *f = *state;
        struct slot_read slot;

        tsession_put(&f->ts, "a", "1");
        tsession_put(&f->ts, "secret", "my password");
        ahead(f);
        assert_int_equal(land_begin(&f->tp.project, &f->ts.session, NULL, NULL, &f->ts.hooks,
                                    f->journal, &f->ts.land),
                         HIF_OK);
        assert_int_equal(land_share(f->ts.land), HIF_OK);
        drop_change(f, "secret");
        land(f);
        assert_int_equal(f->trips.deletes, 0);
        assert_int_equal(tproject_count(&f->tp, "/packs/"), 2);
        assert_int_equal(project_slot(&f->tp.project, 1, true, &slot, NULL), HIF_OK);
        for (uint32_t i = 0, packs = 0; i < slot.slot.object_count; i++) {
                packs += slot.slot.objects[i].kind == SLOT_PACK;
                assert_true(packs <= 1);
        }
        slot_read_free(&slot);
}

/* A session that was published may be taken over: what its tree names stays. */
static void what_was_published_is_not_deleted(void **state)
{
        struct fixture *f = *state;
        struct land_stored stored;

        tsession_put(&f->ts, "a", "1");
        tsession_put(&f->ts, "secret", "my password");
        ahead(f);
        assert_int_equal(land_begin(&f->tp.project, &f->ts.session, NULL, NULL, &f->ts.hooks,
                                    f->journal, &f->ts.land),
                         HIF_OK);
        assert_int_equal(
            land_stage(f->ts.land, f->ts.changes, f->ts.count, &f->ts.reader, &f->ts.why), HIF_OK);
        assert_int_equal(
            land_session_store(f->ts.land, f->ts.changes, f->ts.count, &stored, &f->ts.why),
            HIF_OK);
        drop_change(f, "secret");
        land(f);
        assert_int_equal(f->trips.deletes, 0);
        assert_true(a_pack_holds(f, "my password"));
        assert_false(a_named_pack_holds(f, "my password"));
}

/* --- many small packs --- */

/* Files that settled one after the other are one pack in the end, once they are many. */
static void many_small_packs_become_one(void **state)
{
        static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i"};
        struct fixture *f = *state;

        for (size_t i = 0; i < 9; i++) {
                tsession_put(&f->ts, names[i], names[i]);
                ahead(f);
        }
        assert_int_equal(tproject_count(&f->tp, "/packs/"), 9);
        f->trips.contents = 0;
        land(f);
        assert_int_equal(f->trips.contents, 1);
        assert_int_equal(tproject_count(&f->tp, "/packs/"), 1);
        tproject_expect(&f->tp, "i", "i");
}

/* --- stopping --- */

static void staging_ahead_stops_when_told_to(void **state)
{
        struct fixture *f = *state;

        put_many(f, 10);
        f->cancel = true;
        assert_int_equal(try_ahead(f), HIF_ECANCELED);
        f->cancel = false;
        ahead(f);
        land(f);
        tproject_expect(&f->tp, "f3", "f3");
}

/* A store that takes nothing: an error, and later all of it is stored. */
static void staging_ahead_goes_on_after_errors(void **state)
{
        struct fixture *f = *state;
        struct store_fault_rule down = {
            .op = -1, .count = UINT64_MAX, .fault = STORE_FAULT_FAIL, .err = HIF_EUNREACHABLE};
        struct store *faulty;

        assert_int_equal(store_fault_new(&f->tp.env, f->inner, &faulty), HIF_OK);
        f->tp.project.store = faulty;
        put_many(f, 10);
        assert_int_equal(store_fault_add(faulty, &down), HIF_OK);
        assert_int_equal(try_ahead(f), HIF_EUNREACHABLE);
        store_fault_clear(faulty);
        down.key_contains = "/packs/";
        assert_int_equal(store_fault_add(faulty, &down), HIF_OK);
        assert_int_equal(try_ahead(f), HIF_EUNREACHABLE);
        store_fault_clear(faulty);
        forget_hashes(f);
        ahead(f);
        land(f);
        tproject_expect(&f->tp, "f3", "f3");
        tsession_close(&f->ts);
        f->tp.project.store = &f->trips.store;
        store_close(faulty);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(landing_puts_no_content_that_was_stored_ahead),
            TEST(a_restart_finds_what_was_stored_ahead),
            TEST(what_came_later_goes_beside),
            TEST(landing_of_many_small_files_is_a_handful_of_puts),
            TEST(a_secret_that_was_removed_is_not_published),
            TEST(a_secret_that_was_written_over_is_not_published),
            TEST(a_pack_of_nothing_but_garbage_is_deleted),
            TEST(garbage_is_found_by_every_landing_anew),
            TEST(a_pack_that_is_not_known_whole_is_written_anew),
            TEST(two_sessions_never_share_a_pack),
            TEST(what_is_shared_is_not_deleted),
            TEST(what_was_published_is_not_deleted),
            TEST(many_small_packs_become_one),
            TEST(staging_ahead_stops_when_told_to),
            TEST(staging_ahead_goes_on_after_errors),
        };

        return cmocka_run_group_tests_name("ahead", tests, NULL, NULL);
}
