/* hif store probe. */
#include "cli/store.h"
#include "cli/commands/commands.h"

#include <string.h>

struct probe_args {
        const char *url;
};

static error_t parse_probe(int key, char *arg, struct argp_state *state)
{
        struct probe_args *args = state->input;

        switch (key) {
        case ARGP_KEY_ARG:
                if (args->url)
                        return ARGP_ERR_UNKNOWN;
                if (!arg[0])
                        argp_error(state, "which store? Name it as s3://BUCKET or file:///DIR");
                args->url = arg;
                return 0;
        default:
                return ARGP_ERR_UNKNOWN;
        }
}

static const struct argp probe_argp = {
    .parser = parse_probe,
    .args_doc = "[URL]",
    .doc = "Ask a store (by default the configured one) whether it keeps the promises that landing "
           "rests on: create-only writes raced, replacements with stale and foreign tags, reading "
           "back. It writes small objects below \"" PROBE_PREFIX "\", and deletes them again."};

/* --- what was found --- */

static void print_text(const struct cli *cli, const char *url, const struct probe_report *report)
{
        static const enum cli_color colors[] = {[PROBE_NOT_RUN] = COLOR_DIM,
                                                [PROBE_GOOD] = COLOR_GREEN,
                                                [PROBE_BROKEN] = COLOR_RED,
                                                [PROBE_FAILED] = COLOR_YELLOW};

        printf("%s\n", url);
        for (int i = 0; i < PROBE_CHECKS; i++) {
                const struct probe_finding *finding = &report->findings[i];

                printf("  %s%-7s%s  %s%s%s\n", cli_color(cli, colors[finding->state]),
                       probe_state_name(finding->state), cli_color(cli, COLOR_NONE),
                       probe_check_title((enum probe_check)i), finding->text[0] ? ": " : "",
                       finding->text);
        }
        printf("%llu requests; half of them took less than: writing %.1f ms, reading %.1f, "
               "listing %.1f, deleting %.1f\n",
               (unsigned long long)report->requests, (double)report->put_ns / 1e6,
               (double)report->get_ns / 1e6, (double)report->list_ns / 1e6,
               (double)report->delete_ns / 1e6);
}

static json_t *checks_json(const struct probe_report *report)
{
        json_t *checks = json_array();

        for (int i = 0; i < PROBE_CHECKS; i++) {
                const struct probe_finding *finding = &report->findings[i];
                enum probe_check check = (enum probe_check)i;

                (void)json_array_append_new(
                    checks, json_pack("{s:s, s:s, s:b, s:s}", "check", probe_check_name(check),
                                      "state", probe_state_name(finding->state), "essential",
                                      probe_check_essential(check), "text", finding->text));
        }
        return checks;
}

/* With an error in it, where there is one: what was found is worth reading then, too. */
static int print_json(const struct cli *cli, const char *url, const struct probe_report *report,
                      enum hif_err err, const struct hif_why *why)
{
        json_t *value = json_pack(
            "{s:s, s:b, s:o, s:I, s:{s:I, s:I, s:I, s:I}}", "store", url, "usable", err == HIF_OK,
            "checks", checks_json(report), "requests", (json_int_t)report->requests, "median_us",
            "put", (json_int_t)(report->put_ns / 1000), "get", (json_int_t)(report->get_ns / 1000),
            "list", (json_int_t)(report->list_ns / 1000), "delete",
            (json_int_t)(report->delete_ns / 1000));

        if (value && err != HIF_OK &&
            json_object_set_new(
                value, "error",
                json_pack("{s:s, s:s}", "code", hif_err_name(err), "text", why->text)) != 0) {
                json_decref(value);
                value = NULL;
        }
        return cli_print_json(cli, value);
}

static int cmd_probe(struct cli *cli, int argc, char **argv)
{
        struct probe_args args = {0};
        struct probe_report report = {0};
        struct hif_why why = {0};
        struct store *store = NULL;
        enum hif_err err = HIF_OK;
        int code;

        cli_parse(cli, &probe_argp, argc, argv, &args);
        if (args.url) {
                free(cli->config.store);
                cli->config.store = strdup(args.url);
                err = cli->config.store ? HIF_OK : HIF_ENOMEM;
        }
        if (err == HIF_OK)
                err = cli_store_unprobed(cli, true, &store, &why);
        if (err != HIF_OK)
                return cli_fail(cli, err, &why);
        err = cli_store_probe(cli, store, &report, &why);
        code = cli_exit_of(err);
        if (cli->json) {
                int printed = print_json(cli, store_url(store), &report, err, &why);

                code = err == HIF_OK ? printed : code;
        } else {
                print_text(cli, store_url(store), &report);
                if (err == HIF_OK)
                        printf("Projects can be kept here.\n");
                code = cli_finish(cli, err == HIF_OK ? EXIT_DONE : cli_fail(cli, err, &why));
        }
        store_close(store);
        return code;
}

static const struct command subcommands[] = {
    {"probe", "ask a store whether landing there is safe", cmd_probe}, {0}};

int cmd_store(struct cli *cli, int argc, char **argv)
{
        return cli_subcommand(cli, subcommands, argc, argv);
}
