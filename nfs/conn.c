#include "nfs/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- receiving --- */

/* Room at the end of the buffer for what the next record needs, or for a good batch of small ones.
 */
static bool make_room(struct nfs_conn *conn)
{
        size_t have = conn->in_end - conn->in_start;
        size_t wanted = conn->in_need > CONN_IN_SIZE ? conn->in_need : CONN_IN_SIZE;
        uint8_t *grown;

        if (have == 0)
                conn->in_start = conn->in_end = 0;
        if (wanted > conn->in_capacity) {
                grown = realloc(conn->in, wanted);
                if (grown == NULL)
                        return false;
                conn->in = grown;
                conn->in_capacity = wanted;
        }
        if (conn->in_start > 0 && conn->in_capacity - conn->in_start < wanted) {
                memmove(conn->in, conn->in + conn->in_start, have);
                conn->in_start = 0;
                conn->in_end = have;
        }
        return true;
}

static void receive(struct nfs_conn *conn)
{
        size_t have, room;
        ssize_t count;

        if (!make_room(conn)) {
                conn_fail(conn);
                return;
        }
        have = conn->in_end - conn->in_start;
        room = conn->in_capacity - conn->in_end;
        /* The rest of a long record comes alone, so that what follows need not be moved later. */
        if (conn->in_need > have && conn->in_need - have >= CONN_EXACT_MIN)
                room = conn->in_need - have;
        else if (room > CONN_IN_SIZE)
                room = CONN_IN_SIZE;
        if (room == 0)
                return;
        do
                count = recv(conn->io.fd, conn->in + conn->in_end, room, MSG_DONTWAIT);
        while (count < 0 && errno == EINTR);
        if (count > 0) {
                conn->in_end += (size_t)count;
                conn->server->stats.bytes_in += (uint64_t)count;
                conn->active_ns = loop_now_ns(conn->server->loop);
        } else if (count == 0) {
                conn->eof = true;
        } else if (errno != EAGAIN && errno != EWOULDBLOCK) {
                conn_fail(conn);
        }
}

/* --- running --- */

/* Some limit is reached: what has come must wait. */
static bool is_full(const struct nfs_conn *conn)
{
        return out_pending(&conn->out) > CONN_OUT_MAX || conn->changes_parked >= CONN_CHANGES_MAX ||
               conn->args_parked > CONN_ARGS_MAX || conn->held_count >= CONN_HELD_MAX;
}

static void leave_for_next_turn(struct nfs_conn *conn)
{
        conn->more = true;
        if (conn->server->more.due_ns == 0)
                loop_timer_arm(conn->server->loop, &conn->server->more, 0);
}

static void run_ready(struct nfs_conn *conn)
{
        while (conn->ready_first != NULL && !conn->broken &&
               out_pending(&conn->out) <= CONN_OUT_MAX) {
                struct nfs_request *request = conn->ready_first;

                conn->ready_first = request->ready_next;
                if (conn->ready_first == NULL)
                        conn->ready_last = NULL;
                request_run_again(request);
        }
}

static void run_records(struct nfs_conn *conn)
{
        uint64_t bytes_max = conn->out.queued + CONN_BATCH_BYTES;

        conn->more = conn->stalled = false;
        for (unsigned calls = 0; !conn->broken; calls++) {
                struct rpc_record record;

                if (is_full(conn)) {
                        conn->stalled = true;
                        return;
                }
                switch (rpc_record_scan(conn->in + conn->in_start, conn->in_end - conn->in_start,
                                        &record)) {
                case RPC_INCOMPLETE:
                        conn->in_need = record.stream_min;
                        return;
                case RPC_BROKEN:
                        conn->server->stats.bad_records++;
                        conn_fail(conn);
                        return;
                case RPC_RECORD:
                        break;
                }
                if (calls == CONN_BATCH_CALLS || conn->out.queued >= bytes_max) {
                        leave_for_next_turn(conn);
                        return;
                }
                conn->in_need = 0;
                conn->in_start += record.stream;
                request_accept(conn, record.call);
        }
}

void conn_run(struct nfs_conn *conn)
{
        run_ready(conn);
        if (conn->in_end > conn->in_start)
                run_records(conn);
        conn_mark(conn);
}

static void ready(struct loop_io *io, uint32_t events)
{
        struct nfs_conn *conn = (struct nfs_conn *)((char *)io - offsetof(struct nfs_conn, io));

        if (conn->broken)
                return;
        if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && !conn->eof &&
            (conn->events & EPOLLIN) != 0) {
                receive(conn);
                conn_run(conn);
        } else if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
                conn_fail(conn);
        }
        conn_mark(conn);
}

/* --- the end of a turn --- */

bool conn_idle(const struct nfs_conn *conn)
{
        return conn->requests == NULL && conn->held == NULL && out_pending(&conn->out) == 0 &&
               conn->in_start == conn->in_end;
}

static void set_events(struct nfs_conn *conn)
{
        uint32_t events = 0;

        if (!conn->eof && !conn->stalled)
                events |= EPOLLIN;
        if (out_pending(&conn->out) > 0)
                events |= EPOLLOUT;
        if (events == conn->events)
                return;
        if (loop_change(conn->server->loop, &conn->io, events) != HIF_OK)
                conn->broken = true;
        conn->events = events;
}

void conn_finish_turn(struct nfs_conn *conn)
{
        uint64_t sent = conn->out.sent;
        enum hif_err err;

        run_ready(conn);
        err = conn->broken ? HIF_OK : out_send(&conn->out, conn->io.fd);
        conn->server->stats.bytes_out += conn->out.sent - sent;
        if (conn->out.sent != sent)
                conn->active_ns = loop_now_ns(conn->server->loop);
        if (err != HIF_OK && err != HIF_EAGAIN)
                conn->broken = true;
        /* Nobody is told when a limit is no longer reached: it shows here. */
        if ((conn->stalled && !is_full(conn)) ||
            (conn->ready_first != NULL && out_pending(&conn->out) <= CONN_OUT_MAX)) {
                conn->stalled = false;
                leave_for_next_turn(conn);
        }
        /* What is left of a record that will never be complete does not count. */
        if (conn->eof && !conn->more && !conn->stalled && conn->requests == NULL &&
            conn->held == NULL && out_pending(&conn->out) == 0)
                conn->broken = true;
        if (!conn->broken)
                set_events(conn);
        if (conn->broken)
                conn_close(conn);
}

void conn_sweep(struct nfs_conn *conn, uint64_t now_ns)
{
        uint64_t silent_ns = now_ns - conn->active_ns;
        bool waits = conn->requests != NULL || conn->held != NULL || conn->more || conn->stalled;
        bool partial = conn->in_end > conn->in_start && !waits;

        if (!conn->proven && silent_ns > CONN_SILENT_NS)
                conn_fail(conn);
        if ((partial || out_pending(&conn->out) > 0) && silent_ns > CONN_PARTIAL_NS)
                conn_fail(conn);
        if (conn->in_start == conn->in_end && silent_ns > SERVER_SWEEP_NS) {
                free(conn->in);
                conn->in = NULL;
                conn->in_start = conn->in_end = conn->in_capacity = 0;
                out_trim(&conn->out);
        }
}

/* --- life --- */

enum hif_err conn_new(struct nfs_server *server, int fd)
{
        struct nfs_conn *conn = calloc(1, sizeof(*conn));
        int on = 1;
        enum hif_err err;

        if (conn == NULL)
                return HIF_ENOMEM;
        /* Answers leave in one piece: waiting for more would only delay them. Not a TCP socket:
         * nothing to set. */
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        conn->server = server;
        conn->io = (struct loop_io){.ready = ready, .fd = fd};
        conn->events = EPOLLIN;
        conn->active_ns = loop_now_ns(server->loop);
        err = loop_add(server->loop, &conn->io, conn->events);
        if (err != HIF_OK) {
                free(conn);
                return err;
        }
        conn->next = server->conns;
        if (server->conns != NULL)
                server->conns->prev = conn;
        server->conns = conn;
        server->conn_count++;
        server->stats.connections++;
        return HIF_OK;
}

void conn_close(struct nfs_conn *conn)
{
        struct nfs_server *server = conn->server;
        struct nfs_conn **link = &server->dirty;

        while (conn->requests != NULL)
                request_cancel(conn->requests);
        while (conn->held != NULL)
                held_cancel(conn->held);
        while (conn->dirty && *link != NULL) {
                if (*link == conn) {
                        *link = conn->dirty_next;
                        break;
                }
                link = &(*link)->dirty_next;
        }
        loop_remove(server->loop, &conn->io);
        close(conn->io.fd);
        if (conn->prev != NULL)
                conn->prev->next = conn->next;
        else
                server->conns = conn->next;
        if (conn->next != NULL)
                conn->next->prev = conn->prev;
        server->conn_count--;
        out_free(&conn->out);
        free(conn->in);
        free(conn);
}
