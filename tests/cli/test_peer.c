/* Whose process is at the other end? Other users are children of this test, which needs root for
 * that. */
#include "cli/daemon/peer.h"
#include "cli/daemon/workspace_impl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NOBODY 65534

struct fixture {
        int listener, table;
        uint16_t port;
        int words[2]; /* a child goes on when it reads one, and says so with one */
        int back[2];
        pid_t child;
};

static int setup(void **state)
{
        static struct fixture fixture;
        struct fixture *f = &fixture;
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof(address);

        *f = (struct fixture){.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        assert_int_equal(bind(f->listener, (struct sockaddr *)&address, size), 0);
        assert_int_equal(listen(f->listener, 8), 0);
        assert_int_equal(getsockname(f->listener, (struct sockaddr *)&address, &size), 0);
        f->port = ntohs(address.sin_port);
        assert_int_equal(peer_table(&f->table), HIF_OK);
        assert_int_equal(pipe(f->words), 0);
        assert_int_equal(pipe(f->back), 0);
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        close(f->words[0]);
        close(f->words[1]);
        close(f->back[0]);
        close(f->back[1]);
        close(f->listener);
        close(f->table);
        if (f->child > 0)
                (void)waitpid(f->child, NULL, 0);
        return 0;
}

static int connect_v4(const struct fixture *f)
{
        struct sockaddr_in to = {.sin_family = AF_INET,
                                 .sin_port = htons(f->port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        return connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 ? fd : -1;
}

static int connect_mapped(const struct fixture *f)
{
        struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(f->port)};
        int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

        inet_pton(AF_INET6, "::ffff:127.0.0.1", &to.sin6_addr);
        return connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 ? fd : -1;
}

static void leave_open(int fd)
{
        (void)fd;
}

static void close_at_once(int fd)
{
        (void)!write(fd, "call", 4);
        close(fd);
}

static void end_sending(int fd)
{
        (void)!write(fd, "call", 4);
        shutdown(fd, SHUT_WR);
}

/* Another user connects and does what `after` says; then we look at the connection. */
static bool admitted(struct fixture *f, uid_t uid, int (*join)(const struct fixture *),
                     void (*after)(int fd))
{
        bool answer;
        char word = 0;
        int fd;

        f->child = fork();
        if (f->child == 0) {
                if ((uid != 0 && (setgroups(0, NULL) != 0 || setuid(uid) != 0)) ||
                    (fd = join(f)) < 0) {
                        (void)!write(f->back[1], "0", 1);
                        _exit(1);
                }
                after(fd);
                (void)!write(f->back[1], "1", 1);
                (void)!read(f->words[0], &word, 1);
                _exit(0);
        }
        assert_int_equal(read(f->back[0], &word, 1), 1);
        assert_int_equal(word, '1'); /* else it could not connect */
        fd = accept(f->listener, NULL, NULL);
        assert_true(fd >= 0);
        answer = peer_admitted(&f->table, fd);
        close(fd);
        assert_int_equal(write(f->words[1], "1", 1), 1);
        return answer;
}

/* Root, like the kernel's client, and we ourselves. */
static void root_is_admitted(void **state)
{
        assert_int_equal(geteuid(), 0); /* the other users are made by root */
        assert_true(admitted(*state, 0, connect_v4, leave_open));
}

static void another_user_is_not(void **state)
{
        assert_false(admitted(*state, NOBODY, connect_v4, leave_open));
}

/* The kernel lists a socket that nobody has open any more as root's; what was sent can be read. */
static void another_user_who_has_gone_is_not(void **state)
{
        assert_false(admitted(*state, NOBODY, connect_v4, close_at_once));
}

static void another_user_who_will_send_no_more_is_not(void **state)
{
        assert_false(admitted(*state, NOBODY, connect_v4, end_sending));
}

/* Only the table of IPv4 is asked, which the kernel's client is in. */
static void nobody_is_through_a_mapped_address(void **state)
{
        int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0 && errno == EAFNOSUPPORT) {
                print_message("this kernel has no IPv6, and so no such addresses\n");
                return;
        }
        close(fd);
        assert_false(admitted(*state, NOBODY, connect_mapped, leave_open));
}

/* In a table of many sockets, at any place in it. */
static void one_of_many_is_found(void **state)
{
        struct fixture *f = *state;
        int fds[200];

        for (int i = 0; i < 200; i++) {
                fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
                assert_int_equal(listen(fds[i], 1), 0);
        }
        assert_true(admitted(f, 0, connect_v4, leave_open));
        (void)waitpid(f->child, NULL, 0);
        assert_false(admitted(f, NOBODY, connect_v4, leave_open));
        for (int i = 0; i < 200; i++)
                close(fds[i]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(root_is_admitted),
            TEST(another_user_is_not),
            TEST(another_user_who_has_gone_is_not),
            TEST(another_user_who_will_send_no_more_is_not),
            TEST(nobody_is_through_a_mapped_address),
            TEST(one_of_many_is_found),
        };

        return cmocka_run_group_tests_name("peer", tests, NULL, NULL);
}
