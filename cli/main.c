/* hif: the command line's entry. Options before the command's name are those that every command
 * has; the rest of the line is the command's own. */
#include "cli/cli.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

struct line {
        struct cli *cli;
        int argc; /* from the command's name on */
        char **argv;
        bool version;
};

static const struct argp_option options[] = {{"version", 'V', NULL, 0, "Print the version", -1},
                                             {0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
        struct line *line = state->input;

        (void)arg;
        switch (key) {
        case ARGP_KEY_INIT:
                state->child_inputs[0] = line->cli;
                return 0;
        case 'V':
                line->version = true;
                return 0;
        case ARGP_KEY_ARG:
                line->argc = state->argc - state->next + 1;
                line->argv = state->argv + state->next - 1;
                state->next = state->argc;
                return 0;
        default:
                return ARGP_ERR_UNKNOWN;
        }
}

static const struct argp_child children[] = {{&cli_argp, 0, NULL, 0}, {0}};
static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "COMMAND [ARGUMENT...]",
    .doc = "Mount whole projects at once, edit them, land the changes.\v"
           "\"hif help\" lists the commands, \"hif COMMAND --help\" tells about one.",
    .children = children};

static int run(struct cli *cli, int argc, char **argv)
{
        static char version[] = "version", help[] = "help";
        struct line line = {.cli = cli};
        char *alone[] = {line.version ? version : help, NULL};
        error_t error = argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &line);

        /* Else the command would pass for "hif help". */
        if (error != 0)
                return cli_fail(cli, hif_err_from_errno(error), NULL);
        if (line.argc > 0)
                return cli_dispatch(cli, commands, "hif", line.argc, line.argv);
        alone[0] = line.version ? version : help;
        return cli_dispatch(cli, commands, "hif", 1, alone);
}

/* For what goes wrong before the command line is parsed. */
static bool wants_json(char **argv)
{
        for (; *argv && strcmp(*argv, "--") != 0; argv++)
                if (strcmp(*argv, "--json") == 0)
                        return true;
        return false;
}

/* Closed by who started us: what is opened next would get the number, and our words. Writing there
 * fails, as it should. */
static void hold_standard_files(void)
{
        for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
                if (fcntl(fd, F_GETFD) < 0)
                        (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

int main(int argc, char **argv)
{
        static char name[] = "hif";
        struct cli cli;
        struct hif_why why = {0};
        enum hif_err err;
        int code;

        hold_standard_files();
        argp_err_exit_status = EXIT_USAGE;
        if (argc > 0)
                argv[0] = name;
        /* A closed pipe is seen by write. */
        (void)signal(SIGPIPE, SIG_IGN);
        err = cli_init(&cli, &why);
        if (err != HIF_OK) {
                cli.json = wants_json(argv);
                return cli_fail(&cli, err, &why);
        }
        code = run(&cli, argc, argv);
        cli_free(&cli);
        return code;
}
