/* hif session: list, status, abandon; the others have files of their own. */
#include "cli/cmd_session.h"
#include "base/cleanup.h"
#include "cli/control.h"
#include "core/layout.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum hif_err session_ask(struct cli *cli, json_t *request, json_t **result, struct hif_why *why)
{
        AUTO_FREE char *here = NULL;
        enum hif_err err = cli_absolute(cli, ".", &here, why);

        if (err == HIF_OK && json_object_set_new(request, "path", json_string(here)) != 0)
                err = HIF_ENOMEM;
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

static void print_session(const json_t *session)
{
        bool mounted = json_is_true(json_object_get(session, "mounted"));

        printf("%s  %s  base @%lld  %s%s\n", json_text(session, "project"),
               json_text(session, "session"),
               (long long)json_integer_value(json_object_get(session, "base")),
               mounted ? "mounted at " : "not mounted",
               mounted ? json_text(session, "mount_point") : "");
        if (json_text(session, "goal")[0] != '\0') {
                printf("    ");
                cli_print_text(span_str(json_text(session, "goal")), 4);
                printf("\n");
        }
}

static const struct argp list_argp = {.doc = "List this machine's sessions."};

static int cmd_list(struct cli *cli, int argc, char **argv)
{
        json_t *sessions = NULL, *session;
        size_t index;
        enum hif_err err;

        cli_parse(cli, &list_argp, argc, argv, NULL);
        err = sessions_here(cli, &sessions);
        if (err != HIF_OK) {
                json_decref(sessions);
                return cli_fail(cli, err, NULL);
        }
        if (cli->json)
                return cli_print_json(cli, sessions);
        json_array_foreach(sessions, index, session) print_session(session);
        if (json_array_size(sessions) == 0)
                printf("no sessions\n");
        json_decref(sessions);
        return cli_finish(cli, EXIT_DONE);
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
                return cli_fail(cli, err, &why);
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

/* --- abandon --- */

struct abandon_args {
        const char *project, *session;
};

static error_t parse_abandon(int key, char *arg, struct argp_state *state)
{
        struct abandon_args *args = state->input;

        switch (key) {
        case ARGP_KEY_ARG:
                if (args->project == NULL)
                        args->project = arg;
                else if (args->session == NULL)
                        args->session = arg;
                else
                        return ARGP_ERR_UNKNOWN;
                return 0;
        case ARGP_KEY_END:
                if (args->session == NULL)
                        argp_error(state,
                                   "which session? Name project and session, as `hif session "
                                   "list` shows them");
                return 0;
        default:
                return ARGP_ERR_UNKNOWN;
        }
}

static const struct argp abandon_argp = {
    .parser = parse_abandon,
    .args_doc = "ORG/NAME SESSION",
    .doc = "Give a session up. It must not be mounted. Its edits are moved aside, to a directory "
           "that is printed; moving it back undoes this."};

/* state_dir/abandoned/{org}.{name}.{session}.{ns} */
static enum hif_err move_aside(struct cli *cli, const char *from, const struct abandon_args *args,
                               char **to, struct hif_why *why)
{
        AUTO_FREE char *dir = NULL;
        size_t org = strcspn(args->project, "/");
        enum hif_err err;

        if (asprintf(&dir, "%s/abandoned", cli->paths.state_dir) < 0) {
                dir = NULL;
                return HIF_ENOMEM;
        }
        if (asprintf(to, "%s/%.*s.%s.%s.%llu", dir, (int)org, args->project,
                     args->project + org + 1, args->session,
                     (unsigned long long)env_wall_ns(&cli->env)) < 0) {
                *to = NULL;
                return HIF_ENOMEM;
        }
        err = cli_mkdir(cli, dir, why);
        if (err != HIF_OK)
                return err;
        err = cli->env.ops->rename(&cli->env, from, *to);
        if (err != HIF_OK)
                return why_set(why, err, "'%s' could not be moved to '%s': %s", from, *to,
                               hif_strerror(err));
        return env_sync_dir(&cli->env, dir);
}

static enum hif_err abandon(struct cli *cli, const struct abandon_args *args, char **to,
                            struct hif_why *why)
{
        AUTO_FREE char *from = NULL, *mark = NULL;

        if (asprintf(&from, "%s/workspaces/%s/%s", cli->paths.state_dir, args->project,
                     args->session) < 0) {
                from = NULL;
                return HIF_ENOMEM;
        }
        if (asprintf(&mark, "%s/mounted", from) < 0) {
                mark = NULL;
                return HIF_ENOMEM;
        }
        if (access(from, F_OK) != 0)
                return why_set(
                    why, HIF_ENOENT,
                    "%s has no session '%s' here; `hif session list` shows what there is",
                    args->project, args->session);
        if (access(mark, F_OK) == 0)
                return why_set(why, HIF_EBUSY,
                               "session '%s' of %s is mounted; `hif unmount` it first",
                               args->session, args->project);
        return move_aside(cli, from, args, to, why);
}

static int cmd_abandon(struct cli *cli, int argc, char **argv)
{
        struct abandon_args args = {0};
        struct layout layout;
        struct hif_why why = {0};
        AUTO_FREE char *to = NULL;
        enum hif_err err;

        cli_parse(cli, &abandon_argp, argc, argv, &args);
        if (layout_init(&layout, args.project, &why) != HIF_OK)
                return cli_usage(cli, "%s", why.text);
        if (strchr(args.session, '/') != NULL || args.session[0] == '.' || args.session[0] == '\0')
                return cli_usage(
                    cli, "'%s' cannot name a session; `hif session list` shows what there is",
                    args.session);
        err = abandon(cli, &args, &to, &why);
        if (err != HIF_OK)
                return cli_fail(cli, err, &why);
        if (cli->json)
                return cli_print_json(cli, json_pack("{s:s, s:s, s:s}", "project", args.project,
                                                     "session", args.session, "moved_to", to));
        printf("Abandoned session %s of %s; its edits are in %s\n", args.session, args.project, to);
        return cli_finish(cli, EXIT_DONE);
}

static const struct command subcommands[] = {
    {"start", "give a session its goal", cmd_session_start},
    {"note", "append to its conversation", cmd_session_note},
    {"decide", "append a decision", cmd_session_decide},
    {"list", "list sessions", cmd_list},
    {"show", "show a session with all it holds", cmd_session_show},
    {"status", "show the session in which you stand", cmd_session_status},
    {"abandon", "give a session up", cmd_abandon},
    {0}};

int cmd_session(struct cli *cli, int argc, char **argv)
{
        return cli_subcommand(cli, subcommands, argc, argv);
}
