/* test_fuse_server.c - mounting and unmounting, cold reads, killed readers, changes from behind. */
#include "tfuse.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEADLINE_MS 700

static int setup(void **state)
{
        struct tfuse *t = tfuse_new();

        t->m->options.vfs.fault_deadline_ms = DEADLINE_MS;
        tmount_add_text(t->m, "a.txt", "a\n");
        tmount_add_text(t->m, "warm.txt", "warm\n");
        tmount_add_text(t->m, "dir/b.txt", "b\n");
        tfuse_mount(t);
        *state = t;
        return 0;
}

static int teardown(void **state)
{
        struct tfuse *t = *state;

        store_fault_clear(t->m->store);
        store_fault_deliver(t->m->store);
        tfuse_free(t);
        return 0;
}

static int read_text(struct tfuse *t, const char *name, char *out, size_t size)
{
        int fd = open(tfuse_path(t, name), O_RDONLY | O_CLOEXEC);
        ssize_t count = fd < 0 ? -1 : read(fd, out, size - 1);
        int err = errno;

        if (fd >= 0)
                close(fd);
        if (count < 0)
                return err;
        out[count] = '\0';
        return 0;
}

static void expect_text(struct tfuse *t, const char *name, const char *text)
{
        char got[256] = "";

        assert_int_equal(read_text(t, name, got, sizeof(got)), 0);
        assert_string_equal(got, text);
}

static void add_fault(struct tfuse *t, const char *key, enum store_fault fault)
{
        struct store_fault_rule rule = {
            .op = STORE_GET, .key_contains = key, .count = UINT64_MAX, .fault = fault};

        assert_int_equal(store_fault_add(t->m->store, &rule), HIF_OK);
}

static bool waits(struct tfuse *t, size_t count)
{
        for (int i = 0; i < 60000; i++) {
                if (store_fault_waiting(t->m->store) >= count)
                        return true;
                usleep(1000);
        }
        return false;
}

struct cold_reader {
        pthread_t thread;
        char path[512];
        char got[64];
        ssize_t count;
        int err;
};

static void *read_it(void *arg)
{
        struct cold_reader *reader = arg;
        int fd = open(reader->path, O_RDONLY | O_CLOEXEC);

        reader->count = fd < 0 ? -1 : read(fd, reader->got, sizeof(reader->got));
        reader->err = errno;
        if (fd >= 0)
                close(fd);
        return NULL;
}

static void stats_of(struct tfuse *t, void *arg)
{
        *(struct vfs_stats *)arg = vfs_stats(t->m->vfs);
}

static bool parks(struct tfuse *t, uint64_t count)
{
        struct vfs_stats stats;

        for (int i = 0; i < 60000; i++) {
                tfuse_on_loop(t, stats_of, &stats);
                if (stats.parked >= count)
                        return true;
                usleep(1000);
        }
        return false;
}

static void start_reader(struct tfuse *t, struct cold_reader *reader, const char *name)
{
        snprintf(reader->path, sizeof(reader->path), "%s/%s", t->root, name);
        assert_int_equal(pthread_create(&reader->thread, NULL, read_it, reader), 0);
}

/* --- cold --- */

/* A read of what is not there yet waits, and holds nobody else up; then it is answered. */
static void cold_reads_wait_alone(void **state)
{
        struct tfuse *t = *state;
        struct cold_reader reader;
        int fd;

        /* Nothing was read before: a first read brings the small files beside it, too. */
        add_fault(t, "/blobs/", STORE_FAULT_HOLD);
        start_reader(t, &reader, "a.txt");
        assert_true(waits(t, 1));
        assert_int_equal(mkdir(tfuse_path(t, "made"), 0700), 0);
        fd = open(tfuse_path(t, "made/here"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, "w\n", 2), 2);
        assert_int_equal(close(fd), 0);
        expect_text(t, "made/here", "w\n");
        store_fault_clear(t->m->store);
        store_fault_deliver(t->m->store);
        pthread_join(reader.thread, NULL);
        assert_int_equal(reader.count, 2);
        assert_memory_equal(reader.got, "a\n", 2);
}

/* The first looks into a mount wait for the tree, and then go on by themselves. */
static void first_looks_wait_for_the_tree(void **state)
{
        struct tfuse *t = *state;
        struct cold_reader first, second;

        tfuse_unmount(t);
        add_fault(t, "/trees/", STORE_FAULT_HOLD);
        tfuse_mount(t);
        start_reader(t, &first, "dir/b.txt");
        assert_true(parks(t, 1));
        start_reader(t, &second, "warm.txt");
        assert_true(parks(t, 2));
        store_fault_clear(t->m->store);
        store_fault_deliver(t->m->store);
        pthread_join(first.thread, NULL);
        pthread_join(second.thread, NULL);
        assert_int_equal(first.count, 2);
        assert_memory_equal(first.got, "b\n", 2);
        assert_int_equal(second.count, 5);
        assert_memory_equal(second.got, "warm\n", 5);
}

/* When the store does not answer in time, the reader gets EIO, not a hang. */
static void reads_past_the_deadline_fail(void **state)
{
        struct tfuse *t = *state;
        char got[16];

        add_fault(t, "/blobs/", STORE_FAULT_HOLD);
        assert_int_equal(read_text(t, "a.txt", got, sizeof(got)), EIO);
        store_fault_clear(t->m->store);
        store_fault_deliver(t->m->store);
        expect_text(t, "a.txt", "a\n");
}

static void ignore(int signal_number)
{
        (void)signal_number;
}

/* A killed caller dies at once, though nothing answers it; other signals do not show as EINTR. */
static void killed_callers_die(void **state)
{
        struct tfuse *t = *state;
        int status;
        pid_t pid;

        t->m->options.vfs.fault_deadline_ms = 20000;
        tfuse_unmount(t);
        add_fault(t, "/trees/", STORE_FAULT_HOLD);
        tfuse_mount(t);
        tfuse_path(t, "a.txt");
        pid = fork();
        if (pid == 0) {
                signal(SIGUSR1, ignore);
                _exit(access(t->path, F_OK) == 0 ? 0 : 1);
        }
        assert_true(pid > 0);
        assert_true(parks(t, 1));
        assert_int_equal(kill(pid, SIGUSR1), 0);
        usleep(20000);
        assert_true(parks(t, 1));
        assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
        assert_int_equal(kill(pid, SIGKILL), 0);
        for (int i = 0; i < 10000; i++) {
                if (waitpid(pid, &status, WNOHANG) == pid) {
                        assert_true(WIFSIGNALED(status));
                        return;
                }
                usleep(1000);
        }
        fail_msg("the caller lives on");
}

/* --- changes from behind the kernel's back --- */

struct told {
        struct fuse_told told; /* first */
        sem_t done;
};

static void told(struct fuse_told *it)
{
        sem_post(&((struct told *)it)->done);
}

struct behind {
        struct told told;
        uint64_t ids[2];
        struct fuse_name name;
};

static void change_content(struct tfuse *t, void *arg)
{
        (void)arg;
        assert_int_equal(tmount_write(t->m, "a.txt", 0, "A", 1, false), HIF_OK);
}

static void change_names(struct tfuse *t, void *arg)
{
        (void)arg;
        assert_int_equal(tmount_rename(t->m, "warm.txt", "dir/later.txt"), HIF_OK);
}

static void tell(struct tfuse *t, void *arg)
{
        struct behind *behind = arg;

        assert_true(fuse_server_invalidate(t->server, behind->ids, 2));
        assert_true(fuse_server_invalidate_names(t->server, &behind->name, 1));
        assert_int_equal(fuse_server_when_told(t->server, &behind->told.told), HIF_OK);
}

static void tell_and_wait(struct tfuse *t, struct behind *behind)
{
        behind->told.told.done = told;
        sem_init(&behind->told.done, 0, 0);
        tfuse_on_loop(t, tell, behind);
        while (sem_wait(&behind->told.done) != 0)
                ;
        sem_destroy(&behind->told.done);
}

/* The kernel keeps content until it is told; then it shows the new one. */
static void content_is_kept_until_told(void **state)
{
        struct tfuse *t = *state;
        struct behind behind = {.name = {1, span_str("none")}};
        struct stat st;

        expect_text(t, "a.txt", "a\n");
        assert_int_equal(stat(tfuse_path(t, "a.txt"), &st), 0);
        behind.ids[0] = behind.ids[1] = st.st_ino;
        tfuse_on_loop(t, change_content, NULL);
        expect_text(t, "a.txt", "a\n");
        tell_and_wait(t, &behind);
        expect_text(t, "a.txt", "A\n");
}

/* Names too, those that were not there as well. */
static void names_are_kept_until_told(void **state)
{
        struct tfuse *t = *state;
        struct behind behind = {.ids = {NODEID_ROOT}};
        struct stat st;

        expect_text(t, "warm.txt", "warm\n");
        assert_int_equal(access(tfuse_path(t, "dir/later.txt"), F_OK), -1);
        assert_int_equal(stat(tfuse_path(t, "dir"), &st), 0);
        tfuse_on_loop(t, change_names, NULL);
        assert_int_equal(access(tfuse_path(t, "dir/later.txt"), F_OK), -1);
        behind.ids[1] = st.st_ino;
        behind.name = (struct fuse_name){st.st_ino, span_str("later.txt")};
        tell_and_wait(t, &behind);
        expect_text(t, "dir/later.txt", "warm\n");
        behind.name = (struct fuse_name){NODEID_ROOT, span_str("warm.txt")};
        tell_and_wait(t, &behind);
        assert_int_equal(access(tfuse_path(t, "warm.txt"), F_OK), -1);
}

/* --- mounting --- */

static void expect_refused(struct tfuse *t, const char *mount_point, enum hif_err expected,
                           const char *word)
{
        struct fuse_server_config config = {.mount_point = mount_point, .name = "hif:acme/app"};
        struct fuse_server *server = NULL;
        struct hif_why why = {""};

        assert_int_equal(fuse_server_new(t->m->vfs, &config, &server, &why), expected);
        assert_null(server);
        if (strstr(why.text, word) == NULL || strstr(why.text, mount_point) == NULL)
                fail_msg("'%s' says neither %s nor %s", why.text, word, mount_point);
}

/* What can not be mounted on is refused with a sentence that names it and the reason. */
static void bad_mount_points_are_refused(void **state)
{
        struct tfuse *t = *state;
        char dir[] = "/tmp/hif-tfuse-XXXXXX", path[128];
        int fd;

        assert_non_null(mkdtemp(dir));
        snprintf(path, sizeof(path), "%s/x", dir);
        expect_refused(t, path, HIF_ENOENT, "no such file");
        fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        close(fd);
        expect_refused(t, path, HIF_ENOTDIR, "directory");
        expect_refused(t, dir, HIF_ENOTEMPTY, "not empty");
        expect_refused(t, t->root, HIF_EBUSY, "already");
        snprintf(path, sizeof(path), "%s/dir", t->root);
        expect_refused(t, path, HIF_EBUSY, "inside another mount");
        snprintf(path, sizeof(path), "%s/x", dir);
        unlink(path);
        rmdir(dir);
}

static bool is_gone(struct tfuse *t)
{
        for (int i = 0; i < 60000; i++) {
                if (__atomic_load_n(&t->gone, __ATOMIC_ACQUIRE))
                        return true;
                usleep(1000);
        }
        return false;
}

/* umount(8) by the user is told, once; the workspace can be mounted again. */
static void unmounts_by_others_are_told(void **state)
{
        struct tfuse *t = *state;

        expect_text(t, "a.txt", "a\n");
        assert_int_equal(umount2(t->root, 0), 0);
        assert_true(is_gone(t));
        tfuse_unmount(t);
        tfuse_mount(t);
        expect_text(t, "a.txt", "a\n");
}

/* Unmounting goes through while files are open and a read waits: they get errors, nothing hangs. */
static void busy_mounts_are_detached(void **state)
{
        struct tfuse *t = *state;
        int fd = open(tfuse_path(t, "dir/b.txt"), O_RDONLY | O_CLOEXEC);
        struct cold_reader reader;
        struct stat st;
        char byte;

        assert_true(fd >= 0);
        add_fault(t, "/blobs/", STORE_FAULT_HOLD);
        start_reader(t, &reader, "a.txt");
        assert_true(waits(t, 1));
        tmount_join(t->m);
        fuse_server_free(t->server);
        t->server = NULL;
        pthread_join(reader.thread, NULL);
        assert_int_equal(reader.count, -1);
        assert_int_equal(pread(fd, &byte, 1, 0), -1);
        close(fd);
        store_fault_clear(t->m->store);
        store_fault_deliver(t->m->store);
        assert_int_equal(stat(t->root, &st), 0); /* the plain directory again */
}

static void close_all(struct tfuse *t, void *arg)
{
        (void)arg;
        fuse_server_free(t->server);
        t->server = NULL;
        vfs_close(t->m->vfs);
        t->m->vfs = NULL;
}

/* A workspace closes within a turn of its loop while a fetch and a sync are on their way: others
 * live on that loop. */
static void workspaces_close_while_things_are_on_their_way(void **state)
{
        struct tfuse *t = *state;
        struct cold_reader reader;
        int fd = open(tfuse_path(t, "new"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, "x", 1), 1);
        close(fd);
        add_fault(t, "/blobs/", STORE_FAULT_HOLD);
        start_reader(t, &reader, "a.txt");
        assert_true(waits(t, 1));
        tfuse_on_loop(t, close_all, NULL);
        pthread_join(reader.thread, NULL);
        assert_int_equal(reader.count, -1);
        store_fault_clear(t->m->store);
        store_fault_deliver(t->m->store);
        tfuse_close_rest(t);
        tfuse_mount(t);
        expect_text(t, "new", "x");
}

/* A read-only mount answers EROFS. */
static void read_only_mounts_refuse_changes(void **state)
{
        struct tfuse *t = *state;

        tfuse_unmount(t);
        t->m->options.vfs.read_only = true;
        t->read_only = true;
        tfuse_mount(t);
        expect_text(t, "a.txt", "a\n");
        assert_int_equal(mkdir(tfuse_path(t, "x"), 0700), -1);
        assert_int_equal(errno, EROFS);
        assert_int_equal(open(tfuse_path(t, "a.txt"), O_RDWR), -1);
        assert_int_equal(errno, EROFS);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
            TEST(cold_reads_wait_alone),
            TEST(first_looks_wait_for_the_tree),
            TEST(reads_past_the_deadline_fail),
            TEST(killed_callers_die),
            TEST(content_is_kept_until_told),
            TEST(names_are_kept_until_told),
            TEST(bad_mount_points_are_refused),
            TEST(unmounts_by_others_are_told),
            TEST(busy_mounts_are_detached),
            TEST(workspaces_close_while_things_are_on_their_way),
            TEST(read_only_mounts_refuse_changes),
        };

        return cmocka_run_group_tests_name("fuse: server", tests, NULL, NULL);
}
