/* neighbour PORT|PATH UID WHAT [ARGUMENT] - what someone on this machine sends to a workspace's port,
 * or to the control socket. Becomes UID, connects to 127.0.0.1:PORT (v6: through ::ffff:127.0.0.1) or
 * PATH, sends WHAT and prints what came of it:
 *
 *      refused         nobody listens
 *      bytes N         the connection was closed after so many bytes; or "silent" after 40 s
 *      status N ...    of calls: the statuses that were answered, each different one once
 *
 * WHAT is post, get, tls, zeros, huge, half (of a record), null, v6 (null), mnt PATH, dump, export,
 * or forged COUNT (so many GETATTR of random handles); flood COUNT (so many connections, for 2 s);
 * of control messages: ping, words (no JSON), huge. */
#include "nfs/rpc.h"
#include "nfs/xdr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define PATIENCE_S  40 /* beyond what the server waits for who is silent */
#define FLOOD_MAX   1024
#define FLOOD_S     2
#define HANDLE_SIZE 28
#define MNT_PROC    1
#define DUMP_PROC   2
#define EXPORT_PROC 5
#define GETATTR     1

static void fail(const char *what)
{
        perror(what);
        exit(2);
}

static int connect_to(unsigned port, bool v6)
{
        struct sockaddr_in to4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        struct sockaddr_in6 to6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
        const struct timeval patience = {.tv_sec = PATIENCE_S};
        int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), done;

        to4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        inet_pton(AF_INET6, "::ffff:127.0.0.1", &to6.sin6_addr);
        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) != 0)
                fail("socket");
        done = v6 ? connect(fd, (struct sockaddr *)&to6, sizeof(to6))
                  : connect(fd, (struct sockaddr *)&to4, sizeof(to4));
        if (done != 0 && errno == ECONNREFUSED) {
                puts("refused");
                exit(0);
        }
        if (done != 0)
                fail("connect");
        return fd;
}

static int connect_path(const char *path)
{
        struct sockaddr_un to = {.sun_family = AF_UNIX};
        const struct timeval patience = {.tv_sec = PATIENCE_S};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) != 0 ||
            connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
                fail(path);
        return fd;
}

static void send_all(int fd, const void *bytes, size_t size)
{
        /* Who was closed meanwhile hears of it when reading. */
        (void)!send(fd, bytes, size, MSG_NOSIGNAL);
}

/* How much is answered, until the connection is closed. */
static void print_bytes(int fd)
{
        size_t total = 0;
        char buffer[4096];
        ssize_t count;

        while ((count = recv(fd, buffer, sizeof(buffer), 0)) > 0)
                total += (size_t)count;
        if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
                puts("silent");
        else
                printf("bytes %zu\n", total);
}

/* --- calls --- */

static uint8_t *put_call(uint8_t *at, uint32_t xid, uint32_t program, uint32_t procedure)
{
        const uint32_t words[] = {xid, 0, 2, program, 3, procedure};

        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
                at = xdr_put_u32(at, words[i]);
        at = xdr_put_u32(at, RPC_AUTH_SYS);
        at = xdr_put_u32(at, 20);
        for (int i = 0; i < 5; i++) /* stamp, name, uid 0, gid 0, no groups */
                at = xdr_put_u32(at, 0);
        at = xdr_put_u32(at, 0); /* verifier */
        return xdr_put_u32(at, 0);
}

static void send_call(int fd, const uint8_t *call, const uint8_t *end)
{
        uint8_t mark[4];

        be32_put(mark, 0x80000000u | (uint32_t)(end - call));
        if (send(fd, mark, sizeof(mark), MSG_NOSIGNAL | MSG_MORE) > 0)
                send_all(fd, call, (size_t)(end - call));
}

static bool receive_exactly(int fd, void *to, size_t size)
{
        return recv(fd, to, size, MSG_WAITALL) == (ssize_t)size;
}

/* The first word of a reply's results; -1: no reply, or one that is not an accepted success. */
static long receive_status(int fd)
{
        uint8_t mark[4], reply[65536];
        uint32_t size;

        if (!receive_exactly(fd, mark, sizeof(mark)))
                return -1;
        size = be32_get(mark) & 0x7fffffff;
        if (size > sizeof(reply) || !receive_exactly(fd, reply, size) || size < 28 ||
            be32_get(reply + 8) != 0 || be32_get(reply + 20) != 0)
                return -1;
        return (long)be32_get(reply + 24);
}

static void one_call(int fd, uint32_t program, uint32_t procedure, const char *path)
{
        uint8_t call[1024], *at = put_call(call, 1, program, procedure);

        if (path != NULL) {
                size_t size = strlen(path);

                at = xdr_put_u32(at, (uint32_t)size);
                memset(at, 0, xdr_padded(size));
                memcpy(at, path, size);
                at += xdr_padded(size);
        }
        send_call(fd, call, at);
        printf("status %ld\n", receive_status(fd));
}

/* Connections that say nothing. The first one is there already. */
static void flood(unsigned port, long count)
{
        int fds[FLOOD_MAX];
        long open = 0;

        while (open < count - 1 && open < FLOOD_MAX)
                fds[open++] = connect_to(port, false);
        puts("flood");
        fflush(stdout);
        sleep(FLOOD_S);
        while (open > 0)
                close(fds[--open]);
}

static void forged(int fd, long count)
{
        long first = -2;
        bool same = true;

        for (long i = 0; i < count; i++) {
                uint8_t call[1024], *at = put_call(call, (uint32_t)i, 100003, GETATTR);
                long status;

                at = xdr_put_u32(at, HANDLE_SIZE);
                if (getrandom(at, HANDLE_SIZE, 0) != HANDLE_SIZE)
                        fail("getrandom");
                send_call(fd, call, at + HANDLE_SIZE);
                status = receive_status(fd);
                same &= first == -2 || first == status;
                if (first == -2)
                        first = status;
        }
        printf("status %ld%s\n", first, same ? "" : " and others");
}

/* As commands frame them. */
static void send_message(int fd, const char *text)
{
        uint8_t size[4];

        be32_put(size, (uint32_t)strlen(text));
        if (send(fd, size, sizeof(size), MSG_NOSIGNAL | MSG_MORE) > 0)
                send_all(fd, text, strlen(text));
}

static void send_what(int fd, const char *what, const char *argument)
{
        static const char post[] =
            "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4\r\n\r\nEVIL";
        static const char get[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
        static const uint8_t tls[] = {0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03};
        static const uint8_t huge[] = {0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1};
        static const uint8_t half[] = {0x80, 0, 0, 0x40, 0, 0, 0, 1};
        static const uint8_t zeros[4096];

        if (strcmp(what, "post") == 0)
                send_all(fd, post, sizeof(post) - 1);
        else if (strcmp(what, "get") == 0)
                send_all(fd, get, sizeof(get) - 1);
        else if (strcmp(what, "tls") == 0)
                send_all(fd, tls, sizeof(tls));
        else if (strcmp(what, "huge") == 0)
                send_all(fd, huge, sizeof(huge));
        else if (strcmp(what, "half") == 0)
                send_all(fd, half, sizeof(half));
        else if (strcmp(what, "ping") == 0)
                send_message(fd, "{\"op\": \"ping\"}");
        else if (strcmp(what, "words") == 0)
                send_message(fd, "ping");
        else if (strcmp(what, "zeros") == 0)
                send_all(fd, zeros, sizeof(zeros));
        else if (strcmp(what, "mnt") == 0)
                one_call(fd, 100005, MNT_PROC, argument);
        else if (strcmp(what, "dump") == 0)
                one_call(fd, 100005, DUMP_PROC, NULL);
        else if (strcmp(what, "export") == 0)
                one_call(fd, 100005, EXPORT_PROC, NULL);
        else if (strcmp(what, "forged") == 0)
                forged(fd, atol(argument));
        else {
                uint8_t call[256];

                send_call(fd, call, put_call(call, 1, 100003, 0));
        }
}

int main(int argc, char **argv)
{
        bool counted;
        int fd;

        if (argc < 4) {
                fprintf(stderr, "usage: %s PORT UID WHAT [ARGUMENT]\n", argv[0]);
                return 2;
        }
        if (atoi(argv[2]) != 0 && (setgroups(0, NULL) != 0 || setuid((uid_t)atoi(argv[2])) != 0))
                fail("setuid");
        fd = argv[1][0] == '/' ? connect_path(argv[1])
                               : connect_to((unsigned)atoi(argv[1]), strcmp(argv[3], "v6") == 0);
        if (strcmp(argv[3], "flood") == 0 && argc > 4) {
                flood((unsigned)atoi(argv[1]), atol(argv[4]));
                return 0;
        }
        send_what(fd, argv[3], argc > 4 ? argv[4] : "");
        counted = strcmp(argv[3], "mnt") == 0 || strcmp(argv[3], "dump") == 0 ||
                  strcmp(argv[3], "export") == 0 || strcmp(argv[3], "forged") == 0;
        if (!counted)
                print_bytes(fd);
        close(fd);
        return 0;
}
