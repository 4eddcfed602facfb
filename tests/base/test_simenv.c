/* test_simenv.c - what the simulated machine has beyond a real one, but for power cuts: seeds,
 * faults, crashes, a process that is killed, a full disk. */
#include "base/simenv.h"

#include "tests/base/check.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static int setup(void **state)
{
        struct simenv *sim = simenv_new(1);

        assert_non_null(sim);
        *state = sim;
        return 0;
}

static int teardown(void **state)
{
        simenv_free(*state);
        return 0;
}

static int open_at(struct simenv *sim, const char *path, int flags)
{
        struct env *env = simenv_env(sim);
        int fd;

        assert_ok(env->ops->open(env, path, flags, 0600, &fd));
        return fd;
}

static void write_at(struct simenv *sim, int fd, const char *text, uint64_t offset)
{
        assert_ok(env_write_all(simenv_env(sim), fd, text, strlen(text), offset));
}

static void expect_at(struct simenv *sim, const char *path, const char *text, uint64_t offset)
{
        struct env *env = simenv_env(sim);
        int fd = open_at(sim, path, O_RDONLY);
        char bytes[64];

        assert_ok(env_read_all(env, fd, bytes, strlen(text), offset));
        assert_memory_equal(bytes, text, strlen(text));
        env->ops->close(env, fd);
}

/* Only the test moves the clocks, and both by the same. */
static void clocks_move_by_hand(void **state)
{
        struct env *env = simenv_env(*state);
        uint64_t mono_ns = env_mono_ns(env), wall_ns = env_wall_ns(env);

        assert_int_equal(env_mono_ns(env), mono_ns);
        simenv_advance(*state, 5000);
        assert_int_equal(env_mono_ns(env), mono_ns + 5000);
        assert_int_equal(env_wall_ns(env), wall_ns + 5000);
}

/* The same seed gives the same bytes, another seed others; the test's stream disturbs nothing. */
static void randomness_comes_from_the_seed(void **state)
{
        struct simenv *a = simenv_new(7), *b = simenv_new(7), *c = simenv_new(8);
        uint64_t first = env_random_u64(simenv_env(a));

        (void)state;
        assert_int_equal(simenv_rand(b), simenv_rand(a));
        assert_int_equal(env_random_u64(simenv_env(b)), first);
        assert_int_not_equal(env_random_u64(simenv_env(c)), first);
        assert_int_equal(simenv_rand(b), simenv_rand(a));
        simenv_free(a);
        simenv_free(b);
        simenv_free(c);
}

/* Descriptors are no real ones, so that a stray system call on them fails. */
static void descriptors_are_not_real(void **state)
{
        int fd = open_at(*state, "/f", O_RDWR | O_CREAT);

        assert_int_equal(fcntl(fd, F_GETFD), -1);
}

/* The n-th call fails with the error that was asked for, does nothing, and the next one works. */
static void nth_call_fails(void **state)
{
        struct simenv *sim = *state;
        struct env *env = simenv_env(sim);
        int fd = open_at(sim, "/f", O_RDWR | O_CREAT);
        uint64_t calls = simenv_calls(sim);
        size_t count;

        simenv_fail_at(sim, 2, HIF_EIO);
        assert_ok(env->ops->pwrite(env, fd, "a", 1, 0, &count));
        assert_err(env->ops->pwrite(env, fd, "b", 1, 0, &count), HIF_EIO);
        assert_ok(env->ops->fsync(env, fd));
        assert_int_equal(simenv_calls(sim), calls + 3);
        expect_at(sim, "/f", "a", 0);

        simenv_fail_at(sim, 1, HIF_EIO);
        simenv_fail_at(sim, 0, HIF_OK);
        assert_ok(env->ops->fsync(env, fd));
}

/* env_write_file meets a failure at any of its calls with that error, leaves the old content or the
 * new, and no temporary file. */
static bool count_name(void *arg, const char *name)
{
        (void)name;
        ++*(int *)arg;
        return true;
}

static void write_file_survives_any_failure(void **state)
{
        struct simenv *sim = *state;
        struct env *env = simenv_env(sim);
        uint64_t calls;
        int names;

        assert_ok(env_write_file(env, "/f", "old", 3, 0600));
        calls = simenv_calls(sim);
        assert_ok(env_write_file(env, "/f", "old", 3, 0600));
        calls = simenv_calls(sim) - calls;
        assert_int_equal(calls, 6); /* open, pwrite, fsync, rename, open, fsync */
        for (uint64_t n = 1; n <= calls; n++) {
                simenv_fail_at(sim, n, HIF_ENOSPC);
                assert_err(env_write_file(env, "/f", "new", 3, 0600), HIF_ENOSPC);
                expect_at(sim, "/f", n <= 4 ? "old" : "new", 0);
                names = 0;
                assert_ok(env->ops->list(env, "/", count_name, &names));
                assert_int_equal(names, 1);
        }
}

/* After the crash every call fails, until the process is declared dead. */
static void crash_fails_all_calls(void **state)
{
        struct simenv *sim = *state;
        struct env *env = simenv_env(sim);
        int fd = open_at(sim, "/f", O_RDWR | O_CREAT);
        struct stat st;

        simenv_crash_at(sim, 2);
        write_at(sim, fd, "a", 0);
        assert_false(simenv_crashed(sim));
        assert_err(env->ops->ftruncate(env, fd, 0), HIF_ECANCELED);
        assert_true(simenv_crashed(sim));
        assert_err(env->ops->fsync(env, fd), HIF_ECANCELED);
        assert_err(env->ops->stat(env, "/f", &st), HIF_ECANCELED);
        env->ops->close(env, fd);
        simenv_process_kill(sim);
        assert_false(simenv_crashed(sim));
        expect_at(sim, "/f", "a", 0);
}

/* A process that dies in a pwrite has written none, some or all whole pages of it, from the front.
 */
static void crash_in_pwrite_leaves_some_pages(void **state)
{
        enum { PAGES = 8 };
        static char bytes[PAGES * 4096], back[PAGES * 4096];
        bool seen[PAGES + 1] = {0};

        (void)state;
        memset(bytes, 'x', sizeof(bytes));
        for (uint64_t seed = 1; seed <= 200; seed++) {
                struct simenv *sim = simenv_new(seed);
                struct env *env = simenv_env(sim);
                int fd = open_at(sim, "/f", O_RDWR | O_CREAT);
                size_t count = 0;

                simenv_crash_at(sim, 1);
                assert_err(env->ops->pwrite(env, fd, bytes, sizeof(bytes), 0, &count),
                           HIF_ECANCELED);
                simenv_process_kill(sim);
                fd = open_at(sim, "/f", O_RDONLY);
                assert_ok(env->ops->pread(env, fd, back, sizeof(back), 0, &count));
                assert_int_equal(count % 4096, 0);
                assert_memory_equal(back, bytes, count);
                seen[count / 4096] = true;
                simenv_free(sim);
        }
        for (int i = 0; i <= PAGES; i++)
                assert_true(seen[i]);
}

/* A killed process leaves all that it wrote or stored into mappings, synced or not. */
static void kill_keeps_writes_and_stores(void **state)
{
        struct simenv *sim = *state;
        struct env *env = simenv_env(sim);
        int fd = open_at(sim, "/f", O_RDWR | O_CREAT);
        void *mapped;

        assert_ok(env->ops->fallocate(env, fd, 0, 8192));
        assert_ok(env->ops->map(env, fd, 4096, 4096, &mapped));
        memcpy(mapped, "stored", 6);
        write_at(sim, fd, "written", 0);
        simenv_process_kill(sim);
        expect_at(sim, "/f", "written", 0);
        expect_at(sim, "/f", "stored", 4096);
        env->ops->unmap(env, mapped, 4096); /* a late destructor is forgiven */
        env->ops->close(env, fd);
}

/* What is stored after the crash is the work of a dead process: it reaches no file. */
static void stores_after_the_crash_are_lost(void **state)
{
        struct simenv *sim = *state;
        struct env *env = simenv_env(sim);
        int fd = open_at(sim, "/f", O_RDWR | O_CREAT);
        void *mapped;

        assert_ok(env->ops->fallocate(env, fd, 0, 4096));
        assert_ok(env->ops->map(env, fd, 0, 4096, &mapped));
        memcpy(mapped, "before", 6);
        simenv_crash_at(sim, 1);
        assert_err(env->ops->fsync(env, fd), HIF_ECANCELED);
        memcpy(mapped, "after!", 6);
        env->ops->unmap(env, mapped, 4096);
        simenv_process_kill(sim);
        expect_at(sim, "/f", "before", 0);
}

/* A killed process's descriptors are closed: a file without names is gone with them. */
static void kill_closes_descriptors(void **state)
{
        struct simenv *sim = *state;
        struct env *env = simenv_env(sim);
        int fd = open_at(sim, "/f", O_RDWR | O_CREAT);
        uint64_t free_before, free_after, total;
        struct stat st;

        assert_ok(env->ops->space(env, "/", &free_before, &total));
        assert_ok(env->ops->fallocate(env, fd, 0, 8192));
        assert_ok(env_sync_dir(env, "/"));
        assert_ok(env->ops->unlink(env, "/f"));
        assert_ok(env_sync_dir(env, "/"));
        simenv_process_kill(sim);
        assert_ok(env->ops->space(env, "/", &free_after, &total));
        assert_int_equal(free_after, free_before);
        assert_err(env->ops->fstat(env, fd, &st), HIF_EIO); /* EBADF */
}

/* Beyond the capacity there is ENOSPC from writes and from fallocate; a write that fits in part is
 * short; overwriting needs no space; what is freed can be used again. */
static void capacity_is_a_limit(void **state)
{
        struct simenv *sim = *state;
        struct env *env = simenv_env(sim);
        int fd = open_at(sim, "/f", O_RDWR | O_CREAT);
        static char bytes[5 * 4096];
        uint64_t free_bytes, total_bytes;
        size_t count = 0;

        simenv_set_capacity(sim, 4 * 4096);
        assert_err(env->ops->fallocate(env, fd, 0, 5 * 4096), HIF_ENOSPC);
        assert_ok(env->ops->fallocate(env, fd, 0, 2 * 4096));
        assert_ok(env->ops->pwrite(env, fd, bytes, sizeof(bytes), 0, &count));
        assert_int_equal(count, 4 * 4096);
        assert_err(env->ops->pwrite(env, fd, bytes, 1, 4 * 4096, &count), HIF_ENOSPC);
        assert_ok(env->ops->pwrite(env, fd, bytes, 4096, 0, &count));
        assert_ok(env->ops->fallocate(env, fd, 0, 4 * 4096)); /* is there already */
        assert_ok(env->ops->space(env, "/", &free_bytes, &total_bytes));
        assert_int_equal(free_bytes, 0);
        assert_int_equal(total_bytes, 4 * 4096);
        assert_ok(env->ops->punch(env, fd, 0, 4096));
        assert_ok(env->ops->pwrite(env, fd, bytes, 1, 4 * 4096, &count));
        assert_ok(env->ops->ftruncate(env, fd, 0));
        assert_ok(env->ops->fallocate(env, fd, 1 << 20, 4 * 4096));
        simenv_set_capacity(sim, 4096);
        assert_err(env->ops->pwrite(env, fd, bytes, 1, 0, &count), HIF_ENOSPC);
        assert_ok(env->ops->space(env, "/", &free_bytes, &total_bytes));
        assert_int_equal(free_bytes, 0);
}

/* A share of the reads that may not wait would have to, and some are short; no byte is wrong. */
static void nowait_misses_are_a_share(void **state)
{
        struct simenv *sim = *state;
        struct env *env = simenv_env(sim);
        int fd = open_at(sim, "/f", O_RDWR | O_CREAT);
        static char bytes[3 * 4096], back[3 * 4096];
        int misses = 0, shorts = 0;

        memset(bytes, 'x', sizeof(bytes));
        assert_ok(env_write_all(env, fd, bytes, sizeof(bytes), 0));
        simenv_set_nowait_misses(sim, 30);
        for (int i = 0; i < 1000; i++) {
                size_t count = 0;
                enum hif_err err = env->ops->pread_nowait(env, fd, back, sizeof(back), 0, &count);

                if (err == HIF_EAGAIN) {
                        misses++;
                        continue;
                }
                assert_ok(err);
                assert_true(count > 0);
                assert_memory_equal(back, bytes, count);
                shorts += count < sizeof(back);
        }
        assert_true(misses > 200 && misses < 400);
        assert_true(shorts > 100 && shorts < 300);
}

/* What a simulated disk does not have is refused, not ignored. */
static void what_is_not_simulated_is_refused(void **state)
{
        struct simenv *sim = *state;
        struct env *env = simenv_env(sim);
        int fd;

        assert_err(env->ops->open(env, "/", O_TMPFILE | O_RDWR, 0600, &fd), HIF_ENOTSUP);
        assert_err(env->ops->open(env, "/f", O_CREAT | O_APPEND | O_RDWR, 0600, &fd), HIF_ENOTSUP);
        assert_err(env->ops->mkdir(env, "/a/../b", 0700), HIF_EINVAL);
        assert_err(env->ops->rmdir(env, "/"), HIF_EBUSY);
        assert_err(env->ops->rename(env, "/", "/x"), HIF_EINVAL);
}

/* Where a huge file is sparse it costs only what is in it; truncating it is quick. */
static void huge_sparse_file_is_cheap(void **state)
{
        struct simenv *sim = *state;
        struct env *env = simenv_env(sim);
        int fd = open_at(sim, "/f", O_RDWR | O_CREAT);
        struct stat st;

        for (uint64_t i = 0; i < 1000; i++)
                write_at(sim, fd, "x", i << 30);
        assert_ok(env->ops->fsync(env, fd));
        assert_ok(env->ops->fstat(env, fd, &st));
        assert_int_equal(st.st_blocks, 1000 * 8);
        assert_ok(env->ops->ftruncate(env, fd, (uint64_t)1 << 39));
        assert_ok(env->ops->fstat(env, fd, &st));
        assert_int_equal(st.st_blocks, 512 * 8);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
            TEST(clocks_move_by_hand),
            TEST(randomness_comes_from_the_seed),
            TEST(descriptors_are_not_real),
            TEST(nth_call_fails),
            TEST(write_file_survives_any_failure),
            TEST(crash_fails_all_calls),
            TEST(crash_in_pwrite_leaves_some_pages),
            TEST(kill_keeps_writes_and_stores),
            TEST(stores_after_the_crash_are_lost),
            TEST(kill_closes_descriptors),
            TEST(capacity_is_a_limit),
            TEST(nowait_misses_are_a_share),
            TEST(what_is_not_simulated_is_refused),
            TEST(huge_sparse_file_is_cheap),
        };

        return cmocka_run_group_tests_name("simenv", tests, NULL, NULL);
}
