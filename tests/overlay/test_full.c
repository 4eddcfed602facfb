/* test_full.c - SQLite has no room: what fails changes nothing, nothing is lost, and it goes on when
 * there is room. The daemon has one kind of database, rows.db of each session. */
#include "fixture.h"

#include "core/nodeid.h"
#include "overlay/db.h"

#include <stdio.h>
#include <string.h>

#define DB_PATH     TOVERLAY_DIR "/rows.db"
#define OTHER_PATH  TOVERLAY_DIR "/other.db" /* of no session */
#define SMALL_PAGES 40
#define ROOM        (1ull << 40)

/* In place: SQLite keeps pointers to it. */
static void open_db(struct toverlay *t, const char *path, struct db *out)
{
        assert_int_equal(db_init(out, t->env), HIF_OK);
        assert_int_equal(db_open(out, path), HIF_OK);
}

static enum hif_err put_row(struct db *db, int i)
{
        static const char zeros[1000];
        char name[32];

        snprintf(name, sizeof(name), "value %d", i);
        return db_run(db, DB_VALUE_PUT, NULL, 0,
                      (struct span[]){span_str(name), span_of(zeros, sizeof(zeros))}, 2);
}

static enum hif_err count_one(void *arg, struct span blob)
{
        (void)blob;
        ++*(int *)arg;
        return HIF_OK;
}

static int count_values(struct db *db)
{
        int count = 0;

        assert_int_equal(db_each(db, "SELECT row FROM vals", count_one, &count), HIF_OK);
        return count;
}

/* Begin, and put values until one does not fit. */
static int fill(struct db *db)
{
        enum hif_err err = db_exec(db, "BEGIN IMMEDIATE");
        int i = 0;

        assert_int_equal(err, HIF_OK);
        while (err == HIF_OK && i < 1000)
                err = put_row(db, 100 + i++);
        assert_int_equal(err, HIF_ENOSPC);
        return i;
}

/* Of a transaction that found no room nothing is there, what was before is, and the next one can be
 * carried out once there is room. */
static void full_transaction_changes_nothing(void **state)
{
        struct toverlay *t = *state;
        struct db db;
        int tried;

        open_db(t, OTHER_PATH, &db);
        for (int i = 0; i < 3; i++)
                assert_int_equal(put_row(&db, i), HIF_OK);
        assert_int_equal(db_exec(&db, "PRAGMA max_page_count = 40"), HIF_OK);
        tried = fill(&db);
        assert_in_range(tried, 2, SMALL_PAGES * 4);
        (void)!db_exec(&db, "ROLLBACK"); /* SQLite may have done it already */
        assert_int_equal(count_values(&db), 3);

        assert_int_equal(db_exec(&db, "PRAGMA max_page_count = 100000"), HIF_OK);
        for (int i = 0; i < tried; i++)
                assert_int_equal(put_row(&db, 100 + i), HIF_OK);
        db_close(&db);
        assert_int_equal(db_open(&db, OTHER_PATH), HIF_OK);
        assert_int_equal(count_values(&db), 3 + tried);
        db_free(&db);
}

static uint64_t folded_up_to(struct toverlay *t)
{
        struct db db;
        uint64_t seq = 0;

        open_db(t, DB_PATH, &db);
        assert_int_equal(db_state(&db, "seq", &seq), HIF_OK);
        db_free(&db);
        return seq;
}

/* A disk that is full when the log is to be folded: the log stays, and all of it counts at the next
 * opening. With room again it is folded. */
static void folding_waits_for_room(void **state)
{
        struct toverlay *t = *state;
        uint64_t ids[50], before;
        char name[32];

        t_create(t, NODEID_ROOT, "before");
        overlay_close(t->overlay);
        t->overlay = NULL;
        before = folded_up_to(t);
        assert_true(before > 0);

        toverlay_open(t);
        for (int i = 0; i < 50; i++) {
                snprintf(name, sizeof(name), "file %d", i);
                ids[i] = t_create(t, NODEID_ROOT, name);
                t_write(t, ids[i], 0, name);
        }
        t_sync(t);
        simenv_set_capacity(t->sim, 0);
        overlay_close(t->overlay);
        t->overlay = NULL;
        simenv_set_capacity(t->sim, ROOM);
        assert_int_equal(folded_up_to(t), before); /* it did fail */

        toverlay_open(t);
        for (int i = 0; i < 50; i++) {
                snprintf(name, sizeof(name), "file %d", i);
                assert_int_equal(t_lookup(t, NODEID_ROOT, name), ids[i]);
                t_expect(t, ids[i], name);
        }
        overlay_close(t->overlay);
        t->overlay = NULL;
        assert_true(folded_up_to(t) > before);
        toverlay_open(t);
        t_expect(t, ids[49], "file 49");
}

/* A database that has no room to be made in the first place is an error of its own kind, and leaves
 * nothing that would be taken for one. */
static void no_room_for_a_new_one(void **state)
{
        struct toverlay *t = *state;
        struct db db;

        assert_int_equal(db_init(&db, t->env), HIF_OK);
        simenv_set_capacity(t->sim, 0);
        assert_int_equal(db_open(&db, OTHER_PATH), HIF_ENOSPC);
        db_close(&db);
        simenv_set_quota(t->sim, 0);
        assert_int_equal(db_open(&db, OTHER_PATH), HIF_EDQUOT);
        db_close(&db);
        simenv_set_capacity(t->sim, ROOM);
        simenv_set_quota(t->sim, ROOM);
        assert_int_equal(db_open(&db, OTHER_PATH), HIF_OK);
        assert_int_equal(put_row(&db, 1), HIF_OK);
        assert_int_equal(count_values(&db), 1);
        db_free(&db);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(full_transaction_changes_nothing, toverlay_setup,
                                            toverlay_teardown),
            cmocka_unit_test_setup_teardown(folding_waits_for_room, toverlay_setup,
                                            toverlay_teardown),
            cmocka_unit_test_setup_teardown(no_room_for_a_new_one, toverlay_setup,
                                            toverlay_teardown),
        };

        return cmocka_run_group_tests_name("full", tests, NULL, NULL);
}
