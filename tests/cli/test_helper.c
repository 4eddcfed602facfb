/* What a server may have done for it by children of its supervisor, and what not. The tests run as root,
 * with a supervisor of a few lines. */
#include "cli/mounts.h"
#include "cli/supervisor/helper.h"
#include "cli/supervisor/helper_fork.h"
#include "cli/supervisor/hold.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
        char dir[64];
        char point[96]; /* an empty directory */
        int socket;     /* the supervisor's end */
        pthread_t supervisor;
        struct hold *hold;
        struct hif_why why;
};

/* Until the server is gone. */
static void *supervise(void *arg)
{
        struct fixture *f = arg;
        static uint8_t buffer[WIRE_SIZE_MAX];
        struct wire_msg msg, done = {.kind = WIRE_DONE, .fd = -1};
        pid_t pid;

        while (wire_receive(f->socket, buffer, &msg) == HIF_OK) {
                enum hif_err err = helper_start(f->dir, msg.note, msg.fd, &pid);

                close(msg.fd);
                done.value = err == HIF_OK ? 0 : EAGAIN;
                if (wire_send(f->socket, &done) != HIF_OK)
                        break;
        }
        return NULL;
}

static void start_supervisor(struct fixture *f, int *server_end)
{
        int ends[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
        f->socket = ends[0];
        *server_end = ends[1];
        assert_int_equal(pthread_create(&f->supervisor, NULL, supervise, f), 0);
}

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));
        int end;

        assert_int_equal(geteuid(), 0);
        strcpy(f->dir, "/tmp/hif-helper-XXXXXX");
        assert_non_null(mkdtemp(f->dir));
        snprintf(f->point, sizeof(f->point), "%s/point", f->dir);
        assert_int_equal(mkdir(f->point, 0700), 0);
        start_supervisor(f, &end);
        assert_int_equal(hold_new(end, &f->hold), HIF_OK);
        *state = f;
        return 0;
}

/* All children end: nothing is left of them. */
static int teardown(void **state)
{
        struct fixture *f = *state;

        hold_free(f->hold);
        pthread_join(f->supervisor, NULL);
        close(f->socket);
        while (wait(NULL) > 0)
                continue;
        rmdir(f->point);
        assert_int_equal(rmdir(f->dir), 0);
        free(f);
        return 0;
}

static enum hif_err ask(struct fixture *f, const struct help_request *request, int *fd)
{
        f->why = (struct hif_why){0};
        return help_ask(f->hold, request, fd, &f->why);
}

static enum hif_err mount_at(struct fixture *f, const char *path, const char *name, int *fd)
{
        return ask(f,
                   &(struct help_request){.op = HELP_MOUNT_FUSE, .mount_point = path, .name = name},
                   fd);
}

static enum hif_err unmount_at(struct fixture *f, const char *path, enum help_op how)
{
        return ask(f, &(struct help_request){.op = how, .mount_point = path}, NULL);
}

struct seen {
        const char *path;
        char line[256];
};

static bool see(void *arg, const struct mount *mount)
{
        struct seen *seen = arg;

        if (strcmp(mount->path, seen->path) == 0)
                snprintf(seen->line, sizeof(seen->line), "%.*s %.*s", (int)mount->type.size,
                         (const char *)mount->type.data, (int)mount->source.size,
                         (const char *)mount->source.data);
        return true;
}

static void expect_mounted(const char *path, const char *line)
{
        struct env env = env_system(NULL);
        struct seen seen = {.path = path};

        assert_int_equal(mounts_each(&env, see, &seen), HIF_OK);
        assert_string_equal(seen.line, line);
}

static void it_mounts_and_unmounts(void **state)
{
        struct fixture *f = *state;
        struct stat st;
        int fd = -1;

        assert_int_equal(mount_at(f, f->point, "acme/app", &fd), HIF_OK);
        assert_int_equal(fstat(fd, &st), 0);
        assert_true(S_ISCHR(st.st_mode)); /* /dev/fuse */
        expect_mounted(f->point, "fuse.hif hif:acme/app");
        assert_int_equal(unmount_at(f, f->point, HELP_DETACH), HIF_OK);
        expect_mounted(f->point, "");
        assert_int_equal(unmount_at(f, f->point, HELP_UNMOUNT), HIF_OK); /* nothing is there */
        close(fd);
}

/* Where a mount would hide something, or is not where its path says, there is none. */
static void it_mounts_on_empty_directories_alone(void **state)
{
        struct fixture *f = *state;
        char path[128], long_path[5000];
        int fd = -1;

        assert_int_equal(mount_at(f, f->dir, "acme/app", &fd), HIF_ENOTEMPTY);
        assert_non_null(strstr(f->why.text, "is not empty"));
        assert_int_equal(mount_at(f, "/", "acme/app", &fd), HIF_EINVAL);
        assert_int_equal(mount_at(f, "/etc", "acme/app", &fd), HIF_ENOTEMPTY);
        assert_int_equal(mount_at(f, "relative", "acme/app", &fd), HIF_EINVAL);
        assert_int_equal(mount_at(f, "", "acme/app", &fd), HIF_EINVAL);
        snprintf(path, sizeof(path), "%s/../point", f->point);
        assert_int_equal(mount_at(f, path, "acme/app", &fd), HIF_EINVAL);
        snprintf(path, sizeof(path), "%s/none", f->dir);
        assert_int_equal(mount_at(f, path, "acme/app", &fd), HIF_ENOENT);
        assert_int_equal(symlink(f->point, path), 0);
        assert_int_equal(mount_at(f, path, "acme/app", &fd), HIF_ENOTDIR);
        assert_int_equal(unlink(path), 0);
        memset(long_path, 'p', sizeof(long_path) - 1);
        long_path[0] = '/';
        long_path[sizeof(long_path) - 1] = '\0';
        assert_int_equal(mount_at(f, long_path, "acme/app", &fd), HIF_EINVAL);
        assert_int_equal(mount_at(f, f->point, "", &fd), HIF_EINVAL);
        assert_int_equal(mount_at(f, f->point, "app", &fd), HIF_EINVAL);
        assert_int_equal(mount_at(f, f->point, "acme/..", &fd), HIF_EINVAL);
        assert_int_equal(fd, -1);
        expect_mounted(f->point, "");
}

/* By whatever word: what someone else has mounted stays. */
static void it_unmounts_nothing_else(void **state)
{
        static const enum help_op hows[] = {HELP_UNMOUNT, HELP_UNMOUNT_FORCE, HELP_DETACH};
        struct fixture *f = *state;

        assert_int_equal(mount("mine", f->point, "tmpfs", 0, NULL), 0);
        for (size_t i = 0; i < 3; i++) {
                assert_int_equal(unmount_at(f, f->point, hows[i]), HIF_EBUSY);
                assert_non_null(strstr(f->why.text, "is not hif's"));
        }
        expect_mounted(f->point, "tmpfs mine");
        assert_int_equal(umount(f->point), 0);
}

static int connect_to(int fd)
{
        struct sockaddr_in address;
        socklen_t size = sizeof(address);
        int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), result;

        assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
        assert_int_equal(ntohl(address.sin_addr.s_addr), INADDR_LOOPBACK);
        result = connect(client, (struct sockaddr *)&address, size) == 0 ? 0 : errno;
        close(client);
        return result;
}

/* A socket that is listened on in there cannot be reached from here. */
static void the_network_namespace_is_private(void **state)
{
        const struct help_request make = {.op = HELP_NETNS_MAKE}, take = {.op = HELP_NETNS_REMOVE};
        const struct help_request listen = {.op = HELP_LISTEN}, peers = {.op = HELP_PEERS};
        struct fixture *f = *state;
        char table[4096], line[32];
        struct sockaddr_in address;
        socklen_t size = sizeof(address);
        int fd = -1, peers_fd = -1;
        ssize_t count;

        assert_int_equal(ask(f, &listen, &fd), HIF_ENOENT);
        assert_int_equal(ask(f, &make, NULL), HIF_OK);
        assert_int_equal(ask(f, &make, NULL), HIF_OK); /* it is there */
        assert_int_equal(ask(f, &listen, &fd), HIF_OK);
        assert_int_equal(connect_to(fd), ECONNREFUSED);
        assert_int_equal(ask(f, &peers, &peers_fd), HIF_OK);
        count = read(peers_fd, table, sizeof(table) - 1);
        assert_true(count > 0);
        table[count] = '\0';
        assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
        snprintf(line, sizeof(line), "0100007F:%04X 00000000:0000 0A", ntohs(address.sin_port));
        assert_non_null(strstr(table, line)); /* it is the table in there */
        assert_int_equal(ask(f, &take, NULL), HIF_OK);
        assert_int_equal(ask(f, &take, NULL), HIF_OK); /* it is gone */
        assert_int_equal(ask(f, &listen, NULL), HIF_ENOENT);
        close(fd);
        close(peers_fd);
}

struct asking {
        struct fixture *f;
        const char *point;
        enum hif_err err;
};

static void *mount_below(void *arg)
{
        struct asking *asking = arg;
        const struct help_request request = {
            .op = HELP_MOUNT_FUSE, .mount_point = asking->point, .name = "acme/app"};
        struct hif_why why;
        int fd;

        asking->err = help_ask(asking->f->hold, &request, &fd, &why);
        return NULL;
}

/* A child that hangs, here in a mount that nobody serves, holds no other request up. */
static void one_that_hangs_holds_nobody(void **state)
{
        const struct help_request client = {.op = HELP_NFS_CLIENT};
        struct fixture *f = *state;
        char below[128];
        struct asking asking = {.f = f, .point = below};
        pthread_t thread;
        enum hif_err err;
        int fd = -1;

        assert_int_equal(mount_at(f, f->point, "acme/app", &fd), HIF_OK);
        snprintf(below, sizeof(below), "%s/below", f->point);
        assert_int_equal(pthread_create(&thread, NULL, mount_below, &asking), 0);
        usleep(100000);
        for (int i = 0; i < 3; i++) {
                err = ask(f, &client, NULL);
                assert_true(err == HIF_OK || err == HIF_ENOTSUP);
        }
        close(fd); /* the kernel ends what waits there */
        pthread_join(thread, NULL);
        assert_true(asking.err != HIF_OK && asking.err != HIF_ETIMEDOUT);
        assert_int_equal(unmount_at(f, f->point, HELP_UNMOUNT_FORCE), HIF_OK);
}

/* However many a server asks for: the supervisor has so many children and no more, until they end. */
static void those_that_hang_are_limited(void **state)
{
        struct fixture *f = *state;
        char below[128];
        const struct help_request request = {
            .op = HELP_MOUNT_FUSE, .mount_point = below, .name = "acme/app"};
        struct cli cli = {.paths.state_dir = f->dir};
        struct supervisor *supervisor = calloc(1, sizeof(*supervisor));
        struct wire_msg msg = {.kind = WIRE_HELP};
        struct buf bytes = {0};
        int fd = -1, ends[2];

        supervisor->cli = &cli;
        assert_int_equal(mount_at(f, f->point, "acme/app", &fd), HIF_OK);
        assert_true(wait(NULL) > 0);
        snprintf(below, sizeof(below), "%s/below", f->point);
        assert_int_equal(help_encode(&bytes, &request), HIF_OK);
        msg.note = buf_span(&bytes);
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
        msg.fd = ends[1];
        for (int i = 0; i < HELPERS_MAX; i++)
                assert_int_equal(supervisor_help(supervisor, &msg), HIF_OK);
        assert_int_equal(supervisor_help(supervisor, &msg), HIF_ELIMIT);
        close(fd); /* the kernel ends what waits there */
        for (int i = 0; i < 1000 && supervisor->helpers > 0; i++) {
                supervisor_reap_helpers(supervisor);
                usleep(10000);
        }
        assert_int_equal(supervisor->helpers, 0);
        assert_int_equal(supervisor_help(supervisor, &msg), HIF_OK);
        close(ends[0]);
        close(ends[1]);
        buf_free(&bytes);
        free(supervisor);
        assert_int_equal(unmount_at(f, f->point, HELP_UNMOUNT_FORCE), HIF_OK);
}

/* A server that dies in the middle gets no mount that nobody knows of. */
static void a_mount_that_nobody_waits_for_is_taken_back(void **state)
{
        const struct fixture *f = *state;
        const struct help_request request = {
            .op = HELP_MOUNT_FUSE, .mount_point = f->point, .name = "acme/app"};
        struct buf bytes = {0};
        int ends[2];

        assert_int_equal(help_encode(&bytes, &request), HIF_OK);
        for (int i = 0; i < 20; i++) {
                assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
                assert_int_equal(hold_help(f->hold, buf_span(&bytes), ends[1]), HIF_OK);
                close(ends[1]);
                close(ends[0]);
                assert_true(wait(NULL) > 0);
                expect_mounted(f->point, "");
        }
        buf_free(&bytes);
}

/* Nor one that dies with the answer in hand, before anything of it was recorded. */
static void a_mount_that_is_not_kept_is_taken_back(void **state)
{
        struct fixture *f = *state;
        const struct help_request request = {
            .op = HELP_MOUNT_FUSE, .mount_point = f->point, .name = "acme/app"};
        int fd = -1, end = -1;

        assert_int_equal(help_mount(f->hold, &request, &fd, &end, &f->why), HIF_OK);
        expect_mounted(f->point, "fuse.hif hif:acme/app");
        close(end);
        assert_true(wait(NULL) > 0);
        expect_mounted(f->point, "");
        close(fd);
        assert_int_equal(help_mount(f->hold, &request, &fd, &end, &f->why), HIF_OK);
        assert_int_equal(help_keep(end), HIF_OK);
        assert_true(wait(NULL) > 0);
        expect_mounted(f->point, "fuse.hif hif:acme/app");
        close(fd);
        assert_int_equal(unmount_at(f, f->point, HELP_DETACH), HIF_OK);
}

/* What is no request gets an answer, too. */
static void garbage_is_refused(void **state)
{
        static const char *const garbage[] = {"", "\xff", "\x02\xff", "mount /etc, please, now"};
        const struct fixture *f = *state;
        uint8_t *buffer = malloc(WIRE_SIZE_MAX);

        for (size_t i = 0; i < 4; i++) {
                struct wire_msg answer;
                int ends[2];

                assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
                assert_int_equal(hold_help(f->hold, span_str(garbage[i]), ends[1]), HIF_OK);
                close(ends[1]);
                assert_int_equal(wire_receive(ends[0], buffer, &answer), HIF_OK);
                assert_true(answer.value != 0 && answer.fd < 0);
                close(ends[0]);
        }
        free(buffer);
}

static void *come_late(void *arg)
{
        struct fixture *f = arg;
        int end;

        usleep(200000);
        start_supervisor(f, &end);
        assert_int_equal(hold_move(f->hold, end), HIF_OK);
        return NULL;
}

/* The supervisor was killed: the command that asks has started another, which is on its way. */
static void the_next_supervisor_is_waited_for(void **state)
{
        struct fixture *f = *state;
        pthread_t thread;
        int fd = -1;

        hold_free(f->hold);
        pthread_join(f->supervisor, NULL);
        close(f->socket);
        assert_int_equal(hold_new(-1, &f->hold), HIF_OK);
        assert_int_equal(pthread_create(&thread, NULL, come_late, f), 0);
        assert_int_equal(mount_at(f, f->point, "acme/app", &fd), HIF_OK);
        pthread_join(thread, NULL);
        close(fd);
        assert_int_equal(unmount_at(f, f->point, HELP_DETACH), HIF_OK);
}

static void without_a_supervisor_it_says_so(void **state)
{
        struct hold *hold;
        const struct help_request request = {.op = HELP_UNMOUNT, .mount_point = "/tmp/none"};
        struct hif_why why = {0};

        (void)state;
        assert_int_equal(hold_new(-1, &hold), HIF_OK);
        assert_int_equal(help_ask(hold, &request, NULL, &why), HIF_EUNREACHABLE);
        assert_non_null(strstr(why.text, "supervisor, which mounts and unmounts"));
        hold_free(hold);
}

/* During an upgrade the new server may stand before the old supervisor. */
static void an_older_supervisor_is_named(void **state)
{
        const struct help_request request = {.op = HELP_UNMOUNT, .mount_point = "/tmp/none"};
        const struct wire_msg refusal = {.kind = WIRE_DONE, .value = ENOTSUP, .fd = -1};
        struct hif_why why = {0};
        struct hold *hold;
        int ends[2];

        (void)state;
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
        assert_int_equal(hold_new(ends[1], &hold), HIF_OK);
        assert_int_equal(wire_send(ends[0], &refusal), HIF_OK); /* its answer to what it is asked */
        assert_int_equal(help_ask(hold, &request, NULL, &why), HIF_ENOTSUP);
        assert_non_null(strstr(why.text, "of a version that does not mount for its server"));
        hold_free(hold);
        close(ends[0]);
}

/* The request's bytes, for ever. */
static void requests_have_this_form(void **state)
{
        static const uint8_t golden[] = "\x01\x06\x08\x01"
                                        "ABCDEFGHIJKLMNOP/mnt\0acme/app";
        const struct help_request request = {.op = HELP_MOUNT_NFS,
                                             .read_only = true,
                                             .isolated = true,
                                             .port = 2049,
                                             .key = "ABCDEFGHIJKLMNOP",
                                             .mount_point = "/mnt",
                                             .name = "acme/app"};
        struct help_request read;
        struct buf bytes = {0};

        (void)state;
        assert_int_equal(help_encode(&bytes, &request), HIF_OK);
        assert_int_equal(bytes.size, sizeof(golden));
        assert_memory_equal(bytes.data, golden, sizeof(golden));
        assert_int_equal(help_decode(buf_span(&bytes), &read), HIF_OK);
        assert_int_equal(read.op, HELP_MOUNT_NFS);
        assert_true(read.read_only && read.isolated && !read.allow_other && read.port == 2049);
        assert_string_equal(read.mount_point, "/mnt");
        assert_string_equal(read.name, "acme/app");
        for (size_t size = 0; size < sizeof(golden); size++)
                assert_int_not_equal(help_decode(span_of(golden, size), &read), HIF_OK);
        buf_free(&bytes);
}

#define WITH_SUPERVISOR(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            WITH_SUPERVISOR(it_mounts_and_unmounts),
            WITH_SUPERVISOR(it_mounts_on_empty_directories_alone),
            WITH_SUPERVISOR(it_unmounts_nothing_else),
            WITH_SUPERVISOR(the_network_namespace_is_private),
            WITH_SUPERVISOR(one_that_hangs_holds_nobody),
            WITH_SUPERVISOR(those_that_hang_are_limited),
            WITH_SUPERVISOR(a_mount_that_nobody_waits_for_is_taken_back),
            WITH_SUPERVISOR(a_mount_that_is_not_kept_is_taken_back),
            WITH_SUPERVISOR(garbage_is_refused),
            WITH_SUPERVISOR(the_next_supervisor_is_waited_for),
            cmocka_unit_test(without_a_supervisor_it_says_so),
            cmocka_unit_test(an_older_supervisor_is_named),
            cmocka_unit_test(requests_have_this_form),
        };

        return cmocka_run_group_tests_name("helper", tests, NULL, NULL);
}
