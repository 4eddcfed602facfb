/* Sessions that are open, in the store: their trees, and the one record that moves forward. */
#include "land/session_store.h"
#include "tests/land/tland.h"

#include <stdlib.h>

struct fixture {
        struct tproject tp;
        struct tsession ts;
        struct land_stored stored;
        struct hif_why why;
};

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        tproject_open(&f->tp, NULL, 2);
        tproject_land_put(&f->tp, "a", "base");
        tproject_land_mkdir(&f->tp, "d");
        tproject_land_put(&f->tp, "d/gone", "base");
        tsession_open(&f->ts, &f->tp, tproject_tail(&f->tp));
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

static void store_session(struct fixture *f)
{
        struct tsession *ts = &f->ts;
        enum hif_err err;

        ts->session.state = SESSION_OPEN;
        assert_int_equal(
            land_begin(&f->tp.project, &ts->session, NULL, f->tp.pool, &ts->hooks, NULL, &ts->land),
            HIF_OK);
        err = land_stage(ts->land, ts->changes, ts->count, &ts->reader, &f->why);
        if (err == HIF_OK)
                err = land_session_store(ts->land, ts->changes, ts->count, &f->stored, &f->why);
        land_free(ts->land);
        ts->land = NULL;
        if (err != HIF_OK)
                fail_msg("%s: %s", hif_err_name(err), f->why.text);
}

/* What the session's tree has at a path, by a reader that knows nothing but the store. */
static enum hif_err find(struct fixture *f, const char *path, struct entry *out)
{
        AUTO_BUF struct buf key = {0};
        struct node_reader *reader;
        struct tree_cursor cursor;
        enum hif_err err;

        assert_int_equal(node_reader_new(&f->tp.project, 1u << 20, &reader), HIF_OK);
        tree_cursor_init(&cursor, node_reader_source(reader));
        key_from_path(&key, span_str(path));
        err = tree_find(&cursor, &f->stored.tree, buf_span(&key), out, NULL);
        tree_cursor_close(&cursor);
        node_reader_free(reader);
        return err;
}

static enum hif_err append(void *arg, struct span piece)
{
        buf_put_span(arg, piece);
        return HIF_OK;
}

/* The stored tree is base with the edits, its contents can be read, and nothing has landed. */
static void tree_of_an_open_session_can_be_read(void **state)
{
        struct fixture *f = *state;
        AUTO_BUF struct buf content = {0};
        uint64_t tail = tproject_tail(&f->tp);
        struct entry entry;

        tsession_put(&f->ts, "a", "edited");
        tsession_exec(&f->ts, "bin", "#!");
        tsession_link(&f->ts, "l", "a");
        tsession_remove(&f->ts, "d/gone");
        store_session(f);
        assert_true(f->stored.changed);
        assert_int_equal(find(f, "a", &entry), HIF_OK);
        assert_int_equal(
            project_read_file(&f->tp.project, &entry, 0, UINT64_MAX, append, &content, &f->why),
            HIF_OK);
        assert_true(span_eq(buf_span(&content), span_str("edited")));
        assert_int_equal(find(f, "bin", &entry), HIF_OK);
        assert_int_equal(entry.kind, ENTRY_EXEC);
        assert_int_equal(find(f, "l", &entry), HIF_OK);
        assert_int_equal(find(f, "d", &entry), HIF_OK);
        assert_int_equal(find(f, "d/gone", &entry), HIF_ENOENT);
        assert_int_equal(tproject_tail(&f->tp), tail);
}

/* Without edits the tree is base's own; the object holds what was said. */
static void a_session_of_words_alone_is_stored(void **state)
{
        struct fixture *f = *state;
        AUTO_ARENA struct arena arena = {0};
        AUTO_BUF struct buf stored = {0};
        struct span decision = span_str("so it is");
        struct session got;

        f->ts.session.decisions = &decision;
        f->ts.session.decision_count = 1;
        store_session(f);
        assert_false(f->stored.changed);
        assert_int_equal(project_get_session(&f->tp.project, &f->ts.session.id, &f->stored.object,
                                             &stored, &arena, &got, &f->why),
                         HIF_OK);
        assert_int_equal(got.state, SESSION_OPEN);
        assert_int_equal(got.decision_count, 1);
        assert_true(span_eq(got.decisions[0], decision));
        f->stored.object.bytes[0] ^= 1;
        buf_free(&stored);
        assert_int_equal(project_get_session(&f->tp.project, &f->ts.session.id, &f->stored.object,
                                             &stored, &arena, &got, &f->why),
                         HIF_ENOENT);
}

/* --- the record --- */

static struct open_session record_of(struct fixture *f)
{
        struct open_session record = {.id = f->ts.session.id,
                                      .state = SESSION_OPEN,
                                      .revision = 1,
                                      .base_position = f->ts.session.base_position,
                                      .base_slot = f->ts.session.base_slot,
                                      .goal = span_str("goal")};

        return record;
}

static struct open_read read_record(struct fixture *f)
{
        struct open_read read = {0};

        assert_int_equal(open_record_read(&f->tp.project, &f->ts.session.id, &read, &f->why),
                         HIF_OK);
        return read;
}

/* It is created once, and then replaced by who has seen what is there: others are told. */
static void record_moves_forward_under_its_tag(void **state)
{
        struct fixture *f = *state;
        struct open_session record = record_of(f);
        struct open_read first = {0}, second = {0};

        assert_int_equal(open_record_read(&f->tp.project, &record.id, &first, &f->why), HIF_ENOENT);
        assert_int_equal(open_record_write(&f->tp.project, &record, NULL, &f->why), HIF_OK);
        assert_int_equal(open_record_write(&f->tp.project, &record, NULL, &f->why), HIF_ELOST);
        first = read_record(f);
        record.revision = 2;
        assert_int_equal(open_record_write(&f->tp.project, &record, &first.tag, &f->why), HIF_OK);
        record.revision = 3;
        assert_int_equal(open_record_write(&f->tp.project, &record, &first.tag, &f->why),
                         HIF_ELOST);
        second = read_record(f);
        assert_int_equal(second.record.revision, 2);
        assert_int_equal(open_record_remove(&f->tp.project, &record.id, &f->why), HIF_OK);
        assert_int_equal(open_record_remove(&f->tp.project, &record.id, &f->why), HIF_OK);
        assert_int_equal(open_record_write(&f->tp.project, &record, &second.tag, &f->why),
                         HIF_ELOST);
        open_read_free(&first);
        open_read_free(&second);
}

/* A write whose answer is lost, or falsely "lost", is found to be there. */
static void lost_answer_is_looked_up(void **state)
{
        static const enum store_fault faults[] = {STORE_FAULT_LOST, STORE_FAULT_FALSE_LOST};
        struct fixture *f = *state;
        struct open_session record = record_of(f);
        struct store *faulty;

        assert_int_equal(store_fault_new(&f->tp.env, f->tp.store, &faulty), HIF_OK);
        f->tp.project.store = faulty;
        for (size_t i = 0; i < 2; i++) {
                struct store_fault_rule create = {.op = STORE_PUT_NEW,
                                                  .count = 1,
                                                  .key_contains = "open-sessions",
                                                  .fault = faults[i]};
                struct store_fault_rule replace = {.op = STORE_PUT_MATCH,
                                                   .count = 1,
                                                   .key_contains = "open-sessions",
                                                   .fault = faults[i]};
                struct open_read read;

                assert_int_equal(store_fault_add(faulty, &create), HIF_OK);
                assert_int_equal(store_fault_add(faulty, &replace), HIF_OK);
                assert_int_equal(open_record_write(&f->tp.project, &record, NULL, &f->why), HIF_OK);
                read = read_record(f);
                record.revision++;
                assert_int_equal(open_record_write(&f->tp.project, &record, &read.tag, &f->why),
                                 HIF_OK);
                open_read_free(&read);
                assert_int_equal(open_record_remove(&f->tp.project, &record.id, &f->why), HIF_OK);
                store_fault_clear(faulty);
        }
        f->tp.project.store = f->tp.store;
        store_close(faulty);
}

/* A damaged record is an error that names it. */
static void damaged_record_is_told(void **state)
{
        struct fixture *f = *state;
        struct open_session record = record_of(f);
        struct layout_key key = layout_open_session(&f->tp.project.layout, &record.id);
        struct open_read read = {0};

        assert_int_equal(open_record_write(&f->tp.project, &record, NULL, &f->why), HIF_OK);
        tproject_flip(&f->tp, key.text, 200 * 8);
        assert_int_equal(open_record_read(&f->tp.project, &record.id, &read, &f->why),
                         HIF_ECORRUPT);
        assert_non_null(strstr(f->why.text, key.text));
}

struct seen {
        size_t good, bad;
        uint8_t last;
};

static enum hif_err count(void *arg, const char *key, const struct open_session *record)
{
        struct seen *seen = arg;

        assert_non_null(strstr(key, "open-sessions/"));
        if (record == NULL) {
                seen->bad++;
                return HIF_OK;
        }
        assert_true(seen->good == 0 || record->id.bytes[0] > seen->last);
        seen->last = record->id.bytes[0];
        seen->good++;
        return HIF_OK;
}

/* All records are listed, in order, over more than one batch; one that is damaged stands in
 * nobody's way. */
static void records_are_listed(void **state)
{
        struct fixture *f = *state;
        struct open_session record = record_of(f);
        struct layout_key key;
        struct seen seen = {0};

        for (unsigned i = 0; i < 70; i++) {
                record.id.bytes[0] = (uint8_t)(100 + i);
                assert_int_equal(open_record_write(&f->tp.project, &record, NULL, &f->why), HIF_OK);
        }
        key = layout_open_session(&f->tp.project.layout, &record.id);
        tproject_flip(&f->tp, key.text, 200 * 8);
        assert_int_equal(open_record_list(&f->tp.project, "", 0, count, &seen, &f->why), HIF_OK);
        assert_int_equal(seen.good, 69);
        assert_int_equal(seen.bad, 1);
        seen = (struct seen){0};
        assert_int_equal(open_record_list(&f->tp.project, "", 40, count, &seen, &f->why), HIF_OK);
        assert_int_equal(seen.good, 40);
        seen = (struct seen){0};
        assert_int_equal(open_record_list(&f->tp.project, "65", 0, count, &seen, &f->why), HIF_OK);
        assert_int_equal(seen.good, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(tree_of_an_open_session_can_be_read),
            TEST(a_session_of_words_alone_is_stored),
            TEST(record_moves_forward_under_its_tag),
            TEST(lost_answer_is_looked_up),
            TEST(damaged_record_is_told),
            TEST(records_are_listed),
        };

        return cmocka_run_group_tests_name("session store", tests, NULL, NULL);
}
