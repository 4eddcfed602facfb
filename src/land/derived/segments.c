/* segments.c - a segment from its slots, and from the store. */
#include "core/layout.h"
#include "land/derived/parts.h"

#include <assert.h>

/* --- making one --- */

struct making {
        struct arena arena;
        struct segment_row *rows;
        uint32_t count;
};

static enum hif_err keep_span(struct arena *arena, struct span *span)
{
        struct span copy = arena_span(arena, *span);

        if (span->size > 0 && !copy.data)
                return HIF_ENOMEM;
        *span = copy;
        return HIF_OK;
}

/* A slot outlives its bytes: everything that it borrows is copied, the rest left behind. */
static enum hif_err keep_slot(struct arena *arena, const struct slot *slot, struct slot *out)
{
        enum hif_err err;

        *out = *slot;
        out->paths = NULL;
        out->objects = NULL;
        out->bloom = (struct bloom){0};
        out->members = NULL;
        out->refused = NULL;
        err = keep_span(arena, &out->author);
        if (err == HIF_OK)
                err = keep_span(arena, &out->goal);
        if (err == HIF_OK && slot->member_count > 0) {
                out->members = arena_alloc(arena, slot->member_count * sizeof(*out->members));
                if (!out->members)
                        return HIF_ENOMEM;
                memcpy(out->members, slot->members, slot->member_count * sizeof(*out->members));
        }
        for (uint32_t i = 0; i < slot->member_count && err == HIF_OK; i++) {
                err = keep_span(arena, &out->members[i].author);
                if (err == HIF_OK)
                        err = keep_span(arena, &out->members[i].goal);
        }
        if (err == HIF_OK && slot->refused_count > 0) {
                out->refused = arena_alloc(arena, slot->refused_count * sizeof(*out->refused));
                if (!out->refused)
                        return HIF_ENOMEM;
                memcpy(out->refused, slot->refused, slot->refused_count * sizeof(*out->refused));
        }
        return err;
}

static enum hif_err add_row(void *arg, struct slot_read *read, struct hif_why *why)
{
        struct making *making = arg;
        struct segment_row *row = &making->rows[making->count++];

        (void)why;
        row->hash = read->hash;
        return keep_slot(&making->arena, &read->slot, &row->slot);
}

enum hif_err segment_make(const struct project *project, uint64_t start, struct buf *out,
                          struct hif_why *why)
{
        struct making making = {.rows = calloc(SEGMENT_SLOTS, sizeof(struct segment_row))};
        struct body_codec *codec = body_codec_new(3);
        struct segment segment = {.rows = making.rows};
        enum hif_err err = HIF_ENOMEM;

        if (making.rows && codec)
                err = window_slots(project, WINDOW_SEGMENT, start, add_row, &making,
                                   &segment.window, why);
        if (err == HIF_OK)
                err = segment_put(codec, &segment, out);
        if (err == HIF_ELIMIT)
                (void)why_set(why, err, "the landings from @%llu on are too large for a segment",
                              (unsigned long long)start);
        body_codec_free(codec);
        arena_free(&making.arena);
        free(making.rows);
        return err;
}

/* --- reading one --- */

enum hif_err segment_read(const struct project *project, uint64_t start, struct arena *arena,
                          struct segment *out)
{
        uint64_t last = window_last(WINDOW_SEGMENT, start);
        struct layout_key key = layout_window(&project->layout, WINDOW_SEGMENT, start);
        struct layout_key end = layout_slot(&project->layout, last);
        struct store_req reqs[2] = {
            {.op = STORE_GET, .key = key.text, .size_max = SEGMENT_STORED_BOUND},
            {.op = STORE_GET, .key = end.text, .settled = true}};
        struct body_codec *codec = body_codec_new(3);
        struct segment segment;
        enum hif_err err = HIF_ENOMEM;

        store_run(project->store, reqs, 2);
        if (codec)
                err = reqs[0].result == HIF_OK
                          ? segment_get(codec, buf_span(&reqs[0].data), start, arena, &segment)
                          : HIF_ENOENT;
        if (err == HIF_OK && !window_fits(&segment.window, &reqs[1]))
                err = HIF_ENOENT;
        store_req_free(&reqs[0]);
        store_req_free(&reqs[1]);
        body_codec_free(codec);
        if (err == HIF_OK)
                *out = segment;
        return err == HIF_OK || err == HIF_ENOMEM ? err : HIF_ENOENT;
}
