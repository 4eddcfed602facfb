#include "tests/land/sim_derive.h"

#include "core/layout.h"
#include "land/derived/history.h"
#include "land/derived/maintain.h"
#include "land/internal.h"

#include <inttypes.h>
#include <stdlib.h>

#define MS 1000000ull

/* --- making --- */

/* Who died goes on as a new process. */
static void come_back(struct lander *helper)
{
        if (!helper->crashed)
                return;
        helper->crashed = false;
        helper->crash_in = 0;
        lander_sleep(helper, world_below(helper->world, 300 * MS));
}

/* A record of some window that is complete, as far as this helper knows. The one mistake that it
 * can make is one of the builds that must be caught. */
static void make_one(struct lander *helper, uint64_t tail)
{
        static const enum window_kind kinds[] = {WINDOW_LEVEL_1, WINDOW_LEVEL_1, WINDOW_LEVEL_1,
                                                 WINDOW_SEGMENT, WINDOW_LEVEL_2, WINDOW_LEVEL_3};
        struct world *world = helper->world;
        enum window_kind kind = kinds[world_below(world, 6)];
        uint64_t windows = (tail + 1) / window_size(kind);
        struct hif_why why = {.text = ""};
        uint64_t start;
        enum hif_err err;

        if (LAND_MUTATION == MUTATE_INCOMPLETE_WINDOW)
                windows++;
        if (windows == 0)
                return;
        start = world_below(world, windows) * window_size(kind);
        err = derived_make(&helper->project, kind, start, NULL, &why);
        world_trace(world, "helper %d: makes %s/%" PRIu64 ": %s%s", helper->number,
                    window_kind_name(kind), start, hif_err_name(err),
                    helper->crashed ? " (dead)" : "");
        if (!helper->crashed && err != HIF_OK && err != HIF_ENOENT && err != HIF_EUNREACHABLE &&
            err != HIF_EUNKNOWN)
                world_fail(world, "a record of %s from @%" PRIu64 " on: %s (%s)",
                           window_kind_name(kind), start, hif_err_name(err), why.text);
}

void derive_after(struct lander *lander, uint64_t position)
{
        if (lander->honest || world_chance(lander->world, 50))
                derived_after_landing(&lander->project, position);
}

/* --- reading --- */

/* What there was when the question was asked must be in the answer. */
static void find_one(struct lander *helper)
{
        struct world *world = helper->world;
        const struct sim_session *session;
        uint64_t asked_at = world->positions - 1, origin = world_below(world, asked_at + 1), where;
        struct hif_hash slot_hash, tree;
        enum hif_err err;

        if (world->session_count == 0)
                return;
        session = &world->sessions[world_below(world, (uint64_t)world->session_count)];
        err = land_find(&helper->project, &session->id, origin, &where, &slot_hash, &tree, NULL);
        if (helper->crashed || (err != HIF_OK && err != HIF_ENOENT))
                return;
        world_trace(world, "helper %d: session %d after @%" PRIu64 ": %s @%" PRIu64, helper->number,
                    session->number, origin, hif_err_name(err), err == HIF_OK ? where : 0);
        if (err == HIF_OK && (where != session->landed_at || where <= origin))
                world_fail(world, "session %d was found at @%" PRIu64 ", and landed at @%" PRIu64,
                           session->number, where, session->landed_at);
        if (err == HIF_ENOENT && session->landed_at > origin && session->landed_at <= asked_at)
                world_fail(world, "session %d was not found after @%" PRIu64 ": it is at @%" PRIu64,
                           session->number, origin, session->landed_at);
}

/* Has the path, or something below it, another value than before? */
static bool changed_at(const struct world *world, uint64_t position, int path)
{
        for (int p = 0; p < PATHS; p++)
                if ((p == path || path_below(p, path)) &&
                    world->states[position].at[p] != world->states[position - 1].at[p])
                        return true;
        return false;
}

static bool slot_lists(const struct slot *slot, struct span path)
{
        for (uint32_t i = 0; slot->paths && i < slot->path_count; i++)
                if (span_eq(slot->paths[i].path, path) || path_within(slot->paths[i].path, path))
                        return true;
        return false;
}

/* No landing that changed the path is left out, and none is there that did not touch it. */
static void read_history(struct lander *helper)
{
        struct world *world = helper->world;
        int path = (int)world_below(world, PATHS);
        struct span text = span_str(path_text(path));
        uint64_t from = world_below(world, world->positions);
        struct history_wish wish = {.tail = world->positions - 1, .from = from, .path = text};
        struct history *history;
        struct history_item item;
        uint64_t above = from + 1; /* everything from here on is dealt with */
        enum hif_err err = history_new(&helper->project, &wish, &history);

        while (err == HIF_OK) {
                uint64_t at = 0;

                err = history_next(history, &item, NULL);
                if (err == HIF_OK) {
                        at = item.slot->position;
                        if (!slot_lists(item.slot, text))
                                world_fail(world, "@%" PRIu64 " does not touch %s", at,
                                           path_text(path));
                } else if (err != HIF_ENOENT) {
                        break;
                }
                for (uint64_t p = above; p-- > at + 1;)
                        if (changed_at(world, p, path))
                                world_fail(world, "@%" PRIu64 " is missing in the history of %s", p,
                                           path_text(path));
                above = at;
        }
        history_free(history);
}

/* --- helpers --- */

static void helper_main(struct lander *helper)
{
        struct world *world = helper->world;
        uint64_t rounds = 4 + world_below(world, 12);
        uint64_t tail = 0;

        for (uint64_t i = 0; i < rounds && !world->failed; i++) {
                uint64_t what = world_below(world, 10);
                struct slot_read read;

                lander_sleep(helper, world_below(world, 400 * MS));
                if (world->failed)
                        return;
                helper->crash_in =
                    world_chance(world, 25) ? 1 + (uint32_t)world_below(world, 30) : 0;
                /* What it knows of the tail may be of long ago. */
                if (world_chance(world, 70) &&
                    project_tail(&helper->project, tail, &read, NULL) == HIF_OK) {
                        tail = read.slot.position;
                        slot_read_free(&read);
                }
                if (!helper->crashed && what < 6)
                        make_one(helper, tail);
                else if (!helper->crashed && what < 8)
                        find_one(helper);
                else if (!helper->crashed)
                        read_history(helper);
                come_back(helper);
        }
}

/* --- what becomes of records --- */

static bool is_derived(const char *key)
{
        return strstr(key, "/segments/") || strstr(key, "/bloom-index/") ||
               strstr(key, "/hash-index/");
}

/* Call each for the derived records that there are. */
static void each_record(struct world *world, void (*each)(struct world *world, const char *key))
{
        struct store_req list = {
            .op = STORE_LIST, .prefix = world->project.layout.prefix, .list_max = 1000000};

        store_run(world->inner, &list, 1);
        for (size_t i = 0; list.result == HIF_OK && i < list.list.count; i++)
                if (is_derived(list.list.items[i].key))
                        each(world, list.list.items[i].key);
        store_req_free(&list);
}

static void harm(struct world *world, const char *key)
{
        size_t bits = store_mem_peek(world->inner, key).size * 8;
        uint64_t draw = world_below(world, 10);

        if (draw < 3) {
                world_trace(world, "someone removes %s", key);
                store_mem_drop(world->inner, key);
        } else if (draw < 5 && bits > 0) {
                world_trace(world, "someone damages %s", key);
                store_mem_flip(world->inner, key, world_below(world, bits));
                world->damaged = true;
        }
}

static void event_harm(struct world *world, void *arg)
{
        (void)arg;
        each_record(world, harm);
}

bool derive_start(struct world *world)
{
        uint64_t helpers = world_below(world, HELPERS_MAX + 1);

        for (uint64_t i = 0; i < helpers; i++) {
                struct lander *helper = &world->helpers[i];

                helper->project = world->project;
                helper->project.store = helper->store;
                helper->project.env = &helper->env;
                if (!lander_start(helper, helper_main, world_below(world, 200 * MS)))
                        return false;
        }
        for (uint64_t i = world_below(world, 3); i > 0; i--)
                world_after(world, world_below(world, 2000 * MS), event_harm, NULL);
        return true;
}

/* --- the end --- */

static bool key_kind(const struct world *world, const char *key, enum window_kind *kind,
                     uint64_t *start)
{
        *start = strtoull(strrchr(key, '/') + 1, NULL, 10);
        for (int k = WINDOW_SEGMENT; k < WINDOW_KINDS; k++) {
                struct layout_key again =
                    layout_window(&world->project.layout, (enum window_kind)k, *start);

                *kind = (enum window_kind)k;
                if (strcmp(again.text, key) == 0)
                        return true;
        }
        return false;
}

/* Readers see a damaged record, and this need not: it counts only whole ones. */
static bool is_whole(enum window_kind kind, uint64_t start, struct span stored)
{
        struct body_codec *codec = body_codec_new(1);
        AUTO_ARENA struct arena arena = {0};
        struct segment segment;
        struct rollup rollup;
        bool whole = false;

        if (codec && kind == WINDOW_SEGMENT)
                whole = segment_get(codec, stored, start, &arena, &segment) == HIF_OK;
        else if (kind != WINDOW_HASHES)
                whole = rollup_open(stored, kind, start, &rollup) == HIF_OK;
        for (uint32_t i = 0; whole && kind != WINDOW_SEGMENT && i < rollup.block_count; i++) {
                struct rollup_items items;
                uint64_t offset;
                uint32_t size;

                rollup_block_at(&rollup, i, &offset, &size);
                whole = offset + size <= stored.size &&
                        rollup_items_open(&rollup, i, span_of(stored.data + offset, size),
                                          &items) == HIF_OK;
        }
        body_codec_free(codec);
        return whole;
}

static void check_record(struct world *world, const char *key)
{
        AUTO_BUF struct buf made = {0};
        struct span stored = store_mem_peek(world->inner, key);
        struct hif_why why = {.text = ""};
        enum window_kind kind;
        uint64_t start;
        enum hif_err err;

        if (!key_kind(world, key, &kind, &start)) {
                world_fail(world, "%s is the key of no record", key);
                return;
        }
        if (world->damaged && !is_whole(kind, start, stored))
                return;
        if (window_last(kind, start) >= world->positions) {
                world_fail(world, "%s is of a window that is not complete", key);
                return;
        }
        err = derived_build(&world->project, kind, start, &made, &why);
        if (err == HIF_ENOENT)
                return; /* what it is made of was removed, or damaged */
        if (err != HIF_OK)
                world_fail(world, "%s cannot be made again: %s (%s)", key, hif_err_name(err),
                           why.text);
        else if (!span_eq(stored, buf_span(&made)))
                world_fail(world, "%s is not what is made of its slots", key);
}

static void check_sessions(struct world *world)
{
        for (int i = 0; i < world->session_count && !world->failed; i++) {
                const struct sim_session *session = &world->sessions[i];
                struct hif_hash slot_hash, tree;
                uint64_t where = 0;
                enum hif_err err =
                    land_find(&world->project, &session->id, 0, &where, &slot_hash, &tree, NULL);

                if (err != HIF_OK && err != HIF_ENOENT)
                        world_fail(world, "session %d: %s", session->number, hif_err_name(err));
                else if (where != session->landed_at)
                        world_fail(world,
                                   "at the end, session %d is found at @%" PRIu64
                                   ", and landed at @%" PRIu64,
                                   session->number, where, session->landed_at);
        }
}

void derive_check(struct world *world)
{
        struct maintain_report report;
        struct hif_why why = {.text = ""};
        enum maintain_mode mode = world->damaged ? MAINTAIN_REBUILD : MAINTAIN_MAKE;

        each_record(world, check_record);
        check_sessions(world);
        if (world->failed)
                return;
        if (derived_maintain(&world->project, mode, NULL, &report, &why) != HIF_OK) {
                world_fail(world, "the records cannot be made: %s", why.text);
                return;
        }
        each_record(world, check_record);
        check_sessions(world);
}
