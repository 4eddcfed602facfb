/* hif session: the table, and status. The others have files of their own. */
#include "cli/commands/session.h"
#include "base/cleanup.h"
#include "cli/commands/known.h"
#include "cli/control.h"
#include "core/layout.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum hif_err session_ask(struct cli *cli, json_t *request, json_t **result, struct hif_why *why)
{
        enum hif_err err = cli_put_place(cli, request, ".", why);

        if (err != HIF_OK) {
                json_decref(request);
                return err;
        }
        return control_ask(cli, request, NULL, NULL, result, why);
}

/* --- the sessions that this machine holds, by their summaries --- */

struct listing {
        struct cli *cli;
        const char *dir;
        int depth;
        json_t *sessions;
};

static bool list_one(void *arg, const char *name)
{
        struct listing *listing = arg;
        struct listing deeper = *listing;
        struct env *env = &listing->cli->env;
        AUTO_FREE char *path = NULL, *file = NULL;
        json_t *summary;

        if (asprintf(&path, "%s/%s", listing->dir, name) < 0) {
                path = NULL;
                return false;
        }
        deeper.dir = path;
        deeper.depth++;
        if (listing->depth < 2) {
                (void)!env->ops->list(env, path, list_one, &deeper);
                return true;
        }
        if (asprintf(&file, "%s/session.json", path) < 0) {
                file = NULL;
                return false;
        }
        summary = json_load_file(file, JSON_REJECT_DUPLICATES, NULL);
        if (summary == NULL)
                return true; /* a session that was never mounted to the end */
        free(file);
        if (asprintf(&file, "%s/mounted", path) < 0)
                file = NULL;
        json_object_set_new(summary, "mounted", json_boolean(file && access(file, F_OK) == 0));
        json_object_set_new(summary, "directory", json_string(path));
        json_array_append_new(listing->sessions, summary);
        return true;
}

enum hif_err sessions_here(struct cli *cli, json_t **out)
{
        AUTO_FREE char *root = NULL;
        struct listing listing = {.cli = cli, .sessions = json_array()};
        enum hif_err err;

        if (asprintf(&root, "%s/workspaces", cli->paths.state_dir) < 0) {
                root = NULL;
                return HIF_ENOMEM;
        }
        listing.dir = root;
        err = cli->env.ops->list(&cli->env, root, list_one, &listing);
        *out = listing.sessions;
        return err == HIF_ENOENT ? HIF_OK : err;
}

const char *json_text(const json_t *object, const char *name)
{
        const char *text = json_string_value(json_object_get(object, name));

        return text != NULL ? text : "";
}

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
                return known_fail(cli, err, &why);
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
