/* test_fuse_evicted.c - what the kernel still knows when the server has forgotten it. */
#include "tfuse.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define MANY      20000 /* more than vfs remembers */
#define RAM_BYTES (256u << 10)

static int setup_many(void **state)
{
        struct tfuse *t = tfuse_new();

        t->m->options.fetch.ram_max = RAM_BYTES;
        for (int i = 0; i < MANY; i++) {
                char name[64];

                snprintf(name, sizeof(name), "d%d/some-longer-name-%d", i % 100, i);
                tmount_add_text(t->m, name, "");
        }
        tmount_add_text(t->m, "a/one.txt", "one");
        tmount_add_text(t->m, "b/two.txt", "two");
        tfuse_mount(t);
        *state = t;
        return 0;
}

static int teardown(void **state)
{
        tfuse_free(*state);
        return 0;
}

struct job {
        pthread_t thread;
        char path[256];
        int fd;
        const char *text;
        ssize_t count;
};

static void *write_it(void *arg)
{
        struct job *job = arg;

        job->count = pwrite(job->fd, job->text, strlen(job->text), 0);
        return NULL;
}

static void *stat_it(void *arg)
{
        struct job *job = arg;
        struct stat st;

        job->count = stat(job->path, &st);
        return NULL;
}

static void parked(struct tfuse *t, void *arg)
{
        *(uint64_t *)arg = vfs_stats(t->m->vfs).parked;
}

/* Run it on a thread; it is the count-th that waits. */
static void start(struct tfuse *t, struct job *job, void *(*run)(void *arg), uint64_t count)
{
        uint64_t now = 0;

        assert_int_equal(pthread_create(&job->thread, NULL, run, job), 0);
        for (int i = 0; i < 60000 && now < count; i++) {
                tfuse_on_loop(t, parked, &now);
                usleep(1000);
        }
        assert_int_equal(now, count);
}

static void hold_nodes(struct tfuse *t)
{
        struct store_fault_rule hold = {.op = STORE_GET,
                                        .key_contains = "/trees/",
                                        .count = UINT64_MAX,
                                        .fault = STORE_FAULT_HOLD};

        assert_int_equal(store_fault_add(t->m->store, &hold), HIF_OK);
}

static void let_go(struct tfuse *t)
{
        store_fault_clear(t->m->store);
        store_fault_deliver(t->m->store);
}

/* Lookups that wait for nodes of the tree keep their names, whatever comes after them. */
static void lookups_that_wait_keep_their_names(void **state)
{
        struct tfuse *t = *state;
        struct job one = {.count = -1}, two = {.count = -1};
        struct stat st;

        assert_int_equal(stat(tfuse_path(t, "d7"), &st), 0);
        assert_int_equal(stat(tfuse_path(t, "d70"), &st), 0);
        snprintf(one.path, sizeof(one.path), "%s/d7/some-longer-name-7", t->root);
        snprintf(two.path, sizeof(two.path), "%s/d70/some-longer-name-10070", t->root);
        hold_nodes(t);
        start(t, &one, stat_it, 1);
        start(t, &two, stat_it, 2);
        let_go(t);
        pthread_join(one.thread, NULL);
        pthread_join(two.thread, NULL);
        assert_int_equal(one.count, 0);
        assert_int_equal(two.count, 0);
}

/* Writes to open files wait for nodes of the tree, and keep their bytes meanwhile. */
static void writes_that_wait_keep_their_bytes(void **state)
{
        struct tfuse *t = *state;
        struct job one = {.text = "ONE"}, two = {.text = "TWO TWO"};
        char got[16] = "";
        struct stat st;

        one.fd = open(tfuse_path(t, "a/one.txt"), O_RDWR | O_CLOEXEC);
        two.fd = open(tfuse_path(t, "b/two.txt"), O_RDWR | O_CLOEXEC);
        assert_true(one.fd >= 0 && two.fd >= 0);
        for (int i = 0; i < MANY; i++) {
                char name[64];

                snprintf(name, sizeof(name), "d%d/some-longer-name-%d", i % 100, i);
                assert_int_equal(stat(tfuse_path(t, name), &st), 0);
        }
        hold_nodes(t);
        start(t, &one, write_it, 1);
        start(t, &two, write_it, 2);
        let_go(t);
        pthread_join(one.thread, NULL);
        pthread_join(two.thread, NULL);
        assert_int_equal(one.count, 3);
        assert_int_equal(two.count, 7);
        assert_int_equal(pread(one.fd, got, sizeof(got), 0), 3);
        assert_memory_equal(got, "ONE", 3);
        assert_int_equal(pread(two.fd, got, sizeof(got), 0), 7);
        assert_memory_equal(got, "TWO TWO", 7);
        close(one.fd);
        close(two.fd);
}

/* --- a clock that the test moves --- */

struct shifted {
        struct env_ops ops; /* first */
        const struct env_ops *real;
        atomic_uint_fast64_t by_ns;
};

static uint64_t shifted_mono_ns(struct env *env)
{
        struct shifted *shifted = (struct shifted *)(uintptr_t)env->ops;

        return shifted->real->mono_ns(env) + atomic_load(&shifted->by_ns);
}

static void has_row(struct tfuse *t, void *arg)
{
        uint64_t *id = arg;

        if (overlay_node(t->m->overlay, *id) == NULL)
                *id = NODEID_NONE;
}

/* Past the time of grace, is the row of this node still there? */
static bool survives(struct tfuse *t, struct shifted *clock, uint64_t id)
{
        atomic_fetch_add(&clock->by_ns, 2 * VFS_REMOVED_GRACE_MS * 1000000ull);
        for (int i = 0; i < 3; i++) {
                uint64_t it = id;

                tfuse_on_loop(t, has_row, &it);
                if (it == NODEID_NONE)
                        return false;
        }
        return true;
}

/* A removed file lives for as long as it is open or mapped, not for a time. */
static void open_files_outlive_the_time_of_grace(void **state)
{
        struct shifted clock = {.by_ns = 0};
        struct tfuse *t = tfuse_new();
        char got[8];
        struct stat st;
        int fd, again;

        *state = t;
        clock.real = t->m->real.ops;
        clock.ops = *clock.real;
        clock.ops.mono_ns = shifted_mono_ns;
        t->m->real.ops = &clock.ops;
        tfuse_mount(t);
        fd = open(tfuse_path(t, "made"), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
        assert_int_equal(write(fd, "made", 4), 4);
        again = open(t->path, O_RDONLY | O_DIRECT | O_CLOEXEC);
        assert_true(again >= 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(unlink(t->path), 0);
        assert_true(survives(t, &clock, st.st_ino));
        close(fd);
        usleep(20000);
        assert_true(survives(t, &clock, st.st_ino));
        assert_int_equal(pread(again, got, 4, 0), 4);
        assert_memory_equal(got, "made", 4);
        close(again);
        for (int i = 0; i < 60000 && survives(t, &clock, st.st_ino); i++)
                usleep(1000); /* RELEASE comes by itself */
        assert_false(survives(t, &clock, st.st_ino));
        tfuse_unmount(t);
        t->m->real.ops = clock.real;
        tfuse_free(t);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(lookups_that_wait_keep_their_names, setup_many,
                                            teardown),
            cmocka_unit_test_setup_teardown(writes_that_wait_keep_their_bytes, setup_many,
                                            teardown),
            cmocka_unit_test(open_files_outlive_the_time_of_grace),
        };

        return cmocka_run_group_tests_name("fuse: what was forgotten", tests, NULL, NULL);
}
