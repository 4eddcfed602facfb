#include "cli/daemon/ghost.h"

#include "base/buf.h"
#include "base/log.h"
#include "cli/daemon/peer.h"
#include "cli/daemon/workspace_impl.h"
#include "cli/supervisor/hold.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* RFC 5531: record marking (11), messages (9). */
#define LAST_FRAGMENT   0x80000000u
#define REPLY           1
#define SYSTEM_ERR      5 /* an accepted call that fails: the kernel makes EIO of it */
#define START_SIZE      8 /* of a fragment: its mark; the number of the call */
#define ANSWER_SIZE     28
#define CONNECTIONS_MAX 4
#define FAILED_PAUSE_US 100000 /* what fails for want of memory fails again at once */

struct ghost_conn {
        int fd; /* -1: free */
        uint8_t head[START_SIZE];
        size_t have;   /* of head */
        uint32_t left; /* of the fragment, still to be thrown away */
        bool inside;   /* the fragment is not the call's first */
        uint32_t xid;
};

struct ghost {
        int listen_fd, peers;
        struct ghost_conn conns[CONNECTIONS_MAX];
        uint8_t scratch[65536];
};

static void drop(struct ghost_conn *conn)
{
        close(conn->fd);
        *conn = (struct ghost_conn){.fd = -1};
}

/* mark, xid, REPLY, accepted, no verifier (flavour, size), SYSTEM_ERR */
static bool answer(const struct ghost_conn *conn)
{
        uint8_t out[ANSWER_SIZE] = {0};

        be32_put(out, LAST_FRAGMENT | (ANSWER_SIZE - 4));
        be32_put(out + 4, conn->xid);
        be32_put(out + 8, REPLY);
        be32_put(out + 24, SYSTEM_ERR);
        /* A client that does not read its answers is none. */
        return send(conn->fd, out, sizeof(out), MSG_NOSIGNAL) == (ssize_t)sizeof(out);
}

/* False: the connection has to go. */
static bool take(struct ghost_conn *conn, const uint8_t *data, size_t size)
{
        while (size > 0) {
                size_t need = conn->inside ? START_SIZE / 2 : START_SIZE, count;
                uint32_t mark;

                if (conn->have < need) {
                        conn->head[conn->have++] = *data++;
                        size--;
                        if (conn->have < need)
                                continue;
                        conn->left = be32_get(conn->head) & ~LAST_FRAGMENT;
                        if (!conn->inside) {
                                conn->xid = be32_get(conn->head + 4);
                                if (conn->left < 4)
                                        return false;
                                conn->left -= 4;
                        }
                }
                count = size < conn->left ? size : conn->left;
                data += count;
                size -= count;
                conn->left -= (uint32_t)count;
                if (conn->left > 0)
                        continue;
                mark = be32_get(conn->head);
                conn->have = 0;
                conn->inside = (mark & LAST_FRAGMENT) == 0;
                if (!conn->inside && !answer(conn))
                        return false;
        }
        return true;
}

static void serve(struct ghost *ghost, struct ghost_conn *conn)
{
        ssize_t count = recv(conn->fd, ghost->scratch, sizeof(ghost->scratch), 0);

        if (count < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (count <= 0 || !take(conn, ghost->scratch, (size_t)count))
                drop(conn);
}

/* The oldest place is taken over where none is free: a client that was not answered comes again. */
static void admit(struct ghost *ghost)
{
        int fd = accept4(ghost->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        struct ghost_conn *free = &ghost->conns[0];

        if (fd < 0) {
                if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
                        usleep(FAILED_PAUSE_US);
                return;
        }
        if (!peer_admitted(&ghost->peers, fd)) {
                close(fd);
                return;
        }
        for (size_t i = 0; i < CONNECTIONS_MAX && free->fd >= 0; i++)
                free = &ghost->conns[i];
        if (free->fd >= 0)
                drop(free);
        free->fd = fd;
}

static void *haunt(void *arg)
{
        struct ghost *ghost = arg;

        for (;;) {
                struct pollfd fds[1 + CONNECTIONS_MAX] = {
                    {.fd = ghost->listen_fd, .events = POLLIN}};

                for (size_t i = 0; i < CONNECTIONS_MAX; i++)
                        fds[1 + i] = (struct pollfd){.fd = ghost->conns[i].fd, .events = POLLIN};
                if (poll(fds, 1 + CONNECTIONS_MAX, -1) < 0) {
                        if (errno != EINTR)
                                usleep(FAILED_PAUSE_US);
                        continue;
                }
                for (size_t i = 0; i < CONNECTIONS_MAX; i++)
                        if (fds[1 + i].revents != 0)
                                serve(ghost, &ghost->conns[i]);
                if (fds[0].revents != 0)
                        admit(ghost);
        }
        return NULL;
}

/* --- from server to server --- */

#define HELD_NAME_MAX 32

static void held_names(int index, char listener[HELD_NAME_MAX], char peers[HELD_NAME_MAX])
{
        snprintf(listener, HELD_NAME_MAX, "nfs-ghost:%d", index);
        snprintf(peers, HELD_NAME_MAX, "nfs-ghost-peers:%d", index);
}

/* The listener last: it tells that there is one. */
static void hold(struct daemon *daemon, int index, const struct ghost *ghost)
{
        char listener[HELD_NAME_MAX], peers[HELD_NAME_MAX];
        enum hif_err err;

        held_names(index, listener, peers);
        err = hold_put(daemon->hold, peers, ghost->peers, (struct span){0});
        if (err == HIF_OK)
                err = hold_put(daemon->hold, listener, ghost->listen_fd, (struct span){0});
        if (err != HIF_OK)
                log_line(daemon->cli->env.log, LOG_WARN, "daemon",
                         "a port of what was unmounted by force cannot be held: %s; programs that "
                         "still use it may hang when the server dies",
                         hif_strerror(err));
}

/* kept: by the supervisor, under this number. */
static enum hif_err start(struct daemon *daemon, int listen_fd, int peers, bool kept)
{
        int index = atomic_fetch_add(&daemon->ghosts, 1);
        struct ghost *ghost = index < GHOSTS_MAX ? malloc(sizeof(*ghost)) : NULL;
        pthread_t thread;

        if (ghost != NULL) {
                *ghost = (struct ghost){.listen_fd = listen_fd, .peers = peers};
                for (size_t i = 0; i < CONNECTIONS_MAX; i++)
                        ghost->conns[i].fd = -1;
                if (!kept)
                        hold(daemon, index, ghost);
                if (pthread_create(&thread, NULL, haunt, ghost) == 0) {
                        pthread_detach(thread);
                        return HIF_OK;
                }
                free(ghost);
        }
        atomic_fetch_sub(&daemon->ghosts, 1);
        close(listen_fd);
        close(peers);
        return index < GHOSTS_MAX ? HIF_ENOMEM : HIF_ELIMIT;
}

enum hif_err ghost_start(struct daemon *daemon, int listen_fd, int peers)
{
        return start(daemon, listen_fd, peers, false);
}

void ghosts_resume(struct daemon *daemon)
{
        enum hif_err err = HIF_OK;

        for (int i = 0; i < GHOSTS_MAX && err == HIF_OK; i++) {
                char listener[HELD_NAME_MAX], peers[HELD_NAME_MAX];
                int fd, table;

                held_names(i, listener, peers);
                if (hold_take(daemon->hold, listener, &fd, NULL) != HIF_OK)
                        return;
                err = hold_take(daemon->hold, peers, &table, NULL);
                if (err != HIF_OK)
                        close(fd);
                else
                        err = start(daemon, fd, table, true);
        }
        if (err != HIF_OK)
                log_line(daemon->cli->env.log, LOG_WARN, "daemon",
                         "programs that use what was unmounted by force may hang: %s",
                         hif_strerror(err));
}
