/* test_simenv_cut.c - what a power cut leaves on the simulated disk. Each test goes through many
 * seeds; an argument replaces them by one. */
#include "base/buf.h"
#include "base/simenv.h"
#include "tests/base/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t seed_first = 1, seed_last = 300;

/* One machine. It is made anew for each seed. */
struct tcut {
        struct simenv *sim;
        struct env *env;
};

static uint64_t seed_running; /* of the machine that is there; 0: none */

static struct tcut cut_new(uint64_t seed)
{
        struct tcut t = {.sim = simenv_new(seed)};

        assert_non_null(t.sim);
        t.env = simenv_env(t.sim);
        seed_running = seed;
        return t;
}

static void cut_free(struct tcut *t)
{
        simenv_free(t->sim);
        t->sim = NULL;
        seed_running = 0;
}

/* A machine that is still there means that its test failed. */
static int teardown(void **state)
{
        (void)state;
        if (seed_running)
                print_error("to repeat: test_base_simenv_cut %ju\n", (uintmax_t)seed_running);
        seed_running = 0;
        return 0;
}

/* For each seed: `t` is a machine. */
#define EACH_SEED(t)                                                                               \
        for (uint64_t seed = seed_first; seed <= seed_last; seed++)                                \
                for (struct tcut t = cut_new(seed); t.sim; cut_free(&t))

static int open_at(struct tcut *t, const char *path)
{
        int fd;

        assert_ok(t->env->ops->open(t->env, path, O_RDWR | O_CREAT, 0600, &fd));
        return fd;
}

/* Write text as the whole content of path; sync it if told to. The name is not synced. */
static void put(struct tcut *t, const char *path, const char *text, bool sync)
{
        int fd = open_at(t, path);

        assert_ok(t->env->ops->ftruncate(t->env, fd, 0));
        assert_ok(env_write_all(t->env, fd, text, strlen(text), 0));
        if (sync)
                assert_ok(t->env->ops->fsync(t->env, fd));
        t->env->ops->close(t->env, fd);
}

static void make_dir(struct tcut *t, const char *path)
{
        assert_ok(t->env->ops->mkdir(t->env, path, 0700));
}

static bool exists(struct tcut *t, const char *path)
{
        struct stat st;
        enum hif_err err = t->env->ops->stat(t->env, path, &st);

        if (err != HIF_ENOENT && err != HIF_ENOTDIR)
                assert_ok(err);
        return !err;
}

/* The content of path as a string; "(none)" if it is not there. */
static const char *content(struct tcut *t, const char *path)
{
        static char text[256]; /* the newest result only */
        AUTO_BUF struct buf buf = {0};

        if (!exists(t, path))
                return "(none)";
        assert_ok(env_read_file(t->env, path, sizeof(text) - 1, &buf));
        memcpy(text, buf.data, buf.size);
        text[buf.size] = '\0';
        return text;
}

/* How often each of two outcomes came; where both are legal both have to come. */
struct outcomes {
        unsigned yes, no;
};

static void count(struct outcomes *outcomes, bool yes)
{
        *(yes ? &outcomes->yes : &outcomes->no) += 1;
}

static void expect_both(struct outcomes outcomes)
{
        if (seed_first == seed_last)
                return; /* one seed shows one of them */
        assert_true(outcomes.yes > 20);
        assert_true(outcomes.no > 20);
}

/* --- names --- */

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

/* --- content --- */

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

/* --- together --- */

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
#define TEST(name) cmocka_unit_test_teardown(name, teardown)
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
            TEST(write_file_survives_a_cut_anywhere),
            TEST(undisturbed_files_survive),
        };

        if (argc > 1)
                seed_first = seed_last = strtoull(argv[1], NULL, 0);
        return cmocka_run_group_tests_name("simenv_cut", tests, NULL, NULL);
}
