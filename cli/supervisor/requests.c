/* requests.c - what commands ask of the supervisor: one packet each, and one back. */
#include "cli/process.h"
#include "cli/supervisor/supervisor_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static void client_close(struct client *client)
{
        close(client->fd);
        *client = (struct client){.fd = -1};
}

/* Only our own user, whoever can reach the socket. */
static bool is_own_user(int fd, pid_t *pid)
{
        struct ucred peer;
        socklen_t size = sizeof(peer);

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.uid != geteuid())
                return false;
        *pid = peer.pid;
        return true;
}

void clients_accept(struct supervisor *supervisor)
{
        struct client *room = NULL, *oldest = &supervisor->clients[0];
        int fd = accept4(supervisor->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        pid_t pid;

        if (fd < 0)
                return;
        for (size_t i = 0; i < CLIENTS_MAX; i++) {
                struct client *client = &supervisor->clients[i];

                if (client->fd < 0)
                        room = client;
                else if (client->since_ms < oldest->since_ms)
                        oldest = client;
        }
        if (!is_own_user(fd, &pid)) {
                close(fd);
                return;
        }
        if (room == NULL) {
                client_close(oldest);
                room = oldest;
        }
        *room = (struct client){.fd = fd, .since_ms = supervisor_now_ms()};
}

static void answer(struct client *client, enum hif_err err, const char *text)
{
        size_t size = strlen(text);
        struct wire_msg msg = {.kind = WIRE_DONE,
                               .value = (uint32_t)(err == HIF_OK ? 0 : hif_err_to_errno(err)),
                               .note = span_of(text, size < WIRE_NOTE_MAX ? size : WIRE_NOTE_MAX),
                               .fd = -1};

        (void)!wire_send(client->fd, &msg); /* who does not read it does not want it */
        client_close(client);
}

void clients_answer(struct supervisor *supervisor, uint16_t wants, enum hif_err err,
                    const char *text)
{
        for (size_t i = 0; i < CLIENTS_MAX; i++)
                if (supervisor->clients[i].fd >= 0 && supervisor->clients[i].wants == wants)
                        answer(&supervisor->clients[i], err, text);
}

/* --- status --- */

static const char *state_of(const struct supervisor *supervisor)
{
        if (server_hung(supervisor))
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
        uint64_t now = supervisor_now_ms();
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
        char *text = status != NULL ? json_dumps(status, JSON_COMPACT) : NULL;

        answer(client, text != NULL ? HIF_OK : HIF_ENOMEM, text != NULL ? text : "");
        free(text);
        json_decref(status);
}

/* A server that runs is asked before anything is said of it; one that is stopped cannot answer. */
void clients_status(struct supervisor *supervisor)
{
        const struct server *server = &supervisor->server;

        for (size_t i = 0; i < CLIENTS_MAX; i++) {
                struct client *client = &supervisor->clients[i];

                if (client->fd < 0 || client->wants != WIRE_STATUS)
                        continue;
                if (supervisor->life != LIFE_RUNNING || server_hung(supervisor) ||
                    server->probed_ms == 0 || process_stopped(server->pid) ||
                    (client->answer_at_ms > 0 && supervisor_now_ms() >= client->answer_at_ms))
                        answer_status(supervisor, client);
        }
}

/* --- a server that comes --- */

static void adopt(struct supervisor *supervisor, struct client *client, uint16_t kind)
{
        struct server *server = &supervisor->server;
        int *end = kind == WIRE_ADOPT_CALLS ? &server->calls : &server->events;
        pid_t pid = 0;

        if (supervisor->life != LIFE_ADOPTING || *end >= 0 || !is_own_user(client->fd, &pid)) {
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
        server->started_ms = supervisor_now_ms();
}

/* --- dispatch --- */

static void begin(struct supervisor *supervisor, struct client *client, struct span name)
{
        struct hif_why why = {0};
        enum hif_err err = HIF_OK;

        if (supervisor->aim != AIM_SERVE && client->wants != WIRE_STOP) {
                answer(client, HIF_EBUSY,
                       "the daemon is being stopped, restarted or upgraded already; try again");
                return;
        }
        if (client->wants == WIRE_UPGRADE)
                err = upgrade_begin(supervisor, name, &why);
        if (err != HIF_OK) {
                answer(client, err, why.text);
                return;
        }
        supervisor_aim(supervisor, client->wants == WIRE_STOP      ? AIM_STOP
                                   : client->wants == WIRE_RESTART ? AIM_RESTART
                                                                   : AIM_UPGRADE);
}

void client_ready(struct supervisor *supervisor, struct client *client)
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
                client->answer_at_ms = msg.value > 0 ? supervisor_now_ms() + msg.value : 0;
                if (supervisor->life == LIFE_RUNNING && supervisor->server.probed_ms == 0) {
                        supervisor->server.probed_ms = supervisor_now_ms();
                        server_tell(supervisor, &supervisor->server, WIRE_PROBE);
                }
                return; /* clients_status answers, at the end of the turn at the earliest */
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
                answer(client, HIF_ENOTSUP, "this daemon does not know that request");
                return;
        }
}
