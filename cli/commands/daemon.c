/* hif daemon run, status, stop. */
#include "cli/daemon/daemon.h"
#include "base/cleanup.h"
#include "cli/commands/commands.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PING_TIMEOUT_MS 5000
#define STOP_TIMEOUT_MS 60000

static const struct argp run_argp = {
    .doc = "Serve this user's mounts in the foreground. `hif mount` starts it when it is needed."};

static int cmd_run(struct cli *cli, int argc, char **argv)
{
        struct hif_why why = {0};
        enum hif_err err;

        cli_parse(cli, &run_argp, argc, argv, NULL);
        err = daemon_run(cli, &why);
        return err == HIF_OK ? EXIT_DONE : cli_fail(cli, err, &why);
}

static enum hif_err ask(struct cli *cli, json_t *request, uint64_t timeout_ms, json_t **result,
                        struct hif_why *why)
{
        int fd;
        enum hif_err err = control_connect(cli, false, &fd, why);

        if (err != HIF_OK) {
                json_decref(request);
                return err;
        }
        err = control_call(fd, request, timeout_ms, NULL, NULL, result, why);
        close(fd);
        return err;
}

static const struct argp status_argp = {
    .doc = "Show whether the daemon runs, and what it has fetched."};

static long long count_of(const json_t *object, const char *name)
{
        return (long long)json_integer_value(json_object_get(object, name));
}

static int cmd_daemon_status(struct cli *cli, int argc, char **argv)
{
        struct hif_why why = {0};
        json_t *result = NULL, *fetch;
        enum hif_err err;

        cli_parse(cli, &status_argp, argc, argv, NULL);
        err = ask(cli, json_pack("{s:s}", "op", "ping"), PING_TIMEOUT_MS, &result, &why);
        if (err != HIF_OK)
                return cli_fail(cli, err, &why);
        if (cli->json)
                return cli_print_json(cli, result);
        fetch = json_object_get(result, "fetch");
        printf("daemon %s, process %lld\n", json_string_value(json_object_get(result, "version")),
               count_of(result, "pid"));
        printf("store: %lld requests, %lld bytes; %lld tree nodes, %lld blobs\n",
               count_of(fetch, "store_requests"), count_of(fetch, "store_bytes"),
               count_of(fetch, "nodes"), count_of(fetch, "blobs"));
        printf("cache: %lld bytes in memory, %lld on disk\n", count_of(fetch, "ram_bytes"),
               count_of(fetch, "ssd_bytes"));
        json_decref(result);
        return cli_finish(cli, EXIT_DONE);
}

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

static int cmd_stop(struct cli *cli, int argc, char **argv)
{
        struct hif_why why = {0};
        json_t *result = NULL;
        bool suspend = false;
        enum hif_err err;

        cli_parse(cli, &stop_argp, argc, argv, &suspend);
        err = ask(cli, json_pack("{s:s, s:b}", "op", "stop", "suspend", suspend), 0, &result, &why);
        if (err != HIF_OK)
                return cli_fail(cli, err, &why);
        wait_for_end((pid_t)count_of(result, "pid"));
        json_decref(result);
        if (cli->json)
                return cli_print_json(cli, json_pack("{s:b}", "stopped", true));
        printf("The daemon has stopped\n");
        return cli_finish(cli, EXIT_DONE);
}

static const struct command subcommands[] = {
    {"run", "serve in the foreground", cmd_run},
    {"status", "show whether it runs, and its counters", cmd_daemon_status},
    {"stop", "unmount everything and end it", cmd_stop},
    {0}};

int cmd_daemon(struct cli *cli, int argc, char **argv)
{
        return cli_subcommand(cli, subcommands, argc, argv);
}
