#include "cli/supervisor/wire.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define MAGIC 0x48494656u /* "HIFV" */

/* The kernel may be short of memory for a moment. A word that is lost then is not said again, and who
 * waits for it takes a side that is well for one that hangs. */
#define TRIES_MAX    20
#define TRY_AGAIN_NS 1000000

/* Room for one descriptor, aligned as cmsg(3) wants it. */
union control {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
};

/* After a call that failed: is it worth another? */
static bool try_again(unsigned *tries)
{
        const struct timespec pause = {.tv_nsec = TRY_AGAIN_NS};

        if (errno == EINTR)
                return true;
        if ((errno != ENOBUFS && errno != ENOMEM) || ++*tries == TRIES_MAX)
                return false;
        (void)nanosleep(&pause, NULL);
        return true;
}

static enum hif_err send_error(int error)
{
        if (error == EPIPE || error == ECONNRESET)
                return HIF_ENOENT;
        return error == EMSGSIZE ? HIF_ELIMIT : hif_err_from_errno(error);
}

enum hif_err wire_send(int socket, const struct wire_msg *msg)
{
        uint8_t head[WIRE_HEAD];
        struct iovec parts[] = {
            {head, sizeof(head)},
            {(void *)(uintptr_t)msg->name.data, msg->name.size},
            {(void *)(uintptr_t)msg->note.data, msg->note.size},
        };
        union control control = {0};
        struct msghdr packet = {.msg_iov = parts, .msg_iovlen = 3};
        unsigned tries = 0;

        if (msg->name.size > WIRE_NAME_MAX || msg->note.size > WIRE_NOTE_MAX)
                return HIF_ELIMIT;
        be32_put(head, MAGIC);
        be16_put(head + 4, WIRE_VERSION);
        be16_put(head + 6, msg->kind);
        be32_put(head + 8, msg->value);
        be16_put(head + 12, (uint16_t)msg->name.size);
        be16_put(head + 14, 0);
        if (msg->fd >= 0) {
                packet.msg_control = control.bytes;
                packet.msg_controllen = sizeof(control.bytes);
                control.header = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
                                                  .cmsg_type = SCM_RIGHTS,
                                                  .cmsg_len = CMSG_LEN(sizeof(int))};
                memcpy(CMSG_DATA(&control.header), &msg->fd, sizeof(int));
        }
        while (sendmsg(socket, &packet, MSG_NOSIGNAL) < 0) {
                if (!try_again(&tries))
                        return send_error(errno);
        }
        return HIF_OK;
}

enum hif_err wire_kept(int socket)
{
        unsigned tries = 0;

        while (send(socket, "k", 1, MSG_NOSIGNAL) < 0) {
                if (!try_again(&tries))
                        return send_error(errno);
        }
        return HIF_OK;
}

enum hif_err wire_decode(struct span bytes, struct wire_msg *out)
{
        struct reader rd = rd_open(bytes);
        struct wire_msg msg = {.fd = -1};
        uint32_t magic = rd_u32(&rd);
        uint16_t version = rd_u16(&rd), name_size, zero;

        msg.kind = rd_u16(&rd);
        msg.value = rd_u32(&rd);
        name_size = rd_u16(&rd);
        zero = rd_u16(&rd);
        msg.name = rd_span(&rd, name_size);
        if (rd_bad(&rd) || magic != MAGIC || name_size > WIRE_NAME_MAX)
                return HIF_ECORRUPT;
        if (version != WIRE_VERSION || zero != 0)
                return HIF_EUNSUPPORTED;
        msg.note = rd_span(&rd, rd_left(&rd));
        if (msg.note.size > WIRE_NOTE_MAX)
                return HIF_ECORRUPT;
        *out = msg;
        return HIF_OK;
}

/* The descriptor that came along, -1: none. False: there were more, which are closed. */
static bool descriptor_in(struct msghdr *packet, int *out)
{
        bool one = true;

        *out = -1;
        for (struct cmsghdr *at = CMSG_FIRSTHDR(packet); at != NULL; at = CMSG_NXTHDR(packet, at)) {
                if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_RIGHTS)
                        continue;
                for (size_t i = 0; CMSG_LEN((i + 1) * sizeof(int)) <= at->cmsg_len; i++) {
                        if (*out >= 0) {
                                close(*out);
                                one = false;
                        }
                        memcpy(out, CMSG_DATA(at) + i * sizeof(int), sizeof(int));
                }
        }
        return one;
}

enum hif_err wire_receive(int socket, uint8_t *buffer, struct wire_msg *out)
{
        struct iovec part = {buffer, WIRE_SIZE_MAX};
        union control control;
        struct msghdr packet = {.msg_iov = &part,
                                .msg_iovlen = 1,
                                .msg_control = control.bytes,
                                .msg_controllen = sizeof(control.bytes)};
        enum hif_err err;
        unsigned tries = 0;
        ssize_t size;
        bool one;
        int fd;

        do
                size = recvmsg(socket, &packet, MSG_CMSG_CLOEXEC);
        while (size < 0 && try_again(&tries));
        if (size < 0)
                return errno == ECONNRESET ? HIF_ENOENT : hif_err_from_errno(errno);
        one = descriptor_in(&packet, &fd);
        if (size == 0)
                err = HIF_ENOENT;
        else if (!one || packet.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
                err = HIF_ECORRUPT;
        else
                err = wire_decode(span_of(buffer, (size_t)size), out);
        if (err == HIF_OK)
                out->fd = fd;
        else if (fd >= 0)
                close(fd);
        return err;
}
