#include "cli/bounded.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SAID_MAX (1u << 20)

static uint64_t now_ms(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* False: it has not come in time. */
static bool wait_for(int fd, uint64_t deadline)
{
        for (;;) {
                struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
                uint64_t now = now_ms();
                int ready = poll(&poll_fd, 1, now < deadline ? (int)(deadline - now) : 0);

                if (ready > 0)
                        return true;
                if (ready == 0)
                        return false;
                if (errno != EINTR)
                        return false;
        }
}

/* All that it says, to the end. */
static bool listen_to(int fd, uint64_t deadline, struct buf *said)
{
        uint8_t bytes[4096];

        while (wait_for(fd, deadline)) {
                ssize_t size = read(fd, bytes, sizeof(bytes));

                if (size < 0 && errno == EINTR)
                        continue;
                if (size <= 0)
                        return true;
                if (said != NULL && said->size < SAID_MAX)
                        buf_put(said, bytes, (size_t)size);
        }
        return false;
}

enum hif_err bounded_run(uint64_t timeout_ms, enum hif_err (*run)(void *arg, int out), void *arg,
                         struct buf *said)
{
        uint64_t deadline = now_ms() + timeout_ms;
        int ends[2], status = 0, end;
        bool done;
        pid_t pid;

        if (pipe2(ends, O_CLOEXEC) != 0)
                return hif_err_from_errno(errno);
        pid = fork();
        if (pid < 0) {
                int error = errno;

                close(ends[0]);
                close(ends[1]);
                return hif_err_from_errno(error);
        }
        if (pid == 0) {
                close(ends[0]);
                _exit((int)run(arg, ends[1]));
        }
        close(ends[1]);
        end = (int)syscall(SYS_pidfd_open, pid, 0);
        done = listen_to(ends[0], deadline, said) && (end < 0 || wait_for(end, deadline));
        close(ends[0]);
        if (end >= 0)
                close(end);
        if (!done) {
                kill(pid, SIGKILL);
                (void)waitpid(pid, &status, WNOHANG); /* else it is init's, once we end */
                return HIF_ETIMEDOUT;
        }
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return HIF_EIO;
        if (!WIFEXITED(status) || WEXITSTATUS(status) >= HIF_ERR_COUNT)
                return HIF_EIO;
        return (enum hif_err)WEXITSTATUS(status);
}
