/* preload.c - hif_disk.so, to be loaded with LD_PRELOAD before a program: it records what the program
 * does to its files, or makes syncs slow, or makes them fail.
 *
 *      HIF_DISK_ROOT      only this directory and files below this directory are meant
 *      HIF_DISK_TRACE     append what happens to this file (trace.h)
 *      HIF_DISK_DELAY_US  each fsync and fdatasync takes so much longer
 *      HIF_DISK_FAIL      while this file exists, each fsync and fdatasync fails with EIO
 *
 * A store into a shared mapping is no call: before each event the mappings are compared with what they
 * were, sector by sector. Only the calls that src/base/env_system.c makes are here. */
#include "trace.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define FDS_MAX    4096
#define MAPS_MAX   64
#define SECTOR     512u
#define TRACE_FD   1000 /* out of the way of the program's own */
#define COMPARE_AT 4096u

struct map {
        uint8_t *at, *shadow;
        size_t size;
        uint64_t inode, offset;
};

static struct {
        pthread_mutex_t lock;
        int trace; /* -1: nothing is recorded */
        char root[PATH_MAX];
        size_t root_size;
        const char *fail;
        long delay_us;
        struct {
                uint64_t inode; /* 0: not ours */
                bool is_dir;
                char *path;
        } fds[FDS_MAX];
        struct map maps[MAPS_MAX];
} disk = {.lock = PTHREAD_MUTEX_INITIALIZER, .trace = -1};

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name)
{
        void *found = dlsym(RTLD_NEXT, name);

        if (found == NULL)
                abort();
        return found;
}

__attribute__((constructor)) static void start(void)
{
        const char *trace = getenv("HIF_DISK_TRACE"), *root = getenv("HIF_DISK_ROOT");
        const char *delay = getenv("HIF_DISK_DELAY_US");
        int fd;

        disk.root_size =
            (size_t)snprintf(disk.root, sizeof(disk.root), "%s/", root != NULL ? root : "/nowhere");
        disk.fail = getenv("HIF_DISK_FAIL");
        disk.delay_us = delay != NULL ? atol(delay) : 0;
        if (trace == NULL)
                return;
        fd = REAL(open64)(trace, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (fd < 0)
                abort();
        disk.trace = fcntl(fd, F_DUPFD_CLOEXEC, TRACE_FD);
        close(fd);
        if (disk.trace < 0)
                abort();
}

static bool is_ours(const char *path)
{
        if (strstr(path, "/.cache") != NULL)
                return false; /* it may be lost */
        return strncmp(path, disk.root, disk.root_size) == 0 ||
               (strlen(path) == disk.root_size - 1 && memcmp(path, disk.root, strlen(path)) == 0);
}

/* --- events --- */

static void append(struct trace_event event, const void *payload, size_t size)
{
        struct timespec now;
        struct iovec parts[2] = {{&event, sizeof(event)}, {(void *)(uintptr_t)payload, size}};

        clock_gettime(CLOCK_MONOTONIC, &now);
        event.ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
        event.size = (uint32_t)size;
        if (writev(disk.trace, parts, 2) != (ssize_t)(sizeof(event) + size))
                abort();
}

/* What was stored since the last event. A sector is copied once: so what is told is what is kept. */
static void look_at(struct map *map)
{
        for (size_t at = 0; at < map->size; at += COMPARE_AT) {
                if (memcmp(map->at + at, map->shadow + at, COMPARE_AT) == 0)
                        continue;
                for (size_t sector = at; sector < at + COMPARE_AT; sector += SECTOR) {
                        uint8_t copy[SECTOR];

                        memcpy(copy, map->at + sector, SECTOR);
                        if (memcmp(copy, map->shadow + sector, SECTOR) == 0)
                                continue;
                        memcpy(map->shadow + sector, copy, SECTOR);
                        append((struct trace_event){.kind = TRACE_WRITE,
                                                    .a = map->inode,
                                                    .b = map->offset + sector},
                               copy, SECTOR);
                }
        }
}

/* Called with the lock. */
static void emit(struct trace_event event, const void *payload, size_t size)
{
        for (size_t i = 0; i < MAPS_MAX; i++)
                if (disk.maps[i].at != NULL)
                        look_at(&disk.maps[i]);
        append(event, payload, size);
}

static void emit_path(enum trace_kind kind, uint64_t a, const char *path)
{
        emit((struct trace_event){.kind = kind, .a = a}, path, strlen(path) + 1);
}

static void emit_paths(enum trace_kind kind, const char *from, const char *to)
{
        char both[2 * PATH_MAX];
        int size = snprintf(both, sizeof(both), "%s%c%s", from, '\0', to);

        emit((struct trace_event){.kind = kind}, both, (size_t)size + 1);
}

static uint64_t inode_of(int fd)
{
        uint64_t inode = 0;

        pthread_mutex_lock(&disk.lock);
        if (disk.trace >= 0 && fd >= 0 && fd < FDS_MAX)
                inode = disk.fds[fd].inode;
        pthread_mutex_unlock(&disk.lock);
        return inode;
}

static void emit_file(int fd, enum trace_kind kind, uint64_t b, uint64_t c, const void *payload,
                      size_t size)
{
        uint64_t inode = inode_of(fd);

        if (inode == 0)
                return;
        pthread_mutex_lock(&disk.lock);
        emit((struct trace_event){.kind = kind, .a = inode, .b = b, .c = c}, payload, size);
        pthread_mutex_unlock(&disk.lock);
}

/* A process that was killed may have stored something into a mapping of its log after its last event: who
 * opens the segment finds it there, and so it is told. What is as it was before does no harm. */
static void retell(int fd, const char *path, const struct stat *st)
{
        uint8_t bytes[1u << 16];
        ssize_t size;

        if (!S_ISREG(st->st_mode) || strstr(path, "/log/") == NULL)
                return;
        for (off64_t at = 0; (size = pread64(fd, bytes, sizeof(bytes), at)) > 0; at += size)
                append(
                    (struct trace_event){.kind = TRACE_WRITE, .a = st->st_ino, .b = (uint64_t)at},
                    bytes, (size_t)size);
}

/* --- the calls --- */

int open64(const char *path, int flags, ...)
{
        struct stat st;
        bool made = false;
        mode_t mode;
        va_list args;
        int fd;

        va_start(args, flags);
        mode = va_arg(args, mode_t);
        va_end(args);
        if (disk.trace < 0 || !is_ours(path))
                return REAL(open64)(path, flags, mode);
        pthread_mutex_lock(&disk.lock);
        if (flags & O_CREAT)
                made = (flags & O_EXCL) != 0 || stat(path, &st) != 0;
        fd = REAL(open64)(path, flags, mode);
        if (fd >= 0 && fd < FDS_MAX && fstat(fd, &st) == 0) {
                free(disk.fds[fd].path);
                disk.fds[fd].path = strdup(path);
                disk.fds[fd].inode = st.st_ino;
                disk.fds[fd].is_dir = S_ISDIR(st.st_mode);
                if (made)
                        emit_path(TRACE_CREATE, st.st_ino, path);
                else if (flags & O_TRUNC)
                        emit((struct trace_event){.kind = TRACE_TRUNCATE, .a = st.st_ino}, NULL, 0);
                else
                        retell(fd, path, &st);
        }
        pthread_mutex_unlock(&disk.lock);
        return fd;
}

int close(int fd)
{
        pthread_mutex_lock(&disk.lock);
        if (fd >= 0 && fd < FDS_MAX)
                disk.fds[fd].inode = 0;
        pthread_mutex_unlock(&disk.lock);
        return REAL(close)(fd);
}

/* A process that was forked closes what it does not know, but goes on to be recorded. */
int close_range(unsigned first, unsigned last, int flags)
{
        unsigned trace = (unsigned)disk.trace;
        int rc = 0;

        if (disk.trace < 0 || flags != 0 || trace < first || trace > last)
                return REAL(close_range)(first, last, flags);
        pthread_mutex_lock(&disk.lock);
        for (unsigned fd = first; fd < FDS_MAX && fd <= last; fd++)
                disk.fds[fd].inode = 0;
        pthread_mutex_unlock(&disk.lock);
        if (first < trace)
                rc = REAL(close_range)(first, trace - 1, 0);
        return rc != 0 || last == trace ? rc : REAL(close_range)(trace + 1, last, 0);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
        ssize_t put = REAL(pwrite64)(fd, data, size, offset);

        if (put > 0)
                emit_file(fd, TRACE_WRITE, (uint64_t)offset, 0, data, (size_t)put);
        return put;
}

int ftruncate64(int fd, off64_t size)
{
        int rc = REAL(ftruncate64)(fd, size);

        if (rc == 0)
                emit_file(fd, TRACE_TRUNCATE, (uint64_t)size, 0, NULL, 0);
        return rc;
}

int fallocate64(int fd, int mode, off64_t offset, off64_t size)
{
        int rc = REAL(fallocate64)(fd, mode, offset, size);

        if (rc == 0)
                emit_file(fd, (mode & FALLOC_FL_PUNCH_HOLE) ? TRACE_PUNCH : TRACE_ALLOCATE,
                          (uint64_t)offset, (uint64_t)size, NULL, 0);
        return rc;
}

static int sync_with(int (*call)(int fd), int fd)
{
        static uint64_t last;
        uint64_t inode = inode_of(fd), number = 0;
        int rc;

        if (inode != 0) {
                pthread_mutex_lock(&disk.lock);
                number = (uint64_t)getpid() << 32 | ++last;
                emit((struct trace_event){.kind = TRACE_SYNC_BEGIN,
                                          .a = inode,
                                          .b = disk.fds[fd].is_dir,
                                          .c = number},
                     disk.fds[fd].path, strlen(disk.fds[fd].path) + 1);
                pthread_mutex_unlock(&disk.lock);
        }
        if (disk.delay_us > 0)
                usleep((useconds_t)disk.delay_us);
        if (disk.fail != NULL && access(disk.fail, F_OK) == 0) {
                errno = EIO;
                return -1;
        }
        rc = call(fd);
        if (rc == 0 && inode != 0)
                emit_file(fd, TRACE_SYNC_END, 0, number, NULL, 0);
        return rc;
}

int fsync(int fd)
{
        return sync_with(REAL(fsync), fd);
}

int fdatasync(int fd)
{
        return sync_with(REAL(fdatasync), fd);
}

/* A name that changes, and the event that says so: nothing comes between. */
#define NAMED(call, path, event)                                                                   \
        int rc_;                                                                                   \
        if (disk.trace < 0 || !is_ours(path))                                                      \
                return (call);                                                                     \
        pthread_mutex_lock(&disk.lock);                                                            \
        rc_ = (call);                                                                              \
        if (rc_ == 0) {                                                                            \
                event;                                                                             \
        }                                                                                          \
        pthread_mutex_unlock(&disk.lock);                                                          \
        return rc_

int mkdir(const char *path, mode_t mode)
{
        NAMED(REAL(mkdir)(path, mode), path, emit_path(TRACE_MKDIR, 0, path));
}

int rmdir(const char *path)
{
        NAMED(REAL(rmdir)(path), path, emit_path(TRACE_RMDIR, 0, path));
}

int unlink(const char *path)
{
        NAMED(REAL(unlink)(path), path, emit_path(TRACE_UNLINK, 0, path));
}

int link(const char *from, const char *to)
{
        NAMED(REAL(link)(from, to), to, emit_paths(TRACE_LINK, from, to));
}

int rename(const char *from, const char *to)
{
        NAMED(REAL(rename)(from, to), to, emit_paths(TRACE_RENAME, from, to));
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
        NAMED(REAL(renameat2)(from_dir, from, to_dir, to, flags), to,
              emit_paths(TRACE_RENAME, from, to));
}

void *mmap64(void *hint, size_t size, int protection, int flags, int fd, off64_t offset)
{
        void *at = REAL(mmap64)(hint, size, protection, flags, fd, offset);
        uint64_t inode = inode_of(fd);

        if (at == MAP_FAILED || inode == 0 || (flags & MAP_SHARED) == 0 ||
            (protection & PROT_WRITE) == 0)
                return at;
        pthread_mutex_lock(&disk.lock);
        for (size_t i = 0; i <= MAPS_MAX; i++) {
                if (i == MAPS_MAX)
                        abort();
                if (disk.maps[i].at != NULL)
                        continue;
                disk.maps[i] = (struct map){.at = at,
                                            .shadow = malloc(size),
                                            .size = size,
                                            .inode = inode,
                                            .offset = (uint64_t)offset};
                memcpy(disk.maps[i].shadow, at, size);
                break;
        }
        pthread_mutex_unlock(&disk.lock);
        return at;
}

int munmap(void *at, size_t size)
{
        pthread_mutex_lock(&disk.lock);
        for (size_t i = 0; i < MAPS_MAX; i++) {
                if (disk.maps[i].at != at)
                        continue;
                look_at(&disk.maps[i]);
                free(disk.maps[i].shadow);
                disk.maps[i] = (struct map){0};
        }
        pthread_mutex_unlock(&disk.lock);
        return REAL(munmap)(at, size);
}
