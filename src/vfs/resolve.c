/* resolve.c - from a number to what it stands for: an overlay row, an entry of the base, or both.
 */
#include "vfs/internal.h"

#include <assert.h>

enum hif_err enter(struct vfs *vfs, struct vfs_call *call)
{
        vfs->stats.calls++;
        vfs->nodes.want_count = 0;
        vfs->placement_count = 0;
        buf_reset(&vfs->place_names);
        call->want_count = 0;
        call->load.size = 0;
        call->stable_seq = 0;
        vcache_trim(&vfs->cache);
        if (call->caller->uid != 0 && call->caller->uid != vfs->config.uid &&
            !vfs->config.allow_other)
                return HIF_EACCES;
        return HIF_OK;
}

enum hif_err take_misses(struct vfs *vfs, struct vfs_call *call, enum hif_err err)
{
        if (err != HIF_EMISS)
                return err;
        for (size_t i = 0; i < vfs->nodes.want_count && call->want_count < FETCH_WANTS_MAX; i++)
                call->wants[call->want_count++] = vfs->nodes.wants[i];
        vfs->nodes.want_count = 0;
        vfs->stats.faults++;
        return err;
}

/* An entry that the cursor stands on, remembered under its number. */
static enum hif_err remember(struct vfs *vfs, uint64_t id, uint64_t rank, bool ghost,
                             const struct vcached **out)
{
        struct vcached *cached = vcache_get(&vfs->cache, id);

        if (cached == NULL) {
                struct entry entry;

                tree_cursor_entry(&vfs->cursor, &entry);
                cached = vcache_put(&vfs->cache, id, rank, tree_cursor_key(&vfs->cursor), &entry);
                if (cached == NULL)
                        return HIF_ENOMEM;
                cached->ghost = ghost;
        }
        *out = cached;
        return HIF_OK;
}

enum hif_err base_of(struct vfs *vfs, struct vfs_call *call, uint64_t id,
                     const struct vcached **out)
{
        const struct vcached *cached = vcache_get(&vfs->cache, id);
        const struct hif_hash *tree = &vfs->epochs[vfs->epoch].tree;
        bool ghost = false;
        uint64_t rank;
        enum hif_err err;

        if (cached != NULL) {
                *out = cached;
                return HIF_OK;
        }
        if (!runs_rank(&vfs->runs, id, &rank)) {
                if (!nodeid_is_base(id))
                        return HIF_ENOENT;
                if (nodeid_epoch(id) >= vfs->epoch)
                        return HIF_EBADHANDLE;
                ghost = true;
                rank = nodeid_rank(id);
                tree = &vfs->epochs[nodeid_epoch(id)].tree;
        }
        err = tree_seek_rank(&vfs->cursor, tree, rank);
        if (err == HIF_ENOENT)
                return HIF_EBADHANDLE;
        if (err != HIF_OK)
                return take_misses(vfs, call, err);
        return remember(vfs, id, rank, ghost, out);
}

static enum onode_kind kind_of_entry(const struct entry *entry)
{
        switch (entry->kind) {
        case ENTRY_FILE:
        case ENTRY_EXEC:
                return ONODE_FILE;
        case ENTRY_SYMLINK:
                return ONODE_SYMLINK;
        case ENTRY_DIR:
                return ONODE_DIR;
        }
        assert(false && "entries are checked on arrival");
        return ONODE_FILE;
}

enum hif_err resolve(struct vfs *vfs, struct vfs_call *call, uint64_t id, struct vnode *out)
{
        struct vnode node = {.id = id, .row = overlay_node(vfs->config.overlay, id)};
        enum hif_err err;

        if (node.row != NULL && (node.row->flags & ONODE_ATTRS) != 0) {
                if ((node.row->flags & ONODE_REMOVED) != 0 && node.row->kind == ONODE_DIR)
                        return HIF_ESTALE;
                node.kind = node.row->kind;
                *out = node;
                return HIF_OK;
        }
        err = base_of(vfs, call, id, &node.base);
        if (err == HIF_ENOENT)
                return HIF_ESTALE; /* made in the overlay once, and gone */
        if (err != HIF_OK)
                return err;
        if (node.base->ghost && node.base->entry.kind == ENTRY_DIR)
                return HIF_ESTALE;
        node.kind = kind_of_entry(&node.base->entry);
        *out = node;
        return HIF_OK;
}

enum hif_err resolve_dir(struct vfs *vfs, struct vfs_call *call, uint64_t id, struct vnode *out)
{
        struct vnode node;
        enum hif_err err = resolve(vfs, call, id, &node);

        if (err != HIF_OK)
                return err;
        if (node.kind != ONODE_DIR)
                return HIF_ENOTDIR;
        if (node.base == NULL) {
                err = base_of(vfs, call, id, &node.base);
                if (err == HIF_ENOENT)
                        node.base = NULL; /* made in the overlay and not landed */
                else if (err != HIF_OK)
                        return err;
                else if (node.base->ghost && (node.row == NULL || node.row->nlink == 0))
                        return HIF_ESTALE;
                if (node.base != NULL && node.base->ghost)
                        node.base = NULL; /* its base is gone; what is in it, rows tell */
        }
        *out = node;
        return HIF_OK;
}

struct span base_prefix(struct vfs *vfs, const struct vcached *dir)
{
        buf_reset(&vfs->prefix);
        key_prefix_of_key(&vfs->prefix, span_of(dir->key, dir->key_size));
        return buf_span(&vfs->prefix);
}

enum hif_err base_child(struct vfs *vfs, struct vfs_call *call, const struct vcached *dir,
                        uint64_t hash60, struct span name, const struct vcached **out)
{
        struct span prefix = base_prefix(vfs, dir);
        struct vcached *cached;
        struct entry entry;
        uint64_t rank, id;
        enum hif_err err;

        buf_reset(&vfs->key);
        key_child(&vfs->key, prefix, hash60, name);
        if (buf_failed(&vfs->key) || buf_failed(&vfs->prefix))
                return HIF_ENOMEM;
        err = tree_find(&vfs->cursor, &vfs->epochs[vfs->epoch].tree, buf_span(&vfs->key), &entry,
                        &rank);
        if (err != HIF_OK)
                return take_misses(vfs, call, err);
        id = runs_id(&vfs->runs, rank);
        cached = vcache_get(&vfs->cache, id);
        if (cached == NULL)
                cached = vcache_put(&vfs->cache, id, rank, buf_span(&vfs->key), &entry);
        if (cached == NULL)
                return HIF_ENOMEM;
        cached->parent = dir->id;
        *out = cached;
        return HIF_OK;
}

/* The number of the base directory that holds a base entry. */
static enum hif_err base_parent(struct vfs *vfs, struct vfs_call *call,
                                const struct vcached *cached, uint64_t *parent)
{
        struct span prefix = key_parent_prefix(span_of(cached->key, cached->key_size));
        const struct vcached *found;
        struct buf path = {0};
        uint64_t rank;
        struct entry entry;
        enum hif_err err;

        if (cached->parent != NODEID_NONE) {
                *parent = cached->parent;
                return HIF_OK;
        }
        if (prefix.size == 0) {
                *parent = NODEID_ROOT;
                return HIF_OK;
        }
        buf_put_span(&path, span_of(prefix.data, prefix.size - 1));
        for (size_t i = 0; i < path.size; i++)
                if (path.data[i] == 0)
                        path.data[i] = '/';
        buf_reset(&vfs->key);
        if (!buf_failed(&path))
                key_from_path(&vfs->key, buf_span(&path));
        err = buf_failed(&path) || buf_failed(&vfs->key) ? HIF_ENOMEM : HIF_OK;
        buf_free(&path);
        if (err != HIF_OK)
                return err;
        err = tree_find(&vfs->cursor, &vfs->epochs[vfs->epoch].tree, buf_span(&vfs->key), &entry,
                        &rank);
        if (err == HIF_ENOENT)
                return HIF_ECORRUPT; /* an entry whose directory is not in its tree */
        if (err != HIF_OK)
                return take_misses(vfs, call, err);
        err = remember(vfs, runs_id(&vfs->runs, rank), rank, false, &found);
        if (err != HIF_OK)
                return err;
        *parent = found->id;
        return HIF_OK;
}

enum hif_err parent_of(struct vfs *vfs, struct vfs_call *call, uint64_t id, uint64_t *parent,
                       struct buf *name)
{
        const struct onode *row = overlay_node(vfs->config.overlay, id);
        const struct vcached *base;
        enum hif_err err;

        assert(id != NODEID_ROOT);
        if (row != NULL && (row->flags & ONODE_REMOVED) != 0)
                return HIF_ESTALE;
        if (row != NULL && (row->flags & ONODE_PLACED) != 0) {
                *parent = row->parent;
                if (name != NULL)
                        buf_put_span(name, row->name);
                return HIF_OK;
        }
        err = base_of(vfs, call, id, &base);
        if (err == HIF_ENOENT || (err == HIF_OK && base->ghost))
                return HIF_ESTALE;
        if (err != HIF_OK)
                return err;
        if (name != NULL)
                buf_put_span(name, key_name(span_of(base->key, base->key_size)));
        return base_parent(vfs, call, base, parent);
}

enum hif_err child_of(struct vfs *vfs, struct vfs_call *call, const struct vnode *dir,
                      struct span name, struct child *out)
{
        struct child child = {.hash60 = name_hash60(name)};
        enum hif_err err;

        if (overlay_dirent_count(vfs->config.overlay, dir->id) > 0) {
                child.row = overlay_dirent(vfs->config.overlay, dir->id, child.hash60, name);
                if (child.row != NULL) {
                        child.id = child.row->child;
                        *out = child;
                        return HIF_OK;
                }
        }
        if (dir->base != NULL) {
                err = base_child(vfs, call, dir->base, child.hash60, name, &child.base);
                if (err == HIF_OK)
                        child.id = child.base->id;
                else if (err != HIF_ENOENT)
                        return err;
        }
        *out = child;
        return HIF_OK;
}

enum hif_err check_name(struct span name)
{
        if (name.size > NAME_SIZE_MAX)
                return HIF_ENAMETOOLONG;
        return name_valid(name) ? HIF_OK : HIF_EINVAL;
}
