/* client.c - a command asks the supervisor. */
#include "base/cleanup.h"
#include "cli/process.h"
#include "cli/supervisor/supervisor_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define CONNECT_MS        250
#define LOOK_EVERY_MS     250                    /* is it stopped? */
#define SPARE_TIME_MS     1000                   /* for an answer that is due, on a busy machine */
#define STATUS_TIMEOUT_MS (HUNG_AFTER_MS + 3000) /* it answers within HUNG_AFTER_MS */
#define ASK_TIMEOUT_MS    120000                 /* a stop, a restart: LEAVE_WAIT_MS, and a start */

/* *full: there is one, which does not take connections. */
static bool connect_to(const struct sockaddr_un *address, int *out, bool *full)
{
        const struct timeval patience = {.tv_usec = CONNECT_MS * 1000};
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return false;
        /* With a full backlog connect(2) waits: for ever, when it is stopped. */
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
        if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0) {
                *full |= errno == EAGAIN;
                close(fd);
                return false;
        }
        *out = fd;
        return true;
}

/* Beside the control socket that the lock file names. */
static bool recorded_address(struct cli *cli, struct sockaddr_un *out)
{
        AUTO_FREE char *path = NULL;
        AUTO_BUF struct buf text = {0};
        struct hif_why ignored;

        if (asprintf(&path, "%s/daemon.lock", cli->paths.state_dir) < 0) {
                path = NULL;
                return false;
        }
        if (env_read_file(&cli->env, path, sizeof(out->sun_path) - 1, &text) != HIF_OK)
                return false;
        buf_put_u8(&text, 0);
        return !buf_failed(&text) && text.size > 1 &&
               supervisor_address(dirname((char *)text.data), out, &ignored) == HIF_OK;
}

static bool reach(struct cli *cli, int *fd, bool *full)
{
        struct sockaddr_un address;
        struct hif_why ignored;

        return (supervisor_address(cli->paths.runtime_dir, &address, &ignored) == HIF_OK &&
                connect_to(&address, fd, full)) ||
               (!*full && recorded_address(cli, &address) && connect_to(&address, fd, full));
}

bool supervisor_there(struct cli *cli)
{
        bool full = false;
        int fd;

        if (!reach(cli, &fd, &full))
                return full;
        close(fd);
        return true;
}

pid_t supervisor_stopped(struct cli *cli)
{
        AUTO_FREE char *path = NULL;
        pid_t pid;
        int fd;

        if (asprintf(&path, "%s/daemon.lock", cli->paths.state_dir) < 0) {
                path = NULL;
                return 0;
        }
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return 0; /* none has ever run */
        pid = process_of_lock(&cli->env, fd);
        close(fd);
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
        uint64_t deadline = supervisor_now_ms() + timeout_ms;

        while (poll(&answer, 1, LOOK_EVERY_MS) <= 0) {
                pid_t pid = process_of_socket(fd);

                if (process_stopped(pid))
                        return say_stopped(pid, why);
                if (supervisor_now_ms() >= deadline)
                        return why_set(why, HIF_EUNREACHABLE,
                                       "the daemon's supervisor (process %d) does not answer; "
                                       "`hif doctor` says how it does",
                                       (int)pid);
        }
        return HIF_OK;
}

/* There is one, and it lets nobody in: HIF_ECANCELED, where it may just have many to talk to. */
static enum hif_err say_full(struct cli *cli, struct hif_why *why)
{
        pid_t pid = supervisor_stopped(cli);

        if (pid > 0)
                return say_stopped(pid, why);
        return why_set(why, HIF_ECANCELED,
                       "the daemon's supervisor does not answer; `hif doctor` says how it does");
}

static enum hif_err ask(struct cli *cli, const struct wire_msg *msg, uint64_t timeout_ms,
                        uint8_t *buffer, json_t **out, struct hif_why *why)
{
        struct wire_msg answer;
        bool full = false;
        enum hif_err err;
        int fd;

        if (!reach(cli, &fd, &full))
                return full ? say_full(cli, why)
                            : why_set(why, HIF_ENOENT,
                                      "no daemon is running, so nothing is mounted");
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
