/* log_impl.h - what the files of the log share: rates (log_rate.c), the file (log_file.c). */
#ifndef HIF_BASE_LOG_IMPL_H
#define HIF_BASE_LOG_IMPL_H

#include "base/log.h"

#include <stddef.h>

#define LOG_SAMPLE_SIZE 200 /* of a text that stands for its kind */

/* --- rates --- */

/* A token bucket. */
struct log_bucket {
        uint64_t refilled_ns;
        uint64_t tokens;
};

struct log_kind {
        uint64_t hash; /* 0: free */
        struct log_bucket bucket;
        uint64_t asked_ns; /* last */
        uint64_t left_out; /* since a line of it passed */
        enum log_level level;
        const char *room;
        char sample[LOG_SAMPLE_SIZE];
};

struct log_rate {
        struct log_bucket quiet,
            loud;         /* below LOG_WARN, and the rest: chatter cannot hide a warning */
        uint64_t dropped; /* by those, or not written, since the last line that passed */
        struct log_kind kinds[LOG_KINDS];
};

void log_rate_init(struct log_rate *rate, uint64_t now_ns);

/* May this line pass? Its kind, if so. *forgotten: a kind that had to make room for it, and of which
 * something is still to be told; else its left_out is 0. */
struct log_kind *log_rate_take(struct log_rate *rate, enum log_level level, const char *room,
                               const char *text, uint64_t now_ns, struct log_kind *forgotten);
/* A kind that was silent for LOG_KIND_QUIET_S, or any, and of which something is still to be told. It
 * counts as told. */
bool log_rate_untold(struct log_rate *rate, bool any, uint64_t now_ns, struct log_kind *out);

/* --- the file --- */

struct log_file {
        char *path, *older; /* NULL: there is none, just a descriptor */
        int fd;
        uint64_t size_max;
        bool take_errors;
};

HIF_MUST_USE enum hif_err log_file_open(struct log_file *file, struct hif_why *why);
/* Follow, or begin a new one. Failures leave what was. */
void log_file_tend(struct log_file *file);
void log_file_close(struct log_file *file);

#endif
