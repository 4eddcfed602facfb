/* After a lost race: what the winners changed is written over our tree, where it meets nothing that
 * we decided on. The result is the tree that deciding anew would give (I4), and costs what they
 * changed, not what we did: a large landing gets through beside many small ones. */
#include "core/key.h"
#include "land/batch.h"

#include <stdlib.h>

#define FOLLOW_EDITS_MAX 4096u /* of the winners; beyond, all is decided anew */

struct theirs {
        struct merge *merge; /* what we decided */
        struct arena arena;
        struct tree_edit *items;
        size_t count, capacity;
};

static bool is_dir(const struct entry *entry)
{
        return entry && entry->kind == ENTRY_DIR;
}

/* It is in the decision only because something of ours lies below. */
static bool only_above(const struct touched *item, const struct entry *before,
                       const struct entry *after)
{
        return !item->change && !item->implied && is_dir(before) && is_dir(after) &&
               (item->act == TOUCH_NONE || item->act == TOUCH_TIME);
}

/* Does it lie below a directory that we removed or replaced? */
static bool below_what_went(const struct merge *merge, struct span path)
{
        while (path.size > 0) {
                const struct touched *item;

                path = path_parent(path);
                item = merge_find(merge, path);
                if (item && (item->change || item->implied) && !is_dir(item->ours))
                        return true;
        }
        return false;
}

static enum hif_err grow(struct theirs *theirs)
{
        size_t capacity = theirs->capacity ? theirs->capacity * 2 : 64;
        struct tree_edit *grown = realloc(theirs->items, capacity * sizeof(*grown));

        if (!grown)
                return HIF_ENOMEM;
        theirs->items = grown;
        theirs->capacity = capacity;
        return HIF_OK;
}

/* HIF_ECONFLICT, HIF_ELIMIT: decide anew. */
static enum hif_err take(void *arg, struct span key, const struct entry *before,
                         const struct entry *after, uint64_t rank_before, uint64_t rank_after)
{
        struct theirs *theirs = arg;
        AUTO_BUF struct buf path = {0};
        struct touched *item;
        struct tree_edit *edit;

        (void)rank_before;
        (void)rank_after;
        key_to_path(&path, key);
        if (buf_failed(&path))
                return HIF_ENOMEM;
        item = merge_find(theirs->merge, buf_span(&path));
        if (item ? !only_above(item, before, after)
                 : below_what_went(theirs->merge, buf_span(&path)))
                return HIF_ECONFLICT;
        if (item) {
                enum hif_err err = merge_follow_dir(theirs->merge, item, after);

                if (err != HIF_OK)
                        return err;
                if (item->act == TOUCH_TIME)
                        after = item->entry;
        }
        if (theirs->count == FOLLOW_EDITS_MAX)
                return HIF_ELIMIT;
        if (theirs->count == theirs->capacity && grow(theirs) != HIF_OK)
                return HIF_ENOMEM;
        edit = &theirs->items[theirs->count++];
        edit->key = key.size > 0 ? arena_span(&theirs->arena, key) : span_str("");
        edit->entry = after ? merge_keep_entry(&theirs->arena, after) : NULL;
        return edit->key.data && (!after || edit->entry) ? HIF_OK : HIF_ENOMEM;
}

struct theirs_edits {
        struct tree_edits edits; /* first */
        const struct theirs *theirs;
        size_t next;
};

static bool next_edit(struct tree_edits *edits, struct tree_edit *out)
{
        struct theirs_edits *it = (struct theirs_edits *)edits;

        if (it->next == it->theirs->count)
                return false;
        *out = it->theirs->items[it->next++];
        return true;
}

/* The slots that won name the nodes that are new: one trip for all. What fails here is read, and
 * explained, by whoever needs it. */
static void read_ahead(const struct commit *c)
{
        for (uint64_t at = c->followed_position + 1; at <= c->tail->slot.position; at++) {
                const struct slot_read *read = line_slot(c->line, at);
                struct hif_hash nodes[NODES_BATCH];
                size_t count = 0;

                if (!read || !read->slot.objects)
                        continue;
                for (uint32_t i = 0; i < read->slot.object_count && count < NODES_BATCH; i++)
                        if (read->slot.objects[i].kind == SLOT_NODE)
                                nodes[count++] = read->slot.objects[i].hash;
                if (node_reader_prefetch(c->line->reader, nodes, count) != HIF_OK)
                        return;
        }
}

static enum hif_err carry_over(struct commit *c, struct theirs *theirs)
{
        struct theirs_edits it = {.edits.next = next_edit, .theirs = theirs};
        struct made_sink sink = made_sink_of(c->made);
        struct tree_stats stats = {0};
        struct hif_hash tree = c->tree;
        enum hif_err err = HIF_OK;

        if (theirs->count > 0)
                err =
                    tree_apply(node_reader_source(c->line->reader), &sink.sink,
                               &c->line->project->format.tree, &c->tree, &it.edits, &tree, &stats);
        if (err == HIF_OK)
                c->tree = tree;
        return err;
}

bool batch_follow(struct commit *c)
{
        struct entrant *entrant = c->count == 1 ? &c->entrants[0] : NULL;
        struct theirs theirs = {0};
        enum hif_err err;

        if (!entrant || !c->followable || entrant->state != ENTRANT_WAITS)
                return false;
        theirs.merge = &entrant->land->merge;
        read_ahead(c);
        err = tree_diff(node_reader_source(c->line->reader), &c->followed_tree, &c->tail->slot.tree,
                        (struct span){0}, (struct span){0}, take, &theirs);
        if (err == HIF_OK)
                err = carry_over(c, &theirs);
        if (err == HIF_OK) {
                c->tree_entries =
                    c->tail->slot.tree_entries + theirs.merge->added - theirs.merge->removed;
                c->made->round++;
                batch_followable(c);
                entrant->state = ENTRANT_LANDS;
        }
        free(theirs.items);
        arena_free(&theirs.arena);
        return err == HIF_OK; /* else it is decided anew, and errors are told from there */
}

void batch_followable(struct commit *c)
{
        c->followable = c->count == 1 && c->landing_count == 1 && c->mode == COMMIT_LAND &&
                        !c->entrants[0].proposal;
        c->followed_tree = c->tail->slot.tree;
        c->followed_position = c->tail->slot.position;
}
