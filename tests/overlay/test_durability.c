/* The log, syncing and folding: torn and damaged records, failed syncs, waiters. */
#include "count_ops.h"
#include "fixture.h"

#include "core/nodeid.h"
#include "overlay/oplog.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOG_FIRST "/home/agent/overlay/log/00000000-00000000.log"

/* Change one byte of the first log segment, found from its last non-zero byte backwards. */
static void flip(struct toverlay *t, size_t back)
{
        uint8_t *bytes = malloc(4 << 20);
        size_t size = 4 << 20;
        uint8_t byte;
        int fd;

        assert_non_null(bytes);
        assert_int_equal(t->env->ops->open(t->env, LOG_FIRST, O_RDWR, 0, &fd), HIF_OK);
        assert_int_equal(env_read_all(t->env, fd, bytes, size, 0), HIF_OK);
        while (size > 0 && bytes[size - 1] == 0)
                size--;
        byte = (uint8_t)(bytes[size - 1 - back] ^ 0x10);
        assert_int_equal(env_write_all(t->env, fd, &byte, 1, size - 1 - back), HIF_OK);
        t->env->ops->close(t->env, fd);
        free(bytes);
}

static void drop_and_kill(struct toverlay *t)
{
        toverlay_drop(t);
        simenv_process_kill(t->sim);
}

static void carry(struct toverlay *t, uint64_t id, uint64_t offset, const char *text)
{
        struct otx *tx = otx_begin(t->overlay);

        otx_carry(tx);
        assert_int_equal(overlay_write(tx, id, offset, span_str(text)), HIF_OK);
        t_commit(tx);
}

/* torn: more was written, which nobody waited for. */
static void expect_carried(struct toverlay *t, uint64_t id, bool torn)
{
        uint8_t text[15];

        t_read(t, id, text, sizeof(text));
        assert_memory_equal(text + 6, " and more", 9);
        assert_true(memcmp(text, "again,", 6) == 0 || (torn && memcmp(text, "lost?!", 6) == 0));
}

/* Content that the log carries survives a power cut by a sync of the log alone, also where it was
 * written over before; a reader that may write nothing sees it, too. */
static void carried_content_needs_the_log_alone(void **state)
{
        struct toverlay *t = *state;
        uint64_t id = t_create(t, NODEID_ROOT, "f"), syncs;
        struct hif_why why = {""};

        for (unsigned round = 0; round < 20; round++) {
                carry(t, id, 0, "first.");
                t_sync(t);
                syncs = simenv_syncs(t->sim);
                carry(t, id, 0, "again,");
                carry(t, id, 6, " and more");
                t_sync(t);
                assert_int_equal(simenv_syncs(t->sim), syncs + 1);
                if (round % 2 == 0)
                        carry(t, id, 0, "lost?!");
                toverlay_drop(t);
                simenv_power_cut(t->sim);
                toverlay_boot(t->sim);
                assert_int_equal(pool_new(0, "test", &t->pool), HIF_OK);
                assert_int_equal(
                    overlay_open_salvage(t->env, t->pool, "/home/agent/overlay", &t->overlay, &why),
                    HIF_OK);
                assert_int_equal(overlay_damage_count(t->overlay), 0);
                expect_carried(t, id, round % 2 == 0);
                overlay_close(t->overlay);
                toverlay_open(t);
                expect_carried(t, id, round % 2 == 0);
                toverlay_kill(t);
                expect_carried(t, id, round % 2 == 0);
                t_truncate(t, id, 0);
        }
}

static void set_version(struct toverlay *t, uint32_t version)
{
        uint8_t header[64];
        int fd;

        assert_int_equal(t->env->ops->open(t->env, LOG_FIRST, O_RDWR, 0, &fd), HIF_OK);
        assert_int_equal(env_read_all(t->env, fd, header, sizeof(header), 0), HIF_OK);
        be32_put(header + 8, version);
        be64_put(header + 56, sum64(0, header, 56));
        assert_int_equal(env_write_all(t->env, fd, header, sizeof(header), 0), HIF_OK);
        t->env->ops->close(t->env, fd);
}

/* A log of a later version is refused as a whole, also where damage would be read around: what this one
 * made of it might be wrong, and nobody would notice. It stays as it is. */
static void later_version_is_refused(void **state)
{
        struct toverlay *t = *state;
        uint64_t kept = t_create(t, NODEID_ROOT, "kept");
        struct hif_why why = {""};

        drop_and_kill(t);
        set_version(t, OPLOG_VERSION + 1);
        assert_int_equal(pool_new(0, "test", &t->pool), HIF_OK);
        assert_int_equal(
            overlay_open(t->env, t->pool, "/home/agent/overlay", &t->config, &t->overlay, &why),
            HIF_EUNSUPPORTED);
        assert_int_equal(
            overlay_open_salvage(t->env, t->pool, "/home/agent/overlay", &t->overlay, &why),
            HIF_EUNSUPPORTED);
        set_version(t, OPLOG_VERSION);
        toverlay_open(t);
        assert_int_equal(t_lookup(t, NODEID_ROOT, "kept"), kept);
}

/* A record that was being written when the process died does not count, and all before it do. */
static void torn_record_ends_the_log(void **state)
{
        struct toverlay *t = *state;
        uint64_t kept = t_create(t, NODEID_ROOT, "kept");

        t_create(t, NODEID_ROOT, "torn");
        drop_and_kill(t);
        flip(t, 2);
        toverlay_open(t);
        assert_int_equal(t_lookup(t, NODEID_ROOT, "kept"), kept);
        assert_int_equal(t_lookup(t, NODEID_ROOT, "torn"), NODEID_NONE);
        /* What is recorded now is not confused with what was dropped. */
        uint64_t after = t_create(t, NODEID_ROOT, "after");

        toverlay_kill(t);
        assert_int_equal(t_lookup(t, NODEID_ROOT, "after"), after);
}

/* Damage in what was synced is reported, with a sentence; the rest opens when asked for: what came
 * after it, too. */
static void damage_in_synced_records_is_reported(void **state)
{
        struct toverlay *t = *state;
        struct hif_why why = {""};
        uint64_t first = t_create(t, NODEID_ROOT, "first");

        t_create(t, NODEID_ROOT, "second");
        t_create(t, NODEID_ROOT, "third");
        t_sync(t);
        t_create(t, NODEID_ROOT, "fourth");
        t_sync(t);
        drop_and_kill(t);
        flip(t, 350); /* in the second or third */
        assert_int_equal(pool_new(0, "test", &t->pool), HIF_OK);
        assert_int_equal(
            overlay_open(t->env, t->pool, "/home/agent/overlay", &t->config, &t->overlay, &why),
            HIF_ECORRUPT);
        assert_non_null(strstr(why.text, "damaged"));
        assert_int_equal(
            overlay_open_salvage(t->env, t->pool, "/home/agent/overlay", &t->overlay, &why),
            HIF_OK);
        assert_int_equal(t_lookup(t, NODEID_ROOT, "first"), first);
        assert_true(t_lookup(t, NODEID_ROOT, "second") == NODEID_NONE ||
                    t_lookup(t, NODEID_ROOT, "third") == NODEID_NONE);
        assert_int_not_equal(t_lookup(t, NODEID_ROOT, "fourth"), NODEID_NONE);
        assert_int_equal(overlay_damage_count(t->overlay), 1);
}

/* What was allocated of the log and not used is not read after a crash; but zeros may be content, and
 * more may follow them. */
static void zeros_in_a_record_are_not_the_end_of_the_log(void **state)
{
        static const uint8_t zeros[30000];
        struct toverlay *t = *state;
        uint64_t id = t_create(t, NODEID_ROOT, "f"), seq;

        overlay_close(t->overlay);
        t->config.log_segment_bytes = 256 << 10;
        toverlay_open(t);
        for (unsigned i = 0; i < 4; i++) {
                const char *after = i % 2 == 0 ? "even" : "odd";
                struct otx *tx = otx_begin(t->overlay);

                otx_carry(tx);
                assert_int_equal(overlay_write(tx, id, 0, span_of(zeros, sizeof(zeros))), HIF_OK);
                otx_value(tx, "after", span_str(after));
                t_commit(tx);
                if (i % 2 == 1)
                        t_create(t, NODEID_ROOT, "g");
                seq = overlay_seq(t->overlay);
                toverlay_kill(t);
                assert_true(overlay_seq(t->overlay) >= seq);
                assert_true(span_eq(overlay_value(t->overlay, "after"), span_str(after)));
                assert_int_equal(overlay_node(t->overlay, id)->size, sizeof(zeros));
        }
        assert_int_not_equal(t_lookup(t, NODEID_ROOT, "g"), NODEID_NONE);
}

static void note_result(struct overlay_sync *sync, enum hif_err err)
{
        *(enum hif_err *)sync->arg = err;
}

static void fail_heal_and_cut(struct toverlay *t, const char *name)
{
        uint64_t id = t_create(t, NODEID_ROOT, name), verifier = overlay_verifier(t->overlay), seq;
        enum hif_err result = HIF_OK;
        struct overlay_sync sync = {.done = note_result, .arg = &result};
        struct otx *tx = otx_begin(t->overlay);

        otx_reply(tx, &(struct overlay_reply){.key = id, .xid = 5, .node = id});
        t_commit(tx);
        t_write(t, id, 0, "content");
        sync.seq = overlay_seq(t->overlay);
        simenv_fail_at(t->sim, 1, HIF_EIO);
        overlay_sync(t->overlay, &sync);
        assert_int_equal(result, HIF_EIO);
        assert_int_not_equal(overlay_verifier(t->overlay), verifier);
        tx = otx_begin(t->overlay);
        otx_node(tx, id)->mode = 0;
        assert_int_equal(otx_commit(tx, &seq), HIF_EROFS);
        t_expect(t, id, "content");
        overlay_kick(t->overlay);
        t_write(t, id, 7, " and more");
        t_sync(t);
        toverlay_power_cut(t);
        t_expect(t, id, "content and more");
        assert_int_equal(t_lookup(t, NODEID_ROOT, name), id);
        assert_non_null(overlay_reply(t->overlay, id));
}

/* When a sync fails whoever waits gets an error, the verifier changes, commits are refused; after
 * everything was written anew they work again, and a power cut loses nothing of it: what the failed
 * sync has let go of is there by chance. */
static void failed_sync_is_an_error_and_heals(void **state)
{
        char name[16];

        for (unsigned round = 1; round <= 20; round++) {
                snprintf(name, sizeof(name), "f%u", round);
                fail_heal_and_cut(*state, name);
                assert_int_equal(count_ops(((struct toverlay *)*state)->overlay), round);
        }
}

/* The process dies after a sync that failed. For the next one's syncs all would be well: what the failed
 * one let go of counts as written. So it is written once more before anything is said to be stable, also
 * when that fails at first. */
static void failed_sync_is_not_forgotten_with_its_process(void **state)
{
        struct toverlay *t = *state;
        char name[16];

        for (unsigned round = 0; round < 40; round++) {
                enum hif_err result = HIF_OK;
                struct overlay_sync sync = {.done = note_result, .arg = &result};
                struct hif_why why = {""};
                uint64_t id;

                snprintf(name, sizeof(name), "f%u", round);
                id = t_create(t, NODEID_ROOT, name);
                t_write(t, id, 0, "content");
                t_fill(t, id, 100000, 'x', 10000); /* in a file of its own */
                sync.seq = overlay_seq(t->overlay);
                simenv_fail_at(t->sim, 1 + round % 3, HIF_EIO);
                overlay_sync(t->overlay, &sync);
                simenv_fail_at(t->sim, 0, HIF_OK);
                drop_and_kill(t);
                if (round % 2 == 1)
                        simenv_fail_at(t->sim, 20 + round, HIF_EIO);
                assert_int_equal(pool_new(0, "test", &t->pool), HIF_OK);
                if (overlay_open(t->env, t->pool, TOVERLAY_DIR, &t->config, &t->overlay, &why) !=
                    HIF_OK)
                        toverlay_open(t);
                simenv_fail_at(t->sim, 0, HIF_OK);
                overlay_kick(t->overlay);
                t_sync(t);
                toverlay_power_cut(t);
                assert_int_equal(t_lookup(t, NODEID_ROOT, name), id);
                assert_int_equal(overlay_node(t->overlay, id)->size, 110000);
                t_truncate(t, id, 7);
                t_expect(t, id, "content");
        }
}

/* Folding while working, and opening from SQLite and the rest of the log, gives the same rows. */
static void folded_rows_and_the_rest_of_the_log_are_one(void **state)
{
        struct toverlay *t = *state;
        uint64_t first = 0, last = 0, folds;
        char name[32];

        overlay_close(t->overlay);
        t->config.log_segment_bytes = 16384;
        toverlay_open(t);
        folds = overlay_stats(t->overlay).folds;
        for (int i = 0; i < 500; i++) {
                snprintf(name, sizeof(name), "file-%d", i);
                last = t_create(t, NODEID_ROOT, name);
                if (i == 0)
                        first = last;
                t_write(t, last, 0, name);
                if (i % 100 == 50) {
                        t_sync(t);
                        pool_drain(t->pool);
                }
        }
        t_remove(t, NODEID_ROOT, "file-1", first + 1);
        assert_true(overlay_stats(t->overlay).folds > folds);
        toverlay_kill(t);
        assert_int_equal(overlay_stats(t->overlay).dirents, 499);
        t_expect(t, first, "file-0");
        t_expect(t, last, "file-499");
        assert_null(overlay_node(t->overlay, first + 1));
        overlay_close(t->overlay);
        toverlay_open(t);
        assert_int_equal(overlay_stats(t->overlay).dirents, 499);
        assert_int_equal(count_ops(t->overlay), 500);
        t_expect(t, last, "file-499");
}

/* A directory that another process has open is refused. */
static void second_process_is_refused(void **state)
{
        struct env env = env_system(NULL);
        char dir[] = "/tmp/hif-overlay-XXXXXX";
        struct overlay_config config = {0};
        struct overlay *first, *second;
        struct hif_why why = {""};
        char command[64];

        (void)state;
        assert_non_null(mkdtemp(dir));
        assert_int_equal(overlay_open(&env, NULL, dir, &config, &first, &why), HIF_OK);
        assert_int_equal(overlay_open(&env, NULL, dir, &config, &second, &why), HIF_EBUSY);
        assert_non_null(strstr(why.text, "in use"));
        overlay_close(first);
        snprintf(command, sizeof(command), "rm -r %s", dir);
        assert_int_equal(system(command), 0);
}

/* Another process has the overlay, moves its directory away, as `hif session abandon` does, and dies: who
 * has waited gets a new one, and not that with a lock on the other. */
static void one_that_is_moved_away_is_made_anew(void **state)
{
        struct env env = env_system(NULL);
        char root[] = "/tmp/hif-overlay-XXXXXX", dir[64], away[64], command[64];
        struct overlay_config config = {0};
        struct overlay *first, *second, *moved;
        struct hif_why why = {""};
        int ready[2], status;
        char byte;
        pid_t pid;

        (void)state;
        assert_non_null(mkdtemp(root));
        snprintf(dir, sizeof(dir), "%s/dir", root);
        snprintf(away, sizeof(away), "%s/away", root);
        assert_int_equal(pipe(ready), 0);
        pid = fork();
        if (pid == 0) {
                if (overlay_open(&env, NULL, dir, &config, &first, &why) != HIF_OK ||
                    write(ready[1], "o", 1) != 1)
                        _exit(1);
                usleep(200000);
                _exit(rename(dir, away) != 0);
        }
        assert_int_equal(read(ready[0], &byte, 1), 1);
        assert_int_equal(overlay_open(&env, NULL, dir, &config, &second, &why), HIF_OK);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        assert_int_equal(overlay_open(&env, NULL, away, &config, &moved, &why), HIF_OK);
        overlay_close(moved);
        overlay_close(second);
        close(ready[0]);
        close(ready[1]);
        snprintf(command, sizeof(command), "rm -r %s", root);
        assert_int_equal(system(command), 0);
}

/* On the real machine, with its own thread: what nobody waits for is durable soon. */
static void flusher_follows_without_a_waiter(void **state)
{
        struct toverlay t = {.config = {0}};
        struct env env = env_system(NULL);
        char dir[] = "/tmp/hif-overlay-XXXXXX";
        struct hif_why why = {""};
        char command[64];
        uint64_t from;

        (void)state;
        t.env = &env;
        assert_non_null(mkdtemp(dir));
        assert_int_equal(pool_new(1, "test", &t.pool), HIF_OK);
        assert_int_equal(overlay_open(&env, t.pool, dir, &t.config, &t.overlay, &why), HIF_OK);
        for (int i = 0; i < 1000; i++) {
                uint64_t id = t_create(&t, NODEID_ROOT, "f");

                t_write(&t, id, 0, "x");
                t_remove(&t, NODEID_ROOT, "f", id);
                overlay_kick(t.overlay);
        }
        t_sync(&t);
        t_create(&t, NODEID_ROOT, "g");
        overlay_kick(t.overlay);
        from = env_mono_ns(&env);
        while (overlay_durable(t.overlay) < overlay_seq(t.overlay))
                assert_true(env_mono_ns(&env) - from < 10000000000ull);
        overlay_close(t.overlay);
        pool_free(t.pool);
        snprintf(command, sizeof(command), "rm -r %s", dir);
        assert_int_equal(system(command), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, toverlay_setup, toverlay_teardown)
        const struct CMUnitTest tests[] = {
            TEST(carried_content_needs_the_log_alone),
            TEST(later_version_is_refused),
            TEST(torn_record_ends_the_log),
            TEST(damage_in_synced_records_is_reported),
            TEST(zeros_in_a_record_are_not_the_end_of_the_log),
            TEST(failed_sync_is_an_error_and_heals),
            TEST(failed_sync_is_not_forgotten_with_its_process),
            TEST(folded_rows_and_the_rest_of_the_log_are_one),
            cmocka_unit_test(second_process_is_refused),
            cmocka_unit_test(one_that_is_moved_away_is_made_anew),
            cmocka_unit_test(flusher_follows_without_a_waiter),
        };

        return cmocka_run_group_tests_name("durability", tests, NULL, NULL);
}
