#include "cli/supervisor/turn.h"

#include "cli/clock.h"
#include "cli/process.h"
#include "cli/supervisor/become.h"
#include "cli/supervisor/helper_fork.h"
#include "cli/supervisor/life.h"
#include "cli/supervisor/place.h"
#include "cli/supervisor/requests.h"
#include "cli/supervisor/upgrade.h"

#include <errno.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define FOREVER_MS     (24u * 3600 * 1000)
#define FAILED_WAIT_US 100000
#define PROBE_EVERY_MS 5000
#define SPARE_WAIT_MS  30000 /* for a spare to be warm */
#define LEAVE_WAIT_MS  60000 /* for commands that run, and for the disk */

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
        uint64_t now = clock_now_ms(), next = now + FOREVER_MS;

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
        if (server->probed_ms > 0 && !server_hung(server))
                due(&next, server->probed_ms + SUPERVISOR_HUNG_MS);
        if (server->kill_at_ms > 0)
                due(&next, server->kill_at_ms);
        for (size_t i = 0; i < CLIENTS_MAX; i++)
                if (supervisor->clients.all[i].fd >= 0 &&
                    supervisor->clients.all[i].answer_at_ms > 0)
                        due(&next, supervisor->clients.all[i].answer_at_ms);
        return next > now ? (int)(next - now) : 0;
}

/* Sockets that someone has removed are made anew, and the next server listens on them. */
static void look_after_sockets(struct supervisor *supervisor)
{
        struct hif_why why = {0};
        int old = supervisor->listen_fd;

        supervisor->looked_ms = clock_now_ms();
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
        uint64_t now = clock_now_ms();

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
            now >= server->beat_ms + PROBE_EVERY_MS)
                server_probe(server, supervisor->log);
        if (supervisor->life == LIFE_RUNNING && supervisor->aim == AIM_RESTART &&
            server_hung(server))
                supervisor_suspend(supervisor);
        if (supervisor->life == LIFE_LEAVING && server_hung(server)) {
                server_kill(server);
        } else if (server->kill_at_ms > 0 || (supervisor->life == LIFE_LEAVING &&
                                              now >= server->leaving_ms + LEAVE_WAIT_MS)) {
                server_kill(server);
        }
        /* As long as it answers, it is asked again: a hang shows while it leaves, too. */
        if (supervisor->life == LIFE_LEAVING && server->probed_ms == 0 &&
            now >= server->beat_ms + PROBE_EVERY_MS)
                server_probe(server, supervisor->log);
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

void supervisor_turn(struct supervisor *supervisor)
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
                fds[ON_CLIENTS + i] = (struct pollfd){supervisor->clients.all[i].fd, POLLIN, 0};
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
                if (fds[ON_CLIENTS + i].revents && supervisor->clients.all[i].fd >= 0)
                        request_ready(supervisor, &supervisor->clients.all[i]);
        if (fds[ON_SPARE_END].revents)
                supervisor_spare_gone(supervisor);
        if (fds[ON_END].revents)
                supervisor_gone(supervisor);
        if (fds[ON_LISTENER].revents)
                clients_accept(&supervisor->clients, supervisor->listen_fd);
        if (supervisor->done)
                return;
        supervisor_reap_helpers(supervisor);
        on_time(supervisor);
        requests_status(supervisor);
        if (supervisor->upgraded) {
                supervisor->upgraded = false;
                supervisor_become(supervisor);
        }
}
