#include "cli/supervisor/supervisor_impl.h"

#include "cli/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define FILES_MAX      65536
#define OOM_SCORE      "-900" /* the last to go: without it nobody brings the server back */
#define FOREVER_MS     (24u * 3600 * 1000)
#define FAILED_WAIT_US 100000

uint64_t supervisor_now_ms(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- time --- */

static void due(uint64_t *next, uint64_t at)
{
        if (at < *next)
                *next = at;
}

/* During an upgrade it has less time: upgrade_due_ms. */
static bool spare_waits(const struct supervisor *supervisor)
{
        return supervisor->spare.pid != 0 && !supervisor->spare.warm &&
               supervisor->old_program_fd < 0;
}

/* It is to go, and is told as soon as it listens; unless it never does. */
static bool start_hopeless(const struct supervisor *supervisor)
{
        return supervisor->life == LIFE_STARTING && supervisor->server.kill_at_ms == 0 &&
               (supervisor->aim == AIM_RESTART || supervisor->aim == AIM_STOP);
}

static int until_next(const struct supervisor *supervisor)
{
        const struct server *server = &supervisor->server;
        uint64_t now = supervisor_now_ms(), next = now + FOREVER_MS;

        if (supervisor->life == LIFE_WAITING)
                due(&next, supervisor->start_at_ms);
        if (supervisor->life == LIFE_ADOPTING)
                due(&next, supervisor->start_at_ms);
        if (supervisor->old_program_fd >= 0)
                due(&next, upgrade_due_ms(supervisor));
        if (supervisor->life == LIFE_RUNNING && supervisor->spare.pid == 0)
                due(&next, supervisor->spare_at_ms);
        if (spare_waits(supervisor))
                due(&next, supervisor->spare.started_ms + SPARE_WAIT_MS);
        if (start_hopeless(supervisor))
                due(&next, server->started_ms + LEAVE_WAIT_MS);
        if ((supervisor->life == LIFE_RUNNING || supervisor->life == LIFE_LEAVING) &&
            server->probed_ms == 0)
                due(&next, server->beat_ms + PROBE_EVERY_MS);
        if (supervisor->life == LIFE_LEAVING && server->kill_at_ms == 0)
                due(&next, server->leaving_ms + LEAVE_WAIT_MS);
        if (server->probed_ms > 0 && !server_hung(supervisor))
                due(&next, server->probed_ms + HUNG_AFTER_MS);
        if (server->kill_at_ms > 0)
                due(&next, server->kill_at_ms);
        for (size_t i = 0; i < CLIENTS_MAX; i++)
                if (supervisor->clients[i].fd >= 0 && supervisor->clients[i].answer_at_ms > 0)
                        due(&next, supervisor->clients[i].answer_at_ms);
        return next > now ? (int)(next - now) : 0;
}

/* Sockets that someone has removed are made anew, and the next server listens on them. */
static void look_after_sockets(struct supervisor *supervisor)
{
        struct hif_why why = {0};
        int old = supervisor->listen_fd;

        supervisor->looked_ms = supervisor_now_ms();
        log_tend(supervisor->log);
        if (supervisor->unrecorded)
                supervisor_record(supervisor);
        if (supervisor->aim != AIM_SERVE || supervisor_sockets_there(supervisor))
                return;
        log_line(supervisor->log, LOG_WARN, "supervisor",
                 "'%s' was removed; it is made anew, and the server starts again",
                 supervisor->control.sun_path);
        if (supervisor_sockets(supervisor, &why) != HIF_OK) {
                log_line(supervisor->log, LOG_ERROR, "supervisor", "%s", why.text);
                supervisor->listen_fd = old;
                return;
        }
        close(old);
        supervisor_aim(supervisor, AIM_RESTART);
}

static void on_time(struct supervisor *supervisor)
{
        struct server *server = &supervisor->server;
        uint64_t now = supervisor_now_ms();

        if (supervisor->life == LIFE_WAITING && now >= supervisor->start_at_ms)
                supervisor_start_server(supervisor);
        if (supervisor->life == LIFE_ADOPTING && now >= supervisor->start_at_ms) {
                supervisor->failure = supervisor_say_orphan(supervisor, &supervisor->why);
                supervisor->done = true;
        }
        if (supervisor->old_program_fd >= 0 && now >= upgrade_due_ms(supervisor)) {
                upgrade_back(supervisor, "its server did not answer in time");
                if (supervisor->life == LIFE_STARTING)
                        server_kill(server);
        }
        if (supervisor->life == LIFE_RUNNING && supervisor->spare.pid == 0 &&
            now >= supervisor->spare_at_ms)
                supervisor_make_spare(supervisor);
        if (spare_waits(supervisor) && now >= supervisor->spare.started_ms + SPARE_WAIT_MS)
                supervisor_spare_late(supervisor);
        if (start_hopeless(supervisor) &&
            (process_stopped(server->pid) || now >= server->started_ms + LEAVE_WAIT_MS))
                server_kill(server);
        if (supervisor->life == LIFE_RUNNING && now >= supervisor->looked_ms + PROBE_EVERY_MS)
                look_after_sockets(supervisor);
        if (supervisor->life == LIFE_RUNNING && server->probed_ms == 0 &&
            now >= server->beat_ms + PROBE_EVERY_MS) {
                server->probed_ms = now;
                server_tell(supervisor, &supervisor->server, WIRE_PROBE);
        }
        if (supervisor->life == LIFE_RUNNING && supervisor->aim == AIM_RESTART &&
            server_hung(supervisor))
                supervisor_suspend(supervisor);
        if (supervisor->life == LIFE_LEAVING && server_hung(supervisor)) {
                server_kill(server);
        } else if (server->kill_at_ms > 0 || (supervisor->life == LIFE_LEAVING &&
                                              now >= server->leaving_ms + LEAVE_WAIT_MS)) {
                server_kill(server);
        }
        /* As long as it answers, it is asked again: a hang shows while it leaves, too. */
        if (supervisor->life == LIFE_LEAVING && server->probed_ms == 0 &&
            now >= server->beat_ms + PROBE_EVERY_MS) {
                server->probed_ms = now;
                server_tell(supervisor, &supervisor->server, WIRE_PROBE);
        }
}

/* --- running --- */

static void on_signal(struct supervisor *supervisor)
{
        struct signalfd_siginfo info;

        if (read(supervisor->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
                supervisor_aim(supervisor, AIM_STOP);
}

enum watched {
        ON_SIGNAL,
        ON_LISTENER,
        ON_END,
        ON_EVENTS,
        ON_CALLS,
        ON_SPARE,
        ON_SPARE_END,
        ON_CLIENTS
};

static void turn(struct supervisor *supervisor)
{
        struct server *server = &supervisor->server;
        struct pollfd fds[ON_CLIENTS + CLIENTS_MAX] = {
            [ON_SIGNAL] = {supervisor->signal_fd, POLLIN, 0},
            [ON_LISTENER] = {supervisor->listen_fd, POLLIN, 0},
            [ON_END] = {server->pidfd, POLLIN, 0},
            [ON_EVENTS] = {server->events, POLLIN, 0},
            [ON_CALLS] = {server->calls, POLLIN, 0},
            [ON_SPARE] = {supervisor->spare.events, POLLIN, 0},
            [ON_SPARE_END] = {supervisor->spare.pidfd, POLLIN, 0},
        };

        for (size_t i = 0; i < CLIENTS_MAX; i++)
                fds[ON_CLIENTS + i] = (struct pollfd){supervisor->clients[i].fd, POLLIN, 0};
        if (poll(fds, ON_CLIENTS + CLIENTS_MAX, until_next(supervisor)) < 0) {
                if (errno != EINTR) /* no memory, say: it would fail again at once */
                        (void)usleep(FAILED_WAIT_US);
                return;
        }
        if (fds[ON_SIGNAL].revents)
                on_signal(supervisor);
        if (fds[ON_CALLS].revents)
                supervisor_call(supervisor);
        if (fds[ON_EVENTS].revents)
                supervisor_event(supervisor, &supervisor->server);
        if (fds[ON_SPARE].revents)
                supervisor_event(supervisor, &supervisor->spare);
        for (size_t i = 0; i < CLIENTS_MAX; i++)
                if (fds[ON_CLIENTS + i].revents && supervisor->clients[i].fd >= 0)
                        client_ready(supervisor, &supervisor->clients[i]);
        if (fds[ON_SPARE_END].revents)
                supervisor_spare_gone(supervisor);
        if (fds[ON_END].revents)
                supervisor_gone(supervisor);
        if (fds[ON_LISTENER].revents)
                clients_accept(supervisor);
        if (supervisor->done)
                return;
        supervisor_reap_helpers(supervisor);
        on_time(supervisor);
        clients_status(supervisor);
        if (supervisor->upgraded) {
                supervisor->upgraded = false;
                supervisor_become(supervisor);
        }
}

/* What could end this process by chance is not for it. */
static enum hif_err watch_signals(struct supervisor *supervisor)
{
        static const int ignored[] = {SIGPIPE, SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM,
                                      SIGPROF, SIGXCPU, SIGXFSZ, SIGIO,   SIGQUIT,
                                      SIGTSTP, SIGTTIN, SIGTTOU};
        sigset_t set;

        for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
                (void)signal(ignored[i], SIG_IGN);
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGHUP);
        if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
                return hif_err_from_errno(errno);
        supervisor->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        return supervisor->signal_fd >= 0 ? HIF_OK : hif_err_from_errno(errno);
}

/* Best effort: an ordinary user may do neither. */
static void hold_out(void)
{
        int score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

        if (score >= 0) {
                (void)!write(score, OOM_SCORE, strlen(OOM_SCORE));
                close(score);
        }
        (void)mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
}

static enum hif_err set_up(struct supervisor *supervisor, struct hif_why *why)
{
        struct cli *cli = supervisor->cli;
        struct rlimit files = {.rlim_cur = FILES_MAX, .rlim_max = FILES_MAX};
        char program[PATH_MAX];
        enum hif_err err;
        ssize_t size;

        umask(077);
        prctl(PR_SET_NAME, "hif"); /* else it is called after /proc/self/exe */
        if (chdir("/") != 0)
                return hif_err_from_errno(errno);
        if (setrlimit(RLIMIT_NOFILE, &files) != 0) {
                getrlimit(RLIMIT_NOFILE, &files);
                files.rlim_cur = files.rlim_max;
                setrlimit(RLIMIT_NOFILE, &files);
        }
        supervisor->program_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        size = readlink("/proc/self/exe", program, sizeof(program) - 1);
        if (supervisor->program_fd < 0 || size < 0)
                return why_set(why, hif_err_from_errno(errno), "'/proc' could not be used: %s",
                               strerror(errno));
        supervisor->program = strndup(program, (size_t)size);
        if (supervisor->program == NULL)
                return HIF_ENOMEM;
        supervisor->began_ms = supervisor_now_ms();
        err = env_mkdirs(&cli->env, cli->paths.state_dir, 0700);
        if (err != HIF_OK)
                return why_set(why, err, "'%s' could not be made: %s", cli->paths.state_dir,
                               hif_strerror(err));
        return HIF_OK;
}

static void say_hello(struct supervisor *supervisor)
{
        supervisor->cli->env = env_system(supervisor->log);
        log_line(supervisor->log, LOG_INFO, "supervisor", "version %s, process %d", HIF_VERSION,
                 (int)getpid());
        hold_out();
}

/* In the place of a supervisor of another program, in the same process. */
static enum hif_err start_again(struct supervisor *supervisor, int state_fd, struct hif_why *why)
{
        enum hif_err err = supervisor_log(supervisor, why);

        if (err == HIF_OK)
                err = watch_signals(supervisor);
        supervisor->server_stays = true;
        if (err == HIF_OK)
                err = supervisor_resume(supervisor, state_fd, why);
        supervisor->server_stays = err != HIF_OK;
        say_hello(supervisor);
        return err;
}

static enum hif_err start_first(struct supervisor *supervisor, struct hif_why *why)
{
        enum hif_err err = supervisor_lock(supervisor, why);
        bool asked = false;

        if (err == HIF_OK)
                err = supervisor_log(supervisor, why);
        if (err == HIF_OK)
                err = watch_signals(supervisor);
        if (err == HIF_OK)
                err = supervisor_adopt(supervisor, &asked, why);
        if (err != HIF_OK)
                return err;
        say_hello(supervisor);
        if (asked) {
                supervisor->life = LIFE_ADOPTING;
                supervisor->start_at_ms = supervisor_now_ms() + ADOPT_WAIT_MS;
                return HIF_OK;
        }
        err = supervisor_sockets(supervisor, why);
        if (err == HIF_OK)
                supervisor_start_server(supervisor);
        return err;
}

static enum hif_err start(struct supervisor *supervisor, int state_fd, struct hif_why *why)
{
        enum hif_err err = set_up(supervisor, why);

        if (err != HIF_OK)
                return err;
        return state_fd >= 0 ? start_again(supervisor, state_fd, why)
                             : start_first(supervisor, why);
}

static void stop(struct supervisor *supervisor, enum hif_err err)
{
        /* No server of ours may be there without us when we end in order. */
        if (supervisor->listen_fd >= 0) {
                if (!supervisor->server_stays)
                        unlink(supervisor->control.sun_path);
                unlink(supervisor->own.sun_path);
                close(supervisor->listen_fd);
        }
        server_discard(&supervisor->spare);
        clients_answer(supervisor, WIRE_STOP, HIF_OK, "{}");
        for (size_t i = 0; i < CLIENTS_MAX; i++)
                if (supervisor->clients[i].fd >= 0)
                        close(supervisor->clients[i].fd);
        if (err != HIF_OK)
                log_line(supervisor->log, LOG_ERROR, "supervisor", "it ends: %s",
                         supervisor->why.text);
        shelf_free(&supervisor->shelf);
        for (int *fd = (int[]){supervisor->lock_fd, supervisor->signal_fd, supervisor->program_fd,
                               supervisor->adopt_fd},
                 i = 0;
             i < 4; i++)
                if (fd[i] >= 0)
                        close(fd[i]);
        supervisor->cli->env.log = NULL;
        log_free(supervisor->log);
        free(supervisor->program);
}

enum hif_err supervisor_run(struct cli *cli, int (*serve)(void), int state_fd, struct hif_why *why)
{
        struct supervisor *supervisor = calloc(1, sizeof(*supervisor));
        enum hif_err err;

        if (supervisor == NULL)
                return HIF_ENOMEM;
        supervisor->cli = cli;
        supervisor->serve = serve;
        supervisor->lock_fd = supervisor->signal_fd = -1;
        supervisor->listen_fd = supervisor->program_fd = supervisor->old_program_fd = -1;
        supervisor->adopt_fd = -1;
        server_init(&supervisor->server);
        server_init(&supervisor->spare);
        for (size_t i = 0; i < CLIENTS_MAX; i++)
                supervisor->clients[i].fd = -1;
        err = start(supervisor, state_fd, why);
        while (err == HIF_OK && !supervisor->done)
                turn(supervisor);
        if (err == HIF_OK) {
                err = supervisor->failure;
                *why = supervisor->why;
        } else {
                supervisor->why = *why;
        }
        stop(supervisor, err);
        free(supervisor);
        return err;
}
