/* hif help [COMMAND], hif version. */
#include "cli/commands/commands.h"

struct args {
        const char *command;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
        struct args *args = state->input;

        if (key != ARGP_KEY_ARG || args->command)
                return ARGP_ERR_UNKNOWN;
        args->command = arg;
        return 0;
}

static const struct argp help_argp = {
    .parser = parse, .args_doc = "[COMMAND]", .doc = "List the commands, or tell about one."};

static int list_json(const struct cli *cli)
{
        json_t *list = json_array();

        for (const struct command *c = commands; c->name; c++)
                (void)json_array_append_new(
                    list, json_pack("{s:s, s:s}", "name", c->name, "summary", c->summary));
        return cli_print_json(cli, list);
}

int cmd_help(struct cli *cli, int argc, char **argv)
{
        struct args args = {0};
        char option[] = "--help";

        cli_parse(cli, &help_argp, argc, argv, &args);
        if (args.command) {
                char *words[] = {(char *)args.command, option, NULL};

                return cli_dispatch(cli, commands, "hif", 2, words);
        }
        if (cli->json)
                return list_json(cli);
        printf("Usage: hif COMMAND [ARGUMENT...]\n\n");
        for (const struct command *c = commands; c->name; c++)
                printf("  %s%-8s%s  %s\n", cli_color(cli, COLOR_BOLD), c->name,
                       cli_color(cli, COLOR_NONE), c->summary);
        printf("\n\"hif COMMAND --help\" tells about one.\n");
        return cli_finish(cli, EXIT_DONE);
}

static const struct argp version_argp = {.parser = NULL, .doc = "Print the version."};

int cmd_version(struct cli *cli, int argc, char **argv)
{
        cli_parse(cli, &version_argp, argc, argv, NULL);
        if (cli->json)
                return cli_print_json(cli, json_pack("{s:s}", "version", HIF_VERSION));
        printf("hif %s\n", HIF_VERSION);
        return cli_finish(cli, EXIT_DONE);
}
