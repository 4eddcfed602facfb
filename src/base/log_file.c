/* log_file.c - a file that several processes append to, and of which there is never too much.
 *
 * Whoever renames the file holds a lock (flock(2)) on it, and has seen after taking it that the path
 * still leads there: so nobody renames a file that another has just begun. Nobody waits for the lock.
 * The descriptor keeps its number through dup3(2), so that writers in other threads, and a handler of
 * signals, need no lock for it. */
#include "base/log_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODE 0600

/* O_NONBLOCK: a FIFO without a reader would hold us. */
static int open_append(const char *path)
{
        return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
                    MODE);
}

static bool is_proper(const struct stat *st)
{
        return S_ISREG(st->st_mode) && st->st_uid == geteuid();
}

static bool same_file(const struct stat *a, const struct stat *b)
{
        return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

enum hif_err log_file_open(struct log_file *file, struct hif_why *why)
{
        struct stat st;

        file->fd = open_append(file->path);
        if (file->fd < 0 && errno != ELOOP && errno != ENXIO)
                return why_set(why, hif_err_from_errno(errno), "'%s' could not be opened: %s",
                               file->path, strerror(errno));
        if (file->fd < 0 || fstat(file->fd, &st) != 0 || !is_proper(&st))
                return why_set(why, HIF_EINVAL,
                               "'%s' is not a file of this user's; move it away, it is the log",
                               file->path);
        if ((st.st_mode & 0777) != MODE && fchmod(file->fd, MODE) != 0)
                return why_set(why, hif_err_from_errno(errno), "the mode of '%s' stays %o: %s",
                               file->path, st.st_mode & 0777, strerror(errno));
        log_file_tend(file); /* it may have grown under one that did not look */
        /* A terminal stays one: someone is looking. */
        if (file->take_errors && !isatty(STDERR_FILENO) && dup2(file->fd, STDERR_FILENO) < 0)
                return hif_err_from_errno(errno);
        return HIF_OK;
}

void log_file_close(struct log_file *file)
{
        if (file->path != NULL && file->fd >= 0)
                close(file->fd);
        free(file->path);
        free(file->older);
}

/* What leads to the old file leads to what is at the path now. */
static void follow(const struct log_file *file, const struct stat *old)
{
        int fd = open_append(file->path);
        struct stat st;

        if (fd < 0)
                return;
        if (fstat(fd, &st) == 0 && is_proper(&st)) {
                for (int at = STDOUT_FILENO; file->take_errors && at <= STDERR_FILENO; at++)
                        if (fstat(at, &st) == 0 && same_file(&st, old))
                                (void)dup2(fd, at);
                (void)dup3(fd, file->fd, O_CLOEXEC);
        }
        close(fd);
}

/* The lock goes with the open file, of which children may have the descriptor: it is given back by
 * word, not by closing. */
static void begin_anew(const struct log_file *file, const struct stat *old)
{
        int locked = fcntl(file->fd, F_DUPFD_CLOEXEC, 0);
        struct stat st;

        if (locked < 0)
                return;
        if (flock(locked, LOCK_EX | LOCK_NB) == 0) {
                if (lstat(file->path, &st) == 0 && same_file(&st, old) &&
                    rename(file->path, file->older) == 0)
                        follow(file, old);
                (void)flock(locked, LOCK_UN);
        }
        close(locked);
}

void log_file_tend(struct log_file *file)
{
        struct stat mine, there;

        if (file->path == NULL || fstat(file->fd, &mine) != 0)
                return;
        if (lstat(file->path, &there) != 0 || !same_file(&mine, &there))
                follow(file, &mine);
        else if ((uint64_t)mine.st_size >= file->size_max)
                begin_anew(file, &mine);
}
