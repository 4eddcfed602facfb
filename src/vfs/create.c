/* create.c - new nodes and new names. */
#include "vfs/internal.h"

/* What every operation that adds a name needs to know first. */
struct new_name {
        struct vnode dir;
        struct vfs_attr dir_attr;
        struct child child;
        struct span name;
        struct buf path; /* of the directory, then of the name */
};

static void new_name_free(struct new_name *at)
{
        buf_free(&at->path);
}

static bool is_dots(struct span name)
{
        return span_eq(name, span_str(".")) || span_eq(name, span_str(".."));
}

/* Resolve the directory, and see whether the name is taken (at->child.id). */
static enum hif_err look(struct vfs *vfs, struct vfs_call *call, uint64_t dir, struct span name,
                         struct new_name *at, struct vfs_wcc *dir_wcc)
{
        enum hif_err err;

        dir_wcc->have = false;
        at->name = name;
        err = enter(vfs, call);
        if (err != HIF_OK)
                return err;
        err = resolve_dir(vfs, call, dir, &at->dir);
        if (err != HIF_OK)
                return err;
        attr_of(vfs, &at->dir, &at->dir_attr);
        wcc_before(dir_wcc, &at->dir_attr);
        err = require(vfs, call, &at->dir_attr, VFS_LOOKUP);
        if (err != HIF_OK)
                return err;
        if (is_dots(name))
                return HIF_EEXIST;
        err = check_name(name);
        if (err != HIF_OK)
                return err;
        return child_of(vfs, call, &at->dir, name, &at->child);
}

/* The name is free: may it be made? Notes places and builds its path. */
static enum hif_err prepare(struct vfs *vfs, struct vfs_call *call, struct new_name *at)
{
        enum hif_err err = may_change(vfs);

        if (err == HIF_OK)
                err = require(vfs, call, &at->dir_attr, VFS_MODIFY);
        if (err == HIF_OK)
                err = place(vfs, call, at->dir.id, &at->path);
        if (err != HIF_OK)
                return err;
        if (at->path.size > 0)
                buf_put_u8(&at->path, '/');
        buf_put_span(&at->path, at->name);
        if (buf_failed(&at->path))
                return HIF_ENOMEM;
        return at->path.size <= PATH_SIZE_MAX ? HIF_OK : HIF_ENAMETOOLONG;
}

/* The row of a new node under its name, and all that goes with it. */
static struct onode *make_node(struct vfs *vfs, const struct vfs_call *call, struct otx *tx,
                               const struct new_name *at, uint64_t id, enum onode_kind kind,
                               const struct vfs_setattr *set)
{
        bool inherit = (at->dir_attr.mode & 02000) != 0;
        struct hif_time time = tick(vfs);
        struct onode *row;

        place_all(vfs, tx);
        row = otx_node(tx, id);
        row->kind = kind;
        row->flags = ONODE_ATTRS | ONODE_PLACED | (kind == ONODE_DIR ? 0 : ONODE_CONTENT);
        row->parent = at->dir.id;
        row->name = at->name;
        row->nlink = kind == ONODE_DIR ? NLINK_EMPTY_DIR : 1;
        row->uid = is_super(call) ? vfs->config.uid : call->caller->uid;
        row->gid =
            inherit ? at->dir_attr.gid : (is_super(call) ? vfs->config.gid : call->caller->gid);
        row->mode = kind == ONODE_DIR ? 0755 : kind == ONODE_SYMLINK ? 0777 : 0644;
        if ((set->set & VFS_SET_MODE) != 0 && kind != ONODE_SYMLINK)
                row->mode = set->mode & 07777;
        if (kind == ONODE_DIR && inherit)
                row->mode |= 02000;
        if ((set->set & VFS_SET_UID) != 0 && is_super(call))
                row->uid = set->uid;
        if ((set->set & VFS_SET_GID) != 0 && is_super(call))
                row->gid = set->gid;
        row->atime = (set->set & VFS_SET_ATIME) != 0 ? set->atime : time;
        row->mtime = (set->set & VFS_SET_MTIME) != 0 ? set->mtime : time;
        row->ctime = time;
        put_name(tx, &at->dir, &at->child, at->name, id);
        touch_dir(vfs, tx, &at->dir, time);
        if (kind == ONODE_DIR)
                count_subdir(vfs, tx, &at->dir, 1);
        return row;
}

/* Commit, and tell the attributes of the node and of its directory. */
static enum hif_err conclude(struct vfs *vfs, struct vfs_call *call, struct otx *tx, uint64_t id,
                             const struct new_name *at, struct vfs_attr *attr,
                             struct vfs_wcc *dir_wcc)
{
        struct vnode node;
        enum hif_err err = finish(vfs, call, tx, id, false);

        if (err != HIF_OK)
                return err;
        err = resolve(vfs, call, id, &node);
        if (err != HIF_OK)
                return err;
        attr_of(vfs, &node, attr);
        wcc_after(vfs, call, at->dir.id, dir_wcc);
        return HIF_OK;
}

/* UNCHECKED over a file that exists: of the attributes only the size is applied: open(O_TRUNC). */
static enum hif_err reuse(struct vfs *vfs, struct vfs_call *call, const struct new_name *at,
                          const struct vnode *node, const struct vfs_setattr *set,
                          struct vfs_attr *attr, struct vfs_wcc *dir_wcc)
{
        CLEANUP(buf_free) struct buf path = {0};
        bool first = node->row == NULL || node->row->data_seq == 0;
        struct onode *row;
        struct otx *tx;
        enum hif_err err;

        attr_of(vfs, node, attr);
        if ((set->set & VFS_SET_SIZE) == 0)
                return HIF_OK;
        err = may_change(vfs);
        if (err == HIF_OK)
                err = require(vfs, call, attr, VFS_MODIFY);
        if (err == HIF_OK)
                err = place(vfs, call, node->id, first ? &path : NULL);
        if (err != HIF_OK)
                return err;
        if (buf_failed(&path))
                return HIF_ENOMEM;
        tx = otx_begin(vfs->config.overlay);
        place_all(vfs, tx);
        row = adopt(vfs, tx, node);
        row->flags |= ONODE_CONTENT;
        row->mtime = now_of(vfs);
        row->ctime = tick(vfs);
        otx_truncate(tx, node->id, set->size);
        if (first)
                record_op(tx, SESSION_WRITE, buf_span(&path), (struct span){0});
        return conclude(vfs, call, tx, node->id, at, attr, dir_wcc);
}

static enum hif_err create_existing(struct vfs *vfs, struct vfs_call *call,
                                    const struct new_name *at, enum vfs_create_how how,
                                    uint64_t verifier, const struct vfs_setattr *set,
                                    struct vfs_attr *attr, struct vfs_wcc *dir_wcc)
{
        struct vnode node;
        enum hif_err err = resolve(vfs, call, at->child.id, &node);

        if (err != HIF_OK)
                return err;
        switch (how) {
        case VFS_GUARDED:
                return HIF_EEXIST;
        case VFS_EXCLUSIVE:
                if (node.row == NULL || (node.row->flags & ONODE_VERIFIER) == 0 ||
                    node.row->verifier != verifier)
                        return HIF_EEXIST;
                attr_of(vfs, &node, attr);
                return HIF_OK;
        case VFS_UNCHECKED:
                if (node.kind == ONODE_DIR)
                        return HIF_EISDIR;
                if (node.kind != ONODE_FILE)
                        return HIF_EEXIST;
                return reuse(vfs, call, at, &node, set, attr, dir_wcc);
        }
        return HIF_EINVAL;
}

enum hif_err vfs_create(struct vfs *vfs, struct vfs_call *call, uint64_t dir, struct span name,
                        enum vfs_create_how how, uint64_t verifier, const struct vfs_setattr *set,
                        struct vfs_attr *attr, struct vfs_wcc *dir_wcc)
{
        CLEANUP(new_name_free) struct new_name at = {0};
        struct onode *row;
        struct otx *tx;
        uint64_t id;
        enum hif_err err = look(vfs, call, dir, name, &at, dir_wcc);

        if (err == HIF_OK && (set->set & VFS_SET_SIZE) != 0 && set->size > VFS_SIZE_MAX)
                err = HIF_EFBIG;
        if (err != HIF_OK)
                return err;
        if (at.child.id != NODEID_NONE)
                return create_existing(vfs, call, &at, how, verifier, set, attr, dir_wcc);
        err = prepare(vfs, call, &at);
        if (err != HIF_OK)
                return err;
        id = overlay_new_id(vfs->config.overlay);
        tx = otx_begin(vfs->config.overlay);
        row = make_node(vfs, call, tx, &at, id, ONODE_FILE, set);
        if (how == VFS_EXCLUSIVE) {
                row->flags |= ONODE_VERIFIER;
                row->verifier = verifier;
                row->mode = 0600; /* until the client says which one it is: nobody comes first */
        }
        if ((set->set & VFS_SET_SIZE) != 0 && set->size > 0)
                otx_truncate(tx, id, set->size);
        record_op(tx, SESSION_CREATE, buf_span(&at.path), (struct span){0});
        return conclude(vfs, call, tx, id, &at, attr, dir_wcc);
}

/* What mkdir, symlink and mknod make. */
struct made {
        enum onode_kind kind;
        struct span target; /* SYMLINK */
        uint64_t device;    /* BLOCK, CHAR */
};

static void describe(struct onode *row, const struct made *made)
{
        if (made->kind == ONODE_SYMLINK) {
                row->target = made->target;
                row->size = made->target.size;
        }
        if (made->kind == ONODE_BLOCK || made->kind == ONODE_CHAR)
                row->device = made->device;
}

/* The name must be free. */
static enum hif_err make(struct vfs *vfs, struct vfs_call *call, uint64_t dir, struct span name,
                         const struct made *made, const struct vfs_setattr *set,
                         struct vfs_attr *attr, struct vfs_wcc *dir_wcc)
{
        CLEANUP(new_name_free) struct new_name at = {0};
        struct otx *tx;
        uint64_t id;
        enum hif_err err = look(vfs, call, dir, name, &at, dir_wcc);

        if (err == HIF_OK && at.child.id != NODEID_NONE)
                err = HIF_EEXIST;
        if (err == HIF_OK)
                err = prepare(vfs, call, &at);
        if (err != HIF_OK)
                return err;
        id = overlay_new_id(vfs->config.overlay);
        tx = otx_begin(vfs->config.overlay);
        describe(make_node(vfs, call, tx, &at, id, made->kind, set), made);
        if (made->kind == ONODE_DIR)
                record_op(tx, SESSION_MKDIR, buf_span(&at.path), (struct span){0});
        else if (made->kind == ONODE_SYMLINK)
                record_op(tx, SESSION_SYMLINK, buf_span(&at.path), (struct span){0});
        return conclude(vfs, call, tx, id, &at, attr, dir_wcc);
}

enum hif_err vfs_mkdir(struct vfs *vfs, struct vfs_call *call, uint64_t dir, struct span name,
                       const struct vfs_setattr *set, struct vfs_attr *attr,
                       struct vfs_wcc *dir_wcc)
{
        const struct made made = {.kind = ONODE_DIR};

        return make(vfs, call, dir, name, &made, set, attr, dir_wcc);
}

enum hif_err vfs_symlink(struct vfs *vfs, struct vfs_call *call, uint64_t dir, struct span name,
                         struct span target, const struct vfs_setattr *set, struct vfs_attr *attr,
                         struct vfs_wcc *dir_wcc)
{
        const struct made made = {.kind = ONODE_SYMLINK, .target = target};

        dir_wcc->have = false;
        if (target.size > SYMLINK_SIZE_MAX)
                return HIF_ENAMETOOLONG;
        if (target.size == 0 || memchr(target.data, 0, target.size) != NULL)
                return HIF_EINVAL;
        return make(vfs, call, dir, name, &made, set, attr, dir_wcc);
}

enum hif_err vfs_mknod(struct vfs *vfs, struct vfs_call *call, uint64_t dir, struct span name,
                       enum onode_kind kind, uint64_t device, const struct vfs_setattr *set,
                       struct vfs_attr *attr, struct vfs_wcc *dir_wcc)
{
        const struct made made = {.kind = kind, .device = device};
        bool is_device = kind == ONODE_BLOCK || kind == ONODE_CHAR;

        dir_wcc->have = false;
        if (kind != ONODE_FIFO && kind != ONODE_SOCKET && !is_device)
                return HIF_EINVAL;
        if (is_device && !is_super(call))
                return HIF_EPERM;
        return make(vfs, call, dir, name, &made, set, attr, dir_wcc);
}

enum hif_err vfs_link(struct vfs *vfs, struct vfs_call *call, uint64_t id, uint64_t dir,
                      struct span name, struct vfs_attr *attr, struct vfs_wcc *dir_wcc)
{
        CLEANUP(new_name_free) struct new_name at = {0};
        CLEANUP(buf_free) struct buf old_path = {0};
        struct hif_time time;
        struct vnode node;
        struct onode *row;
        struct otx *tx;
        enum hif_err err = look(vfs, call, dir, name, &at, dir_wcc);

        if (err != HIF_OK)
                return err;
        err = resolve(vfs, call, id, &node);
        if (err != HIF_OK)
                return err;
        if (node.kind == ONODE_DIR)
                return HIF_ENOTSUP;
        attr_of(vfs, &node, attr);
        if (at.child.id != NODEID_NONE)
                return HIF_EEXIST;
        if (attr->nlink == 0)
                return HIF_ESTALE;
        if (attr->nlink >= 65000)
                return HIF_EMLINK;
        err = prepare(vfs, call, &at);
        if (err == HIF_OK)
                err = place(vfs, call, id, &old_path);
        if (err != HIF_OK)
                return err;
        if (buf_failed(&old_path))
                return HIF_ENOMEM;
        tx = otx_begin(vfs->config.overlay);
        place_all(vfs, tx);
        time = tick(vfs);
        row = adopt(vfs, tx, &node);
        row->nlink++;
        row->ctime = time;
        links_note(vfs, row, at.dir.id, name);
        if (at.child.row != NULL && at.child.row->base_child == id) {
                /* It has its base's name again: that is where it is placed. */
                row->parent = at.dir.id;
                row->name = name;
        }
        put_name(tx, &at.dir, &at.child, name, id);
        touch_dir(vfs, tx, &at.dir, time);
        record_op(tx, SESSION_LINK, buf_span(&old_path), buf_span(&at.path));
        return conclude(vfs, call, tx, id, &at, attr, dir_wcc);
}
