#include "land/derived/history.h"

#include "core/key.h"
#include "land/derived/parts.h"

#include <assert.h>

#define CANDIDATES_MAX 16u               /* slots read together for a path */
#define TAG_NEAR       (4 * SLOTS_BATCH) /* a landing is so close behind the one it first tried */
#define SEGMENT_GAIN   SCAN_NEAR         /* a segment is read for so many slots, not for fewer */
#define NODE_BYTES     (16u << 20)

struct history {
        const struct project *project;
        struct history_wish wish;
        struct buf path; /* as it was called at this point of history */
        uint64_t next;   /* the next position to look at, going back */
        bool over;
        bool renamed; /* what was read is of another name */
        struct derived_index *index;
        struct node_reader *nodes;
        /* What was read and not yet given, the last first. */
        struct slot_read reads[SLOTS_BATCH];
        size_t read_count, read_next;
        struct arena segment_arena;
        struct segment segment;   /* rows NULL: none */
        uint64_t segment_refused; /* start + 1 of one that is not there */
        /* The slot that is being given. */
        const struct slot *slot;
        uint32_t left; /* landings of it */
};

enum hif_err history_new(const struct project *project, const struct history_wish *wish,
                         struct history **out)
{
        struct history *history = calloc(1, sizeof(*history));
        enum hif_err err;

        if (!history)
                return HIF_ENOMEM;
        history->project = project;
        history->wish = *wish;
        history->next = wish->from;
        history->over = wish->from < wish->until;
        buf_put_span(&history->path, wish->path);
        err = buf_failed(&history->path) ? HIF_ENOMEM
                                         : index_new(project, wish->tail, &history->index);
        if (err == HIF_OK && wish->path.size > 0)
                err = node_reader_new(project, NODE_BYTES, &history->nodes);
        if (err != HIF_OK) {
                history_free(history);
                return err;
        }
        *out = history;
        return HIF_OK;
}

static void drop_reads(struct history *history)
{
        for (size_t i = 0; i < history->read_count; i++)
                slot_read_free(&history->reads[i]);
        history->read_count = history->read_next = 0;
}

void history_free(struct history *history)
{
        if (!history)
                return;
        drop_reads(history);
        arena_free(&history->segment_arena);
        index_free(history->index);
        node_reader_free(history->nodes);
        buf_free(&history->path);
        free(history);
}

static bool wants_path(const struct history *history)
{
        return history->wish.path.size > 0;
}

/* Positions below this one are next. */
static void go_below(struct history *history, uint64_t position)
{
        history->over = position <= history->wish.until;
        history->next = position - 1;
}

/* --- does a landing touch the path --- */

/* Slots list all that goes with a directory, so what lies above a path says nothing of it. */
static bool touches(const struct slot_path *at, struct span path)
{
        return span_eq(at->path, path) || path_within(at->path, path) ||
               (at->path_from.size > 0 &&
                (span_eq(at->path_from, path) || path_within(at->path_from, path)));
}

static const struct slot_path *touched(const struct history *history, const struct slot *slot,
                                       uint32_t index)
{
        struct slot_member member;
        uint32_t first;

        slot_landing_at(slot, index, &member, &first);
        for (uint32_t i = 0; slot->paths && i < member.path_count; i++)
                if (touches(&slot->paths[first + i], buf_span(&history->path)))
                        return &slot->paths[first + i];
        return NULL;
}

/* The name that the path, or a directory above it, had before this landing. */
static enum hif_err follow(struct history *history, const struct slot *slot, uint32_t index)
{
        struct slot_member member;
        struct span path = buf_span(&history->path);
        AUTO_BUF struct buf before = {0};
        uint32_t first;

        slot_landing_at(slot, index, &member, &first);
        for (uint32_t i = 0; i < member.path_count; i++) {
                const struct slot_path *at = &slot->paths[first + i];

                if (at->kind != SLOT_RENAMED ||
                    !(span_eq(at->path, path) || path_within(path, at->path)))
                        continue;
                buf_put_span(&before, at->path_from);
                buf_put(&before, path.data + at->path.size, path.size - at->path.size);
                if (buf_failed(&before))
                        return HIF_ENOMEM;
                buf_free(&history->path);
                history->path = before;
                before = (struct buf){0};
                history->renamed = true;
                go_below(history, slot->position);
                return HIF_OK;
        }
        return HIF_OK;
}

/* --- jumping along the trees --- */

/* The entry of the path at a position, or of the nearest directory above it that there is: whatever
 * took the path away changed that directory's members, and its tag. */
static enum hif_err entry_or_above(struct history *history, const struct hif_hash *tree,
                                   struct entry *out, bool *exact)
{
        struct span path = buf_span(&history->path);
        struct tree_cursor cursor;
        enum hif_err err;

        tree_cursor_init(&cursor, node_reader_source(history->nodes));
        for (*exact = true;; *exact = false, path = path_parent(path)) {
                AUTO_BUF struct buf key = {0};

                key_from_path(&key, path);
                err = buf_failed(&key) ? HIF_ENOMEM
                                       : tree_find(&cursor, tree, buf_span(&key), out, NULL);
                if (err != HIF_ENOENT || path.size == 0)
                        break;
        }
        tree_cursor_close(&cursor);
        return err;
}

/* Which slot of [tag.position, to] has that tag; HIF_ENOENT: none near. */
static enum hif_err find_tag(struct history *history, const struct landing_tag *tag, uint64_t to,
                             uint64_t *out, struct hif_why *why)
{
        uint64_t stop = to - tag->position > TAG_NEAR ? tag->position + TAG_NEAR : to;
        enum hif_err err = HIF_ENOENT;

        for (uint64_t at = tag->position; at <= stop && err == HIF_ENOENT;) {
                struct slot_read reads[SLOTS_BATCH];
                size_t most = at == tag->position ? 2 : SLOTS_BATCH;
                size_t count = stop - at + 1 < most ? (size_t)(stop - at + 1) : most;
                enum hif_err got = slots_get(history->project, at, count, reads, why);

                if (got != HIF_OK)
                        return got;
                for (size_t i = 0; i < count; i++) {
                        for (uint32_t k = 0; k < slot_landing_count(&reads[i].slot); k++) {
                                struct slot_member member;

                                slot_landing_at(&reads[i].slot, k, &member, NULL);
                                if (member.tag == tag->id && err == HIF_ENOENT) {
                                        *out = at + i;
                                        err = HIF_OK;
                                }
                        }
                        slot_read_free(&reads[i]);
                }
                at += count;
        }
        return err;
}

/* From a position down to the last that may have changed the path. HIF_ENOENT: the tree does not
 * tell (a directory changes with what is below it, and its entry does not say so). */
static enum hif_err jump(struct history *history, uint64_t position, uint64_t *out,
                         struct hif_why *why)
{
        struct slot_read read;
        struct entry entry;
        bool exact;
        enum hif_err err = project_slot(history->project, position, false, &read, why);

        if (err != HIF_OK)
                return err == HIF_ENOENT ? slot_lost(history->project, position, why) : err;
        err = entry_or_above(history, &read.slot.tree, &entry, &exact);
        slot_read_free(&read);
        if (err != HIF_OK || (exact && entry.kind == ENTRY_DIR) || entry.tag.position > position)
                return err == HIF_ENOMEM ? err : HIF_ENOENT;
        return find_tag(history, &entry.tag, position, out, why);
}

/* --- reading --- */

/* Slots at these positions, in one trip. */
static enum hif_err read_at(struct history *history, const uint64_t *positions, size_t count,
                            struct hif_why *why)
{
        enum hif_err err;

        assert(history->read_count == 0 && count <= SLOTS_BATCH);
        err = slots_get_at(history->project, positions, count, history->reads, why);
        if (err == HIF_OK)
                history->read_count = count;
        return err;
}

/* The next run of positions, going back, none left out. */
static enum hif_err read_run(struct history *history, uint64_t most, struct hif_why *why)
{
        uint64_t positions[SLOTS_BATCH], left = history->next - history->wish.until + 1;
        size_t count = left < SLOTS_BATCH ? (size_t)left : SLOTS_BATCH;

        if (most > 0 && most < count)
                count = (size_t)most;
        for (size_t i = 0; i < count; i++)
                positions[i] = history->next - i;
        go_below(history, positions[count - 1]);
        return read_at(history, positions, count, why);
}

/* A window of the first level that should have a rollup. */
static bool is_complete(const struct history *history, uint64_t position)
{
        return window_last(WINDOW_LEVEL_1, window_start(WINDOW_LEVEL_1, position)) <=
               history->wish.tail;
}

/* Candidates for the path. HIF_ENOENT: none is left. */
static enum hif_err read_candidates(struct history *history, struct hif_why *why)
{
        struct index_item item = index_path(buf_span(&history->path));
        uint64_t positions[CANDIDATES_MAX], position;
        size_t count = 0;
        bool covered = true;
        enum hif_err err = HIF_OK;

        while (count < CANDIDATES_MAX && !history->over) {
                err = index_previous(history->index, &item, 1, history->wish.until, history->next,
                                     &position, &covered);
                if (err != HIF_OK || !covered)
                        break;
                positions[count++] = position;
                go_below(history, position);
        }
        if (err != HIF_OK && err != HIF_ENOENT)
                return err;
        if (err == HIF_ENOENT)
                history->over = true;
        if (count > 0)
                return read_at(history, positions, count, why);
        if (history->over)
                return HIF_ENOENT;
        history->next = position;
        err = is_complete(history, position) ? jump(history, position, &position, why) : HIF_ENOENT;
        if (err == HIF_ENOENT) /* to where there may be a rollup again */
                return read_run(history, position - window_start(WINDOW_LEVEL_1, position) + 1,
                                why);
        if (err != HIF_OK)
                return err;
        if (position < history->wish.until) {
                history->over = true;
                return HIF_ENOENT;
        }
        go_below(history, position);
        return read_at(history, &position, 1, why);
}

/* The segment that ends near here, where reading it is worth it. */
static bool use_segment(struct history *history)
{
        uint64_t start = window_start(WINDOW_SEGMENT, history->next);
        uint64_t count = history->next - start + 1;

        if (history->wish.paths || history->segment_refused == start + 1)
                return false;
        if (history->segment.rows && history->segment.window.start == start)
                return true;
        if (window_last(WINDOW_SEGMENT, start) > history->wish.tail || count < SEGMENT_GAIN ||
            (history->wish.expected > 0 && history->wish.expected < SEGMENT_GAIN))
                return false;
        arena_free(&history->segment_arena);
        history->segment.rows = NULL;
        if (segment_read(history->project, start, &history->segment_arena, &history->segment) ==
            HIF_OK)
                return true;
        history->segment.rows = NULL;
        history->segment_refused = start + 1;
        return false;
}

/* --- one after the other --- */

/* The next slot, of which nothing was given yet. */
static enum hif_err next_slot(struct history *history, struct hif_why *why)
{
        enum hif_err err = HIF_OK;

        if (history->read_next == history->read_count || history->renamed) {
                history->renamed = false;
                drop_reads(history);
                if (history->over)
                        return HIF_ENOENT;
                if (wants_path(history)) {
                        err = read_candidates(history, why);
                } else if (use_segment(history)) {
                        uint64_t at = history->next - history->segment.window.start;

                        history->slot = &history->segment.rows[at].slot;
                        go_below(history, history->next);
                        return HIF_OK;
                } else {
                        err = read_run(history, history->wish.expected, why);
                }
                if (err != HIF_OK)
                        return err;
        }
        if (history->wish.paths || wants_path(history))
                err = slot_load_lists(history->project, &history->reads[history->read_next], why);
        history->slot = &history->reads[history->read_next++].slot;
        return err;
}

/* The one landing of the slot that is next; false: none of it is wanted any more. */
static bool next_landing(struct history *history, struct history_item *out)
{
        while (history->left > 0) {
                uint32_t index = --history->left;

                if (wants_path(history) && !touched(history, history->slot, index))
                        continue;
                *out =
                    (struct history_item){.slot = history->slot, .landing = true, .index = index};
                return true;
        }
        return false;
}

enum hif_err history_next(struct history *history, struct history_item *out, struct hif_why *why)
{
        while (!next_landing(history, out)) {
                enum hif_err err = next_slot(history, why);

                if (err != HIF_OK)
                        return err;
                history->left = slot_landing_count(history->slot);
                if (history->left > 0 || wants_path(history))
                        continue;
                *out = (struct history_item){.slot = history->slot};
                return HIF_OK;
        }
        if (history->wish.follow && wants_path(history))
                return follow(history, out->slot, out->index);
        return HIF_OK;
}
