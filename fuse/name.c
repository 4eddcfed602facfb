/* name.c - requests that make, remove and change names. */
#include "fuse/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

static void set_mode(struct op *op, mode_t mode)
{
        op->set = (struct vfs_setattr){.set = VFS_SET_MODE, .mode = mode & 07777};
}

static enum hif_err run_mknod(struct op *op)
{
        struct vfs_wcc wcc;

        if (op->kind == ONODE_FILE)
                return vfs_create(op->server->vfs, &op->call, op->id, op->name, VFS_GUARDED, 0,
                                  &op->set, &op->attr, &wcc);
        return vfs_mknod(op->server->vfs, &op->call, op->id, op->name, op->kind, op->device,
                         &op->set, &op->attr, &wcc);
}

void on_mknod(fuse_req_t req, fuse_ino_t dir, const char *name, mode_t mode, dev_t device)
{
        static const struct op_type type = {run_mknod, reply_entry, true};
        struct op op;

        op_begin(&op, req, &type, dir);
        op.name = span_str(name);
        op.device = (uint64_t)major(device) << 32 | minor(device);
        set_mode(&op, mode);
        switch (mode & S_IFMT) {
        case S_IFREG:
                op.kind = ONODE_FILE;
                break;
        case S_IFIFO:
                op.kind = ONODE_FIFO;
                break;
        case S_IFSOCK:
                op.kind = ONODE_SOCKET;
                break;
        case S_IFBLK:
                op.kind = ONODE_BLOCK;
                break;
        case S_IFCHR:
                op.kind = ONODE_CHAR;
                break;
        default:
                fuse_reply_err(req, EINVAL);
                return;
        }
        op_go(&op);
}

static enum hif_err run_mkdir(struct op *op)
{
        struct vfs_wcc wcc;

        return vfs_mkdir(op->server->vfs, &op->call, op->id, op->name, &op->set, &op->attr, &wcc);
}

void on_mkdir(fuse_req_t req, fuse_ino_t dir, const char *name, mode_t mode)
{
        static const struct op_type type = {run_mkdir, reply_entry, true};
        struct op op;

        op_begin(&op, req, &type, dir);
        op.name = span_str(name);
        set_mode(&op, mode);
        op_go(&op);
}

static enum hif_err run_symlink(struct op *op)
{
        struct vfs_wcc wcc;

        return vfs_symlink(op->server->vfs, &op->call, op->id, op->name, op->name2, &op->set,
                           &op->attr, &wcc);
}

void on_symlink(fuse_req_t req, const char *target, fuse_ino_t dir, const char *name)
{
        static const struct op_type type = {run_symlink, reply_entry, true};
        struct op op;

        op_begin(&op, req, &type, dir);
        op.name = span_str(name);
        op.name2 = span_str(target);
        op_go(&op);
}

static enum hif_err run_link(struct op *op)
{
        struct vfs_wcc wcc;

        return vfs_link(op->server->vfs, &op->call, op->id, op->id2, op->name, &op->attr, &wcc);
}

void on_link(fuse_req_t req, fuse_ino_t id, fuse_ino_t dir, const char *name)
{
        static const struct op_type type = {run_link, reply_entry, true};
        struct op op;

        op_begin(&op, req, &type, id);
        op.id2 = dir;
        op.name = span_str(name);
        op_go(&op);
}

static enum hif_err run_unlink(struct op *op)
{
        struct vfs_wcc wcc;

        return vfs_remove(op->server->vfs, &op->call, op->id, op->name, &wcc);
}

void on_unlink(fuse_req_t req, fuse_ino_t dir, const char *name)
{
        static const struct op_type type = {run_unlink, reply_done, true};
        struct op op;

        op_begin(&op, req, &type, dir);
        op.name = span_str(name);
        op_go(&op);
}

static enum hif_err run_rmdir(struct op *op)
{
        struct vfs_wcc wcc;

        return vfs_rmdir(op->server->vfs, &op->call, op->id, op->name, &wcc);
}

void on_rmdir(fuse_req_t req, fuse_ino_t dir, const char *name)
{
        static const struct op_type type = {run_rmdir, reply_done, true};
        struct op op;

        op_begin(&op, req, &type, dir);
        op.name = span_str(name);
        op_go(&op);
}

static enum hif_err run_rename(struct op *op)
{
        struct vfs *vfs = op->server->vfs;
        struct vfs_wcc from, to;

        /* Nothing comes between the look and the rename: both are of one turn. */
        if ((op->flags & RENAME_NOREPLACE) != 0) {
                enum hif_err err = vfs_lookup(vfs, &op->call, op->id2, op->name2, &op->attr, NULL);

                if (err != HIF_ENOENT)
                        return err == HIF_OK ? HIF_EEXIST : err;
        }
        return vfs_rename(vfs, &op->call, op->id, op->name, op->id2, op->name2, &from, &to);
}

void on_rename(fuse_req_t req, fuse_ino_t dir, const char *name, fuse_ino_t dir2, const char *name2,
               unsigned flags)
{
        static const struct op_type type = {run_rename, reply_done, true};
        struct op op;

        if ((flags & ~(unsigned)RENAME_NOREPLACE) != 0) {
                fuse_reply_err(req, EINVAL);
                return;
        }
        op_begin(&op, req, &type, dir);
        op.id2 = dir2;
        op.name = span_str(name);
        op.name2 = span_str(name2);
        op.flags = flags;
        op_go(&op);
}

static enum hif_err run_create(struct op *op)
{
        enum vfs_create_how how = (op->file.flags & O_EXCL) != 0 ? VFS_GUARDED : VFS_UNCHECKED;
        struct vfs_wcc wcc;

        return vfs_create(op->server->vfs, &op->call, op->id, op->name, how, 0, &op->set, &op->attr,
                          &wcc);
}

static void reply_create(struct op *op)
{
        struct fuse_entry_param entry = entry_of(&op->attr);
        enum hif_err err = op_hold(op, op->attr.id);

        if (err != HIF_OK) {
                fuse_reply_err(op->req, err == HIF_ELIMIT ? ENFILE : ENOMEM);
                return;
        }
        op->file.keep_cache = 1;
        /* Who asked is gone, and will not release it. */
        if (fuse_reply_create(op->req, &entry, &op->file) != 0)
                server_release(op->server, op->attr.id);
}

void on_create(fuse_req_t req, fuse_ino_t dir, const char *name, mode_t mode,
               struct fuse_file_info *file)
{
        static const struct op_type type = {run_create, reply_create, true};
        struct op op;

        op_begin(&op, req, &type, dir);
        op.name = span_str(name);
        op.file = *file;
        op.call.closes = true;
        set_mode(&op, mode);
        if ((file->flags & O_TRUNC) != 0) {
                op.set.set |= VFS_SET_SIZE;
                op.set.size = 0;
        }
        op_go(&op);
}
