/* hif cat ORG/NAME[@N]:PATH: a file's content, without mounting. */
#include "cli/commands/commands.h"
#include "cli/view.h"

#include <errno.h>

#define JSON_SIZE_MAX (64u << 20)

struct args {
        const char *project, *path;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
        struct args *args = state->input;

        switch (key) {
        case ARGP_KEY_ARG:
                if (!args->project)
                        args->project = arg;
                else if (!args->path)
                        args->path = arg;
                else
                        return ARGP_ERR_UNKNOWN;
                return 0;
        case ARGP_KEY_NO_ARGS:
                argp_error(state, "which file? Name it as ORG/NAME:PATH");
                return 0;
        default:
                return ARGP_ERR_UNKNOWN;
        }
}

static const struct argp argp = {
    .parser = parse,
    .args_doc = "ORG/NAME[@N]:PATH\nORG/NAME[@N] PATH",
    .doc = "Write a file's content to standard output, as of the newest landing or of @N."};

/* Where the content goes. */
struct sink {
        struct buf *bytes; /* NULL: standard output */
        bool broken;       /* which cannot be written to */
};

static enum hif_err write_piece(void *arg, struct span piece)
{
        struct sink *sink = arg;

        if (sink->bytes) {
                buf_put_span(sink->bytes, piece);
                return buf_failed(sink->bytes) ? HIF_ENOMEM : HIF_OK;
        }
        if (fwrite(piece.data, 1, piece.size, stdout) == piece.size)
                return HIF_OK;
        sink->broken = true;
        return hif_err_from_errno(errno);
}

static enum hif_err check_kind(const struct view *view, const char *path, const struct entry *entry,
                               struct hif_why *why)
{
        if (entry->kind == ENTRY_DIR)
                return why_set(why, HIF_EISDIR,
                               "%s is a directory; \"hif ls %s %s\" lists what is in it",
                               path[0] ? path : "/", view->arg.project, path);
        if (entry->kind == ENTRY_SYMLINK)
                return why_set(why, HIF_ENOTSUP,
                               "%s is a symbolic link, to %.*s: name that instead", path,
                               (int)entry->target.size, (const char *)entry->target.data);
        return HIF_OK;
}

static int report_json(const struct cli *cli, const char *path, const struct entry *entry,
                       const struct buf *bytes)
{
        json_t *object = entry_to_json(span_str(path), entry);

        if (object)
                json_set_path(object, "content", buf_span(bytes));
        return cli_print_json(cli, object);
}

static int print(struct cli *cli, struct view *view, const char *path, const struct entry *entry)
{
        AUTO_BUF struct buf bytes = {0};
        struct sink sink = {.bytes = cli->json ? &bytes : NULL};
        struct hif_why why = {0};
        enum hif_err err = check_kind(view, path, entry, &why);

        if (err == HIF_OK && cli->json && entry->size > JSON_SIZE_MAX)
                err = why_set(&why, HIF_EFBIG, "%s is too large for JSON: leave --json away", path);
        if (err == HIF_OK)
                err = project_read_file(&view->project, entry, 0, UINT64_MAX, write_piece, &sink,
                                        &why);
        if (sink.broken)
                return cli_finish(cli, EXIT_FAILED);
        if (err != HIF_OK)
                return cli_fail(cli, err, &why);
        return cli->json ? report_json(cli, path, entry, &bytes) : cli_finish(cli, EXIT_DONE);
}

/* *entry borrows from the cursor. */
static enum hif_err find(struct view *view, struct tree_cursor *cursor, const struct args *args,
                         char **path, struct entry *entry, struct hif_why *why)
{
        enum hif_err err = HIF_OK;

        if (args->path)
                err = path_arg_parse(args->path, path, why);
        else
                *path = STEAL(view->arg.path);
        return err == HIF_OK ? view_find(view, cursor, span_str(*path), entry, why) : err;
}

int cmd_cat(struct cli *cli, int argc, char **argv)
{
        struct args args = {0};
        struct view view = {0};
        struct hif_why why = {0};
        struct tree_cursor cursor;
        struct entry entry;
        AUTO_FREE char *path = NULL;
        enum hif_err err;
        int code;

        cli_parse(cli, &argp, argc, argv, &args);
        if (!args.path && !strchr(args.project, ':'))
                return cli_usage(cli, "which file of %s? Name it as %s:PATH", args.project,
                                 args.project);
        err = view_open(cli, args.project, &view, &why);
        if (err != HIF_OK) {
                view_close(&view);
                return view_fail(cli, err, &why);
        }
        tree_cursor_init(&cursor, node_reader_source(view.reader));
        err = find(&view, &cursor, &args, &path, &entry, &why);
        code = err == HIF_OK ? print(cli, &view, path, &entry) : view_fail(cli, err, &why);
        tree_cursor_close(&cursor);
        view_close(&view);
        return code;
}
