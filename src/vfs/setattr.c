/* setattr.c - changing attributes: who may, and what follows from it. */
#include "vfs/internal.h"

/* A kernel takes the set-id bits away on behalf of whoever writes to the file. */
static bool drops_set_ids(const struct vfs *vfs, const struct vfs_call *call,
                          const struct vfs_attr *attr, const struct vfs_setattr *set)
{
        return set->set == VFS_SET_MODE && (set->mode | 06000) == (attr->mode | 06000) &&
               (set->mode & ~attr->mode) == 0 && require(vfs, call, attr, VFS_MODIFY) == HIF_OK;
}

/* Who may change what (POSIX chmod, chown, utimensat). */
static enum hif_err may_set(const struct vfs *vfs, const struct vfs_call *call,
                            const struct vfs_attr *attr, const struct vfs_setattr *set)
{
        const struct vfs_caller *caller = call->caller;
        bool owner = caller->uid == 0 || caller->uid == attr->uid;
        uint32_t times = VFS_SET_ATIME | VFS_SET_MTIME;
        uint32_t nows = VFS_SET_ATIME_NOW | VFS_SET_MTIME_NOW;

        if ((set->set & VFS_SET_UID) != 0 && set->uid != attr->uid && caller->uid != 0)
                return HIF_EPERM;
        if ((set->set & VFS_SET_GID) != 0 && set->gid != attr->gid && caller->uid != 0 &&
            !(owner && in_group(caller, set->gid)))
                return HIF_EPERM;
        if ((set->set & (VFS_SET_UID | VFS_SET_GID)) != 0 && !owner)
                return HIF_EPERM;
        if ((set->set & (VFS_SET_MODE | times)) != 0 && !owner &&
            !drops_set_ids(vfs, call, attr, set))
                return HIF_EPERM;
        if ((set->set & nows) != 0 && !owner && require(vfs, call, attr, VFS_MODIFY) != HIF_OK)
                return HIF_EACCES;
        if ((set->set & VFS_SET_SIZE) != 0) {
                if (attr->kind == ONODE_DIR)
                        return HIF_EISDIR;
                if (attr->kind != ONODE_FILE)
                        return HIF_EINVAL;
                if (set->size > VFS_SIZE_MAX)
                        return HIF_EFBIG;
                /* The owner may: the file may have been opened for writing before its mode forbade
                 * it. */
                if (!owner && require(vfs, call, attr, VFS_MODIFY) != HIF_OK)
                        return HIF_EACCES;
        }
        return HIF_OK;
}

/* Another owner: whoever trusted the old one need not trust the new one. Set-group-id without the
 * group's executable bit is no such thing. */
static void drop_set_ids(struct onode *row)
{
        if (row->kind == ONODE_DIR)
                return;
        row->mode &= (uint16_t)~04000u;
        if ((row->mode & 0010) != 0)
                row->mode &= (uint16_t)~02000u;
}

static void apply(struct vfs *vfs, const struct vfs_call *call, struct onode *row,
                  const struct vfs_setattr *set)
{
        struct hif_time now = now_of(vfs);

        if ((set->set & (VFS_SET_UID | VFS_SET_GID)) != 0) {
                if ((set->set & VFS_SET_UID) != 0)
                        row->uid = set->uid;
                if ((set->set & VFS_SET_GID) != 0)
                        row->gid = set->gid;
                drop_set_ids(row);
        }
        if ((set->set & VFS_SET_MODE) != 0) {
                row->mode = set->mode & 07777;
                if (row->kind == ONODE_FILE && call->caller->uid != 0 && !call->sgid_checked &&
                    !in_group(call->caller, row->gid))
                        row->mode &= (uint16_t)~02000u;
        }
        if ((set->set & VFS_SET_SIZE) != 0)
                row->mtime = now;
        if ((set->set & VFS_SET_ATIME_NOW) != 0)
                row->atime = now;
        if ((set->set & VFS_SET_MTIME_NOW) != 0)
                row->mtime = now;
        if ((set->set & VFS_SET_ATIME) != 0)
                row->atime = set->atime;
        if ((set->set & VFS_SET_MTIME) != 0)
                row->mtime = set->mtime;
        row->ctime = tick(vfs);
}

enum hif_err vfs_setattr(struct vfs *vfs, struct vfs_call *call, uint64_t id,
                         const struct vfs_setattr *set, const struct hif_time *guard,
                         struct vfs_wcc *wcc)
{
        bool resize = (set->set & VFS_SET_SIZE) != 0, record, exec;
        CLEANUP(buf_free) struct buf path = {0};
        struct vfs_attr attr;
        struct vnode node;
        struct onode *row;
        struct otx *tx;
        enum hif_err err;

        wcc->have = false;
        err = enter(vfs, call);
        if (err != HIF_OK)
                return err;
        err = resolve(vfs, call, id, &node);
        if (err != HIF_OK)
                return err;
        attr_of(vfs, &node, &attr);
        wcc_before(wcc, &attr);
        if (guard != NULL && (guard->sec != attr.ctime.sec || guard->nsec != attr.ctime.nsec))
                return HIF_EBUSY;
        if (set->set == 0)
                return HIF_OK;
        err = may_change(vfs);
        if (err == HIF_OK)
                err = may_set(vfs, call, &attr, set);
        if (err != HIF_OK)
                return err;
        if (node.base != NULL && node.base->ghost)
                return HIF_ESTALE;
        exec = (set->set & VFS_SET_MODE) != 0 && node.kind == ONODE_FILE &&
               ((set->mode ^ attr.mode) & 0100) != 0;
        record = exec || (resize && (node.row == NULL || node.row->data_seq == 0));
        if (attr.nlink > 0) {
                err = place(vfs, call, id, record ? &path : NULL);
                if (err != HIF_OK)
                        return err;
        }
        if (buf_failed(&path))
                return HIF_ENOMEM;

        tx = otx_begin(vfs->config.overlay);
        if (resize && set->size < attr.size)
                otx_need(tx, OVERLAY_FREEING);
        place_all(vfs, tx);
        row = adopt(vfs, tx, &node);
        apply(vfs, call, row, set);
        if (resize) {
                row->flags |= ONODE_CONTENT;
                otx_truncate(tx, id, set->size);
        }
        if (record && attr.nlink > 0)
                record_op(tx, exec ? SESSION_CHMOD : SESSION_WRITE, buf_span(&path),
                          (struct span){0});
        err = finish(vfs, call, tx, id, false);
        if (err == HIF_OK)
                wcc_after(vfs, call, id, wcc);
        return err;
}
