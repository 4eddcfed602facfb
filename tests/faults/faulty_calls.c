/* faulty_calls.c - the system's calls that can fail, but for those that move bytes, before the C
 * library's. One that fails has
 * done nothing; its error is one of those that its manual page names, by the point's number. */
#include "death.h"
#include "faults.h"
#include "faulty.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

bool call_fails(const char *name, const int errors[ERRORS_MAX])
{
        uint64_t number;
        size_t count = 0;

        death_point(name);
        if (!fault_point(FAULT_CALL, name, &number))
                return false;
        while (count < ERRORS_MAX && errors[count] != 0)
                count++;
        errno = errors[number % count];
        return true;
}

/* clang-format off */
#define DISK      ERRORS(EIO, ENOSPC)
#define READING   ERRORS(EIO, EIO)
#define NAMES     ERRORS(EIO, ENOSPC, EACCES, EROFS)
#define MEMORY    ERRORS(ENOMEM)
#define NO_MORE   ERRORS(EMFILE, ENFILE, ENOMEM)
/* clang-format on */

int open(const char *path, int flags, ...)
{
        static int (*real)(const char *, int, ...);
        mode_t mode = 0;
        va_list list;

        if (real == NULL)
                *(void **)&real = dlsym(RTLD_NEXT, "open");
        if ((flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE) {
                va_start(list, flags);
                mode = va_arg(list, mode_t);
                va_end(list);
        }
        death_opening(path, flags);
        if (call_fails("open", ERRORS(EIO, EMFILE, EACCES, ENFILE)))
                return -1;
        return real(path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
        static int (*real)(int, const char *, int, ...);
        mode_t mode = 0;
        va_list list;

        if (real == NULL)
                *(void **)&real = dlsym(RTLD_NEXT, "openat");
        if ((flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE) {
                va_start(list, flags);
                mode = va_arg(list, mode_t);
                va_end(list);
        }
        death_opening(path, flags);
        if (call_fails("openat", ERRORS(EIO, EMFILE, EACCES, ENFILE)))
                return -1;
        return real(dir, path, flags, mode);
}

/* Files. */
STAND_BEFORE(int, fsync, (int fd), (fd), -1, DISK)
STAND_BEFORE(int, fdatasync, (int fd), (fd), -1, DISK)
STAND_BEFORE(int, ftruncate, (int fd, off_t size), (fd, size), -1, DISK)
STAND_BEFORE(int, fallocate, (int fd, int mode, off_t at, off_t size), (fd, mode, at, size), -1,
             ERRORS(ENOSPC, EIO, EOPNOTSUPP))
STAND_BEFORE(void *, mmap, (void *at, size_t size, int how, int flags, int fd, off_t offset),
             (at, size, how, flags, fd, offset), MAP_FAILED, MEMORY)

/* Names. */
STAND_BEFORE(int, rename, (const char *from, const char *to), (from, to), -1, NAMES)
STAND_BEFORE(int, renameat2,
             (int from_dir, const char *from, int to_dir, const char *to, unsigned flags),
             (from_dir, from, to_dir, to, flags), -1, NAMES)
STAND_BEFORE(int, link, (const char *from, const char *to), (from, to), -1, NAMES)

int unlink(const char *path)
{
        static int (*real)(const char *);

        if (real == NULL)
                *(void **)&real = dlsym(RTLD_NEXT, "unlink");
        death_removing(path);
        return call_fails("unlink", NAMES) ? -1 : real(path);
}
STAND_BEFORE(int, mkdir, (const char *path, mode_t mode), (path, mode), -1, NAMES)
STAND_BEFORE(int, rmdir, (const char *path), (path), -1, NAMES)
STAND_BEFORE(int, fstat, (int fd, struct stat *out), (fd, out), -1, READING)
STAND_BEFORE(int, stat, (const char *path, struct stat *out), (path, out), -1, ERRORS(EIO, EACCES))
STAND_BEFORE(int, lstat, (const char *path, struct stat *out), (path, out), -1, ERRORS(EIO, EACCES))
STAND_BEFORE(int, fstatat, (int dir, const char *path, struct stat *out, int flags),
             (dir, path, out, flags), -1, ERRORS(EIO, EACCES))
STAND_BEFORE(int, statvfs, (const char *path, struct statvfs *out), (path, out), -1, READING)
STAND_BEFORE(DIR *, opendir, (const char *path), (path), NULL, ERRORS(EMFILE, EACCES, ENOMEM))
STAND_BEFORE(DIR *, fdopendir, (int fd), (fd), NULL, ERRORS(ENOMEM))
STAND_BEFORE(struct dirent *, readdir, (DIR * dir), (dir), NULL, READING)
STAND_BEFORE(ssize_t, readlinkat, (int dir, const char *path, char *out, size_t size),
             (dir, path, out, size), -1, READING)
STAND_BEFORE(char *, realpath, (const char *path, char *out), (path, out), NULL,
             ERRORS(EACCES, EIO, ENOMEM))
STAND_BEFORE(char *, getcwd, (char *out, size_t size), (out, size), NULL, ERRORS(ENOENT, EACCES))
STAND_BEFORE(FILE *, fopen, (const char *path, const char *how), (path, how), NULL,
             ERRORS(EMFILE, EACCES, ENOMEM))

/* Sockets and events. */
STAND_BEFORE(int, socket, (int domain, int type, int protocol), (domain, type, protocol), -1,
             NO_MORE)
STAND_BEFORE(int, bind, (int fd, const struct sockaddr *to, socklen_t size), (fd, to, size), -1,
             ERRORS(EADDRINUSE, EACCES))
STAND_BEFORE(int, listen, (int fd, int backlog), (fd, backlog), -1, ERRORS(EADDRINUSE))
STAND_BEFORE(int, connect, (int fd, const struct sockaddr *to, socklen_t size), (fd, to, size), -1,
             ERRORS(ECONNREFUSED, EAGAIN))
STAND_BEFORE(int, getsockname, (int fd, struct sockaddr *out, socklen_t *size), (fd, out, size), -1,
             ERRORS(ENOBUFS))
STAND_BEFORE(int, getsockopt, (int fd, int level, int name, void *out, socklen_t *size),
             (fd, level, name, out, size), -1, ERRORS(ENOBUFS))
STAND_BEFORE(int, setsockopt, (int fd, int level, int name, const void *value, socklen_t size),
             (fd, level, name, value, size), -1, ERRORS(ENOMEM))
STAND_BEFORE(int, epoll_create1, (int flags), (flags), -1, NO_MORE)
STAND_BEFORE(int, eventfd, (unsigned value, int flags), (value, flags), -1, NO_MORE)
STAND_BEFORE(int, pipe2, (int ends[2], int flags), (ends, flags), -1, NO_MORE)

STAND_BEFORE(int, socketpair, (int domain, int type, int protocol, int ends[2]),
             (domain, type, protocol, ends), -1, NO_MORE)
STAND_BEFORE(int, memfd_create, (const char *name, unsigned flags), (name, flags), -1, NO_MORE)

STAND_BEFORE(int, dup3, (int from, int to, int flags), (from, to, flags), -1, ERRORS(EBUSY, EMFILE))

/* Mounts. */
STAND_BEFORE(int, mount,
             (const char *source, const char *at, const char *type, unsigned long flags,
              const void *data),
             (source, at, type, flags, data), -1, ERRORS(ENOMEM, EBUSY, EPERM))
STAND_BEFORE(int, umount2, (const char *at, int flags), (at, flags), -1, ERRORS(EBUSY, ENOMEM))

/* What is watched already can be changed and forgotten: epoll_ctl(2) has no error for that. */
int epoll_ctl(int epoll, int what, int fd, struct epoll_event *event)
{
        static int (*real)(int, int, int, struct epoll_event *);

        if (real == NULL)
                *(void **)&real = dlsym(RTLD_NEXT, "epoll_ctl");
        if (what == EPOLL_CTL_ADD && call_fails("epoll_ctl", ERRORS(ENOMEM, ENOSPC)))
                return -1;
        return real(epoll, what, fd, event);
}

/* glibc's name service does not survive an allocation that fails (2.36 reads through NULL). */
struct passwd *getpwuid(uid_t uid)
{
        static struct passwd *(*real)(uid_t);
        struct passwd *entry;

        if (real == NULL)
                *(void **)&real = dlsym(RTLD_NEXT, "getpwuid");
        if (call_fails("getpwuid", ERRORS(EIO, EMFILE)))
                return NULL;
        fault_pause();
        entry = real(uid);
        fault_resume();
        return entry;
}

/* libseccomp 2.5 loads a filter with holes when an allocation fails while it makes it. */
int seccomp_load(void *filter)
{
        static int (*real)(void *);
        int error;

        if (real == NULL)
                *(void **)&real = dlsym(RTLD_NEXT, "seccomp_load");
        if (call_fails("seccomp_load", ERRORS(ENOMEM, EACCES)))
                return -errno;
        fault_pause();
        error = real(filter);
        fault_resume();
        return error;
}

/* libgit2 1.5 reads through NULL when an allocation fails while it is set up: as a whole it can fail. */
int git_libgit2_init(void)
{
        static int (*real)(void);
        int count;

        if (real == NULL)
                *(void **)&real = dlsym(RTLD_NEXT, "git_libgit2_init");
        if (fault_point(FAULT_MALLOC, "git_libgit2_init", NULL))
                return -1;
        fault_pause();
        count = real();
        fault_resume();
        return count;
}

/* Processes and threads. */
pid_t fork(void)
{
        static pid_t (*real)(void);
        pid_t pid;

        if (real == NULL)
                *(void **)&real = dlsym(RTLD_NEXT, "fork");
        if (call_fails("fork", ERRORS(EAGAIN, ENOMEM)))
                return -1;
        pid = real();
        if (pid == 0)
                fault_forked();
        return pid;
}

int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                 const posix_spawnattr_t *attributes, char *const argv[], char *const env[])
{
        static int (*real)(pid_t *, const char *, const posix_spawn_file_actions_t *,
                           const posix_spawnattr_t *, char *const[], char *const[]);

        if (real == NULL)
                *(void **)&real = dlsym(RTLD_NEXT, "posix_spawnp");
        if (call_fails("posix_spawnp", ERRORS(EAGAIN, ENOMEM)))
                return errno;
        return real(pid, file, actions, attributes, argv, env);
}

/* All but the report's. */
int close_range(unsigned first, unsigned last, int flags)
{
        int report = fault_report_fd();
        long failed = 0;

        if (report < 0 || first > (unsigned)report || last < (unsigned)report)
                return (int)syscall(SYS_close_range, first, last, flags);
        if (first < (unsigned)report)
                failed = syscall(SYS_close_range, first, (unsigned)report - 1, flags);
        return failed != 0 ? -1 : (int)syscall(SYS_close_range, (unsigned)report + 1, last, flags);
}

STAND_BEFORE(int, chdir, (const char *path), (path), -1, ERRORS(EACCES, EIO))

__attribute__((weak)) int __interceptor_pthread_create(pthread_t *out, const pthread_attr_t *attr,
                                                       void *(*run)(void *), void *arg);

struct beginning {
        void *(*run)(void *);
        void *arg;
        atomic_bool began;
};

static void *begin(void *arg)
{
        struct beginning *beginning = arg;
        void *(*run)(void *) = beginning->run;
        void *run_arg = beginning->arg;

        atomic_store(&beginning->began, true); /* it is gone from here on */
        return run(run_arg);
}

/* What a sanitizer allocates for a new thread may not fail. */
static int create_sanitized(pthread_t *out, const pthread_attr_t *attr, void *(*run)(void *),
                            void *arg)
{
        struct beginning beginning = {.run = run, .arg = arg};
        int error;

        fault_pause();
        error = __interceptor_pthread_create(out, attr, begin, &beginning);
        while (error == 0 && !atomic_load(&beginning.began))
                sched_yield();
        fault_resume();
        return error;
}

int pthread_create(pthread_t *out, const pthread_attr_t *attr, void *(*run)(void *), void *arg)
{
        static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

        if (call_fails("pthread_create", ERRORS(EAGAIN)))
                return EAGAIN;
        if (__interceptor_pthread_create != NULL)
                return create_sanitized(out, attr, run, arg);
        if (real == NULL)
                *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
        return real(out, attr, run, arg);
}
