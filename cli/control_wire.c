#include "cli/control_wire.h"

#include "base/cleanup.h"
#include "cli/clock.h"
#include "cli/json_encode.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct control_patience control_until(uint64_t timeout_ms)
{
        return (struct control_patience){.deadline_ms =
                                             timeout_ms > 0 ? clock_now_ms() + timeout_ms : 0};
}

static int patience_of(const struct control_patience *patience)
{
        uint64_t now = clock_now_ms();

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
        AUTO_FREE char *text = json_encode(message, JSON_COMPACT);
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
