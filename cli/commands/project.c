/* hif project create, hif project list. */
#include "land/project.h"
#include "cli/commands/commands.h"

/* --- create --- */

struct create_args {
        const char *name;
};

static error_t parse_create(int key, char *arg, struct argp_state *state)
{
        struct create_args *args = state->input;

        switch (key) {
        case ARGP_KEY_ARG:
                if (args->name)
                        return ARGP_ERR_UNKNOWN;
                args->name = arg;
                return 0;
        case ARGP_KEY_NO_ARGS:
                argp_error(state, "which project? Name it as ORG/NAME");
                return 0;
        default:
                return ARGP_ERR_UNKNOWN;
        }
}

static const struct argp create_argp = {
    .parser = parse_create,
    .args_doc = "ORG/NAME",
    .doc = "Create an empty project in the store. ORG and NAME are 1 to 64 letters, digits, \".\", "
           "\"_\" and \"-\", not starting with \".\" or \"-\"."};

static enum hif_err create(struct cli *cli, const char *name, char **url, struct hif_why *why)
{
        struct store *store;
        struct project project;
        enum hif_err err = cli_store(cli, true, &store, why);

        if (err != HIF_OK)
                return err;
        err = project_create(&cli->env, store, name, cli->config.author, &project, why);
        if (err == HIF_OK) {
                *url = strdup(store_url(store));
                err = *url ? HIF_OK : HIF_ENOMEM;
        }
        store_close(store);
        return err;
}

static int cmd_create(struct cli *cli, int argc, char **argv)
{
        struct create_args args = {0};
        struct layout layout;
        struct hif_why why = {0};
        AUTO_FREE char *url = NULL;
        enum hif_err err;

        cli_parse(cli, &create_argp, argc, argv, &args);
        if (layout_init(&layout, args.name, &why) != HIF_OK)
                return cli_usage(cli, "%s", why.text);
        err = create(cli, args.name, &url, &why);
        if (err != HIF_OK)
                return cli_fail(cli, err, &why);
        if (cli->json)
                return cli_print_json(cli, json_pack("{s:s, s:s, s:i}", "project", args.name,
                                                     "store", url, "position", 0));
        printf("Created %s in %s\n", args.name, url);
        return cli_finish(cli, EXIT_DONE);
}

/* --- list --- */

static const struct argp list_argp = {.doc = "List the projects of the store."};

struct listing {
        json_t *names; /* NULL: print as they come */
};

static enum hif_err list_one(void *arg, const char *name)
{
        struct listing *listing = arg;

        if (!listing->names) {
                printf("%s\n", name);
                return HIF_OK;
        }
        return json_array_append_new(listing->names, json_pack("{s:s}", "project", name)) == 0
                   ? HIF_OK
                   : HIF_ENOMEM;
}

static enum hif_err list(struct cli *cli, struct listing *listing, struct hif_why *why)
{
        struct store *store;
        enum hif_err err = cli_store(cli, false, &store, why);

        if (err != HIF_OK)
                return err;
        err = project_list(&cli->env, store, list_one, listing, why);
        store_close(store);
        return err;
}

static int cmd_list(struct cli *cli, int argc, char **argv)
{
        struct listing listing = {0};
        struct hif_why why = {0};
        enum hif_err err;

        cli_parse(cli, &list_argp, argc, argv, NULL);
        if (cli->json)
                listing.names = json_array();
        err = cli->json && !listing.names ? HIF_ENOMEM : list(cli, &listing, &why);
        if (err != HIF_OK) {
                json_decref(listing.names);
                return cli_fail(cli, err, &why);
        }
        return cli->json ? cli_print_json(cli, listing.names) : cli_finish(cli, EXIT_DONE);
}

static const struct command subcommands[] = {{"create", "create an empty project", cmd_create},
                                             {"list", "list the projects of the store", cmd_list},
                                             {0}};

int cmd_project(struct cli *cli, int argc, char **argv)
{
        return cli_subcommand(cli, subcommands, argc, argv);
}
