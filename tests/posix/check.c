/* posix_dir DIR [--nfs] [NAME...] - run the tests in an empty directory below DIR: all, or those
 * whose names contain one of the words. */
#include "check.h"

#include <dirent.h>
#include <ftw.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#define TICK_NS 20000000 /* coarser than the clock of any kernel that we meet */

void check_failed(const char *file, int line, const char *what)
{
        fprintf(stderr, "  %s:%d: %s (%s)\n", file, line, what, strerror(errno));
        exit(1);
}

void check_fails(bool failed, int error, const char *file, int line, const char *call)
{
        if (failed && errno == error)
                return;
        fprintf(stderr, "  %s:%d: %s: expected '%s', got '%s'\n", file, line, call, strerror(error),
                failed ? strerror(errno) : "success");
        exit(1);
}

/* --- verbs --- */

void write_at(int fd, const void *data, size_t size, uint64_t offset)
{
        MUST(pwrite(fd, data, size, (off_t)offset) == (ssize_t)size);
}

void read_at(int fd, void *data, size_t size, uint64_t offset)
{
        MUST(pread(fd, data, size, (off_t)offset) == (ssize_t)size);
}

void put_file(const char *path, const char *text)
{
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

        MUST(fd >= 0);
        write_at(fd, text, strlen(text), 0);
        MUST(close(fd) == 0);
}

void expect_file(const char *path, const char *text)
{
        char content[4096];
        int fd = open(path, O_RDONLY);
        ssize_t size;

        MUST(fd >= 0);
        size = read(fd, content, sizeof(content));
        MUST(size == (ssize_t)strlen(text) && memcmp(content, text, (size_t)size) == 0);
        MUST(close(fd) == 0);
}

struct stat stat_of(const char *path)
{
        struct stat st;

        MUST(lstat(path, &st) == 0);
        return st;
}

bool exists(const char *path)
{
        struct stat st;

        return lstat(path, &st) == 0;
}

static void wait_for(pid_t pid)
{
        int status;

        MUST(waitpid(pid, &status, 0) == pid);
        MUST(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

void as_user(uid_t uid, gid_t gid, size_t group_count, const gid_t *groups, void (*run)(void *arg),
             void *arg)
{
        pid_t pid = fork();

        MUST(pid >= 0);
        if (pid == 0) {
                MUST(setgroups(group_count, groups) == 0);
                MUST(setgid(gid) == 0 && setuid(uid) == 0);
                run(arg);
                exit(0);
        }
        wait_for(pid);
}

void at_once(int count, void (*run)(int index, void *arg), void *arg)
{
        pid_t pids[64];

        for (int i = 0; i < count; i++) {
                pids[i] = fork();
                MUST(pids[i] >= 0);
                if (pids[i] == 0) {
                        run(i, arg);
                        exit(0);
                }
        }
        for (int i = 0; i < count; i++)
                wait_for(pids[i]);
}

void pass_time(void)
{
        nanosleep(&(struct timespec){.tv_nsec = TICK_NS}, NULL);
}

bool later(struct timespec a, struct timespec b)
{
        return a.tv_sec > b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec > b.tv_nsec);
}

/* --- running --- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        (void)st, (void)type, (void)ftw;
        return remove(path);
}

/* In a process of its own, so that nothing stays open; then the directory goes. */
static bool run_check(const struct check *check, const struct check_limits *limits,
                      const char *base)
{
        char dir[4096];
        int status = 1;
        pid_t pid;

        snprintf(dir, sizeof(dir), "%s/%s", base, check->name);
        if (mkdir(dir, 0777) != 0 || chmod(dir, 0777) != 0) {
                perror(dir);
                return false;
        }
        fflush(NULL);
        pid = fork();
        if (pid == 0) {
                umask(0);
                MUST(chdir(dir) == 0);
                check->run(limits);
                exit(0);
        }
        if (pid < 0 || waitpid(pid, &status, 0) != pid)
                status = 1;
        if (nftw(dir, remove_one, 32, FTW_DEPTH | FTW_PHYS) != 0) {
                fprintf(stderr, "  %s could not be removed: %s\n", dir, strerror(errno));
                status = 1;
        }
        if (status != 0)
                fprintf(stderr, "FAILED: %s\n", check->name);
        return status == 0;
}

static bool wanted(const char *name, char **words, int count)
{
        if (count == 0)
                return true;
        for (int i = 0; i < count; i++)
                if (strstr(name, words[i]) != NULL)
                        return true;
        return false;
}

int main(int argc, char **argv)
{
        const struct check *const suites[] = {check_names, check_content, check_maps, check_access,
                                              check_answers};
        struct check_limits limits = {.root = geteuid() == 0};
        unsigned run = 0, failed = 0;
        char base[2048];
        int words = 2;

        if (argc < 2) {
                fprintf(stderr, "usage: posix_dir DIR [--nfs] [NAME...]\n");
                return 2;
        }
        if (argc > 2 && strcmp(argv[2], "--nfs") == 0) {
                limits.nfs = true;
                words = 3;
        }
        snprintf(base, sizeof(base), "%s/posix-%d", argv[1], (int)getpid());
        if (mkdir(base, 0755) != 0) {
                perror(base);
                return 1;
        }
        for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++)
                for (const struct check *check = suites[i]; check->name != NULL; check++) {
                        if (!wanted(check->name, argv + words, argc - words))
                                continue;
                        run++;
                        if (!run_check(check, &limits, base))
                                failed++;
                }
        if (rmdir(base) != 0)
                perror(base);
        printf("posix_dir: %u of %u hold\n", run - failed, run);
        return failed != 0 || run == 0;
}
