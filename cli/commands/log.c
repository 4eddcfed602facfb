/* hif log [ORG/NAME[@N]]: the landings, newest first. */
#include "cli/commands/log.h"

#include "cli/commands/commands.h"
#include "cli/view.h"
#include "land/derived/history.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>

#define COUNT_DEFAULT 20u

struct args {
        const char *project;
        uint64_t count;
        bool paths;
        const char *path;
        bool follow;
        const char *author;
        const char *since;
};

enum { KEY_FOLLOW = 0x100, KEY_SINCE };

static const struct argp_option options[] = {
    {"max-count", 'n', "N", 0, "Show at most N landings (default: 20; 0: all)", 0},
    {"verbose", 'v', NULL, 0, "Show the paths of each landing", 0},
    {"stat", 's', NULL, OPTION_ALIAS, NULL, 0},
    {"path", 'p', "PATH", 0, "Only landings that changed PATH, or something below it", 0},
    {"follow", KEY_FOLLOW, NULL, 0,
     "With --path: go on under the name that it had before it was renamed", 0},
    {"author", 'a', "TEXT", 0, "Only landings whose author has TEXT in it, in whatever case", 0},
    {"since", KEY_SINCE, "@N", 0, "Only landings after @N", 0},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
        struct args *args = state->input;
        char *end;

        switch (key) {
        case 'n':
                errno = 0;
                args->count = strtoull(arg, &end, 10);
                if (errno != 0 || arg[0] < '0' || arg[0] > '9' || *end)
                        argp_error(state, "-n wants a number, not \"%s\"", arg);
                return 0;
        case 'v':
        case 's':
                args->paths = true;
                return 0;
        case 'p':
                args->path = arg;
                return 0;
        case KEY_FOLLOW:
                args->follow = true;
                return 0;
        case 'a':
                args->author = arg;
                return 0;
        case KEY_SINCE:
                args->since = arg;
                return 0;
        case ARGP_KEY_ARG:
                if (args->project)
                        return ARGP_ERR_UNKNOWN;
                args->project = arg;
                return 0;
        case ARGP_KEY_END:
                if (args->follow && !args->path)
                        argp_error(state, "--follow goes with --path PATH");
                return 0;
        default:
                return ARGP_ERR_UNKNOWN;
        }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "[ORG/NAME[@N]]",
    .doc = "List the landings of a project, the newest (or @N) first. Inside a mount the project "
           "need not be named."};

/* --- what is wanted --- */

struct log {
        struct cli *cli;
        const struct args *args;
        struct view view;
        char *path;
        json_t *list;
        uint64_t shown;
};

/* ASCII letters alike in both cases; others as they are. */
static bool has_text(struct span text, const char *part)
{
        size_t size = strlen(part);

        for (size_t at = 0; at + size <= text.size; at++) {
                size_t i = 0;

                while (i < size && tolower(text.data[at + i]) == tolower((unsigned char)part[i]))
                        i++;
                if (i == size)
                        return true;
        }
        return false;
}

static bool is_wanted(const struct args *args, const struct history_item *item)
{
        struct slot_member member;

        if (!args->author)
                return true;
        if (!item->landing)
                return has_text(item->slot->author, args->author);
        slot_landing_at(item->slot, item->index, &member, NULL);
        return has_text(member.author, args->author);
}

/* --path as the project calls it: inside a mount it is one of the file system. */
static enum hif_err find_path(struct log *log, struct hif_why *why)
{
        const char *text = log->args->path;
        enum hif_err err;

        if (!text && log->view.arg.path != NULL)
                return why_set(why, HIF_EINVAL,
                               "which landings changed a path is asked with --path: hif log %.*s "
                               "--path PATH",
                               (int)strcspn(log->args->project, ":"), log->args->project);
        if (!text)
                return HIF_OK;
        if (log->args->project)
                err = path_arg_parse(text, &log->path, why);
        else
                err = cli_path_in_mount(log->cli, text, &log->path, why);
        if (err == HIF_OK && log->path[0] == '\0')
                err = why_set(why, HIF_EINVAL,
                              "--path wants something inside the project; without it, all landings "
                              "are listed");
        return err;
}

static enum hif_err find_range(const struct log *log, struct history_wish *wish,
                               struct hif_why *why)
{
        enum hif_err err = HIF_OK;
        uint64_t since;

        wish->tail = wish->from = log->view.slot.slot.position;
        if (log->args->since) {
                err = position_parse(log->args->since, &since, why);
                if (err == HIF_OK)
                        wish->until = since + 1;
        }
        return err;
}

static enum hif_err show(struct log *log, const struct history_item *item)
{
        bool paths = log->args->paths;

        if (log->list)
                return log_item_json(log->list, item, paths);
        if (log->shown > 0)
                printf("\n");
        log_item_print(log->cli, item, paths);
        return HIF_OK;
}

static enum hif_err walk(struct log *log, struct hif_why *why)
{
        const struct args *args = log->args;
        struct history_wish wish = {.follow = args->follow,
                                    .paths = args->paths,
                                    .expected = args->author ? 0 : args->count};
        struct history *history = NULL;
        struct history_item item;
        enum hif_err err = find_range(log, &wish, why);

        if (err == HIF_OK && log->path)
                wish.path = span_str(log->path);
        if (err == HIF_OK)
                err = history_new(&log->view.project, &wish, &history);
        while (err == HIF_OK && (args->count == 0 || log->shown < args->count)) {
                err = history_next(history, &item, why);
                if (err != HIF_OK || !is_wanted(args, &item))
                        continue;
                err = show(log, &item);
                log->shown++;
        }
        history_free(history);
        return err == HIF_ENOENT ? HIF_OK : err;
}

/* Nothing to show is an answer; but a path that was never there may be a slip. */
static void warn_of_nothing(const struct log *log)
{
        if (log->shown == 0 && log->path && !log->args->author && !log->args->since)
                cli_warn(log->cli, "no landing up to @%" PRIu64 " has changed %s",
                         log->view.slot.slot.position, log->path);
}

int cmd_log(struct cli *cli, int argc, char **argv)
{
        struct args args = {.count = COUNT_DEFAULT};
        struct log log = {.cli = cli, .args = &args};
        struct hif_why why = {0};
        enum hif_err err;
        int code;

        cli_parse(cli, &argp, argc, argv, &args);
        err = view_open(cli, args.project, &log.view, &why);
        if (err == HIF_OK)
                err = find_path(&log, &why);
        if (err == HIF_OK && cli->json) {
                log.list = json_array();
                err = log.list ? HIF_OK : HIF_ENOMEM;
        }
        if (err == HIF_OK)
                err = walk(&log, &why);
        if (err != HIF_OK) {
                json_decref(log.list);
                code = view_fail(cli, err, &why);
        } else {
                warn_of_nothing(&log);
                code = cli->json ? cli_print_json(cli, log.list) : cli_finish(cli, EXIT_DONE);
        }
        free(log.path);
        view_close(&log.view);
        return code;
}
