#include "nfs/server.h"

#include "base/log.h"
#include "nfs/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPTS_A_TURN 16

/* --- accepting --- */

/* Make room for a new connection: the one that has been idle for longest goes, if any has been for
 * long. A client of ours connects again when it needs to. */
static bool evict(struct nfs_server *server)
{
        uint64_t now = loop_now_ns(server->loop);
        struct nfs_conn *oldest = NULL;

        for (struct nfs_conn *conn = server->conns; conn != NULL; conn = conn->next) {
                uint64_t limit = conn->proven ? CONN_EVICT_IDLE_NS : CONN_SILENT_NS;

                if (!conn_idle(conn) || now - conn->active_ns < limit)
                        continue;
                if (oldest == NULL || conn->active_ns < oldest->active_ns)
                        oldest = conn;
        }
        if (oldest == NULL)
                return false;
        conn_fail(oldest);
        return true;
}

static void take(struct nfs_server *server, int fd)
{
        bool room = server->conn_count < NFS_CONNECTIONS_MAX;

        if ((server->admit != NULL && !server->admit(server->admit_arg, fd)) ||
            (!room && !evict(server)) || conn_new(server, fd) != HIF_OK) {
                server->stats.refused++;
                close(fd);
        }
}

/* Out of descriptors or memory: the queue stays as it is, so stop looking at it for a while. */
static void pause_accepting(struct nfs_server *server)
{
        loop_remove(server->loop, &server->listener);
        server->listening = false;
        loop_timer_arm(server->loop, &server->retry, SERVER_RETRY_NS);
        log_line(loop_env(server->loop)->log, LOG_WARN, "nfs", "cannot accept connections: %s",
                 hif_strerror(hif_err_from_errno(errno)));
}

static void incoming(struct loop_io *io, uint32_t events)
{
        struct nfs_server *server =
            (struct nfs_server *)((char *)io - offsetof(struct nfs_server, listener));

        (void)events;
        for (int i = 0; i < ACCEPTS_A_TURN; i++) {
                int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

                if (fd >= 0) {
                        take(server, fd);
                        continue;
                }
                if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                        pause_accepting(server);
                if (errno != EINTR && errno != ECONNABORTED)
                        return;
        }
}

static void retry(struct loop_timer *timer)
{
        struct nfs_server *server =
            (struct nfs_server *)((char *)timer - offsetof(struct nfs_server, retry));

        if (loop_add(server->loop, &server->listener, EPOLLIN) == HIF_OK)
                server->listening = true;
        else
                loop_timer_arm(server->loop, &server->retry, SERVER_RETRY_NS);
}

/* --- turns --- */

static void turn_end(struct loop_hook *hook)
{
        struct nfs_server *server =
            (struct nfs_server *)((char *)hook - offsetof(struct nfs_server, turn_end));

        while (server->dirty != NULL) {
                struct nfs_conn *conn = server->dirty;

                server->dirty = conn->dirty_next;
                conn->dirty = false;
                conn_finish_turn(conn);
        }
}

static void run_more(struct loop_timer *timer)
{
        struct nfs_server *server =
            (struct nfs_server *)((char *)timer - offsetof(struct nfs_server, more));

        for (struct nfs_conn *conn = server->conns; conn != NULL; conn = conn->next)
                if (conn->more && !conn->broken) {
                        conn->more = false;
                        conn_run(conn);
                }
}

static void sweep(struct loop_timer *timer)
{
        struct nfs_server *server =
            (struct nfs_server *)((char *)timer - offsetof(struct nfs_server, sweep));
        uint64_t now = loop_now_ns(server->loop);

        for (struct nfs_conn *conn = server->conns; conn != NULL; conn = conn->next)
                conn_sweep(conn, now);
        loop_timer_arm(server->loop, &server->sweep, SERVER_SWEEP_NS);
}

/* --- life --- */

enum hif_err nfs_server_new(struct vfs *vfs, int listen_fd, const struct nfs_server_config *config,
                            struct nfs_server **out)
{
        struct nfs_server *server;
        enum hif_err err = HIF_ENOMEM;

        if (strlen(config->export_path) >= NFS_EXPORT_MAX)
                return HIF_ENAMETOOLONG;
        server = calloc(1, sizeof(*server));
        if (server == NULL)
                return HIF_ENOMEM;
        server->drc = drc_new();
        server->writes = drc_new();
        if (server->drc == NULL || server->writes == NULL)
                goto fail_caches;
        server->vfs = server->context.vfs = vfs;
        server->overlay = vfs_overlay(vfs);
        server->loop = vfs_loop(vfs);
        server->context.seal = handle_seal_make(config->handle_key, config->workspace_id);
        memcpy(server->context.export_path, config->export_path, strlen(config->export_path));
        server->admit = config->admit;
        server->admit_arg = config->admit_arg;
        server->listener = (struct loop_io){.ready = incoming, .fd = listen_fd};
        err = listen_fd >= 0 ? loop_add(server->loop, &server->listener, EPOLLIN) : HIF_OK;
        if (err != HIF_OK)
                goto fail_caches;
        server->listening = listen_fd >= 0;
        server->sweep.run = sweep;
        server->retry.run = retry;
        server->more.run = run_more;
        server->turn_end.run = turn_end;
        loop_hook_add(server->loop, &server->turn_end);
        loop_timer_arm(server->loop, &server->sweep, SERVER_SWEEP_NS);
        *out = server;
        return HIF_OK;

fail_caches:
        drc_free(server->drc);
        drc_free(server->writes);
        free(server);
        return err;
}

void nfs_server_free(struct nfs_server *server)
{
        if (server == NULL)
                return;
        while (server->conns != NULL)
                conn_close(server->conns);
        if (server->listening)
                loop_remove(server->loop, &server->listener);
        if (server->listener.fd >= 0)
                close(server->listener.fd);
        loop_timer_disarm(server->loop, &server->sweep);
        loop_timer_disarm(server->loop, &server->retry);
        loop_timer_disarm(server->loop, &server->more);
        loop_hook_remove(server->loop, &server->turn_end);
        drc_free(server->drc);
        drc_free(server->writes);
        free(server);
}

struct nfs_stats nfs_server_stats(const struct nfs_server *server)
{
        return server->stats;
}

enum hif_err nfs_server_attach(struct nfs_server *server, int fd)
{
        if (server->conn_count >= NFS_CONNECTIONS_MAX) {
                server->stats.refused++;
                close(fd);
                return HIF_ELIMIT;
        }
        return conn_new(server, fd);
}
