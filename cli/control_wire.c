#include "cli/control_wire.h"

#include "base/cleanup.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CONNECT_MS 250

static uint64_t now_ms(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- where it is --- */

enum hif_err control_address(const char *dir, struct sockaddr_un *out, struct hif_why *why)
{
        *out = (struct sockaddr_un){.sun_family = AF_UNIX};
        if ((size_t)snprintf(out->sun_path, sizeof(out->sun_path), "%s/control.sock", dir) >=
            sizeof(out->sun_path))
                return why_set(
                    why, HIF_ENAMETOOLONG,
                    "'%s' is too long for a socket; set XDG_RUNTIME_DIR to a shorter path", dir);
        return HIF_OK;
}

enum hif_err control_try(const struct sockaddr_un *address, int *out)
{
        const struct timeval patience = {.tv_usec = CONNECT_MS * 1000}, ever = {0};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return hif_err_from_errno(errno);
        /* With a full backlog connect(2) waits: for ever, when the daemon hangs. */
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
        if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0) {
                int error = errno;

                close(fd);
                if (error == EAGAIN)
                        return HIF_EUNREACHABLE;
                return error == ECONNREFUSED || error == ENOENT || error == ENOTDIR
                           ? HIF_ENOENT
                           : hif_err_from_errno(error);
        }
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &ever, sizeof(ever));
        *out = fd;
        return HIF_OK;
}

/* Where the daemon says it is: not everyone who starts commands has the same XDG_RUNTIME_DIR. */
static bool recorded_address(struct cli *cli, struct sockaddr_un *out)
{
        AUTO_FREE char *path = NULL;
        AUTO_BUF struct buf text = {0};

        *out = (struct sockaddr_un){.sun_family = AF_UNIX};
        if (asprintf(&path, "%s/daemon.lock", cli->paths.state_dir) < 0) {
                path = NULL;
                return false;
        }
        if (env_read_file(&cli->env, path, sizeof(out->sun_path) - 1, &text) != HIF_OK ||
            text.size == 0)
                return false;
        memcpy(out->sun_path, text.data, text.size);
        return true;
}

enum hif_err control_find(struct cli *cli, struct sockaddr_un *where, int *fd)
{
        struct sockaddr_un recorded;
        struct hif_why ignored;
        enum hif_err err = control_address(cli->paths.runtime_dir, where, &ignored);

        if (err == HIF_OK)
                err = control_try(where, fd);
        if (err == HIF_OK || !recorded_address(cli, &recorded) ||
            strcmp(recorded.sun_path, where->sun_path) == 0)
                return err == HIF_EACCES || err == HIF_ENAMETOOLONG ? HIF_ENOENT : err;
        *where = recorded;
        return control_try(where, fd);
}

/* --- messages --- */

struct control_patience control_until(uint64_t timeout_ms)
{
        return (struct control_patience){.deadline_ms = timeout_ms > 0 ? now_ms() + timeout_ms : 0};
}

static int patience_of(const struct control_patience *patience)
{
        uint64_t now = now_ms();

        if (patience->deadline_ms > 0)
                return now < patience->deadline_ms ? (int)(patience->deadline_ms - now) : 0;
        return patience->ask != NULL ? patience->ask_ms : -1;
}

static enum hif_err wait_for(int fd, short events, struct control_patience *patience)
{
        for (;;) {
                struct pollfd poll_fd = {.fd = fd, .events = events};
                int ready = poll(&poll_fd, 1, patience_of(patience));
                enum hif_err err;

                if (ready > 0)
                        return HIF_OK;
                if (ready < 0 && errno != EINTR)
                        return hif_err_from_errno(errno);
                if (ready < 0)
                        continue;
                if (patience->deadline_ms > 0)
                        return HIF_ETIMEDOUT;
                err = patience->ask(patience, fd);
                if (err != HIF_OK)
                        return err;
        }
}

static enum hif_err write_all(int fd, const uint8_t *data, size_t size,
                              struct control_patience *patience)
{
        while (size > 0) {
                ssize_t count = send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
                enum hif_err err = HIF_OK;

                if (count < 0 && errno == EAGAIN)
                        err = wait_for(fd, POLLOUT, patience);
                else if (count < 0 && errno != EINTR)
                        err = errno == EPIPE ? HIF_ENOENT : hif_err_from_errno(errno);
                if (err != HIF_OK)
                        return err;
                if (count > 0) {
                        data += count;
                        size -= (size_t)count;
                }
        }
        return HIF_OK;
}

enum hif_err control_send_patiently(int fd, const json_t *message,
                                    struct control_patience *patience)
{
        AUTO_FREE char *text = json_dumps(message, JSON_COMPACT);
        size_t size = text != NULL ? strlen(text) : 0;
        uint8_t head[4];
        enum hif_err err;

        if (text == NULL)
                return HIF_ENOMEM;
        if (size > CONTROL_SIZE_MAX)
                return HIF_ELIMIT;
        be32_put(head, (uint32_t)size);
        err = write_all(fd, head, sizeof(head), patience);
        return err == HIF_OK ? write_all(fd, (const uint8_t *)text, size, patience) : err;
}

enum hif_err control_send(int fd, const json_t *message)
{
        return control_send_patiently(fd, message, &(struct control_patience){0});
}

static enum hif_err read_all(int fd, uint8_t *data, size_t size, struct control_patience *patience)
{
        while (size > 0) {
                enum hif_err err = wait_for(fd, POLLIN, patience);
                ssize_t count;

                if (err != HIF_OK)
                        return err;
                count = recv(fd, data, size, 0);
                if (count < 0 && (errno == EINTR || errno == EAGAIN))
                        continue;
                if (count < 0)
                        return hif_err_from_errno(errno);
                if (count == 0)
                        return HIF_ENOENT;
                data += count;
                size -= (size_t)count;
        }
        return HIF_OK;
}

enum hif_err control_receive_patiently(int fd, struct control_patience *patience, json_t **out)
{
        AUTO_FREE char *text = NULL;
        uint8_t head[4];
        uint32_t size;
        enum hif_err err = read_all(fd, head, sizeof(head), patience);

        if (err != HIF_OK)
                return err;
        size = be32_get(head);
        if (size > CONTROL_SIZE_MAX)
                return HIF_ELIMIT;
        text = malloc((size_t)size + 1);
        if (text == NULL)
                return HIF_ENOMEM;
        err = read_all(fd, (uint8_t *)text, size, patience);
        if (err != HIF_OK)
                return err;
        *out = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
        return *out != NULL ? HIF_OK : HIF_ECORRUPT;
}

enum hif_err control_receive(int fd, uint64_t timeout_ms, json_t **out)
{
        struct control_patience patience = control_until(timeout_ms);

        return control_receive_patiently(fd, &patience, out);
}
