/* Reading every slot of a range: "did this session land already", the chain of hashes, and who
 * changed a path. A slot that cannot be read stops the landing: it never counts as "nothing". */
#include "core/key.h"
#include "land/internal.h"

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

/* One slot further. */
static enum hif_err step(struct scan *scan, const struct slot_read *read, bool *found,
                         struct land_result *out, struct hif_why *why)
{
        enum hif_err err = check_link(scan, read, why);

        if (err != HIF_OK)
                return err;
        scan->position = read->slot.position;
        scan->hash = read->hash;
        if (LAND_MUTATION == MUTATE_NO_ORIGIN_SCAN || read->slot.kind != SLOT_LANDING ||
            !session_id_eq(&read->slot.session, &scan->session))
                return HIF_OK;
        *found = true;
        out->position = read->slot.position;
        out->slot_hash = read->hash;
        out->tree = read->slot.tree;
        out->paths = read->slot.path_count;
        out->already_landed = true;
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

/* The slot changed the path, or took away a directory above it. */
static bool slot_touches(const struct slot *slot, struct span path)
{
        for (uint32_t i = 0; slot->paths && i < slot->path_count; i++) {
                const struct slot_path *at = &slot->paths[i];
                bool from = at->path_from.size > 0;

                if (span_eq(at->path, path) || (from && span_eq(at->path_from, path)) ||
                    (at->kind == SLOT_REMOVED && path_within(path, at->path)) ||
                    (from && path_within(path, at->path_from)))
                        return true;
        }
        return false;
}

static bool changed_by(const struct slot *slot, const struct conflict_name *name)
{
        if (name->tag.id != 0)
                return slot->tag == name->tag.id && slot->position >= name->tag.position;
        return slot_touches(slot, name->conflict->path);
}

static enum hif_err take_name(const struct slot *slot, struct land_conflict *conflict,
                              struct arena *arena)
{
        conflict->position = slot->position;
        conflict->session = slot->session;
        conflict->author = arena_span(arena, slot->author);
        conflict->goal = arena_span(arena, slot->goal);
        if ((slot->author.size > 0 && !conflict->author.data) ||
            (slot->goal.size > 0 && !conflict->goal.data))
                return HIF_ENOMEM;
        return HIF_OK;
}

/* Give this slot's name to the conflicts that it made; how many are left without. */
static enum hif_err name_from(const struct slot *slot, struct conflict_name *names, size_t count,
                              size_t *left, struct arena *arena)
{
        enum hif_err err = HIF_OK;

        *left = 0;
        for (size_t i = 0; i < count && err == HIF_OK; i++) {
                if (names[i].conflict->position != 0)
                        continue;
                if (changed_by(slot, &names[i]))
                        err = take_name(slot, names[i].conflict, arena);
                else
                        ++*left;
        }
        return err;
}

enum hif_err scan_name(const struct project *project, uint64_t from, uint64_t to,
                       struct conflict_name *names, size_t count, struct arena *arena,
                       struct hif_why *why)
{
        size_t left = count;
        enum hif_err err = HIF_OK;

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
                        if (err == HIF_OK && left > 0)
                                err = name_from(&read[i].slot, names, count, &left, arena);
                        slot_read_free(&read[i]);
                }
                to -= n;
        }
        return err;
}
