/* kill_load - kill the server of a mount at random points of a mixed load, and see what is left.
 *
 *      kill_load [--kills N] [--workers N] [--seed N] [--upgrade PROGRAM]... [--each] DIR
 *
 * DIR: an empty directory in a mount of the daemon that HOME and XDG_RUNTIME_DIR name. Workers are
 * processes with a model each (kill_model.h). After each kill every worker goes on until the answer
 * to what it was doing comes, and then compares all that it has with its model, past the kernel's
 * caches. A prober asks the server for attributes without a pause; the time from the kill to the
 * answer of the first question that was asked after it is the pause.
 *
 * --upgrade: instead of a kill, `hif daemon upgrade`, in turn to each of these; the pause is the
 * longest that the prober waited meanwhile. --each: a line for each round, on standard error.
 * Prints one line of JSON. Exit 1: something was lost, or an operation failed. */
#include "cli/supervisor/supervisor.h"
#include "cli/supervisor/wire.h"
#include "kill_model.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORKERS_MAX  32
#define KILLS_MAX    100000
#define UPGRADES_MAX 8
#define GAP_MAX_MS   150   /* from the moment all go on to the next kill */
#define STUCK_S      60    /* an answer that takes longer does not come */
#define PROBES_KEPT  65536 /* a ring */
#define POLL_US      500

/* What the processes share. */
struct shared {
        atomic_uint round;                /* kills so far, which workers have to check after */
        atomic_uint checked[WORKERS_MAX]; /* the round that each has checked */
        atomic_ullong steps[WORKERS_MAX]; /* operations that were answered */
        atomic_bool stop, failed;
        char why[WORKERS_MAX + 1][256];
        atomic_ullong longest_ns; /* an operation of a worker */
        atomic_uint probes;
        uint64_t asked_ns[PROBES_KEPT], answered_ns[PROBES_KEPT];
};

struct options {
        unsigned kills, workers;
        uint64_t seed;
        const char *dir, *upgrades[UPGRADES_MAX];
        unsigned upgrade_count;
        bool each;
};

static uint64_t now_ns(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void drop_caches(void)
{
        int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

        if (fd < 0)
                return; /* not root: checked through the caches */
        (void)!write(fd, "3", 1);
        close(fd);
}

/* --- the load --- */

static void work(struct shared *shared, const struct options *options, unsigned index)
{
        struct model *model;
        char dir[4096], *why = shared->why[index];
        unsigned checked = 0;
        bool good = true;

        snprintf(dir, sizeof(dir), "%s/w%u", options->dir, index);
        umask(0);
        if (mkdir(dir, 0755) != 0 || (model = model_new(dir, options->seed + index)) == NULL) {
                snprintf(why, 256, "%.200s: %s", dir, strerror(errno));
                atomic_store(&shared->failed, true);
                _exit(1);
        }
        while (good && !atomic_load(&shared->stop)) {
                unsigned round = atomic_load(&shared->round);
                uint64_t began = now_ns(), took;

                good = model_step(model, why);
                took = now_ns() - began;
                if (took > atomic_load(&shared->longest_ns))
                        atomic_store(&shared->longest_ns, took);
                atomic_fetch_add(&shared->steps[index], 1);
                if (good && round != checked) {
                        drop_caches();
                        good = model_check(model, why);
                        checked = round;
                        atomic_store(&shared->checked[index], round);
                }
        }
        if (good) {
                drop_caches();
                good = model_check(model, why);
        }
        if (!good)
                atomic_store(&shared->failed, true);
        model_free(model);
        _exit(good ? 0 : 1);
}

/* Attributes, from the server itself, again and again. */
static void probe(struct shared *shared, const struct options *options)
{
        while (!atomic_load(&shared->stop)) {
                unsigned at = atomic_load(&shared->probes) % PROBES_KEPT;
                struct statx out;

                shared->asked_ns[at] = now_ns();
                if (statx(AT_FDCWD, options->dir, AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &out) !=
                    0) {
                        snprintf(shared->why[WORKERS_MAX], 256, "stat: %s", strerror(errno));
                        atomic_store(&shared->failed, true);
                        _exit(1);
                }
                shared->answered_ns[at] = now_ns();
                atomic_fetch_add(&shared->probes, 1);
                usleep(POLL_US);
        }
        _exit(0);
}

/* --- the killing --- */

/* The first answer to what was asked after that moment; 0: none yet. */
static uint64_t first_answer(const struct shared *shared, unsigned from, uint64_t after_ns)
{
        unsigned to = atomic_load(&shared->probes);

        for (unsigned i = from; i < to; i++)
                if (shared->asked_ns[i % PROBES_KEPT] > after_ns)
                        return shared->answered_ns[i % PROBES_KEPT];
        return 0;
}

/* The longest that any answer took since then. */
static uint64_t longest_answer(const struct shared *shared, unsigned from)
{
        unsigned to = atomic_load(&shared->probes);
        uint64_t longest = 0;

        for (unsigned i = from; i < to; i++) {
                uint64_t took =
                    shared->answered_ns[i % PROBES_KEPT] - shared->asked_ns[i % PROBES_KEPT];

                if (took > longest)
                        longest = took;
        }
        return longest;
}

static bool all_checked(const struct shared *shared, const struct options *options)
{
        for (unsigned i = 0; i < options->workers; i++)
                if (atomic_load(&shared->checked[i]) != atomic_load(&shared->round))
                        return false;
        return true;
}

static bool stuck(struct shared *shared, uint64_t since_ns, const char *what)
{
        if (now_ns() - since_ns < STUCK_S * 1000000000ull)
                return false;
        snprintf(shared->why[WORKERS_MAX], 256, "%s: no answer within %d s", what, STUCK_S);
        atomic_store(&shared->failed, true);
        return true;
}

static pid_t server_of(struct cli *cli)
{
        json_t *status = NULL;
        struct hif_why why = {0};
        pid_t pid = 0;

        if (supervisor_status(cli, 0, &status, &why) == HIF_OK)
                pid = (pid_t)json_integer_value(
                    json_object_get(json_object_get(status, "server"), "pid"));
        json_decref(status);
        return pid;
}

static bool upgrade(struct cli *cli, struct shared *shared, const char *program)
{
        json_t *result = NULL;
        struct hif_why why = {0};
        bool good = supervisor_ask(cli, WIRE_UPGRADE, program, &result, &why) == HIF_OK;

        json_decref(result);
        if (!good) {
                snprintf(shared->why[WORKERS_MAX], 256, "upgrade: %.200s", why.text);
                atomic_store(&shared->failed, true);
        }
        return good;
}

/* One kill, and until all has been looked at. *pause_ns: until the next answer. */
static bool round_of(struct cli *cli, struct shared *shared, const struct options *options,
                     unsigned round, uint64_t *pause_ns)
{
        unsigned from = atomic_load(&shared->probes);
        pid_t pid = server_of(cli);
        uint64_t began, answered = 0;

        if (pid <= 0) {
                snprintf(shared->why[WORKERS_MAX], 256, "there is no server");
                atomic_store(&shared->failed, true);
                return false;
        }
        usleep((useconds_t)(rand() % (GAP_MAX_MS * 1000)));
        began = now_ns();
        if (options->upgrade_count > 0) {
                if (!upgrade(cli, shared, options->upgrades[round % options->upgrade_count]))
                        return false;
        } else {
                kill(pid, SIGKILL);
        }
        atomic_fetch_add(&shared->round, 1);
        while (!atomic_load(&shared->failed) && !stuck(shared, began, "after a kill") &&
               (answered == 0 || !all_checked(shared, options))) {
                usleep(POLL_US);
                if (answered == 0)
                        answered = first_answer(shared, from, began);
        }
        *pause_ns = options->upgrade_count > 0 ? longest_answer(shared, from)
                    : answered > began         ? answered - began
                                               : 0;
        if (options->each)
                fprintf(stderr, "%u: process %d, %.1f ms; all checked after %.1f ms\n", round,
                        (int)pid, (double)*pause_ns / 1e6, (double)(now_ns() - began) / 1e6);
        return !atomic_load(&shared->failed);
}

/* --- what was seen --- */

static int by_size(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return x < y ? -1 : x > y;
}

static double ms_at(const uint64_t *sorted, unsigned count, unsigned percent)
{
        return count > 0 ? (double)sorted[(count - 1) * percent / 100] / 1e6 : 0;
}

static void report(struct shared *shared, const struct options *options, uint64_t *pauses,
                   unsigned kills)
{
        unsigned long long steps = 0;

        for (unsigned i = 0; i < options->workers; i++)
                steps += atomic_load(&shared->steps[i]);
        qsort(pauses, kills, sizeof(*pauses), by_size);
        printf("{\"%s\": %u, \"operations\": %llu, \"pause_ms\": {\"p50\": %.1f, \"p90\": %.1f, "
               "\"p99\": %.1f, \"max\": %.1f}, \"longest_operation_ms\": %.1f, \"failed\": %s}\n",
               options->upgrade_count > 0 ? "upgrades" : "kills", kills, steps,
               ms_at(pauses, kills, 50), ms_at(pauses, kills, 90), ms_at(pauses, kills, 99),
               ms_at(pauses, kills, 100), (double)atomic_load(&shared->longest_ns) / 1e6,
               atomic_load(&shared->failed) ? "true" : "false");
        for (unsigned i = 0; i <= WORKERS_MAX; i++)
                if (shared->why[i][0] != '\0')
                        fprintf(stderr, "kill_load: %s %u, after kill %u: %s\n",
                                i < WORKERS_MAX ? "worker" : "prober", i, kills, shared->why[i]);
}

static void parse(int argc, char **argv, struct options *options)
{
        for (int i = 1; i < argc; i++) {
                if (i + 1 < argc && strcmp(argv[i], "--kills") == 0)
                        options->kills = (unsigned)atoi(argv[++i]);
                else if (i + 1 < argc && strcmp(argv[i], "--workers") == 0)
                        options->workers = (unsigned)atoi(argv[++i]);
                else if (i + 1 < argc && strcmp(argv[i], "--seed") == 0)
                        options->seed = strtoull(argv[++i], NULL, 10);
                else if (i + 1 < argc && strcmp(argv[i], "--upgrade") == 0 &&
                         options->upgrade_count < UPGRADES_MAX)
                        options->upgrades[options->upgrade_count++] = argv[++i];
                else if (strcmp(argv[i], "--each") == 0)
                        options->each = true;
                else
                        options->dir = argv[i];
        }
        if (options->dir == NULL || options->kills > KILLS_MAX || options->workers == 0 ||
            options->workers > WORKERS_MAX) {
                fprintf(stderr, "usage: kill_load [--kills N] [--workers N] [--seed N] "
                                "[--upgrade PROGRAM]... [--each] DIR\n");
                exit(2);
        }
}

int main(int argc, char **argv)
{
        struct options options = {.kills = 10, .workers = 4, .seed = 1};
        struct hif_why why = {0};
        struct shared *shared =
            mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        pid_t children[WORKERS_MAX + 1];
        uint64_t *pauses;
        unsigned kills = 0;
        struct cli cli;
        int status;

        parse(argc, argv, &options);
        pauses = calloc(options.kills + 1, sizeof(*pauses));
        if (shared == MAP_FAILED || pauses == NULL || cli_init(&cli, &why) != HIF_OK) {
                fprintf(stderr, "kill_load: %s\n", why.text[0] != '\0' ? why.text : "no memory");
                return 2;
        }
        srand((unsigned)options.seed);
        for (unsigned i = 0; i <= options.workers; i++) {
                children[i] = fork();
                if (children[i] == 0 && i < options.workers)
                        work(shared, &options, i);
                else if (children[i] == 0)
                        probe(shared, &options);
        }
        while (kills < options.kills && round_of(&cli, shared, &options, kills, &pauses[kills]))
                kills++;
        atomic_store(&shared->stop, true);
        for (unsigned i = 0; i <= options.workers; i++)
                if (waitpid(children[i], &status, 0) != children[i] || status != 0)
                        atomic_store(&shared->failed, true);
        report(shared, &options, pauses, kills);
        cli_free(&cli);
        free(pauses);
        return atomic_load(&shared->failed) ? 1 : 0;
}
