/* synth.h - histories of any length, written straight into a store: slots that follow one another,
 * with sessions, authors and paths such as projects have, over one tree that does not change.
 *
 * All of it follows from the position, so that a test knows what slot N has without reading it. */
#ifndef TESTS_LAND_SYNTH_H
#define TESTS_LAND_SYNTH_H

#include "land/project.h"

#define SYNTH_PATHS_MAX 12
#define SYNTH_PATH_SIZE 96

struct synth_landing {
        struct session_id session;
        char author[32];
        char goal[64];
        uint32_t path_count;
        char paths[SYNTH_PATHS_MAX][SYNTH_PATH_SIZE];
};

/* What the landing at a position did. */
void synth_landing_at(uint64_t position, struct synth_landing *out);
/* One of the paths of a large universe; some are changed far more often than others. */
void synth_path(uint64_t number, char out[SYNTH_PATH_SIZE]);

/* Add slots until the tail is at `position`; from: the tail now (freed). Each in a hundred is a
 * batch of two where batches is set. */
HIF_MUST_USE enum hif_err synth_append(const struct project *project, struct slot_read *from,
                                       uint64_t position, bool batches, struct hif_why *why);

#endif
