/* helper.c - the server asks for help, and waits. */
#include "cli/supervisor/helper.h"

#include "base/cleanup.h"
#include "cli/supervisor/hold.h"
#include "cli/supervisor/wire.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define COMING_MS      2000 /* for another supervisor: the command that asks has started it */
#define COMING_POLL_US 20000
#define GRACE_MS       2000 /* beyond what the child takes for itself */

static enum hif_err refused(enum hif_err err, struct hif_why *why)
{
        if (err == HIF_EUNREACHABLE)
                return why_set(
                    why, err,
                    "the daemon's supervisor, which mounts and unmounts for its server, "
                    "does not answer; `hif daemon status` says whether it is stopped or gone, "
                    "and `hif status` in a mount starts another one where it is gone");
        if (err == HIF_ENOTSUP)
                return why_set(why, err,
                               "the daemon's supervisor is of a version that does not mount for "
                               "its server; try again when `hif daemon upgrade` is through");
        if (err == HIF_ELIMIT)
                return why_set(why, err,
                               "%d mounts or unmounts hang; `hif doctor` shows which, and `hif "
                               "unmount --force` detaches them",
                               HELPERS_MAX);
        return why_set(why, err, "the daemon's supervisor cannot mount or unmount: %s",
                       hif_strerror(err));
}

/* Hand the request over, with an end to answer on. */
static enum hif_err hand_over(struct hold *hold, struct span request, int *out)
{
        int ends[2];
        enum hif_err err;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
                return hif_err_from_errno(errno);
        err = hold_help(hold, request, ends[1]);
        for (int waited = 0; err == HIF_EUNREACHABLE && waited < COMING_MS;
             waited += COMING_POLL_US / 1000) {
                usleep(COMING_POLL_US);
                err = hold_help(hold, request, ends[1]);
        }
        close(ends[1]);
        if (err != HIF_OK) {
                close(ends[0]);
                return err;
        }
        *out = ends[0];
        return HIF_OK;
}

static bool wait_for(int end, uint64_t timeout_ms)
{
        struct pollfd poll_fd = {.fd = end, .events = POLLIN};
        int ready;

        do
                ready = poll(&poll_fd, 1, (int)timeout_ms);
        while (ready < 0 && errno == EINTR);
        return ready > 0;
}

/* What the child says; its end without a word is that of one that was killed. */
static enum hif_err hear(int end, uint64_t timeout_ms, int *fd, struct hif_why *why)
{
        AUTO_FREE uint8_t *buffer = malloc(WIRE_SIZE_MAX);
        struct wire_msg answer;
        enum hif_err err;

        if (buffer == NULL)
                return HIF_ENOMEM;
        if (!wait_for(end, timeout_ms) || wire_receive(end, buffer, &answer) != HIF_OK)
                return why_set(why, HIF_ETIMEDOUT,
                               "the kernel did not mount or unmount within %llu s; `hif doctor` "
                               "shows what hangs",
                               (unsigned long long)(timeout_ms - GRACE_MS) / 1000);
        err = hif_err_from_errno((int)answer.value);
        if (err == HIF_OK && fd != NULL && answer.fd < 0)
                err = HIF_EIO;
        if (err == HIF_OK && fd != NULL)
                *fd = answer.fd;
        else if (answer.fd >= 0)
                close(answer.fd);
        if (err == HIF_OK)
                return HIF_OK;
        if (answer.note.size == 0)
                return why_set(why, err, "mounting or unmounting failed: %s", hif_strerror(err));
        return why_set(why, err, "%.*s", (int)answer.note.size, (const char *)answer.note.data);
}

enum hif_err help_mount(struct hold *hold, const struct help_request *request, int *fd, int *out,
                        struct hif_why *why)
{
        AUTO_BUF struct buf bytes = {0};
        enum hif_err err = help_encode(&bytes, request);
        int end = -1;

        if (err != HIF_OK)
                return err;
        err = hand_over(hold, buf_span(&bytes), &end);
        if (err != HIF_OK)
                return refused(err, why);
        err = hear(end, help_patience_s(request->op) * 1000 + GRACE_MS, fd, why);
        if (err == HIF_OK)
                *out = end;
        else
                close(end);
        return err;
}

enum hif_err help_keep(int end)
{
        enum hif_err err = wire_kept(end);

        close(end);
        return err == HIF_ENOENT ? HIF_OK : err;
}

enum hif_err help_ask(struct hold *hold, const struct help_request *request, int *fd,
                      struct hif_why *why)
{
        int end;
        enum hif_err err = help_mount(hold, request, fd, &end, why);

        if (err == HIF_OK)
                (void)!help_keep(end); /* nothing is mounted: the child waits for no word */
        return err;
}
