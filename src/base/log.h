/* log.h - leveled, rate-limited lines to one descriptor. Thread-safe: one write(2) a line.
 *
 * Secrets never get here: callers log names, codes and counts, not headers or bodies. */
#ifndef HIF_BASE_LOG_H
#define HIF_BASE_LOG_H

#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log; /* opaque; NULL is a log that drops everything */

/* Lines of `level` and above go to fd, as "2026-01-31T12:00:00.123Z warn  room: text".
 * The descriptor stays the caller's. Returns NULL when out of memory. */
struct log *log_new(int fd, enum log_level level);
void log_free(struct log *log);

/* room: the module that speaks ("overlay"). Control characters in the text are escaped. */
void log_line(struct log *log, enum log_level level, const char *room, const char *format, ...)
        __attribute__((format(printf, 4, 5)));

#endif
