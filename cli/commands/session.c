/* hif session: the table, and status. The others have files of their own. */
#include "cli/commands/session.h"
#include "base/cleanup.h"
#include "cli/control.h"
#include "core/layout.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct argp status_argp = {
    .doc = "Show the session of the workspace in which you stand (or -C DIR)."};

static int cmd_session_status(struct cli *cli, int argc, char **argv)
{
        struct hif_why why = {0};
        json_t *result = NULL;
        enum hif_err err;

        cli_parse(cli, &status_argp, argc, argv, NULL);
        err = session_ask(cli, json_pack("{s:s}", "op", "status"), &result, &why);
        if (err != HIF_OK)
                return cli_fail_here(cli, err, &why);
        if (cli->json)
                return cli_print_json(cli, result);
        printf("session %s (%s) of %s\n", json_text(result, "session"), json_text(result, "id"),
               json_text(result, "project"));
        printf("base @%lld, %zu change(s)\n",
               (long long)json_integer_value(json_object_get(result, "base")),
               json_array_size(json_object_get(result, "changes")));
        if (json_text(result, "goal")[0] != '\0') {
                printf("goal: ");
                cli_print_text(span_str(json_text(result, "goal")), 6);
                printf("\n");
        }
        printf("mounted at %s through %s\n", json_text(result, "mount_point"),
               json_text(result, "front_end"));
        print_uploads(result);
        json_decref(result);
        return cli_finish(cli, EXIT_DONE);
}

static const struct command subcommands[] = {
    {"start", "give a session its goal", cmd_session_start},
    {"note", "append to its conversation", cmd_session_note},
    {"decide", "append a decision", cmd_session_decide},
    {"list", "list sessions", cmd_session_list},
    {"show", "show a session with all it holds", cmd_session_show},
    {"status", "show the session in which you stand", cmd_session_status},
    {"publish", "store it without landing it", cmd_session_publish},
    {"claim", "go on with one from elsewhere", cmd_session_claim},
    {"export", "save what it holds as a directory", cmd_session_export},
    {"abandon", "give a session up", cmd_session_abandon},
    {0}};

int cmd_session(struct cli *cli, int argc, char **argv)
{
        return cli_subcommand(cli, subcommands, argc, argv);
}
