/* log.h - leveled, rate-limited lines to one descriptor, or to one file of bounded size.
 *
 * Thread-safe: one write(2) a line. Secrets never get here: callers log names, codes and counts, not
 * headers or bodies.
 *
 * Two rates bound what is written. Of one *kind*, lines that differ in numbers, hashes and quoted
 * names only, LOG_KIND_BURST pass, then LOG_KIND_PER_MINUTE: a loop that fails for ever neither fills
 * a disk nor pushes all else out of the file. Of all kinds together LOG_BURST pass, then
 * LOG_PER_SECOND, counted apart below LOG_WARN and from there on. What is left out is counted, and
 * told: in the next line of its kind, or in one of its own after LOG_KIND_QUIET_S. */
#ifndef HIF_BASE_LOG_H
#define HIF_BASE_LOG_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

#define LOG_BURST           500
#define LOG_PER_SECOND      10
#define LOG_KINDS           32 /* that are remembered */
#define LOG_KIND_BURST      100
#define LOG_KIND_PER_MINUTE 10
#define LOG_KIND_QUIET_S    60
#define LOG_FILE_MAX        (8u << 20)

struct log; /* opaque; NULL is a log that drops everything */

/* Lines of `level` and above go to fd, as "2026-01-31T12:00:00.123Z warn  room: text".
 * The descriptor stays the caller's. Returns NULL when out of memory. */
struct log *log_new(int fd, enum log_level level);

/* The same to a file, made with mode 0600, that any number of processes append to. Whoever finds more
 * than size_max bytes in it renames it to PATH.1, in place of an older one, and goes on with a new
 * PATH; the others follow before their next line. So no line is lost between them, and the newest
 * size_max bytes at least can be read. Where there is no room for a new file, the old one goes on.
 *   take_errors   standard error goes there, too, unless it is a terminal, and follows; and standard
 *                 output, where it is the same
 * HIF_EINVAL: there is something else than a file of this user's, such as a symbolic link. */
HIF_MUST_USE enum hif_err log_open(const char *path, uint64_t size_max, enum log_level level,
                                   bool take_errors, struct log **out, struct hif_why *why);

/* The descriptor, the same number for ever. */
int log_fd(const struct log *log);

/* For whoever is silent for long: follow the file, which others write to as well, and tell what was
 * left out. Every few seconds is often enough. */
void log_tend(struct log *log);

void log_free(struct log *log);

/* room: the module that speaks ("overlay"). Control characters in the text are escaped; a text over
 * 2,000 bytes is cut. A line that cannot be written is dropped, and counted. */
void log_line(struct log *log, enum log_level level, const char *room, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
