/* land_many - exactly once: many processes land in one project, through faults, and are killed;
 * then the audit.
 *
 *      --store URL           default $HIF_TEST_S3, else a new directory
 *      --processes 32        --landings 100, of each        --seed 1
 *      --kills N             SIGKILLs at any moment, spread over the run
 *      --die PERMILLE        beside them, the chance of a death at each step between requests
 *      --fault COMMAND       workers reach S3 through a fault proxy that was told this (s3fault.h),
 *                            any number of times; the audit reads past it
 *      --proposals           through proposals, which whoever wins a position lands
 *      --timeout MS          of the workers' requests
 *      --state DIR           what survives a worker's death; default: a new directory
 *
 * Prints figures. Exit code 0: nothing lost, nothing there twice, no false conflict. */
#include "s3/many.h"
#include "s3/s3fault.h"

#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define FAULTS_MAX 32

struct run {
        struct many_options options;
        struct many_tally *tally; /* shared memory */
        const char *faults[FAULTS_MAX];
        size_t fault_count;
        unsigned kills;
        pid_t workers[MANY_WORKERS_MAX]; /* 0: done */
        unsigned lives[MANY_WORKERS_MAX];
        unsigned killed;
        uint64_t random;
        pid_t proxy;
        int proxy_end; /* closing it ends the proxy */
};

static double now(void)
{
        struct timespec at;

        clock_gettime(CLOCK_MONOTONIC, &at);
        return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

/* --- the proxy, in a process of its own: workers are forked from one without threads --- */

static int run_proxy(const struct run *run, const char *upstream, int ready, int end)
{
        struct s3fault *proxy = s3fault_start("0", upstream, run->options.seed);
        char reply[S3FAULT_REPLY_MAX];
        char byte;
        bool good = proxy != NULL;

        for (size_t i = 0; good && i < run->fault_count; i++) {
                good = s3fault_say(proxy, run->faults[i], reply);
                if (!good)
                        fprintf(stderr, "--fault '%s': %s\n", run->faults[i], reply);
        }
        if (good && dprintf(ready, "%u\n", s3fault_port(proxy)) > 0) {
                close(ready);
                while (read(end, &byte, 1) < 0 && errno == EINTR)
                        ;
                (void)s3fault_say(proxy, "stats", reply);
                printf("proxy: %s\n", reply);
                fflush(stdout);
        }
        s3fault_stop(proxy);
        return good ? 0 : 1;
}

static bool start_proxy(struct run *run)
{
        const char *endpoint = getenv("AWS_ENDPOINT_URL");
        int ready[2], end[2];
        char url[64];
        unsigned port = 0;
        FILE *said;

        if (run->fault_count == 0)
                return true;
        if (!endpoint || strncmp(endpoint, "http://", 7) != 0) {
                fprintf(stderr,
                        "--fault needs an S3 server: run this with integration/s3/with_s3.sh\n");
                return false;
        }
        if (pipe(ready) != 0 || pipe(end) != 0)
                return false;
        run->proxy = fork();
        if (run->proxy == 0) {
                close(ready[0]);
                close(end[1]);
                _exit(run_proxy(run, endpoint + 7, ready[1], end[0]));
        }
        close(ready[1]);
        close(end[0]);
        run->proxy_end = end[1];
        said = fdopen(ready[0], "r");
        if (!said || fscanf(said, "%u", &port) != 1)
                return false;
        fclose(said);
        snprintf(url, sizeof(url), "http://127.0.0.1:%u", port);
        return setenv("AWS_ENDPOINT_URL", url, 1) == 0;
}

static void end_proxy(struct run *run)
{
        if (run->proxy <= 0)
                return;
        close(run->proxy_end);
        (void)waitpid(run->proxy, NULL, 0);
}

/* --- workers --- */

static bool start_worker(struct run *run, unsigned number)
{
        pid_t pid;

        fflush(stdout);
        pid = fork();
        if (pid == 0) {
                /* Nobody is left behind when the run is ended from outside. */
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (run->proxy > 0)
                        close(run->proxy_end);
                _exit(many_work(&run->options, run->tally, number, run->lives[number]));
        }
        run->workers[number] = pid;
        run->lives[number]++;
        return pid > 0;
}

/* Reap one; false: none is left, or one has failed. */
static bool reap(struct run *run, pid_t pid, int status, unsigned *left)
{
        unsigned number = 0;

        while (number < run->options.workers && run->workers[number] != pid)
                number++;
        if (number == run->options.workers)
                return true;
        if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
                return start_worker(run, number);
        run->workers[number] = 0;
        (*left)--;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
                return true;
        fprintf(stderr, "worker %u ended with status %x\n", number, (unsigned)status);
        return false;
}

static uint64_t draw(struct run *run)
{
        run->random = run->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return run->random >> 33;
}

/* Kills are spread over the run by what has landed. */
static void perhaps_kill(struct run *run)
{
        uint64_t total = (uint64_t)run->options.workers * run->options.landings;
        uint64_t landed = __atomic_load_n(&run->tally->landed, __ATOMIC_RELAXED);
        unsigned victim = (unsigned)(draw(run) % run->options.workers);

        if (run->killed >= run->kills || run->workers[victim] == 0 ||
            landed * run->kills < (uint64_t)run->killed * total)
                return;
        if (kill(run->workers[victim], SIGKILL) == 0)
                run->killed++;
}

static bool run_workers(struct run *run)
{
        unsigned left = run->options.workers;
        bool good = true;

        for (unsigned i = 0; good && i < run->options.workers; i++)
                good = start_worker(run, i);
        while (good && left > 0) {
                struct timespec pause = {.tv_nsec = 2000000};
                int status;
                pid_t pid = waitpid(-1, &status, WNOHANG);

                if (pid > 0) {
                        good = pid == run->proxy ? false : reap(run, pid, status, &left);
                        continue;
                }
                perhaps_kill(run);
                nanosleep(&pause, NULL);
        }
        for (unsigned i = 0; !good && i < run->options.workers; i++)
                if (run->workers[i] > 0)
                        kill(run->workers[i], SIGKILL);
        return good;
}

static int create_project(const char *url)
{
        struct env env = env_system(NULL);
        struct store *store = NULL;
        struct project project;
        bool good = many_open(url, 0, &env, &store, &project);

        if (store)
                store_close(store);
        return good ? 0 : 1;
}

static int audit(const struct many_options *options)
{
        return many_audit(options) ? 0 : 1;
}

/* In a process of its own: the parent stays without threads. */
#define IN_CHILD(call)                                                                             \
        ({                                                                                         \
                int status_ = 1;                                                                   \
                pid_t pid_;                                                                        \
                fflush(stdout);                                                                    \
                pid_ = fork();                                                                     \
                if (pid_ == 0) {                                                                   \
                        status_ = (call);                                                          \
                        fflush(stdout);                                                            \
                        _exit(status_);                                                            \
                }                                                                                  \
                pid_ > 0 && waitpid(pid_, &status_, 0) == pid_ &&status_ == 0;                     \
        })

static void print_figures(const struct run *run, double seconds)
{
        const struct many_tally *t = run->tally;

        printf("%u processes x %u landings in %.1f s: %.1f a second\n", run->options.workers,
               run->options.landings, seconds, (double)t->landed / seconds);
        printf("%" PRIu64 " slots tried, %u kills, %" PRIu64 " deaths between steps, %" PRIu64
               " outcomes unknown at first, %" PRIu64 " landings of an earlier life, %" PRIu64
               " times no answer, %" PRIu64 " times out of tries, %" PRIu64 " refused\n",
               t->attempts, run->killed, t->deaths, t->unknown, t->already, t->unreachable,
               t->lost_often, t->refused);
        printf("false conflicts: %" PRIu64 "\n", t->conflicts);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        (void)st;
        (void)type;
        (void)ftw;
        return remove(path);
}

static bool execute(struct run *run)
{
        const char *direct = getenv("AWS_ENDPOINT_URL");
        char *endpoint = direct ? strdup(direct) : NULL;
        double start;
        bool good = IN_CHILD(create_project(run->options.store)) && start_proxy(run);

        start = now();
        good = good && run_workers(run);
        print_figures(run, now() - start);
        end_proxy(run);
        if (endpoint)
                setenv("AWS_ENDPOINT_URL", endpoint, 1);
        free(endpoint);
        return good && IN_CHILD(audit(&run->options)) && run->tally->conflicts == 0;
}

static bool parse(struct run *run, int argc, char **argv)
{
        static const struct option options[] = {{"store", 1, NULL, 's'},
                                                {"processes", 1, NULL, 'p'},
                                                {"landings", 1, NULL, 'l'},
                                                {"seed", 1, NULL, 'r'},
                                                {"kills", 1, NULL, 'k'},
                                                {"die", 1, NULL, 'd'},
                                                {"fault", 1, NULL, 'f'},
                                                {"state", 1, NULL, 'w'},
                                                {"timeout", 1, NULL, 't'},
                                                {"proposals", 0, NULL, 'e'},
                                                {0}};
        int option;

        while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
                unsigned long number = optarg ? strtoul(optarg, NULL, 10) : 0;

                if (option == 's')
                        run->options.store = optarg;
                else if (option == 'p')
                        run->options.workers = (unsigned)number;
                else if (option == 'l')
                        run->options.landings = (unsigned)number;
                else if (option == 'r')
                        run->options.seed = number;
                else if (option == 'k')
                        run->kills = (unsigned)number;
                else if (option == 'd')
                        run->options.die_permille = (unsigned)number;
                else if (option == 'e')
                        run->options.proposals = true;
                else if (option == 't')
                        run->options.timeout_ms = number;
                else if (option == 'w')
                        run->options.state = optarg;
                else if (option == 'f' && run->fault_count < FAULTS_MAX)
                        run->faults[run->fault_count++] = optarg;
                else
                        return false;
        }
        return optind == argc && run->options.workers > 0 && run->options.landings > 0 &&
               run->options.workers <= MANY_WORKERS_MAX;
}

int main(int argc, char **argv)
{
        struct run run = {.options = {.workers = 32, .landings = 100, .seed = 1}};
        char state[] = "/tmp/hif-land-many-XXXXXX", url[64];
        bool good;

        run.options.store = getenv("HIF_TEST_S3");
        if (!parse(&run, argc, argv)) {
                fprintf(stderr, "land_many: see the top of tests/s3/land_many.c\n");
                return 2;
        }
        run.random = run.options.seed;
        run.tally = mmap(NULL, sizeof(*run.tally), PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (run.tally == MAP_FAILED || !mkdtemp(state))
                return 1;
        if (!run.options.state)
                run.options.state = state;
        if (!run.options.store) {
                snprintf(url, sizeof(url), "file://%s/store", state);
                run.options.store = url;
        }
        good = execute(&run);
        (void)nftw(state, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        return good ? 0 : 1;
}
