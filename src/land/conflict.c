/* The decision (I5): the trees decide, never an index. Entries are compared in kind, executable
 * bit, size and hash only, which is what entry_same() does; times never conflict.
 *
 * A path is ours if those differ from base, or it exists on one side only. It conflicts
 *      1  if N's entry differs from base's and from ours;
 *      2  if ours exists and an ancestor is, once merged, no directory at N;
 *      3  if base has a directory there, we have none, and N holds something below it that we did
 *         not remove (it is what N holds that is reported).
 * Where both sides are equal, N's entry is kept whole. */
#include "core/key.h"
#include "land/internal.h"

#include <stdlib.h>

static bool is_dir(const struct entry *entry)
{
        return entry && entry->kind == ENTRY_DIR;
}

static bool is_ours(const struct touched *item)
{
        return (item->change || item->implied) && !entry_same(item->base, item->ours);
}

/* One side's doing, in a word. */
static const char *verb(const struct entry *before, const struct entry *after)
{
        if (!before)
                return "added";
        if (!after)
                return "removed";
        return is_dir(before) != is_dir(after) ? "replaced" : "changed";
}

enum hif_err merge_conflict_add(struct merge *merge, struct span path, const char *ours,
                                const char *theirs, const struct entry *their_entry)
{
        struct land_conflict *conflicts = merge->conflicts;
        struct landing_tag *tags = merge->conflict_tags;
        uint32_t count = merge->conflict_count;

        path = arena_span(&merge->arena, path); /* the list outlives the changes */
        if (!path.data)
                return HIF_ENOMEM;
        if (count == merge->conflict_capacity) {
                uint32_t capacity = count ? count * 2 : 16;

                conflicts = realloc(conflicts, capacity * sizeof(*conflicts));
                if (conflicts)
                        merge->conflicts = conflicts;
                tags = realloc(tags, capacity * sizeof(*tags));
                if (tags)
                        merge->conflict_tags = tags;
                if (!conflicts || !tags)
                        return HIF_ENOMEM;
                merge->conflict_capacity = capacity;
        }
        conflicts[count] = (struct land_conflict){.path = path, .ours = ours, .theirs = theirs};
        tags[count] = their_entry ? their_entry->tag : (struct landing_tag){0};
        merge->conflict_count++;
        return HIF_OK;
}

/* Rule 1. */
static enum hif_err decide_entry(struct merge *merge, struct touched *item)
{
        item->act = TOUCH_NONE;
        if (!is_ours(item) || entry_same(item->theirs, item->ours))
                return HIF_OK;
        if (!entry_same(item->theirs, item->base)) {
                item->conflict = true;
                return merge_conflict_add(merge, item->path, verb(item->base, item->ours),
                                          verb(item->base, item->theirs), item->theirs);
        }
        if (!item->ours)
                item->act = TOUCH_REMOVE;
        else
                item->act = item->theirs ? TOUCH_CHANGE : TOUCH_ADD;
        return HIF_OK;
}

static bool dir_once_merged(const struct touched *item)
{
        if (item->act == TOUCH_ADD || item->act == TOUCH_CHANGE)
                return is_dir(item->ours);
        return item->act != TOUCH_REMOVE && is_dir(item->theirs);
}

/* Rule 2, for what rule 1 let pass. */
static enum hif_err decide_ancestors(struct merge *merge, struct touched *item)
{
        struct span path = item->path;

        if (item->conflict || (item->act != TOUCH_ADD && item->act != TOUCH_CHANGE))
                return HIF_OK;
        while (path.size > 0) {
                const struct touched *above;

                path = path_parent(path);
                above = merge_find(merge, path);
                if (above && dir_once_merged(above))
                        continue;
                item->conflict = true;
                return merge_conflict_add(merge, item->path, verb(item->base, item->ours),
                                          above && above->theirs ? "replaced a directory above it"
                                                                 : "removed a directory above it",
                                          above ? above->theirs : NULL);
        }
        return HIF_OK;
}

/* Rule 3: N's entries below a directory of base's that we no longer have. */
static enum hif_err found_below(void *arg, struct span key, const struct entry *base,
                                const struct entry *theirs, uint64_t base_rank, uint64_t their_rank)
{
        struct merge *merge = arg;
        AUTO_BUF struct buf path = {0};

        (void)base_rank;
        (void)their_rank;
        if (base || !theirs)
                return HIF_OK; /* we removed it: rule 1 has looked at it */
        key_to_path(&path, key);
        if (buf_failed(&path))
                return HIF_ENOMEM;
        return merge_conflict_add(merge, buf_span(&path), "removed its directory", "added", theirs);
}

static bool goes_with_another(const struct merge *merge, const struct touched *item)
{
        const struct touched *above = merge_find(merge, path_parent(item->path));

        return above && is_dir(above->base) && !is_dir(above->ours) &&
               (above->change || above->implied);
}

static enum hif_err decide_below(struct merge *merge, const struct touched *item)
{
        AUTO_BUF struct buf from = {0};
        AUTO_BUF struct buf to = {0};

        if (!is_ours(item) || !is_dir(item->base) || is_dir(item->ours) ||
            goes_with_another(merge, item))
                return HIF_OK;
        key_prefix(&from, item->path);
        key_prefix_end(&to, buf_span(&from));
        if (buf_failed(&from) || buf_failed(&to))
                return HIF_ENOMEM;
        return tree_diff(node_reader_source(merge->reader), &merge->base_tree, &merge->their_tree,
                         buf_span(&from), buf_span(&to), found_below, merge);
}

struct pair {
        struct land_conflict conflict;
        struct landing_tag tag;
};

static int by_path(const void *a, const void *b)
{
        return span_cmp(((const struct pair *)a)->conflict.path,
                        ((const struct pair *)b)->conflict.path);
}

/* In path order, which is how people read them. */
static enum hif_err sort_conflicts(struct merge *merge)
{
        uint32_t count = merge->conflict_count;
        AUTO_FREE struct pair *pairs = malloc((count + 1) * sizeof(*pairs));

        if (!pairs)
                return HIF_ENOMEM;
        for (uint32_t i = 0; i < count; i++)
                pairs[i] = (struct pair){merge->conflicts[i], merge->conflict_tags[i]};
        qsort(pairs, count, sizeof(*pairs), by_path);
        for (uint32_t i = 0; i < count; i++) {
                merge->conflicts[i] = pairs[i].conflict;
                merge->conflict_tags[i] = pairs[i].tag;
        }
        return HIF_OK;
}

enum hif_err merge_decide(struct merge *merge)
{
        enum hif_err err = HIF_OK;

        for (size_t i = 0; i < merge->count && err == HIF_OK; i++)
                err = decide_entry(merge, merge->items[i]);
        for (size_t i = 0; i < merge->count && err == HIF_OK; i++)
                err = decide_ancestors(merge, merge->items[i]);
        if (hash_eq(&merge->base_tree, &merge->their_tree))
                return err;
        for (size_t i = 0; i < merge->count && err == HIF_OK; i++)
                err = decide_below(merge, merge->items[i]);
        return err == HIF_OK ? sort_conflicts(merge) : err;
}
