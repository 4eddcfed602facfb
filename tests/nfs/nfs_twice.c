/* nfs_twice LISTEN SERVER EVERY - a proxy between an NFS client and its server that sends every n-th
 * request twice.
 *
 * It listens on port LISTEN of 127.0.0.1 and connects to port SERVER, with two connections for each of
 * the client's: one whose answers go back, and one for repetitions, whose answers are thrown away. Of
 * the repetitions one third goes out before the request, one third right behind it, and one third after
 * the next few requests. When the server is gone, the client's connection is closed: it comes again, and
 * so does what it had no answer to. At the end (TERM) it says how much it repeated. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS_MAX 16
#define RECORD_MAX  ((size_t)2 << 20)
#define LATE_MAX    8 /* requests that a late repetition waits for */
#define FDS_OF_ONE  3
#define RETRY_NS    20000000
#define RETRIES_MAX 500

enum { CLIENT, FIRST, SECOND };

struct link {
        int fd[FDS_OF_ONE]; /* client, server, server again; CLIENT -1: free */
        uint8_t *in;        /* of the client: records that are not complete yet */
        size_t size;
        uint8_t *late; /* a repetition that waits */
        size_t late_size;
        unsigned late_for;
};

struct twice {
        struct link links[CLIENTS_MAX];
        uint16_t server;
        unsigned every;
        unsigned long long requests, repeated, broken;
};

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
        (void)signal;
        stopped = 1;
}

static int connect_to(uint16_t port)
{
        struct sockaddr_in to = {.sin_family = AF_INET,
                                 .sin_port = htons(port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

        if (fd < 0)
                return -1;
        for (int i = 0; i < RETRIES_MAX && !stopped; i++) {
                if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0) {
                        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
                        return fd;
                }
                nanosleep(&(struct timespec){.tv_nsec = RETRY_NS}, NULL);
        }
        close(fd);
        return -1;
}

static void close_link(struct twice *twice, struct link *link)
{
        for (int i = 0; i < FDS_OF_ONE; i++)
                if (link->fd[i] >= 0)
                        close(link->fd[i]);
        free(link->in);
        free(link->late);
        *link = (struct link){.fd = {-1, -1, -1}};
        twice->broken++;
}

static void take_client(struct twice *twice, int fd)
{
        int on = 1;

        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        for (size_t i = 0; i < CLIENTS_MAX; i++) {
                struct link *link = &twice->links[i];

                if (link->fd[CLIENT] >= 0)
                        continue;
                *link =
                    (struct link){.fd = {fd, connect_to(twice->server), connect_to(twice->server)},
                                  .in = malloc(RECORD_MAX)};
                if (link->fd[FIRST] < 0 || link->fd[SECOND] < 0 || link->in == NULL)
                        close_link(twice, link);
                return;
        }
        close(fd);
}

static bool send_all(int fd, const uint8_t *data, size_t size)
{
        while (size > 0) {
                ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);

                if (sent < 0 && errno == EINTR)
                        continue;
                if (sent <= 0)
                        return false;
                data += sent;
                size -= (size_t)sent;
        }
        return true;
}

static bool send_late(struct link *link)
{
        bool sent;

        if (link->late == NULL || link->late_for-- > 0)
                return true;
        sent = send_all(link->fd[SECOND], link->late, link->late_size);
        free(link->late);
        link->late = NULL;
        return sent;
}

/* One record of the client, with its mark. */
static bool pass_on(struct twice *twice, struct link *link, const uint8_t *record, size_t size)
{
        bool again = ++twice->requests % twice->every == 0;
        unsigned when = (unsigned)(twice->requests / twice->every % 3);

        if (!send_late(link))
                return false;
        if (again && when == 0 && !send_all(link->fd[SECOND], record, size))
                return false;
        if (!send_all(link->fd[FIRST], record, size))
                return false;
        if (again && when == 1 && !send_all(link->fd[SECOND], record, size))
                return false;
        if (again && when == 2 && link->late == NULL) {
                link->late = malloc(size);
                if (link->late == NULL)
                        return false;
                memcpy(link->late, record, size);
                link->late_size = size;
                link->late_for = 1 + (unsigned)(twice->requests % LATE_MAX);
        }
        twice->repeated += again;
        return true;
}

/* The client's bytes, record by record. Linux sends each in one fragment. */
static bool from_client(struct twice *twice, struct link *link)
{
        ssize_t got = recv(link->fd[CLIENT], link->in + link->size, RECORD_MAX - link->size, 0);
        size_t at = 0;

        if (got <= 0)
                return false;
        link->size += (size_t)got;
        while (link->size - at >= 4) {
                uint32_t mark;

                memcpy(&mark, link->in + at, 4);
                mark = (ntohl(mark) & 0x7fffffffu) + 4;
                if (mark > RECORD_MAX)
                        return false;
                if (link->size - at < mark)
                        break;
                if (!pass_on(twice, link, link->in + at, mark))
                        return false;
                at += mark;
        }
        memmove(link->in, link->in + at, link->size - at);
        link->size -= at;
        return true;
}

static bool from_server(struct link *link, int from)
{
        static uint8_t bytes[1 << 16];
        ssize_t got = recv(link->fd[from], bytes, sizeof(bytes), 0);

        if (got <= 0)
                return false;
        return from == SECOND || send_all(link->fd[CLIENT], bytes, (size_t)got);
}

static void serve(struct twice *twice, struct link *link, const struct pollfd *ready)
{
        bool open = true;

        for (int i = 0; i < FDS_OF_ONE && open; i++)
                if (ready[i].revents != 0)
                        open = i == CLIENT ? from_client(twice, link) : from_server(link, i);
        if (!open)
                close_link(twice, link);
}

static int listen_on(uint16_t port)
{
        struct sockaddr_in at = {.sin_family = AF_INET,
                                 .sin_port = htons(port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
            bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(fd, 16) != 0) {
                perror("nfs_twice");
                exit(1);
        }
        return fd;
}

int main(int argc, char **argv)
{
        struct pollfd fds[1 + CLIENTS_MAX * FDS_OF_ONE];
        struct twice twice = {.every = 1};

        if (argc != 4) {
                fprintf(stderr, "usage: nfs_twice LISTEN SERVER EVERY\n");
                return 2;
        }
        twice.server = (uint16_t)strtoul(argv[2], NULL, 10);
        twice.every = (unsigned)strtoul(argv[3], NULL, 10);
        if (twice.every == 0)
                return 2;
        sigaction(SIGTERM, &(struct sigaction){.sa_handler = stop}, NULL);
        for (size_t i = 0; i < CLIENTS_MAX; i++)
                twice.links[i] = (struct link){.fd = {-1, -1, -1}};
        fds[0] = (struct pollfd){.fd = listen_on((uint16_t)strtoul(argv[1], NULL, 10)),
                                 .events = POLLIN};
        while (!stopped) {
                for (size_t i = 0; i < CLIENTS_MAX * FDS_OF_ONE; i++)
                        fds[1 + i] = (struct pollfd){
                            .fd = twice.links[i / FDS_OF_ONE].fd[i % FDS_OF_ONE], .events = POLLIN};
                if (poll(fds, 1 + CLIENTS_MAX * FDS_OF_ONE, -1) < 0)
                        continue;
                for (size_t i = 0; i < CLIENTS_MAX; i++)
                        if (twice.links[i].fd[CLIENT] >= 0)
                                serve(&twice, &twice.links[i], &fds[1 + i * FDS_OF_ONE]);
                if (fds[0].revents != 0)
                        take_client(&twice, accept(fds[0].fd, NULL, NULL));
        }
        printf("nfs_twice: %llu requests, %llu of them twice; %llu connections ended\n",
               twice.requests, twice.repeated, twice.broken);
        return 0;
}
