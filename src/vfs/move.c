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
        struct tree_cursor cursor;
        struct runs old;
        struct buf assigned; /* struct assigned */
        struct map owners;   /* node -> the landed item whose name it goes by */
        struct buf others;   /* struct other_key */
        struct buf key;
};

/* A key that others changed; its directory's number is known once the run table is. */
struct other_key {
        struct span key; /* in the move's arena */
        uint64_t rank;   /* in the new tree */
        bool removed;
        struct entry entry;
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

/* Numbers for what was landed: each node goes by the first of its names. */
static enum hif_err assign(struct planning *plan)
{
        for (size_t i = 0; i < plan->landed_count; i++) {
                const struct vfs_expanded *item = &plan->landed[i];
                struct move_node node = {.id = item->node};
                struct assigned assigned = {.id = item->node};
                enum hif_err err;

                if (item->remove || item->skip)
                        continue;
                err = find(plan, item->path, &node.entry, &assigned.rank);
                if (err == HIF_ENOENT)
                        continue; /* removed again by a landing in between */
                if (err != HIF_OK)
                        return err;
                if (map_get(&plan->owners, item->node) != NULL)
                        continue;
                err = map_put(&plan->owners, item->node, (void *)(uintptr_t)item);
                if (err != HIF_OK)
                        return err;
                node.entry.target = node.entry.ext = (struct span){0};
                buf_put(&plan->assigned, &assigned, sizeof(assigned));
                buf_put(&plan->move->nodes, &node, sizeof(node));
        }
        return buf_failed(&plan->assigned) || buf_failed(&plan->move->nodes) ? HIF_ENOMEM : HIF_OK;
}

static bool was_landed(const struct planning *plan, struct span key);

/* Something that neither kept its number nor was ours to land. */
static enum hif_err on_other(void *arg, struct span key, const struct entry *a,
                             const struct entry *b, uint64_t rank_b)
{
        struct planning *plan = arg;
        struct other_key other = {.rank = rank_b, .removed = b == NULL};

        (void)a;
        if (key.size == 0 || was_landed(plan, key))
                return HIF_OK;
        other.key = arena_span(&plan->move->arena, key);
        if (other.key.data == NULL)
                return HIF_ENOMEM;
        if (b != NULL) {
                other.entry = *b;
                other.entry.target = other.entry.ext = (struct span){0};
        }
        buf_put(&plan->others, &other, sizeof(other));
        return buf_failed(&plan->others) ? HIF_ENOMEM : HIF_OK;
}

static int compare_landed(const void *key, const void *item)
{
        CLEANUP(buf_free) struct buf item_key = {0};

        key_from_path(&item_key, ((const struct vfs_expanded *)item)->path);
        return span_cmp(*(const struct span *)key, buf_span(&item_key));
}

/* Landed items are sorted by key. */
static const struct vfs_expanded *find_landed(const struct planning *plan, struct span key)
{
        const struct vfs_expanded *item;

        if (plan->landed_count == 0)
                return NULL;
        item = bsearch(&key, plan->landed, plan->landed_count, sizeof(*item), compare_landed);
        return item != NULL && !item->skip ? item : NULL;
}

static bool was_landed(const struct planning *plan, struct span key)
{
        return find_landed(plan, key) != NULL;
}

/* --- with the new run table --- */

/* The number of the directory that holds a key's entry in the new tree; NODEID_NONE: it has none.
 */
static enum hif_err dir_of(struct planning *plan, struct span key, uint64_t *dir, struct span *path)
{
        CLEANUP(buf_free) struct buf full = {0};
        struct entry entry;
        uint64_t rank = 0;
        enum hif_err err;

        key_to_path(&full, key);
        if (buf_failed(&full))
                return HIF_ENOMEM;
        *path = arena_span(&plan->move->arena, path_parent(buf_span(&full)));
        if (path->size == 0) {
                *dir = NODEID_ROOT;
                return HIF_OK;
        }
        if (path->data == NULL)
                return HIF_ENOMEM;
        err = find(plan, *path, &entry, &rank);
        if (err == HIF_OK)
                *dir = runs_id(&plan->move->runs, rank);
        else if (err == HIF_ENOENT)
                *dir = NODEID_NONE;
        else
                return err;
        return HIF_OK;
}

static enum hif_err touch(struct vfs_move *move, uint64_t id, struct span path)
{
        struct vfs_touched touched = {.path = path, .id = id};
        size_t count = move->touched.size / sizeof(touched);
        const struct vfs_touched *list = (const void *)move->touched.data;

        if (id == NODEID_NONE || (count > 0 && list[count - 1].id == id))
                return HIF_OK;
        buf_put(&move->touched, &touched, sizeof(touched));
        return buf_failed(&move->touched) ? HIF_ENOMEM : HIF_OK;
}

static int compare_others(const void *a, const void *b)
{
        const struct move_other *other_a = a, *other_b = b;

        if (other_a->dir != other_b->dir)
                return other_a->dir < other_b->dir ? -1 : 1;
        if (other_a->hash60 != other_b->hash60)
                return other_a->hash60 < other_b->hash60 ? -1 : 1;
        return span_cmp(other_a->name, other_b->name);
}

static enum hif_err note_others(struct planning *plan)
{
        const struct other_key *keys = (const void *)plan->others.data;
        size_t count = plan->others.size / sizeof(*keys);
        struct vfs_move *move = plan->move;

        for (size_t i = 0; i < count; i++) {
                struct move_other other = {.hash60 = key_hash60(keys[i].key),
                                           .name = key_name(keys[i].key)};
                struct span dir_path;
                enum hif_err err = dir_of(plan, keys[i].key, &other.dir, &dir_path);

                if (err == HIF_OK)
                        err = touch(move, other.dir, dir_path);
                if (err != HIF_OK)
                        return err;
                if (!keys[i].removed) {
                        struct move_node node = {.entry = keys[i].entry};

                        node.id = other.base_child = runs_id(&move->runs, keys[i].rank);
                        other.base = keys[i].entry;
                        if (keys[i].entry.kind != ENTRY_DIR)
                                buf_put(&move->changed, &node, sizeof(node));
                }
                if (other.dir != NODEID_NONE)
                        buf_put(&move->others, &other, sizeof(other));
        }
        if (buf_failed(&move->changed) || buf_failed(&move->others))
                return HIF_ENOMEM;
        if (move->others.size > 0)
                qsort(move->others.data, move->others.size / sizeof(struct move_other),
                      sizeof(struct move_other), compare_others);
        return HIF_OK;
}

/* What the new base has under the name of a row. */
static enum hif_err facts_of(struct planning *plan, struct move_dirent *dirent)
{
        CLEANUP(buf_free) struct buf prefix = {0};
        const struct odirent *row = dirent->row;
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
        dirent->base_child = runs_id(&plan->move->runs, rank);
        dirent->base = entry;
        dirent->base.target = dirent->base.ext = (struct span){0};
        return HIF_OK;
}

/* A row goes when the base now says the same: its name shows its node, or is gone. Rows of names
 * that were not landed stay, with the new base's facts. */
static enum hif_err judge_rows(struct planning *plan)
{
        const struct vfs_rows *rows = plan->snapshot->rows;
        struct vfs_move *move = plan->move;

        move->dirents =
            arena_zalloc(&move->arena, (rows->dirent_count + 1) * sizeof(*move->dirents));
        if (move->dirents == NULL)
                return HIF_ENOMEM;
        move->dirent_count = rows->dirent_count;
        for (size_t i = 0; i < rows->dirent_count; i++) {
                struct move_dirent *dirent = &move->dirents[i];
                enum hif_err err;

                dirent->row = &rows->dirents[i];
                err = facts_of(plan, dirent);
                if (err != HIF_OK)
                        return err;
                dirent->landed = dirent->base_child == dirent->row->child;
        }
        return HIF_OK;
}

static enum hif_err run_plan(struct planning *plan)
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
                                plan->assigned.size / sizeof(struct assigned), &move->runs,
                                on_other, plan);
        if (err == HIF_OK)
                err = note_others(plan);
        if (err == HIF_OK)
                err = judge_rows(plan);
        if (err != HIF_OK)
                return err;
        runs_put(&move->runs_stored, move->epoch, move->runs.by_rank, move->runs.count);
        return buf_failed(&move->runs_stored) ? HIF_ENOMEM : HIF_OK;
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
        err = run_plan(&plan);
        tree_cursor_close(&plan.cursor);
        runs_free(&plan.old);
        map_free(&plan.owners);
        buf_free(&plan.assigned);
        buf_free(&plan.others);
        buf_free(&plan.key);
        if (err != HIF_OK) {
                vfs_move_free(move);
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
        buf_free(&move->others);
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
        const struct move_other *others = (const void *)move->others.data;

        if (index >= move->others.size / sizeof(*others))
                return false;
        *dir = others[index].dir;
        *name = others[index].name;
        return true;
}
