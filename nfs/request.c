/* request.c - one call, from its record to its answer: refusals, duplicates, faults, and answers
 * that wait for the disk. */
#include "nfs/conn.h"

#include <assert.h>
#include <stdlib.h>

/* What is run: a call that has just come, or one that was parked. */
struct job {
        uint32_t xid, proc;
        struct span args;
        struct vfs_call *call;
        struct drc_entry *drc;       /* NULL: not kept */
        struct nfs_request *request; /* NULL: has not been parked yet */
};

/* Where duplicates of it are known; NULL: it may run twice. */
static struct drc *cache_of(const struct nfs_server *server, uint32_t proc)
{
        if (proc == NFS_WRITE)
                return server->writes;
        return nfs3_non_idempotent(proc) ? server->drc : NULL;
}

static void leave(const struct nfs_server *server, uint32_t proc, struct drc_entry *entry)
{
        if (entry != NULL)
                drc_leave(cache_of(server, proc), entry);
}

/* --- answers --- */

static void queue_bytes(struct nfs_conn *conn, struct span reply)
{
        uint8_t *at = out_reserve(&conn->out, reply.size);

        if (at == NULL) {
                conn_fail(conn);
                return;
        }
        memcpy(at, reply.data, reply.size);
        out_commit(&conn->out, at + reply.size);
        conn_mark(conn);
}

static void held_unlink(struct nfs_held *held)
{
        struct nfs_conn *conn = held->conn;

        if (held->prev != NULL)
                held->prev->next = held->next;
        else
                conn->held = held->next;
        if (held->next != NULL)
                held->next->prev = held->prev;
        conn->held_count--;
}

void held_cancel(struct nfs_held *held)
{
        vfs_stable_cancel(held->conn->server->vfs, &held->stable);
        held_unlink(held);
        free(held);
}

/* The disk has it, or never will: then the client must not believe what was encoded. */
static void on_stable(struct vfs_stable *stable, enum hif_err err)
{
        struct nfs_held *held = (struct nfs_held *)stable;
        struct nfs_server *server = held->conn->server;
        struct drc_entry *entry = NULL;

        if (err != HIF_OK && err != HIF_ECANCELED) {
                uint8_t *body = held->reply + RPC_REPLY_SIZE, *end;

                end = nfs3_put_failure(body, held->proc, nfs3_status(err));
                rpc_reply_success(held->reply, held->xid, (size_t)(end - body));
                held->size = (size_t)(end - held->reply);
                server->stats.errors++;
                if (held->key != 0)
                        entry = drc_find_key(cache_of(server, held->proc), held->key, held->xid,
                                             held->proc);
                if (entry != NULL && entry->state == DRC_DONE)
                        drc_finish(entry, span_of(held->reply, held->size), 0);
        }
        held_unlink(held);
        if (err != HIF_ECANCELED)
                queue_bytes(held->conn, span_of(held->reply, held->size));
        free(held);
}

/* Queue an encoded reply once the overlay is durable up to seq. */
static void hold(struct nfs_conn *conn, struct span reply, uint64_t seq, uint64_t key, uint32_t xid,
                 uint32_t proc)
{
        struct nfs_held *held = malloc(sizeof(*held));

        if (held == NULL) {
                conn_fail(conn);
                return;
        }
        assert(reply.size <= sizeof(held->reply));
        held->stable = (struct vfs_stable){.done = on_stable, .seq = seq};
        held->conn = conn;
        held->key = key;
        held->xid = xid;
        held->proc = proc;
        held->size = reply.size;
        memcpy(held->reply, reply.data, reply.size);
        held->prev = NULL;
        held->next = conn->held;
        if (conn->held != NULL)
                conn->held->prev = held;
        conn->held = held;
        conn->held_count++;
        vfs_when_stable(conn->server->vfs, &held->stable);
}

static bool must_wait(const struct nfs_server *server, uint64_t seq)
{
        return seq > 0 && overlay_durable(server->overlay) < seq;
}

/* --- waiting for objects --- */

static void request_free(struct nfs_request *request)
{
        struct nfs_conn *conn = request->conn;

        if (request->prev != NULL)
                request->prev->next = request->next;
        else
                conn->requests = request->next;
        if (request->next != NULL)
                request->next->prev = request->prev;
        if (nfs3_reads(request->proc))
                conn->reads_parked--;
        else
                conn->changes_parked--;
        conn->args_parked -= request->args_size;
        conn_mark(conn);
        free(request);
}

static void unlink_ready(struct nfs_request *request)
{
        struct nfs_conn *conn = request->conn;
        struct nfs_request **link = &conn->ready_first, *last = NULL;

        while (*link != NULL && *link != request) {
                last = *link;
                link = &(*link)->ready_next;
        }
        if (*link == NULL)
                return;
        *link = request->ready_next;
        if (conn->ready_last == request)
                conn->ready_last = last;
}

void request_cancel(struct nfs_request *request)
{
        struct nfs_server *server = request->conn->server;

        vfs_unpark(server->vfs, &request->parked);
        unlink_ready(request);
        leave(server, request->proc, request->drc);
        vfs_call_end(&request->call);
        request_free(request);
}

static void on_resume(struct vfs_parked *parked, enum hif_err err)
{
        struct nfs_request *request = (struct nfs_request *)parked;
        struct nfs_conn *conn = request->conn;

        if (err == HIF_ECANCELED) {
                request_cancel(request);
                return;
        }
        request->err = err;
        request->ready_next = NULL;
        if (conn->ready_last != NULL)
                conn->ready_last->ready_next = request;
        else
                conn->ready_first = request;
        conn->ready_last = request;
        conn_mark(conn);
}

/* A request of its own, with all that the call borrows. NULL: out of memory, or too many wait. */
static struct nfs_request *request_new(struct nfs_conn *conn, const struct job *job)
{
        bool reads = nfs3_reads(job->proc);
        struct nfs_request *request;

        if (reads && conn->reads_parked >= CONN_READS_MAX)
                return NULL;
        request = malloc(sizeof(*request) + job->args.size);
        if (request == NULL)
                return NULL;
        request->parked = (struct vfs_parked){.resume = on_resume};
        request->call = *job->call;
        request->caller = *job->call->caller;
        memcpy(request->groups, request->caller.groups,
               request->caller.group_count * sizeof(*request->groups));
        request->caller.groups = request->groups;
        request->call.caller = &request->caller;
        if (job->call->reply != NULL) {
                request->reply = *job->call->reply;
                request->call.reply = &request->reply;
        }
        request->conn = conn;
        request->drc = job->drc;
        request->xid = job->xid;
        request->proc = job->proc;
        request->args_size = job->args.size;
        memcpy(request->args, job->args.data, job->args.size);
        request->prev = NULL;
        request->next = conn->requests;
        if (conn->requests != NULL)
                conn->requests->prev = request;
        conn->requests = request;
        if (reads)
                conn->reads_parked++;
        else
                conn->changes_parked++;
        conn->args_parked += job->args.size;
        return request;
}

/* --- running --- */

/* End a call that is answered with a failure and has changed nothing. */
static void fail(struct nfs_conn *conn, const struct job *job, enum hif_err err)
{
        struct nfs_server *server = conn->server;
        uint8_t *at = out_reserve(&conn->out, RPC_REPLY_SIZE + NFS3_RESULT_MAX), *end;

        server->stats.errors++;
        leave(server, job->proc, job->drc);
        vfs_call_end(job->call);
        if (at == NULL) {
                conn_fail(conn);
                return;
        }
        end = nfs3_put_failure(at + RPC_REPLY_SIZE, job->proc, nfs3_status(err));
        rpc_reply_success(at, job->xid, (size_t)(end - at) - RPC_REPLY_SIZE);
        out_commit(&conn->out, end);
}

static void garbage(struct nfs_conn *conn, const struct job *job)
{
        uint8_t *at = out_reserve(&conn->out, RPC_ERROR_SIZE_MAX);

        leave(conn->server, job->proc, job->drc);
        vfs_call_end(job->call);
        if (at == NULL)
                conn_fail(conn);
        else
                out_commit(&conn->out, rpc_reply_error(at, job->xid, RPC_GARBAGE_ARGS));
}

/* The results are stored behind the room for the header: queue them, or hold them. */
static void answer(struct nfs_conn *conn, const struct job *job, const struct nfs3_op *op)
{
        struct nfs_server *server = conn->server;
        struct out *out = &conn->out;
        uint8_t *start = out->area + out->used;
        size_t data_size = op->data.count > 0 ? xdr_padded(op->data.size) : 0;
        size_t size = (size_t)(op->at - start);
        uint64_t seq = op->unstable ? 0 : job->call->stable_seq;
        uint64_t key = 0;

        if (op->status != NFS3_OK)
                server->stats.errors++;
        rpc_reply_success(start, job->xid, size - RPC_REPLY_SIZE + data_size);
        if (job->drc != NULL) {
                key = job->drc->key;
                drc_finish(job->drc, span_of(start, size), seq);
                leave(server, job->proc, job->drc);
        }
        if (must_wait(server, seq))
                hold(conn, span_of(start, size), seq, key, job->xid, job->proc);
        else if (op->data.count == 0)
                out_commit(out, op->at);
        else if (out_commit_data(out, op->at, &op->data) != HIF_OK)
                conn_fail(conn);
        vfs_call_end(job->call);
}

static void park(struct nfs_conn *conn, const struct job *job)
{
        struct nfs_request *request = job->request;

        if (request == NULL)
                request = request_new(conn, job);
        if (request == NULL)
                fail(conn, job, HIF_EAGAIN);
        else
                vfs_park(conn->server->vfs, &request->call, &request->parked);
}

/* known: it ran before, and this is what is left to tell of it. True: it is over. */
static bool run(struct nfs_conn *conn, const struct job *job, const struct overlay_reply *known)
{
        struct nfs_server *server = conn->server;
        struct nfs3_op op;
        enum nfs3_done done;

        op.context = &server->context;
        op.vfs = server->vfs;
        op.call = job->call;
        op.args = xdr_open(job->args);
        op.out = &conn->out;
        op.status = NFS3_OK;
        op.data.count = 0;
        op.unstable = false;
        if (!nfs3_room(&op, NFS3_RESULT_MAX)) {
                fail(conn, job, HIF_ENOMEM);
                return true;
        }
        if (known != NULL) {
                done = nfs3_answer_again(&op, job->proc, known->node);
                job->call->stable_seq = overlay_seq(server->overlay);
        } else {
                done = nfs3_procedures[job->proc](&op);
        }
        switch (done) {
        case NFS3_ANSWER:
                answer(conn, job, &op);
                return true;
        case NFS3_FAULT:
                park(conn, job);
                return false;
        case NFS3_GARBAGE:
                garbage(conn, job);
                return true;
        case NFS3_NOMEM:
                fail(conn, job, HIF_ENOMEM);
                return true;
        }
        return true;
}

/* Carried out before a restart, or longer ago than the cache remembers; NULL: it was not. */
static const struct overlay_reply *find_known(const struct nfs_server *server,
                                              const struct overlay_reply *reply)
{
        const struct overlay_reply *known = overlay_reply(server->overlay, reply->key);

        if (known == NULL || known->xid != reply->xid || known->proc != reply->proc)
                return NULL;
        return known;
}

/* The same answer once more. */
static void repeat(struct nfs_conn *conn, const struct drc_entry *entry)
{
        struct nfs_server *server = conn->server;
        struct span reply = span_of(entry->reply, entry->size);

        server->stats.replies_cached++;
        if (must_wait(server, entry->stable_seq))
                hold(conn, reply, entry->stable_seq, entry->key, entry->xid, entry->proc);
        else
                queue_bytes(conn, reply);
}

/* The same request came on another connection, too, and ran there while this one waited. */
static bool was_run(const struct nfs_request *request)
{
        struct nfs_conn *conn = request->conn;

        if (request->drc == NULL || request->drc->state != DRC_DONE)
                return false;
        repeat(conn, request->drc);
        leave(conn->server, request->proc, request->drc);
        return true;
}

void request_run_again(struct nfs_request *request)
{
        struct nfs_conn *conn = request->conn;
        const struct overlay_reply *reply = request->call.reply;
        struct job job = {.xid = request->xid,
                          .proc = request->proc,
                          .args = span_of(request->args, request->args_size),
                          .call = &request->call,
                          .drc = request->drc,
                          .request = request};

        if (was_run(request))
                vfs_call_end(&request->call);
        else if (request->err != HIF_OK)
                fail(conn, &job, request->err);
        else if (!run(conn, &job, reply != NULL ? find_known(conn->server, reply) : NULL))
                return;
        request_free(request);
}

/* --- calls that come --- */

static bool waits_here(const struct nfs_conn *conn, const struct drc_entry *entry)
{
        for (const struct nfs_request *it = conn->requests; it != NULL; it = it->next)
                if (it->drc == entry)
                        return true;
        return false;
}

/* True: this one has been answered, or will be; do not run it. Else *entry is where its answer is to
 * be kept; NULL: nowhere, as too many wait. */
static bool is_duplicate(struct nfs_conn *conn, const struct rpc_call *rpc, uint64_t key,
                         struct drc_entry **entry)
{
        struct drc *drc = cache_of(conn->server, rpc->proc);
        struct drc_entry *found = drc_find(drc, key, rpc);

        if (found == NULL) {
                *entry = drc_begin(drc, key, rpc);
                return false;
        }
        if (found->state == DRC_DONE) {
                repeat(conn, found);
                return true;
        }
        /* It waits. On the same connection one answer is enough. On another one both want theirs:
         * which of the two the client still listens on, nobody knows. */
        if (waits_here(conn, found))
                return true;
        drc_join(found);
        *entry = found;
        return false;
}

static void accept_change(struct nfs_conn *conn, const struct rpc_call *rpc, struct job *job)
{
        struct nfs_server *server = conn->server;
        struct overlay_reply reply = {.xid = rpc->xid, .proc = rpc->proc};
        const struct overlay_reply *known = NULL;

        reply.key = drc_key(server->context.seal.key, rpc);
        if (is_duplicate(conn, rpc, reply.key, &job->drc))
                return;
        vfs_call_begin(job->call, &rpc->caller);
        if (nfs3_non_idempotent(rpc->proc)) {
                known = find_known(server, &reply);
                job->call->reply = &reply;
        }
        if (known != NULL)
                server->stats.replies_cached++;
        run(conn, job, known);
}

static void accept_nfs(struct nfs_conn *conn, const struct rpc_call *rpc)
{
        struct nfs_server *server = conn->server;
        struct job job = {
            .xid = rpc->xid, .proc = rpc->proc, .args = rpc->args, .call = &server->call};

        server->stats.calls[rpc->proc]++;
        if (cache_of(server, rpc->proc) != NULL) {
                accept_change(conn, rpc, &job);
                return;
        }
        vfs_call_begin(job.call, &rpc->caller);
        run(conn, &job, NULL);
}

static void accept_mount(struct nfs_conn *conn, const struct rpc_call *rpc)
{
        struct nfs3_op op = {.context = &conn->server->context,
                             .args = xdr_open(rpc->args),
                             .out = &conn->out,
                             .status = NFS3_OK};
        uint8_t *start;

        if (!nfs3_room(&op, NFS3_RESULT_MAX)) {
                conn_fail(conn);
                return;
        }
        start = op.at - RPC_REPLY_SIZE;
        if (mount3_procedures[rpc->proc](&op) == NFS3_GARBAGE)
                op.at = rpc_reply_error(start, rpc->xid, RPC_GARBAGE_ARGS);
        else
                rpc_reply_success(start, rpc->xid, (size_t)(op.at - start) - RPC_REPLY_SIZE);
        out_commit(&conn->out, op.at);
}

/* What is refused before its arguments are looked at; NULL: nothing is wrong. */
static uint8_t *refuse(uint8_t *at, enum rpc_parse parsed, const struct rpc_call *rpc)
{
        bool nfs = rpc->prog == NFS_PROGRAM;

        switch (parsed) {
        case RPC_BAD_VERSION:
                return rpc_reply_rpc_mismatch(at, rpc->xid);
        case RPC_BAD_CRED:
                return rpc_reply_auth_error(at, rpc->xid, RPC_AUTH_BADCRED);
        case RPC_REFUSED_CRED:
                return rpc_reply_auth_error(at, rpc->xid, RPC_AUTH_REJECTEDCRED);
        case RPC_NO_CALL:
        case RPC_PARSED:
                break;
        }
        if (!nfs && rpc->prog != MOUNT_PROGRAM)
                return rpc_reply_error(at, rpc->xid, RPC_PROG_UNAVAIL);
        if (rpc->vers != NFS_VERSION)
                return rpc_reply_prog_mismatch(at, rpc->xid, NFS_VERSION, NFS_VERSION);
        if (rpc->proc >= (nfs ? NFS_PROC_COUNT : MOUNT_PROC_COUNT))
                return rpc_reply_error(at, rpc->xid, RPC_PROC_UNAVAIL);
        if (nfs && rpc->proc != NFS_NULL && rpc->flavor != RPC_AUTH_SYS)
                return rpc_reply_auth_error(at, rpc->xid, RPC_AUTH_TOOWEAK);
        return NULL;
}

void request_accept(struct nfs_conn *conn, struct span record)
{
        struct nfs_server *server = conn->server;
        struct rpc_call rpc;
        enum rpc_parse parsed = rpc_call_parse(record, &rpc);
        uint8_t *at, *end;

        server->stats.requests++;
        if (parsed == RPC_NO_CALL) {
                server->stats.bad_records++;
                conn_fail(conn);
                return;
        }
        conn->proven = true;
        at = out_reserve(&conn->out, RPC_ERROR_SIZE_MAX);
        if (at == NULL) {
                conn_fail(conn);
                return;
        }
        end = refuse(at, parsed, &rpc);
        if (end != NULL)
                out_commit(&conn->out, end);
        else if (rpc.prog == NFS_PROGRAM)
                accept_nfs(conn, &rpc);
        else
                accept_mount(conn, &rpc);
}
