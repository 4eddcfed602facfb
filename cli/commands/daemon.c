/* hif daemon run, serve, status, stop, restart, upgrade. */
#include "cli/daemon/daemon.h"
#include "base/cleanup.h"
#include "cli/commands/commands.h"
#include "cli/control.h"
#include "cli/known.h"
#include "cli/patience.h"
#include "cli/supervisor/supervisor.h"
#include "cli/supervisor/wire.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PATIENCE_MS     1500 /* with a server that is silent, before that is said of it */
#define STOP_TIMEOUT_MS 60000

/* --- run, serve --- */

#define OPTION_STATE_FD 0x100

static const struct argp_option run_options[] = {
    {"state-fd", OPTION_STATE_FD, "FD", OPTION_HIDDEN, "What a supervisor before this one left", 0},
    {0}};

static error_t parse_run(int key, char *arg, struct argp_state *state)
{
        char *end;
        long fd;

        if (key != OPTION_STATE_FD)
                return ARGP_ERR_UNKNOWN;
        fd = strtol(arg, &end, 10);
        if (*arg == '\0' || *end != '\0' || fd < 3 || fd > INT_MAX)
                argp_error(state, "a descriptor is a number from 3 on");
        else
                *(int *)state->input = (int)fd;
        return 0;
}

static const struct argp run_argp = {
    .options = run_options,
    .parser = parse_run,
    .doc = "Serve this user's mounts in the foreground. `hif mount` starts it when it is needed."};

static const struct argp serve_argp = {
    .doc = "What `hif daemon run` starts, and starts again when it dies. Not for people."};

static int cmd_serve(struct cli *cli, int argc, char **argv)
{
        struct hif_why why = {0};
        enum hif_err err;

        cli_parse(cli, &serve_argp, argc, argv, NULL);
        err = daemon_serve(cli, &why);
        return err == HIF_OK ? EXIT_DONE : cli_fail(cli, err, &why);
}

/* The same in a copy of the supervisor, with the configuration as it is now. */
static int serve_anew(void)
{
        struct hif_why why = {0};
        struct cli cli;
        enum hif_err err;
        int code;

        (void)signal(SIGPIPE, SIG_IGN);
        err = cli_init(&cli, &why);
        if (err != HIF_OK)
                return cli_fail(&cli, err, &why);
        err = daemon_serve(&cli, &why);
        code = err == HIF_OK ? EXIT_DONE : cli_fail(&cli, err, &why);
        cli_free(&cli);
        return code;
}

static int cmd_run(struct cli *cli, int argc, char **argv)
{
        struct hif_why why = {0};
        int state_fd = -1;
        enum hif_err err;

        cli_parse(cli, &run_argp, argc, argv, &state_fd);
        err = supervisor_run(cli, serve_anew, state_fd, &why);
        return err == HIF_OK ? EXIT_DONE : cli_fail(cli, err, &why);
}

static enum hif_err ask(struct cli *cli, json_t *request, json_t **result, struct hif_why *why)
{
        int fd;
        enum hif_err err = control_connect(cli, false, &fd, why);

        if (err != HIF_OK) {
                json_decref(request);
                return err;
        }
        err = control_call(cli, fd, request, 0, NULL, NULL, result, why);
        close(fd);
        return err;
}

/* --- status --- */

static const struct argp status_argp = {
    .doc = "Show whether the daemon runs, and what it has fetched."};

static long long count_of(const json_t *object, const char *name)
{
        return (long long)json_integer_value(json_object_get(object, name));
}

static const char *text_of(const json_t *object, const char *name)
{
        const char *text = json_string_value(json_object_get(object, name));

        return text != NULL ? text : "";
}

/* What the server says, and what the supervisor says of it; either may be missing, not both.
 * HIF_EUNREACHABLE: there is a supervisor, and the server does not answer; *out is set, too. */
static enum hif_err whole_status(struct cli *cli, json_t **out, struct hif_why *why)
{
        json_t *supervisor = NULL, *result = NULL, *server;
        struct hif_why unseen = {0};
        enum hif_err err = supervisor_status(cli, PATIENCE_MS, &supervisor, &unseen);
        bool watched = err == HIF_OK, silent = !watched && err != HIF_ENOENT;
        const char *state = watched ? text_of(supervisor, "state") : silent ? "running" : "orphan";

        err = watched ? patience_judge(cli, supervisor, true, why) : HIF_OK;
        if (err != HIF_OK && strcmp(state, "waiting") != 0)
                state = "hung";
        /* One that is just starting answers as soon as it can. */
        if (err == HIF_OK)
                err = control_ping(cli, 0, &result, why);
        if (!watched && err != HIF_OK)
                return err;
        if (result == NULL)
                result = json_object();
        json_object_set_new(result, "state", json_string(state));
        if (watched) {
                server = json_object_get(supervisor, "server");
                json_object_update_missing(result, server);
                json_object_set(result, "supervisor_pid", json_object_get(supervisor, "pid"));
                json_object_del(supervisor, "server");
                json_object_set_new(result, "supervisor", supervisor);
        } else if (silent) {
                json_object_set_new(result, "supervisor_error", json_string(unseen.text));
        }
        *out = result;
        return err;
}

static void print_fetch(const json_t *fetch)
{
        printf("store: %lld requests, %lld bytes; %lld tree nodes, %lld blobs\n",
               count_of(fetch, "store_requests"), count_of(fetch, "store_bytes"),
               count_of(fetch, "nodes"), count_of(fetch, "blobs"));
        printf("cache: %lld bytes in memory, %lld on disk\n", count_of(fetch, "ram_bytes"),
               count_of(fetch, "ssd_bytes"));
}

static void print_sandbox(const json_t *sandbox)
{
        if (json_is_true(json_object_get(sandbox, "filtered")))
                printf(
                    "sandboxed: %lld system calls are allowed, %lld capabilities are left, no new "
                    "privileges\n",
                    count_of(sandbox, "calls_allowed"), count_of(sandbox, "capabilities"));
        else
                printf("not sandboxed: %s\n", text_of(sandbox, "why"));
}

/* Where all else is said: the log is what the daemon tells nobody in particular. */
static void put_log(struct cli *cli, json_t *status)
{
        json_set_path(status, "log", span_str(cli->paths.log_file));
}

static void print_log(const json_t *status)
{
        AUTO_BUF struct buf path = {0};

        json_get_path(status, "log", &path);
        printf("log: ");
        cli_print_path(buf_span(&path));
        printf("\n");
}

static void print_supervisor(const json_t *status)
{
        const json_t *supervisor = json_object_get(status, "supervisor");

        if (json_object_get(status, "supervisor_error") != NULL) {
                printf("%s\n", text_of(status, "supervisor_error"));
                return;
        }
        if (supervisor == NULL) {
                printf("its supervisor was killed; the next command starts another\n");
                return;
        }
        printf("supervisor %s, process %lld, up %lld s; started the server again %lld times\n",
               text_of(supervisor, "version"), count_of(supervisor, "pid"),
               count_of(supervisor, "uptime_ms") / 1000, count_of(supervisor, "restarts"));
        if (text_of(supervisor, "last_death")[0] != '\0')
                printf("last: %s\n", text_of(supervisor, "last_death"));
}

static int cmd_daemon_status(struct cli *cli, int argc, char **argv)
{
        struct hif_why why = {0};
        json_t *status = NULL;
        const char *state;
        enum hif_err err;
        int code;

        cli_parse(cli, &status_argp, argc, argv, NULL);
        err = whole_status(cli, &status, &why);
        if (status == NULL)
                return cli_fail(cli, err, &why);
        code = err == HIF_OK ? EXIT_DONE : EXIT_UNREACHABLE;
        put_log(cli, status);
        if (cli->json) {
                int printed = cli_print_json(cli, status);

                return printed == EXIT_DONE ? code : printed;
        }
        state = text_of(status, "state");
        printf("daemon %s, process %lld, %s", text_of(status, "version"), count_of(status, "pid"),
               state);
        printf(", up %lld s\n", count_of(status, "uptime_ms") / 1000);
        print_supervisor(status);
        if (err != HIF_OK)
                printf("%s\n", why.text);
        if (json_object_get(status, "fetch") != NULL)
                print_fetch(json_object_get(status, "fetch"));
        if (json_object_get(status, "sandbox") != NULL)
                print_sandbox(json_object_get(status, "sandbox"));
        print_log(status);
        json_decref(status);
        return cli_finish(cli, code);
}

/* --- stop --- */

static const struct argp_option stop_options[] = {
    {"suspend", 's', NULL, 0,
     "Leave NFS mounts in place: programs in them wait until a daemon runs again", 0},
    {0}};

static error_t parse_stop(int key, char *arg, struct argp_state *state)
{
        (void)arg;
        if (key != 's')
                return ARGP_ERR_UNKNOWN;
        *(bool *)state->input = true;
        return 0;
}

static const struct argp stop_argp = {
    .options = stop_options, .parser = parse_stop, .doc = "Unmount everything and end the daemon."};

/* Until it is gone, so that the next command finds either none or another. */
static void wait_for_end(pid_t pid)
{
        struct pollfd end = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};

        if (end.fd < 0)
                return;
        (void)poll(&end, 1, STOP_TIMEOUT_MS);
        close(end.fd);
}

/* The server unmounts, and takes the supervisor along. One that does not answer is killed, and its
 * mounts stay where they are. *killed says which. */
static enum hif_err stop(struct cli *cli, bool suspend, bool *killed, struct hif_why *why)
{
        json_t *status = NULL, *result = NULL;
        struct hif_why unseen = {0};
        pid_t supervisor;
        enum hif_err err;
        bool watched;

        if (!suspend)
                (void)!control_supervise(cli, &unseen);
        watched = supervisor_status(cli, 0, &status, &unseen) == HIF_OK;
        supervisor = (pid_t)count_of(status, "pid");
        *killed = watched && patience_judge(cli, status, false, &unseen) != HIF_OK;
        if (*killed)
                err = supervisor_ask(cli, WIRE_STOP, "", &result, why);
        else
                err = ask(cli, json_pack("{s:s, s:b}", "op", "stop", "suspend", suspend), &result,
                          why);
        if (err == HIF_EUNREACHABLE && watched && !*killed) {
                *killed = true; /* it lives, but has no thread or descriptor left for us */
                err = supervisor_ask(cli, WIRE_STOP, "", &result, why);
        } else if (err == HIF_OK && !*killed) {
                wait_for_end((pid_t)count_of(result, "pid"));
        }
        if (err == HIF_OK && watched)
                wait_for_end(supervisor);
        json_decref(result);
        json_decref(status);
        return err;
}

/* What was busy stays; and a server that has no descriptor left, say, ends without unmounting. */
static void warn_of_mounts(struct cli *cli)
{
        json_t *mounts = NULL;

        if (known_mounts(cli, &mounts) == HIF_OK && json_array_size(mounts) > 0)
                cli_warn(cli,
                         "'%s' is still mounted, and nobody serves it: the next command in it, as "
                         "`hif status`, starts a daemon that does, `hif unmount --force` takes it "
                         "away; the log '%s' may say why",
                         json_text(json_array_get(mounts, 0), "mount_point"), cli->paths.log_file);
        json_decref(mounts);
}

static int cmd_stop(struct cli *cli, int argc, char **argv)
{
        struct hif_why why = {0};
        bool suspend = false, killed = false;
        enum hif_err err;

        cli_parse(cli, &stop_argp, argc, argv, &suspend);
        err = stop(cli, suspend, &killed, &why);
        if (err != HIF_OK)
                return cli_fail(cli, err, &why);
        if (!suspend && !killed)
                warn_of_mounts(cli);
        if (cli->json)
                return cli_print_json(cli,
                                      json_pack("{s:b, s:b}", "stopped", true, "killed", killed));
        printf(killed ? "The server did not answer and was killed; its mounts are still there: "
                        "`hif mount` shows them\n"
                      : "The daemon has stopped\n");
        return cli_finish(cli, EXIT_DONE);
}

/* There is no supervisor, and this is why another one did not start. A daemon of a version before there
 * were supervisors takes none. */
static enum hif_err explain_no_supervisor(struct cli *cli, enum hif_err lost,
                                          const struct hif_why *reason, struct hif_why *why)
{
        struct hif_why unseen = {0};
        json_t *pong = NULL;
        enum hif_err err;

        if (lost != HIF_OK)
                return why_set(
                    why, lost,
                    "the daemon has lost its supervisor, and gets no other: %s; try again",
                    reason->text);
        err = control_ping(cli, 0, &pong, &unseen);
        if (err != HIF_OK)
                return control_unheard(cli, &unseen) == HIF_OK
                           ? HIF_ENOENT
                           : why_set(why, HIF_EUNREACHABLE, "%s", unseen.text);
        why_set(why, HIF_ENOTSUP,
                "the daemon (process %lld, version %s) has no supervisor, and no other could be "
                "started for it: it may be of a version that had none; `hif daemon stop` unmounts "
                "and ends it, `hif mount` starts this version, and sessions keep their edits",
                count_of(pong, "pid"), text_of(pong, "version"));
        json_decref(pong);
        return HIF_ENOTSUP;
}

/* Have the supervisor do it. */
static enum hif_err ask_supervisor(struct cli *cli, uint16_t kind, const char *name,
                                   json_t **result, struct hif_why *why)
{
        struct hif_why reason = {0};
        enum hif_err lost = control_supervise(cli, &reason);
        enum hif_err err = supervisor_ask(cli, kind, name, result, why);

        return err == HIF_ENOENT ? explain_no_supervisor(cli, lost, &reason, why) : err;
}

/* --- restart --- */

static const struct argp restart_argp = {
    .doc = "Start the server anew. Mounts stay, and programs in them wait for a moment. One that "
           "hangs is killed."};

static int cmd_restart(struct cli *cli, int argc, char **argv)
{
        struct hif_why why = {0};
        json_t *result = NULL;
        enum hif_err err;

        cli_parse(cli, &restart_argp, argc, argv, NULL);
        err = ask_supervisor(cli, WIRE_RESTART, "", &result, &why);
        json_decref(result);
        if (err != HIF_OK)
                return cli_fail(cli, err, &why);
        if (cli->json)
                return cli_print_json(cli, json_pack("{s:b}", "restarted", true));
        printf("Another server runs\n");
        return cli_finish(cli, EXIT_DONE);
}

/* --- upgrade --- */

static error_t parse_upgrade(int key, char *arg, struct argp_state *state)
{
        const char **program = state->input;

        if (key != ARGP_KEY_ARG)
                return ARGP_ERR_UNKNOWN;
        if (state->arg_num > 0)
                argp_error(state, "one program at a time");
        *program = arg;
        return 0;
}

static const struct argp upgrade_argp = {
    .parser = parse_upgrade,
    .args_doc = "[PROGRAM]",
    .doc = "Have another version of hif take over, PROGRAM or the one that this command is of. "
           "Mounts stay, and programs in them wait for a moment. If it does not answer within 5 s, "
           "the old version goes on."};

/* NULL: our own. */
static enum hif_err path_of_program(struct cli *cli, const char *program, char **out,
                                    struct hif_why *why)
{
        AUTO_FREE char *named = NULL;
        char *path;
        enum hif_err err;

        if (program == NULL)
                program = "/proc/self/exe";
        err = cli_path(cli, program, &named);
        if (err != HIF_OK)
                return err;
        path = realpath(named, NULL);
        if (path == NULL)
                return why_set(why, hif_err_from_errno(errno),
                               "'%s' is no program that can be run: %s", program, strerror(errno));
        *out = path;
        return HIF_OK;
}

static int cmd_upgrade(struct cli *cli, int argc, char **argv)
{
        const char *program = NULL;
        AUTO_FREE char *path = NULL;
        struct hif_why why = {0};
        json_t *result = NULL;
        enum hif_err err;

        cli_parse(cli, &upgrade_argp, argc, argv, &program);
        err = path_of_program(cli, program, &path, &why);
        if (err == HIF_OK)
                err = ask_supervisor(cli, WIRE_UPGRADE, path, &result, &why);
        if (err != HIF_OK)
                return cli_fail(cli, err, &why);
        if (cli->json)
                return cli_print_json(cli, result);
        printf("Version %s has taken over from %s\n", text_of(result, "version"),
               text_of(result, "from"));
        json_decref(result);
        return cli_finish(cli, EXIT_DONE);
}

static const struct command subcommands[] = {
    {"run", "serve in the foreground", cmd_run},
    {"status", "show whether it runs, and its counters", cmd_daemon_status},
    {"stop", "unmount everything and end it", cmd_stop},
    {"restart", "start its server anew; mounts stay", cmd_restart},
    {"upgrade", "have another version take over; mounts stay", cmd_upgrade},
    {"serve", "what run starts", cmd_serve},
    {0}};

int cmd_daemon(struct cli *cli, int argc, char **argv)
{
        return cli_subcommand(cli, subcommands, argc, argv);
}
