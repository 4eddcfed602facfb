/* client.c - a command asks the supervisor. */
#include "base/cleanup.h"
#include "cli/clock.h"
#include "cli/process.h"
#include "cli/sockets.h"
#include "cli/supervisor/supervisor.h"
#include "cli/supervisor/wire.h"

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#define LOOK_EVERY_MS     250  /* is it stopped? */
#define SPARE_TIME_MS     1000 /* for an answer that is due, on a busy machine */
#define STATUS_TIMEOUT_MS (SUPERVISOR_HUNG_MS + 3000) /* it answers within SUPERVISOR_HUNG_MS */
#define ASK_TIMEOUT_MS    120000 /* a stop, a restart: LEAVE_WAIT_MS, and a start */

bool supervisor_there(struct cli *cli)
{
        struct sockaddr_un where;
        int fd;
        enum hif_err err = sockets_find(cli, SOCKET_SUPERVISOR, &where, &fd);

        if (err == HIF_OK)
                close(fd);
        return err != HIF_ENOENT;
}

pid_t supervisor_stopped(struct cli *cli)
{
        pid_t pid = process_of_lock(&cli->env, cli->paths.daemon_lock);

        return process_stopped(pid) ? pid : 0;
}

static enum hif_err say_stopped(pid_t pid, struct hif_why *why)
{
        return why_set(
            why, HIF_EUNREACHABLE,
            "the daemon's supervisor (process %d) is stopped; `kill -CONT %d` lets it go "
            "on",
            (int)pid, (int)pid);
}

/* One that is stopped is not waited for. */
static enum hif_err wait_for_answer(int fd, uint64_t timeout_ms, struct hif_why *why)
{
        struct pollfd answer = {.fd = fd, .events = POLLIN};
        uint64_t deadline = clock_now_ms() + timeout_ms;

        while (poll(&answer, 1, LOOK_EVERY_MS) <= 0) {
                pid_t pid = process_of_socket(fd);

                if (process_stopped(pid))
                        return say_stopped(pid, why);
                if (clock_now_ms() >= deadline)
                        return why_set(why, HIF_EUNREACHABLE,
                                       "the daemon's supervisor (process %d) does not answer; "
                                       "`hif doctor` says how it does",
                                       (int)pid);
        }
        return HIF_OK;
}

/* HIF_ECANCELED where one is there and lets nobody in, because it may just have many to talk to. */
static enum hif_err say_unreachable(struct cli *cli, enum hif_err err,
                                    const struct sockaddr_un *where, struct hif_why *why)
{
        pid_t pid = supervisor_stopped(cli);

        if (err == HIF_ENOENT)
                return why_set(why, err, "no daemon is running, so nothing is mounted");
        if (err != HIF_EUNREACHABLE)
                return why_set(why, HIF_ECANCELED,
                               "the socket '%s' of the daemon's supervisor could not be used: %s",
                               where->sun_path, hif_strerror(err));
        if (pid > 0)
                return say_stopped(pid, why);
        return why_set(why, HIF_ECANCELED,
                       "the daemon's supervisor does not answer; `hif doctor` says how it does");
}

static enum hif_err ask(struct cli *cli, const struct wire_msg *msg, uint64_t timeout_ms,
                        uint8_t *buffer, json_t **out, struct hif_why *why)
{
        struct sockaddr_un where = {0};
        struct wire_msg answer;
        int fd;
        enum hif_err err = sockets_find(cli, SOCKET_SUPERVISOR, &where, &fd);

        if (err != HIF_OK)
                return say_unreachable(cli, err, &where, why);
        err = wire_send(fd, msg);
        if (err == HIF_OK && wait_for_answer(fd, timeout_ms, why) != HIF_OK) {
                close(fd);
                return HIF_EUNREACHABLE;
        }
        if (err == HIF_OK)
                err = wire_receive(fd, buffer, &answer);
        close(fd);
        if (err != HIF_OK)
                return why_set(why, HIF_ECANCELED,
                               "the daemon's supervisor ended during the request; run the command "
                               "again, it starts another");
        err = hif_err_from_errno((int)answer.value);
        if (err != HIF_OK)
                return why_set(why, err, "%.*s", (int)answer.note.size,
                               (const char *)answer.note.data);
        *out = json_loadb((const char *)answer.note.data, answer.note.size, 0, NULL);
        return *out != NULL
                   ? HIF_OK
                   : why_set(why, HIF_ECORRUPT, "the supervisor's answer could not be read");
}

enum hif_err supervisor_status(struct cli *cli, uint64_t patience_ms, json_t **out,
                               struct hif_why *why)
{
        const struct wire_msg msg = {.kind = WIRE_STATUS, .value = (uint32_t)patience_ms, .fd = -1};
        AUTO_FREE uint8_t *buffer = malloc(WIRE_SIZE_MAX);
        uint64_t timeout_ms = patience_ms > 0 ? patience_ms + SPARE_TIME_MS : STATUS_TIMEOUT_MS;

        return buffer != NULL ? ask(cli, &msg, timeout_ms, buffer, out, why) : HIF_ENOMEM;
}

enum hif_err supervisor_ask(struct cli *cli, uint16_t kind, const char *name, json_t **out,
                            struct hif_why *why)
{
        const struct wire_msg msg = {.kind = kind, .name = span_str(name), .fd = -1};
        AUTO_FREE uint8_t *buffer = malloc(WIRE_SIZE_MAX);

        enum hif_err err =
            buffer != NULL ? ask(cli, &msg, ASK_TIMEOUT_MS, buffer, out, why) : HIF_ENOMEM;

        return err == HIF_ECANCELED ? HIF_EUNREACHABLE : err;
}
