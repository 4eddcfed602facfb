/* apply_names.c - a move of the base: the rows of names. */
#include "vfs/apply_impl.h"

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

bool apply_lost_base(const struct applying *ap, uint64_t id)
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
bool apply_gives_way(const struct applying *ap, const struct move_name *name,
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

        if (apply_gives_way(ap, name, row)) {
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
        else if (row->base_child != NODEID_NONE && apply_lost_base(ap, row->dir))
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
void apply_keep_name(struct applying *ap, struct odirent *row)
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
                uint64_t rank;

                if (overlay_dirent(ap->vfs->config.overlay, row.dir, row.hash60, row.name) != NULL)
                        continue;
                apply_keep_name(ap, &row);
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
                fill_of_base(ap->vfs, node, &entry);
                node->target = item->target;
        }
}

/* What others put into a directory that was removed here since: it is gone, and a row says so. */
static void hide_others(struct applying *ap)
{
        const struct overlay *overlay = ap->vfs->config.overlay;
        const struct move_name *others = (const void *)ap->move->others.data;

        for (size_t i = 0; i < ap->move->others.size / sizeof(*others); i++) {
                const struct move_name *other = &others[i];
                const struct onode *dir = overlay_node(overlay, other->dir);
                struct odirent row = {.dir = other->dir,
                                      .hash60 = other->hash60,
                                      .name = other->name,
                                      .base_child = other->base_child,
                                      .base = other->base};

                if (other->base_child != NODEID_NONE && dir != NULL &&
                    (dir->flags & ONODE_REMOVED) != 0 &&
                    overlay_dirent(overlay, row.dir, row.hash60, row.name) == NULL)
                        otx_dirent_put(ap->tx, &row);
        }
}

void apply_lose_name(struct applying *ap, uint64_t id, uint64_t dir, struct span name)
{
        const struct odirent *other = map_get(&ap->names, id);
        struct onode *changed = otx_node(ap->tx, id);

        changed->ctime = tick(ap->vfs);
        if (changed->kind != ONODE_DIR && changed->nlink > 1) {
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

void apply_drop_names(struct applying *ap)
{
        const struct odirent *dropped = (const void *)ap->dropped.data;

        for (size_t i = 0; i < ap->dropped.size / sizeof(*dropped); i++)
                apply_lose_name(ap, dropped[i].child, dropped[i].dir, dropped[i].name);
        buf_reset(&ap->dropped);
}

enum hif_err apply_names(struct applying *ap)
{
        overlay_each_dirent(ap->vfs->config.overlay, refresh, ap);
        if (buf_failed(&ap->dropped))
                return HIF_ENOMEM;
        apply_drop_names(ap);
        give_back(ap);
        keep_shown(ap);
        hide_others(ap);
        return ap->err;
}
