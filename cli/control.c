#include "cli/control.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define START_TIMEOUT_MS 10000
#define START_POLL_MS    20

static uint64_t now_ms(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- messages --- */

static enum hif_err write_all(int fd, const uint8_t *data, size_t size)
{
        while (size > 0) {
                ssize_t count = send(fd, data, size, MSG_NOSIGNAL);

                if (count < 0 && errno == EINTR)
                        continue;
                if (count < 0)
                        return errno == EPIPE ? HIF_ENOENT : hif_err_from_errno(errno);
                data += count;
                size -= (size_t)count;
        }
        return HIF_OK;
}

enum hif_err control_send(int fd, const json_t *message)
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
        err = write_all(fd, head, sizeof(head));
        return err == HIF_OK ? write_all(fd, (const uint8_t *)text, size) : err;
}

static enum hif_err read_all(int fd, uint8_t *data, size_t size, uint64_t deadline)
{
        while (size > 0) {
                struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
                int wait = -1;
                ssize_t count;

                if (deadline > 0) {
                        uint64_t now = now_ms();

                        wait = now < deadline ? (int)(deadline - now) : 0;
                }
                if (poll(&poll_fd, 1, wait) == 0)
                        return HIF_ETIMEDOUT;
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

enum hif_err control_receive(int fd, uint64_t timeout_ms, json_t **out)
{
        uint64_t deadline = timeout_ms > 0 ? now_ms() + timeout_ms : 0;
        AUTO_FREE char *text = NULL;
        uint8_t head[4];
        uint32_t size;
        enum hif_err err = read_all(fd, head, sizeof(head), deadline);

        if (err != HIF_OK)
                return err;
        size = be32_get(head);
        if (size > CONTROL_SIZE_MAX)
                return HIF_ELIMIT;
        text = malloc((size_t)size + 1);
        if (text == NULL)
                return HIF_ENOMEM;
        err = read_all(fd, (uint8_t *)text, size, deadline);
        if (err != HIF_OK)
                return err;
        *out = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
        return *out != NULL ? HIF_OK : HIF_ECORRUPT;
}

/* --- connecting --- */

enum hif_err control_address(const struct cli *cli, struct sockaddr_un *out, struct hif_why *why)
{
        *out = (struct sockaddr_un){.sun_family = AF_UNIX};
        if ((size_t)snprintf(out->sun_path, sizeof(out->sun_path), "%s/control.sock",
                             cli->paths.runtime_dir) >= sizeof(out->sun_path))
                return why_set(
                    why, HIF_ENAMETOOLONG,
                    "'%s' is too long for a socket; set XDG_RUNTIME_DIR to a shorter path",
                    cli->paths.runtime_dir);
        return HIF_OK;
}

static enum hif_err try_connect(const struct sockaddr_un *address, int *out)
{
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return hif_err_from_errno(errno);
        if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0) {
                int error = errno;

                close(fd);
                return error == ECONNREFUSED || error == ENOENT ? HIF_ENOENT
                                                                : hif_err_from_errno(error);
        }
        *out = fd;
        return HIF_OK;
}

/* The daemon is this program again, in a session of its own. */
static enum hif_err spawn_daemon(struct hif_why *why)
{
        pid_t pid = fork();

        if (pid < 0)
                return why_set(why, hif_err_from_errno(errno),
                               "the daemon could not be started: %s", strerror(errno));
        if (pid == 0) {
                int null = open("/dev/null", O_RDWR | O_CLOEXEC);

                /* Nothing of the command's may stay open in the daemon: it could be a file in a
                 * mount. */
                setsid();
                dup2(null, 0);
                dup2(null, 1);
                dup2(null, 2);
                close_range(3, ~0u, 0);
                if (chdir("/") == 0 && fork() == 0) {
                        execl("/proc/self/exe", "hif", "daemon", "run", (char *)NULL);
                        _exit(127);
                }
                _exit(0);
        }
        return HIF_OK;
}

enum hif_err control_connect(struct cli *cli, bool start, int *fd, struct hif_why *why)
{
        uint64_t deadline = now_ms() + START_TIMEOUT_MS;
        struct sockaddr_un address;
        enum hif_err err = control_address(cli, &address, why);

        if (err != HIF_OK)
                return err;
        err = try_connect(&address, fd);
        if (err == HIF_OK)
                return HIF_OK;
        if (err != HIF_ENOENT)
                return why_set(why, err, "the daemon's socket '%s' could not be used: %s",
                               address.sun_path, hif_strerror(err));
        if (!start)
                return why_set(
                    why, HIF_EUNREACHABLE,
                    "no daemon is running, so nothing is mounted; `hif mount` starts one");
        err = spawn_daemon(why);
        while (err == HIF_OK && try_connect(&address, fd) != HIF_OK) {
                if (now_ms() > deadline)
                        return why_set(why, HIF_EUNREACHABLE,
                                       "the daemon did not start within %d s; its log is "
                                       "'%s/daemon.log'",
                                       START_TIMEOUT_MS / 1000, cli->paths.state_dir);
                usleep(START_POLL_MS * 1000);
        }
        return err;
}

/* --- calling --- */

/* The error in a message, or HIF_OK. */
static enum hif_err error_in(const json_t *message, struct hif_why *why)
{
        const json_t *error = json_object_get(message, "error");
        const char *code = json_string_value(json_object_get(error, "code"));
        const char *text = json_string_value(json_object_get(error, "text"));

        if (error == NULL)
                return HIF_OK;
        for (int err = 1; code != NULL && err < HIF_ERR_COUNT; err++)
                if (strcmp(hif_err_name((enum hif_err)err), code) == 0)
                        return why_set(why, (enum hif_err)err, "%s", text != NULL ? text : code);
        return why_set(why, HIF_EIO, "%s", text != NULL ? text : "the daemon failed");
}

enum hif_err control_call(int fd, json_t *request, uint64_t timeout_ms,
                          void (*progress)(void *arg, const json_t *progress), void *arg,
                          json_t **result, struct hif_why *why)
{
        enum hif_err err = control_send(fd, request);

        json_decref(request);
        while (err == HIF_OK) {
                json_t *message, *value;

                err = control_receive(fd, timeout_ms, &message);
                if (err != HIF_OK)
                        break;
                value = json_object_get(message, "progress");
                if (value != NULL) {
                        if (progress != NULL)
                                progress(arg, value);
                        json_decref(message);
                        continue;
                }
                err = error_in(message, why);
                value = json_object_get(message, "result");
                if (value != NULL)
                        *result = json_incref(value);
                else if (err == HIF_OK)
                        err = why_set(why, HIF_ECORRUPT, "the daemon's answer could not be read");
                json_decref(message);
                return err;
        }
        if (err == HIF_ETIMEDOUT)
                return why_set(why, HIF_EUNREACHABLE,
                               "the daemon did not answer in time; "
                               "`hif daemon status` says how it does");
        return why_set(why, HIF_EUNREACHABLE,
                       "the daemon went away during the request (%s); run the command again, it "
                       "starts a new one",
                       hif_strerror(err));
}
