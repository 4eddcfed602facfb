/* faults.h - which request meets which fault: the rules of the proxy, and its waiting.
 *
 * Rules are tried in order of their ids. A rule looks at a request when its method and target
 * match, counts it, and acts on matches skip+1 to skip+count; or, as a rule of chance, on a part of
 * them that is drawn from the seed and the match's number. Thread-safe. */
#ifndef HIF_TESTS_S3_FAULTS_H
#define HIF_TESTS_S3_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAULT_RULES_MAX 256
#define FAULT_MATCH_MAX 1024

enum fault_action {
        FAULT_NONE,
        FAULT_DELAY,       /* forward MS later; the request is taken in before */
        FAULT_HOLD,        /* forward when released; the request is taken in before */
        FAULT_STATUS,      /* answer CODE, forward nothing */
        FAULT_RESET,       /* RST, forward nothing */
        FAULT_CLOSE,       /* FIN, forward nothing */
        FAULT_HANG,        /* neither forward nor answer */
        FAULT_CUT_REQUEST, /* forward that many bytes of the body, then RST on both sides */
        FAULT_LATE,        /* forward; answer MS after the server did */
        FAULT_LOST,        /* forward; answer CODE whatever the server said */
        FAULT_RESET_LATE,  /* forward; RST instead of the answer */
        FAULT_CLOSE_LATE,  /* forward; FIN instead of the answer */
        FAULT_HANG_LATE,   /* forward; never answer */
        FAULT_CUT_ANSWER,  /* deliver that many bytes of the answer's body, then RST */
};

struct fault {
        enum fault_action action;
        uint64_t argument;
        uint32_t rule; /* its id */
};

struct fault_rule {
        char method[16]; /* "*": any */
        char
            target[FAULT_MATCH_MAX]; /* a prefix of "/bucket/key?query"; behind '*': a part of it */
        uint64_t skip, count;
        bool by_chance;
        uint32_t per_million; /* by_chance */
        enum fault_action action;
        uint64_t argument;
};

bool fault_action_parse(const char *name, enum fault_action *out);

struct faults;
struct faults *faults_new(uint64_t seed); /* NULL: no memory */
void faults_free(struct faults *faults);

bool faults_add(struct faults *faults, const struct fault_rule *rule, uint32_t *id);
bool faults_delete(struct faults *faults, uint32_t id);
void faults_clear(struct faults *faults); /* what is held goes on */
bool faults_hits(struct faults *faults, uint32_t id, uint64_t *out);
bool faults_release(struct faults *faults, uint32_t id);
void faults_stop(struct faults *faults); /* whoever waits goes on, now and later */

struct fault faults_match(struct faults *faults, const char *method, const char *target);
/* Both return false when the proxy stops. */
bool faults_sleep(struct faults *faults, uint64_t ms);
bool faults_hold(struct faults *faults, uint32_t id);

#endif
