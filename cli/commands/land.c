/* hif land. */
#include "base/cleanup.h"
#include "cli/commands/commands.h"
#include "cli/conflicts.h"
#include "cli/control.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct land_args {
        const char *goal;
        bool dry_run;
        const char *mode; /* "solo", "epoch" */
};

static const struct argp_option land_options[] = {
    {"dry-run", 'n', NULL, 0, "Say whether it would land, and what conflicts; change nothing", 0},
    {"epoch", 'e', NULL, 0,
     "Propose the session in the store, where whoever lands next lands all proposals at once: for "
     "many writers on many machines",
     0},
    {"solo", 's', NULL, 0, "Land it from here, together with what else this daemon lands", 0},
    {0}};

static error_t parse_land(int key, char *arg, struct argp_state *state)
{
        struct land_args *args = state->input;

        switch (key) {
        case 'n':
                args->dry_run = true;
                return 0;
        case 'e':
        case 's':
                args->mode = key == 'e' ? "epoch" : "solo";
                return 0;
        case ARGP_KEY_ARG:
                if (args->goal != NULL)
                        return ARGP_ERR_UNKNOWN;
                args->goal = arg;
                return 0;
        default:
                return ARGP_ERR_UNKNOWN;
        }
}

static const struct argp land_argp = {
    .options = land_options,
    .parser = parse_land,
    .args_doc = "[GOAL]",
    .doc = "Publish the session of the workspace in which you stand (or -C DIR) as the project's "
           "next position, with GOAL in the log (by default: what `hif session start` said). Work "
           "goes on in a new session on top of it."};

static void show_progress(void *arg, const json_t *progress)
{
        progress_set(arg, (uint64_t)json_integer_value(json_object_get(progress, "files_done")),
                     (uint64_t)json_integer_value(json_object_get(progress, "files_total")),
                     (uint64_t)json_integer_value(json_object_get(progress, "bytes_done")));
}

static enum hif_err land(struct cli *cli, const struct land_args *args, json_t **result,
                         struct hif_why *why)
{
        struct progress *progress;
        const char *goal;
        json_t *request;
        enum hif_err err;

        goal = args->goal != NULL ? args->goal : "";
        request = json_pack("{s:s, s:s%, s:b, s:s}", "op", "land", "goal", goal, strlen(goal),
                            "dry_run", args->dry_run, "mode",
                            args->mode != NULL ? args->mode : cli->config.land_mode);
        if (request == NULL)
                return why_set(why, HIF_EINVAL, "the goal is not valid UTF-8 text");
        err = cli_put_place(cli, request, ".", why);
        if (err != HIF_OK) {
                json_decref(request);
                return err;
        }
        progress = progress_begin(cli, args->dry_run ? "comparing" : "landing");
        err = control_ask(cli, request, show_progress, progress, result, why);
        progress_end(progress);
        return err;
}

static int report_conflict(struct cli *cli, json_t *result)
{
        if (cli->json) {
                cli_print_json(cli, result);
                return EXIT_CONFLICT;
        }
        conflicts_print(json_object_get(result, "conflicts"), "your base");
        printf("Your session is as it was. Make your version agree with theirs, or land it without "
               "these paths.\n");
        json_decref(result);
        return cli_finish(cli, EXIT_CONFLICT);
}

static void print_landed(const json_t *result, bool dry_run)
{
        long long position = (long long)json_integer_value(json_object_get(result, "position"));
        long long paths = (long long)json_integer_value(json_object_get(result, "paths"));
        uint32_t member = (uint32_t)json_integer_value(json_object_get(result, "member"));

        if (dry_run) {
                printf("Would land %lld path(s); nothing conflicts up to @%lld\n", paths, position);
                return;
        }
        printf("Landed session %s\n", json_string_value(json_object_get(result, "session")));
        printf("Landing position: %lld\n", position);
        if (member > 0)
                printf("In a batch, as @%lld.%u\n", position, member);
        if (json_is_true(json_object_get(result, "already_landed")))
                printf(
                    "An earlier `hif land` had done it; edits made since are in a new session.\n");
}

int cmd_land(struct cli *cli, int argc, char **argv)
{
        struct land_args args = {0};
        struct hif_why why = {0};
        json_t *result = NULL;
        enum hif_err err;

        cli_parse(cli, &land_argp, argc, argv, &args);
        err = land(cli, &args, &result, &why);
        if (err == HIF_ECONFLICT && result != NULL)
                return report_conflict(cli, result);
        if (err == HIF_EINVAL && args.goal == NULL) /* nobody has said what for */
                return cli_usage(cli, "%s", why.text);
        if (err != HIF_OK)
                return cli_fail(cli, err, &why);
        if (cli->json)
                return cli_print_json(cli, result);
        print_landed(result, args.dry_run);
        json_decref(result);
        return cli_finish(cli, EXIT_DONE);
}
