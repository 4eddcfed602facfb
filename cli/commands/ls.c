/* hif ls ORG/NAME[@N] [PATH]: what a project holds, without mounting it. */
#include "cli/commands/commands.h"
#include "cli/view.h"

#include <inttypes.h>
#include <time.h>

struct args {
        const char *project, *path;
        bool details, recursive;
};

static const struct argp_option options[] = {
    {"long", 'l', NULL, 0, "Show mode, size and modification time", 0},
    {"recursive", 'R', NULL, 0, "List everything below", 0},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
        struct args *args = state->input;

        switch (key) {
        case 'l':
                args->details = true;
                return 0;
        case 'R':
                args->recursive = true;
                return 0;
        case ARGP_KEY_ARG:
                if (!args->project)
                        args->project = arg;
                else if (!args->path)
                        args->path = arg;
                else
                        return ARGP_ERR_UNKNOWN;
                return 0;
        default:
                return ARGP_ERR_UNKNOWN;
        }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "[ORG/NAME[@N] [PATH]]",
    .doc = "List a directory of a project, as of the newest landing or of @N. Inside a mount the "
           "project need not be named; what was landed is listed, not the mount's edits."};

struct item {
        struct span path; /* whole */
        struct entry entry;
};

struct listing {
        struct arena arena;
        struct item *items;
        size_t count, capacity;
};

static enum hif_err add(struct listing *listing, struct span path, const struct entry *entry)
{
        struct item *item;

        if (listing->count == listing->capacity) {
                size_t capacity = listing->capacity ? listing->capacity * 2 : 64;
                struct item *grown = realloc(listing->items, capacity * sizeof(*grown));

                if (!grown)
                        return HIF_ENOMEM;
                listing->items = grown;
                listing->capacity = capacity;
        }
        item = &listing->items[listing->count];
        item->entry = *entry;
        item->entry.ext = (struct span){0};
        item->path = arena_span(&listing->arena, path);
        item->entry.target = arena_span(&listing->arena, entry->target);
        if ((path.size > 0 && !item->path.data) ||
            (entry->target.size > 0 && !item->entry.target.data))
                return HIF_ENOMEM;
        listing->count++;
        return HIF_OK;
}

static int compare_items(const void *a, const void *b)
{
        return span_cmp(((const struct item *)a)->path, ((const struct item *)b)->path);
}

/* The keys of a directory's children, or of everything below it. */
static enum hif_err range_of(struct span dir, bool recursive, struct buf *from, struct buf *to)
{
        key_prefix(from, dir);
        if (recursive) {
                key_prefix_end(to, buf_span(from));
        } else {
                buf_put_span(to, buf_span(from));
                buf_put_u8(to, 1);
        }
        buf_put_u8(from, 0);
        return buf_failed(from) || buf_failed(to) ? HIF_ENOMEM : HIF_OK;
}

static enum hif_err collect(struct view *view, struct tree_cursor *cursor, struct span dir,
                            bool recursive, struct listing *out)
{
        AUTO_BUF struct buf from = {0};
        AUTO_BUF struct buf to = {0};
        AUTO_BUF struct buf path = {0};
        enum hif_err err = range_of(dir, recursive, &from, &to);

        if (err == HIF_OK)
                err = node_reader_touch_range(view->reader, &view->slot.slot.tree, buf_span(&from),
                                              buf_span(&to));
        if (err == HIF_OK)
                err = tree_seek(cursor, &view->slot.slot.tree, buf_span(&from));
        while (err == HIF_OK) {
                struct span key = tree_cursor_key(cursor);
                struct entry entry;

                if (to.size > 0 && span_cmp(key, buf_span(&to)) >= 0)
                        break;
                buf_reset(&path);
                key_to_path(&path, key);
                tree_cursor_entry(cursor, &entry);
                err = buf_failed(&path) ? HIF_ENOMEM : add(out, buf_span(&path), &entry);
                if (err == HIF_OK)
                        err = tree_next(cursor);
        }
        return err == HIF_ENOENT ? HIF_OK : err;
}

static enum hif_err list_path(struct view *view, struct span path, bool recursive,
                              struct listing *out, struct hif_why *why)
{
        struct tree_cursor cursor;
        struct entry entry;
        enum hif_err err;

        tree_cursor_init(&cursor, node_reader_source(view->reader));
        err = view_find(view, &cursor, path, &entry, why);
        if (err == HIF_OK) {
                err = entry.kind == ENTRY_DIR ? collect(view, &cursor, path, recursive, out)
                                              : add(out, path, &entry);
                if (err != HIF_OK)
                        (void)why_set(why, err, "cannot read the tree of %s: %s", view->arg.project,
                                      hif_strerror(err));
        }
        tree_cursor_close(&cursor);
        if (err == HIF_OK && out->count > 0)
                qsort(out->items, out->count, sizeof(*out->items), compare_items);
        return err;
}

static void print_details(const struct entry *entry)
{
        static const char *const modes[] = {[ENTRY_FILE] = "-rw-r--r--",
                                            [ENTRY_EXEC] = "-rwxr-xr-x",
                                            [ENTRY_SYMLINK] = "lrwxrwxrwx",
                                            [ENTRY_DIR] = "drwxr-xr-x"};
        time_t when = (time_t)entry->mtime.sec;
        char text[64] = "?";
        struct tm tm;

        if (localtime_r(&when, &tm))
                (void)strftime(text, sizeof(text), "%Y-%m-%d %H:%M", &tm);
        printf("%s %12" PRIu64 " %s ", modes[entry->kind], entry->size, text);
}

/* Paths are shown from the listed directory on. */
static void print_item(const struct cli *cli, const struct args *args, struct span dir,
                       const struct item *item)
{
        struct span shown = item->path;

        if (dir.size > 0 && dir.size < shown.size)
                shown = span_of(shown.data + dir.size + 1, shown.size - dir.size - 1);
        if (args->details)
                print_details(&item->entry);
        if (item->entry.kind == ENTRY_DIR)
                printf("%s", cli_color(cli, COLOR_BOLD));
        else if (item->entry.kind == ENTRY_EXEC)
                printf("%s", cli_color(cli, COLOR_GREEN));
        cli_print_path(shown);
        if (item->entry.kind == ENTRY_DIR || item->entry.kind == ENTRY_EXEC)
                printf("%s", cli_color(cli, COLOR_NONE));
        if (item->entry.kind == ENTRY_DIR)
                printf("/");
        if (args->details && item->entry.kind == ENTRY_SYMLINK) {
                printf(" -> ");
                cli_print_path(item->entry.target);
        }
        printf("\n");
}

static int report(const struct cli *cli, const struct args *args, struct span dir,
                  const struct listing *listing)
{
        json_t *list;

        if (!cli->json) {
                for (size_t i = 0; i < listing->count; i++)
                        print_item(cli, args, dir, &listing->items[i]);
                return cli_finish(cli, EXIT_DONE);
        }
        list = json_array();
        for (size_t i = 0; i < listing->count && list; i++) {
                const struct item *item = &listing->items[i];

                if (json_array_append_new(list, entry_to_json(item->path, &item->entry)) != 0) {
                        json_decref(list);
                        list = NULL;
                }
        }
        return cli_print_json(cli, list);
}

int cmd_ls(struct cli *cli, int argc, char **argv)
{
        struct args args = {0};
        struct view view = {0};
        struct listing listing = {0};
        AUTO_FREE char *path = NULL;
        struct hif_why why = {0};
        enum hif_err err;
        int code;

        cli_parse(cli, &argp, argc, argv, &args);
        err = view_open(cli, args.project, &view, &why);
        if (err == HIF_OK && args.path)
                err = path_arg_parse(args.path, &path, &why);
        if (err == HIF_OK && !args.path && view.arg.path)
                path = STEAL(view.arg.path);
        if (err == HIF_OK)
                err = list_path(&view, span_str(path ? path : ""), args.recursive, &listing, &why);
        code = err == HIF_OK ? report(cli, &args, span_str(path ? path : ""), &listing)
                             : view_fail(cli, err, &why);
        arena_free(&listing.arena);
        free(listing.items);
        view_close(&view);
        return code;
}
