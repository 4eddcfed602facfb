/* test_simenv_cut_content.c - what a power cut leaves of contents on the simulated disk; as test_simenv_cut.c. */
#include "tests/base/tcut.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { PAGES = 16, SIZE = PAGES * 4096, SECTOR = 512 };

/* Make a file of `SIZE` bytes 'o', durable with its name. */
static int durable_file(struct tcut *t)
{
        static char bytes[SIZE];
        int fd = open_at(t, "/f");

        memset(bytes, 'o', sizeof(bytes));
        assert_ok(env_write_all(t->env, fd, bytes, SIZE, 0));
        assert_ok(t->env->ops->fdatasync(t->env, fd));
        assert_ok(env_sync_dir(t->env, "/"));
        return fd;
}

/* Read the file, whose sectors must each be all 'o' or all 'n'; count the new ones of each page. */
static void read_sectors(struct tcut *t, unsigned fresh[PAGES])
{
        static char bytes[SIZE];
        int fd = open_at(t, "/f");

        memset(fresh, 0, PAGES * sizeof(fresh[0]));
        assert_ok(env_read_all(t->env, fd, bytes, SIZE, 0));
        for (int at = 0; at < SIZE; at += SECTOR) {
                assert_true(bytes[at] == 'o' || bytes[at] == 'n');
                for (int i = 1; i < SECTOR; i++)
                        assert_int_equal(bytes[at + i], bytes[at]);
                fresh[at / 4096] += bytes[at] == 'n';
        }
        t->env->ops->close(t->env, fd);
}

static void overwritten(struct tcut *t, int fd)
{
        static char bytes[SIZE];

        memset(bytes, 'n', sizeof(bytes));
        assert_ok(env_write_all(t->env, fd, bytes, SIZE, 0));
}

/* Of unsynced overwrites each page is kept, dropped, or torn at 512 bytes; all three come. */
static void unsynced_bytes_are_kept_dropped_or_torn(void **state)
{
        unsigned kept = 0, dropped = 0, torn = 0;

        (void)state;
        EACH_SEED(t)
        {
                unsigned fresh[PAGES];
                int fd = durable_file(&t);

                overwritten(&t, fd);
                simenv_power_cut(t.sim);
                read_sectors(&t, fresh);
                for (int i = 0; i < PAGES; i++) {
                        kept += fresh[i] == 8;
                        dropped += fresh[i] == 0;
                        torn += fresh[i] > 0 && fresh[i] < 8;
                }
        }
        if (seed_first < seed_last)
                assert_true(kept > 100 && dropped > 100 && torn > 100);
}

/* What was synced after the overwrite is new, whole, whatever the seed. */
static void synced_bytes_survive(void **state)
{
        (void)state;
        EACH_SEED(t)
        {
                unsigned fresh[PAGES];
                int fd = durable_file(&t);

                overwritten(&t, fd);
                assert_ok(t.env->ops->fdatasync(t.env, fd));
                simenv_power_cut(t.sim);
                read_sectors(&t, fresh);
                for (int i = 0; i < PAGES; i++)
                        assert_int_equal(fresh[i], 8);
        }
}

/* A sync that failed has made nothing durable. */
static void failed_sync_syncs_nothing(void **state)
{
        struct outcomes whole = {0};

        (void)state;
        EACH_SEED(t)
        {
                unsigned fresh[PAGES], total = 0;
                int fd = durable_file(&t);

                overwritten(&t, fd);
                simenv_fail_at(t.sim, 1, HIF_EIO);
                assert_err(t.env->ops->fdatasync(t.env, fd), HIF_EIO);
                simenv_power_cut(t.sim);
                read_sectors(&t, fresh);
                for (int i = 0; i < PAGES; i++)
                        total += fresh[i];
                count(&whole, total == PAGES * 8);
        }
        expect_both(whole);
}

/* What a failed sync should have written counts as written: the next one may succeed without it. Only
 * what is written once more is. */
static void failed_sync_lets_go_of_pages(void **state)
{
        struct outcomes kept = {0};

        (void)state;
        EACH_SEED(t)
        {
                bool again = seed % 2 == 0;
                int fd;

                put(&t, "/f", "old old", true);
                assert_ok(env_sync_dir(t.env, "/"));
                fd = open_at(&t, "/f");
                assert_ok(env_write_all(t.env, fd, "new new", 7, 0));
                simenv_fail_at(t.sim, 1, HIF_EIO);
                assert_err(t.env->ops->fdatasync(t.env, fd), HIF_EIO);
                assert_string_equal(content(&t, "/f"), "new new");
                if (again)
                        assert_ok(env_write_all(t.env, fd, "new new", 7, 0));
                assert_ok(t.env->ops->fdatasync(t.env, fd));
                t.env->ops->close(t.env, fd);
                simenv_power_cut(t.sim);
                if (again)
                        assert_string_equal(content(&t, "/f"), "new new");
                else
                        count(&kept, strcmp(content(&t, "/f"), "new new") == 0);
        }
        expect_both(kept);
}

/* An append that was not synced leaves a size between the synced and the current one, and what is
 * within is new bytes or zeros; what lies beyond it is forgotten. */
static void unsynced_size_is_in_between(void **state)
{
        unsigned none = 0, all = 0, part = 0;

        (void)state;
        EACH_SEED(t)
        {
                int fd = durable_file(&t);
                static char bytes[SIZE * 2];
                struct stat st;

                memset(bytes, 'n', SIZE);
                assert_ok(env_write_all(t.env, fd, bytes, SIZE, SIZE));
                simenv_power_cut(t.sim);
                fd = open_at(&t, "/f");
                assert_ok(t.env->ops->fstat(t.env, fd, &st));
                assert_true(st.st_size >= SIZE && st.st_size <= SIZE * 2);
                none += st.st_size == SIZE;
                all += st.st_size == SIZE * 2;
                part += st.st_size > SIZE && st.st_size < SIZE * 2;
                assert_ok(t.env->ops->ftruncate(t.env, fd, sizeof(bytes)));
                assert_ok(env_read_all(t.env, fd, bytes, sizeof(bytes), 0));
                for (off_t i = 0; i < (off_t)sizeof(bytes); i++) {
                        if (i < SIZE)
                                assert_int_equal(bytes[i], 'o');
                        else
                                assert_true(bytes[i] == 0 || (bytes[i] == 'n' && i < st.st_size));
                }
        }
        if (seed_first < seed_last)
                assert_true(none > 20 && all > 20 && part > 20);
}

/* A truncation that was not synced happened or not; what it cut off is the old bytes or zeros. */
static void unsynced_truncation_may_be_undone(void **state)
{
        struct outcomes undone = {0};

        (void)state;
        EACH_SEED(t)
        {
                int fd = durable_file(&t);
                static char bytes[SIZE];
                struct stat st;

                assert_ok(t.env->ops->ftruncate(t.env, fd, 100));
                simenv_power_cut(t.sim);
                fd = open_at(&t, "/f");
                assert_ok(t.env->ops->fstat(t.env, fd, &st));
                assert_true(st.st_size == 100 || st.st_size == SIZE);
                count(&undone, st.st_size == SIZE);
                assert_ok(env_read_all(t.env, fd, bytes, (size_t)st.st_size, 0));
                for (off_t i = 0; i < st.st_size; i++)
                        assert_true(bytes[i] == 'o' || (i >= 100 && bytes[i] == 0));
        }
        expect_both(undone);
}

/* Stores into a mapping are durable up to the last fdatasync of the file; later ones are torn, kept
 * or dropped as other bytes are. */
static void mapping_is_durable_when_synced(void **state)
{
        unsigned old = 0, fresh_sectors = 0;

        (void)state;
        EACH_SEED(t)
        {
                unsigned fresh[PAGES];
                int fd = durable_file(&t);
                void *mapped;
                char *bytes;

                assert_ok(t.env->ops->map(t.env, fd, 0, SIZE, &mapped));
                bytes = mapped;
                memset(bytes, 'n', SIZE / 2);
                assert_ok(t.env->ops->fdatasync(t.env, fd));
                memset(bytes + SIZE / 2, 'n', SIZE / 2);
                simenv_power_cut(t.sim);
                read_sectors(&t, fresh);
                for (int i = 0; i < PAGES / 2; i++)
                        assert_int_equal(fresh[i], 8);
                for (int i = PAGES / 2; i < PAGES; i++) {
                        fresh_sectors += fresh[i];
                        old += 8 - fresh[i];
                }
        }
        if (seed_first < seed_last)
                assert_true(old > 100 && fresh_sectors > 100);
}

/* A cut decides for good: after another one, at once, all is the same. */
static void second_cut_changes_nothing(void **state)
{
        (void)state;
        EACH_SEED(t)
        {
                unsigned first[PAGES], second[PAGES];
                bool kept;

                overwritten(&t, durable_file(&t));
                put(&t, "/g", "g", false);
                simenv_power_cut(t.sim);
                read_sectors(&t, first);
                kept = exists(&t, "/g");
                simenv_power_cut(t.sim);
                read_sectors(&t, second);
                assert_memory_equal(first, second, sizeof(first));
                assert_int_equal(exists(&t, "/g"), kept);
        }
}

/* The same seed gives the same fate. */
static void fate_comes_from_the_seed(void **state)
{
        (void)state;
        EACH_SEED(t)
        {
                struct tcut twin = cut_new(seed);
                unsigned first[PAGES], second[PAGES];

                overwritten(&t, durable_file(&t));
                overwritten(&twin, durable_file(&twin));
                simenv_power_cut(t.sim);
                simenv_power_cut(twin.sim);
                read_sectors(&t, first);
                read_sectors(&twin, second);
                assert_memory_equal(first, second, sizeof(first));
                simenv_free(twin.sim);
        }
}

/* What is unreachable after the cut takes no space. */
static void lost_files_free_their_space(void **state)
{
        (void)state;
        EACH_SEED(t)
        {
                uint64_t free_bytes, total_bytes;

                make_dir(&t, "/d");
                put(&t, "/d/f", "x", true);
                simenv_power_cut(t.sim);
                assert_ok(t.env->ops->space(t.env, "/", &free_bytes, &total_bytes));
                assert_int_equal(total_bytes - free_bytes, exists(&t, "/d/f") ? 4096 : 0);
        }
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_teardown(name, cut_teardown)
        const struct CMUnitTest tests[] = {
            TEST(unsynced_bytes_are_kept_dropped_or_torn),
            TEST(synced_bytes_survive),
            TEST(failed_sync_syncs_nothing),
            TEST(failed_sync_lets_go_of_pages),
            TEST(unsynced_size_is_in_between),
            TEST(unsynced_truncation_may_be_undone),
            TEST(mapping_is_durable_when_synced),
            TEST(second_cut_changes_nothing),
            TEST(fate_comes_from_the_seed),
            TEST(lost_files_free_their_space),
        };

        cut_seeds(argc, argv);
        return cmocka_run_group_tests_name("simenv_cut_content", tests, NULL, NULL);
}
