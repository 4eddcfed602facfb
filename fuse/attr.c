/* attr.c - LOOKUP, FORGET, GETATTR, SETATTR, READLINK, STATFS. */
#include "fuse/internal.h"

#define NSEC_PER_SEC 1000000000u

static enum hif_err run_lookup(struct op *op)
{
        enum hif_err err =
            vfs_lookup(op->server->vfs, &op->call, op->id, op->name, &op->attr, NULL);

        if (err != HIF_ENOENT)
                return err;
        op->attr.id = NODEID_NONE;
        return HIF_OK;
}

/* That there is no such name is worth remembering, too. */
static void reply_lookup(struct op *op)
{
        struct fuse_entry_param none = {.entry_timeout = CACHE_FOR_S};

        if (op->attr.id != NODEID_NONE)
                reply_entry(op);
        else
                fuse_reply_entry(op->req, &none);
}

void on_lookup(fuse_req_t req, fuse_ino_t dir, const char *name)
{
        static const struct op_type type = {run_lookup, reply_lookup, false};
        struct op op;

        op_begin(&op, req, &type, dir);
        op.name = span_str(name);
        op_go(&op);
}

/* Numbers mean the same for ever: there is nothing to forget. */
void on_forget(fuse_req_t req, fuse_ino_t id, uint64_t count)
{
        (void)id, (void)count;
        fuse_reply_none(req);
}

void on_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
        (void)count, (void)forgets;
        fuse_reply_none(req);
}

static enum hif_err run_getattr(struct op *op)
{
        return vfs_getattr(op->server->vfs, &op->call, op->id, &op->attr);
}

void on_getattr(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file)
{
        static const struct op_type type = {run_getattr, reply_attr, false};
        struct op op;

        op_begin(&op, req, &type, id);
        if (file != NULL)
                op_opened(&op);
        op_go(&op);
}

/* No time has more nanoseconds; one that had would be stored so. */
static bool times_are_whole(const struct vfs_setattr *set)
{
        return ((set->set & VFS_SET_ATIME) == 0 || set->atime.nsec < NSEC_PER_SEC) &&
               ((set->set & VFS_SET_MTIME) == 0 || set->mtime.nsec < NSEC_PER_SEC);
}

static enum hif_err run_setattr(struct op *op)
{
        struct vfs_wcc wcc;
        enum hif_err err = HIF_EINVAL;

        if (times_are_whole(&op->set))
                err = vfs_setattr(op->server->vfs, &op->call, op->id, &op->set, NULL, &wcc);
        if (err == HIF_OK && !wcc.have)
                return HIF_ESTALE;
        if (err == HIF_OK)
                op->attr = wcc.after;
        return err;
}

static struct hif_time time_of(struct timespec time)
{
        return (struct hif_time){.sec = time.tv_sec, .nsec = (uint32_t)time.tv_nsec};
}

static void set_of(const struct stat *attr, int to_set, struct vfs_setattr *out)
{
        static const struct {
                int fuse;
                uint32_t vfs;
        } bits[] = {
            {FUSE_SET_ATTR_MODE, VFS_SET_MODE},
            {FUSE_SET_ATTR_UID, VFS_SET_UID},
            {FUSE_SET_ATTR_GID, VFS_SET_GID},
            {FUSE_SET_ATTR_SIZE, VFS_SET_SIZE},
            {FUSE_SET_ATTR_ATIME_NOW, VFS_SET_ATIME_NOW},
            {FUSE_SET_ATTR_MTIME_NOW, VFS_SET_MTIME_NOW},
            {FUSE_SET_ATTR_ATIME, VFS_SET_ATIME},
            {FUSE_SET_ATTR_MTIME, VFS_SET_MTIME},
        };

        /* "Now" comes with the kernel's own idea of it; ours is taken, that of all other times. */
        if ((to_set & FUSE_SET_ATTR_ATIME_NOW) != 0)
                to_set &= ~FUSE_SET_ATTR_ATIME;
        if ((to_set & FUSE_SET_ATTR_MTIME_NOW) != 0)
                to_set &= ~FUSE_SET_ATTR_MTIME;
        *out = (struct vfs_setattr){
            .mode = attr->st_mode & 07777,
            .uid = attr->st_uid,
            .gid = attr->st_gid,
            .size = (uint64_t)attr->st_size,
            .atime = time_of(attr->st_atim),
            .mtime = time_of(attr->st_mtim),
        };
        for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
                if ((to_set & bits[i].fuse) != 0)
                        out->set |= bits[i].vfs;
}

void on_setattr(fuse_req_t req, fuse_ino_t id, struct stat *attr, int to_set,
                struct fuse_file_info *file)
{
        static const struct op_type type = {run_setattr, reply_attr, false};
        struct op op;

        op_begin(&op, req, &type, id);
        set_of(attr, to_set, &op.set);
        op.call.closes = ledger_is_open(op.server->ledger, id);
        op.call.sgid_checked = true; /* by the kernel: setattr_prepare */
        if (file != NULL && (op.set.set & VFS_SET_SIZE) != 0)
                op_opened(&op); /* ftruncate */
        op_go(&op);
}

static enum hif_err run_readlink(struct op *op)
{
        return vfs_readlink(op->server->vfs, &op->call, op->id, &op->target, &op->attr);
}

static void reply_target(struct op *op)
{
        fuse_reply_buf(op->req, (const char *)op->target.data, op->target.size);
}

void on_readlink(fuse_req_t req, fuse_ino_t id)
{
        static const struct op_type type = {run_readlink, reply_target, false};
        struct op op;

        op_begin(&op, req, &type, id);
        op_go(&op);
}

static enum hif_err run_statfs(struct op *op)
{
        return vfs_statfs(op->server->vfs, &op->call, &op->statfs);
}

static void reply_statfs(struct op *op)
{
        struct statvfs out = {
            .f_bsize = 4096,
            .f_frsize = 4096,
            .f_blocks = op->statfs.bytes_total / 4096,
            .f_bfree = op->statfs.bytes_free / 4096,
            .f_bavail = op->statfs.bytes_free / 4096,
            .f_files = op->statfs.files_total,
            .f_ffree = op->statfs.files_free,
            .f_favail = op->statfs.files_free,
            .f_namemax = NAME_SIZE_MAX,
        };

        fuse_reply_statfs(op->req, &out);
}

void on_statfs(fuse_req_t req, fuse_ino_t id)
{
        static const struct op_type type = {run_statfs, reply_statfs, false};
        struct op op;

        op_begin(&op, req, &type, id);
        op_go(&op);
}
