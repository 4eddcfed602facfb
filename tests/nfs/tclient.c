#include "tclient.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define TURNS_MAX 20000 /* that an answer may take, faults included */
#define QUIET_MAX 50    /* turns without any byte, until "no answer" */

void treply_free(struct treply *reply)
{
        buf_free(&reply->bytes);
}

void tclient_open(struct tclient *c, struct tmount *m)
{
        *c = (struct tclient){
            .m = m, .fd = tmount_connect(m), .xid = 1000, .uid = TMOUNT_UID, .gid = TMOUNT_GID};
}

void tclient_close(struct tclient *c)
{
        close(c->fd);
        buf_free(&c->in);
}

void tclient_send_raw(struct tclient *c, const void *data, size_t size)
{
        const uint8_t *at = data;

        while (size > 0) {
                ssize_t sent = send(c->fd, at, size, MSG_NOSIGNAL);

                if (sent < 0 && (errno == EPIPE || errno == ECONNRESET))
                        return;
                tmount_check(sent >= 0 || errno == EAGAIN);
                if (sent < 0) {
                        tmount_turn(c->m);
                        continue;
                }
                at += sent;
                size -= (size_t)sent;
        }
}

void tclient_send(struct tclient *c, struct span record)
{
        AUTO_BUF struct buf out = {0};

        buf_put_u32(&out, 0x80000000u | (uint32_t)record.size);
        buf_put_span(&out, record);
        tclient_send_raw(c, out.data, out.size);
}

uint32_t tclient_header(struct tclient *c, struct buf *out, uint32_t prog, uint32_t proc)
{
        uint32_t xid = ++c->xid;

        buf_put_u32(out, xid);
        buf_put_u32(out, 0);
        buf_put_u32(out, 2);
        buf_put_u32(out, prog);
        buf_put_u32(out, 3);
        buf_put_u32(out, proc);
        buf_put_u32(out, RPC_AUTH_SYS);
        buf_put_u32(out, 4 + 8 + 4 + 4 + 4 + 4);
        buf_put_u32(out, 0x5717);
        put_string(out, "test");
        buf_put_u32(out, c->uid);
        buf_put_u32(out, c->gid);
        buf_put_u32(out, 1);
        buf_put_u32(out, c->gid);
        buf_put_u32(out, 0);
        buf_put_u32(out, 0);
        return xid;
}

/* Whatever has come. False: the server has closed. */
static bool pull(struct tclient *c, bool *some)
{
        uint8_t *room = buf_reserve(&c->in, 1 << 16);
        ssize_t count = recv(c->fd, room, 1 << 16, 0);

        *some = count > 0;
        if (count > 0)
                buf_extend(&c->in, (size_t)count);
        return count > 0 || (count < 0 && errno == EAGAIN);
}

static bool take_record(struct tclient *c, struct treply *out)
{
        uint32_t size;

        if (c->in.size < 4)
                return false;
        size = be32_get(c->in.data) & 0x7fffffffu;
        tmount_check((be32_get(c->in.data) & 0x80000000u) != 0);
        if (c->in.size < 4 + (size_t)size)
                return false;
        buf_put(&out->bytes, c->in.data + 4, size);
        memmove(c->in.data, c->in.data + 4 + size, c->in.size - 4 - size);
        c->in.size -= 4 + size;
        return true;
}

static void parse(struct treply *out)
{
        out->rd = rd_open(buf_span(&out->bytes));
        out->xid = rd_u32(&out->rd);
        tmount_check(rd_u32(&out->rd) == 1);
        out->reply_stat = rd_u32(&out->rd);
        if (out->reply_stat == 0)
                tmount_check(rd_u64(&out->rd) == 0);
        out->stat = rd_u32(&out->rd);
        tmount_check(!rd_bad(&out->rd));
}

void tclient_receive(struct tclient *c, struct treply *out)
{
        bool some, open = true;

        *out = (struct treply){0};
        for (int turns = 0, quiet = 0; turns < TURNS_MAX && quiet < QUIET_MAX; turns++, quiet++) {
                if (take_record(c, out)) {
                        parse(out);
                        return;
                }
                if (!open) {
                        out->closed = true;
                        return;
                }
                tmount_turn(c->m);
                open = pull(c, &some);
                if (some)
                        quiet = 0;
        }
        out->none = true;
}

void tclient_start(struct tclient *c, enum nfs_proc proc, const struct buf *args)
{
        AUTO_BUF struct buf call = {0};

        tclient_header(c, &call, NFS_PROGRAM, (uint32_t)proc);
        buf_put_span(&call, buf_span(args));
        tclient_send(c, buf_span(&call));
}

void tclient_nfs(struct tclient *c, enum nfs_proc proc, const struct buf *args, struct treply *out)
{
        buf_free(&out->bytes);
        tclient_start(c, proc, args);
        tclient_receive(c, out);
        tmount_check(!out->closed && !out->none && out->xid == c->xid);
        tmount_check(out->reply_stat == 0);
        if (proc != NFS_NULL && out->stat == RPC_SUCCESS)
                out->status = rd_u32(&out->rd);
}

/* --- arguments --- */

static struct handle_seal seal(void)
{
        return handle_seal_make((const uint8_t *)"tmount's own key", TMOUNT_WORKSPACE);
}

void put_opaque(struct buf *args, struct span bytes)
{
        buf_put_u32(args, (uint32_t)bytes.size);
        buf_put_span(args, bytes);
        buf_put_zero(args, xdr_padded(bytes.size) - bytes.size);
}

void put_handle(struct buf *args, uint64_t id)
{
        struct handle_seal own = seal();
        uint8_t handle[HANDLE_SIZE];

        handle_put(&own, id, handle);
        put_opaque(args, span_of(handle, sizeof(handle)));
}

void put_string(struct buf *args, const char *text)
{
        put_opaque(args, span_str(text));
}

void put_place(struct buf *args, uint64_t dir, const char *name)
{
        put_handle(args, dir);
        put_string(args, name);
}

void put_sattr(struct buf *args, int mode, int64_t size)
{
        buf_put_u32(args, mode >= 0);
        if (mode >= 0)
                buf_put_u32(args, (uint32_t)mode);
        buf_put_u32(args, 0);
        buf_put_u32(args, 0);
        buf_put_u32(args, size >= 0);
        if (size >= 0)
                buf_put_u64(args, (uint64_t)size);
        buf_put_u32(args, 0);
        buf_put_u32(args, 0);
}

/* --- results --- */

struct tattr get_fattr(struct reader *rd)
{
        struct tattr attr = {.have = true};

        attr.type = rd_u32(rd);
        attr.mode = rd_u32(rd);
        attr.nlink = rd_u32(rd);
        attr.uid = rd_u32(rd);
        attr.gid = rd_u32(rd);
        attr.size = rd_u64(rd);
        attr.used = rd_u64(rd);
        attr.device = rd_u64(rd);
        attr.fsid = rd_u64(rd);
        attr.fileid = rd_u64(rd);
        attr.atime = rd_u64(rd);
        attr.mtime = rd_u64(rd);
        attr.ctime = rd_u64(rd);
        return attr;
}

struct tattr get_post_op(struct reader *rd)
{
        return rd_u32(rd) == 1 ? get_fattr(rd) : (struct tattr){0};
}

struct twcc get_wcc(struct reader *rd)
{
        struct twcc wcc = {0};

        wcc.have_before = rd_u32(rd) == 1;
        if (wcc.have_before) {
                wcc.size = rd_u64(rd);
                wcc.mtime = rd_u64(rd);
                wcc.ctime = rd_u64(rd);
        }
        wcc.after = get_post_op(rd);
        return wcc;
}

struct span get_opaque(struct reader *rd)
{
        uint32_t size = rd_u32(rd);
        struct span bytes = rd_span(rd, size);
        struct span pad = rd_span(rd, xdr_padded(size) - size);

        for (size_t i = 0; i < pad.size; i++)
                tmount_check(pad.data[i] == 0);
        return bytes;
}

uint64_t get_handle(struct reader *rd)
{
        struct handle_seal own = seal();
        uint64_t id;

        return handle_get(&own, get_opaque(rd), &id) == HIF_OK ? id : 0;
}
