/* remove.c - names that go away: REMOVE, RMDIR, RENAME. */
#include "vfs/internal.h"

/* One name in one directory, with what it names. */
struct at {
        struct vnode dir;
        struct vfs_attr dir_attr;
        struct child child;
        struct vnode node; /* when child.id is not NONE */
        struct vfs_attr attr;
        struct span name;
        struct buf path; /* of the name */
};

static void at_free(struct at *at)
{
        buf_free(&at->path);
}

static enum hif_err look(struct vfs *vfs, struct vfs_call *call, uint64_t dir, struct span name,
                         struct at *at, struct vfs_wcc *wcc)
{
        enum hif_err err;

        at->name = name;
        err = resolve_dir(vfs, call, dir, &at->dir);
        if (err != HIF_OK)
                return err;
        attr_of(vfs, &at->dir, &at->dir_attr);
        wcc_before(wcc, &at->dir_attr);
        err = require(vfs, call, &at->dir_attr, VFS_LOOKUP);
        if (err == HIF_OK)
                err = check_name(name);
        if (err == HIF_OK)
                err = child_of(vfs, call, &at->dir, name, &at->child);
        if (err != HIF_OK || at->child.id == NODEID_NONE)
                return err;
        err = resolve(vfs, call, at->child.id, &at->node);
        if (err == HIF_OK)
                attr_of(vfs, &at->node, &at->attr);
        return err;
}

/* May the name be changed by this caller? Notes places, builds the path. */
static enum hif_err prepare(struct vfs *vfs, struct vfs_call *call, struct at *at)
{
        enum hif_err err = may_change(vfs);

        if (err == HIF_OK)
                err = require(vfs, call, &at->dir_attr, VFS_MODIFY);
        if (err == HIF_OK && at->child.id != NODEID_NONE)
                err = require_sticky(call, &at->dir_attr, &at->attr);
        if (err == HIF_OK)
                err = place(vfs, call, at->dir.id, &at->path);
        if (err != HIF_OK)
                return err;
        if (at->path.size > 0)
                buf_put_u8(&at->path, '/');
        buf_put_span(&at->path, at->name);
        return buf_failed(&at->path) ? HIF_ENOMEM : HIF_OK;
}

/* The node loses this name. Where it has others, its place becomes one of them. */
static void drop_name(struct vfs *vfs, struct otx *tx, const struct at *at, struct hif_time time)
{
        struct onode *row = adopt(vfs, tx, &at->node);
        const struct odirent *other;

        row->ctime = time;
        if (row->kind == ONODE_DIR || row->nlink <= 1) {
                row->nlink = 0;
                row->flags |= ONODE_REMOVED;
                return;
        }
        row->nlink--;
        if ((row->flags & ONODE_PLACED) == 0 || row->parent != at->dir.id ||
            !span_eq(row->name, at->name))
                return;
        other = links_other(vfs, at->child.id, at->dir.id, at->name);
        if (other != NULL) {
                row->parent = other->dir;
                row->name = other->name;
        } else {
                row->flags &= ~(uint32_t)ONODE_PLACED; /* the base's name: found through the base */
        }
}

static enum hif_err remove_one(struct vfs *vfs, struct vfs_call *call, uint64_t dir,
                               struct span name, bool want_dir, struct vfs_wcc *wcc)
{
        CLEANUP(at_free) struct at at = {0};
        struct hif_time time;
        struct otx *tx;
        enum hif_err err;

        wcc->have = false;
        err = enter(vfs, call);
        if (err == HIF_OK && want_dir && span_eq(name, span_str(".")))
                err = HIF_EINVAL;
        if (err == HIF_OK && want_dir && span_eq(name, span_str("..")))
                err = HIF_EEXIST;
        if (err == HIF_OK)
                err = look(vfs, call, dir, name, &at, wcc);
        if (err != HIF_OK)
                return err;
        if (at.child.id == NODEID_NONE)
                return HIF_ENOENT;
        if (want_dir && at.node.kind != ONODE_DIR)
                return HIF_ENOTDIR;
        if (!want_dir && at.node.kind == ONODE_DIR)
                return HIF_EISDIR;
        err = prepare(vfs, call, &at);
        if (err == HIF_OK && want_dir)
                err = resolve_dir(vfs, call, at.child.id, &at.node);
        if (err == HIF_OK && want_dir)
                err = require_empty(vfs, call, &at.node);
        if (err != HIF_OK)
                return err;

        tx = otx_begin(vfs->config.overlay);
        otx_need(tx, OVERLAY_FREEING);
        time = tick(vfs);
        place_all(vfs, tx);
        drop_name(vfs, tx, &at, time);
        put_name(tx, &at.dir, &at.child, name, NODEID_NONE);
        touch_dir(vfs, tx, &at.dir, time);
        if (want_dir)
                count_subdir(vfs, tx, &at.dir, -1);
        record_op(tx, want_dir ? SESSION_RMDIR : SESSION_DELETE, buf_span(&at.path),
                  (struct span){0});
        err = finish(vfs, call, tx, NODEID_NONE, false);
        if (err != HIF_OK)
                return err;
        if (want_dir || at.attr.nlink <= 1)
                removed_note(vfs, at.child.id);
        wcc_after(vfs, call, at.dir.id, wcc);
        return HIF_OK;
}

enum hif_err vfs_remove(struct vfs *vfs, struct vfs_call *call, uint64_t dir, struct span name,
                        struct vfs_wcc *dir_wcc)
{
        return remove_one(vfs, call, dir, name, false, dir_wcc);
}

enum hif_err vfs_rmdir(struct vfs *vfs, struct vfs_call *call, uint64_t dir, struct span name,
                       struct vfs_wcc *dir_wcc)
{
        return remove_one(vfs, call, dir, name, true, dir_wcc);
}

/* HIF_EINVAL when `dir` is `id` or below it. */
static enum hif_err require_outside(struct vfs *vfs, struct vfs_call *call, uint64_t id,
                                    uint64_t dir)
{
        for (size_t depth = 0; dir != NODEID_ROOT; depth++) {
                enum hif_err err;

                if (dir == id)
                        return HIF_EINVAL;
                if (depth == PATH_DEPTH_MAX)
                        return HIF_ENAMETOOLONG;
                err = parent_of(vfs, call, dir, &dir, NULL);
                if (err != HIF_OK)
                        return err;
        }
        return HIF_OK;
}

/* What stands under the new name: may this node replace it? */
static enum hif_err require_replaceable(struct vfs *vfs, struct vfs_call *call,
                                        const struct at *from, struct at *to)
{
        enum hif_err err;

        if (from->node.kind == ONODE_DIR && to->node.kind != ONODE_DIR)
                return HIF_ENOTDIR;
        if (from->node.kind != ONODE_DIR && to->node.kind == ONODE_DIR)
                return HIF_EISDIR;
        if (to->node.kind != ONODE_DIR)
                return HIF_OK;
        err = resolve_dir(vfs, call, to->child.id, &to->node);
        return err == HIF_OK ? require_empty(vfs, call, &to->node) : err;
}

static enum hif_err check_rename(struct vfs *vfs, struct vfs_call *call, struct at *from,
                                 struct at *to)
{
        enum hif_err err = prepare(vfs, call, from);

        if (err == HIF_OK)
                err = prepare(vfs, call, to);
        if (err == HIF_OK && to->path.size > PATH_SIZE_MAX)
                err = HIF_ENAMETOOLONG;
        if (err == HIF_OK && from->node.kind == ONODE_DIR) {
                err = require_outside(vfs, call, from->child.id, to->dir.id);
                /* A directory that changes its parent has its ".." written. */
                if (err == HIF_OK && from->dir.id != to->dir.id && !is_super(call) &&
                    call->caller->uid != from->attr.uid)
                        err = require(vfs, call, &from->attr, VFS_MODIFY);
        }
        if (err == HIF_OK && to->child.id != NODEID_NONE)
                err = require_replaceable(vfs, call, from, to);
        return err;
}

/* Look both names up; *same: they are names of one node, and nothing is to be done. */
static enum hif_err look_both(struct vfs *vfs, struct vfs_call *call, struct at *from,
                              uint64_t from_dir, struct span from_name, struct at *to,
                              uint64_t to_dir, struct span to_name, struct vfs_wcc *from_wcc,
                              struct vfs_wcc *to_wcc, bool *same)
{
        enum hif_err err = enter(vfs, call);

        if (err == HIF_OK)
                err = look(vfs, call, from_dir, from_name, from, from_wcc);
        if (err != HIF_OK)
                return err;
        err = look(vfs, call, to_dir, to_name, to, to_wcc);
        if (err != HIF_OK)
                return err;
        if (from->child.id == NODEID_NONE)
                return HIF_ENOENT;
        *same = from->child.id == to->child.id;
        return HIF_OK;
}

/* Is it the name that the base has for this node? */
static bool gives_back(const struct at *at, uint64_t id)
{
        return at->child.row != NULL && at->child.row->base_child == id;
}

/* A directory changed its name: subdirectories are counted anew in both. */
static void move_subdir(struct vfs *vfs, struct otx *tx, const struct at *from, const struct at *to)
{
        count_subdir(vfs, tx, &from->dir, -1);
        if (to->child.id == NODEID_NONE)
                count_subdir(vfs, tx, &to->dir, 1);
}

enum hif_err vfs_rename(struct vfs *vfs, struct vfs_call *call, uint64_t from_dir, struct span from,
                        uint64_t to_dir, struct span to, struct vfs_wcc *from_wcc,
                        struct vfs_wcc *to_wcc)
{
        CLEANUP(at_free) struct at old = {0}, new = {0};
        struct hif_time time;
        struct onode *row;
        struct otx *tx;
        bool same = false;
        enum hif_err err;

        from_wcc->have = to_wcc->have = false;
        err = look_both(vfs, call, &old, from_dir, from, &new, to_dir, to, from_wcc, to_wcc, &same);
        if (err != HIF_OK || same)
                return err;
        err = check_rename(vfs, call, &old, &new);
        if (err != HIF_OK)
                return err;

        tx = otx_begin(vfs->config.overlay);
        time = tick(vfs);
        place_all(vfs, tx);
        if (new.child.id != NODEID_NONE)
                drop_name(vfs, tx, &new, time);
        row = adopt(vfs, tx, &old.node);
        row->ctime = time;
        /* A file that has its base's name is placed there, whatever other names it has. */
        if (row->kind == ONODE_DIR || row->nlink <= 1 || (row->flags & ONODE_PLACED) == 0 ||
            gives_back(&new, row->id) || (row->parent == old.dir.id && span_eq(row->name, from))) {
                row->flags |= ONODE_PLACED;
                row->parent = new.dir.id;
                row->name = to;
        }
        links_note(vfs, row, new.dir.id, to);
        put_name(tx, &old.dir, &old.child, from, NODEID_NONE);
        put_name(tx, &new.dir, &new.child, to, old.child.id);
        touch_dir(vfs, tx, &old.dir, time);
        touch_dir(vfs, tx, &new.dir, time);
        if (row->kind == ONODE_DIR)
                move_subdir(vfs, tx, &old, &new);
        record_op(tx, SESSION_RENAME, buf_span(&old.path), buf_span(&new.path));
        /* Over an existing name, callers count on the new content being there after a power cut. */
        err = finish(vfs, call, tx, NODEID_NONE, new.child.id != NODEID_NONE);
        if (err != HIF_OK)
                return err;
        if (new.child.id != NODEID_NONE && (new.node.kind == ONODE_DIR || new.attr.nlink <= 1))
                removed_note(vfs, new.child.id);
        wcc_after(vfs, call, old.dir.id, from_wcc);
        wcc_after(vfs, call, new.dir.id, to_wcc);
        return HIF_OK;
}
