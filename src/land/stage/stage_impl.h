/* stage_impl.h - what the files of staging share: stage.c, stage_packs.c. */
#ifndef HIF_LAND_STAGE_STAGE_IMPL_H
#define HIF_LAND_STAGE_STAGE_IMPL_H

#include "land/internal.h"

/* A change whose content waits in the open pack. */
struct waiting {
        size_t change;
        struct known *known;
};

struct stage {
        struct land *land;
        struct hif_why *why;
        bool ahead; /* of a landing that is still to come */
        struct stage_shared shared;
        struct stage_job *jobs[STAGE_JOBS]; /* a ring, in order */
        size_t first, count;
        struct stage_job *filling; /* small files, not submitted yet */
        struct pack_writer pack;
        bool pack_open;
        struct known *packed; /* what the open pack holds: a chain */
        uint32_t packed_count;
        struct waiting *waiting;
        size_t waiting_count, waiting_capacity;
        struct chunk *chunks; /* of the large file that is being taken in */
        size_t chunk_count, chunk_capacity;
        struct puts *puts; /* the landing's own: what is on its way outlives staging */
};

/* What was put goes into the landing's progress. */
void stage_count_puts(struct stage *stage);

/* --- stage_packs.c --- */

/* Add a frame to the open pack, or to a new one; gives its offset. */
HIF_MUST_USE enum hif_err stage_pack_add(struct stage *stage, const struct stage_file *file,
                                         struct span frame, uint32_t *offset);
/* The change learns where its content lies when the pack is closed. */
HIF_MUST_USE enum hif_err stage_pack_wait(struct stage *stage, size_t change, struct known *known);
/* Name the open pack, tell everything that lies in it, and send it off. */
HIF_MUST_USE enum hif_err stage_pack_close(struct stage *stage);
/* All changes have their hashes: judge the packs of earlier runs. *again: so many changes lost
 * their place, and have to be staged once more. */
HIF_MUST_USE enum hif_err stage_packs_judge(struct stage *stage, size_t *again);

#endif
