/* apply_nodes.c - a move of the base: the rows of nodes. */
#include "vfs/apply_impl.h"

/* --- nodes --------------------------------------------------------------------------------------
 */

/* Content that has landed is the base's from now on; attributes stay as they are. A file that was
 * written since keeps those bytes: what it still shows of its old base, the new one has too. */
static void land_contents(struct applying *ap)
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
               apply_lost_base(ap, node->id) && map_get(&ap->shown, node->id) == NULL &&
               overlay_dirent(ap->vfs->config.overlay, node->parent, name_hash60(node->name),
                              node->name) == NULL;
}

/* Has a file lost the name that the old base gave it, and goes by another one in the new base? */
static bool moved_home(const struct applying *ap, const struct onode *node)
{
        struct odirent row = {.dir = node->parent, .name = node->name};
        const struct move_name *name;
        uint64_t rank;

        if (node->kind == ONODE_DIR || node->nlink < 2 || (node->flags & ONODE_PLACED) == 0 ||
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
            !is_below_local(ap, row->dir) &&
            !apply_gives_way(ap, vfs_move_find_name(ap->move, row), row))
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

static void keep_home(struct applying *ap, const struct onode *node)
{
        struct odirent row = {.dir = node->parent,
                              .hash60 = name_hash60(node->name),
                              .name = node->name,
                              .child = node->id};

        apply_keep_name(ap, &row);
}

/* A directory whose base is gone has attributes of its own. */
static void keep_attrs(struct applying *ap, uint64_t id)
{
        struct entry entry = {.kind = ENTRY_DIR, .mtime = now_of(ap->vfs)};
        struct onode *node = otx_node(ap->tx, id);

        fill_of_base(ap->vfs, node, &entry);
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
                apply_lose_name(ap, node->id, node->parent, node->name);
        if (!at_home(ap, node))
                return true;
        if (is_written(ap, node) || map_get(&ap->kept, node->id) != NULL) {
                keep_home(ap, node);
                if ((node->flags & ONODE_ATTRS) == 0)
                        keep_attrs(ap, node->id);
                return true;
        }
        apply_lose_name(ap, node->id, node->parent, node->name);
        return ap->err == HIF_OK;
}

/* Rows below a directory that others removed name nothing any more. */
static bool sweep(void *arg, const struct odirent *row)
{
        struct applying *ap = arg;
        uint64_t dir = row->dir;

        if (apply_gives_way(ap, vfs_move_find_name(ap->move, row), row))
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

static void sweep_rows(struct applying *ap)
{
        map_free(&ap->names);
        overlay_each_dirent(ap->vfs->config.overlay, sweep, ap);
        if (buf_failed(&ap->dropped))
                ap->err = HIF_ENOMEM;
        apply_drop_names(ap);
}

/* A directory that has landed holds what the base says, which nobody counts. */
static bool stop_counting(void *arg, const struct onode *node)
{
        struct applying *ap = arg;
        uint64_t rank;

        if (node->kind == ONODE_DIR && node->nlink > NLINK_NOT_COUNTED &&
            runs_rank(ap->runs, node->id, &rank))
                otx_node(ap->tx, node->id)->nlink = NLINK_NOT_COUNTED;
        return true;
}

enum hif_err apply_nodes(struct applying *ap)
{
        const struct overlay *overlay = ap->vfs->config.overlay;

        land_contents(ap);
        overlay_each_dirent(overlay, keep_named, ap);
        if (ap->err == HIF_OK)
                overlay_each_node(overlay, keep_written, ap);
        if (ap->err == HIF_OK)
                overlay_each_node(overlay, leave_home, ap);
        if (ap->err == HIF_OK && ap->gone_dirs.count > 0)
                sweep_rows(ap);
        if (ap->err == HIF_OK)
                overlay_each_node(overlay, stop_counting, ap);
        return ap->err;
}
