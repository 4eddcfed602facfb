/* faults.c - which point fails; see faults.h. */
#include "faults.h"
#include "sites.h"

#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define REPORT_FD_MIN 800 /* out of the way of descriptors that have a meaning */

/* One of a process, as the functions that it stands before are. */
static struct {
        atomic_int kind;
        atomic_int paused;
        atomic_uint_fast64_t count, from, to;
        _Atomic(const char *) hit;
} faults;

static const char *const kind_names[] = {"none", "malloc", "call", "sqlite", "short"};

void fault_arm(enum fault_kind kind, uint64_t n, uint64_t burst)
{
        faults.count = 0;
        faults.from = n;
        faults.to = n == 0 ? 0 : n + burst;
        faults.hit = NULL;
        faults.paused = 0;
        faults.kind = (int)kind;
}

uint64_t fault_disarm(void)
{
        faults.kind = FAULT_NONE;
        return faults.count;
}

bool fault_hit(void)
{
        return faults.hit != NULL;
}

const char *fault_name(void)
{
        return faults.hit;
}

void fault_pause(void)
{
        faults.paused++;
}

void fault_resume(void)
{
        faults.paused--;
}

bool fault_point(enum fault_kind kind, const char *name, uint64_t *number)
{
        uint64_t count;

        if (faults.kind != (int)kind || faults.paused > 0)
                return false;
        if (sites_chosen()) {
                bool chosen = sites_point(name, number);

                if (chosen)
                        faults.hit = name;
                return chosen;
        }
        count = atomic_fetch_add(&faults.count, 1) + 1;
        if (number != NULL)
                *number = count;
        if (count < faults.from || count >= faults.to)
                return false;
        if (kind == FAULT_SHORT && faults.to - faults.from > 1 &&
            count * 0x9e3779b97f4a7c15ull >> 32 & 1)
                return false; /* by chance: a loop may make two calls, or three */
        faults.hit = name;
        return true;
}

enum fault_kind fault_kind_of(const char *text, size_t size)
{
        for (int kind = FAULT_MALLOC; kind <= FAULT_SHORT; kind++)
                if (strlen(kind_names[kind]) == size && memcmp(kind_names[kind], text, size) == 0)
                        return (enum fault_kind)kind;
        return FAULT_NONE;
}

/* --- processes --- */

static long report_fd = -1;
static pid_t reporter; /* children of it have nothing to say */

static void report(void)
{
        int kind = faults.kind;
        uint64_t points = fault_disarm();
        char line[128];
        int size;

        if (report_fd < 0)
                return;
        size = snprintf(line, sizeof(line), "%s %llu %s\n", kind_names[kind],
                        (unsigned long long)points, faults.hit != NULL ? faults.hit : "-");
        if (syscall(SYS_write, report_fd, line, (size_t)size) != size)
                _exit(125);
        sites_report((int)report_fd);
}

/* A child that gives up before it has become a server says what it met, too. */
void _exit(int status)
{
        if (report_fd >= 0 && getpid() == reporter)
                report();
        syscall(SYS_exit_group, status);
        __builtin_unreachable();
}

/* Past our own open, and early: a server in its sandbox opens nothing here any more. */
static void open_report(void)
{
        const char *path = getenv("HIF_FAULT_REPORT");
        long fd;

        if (path == NULL)
                return;
        fd = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        report_fd = fd < 0 ? -1 : syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, REPORT_FD_MIN);
        if (report_fd < 0)
                _exit(125);
        syscall(SYS_close, fd);
}

int fault_report_fd(void)
{
        return (int)report_fd;
}

/* Where a process died that could not stand what failed: to standard error, which a daemon's log is. */
static void tell_death(int number)
{
        void *frames[32];
        int count = backtrace(frames, 32);

        backtrace_symbols_fd(frames, count, STDERR_FILENO);
        signal(number, SIG_DFL);
        raise(number);
}

/* Arm as the environment says. */
static void arm(void)
{
        const char *text = getenv("HIF_FAULT"), *sites = getenv("HIF_FAULT_SITES");
        const char *colon = text != NULL ? strchr(text, ':') : NULL;
        enum fault_kind kind;
        uint64_t n, burst = 1;
        char *end;

        if (colon == NULL)
                return;
        kind = fault_kind_of(text, (size_t)(colon - text));
        n = strtoull(colon + 1, &end, 10);
        if (*end == '+')
                burst = strtoull(end + 1, &end, 10);
        if (kind == FAULT_NONE || *end != '\0' || atexit(report) != 0)
                _exit(125);
        open_report();
        reporter = getpid();
        signal(SIGSEGV, tell_death);
        signal(SIGABRT, tell_death);
        if (sites != NULL)
                sites_load(sites);
        fault_arm(kind, n, burst);
}

/* The first process that comes here, even if it has become another program since. */
static bool is_first(const char *path)
{
        pid_t pid = getpid(), first = 0;
        long fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

        if (fd >= 0) {
                if (syscall(SYS_write, fd, &pid, sizeof(pid)) != sizeof(pid))
                        _exit(125);
                syscall(SYS_close, fd);
                return true;
        }
        fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return false;
        (void)!syscall(SYS_read, fd, &first, sizeof(first));
        syscall(SYS_close, fd);
        return first == pid;
}

/* This process runs the supervisor, whose first child is the server: that one is armed, or it alone. */
static bool is_parent, alone;

/* glibc gives constructors what it gives main. */
__attribute__((constructor)) static void start(int argc, char **argv)
{
        const char *role = getenv("HIF_FAULT_ROLE"), *once = getenv("HIF_FAULT_ONCE");
        const char *verb = argc >= 3 ? argv[2] : "";

        is_parent =
            role != NULL && once != NULL && strcmp(role, "serve") == 0 && strcmp(verb, "run") == 0;
        alone = role != NULL && strcmp(role, "run") == 0;
        if (role != NULL && strcmp(verb, role) != 0)
                return;
        if (once == NULL || is_first(once))
                arm();
}

void fault_forked(void)
{
        if (alone) {
                fault_disarm();
                report_fd = -1;
        }
        if (!is_parent)
                return;
        is_parent = false;
        if (is_first(getenv("HIF_FAULT_ONCE")))
                arm();
}
