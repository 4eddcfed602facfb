#include "cli/bounded.h"

#include "cli/clock.h"
#include "cli/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SAID_MAX (1u << 20)
#define WATCH_MS 100

/* False: it has not come in time. */
static bool wait_for(int fd, uint64_t deadline)
{
        for (;;) {
                struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
                uint64_t now = clock_now_ms();
                int ready = poll(&poll_fd, 1, now < deadline ? (int)(deadline - now) : 0);

                if (ready > 0)
                        return true;
                if (ready == 0)
                        return false;
                if (errno != EINTR)
                        return false;
        }
}

/* Some of what it says. False: that was all. */
static bool hear(int fd, struct buf *said)
{
        uint8_t bytes[4096];
        ssize_t size = read(fd, bytes, sizeof(bytes));

        if (size < 0 && errno == EINTR)
                return true;
        if (size > 0 && said != NULL && said->size < SAID_MAX)
                buf_put(said, bytes, (size_t)size);
        return size > 0;
}

/* All that it says, to the end. */
static bool listen_to(int fd, uint64_t deadline, struct buf *said)
{
        while (wait_for(fd, deadline))
                if (!hear(fd, said))
                        return true;
        return false;
}

/* All but the one that it writes to. */
static void keep_only(int out)
{
        int null = open("/dev/null", O_RDWR);

        for (int fd = 0; null >= 0 && fd < 3; fd++)
                if (fd != out && fd != null)
                        (void)dup2(null, fd);
        if (out > 3)
                (void)syscall(SYS_close_range, 3, out - 1, 0);
        (void)syscall(SYS_close_range, (out > 2 ? out : 2) + 1, ~0u, 0);
}

void bounded_begin(struct bounded *bounded, uint64_t timeout_ms,
                   enum hif_err (*run)(void *arg, int out), void *arg)
{
        int ends[2];

        *bounded = (struct bounded){.out = -1, .deadline_ms = clock_now_ms() + timeout_ms};
        if (pipe2(ends, O_CLOEXEC) != 0) {
                bounded->err = hif_err_from_errno(errno);
                return;
        }
        bounded->pid = fork();
        if (bounded->pid < 0) {
                bounded->err = hif_err_from_errno(errno);
                close(ends[0]);
        } else if (bounded->pid == 0) {
                keep_only(ends[1]);
                _exit((int)run(arg, ends[1]));
        } else {
                bounded->out = ends[0];
        }
        close(ends[1]);
}

/* done: it ends, or has. */
static enum hif_err finish(struct bounded *bounded, bool done)
{
        int status;

        close(bounded->out);
        if (!done) {
                kill(bounded->pid, SIGKILL);
                (void)waitpid(bounded->pid, &status, WNOHANG); /* else it is init's, once we end */
                return HIF_ETIMEDOUT;
        }
        while (waitpid(bounded->pid, &status, 0) < 0)
                if (errno != EINTR)
                        return HIF_EIO;
        if (!WIFEXITED(status) || WEXITSTATUS(status) >= HIF_ERR_COUNT)
                return HIF_EIO;
        return (enum hif_err)WEXITSTATUS(status);
}

enum hif_err bounded_end(struct bounded *bounded, struct buf *said)
{
        int end;
        bool done;

        if (bounded->err != HIF_OK)
                return bounded->err;
        end = (int)syscall(SYS_pidfd_open, bounded->pid, 0);
        done = listen_to(bounded->out, bounded->deadline_ms, said) &&
               (end < 0 || wait_for(end, bounded->deadline_ms));
        if (end >= 0)
                close(end);
        return finish(bounded, done);
}

enum hif_err bounded_run(uint64_t timeout_ms, enum hif_err (*run)(void *arg, int out), void *arg,
                         struct buf *said)
{
        struct bounded bounded;

        bounded_begin(&bounded, timeout_ms, run, arg);
        return bounded_end(&bounded, said);
}

enum hif_err bounded_watch(bool (*go_on)(void *arg, const struct bounded_wait *wait),
                           enum hif_err (*run)(void *arg, int out), void *arg, struct buf *said)
{
        struct bounded bounded;
        struct bounded_wait wait = {.said = said};
        uint64_t begin = clock_now_ms(), still_since = begin, turns = 0;
        bool silent = false, ended = false, give_up = false;
        int end;

        bounded_begin(&bounded, 0, run, arg);
        if (bounded.err != HIF_OK)
                return bounded.err;
        end = (int)syscall(SYS_pidfd_open, bounded.pid, 0);
        while (!ended && !give_up) {
                uint64_t now, before = turns;

                if (wait_for(silent ? end : bounded.out, clock_now_ms() + WATCH_MS)) {
                        ended = silent;
                        silent = silent || !hear(bounded.out, said);
                        ended = ended || (silent && end < 0);
                        continue;
                }
                now = clock_now_ms();
                if (!process_waits(bounded.pid, &turns) || turns != before)
                        still_since = now;
                wait.waited_ms = now - begin;
                wait.still_ms = now - still_since;
                give_up = !go_on(arg, &wait);
        }
        if (end >= 0)
                close(end);
        return finish(&bounded, ended);
}
