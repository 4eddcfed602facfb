#include "cli/daemon/helper.h"

#include "base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* One packet each way, between a process and its child of the same program:
 *
 *      request     0  1  op
 *                  1  1  flags: 1 allow_other, 2 read-only
 *                  2  .  mount point, 00, name, 00
 *      answer      0  4  an errno, or 0, big-endian; with the descriptor of a mount beside it
 *                  4  .  a sentence
 */
enum { OP_MOUNT = 1, OP_UNMOUNT = 2, OP_DETACH = 3 };
enum { FLAG_ALLOW_OTHER = 1, FLAG_READ_ONLY = 2 };

#define REQUEST_MAX (2 + 2 * PATH_MAX)
#define ANSWER_MAX  (4 + sizeof(((struct hif_why *)0)->text))

struct helper {
        pthread_mutex_t lock;
        int socket;
        struct fuse_mounter mounter;
};

/* --- packets --- */

union room_for_fd {
        struct cmsghdr head; /* aligns it */
        char bytes[CMSG_SPACE(sizeof(int))];
};

static bool send_packet(int socket, const void *bytes, size_t size, int fd)
{
        union room_for_fd room = {0};
        struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
        struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

        if (fd >= 0) {
                struct cmsghdr *head;

                msg.msg_control = room.bytes;
                msg.msg_controllen = sizeof(room.bytes);
                head = CMSG_FIRSTHDR(&msg);
                head->cmsg_level = SOL_SOCKET;
                head->cmsg_type = SCM_RIGHTS;
                head->cmsg_len = CMSG_LEN(sizeof(int));
                memcpy(CMSG_DATA(head), &fd, sizeof(int));
        }
        return sendmsg(socket, &msg, MSG_NOSIGNAL) == (ssize_t)size;
}

/* *fd: -1 where none came. Below 1: the other end is gone. */
static ssize_t receive_packet(int socket, void *bytes, size_t size, int *fd)
{
        union room_for_fd room;
        struct iovec iov = {.iov_base = bytes, .iov_len = size};
        struct msghdr msg = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = room.bytes,
                             .msg_controllen = sizeof(room.bytes)};
        struct cmsghdr *head;
        ssize_t count;

        *fd = -1;
        do
                count = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC);
        while (count < 0 && errno == EINTR);
        head = count > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
        if (head != NULL && head->cmsg_type == SCM_RIGHTS &&
            head->cmsg_len == CMSG_LEN(sizeof(int)))
                memcpy(fd, CMSG_DATA(head), sizeof(int));
        return (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ? -1 : count;
}

/* --- the helper's side --- */

static bool is_absolute(const char *path)
{
        return path[0] == '/' && strstr(path, "/../") == NULL && strlen(path) < PATH_MAX;
}

/* Both texts of a request end within it. */
static bool texts_of(const uint8_t *request, size_t size, const char **mount_point,
                     const char **name)
{
        const uint8_t *end = request + size, *first = request + 2, *second;

        second = size > 2 ? memchr(first, 0, (size_t)(end - first)) : NULL;
        if (second == NULL || ++second == end ||
            memchr(second, 0, (size_t)(end - second)) != end - 1)
                return false;
        *mount_point = (const char *)first;
        *name = (const char *)second;
        return true;
}

static enum hif_err carry_out(const uint8_t *request, size_t size, int *fd, struct hif_why *why)
{
        struct fuse_server_config config = {0};

        if (!texts_of(request, size, &config.mount_point, &config.name) ||
            !is_absolute(config.mount_point) || strncmp(config.name, "hif:", 4) != 0)
                return why_set(why, HIF_EINVAL, "the helper was asked for what it does not do");
        config.allow_other = (request[1] & FLAG_ALLOW_OTHER) != 0;
        config.read_only = (request[1] & FLAG_READ_ONLY) != 0;
        switch (request[0]) {
        case OP_MOUNT:
                return fuse_mount_here(&config, fd, why);
        case OP_UNMOUNT:
        case OP_DETACH:
                return fuse_unmount_here(config.mount_point, request[0] == OP_DETACH) ? HIF_OK
                                                                                      : HIF_EBUSY;
        default:
                return why_set(why, HIF_EINVAL, "the helper was asked for what it does not do");
        }
}

static _Noreturn void help(int socket)
{
        static uint8_t request[REQUEST_MAX];
        int fd;
        ssize_t size;

        prctl(PR_SET_NAME, "hif-helper");
        while ((size = receive_packet(socket, request, sizeof(request), &fd)) > 0) {
                uint8_t answer[ANSWER_MAX];
                struct hif_why why = {0};
                size_t text;
                enum hif_err err;

                if (fd >= 0)
                        close(fd); /* nobody sends one */
                fd = -1;
                err = carry_out(request, (size_t)size, &fd, &why);
                text = strlen(why.text);
                be32_put(answer, (uint32_t)(err == HIF_OK ? 0 : hif_err_to_errno(err)));
                memcpy(answer + 4, why.text, text);
                if (!send_packet(socket, answer, 4 + text, fd))
                        break;
                if (fd >= 0)
                        close(fd);
        }
        _exit(0);
}

/* --- the server's side --- */

static enum hif_err ask(struct helper *helper, uint8_t op, const struct fuse_server_config *config,
                        int *fd, struct hif_why *why)
{
        uint8_t request[REQUEST_MAX], answer[ANSWER_MAX + 1];
        size_t point = strlen(config->mount_point) + 1, name = strlen(config->name) + 1;
        enum hif_err err = HIF_ENOENT;
        ssize_t size = -1;

        if (2 + point + name > sizeof(request))
                return HIF_ENAMETOOLONG;
        request[0] = op;
        request[1] = (uint8_t)((config->allow_other ? FLAG_ALLOW_OTHER : 0) |
                               (config->read_only ? FLAG_READ_ONLY : 0));
        memcpy(request + 2, config->mount_point, point);
        memcpy(request + 2 + point, config->name, name);
        pthread_mutex_lock(&helper->lock);
        if (send_packet(helper->socket, request, 2 + point + name, -1))
                size = receive_packet(helper->socket, answer, ANSWER_MAX, fd);
        pthread_mutex_unlock(&helper->lock);
        if (size < 4)
                return why_set(why, HIF_EIO,
                               "the process that mounts for the server is gone; `hif daemon "
                               "restart` starts another");
        err = be32_get(answer) == 0 ? HIF_OK : hif_err_from_errno((int)be32_get(answer));
        answer[size] = '\0';
        if (err != HIF_OK && size > 4)
                (void)why_set(why, err, "%s", (const char *)answer + 4);
        return err;
}

static enum hif_err mount_through(void *arg, const struct fuse_server_config *config, int *fd,
                                  struct hif_why *why)
{
        int got = -1;
        enum hif_err err = ask(arg, OP_MOUNT, config, &got, why);

        if (err == HIF_OK && got < 0)
                err = why_set(why, HIF_EIO, "'%s' was mounted, but its descriptor did not arrive",
                              config->mount_point);
        if (err == HIF_OK)
                *fd = got;
        return err;
}

enum hif_err helper_unmount(struct helper *helper, const char *mount_point, bool detach)
{
        const struct fuse_server_config config = {.mount_point = mount_point, .name = "hif:"};
        struct hif_why ignored;
        int fd = -1;

        return ask(helper, detach ? OP_DETACH : OP_UNMOUNT, &config, &fd, &ignored);
}

static bool unmount_through(void *arg, const char *mount_point, bool detach)
{
        return helper_unmount(arg, mount_point, detach) == HIF_OK;
}

const struct fuse_mounter *helper_mounter(const struct helper *helper)
{
        return helper != NULL ? &helper->mounter : NULL;
}

enum hif_err helper_start(struct helper **out)
{
        struct helper *helper = calloc(1, sizeof(*helper));
        int ends[2];
        pid_t pid;

        if (helper == NULL)
                return HIF_ENOMEM;
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
                free(helper);
                return hif_err_from_errno(errno);
        }
        pid = fork();
        if (pid == 0) {
                /* Nothing of the server's stays open here but its log. */
                if (dup2(ends[1], STDIN_FILENO) < 0 || fcntl(STDIN_FILENO, F_SETFD, FD_CLOEXEC) < 0)
                        _exit(1);
                (void)close_range(3, ~0u, 0);
                help(STDIN_FILENO);
        }
        close(ends[1]);
        if (pid < 0) {
                close(ends[0]);
                free(helper);
                return hif_err_from_errno(errno);
        }
        pthread_mutex_init(&helper->lock, NULL);
        helper->socket = ends[0];
        helper->mounter = (struct fuse_mounter){mount_through, unmount_through, helper};
        *out = helper;
        return HIF_OK;
}

void helper_free(struct helper *helper)
{
        if (helper == NULL)
                return;
        close(helper->socket);
        pthread_mutex_destroy(&helper->lock);
        free(helper);
}
