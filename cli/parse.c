/* Command lines: argp for options, tables for the names of commands. */
#include "cli/cli.h"
#include "core/key.h"
#include "core/session.h"

#include <errno.h>

/* --- options that every command has --- */

enum { KEY_JSON = 0x1000, KEY_STORE };

static const struct argp_option common_options[] = {
    {"json", KEY_JSON, NULL, 0, "Print one JSON value (docs/cli.md gives its shape)", 0},
    {NULL, 'C', "DIR", 0, "Act as if run in DIR", 0},
    {"store", KEY_STORE, "URL", 0,
     "Where projects are kept: file:///DIR or s3://BUCKET/PREFIX (default: $HIF_STORE, then the "
     "config file, then your data directory)",
     0},
    {0}};

static error_t parse_common(int key, char *arg, struct argp_state *state)
{
        struct cli *cli = state->input;
        char *copy;

        switch (key) {
        case KEY_JSON:
                cli->json = true;
                return 0;
        case 'C':
                cli->directory = arg;
                return 0;
        case KEY_STORE:
                if (!arg[0])
                        argp_error(state, "--store wants a URL, for example file:///srv/hif");
                copy = strdup(arg);
                if (!copy)
                        return ENOMEM;
                free(cli->config.store);
                cli->config.store = copy;
                return 0;
        default:
                return ARGP_ERR_UNKNOWN;
        }
}

const struct argp cli_argp = {.options = common_options, .parser = parse_common};

/* --- one command --- */

struct inputs {
        struct cli *cli;
        void *command;
};

static error_t hand_out_inputs(int key, char *arg, struct argp_state *state)
{
        struct inputs *inputs = state->input;

        (void)arg;
        if (key != ARGP_KEY_INIT)
                return ARGP_ERR_UNKNOWN;
        state->child_inputs[0] = inputs->command;
        state->child_inputs[1] = inputs->cli;
        return 0;
}

void cli_parse(struct cli *cli, const struct argp *argp, int argc, char **argv, void *input)
{
        struct argp command = {.options = argp->options, .parser = argp->parser};
        struct argp_child children[] = {
            {&command, 0, NULL, 0}, {&cli_argp, 0, "Every command has:", 1}, {0}};
        struct argp whole = {.parser = hand_out_inputs,
                             .args_doc = argp->args_doc,
                             .doc = argp->doc,
                             .children = children};
        struct inputs inputs = {cli, input};
        error_t err = argp_parse(&whole, argc, argv, 0, NULL, &inputs);

        if (err != 0) {
                struct hif_why why = {0};

                exit(cli_fail(cli, hif_err_from_errno(err), &why));
        }
}

/* --- names of commands --- */

/* Edits that turn a into b, adjacent letters swapped counting as one (optimal string alignment);
 * more than NAME_LENGTH letters are never near. */
#define NAME_LENGTH 24u

static unsigned distance(const char *a, const char *b)
{
        unsigned cost[NAME_LENGTH + 1][NAME_LENGTH + 1];
        unsigned n = (unsigned)strlen(a), m = (unsigned)strlen(b);

        if (n > NAME_LENGTH || m > NAME_LENGTH)
                return NAME_LENGTH;
        for (unsigned i = 0; i <= n; i++) {
                for (unsigned j = 0; j <= m; j++) {
                        unsigned best;

                        if (i == 0 || j == 0) {
                                cost[i][j] = i + j;
                                continue;
                        }
                        best = cost[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
                        if (cost[i - 1][j] + 1 < best)
                                best = cost[i - 1][j] + 1;
                        if (cost[i][j - 1] + 1 < best)
                                best = cost[i][j - 1] + 1;
                        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                            cost[i - 2][j - 2] + 1 < best)
                                best = cost[i - 2][j - 2] + 1;
                        cost[i][j] = best;
                }
        }
        return cost[n][m];
}

static const struct command *nearest(const struct command *table, const char *name)
{
        const struct command *found = NULL;
        unsigned best = (unsigned)strlen(name) <= 3 ? 2 : 3; /* at most one, or two, mistakes */

        for (const struct command *c = table; c->name; c++) {
                unsigned d = distance(name, c->name);
                bool begins = strlen(name) >= 2 && strncmp(c->name, name, strlen(name)) == 0;

                if (begins)
                        d = 1;
                if (d < best) {
                        best = d;
                        found = c;
                }
        }
        return found;
}

int cli_dispatch(struct cli *cli, const struct command *table, const char *prefix, int argc,
                 char **argv)
{
        const struct command *near;
        AUTO_FREE char *name = NULL;
        AUTO_FREE char **args = NULL;

        for (const struct command *c = table; c->name; c++) {
                if (strcmp(c->name, argv[0]) != 0)
                        continue;
                args = calloc((size_t)argc + 1, sizeof(*args));
                if (!args || asprintf(&name, "%s %s", prefix, c->name) < 0) {
                        name = NULL;
                        return cli_fail(cli, HIF_ENOMEM, NULL);
                }
                memcpy(args, argv, (size_t)argc * sizeof(*args));
                args[0] = name;
                return c->run(cli, argc, args);
        }
        near = nearest(table, argv[0]);
        if (near)
                return cli_usage(cli, "there is no command \"%s %s\"; did you mean \"%s %s\"?",
                                 prefix, argv[0], prefix, near->name);
        return cli_usage(cli, "there is no command \"%s %s\"; \"%s help\" lists them", prefix,
                         argv[0], prefix);
}

static int list_subcommands(struct cli *cli, const struct command *table, const char *prefix)
{
        printf("Usage: %s COMMAND\n\n", prefix);
        for (const struct command *c = table; c->name; c++)
                printf("  %-10s %s\n", c->name, c->summary);
        printf("\n\"%s COMMAND --help\" tells more.\n", prefix);
        return cli_finish(cli, EXIT_DONE);
}

int cli_subcommand(struct cli *cli, const struct command *table, int argc, char **argv)
{
        const char *first = argc > 1 ? argv[1] : NULL;

        if (!first)
                return cli_usage(cli, "%s wants a command; \"%s help\" lists them", argv[0],
                                 argv[0]);
        if (strcmp(first, "help") == 0 || strcmp(first, "--help") == 0 ||
            strcmp(first, "--usage") == 0 || strcmp(first, "-?") == 0)
                return list_subcommands(cli, table, argv[0]);
        if (first[0] == '-')
                return cli_usage(cli,
                                 "options of %s come after its command; \"%s help\" lists them",
                                 argv[0], argv[0]);
        return cli_dispatch(cli, table, argv[0], argc - 1, argv + 1);
}

/* --- arguments --- */

enum hif_err position_parse(const char *text, uint64_t *out, struct hif_why *why)
{
        const char *digits = text[0] == '@' ? text + 1 : text;
        uint64_t position = 0;

        for (const char *c = digits; *c; c++) {
                if (*c < '0' || *c > '9' || position > POSITION_MAX / 10)
                        goto wrong;
                position = position * 10 + (uint64_t)(*c - '0');
        }
        if (!digits[0] || position > POSITION_MAX)
                goto wrong;
        *out = position;
        return HIF_OK;
wrong:
        return why_set(why, HIF_EINVAL, "\"%s\" is no position: it is @ and a number, as in @12",
                       text);
}

enum hif_err path_arg_parse(const char *text, char **out, struct hif_why *why)
{
        const char *given = text;
        char *path;
        size_t size;

        while (*text == '/')
                text++;
        size = strlen(text);
        while (size > 0 && text[size - 1] == '/')
                size--;
        if (!path_valid(span_of(text, size)))
                return why_set(why, HIF_EINVAL,
                               "\"%s\" is no path inside a project: it is names joined by \"/\", "
                               "without \".\" and \"..\"",
                               given);
        path = strndup(text, size);
        if (!path)
                return why_set(why, HIF_ENOMEM, "out of memory");
        *out = path;
        return HIF_OK;
}

enum hif_err project_arg_parse(const char *text, struct project_arg *out, struct hif_why *why)
{
        struct project_arg arg = {0};
        size_t name_size = strcspn(text, "@:");
        const char *at = text[name_size] == '@' ? text + name_size : NULL;
        const char *colon = strchr(text + name_size, ':');
        AUTO_FREE char *position = NULL;
        enum hif_err err = HIF_OK;

        arg.project = strndup(text, name_size);
        if (!arg.project)
                err = why_set(why, HIF_ENOMEM, "out of memory");
        if (err == HIF_OK && at) {
                position = strndup(at, colon ? (size_t)(colon - at) : strlen(at));
                err = position ? position_parse(position, &arg.position, why) : HIF_ENOMEM;
                arg.at = true;
        }
        if (err == HIF_OK && colon)
                err = path_arg_parse(colon + 1, &arg.path, why);
        if (err != HIF_OK) {
                project_arg_free(&arg);
                return err;
        }
        *out = arg;
        return HIF_OK;
}

void project_arg_free(struct project_arg *arg)
{
        free(arg->project);
        free(arg->path);
        *arg = (struct project_arg){0};
}
