/* many.h - many processes that land in one project, die, and come back; and the audit of what they
 * left.
 *
 * Landing L of worker W puts a file of its own, replaces one in a directory that all share, and
 * removes one of its earlier files. No two workers ever touch one path, so every conflict that is
 * reported is a false one. What a landing changes is a function of W and L: who audits knows what
 * each position has to hold. */
#ifndef HIF_TESTS_S3_MANY_H
#define HIF_TESTS_S3_MANY_H

#include "core/session.h"
#include "land/land.h"

#define MANY_WORKERS_MAX 256
#define MANY_CHANGES_MAX 4
#define MANY_PROJECT     "many/landers"

struct many_options {
        const char *store; /* URL */
        const char *state; /* a directory: what survives a worker's death */
        unsigned workers, landings;
        uint64_t seed;
        bool proposals;        /* who wins a position lands all that is proposed */
        unsigned die_permille; /* at each step between two requests */
        uint64_t timeout_ms;   /* of the workers' requests to S3; 0: the store's own */
};

/* Shared by all processes; counted atomically. */
struct many_tally {
        uint64_t landed;
        uint64_t already;  /* of them: an earlier life had done it */
        uint64_t attempts; /* slots tried */
        uint64_t unknown, unreachable, lost_often, refused;
        uint64_t conflicts; /* false ones */
        uint64_t deaths;
};

/* One change of one landing: content NULL means that the file goes. */
struct many_change {
        char path[64];
        char *content; /* owned */
        size_t size;
};
size_t many_changes(unsigned worker, unsigned landing, struct many_change out[MANY_CHANGES_MAX]);
void many_changes_free(struct many_change *changes, size_t count);

bool many_open(const char *url, uint64_t timeout_ms, struct env *env, struct store **store,
               struct project *out);

/* What a worker keeps between its lives. */
struct many_saved {
        unsigned landings; /* done */
        bool begun;        /* the session below is the next one's */
        struct session_id session;
        uint64_t origin;
        struct hif_hash base_slot;
        bool intended; /* the intent below was saved for it */
        struct land_intent intent;
};
bool many_load(const struct many_options *options, unsigned worker, struct many_saved *out);
bool many_save(const struct many_options *options, unsigned worker, const struct many_saved *saved);
/* A line "LANDING POSITION" for the audit: where this worker was told that it landed. */
bool many_told(const struct many_options *options, unsigned worker, unsigned landing,
               uint64_t position);

/* A worker's life; the exit code of its process. */
int many_work(const struct many_options *options, struct many_tally *tally, unsigned worker,
              unsigned life);

/* Read the whole chain from the store and hold it against what must be there. False, with each
 * finding on standard error. */
bool many_audit(const struct many_options *options);

#endif
