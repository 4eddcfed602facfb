/* mount3.c - MOUNT version 3 (RFC 1813 §5): how the secret export path becomes the root's handle.
 *
 * The path is the key to the workspace. So no answer tells anything about it: EXPORT and DUMP show
 * empty lists, and every wrong path is refused in the same way and time. */
#include "nfs/nfs3.h"
#include "nfs/rpc.h"

#define MNT3_OK        0u
#define MNT3ERR_ACCES  13u
#define MOUNT_PATH_MAX 1024u /* MNTPATHLEN */

static bool path_matches(const struct nfs3_context *context, struct span path)
{
        size_t size = strlen(context->export_path);
        unsigned wrong = path.size == size ? 0 : 1;

        for (size_t i = 0; i < size; i++)
                wrong |= (unsigned)(context->export_path[i] ^
                                    (path.size > 0 ? path.data[i % path.size] : 0));
        return wrong == 0;
}

static enum nfs3_done nothing(struct nfs3_op *op)
{
        (void)op;
        return NFS3_ANSWER;
}

static enum nfs3_done empty_list(struct nfs3_op *op)
{
        op->at = xdr_put_u32(op->at, 0);
        return NFS3_ANSWER;
}

static enum nfs3_done mnt(struct nfs3_op *op)
{
        struct span path = xdr_opaque(&op->args, MOUNT_PATH_MAX);

        if (op->args.bad)
                return NFS3_GARBAGE;
        if (!path_matches(op->context, path)) {
                op->status = NFS3ERR_ACCES;
                op->at = xdr_put_u32(op->at, MNT3ERR_ACCES);
                return NFS3_ANSWER;
        }
        op->at = xdr_put_u32(op->at, MNT3_OK);
        op->at = xdr_put_u32(op->at, HANDLE_SIZE);
        handle_put(&op->context->seal, NODEID_ROOT, op->at);
        op->at = xdr_put_u32(op->at + HANDLE_SIZE, 1); /* flavors */
        op->at = xdr_put_u32(op->at, RPC_AUTH_SYS);
        return NFS3_ANSWER;
}

static enum nfs3_done umnt(struct nfs3_op *op)
{
        xdr_opaque(&op->args, MOUNT_PATH_MAX);
        return op->args.bad ? NFS3_GARBAGE : NFS3_ANSWER;
}

const nfs3_procedure mount3_procedures[MOUNT_PROC_COUNT] = {
    nothing, mnt, empty_list, umnt, nothing /* UMNTALL */, empty_list,
};
