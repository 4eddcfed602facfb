#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define TEXT_MAX  2000                 /* longer text is cut, with "..." */
#define LINE_SIZE (TEXT_MAX * 4 + 200) /* every byte escaped, and what stands before the text */

/* A token bucket. */
struct bucket {
        uint64_t refilled_ns;
        uint64_t tokens;
        uint64_t dropped; /* since the last line that passed */
};

struct log {
        int fd;
        enum log_level level;
        pthread_mutex_t mutex;
        struct bucket quiet, loud; /* below LOG_WARN, and the rest: chatter cannot hide a warning */
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
        log->fd = fd;
        log->level = level;
        log->quiet = log->loud = (struct bucket){.refilled_ns = mono_ns(), .tokens = LOG_BURST};
        return log;
}

void log_free(struct log *log)
{
        if (!log)
                return;
        pthread_mutex_destroy(&log->mutex);
        free(log);
}

/* Whether a line may pass now; then *dropped is how many before it could not. */
static bool bucket_take(struct bucket *bucket, uint64_t now_ns, uint64_t *dropped)
{
        const uint64_t interval_ns = 1000000000 / LOG_PER_SECOND;
        uint64_t refill = (now_ns - bucket->refilled_ns) / interval_ns;

        if (refill) {
                bucket->refilled_ns += refill * interval_ns;
                bucket->tokens += refill;
                if (bucket->tokens > LOG_BURST)
                        bucket->tokens = LOG_BURST;
        }
        if (!bucket->tokens) {
                bucket->dropped++;
                return false;
        }
        bucket->tokens--;
        *dropped = bucket->dropped;
        bucket->dropped = 0;
        return true;
}

static bool log_admit(struct log *log, enum log_level level, uint64_t *dropped)
{
        bool admitted;

        pthread_mutex_lock(&log->mutex);
        admitted = bucket_take(level < LOG_WARN ? &log->quiet : &log->loud, mono_ns(), dropped);
        pthread_mutex_unlock(&log->mutex);
        return admitted;
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

void log_line(struct log *log, enum log_level level, const char *room, const char *format, ...)
{
        char text[TEXT_MAX + 4];
        char line[LINE_SIZE];
        uint64_t dropped;
        size_t size;
        va_list args;
        int full;

        if (!log || level < log->level || !log_admit(log, level, &dropped))
                return;
        va_start(args, format);
        full = vsnprintf(text, TEXT_MAX + 1, format, args);
        va_end(args);
        if (full < 0)
                return;
        if (full > TEXT_MAX)
                sprintf(text + TEXT_MAX, "...");
        size = put_prefix(line, sizeof(line), level, room);
        size += escape(line + size, text);
        if (dropped)
                size += (size_t)sprintf(line + size, " (%ju lines before this were dropped)",
                                        (uintmax_t)dropped);
        line[size++] = '\n';
        if (write(log->fd, line, size) < 0)
                return; /* there is nowhere to say it */
}
