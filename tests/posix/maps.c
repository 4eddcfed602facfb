/* maps.c - mapped files, and locks. */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define MAP_SIZE ((size_t)256 << 10)

static int new_file(size_t size)
{
        int fd = open("file", O_CREAT | O_RDWR | O_TRUNC, 0644);

        MUST(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
        return fd;
}

static char *map(int fd, int flags)
{
        char *at = mmap(NULL, MAP_SIZE, PROT_READ | PROT_WRITE, flags, fd, 0);

        MUST(at != MAP_FAILED);
        return at;
}

static void shared_maps_are_the_file(const struct check_limits *limits)
{
        int fd = new_file(MAP_SIZE), other = open("file", O_RDWR);
        char *at = map(fd, MAP_SHARED), *again = map(other, MAP_SHARED), byte;

        (void)limits;
        at[70000] = 'm';
        read_at(other, &byte, 1, 70000);
        MUST(byte == 'm' && again[70000] == 'm');
        write_at(other, "w", 1, 100000);
        MUST(at[100000] == 'w' && again[100000] == 'w');
        MUST(msync(at, MAP_SIZE, MS_SYNC) == 0);
        MUST(munmap(at, MAP_SIZE) == 0 && close(fd) == 0);
        again[5] = 'c';
        MUST(munmap(again, MAP_SIZE) == 0 && close(other) == 0);
        fd = open("file", O_RDONLY);
        read_at(fd, &byte, 1, 5);
        MUST(byte == 'c');
        MUST(close(fd) == 0);
}

static void private_maps_are_not(const struct check_limits *limits)
{
        int fd = new_file(MAP_SIZE);
        char *at = map(fd, MAP_PRIVATE), byte;

        (void)limits;
        at[10] = 'p';
        read_at(fd, &byte, 1, 10);
        MUST(byte == 0);
        MUST(munmap(at, MAP_SIZE) == 0 && close(fd) == 0);
}

/* What a map wrote behind the end of the file does not come to light when the file grows. */
static void behind_the_end_there_are_zeros(const struct check_limits *limits)
{
        int fd = new_file(100);
        char *at = map(fd, MAP_SHARED), bytes[100];

        memset(at + 100, 'x', 50);
        at[50] = 'y';
        MUST(msync(at, 4096, MS_SYNC) == 0 && munmap(at, MAP_SIZE) == 0);
        MUST(ftruncate(fd, 200) == 0);
        read_at(fd, bytes, 100, 100);
        /* Linux' NFS client (6.1) keeps them in its own pages, which no server sees. */
        for (int i = 0; i < 100 && !limits->nfs; i++)
                MUST(bytes[i] == 0);
        read_at(fd, bytes, 1, 50);
        MUST(bytes[0] == 'y');
        MUST(close(fd) == 0);
}

/* A map of a file that is replaced and removed goes on showing it. */
static void maps_outlive_names(const struct check_limits *limits)
{
        int fd = new_file(MAP_SIZE);
        char *at;

        (void)limits;
        write_at(fd, "old", 3, 0);
        at = map(fd, MAP_SHARED);
        MUST(close(fd) == 0);
        put_file("new", "new");
        MUST(rename("new", "file") == 0);
        MUST(memcmp(at, "old", 3) == 0);
        memcpy(at + 3, "er", 2);
        MUST(msync(at, MAP_SIZE, MS_SYNC) == 0 && memcmp(at, "older", 5) == 0);
        expect_file("file", "new");
        MUST(munmap(at, MAP_SIZE) == 0);
}

static void write_through_map(int index, void *arg)
{
        int fd = open("file", O_RDWR);
        char *at = map(fd, MAP_SHARED);

        (void)arg;
        for (size_t i = (size_t)index; i < MAP_SIZE; i += 4)
                at[i] = (char)('0' + index);
        exit(0); /* unmapped by the kernel */
}

static void maps_of_many_processes_agree(const struct check_limits *limits)
{
        static char bytes[MAP_SIZE];
        int fd = new_file(MAP_SIZE);

        (void)limits;
        at_once(4, write_through_map, NULL);
        read_at(fd, bytes, MAP_SIZE, 0);
        for (size_t i = 0; i < MAP_SIZE; i++)
                MUST(bytes[i] == (char)('0' + i % 4));
        MUST(close(fd) == 0);
}

/* --- locks --- */

/* In another process; its exit status is `error`, 0 when it got the lock. */
static int in_other_process(int (*try)(int fd))
{
        pid_t pid = fork();
        int status;

        MUST(pid >= 0);
        if (pid == 0) {
                int fd = open("file", O_RDWR);

                if (fd < 0)
                        exit(255);
                exit(try(fd) == 0 ? 0 : errno);
        }
        MUST(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
        return WEXITSTATUS(status);
}

static int try_flock(int fd)
{
        return flock(fd, LOCK_EX | LOCK_NB);
}

static int set_lock(int fd, int command, short type, off_t start, off_t size)
{
        struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = size};

        return fcntl(fd, command, &lock);
}

static int try_first(int fd)
{
        return set_lock(fd, F_SETLK, F_WRLCK, 0, 10);
}

static int try_second(int fd)
{
        return set_lock(fd, F_SETLK, F_WRLCK, 10, 10);
}

static int try_shared(int fd)
{
        return set_lock(fd, F_SETLK, F_RDLCK, 0, 10);
}

static void whole_file_locks_exclude(const struct check_limits *limits)
{
        int fd = new_file(100), second = open("file", O_RDWR);

        (void)limits;
        MUST(flock(fd, LOCK_EX) == 0);
        MUST(in_other_process(try_flock) == EWOULDBLOCK);
        MUST_FAIL(flock(second, LOCK_EX | LOCK_NB), EWOULDBLOCK);
        MUST(flock(fd, LOCK_UN) == 0);
        MUST(in_other_process(try_flock) == 0);
        MUST(flock(second, LOCK_SH) == 0 && flock(fd, LOCK_SH | LOCK_NB) == 0);
        MUST(close(second) == 0 && close(fd) == 0);
        MUST(in_other_process(try_flock) == 0);
}

static void record_locks_exclude_by_range(const struct check_limits *limits)
{
        int fd = new_file(100), error;
        struct flock ask = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 5};
        pid_t pid;

        (void)limits;
        MUST(set_lock(fd, F_SETLK, F_WRLCK, 0, 10) == 0);
        error = in_other_process(try_first);
        MUST(error == EAGAIN || error == EACCES);
        MUST(in_other_process(try_second) == 0);
        pid = fork();
        MUST(pid >= 0);
        if (pid == 0) {
                MUST(fcntl(fd, F_GETLK, &ask) == 0);
                MUST(ask.l_type == F_WRLCK && ask.l_pid == getppid());
                exit(0);
        }
        MUST(waitpid(pid, &error, 0) == pid && error == 0);
        MUST(set_lock(fd, F_SETLK, F_RDLCK, 0, 10) == 0);
        MUST(in_other_process(try_shared) == 0);
        MUST(set_lock(fd, F_SETLK, F_UNLCK, 0, 0) == 0);
        MUST(in_other_process(try_first) == 0);
        MUST(close(fd) == 0);
}

/* Of open file descriptions: two in one process exclude each other, and closing one frees only its
 * own. */
static void description_locks_exclude(const struct check_limits *limits)
{
        int fd = new_file(100), second = open("file", O_RDWR), third = open("file", O_RDWR);

        (void)limits;
        MUST(set_lock(fd, F_OFD_SETLK, F_WRLCK, 0, 10) == 0);
        MUST_FAIL(set_lock(second, F_OFD_SETLK, F_WRLCK, 5, 10), EAGAIN);
        MUST(set_lock(second, F_OFD_SETLK, F_WRLCK, 10, 10) == 0);
        MUST(close(third) == 0);
        MUST_FAIL(set_lock(second, F_OFD_SETLK, F_WRLCK, 5, 5), EAGAIN);
        MUST(close(fd) == 0);
        MUST(set_lock(second, F_OFD_SETLK, F_WRLCK, 5, 5) == 0);
        MUST(close(second) == 0);
}

static void count_up(int index, void *arg)
{
        int fd = open("counter", O_RDWR);

        (void)index, (void)arg;
        MUST(fd >= 0);
        for (int i = 0; i < 50; i++) {
                uint32_t value;

                MUST(set_lock(fd, F_SETLKW, F_WRLCK, 0, 0) == 0);
                read_at(fd, &value, sizeof(value), 0);
                value++;
                write_at(fd, &value, sizeof(value), 0);
                MUST(set_lock(fd, F_SETLKW, F_UNLCK, 0, 0) == 0);
        }
}

static void who_waits_for_a_lock_sees_what_was_written(const struct check_limits *limits)
{
        int fd = open("counter", O_CREAT | O_RDWR, 0644);
        uint32_t value = 0;

        (void)limits;
        write_at(fd, &value, sizeof(value), 0);
        at_once(4, count_up, NULL);
        read_at(fd, &value, sizeof(value), 0);
        MUST(value == 200);
        MUST(close(fd) == 0);
}

const struct check check_maps[] = {CHECK(shared_maps_are_the_file),
                                   CHECK(private_maps_are_not),
                                   CHECK(behind_the_end_there_are_zeros),
                                   CHECK(maps_outlive_names),
                                   CHECK(maps_of_many_processes_agree),
                                   CHECK(whole_file_locks_exclude),
                                   CHECK(record_locks_exclude_by_range),
                                   CHECK(description_locks_exclude),
                                   CHECK(who_waits_for_a_lock_sees_what_was_written),
                                   CHECK_END};
