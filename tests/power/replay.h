/* replay.h - a recorded run on a simulated disk. */
#ifndef HIF_TESTS_POWER_REPLAY_H
#define HIF_TESTS_POWER_REPLAY_H

#include "base/simenv.h"
#include "pmodel.h"
#include "trace.h"

#include <stdio.h>

struct replay {
        bool power;
        const char *overlay, *store, *project, *without;
        uint8_t *bytes;
        struct trace_event **events; /* into bytes; payloads follow them */
        uint64_t *sync_end;          /* [i] of a SYNC_BEGIN: the index of its end; 0: none */
        size_t count;
        struct pop **ops; /* by number */
        size_t op_count;
};

struct cut {
        uint64_t seed;
        size_t at; /* events before it */
        uint64_t opened, landings;
        uint64_t lost_ops; /* acknowledged, not as stable, and gone */
        double lost_ms;    /* how long before the cut the oldest of them was */
        char found[512];   /* what is wrong; "": nothing */
};

bool replay_load(struct replay *replay, const char *path);
void replay_free(struct replay *replay);
void replay_cut(struct replay *replay, struct cut *cut);

/* verify.c: on the disk that a cut left. */
void verify(const struct replay *replay, struct simenv *sim, struct cut *cut);

static inline const char *event_text(const struct trace_event *event)
{
        return (const char *)(event + 1);
}

#endif
