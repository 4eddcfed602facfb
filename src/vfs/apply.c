/* apply.c - carry a planned move of the base out, in one transaction. On the loop. */
#include "vfs/move_impl.h"

#include <stdlib.h>

static enum hif_err put_epochs(struct vfs *vfs, struct otx *tx, const struct vfs_base *to,
                               struct buf *value)
{
        for (uint32_t i = 0; i <= vfs->epoch + 1; i++) {
                const struct vfs_base *base = i <= vfs->epoch ? &vfs->epochs[i] : to;

                buf_put_u64(value, base->position);
                buf_put(value, base->slot.bytes, HIF_HASH_SIZE);
                buf_put(value, base->tree.bytes, HIF_HASH_SIZE);
        }
        if (buf_failed(value))
                return HIF_ENOMEM;
        otx_value(tx, VALUE_EPOCHS, buf_span(value));
        return HIF_OK;
}

struct applying {
        struct vfs *vfs;
        struct otx *tx;
        const struct vfs_move *move;
        struct runs *runs; /* the new ones */
        struct map names;  /* node -> a live row that names it */
        struct map kept;   /* directories that others removed, and in which something of ours is */
        struct map shown;  /* nodes that got a row because their directory lost its base */
        struct map gone_dirs;
        struct buf dropped; /* struct odirent: names that others' changes replace */
        struct buf gone;    /* u64: nodes that lost their last name */
        enum hif_err err;
};

/* A node that goes by the base's name again is placed there. */
static void place_at(struct applying *ap, const struct odirent *row)
{
        const struct onode *node = overlay_node(ap->vfs->config.overlay, row->child);
        struct onode *placed;

        if (node == NULL || (node->flags & ONODE_PLACED) == 0 ||
            (node->parent == row->dir && span_eq(node->name, row->name)))
                return;
        placed = otx_node(ap->tx, row->child);
        placed->parent = row->dir;
        placed->name = row->name;
}

static void put_dirent(struct applying *ap, const struct odirent *row, uint64_t base_child,
                       const struct entry *base)
{
        struct odirent changed = *row;

        changed.base_child = base_child;
        changed.base = *base;
        if (changed.child != base_child) {
                otx_dirent_put(ap->tx, &changed);
                return;
        }
        otx_dirent_del(ap->tx, row->dir, row->hash60, row->name);
        if (changed.child != NODEID_NONE)
                place_at(ap, row);
}

static bool lost_base(const struct applying *ap, uint64_t id)
{
        uint64_t rank;

        return id != NODEID_ROOT && runs_rank(&ap->vfs->runs, id, &rank) &&
               !runs_rank(ap->runs, id, &rank);
}

/* --- names --------------------------------------------------------------------------------------
 */

static bool holds_names(const struct applying *ap, uint64_t dir)
{
        const struct odirent *row =
            overlay_dirent_seek(ap->vfs->config.overlay, dir, 0, (struct span){0});

        for (; row != NULL; row = overlay_dirent_next(ap->vfs->config.overlay, row))
                if (row->child != NODEID_NONE && !name_is_local(row->name))
                        return true;
        return false;
}

/* A row that gives way to what others made of the name: as the snapshot had it, of a node that was
 * not written since. */
static bool gives_way(const struct applying *ap, const struct move_name *name,
                      const struct odirent *row)
{
        const struct odirent *then =
            vfs_rows_dirent(ap->move->rows, row->dir, row->hash60, row->name);
        const struct onode *node = overlay_node(ap->vfs->config.overlay, row->child);

        if (name == NULL || !name->plain || then == NULL || row->seq > ap->move->seq ||
            then->child != row->child)
                return false;
        if (row->child == NODEID_NONE)
                return true;
        return node != NULL && (node->kind == ONODE_DIR ? !holds_names(ap, node->id)
                                                        : node->data_seq <= ap->move->seq);
}

/* What others made of a name; NULL: they did not change it. */
static const struct move_name *find_other(const struct applying *ap, const struct odirent *row)
{
        struct move_name key = {.dir = row->dir, .hash60 = row->hash60, .name = row->name};

        if (ap->move->others.size == 0)
                return NULL;
        return bsearch(&key, ap->move->others.data, ap->move->others.size / sizeof(key),
                       sizeof(key), vfs_move_compare_names);
}

/* A directory was made since the snapshot where others have landed one: what is in theirs would be
 * hidden. Another plan makes them one. */
static bool hides(const struct applying *ap, const struct odirent *row)
{
        const struct onode *node = overlay_node(ap->vfs->config.overlay, row->child);
        const struct move_name *theirs = find_other(ap, row);
        uint64_t rank;

        if (row->seq <= ap->move->seq || node == NULL || node->kind != ONODE_DIR ||
            runs_rank(&ap->vfs->runs, row->child, &rank) || runs_rank(ap->runs, row->child, &rank))
                return false;
        return theirs != NULL && theirs->base_child != NODEID_NONE &&
               theirs->base.kind == ENTRY_DIR;
}

/* A live row: what the base has under its name may be something else now. */
static bool refresh(void *arg, const struct odirent *row)
{
        struct applying *ap = arg;
        const struct move_name *name = vfs_move_find_name(ap->move, row);

        if (gives_way(ap, name, row)) {
                otx_dirent_del(ap->tx, row->dir, row->hash60, row->name);
                if (row->child != NODEID_NONE)
                        buf_put(&ap->dropped, row, sizeof(*row));
                return !buf_failed(&ap->dropped);
        }
        if (row->child != NODEID_NONE)
                ap->err = map_put(&ap->names, row->child, (void *)(uintptr_t)row);
        if (hides(ap, row))
                ap->err = HIF_EBUSY;
        if (name != NULL)
                put_dirent(ap, row, name->base_child, &name->base);
        else if (row->base_child != NODEID_NONE && lost_base(ap, row->dir))
                put_dirent(ap, row, NODEID_NONE, &(struct entry){0});
        return ap->err == HIF_OK;
}

/* Rows that the snapshot had and that went since: the name was given back to what the old base had.
 */
static void give_back(struct applying *ap)
{
        const struct vfs_move *move = ap->move;

        for (size_t i = 0; i < move->rows->dirent_count; i++) {
                const struct move_name *name = &move->dirents[i];
                struct odirent back = move->rows->dirents[i];

                if (overlay_dirent(ap->vfs->config.overlay, back.dir, back.hash60, back.name) !=
                    NULL)
                        continue;
                back.child = back.base_child;
                /* A name that never landed, and others have one now: that is theirs. */
                if (back.child == name->base_child ||
                    (back.child == NODEID_NONE && find_other(ap, &back) != NULL))
                        continue;
                if (back.child != NODEID_NONE && ap->err == HIF_OK)
                        ap->err = map_put(&ap->shown, back.child, ap);
                put_dirent(ap, &back, name->base_child, &name->base);
        }
}

/* A name that only the old base gave, as a row. */
static void keep_name(struct applying *ap, struct odirent *row)
{
        const struct move_name *name = vfs_move_find_name(ap->move, row);

        if (name != NULL) {
                row->base_child = name->base_child;
                row->base = name->base;
        }
        otx_dirent_put(ap->tx, row);
}

/* What showed through from a base that is gone is told by rows from now on. */
static void keep_shown(struct applying *ap)
{
        const struct move_kept *kept = (const void *)ap->move->kept.data;

        for (size_t i = 0; i < ap->move->kept.size / sizeof(*kept); i++) {
                const struct vfs_expanded *item = kept[i].item;
                struct span name = path_name(item->path);
                struct odirent row = {.dir = kept[i].dir,
                                      .hash60 = name_hash60(name),
                                      .name = name,
                                      .child = item->node};
                struct entry entry = {.kind = item->entry_kind,
                                      .size = item->size,
                                      .hash = item->hash,
                                      .mtime = item->mtime,
                                      .loc = item->loc};
                struct onode *node;
                struct vfs_attr attr;
                uint64_t rank;

                if (overlay_dirent(ap->vfs->config.overlay, row.dir, row.hash60, row.name) != NULL)
                        continue;
                keep_name(ap, &row);
                if (ap->err == HIF_OK)
                        ap->err = map_put(&ap->shown, item->node, (void *)(uintptr_t)item);
                node = otx_node(ap->tx, item->node);
                if (!runs_rank(ap->runs, item->node, &rank)) {
                        node->flags |= ONODE_PLACED;
                        node->parent = row.dir;
                        node->name = name;
                }
                if ((node->flags & ONODE_ATTRS) != 0)
                        continue;
                attr_of_base(ap->vfs, item->node, &entry, &attr);
                node->flags |= ONODE_ATTRS;
                node->kind = attr.kind;
                node->mode = attr.mode;
                node->uid = attr.uid;
                node->gid = attr.gid;
                node->nlink = 1;
                node->size = entry.size;
                node->target = item->target;
                node->base = entry;
                node->base_limit = entry.size;
                node->atime = node->mtime = node->ctime = entry.mtime;
        }
}

/* --- nodes --------------------------------------------------------------------------------------
 */

/* Content that has landed is the base's from now on; attributes stay as they are. A file that was
 * written since keeps those bytes: what it still shows of its old base, the new one has too. */
static void apply_nodes(struct applying *ap)
{
        const struct move_node *nodes = (const void *)ap->move->nodes.data;

        for (size_t i = 0; i < ap->move->nodes.size / sizeof(*nodes); i++) {
                const struct onode *row = overlay_node(ap->vfs->config.overlay, nodes[i].id);
                bool written = row != NULL && row->data_seq > ap->move->seq;
                struct onode *changed;

                if (row == NULL || (row->flags & ONODE_ATTRS) == 0 || row->kind == ONODE_DIR)
                        continue;
                if (!written)
                        otx_drop_extents(ap->tx, nodes[i].id);
                changed = otx_node(ap->tx, nodes[i].id);
                changed->base = nodes[i].entry;
                if (row->kind != ONODE_FILE)
                        continue;
                if (!written) {
                        changed->flags &= ~(uint32_t)ONODE_CONTENT;
                        changed->base_limit = nodes[i].entry.size;
                        changed->data_seq = 0;
                } else if (changed->base_limit > nodes[i].entry.size) {
                        changed->base_limit = nodes[i].entry.size;
                }
        }
}

/* Does the node go by a name that only the old base gave it? */
static bool at_home(const struct applying *ap, const struct onode *node)
{
        return (node->flags & ONODE_PLACED) != 0 && (node->flags & ONODE_REMOVED) == 0 &&
               lost_base(ap, node->id) && map_get(&ap->shown, node->id) == NULL &&
               overlay_dirent(ap->vfs->config.overlay, node->parent, name_hash60(node->name),
                              node->name) == NULL;
}

/* Has a file lost the name that the old base gave it, and goes by another one in the new base? */
static bool moved_home(const struct applying *ap, const struct onode *node)
{
        struct odirent row = {.dir = node->parent, .name = node->name};
        const struct move_name *name;
        uint64_t rank;

        if (node->nlink < 2 || (node->flags & ONODE_PLACED) == 0 ||
            map_get(&ap->shown, node->id) != NULL || !runs_rank(ap->runs, node->id, &rank))
                return false;
        row.hash60 = name_hash60(row.name);
        if (overlay_dirent(ap->vfs->config.overlay, row.dir, row.hash60, row.name) != NULL ||
            vfs_rows_dirent(ap->move->rows, row.dir, row.hash60, row.name) != NULL)
                return false;
        name = vfs_move_find_name(ap->move, &row);
        return name != NULL && name->base_child != node->id;
}

/* Does it hold something of ours? */
static bool is_written(const struct applying *ap, const struct onode *node)
{
        return node->kind == ONODE_FILE && (node->flags & ONODE_CONTENT) != 0 &&
               (map_get(&ap->move->plain, node->id) == NULL || node->data_seq > ap->move->seq);
}

/* Below a name that never lands? */
static bool is_below_local(const struct applying *ap, uint64_t dir)
{
        while (dir != NODEID_ROOT) {
                const struct onode *node = overlay_node(ap->vfs->config.overlay, dir);

                if (node == NULL || (node->flags & ONODE_PLACED) == 0 || name_is_local(node->name))
                        return true;
                dir = node->parent;
        }
        return false;
}

/* The directories above, where others removed them, stay. */
static void keep_above(struct applying *ap, uint64_t dir)
{
        while (ap->err == HIF_OK && dir != NODEID_ROOT) {
                const struct onode *node = overlay_node(ap->vfs->config.overlay, dir);

                if (node == NULL || (node->flags & ONODE_PLACED) == 0 ||
                    (node->flags & ONODE_REMOVED) != 0)
                        return;
                if (at_home(ap, node))
                        ap->err = map_put(&ap->kept, dir, (void *)(uintptr_t)node);
                dir = node->parent;
        }
}

static bool keep_named(void *arg, const struct odirent *row)
{
        struct applying *ap = arg;

        if (row->child != NODEID_NONE && !name_is_local(row->name) &&
            !is_below_local(ap, row->dir) && !gives_way(ap, vfs_move_find_name(ap->move, row), row))
                keep_above(ap, row->dir);
        return ap->err == HIF_OK;
}

static bool keep_written(void *arg, const struct onode *node)
{
        struct applying *ap = arg;

        if (is_written(ap, node) && (at_home(ap, node) || moved_home(ap, node)) &&
            !is_below_local(ap, node->parent))
                keep_above(ap, node->parent);
        return ap->err == HIF_OK;
}

/* The node loses a name; where that was its place and it has others, one of them is. */
static void lose_name(struct applying *ap, uint64_t id, uint64_t dir, struct span name)
{
        const struct odirent *other = map_get(&ap->names, id);
        struct onode *changed = otx_node(ap->tx, id);

        changed->ctime = tick(ap->vfs);
        if (changed->nlink > 1) {
                changed->nlink--;
                if (changed->parent != dir || !span_eq(changed->name, name) || other == NULL)
                        return;
                changed->parent = other->dir;
                changed->name = other->name;
                return;
        }
        changed->nlink = 0;
        changed->flags |= ONODE_REMOVED;
        buf_put_u64(&ap->gone, id);
        if (changed->kind == ONODE_DIR && ap->err == HIF_OK)
                ap->err = map_put(&ap->gone_dirs, id, ap);
        if (buf_failed(&ap->gone))
                ap->err = HIF_ENOMEM;
}

static void keep_home(struct applying *ap, const struct onode *node)
{
        struct odirent row = {.dir = node->parent,
                              .hash60 = name_hash60(node->name),
                              .name = node->name,
                              .child = node->id};

        keep_name(ap, &row);
}

/* A directory whose base is gone has attributes of its own. */
static void keep_attrs(struct applying *ap, uint64_t id)
{
        struct entry entry = {.kind = ENTRY_DIR, .mtime = now_of(ap->vfs)};
        struct onode *node = otx_node(ap->tx, id);
        struct vfs_attr attr;

        attr_of_base(ap->vfs, id, &entry, &attr);
        node->flags |= ONODE_ATTRS;
        node->kind = attr.kind;
        node->mode = attr.mode;
        node->uid = attr.uid;
        node->gid = attr.gid;
        node->nlink = 1;
        node->atime = node->mtime = attr.mtime;
        node->ctime = tick(ap->vfs);
}

/* Others removed or replaced what had only the base's name. What we have written, and directories
 * in which something of ours is, keep it; the rest loses it. */
static bool leave_home(void *arg, const struct onode *node)
{
        struct applying *ap = arg;

        if (moved_home(ap, node) && is_written(ap, node))
                keep_home(ap, node);
        else if (moved_home(ap, node))
                lose_name(ap, node->id, node->parent, node->name);
        if (!at_home(ap, node))
                return true;
        if (is_written(ap, node) || map_get(&ap->kept, node->id) != NULL) {
                keep_home(ap, node);
                if ((node->flags & ONODE_ATTRS) == 0)
                        keep_attrs(ap, node->id);
                return true;
        }
        lose_name(ap, node->id, node->parent, node->name);
        return ap->err == HIF_OK;
}

/* Rows below a directory that others removed name nothing any more. */
static bool sweep(void *arg, const struct odirent *row)
{
        struct applying *ap = arg;
        uint64_t dir = row->dir;

        if (gives_way(ap, vfs_move_find_name(ap->move, row), row))
                return true; /* gone already */
        for (size_t depth = 0; dir != NODEID_ROOT && depth < PATH_DEPTH_MAX; depth++) {
                const struct onode *node = overlay_node(ap->vfs->config.overlay, dir);

                if (map_get(&ap->gone_dirs, dir) != NULL)
                        break;
                dir =
                    node != NULL && (node->flags & ONODE_PLACED) != 0 ? node->parent : NODEID_ROOT;
        }
        if (dir == NODEID_ROOT) {
                if (row->child != NODEID_NONE)
                        ap->err = map_put(&ap->names, row->child, (void *)(uintptr_t)row);
                return ap->err == HIF_OK;
        }
        otx_dirent_del(ap->tx, row->dir, row->hash60, row->name);
        if (row->child != NODEID_NONE)
                buf_put(&ap->dropped, row, sizeof(*row));
        return !buf_failed(&ap->dropped);
}

static void drop_names(struct applying *ap)
{
        const struct odirent *dropped = (const void *)ap->dropped.data;

        for (size_t i = 0; i < ap->dropped.size / sizeof(*dropped); i++)
                lose_name(ap, dropped[i].child, dropped[i].dir, dropped[i].name);
        buf_reset(&ap->dropped);
}

static void sweep_rows(struct applying *ap)
{
        map_free(&ap->names);
        overlay_each_dirent(ap->vfs->config.overlay, sweep, ap);
        if (buf_failed(&ap->dropped))
                ap->err = HIF_ENOMEM;
        drop_names(ap);
}

static enum hif_err apply_rows(struct applying *ap)
{
        const struct overlay *overlay = ap->vfs->config.overlay;

        overlay_each_dirent(overlay, refresh, ap);
        if (buf_failed(&ap->dropped))
                return HIF_ENOMEM;
        drop_names(ap);
        give_back(ap);
        keep_shown(ap);
        apply_nodes(ap);
        if (ap->err == HIF_OK)
                overlay_each_dirent(overlay, keep_named, ap);
        if (ap->err == HIF_OK)
                overlay_each_node(overlay, keep_written, ap);
        if (ap->err == HIF_OK)
                overlay_each_node(overlay, leave_home, ap);
        if (ap->err == HIF_OK && ap->gone_dirs.count > 0)
                sweep_rows(ap);
        return ap->err;
}

/* What the move changed gets the time of the move, so that make(1) sees it. */
static void apply_times(struct vfs *vfs, struct otx *tx, const struct vfs_move *move)
{
        const struct move_node *changed = (const void *)move->changed.data;
        const struct vfs_touched *touched = (const void *)move->touched.data;
        struct hif_time now = now_of(vfs);

        for (size_t i = 0; i < move->changed.size / sizeof(*changed); i++) {
                struct onode *row = otx_node(tx, changed[i].id);
                struct vfs_attr attr;

                if ((row->flags & ONODE_ATTRS) != 0)
                        continue;
                attr_of_base(vfs, changed[i].id, &changed[i].entry, &attr);
                row->flags |= ONODE_ATTRS;
                row->kind = attr.kind;
                row->mode = attr.mode;
                row->uid = attr.uid;
                row->gid = attr.gid;
                row->nlink = 1;
                row->size = changed[i].entry.size;
                row->base = changed[i].entry;
                row->base_limit = row->size;
                row->atime = row->mtime = now;
                row->ctime = tick(vfs);
        }
        for (size_t i = 0; i < move->touched.size / sizeof(*touched); i++) {
                const struct onode *row = overlay_node(vfs->config.overlay, touched[i].id);
                struct onode *dir;

                if (row == NULL || (row->flags & ONODE_ATTRS) == 0)
                        continue;
                dir = otx_node(tx, touched[i].id);
                dir->mtime = now;
                dir->ctime = tick(vfs);
        }
}

static void take_over(struct vfs *vfs, struct vfs_base *epochs, const struct vfs_move *move,
                      struct runs *runs)
{
        tree_cursor_close(&vfs->cursor);
        tree_cursor_close(&vfs->scan);
        vcache_clear(&vfs->cache);
        fetch_hints_cancel(vfs->directory_hints);
        vfs->prefetched_dir = NODEID_NONE;
        vfs->epochs = epochs;
        vfs->epochs[++vfs->epoch] = move->to;
        runs_free(&vfs->runs);
        vfs->runs = *runs;
        vfs->dirty = true;
}

static void applying_free(struct applying *ap)
{
        map_free(&ap->names);
        map_free(&ap->kept);
        map_free(&ap->shown);
        map_free(&ap->gone_dirs);
        buf_free(&ap->dropped);
        buf_free(&ap->gone);
}

static enum hif_err commit(struct applying *ap, const struct vfs_value *values, size_t value_count)
{
        CLEANUP(buf_free) struct buf epochs_value = {0};
        uint64_t seq;
        enum hif_err err;

        ap->tx = otx_begin(ap->vfs->config.overlay);
        err = put_epochs(ap->vfs, ap->tx, &ap->move->to, &epochs_value);
        if (err == HIF_OK)
                err = apply_rows(ap);
        if (err != HIF_OK) {
                otx_abort(ap->tx);
                return err;
        }
        otx_value(ap->tx, VALUE_RUNS, buf_span(&ap->move->runs_stored));
        for (size_t i = 0; i < value_count; i++)
                otx_value(ap->tx, values[i].name, values[i].value);
        apply_times(ap->vfs, ap->tx, ap->move);
        if (ap->move->landing)
                otx_ops_drop(ap->tx, ap->move->seq);
        return otx_commit(ap->tx, &seq);
}

enum hif_err vfs_move_apply(struct vfs *vfs, const struct vfs_move *move,
                            const struct vfs_value *values, size_t value_count)
{
        CLEANUP(applying_free) struct applying applying = {.vfs = vfs, .move = move};
        struct vfs_base *epochs;
        struct runs runs;
        enum hif_err err;

        if (vfs->epoch + 1 != move->epoch ||
            !hash_eq(&vfs->epochs[vfs->epoch].tree, &move->from.tree))
                return HIF_EBUSY;
        err = runs_get(buf_span(&move->runs_stored), &runs);
        if (err != HIF_OK)
                return err;
        epochs = realloc(vfs->epochs, (vfs->epoch + 2) * sizeof(*epochs));
        if (epochs == NULL) {
                runs_free(&runs);
                return HIF_ENOMEM;
        }
        vfs->epochs = epochs;
        applying.runs = &runs;
        err = commit(&applying, values, value_count);
        if (err != HIF_OK) {
                runs_free(&runs);
                return err;
        }
        take_over(vfs, epochs, move, &runs);
        for (size_t i = 0; i < applying.gone.size; i += sizeof(uint64_t))
                removed_note(vfs, be64_get(applying.gone.data + i));
        return HIF_OK;
}
