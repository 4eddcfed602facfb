/* "Did this session land already", over every slot of a range, and the chain of their hashes. A
 * slot that cannot be read stops the landing: it never counts as "nothing".
 *
 * Far ranges go by the rollups: what they say of a window holds for all its slots, and whatever
 * they do not know is read, as a segment where there is one. */
#include "land/batch.h"
#include "land/derived/derived.h"

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
        memcpy(out->landing_id, member.landing_id, LANDING_ID_SIZE);
        out->slot_hash = read->hash;
        out->tree = read->slot.tree;
        out->paths = member.path_count;
        out->already_landed = true;
}

/* One slot further; but not past one that has the session in it, so that it is found again. */
static enum hif_err step(struct scan *scan, const struct slot_read *read, bool *found,
                         struct land_result *out, struct hif_why *why)
{
        enum hif_err err = check_link(scan, read, why);
        uint32_t index;

        if (err != HIF_OK)
                return err;
        if (LAND_MUTATION != MUTATE_NO_REFUSALS && slot_refuses(&read->slot, &scan->session)) {
                *found = true;
                out->refused = true;
                out->position = read->slot.position;
                out->slot_hash = read->hash;
                out->tree = read->slot.tree;
                return HIF_OK;
        }
        if (LAND_MUTATION != MUTATE_NO_ORIGIN_SCAN &&
            slot_lands(&read->slot, &scan->session, &index)) {
                *found = true;
                land_result_of(read, index, out);
                return HIF_OK;
        }
        scan->position = read->slot.position;
        scan->hash = read->hash;
        return HIF_OK;
}

/* What lies before is known not to be ours, without having been read. */
static void skip_to(struct scan *scan, uint64_t position)
{
        if (position <= scan->position + 1)
                return;
        scan->position = position - 1;
        scan->hash = (struct hif_hash){0};
}

static enum hif_err step_slots(struct scan *scan, uint64_t end, bool *found,
                               struct land_result *out, struct hif_why *why)
{
        struct slot_read read[SLOTS_BATCH];
        uint64_t left = end - scan->position - 1;
        size_t count = left < SLOTS_BATCH ? (size_t)left : SLOTS_BATCH;
        enum hif_err err = slots_get(scan->project, scan->position + 1, count, read, why);

        if (LAND_MUTATION == MUTATE_UNREAD_IS_NONE && err != HIF_OK) {
                skip_to(scan, end);
                return HIF_OK;
        }
        if (err != HIF_OK)
                return err;
        for (size_t i = 0; i < count; i++) {
                if (err == HIF_OK && !*found)
                        err = step(scan, &read[i], found, out, why);
                slot_read_free(&read[i]);
        }
        return err;
}

/* The slots from here on, out of their segment. HIF_ENOENT: there is none that helps. */
static enum hif_err step_segment(struct scan *scan, uint64_t end, bool *found,
                                 struct land_result *out, struct hif_why *why)
{
        uint64_t start = window_start(WINDOW_SEGMENT, scan->position + 1);
        AUTO_ARENA struct arena arena = {0};
        struct segment segment;
        enum hif_err err;

        if (scan->segment_refused == start + 1 || window_last(WINDOW_SEGMENT, start) >= end ||
            window_last(WINDOW_SEGMENT, start) - scan->position < SCAN_NEAR)
                return HIF_ENOENT;
        err = segment_read(scan->project, start, &arena, &segment);
        if (err == HIF_ENOENT)
                scan->segment_refused = start + 1;
        for (uint64_t i = scan->position + 1 - start; err == HIF_OK && i < SEGMENT_SLOTS; i++) {
                struct slot_read row = {.slot = segment.rows[i].slot, .hash = segment.rows[i].hash};

                /* Where it is, the slot itself tells: rows leave out who tried, and its objects. */
                if (slot_lands(&row.slot, &scan->session, NULL) ||
                    slot_refuses(&row.slot, &scan->session))
                        return step_slots(scan, start + i + 1, found, out, why);
                err = step(scan, &row, found, out, why);
        }
        return err;
}

/* One piece of a far range further. */
static enum hif_err step_far(struct scan *scan, uint64_t end, bool *found, struct land_result *out,
                             struct hif_why *why)
{
        struct index_item item = index_session(&scan->session);
        uint64_t position;
        bool covered;
        enum hif_err err = HIF_OK;

        if (!scan->index)
                err = index_new(scan->project, end, &scan->index);
        if (err != HIF_OK)
                return err;
        index_raise(scan->index, end);
        err = index_next(scan->index, &item, 1, scan->position + 1, end - 1, &position, &covered);
        if (err == HIF_ENOENT) {
                skip_to(scan, end);
                return HIF_OK;
        }
        if (err != HIF_OK)
                return err;
        skip_to(scan, position);
        if (covered)
                return step_slots(scan, position + 1, found, out, why);
        err = step_segment(scan, end, found, out, why);
        return err == HIF_ENOENT ? step_slots(scan, end, found, out, why) : err;
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

                if (kept)
                        err = step(scan, kept, found, out, why);
                else if (end - scan->position > SCAN_NEAR)
                        err = step_far(scan, end, found, out, why);
                else
                        err = step_slots(scan, end, found, out, why);
        }
        if (err == HIF_OK && !*found)
                err = step(scan, tail, found, out, why);
        return err;
}

void scan_free(struct scan *scan)
{
        index_free(scan->index);
        scan->index = NULL;
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
        scan_free(&scan);
        slot_read_free(&tail);
        if (err != HIF_OK)
                return err;
        if (!found || result.refused)
                return why_set(why, HIF_ENOENT, "this session has not landed");
        *position = result.position;
        *slot_hash = result.slot_hash;
        *tree = result.tree;
        return HIF_OK;
}
