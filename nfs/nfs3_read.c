/* nfs3_read.c - GETATTR, LOOKUP, ACCESS, READLINK, READ, FSSTAT, FSINFO, PATHCONF. */
#include "nfs/nfs3.h"

#define COPY_MAX       4096u /* content up to this size is cheaper copied than named by pointer */
#define READ_HEAD_SIZE (NFS3_STATUS_SIZE + POST_OP_ATTR_MAX + 12u)
#define LINK_MAX       65000u
#define NAME_MAX_BYTES 255u
#define DIRECTORY_PREF (64u << 10)

/* RFC 1813 §3.3.19 */
#define FSF3_LINK        0x01u
#define FSF3_SYMLINK     0x02u
#define FSF3_HOMOGENEOUS 0x08u
#define FSF3_CANSETTIME  0x10u

enum nfs3_done nfs3_getattr(struct nfs3_op *op)
{
        struct vfs_attr attr;
        enum nfs3_done done;
        uint64_t id;
        enum hif_err err = nfs3_get_handle(op, &id);

        if (op->args.bad)
                return NFS3_GARBAGE;
        if (err == HIF_OK)
                err = vfs_getattr(op->vfs, op->call, id, &attr);
        done = nfs3_begin(op, err);
        if (done == NFS3_ANSWER && err == HIF_OK)
                op->at = nfs3_put_fattr(op->context, op->at, &attr);
        return done;
}

enum nfs3_done nfs3_lookup(struct nfs3_op *op)
{
        struct vfs_attr attr, dir_attr;
        enum nfs3_done done;
        struct span name;
        uint64_t dir;
        enum hif_err err = nfs3_get_handle(op, &dir);

        name = xdr_opaque(&op->args, SIZE_MAX);
        if (op->args.bad)
                return NFS3_GARBAGE;
        dir_attr.id = NODEID_NONE;
        if (err == HIF_OK)
                err = vfs_lookup(op->vfs, op->call, dir, name, &attr, &dir_attr);
        done = nfs3_begin(op, err);
        if (done != NFS3_ANSWER)
                return done;
        if (err == HIF_OK) {
                op->at = xdr_put_u32(op->at, HANDLE_SIZE);
                handle_put(&op->context->seal, attr.id, op->at);
                op->at = nfs3_put_post_op(op->context, op->at + HANDLE_SIZE, &attr);
        }
        op->at = nfs3_put_post_op(op->context, op->at, &dir_attr);
        return done;
}

enum nfs3_done nfs3_access(struct nfs3_op *op)
{
        struct vfs_attr attr;
        enum nfs3_done done;
        uint32_t wanted, granted = 0;
        uint64_t id;
        enum hif_err err = nfs3_get_handle(op, &id);

        wanted = xdr_u32(&op->args);
        if (op->args.bad)
                return NFS3_GARBAGE;
        attr.id = NODEID_NONE;
        if (err == HIF_OK)
                err = vfs_access(op->vfs, op->call, id, wanted, &granted, &attr);
        done = nfs3_begin(op, err);
        if (done != NFS3_ANSWER)
                return done;
        op->at = nfs3_put_post_op(op->context, op->at, &attr);
        if (err == HIF_OK)
                op->at = xdr_put_u32(op->at, granted);
        return done;
}

enum nfs3_done nfs3_readlink(struct nfs3_op *op)
{
        struct vfs_attr attr;
        enum nfs3_done done;
        struct span target;
        uint64_t id;
        enum hif_err err = nfs3_get_handle(op, &id);

        if (op->args.bad)
                return NFS3_GARBAGE;
        attr.id = NODEID_NONE;
        if (err == HIF_OK)
                err = vfs_readlink(op->vfs, op->call, id, &target, &attr);
        if (err == HIF_OK &&
            !nfs3_room(op, NFS3_STATUS_SIZE + POST_OP_ATTR_MAX + 4 + xdr_padded(target.size)))
                return NFS3_NOMEM;
        done = nfs3_begin(op, err);
        if (done != NFS3_ANSWER)
                return done;
        op->at = nfs3_put_post_op(op->context, op->at, &attr);
        if (err == HIF_OK)
                op->at = xdr_put_opaque(op->at, target);
        return done;
}

/* Content goes out by pointer, or, when it is short, right behind the results. */
static void place_content(struct nfs3_op *op, uint8_t *scratch, size_t scratch_size,
                          struct vfs_data *data)
{
        bool borrowed = true;

        for (size_t i = 0; i < data->iov_count; i++) {
                const uint8_t *at = data->iov[i].iov_base;

                if (at >= scratch && at < scratch + scratch_size)
                        borrowed = false;
        }
        if (borrowed && data->size <= COPY_MAX) {
                for (size_t i = 0; i < data->iov_count; i++) {
                        memcpy(op->at, data->iov[i].iov_base, data->iov[i].iov_len);
                        op->at += data->iov[i].iov_len;
                }
                op->at = xdr_put_pad(op->at, data->size);
                return;
        }
        if (data->iov_count == 1 && data->iov[0].iov_base == scratch && op->at == scratch) {
                op->at = xdr_put_pad(scratch + data->size, data->size);
                return;
        }
        op->data = (struct out_data){.count = data->iov_count,
                                     .size = data->size,
                                     .scratch = scratch,
                                     .scratch_size = scratch_size,
                                     .call = op->call};
        memcpy(op->data.iov, data->iov, data->iov_count * sizeof(data->iov[0]));
}

enum nfs3_done nfs3_read(struct nfs3_op *op)
{
        struct vfs_attr attr;
        struct vfs_data data;
        enum nfs3_done done;
        uint8_t *scratch;
        uint64_t id, offset;
        uint32_t count;
        enum hif_err err = nfs3_get_handle(op, &id);

        offset = xdr_u64(&op->args);
        count = xdr_u32(&op->args);
        if (op->args.bad)
                return NFS3_GARBAGE;
        if (count > NFS_READ_MAX)
                count = NFS_READ_MAX;
        if (!nfs3_room(op, READ_HEAD_SIZE + xdr_padded(count)))
                return NFS3_NOMEM;
        scratch = op->at + READ_HEAD_SIZE;
        attr.id = NODEID_NONE;
        if (err == HIF_OK)
                err = vfs_read(op->vfs, op->call, id, offset, count, scratch, &data, &attr);
        done = nfs3_begin(op, err);
        if (done != NFS3_ANSWER)
                return done;
        op->at = nfs3_put_post_op(op->context, op->at, &attr);
        if (err != HIF_OK)
                return done;
        op->at = xdr_put_u32(op->at, (uint32_t)data.size);
        op->at = xdr_put_u32(op->at, data.eof);
        op->at = xdr_put_u32(op->at, (uint32_t)data.size);
        place_content(op, scratch, count, &data);
        return done;
}

enum nfs3_done nfs3_fsstat(struct nfs3_op *op)
{
        struct vfs_statfs fs;
        struct vfs_attr attr;
        enum nfs3_done done;
        uint64_t id;
        enum hif_err err = nfs3_get_handle(op, &id);

        if (op->args.bad)
                return NFS3_GARBAGE;
        attr.id = NODEID_NONE;
        if (err == HIF_OK)
                err = vfs_getattr(op->vfs, op->call, id, &attr);
        if (err == HIF_OK)
                err = vfs_statfs(op->vfs, op->call, &fs);
        done = nfs3_begin(op, err);
        if (done != NFS3_ANSWER)
                return done;
        op->at = nfs3_put_post_op(op->context, op->at, &attr);
        if (err != HIF_OK)
                return done;
        op->at = xdr_put_u64(op->at, fs.bytes_total);
        op->at = xdr_put_u64(op->at, fs.bytes_free);
        op->at = xdr_put_u64(op->at, fs.bytes_free);
        op->at = xdr_put_u64(op->at, fs.files_total);
        op->at = xdr_put_u64(op->at, fs.files_free);
        op->at = xdr_put_u64(op->at, fs.files_free);
        op->at = xdr_put_u32(op->at, 0); /* invarsec: may change at any time */
        return done;
}

/* FSINFO and PATHCONF: constants behind a node's attributes. */
static enum nfs3_done begin_constants(struct nfs3_op *op, bool *ok)
{
        struct vfs_attr attr;
        enum nfs3_done done;
        uint64_t id;
        enum hif_err err = nfs3_get_handle(op, &id);

        if (op->args.bad)
                return NFS3_GARBAGE;
        attr.id = NODEID_NONE;
        if (err == HIF_OK)
                err = vfs_getattr(op->vfs, op->call, id, &attr);
        done = nfs3_begin(op, err);
        if (done == NFS3_ANSWER)
                op->at = nfs3_put_post_op(op->context, op->at, &attr);
        *ok = done == NFS3_ANSWER && err == HIF_OK;
        return done;
}

enum nfs3_done nfs3_fsinfo(struct nfs3_op *op)
{
        bool ok = false;
        enum nfs3_done done = begin_constants(op, &ok);

        if (!ok)
                return done;
        op->at = xdr_put_u32(op->at, NFS_READ_MAX);   /* rtmax */
        op->at = xdr_put_u32(op->at, NFS_READ_MAX);   /* rtpref */
        op->at = xdr_put_u32(op->at, 4096);           /* rtmult */
        op->at = xdr_put_u32(op->at, NFS_READ_MAX);   /* wtmax */
        op->at = xdr_put_u32(op->at, NFS_READ_MAX);   /* wtpref */
        op->at = xdr_put_u32(op->at, 4096);           /* wtmult */
        op->at = xdr_put_u32(op->at, DIRECTORY_PREF); /* dtpref */
        op->at = xdr_put_u64(op->at, VFS_SIZE_MAX);   /* maxfilesize */
        op->at = xdr_put_u32(op->at, 0);              /* time_delta: 1 ns */
        op->at = xdr_put_u32(op->at, 1);
        op->at = xdr_put_u32(op->at, FSF3_LINK | FSF3_SYMLINK | FSF3_HOMOGENEOUS | FSF3_CANSETTIME);
        return done;
}

enum nfs3_done nfs3_pathconf(struct nfs3_op *op)
{
        bool ok = false;
        enum nfs3_done done = begin_constants(op, &ok);

        if (!ok)
                return done;
        op->at = xdr_put_u32(op->at, LINK_MAX);
        op->at = xdr_put_u32(op->at, NAME_MAX_BYTES);
        op->at = xdr_put_u32(op->at, 1); /* no_trunc */
        op->at = xdr_put_u32(op->at, 1); /* chown_restricted */
        op->at = xdr_put_u32(op->at, 0); /* case_insensitive */
        op->at = xdr_put_u32(op->at, 1); /* case_preserving */
        return done;
}
