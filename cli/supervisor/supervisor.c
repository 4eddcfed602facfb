#include "cli/supervisor/supervisor_impl.h"

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

#define FILES_MAX  65536
#define OOM_SCORE  "-900" /* the last to go: without it nobody brings the server back */
#define FOREVER_MS (24u * 3600 * 1000)

uint64_t supervisor_now_ms(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- starting servers --- */

/* The spare serves from now on, or a new one as soon as it can. */
static void start_server(struct supervisor *supervisor)
{
        struct hif_why why = {0};
        enum hif_err err = HIF_OK;

        if (supervisor->spare.pid == 0)
                err = server_start(supervisor, &supervisor->spare, &why);
        supervisor->aim = supervisor->aim == AIM_RESTART ? AIM_SERVE : supervisor->aim;
        if (err != HIF_OK) {
                log_line(supervisor->log, LOG_ERROR, "supervisor", "%s", why.text);
                supervisor->life = LIFE_WAITING;
                supervisor->start_at_ms = supervisor_now_ms() + BACKOFF_MIN_MS;
                return;
        }
        supervisor->server = supervisor->spare;
        supervisor->server.started_ms = supervisor_now_ms();
        server_init(&supervisor->spare);
        supervisor->life = LIFE_STARTING;
        server_tell(supervisor, &supervisor->server, WIRE_GO);
}

/* So that a restart does not wait for a program to be loaded. */
static void make_spare(struct supervisor *supervisor)
{
        struct hif_why why = {0};

        if (server_start(supervisor, &supervisor->spare, &why) == HIF_OK)
                return;
        log_line(supervisor->log, LOG_WARN, "supervisor", "no spare: %s", why.text);
        supervisor->spare_at_ms = supervisor_now_ms() + SPARE_AGAIN_MS;
}

/* The n-th last of a ring; 0: there were fewer. */
static uint64_t ring_last(const uint64_t *ring, size_t size, uint64_t count, size_t n)
{
        return count >= n ? ring[(count - n) % size] : 0;
}

/* When the next one may start: now, unless they die again and again. */
static void note_death(struct supervisor *supervisor, bool fault)
{
        uint64_t now = supervisor_now_ms(), first;
        bool often;

        supervisor->deaths_ms[supervisor->death_count++ % DEATHS_MAX] = now;
        if (fault)
                supervisor->crashes_ms[supervisor->crash_count++ % CRASHES_MAX] = now;
        first =
            ring_last(supervisor->crashes_ms, CRASHES_MAX, supervisor->crash_count, CRASHES_MAX);
        often = fault && first > 0 && now - first < CRASH_WINDOW_MS;
        first = ring_last(supervisor->deaths_ms, DEATHS_MAX, supervisor->death_count, DEATHS_MAX);
        often |= first > 0 && now - first < DEATH_WINDOW_MS;
        if (!often)
                supervisor->backoff_ms = 0;
        else if (supervisor->backoff_ms == 0)
                supervisor->backoff_ms = BACKOFF_MIN_MS;
        else if (supervisor->backoff_ms < BACKOFF_MAX_MS)
                supervisor->backoff_ms *= 2;
        supervisor->start_at_ms = now + supervisor->backoff_ms;
}

/* --- what the server tells --- */

static void on_ready(struct supervisor *supervisor)
{
        struct server *server = &supervisor->server;
        uint64_t now = supervisor_now_ms();

        server->ready_ms = server->beat_ms = now;
        server->probed_ms = 0;
        if (supervisor->life == LIFE_STARTING)
                log_line(supervisor->log, LOG_INFO, "supervisor",
                         "the server (process %d, version %s) answers after %llu ms",
                         (int)server->pid, server->version,
                         (unsigned long long)(now - server->started_ms));
        supervisor->life = LIFE_RUNNING;
        supervisor->ever_ready = true;
        clients_answer(supervisor, WIRE_RESTART, HIF_OK, "{}");
        if (supervisor->old_program_fd >= 0)
                upgrade_done(supervisor);
        if (supervisor->aim == AIM_STOP)
                supervisor_aim(supervisor, AIM_STOP);
}

static void set_version(struct server *server, const struct wire_msg *msg)
{
        snprintf(server->version, sizeof(server->version), "%.*s", (int)msg->name.size,
                 (const char *)msg->name.data);
}

static void on_event(struct supervisor *supervisor, struct server *server,
                     const struct wire_msg *msg)
{
        switch (msg->kind) {
        case WIRE_WARM:
                set_version(server, msg);
                server->warm = true;
                upgrade_step(supervisor);
                break;
        case WIRE_READY:
                set_version(server, msg);
                if (server == &supervisor->server)
                        on_ready(supervisor);
                break;
        case WIRE_BEAT:
                server->beat_ms = supervisor_now_ms();
                server->probed_ms = 0;
                break;
        case WIRE_FAILED:
                server->failed = true;
                supervisor->failure = hif_err_from_errno((int)msg->value);
                snprintf(supervisor->why.text, sizeof(supervisor->why.text), "%.*s",
                         (int)msg->note.size, (const char *)msg->note.data);
                break;
        case WIRE_ENDING:
                supervisor->aim = AIM_STOP;
                break;
        default:
                break; /* of a newer version */
        }
}

/* Both return false when there is no more for now. */
static bool read_event(struct supervisor *supervisor, struct server *server)
{
        struct wire_msg msg;
        enum hif_err err;

        if (server->events < 0)
                return false;
        err = wire_receive(server->events, supervisor->buffer, &msg);
        if (err == HIF_ENOENT) {
                /* Its end is near, and is seen by the process. */
                close(server->events);
                server->events = -1;
        }
        if (err != HIF_OK)
                return false;
        if (msg.fd >= 0)
                close(msg.fd);
        on_event(supervisor, server, &msg);
        return true;
}

static bool read_call(struct supervisor *supervisor)
{
        struct server *server = &supervisor->server;
        struct wire_msg msg, done = {.kind = WIRE_DONE, .fd = -1};
        const struct shelf_item *item;
        enum hif_err err;

        if (server->calls < 0)
                return false;
        err = wire_receive(server->calls, supervisor->buffer, &msg);
        if (err == HIF_ENOENT) {
                close(server->calls);
                server->calls = -1;
        }
        if (err != HIF_OK)
                return false;
        if (msg.kind == WIRE_PUT && msg.fd >= 0) {
                err = shelf_put(&supervisor->shelf, msg.name, msg.fd, msg.note);
                msg.fd = -1;
        } else if (msg.kind == WIRE_TAKE) {
                item = shelf_find(&supervisor->shelf, msg.name);
                err = item != NULL ? HIF_OK : HIF_ENOENT;
                done.fd = item != NULL ? item->fd : -1;
                done.note = item != NULL ? item->note : (struct span){0};
        } else if (msg.kind == WIRE_DROP) {
                err = shelf_drop(&supervisor->shelf, msg.name);
        } else {
                err = HIF_ENOTSUP;
        }
        if (msg.fd >= 0)
                close(msg.fd);
        done.value = (uint32_t)(err == HIF_OK ? 0 : hif_err_to_errno(err));
        err = wire_send(server->calls, &done);
        return err == HIF_OK;
}

/* --- the end of a server --- */

static void on_gone(struct supervisor *supervisor)
{
        struct server *server = &supervisor->server;
        bool asked = supervisor->life == LIFE_LEAVING, said, fault;
        bool started = supervisor->life == LIFE_STARTING;

        while (read_call(supervisor) || read_event(supervisor, server))
                ; /* what it said last; bounded by the sockets' buffers */
        said = server->failed;
        fault = server_reap(server, supervisor->last_death, sizeof(supervisor->last_death));
        supervisor->life = LIFE_WAITING;
        if (supervisor->aim == AIM_STOP || (!supervisor->ever_ready && !said && !fault)) {
                supervisor->done = true;
                return;
        }
        if (!supervisor->ever_ready) {
                if (!said)
                        supervisor->failure =
                            why_set(&supervisor->why, HIF_EIO,
                                    "%s while it started; its log is '%s/daemon.log'",
                                    supervisor->last_death, supervisor->cli->paths.state_dir);
                supervisor->done = true;
                return;
        }
        if (supervisor->old_program_fd >= 0 && started)
                upgrade_back(supervisor, said ? supervisor->why.text : supervisor->last_death);
        supervisor->failure = HIF_OK;
        supervisor->restarts++;
        if (asked) {
                start_server(supervisor);
                return;
        }
        note_death(supervisor, fault);
        log_line(supervisor->log, LOG_WARN, "supervisor", "%s; the next one starts %s%llu ms",
                 said ? supervisor->why.text : supervisor->last_death,
                 supervisor->backoff_ms > 0 ? "not before " : "within ",
                 (unsigned long long)(supervisor->backoff_ms > 0 ? supervisor->backoff_ms : 1));
        if (supervisor->backoff_ms == 0)
                start_server(supervisor);
}

static void on_spare_gone(struct supervisor *supervisor)
{
        struct server *spare = &supervisor->spare;
        char text[sizeof(supervisor->last_death)];
        bool said;

        while (read_event(supervisor, spare))
                ;
        said = spare->failed;
        (void)server_reap(spare, text, sizeof(text));
        log_line(supervisor->log, LOG_WARN, "supervisor", "the spare: %s",
                 said ? supervisor->why.text : text);
        if (supervisor->old_program_fd >= 0)
                upgrade_back(supervisor, said ? supervisor->why.text : text);
        if (supervisor->aim == AIM_RESTART) {
                supervisor->aim = AIM_SERVE;
                clients_answer(supervisor, WIRE_RESTART, HIF_EIO,
                               "another server could not be started, so the old one goes on; "
                               "`hif daemon status` says where the log is");
        }
        supervisor->failure = HIF_OK;
        supervisor->spare_at_ms = supervisor_now_ms() + SPARE_AGAIN_MS;
}

/* Its mounts stay for the next one. */
void supervisor_suspend(struct supervisor *supervisor)
{
        struct server *server = &supervisor->server;

        server_tell(supervisor, server, WIRE_SUSPEND);
        supervisor->life = LIFE_LEAVING;
        server->leaving_ms = supervisor_now_ms();
        if (server->probed_ms == 0)
                server->probed_ms = server->leaving_ms;
        server_tell(supervisor, server, WIRE_PROBE);
}

void supervisor_aim(struct supervisor *supervisor, enum aim aim)
{
        supervisor->aim = aim;
        switch (supervisor->life) {
        case LIFE_WAITING:
                if (aim == AIM_STOP)
                        supervisor->done = true;
                else
                        start_server(supervisor);
                break;
        case LIFE_RUNNING:
                if (aim == AIM_RESTART && !server_hung(supervisor)) {
                        /* One that reads the configuration as it is now. */
                        server_discard(&supervisor->spare);
                        make_spare(supervisor);
                } else if (aim != AIM_UPGRADE) {
                        supervisor_suspend(supervisor);
                }
                break;
        case LIFE_ADOPTING:
                if (aim == AIM_STOP)
                        supervisor->done = true;
                break;
        case LIFE_STARTING: /* it is told as soon as it listens */
        case LIFE_LEAVING:
                break;
        }
}

/* --- time --- */

static void due(uint64_t *next, uint64_t at)
{
        if (at < *next)
                *next = at;
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
        if ((supervisor->life == LIFE_RUNNING || supervisor->life == LIFE_LEAVING) &&
            server->probed_ms == 0)
                due(&next, server->beat_ms + PROBE_EVERY_MS);
        if (supervisor->life == LIFE_LEAVING && server->kill_at_ms == 0)
                due(&next, server->leaving_ms + LEAVE_WAIT_MS);
        if (server->probed_ms > 0 && !server_hung(supervisor))
                due(&next, server->probed_ms + HUNG_AFTER_MS);
        if (server->kill_at_ms > 0)
                due(&next, server->kill_at_ms);
        return next > now ? (int)(next - now) : 0;
}

static void on_time(struct supervisor *supervisor)
{
        struct server *server = &supervisor->server;
        uint64_t now = supervisor_now_ms();

        if (supervisor->life == LIFE_WAITING && now >= supervisor->start_at_ms)
                start_server(supervisor);
        if (supervisor->life == LIFE_ADOPTING && now >= supervisor->start_at_ms) {
                supervisor->failure = why_set(
                    &supervisor->why, HIF_EBUSY,
                    "a server that has lost its supervisor is there and does not answer; end it "
                    "(`fuser %s/server.lock` gives its process), and try again",
                    supervisor->cli->paths.state_dir);
                supervisor->done = true;
        }
        if (supervisor->old_program_fd >= 0 && now >= upgrade_due_ms(supervisor)) {
                upgrade_back(supervisor, "its server did not answer in time");
                if (supervisor->life == LIFE_STARTING)
                        server_kill(server);
        }
        if (supervisor->life == LIFE_RUNNING && supervisor->spare.pid == 0 &&
            now >= supervisor->spare_at_ms)
                make_spare(supervisor);
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
        if (poll(fds, ON_CLIENTS + CLIENTS_MAX, until_next(supervisor)) < 0)
                return;
        if (fds[ON_SIGNAL].revents)
                on_signal(supervisor);
        if (fds[ON_CALLS].revents)
                read_call(supervisor);
        if (fds[ON_EVENTS].revents)
                read_event(supervisor, &supervisor->server);
        if (fds[ON_SPARE].revents)
                read_event(supervisor, &supervisor->spare);
        for (size_t i = 0; i < CLIENTS_MAX; i++)
                if (fds[ON_CLIENTS + i].revents && supervisor->clients[i].fd >= 0)
                        client_ready(supervisor, &supervisor->clients[i]);
        if (fds[ON_SPARE_END].revents)
                on_spare_gone(supervisor);
        if (fds[ON_END].revents)
                on_gone(supervisor);
        if (fds[ON_LISTENER].revents)
                clients_accept(supervisor);
        if (supervisor->done)
                return;
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
        if (err == HIF_OK)
                err = supervisor_resume(supervisor, state_fd, why);
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
                start_server(supervisor);
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
        for (int *fd = (int[]){supervisor->log_fd, supervisor->lock_fd, supervisor->signal_fd,
                               supervisor->program_fd, supervisor->adopt_fd},
                 i = 0;
             i < 5; i++)
                if (fd[i] >= 0)
                        close(fd[i]);
        supervisor->cli->env.log = NULL;
        log_free(supervisor->log);
        free(supervisor->program);
}

enum hif_err supervisor_run(struct cli *cli, int state_fd, struct hif_why *why)
{
        struct supervisor *supervisor = calloc(1, sizeof(*supervisor));
        enum hif_err err;

        if (supervisor == NULL)
                return HIF_ENOMEM;
        supervisor->cli = cli;
        supervisor->log_fd = supervisor->lock_fd = supervisor->signal_fd = -1;
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
