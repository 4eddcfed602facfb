#include "vfs/claim.h"

#include "core/key.h"
#include "vfs/internal.h"

#include <stdlib.h>

#define BATCH_ROWS 2000 /* of one transaction */

/* A directory of the session, by its path. */
struct claimed_dir {
        struct span path;
        uint64_t id;
};

/* A part of the trees that is compared: the whole, or below something that was moved. */
struct part {
        struct span from, to;      /* where the base has it, and the session */
        const struct moved *moved; /* NULL: the whole */
};

struct claiming {
        const struct vfs_claim *claim;
        struct tree_cursor cursor; /* lookups in the base */
        struct arena arena;
        struct moves moves;
        struct map dirs;  /* path's hash -> struct claimed_dir */
        struct map gone;  /* id of a directory of the base -> itself */
        struct buf parts; /* struct part, still to be compared */
        struct part part;
        struct otx *tx;
        size_t rows;
        struct hif_time now;
};

/* --- transactions --- */

static struct otx *tx_of(struct claiming *cl)
{
        if (cl->tx == NULL)
                cl->tx = otx_begin(cl->claim->overlay);
        return cl->tx;
}

static enum hif_err tx_end(struct claiming *cl)
{
        struct otx *tx = cl->tx;
        uint64_t seq;

        cl->tx = NULL;
        cl->rows = 0;
        return tx != NULL ? otx_commit(tx, &seq) : HIF_OK;
}

/* Between two changes: what they borrow lives until here. */
static enum hif_err tx_step(struct claiming *cl)
{
        return ++cl->rows >= BATCH_ROWS ? tx_end(cl) : HIF_OK;
}

/* --- directories --- */

static uint64_t path_key(struct span path)
{
        struct hif_hash hash = hash_of(HASH_BLOB, path);

        return be64_get(hash.bytes);
}

static enum hif_err remember(struct claiming *cl, struct span path, uint64_t id)
{
        struct claimed_dir *dir = arena_alloc(&cl->arena, sizeof(*dir));

        if (dir == NULL)
                return HIF_ENOMEM;
        *dir = (struct claimed_dir){.path = arena_span(&cl->arena, path), .id = id};
        if (path.size > 0 && dir->path.data == NULL)
                return HIF_ENOMEM;
        return map_put(&cl->dirs, path_key(path), dir);
}

static uint64_t base_number(uint64_t rank)
{
        return rank == 0 ? NODEID_ROOT : nodeid_base(0, rank);
}

/* The number of what the base has at a path. */
static enum hif_err base_id(struct claiming *cl, struct span path, uint64_t *id)
{
        AUTO_BUF struct buf key = {0};
        struct entry entry;
        uint64_t rank;
        enum hif_err err;

        key_from_path(&key, path);
        if (buf_failed(&key))
                return HIF_ENOMEM;
        err = tree_find(&cl->cursor, &cl->claim->base.tree, buf_span(&key), &entry, &rank);
        if (err == HIF_OK && entry.kind != ENTRY_DIR)
                err = HIF_ECORRUPT;
        if (err == HIF_OK)
                *id = base_number(rank);
        return err == HIF_ENOENT ? HIF_ECORRUPT : err;
}

/* A path of the session, in the part that is compared, as the base has it; the other way round. */
static enum hif_err translate(struct claiming *cl, struct span path, struct span from,
                              struct span to, struct span *out)
{
        AUTO_BUF struct buf bytes = {0};
        struct span rest = span_of(path.data + from.size, path.size - from.size);

        if (cl->part.moved == NULL) {
                *out = path;
                return HIF_OK;
        }
        buf_put_span(&bytes, to);
        buf_put_span(&bytes, rest);
        *out = arena_span(&cl->arena, buf_span(&bytes));
        return buf_failed(&bytes) || out->data == NULL ? HIF_ENOMEM : HIF_OK;
}

static void put_place(struct claiming *cl, uint64_t id, uint64_t parent, struct span name)
{
        struct onode *row = otx_node(tx_of(cl), id);

        row->flags |= ONODE_PLACED;
        row->parent = parent;
        row->name = name;
}

/* The directory at a path of the session; one of the base is placed, with all above it. */
static enum hif_err dir_id(struct claiming *cl, struct span path, uint64_t *id)
{
        const struct claimed_dir *known = map_get(&cl->dirs, path_key(path));
        uint64_t parent;
        struct span from;
        enum hif_err err;

        if (known != NULL && !span_eq(known->path, path))
                return HIF_ECORRUPT;
        if (known != NULL) {
                *id = known->id;
                return HIF_OK;
        }
        if (path.size == 0) {
                *id = NODEID_ROOT;
                return remember(cl, path, *id);
        }
        /* Recursion ends at the root: a path has at most PATH_DEPTH_MAX components. */
        err = dir_id(cl, path_parent(path), &parent);
        if (err == HIF_OK)
                err = translate(cl, path, cl->part.to, cl->part.from, &from);
        if (err == HIF_OK)
                err = base_id(cl, from, id);
        if (err != HIF_OK)
                return err;
        path = arena_span(&cl->arena, path);
        if (path.data == NULL)
                return HIF_ENOMEM;
        put_place(cl, *id, parent, path_name(path));
        return remember(cl, path, *id);
}

/* --- nodes --- */

static struct entry bare(const struct entry *entry)
{
        struct entry copy = *entry;

        copy.target = copy.ext = (struct span){0};
        return copy;
}

/* Attributes of an entry, and its content. */
static struct onode *put_attrs(struct claiming *cl, uint64_t id, const struct entry *entry)
{
        const struct vfs_claim *claim = cl->claim;
        struct onode *row = otx_node(tx_of(cl), id);
        bool dir = entry->kind == ENTRY_DIR, link = entry->kind == ENTRY_SYMLINK;

        row->flags |= ONODE_ATTRS;
        row->kind = dir ? ONODE_DIR : link ? ONODE_SYMLINK : ONODE_FILE;
        row->mode = link ? 0777 : dir || entry->kind == ENTRY_EXEC ? 0755 : 0644;
        row->uid = claim->uid;
        row->gid = claim->gid;
        row->nlink = 1;
        row->size = entry->size;
        row->atime = row->mtime = entry->mtime;
        row->ctime = cl->now;
        row->base = bare(entry);
        row->base_limit = entry->size;
        return row;
}

/* Something of the base that is nowhere any more. */
static enum hif_err put_removed(struct claiming *cl, uint64_t id, const struct entry *entry)
{
        struct onode *row = put_attrs(cl, id, entry);

        row->flags |= ONODE_REMOVED;
        row->nlink = 0;
        return entry->kind == ENTRY_DIR ? map_put(&cl->gone, id, cl) : HIF_OK;
}

static enum hif_err put_new(struct claiming *cl, struct span path, uint64_t parent,
                            const struct entry *entry, uint64_t *id)
{
        struct onode *row;

        *id = overlay_new_id(cl->claim->overlay);
        row = put_attrs(cl, *id, entry);
        if (entry->kind == ENTRY_DIR)
                row->base = (struct entry){0};
        if (entry->kind == ENTRY_SYMLINK) {
                row->base = (struct entry){0};
                row->base_limit = 0;
                row->flags |= ONODE_CONTENT;
                row->target = arena_span(&cl->arena, entry->target);
                if (row->target.data == NULL)
                        return HIF_ENOMEM;
        }
        put_place(cl, *id, parent, path_name(path));
        return entry->kind == ENTRY_DIR ? remember(cl, path, *id) : HIF_OK;
}

static enum hif_err put_moved(struct claiming *cl, const struct moved *moved, uint64_t parent,
                              const struct entry *entry, uint64_t *id)
{
        struct part part = {.from = moved->from, .to = moved->to, .moved = moved};
        struct onode *row;

        *id = base_number(moved->rank);
        row = put_attrs(cl, *id, &moved->base);
        row->mtime = entry->mtime;
        put_place(cl, *id, parent, path_name(moved->to));
        if (entry->kind != ENTRY_DIR)
                return HIF_OK;
        buf_put(&cl->parts, &part, sizeof(part));
        return buf_failed(&cl->parts) ? HIF_ENOMEM : remember(cl, moved->to, *id);
}

/* --- names --- */

/* What the base and the session have at one place of the part that is compared. */
struct both {
        struct span from, path; /* in the base, in the session; in the arena */
        const struct entry *a, *b;
        uint64_t rank_a;
        const struct moved *left, *came; /* a is elsewhere now; b was elsewhere */
};

/* What belongs to another part is looked at there. */
static void look(const struct claiming *cl, struct both *at)
{
        if (at->a != NULL && moves_above_from(&cl->moves, at->from) != cl->part.moved)
                at->a = NULL;
        if (at->b != NULL && moves_above_to(&cl->moves, at->path) != cl->part.moved)
                at->b = NULL;
        at->left = at->a != NULL ? moves_from(&cl->moves, at->from) : NULL;
        at->came = at->b != NULL ? moves_to(&cl->moves, at->path) : NULL;
}

/* The directory whose row it is: of the session, or one of the base that is gone. */
static enum hif_err row_dir(struct claiming *cl, const struct both *at, uint64_t *id)
{
        enum hif_err err;

        if (at->b != NULL)
                return dir_id(cl, path_parent(at->path), id);
        err = base_id(cl, path_parent(at->from), id);
        if (err != HIF_OK || map_get(&cl->gone, *id) != NULL)
                return err;
        return dir_id(cl, path_parent(at->path), id);
}

static enum hif_err put_name_row(struct claiming *cl, const struct both *at)
{
        struct span name = path_name(at->path);
        struct odirent row = {.name = name,
                              .hash60 = name_hash60(name),
                              .child = NODEID_NONE,
                              .base_child = NODEID_NONE};
        enum hif_err err = row_dir(cl, at, &row.dir);

        if (err == HIF_OK && at->a != NULL) {
                row.base_child = base_number(at->rank_a);
                row.base = bare(at->a);
                if (at->left == NULL)
                        err = put_removed(cl, row.base_child, at->a);
        }
        if (err == HIF_OK && at->came != NULL)
                err = put_moved(cl, at->came, row.dir, at->b, &row.child);
        else if (err == HIF_OK && at->b != NULL)
                err = put_new(cl, at->path, row.dir, at->b, &row.child);
        if (err == HIF_OK)
                otx_dirent_put(tx_of(cl), &row);
        return err;
}

static enum hif_err change(struct claiming *cl, struct both *at)
{
        uint64_t id;
        enum hif_err err;

        look(cl, at);
        if (at->a == NULL && at->b == NULL)
                return HIF_OK;
        if (at->left == NULL && at->came == NULL && entry_same(at->a, at->b)) {
                if (at->a->kind != ENTRY_DIR || (at->a->mtime.sec == at->b->mtime.sec &&
                                                 at->a->mtime.nsec == at->b->mtime.nsec))
                        return HIF_OK;
                err = dir_id(cl, at->path, &id); /* its membership changed */
                if (err == HIF_OK)
                        put_attrs(cl, id, at->a)->mtime = at->b->mtime;
                return err == HIF_OK ? tx_step(cl) : err;
        }
        err = put_name_row(cl, at);
        return err == HIF_OK ? tx_step(cl) : err;
}

/* --- walking --- */

static enum hif_err keep_path(struct claiming *cl, struct span key, struct span *out)
{
        AUTO_BUF struct buf path = {0};

        key_to_path(&path, key);
        *out = arena_span(&cl->arena, buf_span(&path));
        return buf_failed(&path) || (path.size > 0 && out->data == NULL) ? HIF_ENOMEM : HIF_OK;
}

static enum hif_err differs(void *arg, struct span key, const struct entry *a,
                            const struct entry *b, uint64_t rank_a, uint64_t rank_b)
{
        struct claiming *cl = arg;
        struct both at = {.a = a, .b = b, .rank_a = rank_a};
        enum hif_err err = keep_path(cl, key, &at.path);

        (void)rank_b;
        at.from = at.path;
        if (err != HIF_OK)
                return err;
        /* The root directory has no name: only its time can differ. */
        if (at.path.size == 0 && (a == NULL || b == NULL || !entry_same(a, b)))
                return HIF_ECORRUPT;
        return change(cl, &at);
}

/* A range of one tree, walked. */
struct walk {
        struct tree_cursor cursor;
        struct buf prefix, end;
        bool there;
};

static enum hif_err walk_check(struct walk *walk, enum hif_err err)
{
        walk->there =
            err == HIF_OK && span_cmp(tree_cursor_key(&walk->cursor), buf_span(&walk->end)) < 0;
        return err == HIF_ENOENT ? HIF_OK : err;
}

static enum hif_err walk_open(struct walk *walk, struct tree_source *nodes,
                              const struct hif_hash *tree, struct span dir)
{
        tree_cursor_init(&walk->cursor, nodes);
        key_prefix(&walk->prefix, dir);
        key_prefix_end(&walk->end, buf_span(&walk->prefix));
        if (buf_failed(&walk->prefix) || buf_failed(&walk->end))
                return HIF_ENOMEM;
        return walk_check(walk, tree_seek(&walk->cursor, tree, buf_span(&walk->prefix)));
}

static void walk_close(struct walk *walk)
{
        tree_cursor_close(&walk->cursor);
        buf_free(&walk->prefix);
        buf_free(&walk->end);
}

static struct span walk_rest(struct walk *walk)
{
        struct span key = tree_cursor_key(&walk->cursor);

        return span_of(key.data + walk->prefix.size, key.size - walk->prefix.size);
}

/* The entries that stand lowest; of one tree, or of both. */
static enum hif_err compare_one(struct claiming *cl, struct walk *a, struct walk *b)
{
        int order = !b->there ? -1 : !a->there ? 1 : span_cmp(walk_rest(a), walk_rest(b));
        bool has_a = order <= 0, has_b = order >= 0;
        struct entry entry_a, entry_b;
        struct both at = {0};
        enum hif_err err;

        if (has_a) {
                tree_cursor_entry(&a->cursor, &entry_a);
                at.a = &entry_a;
                at.rank_a = a->cursor.rank;
                err = keep_path(cl, tree_cursor_key(&a->cursor), &at.from);
                if (err == HIF_OK && !has_b)
                        err = translate(cl, at.from, cl->part.from, cl->part.to, &at.path);
                if (err != HIF_OK)
                        return err;
        }
        if (has_b) {
                tree_cursor_entry(&b->cursor, &entry_b);
                at.b = &entry_b;
                err = keep_path(cl, tree_cursor_key(&b->cursor), &at.path);
                if (err == HIF_OK && !has_a)
                        err = translate(cl, at.path, cl->part.to, cl->part.from, &at.from);
                if (err != HIF_OK)
                        return err;
        }
        err = change(cl, &at);
        if (err == HIF_OK && has_a)
                err = walk_check(a, tree_next(&a->cursor));
        if (err == HIF_OK && has_b)
                err = walk_check(b, tree_next(&b->cursor));
        return err;
}

/* Below something that was moved: other keys, so the trees do not say what is equal. */
static enum hif_err compare_part(struct claiming *cl)
{
        struct walk a = {0}, b = {0};
        enum hif_err err = walk_open(&a, cl->claim->nodes, &cl->claim->base.tree, cl->part.from);

        if (err == HIF_OK)
                err = walk_open(&b, cl->claim->nodes, &cl->claim->tree, cl->part.to);
        while (err == HIF_OK && (a.there || b.there))
                err = compare_one(cl, &a, &b);
        walk_close(&a);
        walk_close(&b);
        return err;
}

static enum hif_err compare_all(struct claiming *cl)
{
        struct span all = {0};
        enum hif_err err = tree_diff(cl->claim->nodes, &cl->claim->base.tree, &cl->claim->tree, all,
                                     all, differs, cl);

        while (err == HIF_OK && cl->parts.size > 0) {
                cl->parts.size -= sizeof(cl->part);
                memcpy(&cl->part, cl->parts.data + cl->parts.size, sizeof(cl->part));
                err = compare_part(cl);
        }
        return err;
}

/* --- the whole --- */

static enum hif_err put_ops(struct claiming *cl)
{
        enum hif_err err = HIF_OK;

        for (size_t i = 0; i < cl->claim->op_count && err == HIF_OK; i++) {
                otx_op(tx_of(cl), &cl->claim->ops[i]);
                err = tx_step(cl);
        }
        return err;
}

static enum hif_err put_base(struct claiming *cl)
{
        const struct vfs_base *base = &cl->claim->base;
        AUTO_BUF struct buf value = {0};

        buf_put_u64(&value, base->position);
        buf_put(&value, base->slot.bytes, HIF_HASH_SIZE);
        buf_put(&value, base->tree.bytes, HIF_HASH_SIZE);
        if (buf_failed(&value))
                return HIF_ENOMEM;
        otx_value(tx_of(cl), VALUE_EPOCHS, buf_span(&value));
        return tx_end(cl);
}

enum hif_err vfs_claim(const struct vfs_claim *claim)
{
        uint64_t now = env_wall_ns(claim->env);
        struct claiming cl = {
            .claim = claim,
            .now = {.sec = (int64_t)(now / 1000000000), .nsec = (uint32_t)(now % 1000000000)}};
        enum hif_err err;

        tree_cursor_init(&cl.cursor, claim->nodes);
        err = claim_moves(claim, &cl.arena, &cl.moves);
        if (err == HIF_OK)
                err = compare_all(&cl);
        if (err == HIF_OK)
                err = put_ops(&cl);
        if (err == HIF_OK)
                err = put_base(&cl);
        if (cl.tx != NULL)
                otx_abort(cl.tx);
        tree_cursor_close(&cl.cursor);
        map_free(&cl.dirs);
        map_free(&cl.gone);
        buf_free(&cl.parts);
        arena_free(&cl.arena);
        return err;
}
