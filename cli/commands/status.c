/* hif status, hif diff. */
#include "base/cleanup.h"
#include "cli/base64.h"
#include "cli/commands/commands.h"
#include "cli/control.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Ask the daemon about the workspace in which we stand (or -C DIR). */
static enum hif_err ask(struct cli *cli, json_t *request, json_t **result, struct hif_why *why)
{
        enum hif_err err = cli_put_place(cli, request, ".", why);

        if (err == HIF_OK)
                return control_ask(cli, request, NULL, NULL, result, why);
        json_decref(request);
        return err;
}

/* --- status --- */

static const struct argp status_argp = {
    .doc = "Show what the session has changed: A added, M modified, D deleted, R renamed."};

static enum cli_color color_of(char status)
{
        switch (status) {
        case 'A':
                return COLOR_GREEN;
        case 'D':
                return COLOR_RED;
        default:
                return COLOR_YELLOW;
        }
}

/* A path as the daemon gives it: text, or exact bytes in hexadecimal beside it. */
static void print_json_path(const json_t *item, const char *key)
{
        CLEANUP(buf_free) struct buf bytes = {0};

        json_get_path(item, key, &bytes);
        cli_print_path(buf_span(&bytes));
}

static void print_change(const struct cli *cli, const json_t *item)
{
        const char *status = json_string_value(json_object_get(item, "status"));
        const char *slash = json_is_true(json_object_get(item, "directory")) ? "/" : "";

        printf("%s%s%s ", cli_color(cli, color_of(status[0])), status, cli_color(cli, COLOR_NONE));
        if (json_object_get(item, "from") != NULL) {
                print_json_path(item, "from");
                printf("%s -> ", slash);
        }
        print_json_path(item, "path");
        printf("%s\n", slash);
}

void print_uploads(const json_t *status)
{
        const json_t *uploads = json_object_get(status, "uploads");
        json_int_t left = json_integer_value(json_object_get(uploads, "files_left"));
        json_int_t stored = json_integer_value(json_object_get(uploads, "files_stored"));
        const char *reason = json_string_value(json_object_get(uploads, "reason"));

        if (!json_is_true(json_object_get(uploads, "on")) || left + stored == 0)
                return;
        if (left == 0)
                printf("uploaded: all that landing needs\n");
        else
                printf("uploaded: %lld of %lld file(s), %.1f MB to go\n", (long long)stored,
                       (long long)(stored + left),
                       (double)json_integer_value(json_object_get(uploads, "bytes_left")) / 1e6);
        if (reason != NULL)
                printf("uploads wait: %s\n", reason);
}

static void warn_damaged(const struct cli *cli, const json_t *status)
{
        const json_t *damage = json_object_get(status, "damage");
        json_t *text;
        size_t index;

        if (json_array_size(damage) == 0)
                return;
        cli_warn(cli,
                 "the session is damaged, and read-only; `hif session export DIR` saves what is "
                 "there. What is damaged:");
        json_array_foreach((json_t *)(uintptr_t)damage, index, text)
            cli_warn(cli, "%s", json_string_value(text));
}

int cmd_status(struct cli *cli, int argc, char **argv)
{
        struct hif_why why = {0};
        json_t *result = NULL, *changes, *item;
        size_t index;
        enum hif_err err;

        cli_parse(cli, &status_argp, argc, argv, NULL);
        err = ask(cli, json_pack("{s:s}", "op", "status"), &result, &why);
        if (err != HIF_OK)
                return cli_fail_here(cli, err, &why);
        if (cli->json)
                return cli_print_json(cli, result);
        warn_damaged(cli, result);
        if (json_text(result, "operations_damaged")[0] != '\0')
                cli_warn(cli, "the session cannot be landed: %s",
                         json_text(result, "operations_damaged"));
        if (json_is_null(json_object_get(result, "ignored")))
                cli_warn(cli, "the ignore rules could not be read, as the store does not answer: "
                              "what they ignore is shown, too");
        changes = json_object_get(result, "changes");
        json_array_foreach(changes, index, item) print_change(cli, item);
        if (json_array_size(changes) == 0)
                printf("no changes against @%lld\n",
                       (long long)json_integer_value(json_object_get(result, "base")));
        print_uploads(result);
        json_decref(result);
        return cli_finish(cli, EXIT_DONE);
}

/* --- diff --- */

struct diff_args {
        json_t *paths;
};

static error_t parse_diff(int key, char *arg, struct argp_state *state)
{
        struct diff_args *args = state->input;

        if (key != ARGP_KEY_ARG)
                return ARGP_ERR_UNKNOWN;
        json_array_append_new(args->paths, json_path_item(span_str(arg)));
        return 0;
}

static const struct argp diff_argp = {
    .parser = parse_diff,
    .args_doc = "[PATH...]",
    .doc = "Show the session's changes as a unified diff, of everything or below the paths."};

static const char *color_of_line(const struct cli *cli, const char *line)
{
        if (strncmp(line, "+++", 3) == 0 || strncmp(line, "---", 3) == 0 ||
            strncmp(line, "diff ", 5) == 0)
                return cli_color(cli, COLOR_BOLD);
        if (line[0] == '+')
                return cli_color(cli, COLOR_GREEN);
        if (line[0] == '-')
                return cli_color(cli, COLOR_RED);
        return "";
}

static void print_diff(const struct cli *cli, const char *text, size_t size)
{
        while (size > 0) {
                const char *end = memchr(text, '\n', size);
                size_t line = end != NULL ? (size_t)(end - text) + 1 : size;
                const char *color = cli->color ? color_of_line(cli, text) : "";

                fputs(color, stdout);
                fwrite(text, 1, line - (end != NULL), stdout);
                if (color[0] != '\0')
                        fputs(cli_color(cli, COLOR_NONE), stdout);
                if (end != NULL)
                        fputc('\n', stdout);
                text += line;
                size -= line;
        }
}

/* Arguments are paths where we stand; the workspace's own start at its root. */
static enum hif_err paths_in_workspace(struct cli *cli, const json_t *paths, json_t **out,
                                       struct hif_why *why)
{
        json_t *path;
        size_t index;

        *out = json_array();
        json_array_foreach((json_t *)(uintptr_t)paths, index, path)
        {
                AUTO_FREE char *inside = NULL;
                AUTO_BUF struct buf bytes = {0};
                enum hif_err err;

                json_get_path_item(path, &bytes);
                buf_put_u8(&bytes, '\0');
                if (buf_failed(&bytes))
                        return HIF_ENOMEM;
                err = cli_path_in_mount(cli, (const char *)bytes.data, &inside, why);
                if (err != HIF_OK)
                        return err;
                if (json_array_append_new(*out, json_path_item(span_str(inside))) != 0)
                        return HIF_ENOMEM;
        }
        return HIF_OK;
}

int cmd_diff(struct cli *cli, int argc, char **argv)
{
        struct diff_args args = {.paths = json_array()};
        struct hif_why why = {0};
        json_t *result = NULL, *paths = NULL;
        AUTO_BUF struct buf text = {0};
        enum hif_err err;

        cli_parse(cli, &diff_argp, argc, argv, &args);
        err = paths_in_workspace(cli, args.paths, &paths, &why);
        json_decref(args.paths);
        if (err == HIF_OK)
                err =
                    ask(cli, json_pack("{s:s, s:O}", "op", "diff", "paths", paths), &result, &why);
        json_decref(paths);
        if (err != HIF_OK)
                return cli_fail(cli, err, &why);
        if (cli->json)
                return cli_print_json(cli, result);
        err = base64_from_json(json_object_get(result, "diff_base64"), &text);
        json_decref(result);
        if (err != HIF_OK)
                return cli_fail(cli, err, NULL);
        print_diff(cli, text.size > 0 ? (const char *)text.data : "", text.size);
        return cli_finish(cli, EXIT_DONE);
}
