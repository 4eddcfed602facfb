/* hif session export: also of a session that is damaged, and without mounting it. */
#include "base/cleanup.h"
#include "cli/commands/session.h"
#include "cli/control.h"
#include "cli/known.h"
#include "cli/session/session_find.h"
#include "core/layout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct export_args {
        const char *words[3];
        size_t count;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
        struct export_args *args = state->input;

        switch (key) {
        case ARGP_KEY_ARG:
                if (args->count == 3)
                        return ARGP_ERR_UNKNOWN;
                args->words[args->count++] = arg;
                return 0;
        case ARGP_KEY_NO_ARGS:
                argp_error(state, "where to? Name a directory to be made");
                return 0;
        default:
                return ARGP_ERR_UNKNOWN;
        }
}

static const struct argp argp = {
    .parser = parse,
    .args_doc = "[[ORG/NAME] SESSION] DIR",
    .doc =
        "Save what a session holds as a plain directory: the files that it made or changed under "
        "DIR/files, and in DIR/report.txt what it removed, what is damaged, and what could not be "
        "saved. Of the session in which you stand, or of one on this machine by its name or the "
        "start of its id. It need not be mounted, and the store need not be reachable; a session "
        "that is damaged is saved as far as it can be read, and is not changed."};

/* The directory as the daemon sees it: without symbolic links, which could lead into a mount. */
static enum hif_err directory_of(struct cli *cli, const char *dir, char **out, struct hif_why *why)
{
        AUTO_FREE char *path = NULL, *parent = NULL;
        char *slash;
        enum hif_err err = cli_absolute(cli, dir, &path, why);

        if (err != HIF_OK)
                return err;
        *out = realpath(path, NULL);
        if (*out != NULL)
                return HIF_OK;
        slash = strrchr(path, '/');
        *slash = '\0';
        parent = realpath(slash == path ? "/" : path, NULL);
        if (parent == NULL)
                return why_set(why, hif_err_from_errno(errno),
                               "'%s' cannot be made: the directory above it cannot be found: %s",
                               dir, strerror(errno));
        if (asprintf(out, "%s/%s", strcmp(parent, "/") == 0 ? "" : parent, slash + 1) < 0) {
                *out = NULL;
                return HIF_ENOMEM;
        }
        return HIF_OK;
}

/* Say which session: by project and name, or by where we stand. */
static enum hif_err name_session(struct cli *cli, const struct export_args *args, json_t *request,
                                 struct hif_why *why)
{
        const char *project = args->count == 3 ? args->words[0] : NULL;
        const char *name = args->words[args->count - 2];
        struct layout layout;
        json_t *found = NULL;
        enum hif_err err = project != NULL ? layout_init(&layout, project, why) : HIF_OK;

        if (err == HIF_OK)
                err = session_find_here(cli, project, name, &found, why);
        if (err == HIF_OK) {
                project = json_text(found, "project");
                name = json_text(found, "session");
        } else if (err == HIF_ENOENT && project != NULL && session_name_valid(name)) {
                err = HIF_OK; /* its summary may be what is damaged */
        }
        if (err == HIF_ENOENT && why->text[0] == '\0')
                why_set(why, err,
                        "there is no session '%s' on this machine; `hif session list` shows those "
                        "that are",
                        name);
        if (err == HIF_OK && (json_object_set_new(request, "project", json_string(project)) != 0 ||
                              json_object_set_new(request, "session", json_string(name)) != 0))
                err = HIF_ENOMEM;
        json_decref(found);
        return err;
}

static void print(const struct cli *cli, const json_t *result)
{
        const json_t *damage = json_object_get(result, "damage");
        long long lost = json_integer_value(json_object_get(result, "not_saved"));

        printf("Saved %lld file(s), %lld link(s) in ",
               (long long)json_integer_value(json_object_get(result, "files")),
               (long long)json_integer_value(json_object_get(result, "symlinks")));
        cli_print_path(span_str(json_text(result, "directory")));
        printf("/files\n");
        if (json_array_size(damage) > 0)
                cli_warn(cli, "the session is damaged: %s",
                         json_string_value(json_array_get(damage, 0)));
        if (lost > 0)
                cli_warn(cli, "%lld path(s) could not be saved, or not wholly: report.txt says why",
                         lost);
}

int cmd_session_export(struct cli *cli, int argc, char **argv)
{
        struct export_args args = {0};
        struct hif_why why = {0};
        AUTO_FREE char *dir = NULL;
        json_t *result = NULL, *request;
        enum hif_err err;

        cli_parse(cli, &argp, argc, argv, &args);
        err = directory_of(cli, args.words[args.count - 1], &dir, &why);
        if (err != HIF_OK)
                return cli_fail(cli, err, &why);
        request = json_pack("{s:s, s:s}", "op", "session_export", "directory", dir);
        if (request == NULL)
                return cli_fail(cli, HIF_ENOMEM, NULL);
        if (args.count == 1) {
                err = session_ask(cli, request, &result, &why);
        } else {
                err = name_session(cli, &args, request, &why);
                if (err == HIF_EINVAL) {
                        json_decref(request);
                        return cli_usage(cli, "%s", why.text);
                }
                if (err == HIF_OK)
                        err = control_ask(cli, request, NULL, NULL, &result, &why);
                else
                        json_decref(request);
        }
        if (err != HIF_OK)
                return cli_fail(cli, err, &why);
        if (cli->json)
                return cli_print_json(cli, result);
        print(cli, result);
        json_decref(result);
        return cli_finish(cli, EXIT_DONE);
}
