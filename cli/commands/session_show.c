/* hif session show: a session with all it holds, wherever it is. */
#include "base/cleanup.h"
#include "cli/base64.h"
#include "cli/commands/session.h"
#include "cli/control.h"
#include "cli/session/session_find.h"
#include "cli/session/session_view.h"

#include <stdlib.h>
#include <string.h>

struct show_args {
        const char *first, *second;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
        struct show_args *args = state->input;

        if (key != ARGP_KEY_ARG)
                return ARGP_ERR_UNKNOWN;
        if (args->first == NULL)
                args->first = arg;
        else if (args->second == NULL)
                args->second = arg;
        else
                return ARGP_ERR_UNKNOWN;
        return 0;
}

static const struct argp argp = {
    .parser = parse,
    .args_doc = "[ORG/NAME] [SESSION|@N|@N.I]",
    .doc =
        "Show goal, operations, decisions and conversation of a session: of the one in which you "
        "stand, of one on this machine (by its name or the start of its id), of an open one "
        "in the store, or of one that has landed (@N; @N.I of several that landed there "
        "together; or the start of its id). Inside a mount the project need not be named."};

/* The session of the mount that we stand in. */
static enum hif_err show_here(struct cli *cli, struct session_found *out, struct hif_why *why)
{
        json_t *result = NULL;
        enum hif_err err = session_ask(cli, json_pack("{s:s}", "op", "session_show"), &result, why);

        if (err != HIF_OK)
                return err;
        err = session_found_take(out, result);
        return err == HIF_OK ? HIF_OK
                             : why_set(why, err,
                                       "the daemon's answer is damaged; is it of "
                                       "another version? `hif daemon stop` and try again");
}

static int print(struct cli *cli, struct session_found *found)
{
        json_t *object = found->about;

        if (cli->json) {
                if (session_to_json(object, &found->session) != HIF_OK)
                        return cli_fail(cli, HIF_ENOMEM, NULL);
                return cli_print_json(cli, json_incref(object));
        }
        printf("%s%s%s", cli_color(cli, COLOR_BOLD), json_text(object, "project"),
               cli_color(cli, COLOR_NONE));
        if (json_object_get(object, "position") != NULL)
                printf(", landed at @%lld",
                       (long long)json_integer_value(json_object_get(object, "position")));
        if (json_text(object, "session")[0] != '\0')
                printf(", session %s", json_text(object, "session"));
        if (json_text(object, "mount_point")[0] != '\0') {
                printf(json_is_false(json_object_get(object, "mounted")) ? ", last at " : ", at ");
                cli_print_path(span_str(json_text(object, "mount_point")));
        }
        printf("\n");
        session_print(cli, &found->session);
        return cli_finish(cli, EXIT_DONE);
}

int cmd_session_show(struct cli *cli, int argc, char **argv)
{
        struct show_args args = {0};
        struct session_found found = {0};
        struct hif_why why = {0};
        enum hif_err err;
        int code;

        cli_parse(cli, &argp, argc, argv, &args);
        if (args.first == NULL)
                err = show_here(cli, &found, &why);
        else
                err = session_find(cli, args.second != NULL ? args.first : NULL,
                                   args.second != NULL ? args.second : args.first, &found, &why);
        if (err == HIF_EINVAL)
                code = cli_usage(cli, "%s", why.text);
        else
                code = err == HIF_OK ? print(cli, &found) : cli_fail(cli, err, &why);
        session_found_free(&found);
        return code;
}
