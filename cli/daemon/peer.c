/* peer.c - whose process is at the other end of a loopback connection?
 *
 * Every local user can connect to 127.0.0.1. The peer's socket stands in /proc/net/tcp with its
 * owner's uid: the kernel's NFS client's belongs to root, a tool's to who runs it. Only these two
 * are served, and others are closed before a byte is read. */
#include "cli/daemon/workspace_impl.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* The owner of the socket whose local address is `peer` and whose remote address is `own`. */
static bool owner_of(const struct sockaddr_in *peer, const struct sockaddr_in *own, uid_t *uid)
{
        FILE *file = fopen("/proc/net/tcp", "re");
        char line[256];
        bool found = false;

        if (file == NULL)
                return false;
        while (!found && fgets(line, sizeof(line), file) != NULL) {
                unsigned local, local_port, remote, remote_port, owner;

                if (sscanf(line, " %*u: %8X:%4X %8X:%4X %*X %*X:%*X %*X:%*X %*X %u", &local,
                           &local_port, &remote, &remote_port, &owner) != 5)
                        continue;
                if (local == peer->sin_addr.s_addr && local_port == ntohs(peer->sin_port) &&
                    remote == own->sin_addr.s_addr && remote_port == ntohs(own->sin_port)) {
                        *uid = owner;
                        found = true;
                }
        }
        fclose(file);
        return found;
}

bool peer_admitted(void *arg, int fd)
{
        struct sockaddr_in peer, own;
        socklen_t size = sizeof(peer);
        uid_t uid;

        (void)arg;
        if (getpeername(fd, (struct sockaddr *)&peer, &size) != 0 || peer.sin_family != AF_INET)
                return false;
        size = sizeof(own);
        if (getsockname(fd, (struct sockaddr *)&own, &size) != 0)
                return false;
        if (!owner_of(&peer, &own, &uid))
                return false;
        return uid == 0 || uid == geteuid();
}
