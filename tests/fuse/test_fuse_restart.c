/* test_fuse_restart.c - a FUSE mount outlives its server: kill -9 at any moment, and the next one
 * goes on where it was. */
#include "tkill.h"

#include "fuse/ledger.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int setup(void **state)
{
        *state = tkill_new();
        return 0;
}

static int teardown(void **state)
{
        tkill_free(*state);
        return 0;
}

static void restart(struct tkill *t)
{
        tkill_kill(t);
        assert_int_equal(tkill_start(t), HIF_OK);
}

static void expect_text(int fd, const char *text)
{
        char got[64] = "";

        assert_true(pread(fd, got, sizeof(got) - 1, 0) >= 0);
        assert_string_equal(got, text);
}

static uint64_t inode_of(struct tkill *t, const char *name)
{
        struct stat st;

        assert_int_equal(stat(tkill_path(t, name), &st), 0);
        return st.st_ino;
}

/* Files that are open, also one without a name, a directory that someone stands in, and what is
 * mapped, are what they were. */
static void what_is_in_use_goes_on(void **state)
{
        struct tkill *t = *state;
        int base = open(tkill_path(t, "a.txt"), O_RDONLY | O_CLOEXEC);
        int made = open(tkill_path(t, "made"), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        int nameless = open(tkill_path(t, "nameless"), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        int here = open(tkill_path(t, "dir"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        uint64_t inode = inode_of(t, "dir/b.txt");
        struct stat st;
        char *mapped;

        assert_true(base >= 0 && made >= 0 && nameless >= 0 && here >= 0);
        assert_int_equal(write(made, "one", 3), 3);
        assert_int_equal(write(nameless, "kept", 4), 4);
        assert_int_equal(unlink(tkill_path(t, "nameless")), 0);
        mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, made, 0);
        assert_true(mapped != MAP_FAILED);
        mapped[0] = 'O';
        for (int i = 0; i < 3; i++) {
                restart(t);
                assert_int_equal(t->shared->held, 3);
                expect_text(base, "a\n");
                expect_text(nameless, "kept");
                assert_int_equal(pwrite(made, "two", 3, 3), 3);
                mapped[1] = 'N';
                assert_int_equal(fsync(made), 0);
                expect_text(made, "ONetwo");
                assert_int_equal(fstatat(here, "b.txt", &st, 0), 0);
                assert_int_equal(st.st_ino, inode);
                assert_int_equal(inode_of(t, "dir/b.txt"), inode);
        }
        munmap(mapped, 4096);
        close(base), close(made), close(nameless), close(here);
        assert_int_equal(access(tkill_path(t, "nameless"), F_OK), -1);
}

/* --- requests that a server had read, and not answered --- */

struct call {
        pthread_t thread;
        int (*run)(const char *root);
        char root[64];
        int result, error;
        atomic_bool done;
};

static void *run_call(void *arg)
{
        struct call *call = arg;

        call->result = call->run(call->root);
        call->error = errno;
        call->done = true;
        return NULL;
}

static void begin(struct tkill *t, struct call *call, int (*run)(const char *root))
{
        call->run = run;
        call->done = false;
        snprintf(call->root, sizeof(call->root), "%s", t->root);
        assert_int_equal(pthread_create(&call->thread, NULL, run_call, call), 0);
}

static int end(struct call *call)
{
        pthread_join(call->thread, NULL);
        return call->result == 0 ? 0 : call->error;
}

static char *in(const char *root, const char *name, char path[256])
{
        snprintf(path, 256, "%s/%s", root, name);
        return path;
}

static int read_cold(const char *root)
{
        char path[256], got[16] = "";
        int fd = open(in(root, "cold.txt", path), O_RDONLY | O_CLOEXEC);
        bool right = fd >= 0 && read(fd, got, sizeof(got)) == 5 && strcmp(got, "cold\n") == 0;

        if (fd >= 0)
                close(fd);
        return right ? 0 : -1;
}

static void catch (int signal)
{
        (void)signal;
}

static void wait_for(struct tkill *t, uint32_t opcode, uint32_t flags)
{
        for (int i = 0; tkill_waiting(t, opcode, flags) == 0; i++) {
                assert_true(i < 60000);
                usleep(1000);
        }
}

/* A request leaves the list after its answer: whoever got that may be faster. */
static void expect_none_waits(struct tkill *t)
{
        for (int i = 0; tkill_waiting(t, 0, 0) > 0; i++) {
                assert_true(i < 60000);
                usleep(1000);
        }
}

/* A read waits for a store that does not answer. Its server dies; so does the next. A server whose
 * store answers gives the answer. */
static void who_waits_gets_the_answer_of_a_later_server(void **state)
{
        struct tkill *t = *state;
        struct call call;

        strcpy(t->shared->cold, "/blobs/");
        restart(t);
        begin(t, &call, read_cold);
        wait_for(t, FUSE_READ, 0);
        restart(t);
        assert_int_equal(tkill_waiting(t, FUSE_READ, 0), 1);
        tkill_kill(t);
        t->shared->cold[0] = '\0';
        assert_int_equal(tkill_start(t), HIF_OK);
        assert_int_equal(end(&call), 0);
        expect_none_waits(t);
}

/* The same when the server ends by itself, as for an upgrade. */
static void who_waits_is_left_to_the_successor(void **state)
{
        struct tkill *t = *state;
        struct call call;
        int fd = open(tkill_path(t, "a.txt"), O_RDONLY | O_CLOEXEC);

        strcpy(t->shared->cold, "/blobs/");
        restart(t);
        begin(t, &call, read_cold);
        wait_for(t, FUSE_READ, 0);
        tkill_leave(t);
        assert_int_equal(tkill_waiting(t, FUSE_READ, 0), 1);
        t->shared->cold[0] = '\0';
        assert_int_equal(tkill_start(t), HIF_OK);
        assert_int_equal(end(&call), 0);
        expect_text(fd, "a\n");
        close(fd);
}

/* Who is killed while it waits ends, though the server that had heard of the signal is dead. */
static void who_is_killed_ends_under_the_next_server(void **state)
{
        struct tkill *t = *state;
        struct pollfd gone;
        struct stat st;
        pid_t pid;

        strcpy(t->shared->cold, "/trees/");
        restart(t);
        pid = fork();
        if (pid == 0) {
                signal(SIGUSR2, catch);
                _exit(stat(tkill_path(t, "dir/b.txt"), &st) == 0 ? 0 : 1);
        }
        wait_for(t, 0, 0);
        kill(pid, SIGUSR2); /* not deadly, and the only one that the kernel tells of */
        wait_for(t, 0, LEDGER_INTERRUPTED);
        tkill_kill(t);
        kill(pid, SIGKILL);
        assert_int_equal(tkill_start(t), HIF_OK);
        gone = (struct pollfd){.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
        assert_int_equal(poll(&gone, 1, 60000), 1);
        close(gone.fd);
        waitpid(pid, NULL, 0);
        expect_none_waits(t);
}

/* --- changes happen once --- */

static int do_mkdir(const char *root)
{
        char path[256];

        return mkdir(in(root, "new-dir", path), 0755);
}

static int do_create(const char *root)
{
        char path[256];
        int fd = open(in(root, "new-file", path), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        int result = fd >= 0 && write(fd, "x", 1) == 1 ? 0 : -1;

        if (fd >= 0)
                close(fd);
        return result;
}

static int do_mkfifo(const char *root)
{
        char path[256];

        return mkfifo(in(root, "new-fifo", path), 0644);
}

static int do_symlink(const char *root)
{
        char path[256];

        return symlink("a.txt", in(root, "new-link", path));
}

static int do_link(const char *root)
{
        char from[256], path[256];

        return link(in(root, "a.txt", from), in(root, "new-name", path));
}

static int do_rename(const char *root)
{
        char from[256], path[256];

        return rename(in(root, "new-file", from), in(root, "renamed", path));
}

static int do_unlink(const char *root)
{
        char path[256];

        return unlink(in(root, "renamed", path));
}

static int do_rmdir(const char *root)
{
        char path[256];

        return rmdir(in(root, "new-dir", path));
}

static int do_open_twice(const char *root)
{
        char path[256];
        int one = open(in(root, "a.txt", path), O_RDONLY | O_CLOEXEC);
        int two = open(path, O_RDONLY | O_CLOEXEC);

        return one >= 0 && two >= 0 && close(one) == 0 && close(two) == 0 ? 0 : -1;
}

static void restarts_if_dead(struct tkill *t, int timeout_ms)
{
        if (!tkill_dies(t, timeout_ms))
                return;
        tkill_arm(t, -1, false);
        assert_int_equal(tkill_start(t), HIF_OK);
}

/* RELEASE is not waited for by close(2). */
static void expect_closed(struct tkill *t)
{
        for (int i = 0; tkill_open(t) > 0; i++) {
                assert_true(i < 60000);
                usleep(1000);
        }
}

/* Each kind of change, with the server dying at each of the replies that it takes, before that and
 * after it: it succeeds, once, and nothing is left. */
static void a_change_is_made_once(void **state)
{
        static int (*const changes[])(const char *root) = {
            do_mkdir,  do_create, do_mkfifo, do_symlink,    do_link,
            do_rename, do_unlink, do_rmdir,  do_open_twice,
        };
        struct tkill *t = *state;

        for (int at = 1; at <= 3; at++) {
                for (int after = 0; after < 2; after++) {
                        char path[256];

                        for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
                                struct call call;

                                tkill_arm(t, at, after);
                                begin(t, &call, changes[i]);
                                while (!call.done)
                                        restarts_if_dead(t, 5);
                                if (tkill_disarm(t))
                                        restarts_if_dead(t, 20000);
                                assert_int_equal(end(&call), 0);
                                expect_closed(t);
                        }
                        assert_int_equal(unlink(in(t->root, "new-fifo", path)), 0);
                        assert_int_equal(unlink(in(t->root, "new-link", path)), 0);
                        assert_int_equal(unlink(in(t->root, "new-name", path)), 0);
                        expect_none_waits(t);
                }
        }
}

/* --- what can not be followed --- */

/* It was unmounted while no server ran. */
static void a_mount_that_is_gone_is_not_resumed(void **state)
{
        struct tkill *t = *state;

        tkill_kill(t);
        assert_int_equal(umount2(t->root, MNT_DETACH), 0);
        assert_int_equal(tkill_start(t), HIF_ENOENT);
}

/* A note that is cut anywhere, or of another version; an answer that we would not give. */
static void a_server_of_another_kind_is_not_followed(void **state)
{
        struct tkill *t = *state;
        uint32_t size = t->shared->note_size;
        const uint32_t cuts[] = {0, 3, 7, 20, 27, 31, 60, size - 5, size - 1};
        uint8_t *bytes = t->shared->note;

        tkill_kill(t);
        for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
                t->shared->note_size = cuts[i];
                assert_int_equal(tkill_start(t), HIF_ECORRUPT);
        }
        t->shared->note_size = size;
        bytes[4] ^= 2;
        assert_int_equal(tkill_start(t), HIF_EUNSUPPORTED);
        bytes[4] ^= 2;
        bytes[size - 30] ^= 1;
        assert_int_equal(tkill_start(t), HIF_EUNSUPPORTED);
        bytes[size - 30] ^= 1;
        assert_int_equal(tkill_start(t), HIF_OK);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(what_is_in_use_goes_on, setup, teardown),
            cmocka_unit_test_setup_teardown(who_waits_gets_the_answer_of_a_later_server, setup,
                                            teardown),
            cmocka_unit_test_setup_teardown(who_waits_is_left_to_the_successor, setup, teardown),
            cmocka_unit_test_setup_teardown(who_is_killed_ends_under_the_next_server, setup,
                                            teardown),
            cmocka_unit_test_setup_teardown(a_change_is_made_once, setup, teardown),
            cmocka_unit_test_setup_teardown(a_mount_that_is_gone_is_not_resumed, setup, teardown),
            cmocka_unit_test_setup_teardown(a_server_of_another_kind_is_not_followed, setup,
                                            teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
