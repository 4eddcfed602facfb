/* probe_impl.h - what the probe's files share. */
#ifndef HIF_STORE_PROBE_PROBE_IMPL_H
#define HIF_STORE_PROBE_PROBE_IMPL_H

#include "store/probe/probe.h"

#define PROBE_KEY_SIZE  96
#define PROBE_BODY_SIZE 64
#define PROBE_TIMES_MAX 32
#define PROBE_KEYS_MAX  (PROBE_CHECKS + 2 * PROBE_ROUNDS)

struct probe_times {
        uint64_t ns[PROBE_TIMES_MAX];
        size_t count;
};

struct probe {
        struct store *store;
        struct probe_report *report;
        uint64_t started_ns;
        char id[17]; /* random: this probe's keys start with it */
        unsigned serial;
        struct probe_times put, get, list, remove;
        char keys[PROBE_KEYS_MAX][PROBE_KEY_SIZE]; /* what may have been made */
        size_t key_count;
};

/* --- findings (probe_findings.c) --- */

void probe_good(struct probe *probe, enum probe_check check);
/* The first that is bad counts, and what is broken goes before what failed. */
void probe_bad(struct probe *probe, enum probe_check check, enum probe_state state,
               enum hif_err err, const char *format, ...) __attribute__((format(printf, 5, 6)));

/* --- requests (probe_run.c) --- */

/* Submit requests at once, and those without a definite answer again, the same. */
void probe_run(struct probe *probe, struct store_req *reqs, size_t count);
/* One request, timed. */
enum hif_err probe_run_one(struct probe *probe, struct store_req *req, struct probe_times *times);

const char *probe_new_key(struct probe *probe, const char *name);
/* No two bodies are the same, and none is the start of another. */
struct span probe_new_body(struct probe *probe, char body[PROBE_BODY_SIZE]);

enum hif_err probe_put(struct probe *probe, enum store_op op, const char *key, struct span body,
                       struct store_tag *tag);
/* A write that nothing stands in the way of. An attempt whose answer was lost may have been carried
 * out: then the next is refused, and the bytes are there. */
enum hif_err probe_put_alone(struct probe *probe, enum store_op op, const char *key,
                             struct span body, struct store_tag *tag);
/* HIF_OK when the object is these bytes, HIF_ELOST when it is others; else as GET. */
enum hif_err probe_look(struct probe *probe, const char *key, struct span body);

/* --- checks (probe_checks.c) --- */

void probe_check_all(struct probe *probe);

#endif
