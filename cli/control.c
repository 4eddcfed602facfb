#include "cli/control.h"

#include "base/cleanup.h"
#include "cli/clock.h"
#include "cli/control_wire.h"
#include "cli/patience.h"
#include "cli/process.h"
#include "cli/sockets.h"
#include "cli/supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_TIMEOUT_MS  30000
#define START_POLL_MS     20
#define START_AGAIN_MS    200
#define ADOPTED_POLL_MS   10
#define ADOPT_TIMEOUT_MS  5000
#define CONNECT_TRIES_MAX 20 /* with more commands than are let in at once */

/* --- connecting --- */

/* The daemon is this program again, in a session of its own. If it cannot start, it says why on
 * *out, as JSON; the end of that without a word means that it is gone, too. */
static enum hif_err spawn_daemon(int *out, struct hif_why *why)
{
        int ends[2];
        pid_t pid;

        if (pipe2(ends, O_CLOEXEC) != 0)
                return why_set(why, hif_err_from_errno(errno),
                               "the daemon could not be started: %s", strerror(errno));
        pid = fork();
        if (pid < 0) {
                int error = errno;

                close(ends[0]);
                close(ends[1]);
                return why_set(why, hif_err_from_errno(error),
                               "the daemon could not be started: %s", strerror(error));
        }
        if (pid == 0) {
                int null = open("/dev/null", O_RDWR | O_CLOEXEC);

                /* Nothing of the command's may stay open in the daemon: it could be a file in a
                 * mount. */
                setsid();
                dup2(null, 0);
                dup2(ends[1], 1);
                dup2(null, 2);
                close_range(3, ~0u, 0);
                if (chdir("/") == 0 && fork() == 0) {
                        execl("/proc/self/exe", "hif", "daemon", "run", "--json", (char *)NULL);
                        _exit(127);
                }
                _exit(0);
        }
        close(ends[1]);
        (void)waitpid(pid, NULL, 0);
        *out = ends[0];
        return HIF_OK;
}

static enum hif_err error_in(const json_t *message, struct hif_why *why);

/* The last words of a daemon that ended. HIF_EBUSY: another one was there before it. */
static enum hif_err end_of_daemon(int fd, struct hif_why *why)
{
        json_t *message = json_loadfd(fd, 0, NULL);
        enum hif_err err = error_in(message, why);

        json_decref(message);
        return err;
}

enum hif_err control_unheard(struct cli *cli, struct hif_why *why)
{
        const pid_t pids[] = {process_of_lock(&cli->env, cli->paths.daemon_lock),
                              process_of_lock(&cli->env, cli->paths.server_lock)};
        char text[32] = "";

        for (size_t i = 0; i < 2; i++)
                if (pids[i] > 0)
                        snprintf(text + strlen(text), sizeof(text) - strlen(text), " %d",
                                 (int)pids[i]);
        if (text[0] == '\0')
                return HIF_OK;
        return why_set(why, HIF_EUNREACHABLE,
                       "the daemon is there, and answers on no socket: if it is not just starting "
                       "or ending, `kill -KILL%s` ends it, and the next command starts another; "
                       "sessions keep their edits",
                       text);
}

/* taken: the last one that was started found another there. */
static enum hif_err say_late(struct cli *cli, bool taken, struct hif_why *why)
{
        struct hif_why unheard = {0};

        if ((taken || !supervisor_there(cli)) && control_unheard(cli, &unheard) != HIF_OK)
                return why_set(why, HIF_EUNREACHABLE, "nothing came of %d s of waiting: %s",
                               START_TIMEOUT_MS / 1000, unheard.text);
        return why_set(why, HIF_EUNREACHABLE,
                       "the daemon did not start within %d s; its log is '%s'",
                       START_TIMEOUT_MS / 1000, cli->paths.log_file);
}

/* Start one, and wait for it, or for whichever else is faster. One that is on its way out may hold
 * a lock still: then start another. */
static enum hif_err connect_started(struct cli *cli, struct sockaddr_un *where, int *fd,
                                    struct hif_why *why)
{
        uint64_t deadline = clock_now_ms() + START_TIMEOUT_MS, next_start = 0;
        uint64_t next_look = clock_now_ms() + PATIENCE_FIRST_MS;
        struct pollfd words = {.fd = -1, .events = POLLIN};
        enum hif_err err = HIF_OK;
        bool taken = false;

        while (err == HIF_OK && sockets_find(cli, SOCKET_CONTROL, where, fd) != HIF_OK) {
                if (clock_now_ms() > deadline) {
                        err = say_late(cli, taken, why);
                        break;
                }
                if (clock_now_ms() >= next_look) {
                        err = patience_check_start(cli, why);
                        next_look = clock_now_ms() + PATIENCE_NEXT_MS;
                }
                if (err == HIF_OK && words.fd < 0 && clock_now_ms() >= next_start) {
                        err = spawn_daemon(&words.fd, why);
                        next_start = clock_now_ms() + START_AGAIN_MS;
                }
                if (err == HIF_OK && poll(&words, 1, START_POLL_MS) > 0) {
                        err = end_of_daemon(words.fd, why);
                        taken = err == HIF_EBUSY;
                        err = taken ? HIF_OK : err;
                        close(words.fd);
                        words.fd = -1;
                }
        }
        if (words.fd >= 0)
                close(words.fd);
        return err;
}

/* The server works, but nobody would bring it back: the next supervisor takes it over. */
static enum hif_err start_supervisor(struct cli *cli, struct hif_why *why)
{
        uint64_t deadline = clock_now_ms() + ADOPT_TIMEOUT_MS;
        struct pollfd words = {.events = POLLIN};
        enum hif_err err = spawn_daemon(&words.fd, why);
        bool ended = false;

        if (err != HIF_OK)
                return err;
        while (!ended && !supervisor_there(cli) && clock_now_ms() < deadline)
                ended = poll(&words, 1, ADOPTED_POLL_MS) > 0;
        if (ended)
                err = end_of_daemon(words.fd, why);
        close(words.fd);
        return err == HIF_EBUSY ? HIF_OK : err; /* another one was faster */
}

enum hif_err control_supervise(struct cli *cli, struct hif_why *why)
{
        struct sockaddr_un where;
        int fd;

        if (sockets_find(cli, SOCKET_CONTROL, &where, &fd) != HIF_OK)
                return HIF_OK;
        close(fd);
        return supervisor_there(cli) ? HIF_OK : start_supervisor(cli, why);
}

enum hif_err control_connect(struct cli *cli, bool start, int *fd, struct hif_why *why)
{
        struct sockaddr_un where = {0};
        struct hif_why unseen = {0};
        enum hif_err err = sockets_find(cli, SOCKET_CONTROL, &where, fd);

        for (int tries = 1; err == HIF_EUNREACHABLE && tries < CONNECT_TRIES_MAX; tries++) {
                err = patience_check_start(cli, why);
                if (err != HIF_OK)
                        return err;
                err = sockets_find(cli, SOCKET_CONTROL, &where, fd);
        }
        if (err == HIF_OK) {
                if (start && !supervisor_there(cli) && start_supervisor(cli, &unseen) != HIF_OK)
                        cli_warn(cli, "the daemon has lost its supervisor, and gets no other: %s",
                                 unseen.text);
                return HIF_OK; /* it serves all the same */
        }
        if (err == HIF_EUNREACHABLE)
                return why_set(why, err,
                               "so many commands wait for the daemon that it takes no more; try "
                               "again, and see how it does with `hif doctor`");
        if (err != HIF_ENOENT)
                return why_set(why, err, "the daemon's socket '%s' could not be used: %s",
                               where.sun_path, hif_strerror(err));
        if (start)
                return connect_started(cli, &where, fd, why);
        err = control_unheard(cli, why);
        return err != HIF_OK
                   ? err
                   : why_set(why, HIF_EUNREACHABLE,
                             "no daemon is running, so nothing is mounted; `hif mount` starts one");
}

/* --- calling --- */

/* The error in a message, or HIF_OK. */
static enum hif_err error_in(const json_t *message, struct hif_why *why)
{
        const json_t *error = json_object_get(message, "error");
        const char *code = json_string_value(json_object_get(error, "code"));
        const char *text = json_string_value(json_object_get(error, "text"));

        if (error == NULL)
                return HIF_OK;
        for (int err = 1; code != NULL && err < HIF_ERR_COUNT; err++)
                if (strcmp(hif_err_name((enum hif_err)err), code) == 0)
                        return why_set(why, (enum hif_err)err, "%s", text != NULL ? text : code);
        return why_set(why, HIF_EIO, "%s", text != NULL ? text : "the daemon failed");
}

/* Credentials in this command's environment are not those of a daemon that runs already. */
static void explain_environment(enum hif_err err, struct hif_why *why)
{
        size_t size = strlen(why->text);
        bool ours = getenv("AWS_ACCESS_KEY_ID") || getenv("AWS_WEB_IDENTITY_TOKEN_FILE") ||
                    getenv("AWS_CONFIG_FILE") || getenv("AWS_SHARED_CREDENTIALS_FILE");

        if (err == HIF_EDENIED && ours && (strstr(why->text, "S3") || strstr(why->text, "s3:")))
                snprintf(why->text + size, sizeof(why->text) - size,
                         ". The daemon has the environment of the command that started it: `hif "
                         "daemon stop --suspend`, and then this again, gives it yours");
}

/* These change nothing: who does not get an answer soon is better told so. */
static bool is_quick(const json_t *request)
{
        static const char *const quick[] = {"ping", "list", "status", "diff", "session_show"};
        const char *op = json_string_value(json_object_get(request, "op"));

        for (size_t i = 0; op != NULL && i < sizeof(quick) / sizeof(quick[0]); i++)
                if (strcmp(op, quick[i]) == 0)
                        return true;
        return false;
}

#define SLOW_AFTER 3 /* looks at how the daemon does: some 6 s */

struct caller {
        struct control_patience patience;
        struct cli *cli;
        unsigned asked;
        bool silent;          /* nobody is to be told that it takes long */
        bool quick, hopeless; /* hopeless: no answer is to be expected, and why says so */
        struct hif_why *why;
};

static enum hif_err ask_patience(struct control_patience *patience, int fd)
{
        struct caller *caller = (struct caller *)(void *)patience;
        enum hif_err err = patience_check(caller->cli, fd, caller->quick, caller->why);

        patience->ask_ms = PATIENCE_NEXT_MS;
        caller->hopeless = err != HIF_OK;
        if (err == HIF_OK && !caller->silent && ++caller->asked == SLOW_AFTER) {
                (void)fprintf(stderr, "hif: the daemon still works on it: a store that is slow to "
                                      "answer, or much to do (Ctrl-C ends the wait)\n");
                caller->silent = true;
        }
        return err;
}

/* *ended: the daemon closed the connection without an answer. */
static void tell_moved(const struct cli *cli, const json_t *result)
{
        const char *from = json_string_value(json_object_get(result, "moved_from"));

        if (from != NULL)
                cli_warn(cli,
                         "this mount was at '%s'; a directory above it was renamed, and it is "
                         "here now",
                         from);
}

static enum hif_err call(struct cli *cli, int fd, json_t *request, uint64_t timeout_ms,
                         void (*progress)(void *arg, const json_t *progress), void *arg,
                         json_t **result, bool *ended, struct hif_why *why)
{
        struct caller caller = {
            .patience = control_until(timeout_ms),
            .cli = cli,
            .silent = !cli->progress || progress != NULL,
            .quick = is_quick(request),
            .why = why,
        };
        enum hif_err err;

        caller.patience.ask = ask_patience;
        caller.patience.ask_ms = PATIENCE_FIRST_MS;
        err = control_send_patiently(fd, request, &caller.patience);
        json_decref(request);
        if (err == HIF_ENOENT)
                err = HIF_OK; /* it closed without reading, and may have said why */
        while (err == HIF_OK) {
                json_t *message, *value;

                err = control_receive_patiently(fd, &caller.patience, &message);
                if (err != HIF_OK)
                        break;
                value = json_object_get(message, "progress");
                if (value != NULL) {
                        if (progress != NULL)
                                progress(arg, value);
                        json_decref(message);
                        continue;
                }
                err = error_in(message, why);
                explain_environment(err, why);
                value = json_object_get(message, "result");
                tell_moved(cli, value);
                if (value != NULL)
                        *result = json_incref(value);
                else if (err == HIF_OK)
                        err = why_set(why, HIF_ECORRUPT, "the daemon's answer could not be read");
                json_decref(message);
                return err;
        }
        if (caller.hopeless)
                return err;
        if (err == HIF_ETIMEDOUT)
                return why_set(why, HIF_EUNREACHABLE,
                               "the daemon did not answer in time; "
                               "`hif doctor` says how it does");
        *ended = true;
        return why_set(why, HIF_EUNREACHABLE,
                       "the daemon ended during the request; run the command again, it starts "
                       "another");
}

enum hif_err control_call(struct cli *cli, int fd, json_t *request, uint64_t timeout_ms,
                          void (*progress)(void *arg, const json_t *progress), void *arg,
                          json_t **result, struct hif_why *why)
{
        bool ended;

        return call(cli, fd, request, timeout_ms, progress, arg, result, &ended, why);
}

/* The first server may have died when all but its answer was done. */
static void explain_nothing(struct hif_why *why)
{
        size_t size = strlen(why->text);

        snprintf(why->text + size, sizeof(why->text) - size,
                 ". The server died during a first try, which may have landed all there was: `hif "
                 "log` shows it");
}

enum hif_err control_ask(struct cli *cli, json_t *request,
                         void (*progress)(void *arg, const json_t *progress), void *arg,
                         json_t **result, struct hif_why *why)
{
        bool ended = true, again = false;
        enum hif_err err = HIF_OK;

        for (int tries = 0; tries < 2 && ended; tries++) {
                int fd;

                again = tries > 0;
                ended = false;
                err = control_connect(cli, true, &fd, why);
                if (err != HIF_OK)
                        break;
                err = call(cli, fd, json_incref(request), 0, progress, arg, result, &ended, why);
                close(fd);
        }
        if (again && err == HIF_ENOTHING)
                explain_nothing(why);
        json_decref(request);
        return err;
}

enum hif_err control_ping(struct cli *cli, uint64_t timeout_ms, json_t **pong, struct hif_why *why)
{
        int fd;
        enum hif_err err = control_connect(cli, false, &fd, why);

        if (err != HIF_OK)
                return err;
        err = control_call(cli, fd, json_pack("{s:s}", "op", "ping"), timeout_ms, NULL, NULL, pong,
                           why);
        close(fd);
        return err;
}
