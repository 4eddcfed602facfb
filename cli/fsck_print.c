#include "cli/fsck_print.h"

#include <inttypes.h>

/* --- findings and repairs as they come --- */

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

static void print_finding(struct fsck_print *fsck, const struct check_finding *finding)
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

static void json_finding(struct fsck_print *fsck, const struct check_finding *finding)
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
        struct fsck_print *fsck = (struct fsck_print *)hooks;

        if (fsck->findings)
                json_finding(fsck, finding);
        else
                print_finding(fsck, finding);
}

static void hook_progress(struct check_hooks *hooks, enum check_stage stage, uint64_t done,
                          uint64_t total, uint64_t bytes)
{
        struct fsck_print *fsck = (struct fsck_print *)hooks;

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

static void print_repaired(struct fsck_print *fsck, const struct check_repaired *repaired)
{
        progress_pause(fsck->progress);
        printf("%s%s%s", cli_color(fsck->cli, repaired->done ? COLOR_GREEN : COLOR_YELLOW),
               repaired->what, cli_color(fsck->cli, COLOR_NONE));
        if (repaired->key[0]) {
                putchar(' ');
                cli_print_path(span_str(repaired->key));
        }
        if (repaired->path.size > 0) {
                putchar(' ');
                cli_print_path(repaired->path);
        }
        if (repaired->detail[0]) {
                printf(": ");
                cli_print_path(span_str(repaired->detail));
        }
        putchar('\n');
        (void)fflush(stdout);
}

static void hook_repaired(struct check_hooks *hooks, const struct check_repaired *repaired)
{
        struct fsck_print *fsck = (struct fsck_print *)hooks;
        json_t *object;

        if (!fsck->repairs) {
                print_repaired(fsck, repaired);
                return;
        }
        object = json_pack("{s:s, s:b}", "repair", repaired->what, "done", repaired->done);
        if (!object || json_array_append_new(fsck->repairs, object) != 0)
                return;
        if (repaired->key[0])
                json_set_path(object, "key", span_str(repaired->key));
        if (repaired->detail[0])
                json_set_path(object, "detail", span_str(repaired->detail));
        if (repaired->path.size > 0)
                json_set_path(object, "path", repaired->path);
}

enum hif_err fsck_print_begin(struct fsck_print *print, const struct cli *cli, bool verbose)
{
        *print = (struct fsck_print){
            .hooks = {.found = hook_found, .progress = hook_progress, .repaired = hook_repaired},
            .cli = cli,
            .verbose = verbose};
        if (!cli->json)
                return HIF_OK;
        print->findings = json_array();
        print->repairs = json_array();
        return print->findings && print->repairs ? HIF_OK : HIF_ENOMEM;
}

void fsck_print_end(struct fsck_print *print)
{
        progress_end(print->progress);
        json_decref(print->findings);
        json_decref(print->repairs);
        *print = (struct fsck_print){0};
}

/* --- the result --- */

void fsck_print_report(const struct cli *cli, const char *project,
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

json_t *fsck_json_report(const char *project, const struct check_report *report,
                         struct fsck_print *print)
{
        uint64_t errors = report->counts[CHECK_FATAL] + report->counts[CHECK_ERROR];
        uint64_t wrong = errors + report->counts[CHECK_WARNING] + report->not_checked;

        return json_pack(
            "{s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}",
            "project", project, "clean", wrong == 0, "first", (json_int_t)report->first, "tail",
            (json_int_t)report->tail, "slots", (json_int_t)report->slots, "nodes",
            (json_int_t)report->nodes, "objects", (json_int_t)report->objects, "object_bytes",
            (json_int_t)report->object_bytes, "errors", (json_int_t)errors, "warnings",
            (json_int_t)report->counts[CHECK_WARNING], "infos",
            (json_int_t)report->counts[CHECK_INFO], "not_checked", (json_int_t)report->not_checked,
            "requests", (json_int_t)report->requests, "findings", STEAL(print->findings), "repairs",
            STEAL(print->repairs));
}
