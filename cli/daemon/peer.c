/* peer.c - whose process is at the other end of a loopback connection?
 *
 * Every local user can connect to 127.0.0.1. The peer's socket stands in /proc/net/tcp with its
 * owner's uid: the kernel's NFS client's belongs to root, a tool's to who runs it. Only these two
 * are served, and others are closed before a byte is read.
 *
 * A socket that its owner has closed belongs to no process any more and is listed with uid 0, though
 * what was sent before is still to be read: so it has to be one that is open, which has an inode, and
 * established. One that a process passed on, or that was bound to ::ffff:127.0.0.1, is the maker's, or
 * not in this table: closed. */
#include "cli/daemon/peer.h"

#include "cli/daemon/workspace_impl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TABLE          "/proc/thread-self/net/tcp"
#define TABLE_LINE_MAX 256
#define ESTABLISHED    1u

struct line {
        unsigned local, local_port, remote, remote_port, state, uid;
        unsigned long inode;
};

static bool is_of(const struct line *line, const struct sockaddr_in *peer,
                  const struct sockaddr_in *own)
{
        return line->local == peer->sin_addr.s_addr && line->local_port == ntohs(peer->sin_port) &&
               line->remote == own->sin_addr.s_addr && line->remote_port == ntohs(own->sin_port);
}

static bool parse(const char *text, struct line *out)
{
        return sscanf(text, " %*u: %8X:%4X %8X:%4X %2X %*X:%*X %*X:%*X %*X %u %*u %lu", &out->local,
                      &out->local_port, &out->remote, &out->remote_port, &out->state, &out->uid,
                      &out->inode) == 7;
}

/* The open, established socket whose local address is `peer` and whose remote address is `own`. */
static bool owner_of(int table, const struct sockaddr_in *peer, const struct sockaddr_in *own,
                     uid_t *uid)
{
        char buffer[8192];
        size_t have = 0;

        if (lseek(table, 0, SEEK_SET) != 0)
                return false;
        for (;;) {
                ssize_t count = read(table, buffer + have, sizeof(buffer) - 1 - have);
                char *next = buffer, *end;

                if (count < 0 && errno == EINTR)
                        continue;
                if (count <= 0)
                        return false;
                have += (size_t)count;
                buffer[have] = '\0';
                while ((end = strchr(next, '\n')) != NULL) {
                        struct line line;

                        *end = '\0';
                        if (parse(next, &line) && is_of(&line, peer, own)) {
                                *uid = line.uid;
                                return line.state == ESTABLISHED && line.inode != 0;
                        }
                        next = end + 1;
                }
                have -= (size_t)(next - buffer);
                if (have > TABLE_LINE_MAX)
                        return false; /* no line is as long */
                memmove(buffer, next, have);
        }
}

enum hif_err peer_table(int *out)
{
        int fd = open(TABLE, O_RDONLY | O_CLOEXEC);

        if (fd < 0)
                return hif_err_from_errno(errno);
        *out = fd;
        return HIF_OK;
}

bool peer_admitted(void *arg, int fd)
{
        const int *table = arg;
        struct sockaddr_in peer, own;
        socklen_t size = sizeof(peer);
        uid_t uid;

        if (getpeername(fd, (struct sockaddr *)&peer, &size) != 0 || peer.sin_family != AF_INET)
                return false;
        size = sizeof(own);
        if (getsockname(fd, (struct sockaddr *)&own, &size) != 0)
                return false;
        if (!owner_of(*table, &peer, &own, &uid))
                return false;
        return uid == 0 || uid == geteuid();
}
