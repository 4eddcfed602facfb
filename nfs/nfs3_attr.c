/* nfs3_attr.c - attributes, handles and the other pieces that arguments and results share. */
#include "nfs/nfs3.h"

#define NSEC_PER_SEC 1000000000u

static const uint8_t types[] = {
    [ONODE_FILE] = NF3REG,  [ONODE_DIR] = NF3DIR,     [ONODE_SYMLINK] = NF3LNK,
    [ONODE_FIFO] = NF3FIFO, [ONODE_SOCKET] = NF3SOCK, [ONODE_BLOCK] = NF3BLK,
    [ONODE_CHAR] = NF3CHR,
};

/* nfstime3 has 32 bits of seconds, unsigned: what lies outside is shown as the nearest. */
static uint8_t *put_time(uint8_t *at, struct hif_time time)
{
        if (time.sec < 0)
                return xdr_put_u64(at, 0);
        if (time.sec > UINT32_MAX)
                return xdr_put_u64(at, (uint64_t)UINT32_MAX << 32);
        return xdr_put_u64(at, (uint64_t)time.sec << 32 | time.nsec);
}

/*  0 type u32 | 4 mode u32 | 8 nlink u32 | 12 uid u32 | 16 gid u32 | 20 size u64 | 28 used u64
 * 36 rdev 2 x u32 | 44 fsid u64 | 52 fileid u64 | 60 atime | 68 mtime | 76 ctime */
uint8_t *nfs3_put_fattr(const struct nfs3_context *context, uint8_t *at,
                        const struct vfs_attr *attr)
{
        at = xdr_put_u32(at, types[attr->kind]);
        at = xdr_put_u32(at, attr->mode & 07777u);
        at = xdr_put_u32(at, attr->nlink);
        at = xdr_put_u32(at, attr->uid);
        at = xdr_put_u32(at, attr->gid);
        at = xdr_put_u64(at, attr->size);
        at = xdr_put_u64(at, attr->used);
        at = xdr_put_u64(at, attr->device);
        at = xdr_put_u64(at, context->seal.workspace);
        at = xdr_put_u64(at, attr->id);
        at = put_time(at, attr->atime);
        at = put_time(at, attr->mtime);
        return put_time(at, attr->ctime);
}

uint8_t *nfs3_put_post_op(const struct nfs3_context *context, uint8_t *at,
                          const struct vfs_attr *attr)
{
        if (attr->id == NODEID_NONE)
                return xdr_put_u32(at, 0);
        at = xdr_put_u32(at, 1);
        return nfs3_put_fattr(context, at, attr);
}

/* pre_op_attr: bool, then size u64, mtime, ctime; then post_op_attr. */
uint8_t *nfs3_put_wcc(const struct nfs3_context *context, uint8_t *at, const struct vfs_wcc *wcc)
{
        if (!wcc->have)
                return xdr_put_u64(at, 0);
        at = xdr_put_u32(at, 1);
        at = xdr_put_u64(at, wcc->size_before);
        at = put_time(at, wcc->mtime_before);
        at = put_time(at, wcc->ctime_before);
        return nfs3_put_post_op(context, at, &wcc->after);
}

uint8_t *nfs3_put_post_op_fh(const struct nfs3_context *context, uint8_t *at, uint64_t id)
{
        at = xdr_put_u32(at, 1);
        at = xdr_put_u32(at, HANDLE_SIZE);
        handle_put(&context->seal, id, at);
        return at + HANDLE_SIZE;
}

enum hif_err nfs3_get_handle(struct nfs3_op *op, uint64_t *id)
{
        struct span handle = xdr_opaque(&op->args, NFS3_HANDLE_MAX);

        *id = NODEID_NONE;
        return op->args.bad ? HIF_EBADHANDLE : handle_get(&op->context->seal, handle, id);
}

/* set_atime and set_mtime: 0 = leave, 1 = the server's time, 2 = this time. */
static enum hif_err get_time(struct xdr *args, struct vfs_setattr *set, enum vfs_set now,
                             enum vfs_set given, struct hif_time *time)
{
        switch (xdr_enum(args, 2)) {
        case 1:
                set->set |= now;
                return HIF_OK;
        case 2:
                set->set |= given;
                time->sec = xdr_u32(args);
                time->nsec = xdr_u32(args);
                return time->nsec < NSEC_PER_SEC ? HIF_OK : HIF_EINVAL;
        default:
                return HIF_OK;
        }
}

enum hif_err nfs3_get_sattr(struct nfs3_op *op, struct vfs_setattr *set)
{
        struct xdr *args = &op->args;
        enum hif_err atime_err, mtime_err;

        *set = (struct vfs_setattr){0};
        if (xdr_bool(args)) {
                set->set |= VFS_SET_MODE;
                set->mode = (uint16_t)(xdr_u32(args) & 07777u);
        }
        if (xdr_bool(args)) {
                set->set |= VFS_SET_UID;
                set->uid = xdr_u32(args);
        }
        if (xdr_bool(args)) {
                set->set |= VFS_SET_GID;
                set->gid = xdr_u32(args);
        }
        if (xdr_bool(args)) {
                set->set |= VFS_SET_SIZE;
                set->size = xdr_u64(args);
        }
        atime_err = get_time(args, set, VFS_SET_ATIME_NOW, VFS_SET_ATIME, &set->atime);
        mtime_err = get_time(args, set, VFS_SET_MTIME_NOW, VFS_SET_MTIME, &set->mtime);
        return atime_err != HIF_OK ? atime_err : mtime_err;
}

bool nfs3_room(struct nfs3_op *op, size_t size)
{
        uint8_t *room = out_reserve(op->out, RPC_REPLY_SIZE + size);

        if (room == NULL)
                return false;
        op->at = room + RPC_REPLY_SIZE;
        return true;
}
