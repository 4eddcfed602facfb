/* Reading every slot of a range: "did this session land already", the chain of hashes, and who
 * changed a path. A slot that cannot be read stops the landing: it never counts as "nothing". */
#include "core/key.h"
#include "land/batch.h"

#include <inttypes.h>
#include <stdlib.h>

static enum hif_err check_link(struct scan *scan, const struct slot_read *read, struct hif_why *why)
{
        const struct slot *slot = &read->slot;

        if (slot->position == scan->position + 1 && !hash_is_zero(&scan->hash) &&
            !hash_eq(&slot->previous, &scan->hash))
                return why_set(why, HIF_ECORRUPT,
                               "@%" PRIu64 " in %s does not follow @%" PRIu64
                               ": the store holds another history",
                               slot->position, store_url(scan->project->store), scan->position);
        if (slot->position == scan->base_position && !hash_is_zero(&scan->base_slot) &&
            !hash_eq(&read->hash, &scan->base_slot))
                return why_set(why, HIF_ECORRUPT,
                               "%s holds something else at @%" PRIu64
                               " than this session started from",
                               store_url(scan->project->store), slot->position);
        return HIF_OK;
}

void land_result_of(const struct slot_read *read, uint32_t index, struct land_result *out)
{
        struct slot_member member;

        slot_landing_at(&read->slot, index, &member, NULL);
        out->position = read->slot.position;
        out->member = read->slot.kind == SLOT_BATCH ? index + 1 : 0;
        out->slot_hash = read->hash;
        out->tree = read->slot.tree;
        out->paths = member.path_count;
        out->already_landed = true;
}

/* One slot further. */
static enum hif_err step(struct scan *scan, const struct slot_read *read, bool *found,
                         struct land_result *out, struct hif_why *why)
{
        enum hif_err err = check_link(scan, read, why);
        uint32_t index;

        if (err != HIF_OK)
                return err;
        scan->position = read->slot.position;
        scan->hash = read->hash;
        if (LAND_MUTATION == MUTATE_NO_ORIGIN_SCAN ||
            !slot_lands(&read->slot, &scan->session, &index))
                return HIF_OK;
        *found = true;
        land_result_of(read, index, out);
        return HIF_OK;
}

enum hif_err scan_to(struct scan *scan, const struct slot_read *tail, bool *found,
                     struct land_result *out, struct hif_why *why)
{
        uint64_t end = tail->slot.position;
        enum hif_err err = HIF_OK;

        *found = false;
        if (LAND_MUTATION == MUTATE_TRUST_HEAD || end <= scan->position)
                return HIF_OK;
        while (err == HIF_OK && !*found && scan->position + 1 < end) {
                const struct slot_read *kept =
                    scan->line ? line_slot(scan->line, scan->position + 1) : NULL;

                if (kept) {
                        err = step(scan, kept, found, out, why);
                        continue;
                }
                struct slot_read read[SLOTS_BATCH];
                uint64_t left = end - scan->position - 1;
                size_t count = left < SLOTS_BATCH ? (size_t)left : SLOTS_BATCH;

                err = slots_get(scan->project, scan->position + 1, count, read, why);
                if (err != HIF_OK)
                        break;
                for (size_t i = 0; i < count; i++) {
                        if (err == HIF_OK && !*found)
                                err = step(scan, &read[i], found, out, why);
                        slot_read_free(&read[i]);
                }
        }
        if (err == HIF_OK && !*found)
                err = step(scan, tail, found, out, why);
        return err;
}

enum hif_err land_find(const struct project *project, const struct session_id *session,
                       uint64_t origin, uint64_t *position, struct hif_hash *slot_hash,
                       struct hif_hash *tree, struct hif_why *why)
{
        struct scan scan = {
            .project = project, .session = *session, .origin = origin, .position = origin};
        struct slot_read tail;
        struct land_result result = {0};
        bool found = false;
        enum hif_err err = tail_read(project, origin, NULL, &tail, why);

        if (err != HIF_OK)
                return err;
        err = scan_to(&scan, &tail, &found, &result, why);
        slot_read_free(&tail);
        if (err != HIF_OK)
                return err;
        if (!found)
                return why_set(why, HIF_ENOENT, "this session has not landed");
        *position = result.position;
        *slot_hash = result.slot_hash;
        *tree = result.tree;
        return HIF_OK;
}

/* --- names for conflicts --- */

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

/* Give the names of this slot's landings to the conflicts that they made, the last one's first; how
 * many are left without. */
static enum hif_err name_from(const struct slot *slot, struct conflict_name *names, size_t count,
                              size_t *left, struct arena *arena)
{
        enum hif_err err = HIF_OK;

        for (uint32_t index = slot_landing_count(slot); index-- > 0 && *left > 0;) {
                struct part part = part_at(slot, index);

                for (size_t i = 0; i < count && err == HIF_OK; i++) {
                        if (names[i].conflict->position != 0 || !changed_by(&part, &names[i]))
                                continue;
                        err = take_name(&part, names[i].conflict, arena);
                        --*left;
                }
        }
        return err;
}

enum hif_err scan_name(const struct project *project, uint64_t from, uint64_t to,
                       struct conflict_name *names, size_t count, struct arena *arena,
                       struct hif_why *why)
{
        size_t left = 0;
        enum hif_err err = HIF_OK;

        for (size_t i = 0; i < count; i++)
                left += names[i].conflict->position == 0;
        /* Backwards: the last one that changed a path is the one to talk to. */
        while (err == HIF_OK && left > 0 && to > from) {
                struct slot_read read[SLOTS_BATCH];
                size_t n = to - from < SLOTS_BATCH ? (size_t)(to - from) : SLOTS_BATCH;

                err = slots_get(project, to - n + 1, n, read, why);
                if (err != HIF_OK)
                        break;
                for (size_t i = n; i-- > 0;) {
                        if (err == HIF_OK && left > 0)
                                err = slot_load_lists(project, &read[i], why);
                        if (err == HIF_OK)
                                err = name_from(&read[i].slot, names, count, &left, arena);
                        slot_read_free(&read[i]);
                }
                to -= n;
        }
        return err;
}
