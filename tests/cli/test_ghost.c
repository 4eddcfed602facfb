/* What answers for a mount that was taken away: every call with an error, whatever its pieces; the
 * next server's does, too. */
#include "base/buf.h"
#include "cli/daemon/ghost.h"
#include "cli/daemon/peer.h"
#include "cli/daemon/workspace_impl.h"
#include "cli/supervisor/hold.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define LAST 0x80000000u

struct fixture {
        struct cli cli;
        struct daemon daemon;
        struct sockaddr_in address;
};

/* Ghosts stay until the process ends, and so does what they know. */
static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));
        socklen_t size = sizeof(f->address);
        int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), table;

        f->cli.env = env_system(NULL);
        f->daemon.cli = &f->cli;
        f->address =
            (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        assert_int_equal(bind(listener, (struct sockaddr *)&f->address, size), 0);
        assert_int_equal(listen(listener, 8), 0);
        assert_int_equal(getsockname(listener, (struct sockaddr *)&f->address, &size), 0);
        assert_int_equal(peer_table(&table), HIF_OK);
        assert_int_equal(hold_new(-1, &f->daemon.hold), HIF_OK);
        assert_int_equal(ghost_start(&f->daemon, listener, table), HIF_OK);
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        hold_free(f->daemon.hold);
        free(f);
        return 0;
}

static int connected(struct fixture *f)
{
        const struct timeval patience = {.tv_sec = 10};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_int_equal(connect(fd, (struct sockaddr *)&f->address, sizeof(f->address)), 0);
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        return fd;
}

static void say(int fd, const void *data, size_t size)
{
        assert_int_equal(send(fd, data, size, MSG_NOSIGNAL), size);
}

/* A fragment with this many bytes of 7 behind the call's number; xid 0: it has none. */
static size_t fragment(uint8_t *out, uint32_t xid, uint32_t rest, uint32_t last)
{
        size_t head = xid != 0 ? 8 : 4;

        be32_put(out, (rest + (xid != 0 ? 4 : 0)) | last);
        if (xid != 0)
                be32_put(out + 4, xid);
        memset(out + head, 7, rest);
        return head + rest;
}

static void expect_error(int fd, uint32_t xid)
{
        uint8_t got[28], want[28] = {0};

        be32_put(want, LAST | 24);
        be32_put(want + 4, xid);
        be32_put(want + 8, 1);  /* a reply */
        be32_put(want + 24, 5); /* SYSTEM_ERR */
        assert_int_equal(recv(fd, got, sizeof(got), MSG_WAITALL), sizeof(got));
        assert_memory_equal(got, want, sizeof(want));
}

static void every_call_has_an_error(void **state)
{
        uint8_t bytes[4096];
        size_t size, half;
        int fd = connected(*state);

        say(fd, bytes, fragment(bytes, 11, 1000, LAST));
        expect_error(fd, 11);
        /* byte by byte */
        size = fragment(bytes, 12, 40, LAST);
        for (size_t i = 0; i < size; i++)
                say(fd, bytes + i, 1);
        expect_error(fd, 12);
        /* two at once; one in three fragments, of which the last is empty */
        size = fragment(bytes, 13, 100, LAST);
        half = fragment(bytes + size, 14, 60, 0);
        half += fragment(bytes + size + half, 0, 30, 0);
        half += fragment(bytes + size + half, 0, 0, LAST);
        say(fd, bytes, size + half);
        expect_error(fd, 13);
        expect_error(fd, 14);
        close(fd);
}

static void what_is_no_call_is_hung_up_on(void **state)
{
        uint8_t bytes[16] = {0}, got;
        int fd = connected(*state);

        be32_put(bytes, LAST | 2);
        say(fd, bytes, 8);
        assert_int_equal(recv(fd, &got, 1, 0), 0);
        close(fd);
}

/* A client that lost its connections comes again: the oldest makes room. */
static void newcomers_are_answered(void **state)
{
        uint8_t bytes[64];
        int fds[12];

        for (uint32_t i = 0; i < 12; i++) {
                fds[i] = connected(*state);
                say(fds[i], bytes, fragment(bytes, 100 + i, 20, LAST));
                expect_error(fds[i], 100 + i);
        }
        for (size_t i = 0; i < 12; i++)
                close(fds[i]);
}

static void the_next_server_finds_them(void **state)
{
        struct fixture *f = *state;
        struct daemon next = {.cli = &f->cli, .hold = f->daemon.hold};

        ghosts_resume(&next);
        assert_int_equal(next.ghosts, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
            TEST(every_call_has_an_error),
            TEST(what_is_no_call_is_hung_up_on),
            TEST(newcomers_are_answered),
            TEST(the_next_server_finds_them),
        };

        return cmocka_run_group_tests_name("ghost", tests, NULL, NULL);
}
