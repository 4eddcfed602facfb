/* maintain.h - all derived records of a project: made where missing, held against what would be
 * made, or made anew. What `hif maintain` runs. */
#ifndef HIF_LAND_DERIVED_MAINTAIN_H
#define HIF_LAND_DERIVED_MAINTAIN_H

#include "land/derived/derived.h"

enum maintain_mode {
        MAINTAIN_MAKE,    /* what is missing; stopped, it goes on where it was */
        MAINTAIN_REBUILD, /* remove all, make all */
        MAINTAIN_VERIFY,  /* compare, write nothing */
};

/* Of one kind. */
struct maintain_kind {
        uint64_t windows; /* complete ones: so many records there can be */
        uint64_t present; /* before */
        uint64_t made;
        uint64_t bytes;     /* of what was made or compared */
        uint64_t same;      /* VERIFY: the same to the byte */
        uint64_t different; /* VERIFY: damaged, or of something else */
        uint64_t missing;   /* VERIFY: not there, which is no fault */
        uint64_t left_out;  /* too large for the format */
};

struct maintain_report {
        uint64_t tail; /* position */
        struct maintain_kind kinds[WINDOW_KINDS];
};

struct maintain_hooks {
        /* Records done, of all. */
        void (*progress)(struct maintain_hooks *hooks, enum window_kind kind, uint64_t done,
                         uint64_t total, uint64_t bytes);
        /* VERIFY: a record that is not what it should be. */
        void (*differs)(struct maintain_hooks *hooks, enum window_kind kind, const char *key,
                        const char *reason);
};

/* hooks may be NULL. HIF_OK also when VERIFY found differences. */
HIF_MUST_USE enum hif_err derived_maintain(const struct project *project, enum maintain_mode mode,
                                           struct maintain_hooks *hooks,
                                           struct maintain_report *out, struct hif_why *why);

/* "segments", "level-1" ... */
const char *window_kind_name(enum window_kind kind);

#endif
