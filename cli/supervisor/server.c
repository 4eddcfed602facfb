#include "cli/supervisor/server.h"

#include "cli/clock.h"
#include "cli/supervisor/supervisor.h"
#include "cli/supervisor/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define HIGH_FD       10 /* beyond what the server's ends are put on */
#define PROGRAM_FD    5
#define ABORT_WAIT_MS 1000  /* from SIGABRT to SIGKILL */
#define CUT_WAIT_MS   10000 /* from SIGTERM to SIGKILL */

extern char **environ;

void server_init(struct server *server)
{
        *server = (struct server){.pidfd = -1, .calls = -1, .events = -1};
}

/* In the child. Nothing of the supervisor's is left open, and signals are as usual. serve: NULL to
 * run the program anew. */
static void become_server(int calls, int events, int program, int (*serve)(void))
{
        static char name[] = "hif", word[] = "daemon", verb[] = "serve";
        char *argv[] = {name, word, verb, NULL};
        sigset_t none;
        int score;

        calls = fcntl(calls, F_DUPFD, HIGH_FD);
        events = fcntl(events, F_DUPFD, HIGH_FD);
        program = fcntl(program, F_DUPFD, HIGH_FD);
        if (calls < 0 || events < 0 || program < 0 || dup2(calls, SERVE_CALLS_FD) < 0 ||
            dup2(events, SERVE_EVENTS_FD) < 0 || dup3(program, PROGRAM_FD, O_CLOEXEC) < 0 ||
            dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
                _exit(126);
        (void)close_range(serve != NULL ? PROGRAM_FD : PROGRAM_FD + 1, ~0u, 0);
        for (int number = 1; number < NSIG; number++)
                (void)signal(number, SIG_DFL);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
        if (score >= 0) {
                (void)!write(score, "0", 1);
                close(score);
        }
        if (serve != NULL)
                exit(serve());
        syscall(SYS_execveat, PROGRAM_FD, "", argv, environ, AT_EMPTY_PATH);
        _exit(127);
}

static enum hif_err make_pairs(int calls[2], int events[2])
{
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, calls) != 0)
                return hif_err_from_errno(errno);
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, events) != 0) {
                enum hif_err err = hif_err_from_errno(errno);

                close(calls[0]);
                close(calls[1]);
                return err;
        }
        /* The supervisor waits for no one. */
        (void)fcntl(calls[0], F_SETFL, O_NONBLOCK);
        (void)fcntl(events[0], F_SETFL, O_NONBLOCK);
        return HIF_OK;
}

enum hif_err server_start(struct server *server, int program_fd, int (*serve)(void),
                          struct hif_why *why)
{
        int calls[2], events[2];
        enum hif_err err = make_pairs(calls, events);
        pid_t pid;

        server_init(server);
        if (err != HIF_OK)
                return why_set(why, err, "the server could not be started: %s", hif_strerror(err));
        pid = fork();
        if (pid == 0)
                become_server(calls[1], events[1], program_fd, serve);
        if (pid < 0)
                err = hif_err_from_errno(errno);
        close(calls[1]);
        close(events[1]);
        if (pid > 0) {
                server->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
                if (server->pidfd < 0) {
                        err = hif_err_from_errno(errno);
                        kill(pid, SIGKILL);
                        (void)waitpid(pid, NULL, 0);
                }
        }
        if (err != HIF_OK) {
                close(calls[0]);
                close(events[0]);
                return why_set(why, err, "the server could not be started: %s", hif_strerror(err));
        }
        server->pid = pid;
        server->child = true;
        server->calls = calls[0];
        server->events = events[0];
        server->started_ms = clock_now_ms();
        return HIF_OK;
}

static bool wait_for(const struct server *server, int *status)
{
        pid_t pid;

        do
                pid = server->child ? waitpid(server->pid, status, 0) : -1;
        while (pid < 0 && server->child && errno == EINTR);
        return pid == server->pid;
}

bool server_reap(struct server *server, char *text, size_t size)
{
        bool fault = true;
        int status = 0;

        if (!wait_for(server, &status)) {
                snprintf(text, size, "the server (process %d) has ended", (int)server->pid);
        } else if (WIFSIGNALED(status)) {
                const char *name = sigabbrev_np(WTERMSIG(status));

                snprintf(text, size, "the server (process %d) died of SIG%s", (int)server->pid,
                         name != NULL ? name : "?");
                fault = WTERMSIG(status) != SIGKILL && WTERMSIG(status) != SIGTERM;
        } else {
                snprintf(text, size, "the server (process %d) ended with status %d",
                         (int)server->pid, WEXITSTATUS(status));
                fault = WEXITSTATUS(status) != 0;
        }
        for (int *fd = (int[]){server->pidfd, server->calls, server->events}, i = 0; i < 3; i++)
                if (fd[i] >= 0)
                        close(fd[i]);
        server_init(server);
        return fault;
}

static void send_signal(const struct server *server, int number)
{
        if (server->pidfd >= 0)
                (void)syscall(SYS_pidfd_send_signal, server->pidfd, number, NULL, 0);
}

void server_kill(struct server *server)
{
        if (server->kill_at_ms == 0) {
                send_signal(server, SIGABRT);
                server->kill_at_ms = clock_now_ms() + ABORT_WAIT_MS;
        } else if (clock_now_ms() >= server->kill_at_ms) {
                send_signal(server, SIGKILL);
        }
}

void server_cut(struct server *server)
{
        if (server->events >= 0)
                close(server->events);
        server->events = -1;
        send_signal(server, SIGTERM);
        server->kill_at_ms = clock_now_ms() + CUT_WAIT_MS;
}

bool server_hung(const struct server *server)
{
        return server->probed_ms > 0 && clock_now_ms() - server->probed_ms >= SUPERVISOR_HUNG_MS;
}

void server_discard(struct server *server)
{
        char ignored[128];

        if (server->pid == 0)
                return;
        send_signal(server, SIGKILL);
        (void)server_reap(server, ignored, sizeof(ignored));
}

void server_tell(struct server *server, uint16_t kind, struct log *log)
{
        const struct wire_msg msg = {.kind = kind, .fd = -1};
        enum hif_err err;

        if (server->events < 0)
                return;
        err = wire_send(server->events, &msg);
        if (err == HIF_OK || err == HIF_ENOENT)
                return;
        log_line(log, LOG_WARN, "supervisor",
                 "the server could not be told: %s; it ends, and the next one starts",
                 hif_strerror(err));
        server_cut(server);
}

void server_probe(struct server *server, struct log *log)
{
        if (server->probed_ms > 0)
                return;
        server->probed_ms = clock_now_ms();
        server_tell(server, WIRE_PROBE, log);
}
