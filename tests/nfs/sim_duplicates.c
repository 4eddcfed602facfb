/* sim_duplicates [--seed S] [--operations N] [--every N] [--mutation] - requests that must not run
 * twice, sent twice.
 *
 * Rounds of requests that change names and attributes. Every n-th is sent on a second connection,
 * too: while the first one waits for objects, before its answer is read, after it, and long after,
 * when other requests have changed the same names. In between connections break in the middle of a
 * record or before the answers are read, and the server is closed or killed, and started again; what
 * was not answered is sent again then, as clients do. Each answer has to be what it is for a request
 * that runs once, and all names, links and modes have to be a model's.
 *
 * On a simulated machine: a failure prints the seed that repeats it. --mutation gives repetitions
 * an xid of their own, so that they run: that has to be noticed. */
#include "nfs/tclient.h"

#include <stdio.h>
#include <stdlib.h>

#define DIRS        4
#define NAMES       48
#define NODES_MAX   (DIRS * NAMES)
#define ROUND_MAX   8
#define HISTORY     512 /* requests that may come again, late: within what is remembered */
#define AUDIT_EVERY 64  /* rounds */
#define MUTATION    0x40000000u

struct node {
        uint64_t id;
        enum onode_kind kind;
        uint32_t mode, links;
        bool busy; /* some request of this round is about it */
};

struct slot {
        struct node *node; /* NULL: no such name */
        bool busy;
};

struct op {
        enum nfs_proc proc;
        enum nfsstat3 status; /* that it has to have */
        uint32_t xid;
        struct buf record;
        struct buf answer; /* the first one */
        bool answered;
        uint64_t life; /* of the server, when that came */
        struct slot *slot, *to;
        struct node *node;
        uint32_t mode;
};

struct past {
        struct buf record;
        enum nfsstat3 status;
        uint64_t life;
};

struct dup {
        struct tmount *m;
        struct tclient first, second;
        struct node nodes[NODES_MAX];
        struct slot slots[DIRS][NAMES];
        uint64_t dirs[DIRS];
        struct op ops[ROUND_MAX];
        size_t op_count;
        struct past past[HISTORY];
        uint64_t past_count;
        uint64_t random, life;
        uint32_t xid;
        unsigned long long seed, done, every, sent;
        unsigned long long waiting, soon, late, again, reconnects, closed, killed;
        bool mutation;
};

static uint64_t pick(struct dup *d, uint64_t below)
{
        d->random ^= d->random << 13;
        d->random ^= d->random >> 7;
        d->random ^= d->random << 17;
        return d->random % below;
}

static void require(struct dup *d, bool holds, const struct op *op, const char *what)
{
        if (holds)
                return;
        if (d->mutation) {
                printf("sim_duplicates: the mistake was noticed after %llu operations: %s\n",
                       d->done, what);
                exit(0);
        }
        fprintf(stderr, "sim_duplicates: seed %llu, operation %llu: %s", d->seed, d->done, what);
        if (op != NULL)
                fprintf(stderr, " (procedure %d, xid %u)", (int)op->proc, op->xid);
        fputc('\n', stderr);
        exit(1);
}

/* --- the model --- */

static const char *name_of(const struct dup *d, const struct slot *slot, char *out, size_t size)
{
        snprintf(out, size, "n%zu", (size_t)(slot - &d->slots[0][0]) % NAMES);
        return out;
}

static uint64_t dir_of(const struct dup *d, const struct slot *slot)
{
        return d->dirs[(size_t)(slot - &d->slots[0][0]) / NAMES];
}

static struct node *new_node(struct dup *d, enum onode_kind kind, uint64_t id, uint32_t mode)
{
        for (size_t i = 0; i < NODES_MAX; i++)
                if (d->nodes[i].links == 0) {
                        d->nodes[i] =
                            (struct node){.id = id, .kind = kind, .mode = mode, .links = 1};
                        return &d->nodes[i];
                }
        abort();
}

/* A name that no request of this round is about, taken or free; NULL: none was found. */
static struct slot *choose(struct dup *d, bool taken)
{
        for (int tries = 0; tries < 200; tries++) {
                struct slot *slot = &d->slots[pick(d, DIRS)][pick(d, NAMES)];

                if (slot->busy || (slot->node != NULL) != taken || (taken && slot->node->busy))
                        continue;
                slot->busy = true;
                if (taken)
                        slot->node->busy = true;
                return slot;
        }
        return NULL;
}

static void unlink_node(struct slot *slot)
{
        slot->node->links--;
        slot->node = NULL;
}

/* What a request that succeeded has done. */
static void apply(struct dup *d, const struct op *op)
{
        static const enum onode_kind kinds[] = {
            [NFS_CREATE] = ONODE_FILE, [NFS_MKDIR] = ONODE_DIR, [NFS_SYMLINK] = ONODE_SYMLINK};
        struct reader rd = rd_open(buf_span(&op->answer));

        switch (op->proc) {
        case NFS_CREATE:
        case NFS_MKDIR:
        case NFS_SYMLINK:
                rd_u64(&rd), rd_u32(&rd), rd_u64(&rd), rd_u32(&rd),
                    rd_u32(&rd); /* header, status */
                require(d, rd_u32(&rd) == 1, op, "no handle");
                op->slot->node = new_node(d, kinds[op->proc], get_handle(&rd), op->mode);
                break;
        case NFS_REMOVE:
        case NFS_RMDIR:
                unlink_node(op->slot);
                break;
        case NFS_RENAME:
                if (op->to->node != NULL)
                        unlink_node(op->to);
                op->to->node = op->slot->node;
                op->slot->node = NULL;
                break;
        case NFS_LINK:
                op->to->node = op->slot->node;
                op->to->node->links++;
                break;
        case NFS_SETATTR:
                op->node->mode = op->mode;
                break;
        default:
                abort();
        }
}

/* Every name is what the model says. */
static void audit(struct dup *d)
{
        for (size_t i = 0; i < (size_t)DIRS * NAMES; i++) {
                const struct slot *slot = &d->slots[0][0] + i;
                char path[64], name[32];
                struct vfs_attr attr;

                snprintf(path, sizeof(path), "d%zu/%s", i / NAMES,
                         name_of(d, slot, name, sizeof(name)));
                if (slot->node == NULL) {
                        require(d, tmount_id(d->m, path) == NODEID_NONE, NULL, "a name too many");
                        continue;
                }
                require(d, tmount_id(d->m, path) == slot->node->id, NULL,
                        "a name is missing, or another node's");
                attr = tmount_attr(d->m, path);
                require(d, attr.kind == slot->node->kind, NULL, "another kind");
                require(d, attr.kind == ONODE_SYMLINK || attr.mode == slot->node->mode, NULL,
                        "another mode");
                require(d, attr.kind == ONODE_DIR || attr.nlink == slot->node->links, NULL,
                        "another link count");
        }
}

/* --- requests --- */

static void put_at(const struct dup *d, struct buf *out, const struct slot *slot)
{
        char name[32];

        put_place(out, dir_of(d, slot), name_of(d, slot, name, sizeof(name)));
}

static uint64_t ctime_of(struct dup *d, uint64_t id)
{
        AUTO_BUF struct buf args = {0};
        AUTO_REPLY struct treply reply = {.xid = 0};

        put_handle(&args, id);
        d->first.xid = ++d->xid;
        tclient_nfs(&d->first, NFS_GETATTR, &args, &reply);
        require(d, reply.status == NFS3_OK, NULL, "GETATTR of a live node failed");
        return get_fattr(&reply.rd).ctime;
}

static void put_new(struct dup *d, struct op *op)
{
        put_at(d, &op->record, op->slot);
        op->mode = 0600u | (uint32_t)pick(d, 64);
        switch (op->proc) {
        case NFS_CREATE:
                if (op->status == NFS3_OK && pick(d, 2) == 0) {
                        op->mode = 0600;
                        buf_put_u32(&op->record, 2); /* EXCLUSIVE */
                        buf_put_u64(&op->record, pick(d, UINT64_MAX));
                        break;
                }
                buf_put_u32(&op->record, 1); /* GUARDED */
                put_sattr(&op->record, (int)op->mode, -1);
                break;
        case NFS_MKDIR:
                put_sattr(&op->record, (int)op->mode, -1);
                break;
        default:
                put_sattr(&op->record, 0777, -1);
                put_string(&op->record, "target");
                break;
        }
}

static bool make_new(struct dup *d, struct op *op)
{
        static const enum nfs_proc procs[] = {NFS_CREATE, NFS_CREATE, NFS_MKDIR, NFS_SYMLINK};
        bool taken = pick(d, 10) == 0;

        op->proc = procs[pick(d, 4)];
        op->status = taken ? NFS3ERR_EXIST : NFS3_OK;
        op->slot = choose(d, taken);
        return op->slot != NULL;
}

static bool make_removal(struct dup *d, struct op *op)
{
        bool taken = pick(d, 10) != 0;

        op->slot = choose(d, taken);
        if (op->slot == NULL)
                return false;
        op->proc = taken && op->slot->node->kind == ONODE_DIR ? NFS_RMDIR : NFS_REMOVE;
        op->status = taken ? NFS3_OK : NFS3ERR_NOENT;
        return true;
}

/* Of any node to a free name, or over one of its kind. */
static bool make_rename(struct dup *d, struct op *op)
{
        op->proc = NFS_RENAME;
        op->slot = choose(d, true);
        if (op->slot == NULL)
                return false;
        op->to = choose(d, pick(d, 3) == 0);
        if (op->to == NULL)
                return false;
        if (op->to->node != NULL &&
            (op->to->node->kind == ONODE_DIR) != (op->slot->node->kind == ONODE_DIR))
                op->status = op->slot->node->kind == ONODE_DIR ? NFS3ERR_NOTDIR : NFS3ERR_ISDIR;
        return true;
}

static bool make_link(struct dup *d, struct op *op)
{
        op->proc = NFS_LINK;
        op->slot = choose(d, true);
        if (op->slot == NULL || op->slot->node->kind == ONODE_DIR)
                return false;
        op->to = choose(d, false);
        return op->to != NULL;
}

/* Guarded by its ctime: a second run would be NOT_SYNC. */
static bool make_setattr(struct dup *d, struct op *op)
{
        op->proc = NFS_SETATTR;
        op->slot = choose(d, true);
        if (op->slot == NULL || op->slot->node->kind == ONODE_SYMLINK)
                return false;
        op->node = op->slot->node;
        op->mode = 0600u | (uint32_t)pick(d, 64);
        return true;
}

static void put_args(struct dup *d, struct op *op)
{
        switch (op->proc) {
        case NFS_SETATTR:
                put_handle(&op->record, op->node->id);
                put_sattr(&op->record, (int)op->mode, -1);
                buf_put_u32(&op->record, 1);
                buf_put_u64(&op->record, ctime_of(d, op->node->id));
                break;
        case NFS_RENAME:
                put_at(d, &op->record, op->slot);
                put_at(d, &op->record, op->to);
                break;
        case NFS_LINK:
                put_handle(&op->record, op->slot->node->id);
                put_at(d, &op->record, op->to);
                break;
        case NFS_REMOVE:
        case NFS_RMDIR:
                put_at(d, &op->record, op->slot);
                break;
        default:
                put_new(d, op);
                break;
        }
}

static void make_op(struct dup *d)
{
        bool (*const makers[])(struct dup *, struct op *) = {make_new,    make_new,  make_removal,
                                                             make_rename, make_link, make_setattr};
        struct op *op = &d->ops[d->op_count];

        *op = (struct op){.status = NFS3_OK};
        if (!makers[pick(d, 6)](d, op))
                return;
        op->xid = ++d->xid;
        d->first.xid = op->xid - 1;
        tclient_header(&d->first, &op->record, NFS_PROGRAM, op->proc);
        put_args(d, op);
        d->op_count++;
}

/* --- sending and receiving --- */

static void send_op(struct dup *d, struct tclient *c, const struct buf *record, bool repeated)
{
        AUTO_BUF struct buf copy = {0};

        buf_put_span(&copy, buf_span(record));
        if (repeated && d->mutation)
                be32_put(copy.data, be32_get(copy.data) ^ MUTATION);
        tclient_send(c, buf_span(&copy));
        d->sent++;
}

static struct op *find_op(struct dup *d, uint32_t xid)
{
        for (size_t i = 0; i < d->op_count; i++)
                if (d->ops[i].xid == (xid & ~MUTATION))
                        return &d->ops[i];
        require(d, false, NULL, "an answer to nothing");
        return NULL;
}

/* The next answer on this connection: what it has to be. */
static void receive(struct dup *d, struct tclient *c)
{
        AUTO_REPLY struct treply reply = {.xid = 0};
        struct op *op;

        tclient_receive(c, &reply);
        require(d, !reply.none && !reply.closed, NULL, "no answer");
        op = find_op(d, reply.xid);
        require(d, reply.stat == RPC_SUCCESS, op, "an RPC error");
        require(d, rd_u32(&reply.rd) == (uint32_t)op->status, op, "the answer of a second run");
        if (!op->answered) {
                op->answered = true;
                op->life = d->life;
                buf_put_span(&op->answer, buf_span(&reply.bytes));
                return;
        }
        require(d,
                op->life != d->life || d->mutation ||
                    span_eq(buf_span(&op->answer), buf_span(&reply.bytes)),
                op, "another answer the second time");
}

static void reconnect(struct dup *d, struct tclient *c)
{
        tclient_close(c);
        tclient_open(c, d->m);
}

static void restart(struct dup *d)
{
        if (pick(d, 2) == 0) {
                tmount_restart(d->m);
                d->closed++;
        } else {
                tmount_kill(d->m);
                d->killed++;
        }
        d->life++;
        reconnect(d, &d->first);
        reconnect(d, &d->second);
}

/* All that is not answered, once more, on a connection that works. */
static void send_again(struct dup *d)
{
        size_t expected = 0;

        for (size_t i = 0; i < d->op_count; i++) {
                if (d->ops[i].answered)
                        continue;
                send_op(d, &d->first, &d->ops[i].record, true);
                d->again++;
                expected++;
        }
        for (size_t i = 0; i < expected; i++)
                receive(d, &d->first);
}

/* --- rounds --- */

static bool is_nth(const struct dup *d)
{
        return d->sent % d->every == 0;
}

/* Both are there before anything is answered; with objects held back, before anything runs. */
static void round_twice_at_once(struct dup *d)
{
        struct store_fault_rule rule = {
            .op = STORE_GET, .key_contains = "/trees/", .count = 1000, .fault = STORE_FAULT_HOLD};
        bool cold = pick(d, 4) == 0;
        size_t second = 0;

        if (cold) {
                tmount_cool(d->m);
                d->life++;
                reconnect(d, &d->first);
                reconnect(d, &d->second);
                require(d, store_fault_add(d->m->store, &rule) == HIF_OK, NULL, "no fault");
        }
        for (size_t i = 0; i < d->op_count; i++) {
                bool twice = is_nth(d) || pick(d, 4) == 0;

                send_op(d, &d->first, &d->ops[i].record, false);
                if (pick(d, 2) == 0)
                        tmount_turn(d->m);
                if (!twice)
                        continue;
                send_op(d, &d->second, &d->ops[i].record, true);
                second++;
        }
        if (cold) {
                tmount_settle(d->m);
                d->waiting += second < vfs_stats(d->m->vfs).parked ? second : 0;
                store_fault_clear(d->m->store);
                while (store_fault_waiting(d->m->store) > 0) {
                        store_fault_deliver(d->m->store);
                        tmount_settle(d->m);
                }
        } else {
                d->soon += second;
        }
        for (size_t i = 0; i < second; i++)
                receive(d, &d->second);
        for (size_t i = 0; i < d->op_count; i++)
                receive(d, &d->first);
}

/* The connection breaks, or the server dies, when some of the requests have run. */
static void round_interrupted(struct dup *d)
{
        size_t sent = 1 + pick(d, d->op_count), read = pick(d, sent);

        for (size_t i = 0; i < sent; i++)
                send_op(d, &d->first, &d->ops[i].record, false);
        for (size_t i = 0; i < read; i++)
                receive(d, &d->first);
        if (pick(d, 2) == 0) /* in the middle of a record */
                tclient_send_raw(&d->first, "\x80\0\0\x60 cut off", 11);
        if (pick(d, 2) == 0)
                tmount_settle(d->m);
        if (pick(d, 2) == 0) {
                restart(d);
        } else {
                reconnect(d, &d->first);
                d->reconnects++;
        }
        send_again(d);
}

/* One after the other; every n-th is repeated right after its answer. */
static void round_plain(struct dup *d)
{
        for (size_t i = 0; i < d->op_count; i++) {
                send_op(d, &d->first, &d->ops[i].record, false);
                receive(d, &d->first);
                if (!is_nth(d))
                        continue;
                send_op(d, &d->second, &d->ops[i].record, true);
                receive(d, &d->second);
                d->soon++;
        }
}

/* Something of long ago comes on the second connection. */
static void come_late(struct dup *d)
{
        uint64_t known = d->past_count < HISTORY ? d->past_count : HISTORY;
        AUTO_REPLY struct treply reply = {.xid = 0};
        uint64_t seq = overlay_seq(d->m->overlay);
        struct past *past;

        if (known == 0)
                return;
        past = &d->past[pick(d, known)];
        /* A failure has changed nothing, so a server that was started since may run it. */
        if (past->status != NFS3_OK && past->life != d->life)
                return;
        send_op(d, &d->second, &past->record, true);
        tclient_receive(&d->second, &reply);
        require(d, !reply.none && !reply.closed, NULL, "no answer to what comes late");
        require(d, rd_u32(&reply.rd) == (uint32_t)past->status, NULL,
                "the answer of a second run, late");
        require(d, overlay_seq(d->m->overlay) == seq, NULL, "a second run, late");
        d->late++;
}

static void remember(struct dup *d, struct op *op)
{
        struct past *past = &d->past[d->past_count++ % HISTORY];

        buf_free(&past->record);
        *past = (struct past){.record = op->record, .status = op->status, .life = op->life};
        op->record = (struct buf){0};
}

static void end_round(struct dup *d)
{
        for (size_t i = 0; i < d->op_count; i++) {
                struct op *op = &d->ops[i];

                require(d, op->answered, op, "no answer");
                if (op->status == NFS3_OK)
                        apply(d, op);
                remember(d, op);
                buf_free(&op->answer);
                d->done++;
        }
        d->op_count = 0;
        for (size_t i = 0; i < (size_t)DIRS * NAMES; i++)
                (&d->slots[0][0])[i].busy = false;
        for (size_t i = 0; i < NODES_MAX; i++)
                d->nodes[i].busy = false;
}

static void run_round(struct dup *d)
{
        size_t count = 1 + pick(d, ROUND_MAX);
        uint64_t what = pick(d, 20);

        for (size_t i = 0; i < count; i++)
                make_op(d);
        if (d->op_count == 0)
                return;
        if (what < 2)
                round_interrupted(d);
        else if (what < 7)
                round_twice_at_once(d);
        else
                round_plain(d);
        end_round(d);
        for (uint64_t i = pick(d, 3); i > 0; i--)
                come_late(d);
}

/* --- start and end --- */

static void start(struct dup *d)
{
        struct tmount_options options = {.nfs = true,
                                         .seed = d->seed,
                                         .overlay.durability =
                                             (enum overlay_durability)(d->seed % 2)};

        d->random = d->seed * 0x9e3779b97f4a7c15ull + 1;
        d->xid = 5000;
        d->m = tmount_new(&options);
        for (size_t i = 0; i < (size_t)DIRS * 20; i++) {
                char path[32];

                snprintf(path, sizeof(path), "d%zu/base%zu", i / 20, i % 20);
                tmount_add_text(d->m, path, "base");
        }
        tmount_open(d->m);
        for (size_t i = 0; i < DIRS; i++) {
                char path[32];

                snprintf(path, sizeof(path), "d%zu", i);
                d->dirs[i] = tmount_id(d->m, path);
        }
        tclient_open(&d->first, d->m);
        tclient_open(&d->second, d->m);
}

static void stop(struct dup *d)
{
        for (size_t i = 0; i < HISTORY; i++)
                buf_free(&d->past[i].record);
        tclient_close(&d->first);
        tclient_close(&d->second);
        tmount_free(d->m);
}

static int usage(void)
{
        fprintf(stderr,
                "usage: sim_duplicates [--seed S] [--operations N] [--every N] [--mutation]\n");
        return 2;
}

int main(int argc, char **argv)
{
        struct dup *d = calloc(1, sizeof(*d));
        unsigned long long operations = 4000;

        if (d == NULL)
                abort();
        d->seed = 1;
        d->every = 5;
        for (int i = 1; i < argc; i++) {
                bool value = i + 1 < argc;

                if (strcmp(argv[i], "--mutation") == 0)
                        d->mutation = true;
                else if (value && strcmp(argv[i], "--seed") == 0)
                        d->seed = strtoull(argv[++i], NULL, 10);
                else if (value && strcmp(argv[i], "--operations") == 0)
                        operations = strtoull(argv[++i], NULL, 10);
                else if (value && strcmp(argv[i], "--every") == 0)
                        d->every = strtoull(argv[++i], NULL, 10);
                else
                        return usage();
        }
        if (d->every == 0)
                return usage();
        start(d);
        for (unsigned long long round = 1; d->done < operations; round++) {
                run_round(d);
                if (round % AUDIT_EVERY == 0)
                        audit(d);
        }
        audit(d);
        printf("sim_duplicates: seed %llu: %llu operations, repeated %llu times while they waited, "
               "%llu times at once, %llu times after %llu broken connections, %llu restarts and "
               "%llu kills, and %llu times late: none ran twice\n",
               d->seed, d->done, d->waiting, d->soon, d->again, d->reconnects, d->closed, d->killed,
               d->late);
        stop(d);
        if (d->mutation) {
                fprintf(stderr, "sim_duplicates: the mistake was not noticed\n");
                return 1;
        }
        free(d);
        return 0;
}
