/* nfs3.h - NFS version 3 and MOUNT version 3 (RFC 1813): numbers, and one procedure's execution.
 *
 * A procedure decodes its arguments, calls vfs, and encodes its results; it decides nothing about
 * file systems. It answers in one go or not at all: on HIF_EMISS it leaves no trace, and is run
 * again from its start when what it lacks is there. */
#ifndef HIF_NFS_NFS3_H
#define HIF_NFS_NFS3_H

#include "nfs/handle.h"
#include "nfs/out.h"
#include "nfs/rpc.h"
#include "nfs/server.h"
#include "nfs/xdr.h"

#define NFS_PROGRAM   100003u
#define MOUNT_PROGRAM 100005u
#define NFS_VERSION   3u /* of both */

enum nfs_proc {
        NFS_NULL = 0,
        NFS_GETATTR = 1,
        NFS_SETATTR = 2,
        NFS_LOOKUP = 3,
        NFS_ACCESS = 4,
        NFS_READLINK = 5,
        NFS_READ = 6,
        NFS_WRITE = 7,
        NFS_CREATE = 8,
        NFS_MKDIR = 9,
        NFS_SYMLINK = 10,
        NFS_MKNOD = 11,
        NFS_REMOVE = 12,
        NFS_RMDIR = 13,
        NFS_RENAME = 14,
        NFS_LINK = 15,
        NFS_READDIR = 16,
        NFS_READDIRPLUS = 17,
        NFS_FSSTAT = 18,
        NFS_FSINFO = 19,
        NFS_PATHCONF = 20,
        NFS_COMMIT = 21,
};
#define NFS_PROC_COUNT 22u

enum nfsstat3 {
        NFS3_OK = 0,
        NFS3ERR_PERM = 1,
        NFS3ERR_NOENT = 2,
        NFS3ERR_IO = 5,
        NFS3ERR_NXIO = 6,
        NFS3ERR_ACCES = 13,
        NFS3ERR_EXIST = 17,
        NFS3ERR_XDEV = 18,
        NFS3ERR_NODEV = 19,
        NFS3ERR_NOTDIR = 20,
        NFS3ERR_ISDIR = 21,
        NFS3ERR_INVAL = 22,
        NFS3ERR_FBIG = 27,
        NFS3ERR_NOSPC = 28,
        NFS3ERR_ROFS = 30,
        NFS3ERR_MLINK = 31,
        NFS3ERR_NAMETOOLONG = 63,
        NFS3ERR_NOTEMPTY = 66,
        NFS3ERR_DQUOT = 69,
        NFS3ERR_STALE = 70,
        NFS3ERR_REMOTE = 71,
        NFS3ERR_BADHANDLE = 10001,
        NFS3ERR_NOT_SYNC = 10002,
        NFS3ERR_BAD_COOKIE = 10003,
        NFS3ERR_NOTSUPP = 10004,
        NFS3ERR_TOOSMALL = 10005,
        NFS3ERR_SERVERFAULT = 10006,
        NFS3ERR_BADTYPE = 10007,
        NFS3ERR_JUKEBOX = 10008,
};

enum ftype3 {
        NF3REG = 1,
        NF3DIR = 2,
        NF3BLK = 3,
        NF3CHR = 4,
        NF3LNK = 5,
        NF3SOCK = 6,
        NF3FIFO = 7,
};

enum stable_how { NFS_UNSTABLE = 0, NFS_DATA_SYNC = 1, NFS_FILE_SYNC = 2 };

/* What a failure is to the client. HIF_EMISS must not get here (asserted). */
enum nfsstat3 nfs3_status(enum hif_err err);

/* --- one execution --- */

/* What all procedures of a server share. */
struct nfs3_context {
        struct vfs *vfs;
        struct handle_seal seal;
        char export_path[NFS_EXPORT_MAX];
};

struct nfs3_op {
        const struct nfs3_context *context;
        struct vfs *vfs; /* the context's */
        struct vfs_call *call;
        struct xdr args;
        struct out *out;
        /* Results go here; room for NFS3_RESULT_MAX bytes from the start. A procedure with longer
         * ones calls nfs3_room before it stores anything. */
        uint8_t *at;
        enum nfsstat3 status;
        struct out_data data; /* READ: content behind the results at `at` */
        bool unstable;        /* the answer need not wait for the disk */
};

enum nfs3_done {
        NFS3_ANSWER,  /* results are stored, op->at is behind them, op->status says which */
        NFS3_FAULT,   /* HIF_EMISS: park op->call */
        NFS3_GARBAGE, /* the arguments do not decode */
        NFS3_NOMEM,
};

typedef enum nfs3_done (*nfs3_procedure)(struct nfs3_op *op);

/* The longest fixed results: CREATE's and RENAME's are the largest, with some to spare. */
#define NFS3_RESULT_MAX 384u

/* By number. */
extern const nfs3_procedure nfs3_procedures[NFS_PROC_COUNT];
extern const nfs3_procedure mount3_procedures[6];
#define MOUNT_PROC_COUNT 6u

/* Must this not run twice? Such replies are kept in the duplicate-request cache. */
bool nfs3_non_idempotent(uint32_t proc);
/* Does it only read? Then it must not keep those that write out of the queue. */
bool nfs3_reads(uint32_t proc);

/* Store a failure without attributes, which every procedure but NULL has a form for. Clears what
 * was stored before. At most 20 bytes. */
uint8_t *nfs3_put_failure(uint8_t *at, uint32_t proc, enum nfsstat3 status);

/* Answer a request that has been carried out before, from the state as it is now (RFC 1813 §4.5):
 * its reply was lost in a restart. */
enum nfs3_done nfs3_answer_again(struct nfs3_op *op, uint32_t proc, uint64_t node);

/* --- pieces of arguments and results (nfs3_attr.c) --- */

#define FATTR3_SIZE      84u
#define POST_OP_ATTR_MAX (4u + FATTR3_SIZE)
#define WCC_DATA_MAX     (4u + 24u + POST_OP_ATTR_MAX)
#define POST_OP_FH3_SIZE (8u + HANDLE_SIZE)
#define NFS3_HANDLE_MAX  64u
#define NFS3_STATUS_SIZE 4u

uint8_t *nfs3_put_fattr(const struct nfs3_context *context, uint8_t *at,
                        const struct vfs_attr *attr);
/* attr->id NODEID_NONE: not known. */
uint8_t *nfs3_put_post_op(const struct nfs3_context *context, uint8_t *at,
                          const struct vfs_attr *attr);
uint8_t *nfs3_put_wcc(const struct nfs3_context *context, uint8_t *at, const struct vfs_wcc *wcc);
uint8_t *nfs3_put_post_op_fh(const struct nfs3_context *context, uint8_t *at, uint64_t id);

/* The handle that comes next in the arguments. A garbled one is only an error of the procedure, not
 * of XDR: HIF_EBADHANDLE. */
HIF_MUST_USE enum hif_err nfs3_get_handle(struct nfs3_op *op, uint64_t *id);
/* HIF_EINVAL: a time with 10^9 nanoseconds or more. */
HIF_MUST_USE enum hif_err nfs3_get_sattr(struct nfs3_op *op, struct vfs_setattr *set);

/* More room for the results. False: out of memory. Nothing was stored yet. */
bool nfs3_room(struct nfs3_op *op, size_t size);

/* What the procedures end with: a fault, or the status as the first word of the results. */
static inline enum nfs3_done nfs3_begin(struct nfs3_op *op, enum hif_err err)
{
        if (err == HIF_EMISS)
                return NFS3_FAULT;
        op->status = err == HIF_OK ? NFS3_OK : nfs3_status(err);
        op->at = xdr_put_u32(op->at, (uint32_t)op->status);
        return NFS3_ANSWER;
}

/* --- the procedures, by file --- */

enum nfs3_done nfs3_getattr(struct nfs3_op *op);
enum nfs3_done nfs3_lookup(struct nfs3_op *op);
enum nfs3_done nfs3_access(struct nfs3_op *op);
enum nfs3_done nfs3_readlink(struct nfs3_op *op);
enum nfs3_done nfs3_read(struct nfs3_op *op);
enum nfs3_done nfs3_fsstat(struct nfs3_op *op);
enum nfs3_done nfs3_fsinfo(struct nfs3_op *op);
enum nfs3_done nfs3_pathconf(struct nfs3_op *op);
enum nfs3_done nfs3_readdir(struct nfs3_op *op);
enum nfs3_done nfs3_readdirplus(struct nfs3_op *op);
enum nfs3_done nfs3_setattr(struct nfs3_op *op);
enum nfs3_done nfs3_write(struct nfs3_op *op);
enum nfs3_done nfs3_commit(struct nfs3_op *op);
enum nfs3_done nfs3_create(struct nfs3_op *op);
enum nfs3_done nfs3_mkdir(struct nfs3_op *op);
enum nfs3_done nfs3_symlink(struct nfs3_op *op);
enum nfs3_done nfs3_mknod(struct nfs3_op *op);
enum nfs3_done nfs3_remove(struct nfs3_op *op);
enum nfs3_done nfs3_rmdir(struct nfs3_op *op);
enum nfs3_done nfs3_rename(struct nfs3_op *op);
enum nfs3_done nfs3_link(struct nfs3_op *op);

#endif
