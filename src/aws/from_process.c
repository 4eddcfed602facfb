/* credential_process: a program of the user's that prints credentials as JSON.
 *
 * The command line is taken apart as a shell would, but no shell runs it: nothing in it is
 * expanded. The program gets no standard input, and what it says on standard error is not ours to
 * show: it may hold secrets. In the daemon it is confined as the server is (docs/security.md). */
#include "aws/answer.h"

#include "aws/wipe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGS_MAX   256
#define OUTPUT_MAX (64u << 10)
#define TIMEOUT_NS (UINT64_C(60) * 1000000000)
#define LOOK_MS    50

extern char **environ;

/* --- the command line --- */

/* The words of a line, in place. */
struct words {
        char *argv[ARGS_MAX + 1];
        size_t count;
};

/* One word, unquoted towards its start; NULL when a quote is open at the end. */
static char *take_word(char **from)
{
        char *in = *from, *out = in, *word = in;
        char quote = '\0';

        for (; *in && (quote || (*in != ' ' && *in != '\t' && *in != '\n')); in++) {
                if (quote ? *in == quote : *in == '\'' || *in == '"') {
                        quote = quote ? '\0' : *in;
                        continue;
                }
                if (*in == '\\' && quote != '\'' &&
                    (!quote || in[1] == '"' || in[1] == '\\' || in[1] == '$' || in[1] == '`')) {
                        in++;
                        if (!*in)
                                return NULL;
                }
                *out++ = *in;
        }
        if (quote)
                return NULL;
        *from = *in ? in + 1 : in;
        *out = '\0';
        return word;
}

static enum hif_err split(char *line, struct words *out, const char *source, struct hif_why *why)
{
        for (;;) {
                line += strspn(line, " \t\n");
                if (!*line)
                        break;
                if (out->count == ARGS_MAX)
                        return why_set(why, HIF_EDENIED, "%s has more than %d words", source,
                                       ARGS_MAX);
                out->argv[out->count] = take_word(&line);
                if (!out->argv[out->count++])
                        return why_set(why, HIF_EDENIED, "%s ends inside quotes", source);
        }
        return out->count > 0 ? HIF_OK : why_set(why, HIF_EDENIED, "%s is empty", source);
}

/* --- the program --- */

struct child {
        pid_t pid; /* also its process group's */
        int fd;    /* its standard output */
};

static enum hif_err start(char **argv, struct child *out, const char *source, struct hif_why *why)
{
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        sigset_t none, defaults;
        int fds[2], error;

        if (pipe2(fds, O_CLOEXEC) != 0)
                return why_set(why, HIF_EDENIED, "%s: no pipe: %s", source, strerror(errno));
        sigemptyset(&none);
        sigemptyset(&defaults);
        sigaddset(&defaults, SIGPIPE);
        posix_spawn_file_actions_init(&actions);
        posix_spawnattr_init(&attributes);
        error = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
        if (error == 0)
                error = posix_spawn_file_actions_adddup2(&actions, fds[1], 1);
        if (error == 0)
                error = posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
        posix_spawnattr_setsigmask(&attributes, &none);
        posix_spawnattr_setsigdefault(&attributes, &defaults);
        posix_spawnattr_setpgroup(&attributes, 0);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                  POSIX_SPAWN_SETPGROUP);
        if (error == 0)
                error = posix_spawnp(&out->pid, argv[0], &actions, &attributes, argv, environ);
        posix_spawnattr_destroy(&attributes);
        posix_spawn_file_actions_destroy(&actions);
        close(fds[1]);
        if (error != 0) {
                close(fds[0]);
                return why_set(why, HIF_EDENIED, "%s: cannot run \"%.100s\": %s", source, argv[0],
                               strerror(error));
        }
        out->fd = fds[0];
        return HIF_OK;
}

/* All that it prints, or why that does not end. */
static enum hif_err read_output(struct aws_chain *chain, const struct child *child, struct buf *out,
                                const char *source, struct hif_why *why)
{
        uint64_t limit = env_mono_ns(chain->env) + TIMEOUT_NS;
        struct pollfd poll_fd = {.fd = child->fd, .events = POLLIN};

        for (;;) {
                ssize_t n;

                if (chain->stopped(chain->arg))
                        return why_set(why, HIF_ECANCELED, "stopped");
                if (env_mono_ns(chain->env) >= limit)
                        return why_set(why, HIF_EDENIED, "%s took longer than %u s", source,
                                       (unsigned)(TIMEOUT_NS / 1000000000));
                if (poll(&poll_fd, 1, LOOK_MS) <= 0)
                        continue;
                if (out->size == OUTPUT_MAX)
                        return why_set(why, HIF_EDENIED, "%s printed more than %u bytes", source,
                                       OUTPUT_MAX);
                n = read(child->fd, out->data + out->size, OUTPUT_MAX - out->size);
                if (n > 0)
                        buf_extend(out, (size_t)n);
                else if (n == 0)
                        return HIF_OK;
                else if (errno != EINTR)
                        return why_set(why, HIF_EDENIED, "%s: %s", source, strerror(errno));
        }
}

/* Its end, which may come later than that of its output; what is left of it is killed. */
static int reap(struct aws_chain *chain, const struct child *child, bool kill_it)
{
        uint64_t limit = env_mono_ns(chain->env) + TIMEOUT_NS;
        int status = 0;
        pid_t got;

        for (;;) {
                if (kill_it || chain->stopped(chain->arg) || env_mono_ns(chain->env) >= limit)
                        (void)kill(-child->pid, SIGKILL);
                got = waitpid(child->pid, &status, WNOHANG);
                if (got == child->pid || (got < 0 && errno != EINTR))
                        return status;
                (void)poll(NULL, 0, LOOK_MS);
        }
}

/* What runs under a filter of system calls passes that on. */
static bool is_confined(void)
{
        return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 2;
}

/* By hand, or for a command, it runs as the user's other programs do. */
static enum hif_err tell_end(const char *source, const char *program, int status,
                             struct hif_why *why)
{
        static const char confined[] =
            ". In the daemon it can gain no privileges, use no keyring of the kernel, and look "
            "into "
            "no other process (docs/security.md): if it works by hand, have it write "
            "~/.aws/credentials instead";

        if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
                return why_set(why, HIF_EDENIED,
                               "%s: \"%.100s\" made a system call that the sandbox of the daemon's "
                               "server refuses (docs/security.md); `strace -f` by hand shows its "
                               "calls. Have it write ~/.aws/credentials instead",
                               source, program);
        return why_set(why, HIF_EDENIED,
                       "%s: \"%.100s\" ended with %s %d; run it by hand to see what it says%s",
                       source, program, WIFSIGNALED(status) ? "signal" : "exit code",
                       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
                       is_confined() ? confined : "");
}

static enum hif_err run(struct aws_chain *chain, char **argv, struct buf *out, const char *source,
                        struct hif_why *why)
{
        struct child child;
        enum hif_err err = start(argv, &child, source, why);
        int status;

        if (err != HIF_OK)
                return err;
        err = read_output(chain, &child, out, source, why);
        close(child.fd);
        status = reap(chain, &child, err != HIF_OK);
        if (err != HIF_OK || status == 0)
                return err;
        return tell_end(source, argv[0], status, why);
}

enum hif_err aws_from_process(struct aws_chain *chain, const char *profile, const char *command,
                              struct aws_fetched *out, struct hif_why *why)
{
        AUTO_WIPE char *line = NULL;
        AUTO_WIPE_BUF struct buf output = {0};
        struct words words = {0};
        enum hif_err err;

        if (chain->near_only)
                return HIF_EAGAIN;
        snprintf(out->source, sizeof(out->source), "the credential_process of profile \"%.64s\"",
                 profile);
        line = strdup(command);
        if (!line || !buf_reserve(&output, OUTPUT_MAX))
                return why_set(why, HIF_ENOMEM, "out of memory");
        err = split(line, &words, out->source, why);
        if (err == HIF_OK)
                err = run(chain, words.argv, &output, out->source, why);
        if (err == HIF_OK)
                err = aws_json_key(buf_span(&output), "SessionToken", true, out, why);
        return err;
}
