/* scan_names.c - who changed what is in conflict: for people to talk to, never for the decision.
 *
 * An entry names its landing by a tag and the position first tried; what they removed is looked for
 * backwards, as the last one that changed a path is the one to talk to. */
#include "core/key.h"
#include "land/derived/derived.h"
#include "land/internal.h"

#include <stdlib.h>

/* A landing is found so many positions behind the one that it first tried, or by its path. */
#define TAG_NEAR (4 * SLOTS_BATCH)

/* One landing of a slot. */
struct part {
        const struct slot *slot;
        uint32_t index;
        struct slot_member member;
        const struct slot_path *paths; /* its own; NULL: none */
};

static struct part part_at(const struct slot *slot, uint32_t index)
{
        struct part part = {.slot = slot, .index = index};
        uint32_t first;

        slot_landing_at(slot, index, &part.member, &first);
        if (slot->paths)
                part.paths = slot->paths + first;
        return part;
}

/* It changed the path, or took away a directory above it. */
static bool part_touches(const struct part *part, struct span path)
{
        for (uint32_t i = 0; part->paths && i < part->member.path_count; i++) {
                const struct slot_path *at = &part->paths[i];
                bool from = at->path_from.size > 0;

                if (span_eq(at->path, path) || (from && span_eq(at->path_from, path)) ||
                    (at->kind == SLOT_REMOVED && path_within(path, at->path)) ||
                    (from && path_within(path, at->path_from)))
                        return true;
        }
        return false;
}

static bool changed_by(const struct part *part, const struct conflict_name *name)
{
        if (name->tag.id != 0)
                return part->member.tag == name->tag.id &&
                       part->slot->position >= name->tag.position;
        return part_touches(part, name->conflict->path);
}

static enum hif_err take_name(const struct part *part, struct land_conflict *conflict,
                              struct arena *arena)
{
        const struct slot_member *member = &part->member;

        conflict->position = part->slot->position;
        conflict->member = part->slot->kind == SLOT_BATCH ? part->index + 1 : 0;
        conflict->session = member->session;
        conflict->author = arena_span(arena, member->author);
        conflict->goal = arena_span(arena, member->goal);
        if ((member->author.size > 0 && !conflict->author.data) ||
            (member->goal.size > 0 && !conflict->goal.data))
                return HIF_ENOMEM;
        return HIF_OK;
}

/* Give the names of this slot's landings to the conflicts that they made, the last one's first. by
 * tags: to those alone whose entries say which landing it was. */
static enum hif_err name_from(const struct slot *slot, struct conflict_name *names, size_t count,
                              bool by_tags, struct arena *arena)
{
        enum hif_err err = HIF_OK;

        for (uint32_t index = slot_landing_count(slot); index-- > 0;) {
                struct part part = part_at(slot, index);

                for (size_t i = 0; i < count && err == HIF_OK; i++) {
                        if (names[i].conflict->position == 0 &&
                            (names[i].tag.id != 0 || !by_tags) && changed_by(&part, &names[i]))
                                err = take_name(&part, names[i].conflict, arena);
                }
        }
        return err;
}

static bool all_named(const struct conflict_name *names, size_t count)
{
        for (size_t i = 0; i < count; i++)
                if (names[i].conflict->position == 0)
                        return false;
        return true;
}

/* Backwards over (from, to], until all have a name. */
static enum hif_err name_near(const struct project *project, uint64_t from, uint64_t to,
                              struct conflict_name *names, size_t count, struct arena *arena,
                              struct hif_why *why)
{
        enum hif_err err = HIF_OK;

        while (err == HIF_OK && to > from && !all_named(names, count)) {
                struct slot_read read[SLOTS_BATCH];
                size_t n = to - from < SLOTS_BATCH ? (size_t)(to - from) : SLOTS_BATCH;

                err = slots_get(project, to - n + 1, n, read, why);
                if (err != HIF_OK)
                        break;
                for (size_t i = n; i-- > 0;) {
                        if (err == HIF_OK && !all_named(names, count))
                                err = slot_load_lists(project, &read[i], why);
                        if (err == HIF_OK)
                                err = name_from(&read[i].slot, names, count, false, arena);
                        slot_read_free(&read[i]);
                }
                to -= n;
        }
        return err;
}

/* Forwards from where the entry's landing was first tried. Slots on the way name others, too. */
static enum hif_err name_by_tag(const struct project *project, uint64_t from, uint64_t to,
                                const struct conflict_name *name, struct conflict_name *names,
                                size_t count, struct arena *arena, struct hif_why *why)
{
        uint64_t at = name->tag.position > from ? name->tag.position : from + 1;
        uint64_t stop = to - at > TAG_NEAR ? at + TAG_NEAR : to;
        enum hif_err err = HIF_OK;

        while (err == HIF_OK && at <= stop && name->conflict->position == 0) {
                struct slot_read read[SLOTS_BATCH];
                size_t most = at == name->tag.position ? 4 : SLOTS_BATCH;
                size_t n = stop - at + 1 < most ? (size_t)(stop - at + 1) : most;

                err = slots_get(project, at, n, read, why);
                if (err != HIF_OK)
                        break;
                for (size_t i = 0; i < n; i++) {
                        if (err == HIF_OK)
                                err = name_from(&read[i].slot, names, count, true, arena);
                        slot_read_free(&read[i]);
                }
                at += n;
        }
        return err;
}

/* Backwards over the slots that may have touched `touched`: the path, or a directory above it. */
static enum hif_err name_by_touch(const struct project *project, struct derived_index *index,
                                  uint64_t from, uint64_t to, struct span touched,
                                  struct conflict_name *name, struct arena *arena,
                                  struct hif_why *why)
{
        struct index_item item = index_path(touched);
        struct conflict_name by_path = {.conflict = name->conflict};
        enum hif_err err = HIF_OK;

        while (err == HIF_OK && to > from && name->conflict->position == 0) {
                bool covered;
                uint64_t first;

                err = index_previous(index, &item, 1, from + 1, to, &to, &covered);
                if (err != HIF_OK)
                        break;
                first = covered ? to - 1 : to - from > SLOTS_BATCH ? to - SLOTS_BATCH : from;
                err = name_near(project, first, to, &by_path, 1, arena, why);
                to = first;
        }
        return err == HIF_ENOENT ? HIF_OK : err;
}

/* They removed it, or a directory above it in which we had something new: the nearest first, as
 * what was removed was not touched again. */
static enum hif_err name_by_path(const struct project *project, struct derived_index *index,
                                 uint64_t from, uint64_t to, struct conflict_name *name,
                                 struct arena *arena, struct hif_why *why)
{
        enum hif_err err = HIF_OK;

        for (struct span path = name->conflict->path;
             path.size > 0 && err == HIF_OK && name->conflict->position == 0;
             path = path_parent(path))
                err = name_by_touch(project, index, from, to, path, name, arena, why);
        return err;
}

enum hif_err scan_name(const struct project *project, uint64_t from, uint64_t to,
                       struct conflict_name *names, size_t count, struct arena *arena,
                       struct hif_why *why)
{
        struct derived_index *index;
        enum hif_err err;

        if (to - from <= SCAN_NEAR)
                return name_near(project, from, to, names, count, arena, why);
        err = index_new(project, to, &index);
        if (err != HIF_OK)
                return err;
        for (size_t i = 0; i < count && err == HIF_OK; i++) {
                struct conflict_name *name = &names[i];

                if (name->conflict->position == 0 && name->tag.id != 0)
                        err = name_by_tag(project, from, to, name, names, count, arena, why);
                if (err == HIF_OK && name->conflict->position == 0)
                        err = name_by_path(project, index, from, to, name, arena, why);
        }
        index_free(index);
        return err;
}
