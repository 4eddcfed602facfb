/* hif maintain [ORG/NAME]: the records that are derived from many landings. */
#include "land/derived/maintain.h"
#include "cli/commands/commands.h"
#include "cli/view.h"

#include <inttypes.h>

struct args {
        const char *project;
        bool rebuild, verify;
};

static const struct argp_option options[] = {
    {"rebuild", 'r', NULL, 0, "Remove all of them first, and make them anew", 0},
    {"verify", 'V', NULL, 0,
     "Compare each with what would be made, and write nothing. Exit code 1: some differ", 0},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
        struct args *args = state->input;

        switch (key) {
        case 'r':
                args->rebuild = true;
                return 0;
        case 'V':
                args->verify = true;
                return 0;
        case ARGP_KEY_ARG:
                if (args->project)
                        return ARGP_ERR_UNKNOWN;
                args->project = arg;
                return 0;
        case ARGP_KEY_END:
                if (args->rebuild && args->verify)
                        argp_error(state, "--rebuild and --verify do not go together");
                return 0;
        default:
                return ARGP_ERR_UNKNOWN;
        }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "[ORG/NAME]",
    .doc = "Make what is missing of the records that sum up many landings: segments, rollups of "
           "three levels, the hash index. Nothing depends on them, but with them a search through "
           "a long history reads a few objects instead of every landing. Stopped, it goes on where "
           "it was. Inside a mount the project need not be named."};

/* --- while it runs --- */

struct watch {
        struct maintain_hooks hooks;
        const struct cli *cli;
        struct progress *progress;
        json_t *differences;
};

static void on_progress(struct maintain_hooks *hooks, enum window_kind kind, uint64_t done,
                        uint64_t total, uint64_t bytes)
{
        struct watch *watch = (struct watch *)hooks;

        (void)kind;
        progress_set(watch->progress, done, total, bytes);
}

static void on_difference(struct maintain_hooks *hooks, enum window_kind kind, const char *key,
                          const char *reason)
{
        struct watch *watch = (struct watch *)hooks;
        json_t *item;

        if (!watch->cli->json) {
                progress_end(watch->progress);
                watch->progress = NULL;
                printf("%s: %s\n", key, reason);
                return;
        }
        item = json_pack("{s:s, s:s, s:s}", "kind", window_kind_name(kind), "key", key, "reason",
                         reason);
        if (item)
                (void)json_array_append_new(watch->differences, item);
}

/* --- what is said of it --- */

static json_t *kind_json(const struct maintain_kind *kind)
{
        return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "windows",
                         (json_int_t)kind->windows, "present", (json_int_t)kind->present, "made",
                         (json_int_t)kind->made, "same", (json_int_t)kind->same, "different",
                         (json_int_t)kind->different, "missing", (json_int_t)kind->missing,
                         "left_out", (json_int_t)kind->left_out, "bytes", (json_int_t)kind->bytes);
}

static json_t *report_json(const struct view *view, const struct maintain_report *report,
                           json_t *differences)
{
        json_t *kinds = json_object();
        json_t *object = json_pack("{s:s, s:I}", "project", view->arg.project, "position",
                                   (json_int_t)report->tail);

        for (int kind = WINDOW_SEGMENT; kinds && kind < WINDOW_KINDS; kind++)
                (void)json_object_set_new(kinds, window_kind_name((enum window_kind)kind),
                                          kind_json(&report->kinds[kind]));
        if (!object || !kinds || json_object_set_new(object, "records", kinds) != 0) {
                json_decref(object);
                return NULL;
        }
        if (differences)
                (void)json_object_set(object, "differences", differences);
        return object;
}

static void print_kind(const struct args *args, enum window_kind at,
                       const struct maintain_kind *kind)
{
        printf("  %-11s %6" PRIu64 " complete window%s", window_kind_name(at), kind->windows,
               kind->windows == 1 ? "" : "s");
        if (args->verify)
                printf(", %" PRIu64 " the same, %" PRIu64 " different, %" PRIu64 " missing",
                       kind->same, kind->different, kind->missing);
        else
                printf(", %" PRIu64 " made, %" PRIu64 " bytes", kind->made, kind->bytes);
        if (kind->left_out > 0)
                printf(", %" PRIu64 " too large for a record", kind->left_out);
        printf("\n");
}

static uint64_t sum_different(const struct maintain_report *report)
{
        uint64_t sum = 0;

        for (int kind = WINDOW_SEGMENT; kind < WINDOW_KINDS; kind++)
                sum += report->kinds[kind].different;
        return sum;
}

static int report_done(struct cli *cli, const struct args *args, const struct view *view,
                       const struct maintain_report *report, json_t *differences)
{
        uint64_t different = sum_different(report);
        int code = different > 0 ? EXIT_FAILED : EXIT_DONE;

        if (cli->json) {
                int printed = cli_print_json(cli, report_json(view, report, differences));

                return printed == EXIT_DONE ? code : printed;
        }
        printf("%s@%" PRIu64 "\n", view->arg.project, report->tail);
        for (int kind = WINDOW_SEGMENT; kind < WINDOW_KINDS; kind++)
                print_kind(args, (enum window_kind)kind, &report->kinds[kind]);
        if (different > 0)
                printf("%" PRIu64 " record%s not what %s should be: run \"hif maintain --rebuild "
                       "%s\"; no landing is affected\n",
                       different, different == 1 ? " is" : "s are", different == 1 ? "it" : "they",
                       view->arg.project);
        return cli_finish(cli, code);
}

int cmd_maintain(struct cli *cli, int argc, char **argv)
{
        struct args args = {0};
        struct watch watch = {.hooks = {.progress = on_progress, .differs = on_difference},
                              .cli = cli};
        struct maintain_report report;
        struct view view = {0};
        struct hif_why why = {0};
        enum hif_err err;
        int code;

        cli_parse(cli, &argp, argc, argv, &args);
        err = view_open(cli, args.project, &view, &why);
        if (err == HIF_OK && (view.arg.at || view.arg.path))
                err = why_set(&why, HIF_EINVAL, "name a project, without a position or a path");
        if (err == HIF_OK) {
                watch.differences = json_array();
                watch.progress = progress_begin(cli, args.verify ? "comparing" : "making");
                err = derived_maintain(&view.project,
                                       args.verify    ? MAINTAIN_VERIFY
                                       : args.rebuild ? MAINTAIN_REBUILD
                                                      : MAINTAIN_MAKE,
                                       &watch.hooks, &report, &why);
                progress_end(watch.progress);
        }
        if (err != HIF_OK)
                code = view_fail(cli, err, &why);
        else
                code =
                    report_done(cli, &args, &view, &report, args.verify ? watch.differences : NULL);
        json_decref(watch.differences);
        view_close(&view);
        return code;
}
