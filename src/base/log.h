/* log.h - leveled, rate-limited lines to one descriptor. Thread-safe: one write(2) a line.
 *
 * Secrets never get here: callers log names, codes and counts, not headers or bodies. */
#ifndef HIF_BASE_LOG_H
#define HIF_BASE_LOG_H

#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* Bounds of the rate: a burst, then lines a second; counted apart below LOG_WARN and from there on.
 * The next line that passes says how many were dropped. */
#define LOG_BURST      500
#define LOG_PER_SECOND 50

struct log; /* opaque; NULL is a log that drops everything */

/* Lines of `level` and above go to fd, as "2026-01-31T12:00:00.123Z warn  room: text".
 * The descriptor stays the caller's. Returns NULL when out of memory. */
struct log *log_new(int fd, enum log_level level);
void log_free(struct log *log);

/* room: the module that speaks ("overlay"). Control characters in the text are escaped; a text over
 * 2,000 bytes is cut. A line that cannot be written is dropped. */
void log_line(struct log *log, enum log_level level, const char *room, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
