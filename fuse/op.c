/* op.c - one request from its arrival to its answer: run, wait, run again, be stable, reply. */
#include "fuse/internal.h"

#include "base/cleanup.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define WATCH_NS (100ull * 1000000) /* between looks at callers that had a signal */
#define OPS_MAX  4096               /* waiting at once; then no more requests are read */

#define UNIQUE_RESENT (1ull << 63) /* FUSE_UNIQUE_RESEND of Linux 6.9 */

#define OP_OF(pointer, member) ((struct op *)((char *)(pointer)-offsetof(struct op, member)))

void op_opened(struct op *op)
{
        op->caller.uid = 0;
}

/* What was done once has a mark in the overlay, by the kernel's number of the request. (One that is
 * sent again has the highest bit set.) */
static void mark(struct op *op)
{
        const struct fuse_server *server = op->server;
        struct fuse_in_header in;
        const struct overlay_reply *found;
        uint64_t number;

        memcpy(&in, ledger_request(server->ledger, op->slot), sizeof(in));
        number = in.unique & ~UNIQUE_RESENT;
        op->mark = (struct overlay_reply){
            .key = siphash(server->handshake.key, &number, sizeof(number)),
            .xid = (uint32_t)number,
            .proc = in.opcode,
        };
        op->call.reply = &op->mark;
        if (!server->now.again)
                return;
        found = overlay_reply(vfs_overlay(server->vfs), op->mark.key);
        if (found == NULL || found->xid != op->mark.xid || found->proc != op->mark.proc)
                return;
        op->mark = *found;
        op->done_before = true;
        op_opened(op); /* whoever was allowed to make it may know it */
}

void op_begin(struct op *op, fuse_req_t req, const struct op_type *type, uint64_t id)
{
        const struct fuse_ctx *ctx = fuse_req_ctx(req);

        op->server = fuse_req_userdata(req);
        op->req = req;
        op->type = type;
        op->id = id;
        op->state = OP_RUNNING;
        op->waited = op->interrupted = false;
        op->groups = NULL;
        op->name = op->name2 = op->data = (struct span){0};
        op->set.set = 0;
        op->gathered = NULL;
        op->done = 0;
        op->caller.uid = ctx->uid;
        op->caller.gid = ctx->gid;
        op->caller.group_count = 0;
        op->slot = op->server->now.slot;
        op->done_before = false;
        vfs_call_begin(&op->call, &op->caller);
        if (type->once)
                mark(op);
}

static int errno_of(enum hif_err err)
{
        switch (err) {
        case HIF_ETIMEDOUT:
        case HIF_EDENIED:
                return EIO; /* of the store: nothing that the program did */
        case HIF_ECANCELED:
                return EINTR;
        default:
                return hif_err_to_errno(err);
        }
}

/* --- those that wait --- */

static void resume_reading(struct fuse_server *server)
{
        if (!server->paused || server->op_count > OPS_MAX / 2 || !ledger_has_room(server->ledger))
                return;
        server->paused = false;
        if (server->reading && loop_change(server->loop, &server->io, EPOLLIN) != HIF_OK)
                server->paused = true; /* tried again with the next answer */
}

static void link_op(struct op *op)
{
        struct fuse_server *server = op->server;

        op->prev = NULL;
        op->next = server->ops;
        if (op->next != NULL)
                op->next->prev = op;
        server->ops = op;
        if ((++server->op_count >= OPS_MAX || !ledger_has_room(server->ledger)) &&
            !server->paused && server->reading)
                server->paused = loop_change(server->loop, &server->io, 0) == HIF_OK;
}

static void unlink_op(struct op *op)
{
        struct fuse_server *server = op->server;

        if (op->prev != NULL)
                op->prev->next = op->next;
        else
                server->ops = op->next;
        if (op->next != NULL)
                op->next->prev = op->prev;
        server->op_count--;
}

static void free_kept(struct op *op)
{
        struct fuse_server *server = op->server;

        unlink_op(op);
        resume_reading(server);
        free(op);
}

static void free_owned(struct op *op)
{
        free(op->gathered);
        free(op->groups);
}

static void finish(struct op *op, enum hif_err err)
{
        if (err == HIF_OK)
                op->type->reply(op);
        else
                fuse_reply_err(op->req, errno_of(err));
        vfs_call_end(&op->call);
        free_owned(op);
        if (!op->waited)
                return;
        ledger_drop(op->server->ledger, op->slot);
        free_kept(op);
}

static struct span copy_to(uint8_t **to, struct span from)
{
        struct span copy = span_of(*to, from.size);

        if (from.size > 0)
                memcpy(*to, from.data, from.size);
        *to += from.size;
        return copy;
}

/* The request gets a place in the ledger where it can wait. */
static bool keep_request(struct op *op)
{
        struct ledger *ledger = op->server->ledger;
        struct ledger_slot *slot = op->slot;

        if (slot == ledger_inbox(ledger))
                slot = ledger_keep(ledger);
        if (slot == NULL)
                return false;
        op->slot = slot;
        op->server->now.kept = true;
        return true;
}

/* A copy that outlives the request's buffer. NULL: out of memory. */
static struct op *keep(struct op *op)
{
        struct op *kept;
        uint8_t *bytes;

        if (op->waited)
                return op;
        kept = malloc(sizeof(*kept) + op->name.size + op->name2.size + op->data.size);
        if (kept == NULL || !keep_request(op)) {
                free(kept);
                return NULL;
        }
        memcpy(kept, op, sizeof(*kept));
        bytes = (uint8_t *)(kept + 1);
        kept->name = copy_to(&bytes, op->name);
        kept->name2 = copy_to(&bytes, op->name2);
        kept->data = copy_to(&bytes, op->data);
        kept->call.caller = &kept->caller;
        if (kept->call.reply != NULL)
                kept->call.reply = &kept->mark;
        kept->waited = true;
        link_op(kept);
        return kept;
}

/* --- interrupts --- */

bool op_is_waiting(const struct fuse_server *server, uint64_t unique)
{
        for (const struct op *op = server->ops; op != NULL; op = op->next)
                if (op->slot->unique == unique)
                        return true;
        return false;
}

/* Is the caller being killed? An answer to any other signal would show programs an EINTR where
 * POSIX has none. */
static bool is_dying(pid_t pid)
{
        char path[64], status[4096];
        const char *pending;
        ssize_t size;
        int fd;

        if (pid <= 0)
                return false;
        snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT;
        size = read(fd, status, sizeof(status) - 1);
        close(fd);
        if (size <= 0)
                return true;
        status[size] = '\0';
        pending = strstr(status, "SigPnd:");
        return pending != NULL && (strtoull(pending + 7, NULL, 16) & 1u << 8) != 0;
}

/* The caller is killed while it waits, and does not want the answer any more. */
static bool give_up_if_dying(struct op *op)
{
        if (op->state != OP_PARKED || !is_dying(fuse_req_ctx(op->req)->pid))
                return false;
        vfs_unpark(op->server->vfs, &op->parked);
        op->state = OP_RUNNING;
        finish(op, HIF_ECANCELED);
        return true;
}

static void watch(struct op *op)
{
        struct fuse_server *server = op->server;

        op->interrupted = true;
        op->slot->flags |= LEDGER_INTERRUPTED;
        if (server->watch.due_ns == 0 && !server->closing && !server->leaving)
                loop_timer_arm(server->loop, &server->watch, WATCH_NS);
}

/* The kernel tells of the first signal only; one that kills may be a later one. */
static void interrupted(fuse_req_t req, void *arg)
{
        struct op *op = arg;

        (void)req;
        if (!give_up_if_dying(op))
                watch(op);
}

void op_watch(struct loop_timer *timer)
{
        struct fuse_server *server =
            (struct fuse_server *)((char *)timer - offsetof(struct fuse_server, watch));
        bool more = false;

        for (struct op *op = server->ops, *next; op != NULL; op = next) {
                next = op->next;
                if (op->interrupted && !give_up_if_dying(op))
                        more = true;
        }
        if (more)
                loop_timer_arm(server->loop, timer, WATCH_NS);
}

/* --- waiting --- */

static void resumed(struct vfs_parked *parked, enum hif_err err)
{
        struct op *op = OP_OF(parked, parked);

        op->state = OP_RUNNING;
        if (err == HIF_OK)
                op_go(op);
        else
                finish(op, err);
}

/* A successor will run it from its start. */
static void leave(struct op *op)
{
        if (!op->waited && !keep_request(op)) {
                finish(op, HIF_ENOMEM);
                return;
        }
        fuse_reply_none(op->req);
        vfs_call_end(&op->call);
        free_owned(op);
        if (op->waited)
                free_kept(op);
}

static void park(struct op *op)
{
        struct op *kept = NULL;

        if (op->server->leaving) {
                leave(op);
                return;
        }
        if (!op->server->closing)
                kept = keep(op);

        if (kept == NULL) {
                finish(op, op->server->closing ? HIF_EIO : HIF_ENOMEM);
                return;
        }
        fuse_req_interrupt_func(kept->req, interrupted, kept);
        if ((kept->slot->flags & LEDGER_INTERRUPTED) != 0)
                watch(kept);
        kept->parked.resume = resumed;
        kept->state = OP_PARKED;
        vfs_park(kept->server->vfs, &kept->call, &kept->parked);
}

static void is_stable(struct vfs_stable *stable, enum hif_err err)
{
        struct op *op = OP_OF(stable, stable);

        op->state = OP_RUNNING;
        finish(op, err);
}

static void wait_stable(struct op *op)
{
        struct overlay *overlay = vfs_overlay(op->server->vfs);
        struct op *kept;

        if (op->server->leaving) {
                leave(op);
                return;
        }
        if (op->server->closing) {
                finish(op, overlay_sync_wait(overlay, op->call.stable_seq));
                return;
        }
        kept = keep(op);
        if (kept == NULL) {
                finish(op, HIF_EIO); /* done, but nobody can say that it is stable */
                return;
        }
        kept->state = OP_STABILISING;
        kept->stable.done = is_stable;
        kept->stable.seq = kept->call.stable_seq;
        vfs_when_stable(kept->server->vfs, &kept->stable);
}

_Static_assert(sizeof(gid_t) == sizeof(uint32_t), "groups of the system are groups of the vfs");

/* The caller's supplementary groups cost a look into /proc: only when they might matter. HIF_ENOENT:
 * there are none, or they are known already. */
static enum hif_err add_groups(struct op *op)
{
        int count, read;

        if (op->caller.uid == 0 || op->groups != NULL)
                return HIF_ENOENT;
        count = fuse_req_getgroups(op->req, 0, NULL);
        if (count <= 0)
                return HIF_ENOENT;
        op->groups = malloc((size_t)count * sizeof(*op->groups));
        if (op->groups == NULL)
                return HIF_ENOMEM;
        read = fuse_req_getgroups(op->req, count, op->groups);
        if (read <= 0)
                return HIF_ENOENT;
        op->caller.groups = op->groups;
        op->caller.group_count = (uint32_t)(read < count ? read : count); /* some may come or go */
        return HIF_OK;
}

/* It was done, and what is left is to tell what it made, once that is stable. */
static enum hif_err tell_again(struct op *op)
{
        enum hif_err err = HIF_OK;

        if (op->mark.node != NODEID_NONE)
                err = vfs_getattr(op->server->vfs, &op->call, op->mark.node, &op->attr);
        if (err == HIF_OK)
                op->call.stable_seq = overlay_seq(vfs_overlay(op->server->vfs));
        return err;
}

void op_go(struct op *op)
{
        enum hif_err err = op->done_before ? tell_again(op) : op->type->run(op);

        if (err == HIF_EACCES || err == HIF_EPERM) {
                enum hif_err groups = add_groups(op);

                if (groups == HIF_OK)
                        err = op->type->run(op);
                else if (groups != HIF_ENOENT)
                        err = groups;
        }
        if (err == HIF_EMISS)
                park(op);
        else if (err == HIF_OK &&
                 op->call.stable_seq > overlay_durable(vfs_overlay(op->server->vfs)))
                wait_stable(op);
        else
                finish(op, err);
}

void op_finish_all(struct fuse_server *server)
{
        while (server->ops != NULL) {
                struct op *op = server->ops;

                if (op->state == OP_PARKED) {
                        vfs_unpark(server->vfs, &op->parked);
                        finish(op, HIF_EIO);
                } else {
                        assert(op->state == OP_STABILISING);
                        vfs_stable_cancel(server->vfs, &op->stable);
                        finish(op,
                               overlay_sync_wait(vfs_overlay(server->vfs), op->call.stable_seq));
                }
        }
}

void op_leave_all(struct fuse_server *server)
{
        while (server->ops != NULL) {
                struct op *op = server->ops;

                if (op->state == OP_PARKED)
                        vfs_unpark(server->vfs, &op->parked);
                else
                        vfs_stable_cancel(server->vfs, &op->stable);
                leave(op);
        }
}

/* --- open files --- */

enum hif_err op_hold(struct op *op, uint64_t id)
{
        struct fuse_server *server = op->server;
        bool first;
        enum hif_err err;

        if ((op->slot->flags & LEDGER_OPENED) != 0)
                return HIF_OK; /* by a predecessor, for this very request */
        err = ledger_opened(server->ledger, id, &first);
        if (err != HIF_OK)
                return err;
        if (first && vfs_hold(server->vfs, id) != HIF_OK) {
                (void)ledger_closed(server->ledger, id);
                return HIF_ENOMEM;
        }
        op->slot->flags |= LEDGER_OPENED;
        return HIF_OK;
}

void server_release(struct fuse_server *server, uint64_t id)
{
        if (ledger_closed(server->ledger, id))
                vfs_release(server->vfs, id);
}

/* --- replies --- */

static mode_t type_of(enum onode_kind kind)
{
        switch (kind) {
        case ONODE_FILE:
                return S_IFREG;
        case ONODE_DIR:
                return S_IFDIR;
        case ONODE_SYMLINK:
                return S_IFLNK;
        case ONODE_FIFO:
                return S_IFIFO;
        case ONODE_SOCKET:
                return S_IFSOCK;
        case ONODE_BLOCK:
                return S_IFBLK;
        case ONODE_CHAR:
                return S_IFCHR;
        }
        assert(false && "a node has a kind");
        return 0;
}

static struct timespec timespec_of(struct hif_time time)
{
        return (struct timespec){.tv_sec = time.sec, .tv_nsec = (long)time.nsec};
}

void stat_of(const struct vfs_attr *attr, struct stat *out)
{
        *out = (struct stat){
            .st_ino = attr->id,
            .st_mode = type_of(attr->kind) | attr->mode,
            .st_nlink = attr->nlink,
            .st_uid = attr->uid,
            .st_gid = attr->gid,
            .st_rdev = makedev((unsigned)(attr->device >> 32), (unsigned)attr->device),
            .st_size = (off_t)attr->size,
            .st_blksize = 4096,
            .st_blocks = (blkcnt_t)(attr->used / 512),
            .st_atim = timespec_of(attr->atime),
            .st_mtim = timespec_of(attr->mtime),
            .st_ctim = timespec_of(attr->ctime),
        };
}

struct fuse_entry_param entry_of(const struct vfs_attr *attr)
{
        struct fuse_entry_param entry = {
            .ino = attr->id, .attr_timeout = CACHE_FOR_S, .entry_timeout = CACHE_FOR_S};

        stat_of(attr, &entry.attr);
        return entry;
}

void reply_entry(struct op *op)
{
        struct fuse_entry_param entry = entry_of(&op->attr);

        fuse_reply_entry(op->req, &entry);
}

void reply_attr(struct op *op)
{
        struct stat attr;

        stat_of(&op->attr, &attr);
        fuse_reply_attr(op->req, &attr, CACHE_FOR_S);
}

void reply_done(struct op *op)
{
        fuse_reply_err(op->req, 0);
}
