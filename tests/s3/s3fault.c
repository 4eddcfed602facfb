/* s3fault LISTEN UPSTREAM CONTROL [COMMAND]... - the fault proxy (s3fault.h) as a program.
 *
 * Each argument is PORT or A.B.C.D:PORT; prints "listen PORT control PORT" when it is ready, and
 * runs until it gets SIGTERM. COMMANDs are said before the first request; "seed N" must be the
 * first. */
#include "s3fault.h"
#include "wire.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <sys/socket.h>

static volatile sig_atomic_t ended;

static void end(int signal_number)
{
        (void)signal_number;
        ended = 1;
}

static void answer_command(struct s3fault *proxy, int fd)
{
        char line[4096], reply[S3FAULT_REPLY_MAX];
        size_t size = 0;
        ssize_t count;

        do {
                count = read(fd, line + size, sizeof(line) - 1 - size);
                if (count > 0)
                        size += (size_t)count;
        } while (count > 0 && size < sizeof(line) - 1 && !memchr(line, '\n', size));
        line[size] = '\0';
        (void)s3fault_say(proxy, line, reply);
        dprintf(fd, "%s\n", reply);
        close(fd);
}

/* The signals are blocked but while this waits, so that none comes between the look and the wait.
 */
static int run(struct s3fault *proxy, const char *control_at, const sigset_t *unblocked)
{
        struct sockaddr_in address;
        int control = address_parse(control_at, &address) ? address_listen(&address) : -1;
        struct pollfd poller = {.fd = control, .events = POLLIN};

        if (control < 0) {
                fprintf(stderr, "s3fault: cannot listen on %s\n", control_at);
                return 1;
        }
        printf("listen %u control %u\n", s3fault_port(proxy), ntohs(address.sin_port));
        fflush(stdout);
        while (!ended) {
                int fd;

                if (ppoll(&poller, 1, NULL, unblocked) <= 0)
                        continue;
                fd = accept4(control, NULL, NULL, SOCK_CLOEXEC);
                if (fd >= 0)
                        answer_command(proxy, fd);
        }
        close(control);
        return 0;
}

int main(int argc, char **argv)
{
        char reply[S3FAULT_REPLY_MAX];
        struct s3fault *proxy;
        uint64_t seed = 1;
        int status = 0, at = 4;
        struct sigaction action = {.sa_handler = end};
        sigset_t signals, unblocked;

        if (argc < 4) {
                fprintf(stderr, "usage: s3fault LISTEN UPSTREAM CONTROL [COMMAND]...\n");
                return 2;
        }
        if (argc > 4 && strncmp(argv[4], "seed ", 5) == 0)
                seed = strtoull(argv[at++] + 5, NULL, 10);
        sigemptyset(&signals);
        sigaddset(&signals, SIGTERM);
        sigaddset(&signals, SIGINT);
        pthread_sigmask(SIG_BLOCK, &signals, &unblocked);
        sigaction(SIGTERM, &action, NULL);
        sigaction(SIGINT, &action, NULL);
        proxy = s3fault_start(argv[1], argv[2], seed);
        if (!proxy)
                return 1;
        for (; at < argc && status == 0; at++)
                if (!s3fault_say(proxy, argv[at], reply)) {
                        fprintf(stderr, "s3fault: \"%s\": %s\n", argv[at], reply);
                        status = 2;
                }
        if (status == 0)
                status = run(proxy, argv[3], &unblocked);
        s3fault_stop(proxy);
        return status;
}
