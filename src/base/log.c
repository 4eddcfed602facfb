#include "base/log_impl.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TEXT_MAX  2000                             /* longer text is cut, with "..." */
#define MORE_SIZE 160                              /* of what was left out */
#define LINE_SIZE (TEXT_MAX * 4 + 200 + MORE_SIZE) /* every byte escaped, and what stands around */

struct log {
        struct log_file file;
        enum log_level level;
        pthread_mutex_t mutex; /* of what follows, and of what the descriptor leads to */
        struct log_rate rate;
        bool torn; /* a line was cut off: the disk is full */
};

static uint64_t mono_ns(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

struct log *log_new(int fd, enum log_level level)
{
        struct log *log = calloc(1, sizeof(*log));

        if (!log)
                return NULL;
        if (pthread_mutex_init(&log->mutex, NULL)) {
                free(log);
                return NULL;
        }
        log->file.fd = fd;
        log->level = level;
        log_rate_init(&log->rate, mono_ns());
        return log;
}

enum hif_err log_open(const char *path, uint64_t size_max, enum log_level level, bool take_errors,
                      struct log **out, struct hif_why *why)
{
        struct log *log = log_new(-1, level);
        enum hif_err err = HIF_ENOMEM;

        if (log == NULL)
                return err;
        log->file.size_max = size_max;
        log->file.take_errors = take_errors;
        log->file.path = strdup(path);
        if (log->file.path != NULL && asprintf(&log->file.older, "%s.1", path) < 0)
                log->file.older = NULL;
        if (log->file.older != NULL)
                err = log_file_open(&log->file, why);
        if (err == HIF_OK)
                *out = log;
        else
                log_free(log);
        return err;
}

int log_fd(const struct log *log)
{
        return log->file.fd;
}

/* Copy text with its control characters escaped (C0, DEL, and C1 as UTF-8 writes them), so that
 * names from outside cannot forge lines or drive a terminal. */
static size_t escape(char *out, const char *text)
{
        char *next = out;

        for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
                if (*p == '\n') {
                        *next++ = '\\';
                        *next++ = 'n';
                } else if (*p < 0x20 || *p == 0x7f) {
                        next += sprintf(next, "\\x%02x", *p);
                } else if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0) {
                        next += sprintf(next, "\\x%02x\\x%02x", p[0], p[1]);
                        p++;
                } else {
                        *next++ = (char)*p;
                }
        }
        return (size_t)(next - out);
}

static size_t put_prefix(char *out, size_t size, enum log_level level, const char *room)
{
        static const char *const names[] = {[LOG_DEBUG] = "debug",
                                            [LOG_INFO] = "info ",
                                            [LOG_WARN] = "warn ",
                                            [LOG_ERROR] = "error"};
        struct timespec now;
        struct tm tm;
        size_t used;
        int more;

        clock_gettime(CLOCK_REALTIME, &now);
        gmtime_r(&now.tv_sec, &tm);
        used = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &tm);
        more = snprintf(out + used, size - used, ".%03ldZ %s %.32s: ", now.tv_nsec / 1000000,
                        names[level], room);
        return used + (size_t)more;
}

/* --- writing --- */

/* `more` tells of so many lines; where it cannot be written they are still to be told. A line that was
 * cut off ends first. The descriptor's number stays, so the file may be exchanged meanwhile. */
static void write_line(struct log *log, enum log_level level, const char *room, const char *text,
                       const char *more, uint64_t told)
{
        char line[LINE_SIZE];
        size_t size = 1;
        bool torn;
        ssize_t n;

        line[0] = '\n';
        size += put_prefix(line + size, sizeof(line) - size, level, room);
        size += escape(line + size, text);
        size += (size_t)sprintf(line + size, "%s\n", more);
        pthread_mutex_lock(&log->mutex);
        torn = log->torn;
        log->torn = false;
        pthread_mutex_unlock(&log->mutex);
        n = write(log->file.fd, line + !torn, size - !torn);
        if (n == (ssize_t)(size - !torn))
                return;
        pthread_mutex_lock(&log->mutex);
        log->rate.dropped += told + 1;
        log->torn = torn || n > 0;
        pthread_mutex_unlock(&log->mutex);
}

static void tell_left_out(struct log *log, const struct log_kind *kind)
{
        char more[MORE_SIZE];

        snprintf(more, sizeof(more), " (%ju such lines were left out)", (uintmax_t)kind->left_out);
        write_line(log, kind->level, kind->room, kind->sample, more, kind->left_out);
}

/* What this line stands for, too; how many lines that is. */
static uint64_t take_left_out(struct log *log, struct log_kind *kind, char *out, size_t size)
{
        uint64_t told = kind->left_out + log->rate.dropped;
        size_t at = 0;

        out[0] = '\0';
        if (kind->left_out > 0)
                at = (size_t)snprintf(out, size, " (%ju such lines before this were left out)",
                                      (uintmax_t)kind->left_out);
        if (log->rate.dropped > 0)
                snprintf(out + at, size - at, " (%ju lines before this were dropped)",
                         (uintmax_t)log->rate.dropped);
        kind->left_out = 0;
        log->rate.dropped = 0;
        return told;
}

void log_line(struct log *log, enum log_level level, const char *room, const char *format, ...)
{
        char text[TEXT_MAX + 4], more[MORE_SIZE];
        struct log_kind *kind, forgotten;
        uint64_t told = 0;
        va_list args;
        int full;

        if (!log || level < log->level)
                return;
        va_start(args, format);
        full = vsnprintf(text, TEXT_MAX + 1, format, args);
        va_end(args);
        if (full < 0)
                return;
        if (full > TEXT_MAX)
                sprintf(text + TEXT_MAX, "...");
        pthread_mutex_lock(&log->mutex);
        kind = log_rate_take(&log->rate, level, room, text, mono_ns(), &forgotten);
        if (kind != NULL)
                told = take_left_out(log, kind, more, sizeof(more));
        if (kind != NULL || forgotten.left_out > 0)
                log_file_tend(&log->file);
        pthread_mutex_unlock(&log->mutex);
        if (forgotten.left_out > 0)
                tell_left_out(log, &forgotten);
        if (kind != NULL)
                write_line(log, level, room, text, more, told);
}

static void tell_untold(struct log *log, bool any)
{
        struct log_kind kind;
        bool more = true;

        for (size_t i = 0; more && i < LOG_KINDS; i++) {
                pthread_mutex_lock(&log->mutex);
                more = log_rate_untold(&log->rate, any, mono_ns(), &kind);
                pthread_mutex_unlock(&log->mutex);
                if (more)
                        tell_left_out(log, &kind);
        }
}

void log_tend(struct log *log)
{
        if (!log)
                return;
        pthread_mutex_lock(&log->mutex);
        log_file_tend(&log->file);
        pthread_mutex_unlock(&log->mutex);
        tell_untold(log, false);
}

void log_free(struct log *log)
{
        if (!log)
                return;
        if (log->file.fd >= 0)
                tell_untold(log, true);
        log_file_close(&log->file);
        pthread_mutex_destroy(&log->mutex);
        free(log);
}
