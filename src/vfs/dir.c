/* dir.c - LOOKUP, READLINK and READDIR: the base's names and the overlay's, in one order. */
#include "vfs/internal.h"

#define COOKIE_DOT     1u
#define COOKIE_DOTDOT  2u
#define COOKIE_ORD_MAX 7u
#define SCAN_AHEAD     32 /* nodes asked for at once when a scan misses */

enum hif_err vfs_lookup(struct vfs *vfs, struct vfs_call *call, uint64_t dir, struct span name,
                        struct vfs_attr *attr, struct vfs_attr *dir_attr)
{
        struct vfs_attr here;
        struct vnode node, target;
        struct child child;
        enum hif_err err = enter(vfs, call);

        if (err != HIF_OK)
                return err;
        err = resolve_dir(vfs, call, dir, &node);
        if (err != HIF_OK)
                return err;
        attr_of(vfs, &node, &here);
        if (dir_attr != NULL)
                *dir_attr = here;
        err = require(vfs, call, &here, VFS_LOOKUP);
        if (err != HIF_OK)
                return err;
        if (span_eq(name, span_str(".")) || (dir == NODEID_ROOT && span_eq(name, span_str("..")))) {
                *attr = here;
                return HIF_OK;
        }
        if (span_eq(name, span_str(".."))) {
                err = parent_of(vfs, call, dir, &child.id, NULL);
        } else {
                err = check_name(name);
                if (err == HIF_OK)
                        err = child_of(vfs, call, &node, name, &child);
                if (err == HIF_OK && child.id == NODEID_NONE)
                        err = HIF_ENOENT;
        }
        if (err == HIF_OK)
                err = resolve(vfs, call, child.id, &target);
        if (err == HIF_OK)
                attr_of(vfs, &target, attr);
        return err;
}

enum hif_err vfs_readlink(struct vfs *vfs, struct vfs_call *call, uint64_t id, struct span *target,
                          struct vfs_attr *attr)
{
        struct vnode node;
        struct entry entry;
        uint64_t rank;
        enum hif_err err = enter(vfs, call);

        if (err == HIF_OK)
                err = resolve(vfs, call, id, &node);
        if (err != HIF_OK)
                return err;
        if (node.kind != ONODE_SYMLINK)
                return HIF_EINVAL;
        attr_of(vfs, &node, attr);
        if (node.row != NULL && node.row->target.size > 0) {
                *target = node.row->target;
                return HIF_OK;
        }
        /* A link of the base whose row, if any, only overrides attributes. */
        if (!runs_rank(&vfs->runs, id, &rank)) {
                if (!nodeid_is_base(id) || nodeid_epoch(id) >= vfs->epoch)
                        return HIF_ESTALE;
                err = tree_seek_rank(&vfs->cursor, &vfs->epochs[nodeid_epoch(id)].tree,
                                     nodeid_rank(id));
        } else {
                err = tree_seek_rank(&vfs->cursor, &vfs->epochs[vfs->epoch].tree, rank);
        }
        if (err != HIF_OK)
                return err == HIF_ENOENT ? HIF_ESTALE : take_misses(vfs, call, err);
        tree_cursor_entry(&vfs->cursor, &entry);
        *target = entry.target;
        return HIF_OK;
}

/* --- the merged listing --- */

struct merge {
        struct vfs *vfs;
        struct vfs_call *call;
        uint64_t dir;
        bool in_base;              /* the scan cursor stands on a child */
        const struct odirent *row; /* the next row, or NULL */
        struct buf from, end;      /* keys */
        uint64_t hash60;           /* of the last name */
        uint32_t ordinal;          /* its place among names with that hash */
};

static void merge_free(struct merge *merge)
{
        buf_free(&merge->from);
        buf_free(&merge->end);
}

/* The scan cursor moved: does it still stand on a child? */
static enum hif_err base_moved(struct merge *merge, enum hif_err err)
{
        struct vfs *vfs = merge->vfs;

        merge->in_base = false;
        if (err == HIF_ENOENT)
                return HIF_OK;
        if (err == HIF_EMISS) {
                /* Ask for what comes next as well: a listing needs it all. */
                err = tree_touch(&vfs->nodes.source, &vfs->epochs[vfs->epoch].tree,
                                 buf_span(&merge->from), buf_span(&merge->end), SCAN_AHEAD);
                return take_misses(vfs, merge->call, err == HIF_OK ? HIF_EMISS : err);
        }
        if (err != HIF_OK)
                return err;
        merge->in_base = span_cmp(tree_cursor_key(&vfs->scan), buf_span(&merge->end)) < 0;
        return HIF_OK;
}

/* Start at the first name whose hash is at least hash60. */
static enum hif_err merge_start(struct merge *merge, struct vfs *vfs, struct vfs_call *call,
                                const struct vnode *dir, uint64_t hash60)
{
        struct span prefix;

        *merge = (struct merge){.vfs = vfs, .call = call, .dir = dir->id};
        if (overlay_dirent_count(vfs->config.overlay, dir->id) > 0)
                merge->row =
                    overlay_dirent_seek(vfs->config.overlay, dir->id, hash60, (struct span){0});
        if (dir->base == NULL)
                return HIF_OK;
        prefix = base_prefix(vfs, dir->base);
        buf_put_span(&merge->from, prefix);
        buf_put_u8(&merge->from, 0);
        buf_put_u64(&merge->from, hash60);
        buf_put_span(&merge->end, prefix);
        buf_put_u8(&merge->end, 1);
        if (buf_failed(&merge->from) || buf_failed(&merge->end) || buf_failed(&vfs->prefix))
                return HIF_ENOMEM;
        return base_moved(
            merge, tree_seek(&vfs->scan, &vfs->epochs[vfs->epoch].tree, buf_span(&merge->from)));
}

struct merged {
        struct span name;
        uint64_t id;
        uint64_t cookie;
        const struct odirent *row; /* NULL: of the base, and the scan cursor stands on it */
        uint64_t rank;
};

/* < 0: the base's name comes first; 0: the row speaks of the base's name. */
static int compare_next(const struct merge *merge)
{
        struct span key;
        uint64_t hash60;

        if (!merge->in_base)
                return 1;
        if (merge->row == NULL)
                return -1;
        key = tree_cursor_key(&merge->vfs->scan);
        hash60 = key_hash60(key);
        if (hash60 != merge->row->hash60)
                return hash60 < merge->row->hash60 ? -1 : 1;
        return span_cmp(key_name(key), merge->row->name);
}

static void number(struct merge *merge, uint64_t hash60, struct merged *out)
{
        uint64_t bits = hash60 >> 4;

        if (hash60 == merge->hash60 && merge->ordinal > 0)
                merge->ordinal++;
        else
                merge->ordinal = 1;
        merge->hash60 = hash60;
        out->cookie =
            bits << 3 | (merge->ordinal - 1 < COOKIE_ORD_MAX ? merge->ordinal - 1 : COOKIE_ORD_MAX);
        if (bits == 0)
                out->cookie += COOKIE_DOTDOT + 1;
}

static enum hif_err step_base(struct merge *merge)
{
        return base_moved(merge, tree_next(&merge->vfs->scan));
}

/* The name that comes next, without moving past it; HIF_ENOENT: no more. Whiteouts are skipped. */
static enum hif_err merge_peek(struct merge *merge, struct merged *out)
{
        for (;;) {
                int order = compare_next(merge);
                enum hif_err err;

                if (!merge->in_base && merge->row == NULL)
                        return HIF_ENOENT;
                if (order < 0) {
                        struct span key = tree_cursor_key(&merge->vfs->scan);

                        *out =
                            (struct merged){.name = key_name(key), .rank = merge->vfs->scan.rank};
                        out->id = runs_id(&merge->vfs->runs, out->rank);
                        number(merge, key_hash60(key), out);
                        return HIF_OK;
                }
                if (order == 0) {
                        err = step_base(merge);
                        if (err != HIF_OK)
                                return err;
                }
                if (merge->row->child != NODEID_NONE) {
                        *out = (struct merged){
                            .name = merge->row->name, .id = merge->row->child, .row = merge->row};
                        number(merge, merge->row->hash60, out);
                        return HIF_OK;
                }
                merge->row = overlay_dirent_next(merge->vfs->config.overlay, merge->row);
        }
}

static enum hif_err merge_next(struct merge *merge, const struct merged *taken)
{
        if (taken->row == NULL)
                return step_base(merge);
        merge->row = overlay_dirent_next(merge->vfs->config.overlay, taken->row);
        return HIF_OK;
}

enum hif_err require_empty(struct vfs *vfs, struct vfs_call *call, const struct vnode *dir)
{
        CLEANUP(merge_free) struct merge merge = {0};
        struct merged next;
        enum hif_err err = merge_start(&merge, vfs, call, dir, 0);

        if (err == HIF_OK)
                err = merge_peek(&merge, &next);
        if (err == HIF_OK)
                return HIF_ENOTEMPTY;
        return err == HIF_ENOENT ? HIF_OK : err;
}

static enum hif_err merged_attr(struct vfs *vfs, struct vfs_call *call, const struct merged *next,
                                struct vfs_attr *attr)
{
        struct vnode node;
        enum hif_err err;

        if (next->row == NULL) {
                const struct onode *row = overlay_node(vfs->config.overlay, next->id);

                if (row == NULL || (row->flags & ONODE_ATTRS) == 0) {
                        struct entry entry;

                        tree_cursor_entry(&vfs->scan, &entry);
                        attr_of_base(vfs, next->id, &entry, attr);
                        return HIF_OK;
                }
        }
        err = resolve(vfs, call, next->id, &node);
        if (err == HIF_OK)
                attr_of(vfs, &node, attr);
        return err;
}

struct listing {
        bool plus;
        bool (*each)(void *arg, const struct vfs_dirent *entry);
        void *arg;
        bool full;
};

static void give(struct listing *listing, struct span name, uint64_t cookie,
                 const struct vfs_attr *attr, uint64_t id)
{
        struct vfs_dirent entry = {
            .name = name, .id = id, .cookie = cookie, .attr = listing->plus ? attr : NULL};

        listing->full = !listing->each(listing->arg, &entry);
}

static enum hif_err list_dots(struct vfs *vfs, struct vfs_call *call, const struct vnode *dir,
                              const struct vfs_attr *attr, uint64_t cookie, struct listing *listing)
{
        uint64_t parent = NODEID_ROOT;
        struct vfs_attr parent_attr;
        struct vnode node;
        enum hif_err err;

        if (cookie < COOKIE_DOT)
                give(listing, span_str("."), COOKIE_DOT, attr, dir->id);
        if (listing->full || cookie >= COOKIE_DOTDOT)
                return HIF_OK;
        if (dir->id != NODEID_ROOT) {
                err = parent_of(vfs, call, dir->id, &parent, NULL);
                if (err != HIF_OK)
                        return err;
        }
        err = resolve(vfs, call, parent, &node);
        if (err != HIF_OK)
                return err;
        attr_of(vfs, &node, &parent_attr);
        give(listing, span_str(".."), COOKIE_DOTDOT, &parent_attr, parent);
        return HIF_OK;
}

static enum hif_err list_names(struct vfs *vfs, struct vfs_call *call, const struct vnode *dir,
                               uint64_t cookie, struct listing *listing, bool *eof)
{
        CLEANUP(merge_free) struct merge merge = {0};
        uint64_t hash60 = cookie <= COOKIE_DOTDOT ? 0 : cookie >> 3 << 4;
        struct merged next;
        enum hif_err err;

        err = merge_start(&merge, vfs, call, dir, hash60);
        while (err == HIF_OK && (err = merge_peek(&merge, &next)) == HIF_OK) {
                struct vfs_attr attr;

                if (next.cookie > cookie) {
                        if (listing->plus)
                                err = merged_attr(vfs, call, &next, &attr);
                        if (err != HIF_OK)
                                break;
                        give(listing, next.name, next.cookie, &attr, next.id);
                        if (listing->full)
                                return HIF_OK;
                }
                err = merge_next(&merge, &next);
        }
        if (err == HIF_EMISS && cookie == 0 && dir->base != NULL)
                ahead_of_listing(vfs, dir->base);
        if (err != HIF_ENOENT)
                return err;
        *eof = true;
        return HIF_OK;
}

enum hif_err vfs_readdir(struct vfs *vfs, struct vfs_call *call, uint64_t dir, uint64_t cookie,
                         bool plus, bool (*each)(void *arg, const struct vfs_dirent *entry),
                         void *arg, bool *eof, struct vfs_attr *dir_attr)
{
        struct listing listing = {.plus = plus, .each = each, .arg = arg};
        struct vnode node;
        bool end = false;
        enum hif_err err = enter(vfs, call);

        if (err == HIF_OK)
                err = resolve_dir(vfs, call, dir, &node);
        if (err != HIF_OK)
                return err;
        attr_of(vfs, &node, dir_attr);
        err = require(vfs, call, dir_attr, VFS_READ);
        if (err != HIF_OK)
                return err;
        err = list_dots(vfs, call, &node, dir_attr, cookie, &listing);
        if (err == HIF_OK && !listing.full)
                err = list_names(vfs, call, &node, cookie, &listing, &end);
        if (err != HIF_OK)
                return err;
        *eof = end;
        return HIF_OK;
}
