/* move.c - work out what a new base means for a workspace. On a job thread. */
#include "vfs/move.h"

#include "vfs/move_impl.h"

#include <stdlib.h>

struct planning {
        struct vfs_move *move;
        struct vfs_snapshot *snapshot;
        const struct vfs_expanded *landed;
        size_t landed_count;
        struct tree_source *nodes;
        struct tree_cursor cursor, before; /* in the new tree, in the old one */
        struct runs old;
        struct buf assigned; /* struct assigned */
        struct map owners;   /* node -> the landed item whose name it goes by */
        struct buf keys;     /* struct move_key */
        struct buf key;
};

static enum hif_err find(struct planning *plan, struct span path, struct entry *entry,
                         uint64_t *rank)
{
        buf_reset(&plan->key);
        key_from_path(&plan->key, path);
        if (buf_failed(&plan->key))
                return HIF_ENOMEM;
        return tree_find(&plan->cursor, &plan->move->to.tree, buf_span(&plan->key), entry, rank);
}

static enum hif_err add_key(struct planning *plan, const struct move_key *key)
{
        struct move_key kept = *key;

        kept.key = arena_span(&plan->move->arena, key->key);
        kept.entry.target = kept.entry.ext = (struct span){0};
        if (kept.key.data == NULL)
                return HIF_ENOMEM;
        buf_put(&plan->keys, &kept, sizeof(kept));
        return buf_failed(&plan->keys) ? HIF_ENOMEM : HIF_OK;
}

/* --- numbers for what was landed ----------------------------------------------------------------
 */

/* Is the item what the new tree has at its path? Not so after an earlier run of a landing, when the
 * path has changed since. */
static enum hif_err matches(const struct planning *plan, const struct vfs_expanded *item,
                            const struct entry *entry, bool *same)
{
        struct hif_hash hash = item->hash;
        enum hif_err err = HIF_OK;

        *same = item->entry_kind == entry->kind && entry->kind == ENTRY_DIR;
        if (item->entry_kind != entry->kind || entry->kind == ENTRY_DIR ||
            item->size != entry->size)
                return HIF_OK;
        if (entry->kind == ENTRY_SYMLINK)
                hash = hash_of(HASH_BLOB, item->target);
        else if (!item->have_hash && item->size <= BODY_BLOB_MAX)
                err = vfs_content_hash(plan->snapshot, item->content, &hash);
        else if (!item->have_hash && plan->move->landing)
                hash = entry->hash; /* the caller did not say, and reading it all is too much */
        *same = hash_eq(&hash, &entry->hash);
        return err;
}

static int compare_item(const void *key, const void *item)
{
        CLEANUP(buf_free) struct buf item_key = {0};

        key_from_path(&item_key, ((const struct vfs_expanded *)item)->path);
        return span_cmp(*(const struct span *)key, buf_span(&item_key));
}

/* Items are sorted by key. */
static const struct vfs_expanded *find_item(const struct vfs_expanded *items, size_t count,
                                            struct span key)
{
        return count > 0 ? bsearch(&key, items, count, sizeof(*items), compare_item) : NULL;
}

static const struct vfs_expanded *find_landed(const struct planning *plan, struct span key)
{
        const struct vfs_expanded *item = find_item(plan->landed, plan->landed_count, key);

        return item != NULL && !item->skip ? item : NULL;
}

/* The path of a node that still has its base's name. Empty: it has not. */
static enum hif_err home_of(const struct planning *plan, uint64_t id, struct buf *path)
{
        const struct onode *node = vfs_rows_node(plan->snapshot->rows, id);

        if (node == NULL || !vfs_rows_at_home(plan->snapshot->rows, &plan->old, node))
                return HIF_OK;
        return vfs_rows_path(plan->snapshot->rows, id, path);
}

/* A file with several names goes by that of the base, where it still has that one. *taken: it does
 * without being assigned anything. */
static enum hif_err stays_home(struct planning *plan, uint64_t id, struct span home, bool *taken)
{
        const struct onode *node = vfs_rows_node(plan->snapshot->rows, id);
        struct entry entry;
        uint64_t rank;
        enum hif_err err = find(plan, home, &entry, &rank);

        *taken = false;
        if (err == HIF_ENOENT)
                return HIF_OK;
        if (err == HIF_OK)
                *taken = entry_same(&entry, &node->base);
        return err;
}

/* A file that was written, and holds what the old base has: others may replace it. */
static enum hif_err note_plain(struct planning *plan, const struct vfs_expanded *item)
{
        const struct onode *node = vfs_rows_node(plan->snapshot->rows, item->node);
        bool same;
        enum hif_err err = matches(plan, item, &node->base, &same);

        if (err != HIF_OK || !same)
                return err;
        return map_put(&plan->move->plain, item->node, (void *)(uintptr_t)item);
}

/* A directory that was moved, has that landed? After an earlier run of the landing it may have
 * moved since, onto one that others have landed; then the old place is still what it was. */
static enum hif_err move_landed(struct planning *plan, const struct vfs_expanded *item,
                                bool *landed)
{
        struct entry entry;
        uint64_t rank;
        enum hif_err err = find(plan, item->path_from, &entry, &rank);
        const struct vfs_expanded *there = find_landed(plan, buf_span(&plan->key));

        *landed = err == HIF_ENOENT || (err == HIF_OK && entry.kind != ENTRY_DIR) ||
                  (there != NULL && !there->remove);
        if (err == HIF_OK || err == HIF_ENOENT)
                err = find(plan, item->path, &entry, &rank); /* plan->key is the item's again */
        return err;
}

/* Without a landing, only what others have made of a path can be what we made of it. What was moved
 * here keeps the base that it has. */
static enum hif_err may_adopt(struct planning *plan, const struct vfs_expanded *item,
                              const struct entry *entry, bool *may)
{
        struct entry old;
        uint64_t rank;
        enum hif_err err = HIF_OK;

        *may = plan->move->landing;
        if (*may && entry->kind == ENTRY_DIR && item->path_from.size > 0)
                return move_landed(plan, item, may);
        if (*may || item->path_from.size > 0 ||
            (entry->kind == ENTRY_DIR && runs_rank(&plan->old, item->node, &rank)))
                return HIF_OK;
        err = tree_find(&plan->before, &plan->move->from.tree, buf_span(&plan->key), &old, NULL);
        *may = err == HIF_ENOENT || (err == HIF_OK && !entry_same(&old, entry));
        return err == HIF_ENOENT ? HIF_OK : err;
}

static enum hif_err assign_item(struct planning *plan, const struct vfs_expanded *item,
                                bool at_home)
{
        CLEANUP(buf_free) struct buf home = {0};
        struct move_node node = {.id = item->node};
        struct assigned assigned = {.id = item->node};
        struct move_key key = {.other = false};
        bool taken = false, same = false;
        enum hif_err err = home_of(plan, item->node, &home);

        if (err == HIF_OK && at_home != (home.size > 0 && span_eq(buf_span(&home), item->path)))
                return HIF_OK;
        if (err == HIF_OK && !at_home && home.size > 0)
                err = stays_home(plan, item->node, buf_span(&home), &taken);
        if (err == HIF_OK)
                err = find(plan, item->path, &node.entry, &assigned.rank);
        if (err == HIF_ENOENT) /* removed by a landing in between */
                return at_home ? note_plain(plan, item) : HIF_OK;
        if (err == HIF_OK)
                err = matches(plan, item, &node.entry, &same);
        if (err == HIF_OK && !same && at_home)
                err = note_plain(plan, item);
        if (err == HIF_OK && same)
                err = may_adopt(plan, item, &node.entry, &same);
        if (err != HIF_OK || !same)
                return err;
        key.key = buf_span(&plan->key);
        key.rank = assigned.rank;
        key.entry = node.entry;
        err = add_key(plan, &key);
        if (err != HIF_OK || taken || map_get(&plan->owners, item->node) != NULL)
                return err;
        err = map_put(&plan->owners, item->node, (void *)(uintptr_t)item);
        if (err != HIF_OK)
                return err;
        node.entry.target = node.entry.ext = (struct span){0};
        buf_put(&plan->assigned, &assigned, sizeof(assigned));
        buf_put(&plan->move->nodes, &node, sizeof(node));
        return HIF_OK;
}

static int compare_ranks(const void *a, const void *b)
{
        const struct assigned *assigned_a = a, *assigned_b = b;

        return assigned_a->rank < assigned_b->rank ? -1 : assigned_a->rank > assigned_b->rank;
}

/* Each node goes by its base's name, or by the first of its others. */
static enum hif_err assign(struct planning *plan)
{
        enum hif_err err = HIF_OK;

        for (int home = 1; home >= 0; home--)
                for (size_t i = 0; i < plan->landed_count && err == HIF_OK; i++)
                        if (!plan->landed[i].remove && !plan->landed[i].skip)
                                err = assign_item(plan, &plan->landed[i], home);
        if (buf_failed(&plan->assigned) || buf_failed(&plan->move->nodes))
                return HIF_ENOMEM;
        if (plan->assigned.size > 0)
                qsort(plan->assigned.data, plan->assigned.size / sizeof(struct assigned),
                      sizeof(struct assigned), compare_ranks);
        return err;
}

/* A key that differs between the trees. What we landed there, others did not change. */
static enum hif_err on_key(void *arg, struct span bytes, const struct entry *a,
                           const struct entry *b, uint64_t rank_b)
{
        struct planning *plan = arg;
        const struct vfs_expanded *item;
        struct move_key key = {.key = bytes, .rank = rank_b, .removed = b == NULL};
        enum hif_err err = HIF_OK;
        bool ours;

        (void)a;
        if (bytes.size == 0)
                return HIF_OK;
        item = find_landed(plan, bytes);
        if (b != NULL)
                key.entry = *b;
        ours = item != NULL && item->remove == key.removed;
        if (ours && b != NULL)
                err = matches(plan, item, b, &ours);
        key.other = !ours;
        return err == HIF_OK ? add_key(plan, &key) : err;
}

/* --- rows ---------------------------------------------------------------------------------------
 */

/* What the new base has under the name of a row. */
static enum hif_err facts_of(struct planning *plan, const struct odirent *row,
                             struct move_name *out)
{
        CLEANUP(buf_free) struct buf prefix = {0};
        struct entry entry;
        uint64_t rank;
        enum hif_err err;

        if (!runs_rank(&plan->move->runs, row->dir, &rank))
                return HIF_OK;
        err = tree_seek_rank(&plan->cursor, &plan->move->to.tree, rank);
        if (err != HIF_OK)
                return err == HIF_ENOENT ? HIF_ECORRUPT : err;
        key_prefix_of_key(&prefix, tree_cursor_key(&plan->cursor));
        buf_reset(&plan->key);
        key_child(&plan->key, buf_span(&prefix), row->hash60, row->name);
        if (buf_failed(&prefix) || buf_failed(&plan->key))
                return HIF_ENOMEM;
        err = tree_find(&plan->cursor, &plan->move->to.tree, buf_span(&plan->key), &entry, &rank);
        if (err == HIF_ENOENT)
                return HIF_OK;
        if (err != HIF_OK)
                return err;
        out->base_child = runs_id(&plan->move->runs, rank);
        out->base = entry;
        out->base.target = out->base.ext = (struct span){0};
        return HIF_OK;
}

/* Does the node hold just this entry's content? */
static enum hif_err holds(struct planning *plan, const struct onode *node,
                          const struct entry *entry, bool *same)
{
        struct hif_hash hash = node->base.hash;
        enum entry_kind kind;
        enum hif_err err = HIF_OK;

        *same = false;
        if (!vfs_rows_entry_kind(node, &kind) || kind != entry->kind)
                return HIF_OK;
        *same = kind == ENTRY_DIR;
        if (kind == ENTRY_DIR || node->size != entry->size)
                return HIF_OK;
        if (kind == ENTRY_SYMLINK && node->target.size > 0)
                hash = hash_of(HASH_BLOB, node->target);
        else if (kind != ENTRY_SYMLINK && (node->flags & ONODE_CONTENT) != 0 &&
                 node->size <= BODY_BLOB_MAX)
                err = vfs_content_hash(plan->snapshot, vfs_rows_content(plan->snapshot->rows, node),
                                       &hash);
        *same = hash_eq(&hash, &entry->hash);
        return err;
}

/* A name that a row gives, whose path the old base holds just so, and others changed: it is theirs.
 */
static enum hif_err judge_row(struct planning *plan, const struct odirent *row,
                              struct move_name *out)
{
        const struct vfs_rows *rows = plan->snapshot->rows;
        CLEANUP(buf_free) struct buf path = {0};
        struct entry old, entry;
        uint64_t rank;
        enum hif_err err = facts_of(plan, row, out);

        if (err != HIF_OK || out->base_child == row->child || !vfs_rows_alive(rows, row->dir) ||
            (row->child != NODEID_NONE && !vfs_rows_lands(rows, row)))
                return err;
        err = vfs_rows_path(rows, row->dir, &path);
        if (err != HIF_OK)
                return err;
        if (path.size > 0)
                buf_put_u8(&path, '/');
        buf_put_span(&path, row->name);
        if (buf_failed(&path))
                return HIF_ENOMEM;
        err = find(plan, buf_span(&path), &entry, &rank);
        if (err != HIF_OK && err != HIF_ENOENT)
                return err;
        out->plain = err == HIF_ENOENT;
        err = tree_find(&plan->before, &plan->move->from.tree, buf_span(&plan->key), &old, NULL);
        if (err == HIF_OK && !out->plain)
                out->plain = !entry_same(&old, &entry);
        if (row->child == NODEID_NONE) {
                out->plain = err == HIF_ENOENT && !out->plain;
                return err == HIF_ENOENT ? HIF_OK : err;
        }
        if (err == HIF_OK && out->plain)
                return holds(plan, vfs_rows_node(rows, row->child), &old, &out->plain);
        out->plain = false;
        return err == HIF_ENOENT ? HIF_OK : err;
}

static enum hif_err judge_rows(struct planning *plan)
{
        const struct vfs_rows *rows = plan->snapshot->rows;
        struct vfs_move *move = plan->move;
        enum hif_err err = HIF_OK;

        move->rows = rows;
        move->dirents =
            arena_zalloc(&move->arena, (rows->dirent_count + 1) * sizeof(*move->dirents));
        if (move->dirents == NULL)
                return HIF_ENOMEM;
        for (size_t i = 0; i < rows->dirent_count && err == HIF_OK; i++)
                err = judge_row(plan, &rows->dirents[i], &move->dirents[i]);
        return err;
}

/* An item that may not have landed. Where its directory has lost it, only a row can show it. */
static enum hif_err keep_item(struct planning *plan, const struct vfs_expanded *item)
{
        const struct vfs_snapshot *snapshot = plan->snapshot;
        struct odirent row = {.name = path_name(item->path)};
        const struct move_name *now;
        const struct vfs_expanded *dir;
        struct move_kept kept = {.item = item};
        uint64_t rank;

        buf_reset(&plan->key);
        key_from_path(&plan->key, path_parent(item->path));
        if (buf_failed(&plan->key))
                return HIF_ENOMEM;
        dir = find_item(snapshot->kept, snapshot->kept_count, buf_span(&plan->key));
        if (dir == NULL)
                dir = find_item(plan->landed, plan->landed_count, buf_span(&plan->key));
        if (dir == NULL || dir->remove)
                return HIF_OK;
        row.dir = kept.dir = dir->node;
        row.hash60 = name_hash60(row.name);
        if (vfs_rows_dirent(snapshot->rows, row.dir, row.hash60, row.name) != NULL)
                return HIF_OK;
        now = vfs_move_find_name(plan->move, &row);
        if (now != NULL ? now->base_child == item->node
                        : runs_rank(&plan->move->runs, row.dir, &rank))
                return HIF_OK;
        buf_put(&plan->move->kept, &kept, sizeof(kept));
        return buf_failed(&plan->move->kept) ? HIF_ENOMEM : HIF_OK;
}

static enum hif_err keep_items(struct planning *plan)
{
        enum hif_err err = HIF_OK;

        for (size_t i = 0; i < plan->snapshot->kept_count && err == HIF_OK; i++)
                err = keep_item(plan, &plan->snapshot->kept[i]);
        for (size_t i = 0; i < plan->landed_count && err == HIF_OK; i++)
                if (!plan->landed[i].remove)
                        err = keep_item(plan, &plan->landed[i]);
        return err;
}

/* Others put something below a name that is another directory here: it would be hidden, and the
 * next landing would remove it. */
static enum hif_err check_shown(struct planning *plan, struct span path, struct hif_why *why)
{
        uint64_t dir = NODEID_ROOT;
        size_t start = 0;

        for (size_t end = 0; end < path.size; end++) {
                struct span name = span_of(path.data + start, end - start);
                const struct odirent *row;
                struct entry entry;
                uint64_t rank;
                enum hif_err err;

                if (path.data[end] != '/')
                        continue;
                err = find(plan, span_of(path.data, end), &entry, &rank);
                if (err != HIF_OK)
                        return err == HIF_ENOENT ? HIF_ECORRUPT : err;
                row = vfs_rows_dirent(plan->snapshot->rows, dir, name_hash60(name), name);
                dir = runs_id(&plan->move->runs, rank);
                if (row != NULL && row->child != dir)
                        return why_set(why, HIF_ECONFLICT,
                                       "'%.*s' was changed on the other side, below a directory "
                                       "that was replaced here: land or undo that first",
                                       (int)path.size, (const char *)path.data);
                start = end + 1;
        }
        return HIF_OK;
}

static enum hif_err check_all_shown(struct planning *plan, struct hif_why *why)
{
        const struct move_key *keys = (const void *)plan->keys.data;
        CLEANUP(buf_free) struct buf path = {0};
        enum hif_err err = HIF_OK;

        for (size_t i = 0; i < plan->keys.size / sizeof(*keys) && err == HIF_OK; i++) {
                if (plan->move->landing || !keys[i].other || keys[i].removed)
                        continue;
                buf_reset(&path);
                key_to_path(&path, keys[i].key);
                err = buf_failed(&path) ? HIF_ENOMEM : check_shown(plan, buf_span(&path), why);
        }
        return err;
}

static enum hif_err run_plan(struct planning *plan, struct hif_why *why)
{
        struct vfs_move *move = plan->move;
        enum hif_err err = runs_get(plan->snapshot->runs, &plan->old);

        if (err != HIF_OK)
                return err;
        if (plan->old.epoch >= NODEID_EPOCH_MAX)
                return HIF_ELIMIT;
        move->epoch = plan->old.epoch + 1;
        err = assign(plan);
        if (err == HIF_OK)
                err = runs_plan(plan->nodes, &move->from.tree, &move->to.tree, &plan->old,
                                (const struct assigned *)(const void *)plan->assigned.data,
                                plan->assigned.size / sizeof(struct assigned), &move->runs, on_key,
                                plan);
        if (err == HIF_OK)
                err = check_all_shown(plan, why);
        if (err == HIF_OK)
                err = vfs_move_names(move, plan->nodes, &plan->old,
                                     (const struct move_key *)(const void *)plan->keys.data,
                                     plan->keys.size / sizeof(struct move_key));
        if (err == HIF_OK)
                err = judge_rows(plan);
        if (err == HIF_OK)
                err = keep_items(plan);
        if (err != HIF_OK)
                return err;
        runs_put(&move->runs_stored, move->epoch, move->runs.by_rank, move->runs.count);
        return buf_failed(&move->runs_stored) ? HIF_ENOMEM : HIF_OK;
}

/* Without a landing: what others have landed just as it is here is as good as landed. */
static enum hif_err list_all(struct planning *plan)
{
        struct vfs_expanded *all;
        enum hif_err err =
            vfs_changes_expand(plan->snapshot, plan->nodes, &all, &plan->landed_count);

        if (err == HIF_OK)
                plan->landed = all;
        return err;
}

enum hif_err vfs_move_plan(struct vfs_snapshot *snapshot, const struct vfs_expanded *landed,
                           size_t landed_count, struct tree_source *nodes,
                           const struct vfs_base *to, struct vfs_move **out, struct hif_why *why)
{
        struct vfs_move *move = calloc(1, sizeof(*move));
        struct planning plan = {.move = move,
                                .snapshot = snapshot,
                                .landed = landed,
                                .landed_count = landed_count,
                                .nodes = nodes};
        enum hif_err err;

        if (move == NULL)
                return HIF_ENOMEM;
        move->from = snapshot->base;
        move->to = *to;
        move->seq = snapshot->seq;
        move->landing = landed_count > 0;
        tree_cursor_init(&plan.cursor, nodes);
        tree_cursor_init(&plan.before, nodes);
        err = landed_count == 0 ? list_all(&plan) : HIF_OK;
        if (err == HIF_OK)
                err = run_plan(&plan, why);
        tree_cursor_close(&plan.cursor);
        tree_cursor_close(&plan.before);
        runs_free(&plan.old);
        map_free(&plan.owners);
        buf_free(&plan.assigned);
        buf_free(&plan.keys);
        buf_free(&plan.key);
        if (err != HIF_OK) {
                vfs_move_free(move);
                if (err == HIF_ECONFLICT)
                        return err; /* said why */
                return why_set(why, err, "the workspace could not be moved from @%llu to @%llu: %s",
                               (unsigned long long)snapshot->base.position,
                               (unsigned long long)to->position, hif_strerror(err));
        }
        *out = move;
        return HIF_OK;
}

void vfs_move_free(struct vfs_move *move)
{
        if (move == NULL)
                return;
        runs_free(&move->runs);
        buf_free(&move->runs_stored);
        buf_free(&move->nodes);
        map_free(&move->plain);
        buf_free(&move->names);
        buf_free(&move->others);
        buf_free(&move->kept);
        buf_free(&move->changed);
        buf_free(&move->touched);
        arena_free(&move->arena);
        free(move);
}

const struct vfs_touched *vfs_move_touched(const struct vfs_move *move, size_t *count)
{
        *count = move->touched.size / sizeof(struct vfs_touched);
        return (const void *)move->touched.data;
}

bool vfs_move_name(const struct vfs_move *move, size_t index, uint64_t *dir, struct span *name)
{
        const struct move_name *others = (const void *)move->others.data;

        if (index >= move->others.size / sizeof(*others))
                return false;
        *dir = others[index].dir;
        *name = others[index].name;
        return true;
}
