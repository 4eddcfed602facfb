/* attr.c - attributes, permissions and times. */
#include "vfs/internal.h"

#define NSEC_PER_SEC 1000000000u
#define BLOCK_SIZE   4096u

#define FILLED_PIECES_MAX 64u

static uint64_t used_of(uint64_t size)
{
        return (size + BLOCK_SIZE - 1) / BLOCK_SIZE * BLOCK_SIZE;
}

void attr_of_base(const struct vfs *vfs, uint64_t id, const struct entry *entry,
                  struct vfs_attr *out)
{
        static const uint16_t modes[] = {
            [ENTRY_FILE] = 0644, [ENTRY_EXEC] = 0755, [ENTRY_SYMLINK] = 0777, [ENTRY_DIR] = 0755};
        static const enum onode_kind kinds[] = {[ENTRY_FILE] = ONODE_FILE,
                                                [ENTRY_EXEC] = ONODE_FILE,
                                                [ENTRY_SYMLINK] = ONODE_SYMLINK,
                                                [ENTRY_DIR] = ONODE_DIR};

        *out = (struct vfs_attr){
            .id = id,
            .kind = kinds[entry->kind],
            .mode = modes[entry->kind],
            .nlink = 1,
            .uid = vfs->config.uid,
            .gid = vfs->config.gid,
            .size = entry->kind == ENTRY_DIR ? BLOCK_SIZE : entry->size,
            .used = used_of(entry->kind == ENTRY_DIR ? BLOCK_SIZE : entry->size),
            .atime = entry->mtime,
            .mtime = entry->mtime,
            .ctime = entry->mtime,
        };
}

/* What is not in a hole: written, or showing from the base. Of a file in very many pieces only the
 * first count, and what is behind them is taken for full. */
static uint64_t filled_of(const struct onode *row)
{
        uint64_t filled = row->base_limit, counted_to = 0;

        if (row->kind == ONODE_DIR)
                return BLOCK_SIZE;
        if (row->kind != ONODE_FILE)
                return row->size;
        for (uint32_t i = 0; i < row->extent_count; i++) {
                const struct oextent *extent = &row->extents[i];
                uint64_t end = extent->offset + extent->size;

                if (i == FILLED_PIECES_MAX)
                        return filled + (row->size - counted_to);
                counted_to = end;
                if (end > row->base_limit)
                        filled += end - (extent->offset > row->base_limit ? extent->offset
                                                                          : row->base_limit);
        }
        return filled;
}

void attr_of(const struct vfs *vfs, const struct vnode *node, struct vfs_attr *out)
{
        const struct onode *row = node->row;

        if (row == NULL || (row->flags & ONODE_ATTRS) == 0) {
                attr_of_base(vfs, node->id, &node->base->entry, out);
                if (node->base->ghost)
                        out->nlink = 0;
                return;
        }
        *out = (struct vfs_attr){
            .id = node->id,
            .kind = row->kind,
            .mode = row->mode,
            .nlink = row->nlink,
            .uid = row->uid,
            .gid = row->gid,
            .size = row->kind == ONODE_DIR ? BLOCK_SIZE : row->size,
            .used = used_of(filled_of(row)),
            .device = row->kind == ONODE_BLOCK || row->kind == ONODE_CHAR ? row->device : 0,
            .atime = row->atime,
            .mtime = row->mtime,
            .ctime = row->ctime,
        };
}

bool is_super(const struct vfs_call *call)
{
        return call->caller->uid == 0;
}

bool in_group(const struct vfs_caller *caller, uint32_t gid)
{
        if (caller->gid == gid)
                return true;
        for (uint32_t i = 0; i < caller->group_count; i++)
                if (caller->groups[i] == gid)
                        return true;
        return false;
}

uint32_t granted_of(const struct vfs *vfs, const struct vfs_attr *attr,
                    const struct vfs_caller *caller)
{
        uint32_t bits, granted = 0;

        if (caller->uid == 0)
                bits = 6 | (attr->kind == ONODE_DIR || (attr->mode & 0111) != 0 ? 1 : 0);
        else if (caller->uid == attr->uid)
                bits = attr->mode >> 6 & 7u;
        else if (in_group(caller, attr->gid))
                bits = attr->mode >> 3 & 7u;
        else
                bits = attr->mode & 7u;
        if (vfs->config.read_only)
                bits &= 5;
        if ((bits & 4) != 0)
                granted |= VFS_READ;
        if ((bits & 2) != 0)
                granted |= VFS_MODIFY | VFS_EXTEND | (attr->kind == ONODE_DIR ? VFS_DELETE : 0);
        if ((bits & 1) != 0)
                granted |= attr->kind == ONODE_DIR ? VFS_LOOKUP : VFS_EXECUTE;
        return granted;
}

enum hif_err require(const struct vfs *vfs, const struct vfs_call *call,
                     const struct vfs_attr *attr, uint32_t wanted)
{
        return (granted_of(vfs, attr, call->caller) & wanted) == wanted ? HIF_OK : HIF_EACCES;
}

enum hif_err require_sticky(const struct vfs_call *call, const struct vfs_attr *dir,
                            const struct vfs_attr *child)
{
        uint32_t uid = call->caller->uid;

        if ((dir->mode & 01000) == 0 || uid == 0 || uid == dir->uid || uid == child->uid)
                return HIF_OK;
        return HIF_EPERM;
}

struct hif_time now_of(const struct vfs *vfs)
{
        uint64_t ns = loop_wall_ns(vfs->config.loop);

        return (struct hif_time){.sec = (int64_t)(ns / NSEC_PER_SEC),
                                 .nsec = (uint32_t)(ns % NSEC_PER_SEC)};
}

static bool time_after(struct hif_time a, struct hif_time b)
{
        return a.sec > b.sec || (a.sec == b.sec && a.nsec > b.nsec);
}

struct hif_time tick(struct vfs *vfs)
{
        struct hif_time now = now_of(vfs), last = vfs->last_ctime;

        if (!time_after(now, last)) {
                now = last;
                if (++now.nsec == NSEC_PER_SEC) {
                        now.nsec = 0;
                        now.sec++;
                }
        }
        vfs->last_ctime = now;
        return now;
}

void wcc_before(struct vfs_wcc *wcc, const struct vfs_attr *attr)
{
        wcc->have = true;
        wcc->size_before = attr->size;
        wcc->mtime_before = attr->mtime;
        wcc->ctime_before = attr->ctime;
        wcc->after = *attr;
}

void wcc_after(struct vfs *vfs, struct vfs_call *call, uint64_t id, struct vfs_wcc *wcc)
{
        struct vnode node;

        /* Only what the call resolved before is asked for again, so it is resident. */
        if (resolve(vfs, call, id, &node) == HIF_OK)
                attr_of(vfs, &node, &wcc->after);
        else
                wcc->have = false;
}

enum hif_err vfs_getattr(struct vfs *vfs, struct vfs_call *call, uint64_t id, struct vfs_attr *attr)
{
        struct vnode node;
        enum hif_err err = enter(vfs, call);

        if (err != HIF_OK)
                return err;
        err = resolve(vfs, call, id, &node);
        if (err == HIF_OK)
                attr_of(vfs, &node, attr);
        return err;
}

enum hif_err vfs_access(struct vfs *vfs, struct vfs_call *call, uint64_t id, uint32_t wanted,
                        uint32_t *granted, struct vfs_attr *attr)
{
        enum hif_err err = vfs_getattr(vfs, call, id, attr);

        if (err == HIF_OK)
                *granted = granted_of(vfs, attr, call->caller) & wanted;
        return err;
}

enum hif_err vfs_statfs(struct vfs *vfs, struct vfs_call *call, struct vfs_statfs *out)
{
        struct env *env = vfs->config.env;
        enum hif_err err = enter(vfs, call);
        uint64_t now = loop_now_ns(vfs->config.loop), entries = 0;
        uint64_t reserve = overlay_reserve(vfs->config.overlay);

        if (err != HIF_OK)
                return err;
        if (vfs->statfs_ns == 0 || now - vfs->statfs_ns > NSEC_PER_SEC) {
                err = env->ops->space(env, vfs->config.dir, &vfs->statfs.bytes_free,
                                      &vfs->statfs.bytes_total);
                if (err != HIF_OK)
                        return err;
                vfs->statfs_ns = now;
                /* What nobody may write is not free. */
                vfs->statfs.bytes_free -=
                    vfs->statfs.bytes_free < reserve ? vfs->statfs.bytes_free : reserve;
        }
        err = tree_count(&vfs->nodes.source, &vfs->epochs[vfs->epoch].tree, &entries);
        if (err != HIF_OK)
                return take_misses(vfs, call, err);
        *out = vfs->statfs;
        out->files_free = INT64_MAX / 2;
        out->files_total = entries + out->files_free;
        return HIF_OK;
}
