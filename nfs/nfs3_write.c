/* nfs3_write.c - the procedures that change something. */
#include "nfs/nfs3.h"

/* --- SETATTR, WRITE, COMMIT --- */

static enum nfs3_done finish_wcc(struct nfs3_op *op, enum hif_err err, const struct vfs_wcc *wcc)
{
        enum nfs3_done done = nfs3_begin(op, err);

        if (done == NFS3_ANSWER)
                op->at = nfs3_put_wcc(op->context, op->at, wcc);
        return done;
}

enum nfs3_done nfs3_setattr(struct nfs3_op *op)
{
        struct vfs_wcc wcc = {.have = false};
        struct hif_time guard = {0};
        struct vfs_setattr set;
        enum hif_err err, set_err;
        bool guarded;
        uint64_t id;

        err = nfs3_get_handle(op, &id);
        set_err = nfs3_get_sattr(op, &set);
        guarded = xdr_bool(&op->args);
        if (guarded) {
                guard.sec = xdr_u32(&op->args);
                guard.nsec = xdr_u32(&op->args);
        }
        if (op->args.bad)
                return NFS3_GARBAGE;
        if (err == HIF_OK)
                err = set_err;
        if (err == HIF_OK)
                err = vfs_setattr(op->vfs, op->call, id, &set, guarded ? &guard : NULL, &wcc);
        return finish_wcc(op, err, &wcc);
}

enum nfs3_done nfs3_write(struct nfs3_op *op)
{
        struct vfs_wcc wcc = {.have = false};
        enum nfs3_done done;
        uint64_t id, offset;
        uint32_t count, stable;
        struct span data;
        enum hif_err err = nfs3_get_handle(op, &id);

        offset = xdr_u64(&op->args);
        count = xdr_u32(&op->args);
        stable = xdr_enum(&op->args, NFS_FILE_SYNC);
        data = xdr_opaque(&op->args, RPC_RECORD_MAX);
        if (op->args.bad || count != data.size)
                return NFS3_GARBAGE;
        if (data.size > NFS_READ_MAX)
                data.size = NFS_READ_MAX;
        op->unstable = stable == NFS_UNSTABLE;
        if (err == HIF_OK)
                err = vfs_write(op->vfs, op->call, id, offset, data, !op->unstable, &wcc);
        done = finish_wcc(op, err, &wcc);
        if (done != NFS3_ANSWER || err != HIF_OK)
                return done;
        op->at = xdr_put_u32(op->at, (uint32_t)data.size);
        op->at = xdr_put_u32(op->at, op->unstable ? NFS_UNSTABLE : NFS_FILE_SYNC);
        op->at = xdr_put_u64(op->at, overlay_verifier(vfs_overlay(op->vfs)));
        return done;
}

enum nfs3_done nfs3_commit(struct nfs3_op *op)
{
        struct vfs_wcc wcc = {.have = false};
        enum nfs3_done done;
        uint64_t id;
        enum hif_err err = nfs3_get_handle(op, &id);

        xdr_u64(&op->args); /* offset and count: the whole prefix is committed */
        xdr_u32(&op->args);
        if (op->args.bad)
                return NFS3_GARBAGE;
        if (err == HIF_OK)
                err = vfs_commit(op->vfs, op->call, id, &wcc);
        done = finish_wcc(op, err, &wcc);
        if (done == NFS3_ANSWER && err == HIF_OK)
                op->at = xdr_put_u64(op->at, overlay_verifier(vfs_overlay(op->vfs)));
        return done;
}

/* --- new nodes --- */

/* diropargs3: where a name is, or is to be. */
struct place {
        uint64_t dir;
        struct span name;
        enum hif_err err;
};

static struct place get_place(struct nfs3_op *op)
{
        struct place place;

        place.err = nfs3_get_handle(op, &place.dir);
        place.name = xdr_opaque(&op->args, SIZE_MAX);
        return place;
}

/* CREATE, MKDIR, SYMLINK, MKNOD: handle and attributes of what was made, and its directory's. */
static enum nfs3_done finish_new(struct nfs3_op *op, enum hif_err err, const struct vfs_attr *attr,
                                 const struct vfs_wcc *dir_wcc)
{
        enum nfs3_done done = nfs3_begin(op, err);

        if (done != NFS3_ANSWER)
                return done;
        if (err == HIF_OK) {
                op->at = nfs3_put_post_op_fh(op->context, op->at, attr->id);
                op->at = nfs3_put_post_op(op->context, op->at, attr);
        }
        op->at = nfs3_put_wcc(op->context, op->at, dir_wcc);
        return done;
}

enum nfs3_done nfs3_create(struct nfs3_op *op)
{
        static const enum vfs_create_how hows[] = {VFS_UNCHECKED, VFS_GUARDED, VFS_EXCLUSIVE};
        struct vfs_wcc wcc = {.have = false};
        struct vfs_setattr set = {0};
        struct place place = get_place(op);
        enum vfs_create_how how = hows[xdr_enum(&op->args, 2)];
        enum hif_err err = place.err, set_err = HIF_OK;
        struct vfs_attr attr;
        uint64_t verifier = 0;

        if (how == VFS_EXCLUSIVE)
                verifier = xdr_u64(&op->args);
        else
                set_err = nfs3_get_sattr(op, &set);
        if (op->args.bad)
                return NFS3_GARBAGE;
        if (err == HIF_OK)
                err = set_err;
        if (err == HIF_OK)
                err = vfs_create(op->vfs, op->call, place.dir, place.name, how, verifier, &set,
                                 &attr, &wcc);
        return finish_new(op, err, &attr, &wcc);
}

enum nfs3_done nfs3_mkdir(struct nfs3_op *op)
{
        struct vfs_wcc wcc = {.have = false};
        struct place place = get_place(op);
        struct vfs_setattr set;
        enum hif_err set_err = nfs3_get_sattr(op, &set);
        enum hif_err err = place.err != HIF_OK ? place.err : set_err;
        struct vfs_attr attr;

        if (op->args.bad)
                return NFS3_GARBAGE;
        if (err == HIF_OK)
                err = vfs_mkdir(op->vfs, op->call, place.dir, place.name, &set, &attr, &wcc);
        return finish_new(op, err, &attr, &wcc);
}

enum nfs3_done nfs3_symlink(struct nfs3_op *op)
{
        struct vfs_wcc wcc = {.have = false};
        struct place place = get_place(op);
        struct vfs_setattr set;
        enum hif_err set_err = nfs3_get_sattr(op, &set);
        enum hif_err err = place.err != HIF_OK ? place.err : set_err;
        struct span target = xdr_opaque(&op->args, SIZE_MAX);
        struct vfs_attr attr;

        if (op->args.bad)
                return NFS3_GARBAGE;
        if (err == HIF_OK)
                err = vfs_symlink(op->vfs, op->call, place.dir, place.name, target, &set, &attr,
                                  &wcc);
        return finish_new(op, err, &attr, &wcc);
}

/* mknoddata3: devices carry attributes and a device number, sockets and fifos attributes, other
 * types nothing. */
static enum hif_err get_node_data(struct nfs3_op *op, enum onode_kind *kind, uint64_t *device,
                                  struct vfs_setattr *set)
{
        static const enum onode_kind kinds[] = {[NF3BLK] = ONODE_BLOCK,
                                                [NF3CHR] = ONODE_CHAR,
                                                [NF3SOCK] = ONODE_SOCKET,
                                                [NF3FIFO] = ONODE_FIFO};
        uint32_t type = xdr_u32(&op->args);
        enum hif_err err;

        if (type > NF3FIFO || kinds[type] == 0)
                return HIF_ELIMIT;
        *kind = kinds[type];
        err = nfs3_get_sattr(op, set);
        if (type == NF3BLK || type == NF3CHR)
                *device = xdr_u64(&op->args);
        return err;
}

enum nfs3_done nfs3_mknod(struct nfs3_op *op)
{
        struct vfs_wcc wcc = {.have = false};
        struct place place = get_place(op);
        enum onode_kind kind = ONODE_FIFO;
        uint64_t device = 0;
        struct vfs_setattr set;
        enum hif_err data_err = get_node_data(op, &kind, &device, &set);
        enum hif_err err = place.err != HIF_OK ? place.err : data_err;
        struct vfs_attr attr;

        if (op->args.bad)
                return NFS3_GARBAGE;
        if (err == HIF_OK)
                err = vfs_mknod(op->vfs, op->call, place.dir, place.name, kind, device, &set, &attr,
                                &wcc);
        if (err == HIF_ELIMIT) {
                op->status = NFS3ERR_BADTYPE;
                op->at = xdr_put_u32(op->at, NFS3ERR_BADTYPE);
                op->at = nfs3_put_wcc(op->context, op->at, &wcc);
                return NFS3_ANSWER;
        }
        return finish_new(op, err, &attr, &wcc);
}

/* --- names --- */

enum nfs3_done nfs3_remove(struct nfs3_op *op)
{
        struct vfs_wcc wcc = {.have = false};
        struct place place = get_place(op);
        enum hif_err err = place.err;

        if (op->args.bad)
                return NFS3_GARBAGE;
        if (err == HIF_OK)
                err = vfs_remove(op->vfs, op->call, place.dir, place.name, &wcc);
        return finish_wcc(op, err, &wcc);
}

enum nfs3_done nfs3_rmdir(struct nfs3_op *op)
{
        struct vfs_wcc wcc = {.have = false};
        struct place place = get_place(op);
        enum hif_err err = place.err;

        if (op->args.bad)
                return NFS3_GARBAGE;
        if (err == HIF_OK)
                err = vfs_rmdir(op->vfs, op->call, place.dir, place.name, &wcc);
        return finish_wcc(op, err, &wcc);
}

enum nfs3_done nfs3_rename(struct nfs3_op *op)
{
        struct vfs_wcc from_wcc = {.have = false}, to_wcc = {.have = false};
        struct place from = get_place(op), to = get_place(op);
        enum hif_err err = from.err != HIF_OK ? from.err : to.err;
        enum nfs3_done done;

        if (op->args.bad)
                return NFS3_GARBAGE;
        if (err == HIF_OK)
                err = vfs_rename(op->vfs, op->call, from.dir, from.name, to.dir, to.name, &from_wcc,
                                 &to_wcc);
        done = finish_wcc(op, err, &from_wcc);
        if (done == NFS3_ANSWER)
                op->at = nfs3_put_wcc(op->context, op->at, &to_wcc);
        return done;
}

enum nfs3_done nfs3_link(struct nfs3_op *op)
{
        struct vfs_attr attr = {.id = NODEID_NONE};
        struct vfs_wcc wcc = {.have = false};
        enum nfs3_done done;
        struct place place;
        uint64_t id;
        enum hif_err err = nfs3_get_handle(op, &id);

        place = get_place(op);
        if (op->args.bad)
                return NFS3_GARBAGE;
        if (err == HIF_OK)
                err = place.err;
        if (err == HIF_OK)
                err = vfs_link(op->vfs, op->call, id, place.dir, place.name, &attr, &wcc);
        done = nfs3_begin(op, err);
        if (done != NFS3_ANSWER)
                return done;
        op->at = nfs3_put_post_op(op->context, op->at, &attr);
        op->at = nfs3_put_wcc(op->context, op->at, &wcc);
        return done;
}
