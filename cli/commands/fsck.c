/* hif fsck [ORG/NAME]: is all of a project there, and what it should be? */
#include "cli/commands/commands.h"
#include "cli/fsck_print.h"
#include "cli/fsck_source.h"

#include <unistd.h>

#define SOURCES_MAX 16
#define ROUNDS_MAX  8

enum long_option { OPTION_REPAIR = 0x100, OPTION_SOURCE, OPTION_DROP, OPTION_YES };

struct args {
        const char *project;
        struct check_options options;
        const char *sources[SOURCES_MAX];
        unsigned source_count;
        bool verbose, repair, drop, yes;
};

static const struct argp_option options[] = {
    {"read-data-subset", 'r', "PART", OPTION_ARG_OPTIONAL,
     "Read and hash contents, too: N/M (the N-th of M parts), P%, a size like 500M, or all "
     "(the default without PART)",
     0},
    {"from", 'f', "@N", 0, "Check positions from N on, and the tree before it in whole", 0},
    {"repair", OPTION_REPAIR, NULL, 0,
     "Mend what can be mended without losing anything, and check again", 0},
    {"source", OPTION_SOURCE, "PLACE", 0,
     "For --repair: another copy of the store (a URL or directory), or a directory of files whose "
     "contents may be those that are lost. May be given more than once",
     0},
    {"drop-unreadable", OPTION_DROP, NULL, 0,
     "For --repair: land a position without the files whose contents are lost", 0},
    {"yes", OPTION_YES, NULL, 0, "Do not ask before --drop-unreadable", 0},
    {"verbose", 'v', NULL, 0, "Say for each finding what it means and what to do", 0},
    {0}};

static void check_together(const struct args *args, struct argp_state *state)
{
        if (args->repair && args->options.from > 0)
                argp_error(state, "--repair needs the whole history: leave --from out");
        if (!args->repair && (args->source_count > 0 || args->drop))
                argp_error(state, "--source and --drop-unreadable are for --repair");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
        struct args *args = state->input;
        struct hif_why why;

        switch (key) {
        case 'r':
                if (check_subset_parse(arg ? arg : "all", &args->options.subset, &why) != HIF_OK)
                        argp_error(state, "%s", why.text);
                return 0;
        case 'f':
                if (position_parse(arg, &args->options.from, &why) != HIF_OK)
                        argp_error(state, "%s", why.text);
                return 0;
        case OPTION_REPAIR:
                args->repair = true;
                return 0;
        case OPTION_SOURCE:
                if (args->source_count == SOURCES_MAX)
                        argp_error(state, "at most %d times --source", SOURCES_MAX);
                args->sources[args->source_count++] = arg;
                return 0;
        case OPTION_DROP:
                args->drop = true;
                return 0;
        case OPTION_YES:
                args->yes = true;
                return 0;
        case 'v':
                args->verbose = true;
                return 0;
        case ARGP_KEY_ARG:
                if (args->project && args->options.subset.kind != CHECK_SUBSET_NONE)
                        argp_error(state,
                                   "one project at a time; a part of the data is written "
                                   "with \"=\": --read-data-subset=%s",
                                   arg);
                if (args->project)
                        return ARGP_ERR_UNKNOWN;
                args->project = arg;
                return 0;
        case ARGP_KEY_END:
                check_together(args, state);
                return 0;
        default:
                return ARGP_ERR_UNKNOWN;
        }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "[ORG/NAME]",
    .doc = "Check a project in the store: its format, every position, every tree, and that all "
           "contents are there. Without --repair nothing is changed. Inside a mount the project "
           "need not be named.\vExit code 0: nothing is wrong. 8: there are errors. 9: there are "
           "warnings only. 7, 1: something could not be checked."};

static int exit_of(const struct check_report *report)
{
        if (report->counts[CHECK_FATAL] + report->counts[CHECK_ERROR] > 0)
                return EXIT_DAMAGED;
        if (report->not_checked > 0)
                return cli_exit_of(report->not_checked_err) == EXIT_UNREACHABLE ? EXIT_UNREACHABLE
                                                                                : EXIT_FAILED;
        return report->counts[CHECK_WARNING] > 0 ? EXIT_WARNINGS : EXIT_DONE;
}

struct fsck {
        struct cli *cli;
        struct args *args;
        const char *project;
        struct store *store;
        struct check_repair_options repair;
        struct fsck_print print;
        struct check_report report;
};

/* After a repair, what counts is what is left; and what came back can show more that is to be
 * mended: the nodes of a tree, its contents. last: only look. */
static enum hif_err check_again(struct fsck *fsck, bool last, struct hif_why *why)
{
        struct check_options again = fsck->args->options;
        json_t *repairs = STEAL(fsck->print.repairs);
        enum hif_err err;

        if (last)
                again.repair = NULL;
        fsck_print_end(&fsck->print);
        err = fsck_print_begin(&fsck->print, fsck->cli, fsck->args->verbose);
        if (err == HIF_OK && repairs) {
                json_decref(fsck->print.repairs);
                fsck->print.repairs = STEAL(repairs);
        }
        json_decref(repairs);
        if (err != HIF_OK)
                return why_set(why, err, "out of memory");
        if (!fsck->cli->json)
                printf("\nChecking again:\n");
        return check_run(&fsck->cli->env, fsck->store, fsck->project, &again, &fsck->print.hooks,
                         &fsck->report, why);
}

static enum hif_err run(struct fsck *fsck, struct hif_why *why)
{
        const struct args *args = fsck->args;
        enum hif_err err = cli_store(fsck->cli, args->repair, &fsck->store, why);

        if (err == HIF_OK && args->repair)
                err = fsck_source_cache(fsck->cli, &fsck->repair.sources);
        for (unsigned i = 0; i < args->source_count && err == HIF_OK; i++)
                err = fsck_source_add(fsck->cli, args->sources[i], &fsck->repair.sources, why);
        if (err == HIF_OK)
                err = fsck_print_begin(&fsck->print, fsck->cli, args->verbose);
        if (err == HIF_OK)
                err = check_run(&fsck->cli->env, fsck->store, fsck->project, &args->options,
                                &fsck->print.hooks, &fsck->report, why);
        for (int round = 1; err == HIF_OK && fsck->report.repaired > 0 && round <= ROUNDS_MAX;
             round++)
                err = check_again(fsck, round == ROUNDS_MAX, why);
        return err;
}

/* Leaving files out can be undone, but whoever mounts the project meanwhile does not see them. */
static bool confirmed(const struct args *args)
{
        char answer[8] = "";

        if (!args->drop || args->yes)
                return true;
        if (!isatty(STDIN_FILENO))
                return false;
        (void)fprintf(stderr, "Land a position without the files whose contents are lost? [y/N] ");
        return fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

static int fsck_project(struct cli *cli, struct args *args, const char *project)
{
        struct fsck fsck = {
            .cli = cli,
            .args = args,
            .project = project,
            .repair = {.drop_unreadable = args->drop, .author = cli->config.author}};
        struct hif_why why = {0};
        enum hif_err err;
        int code, printed;

        if (args->repair)
                args->options.repair = &fsck.repair;
        err = run(&fsck, &why);
        progress_pause(fsck.print.progress);
        code = err == HIF_OK ? exit_of(&fsck.report) : EXIT_FAILED;
        if (err != HIF_OK) {
                code = cli_fail(cli, err, &why);
        } else if (cli->json) {
                printed = cli_print_json(cli, fsck_json_report(project, &fsck.report, &fsck.print));
                code = printed == EXIT_DONE ? code : printed;
        } else {
                fsck_print_report(cli, project, &fsck.report);
                code = cli_finish(cli, code);
        }
        fsck_print_end(&fsck.print);
        fsck_sources_free(fsck.repair.sources);
        store_close(fsck.store);
        return code;
}

int cmd_fsck(struct cli *cli, int argc, char **argv)
{
        struct args args = {0};
        struct project_arg project = {0};
        struct layout layout;
        struct hif_why why = {0};
        enum hif_err err;
        int code;

        cli_parse(cli, &argp, argc, argv, &args);
        if (!confirmed(&args))
                return cli_usage(cli, "nothing was done: --drop-unreadable wants --yes, or your "
                                      "answer on a terminal");
        err = args.project ? project_arg_parse(args.project, &project, &why)
                           : cli_project_of(cli, NULL, &project.project, &why);
        if (err == HIF_OK && (project.at || project.path))
                err = why_set(&why, HIF_EINVAL,
                              "name the project as ORG/NAME; --from @N begins at a position");
        if (err == HIF_OK)
                err = layout_init(&layout, project.project, &why);
        if (err == HIF_OK)
                code = fsck_project(cli, &args, project.project);
        else if (err == HIF_EINVAL)
                code = cli_usage(cli, "%s", why.text);
        else
                code = cli_fail(cli, err, &why);
        project_arg_free(&project);
        return code;
}
