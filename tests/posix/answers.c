/* answers.c - what programs try that not every file system has: it works, or the answer is the one they
 * know how to go on from. And what is made of names that are not files. */
#include "check.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#define LINKS 300

/* mv -n and mv --exchange: whoever cannot says EINVAL, and nothing has moved. */
static void special_renames_work_or_say_so(const struct check_limits *limits)
{
        int not_there;

        put_file("a", "a");
        put_file("b", "b");
        MUST(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE) < 0);
        MUST(errno == EEXIST || (limits->nfs && errno == EINVAL));
        not_there = renameat2(AT_FDCWD, "a", AT_FDCWD, "c", RENAME_NOREPLACE);
        MUST(not_there == 0 || (limits->nfs && errno == EINVAL));
        MUST(exists("a") == (not_there != 0) && exists("c") == (not_there == 0));
        put_file("a", "a");
        if (renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE) == 0) {
                expect_file("a", "b");
                expect_file("b", "a");
                return;
        }
        MUST(errno == EINVAL);
        expect_file("a", "a");
        expect_file("b", "b");
}

/* cp -p, tar and rsync -AX ask for these, and go on when they hear that there are none. */
static void attributes_are_kept_or_refused(const struct check_limits *limits)
{
        char value[8];

        (void)limits;
        put_file("file", "x");
        if (setxattr("file", "user.name", "value", 5, 0) == 0)
                MUST(getxattr("file", "user.name", value, 8) == 5 &&
                     memcmp(value, "value", 5) == 0);
        else
                MUST(errno == EOPNOTSUPP || errno == EPERM);
        MUST(getxattr("file", "user.other", value, 8) < 0);
        MUST(errno == EOPNOTSUPP || errno == ENODATA);
        MUST(getxattr("file", "system.posix_acl_access", value, 8) < 0);
        MUST(errno == EOPNOTSUPP || errno == ENODATA);
        MUST(listxattr("file", NULL, 0) >= 0 || errno == EOPNOTSUPP);
}

/* Whoever cannot take room says EOPNOTSUPP, and glibc writes zeros instead; holes are made or not. */
static void room_is_taken_or_not(const struct check_limits *limits)
{
        int fd = open("file", O_CREAT | O_RDWR, 0644);
        char bytes[8192];

        (void)limits;
        memset(bytes, 'x', sizeof(bytes));
        write_at(fd, bytes, sizeof(bytes), 0);
        MUST(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 1 << 20) == 0 || errno == EOPNOTSUPP);
        if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == 0) {
                read_at(fd, bytes, 4096, 0);
                MUST(bytes[0] == 0 && bytes[4095] == 0);
        } else {
                MUST(errno == EOPNOTSUPP);
        }
        MUST(posix_fallocate(fd, 8192, 8192) == 0);
        MUST(stat_of("file").st_size == 16384);
        read_at(fd, bytes, 1, 8191);
        MUST(bytes[0] == 'x');
        read_at(fd, bytes, 1, 8192);
        MUST(bytes[0] == 0);
        MUST(close(fd) == 0);
}

/* Without a name from the start: or the program makes one, and removes it. */
static void nameless_files_work_or_are_refused(const struct check_limits *limits)
{
        int fd = open(".", O_TMPFILE | O_RDWR, 0600);

        (void)limits;
        if (fd < 0) {
                MUST(errno == EOPNOTSUPP || errno == EISDIR);
                return;
        }
        write_at(fd, "x", 1, 0);
        MUST(close(fd) == 0);
}

/* Past the kernel's cache, and what is in the cache agrees. */
static void direct_io_is_the_file(const struct check_limits *limits)
{
        int direct = open("file", O_CREAT | O_RDWR | O_DIRECT, 0644), fd = open("file", O_RDWR);
        char *page = NULL, bytes[4096];

        (void)limits;
        if (direct < 0) {
                MUST(errno == EINVAL);
                MUST(close(open("file", O_CREAT | O_RDWR, 0644)) == 0);
                return;
        }
        MUST(posix_memalign((void **)&page, 4096, 8192) == 0);
        memset(page, 'd', 8192);
        write_at(direct, page, 8192, 0);
        read_at(fd, bytes, 4096, 4096);
        MUST(bytes[0] == 'd' && bytes[4095] == 'd');
        memset(bytes, 'c', 4096);
        write_at(fd, bytes, 4096, 4096);
        MUST(fsync(fd) == 0);
        read_at(direct, page, 8192, 0);
        MUST(page[4095] == 'd' && page[4096] == 'c' && page[8191] == 'c');
        free(page);
        MUST(close(direct) == 0 && close(fd) == 0);
}

/* The largest file that there may be is larger than 16 GiB, and past it there is EFBIG at once, not an
 * error after the program has gone. */
static void sizes_end_with_an_error(const struct check_limits *limits)
{
        const uint64_t large = (uint64_t)16 << 30;
        int fd = open("file", O_CREAT | O_RDWR, 0644);
        char byte = 0;

        (void)limits;
        write_at(fd, "e", 1, large);
        MUST(stat_of("file").st_size == (off_t)large + 1 && stat_of("file").st_blocks < 4096);
        MUST(fsync(fd) == 0);
        read_at(fd, &byte, 1, large);
        MUST(byte == 'e');
        read_at(fd, &byte, 1, large - 1);
        MUST(byte == 0);
        if (ftruncate(fd, ((off_t)1 << 44) - 4096) == 0) {
                write_at(fd, "e", 1, ((uint64_t)1 << 44) - 4097);
                MUST(fsync(fd) == 0);
        }
        MUST(pwrite(fd, "x", 1, INT64_MAX - 1) < 0 && (errno == EFBIG || errno == EINVAL));
        MUST(ftruncate(fd, INT64_MAX) < 0 && (errno == EFBIG || errno == EINVAL));
        MUST(fsync(fd) == 0 && close(fd) == 0);
}

static void written_anyhow_it_is_appended(const struct check_limits *limits)
{
        struct iovec parts[2] = {{.iov_base = "b", .iov_len = 1}, {.iov_base = "c", .iov_len = 1}};
        int fd = open("file", O_CREAT | O_WRONLY | O_APPEND, 0644), sync;

        (void)limits;
        MUST(write(fd, "a", 1) == 1);
        MUST(pwrite(fd, "x", 1, 0) == 1); /* Linux appends here, too */
        MUST(writev(fd, parts, 2) == 2);
        sync = open("file", O_WRONLY | O_APPEND | O_SYNC);
        MUST(write(sync, "d", 1) == 1);
        MUST(write(fd, "e", 1) == 1);
        MUST(close(sync) == 0 && close(fd) == 0);
        expect_file("file", "axbcde");
}

/* A link that leads nowhere is in the way of who wants to be the first, and made real by others. */
static void creation_follows_links_unless_exclusive(const struct check_limits *limits)
{
        (void)limits;
        MUST(symlink("target", "link") == 0);
        MUST_FAIL(open("link", O_CREAT | O_EXCL | O_WRONLY, 0644), EEXIST);
        MUST(!exists("target"));
        MUST_FAIL(open("link", O_CREAT | O_NOFOLLOW | O_WRONLY, 0644), ELOOP);
        put_file("link", "through");
        expect_file("target", "through");
        MUST(S_ISLNK(stat_of("link").st_mode));
        MUST_FAIL(open("new/", O_CREAT | O_WRONLY, 0644), EISDIR);
        MUST_FAIL(unlink("target/"), ENOTDIR);
        MUST_FAIL(rename("target", "other/"), ENOTDIR);
}

/* Kinds and numbers in a listing are those of the files: find and ls -F need no stat. */
static void listings_tell_kinds(const struct check_limits *limits)
{
        DIR *dir;
        int count = 0;

        (void)limits;
        put_file("file", "x");
        MUST(mkdir("dir", 0755) == 0 && symlink("file", "link") == 0 && mkfifo("fifo", 0600) == 0);
        dir = opendir(".");
        MUST(dir != NULL);
        for (const struct dirent *entry; (entry = readdir(dir)) != NULL; count++) {
                struct stat st = stat_of(entry->d_name);

                MUST(entry->d_type == IFTODT(st.st_mode) || entry->d_type == DT_UNKNOWN);
                MUST(entry->d_ino == st.st_ino || strcmp(entry->d_name, "..") == 0);
        }
        closedir(dir);
        MUST(count == 6);
}

/* What is sent is the kernel's; the name is ours. */
static void sockets_and_fifos_carry(const struct check_limits *limits)
{
        struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = "socket"};
        int server = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0), fd;
        char byte = 0;
        pid_t pid;

        (void)limits;
        MUST(bind(server, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(server, 1) == 0);
        MUST(connect(client, (struct sockaddr *)&at, sizeof(at)) == 0);
        MUST(write(client, "s", 1) == 1);
        fd = accept(server, NULL, NULL);
        MUST(fd >= 0 && read(fd, &byte, 1) == 1 && byte == 's');
        MUST_FAIL(bind(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&at, sizeof(at)),
                  EADDRINUSE);
        MUST(mkfifo("fifo", 0600) == 0);
        pid = fork();
        MUST(pid >= 0);
        if (pid == 0) {
                fd = open("fifo", O_WRONLY);
                exit(write(fd, "f", 1) == 1 ? 0 : 1);
        }
        fd = open("fifo", O_RDONLY);
        MUST(read(fd, &byte, 1) == 1 && byte == 'f' && close(fd) == 0);
        MUST(waitpid(pid, NULL, 0) == pid);
}

static void a_file_has_many_names(const struct check_limits *limits)
{
        char name[32];

        (void)limits;
        put_file("file", "x");
        for (int i = 0; i < LINKS; i++) {
                snprintf(name, sizeof(name), "link-%d", i);
                MUST(link("file", name) == 0);
        }
        MUST(stat_of("file").st_nlink == LINKS + 1);
        for (int i = 0; i < LINKS; i += 2) {
                snprintf(name, sizeof(name), "link-%d", i);
                MUST(unlink(name) == 0);
        }
        MUST(unlink("file") == 0);
        MUST(stat_of("link-1").st_nlink == LINKS / 2);
        expect_file("link-299", "x");
}

/* From where it lies; and while it runs nobody writes to it, where the kernel sees to that. */
static void programs_run_from_here(const struct check_limits *limits)
{
        int status = system("cp /bin/sh ./sh && ./sh -c 'exit 7'");

        (void)limits;
        MUST(WIFEXITED(status) && WEXITSTATUS(status) == 7);
        put_file("script", "#!/bin/sh\nexit 8\n");
        MUST(chmod("script", 0755) == 0);
        status = system("./script");
        MUST(WIFEXITED(status) && WEXITSTATUS(status) == 8);
        MUST(chmod("script", 0644) == 0);
        MUST_FAIL(access("script", X_OK), EACCES);
}

const struct check check_answers[] = {CHECK(special_renames_work_or_say_so),
                                      CHECK(attributes_are_kept_or_refused),
                                      CHECK(room_is_taken_or_not),
                                      CHECK(nameless_files_work_or_are_refused),
                                      CHECK(direct_io_is_the_file),
                                      CHECK(sizes_end_with_an_error),
                                      CHECK(written_anyhow_it_is_appended),
                                      CHECK(creation_follows_links_unless_exclusive),
                                      CHECK(listings_tell_kinds),
                                      CHECK(sockets_and_fifos_carry),
                                      CHECK(a_file_has_many_names),
                                      CHECK(programs_run_from_here),
                                      CHECK_END};
