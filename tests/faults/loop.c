/* loop.c - see loop.h. */
#include "loop.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POINTS_MAX 1000000u

static const char *const kind_names[] = {"none", "malloc", "call", "sqlite", "short", "file"};
#define KIND_COUNT ((int)(sizeof(kind_names) / sizeof(kind_names[0])))

struct options {
        const char *scenario; /* NULL: all */
        int kind;             /* 0: all */
        uint64_t from, to, every, burst;
        bool trace;
};

__attribute__((weak)) int __lsan_do_recoverable_leak_check(void);

/* For the messages of what is wrong. */
static char now_running[256];

static void say_what_ran(void)
{
        const char *what = fault_name();
        ssize_t done = write(STDERR_FILENO, now_running, strlen(now_running));

        if (what != NULL) {
                done = write(STDERR_FILENO, "what failed: ", 13);
                done = write(STDERR_FILENO, what, strlen(what));
                done = write(STDERR_FILENO, "\n", 1);
        }
        (void)done;
}

static void on_signal(int number)
{
        say_what_ran();
        signal(number, SIG_DFL);
        raise(number);
}

_Noreturn void loop_wrong(const char *file, int line, const char *what)
{
        fault_disarm();
        fprintf(stderr, "%s:%d: %s\n", file, line, what);
        abort();
}

void loop_arm(struct loop_run *run, struct simenv *sim)
{
        run->sim = sim;
        run->armed = true;
        if (run->kind == LOOP_FROM_ENV) {
                static const enum hif_err errors[] = {HIF_EIO, HIF_ENOSPC, HIF_ENOMEM};

                run->calls_before = simenv_calls(sim);
                if (run->n > 0)
                        simenv_fail_at(sim, run->n, errors[run->n % 3]);
                return;
        }
        fault_arm((enum fault_kind)run->kind, run->n, run->burst);
        fault_pause();
}

void loop_disarm(struct loop_run *run)
{
        if (!run->armed)
                return;
        run->armed = false;
        if (run->kind == LOOP_FROM_ENV) {
                run->points = simenv_calls(run->sim) - run->calls_before;
                run->hit = run->n > 0 && run->points >= run->n;
                simenv_fail_at(run->sim, 0, HIF_OK);
                return;
        }
        run->points = fault_disarm();
        run->hit = fault_hit();
}

/* A sanitizer's own strdup and the like allocate past us: there LeakSanitizer looks. */
static void check_leaks(int64_t live)
{
        if (__lsan_do_recoverable_leak_check != NULL) {
                if (__lsan_do_recoverable_leak_check() != 0)
                        abort();
        } else if (fault_live() != live) {
                fprintf(stderr, "%lld allocations are left\n", (long long)(fault_live() - live));
                abort();
        }
}

static void one_run(const struct options *options, const struct loop_scenario *scenario, int kind,
                    uint64_t n, struct loop_run *out)
{
        int64_t live = fault_live();

        *out = (struct loop_run){.kind = kind, .n = n, .burst = options->burst};
        out->trace = options->trace;
        snprintf(now_running, sizeof(now_running),
                 "again: --scenario %s --kind %s --from %llu --to %llu --burst %llu\n",
                 scenario->name, kind_names[kind], (unsigned long long)n, (unsigned long long)n,
                 (unsigned long long)options->burst);
        scenario->run(out);
        loop_disarm(out);
        check_leaks(live);
}

static void run_kind(const struct options *options, const struct loop_scenario *scenario, int kind)
{
        uint64_t n, runs = 0, points = 0;
        unsigned errors = 0;
        struct loop_run run;

        /* Twice: what is allocated once for good is there then. */
        *(&run) = (struct loop_run){.kind = kind, .burst = 1};
        scenario->run(&run);
        loop_disarm(&run);
        one_run(options, scenario, kind, 0, &run);
        if (run.points == 0) {
                fprintf(stderr, "%s: no %s points: nothing is tested\n", scenario->name,
                        kind_names[kind]);
                exit(1);
        }
        points = run.points;
        for (n = options->from; n <= options->to && n < POINTS_MAX; n += options->every) {
                one_run(options, scenario, kind, n, &run);
                if (!run.hit)
                        break;
                runs++;
                errors += run.errors;
        }
        printf("%s: %s: %llu points, %llu failed one by one, %u errors answered, nothing wrong\n",
               scenario->name, kind_names[kind], (unsigned long long)points,
               (unsigned long long)runs, errors);
        fflush(stdout);
        if (runs == 0) {
                fprintf(stderr, "%s: not one point failed\n", scenario->name);
                exit(1);
        }
}

static uint64_t number(const char *text)
{
        char *end;
        uint64_t value = strtoull(text, &end, 10);

        if (end == text || *end != '\0' || value == 0) {
                fprintf(stderr, "'%s' is not a number from 1\n", text);
                exit(2);
        }
        return value;
}

static int kind_of(const char *text)
{
        for (int kind = 1; kind < KIND_COUNT; kind++)
                if (strcmp(kind_names[kind], text) == 0)
                        return kind;
        fprintf(stderr, "'%s' is none of malloc, call, sqlite, file\n", text);
        exit(2);
}

int loop_main(int argc, char **argv, const struct loop_scenario *scenarios)
{
        static const struct option longs[] = {
            {"scenario", required_argument, NULL, 's'}, {"kind", required_argument, NULL, 'k'},
            {"from", required_argument, NULL, 'f'},     {"to", required_argument, NULL, 't'},
            {"every", required_argument, NULL, 'e'},    {"burst", required_argument, NULL, 'b'},
            {"trace", no_argument, NULL, 'v'},          {NULL, 0, NULL, 0}};
        struct options options = {.from = 1, .to = UINT64_MAX, .every = 1, .burst = 1};
        bool any = false;
        int option;

        while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
                if (option == 's')
                        options.scenario = optarg;
                else if (option == 'k')
                        options.kind = kind_of(optarg);
                else if (option == 'f')
                        options.from = number(optarg);
                else if (option == 't')
                        options.to = number(optarg);
                else if (option == 'e')
                        options.every = number(optarg);
                else if (option == 'b')
                        options.burst = number(optarg);
                else if (option == 'v')
                        options.trace = true;
                else
                        return 2;
        }
        signal(SIGABRT, on_signal);
        signal(SIGSEGV, on_signal);
        signal(SIGBUS, on_signal);
        for (; scenarios->name != NULL; scenarios++) {
                if (options.scenario != NULL && strcmp(options.scenario, scenarios->name) != 0)
                        continue;
                if (scenarios->prepare != NULL)
                        scenarios->prepare();
                for (int kind = 1; kind < KIND_COUNT; kind++)
                        if ((scenarios->kinds & 1u << kind) != 0 &&
                            (options.kind == 0 || options.kind == kind)) {
                                run_kind(&options, scenarios, kind);
                                any = true;
                        }
        }
        if (!any)
                fprintf(stderr, "no such scenario, or not with this kind\n");
        return any ? 0 : 2;
}
