/* client.c - a command asks the supervisor. */
#include "base/cleanup.h"
#include "cli/supervisor/supervisor_impl.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define STATUS_TIMEOUT_S 8 /* it answers within HUNG_AFTER_MS */

static bool connect_to(const struct sockaddr_un *address, int *out)
{
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return false;
        if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0) {
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

static bool reach(struct cli *cli, int *fd)
{
        struct sockaddr_un address;
        struct hif_why ignored;

        return (supervisor_address(cli->paths.runtime_dir, &address, &ignored) == HIF_OK &&
                connect_to(&address, fd)) ||
               (recorded_address(cli, &address) && connect_to(&address, fd));
}

bool supervisor_there(struct cli *cli)
{
        int fd;

        if (!reach(cli, &fd))
                return false;
        close(fd);
        return true;
}

static enum hif_err ask(struct cli *cli, const struct wire_msg *msg, time_t timeout_s,
                        uint8_t *buffer, json_t **out, struct hif_why *why)
{
        const struct timeval timeout = {.tv_sec = timeout_s};
        struct wire_msg answer;
        enum hif_err err;
        int fd;

        if (!reach(cli, &fd))
                return why_set(why, HIF_ENOENT, "no daemon is running, so nothing is mounted");
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
        err = wire_send(fd, msg);
        if (err == HIF_OK)
                err = wire_receive(fd, buffer, &answer);
        close(fd);
        if (err != HIF_OK)
                return why_set(why, HIF_EUNREACHABLE,
                               err == HIF_EAGAIN
                                   ? "the daemon's supervisor does not answer"
                                   : "the daemon's supervisor ended during the request");
        err = hif_err_from_errno((int)answer.value);
        if (err != HIF_OK)
                return why_set(why, err, "%.*s", (int)answer.note.size,
                               (const char *)answer.note.data);
        *out = json_loadb((const char *)answer.note.data, answer.note.size, 0, NULL);
        return *out != NULL
                   ? HIF_OK
                   : why_set(why, HIF_ECORRUPT, "the supervisor's answer could not be read");
}

enum hif_err supervisor_status(struct cli *cli, json_t **out, struct hif_why *why)
{
        const struct wire_msg msg = {.kind = WIRE_STATUS, .fd = -1};
        AUTO_FREE uint8_t *buffer = malloc(WIRE_SIZE_MAX);

        return buffer != NULL ? ask(cli, &msg, STATUS_TIMEOUT_S, buffer, out, why) : HIF_ENOMEM;
}

enum hif_err supervisor_ask(struct cli *cli, uint16_t kind, const char *name, json_t **out,
                            struct hif_why *why)
{
        const struct wire_msg msg = {.kind = kind, .name = span_str(name), .fd = -1};
        AUTO_FREE uint8_t *buffer = malloc(WIRE_SIZE_MAX);

        return buffer != NULL ? ask(cli, &msg, 0, buffer, out, why) : HIF_ENOMEM;
}
