/* conn.h - the server's insides: its connections, and requests that wait.
 *
 * A turn: what has come is received and its complete records are run (conn.c, request.c); what
 * waited and is ready again is run; then, at the turn's end, each connection that has answers sends
 * them all at once, and connections that broke are closed. Nothing is freed before the turn's end,
 * so that no callback finds a connection gone under its feet. */
#ifndef HIF_NFS_CONN_H
#define HIF_NFS_CONN_H

#include "nfs/drc.h"
#include "nfs/nfs3.h"
#include "nfs/out.h"
#include "nfs/rpc.h"

/* --- limits --- */

#define CONN_IN_SIZE       ((size_t)256 << 10) /* of the receive buffer; a longer record has its size */
#define CONN_EXACT_MIN     ((size_t)64 << 10) /* the rest of such a record is received alone */
#define CONN_BATCH_CALLS   64u                /* a turn: others want to be served too */
#define CONN_BATCH_BYTES   (256u << 10)
#define CONN_OUT_MAX       ((uint64_t)4 << 20)  /* answers not taken: nothing is read meanwhile */
#define CONN_READS_MAX     512u                 /* parked; above: JUKEBOX, so that writes get in */
#define CONN_CHANGES_MAX   256u                 /* parked; above: nothing is read meanwhile */
#define CONN_ARGS_MAX      ((size_t)8 << 20)    /* bytes of parked arguments, likewise */
#define CONN_HELD_MAX      1024u                /* answers that wait for the disk, likewise */
#define CONN_SILENT_NS     (10ull * 1000000000) /* until the first call */
#define CONN_PARTIAL_NS    (30ull * 1000000000) /* in the middle of a record, or of our answers */
#define CONN_EVICT_IDLE_NS (60ull * 1000000000) /* an idle one makes room for a new one */
#define SERVER_SWEEP_NS    (5ull * 1000000000)
#define SERVER_RETRY_NS    (100ull * 1000000) /* after running out of descriptors */

/* --- what waits --- */

/* A request that lacks something. It owns a copy of its arguments. */
struct nfs_request {
        struct vfs_parked parked;
        struct vfs_call call;
        struct vfs_caller caller;
        uint32_t groups[RPC_GROUPS_MAX]; /* the caller's */
        struct overlay_reply reply;
        struct nfs_conn *conn;
        struct nfs_request *prev, *next; /* of the connection */
        struct nfs_request *ready_next;
        struct drc_entry *drc;
        uint32_t xid, proc;
        enum hif_err err; /* READY: HIF_OK means run it again */
        size_t args_size;
        uint8_t args[];
};

/* An answer that waits for the disk. */
struct nfs_held {
        struct vfs_stable stable;
        struct nfs_conn *conn;
        struct nfs_held *prev, *next; /* of the connection */
        uint64_t key;                 /* in the duplicate-request cache; 0: not there */
        uint32_t xid, proc;
        size_t size;
        uint8_t reply[DRC_REPLY_MAX];
};

/* --- connections and the server --- */

struct nfs_conn {
        struct nfs_server *server;
        struct loop_io io;
        struct nfs_conn *prev, *next;
        struct nfs_conn *dirty_next;
        uint32_t events; /* as registered */
        bool dirty;      /* something is to be done at the turn's end */
        bool more;       /* complete records are left for the next turn */
        bool stalled;    /* records are left until some limit is no longer reached */
        bool proven;     /* has made a call */
        bool eof;
        bool broken; /* to be closed at the turn's end */

        uint8_t *in; /* received: [in_start, in_end) is not run yet */
        size_t in_start, in_end, in_capacity;
        size_t in_need; /* bytes from in_start that the next record has at least; 0: not known */
        struct out out;

        struct nfs_request *requests, *ready_first, *ready_last;
        struct nfs_held *held;
        size_t reads_parked, changes_parked, args_parked, held_count;
        uint64_t active_ns;
};

struct nfs_server {
        struct nfs3_context context;
        struct vfs *vfs;
        struct overlay *overlay;
        struct loop *loop;
        struct loop_io listener; /* fd -1: none */
        bool listening;
        struct loop_hook turn_end;
        struct loop_timer sweep, retry, more;
        bool (*admit)(void *arg, int fd);
        void *admit_arg;
        struct drc *drc;    /* of changes that the overlay remembers, too */
        struct drc *writes; /* of WRITE */
        struct nfs_conn *conns;
        size_t conn_count;
        struct nfs_conn *dirty; /* linked by dirty_next */
        struct vfs_call call;   /* of the request that runs now, until it has to wait */
        struct nfs_stats stats;
};

/* Look at it at the turn's end. */
static inline void conn_mark(struct nfs_conn *conn)
{
        if (conn->dirty)
                return;
        conn->dirty = true;
        conn->dirty_next = conn->server->dirty;
        conn->server->dirty = conn;
}

/* Close it at the turn's end. */
static inline void conn_fail(struct nfs_conn *conn)
{
        conn->broken = true;
        conn_mark(conn);
}

/* --- conn.c --- */

HIF_MUST_USE enum hif_err conn_new(struct nfs_server *server, int fd);
void conn_close(struct nfs_conn *conn); /* frees it; drops what waits */
void conn_run(struct nfs_conn *conn);   /* what has come and what is ready */
void conn_finish_turn(struct nfs_conn *conn);
bool conn_idle(const struct nfs_conn *conn); /* nothing received, waiting, or to be sent */
/* Give memory back, and close one that has been silent for too long. */
void conn_sweep(struct nfs_conn *conn, uint64_t now_ns);

/* --- request.c --- */

/* Run one record; its answer is queued, waits, or the connection fails. */
void request_accept(struct nfs_conn *conn, struct span record);
/* Run one that was parked and is ready. */
void request_run_again(struct nfs_request *request);
/* Drop one that has not been run: nothing has changed. */
void request_cancel(struct nfs_request *request);
void held_cancel(struct nfs_held *held);

#endif
