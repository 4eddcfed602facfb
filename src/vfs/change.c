/* change.c - what operations that change something share. */
#include "vfs/internal.h"

#include "base/log.h"

#include <assert.h>
#include <stdlib.h>

enum hif_err may_change(const struct vfs *vfs)
{
        return vfs->config.read_only ? HIF_EROFS : HIF_OK;
}

void fill_of_base(const struct vfs *vfs, struct onode *row, const struct entry *entry)
{
        struct vfs_attr attr;

        attr_of_base(vfs, row->id, entry, &attr);
        row->flags |= ONODE_ATTRS;
        row->kind = attr.kind;
        row->mode = attr.mode;
        row->uid = attr.uid;
        row->gid = attr.gid;
        row->nlink = 1;
        row->size = entry->size;
        row->atime = attr.atime;
        row->mtime = attr.mtime;
        row->ctime = attr.ctime;
        row->base = *entry;
        row->base_limit = entry->size;
}

struct onode *adopt(struct vfs *vfs, struct otx *tx, const struct vnode *node)
{
        struct onode *row = otx_node(tx, node->id);

        /* A node that has neither is new in a transaction that has run out of memory: what becomes
         * of its row no longer counts. */
        if ((row->flags & ONODE_ATTRS) != 0 || node->base == NULL)
                return row;
        fill_of_base(vfs, row, &node->base->entry);
        return row;
}

static enum hif_err note_place(struct vfs *vfs, uint64_t id, uint64_t parent, size_t name_at)
{
        if (vfs->placement_count == vfs->placement_capacity) {
                size_t capacity = vfs->placement_capacity ? vfs->placement_capacity * 2 : 16;
                struct placement *grown =
                    realloc(vfs->placements, capacity * sizeof(*vfs->placements));

                if (grown == NULL)
                        return HIF_ENOMEM;
                vfs->placements = grown;
                vfs->placement_capacity = capacity;
        }
        vfs->placements[vfs->placement_count++] =
            (struct placement){.id = id,
                               .parent = parent,
                               .name_at = name_at,
                               .name_size = vfs->place_names.size - name_at};
        return HIF_OK;
}

static bool noted(const struct vfs *vfs, uint64_t id)
{
        for (size_t i = 0; i < vfs->placement_count; i++)
                if (vfs->placements[i].id == id)
                        return true;
        return false;
}

/* Turn names that were appended from the leaf upwards, each with its size behind it, around. */
static void reverse_path(const struct buf *names, const size_t *ends, size_t count,
                         struct buf *path)
{
        for (size_t i = count; i > 0; i--) {
                size_t start = i > 1 ? ends[i - 2] : 0;

                if (i < count)
                        buf_put_u8(path, '/');
                buf_put(path, names->data + start, ends[i - 1] - start);
        }
}

enum hif_err place(struct vfs *vfs, struct vfs_call *call, uint64_t id, struct buf *path)
{
        CLEANUP(buf_free) struct buf names = {0};
        size_t ends[PATH_DEPTH_MAX], depth = 0;
        enum hif_err err;

        while (id != NODEID_ROOT) {
                const struct onode *row = overlay_node(vfs->config.overlay, id);
                bool placed = row != NULL && (row->flags & ONODE_PLACED) != 0;
                size_t name_at = vfs->place_names.size;
                uint64_t parent;

                if (path == NULL && (placed || noted(vfs, id)))
                        return HIF_OK; /* and so are its ancestors */
                if (depth == PATH_DEPTH_MAX)
                        return HIF_ENAMETOOLONG;
                err = parent_of(vfs, call, id, &parent, &vfs->place_names);
                if (err == HIF_OK && buf_failed(&vfs->place_names))
                        err = HIF_ENOMEM;
                if (err != HIF_OK)
                        return err;
                buf_put(&names, vfs->place_names.data + name_at, vfs->place_names.size - name_at);
                ends[depth++] = names.size;
                if (buf_failed(&names))
                        return HIF_ENOMEM;
                if (placed || noted(vfs, id)) {
                        vfs->place_names.size = name_at;
                } else {
                        err = note_place(vfs, id, parent, name_at);
                        if (err != HIF_OK)
                                return err;
                }
                id = parent;
        }
        if (path != NULL)
                reverse_path(&names, ends, depth, path);
        return HIF_OK;
}

void place_all(struct vfs *vfs, struct otx *tx)
{
        for (size_t i = 0; i < vfs->placement_count; i++) {
                const struct placement *placement = &vfs->placements[i];
                struct onode *row = otx_node(tx, placement->id);

                row->flags |= ONODE_PLACED;
                row->parent = placement->parent;
                row->name =
                    span_of(vfs->place_names.data + placement->name_at, placement->name_size);
        }
}

void touch_dir(struct vfs *vfs, struct otx *tx, const struct vnode *dir, struct hif_time time)
{
        struct onode *row = adopt(vfs, tx, dir);

        row->mtime = time;
        row->ctime = time;
}

void count_subdir(struct vfs *vfs, struct otx *tx, const struct vnode *dir, int by)
{
        struct onode *row = adopt(vfs, tx, dir);

        if (row->nlink >= NLINK_EMPTY_DIR)
                row->nlink += (uint32_t)by;
        if (row->nlink < NLINK_EMPTY_DIR)
                row->nlink = NLINK_NOT_COUNTED;
}

void put_name(struct otx *tx, const struct vnode *dir, const struct child *old, struct span name,
              uint64_t child)
{
        struct odirent row = {.dir = dir->id, .hash60 = old->hash60, .name = name, .child = child};

        if (old->row != NULL) {
                row.base_child = old->row->base_child;
                row.base = old->row->base;
        } else if (old->base != NULL) {
                row.base_child = old->base->id;
                row.base = old->base->entry;
        }
        if (child == row.base_child)
                otx_dirent_del(tx, dir->id, old->hash60, name);
        else
                otx_dirent_put(tx, &row);
}

enum hif_err finish(struct vfs *vfs, struct vfs_call *call, struct otx *tx, uint64_t node,
                    bool stable)
{
        uint64_t seq;
        enum hif_err err;

        if (call->reply != NULL) {
                struct overlay_reply reply = *call->reply;

                reply.node = node;
                otx_reply(tx, &reply);
        }
        err = otx_commit(tx, &seq);
        if (err != HIF_OK)
                return err;
        if (stable || (!call->closes && overlay_durability(vfs->config.overlay) == OVERLAY_POWER))
                call->stable_seq = seq;
        vfs->dirty = true;
        return HIF_OK;
}

bool name_is_local(struct span name)
{
        static const char store[] = ".DS_Store";

        return span_eq(name, span_of(store, sizeof(store) - 1)) ||
               (name.size > 2 && memcmp(name.data, "._", 2) == 0) ||
               (name.size > 4 && memcmp(name.data, ".nfs", 4) == 0);
}

void record_op(struct otx *tx, enum session_op_kind kind, struct span path, struct span path2)
{
        struct session_op op = {.kind = kind, .path = path, .path2 = path2};
        bool local = name_is_local(path_name(path));

        if (path2.size == 0 ? local : local && name_is_local(path_name(path2)))
                return;
        /* A renamed directory can have taken what is in it too deep: nothing there lands. */
        if (path.size > PATH_SIZE_MAX || path2.size > PATH_SIZE_MAX)
                return;
        otx_op(tx, &op);
}
