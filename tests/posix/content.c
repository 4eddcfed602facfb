/* content.c - reading and writing, sizes, holes, times, and files that nothing names. */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <time.h>

#define GIB ((uint64_t)1 << 30)

/* As git writes its objects: the mode is for those who open the file later. */
static void write_read_only(void *arg)
{
        int fd = open("object", O_CREAT | O_EXCL | O_RDWR, 0444);

        (void)arg;
        MUST(fd >= 0);
        write_at(fd, "content", 7, 0);
        MUST(ftruncate(fd, 4) == 0);
        MUST(fsync(fd) == 0 && close(fd) == 0);
        expect_file("object", "cont");
        MUST((stat_of("object").st_mode & 07777) == 0444);
        if (geteuid() != 0)
                MUST_FAIL(open("object", O_WRONLY), EACCES);
}

static void who_makes_a_read_only_file_may_write_it(const struct check_limits *limits)
{
        if (!limits->root) {
                write_read_only(NULL);
                return;
        }
        as_user(12345, 12345, 0, NULL, write_read_only, NULL);
        MUST(stat_of("object").st_uid == 12345 && stat_of("object").st_gid == 12345);
}

static void unlinked_files_work_while_they_are_open(const struct check_limits *limits)
{
        char content[64] = "";
        struct stat st;
        int fd = open("file", O_CREAT | O_RDWR, 0644);

        MUST(fd >= 0);
        write_at(fd, "before", 6, 0);
        MUST(unlink("file") == 0);
        MUST(!exists("file"));
        write_at(fd, "behind", 6, 6);
        read_at(fd, content, 12, 0);
        MUST(strcmp(content, "beforebehind") == 0);
        MUST(ftruncate(fd, 3) == 0 && fstat(fd, &st) == 0 && st.st_size == 3);
        MUST(fchmod(fd, 0600) == 0 && fsync(fd) == 0);
        /* The NFS client keeps a name for it. */
        if (!limits->nfs)
                MUST(fstat(fd, &st) == 0 && st.st_nlink == 0);
        put_file("file", "another");
        read_at(fd, content, 3, 0);
        MUST(memcmp(content, "bef", 3) == 0);
        MUST(close(fd) == 0);
        expect_file("file", "another");
}

static void append(int index, void *arg)
{
        int fd = open("log", O_WRONLY | O_APPEND);
        char line[64];

        (void)arg;
        MUST(fd >= 0);
        for (int i = 0; i < 100; i++) {
                int size = snprintf(line, sizeof(line), "%d %04d\n", index, i);

                MUST(write(fd, line, (size_t)size) == size);
        }
        MUST(close(fd) == 0);
}

static void appending_loses_nothing(const struct check_limits *limits)
{
        int next[4] = {0}, index, i;
        FILE *log;

        (void)limits;
        put_file("log", "");
        at_once(4, append, NULL);
        log = fopen("log", "r");
        MUST(log != NULL);
        while (fscanf(log, "%d %d\n", &index, &i) == 2) {
                MUST(index >= 0 && index < 4 && next[index] == i);
                next[index]++;
        }
        for (i = 0; i < 4; i++)
                MUST(next[i] == 100);
        fclose(log);
}

static void truncation_cuts_and_fills_with_zeros(const struct check_limits *limits)
{
        char content[8];
        struct stat st;
        int fd;

        (void)limits;
        put_file("file", "0123456789");
        MUST(truncate("file", 4) == 0);
        expect_file("file", "0123");
        MUST(truncate("file", 8) == 0);
        fd = open("file", O_RDWR);
        read_at(fd, content, 8, 0);
        MUST(memcmp(content, "0123\0\0\0\0", 8) == 0);
        MUST(pread(fd, content, 8, 8) == 0);
        MUST(close(fd) == 0);
        MUST(close(open("file", O_WRONLY | O_TRUNC)) == 0);
        expect_file("file", "");
        fd = open("file", O_RDONLY);
        MUST_FAIL(ftruncate(fd, 1), EINVAL);
        MUST(close(fd) == 0);
        MUST_FAIL(truncate(".", 1), EISDIR);
        MUST_FAIL(truncate("file", -1), EINVAL);
        MUST(truncate("file", (off_t)(5 * GIB)) == 0);
        st = stat_of("file");
        MUST(st.st_size == (off_t)(5 * GIB));
}

static bool is_zero(const char *bytes, size_t size)
{
        for (size_t i = 0; i < size; i++)
                if (bytes[i] != 0)
                        return false;
        return true;
}

/* Holes read as zeros, take no room, and are told of by lseek where the protocol can. */
static void holes_are_holes(const struct check_limits *limits)
{
        static char block[65536];
        int fd = open("sparse", O_CREAT | O_RDWR, 0644);
        struct stat st;

        MUST(fd >= 0);
        memset(block, 'x', sizeof(block));
        write_at(fd, block, sizeof(block), 0);
        write_at(fd, block, sizeof(block), 3 * GIB);
        MUST(ftruncate(fd, (off_t)(4 * GIB)) == 0);
        MUST(fsync(fd) == 0 && fstat(fd, &st) == 0);
        MUST(st.st_size == (off_t)(4 * GIB));
        MUST(st.st_blocks >= 256 && st.st_blocks < 8192);
        read_at(fd, block, sizeof(block), GIB);
        MUST(is_zero(block, sizeof(block)));
        read_at(fd, block, sizeof(block), 3 * GIB - 4);
        MUST(is_zero(block, 4) && block[4] == 'x');
        if (!limits->nfs) {
                MUST(lseek(fd, 0, SEEK_HOLE) == sizeof(block));
                MUST(lseek(fd, 0, SEEK_DATA) == 0);
                MUST(lseek(fd, (off_t)sizeof(block), SEEK_DATA) == (off_t)(3 * GIB));
                MUST(lseek(fd, (off_t)(3 * GIB), SEEK_HOLE) == (off_t)(3 * GIB + sizeof(block)));
                MUST_FAIL(lseek(fd, (off_t)(3 * GIB + sizeof(block)), SEEK_DATA), ENXIO);
                MUST(lseek(fd, (off_t)(4 * GIB - 1), SEEK_HOLE) == (off_t)(4 * GIB - 1));
                MUST_FAIL(lseek(fd, (off_t)(4 * GIB), SEEK_HOLE), ENXIO);
        }
        MUST(close(fd) == 0);
}

struct race {
        int wins[2]; /* a pipe: who won writes a byte */
};

static void try_to_create(int index, void *arg)
{
        struct race *race = arg;

        (void)index;
        for (int i = 0; i < 50; i++) {
                char name[32];
                int fd;

                snprintf(name, sizeof(name), "lock-%d", i);
                fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);
                MUST(fd >= 0 || errno == EEXIST);
                if (fd >= 0)
                        MUST(write(race->wins[1], &i, 1) == 1 && close(fd) == 0);
        }
}

static void exclusive_creation_has_one_winner(const struct check_limits *limits)
{
        struct race race;
        char byte;
        int wins = 0;

        (void)limits;
        MUST(pipe(race.wins) == 0);
        at_once(4, try_to_create, &race);
        MUST(close(race.wins[1]) == 0);
        while (read(race.wins[0], &byte, 1) == 1)
                wins++;
        MUST(wins == 50);
        MUST((stat_of("lock-0").st_mode & 07777) == 0600);
}

static void times_have_nanoseconds(const struct check_limits *limits)
{
        struct timespec set[2] = {{.tv_sec = 1234567890, .tv_nsec = 123456789},
                                  {.tv_sec = 4102444800, .tv_nsec = 999999999}};
        struct stat before, st;
        int fd;

        put_file("file", "x");
        MUST(symlink("file", "link") == 0);
        before = stat_of("file");
        pass_time();
        MUST(utimensat(AT_FDCWD, "file", set, 0) == 0);
        st = stat_of("file");
        MUST(st.st_atim.tv_sec == set[0].tv_sec && st.st_atim.tv_nsec == set[0].tv_nsec);
        MUST(st.st_mtim.tv_sec == set[1].tv_sec && st.st_mtim.tv_nsec == set[1].tv_nsec);
        MUST(later(st.st_ctim, before.st_ctim));
        set[0].tv_nsec = UTIME_OMIT;
        set[1].tv_sec = 17;
        MUST(utimensat(AT_FDCWD, "link", set, AT_SYMLINK_NOFOLLOW) == 0);
        MUST(stat_of("link").st_mtim.tv_sec == 17);
        MUST(stat_of("file").st_mtim.tv_sec == 4102444800);
        set[1].tv_nsec = UTIME_NOW;
        MUST(utimensat(AT_FDCWD, "file", set, 0) == 0);
        st = stat_of("file");
        MUST(st.st_atim.tv_sec == 1234567890 && st.st_atim.tv_nsec == 123456789);
        MUST(st.st_mtim.tv_sec < 4102444800 && st.st_mtim.tv_sec >= before.st_mtim.tv_sec);
        pass_time();
        fd = open("file", O_WRONLY);
        write_at(fd, "y", 1, 0);
        MUST(close(fd) == 0);
        MUST(later(stat_of("file").st_mtim, st.st_mtim));
        if (!limits->nfs) {
                set[1] = (struct timespec){.tv_sec = -5, .tv_nsec = 1};
                MUST(utimensat(AT_FDCWD, "file", set, 0) == 0);
                MUST(stat_of("file").st_mtim.tv_sec == -5);
        }
}

static void content_can_be_sent_and_copied(const struct check_limits *limits)
{
        static char bytes[300000], got[300000];
        int from = open("from", O_CREAT | O_RDWR, 0644), to = open("to", O_CREAT | O_RDWR, 0644);
        off_t at = 0, in = 0, out = 0;

        (void)limits;
        MUST(from >= 0 && to >= 0);
        for (size_t i = 0; i < sizeof(bytes); i++)
                bytes[i] = (char)(i * 7 + i / 256);
        write_at(from, bytes, sizeof(bytes), 0);
        while (at < (off_t)sizeof(bytes))
                MUST(sendfile(to, from, &at, sizeof(bytes) - (size_t)at) > 0);
        read_at(to, got, sizeof(got), 0);
        MUST(memcmp(bytes, got, sizeof(got)) == 0);
        MUST(ftruncate(to, 0) == 0);
        while (in < (off_t)sizeof(bytes)) {
                ssize_t size = copy_file_range(from, &in, to, &out, sizeof(bytes) - (size_t)in, 0);

                MUST(size > 0);
        }
        read_at(to, got, sizeof(got), 0);
        MUST(memcmp(bytes, got, sizeof(got)) == 0);
        MUST(posix_fallocate(to, 0, 400000) == 0 || errno == EOPNOTSUPP);
        MUST(close(from) == 0 && close(to) == 0);
}

const struct check check_content[] = {CHECK(who_makes_a_read_only_file_may_write_it),
                                      CHECK(unlinked_files_work_while_they_are_open),
                                      CHECK(appending_loses_nothing),
                                      CHECK(truncation_cuts_and_fills_with_zeros),
                                      CHECK(holes_are_holes),
                                      CHECK(exclusive_creation_has_one_winner),
                                      CHECK(times_have_nanoseconds),
                                      CHECK(content_can_be_sent_and_copied),
                                      CHECK_END};
