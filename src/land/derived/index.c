/* index.c - which slots may have touched a path or carried a session, as the rollups have it.
 *
 * A search goes along positions and asks the largest window that is complete and there: none of its
 * parts has it, and the search goes on behind it; otherwise on into the first part that may. What
 * it lacks is read ahead: the same search is run without stopping at what is missing, which gives
 * the next windows that it would want, and those are read together. */
#include "core/layout.h"
#include "land/derived/parts.h"

#include <assert.h>

#define PLAN_MAX   64u   /* windows read together, */
#define PLAN_FIRST 8u    /* ... at first, and after one that was missing */
#define PLAN_STEPS 4096u /* of a search ahead */
#define CACHE_MAX  (64u << 20)

/* Read of the front of a record: of level 1 as a rule all of it, of the others the head. */
static const uint32_t front_size[ROLLUP_LEVELS + 1] = {0, 64u << 10, 16u << 10, 64u << 10};

struct block {
        struct block *next;
        uint32_t number;
        struct buf bytes;
};

/* A window that was looked at. */
struct seen {
        int level;
        uint64_t start;
        bool good; /* there, in order, and its end is the store's slot: what is not, does not count
                    */
        struct buf front;
        struct rollup rollup; /* borrows from front */
        struct block *blocks;
};

struct derived_index {
        const struct project *project;
        uint64_t limit;
        struct map seen;
        size_t bytes;
        size_t plan_size; /* windows that are read ahead */
        struct index_stats stats;
};

struct index_item index_path(struct span path)
{
        return (struct index_item){.fingerprint = rollup_of_path(path), .is_path = true};
}

struct index_item index_session(const struct session_id *session)
{
        return (struct index_item){.fingerprint = rollup_of_session(session)};
}

enum hif_err index_new(const struct project *project, uint64_t limit, struct derived_index **out)
{
        struct derived_index *index = calloc(1, sizeof(*index));

        if (!index)
                return HIF_ENOMEM;
        index->project = project;
        index->limit = limit;
        index->plan_size = PLAN_FIRST;
        *out = index;
        return HIF_OK;
}

static void seen_free(struct seen *seen)
{
        while (seen->blocks) {
                struct block *block = seen->blocks;

                seen->blocks = block->next;
                buf_free(&block->bytes);
                free(block);
        }
        buf_free(&seen->front);
        free(seen);
}

static void forget(struct derived_index *index)
{
        uint64_t key;
        void *seen;

        for (size_t i = 0; map_next(&index->seen, &i, &key, &seen);)
                seen_free(seen);
        map_free(&index->seen);
        index->bytes = 0;
}

void index_free(struct derived_index *index)
{
        if (!index)
                return;
        forget(index);
        free(index);
}

void index_raise(struct derived_index *index, uint64_t limit)
{
        if (limit > index->limit)
                index->limit = limit;
}

struct index_stats index_stats_get(const struct derived_index *index)
{
        return index->stats;
}

static uint64_t seen_key(int level, uint64_t start)
{
        return start * (ROLLUP_LEVELS + 1) + (uint64_t)level;
}

static struct seen *find_seen(const struct derived_index *index, int level, uint64_t start)
{
        return map_get(&index->seen, seen_key(level, start));
}

/* --- reading windows --- */

/* What is to be read next. */
struct plan {
        struct seen *windows[PLAN_MAX];
        size_t count;
};

static void run(struct derived_index *index, struct store_req *reqs, size_t count)
{
        if (count == 0)
                return;
        store_run(index->project->store, reqs, count);
        index->stats.trips++;
        index->stats.requests += count;
        for (size_t i = 0; i < count; i++)
                index->stats.bytes += reqs[i].data.size;
}

/* A head of more blocks than are usual. */
static void read_long_head(struct derived_index *index, struct seen *seen, const char *key)
{
        struct store_req req = {.op = STORE_GET, .key = key};
        uint32_t size;

        if (rollup_head_size(buf_span(&seen->front), &size) != HIF_OK || size <= seen->front.size)
                return;
        req.range_size = size;
        run(index, &req, 1);
        if (req.result == HIF_OK) {
                buf_free(&seen->front);
                seen->front = req.data;
                req.data = (struct buf){0};
        }
        store_req_free(&req);
}

static void read_heads(struct derived_index *index, struct plan *plan)
{
        struct store_req reqs[PLAN_MAX] = {0};
        struct layout_key keys[PLAN_MAX];
        struct seen *wanted[PLAN_MAX];
        size_t count = 0;

        for (size_t i = 0; i < plan->count; i++) {
                struct seen *seen = plan->windows[i];

                if (seen->good)
                        continue;
                keys[count] =
                    layout_window(&index->project->layout, rollup_kind(seen->level), seen->start);
                reqs[count].op = STORE_GET;
                reqs[count].key = keys[count].text;
                reqs[count].range_size = front_size[seen->level];
                wanted[count++] = seen;
        }
        run(index, reqs, count);
        for (size_t i = 0; i < count; i++) {
                struct seen *seen = wanted[i];

                if (reqs[i].result == HIF_OK) {
                        seen->front = reqs[i].data;
                        reqs[i].data = (struct buf){0};
                        read_long_head(index, seen, keys[i].text);
                        seen->good = rollup_open(buf_span(&seen->front), rollup_kind(seen->level),
                                                 seen->start, &seen->rollup) == HIF_OK;
                        index->bytes += seen->front.size;
                        index->stats.windows++;
                }
                store_req_free(&reqs[i]);
        }
}

/* A window counts only if its last slot is the store's. */
static void check_ends(struct derived_index *index, const struct plan *plan,
                       const bool was_good[PLAN_MAX])
{
        struct store_req reqs[PLAN_MAX] = {0};
        struct layout_key keys[PLAN_MAX];
        struct seen *wanted[PLAN_MAX];
        size_t count = 0;

        for (size_t i = 0; i < plan->count; i++) {
                struct seen *seen = plan->windows[i];

                if (!seen->good || was_good[i])
                        continue;
                keys[count] = layout_slot(&index->project->layout,
                                          window_last(rollup_kind(seen->level), seen->start));
                reqs[count].op = STORE_GET;
                reqs[count].settled = true;
                reqs[count].key = keys[count].text;
                wanted[count++] = seen;
        }
        run(index, reqs, count);
        for (size_t i = 0; i < count; i++) {
                wanted[i]->good = window_fits(&wanted[i]->rollup.window, &reqs[i]);
                store_req_free(&reqs[i]);
        }
}

/* --- blocks --- */

/* A block that is there: with the front, or read on its own. */
static bool block_bytes(const struct seen *seen, uint32_t number, struct span *out)
{
        uint64_t offset;
        uint32_t size;

        rollup_block_at(&seen->rollup, number, &offset, &size);
        if (offset + size <= seen->front.size) {
                *out = span_of(seen->front.data + offset, size);
                return true;
        }
        for (const struct block *block = seen->blocks; block; block = block->next) {
                if (block->number == number) {
                        *out = buf_span(&block->bytes);
                        return true;
                }
        }
        return false;
}

/* Does the window lack the block of one of the items? */
static bool lacks_block(const struct seen *seen, const struct index_item *items, size_t count,
                        uint32_t *number)
{
        struct span bytes;

        for (size_t i = 0; i < count; i++)
                if (rollup_block_of(&seen->rollup, items[i].fingerprint, number) &&
                    !block_bytes(seen, *number, &bytes))
                        return true;
        return false;
}

static void take_block(struct derived_index *index, struct seen *seen, uint32_t number,
                       struct store_req *req)
{
        struct block *block = calloc(1, sizeof(*block));

        if (!block || req->result != HIF_OK) {
                free(block);
                seen->good = false; /* who cannot be asked is passed over */
                return;
        }
        *block = (struct block){.next = seen->blocks, .number = number, .bytes = req->data};
        req->data = (struct buf){0};
        seen->blocks = block;
        index->bytes += block->bytes.size;
        index->stats.blocks++;
}

/* One block of each window; whether there may be more to read. */
static bool read_blocks(struct derived_index *index, struct plan *plan,
                        const struct index_item *items, size_t item_count)
{
        struct store_req reqs[PLAN_MAX] = {0};
        struct layout_key keys[PLAN_MAX];
        struct seen *wanted[PLAN_MAX];
        uint32_t numbers[PLAN_MAX], size;
        size_t count = 0;

        for (size_t i = 0; i < plan->count; i++) {
                struct seen *seen = plan->windows[i];

                if (!seen->good || !lacks_block(seen, items, item_count, &numbers[count]))
                        continue;
                keys[count] =
                    layout_window(&index->project->layout, rollup_kind(seen->level), seen->start);
                reqs[count].op = STORE_GET;
                reqs[count].key = keys[count].text;
                rollup_block_at(&seen->rollup, numbers[count], &reqs[count].range_start, &size);
                reqs[count].range_size = size;
                wanted[count++] = seen;
        }
        run(index, reqs, count);
        for (size_t i = 0; i < count; i++) {
                take_block(index, wanted[i], numbers[i], &reqs[i]);
                store_req_free(&reqs[i]);
        }
        return count > 0;
}

static void read_plan(struct derived_index *index, struct plan *plan,
                      const struct index_item *items, size_t count)
{
        bool was_good[PLAN_MAX];

        for (size_t i = 0; i < plan->count; i++)
                was_good[i] = plan->windows[i]->good;
        read_heads(index, plan);
        check_ends(index, plan, was_good);
        while (read_blocks(index, plan, items, count))
                ;
        /* Where records are missing, more of them are. */
        index->plan_size = index->plan_size * 2 < PLAN_MAX ? index->plan_size * 2 : PLAN_MAX;
        for (size_t i = 0; i < plan->count; i++)
                if (!plan->windows[i]->good)
                        index->plan_size = PLAN_FIRST;
}

/* --- the search --- */

struct search {
        struct derived_index *index;
        const struct index_item *items;
        size_t count;
        bool backwards;
        uint64_t end; /* the last position that is looked at */
        struct plan *plan;
        bool no_memory;
};

/* The window's record is in memory, with the blocks that this search asks. One that is known not to
 * count is, too. A search ahead puts what is not on its list. */
static struct seen *look_at(struct search *search, int level, uint64_t start)
{
        struct seen *seen = find_seen(search->index, level, start);
        uint32_t number;

        if (seen && (!seen->good || !lacks_block(seen, search->items, search->count, &number)))
                return seen;
        if (!search->plan)
                return NULL;
        if (!seen) {
                seen = calloc(1, sizeof(*seen));
                if (!seen ||
                    map_put(&search->index->seen, seen_key(level, start), seen) != HIF_OK) {
                        free(seen);
                        search->no_memory = true;
                        return NULL;
                }
                seen->level = level;
                seen->start = start;
        }
        if (search->plan->count < PLAN_MAX)
                search->plan->windows[search->plan->count++] = seen;
        return NULL;
}

/* Which parts may have any of the items; false: the record is damaged. */
static bool parts_of(const struct search *search, struct seen *seen, struct rollup_set *out)
{
        *out = (struct rollup_set){0};
        for (size_t i = 0; i < search->count; i++) {
                const struct index_item *item = &search->items[i];
                struct rollup_set set = {0};
                struct span bytes;
                uint32_t number;

                if (rollup_block_of(&seen->rollup, item->fingerprint, &number) &&
                    (!block_bytes(seen, number, &bytes) ||
                     rollup_find(&seen->rollup, number, bytes, item->fingerprint, &set) != HIF_OK))
                        return false;
                for (int word = 0; word < 2; word++)
                        out->bits[word] |=
                            set.bits[word] | (item->is_path ? seen->rollup.wide.bits[word] : 0);
        }
        return true;
}

/* From `part` on in the direction of the search: the first that is in the set, or -1. */
static int next_part(const struct search *search, const struct rollup_set *set, int part)
{
        for (; part >= 0 && part < (int)ROLLUP_PARTS; part += search->backwards ? -1 : 1)
                if (rollup_set_has(set, (uint32_t)part))
                        return part;
        return -1;
}

/* Behind a run of positions; false: that is beyond the end. */
static bool pass(const struct search *search, uint64_t start, uint64_t size, uint64_t *position)
{
        if (search->backwards) {
                *position = start - 1;
                return start > search->end;
        }
        *position = start + size;
        return *position <= search->end;
}

enum step {
        STEP_FINER,  /* this window does not help */
        STEP_INTO,   /* *position is in the next part that may have it */
        STEP_BEHIND, /* *position is behind the window, of which nothing is wanted */
        STEP_OVER,   /* ... and that is beyond the end */
};

static enum step step_in(const struct search *search, struct seen *seen, uint64_t *position)
{
        enum window_kind kind = rollup_kind(seen->level);
        uint64_t size = window_size(kind), part_size = size / ROLLUP_PARTS;
        uint64_t part_start;
        struct rollup_set set;
        int now, part;

        if (LAND_MUTATION == MUTATE_MISSING_IS_NONE && !seen->good)
                return pass(search, seen->start, size, position) ? STEP_BEHIND : STEP_OVER;
        if (!seen->good)
                return STEP_FINER;
        if (!parts_of(search, seen, &set)) {
                seen->good = false;
                return STEP_FINER;
        }
        now = (int)((*position - seen->start) / part_size);
        part = next_part(search, &set, now);
        if (part < 0)
                return pass(search, seen->start, size, position) ? STEP_BEHIND : STEP_OVER;
        if (part == now)
                return STEP_INTO;
        part_start = seen->start + (uint64_t)part * part_size;
        *position = search->backwards ? part_start + part_size - 1 : part_start;
        if (search->backwards ? *position < search->end : *position > search->end)
                return STEP_OVER;
        return STEP_INTO;
}

/* At a position, through the levels. HIF_OK: it is a candidate (*covered), or not known.
 * HIF_EAGAIN: go on from *position. HIF_ENOENT: at the end. HIF_EMISS: something has to be read
 * first. */
static enum hif_err step(struct search *search, uint64_t *position, bool *covered)
{
        *covered = false;
        for (int level = ROLLUP_LEVELS; level > 0; level--) {
                enum window_kind kind = rollup_kind(level);
                uint64_t start = window_start(kind, *position);
                struct seen *seen;

                if (window_last(kind, start) > search->index->limit)
                        continue;
                seen = look_at(search, level, start);
                if (!seen && search->no_memory)
                        return HIF_ENOMEM;
                if (!seen && !search->plan)
                        return HIF_EMISS;
                if (!seen)
                        return pass(search, start, window_size(kind), position) ? HIF_EAGAIN
                                                                                : HIF_ENOENT;
                switch (step_in(search, seen, position)) {
                case STEP_FINER:
                        break;
                case STEP_INTO:
                        *covered = level == 1;
                        break;
                case STEP_BEHIND:
                        return HIF_EAGAIN;
                case STEP_OVER:
                        return HIF_ENOENT;
                }
        }
        return HIF_OK;
}

/* Which windows the search would want next. */
static enum hif_err read_ahead(const struct search *search, uint64_t position)
{
        struct plan plan = {.count = 0};
        struct search ahead = *search;

        ahead.plan = &plan;
        for (uint32_t i = 0; i < PLAN_STEPS && plan.count < search->index->plan_size; i++) {
                bool covered;
                enum hif_err err = step(&ahead, &position, &covered);
                uint64_t start = window_start(WINDOW_LEVEL_1, position);

                if (err == HIF_ENOMEM)
                        return err;
                if (err == HIF_ENOENT)
                        break;
                /* A candidate: behind it; no rollup: behind where one would be. */
                if (err == HIF_OK && !pass(&ahead, covered ? position : start,
                                           covered ? 1 : window_size(WINDOW_LEVEL_1), &position))
                        break;
        }
        read_plan(search->index, &plan, search->items, search->count);
        return HIF_OK;
}

static enum hif_err search_from(struct search *search, uint64_t position, uint64_t *out,
                                bool *covered)
{
        enum hif_err err;

        if (search->backwards ? position < search->end : position > search->end)
                return HIF_ENOENT;
        if (search->index->bytes > CACHE_MAX)
                forget(search->index);
        do {
                err = step(search, &position, covered);
                if (err == HIF_EMISS) {
                        err = read_ahead(search, position);
                        if (err == HIF_OK)
                                err = HIF_EAGAIN;
                }
        } while (err == HIF_EAGAIN);
        if (err == HIF_OK)
                *out = position;
        return err;
}

enum hif_err index_next(struct derived_index *index, const struct index_item *items, size_t count,
                        uint64_t from, uint64_t to, uint64_t *position, bool *covered)
{
        struct search search = {.index = index, .items = items, .count = count, .end = to};

        return search_from(&search, from, position, covered);
}

enum hif_err index_previous(struct derived_index *index, const struct index_item *items,
                            size_t count, uint64_t from, uint64_t to, uint64_t *position,
                            bool *covered)
{
        struct search search = {
            .index = index, .items = items, .count = count, .backwards = true, .end = from};

        return search_from(&search, to, position, covered);
}
