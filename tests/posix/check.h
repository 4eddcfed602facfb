/* check.h - what holds in a directory of any POSIX file system, as tests that need nothing but the
 * directory: they run on the mounts of integration/cases/posix.sh, and on an ordinary file system,
 * which has to pass them as well.
 *
 * Each test is a function that runs in a process and an empty directory (its working directory) of
 * its own. MUST ends it at the first thing that does not hold. */
#ifndef HIF_TESTS_POSIX_CHECK_H
#define HIF_TESTS_POSIX_CHECK_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

/* Where the file system is, by its protocol, less than POSIX. */
struct check_limits {
        bool nfs;  /* NFS version 3: times have 32 bits, callers 16 groups; no SEEK_HOLE */
        bool root; /* we are root, and others may use the directory */
};

struct check {
        const char *name; /* what holds */
        void (*run)(const struct check_limits *limits);
};

extern const struct check check_names[], check_content[], check_maps[], check_access[],
    check_answers[];

#define CHECK(name)                                                                                \
        {                                                                                          \
#name, name                                                                        \
        }
#define CHECK_END                                                                                  \
        {                                                                                          \
                NULL, NULL                                                                         \
        }

#define MUST(condition) ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, #condition))
_Noreturn void check_failed(const char *file, int line, const char *what);
/* The call must fail in this way. */
#define MUST_FAIL(call, error)                                                                     \
        check_fails((errno = 0, (call) < 0), error, __FILE__, __LINE__, #call)
void check_fails(bool failed, int error, const char *file, int line, const char *call);

/* --- verbs; each is a MUST --- */

void put_file(const char *path, const char *text); /* made, or overwritten */
void expect_file(const char *path, const char *text);
void write_at(int fd, const void *data, size_t size, uint64_t offset);
void read_at(int fd, void *data, size_t size, uint64_t offset); /* all of it */
struct stat stat_of(const char *path);                          /* lstat */
bool exists(const char *path);
/* Run in a process of its own, as another user with this group and these supplementary ones. */
void as_user(uid_t uid, gid_t gid, size_t group_count, const gid_t *groups, void (*run)(void *arg),
             void *arg);
/* Run in `count` processes at the same time; all must succeed. */
void at_once(int count, void (*run)(int index, void *arg), void *arg);
/* Let the clock go on, so that times differ on any file system. */
void pass_time(void);
bool later(struct timespec a, struct timespec b); /* a is after b */

#endif
