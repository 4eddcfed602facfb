/* faulty_transfers.c - calls that move bytes, and calls that wait, before the C library's: they fail
 * (FAULT_CALL), or nothing is wrong but that less is moved, or that a signal came (FAULT_SHORT). */
#include "death.h"
#include "faults.h"
#include "faulty.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define DISK    ERRORS(EIO, ENOSPC)
#define READING ERRORS(EIO, EIO)

#define PARTS_MAX 64 /* of a vector that can be cut */

#define REAL(type, name, parameters)                                                               \
        static type(*real) parameters;                                                             \
                                                                                                   \
        if (real == NULL)                                                                          \
        *(void **)&real = dlsym(RTLD_NEXT, #name)

/* --- what can be cut, and how --- */

/* Packets are whole. */
enum kind_of_file { WHOLE, PACKETS, STREAM, REGULAR };

static enum kind_of_file kind_of(int fd)
{
        struct stat about;
        socklen_t size = sizeof(int);
        int type = 0;

        if (syscall(SYS_newfstatat, fd, "", &about, AT_EMPTY_PATH) != 0)
                return WHOLE;
        if (S_ISREG(about.st_mode))
                return REGULAR;
        if (S_ISFIFO(about.st_mode))
                return STREAM;
        if (!S_ISSOCK(about.st_mode))
                return WHOLE; /* a device, an eventfd */
        (void)syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &type, &size);
        return type == SOCK_STREAM ? STREAM : PACKETS;
}

static bool interrupted(const char *name)
{
        if (!fault_point(FAULT_SHORT, name, NULL))
                return false;
        errno = EINTR;
        return true;
}

/* Of so many bytes; -1 with errno: a signal came before the first. */
static ssize_t cut(const char *name, int fd, size_t size)
{
        enum kind_of_file kind = kind_of(fd);
        uint64_t number;

        if (kind == WHOLE || size < 2 || !fault_point(FAULT_SHORT, name, &number))
                return (ssize_t)size;
        if (kind == REGULAR || (kind == STREAM && number % 2 == 0))
                return (ssize_t)(size / 2);
        errno = EINTR;
        return -1;
}

/* The same of a vector, in place. */
static ssize_t cut_parts(const char *name, int fd, struct iovec *parts, size_t *count)
{
        size_t size = 0, used = 0;
        ssize_t left;

        for (size_t i = 0; i < *count; i++)
                size += parts[i].iov_len;
        left = cut(name, fd, size);
        if (left <= 0 || (size_t)left == size)
                return left;
        for (; left > 0; used++) {
                if (parts[used].iov_len > (size_t)left)
                        parts[used].iov_len = (size_t)left;
                left -= (ssize_t)parts[used].iov_len;
        }
        *count = used;
        return 0;
}

/* A device fails as its driver wants, and an eventfd not at all: they have no errors of disks. */
static bool is_device(int fd)
{
        struct stat about;

        return syscall(SYS_newfstatat, fd, "", &about, AT_EMPTY_PATH) == 0 &&
               (S_ISCHR(about.st_mode) || (about.st_mode & S_IFMT) == 0);
}

/* --- files --- */

ssize_t read(int fd, void *out, size_t size)
{
        REAL(ssize_t, read, (int, void *, size_t));
        ssize_t now;

        if (!is_device(fd) && call_fails("read", READING))
                return -1;
        now = cut("read", fd, size);
        return now < 0 ? -1 : real(fd, out, (size_t)now);
}

ssize_t pread(int fd, void *out, size_t size, off_t at)
{
        REAL(ssize_t, pread, (int, void *, size_t, off_t));
        ssize_t now;

        if (call_fails("pread", READING))
                return -1;
        now = cut("pread", fd, size);
        return now < 0 ? -1 : real(fd, out, (size_t)now, at);
}

ssize_t preadv2(int fd, const struct iovec *iov, int count, off_t at, int flags)
{
        REAL(ssize_t, preadv2, (int, const struct iovec *, int, off_t, int));
        struct iovec parts[PARTS_MAX];
        size_t used = (size_t)count;

        if (call_fails("preadv2", READING))
                return -1;
        if (used > PARTS_MAX)
                return real(fd, iov, count, at, flags);
        memcpy(parts, iov, used * sizeof(*iov));
        return cut_parts("preadv2", fd, parts, &used) < 0 ? -1
                                                          : real(fd, parts, (int)used, at, flags);
}

ssize_t write(int fd, const void *data, size_t size)
{
        REAL(ssize_t, write, (int, const void *, size_t));
        ssize_t now;

        death_point("write"); /* of a device, too */
        if (!is_device(fd) && call_fails("write", DISK))
                return -1;
        now = cut("write", fd, size);
        return now < 0 ? -1 : real(fd, data, (size_t)now);
}

/* What is told to the kernel's FUSE: it does not fail, but one may die before it. */
ssize_t writev(int fd, const struct iovec *parts, int count)
{
        REAL(ssize_t, writev, (int, const struct iovec *, int));

        death_point("writev");
        return real(fd, parts, count);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
        REAL(ssize_t, pwrite, (int, const void *, size_t, off_t));
        ssize_t now;

        if (call_fails("pwrite", DISK))
                return -1;
        now = cut("pwrite", fd, size);
        return now < 0 ? -1 : real(fd, data, (size_t)now, at);
}

/* --- sockets --- */

/* Packets to a process that is there may find no memory; its end is not a call's to make up. */
static const int *message_errors(int fd)
{
        static const int packets[ERRORS_MAX] = {ENOBUFS, ENOMEM};
        static const int connected[ERRORS_MAX] = {ECONNRESET, ENOBUFS};

        return kind_of(fd) == PACKETS ? packets : connected;
}

ssize_t send(int fd, const void *data, size_t size, int flags)
{
        REAL(ssize_t, send, (int, const void *, size_t, int));
        ssize_t now;

        if (call_fails("send", message_errors(fd)))
                return -1;
        now = cut("send", fd, size);
        return now < 0 ? -1 : real(fd, data, (size_t)now, flags);
}

ssize_t recv(int fd, void *out, size_t size, int flags)
{
        REAL(ssize_t, recv, (int, void *, size_t, int));
        ssize_t now;

        if (call_fails("recv", message_errors(fd)))
                return -1;
        now = cut("recv", fd, size);
        return now < 0 ? -1 : real(fd, out, (size_t)now, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
        REAL(ssize_t, sendmsg, (int, const struct msghdr *, int));
        struct iovec parts[PARTS_MAX];
        struct msghdr part = *message;

        if (call_fails("sendmsg", message_errors(fd)))
                return -1;
        if (part.msg_iovlen > PARTS_MAX)
                return real(fd, message, flags);
        memcpy(parts, message->msg_iov, part.msg_iovlen * sizeof(*parts));
        part.msg_iov = parts;
        return cut_parts("sendmsg", fd, parts, &part.msg_iovlen) < 0 ? -1 : real(fd, &part, flags);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
        REAL(ssize_t, recvmsg, (int, struct msghdr *, int));

        if (call_fails("recvmsg", message_errors(fd)))
                return -1;
        return interrupted("recvmsg") ? -1 : real(fd, message, flags);
}

int accept4(int fd, struct sockaddr *from, socklen_t *size, int flags)
{
        REAL(int, accept4, (int, struct sockaddr *, socklen_t *, int));

        if (call_fails("accept4", ERRORS(EMFILE, ENFILE, ECONNABORTED, ENOMEM)))
                return -1;
        return interrupted("accept4") ? -1 : real(fd, from, size, flags);
}

/* --- waiting --- */

int poll(struct pollfd *fds, nfds_t count, int timeout)
{
        REAL(int, poll, (struct pollfd *, nfds_t, int));

        return timeout != 0 && interrupted("poll") ? -1 : real(fds, count, timeout);
}

int epoll_wait(int epoll, struct epoll_event *events, int count, int timeout)
{
        REAL(int, epoll_wait, (int, struct epoll_event *, int, int));

        return timeout != 0 && interrupted("epoll_wait") ? -1 : real(epoll, events, count, timeout);
}

pid_t waitpid(pid_t pid, int *status, int options)
{
        REAL(pid_t, waitpid, (pid_t, int *, int));

        return (options & WNOHANG) == 0 && interrupted("waitpid") ? -1 : real(pid, status, options);
}

int flock(int fd, int how)
{
        REAL(int, flock, (int, int));

        if (call_fails("flock", ERRORS(ENOLCK)))
                return -1;
        return (how & LOCK_NB) == 0 && interrupted("flock") ? -1 : real(fd, how);
}
