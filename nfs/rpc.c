#include "nfs/rpc.h"

#define LAST_FRAGMENT 0x80000000u
#define RPC_CALL      0u
#define RPC_REPLY     1u
#define RPC_VERSION   2u
#define MSG_ACCEPTED  0u
#define MSG_DENIED    1u
#define RPC_MISMATCH  0u
#define AUTH_ERROR    1u
#define MACHINE_MAX   255u /* RFC 5531 appendix A: machinename<255> */
#define NOBODY        65534u

/* Drop the marks between the fragments, so that the record's bytes lie together behind the first
 * mark. */
static void join_fragments(uint8_t *bytes, size_t stream)
{
        size_t from = 0, to = RPC_MARK_SIZE;

        while (from < stream) {
                size_t size = be32_get(bytes + from) & ~LAST_FRAGMENT;

                memmove(bytes + to, bytes + from + RPC_MARK_SIZE, size);
                from += RPC_MARK_SIZE + size;
                to += size;
        }
}

enum rpc_scan rpc_record_scan(uint8_t *bytes, size_t size, struct rpc_record *out)
{
        size_t at = 0, total = 0;
        unsigned fragments = 0;
        bool last = false;

        while (!last) {
                uint32_t mark, fragment;

                if (size - at < RPC_MARK_SIZE) {
                        out->stream_min = at + RPC_MARK_SIZE;
                        return RPC_INCOMPLETE;
                }
                mark = be32_get(bytes + at);
                last = (mark & LAST_FRAGMENT) != 0;
                fragment = mark & ~LAST_FRAGMENT;
                if (fragment > RPC_RECORD_MAX - total || ++fragments > RPC_FRAGMENTS_MAX)
                        return RPC_BROKEN;
                total += fragment;
                if (last && total < RPC_CALL_SIZE_MIN)
                        return RPC_BROKEN;
                at += RPC_MARK_SIZE + fragment;
                if (at > size) {
                        out->stream_min = at;
                        return RPC_INCOMPLETE;
                }
        }
        if (fragments > 1)
                join_fragments(bytes, at);
        out->call = span_of(bytes + RPC_MARK_SIZE, total);
        out->stream = at;
        return RPC_RECORD;
}

/* authsys_parms: stamp u32, machinename string<255>, uid u32, gid u32, gids u32<16>. */
static bool parse_auth_sys(struct span body, struct rpc_call *out)
{
        struct xdr xdr = xdr_open(body);
        uint32_t count;

        xdr_u32(&xdr);
        xdr_opaque(&xdr, MACHINE_MAX);
        out->caller.uid = xdr_u32(&xdr);
        out->caller.gid = xdr_u32(&xdr);
        count = xdr_enum(&xdr, RPC_GROUPS_MAX);
        for (uint32_t i = 0; i < count; i++)
                out->groups[i] = xdr_u32(&xdr);
        out->caller.group_count = count;
        return !xdr.bad && xdr_left(&xdr) == 0;
}

enum rpc_parse rpc_call_parse(struct span record, struct rpc_call *out)
{
        struct xdr xdr = xdr_open(record);
        const uint8_t *head = xdr_take(&xdr, 24);
        struct span cred;
        uint32_t flavor;

        if (head == NULL || be32_get(head + 4) != RPC_CALL)
                return RPC_NO_CALL;
        out->xid = be32_get(head);
        if (be32_get(head + 8) != RPC_VERSION)
                return RPC_BAD_VERSION;
        out->prog = be32_get(head + 12);
        out->vers = be32_get(head + 16);
        out->proc = be32_get(head + 20);
        flavor = xdr_u32(&xdr);
        cred = xdr_opaque(&xdr, RPC_AUTH_MAX);
        xdr_u32(&xdr);
        xdr_opaque(&xdr, RPC_AUTH_MAX);
        if (xdr.bad)
                return RPC_BAD_CRED;
        out->args = span_of(xdr.next, xdr_left(&xdr));
        out->caller.groups = out->groups;
        switch (flavor) {
        case RPC_AUTH_NONE:
                out->flavor = RPC_AUTH_NONE;
                out->caller.uid = out->caller.gid = NOBODY;
                out->caller.group_count = 0;
                return cred.size == 0 ? RPC_PARSED : RPC_BAD_CRED;
        case RPC_AUTH_SYS:
                out->flavor = RPC_AUTH_SYS;
                return parse_auth_sys(cred, out) ? RPC_PARSED : RPC_BAD_CRED;
        default:
                return RPC_REFUSED_CRED;
        }
}

/* mark, xid, REPLY, MSG_ACCEPTED, verf AUTH_NONE<0>, accept_stat. `rest` bytes follow. */
static uint8_t *accepted(uint8_t *at, uint32_t xid, enum rpc_accept stat, size_t rest)
{
        at = xdr_put_u32(at, LAST_FRAGMENT | (uint32_t)(RPC_REPLY_SIZE - RPC_MARK_SIZE + rest));
        at = xdr_put_u32(at, xid);
        at = xdr_put_u32(at, RPC_REPLY);
        at = xdr_put_u32(at, MSG_ACCEPTED);
        at = xdr_put_u64(at, 0);
        return xdr_put_u32(at, (uint32_t)stat);
}

uint8_t *rpc_reply_success(uint8_t *at, uint32_t xid, size_t size)
{
        return accepted(at, xid, RPC_SUCCESS, size);
}

uint8_t *rpc_reply_error(uint8_t *at, uint32_t xid, enum rpc_accept stat)
{
        return accepted(at, xid, stat, 0);
}

uint8_t *rpc_reply_prog_mismatch(uint8_t *at, uint32_t xid, uint32_t low, uint32_t high)
{
        at = accepted(at, xid, RPC_PROG_MISMATCH, 8);
        at = xdr_put_u32(at, low);
        return xdr_put_u32(at, high);
}

/* mark, xid, REPLY, MSG_DENIED, reject_stat, and `count` words. */
static uint8_t *denied(uint8_t *at, uint32_t xid, uint32_t stat, uint32_t words)
{
        at = xdr_put_u32(at, LAST_FRAGMENT | (16 + words * 4));
        at = xdr_put_u32(at, xid);
        at = xdr_put_u32(at, RPC_REPLY);
        at = xdr_put_u32(at, MSG_DENIED);
        return xdr_put_u32(at, stat);
}

uint8_t *rpc_reply_rpc_mismatch(uint8_t *at, uint32_t xid)
{
        at = denied(at, xid, RPC_MISMATCH, 2);
        at = xdr_put_u32(at, RPC_VERSION);
        return xdr_put_u32(at, RPC_VERSION);
}

uint8_t *rpc_reply_auth_error(uint8_t *at, uint32_t xid, enum rpc_auth_stat stat)
{
        at = denied(at, xid, AUTH_ERROR, 1);
        return xdr_put_u32(at, (uint32_t)stat);
}
