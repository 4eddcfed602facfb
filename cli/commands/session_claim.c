/* hif session claim: go on with a session that was published elsewhere. */
#include "cli/session/session_claim.h"
#include "base/cleanup.h"
#include "cli/commands/session.h"
#include "cli/known.h"
#include "cli/view.h"
#include "core/layout.h"

#include <stdlib.h>
#include <string.h>

struct claim_args {
        const char *words[3];
        size_t count;
        const char *name;
        bool force;
};

enum { KEY_SESSION = 256 };

static const struct argp_option options[] = {
    {"force", 'f', NULL, 0, "Also when it is in use elsewhere", 0},
    {"session", KEY_SESSION, "NAME", 0, "What to call it here (default: as it is called there)", 0},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
        struct claim_args *args = state->input;

        switch (key) {
        case 'f':
                args->force = true;
                return 0;
        case KEY_SESSION:
                args->name = arg;
                return 0;
        case ARGP_KEY_ARG:
                if (args->count == 3)
                        return ARGP_ERR_UNKNOWN;
                args->words[args->count++] = arg;
                return 0;
        case ARGP_KEY_NO_ARGS:
                argp_error(state, "which session? `hif session list -a` shows those that lie open "
                                  "in the store");
                return 0;
        default:
                return ARGP_ERR_UNKNOWN;
        }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "[ORG/NAME] SESSION [DIR]",
    .doc = "Go on with a session that was published elsewhere: its edits, goal, decisions and "
           "conversation become a session of this machine, with the same id. SESSION is the start "
           "of its id, or its name. With DIR it is mounted there. Inside a mount the project need "
           "not be named."};

/* ORG/NAME is the only one with a slash that may come first. */
static void take_words(const struct claim_args *args, const char **project, const char **session,
                       const char **dir)
{
        size_t at = strchr(args->words[0], '/') != NULL && args->count > 1;

        *project = at > 0 ? args->words[0] : NULL;
        *session = args->words[at];
        *dir = at + 1 < args->count ? args->words[at + 1] : NULL;
}

static enum hif_err claim(struct cli *cli, const struct claim_args *args, const char *project,
                          const char *session, char **project_name, char **name,
                          struct hif_why *why)
{
        struct open_read read = {0};
        struct view view = {0};
        enum hif_err err = view_open(cli, project, &view, why);
        struct session_claim claimed = {.cli = cli,
                                        .opened = &view.project,
                                        .read = &read,
                                        .name = args->name,
                                        .force = args->force};

        if (err == HIF_OK)
                err = session_open_find(&view.project, session, &read, why);
        if (err == HIF_ENOENT && why->text[0] == '\0')
                why_set(why, err,
                        "%s has no open session '%s' in the store; `hif session list -a` shows "
                        "those that it has, `hif log` those that have landed",
                        view.arg.project, session);
        claimed.project = view.arg.project;
        if (err == HIF_OK)
                err = session_claim(&claimed, name, why);
        if (err == HIF_OK) {
                *project_name = strdup(view.arg.project);
                err = *project_name != NULL ? HIF_OK : HIF_ENOMEM;
        }
        open_read_free(&read);
        view_close(&view);
        return err;
}

int cmd_session_claim(struct cli *cli, int argc, char **argv)
{
        struct claim_args args = {0};
        const char *project, *session, *dir;
        AUTO_FREE char *project_name = NULL, *name = NULL;
        struct hif_why why = {0};
        struct layout layout;
        json_t *result = NULL;
        enum hif_err err;

        cli_parse(cli, &argp, argc, argv, &args);
        take_words(&args, &project, &session, &dir);
        if (project != NULL && layout_init(&layout, project, &why) != HIF_OK)
                return cli_usage(cli, "%s", why.text);
        if (args.name != NULL && !session_name_valid(args.name))
                return cli_usage(cli, "'%s' cannot name a session", args.name);
        err = claim(cli, &args, project, session, &project_name, &name, &why);
        if (err == HIF_EINVAL)
                return cli_usage(cli, "%s", why.text);
        if (err == HIF_OK && dir != NULL)
                err = mount_session(cli, project_name, dir, name, NULL, &result, &why);
        if (err != HIF_OK)
                return cli_fail(cli, err, &why);
        if (cli->json)
                return cli_print_json(
                    cli, result != NULL
                             ? result
                             : json_pack("{s:s, s:s}", "project", project_name, "session", name));
        warn_of(cli, result);
        printf("Claimed session %s of %s", name, project_name);
        if (dir != NULL)
                printf(", mounted at %s\n", json_text(result, "mount_point"));
        else
                printf("; mount it with: hif mount %s DIR --session %s\n", project_name, name);
        json_decref(result);
        return cli_finish(cli, EXIT_DONE);
}
