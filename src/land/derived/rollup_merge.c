/* rollup_merge.c - a rollup of the second or third level, from those of the level below. */
#include "core/layout.h"
#include "land/derived/parts.h"

#include <assert.h>

#define READ_AT_ONCE 32u

/* A record of the level below, and where the merge stands in it. */
struct part {
        struct buf stored;
        struct rollup rollup;
        struct rollup_items items;
        uint32_t block; /* the next */
        uint32_t number;
};

struct merging {
        struct part parts[ROLLUP_PARTS];
        /* Those with items left, as a heap by fingerprint. */
        struct part *heap[ROLLUP_PARTS];
        size_t heap_count;
        struct rollup_set wide;
};

static struct span block_bytes(const struct part *part, uint32_t block)
{
        uint64_t offset;
        uint32_t size;

        rollup_block_at(&part->rollup, block, &offset, &size);
        if (offset + size > part->stored.size)
                return (struct span){0};
        return span_of(part->stored.data + offset, size);
}

/* HIF_ENOENT: no more. */
static enum hif_err next_item(struct part *part)
{
        enum hif_err err = part->block == 0 ? HIF_ENOENT : rollup_items_next(&part->items);

        if (err != HIF_ENOENT || part->block == part->rollup.block_count)
                return err;
        err = rollup_items_open(&part->rollup, part->block, block_bytes(part, part->block),
                                &part->items);
        part->block++;
        return err == HIF_OK ? rollup_items_next(&part->items) : err;
}

/* --- the heap --- */

static bool before(const struct part *a, const struct part *b)
{
        return a->items.fingerprint < b->items.fingerprint ||
               (a->items.fingerprint == b->items.fingerprint && a->number < b->number);
}

static void sift_down(struct merging *merging, size_t at)
{
        for (;;) {
                size_t child = at * 2 + 1;
                struct part *moved = merging->heap[at];

                if (child >= merging->heap_count)
                        return;
                if (child + 1 < merging->heap_count &&
                    before(merging->heap[child + 1], merging->heap[child]))
                        child++;
                if (!before(merging->heap[child], moved))
                        return;
                merging->heap[at] = merging->heap[child];
                merging->heap[child] = moved;
                at = child;
        }
}

/* The first part goes on to its next item, or leaves. */
static enum hif_err advance(struct merging *merging)
{
        enum hif_err err = next_item(merging->heap[0]);

        if (err == HIF_ENOENT) {
                merging->heap[0] = merging->heap[--merging->heap_count];
                err = HIF_OK;
        }
        if (err == HIF_OK && merging->heap_count > 0)
                sift_down(merging, 0);
        return err;
}

static enum hif_err merge(struct merging *merging, struct rollup_writer *writer)
{
        enum hif_err err = HIF_OK;

        while (merging->heap_count > 0 && err == HIF_OK) {
                uint64_t fingerprint = merging->heap[0]->items.fingerprint;
                struct rollup_set set = {0};

                while (err == HIF_OK && merging->heap_count > 0 &&
                       merging->heap[0]->items.fingerprint == fingerprint) {
                        rollup_set_add(&set, merging->heap[0]->number);
                        err = advance(merging);
                }
                if (err == HIF_OK)
                        rollup_add(writer, fingerprint, &set);
        }
        return err;
}

/* --- reading the parts --- */

static enum hif_err not_there(const struct project *project, const char *key, struct hif_why *why)
{
        return why_set(why, HIF_ENOENT, "%s in %s is not there, or does not fit: run hif maintain",
                       key, store_url(project->store));
}

static enum hif_err read_parts(const struct project *project, enum window_kind kind, uint64_t start,
                               struct merging *merging, struct hif_why *why)
{
        enum hif_err err = HIF_OK;

        for (uint32_t at = 0; at < ROLLUP_PARTS && err == HIF_OK;) {
                struct store_req reqs[READ_AT_ONCE] = {0};
                struct layout_key keys[READ_AT_ONCE];
                uint32_t count =
                    ROLLUP_PARTS - at < READ_AT_ONCE ? ROLLUP_PARTS - at : READ_AT_ONCE;

                for (uint32_t i = 0; i < count; i++) {
                        keys[i] = layout_window(&project->layout, kind,
                                                start + (at + i) * window_size(kind));
                        reqs[i].op = STORE_GET;
                        reqs[i].key = keys[i].text;
                        reqs[i].size_max = UINT32_MAX;
                }
                store_run(project->store, reqs, count);
                for (uint32_t i = 0; i < count; i++) {
                        struct part *part = &merging->parts[at + i];

                        part->number = at + i;
                        if (err == HIF_OK && reqs[i].result != HIF_OK)
                                err = reqs[i].result == HIF_ENOENT
                                          ? not_there(project, keys[i].text, why)
                                          : object_why(project, reqs[i].result, "read",
                                                       keys[i].text, why);
                        part->stored = reqs[i].data;
                        reqs[i].data = (struct buf){0};
                        store_req_free(&reqs[i]);
                        if (err == HIF_OK && rollup_open(buf_span(&part->stored), kind,
                                                         start + (at + i) * window_size(kind),
                                                         &part->rollup) != HIF_OK)
                                err = not_there(project, keys[i].text, why);
                }
                at += count;
        }
        return err;
}

/* Each goes on where the one before ended, and the last ends where the slots do. */
static enum hif_err check_chain(const struct project *project, const struct merging *merging,
                                struct hif_why *why)
{
        const struct window *end = &merging->parts[ROLLUP_PARTS - 1].rollup.window;
        struct layout_key last = layout_slot(&project->layout, window_last(end->kind, end->start));
        struct store_req req = {.op = STORE_GET, .key = last.text, .settled = true};
        bool fits;

        for (uint32_t i = 1; i < ROLLUP_PARTS; i++) {
                const struct window *window = &merging->parts[i].rollup.window;

                if (!hash_eq(&window->before, &merging->parts[i - 1].rollup.window.end)) {
                        struct layout_key key =
                            layout_window(&project->layout, window->kind, window->start);

                        return not_there(project, key.text, why);
                }
        }
        store_run(project->store, &req, 1);
        fits = window_fits(end, &req);
        store_req_free(&req);
        if (!fits) {
                struct layout_key key = layout_window(&project->layout, end->kind, end->start);

                return not_there(project, key.text, why);
        }
        return HIF_OK;
}

/* --- */

/* Which parts' paths go in: as many as there is room for, in order. A part that is left out, or has
 * left out some itself, is wide. */
static enum hif_err begin(struct merging *merging)
{
        uint64_t items = 0;
        enum hif_err err = HIF_OK;

        for (uint32_t i = 0; i < ROLLUP_PARTS && err == HIF_OK; i++) {
                struct part *part = &merging->parts[i];

                if (part->rollup.wide.bits[0] || part->rollup.wide.bits[1])
                        rollup_set_add(&merging->wide, i);
                items += part->rollup.item_count;
                if (items > ROLLUP_ITEMS_MAX)
                        return HIF_ELIMIT;
                err = next_item(part);
                if (err == HIF_OK)
                        merging->heap[merging->heap_count++] = part;
                else if (err == HIF_ENOENT)
                        err = HIF_OK;
        }
        for (size_t i = merging->heap_count / 2; i-- > 0 && err == HIF_OK;)
                sift_down(merging, i);
        return err;
}

static void merging_free(struct merging *merging)
{
        for (uint32_t i = 0; merging && i < ROLLUP_PARTS; i++)
                buf_free(&merging->parts[i].stored);
        free(merging);
}

enum hif_err rollup_merge(const struct project *project, int level, uint64_t start, struct buf *out,
                          struct hif_why *why)
{
        struct merging *merging = calloc(1, sizeof(*merging));
        struct window window = {.kind = rollup_kind(level), .start = start};
        struct rollup_writer writer;
        enum hif_err err = HIF_ENOMEM;

        assert(level >= 2 && level <= ROLLUP_LEVELS);
        if (merging)
                err = read_parts(project, rollup_kind(level - 1), start, merging, why);
        if (err == HIF_OK)
                err = check_chain(project, merging, why);
        if (err == HIF_OK) {
                window.before = merging->parts[0].rollup.window.before;
                window.end = merging->parts[ROLLUP_PARTS - 1].rollup.window.end;
                err = begin(merging);
                rollup_begin(&writer, &window, &merging->wide);
                if (err == HIF_OK)
                        err = merge(merging, &writer);
                if (err == HIF_OK)
                        err = rollup_finish(&writer, out);
                rollup_writer_free(&writer);
        }
        if (err == HIF_ECORRUPT)
                err = why_set(why, HIF_ENOENT,
                              "a rollup of level %d from @%llu on is damaged: run hif maintain "
                              "--rebuild",
                              level - 1, (unsigned long long)start);
        else if (err == HIF_ELIMIT)
                (void)why_set(why, err,
                              "the landings from @%llu on changed too many paths for a rollup of "
                              "level %d",
                              (unsigned long long)start, level);
        merging_free(merging);
        return err;
}
