/* dir_churn DIR --stable N [--make] [--seconds S] [--writers W] [--readers R] - a large directory is listed
 * while names in it come, go and change.
 *
 * DIR has, or with --make gets, files stable-000000 and so on. Writers create, rename, link and remove
 * names of their own, each of which has to succeed: nobody else touches them. Readers list DIR with
 * buffers of all sizes. Each time each stable name has to be there exactly once, no other more than once
 * (so that a listing ends), and none that was gone before the listing began. Ends after S seconds, or when
 * the file named by --until is there, and says how much it did. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORKERS_MAX 16
#define BUFFER_MAX  (256u << 10)
#define BUFFER_MIN  512u       /* room for one long name */
#define LIVE_MAX    50         /* names of a writer */
#define NAMES_MAX   (1u << 20) /* that a writer makes in all; then it stops */

/* Numbers of a writer's names: those before `gone` were removed. */
struct writer {
        uint32_t gone;
};

struct shared {
        uint64_t listings, changes, listing_us;
        struct writer writers[WORKERS_MAX];
};

/* What a reader saw: for each name, the number of the listing that had it last. */
struct reader {
        const struct churn *churn;
        uint32_t listing;
        uint32_t *stable, *others[WORKERS_MAX];
        uint32_t gone[WORKERS_MAX]; /* as it was when the listing began */
};

struct churn {
        const char *dir, *until;
        uint32_t stable, writers, readers;
        time_t seconds;
        bool make;
        struct shared *shared;
        struct timespec start;
};

static _Noreturn void fail(const char *what, const char *name)
{
        fprintf(stderr, "dir_churn: %s '%s': %s\n", what, name, strerror(errno));
        exit(1);
}

static bool goes_on(const struct churn *churn)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        if (churn->until != NULL && access(churn->until, F_OK) == 0)
                return false;
        return now.tv_sec - churn->start.tv_sec < churn->seconds;
}

/* --- writers --- */

static void make_file(const char *name)
{
        int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0644);

        if (fd < 0 || close(fd) != 0)
                fail("cannot create", name);
}

static void remove_first(const struct churn *churn, uint32_t self, unsigned *first)
{
        char name[64];

        snprintf(name, sizeof(name), "churn-%u-%u", self, *first);
        if (unlink(name) != 0)
                fail("cannot remove", name);
        __atomic_store_n(&churn->shared->writers[self].gone, ++*first, __ATOMIC_RELEASE);
}

static void write_names(const struct churn *churn, uint32_t self)
{
        unsigned random = self * 7919 + 1, next = 0, first = 0;

        while (next < NAMES_MAX && goes_on(churn)) {
                char name[64], other[64];
                unsigned at =
                    next == first ? 0 : first + (unsigned)rand_r(&random) % (next - first);

                snprintf(name, sizeof(name), "churn-%u-%u", self, next);
                if (next - first < LIVE_MAX) {
                        make_file(name);
                        next++;
                } else if (rand_r(&random) % 2 == 0) {
                        remove_first(churn, self, &first);
                } else {
                        snprintf(other, sizeof(other), "churn-%u-%u", self, at);
                        snprintf(name, sizeof(name), "moved-%u", self);
                        if (rename(other, name) != 0 || rename(name, other) != 0)
                                fail("cannot rename", other);
                        if (link(other, name) != 0 || unlink(name) != 0)
                                fail("cannot link", other);
                }
                __atomic_add_fetch(&churn->shared->changes, 1, __ATOMIC_RELAXED);
        }
        while (first < next)
                remove_first(churn, self, &first);
}

/* --- readers --- */

static void note_once(const struct reader *reader, uint32_t *seen, const char *name)
{
        errno = 0;
        if (*seen == reader->listing)
                fail("listed twice:", name);
        *seen = reader->listing;
}

static void note(const struct reader *reader, const char *name)
{
        unsigned number, writer;

        if (sscanf(name, "stable-%u", &number) == 1 && number < reader->churn->stable) {
                note_once(reader, &reader->stable[number], name);
        } else if (sscanf(name, "churn-%u-%u", &writer, &number) == 2 &&
                   writer < reader->churn->writers && number < NAMES_MAX) {
                note_once(reader, &reader->others[writer][number], name);
                if (number < reader->gone[writer])
                        fail("listed after it was removed:", name);
        }
}

static void list_once(struct reader *reader, char *buffer, size_t size)
{
        const struct churn *churn = reader->churn;
        long count;
        int fd;

        reader->listing++;
        for (uint32_t i = 0; i < churn->writers; i++)
                reader->gone[i] =
                    __atomic_load_n(&churn->shared->writers[i].gone, __ATOMIC_ACQUIRE);
        fd = open(".", O_RDONLY | O_DIRECTORY);
        if (fd < 0)
                fail("cannot open", ".");
        while ((count = syscall(SYS_getdents64, fd, buffer, size)) > 0)
                for (long at = 0; at < count;) {
                        const struct dirent64 *entry = (const struct dirent64 *)(buffer + at);

                        note(reader, entry->d_name);
                        at += entry->d_reclen;
                }
        if (count < 0)
                fail("cannot list", churn->dir);
        close(fd);
        for (uint32_t i = 0; i < churn->stable; i++)
                if (reader->stable[i] != reader->listing) {
                        char name[32];

                        errno = 0;
                        snprintf(name, sizeof(name), "stable-%06u", i);
                        fail("not listed:", name);
                }
}

static uint64_t microseconds(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void *zeros(size_t count)
{
        void *at = calloc(count, sizeof(uint32_t));

        if (at == NULL)
                fail("no memory for", "a listing");
        return at;
}

static void read_names(const struct churn *churn, uint32_t self)
{
        struct reader reader = {.churn = churn, .stable = zeros(churn->stable)};
        char *buffer = zeros(BUFFER_MAX / sizeof(uint32_t));
        unsigned random = self + 1;

        for (uint32_t i = 0; i < churn->writers; i++)
                reader.others[i] = zeros(NAMES_MAX);
        do {
                size_t size = BUFFER_MIN << (unsigned)rand_r(&random) % 10;
                uint64_t start = microseconds();

                list_once(&reader, buffer, size < BUFFER_MAX ? size : BUFFER_MAX);
                __atomic_add_fetch(&churn->shared->listings, 1, __ATOMIC_RELAXED);
                __atomic_add_fetch(&churn->shared->listing_us, microseconds() - start,
                                   __ATOMIC_RELAXED);
        } while (goes_on(churn));
        for (uint32_t i = 0; i < churn->writers; i++)
                free(reader.others[i]);
        free(reader.stable);
        free(buffer);
}

/* --- frame --- */

static void make_stable(const struct churn *churn)
{
        for (uint32_t i = 0; i < churn->stable; i++) {
                char name[32];

                snprintf(name, sizeof(name), "stable-%06u", i);
                make_file(name);
        }
}

static int run(const struct churn *churn)
{
        uint32_t workers = churn->writers + churn->readers;
        pid_t pids[WORKERS_MAX];
        int failed = 0;

        for (uint32_t i = 0; i < workers; i++) {
                pids[i] = fork();
                if (pids[i] < 0)
                        fail("cannot start", "a worker");
                if (pids[i] > 0)
                        continue;
                if (i < churn->writers)
                        write_names(churn, i);
                else
                        read_names(churn, i);
                exit(0);
        }
        for (uint32_t i = 0; i < workers; i++) {
                int status;

                if (waitpid(pids[i], &status, 0) != pids[i] || status != 0)
                        failed = 1;
        }
        printf("dir_churn: %llu changes, %llu listings of %u stable names, %llu ms each%s\n",
               (unsigned long long)churn->shared->changes,
               (unsigned long long)churn->shared->listings, churn->stable,
               (unsigned long long)(churn->shared->listing_us / 1000 /
                                    (churn->shared->listings > 0 ? churn->shared->listings : 1)),
               failed ? ": FAILED" : "");
        return failed;
}

int main(int argc, char **argv)
{
        struct churn churn = {.seconds = 5, .writers = 2, .readers = 2};

        for (int i = 1; i < argc; i++) {
                bool value = i + 1 < argc;

                if (strcmp(argv[i], "--make") == 0)
                        churn.make = true;
                else if (value && strcmp(argv[i], "--stable") == 0)
                        churn.stable = (uint32_t)strtoul(argv[++i], NULL, 10);
                else if (value && strcmp(argv[i], "--seconds") == 0)
                        churn.seconds = strtol(argv[++i], NULL, 10);
                else if (value && strcmp(argv[i], "--writers") == 0)
                        churn.writers = (uint32_t)strtoul(argv[++i], NULL, 10);
                else if (value && strcmp(argv[i], "--readers") == 0)
                        churn.readers = (uint32_t)strtoul(argv[++i], NULL, 10);
                else if (value && strcmp(argv[i], "--until") == 0)
                        churn.until = argv[++i];
                else if (argv[i][0] != '-')
                        churn.dir = argv[i];
        }
        if (churn.dir == NULL || churn.stable == 0 || churn.writers + churn.readers > WORKERS_MAX) {
                fprintf(stderr,
                        "usage: dir_churn DIR --stable N [--make] [--seconds S] [--until FILE] "
                        "[--writers W] [--readers R]\n");
                return 2;
        }
        churn.shared = mmap(NULL, sizeof(*churn.shared), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (churn.shared == MAP_FAILED || chdir(churn.dir) != 0)
                fail("cannot use", churn.dir);
        clock_gettime(CLOCK_MONOTONIC, &churn.start);
        if (churn.make)
                make_stable(&churn);
        clock_gettime(CLOCK_MONOTONIC, &churn.start);
        return run(&churn);
}
