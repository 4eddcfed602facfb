/* sim_duplicates_requests.c - requests that must not run twice: made, sent, and their answers. */
#include "sim_duplicates.h"

#include <stdio.h>

/* --- requests --- */

static void put_at(const struct dup *d, struct buf *out, const struct slot *slot)
{
        char name[32];

        put_place(out, dup_dir_of(d, slot), dup_name_of(d, slot, name, sizeof(name)));
}

static uint64_t ctime_of(struct dup *d, uint64_t id)
{
        AUTO_BUF struct buf args = {0};
        AUTO_REPLY struct treply reply = {.xid = 0};

        put_handle(&args, id);
        d->first.xid = ++d->xid;
        tclient_nfs(&d->first, NFS_GETATTR, &args, &reply);
        dup_require(d, reply.status == NFS3_OK, NULL, "GETATTR of a live node failed");
        return get_fattr(&reply.rd).ctime;
}

static void put_new(struct dup *d, struct op *op)
{
        put_at(d, &op->record, op->slot);
        op->mode = 0600u | (uint32_t)dup_pick(d, 64);
        switch (op->proc) {
        case NFS_CREATE:
                if (op->status == NFS3_OK && dup_pick(d, 2) == 0) {
                        op->mode = 0600;
                        buf_put_u32(&op->record, 2); /* EXCLUSIVE */
                        buf_put_u64(&op->record, dup_pick(d, UINT64_MAX));
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
        bool taken = dup_pick(d, 10) == 0;

        op->proc = procs[dup_pick(d, 4)];
        op->status = taken ? NFS3ERR_EXIST : NFS3_OK;
        op->slot = dup_choose(d, taken);
        return op->slot != NULL;
}

static bool make_removal(struct dup *d, struct op *op)
{
        bool taken = dup_pick(d, 10) != 0;

        op->slot = dup_choose(d, taken);
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
        op->slot = dup_choose(d, true);
        if (op->slot == NULL)
                return false;
        op->to = dup_choose(d, dup_pick(d, 3) == 0);
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
        op->slot = dup_choose(d, true);
        if (op->slot == NULL || op->slot->node->kind == ONODE_DIR)
                return false;
        op->to = dup_choose(d, false);
        return op->to != NULL;
}

/* Guarded by its ctime: a second run would be NOT_SYNC. */
static bool make_setattr(struct dup *d, struct op *op)
{
        op->proc = NFS_SETATTR;
        op->slot = dup_choose(d, true);
        if (op->slot == NULL || op->slot->node->kind == ONODE_SYMLINK)
                return false;
        op->node = op->slot->node;
        op->mode = 0600u | (uint32_t)dup_pick(d, 64);
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

void dup_make_op(struct dup *d)
{
        bool (*const makers[])(struct dup *, struct op *) = {make_new,    make_new,  make_removal,
                                                             make_rename, make_link, make_setattr};
        struct op *op = &d->ops[d->op_count];

        *op = (struct op){.status = NFS3_OK};
        if (!makers[dup_pick(d, 6)](d, op))
                return;
        op->xid = ++d->xid;
        d->first.xid = op->xid - 1;
        tclient_header(&d->first, &op->record, NFS_PROGRAM, op->proc);
        put_args(d, op);
        d->op_count++;
}

/* --- sending and receiving --- */

void dup_send_op(struct dup *d, struct tclient *c, const struct buf *record, bool repeated)
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
        dup_require(d, false, NULL, "an answer to nothing");
        return NULL;
}

void dup_receive(struct dup *d, struct tclient *c)
{
        AUTO_REPLY struct treply reply = {.xid = 0};
        struct op *op;

        tclient_receive(c, &reply);
        dup_require(d, !reply.none && !reply.closed, NULL, "no answer");
        op = find_op(d, reply.xid);
        dup_require(d, reply.stat == RPC_SUCCESS, op, "an RPC error");
        dup_require(d, rd_u32(&reply.rd) == (uint32_t)op->status, op, "the answer of a second run");
        if (!op->answered) {
                op->answered = true;
                op->life = d->life;
                buf_put_span(&op->answer, buf_span(&reply.bytes));
                return;
        }
        dup_require(d,
                    op->life != d->life || d->mutation ||
                        span_eq(buf_span(&op->answer), buf_span(&reply.bytes)),
                    op, "another answer the second time");
}

void dup_reconnect(struct dup *d, struct tclient *c)
{
        tclient_close(c);
        tclient_open(c, d->m);
}

void dup_restart(struct dup *d)
{
        if (dup_pick(d, 2) == 0) {
                tmount_restart(d->m);
                d->closed++;
        } else {
                tmount_kill(d->m);
                d->killed++;
        }
        d->life++;
        dup_reconnect(d, &d->first);
        dup_reconnect(d, &d->second);
}

void dup_send_again(struct dup *d)
{
        size_t expected = 0;

        for (size_t i = 0; i < d->op_count; i++) {
                if (d->ops[i].answered)
                        continue;
                dup_send_op(d, &d->first, &d->ops[i].record, true);
                d->again++;
                expected++;
        }
        for (size_t i = 0; i < expected; i++)
                dup_receive(d, &d->first);
}
