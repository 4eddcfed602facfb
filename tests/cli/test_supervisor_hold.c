/* What a server leaves with its supervisor, and finds again: shelf, wire and hold. */
#include "cli/supervisor/hold.h"
#include "cli/supervisor/shelf.h"
#include "cli/supervisor/wire.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* --- a supervisor in a thread: it answers as the real one does, until its socket closes --- */

struct keeper {
        int socket;
        struct shelf shelf;
        pthread_t thread;
};

static void *keep(void *arg)
{
        static __thread uint8_t buffer[WIRE_SIZE_MAX];
        struct keeper *keeper = arg;
        struct wire_msg msg;

        while (wire_receive(keeper->socket, buffer, &msg) == HIF_OK) {
                struct wire_msg done = {.kind = WIRE_DONE, .fd = -1};
                const struct shelf_item *item = shelf_find(&keeper->shelf, msg.name);
                enum hif_err err = HIF_OK;

                if (msg.kind == WIRE_PUT) {
                        err = shelf_put(&keeper->shelf, msg.name, msg.fd, msg.note);
                } else if (msg.kind == WIRE_DROP) {
                        err = shelf_drop(&keeper->shelf, msg.name);
                } else if (item == NULL) {
                        err = HIF_ENOENT;
                } else {
                        done.fd = item->fd;
                        done.note = item->note;
                }
                done.value = (uint32_t)(err == HIF_OK ? 0 : hif_err_to_errno(err));
                if (wire_send(keeper->socket, &done) != HIF_OK)
                        break;
        }
        return NULL;
}

static int keeper_start(struct keeper *keeper)
{
        int ends[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
        keeper->socket = ends[0];
        assert_int_equal(pthread_create(&keeper->thread, NULL, keep, keeper), 0);
        return ends[1];
}

/* As by a kill: what it held is closed, and its socket. */
static void keeper_kill(struct keeper *keeper)
{
        shutdown(keeper->socket, SHUT_RDWR);
        pthread_join(keeper->thread, NULL);
        close(keeper->socket);
        shelf_free(&keeper->shelf);
}

/* The server has gone already. */
static void keeper_end(struct keeper *keeper)
{
        pthread_join(keeper->thread, NULL);
        close(keeper->socket);
}

/* A descriptor that can be told from others, by the device and number of its pipe. */
static int some_fd(struct stat *st)
{
        int ends[2];

        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        close(ends[1]);
        assert_int_equal(fstat(ends[0], st), 0);
        return ends[0];
}

static void expect_held(struct hold *hold, const char *name, const struct stat *st,
                        const char *note)
{
        struct stat found;
        AUTO_BUF struct buf text = {0};
        int fd = -1;

        assert_int_equal(hold_take(hold, name, &fd, &text), HIF_OK);
        assert_int_equal(fstat(fd, &found), 0);
        assert_int_equal(found.st_ino, st->st_ino);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        assert_true(span_eq(buf_span(&text), span_str(note)));
        close(fd);
}

static void put(struct hold *hold, const char *name, struct stat *st, const char *note)
{
        int fd = some_fd(st);

        assert_int_equal(hold_put(hold, name, fd, span_str(note)), HIF_OK);
        close(fd);
}

/* --- hold --- */

/* Without a supervisor a hold works as with one, for as long as it lives. */
static void hold_keeps_by_itself(void **state)
{
        struct hold *hold;
        struct stat a, b;
        int fd;

        (void)state;
        assert_int_equal(hold_new(-1, &hold), HIF_OK);
        assert_int_equal(hold_take(hold, "one", &fd, NULL), HIF_ENOENT);
        put(hold, "one", &a, "note");
        put(hold, "two", &b, "");
        expect_held(hold, "one", &a, "note");
        expect_held(hold, "two", &b, "");
        put(hold, "one", &b, "again");
        expect_held(hold, "one", &b, "again");
        assert_int_equal(hold_drop(hold, "one"), HIF_OK);
        assert_int_equal(hold_drop(hold, "one"), HIF_ENOENT);
        assert_int_equal(hold_take(hold, "one", &fd, NULL), HIF_ENOENT);
        hold_free(hold);
}

/* The next server finds what one that is gone has put. */
static void next_server_finds_it(void **state)
{
        struct keeper keeper = {0};
        struct hold *hold;
        struct stat a, b;
        int second[2], fd;

        (void)state;
        assert_int_equal(hold_new(keeper_start(&keeper), &hold), HIF_OK);
        put(hold, "one", &a, "note");
        put(hold, "two", &b, "other");
        assert_int_equal(hold_drop(hold, "two"), HIF_OK);
        hold_free(hold);
        keeper_end(&keeper);

        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, second), 0);
        keeper.socket = second[0];
        assert_int_equal(pthread_create(&keeper.thread, NULL, keep, &keeper), 0);
        assert_int_equal(hold_new(second[1], &hold), HIF_OK);
        expect_held(hold, "one", &a, "note");
        expect_held(hold, "one", &a, "note"); /* it stays */
        assert_int_equal(hold_take(hold, "two", &fd, NULL), HIF_ENOENT);
        hold_free(hold);
        keeper_end(&keeper);
        shelf_free(&keeper.shelf);
}

/* A supervisor that is killed takes nothing along: another is given all that was put or taken, also
 * what came while there was none. */
static void next_supervisor_is_given_it(void **state)
{
        struct keeper first = {0}, second = {0};
        struct hold *hold;
        struct stat a, b;

        (void)state;
        assert_int_equal(hold_new(keeper_start(&first), &hold), HIF_OK);
        put(hold, "one", &a, "note");
        keeper_kill(&first);
        put(hold, "two", &b, "meanwhile");
        expect_held(hold, "one", &a, "note");
        assert_int_equal(hold_move(hold, keeper_start(&second)), HIF_OK);
        assert_non_null(shelf_find(&second.shelf, span_str("one")));
        assert_non_null(shelf_find(&second.shelf, span_str("two")));
        hold_free(hold);
        keeper_end(&second);
        shelf_free(&second.shelf);
}

static void hold_has_limits(void **state)
{
        static uint8_t large[HOLD_NOTE_MAX + 1];
        char name[WIRE_NAME_MAX + 2];
        struct keeper keeper = {0};
        struct hold *hold;
        struct stat st;
        int fd = some_fd(&st);

        (void)state;
        memset(name, 'n', sizeof(name) - 1);
        name[sizeof(name) - 1] = '\0';
        assert_int_equal(hold_new(keeper_start(&keeper), &hold), HIF_OK);
        assert_int_equal(hold_put(hold, "large", fd, span_of(large, sizeof(large))), HIF_ELIMIT);
        assert_int_equal(hold_put(hold, "large", fd, span_of(large, HOLD_NOTE_MAX)), HIF_OK);
        assert_int_equal(hold_put(hold, name, fd, (struct span){0}), HIF_EINVAL);
        assert_int_equal(hold_put(hold, "", fd, (struct span){0}), HIF_EINVAL);
        hold_free(hold);
        keeper_end(&keeper);
        shelf_free(&keeper.shelf);
        close(fd);
}

/* --- shelf --- */

static void shelf_is_bounded(void **state)
{
        struct shelf shelf = {0};
        char name[32];

        (void)state;
        for (int i = 0; i < SHELF_MAX; i++) {
                snprintf(name, sizeof(name), "n%d", i);
                assert_int_equal(shelf_put(&shelf, span_str(name), -1, (struct span){0}), HIF_OK);
        }
        assert_int_equal(shelf_put(&shelf, span_str("more"), -1, (struct span){0}), HIF_ELIMIT);
        assert_int_equal(shelf_put(&shelf, span_str("n7"), -1, span_str("new")), HIF_OK);
        assert_int_equal(shelf_drop(&shelf, span_str("n8")), HIF_OK);
        assert_int_equal(shelf_put(&shelf, span_str("more"), -1, (struct span){0}), HIF_OK);
        assert_int_equal(shelf_put(&shelf, span_of("a\0b", 3), -1, (struct span){0}), HIF_EINVAL);
        shelf_free(&shelf);
}

/* --- wire --- */

/* The bytes of a message may not change: the other end may be of another version. */
static void bytes_are_as_drawn(void **state)
{
        static const uint8_t expected[] = {'H', 'I', 'F', 'V', 0, 1,   0,   1,   0,   0,  0,
                                           9,   0,   3,   0,   0, 'o', 'n', 'e', 'h', 'i'};
        struct wire_msg msg = {.kind = WIRE_PUT,
                               .value = 9,
                               .name = span_str("one"),
                               .note = span_str("hi"),
                               .fd = -1},
                        out;
        uint8_t bytes[64];
        int ends[2];

        (void)state;
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
        assert_int_equal(wire_send(ends[0], &msg), HIF_OK);
        assert_int_equal(recv(ends[1], bytes, sizeof(bytes), 0), sizeof(expected));
        assert_memory_equal(bytes, expected, sizeof(expected));
        assert_int_equal(wire_decode(span_of(expected, sizeof(expected)), &out), HIF_OK);
        assert_int_equal(out.kind, WIRE_PUT);
        assert_int_equal(out.value, 9);
        assert_true(span_eq(out.name, msg.name) && span_eq(out.note, msg.note));
        close(ends[0]);
        close(ends[1]);
}

static void garbage_is_refused(void **state)
{
        uint8_t bytes[WIRE_HEAD] = {'H', 'I', 'F', 'V', 0, 1, 0, 1};
        struct wire_msg out;

        (void)state;
        assert_int_equal(wire_decode(span_of(bytes, WIRE_HEAD), &out), HIF_OK);
        assert_int_equal(wire_decode(span_of(bytes, WIRE_HEAD - 1), &out), HIF_ECORRUPT);
        be16_put(bytes + 12, 1); /* a name that is not there */
        assert_int_equal(wire_decode(span_of(bytes, WIRE_HEAD), &out), HIF_ECORRUPT);
        be16_put(bytes + 12, 0);
        bytes[5] = 2;
        assert_int_equal(wire_decode(span_of(bytes, WIRE_HEAD), &out), HIF_EUNSUPPORTED);
        bytes[0] = 'h';
        assert_int_equal(wire_decode(span_of(bytes, WIRE_HEAD), &out), HIF_ECORRUPT);
}

/* More descriptors than one is no message of ours, and none of them stays open. */
static void too_many_descriptors_are_closed(void **state)
{
        static uint8_t buffer[WIRE_SIZE_MAX];
        uint8_t head[WIRE_HEAD] = {'H', 'I', 'F', 'V', 0, 1, 0, 1};
        union {
                struct cmsghdr header;
                char bytes[CMSG_SPACE(2 * sizeof(int))];
        } control = {0};
        struct iovec part = {head, sizeof(head)};
        struct msghdr packet = {.msg_iov = &part,
                                .msg_iovlen = 1,
                                .msg_control = control.bytes,
                                .msg_controllen = sizeof(control.bytes)};
        struct wire_msg out;
        int ends[2], before, after;

        (void)state;
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
        control.header = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
                                          .cmsg_type = SCM_RIGHTS,
                                          .cmsg_len = CMSG_LEN(2 * sizeof(int))};
        memcpy(CMSG_DATA(&control.header), ends, sizeof(ends));
        before = dup(0);
        close(before);
        assert_int_equal(sendmsg(ends[0], &packet, 0), WIRE_HEAD);
        assert_int_equal(wire_receive(ends[1], buffer, &out), HIF_ECORRUPT);
        after = dup(0);
        close(after);
        assert_int_equal(before, after);
        close(ends[0]);
        close(ends[1]);
}

/* A supervisor in a process of its own, so that it can be stopped. Returns a connection to it. */
static int keeper_process(pid_t *pid)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        socklen_t size = sizeof(address.sun_family); /* any abstract name */
        int told[2], fd;

        assert_int_equal(pipe(told), 0);
        *pid = fork();
        if (*pid == 0) {
                struct keeper keeper = {0};

                fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
                if (bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, 1) != 0)
                        _exit(1);
                size = sizeof(address);
                (void)getsockname(fd, (struct sockaddr *)&address, &size);
                (void)!write(told[1], &size, sizeof(size));
                (void)!write(told[1], &address, sizeof(address));
                keeper.socket = accept(fd, NULL, NULL);
                keep(&keeper);
                _exit(0);
        }
        assert_int_equal(read(told[0], &size, sizeof(size)), sizeof(size));
        assert_int_equal(read(told[0], &address, sizeof(address)), sizeof(address));
        close(told[0]);
        close(told[1]);
        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&address, size), 0);
        return fd;
}

/* While it is stopped calls end soon, as if there were none; when it goes on it is there again, and
 * its late answers are not taken for others'. */
static void stopped_supervisor_comes_back(void **state)
{
        struct hold *hold;
        pid_t pid;
        int fd, out, end, status;

        (void)state;
        fd = keeper_process(&pid);
        end = dup(0);
        assert_int_equal(hold_new(fd, &hold), HIF_OK);
        assert_int_equal(hold_put(hold, "before", end, (struct span){0}), HIF_OK);
        assert_int_equal(kill(pid, SIGSTOP), 0);
        assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
        alarm(60);
        assert_int_equal(hold_put(hold, "meanwhile", end, (struct span){0}), HIF_OK);
        assert_int_equal(hold_take(hold, "never", &out, NULL), HIF_EUNREACHABLE);
        alarm(0);
        assert_int_equal(kill(pid, SIGCONT), 0);
        assert_int_equal(hold_take(hold, "never", &out, NULL), HIF_ENOENT);
        assert_int_equal(hold_put(hold, "after", end, (struct span){0}), HIF_OK);
        assert_int_equal(hold_drop(hold, "meanwhile"), HIF_OK);
        assert_int_equal(hold_drop(hold, "meanwhile"), HIF_ENOENT);
        hold_free(hold);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        close(end);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(stopped_supervisor_comes_back),
            cmocka_unit_test(hold_keeps_by_itself),
            cmocka_unit_test(next_server_finds_it),
            cmocka_unit_test(next_supervisor_is_given_it),
            cmocka_unit_test(hold_has_limits),
            cmocka_unit_test(shelf_is_bounded),
            cmocka_unit_test(bytes_are_as_drawn),
            cmocka_unit_test(garbage_is_refused),
            cmocka_unit_test(too_many_descriptors_are_closed),
        };

        return cmocka_run_group_tests_name("supervisor_hold", tests, NULL, NULL);
}
