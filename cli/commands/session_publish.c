/* hif session publish. */
#include "cli/commands/session.h"
#include "cli/control.h"

#include <stdlib.h>

static const struct argp argp = {
    .doc =
        "Store what the session in which you stand (or -C DIR) holds, without landing it: others "
        "can look at it, and another machine can go on with it (hif session claim)."};

static void show_progress(void *arg, const json_t *progress)
{
        progress_set(arg, (uint64_t)json_integer_value(json_object_get(progress, "files_done")),
                     (uint64_t)json_integer_value(json_object_get(progress, "files_total")),
                     (uint64_t)json_integer_value(json_object_get(progress, "bytes_done")));
}

int cmd_session_publish(struct cli *cli, int argc, char **argv)
{
        struct hif_why why = {0};
        struct progress *progress;
        json_t *result = NULL, *request;
        enum hif_err err;

        cli_parse(cli, &argp, argc, argv, NULL);
        request = json_pack("{s:s}", "op", "session_publish");
        err = cli_put_place(cli, request, ".", &why);
        if (err != HIF_OK) {
                json_decref(request);
                return cli_fail(cli, err, &why);
        }
        progress = progress_begin(cli, "publishing");
        err = control_ask(cli, request, show_progress, progress, &result, &why);
        progress_end(progress);
        if (err != HIF_OK)
                return cli_fail(cli, err, &why);
        if (cli->json)
                return cli_print_json(cli, result);
        printf("Published session %s (%s) of %s, revision %lld\n", json_text(result, "session"),
               json_text(result, "id"), json_text(result, "project"),
               (long long)json_integer_value(json_object_get(result, "revision")));
        json_decref(result);
        return cli_finish(cli, EXIT_DONE);
}
