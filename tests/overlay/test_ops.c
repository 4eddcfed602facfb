/* Operations: in memory while they are in the log alone, then in rows.db, and read from both. */
#include "count_ops.h"
#include "fixture.h"

#include "core/nodeid.h"
#include "overlay/state.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS "/home/agent/overlay/rows.db"

static int setup(void **state)
{
        int failed = toverlay_setup(state);
        struct toverlay *t = *state;

        if (failed != 0)
                return failed;
        overlay_close(t->overlay);
        t->config.log_segment_bytes = 8192;
        toverlay_open(t);
        return 0;
}

static uint64_t record(struct toverlay *t, unsigned number)
{
        struct otx *tx = otx_begin(t->overlay);
        char path[64];

        snprintf(path, sizeof(path), "src/directory/file-%u-end", number);
        otx_op(tx, &(struct session_op){.kind = SESSION_WRITE, .path = span_str(path)});
        return t_commit(tx);
}

static void drop(struct toverlay *t, uint64_t through)
{
        struct otx *tx = otx_begin(t->overlay);

        otx_ops_drop(tx, through);
        t_commit(tx);
}

static void fold(struct toverlay *t)
{
        t_sync(t);
        pool_drain(t->pool);
}

struct expected {
        unsigned next;
        uint64_t seq;
};

static enum hif_err expect_op(void *arg, uint64_t seq, const struct session_op *op)
{
        struct expected *expected = arg;
        char path[64];

        snprintf(path, sizeof(path), "src/directory/file-%u-end", expected->next++);
        assert_true(span_eq(op->path, span_str(path)));
        assert_int_equal(op->kind, SESSION_WRITE);
        assert_true(seq > expected->seq);
        expected->seq = seq;
        return HIF_OK;
}

/* They are those of record(first) to record(end - 1). */
static void expect_taken(struct toverlay *t, const struct overlay_ops *ops, unsigned first,
                         unsigned end)
{
        struct expected expected = {.next = first};
        struct hif_why why = {""};

        assert_int_equal(overlay_ops_each(t->overlay, ops, expect_op, &expected, &why), HIF_OK);
        assert_int_equal(expected.next, end);
}

static void expect(struct toverlay *t, unsigned first, unsigned end)
{
        struct overlay_ops ops;

        assert_int_equal(overlay_ops_take(t->overlay, &ops), HIF_OK);
        expect_taken(t, &ops, first, end);
        overlay_ops_free(&ops);
}

/* Operations come back in order; dropping up to a record leaves the later ones, wherever they are. */
static void operations_are_dropped_up_to_a_record(void **state)
{
        struct toverlay *t = *state;
        uint64_t seqs[10];

        assert_int_equal(overlay_op_last(t->overlay), 0);
        for (unsigned i = 0; i < 10; i++)
                seqs[i] = record(t, i);
        drop(t, seqs[6]);
        toverlay_kill(t);
        expect(t, 7, 10);
        assert_int_equal(overlay_op_last(t->overlay), seqs[9]);
        overlay_close(t->overlay);
        toverlay_open(t);
        assert_int_equal(t->overlay->rows.op_count, 0);
        expect(t, 7, 10);
        assert_int_equal(overlay_op_last(t->overlay), seqs[9]);
        drop(t, seqs[7]);
        expect(t, 8, 10);
        record(t, 10);
        toverlay_kill(t);
        expect(t, 8, 11);
        drop(t, seqs[9]);
        expect(t, 10, 11);
        drop(t, overlay_seq(t->overlay));
        assert_int_equal(overlay_op_last(t->overlay), 0);
        expect(t, 11, 11);
        overlay_close(t->overlay);
        toverlay_open(t);
        assert_int_equal(overlay_op_last(t->overlay), 0);
        expect(t, 0, 0);
}

/* What is folded leaves memory, and each is read once, whenever the list was taken. */
static void folded_operations_leave_memory(void **state)
{
        struct toverlay *t = *state;
        struct overlay_ops early, late;
        struct hif_why why = {""};
        uint64_t middle = 0;

        for (unsigned i = 0; i < 1000; i++) {
                if (i == 300)
                        assert_int_equal(overlay_ops_take(t->overlay, &early), HIF_OK);
                if (i == 700)
                        assert_int_equal(overlay_ops_take(t->overlay, &late), HIF_OK);
                if (i % 100 == 50)
                        fold(t);
                middle = i == 500 ? record(t, i) : (record(t, i), middle);
                expect(t, 0, i + 1);
        }
        assert_true(overlay_stats(t->overlay).folds > 2);
        assert_true(t->overlay->rows.op_count < 200);
        expect_taken(t, &early, 0, 300);
        drop(t, middle);
        expect(t, 501, 1000);
        expect_taken(t, &late, 0, 700);
        for (unsigned i = 1000; i < 1100; i++)
                record(t, i);
        fold(t);
        /* What was taken before is gone: that is told, and not passed over. */
        assert_int_equal(overlay_ops_each(t->overlay, &late, count_op, &(size_t){0}, &why),
                         HIF_ECANCELED);
        expect(t, 501, 1100);
        overlay_ops_free(&early);
        overlay_ops_free(&late);
        toverlay_power_cut(t);
        expect(t, 501, 1100);
}

static void fail_and_heal(struct toverlay *t)
{
        simenv_fail_at(t->sim, 1, HIF_EIO);
        assert_int_equal(overlay_sync_wait(t->overlay, overlay_seq(t->overlay)), HIF_EIO);
        overlay_kick(t->overlay);
        overlay_kick(t->overlay);
        assert_int_equal(t->overlay->sync_state, SYNC_OK);
}

/* After a failed sync the log is written anew from memory and from rows.db, and folded again; however
 * the process ends, no operation is lost or seen twice. */
static void a_fresh_log_has_those_that_were_folded(void **state)
{
        struct toverlay *t = *state;
        struct overlay_ops taken;
        struct hif_why why = {""};
        uint64_t folds, third = 0;

        for (unsigned i = 0; i < 400; i++) {
                third = i == 3 ? record(t, i) : (record(t, i), third);
                if (i % 100 == 50)
                        fold(t);
        }
        assert_true(t->overlay->rows.op_count < 400);
        for (unsigned round = 0; round < 3; round++) {
                record(t, 400 + round);
                fail_and_heal(t);
                expect(t, 0, 401 + round);
        }
        toverlay_kill(t);
        assert_int_equal(t->overlay->rows.op_count, 403);
        folds = overlay_stats(t->overlay).folds;
        for (unsigned i = 403; i < 600; i++) {
                record(t, i);
                fold(t);
                expect(t, 0, i + 1);
        }
        assert_true(overlay_stats(t->overlay).folds > folds);
        assert_true(t->overlay->rows.op_count < 500);
        assert_int_equal(overlay_ops_take(t->overlay, &taken), HIF_OK);
        drop(t, third);
        fail_and_heal(t);
        expect_taken(t, &taken, 0, 600);
        for (unsigned i = 600; i < 800; i++)
                record(t, i);
        fold(t);
        assert_int_equal(overlay_ops_each(t->overlay, &taken, count_op, &(size_t){0}, &why),
                         HIF_ECANCELED);
        overlay_ops_free(&taken);
        toverlay_kill(t);
        expect(t, 4, 800);
}

/* The fresh log is longer than what is folded in one transaction, and the disk fails now and then: those
 * who read meanwhile see all the same. again: by the process after the one that wrote it. */
static void fold_a_long_fresh_log(struct toverlay *t, bool again)
{
        unsigned end = 20000, failures = 0;

        for (unsigned i = 0; i < end; i++) {
                record(t, i);
                if (i % 4000 == 3999)
                        fold(t);
        }
        record(t, end++);
        fail_and_heal(t);
        if (again)
                toverlay_kill(t);
        for (unsigned i = 0; i < 200; i++)
                record(t, end++);
        /* The next process first writes back what SQLite's log has, and may fail in that. */
        for (uint64_t call = again ? 900 : 20;; call += 170) {
                uint64_t folds = overlay_stats(t->overlay).folds;

                t_sync(t);
                simenv_fail_at(t->sim, call, HIF_EIO);
                pool_drain(t->pool);
                simenv_fail_at(t->sim, 0, HIF_OK);
                record(t, end++);
                expect(t, 0, end);
                if (overlay_stats(t->overlay).folds > folds)
                        break;
                failures++;
                simenv_advance(t->sim, 20000000000ull);
        }
        assert_true(failures > 3);
        assert_true(t->overlay->rows.op_count < 1000);
        toverlay_kill(t);
        expect(t, 0, end);
}

static void a_fresh_log_is_folded_in_one_go(void **state)
{
        fold_a_long_fresh_log(*state, false);
}

static void a_fresh_log_is_folded_in_one_go_by_the_next_process(void **state)
{
        fold_a_long_fresh_log(*state, true);
}

/* Where a path stands in the database, and in nothing else that is needed to open it. */
static void damage_op(struct toverlay *t, const char *text)
{
        struct stat st = {0};
        uint8_t *bytes;
        int fd;

        assert_int_equal(t->env->ops->open(t->env, ROWS, O_RDWR, 0, &fd), HIF_OK);
        assert_int_equal(t->env->ops->fstat(t->env, fd, &st), HIF_OK);
        bytes = malloc((size_t)st.st_size);
        assert_non_null(bytes);
        assert_int_equal(env_read_all(t->env, fd, bytes, (size_t)st.st_size, 0), HIF_OK);
        for (size_t at = 0; at + strlen(text) <= (size_t)st.st_size; at++)
                if (memcmp(bytes + at, text, strlen(text)) == 0)
                        assert_int_equal(env_write_all(t->env, fd, "?", 1, at), HIF_OK);
        t->env->ops->close(t->env, fd);
        free(bytes);
}

/* A program that edits needs no operation, and waits for none to be read. Who lands is told. */
static void operations_that_cannot_be_read_are_told(void **state)
{
        struct toverlay *t = *state;
        struct overlay_ops ops;
        struct hif_why why = {""};
        size_t seen = 0;

        for (unsigned i = 0; i < 600; i++)
                record(t, i);
        overlay_close(t->overlay);
        toverlay_open(t); /* and what SQLite's log has goes to its place */
        overlay_close(t->overlay);
        damage_op(t, "file-100-end");
        toverlay_open(t);
        assert_int_equal(overlay_ops_take(t->overlay, &ops), HIF_OK);
        assert_int_equal(overlay_ops_each(t->overlay, &ops, count_op, &seen, &why), HIF_ECORRUPT);
        assert_non_null(strstr(why.text, ROWS));
        assert_non_null(strstr(why.text, "hif session export"));
        overlay_ops_free(&ops);
        /* Nor is a log written anew without them. */
        record(t, 600);
        simenv_fail_at(t->sim, 1, HIF_EIO);
        assert_int_equal(overlay_sync_wait(t->overlay, overlay_seq(t->overlay)), HIF_EIO);
        overlay_kick(t->overlay);
        overlay_kick(t->overlay);
        assert_int_not_equal(t->overlay->sync_state, SYNC_OK);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, toverlay_teardown)
        const struct CMUnitTest tests[] = {
            TEST(operations_are_dropped_up_to_a_record),
            TEST(folded_operations_leave_memory),
            TEST(a_fresh_log_has_those_that_were_folded),
            TEST(a_fresh_log_is_folded_in_one_go),
            TEST(a_fresh_log_is_folded_in_one_go_by_the_next_process),
            TEST(operations_that_cannot_be_read_are_told),
        };

        return cmocka_run_group_tests_name("ops", tests, NULL, NULL);
}
