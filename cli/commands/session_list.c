/* hif session list: here, and open in the store. */
#include "base/cleanup.h"
#include "cli/commands/session.h"
#include "cli/known.h"
#include "cli/session/session_open.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct list_args {
        const char *project;
        bool all;
};

enum { KEY_REMOTE = 256 };

static const struct argp_option options[] = {
    {"all", 'a', NULL, 0, "Those, too, that lie open in the store", 0},
    {"remote", KEY_REMOTE, NULL, OPTION_ALIAS, NULL, 0},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
        struct list_args *args = state->input;

        switch (key) {
        case 'a':
        case KEY_REMOTE:
                args->all = true;
                return 0;
        case ARGP_KEY_ARG:
                if (args->project != NULL)
                        return ARGP_ERR_UNKNOWN;
                args->project = arg;
                return 0;
        default:
                return ARGP_ERR_UNKNOWN;
        }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "[ORG/NAME]",
    .doc = "List this machine's sessions, of all projects or of one; with -a also those that lie "
           "open in the store: whose they are, what for, and where they are in use."};

/* --- in the store --- */

struct remote {
        const char *project;
        json_t *list, *here;
};

static bool is_here(const json_t *sessions, const char *id)
{
        const json_t *session;
        size_t index;

        json_array_foreach((json_t *)(uintptr_t)sessions, index, session)
        {
                if (strcmp(json_text(session, "id"), id) == 0)
                        return true;
        }
        return false;
}

static enum hif_err add_record(void *arg, const char *key, const struct open_session *record)
{
        struct remote *remote = arg;
        char id[SESSION_ID_HEX_SIZE];
        json_t *item;

        if (record == NULL)
                item = json_pack("{s:s, s:s, s:s}", "project", remote->project, "state", "damaged",
                                 "key", key);
        else
                item = session_record_to_json(remote->project, record);
        if (item == NULL)
                return HIF_ENOMEM;
        if (record != NULL) {
                session_id_to_hex(&record->id, id);
                (void)json_object_set_new(item, "here", json_boolean(is_here(remote->here, id)));
        }
        return json_array_append_new(remote->list, item) == 0 ? HIF_OK : HIF_ENOMEM;
}

struct remotes {
        struct cli *cli;
        struct store *store;
        struct remote remote;
        struct hif_why *why;
};

static enum hif_err add_project(void *arg, const char *name)
{
        struct remotes *remotes = arg;
        struct project project;
        enum hif_err err =
            project_open(&remotes->cli->env, remotes->store, name, &project, remotes->why);

        remotes->remote.project = name;
        return err == HIF_OK
                   ? open_record_list(&project, "", 0, add_record, &remotes->remote, remotes->why)
                   : err;
}

static enum hif_err add_remotes(struct cli *cli, const char *project, json_t *list,
                                struct hif_why *why)
{
        struct remotes remotes = {
            .cli = cli, .remote = {.list = list, .here = json_deep_copy(list)}, .why = why};
        enum hif_err err = cli_store(cli, false, &remotes.store, why);

        if (err == HIF_OK && project != NULL)
                err = add_project(&remotes, project);
        else if (err == HIF_OK)
                err = project_list(&cli->env, remotes.store, add_project, &remotes, why);
        store_close(remotes.store);
        json_decref(remotes.remote.here);
        return err;
}

/* --- the list --- */

static void print_goal(const json_t *session)
{
        if (json_text(session, "goal")[0] == '\0')
                return;
        printf("    ");
        cli_print_text(span_str(json_text(session, "goal")), 4);
        printf("\n");
}

static void print_here(const json_t *session)
{
        bool mounted = json_is_true(json_object_get(session, "mounted"));
        const char *state = json_text(session, "state");

        printf("%s  %s  %.8s  base @%lld  %s%s%s%s\n", json_text(session, "project"),
               json_text(session, "session"), json_text(session, "id"),
               (long long)json_integer_value(json_object_get(session, "base")),
               strcmp(state, "open") == 0 ? "" : state, strcmp(state, "open") == 0 ? "" : "  ",
               mounted ? "mounted at " : "not mounted",
               mounted ? json_text(session, "mount_point") : "");
        print_goal(session);
}

static void print_remote(const json_t *session)
{
        if (strcmp(json_text(session, "state"), "damaged") == 0) {
                printf("%s  %s is damaged\n", json_text(session, "project"),
                       json_text(session, "key"));
                return;
        }
        printf("%s  ", json_text(session, "project"));
        cli_print_path(span_str(json_text(session, "session")));
        printf("  %.8s  base @%lld  %s", json_text(session, "id"),
               (long long)json_integer_value(json_object_get(session, "base")),
               json_text(session, "state"));
        printf(json_is_true(json_object_get(session, "held")) ? ", in use by " : ", put down by ");
        cli_print_path(span_str(json_text(session, "author")));
        printf(" on ");
        cli_print_path(span_str(json_text(session, "holder")));
        printf(", %.19s\n", json_text(session, "updated"));
        print_goal(session);
}

static void print_list(const json_t *list)
{
        bool heading = false;
        const json_t *session;
        size_t index;

        json_array_foreach((json_t *)(uintptr_t)list, index, session)
        {
                bool remote = json_object_get(session, "directory") == NULL;

                if (remote && !heading)
                        printf("In the store:\n");
                heading |= remote;
                if (remote)
                        print_remote(session);
                else
                        print_here(session);
        }
        if (json_array_size(list) == 0)
                printf("no sessions\n");
}

static json_t *of_project(json_t *sessions, const char *project)
{
        json_t *list = json_array(), *session;
        size_t index;

        json_array_foreach(sessions, index, session)
        {
                if (project == NULL || strcmp(json_text(session, "project"), project) == 0)
                        (void)json_array_append(list, session);
        }
        json_decref(sessions);
        return list;
}

int cmd_session_list(struct cli *cli, int argc, char **argv)
{
        struct list_args args = {0};
        struct hif_why why = {0};
        struct layout layout;
        json_t *sessions = NULL;
        enum hif_err err;

        cli_parse(cli, &argp, argc, argv, &args);
        if (args.project != NULL && layout_init(&layout, args.project, &why) != HIF_OK)
                return cli_usage(cli, "%s", why.text);
        err = sessions_here(cli, &sessions);
        sessions = of_project(sessions, args.project);
        if (err == HIF_OK && args.all)
                err = add_remotes(cli, args.project, sessions, &why);
        if (err != HIF_OK) {
                json_decref(sessions);
                return cli_fail(cli, err, &why);
        }
        if (cli->json)
                return cli_print_json(cli, sessions);
        print_list(sessions);
        json_decref(sessions);
        return cli_finish(cli, EXIT_DONE);
}
