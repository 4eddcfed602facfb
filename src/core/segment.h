/* segment.h - a thousand slots in one object: all that a reader of history wants of them, without
 * the lists of paths and objects.
 *
 * Derived (window.h): whoever lacks one reads the slots. */
#ifndef HIF_CORE_SEGMENT_H
#define HIF_CORE_SEGMENT_H

#include "core/body.h"
#include "core/landing.h"
#include "core/window.h"

#define SEGMENT_SLOTS        WINDOW_SEGMENT_SLOTS
#define SEGMENT_CONTENT_MAX  (64u << 20) /* before compression; above that there is none */
#define SEGMENT_STORED_BOUND (SEGMENT_CONTENT_MAX + (1u << 20))

/* A slot as a segment has it: `paths`, `objects` and their lists, landing ids, session objects and
 * the filter are left out, the counts of paths stay. Members and refused sessions are there. Who
 * needs more reads the slot. */
struct segment_row {
        struct slot slot;
        struct hif_hash hash; /* HASH_SLOT of the slot as stored */
};

struct segment {
        struct window window;
        struct segment_row *rows; /* SEGMENT_SLOTS of them, from window.start on */
};

/* Append the stored bytes (drawn in segment.c): made of whole slots in order, members loaded, whose
 * ends are the window's (asserted). HIF_ELIMIT: over SEGMENT_CONTENT_MAX. */
HIF_MUST_USE enum hif_err segment_put(struct body_codec *codec, const struct segment *segment,
                                      struct buf *out);
/* Everything lives in the arena. HIF_ECORRUPT, HIF_EUNSUPPORTED. */
HIF_MUST_USE enum hif_err segment_get(struct body_codec *codec, struct span stored, uint64_t start,
                                      struct arena *arena, struct segment *out);
/* The bytes before compression, which do not depend on the compressor's version. */
HIF_MUST_USE enum hif_err segment_content(struct body_codec *codec, struct span stored,
                                          uint64_t start, struct buf *out);

#endif
