/* requests.c - what commands ask of the supervisor: one packet each, and one back. */
#include "cli/supervisor/requests.h"

#include "cli/clock.h"
#include "cli/json_encode.h"
#include "cli/process.h"
#include "cli/supervisor/life.h"
#include "cli/supervisor/upgrade.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* --- status --- */

static const char *state_of(const struct supervisor *supervisor)
{
        if (server_hung(&supervisor->server))
                return "hung";
        switch (supervisor->life) {
        case LIFE_WAITING:
                return "waiting";
        case LIFE_ADOPTING:
        case LIFE_STARTING:
                return "starting";
        case LIFE_RUNNING:
                return "running";
        case LIFE_LEAVING:
                return "leaving";
        }
        return "?";
}

static json_t *describe_server(const struct supervisor *supervisor, uint64_t now)
{
        const struct server *server = &supervisor->server;
        uint64_t silent = server->probed_ms > 0 ? now - server->probed_ms : 0;

        if (server->pid == 0)
                return json_null();
        return json_pack("{s:i, s:s, s:I, s:I}", "pid", (int)server->pid, "version",
                         server->version, "uptime_ms", (json_int_t)(now - server->started_ms),
                         "silent_ms", (json_int_t)silent);
}

static void answer_status(struct supervisor *supervisor, struct client *client)
{
        uint64_t now = clock_now_ms();
        uint64_t next = supervisor->life == LIFE_WAITING && supervisor->start_at_ms > now
                            ? supervisor->start_at_ms - now
                            : 0;
        json_t *status = json_pack(
            "{s:s, s:i, s:s, s:I, s:I, s:I, s:I, s:s, s:s, s:i, s:o}", "state",
            state_of(supervisor), "pid", (int)getpid(), "version", HIF_VERSION, "uptime_ms",
            (json_int_t)(now - supervisor->began_ms), "restarts", (json_int_t)supervisor->restarts,
            "crashes", (json_int_t)supervisor->crash_count, "next_start_ms", (json_int_t)next,
            "last_death", supervisor->last_death, "program",
            supervisor->program != NULL ? supervisor->program : "", "spare_pid",
            (int)supervisor->spare.pid, "server", describe_server(supervisor, now));
        char *text = status != NULL ? json_encode(status, JSON_COMPACT) : NULL;

        client_answer(client, text != NULL ? HIF_OK : HIF_ENOMEM, text != NULL ? text : "");
        free(text);
        json_decref(status);
}

/* A server that runs is asked before anything is said of it; one that is stopped cannot answer. */
void requests_status(struct supervisor *supervisor)
{
        const struct server *server = &supervisor->server;

        for (size_t i = 0; i < CLIENTS_MAX; i++) {
                struct client *client = &supervisor->clients.all[i];

                if (client->fd < 0 || client->wants != WIRE_STATUS)
                        continue;
                if (supervisor->life != LIFE_RUNNING || server_hung(&supervisor->server) ||
                    server->probed_ms == 0 || process_stopped(server->pid) ||
                    (client->answer_at_ms > 0 && clock_now_ms() >= client->answer_at_ms))
                        answer_status(supervisor, client);
        }
}

/* --- a server that comes --- */

static void adopt(struct supervisor *supervisor, struct client *client, uint16_t kind)
{
        struct server *server = &supervisor->server;
        int *end = kind == WIRE_ADOPT_CALLS ? &server->calls : &server->events;
        pid_t pid = 0;

        if (supervisor->life != LIFE_ADOPTING || *end >= 0 ||
            !client_is_own_user(client->fd, &pid)) {
                client_close(client);
                return;
        }
        if (server->pidfd < 0)
                server->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
        if (server->pidfd < 0) { /* then it stays without: its end would not be seen */
                log_line(supervisor->log, LOG_ERROR, "supervisor",
                         "the server (process %d) cannot be watched: %s", (int)pid,
                         strerror(errno));
                client_close(client);
                return;
        }
        *end = client->fd;
        *client = (struct client){.fd = -1};
        server->pid = pid;
        server->started_ms = clock_now_ms();
}

/* --- dispatch --- */

static void begin(struct supervisor *supervisor, struct client *client, struct span name)
{
        struct hif_why why = {0};
        enum hif_err err = HIF_OK;

        if (supervisor->aim != AIM_SERVE && client->wants != WIRE_STOP) {
                client_answer(
                    client, HIF_EBUSY,
                    "the daemon is being stopped, restarted or upgraded already; try again");
                return;
        }
        if (client->wants == WIRE_UPGRADE)
                err = upgrade_begin(supervisor, name, &why);
        if (err != HIF_OK) {
                client_answer(client, err, why.text);
                return;
        }
        supervisor_aim(supervisor, client->wants == WIRE_STOP      ? AIM_STOP
                                   : client->wants == WIRE_RESTART ? AIM_RESTART
                                                                   : AIM_UPGRADE);
}

void request_ready(struct supervisor *supervisor, struct client *client)
{
        struct wire_msg msg;
        enum hif_err err = wire_receive(client->fd, supervisor->buffer, &msg);

        if (err == HIF_EAGAIN)
                return;
        if (err == HIF_OK && msg.fd >= 0)
                close(msg.fd);
        if (err != HIF_OK || client->wants != 0) {
                client_close(client);
                return;
        }
        switch (msg.kind) {
        case WIRE_STATUS:
                client->wants = msg.kind;
                client->answer_at_ms = msg.value > 0 ? clock_now_ms() + msg.value : 0;
                if (supervisor->life == LIFE_RUNNING)
                        server_probe(&supervisor->server, supervisor->log);
                return; /* requests_status answers, at the end of the turn at the earliest */
        case WIRE_STOP:
        case WIRE_RESTART:
        case WIRE_UPGRADE:
                client->wants = msg.kind;
                begin(supervisor, client, msg.name);
                return;
        case WIRE_ADOPT_CALLS:
        case WIRE_ADOPT_EVENTS:
                adopt(supervisor, client, msg.kind);
                return;
        default:
                client_answer(client, HIF_ENOTSUP, "this daemon does not know that request");
                return;
        }
}
