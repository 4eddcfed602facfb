/* rpc.h - ONC RPC version 2 over TCP: record marks, call headers, reply headers (RFC 5531).
 *
 * A record is one call:
 *
 *      xid u32 | CALL=0 u32 | rpcvers=2 u32 | prog u32 | vers u32 | proc u32
 *      | cred: flavor u32, opaque<400> | verf: flavor u32, opaque<400> | arguments
 *
 * It comes in fragments, each behind a mark: u32, top bit = last fragment, the rest = its size. */
#ifndef HIF_NFS_RPC_H
#define HIF_NFS_RPC_H

#include "nfs/xdr.h"
#include "vfs/vfs.h"

#define RPC_RECORD_MAX    ((1u << 20) + (4u << 10)) /* wtmax, and what goes around it */
#define RPC_FRAGMENTS_MAX 64                        /* of one record, empty ones too */
#define RPC_MARK_SIZE     4u
#define RPC_CALL_SIZE_MIN 40u
#define RPC_REPLY_SIZE    (RPC_MARK_SIZE + 24u) /* mark and header of an accepted reply */
#define RPC_AUTH_MAX      400u

enum rpc_flavor { RPC_AUTH_NONE = 0, RPC_AUTH_SYS = 1 };

enum rpc_accept {
        RPC_SUCCESS = 0,
        RPC_PROG_UNAVAIL = 1,
        RPC_PROG_MISMATCH = 2,
        RPC_PROC_UNAVAIL = 3,
        RPC_GARBAGE_ARGS = 4,
        RPC_SYSTEM_ERR = 5,
};

/* RFC 5531 §9 auth_stat. */
enum rpc_auth_stat {
        RPC_AUTH_OK = 0,
        RPC_AUTH_BADCRED = 1,
        RPC_AUTH_REJECTEDCRED = 2,
        RPC_AUTH_TOOWEAK = 5,
};

/* --- records --- */

enum rpc_scan {
        RPC_RECORD,     /* one is complete */
        RPC_INCOMPLETE, /* more bytes are needed */
        RPC_BROKEN,     /* no RPC client sends this: close */
};

struct rpc_record {
        struct span call;  /* RPC_RECORD: its bytes, in place */
        size_t stream;     /* RPC_RECORD: bytes of the stream that it took */
        size_t stream_min; /* RPC_INCOMPLETE: bytes of the stream that are needed at least */
};

/* Look for a record at the start of `bytes`. Fragments are moved together in place. Sizes are
 * checked as soon as their mark is there, so nothing is ever stored for a record that is too
 * long, and other protocols ("GET ", TLS) show by their first four bytes. */
enum rpc_scan rpc_record_scan(uint8_t *bytes, size_t size, struct rpc_record *out);

/* --- calls --- */

#define RPC_GROUPS_MAX 16 /* RFC 5531 appendix A: AUTH_SYS */

struct rpc_call {
        uint32_t xid;
        uint32_t prog, vers, proc;
        enum rpc_flavor flavor;
        struct vfs_caller caller; /* AUTH_SYS; AUTH_NONE: nobody. Borrows `groups` */
        uint32_t groups[RPC_GROUPS_MAX];
        struct span args;
};

enum rpc_parse {
        RPC_PARSED,
        RPC_NO_CALL,      /* not an RPC call at all: close */
        RPC_BAD_VERSION,  /* RPC_MISMATCH; xid is set */
        RPC_BAD_CRED,     /* AUTH_ERROR, AUTH_BADCRED; xid is set */
        RPC_REFUSED_CRED, /* AUTH_ERROR, AUTH_REJECTEDCRED: a flavor that is not served */
};

enum rpc_parse rpc_call_parse(struct span record, struct rpc_call *out);

/* --- replies --- */

/* Each writes mark and header and returns where the results go (or the reply's end). */

/* Accepted, with results of `size` bytes that follow. */
uint8_t *rpc_reply_success(uint8_t *at, uint32_t xid, size_t size);
/* Accepted, and an error: PROG_UNAVAIL, PROC_UNAVAIL, GARBAGE_ARGS, SYSTEM_ERR. */
uint8_t *rpc_reply_error(uint8_t *at, uint32_t xid, enum rpc_accept stat);
uint8_t *rpc_reply_prog_mismatch(uint8_t *at, uint32_t xid, uint32_t low, uint32_t high);
uint8_t *rpc_reply_rpc_mismatch(uint8_t *at, uint32_t xid);
uint8_t *rpc_reply_auth_error(uint8_t *at, uint32_t xid, enum rpc_auth_stat stat);
#define RPC_ERROR_SIZE_MAX (RPC_REPLY_SIZE + 8u)

#endif
