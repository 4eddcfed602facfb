/* hif fsck [ORG/NAME]: is all of a project there, and what it should be? */
#include "check/check.h"
#include "cli/commands.h"

#include <inttypes.h>

struct args {
        const char *project;
        struct check_options options;
        bool verbose;
};

static const struct argp_option options[] = {
    {"read-data-subset", 'r', "PART", OPTION_ARG_OPTIONAL,
     "Read and hash contents, too: N/M (the N-th of M parts), P%, a size like 500M, or all "
     "(the default without PART)",
     0},
    {"from", 'f', "@N", 0, "Check positions from N on, and the tree before it in whole", 0},
    {"verbose", 'v', NULL, 0, "Say for each finding what it means and what to do", 0},
    {0}};

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
        case 'v':
                args->verbose = true;
                return 0;
        case ARGP_KEY_ARG:
                if (args->project)
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
    .doc = "Check a project in the store: its format, every position, every tree, and that all "
           "contents are there. Nothing is changed. Inside a mount the project need not be "
           "named.\vExit code 0: nothing is wrong. 8: there are errors. 9: there are warnings "
           "only. 7, 1: something could not be checked."};

/* --- findings as they come --- */

struct fsck {
        struct check_hooks hooks;
        struct cli *cli;
        bool verbose;
        json_t *findings; /* NULL: print */
        struct progress *progress;
        enum check_stage stage;
        uint64_t explained; /* bits: kinds whose meaning was printed */
};

static const char *severity_color(const struct cli *cli, enum check_severity severity)
{
        return cli_color(cli, severity >= CHECK_ERROR     ? COLOR_RED
                              : severity == CHECK_WARNING ? COLOR_YELLOW
                                                          : COLOR_DIM);
}

static void print_where(const struct check_finding *finding)
{
        if (finding->at && finding->first == finding->last)
                printf(" @%" PRIu64, finding->first);
        else if (finding->at)
                printf(" @%" PRIu64 " to @%" PRIu64, finding->first, finding->last);
        if (finding->key[0]) {
                putchar(' ');
                cli_print_path(span_str(finding->key));
        }
        if (finding->detail[0]) {
                printf(": ");
                cli_print_path(span_str(finding->detail));
        }
        if (finding->count > 1)
                printf(" (%" PRIu64 ")", finding->count);
        putchar('\n');
}

static void print_paths(const struct check_finding *finding)
{
        uint64_t more = finding->path_total > finding->path_count
                            ? finding->path_total - finding->path_count
                            : 0;

        for (uint32_t i = 0; i < finding->path_count; i++) {
                printf("    ");
                cli_print_path(finding->paths[i]);
                putchar('\n');
        }
        if (more > 0)
                printf("    %s%" PRIu64 " %s\n", finding->path_count ? "and " : "", more,
                       finding->path_count ? "more" : "paths");
}

static void print_finding(struct fsck *fsck, const struct check_finding *finding)
{
        const struct check_kind_info *info = check_kind_info(finding->kind);
        uint64_t bit = UINT64_C(1) << finding->kind;

        progress_pause(fsck->progress);
        printf("%s%s%s %s", severity_color(fsck->cli, finding->severity),
               check_severity_name(finding->severity), cli_color(fsck->cli, COLOR_NONE),
               info->name);
        print_where(finding);
        print_paths(finding);
        if (!(fsck->explained & bit) && (fsck->verbose || finding->severity >= CHECK_WARNING)) {
                printf("    What it is: %s.\n    What to do: %s.\n", info->meaning, info->next);
                fsck->explained |= bit;
        }
        (void)fflush(stdout);
}

static void json_finding(struct fsck *fsck, const struct check_finding *finding)
{
        const struct check_kind_info *info = check_kind_info(finding->kind);
        json_t *object = json_pack("{s:s, s:s, s:s, s:s}", "finding", info->name, "severity",
                                   check_severity_name(finding->severity), "meaning", info->meaning,
                                   "next", info->next);
        json_t *paths = json_array();

        if (!object || json_array_append_new(fsck->findings, object) != 0 || !paths) {
                json_decref(paths);
                return;
        }
        if (finding->key[0])
                json_set_path(object, "key", span_str(finding->key));
        if (finding->detail[0])
                json_set_path(object, "detail", span_str(finding->detail));
        if (finding->at) {
                (void)json_object_set_new(object, "first",
                                          json_integer((json_int_t)finding->first));
                (void)json_object_set_new(object, "last", json_integer((json_int_t)finding->last));
        }
        if (finding->count > 0)
                (void)json_object_set_new(object, "count",
                                          json_integer((json_int_t)finding->count));
        if (finding->bytes > 0)
                (void)json_object_set_new(object, "bytes",
                                          json_integer((json_int_t)finding->bytes));
        for (uint32_t i = 0; i < finding->path_count; i++) {
                json_t *item = json_object();

                if (item && json_array_append_new(paths, item) == 0)
                        json_set_path(item, "path", finding->paths[i]);
        }
        (void)json_object_set_new(object, "paths", paths);
        (void)json_object_set_new(object, "path_total",
                                  json_integer((json_int_t)finding->path_total));
}

static void hook_found(struct check_hooks *hooks, const struct check_finding *finding)
{
        struct fsck *fsck = (struct fsck *)hooks;

        if (fsck->findings)
                json_finding(fsck, finding);
        else
                print_finding(fsck, finding);
}

static void hook_progress(struct check_hooks *hooks, enum check_stage stage, uint64_t done,
                          uint64_t total, uint64_t bytes)
{
        struct fsck *fsck = (struct fsck *)hooks;

        if (!fsck->progress || stage != fsck->stage) {
                progress_end(fsck->progress);
                fsck->progress = progress_begin(fsck->cli, check_stage_name(stage));
                fsck->stage = stage;
        }
        if (stage == CHECK_STAGE_CONTENTS)
                progress_bytes(fsck->progress, done, total);
        else
                progress_set(fsck->progress, done, total, bytes);
}

/* --- the result --- */

static int exit_of(const struct check_report *report)
{
        if (report->counts[CHECK_FATAL] + report->counts[CHECK_ERROR] > 0)
                return EXIT_DAMAGED;
        if (report->not_checked > 0)
                return cli_exit_of(report->not_checked_err) == EXIT_UNREACHABLE ? EXIT_UNREACHABLE
                                                                                : EXIT_FAILED;
        return report->counts[CHECK_WARNING] > 0 ? EXIT_WARNINGS : EXIT_DONE;
}

static void print_report(const struct cli *cli, const char *project,
                         const struct check_report *report)
{
        if (report->have_tail)
                printf("%s: @%" PRIu64 " to @%" PRIu64 ", %" PRIu64 " slots, %" PRIu64
                       " tree nodes and %" PRIu64 " changes of contents checked; %" PRIu64
                       " objects in the store; %" PRIu64 " requests\n",
                       project, report->first, report->tail, report->slots, report->nodes,
                       report->contents, report->objects, report->requests);
        if (report->counts[CHECK_FATAL] + report->counts[CHECK_ERROR] +
                report->counts[CHECK_WARNING] + report->not_checked ==
            0) {
                printf("%sNothing is wrong.%s\n", cli_color(cli, COLOR_GREEN),
                       cli_color(cli, COLOR_NONE));
                return;
        }
        printf("%" PRIu64 " errors, %" PRIu64 " warnings, %" PRIu64 " not checked\n",
               report->counts[CHECK_FATAL] + report->counts[CHECK_ERROR],
               report->counts[CHECK_WARNING], report->not_checked);
}

static json_t *json_report(const char *project, const struct check_report *report, json_t *findings)
{
        json_t *result = json_pack(
            "{s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "project",
            project, "clean",
            report->counts[CHECK_FATAL] + report->counts[CHECK_ERROR] +
                    report->counts[CHECK_WARNING] + report->not_checked ==
                0,
            "first", (json_int_t)report->first, "tail", (json_int_t)report->tail, "slots",
            (json_int_t)report->slots, "nodes", (json_int_t)report->nodes, "objects",
            (json_int_t)report->objects, "object_bytes", (json_int_t)report->object_bytes, "errors",
            (json_int_t)(report->counts[CHECK_FATAL] + report->counts[CHECK_ERROR]), "warnings",
            (json_int_t)report->counts[CHECK_WARNING], "infos",
            (json_int_t)report->counts[CHECK_INFO], "not_checked", (json_int_t)report->not_checked,
            "requests", (json_int_t)report->requests, "findings", findings);

        return result;
}

int cmd_fsck(struct cli *cli, int argc, char **argv)
{
        struct args args = {0};
        struct fsck fsck = {.hooks = {.found = hook_found, .progress = hook_progress}, .cli = cli};
        struct check_report report = {0};
        struct project_arg project = {0};
        struct layout layout;
        struct store *store = NULL;
        struct hif_why why = {0};
        enum hif_err err;
        int code;

        cli_parse(cli, &argp, argc, argv, &args);
        fsck.verbose = args.verbose;
        err = args.project ? project_arg_parse(args.project, &project, &why)
                           : cli_project_of(cli, NULL, &project.project, &why);
        if (err == HIF_OK && (project.at || project.path))
                err = why_set(&why, HIF_EINVAL,
                              "name the project as ORG/NAME; --from @N begins "
                              "at a position");
        if (err == HIF_OK)
                err = layout_init(&layout, project.project, &why);
        if (err == HIF_EINVAL) {
                project_arg_free(&project);
                return cli_usage(cli, "%s", why.text);
        }
        if (err == HIF_OK)
                err = cli_store(cli, false, &store, &why);
        if (err == HIF_OK && cli->json) {
                fsck.findings = json_array();
                err = fsck.findings ? HIF_OK : HIF_ENOMEM;
        }
        if (err == HIF_OK)
                err = check_run(&cli->env, store, project.project, &args.options, &fsck.hooks,
                                &report, &why);
        progress_end(fsck.progress);
        code = err == HIF_OK ? exit_of(&report) : EXIT_FAILED;
        if (err != HIF_OK) {
                json_decref(fsck.findings);
                code = cli_fail(cli, err, &why);
        } else if (cli->json) {
                int printed =
                    cli_print_json(cli, json_report(project.project, &report, fsck.findings));

                code = printed == EXIT_DONE ? code : printed;
        } else {
                print_report(cli, project.project, &report);
                code = cli_finish(cli, code);
        }
        store_close(store);
        project_arg_free(&project);
        return code;
}
