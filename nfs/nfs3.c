/* nfs3.c - the procedures by number, and answers that need no procedure. */
#include "nfs/nfs3.h"

static enum nfs3_done null(struct nfs3_op *op)
{
        (void)op;
        return NFS3_ANSWER;
}

const nfs3_procedure nfs3_procedures[NFS_PROC_COUNT] = {
    [NFS_NULL] = null,          [NFS_GETATTR] = nfs3_getattr, [NFS_SETATTR] = nfs3_setattr,
    [NFS_LOOKUP] = nfs3_lookup, [NFS_ACCESS] = nfs3_access,   [NFS_READLINK] = nfs3_readlink,
    [NFS_READ] = nfs3_read,     [NFS_WRITE] = nfs3_write,     [NFS_CREATE] = nfs3_create,
    [NFS_MKDIR] = nfs3_mkdir,   [NFS_SYMLINK] = nfs3_symlink, [NFS_MKNOD] = nfs3_mknod,
    [NFS_REMOVE] = nfs3_remove, [NFS_RMDIR] = nfs3_rmdir,     [NFS_RENAME] = nfs3_rename,
    [NFS_LINK] = nfs3_link,     [NFS_READDIR] = nfs3_readdir, [NFS_READDIRPLUS] = nfs3_readdirplus,
    [NFS_FSSTAT] = nfs3_fsstat, [NFS_FSINFO] = nfs3_fsinfo,   [NFS_PATHCONF] = nfs3_pathconf,
    [NFS_COMMIT] = nfs3_commit,
};

bool nfs3_non_idempotent(uint32_t proc)
{
        const uint32_t procs = 1u << NFS_SETATTR | 1u << NFS_CREATE | 1u << NFS_MKDIR |
                               1u << NFS_SYMLINK | 1u << NFS_MKNOD | 1u << NFS_REMOVE |
                               1u << NFS_RMDIR | 1u << NFS_RENAME | 1u << NFS_LINK;

        return (procs >> proc & 1) != 0;
}

bool nfs3_reads(uint32_t proc)
{
        return !nfs3_non_idempotent(proc) && proc != NFS_WRITE && proc != NFS_COMMIT;
}

uint8_t *nfs3_put_failure(uint8_t *at, uint32_t proc, enum nfsstat3 status)
{
        /* "attributes follow: no", so many times */
        static const uint8_t absent[NFS_PROC_COUNT] = {
            [NFS_SETATTR] = 2, [NFS_LOOKUP] = 1, [NFS_ACCESS] = 1,   [NFS_READLINK] = 1,
            [NFS_READ] = 1,    [NFS_WRITE] = 2,  [NFS_CREATE] = 2,   [NFS_MKDIR] = 2,
            [NFS_SYMLINK] = 2, [NFS_MKNOD] = 2,  [NFS_REMOVE] = 2,   [NFS_RMDIR] = 2,
            [NFS_RENAME] = 4,  [NFS_LINK] = 3,   [NFS_READDIR] = 1,  [NFS_READDIRPLUS] = 1,
            [NFS_FSSTAT] = 1,  [NFS_FSINFO] = 1, [NFS_PATHCONF] = 1, [NFS_COMMIT] = 2,
        };

        at = xdr_put_u32(at, (uint32_t)status);
        for (unsigned i = 0; i < absent[proc]; i++)
                at = xdr_put_u32(at, 0);
        return at;
}

/* --- a request that ran before a restart --- */

/* Attributes as they are now; none when they would have to be fetched. */
static struct vfs_attr attr_now(struct nfs3_op *op, uint64_t id)
{
        struct vfs_attr attr;

        if (vfs_getattr(op->vfs, op->call, id, &attr) != HIF_OK)
                attr.id = NODEID_NONE;
        return attr;
}

/* The node whose handle comes next: what was before the change is not known any more. */
static void put_wcc_now(struct nfs3_op *op, uint64_t id)
{
        struct vfs_attr attr = attr_now(op, id);

        op->at = xdr_put_u32(op->at, 0);
        op->at = nfs3_put_post_op(op->context, op->at, &attr);
}

enum nfs3_done nfs3_answer_again(struct nfs3_op *op, uint32_t proc, uint64_t node)
{
        uint64_t first, second;
        struct vfs_attr attr;
        enum hif_err err = nfs3_get_handle(op, &first);

        if (proc == NFS_RENAME)
                xdr_opaque(&op->args, SIZE_MAX);
        if (err == HIF_OK && (proc == NFS_RENAME || proc == NFS_LINK))
                err = nfs3_get_handle(op, &second);
        if (op->args.bad)
                return NFS3_GARBAGE;
        nfs3_begin(op, err);
        if (err != HIF_OK) {
                op->at = nfs3_put_failure(op->at - NFS3_STATUS_SIZE, proc, op->status);
                return NFS3_ANSWER;
        }
        switch (proc) {
        case NFS_CREATE:
        case NFS_MKDIR:
        case NFS_SYMLINK:
        case NFS_MKNOD:
                attr = attr_now(op, node);
                op->at = nfs3_put_post_op_fh(op->context, op->at, node);
                op->at = nfs3_put_post_op(op->context, op->at, &attr);
                put_wcc_now(op, first);
                break;
        case NFS_LINK:
                attr = attr_now(op, first);
                op->at = nfs3_put_post_op(op->context, op->at, &attr);
                put_wcc_now(op, second);
                break;
        case NFS_RENAME:
                put_wcc_now(op, first);
                put_wcc_now(op, second);
                break;
        default: /* SETATTR, REMOVE, RMDIR */
                put_wcc_now(op, first);
                break;
        }
        return NFS3_ANSWER;
}
