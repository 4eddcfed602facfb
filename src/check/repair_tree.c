/* What the newest tree has to change: locations that lead nowhere go where the content has a blob
 * of its own; and, only if someone asked for that, files whose contents are lost are left out. That
 * is a position of its own; older ones stay as they are. */
#include "check/internal.h"
#include "land/repair.h"

#include <inttypes.h>

struct edits {
        struct check *c;
        struct repair_edit *items;
        size_t count, capacity;
        struct arena arena;
        uint64_t removed;
};

static enum hif_err add(struct edits *edits, const struct entry *entry, struct span key,
                        struct span path, bool remove)
{
        struct repair_edit *edit;

        if (edits->count == EDITS_MAX)
                return HIF_OK; /* the next repair goes on */
        if (edits->count == edits->capacity) {
                size_t capacity = edits->capacity ? edits->capacity * 2 : 64;
                struct repair_edit *grown = realloc(edits->items, capacity * sizeof(*grown));

                if (!grown)
                        return HIF_ENOMEM;
                edits->items = grown;
                edits->capacity = capacity;
        }
        edit = &edits->items[edits->count];
        *edit = (struct repair_edit){.path = arena_span(&edits->arena, path),
                                     .key = arena_span(&edits->arena, key),
                                     .hash = entry->hash,
                                     .remove = remove};
        if (!edit->path.data || !edit->key.data)
                return HIF_ENOMEM;
        edits->count++;
        edits->removed += remove;
        return HIF_OK;
}

static void note_lost(void *arg, struct broken *broken, const struct chunk *chunk)
{
        bool *lost = arg;

        (void)chunk;
        *lost |= !broken->repaired && !broken->here && broken->state != BROKEN_UNREAD;
}

static enum hif_err is_lost(struct check *c, const struct entry *entry, bool *lost)
{
        const struct broken *broken;

        *lost = false;
        if (entry->size > BODY_BLOB_MAX)
                return large_walk(c, entry, note_lost, lost);
        if (has_own_blob(c, &entry->hash))
                return HIF_OK;
        broken = broken_find(c, entry->loc.size > 0 ? OBJECT_PACK : OBJECT_BLOB,
                             entry->loc.size > 0 ? &entry->loc.pack : &entry->hash);
        if (broken && !broken->repaired && !broken->here && broken->state != BROKEN_UNREAD)
                *lost = entry->loc.size == 0 || (!frame_is_good(c, entry) && !c->unsure);
        return HIF_OK;
}

static bool leads_nowhere(struct check *c, const struct entry *entry)
{
        const struct broken *broken = broken_find(c, OBJECT_PACK, &entry->loc.pack);
        const char *reason;

        if (entry->size > BODY_BLOB_MAX || entry->loc.size == 0)
                return false;
        return (broken && !broken->repaired && !broken->here && broken->state != BROKEN_UNREAD) ||
               location_is_wrong(c, entry, &reason);
}

static void tell_left_out(struct check *c, struct span path)
{
        struct check_repaired repaired = {.what = "left out",
                                          .key = "",
                                          .detail = "its content is lost",
                                          .path = path,
                                          .done = true};

        c->report->repaired++;
        if (c->hooks->repaired)
                c->hooks->repaired(c->hooks, &repaired);
}

static enum hif_err look_at(void *arg, const struct entry *entry, struct span key, struct span path)
{
        struct edits *edits = arg;
        struct check *c = edits->c;
        bool lost;
        enum hif_err err;

        if (leads_nowhere(c, entry) && has_own_blob(c, &entry->hash)) {
                err = repair_list(c, &entry->hash);
                return err == HIF_OK ? add(edits, entry, key, path, false) : err;
        }
        if (!c->options->repair->drop_unreadable || c->unsure)
                return HIF_OK;
        err = is_lost(c, entry, &lost);
        return err == HIF_OK && lost ? add(edits, entry, key, path, true) : err;
}

static bool anything_to_do(const struct check *c)
{
        return c->broken_count > 0 || c->wrong_locations.count > 0 || c->locations.count > 0;
}

static enum hif_err land(struct check *c, struct edits *edits)
{
        struct repair repair = {.edits = edits->items,
                                .count = edits->count,
                                .author = span_str(c->options->repair->author),
                                .goal = span_str("hif fsck --repair")};
        struct repair_result result;
        struct hif_why why = {.text = ""};
        char detail[128];
        enum hif_err err;

        repair.objects = repair_objects(c, &repair.object_count);
        if (repair.count == 0 && repair.object_count == 0)
                return HIF_OK;
        err = land_repair(&c->project, &repair, &result, &why);
        if (err == HIF_ENOTHING)
                return HIF_OK;
        if (err != HIF_OK) {
                tell_repaired(c, false, "not written", "", why.text);
                return HIF_OK;
        }
        (void)snprintf(detail, sizeof(detail),
                       "@%" PRIu64 " changes %" PRIu64 " entries, %" PRIu64 " of them left out",
                       result.position, result.changed, edits->removed);
        tell_repaired(c, true, "landed", layout_slot(&c->project.layout, result.position).text,
                      detail);
        for (size_t i = 0; i < edits->count; i++)
                if (edits->items[i].remove)
                        tell_left_out(c, edits->items[i].path);
        return HIF_OK;
}

enum hif_err tree_repair(struct check *c)
{
        struct edits edits = {.c = c};
        enum hif_err err;

        if (!anything_to_do(c))
                return HIF_OK;
        err = files_walk(c, look_at, &edits);
        if (err == HIF_OK)
                err = land(c, &edits);
        free(edits.items);
        arena_free(&edits.arena);
        return err;
}
