/* test_simenv_cut.c - which names a power cut leaves on the simulated disk. Each test goes through many
 * seeds; an argument replaces them by one. */
#include "tests/base/tcut.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* Content that was synced under a name that was synced is there, whatever the seed. */
static void synced_file_survives(void **state)
{
        (void)state;
        EACH_SEED(t)
        {
                put(&t, "/f", "hello", true);
                assert_ok(env_sync_dir(t.env, "/"));
                simenv_power_cut(t.sim);
                assert_string_equal(content(&t, "/f"), "hello");
                simenv_power_cut(t.sim);
                assert_string_equal(content(&t, "/f"), "hello");
        }
}

/* fsync of a new file alone does not make its name durable. */
static void file_sync_does_not_keep_the_name(void **state)
{
        struct outcomes kept = {0};

        (void)state;
        EACH_SEED(t)
        {
                put(&t, "/f", "hello", true);
                simenv_power_cut(t.sim);
                count(&kept, exists(&t, "/f"));
                if (exists(&t, "/f"))
                        assert_string_equal(content(&t, "/f"), "hello");
        }
        expect_both(kept);
}

/* fsync of a directory keeps its names, but not the name of the directory itself. */
static void directory_sync_does_not_keep_its_own_name(void **state)
{
        struct outcomes kept = {0};

        (void)state;
        EACH_SEED(t)
        {
                make_dir(&t, "/d");
                put(&t, "/d/f", "hello", true);
                assert_ok(env_sync_dir(t.env, "/d"));
                simenv_power_cut(t.sim);
                count(&kept, exists(&t, "/d"));
                if (exists(&t, "/d"))
                        assert_string_equal(content(&t, "/d/f"), "hello");
        }
        expect_both(kept);
}

/* A name that was removed may come back until its directory is synced, and never after. */
static void unlink_is_durable_when_synced(void **state)
{
        struct outcomes back = {0};

        (void)state;
        EACH_SEED(t)
        {
                put(&t, "/a", "a", true);
                put(&t, "/b", "b", true);
                assert_ok(env_sync_dir(t.env, "/"));
                assert_ok(t.env->ops->unlink(t.env, "/a"));
                assert_ok(env_sync_dir(t.env, "/"));
                assert_ok(t.env->ops->unlink(t.env, "/b"));
                simenv_power_cut(t.sim);
                assert_false(exists(&t, "/a"));
                count(&back, exists(&t, "/b"));
                if (exists(&t, "/b"))
                        assert_string_equal(content(&t, "/b"), "b");
        }
        expect_both(back);
}

/* A rename that was not synced happened or not: the file has one of the two names, never both and
 * never none; across directories too. */
static void rename_is_atomic(void **state)
{
        struct outcomes happened = {0};

        (void)state;
        EACH_SEED(t)
        {
                make_dir(&t, "/d");
                put(&t, "/a", "a", true);
                assert_ok(env_sync_dir(t.env, "/"));
                assert_ok(t.env->ops->rename(t.env, "/a", "/d/b"));
                simenv_power_cut(t.sim);
                count(&happened, exists(&t, "/d/b"));
                assert_int_not_equal(exists(&t, "/a"), exists(&t, "/d/b"));
                assert_string_equal(content(&t, exists(&t, "/a") ? "/a" : "/d/b"), "a");
        }
        expect_both(happened);
}

/* After a rename over an existing name it is the old file or the new one. */
static void replacing_rename_is_atomic(void **state)
{
        struct outcomes happened = {0};

        (void)state;
        EACH_SEED(t)
        {
                put(&t, "/f", "old", true);
                assert_ok(env_sync_dir(t.env, "/"));
                put(&t, "/tmp", "new", true);
                assert_ok(t.env->ops->rename(t.env, "/tmp", "/f"));
                simenv_power_cut(t.sim);
                count(&happened, strcmp(content(&t, "/f"), "new") == 0);
                if (strcmp(content(&t, "/f"), "new") != 0)
                        assert_string_equal(content(&t, "/f"), "old");
        }
        expect_both(happened);
}

/* A rename is durable once either of its two directories is synced. */
static void rename_is_durable_when_synced(void **state)
{
        (void)state;
        EACH_SEED(t)
        {
                make_dir(&t, "/d");
                make_dir(&t, "/e");
                put(&t, "/d/f", "f", true);
                put(&t, "/e/g", "g", true);
                assert_ok(env_sync_dir(t.env, "/"));
                assert_ok(env_sync_dir(t.env, "/d"));
                assert_ok(env_sync_dir(t.env, "/e"));
                assert_ok(t.env->ops->rename(t.env, "/d/f", "/e/f"));
                assert_ok(t.env->ops->rename(t.env, "/e/f", "/e/f2"));
                assert_ok(env_sync_dir(t.env, "/e"));
                assert_ok(t.env->ops->rename(t.env, "/e/g", "/d/g"));
                assert_ok(env_sync_dir(t.env, "/e"));
                simenv_power_cut(t.sim);
                assert_false(exists(&t, "/d/f"));
                assert_string_equal(content(&t, "/e/f2"), "f");
                assert_string_equal(content(&t, "/d/g"), "g");
        }
}

/* What a synced change needs is durable with it: the earlier move of the same file, and the
 * emptying of a directory that is gone. */
static void synced_changes_bring_what_they_need(void **state)
{
        (void)state;
        EACH_SEED(t)
        {
                for (int i = 0; i < 3; i++) {
                        static const char *const dirs[] = {"/d", "/e", "/g"};

                        make_dir(&t, dirs[i]);
                }
                put(&t, "/d/f", "f", true);
                put(&t, "/d/h", "h", true);
                assert_ok(env_sync_dir(t.env, "/d"));
                assert_ok(env_sync_dir(t.env, "/"));
                assert_ok(t.env->ops->rename(t.env, "/d/f", "/e/f"));
                assert_ok(t.env->ops->rename(t.env, "/e/f", "/g/f"));
                assert_ok(env_sync_dir(t.env, "/g"));
                assert_ok(t.env->ops->rename(t.env, "/d/h", "/e/h"));
                assert_ok(t.env->ops->rmdir(t.env, "/d"));
                assert_ok(env_sync_dir(t.env, "/"));
                simenv_power_cut(t.sim);
                assert_string_equal(content(&t, "/g/f"), "f");
                assert_false(exists(&t, "/e/f"));
                assert_string_equal(content(&t, "/e/h"), "h");
                assert_false(exists(&t, "/d"));
        }
}

/* A file that was moved out of a directory, which was then removed, is not lost: it is in one place
 * or in the other. */
static void emptied_directory_takes_nothing_along(void **state)
{
        struct outcomes moved = {0};

        (void)state;
        EACH_SEED(t)
        {
                bool old, new;

                make_dir(&t, "/d");
                put(&t, "/d/f", "f", true);
                assert_ok(env_sync_dir(t.env, "/d"));
                assert_ok(env_sync_dir(t.env, "/"));
                make_dir(&t, "/e");
                assert_ok(t.env->ops->rename(t.env, "/d/f", "/e/f"));
                assert_ok(t.env->ops->rmdir(t.env, "/d"));
                simenv_power_cut(t.sim);
                old = exists(&t, "/d/f");
                new = exists(&t, "/e/f");
                assert_int_not_equal(old, new);
                count(&moved, new);
        }
        expect_both(moved);
}

/* A name whose creation was lost cannot have been renamed: order is kept along one inode. */
static void later_changes_need_earlier_ones(void **state)
{
        (void)state;
        EACH_SEED(t)
        {
                static const char *const paths[] = {"/a", "/b", "/c", "/d"};
                int found = 0;

                put(&t, "/a", "x", true);
                assert_ok(env_sync_dir(t.env, "/"));
                for (int i = 0; i < 3; i++)
                        assert_ok(t.env->ops->rename(t.env, paths[i], paths[i + 1]));
                simenv_power_cut(t.sim);
                for (int i = 0; i < 4; i++)
                        found += exists(&t, paths[i]);
                assert_int_equal(found, 1);
        }
}

/* Links are counted again after the cut. */
static void links_are_counted_again(void **state)
{
        (void)state;
        EACH_SEED(t)
        {
                struct stat st;

                put(&t, "/a", "x", true);
                assert_ok(env_sync_dir(t.env, "/"));
                assert_ok(t.env->ops->link(t.env, "/a", "/b"));
                simenv_power_cut(t.sim);
                assert_ok(t.env->ops->stat(t.env, "/a", &st));
                assert_int_equal(st.st_nlink, exists(&t, "/b") ? 2 : 1);
        }
}

/* Directories whose durable and current places contain each other are freed all the same. */
static void crossed_directories_are_freed(void **state)
{
        (void)state;
        EACH_SEED(t)
        {
                assert_ok(env_mkdirs(t.env, "/a/b", 0700));
                assert_ok(env_sync_dir(t.env, "/a"));
                assert_ok(env_sync_dir(t.env, "/"));
                assert_ok(t.env->ops->rename(t.env, "/a/b", "/b"));
                assert_ok(t.env->ops->rename(t.env, "/a", "/b/a"));
                if (seed % 2 == 0)
                        continue; /* freed without a cut: the machine checks that nothing is left */
                simenv_power_cut(t.sim);
                assert_true(exists(&t, "/a/b") || (exists(&t, "/a") && exists(&t, "/b")) ||
                            exists(&t, "/b/a"));
        }
}

/* env_write_file is atomic and durable: a machine that dies at any call of it has the old content
 * or the new one, and one that dies after it has the new one. */
static void write_file_survives_a_cut_anywhere(void **state)
{
        (void)state;
        for (uint64_t seed = seed_first; seed <= seed_last; seed++) {
                for (uint64_t n = 1; n <= 7; n++) {
                        struct tcut t = cut_new(seed);
                        enum hif_err err;

                        assert_ok(env_write_file(t.env, "/f", "old", 3, 0600));
                        simenv_crash_at(t.sim, n);
                        err = env_write_file(t.env, "/f", "new", 3, 0600);
                        assert_int_equal(err, n <= 6 ? HIF_ECANCELED : HIF_OK);
                        simenv_power_cut(t.sim);
                        if (n == 7 || strcmp(content(&t, "/f"), "old") != 0)
                                assert_string_equal(content(&t, "/f"), "new");
                        cut_free(&t);
                }
        }
}

enum { MODEL_FILES = 12 };

/* Do something to file `i` that is not synced. */
static void disturb(struct tcut *t, unsigned i)
{
        char path[32], other[32];

        snprintf(path, sizeof(path), "/d%u/f%u", i % 3, i);
        snprintf(other, sizeof(other), "/d%u/g%u", (i + 1) % 3, i);
        switch (simenv_rand(t->sim) % 4) {
        case 0:
                put(t, path, "disturbed", false);
                break;
        case 1:
                assert_ok(t->env->ops->unlink(t->env, path));
                break;
        case 2:
                assert_ok(t->env->ops->rename(t->env, path, other));
                break;
        default:
                assert_ok(t->env->ops->link(t->env, path, other));
        }
}

/* Whatever happens to some files, the others, which are synced, are as they were. */
static void undisturbed_files_survive(void **state)
{
        (void)state;
        EACH_SEED(t)
        {
                bool disturbed[MODEL_FILES] = {false};
                char path[32], text[32];

                for (unsigned i = 0; i < MODEL_FILES; i++) {
                        snprintf(path, sizeof(path), "/d%u", i % 3);
                        assert_ok(env_mkdirs(t.env, path, 0700));
                        snprintf(path, sizeof(path), "/d%u/f%u", i % 3, i);
                        snprintf(text, sizeof(text), "content %u", i);
                        assert_ok(env_write_file(t.env, path, text, strlen(text), 0600));
                }
                assert_ok(env_sync_dir(t.env, "/"));
                for (unsigned i = 0; i < MODEL_FILES; i++) {
                        disturbed[i] = simenv_rand(t.sim) % 2;
                        if (disturbed[i])
                                disturb(&t, i);
                }
                simenv_power_cut(t.sim);
                for (unsigned i = 0; i < MODEL_FILES; i++) {
                        snprintf(path, sizeof(path), "/d%u/f%u", i % 3, i);
                        snprintf(text, sizeof(text), "content %u", i);
                        if (!disturbed[i])
                                assert_string_equal(content(&t, path), text);
                }
        }
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_teardown(name, cut_teardown)
        const struct CMUnitTest tests[] = {
            TEST(synced_file_survives),
            TEST(file_sync_does_not_keep_the_name),
            TEST(directory_sync_does_not_keep_its_own_name),
            TEST(unlink_is_durable_when_synced),
            TEST(rename_is_atomic),
            TEST(replacing_rename_is_atomic),
            TEST(rename_is_durable_when_synced),
            TEST(synced_changes_bring_what_they_need),
            TEST(emptied_directory_takes_nothing_along),
            TEST(later_changes_need_earlier_ones),
            TEST(links_are_counted_again),
            TEST(crossed_directories_are_freed),
            TEST(write_file_survives_a_cut_anywhere),
            TEST(undisturbed_files_survive),
        };

        cut_seeds(argc, argv);
        return cmocka_run_group_tests_name("simenv_cut", tests, NULL, NULL);
}
