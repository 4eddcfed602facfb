#include "core/layout.h"
#include "land/internal.h"

#include <assert.h>
#include <inttypes.h>

void slot_read_free(struct slot_read *read)
{
        buf_free(&read->stored);
        arena_free(&read->arena);
        memset(read, 0, sizeof(*read));
}

enum hif_err list_get(const struct project *project, const struct hif_hash *hash,
                      struct arena *arena, struct span *out, struct hif_why *why)
{
        AUTO_BUF struct buf stored = {0};
        struct layout_key key = layout_list(&project->layout, hash);
        enum hif_err err =
            object_get_named(project, key.text, LIST_SIZE_MAX, HASH_LIST, hash, &stored, why);

        if (err != HIF_OK)
                return err;
        *out = arena_span(arena, buf_span(&stored));
        if (!out->data && stored.size > 0)
                return why_set(why, HIF_ENOMEM, "out of memory");
        return HIF_OK;
}

/* What a batch landed is never left out: whoever reads slots asks for it. */
static enum hif_err load_members(const struct project *project, struct slot_read *read,
                                 struct hif_why *why)
{
        struct slot *slot = &read->slot;
        struct span bytes;
        uint32_t count;
        enum hif_err err;

        if (slot->member_count == 0 || slot->members)
                return HIF_OK;
        err = list_get(project, &slot->members_list, &read->arena, &bytes, why);
        if (err == HIF_OK)
                err = slot_members_get(bytes, &read->arena, &slot->members, &count);
        if (err == HIF_OK && (count != slot->member_count || !slot_members_fit(slot)))
                err = HIF_ECORRUPT;
        return err == HIF_OK
                   ? err
                   : why_set(why, err, "the landings of @%" PRIu64 " in %s cannot be read: %s%s",
                             slot->position, store_url(project->store), hif_strerror(err),
                             next_step(err));
}

/* What was damaged on its way here is fetched once more (I3). */
static enum hif_err decode(const struct project *project, uint64_t position, struct buf *stored,
                           struct slot_read *read)
{
        enum hif_err err = slot_get(buf_span(stored), position, &read->arena, &read->slot);
        struct layout_key key = layout_slot(&project->layout, position);
        AUTO_BUF struct buf again = {0};
        struct hif_why ignored;

        if (err != HIF_ECORRUPT || object_get(project, key.text, 0, &again, &ignored) != HIF_OK)
                return err;
        arena_free(&read->arena);
        *read = (struct slot_read){0};
        err = slot_get(buf_span(&again), position, &read->arena, &read->slot);
        if (err == HIF_OK) {
                /* The slot's spans lie in what was read, which goes with it. */
                struct buf first = *stored;

                *stored = again;
                again = first;
        }
        return err;
}

enum hif_err slot_accept(const struct project *project, uint64_t position, struct buf *stored,
                         struct slot_read *out, struct hif_why *why)
{
        struct slot_read read = {0};
        enum hif_err err = decode(project, position, stored, &read);

        if (err != HIF_OK) {
                arena_free(&read.arena);
                return why_set(why, err, "the record of @%" PRIu64 " in %s cannot be read: %s%s",
                               position, store_url(project->store), hif_strerror(err),
                               next_step(err));
        }
        err = load_members(project, &read, why);
        if (err != HIF_OK) {
                arena_free(&read.arena);
                return err;
        }
        read.hash = hash_of(HASH_SLOT, buf_span(stored));
        read.stored = *stored;
        *stored = (struct buf){0};
        *out = read;
        return HIF_OK;
}

enum hif_err slot_load_lists(const struct project *project, struct slot_read *read,
                             struct hif_why *why)
{
        struct slot *slot = &read->slot;
        enum hif_err err = HIF_OK;
        struct span bytes;
        uint32_t count = 0;

        if (!slot->paths && !hash_is_zero(&slot->paths_list)) {
                err = list_get(project, &slot->paths_list, &read->arena, &bytes, why);
                if (err == HIF_OK)
                        err = slot_paths_get(bytes, &read->arena, &slot->paths, &count);
                if (err == HIF_OK && count != slot->path_count)
                        err = why_set(why, HIF_ECORRUPT, "the path list of @%" PRIu64 " is short",
                                      slot->position);
        }
        if (err == HIF_OK && !slot->objects && !hash_is_zero(&slot->objects_list)) {
                err = list_get(project, &slot->objects_list, &read->arena, &bytes, why);
                if (err == HIF_OK)
                        err = slot_objects_get(bytes, &read->arena, &slot->objects, &count);
                if (err == HIF_OK && count != slot->object_count)
                        err = why_set(why, HIF_ECORRUPT, "the object list of @%" PRIu64 " is short",
                                      slot->position);
        }
        return err;
}

enum hif_err slot_lost(const struct project *project, uint64_t position, struct hif_why *why)
{
        return why_set(why, HIF_ECORRUPT,
                       "the store %s has no @%" PRIu64
                       ", which was seen there: it lost data, or is "
                       "another store; put its copy back, or name the right one",
                       store_url(project->store), position);
}

enum hif_err project_slot(const struct project *project, uint64_t position, bool with_lists,
                          struct slot_read *out, struct hif_why *why)
{
        AUTO_BUF struct buf stored = {0};
        struct layout_key key = layout_slot(&project->layout, position);
        struct slot_read read = {0};
        enum hif_err err = object_get(project, key.text, 0, &stored, why);

        if (err == HIF_ENOENT)
                return why_set(why, err, "there is no position @%" PRIu64 " (yet)", position);
        if (err != HIF_OK)
                return err;
        err = slot_accept(project, position, &stored, &read, why);
        if (err != HIF_OK)
                return err;
        if (with_lists)
                err = slot_load_lists(project, &read, why);
        if (err != HIF_OK) {
                slot_read_free(&read);
                return err;
        }
        *out = read;
        return HIF_OK;
}

enum hif_err slots_get(const struct project *project, uint64_t from, size_t count,
                       struct slot_read *out, struct hif_why *why)
{
        uint64_t positions[SLOTS_BATCH];

        assert(count > 0 && count <= SLOTS_BATCH);
        for (size_t i = 0; i < count; i++)
                positions[i] = from + i;
        return slots_get_at(project, positions, count, out, why);
}

enum hif_err slots_get_at(const struct project *project, const uint64_t *positions, size_t count,
                          struct slot_read *out, struct hif_why *why)
{
        struct store_req reqs[SLOTS_BATCH] = {0};
        struct layout_key keys[SLOTS_BATCH];
        enum hif_err err = HIF_OK;
        size_t done = 0;

        assert(count > 0 && count <= SLOTS_BATCH);
        for (size_t i = 0; i < count; i++) {
                keys[i] = layout_slot(&project->layout, positions[i]);
                reqs[i].op = STORE_GET;
                reqs[i].settled = true; /* what is built on must not vanish in a power cut */
                reqs[i].key = keys[i].text;
        }
        store_run(project->store, reqs, count);
        for (; done < count && err == HIF_OK; done++) {
                err = reqs[done].result;
                if (err != HIF_OK)
                        object_why(project, err, "read", keys[done].text, why);
                else
                        err = slot_accept(project, positions[done], &reqs[done].data, &out[done],
                                          why);
                if (err != HIF_OK)
                        break;
        }
        for (size_t i = 0; i < count; i++)
                store_req_free(&reqs[i]);
        for (size_t i = 0; err != HIF_OK && i < done; i++)
                slot_read_free(&out[i]);
        /* All of them exist: the tail is beyond. A hole never counts as "nothing there". */
        return err == HIF_ENOENT ? HIF_ECORRUPT : err;
}
