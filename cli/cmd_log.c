/* hif log [ORG/NAME[@N]]: the landings, newest first. */
#include "cli/commands.h"
#include "cli/view.h"

#include <errno.h>
#include <inttypes.h>
#include <time.h>

#define COUNT_DEFAULT 20u

struct args {
        const char *project;
        uint64_t count;
        bool paths;
};

static const struct argp_option options[] = {
    {"max-count", 'n', "N", 0, "Show at most N landings (default: 20; 0: all)", 0},
    {"verbose", 'v', NULL, 0, "Show the paths of each landing", 0},
    {"stat", 's', NULL, OPTION_ALIAS, NULL, 0},
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
    .args_doc = "[ORG/NAME[@N]]",
    .doc = "List the landings of a project, the newest (or @N) first. Inside a mount the project "
           "need not be named."};

static const char *slot_kind_name(enum slot_kind kind)
{
        switch (kind) {
        case SLOT_LANDING:
                return "landing";
        case SLOT_BATCH:
                return "batch";
        case SLOT_VOID:
                return "void";
        case SLOT_REPAIR:
                return "repair";
        case SLOT_GC:
                return "gc";
        }
        return "unknown";
}

static const char *path_kind_name(enum slot_path_kind kind)
{
        switch (kind) {
        case SLOT_ADDED:
                return "A";
        case SLOT_CHANGED:
                return "M";
        case SLOT_REMOVED:
                return "D";
        case SLOT_RENAMED:
                return "R";
        }
        return "?";
}

/* One line of the log: a landing, or a slot without one. */
struct entry_view {
        const struct slot *slot;
        uint32_t index; /* of the landing */
        struct slot_member landing;
        const struct slot_path *paths;
};

static struct entry_view entry_at(const struct slot *slot, uint32_t index)
{
        struct entry_view view = {.slot = slot, .index = index};
        uint32_t first = 0;

        if (index < slot_landing_count(slot))
                slot_landing_at(slot, index, &view.landing, &first);
        else
                view.landing = (struct slot_member){.session = slot->session,
                                                    .base_position = slot->base_position,
                                                    .wall_ns = slot->wall_ns,
                                                    .author = slot->author,
                                                    .goal = slot->goal};
        if (slot->paths)
                view.paths = slot->paths + first;
        return view;
}

static uint32_t member_of(const struct entry_view *view)
{
        return view->slot->kind == SLOT_BATCH ? view->index + 1 : 0;
}

static enum hif_err add_paths(json_t *object, const struct entry_view *view)
{
        json_t *paths = json_array();

        for (uint32_t i = 0; i < view->landing.path_count; i++) {
                const struct slot_path *path = &view->paths[i];
                json_t *item = json_pack("{s:s}", "status", path_kind_name(path->kind));

                if (!item)
                        break;
                json_set_path(item, "path", path->path);
                if (path->kind == SLOT_RENAMED)
                        json_set_path(item, "from", path->path_from);
                (void)json_array_append_new(paths, item);
        }
        return json_object_set_new(object, "paths", paths) == 0 ? HIF_OK : HIF_ENOMEM;
}

static enum hif_err add_json(json_t *list, const struct entry_view *view, bool with_paths)
{
        const struct slot *slot = view->slot;
        const struct slot_member *landing = &view->landing;
        char session[SESSION_ID_HEX_SIZE], tree[HIF_HASH_HEX_SIZE], when[TIME_TEXT_SIZE];
        json_t *object;

        session_id_to_hex(&landing->session, session);
        hash_to_hex(&slot->tree, tree);
        time_text((int64_t)(landing->wall_ns / 1000000000),
                  (uint32_t)(landing->wall_ns % 1000000000), when);
        object = json_pack("{s:I, s:I, s:s, s:s, s:I, s:s, s:s, s:I, s:I}", "position",
                           (json_int_t)slot->position, "member", (json_int_t)member_of(view),
                           "kind", slot_kind_name(slot->kind), "session", session, "base",
                           (json_int_t)landing->base_position, "time", when, "tree", tree,
                           "entries", (json_int_t)slot->tree_entries, "path_count",
                           (json_int_t)landing->path_count);
        if (!object || json_array_append_new(list, object) != 0)
                return HIF_ENOMEM;
        json_set_path(object, "author", landing->author);
        json_set_path(object, "goal", landing->goal);
        return with_paths ? add_paths(object, view) : HIF_OK;
}

/* Local time, as people read it. */
static void print_time(uint64_t wall_ns)
{
        time_t when = (time_t)(wall_ns / 1000000000);
        char text[64];
        struct tm tm;

        if (localtime_r(&when, &tm) && strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %z", &tm))
                printf("  Time:    %s\n", text);
}

static void print_paths(const struct cli *cli, const struct entry_view *view)
{
        for (uint32_t i = 0; i < view->landing.path_count; i++) {
                const struct slot_path *path = &view->paths[i];
                enum cli_color color = path->kind == SLOT_ADDED     ? COLOR_GREEN
                                       : path->kind == SLOT_REMOVED ? COLOR_RED
                                                                    : COLOR_YELLOW;

                printf("    %s%s%s ", cli_color(cli, color), path_kind_name(path->kind),
                       cli_color(cli, COLOR_NONE));
                if (path->kind == SLOT_RENAMED) {
                        cli_print_path(path->path_from);
                        printf(" -> ");
                }
                cli_print_path(path->path);
                printf("\n");
        }
}

static void print_entry(const struct cli *cli, const struct entry_view *view, bool with_paths)
{
        const struct slot_member *landing = &view->landing;
        uint64_t position = view->slot->position;
        char session[SESSION_ID_HEX_SIZE], name[LANDING_NAME_SIZE];

        session_id_to_hex(&landing->session, session);
        landing_name(position, member_of(view), name);
        printf("%s%s%s", cli_color(cli, COLOR_YELLOW), name, cli_color(cli, COLOR_NONE));
        if (view->slot->kind == SLOT_VOID) {
                printf("  (void: an attempt to land that was given up)\n");
                return;
        }
        printf("  %s", cli_color(cli, COLOR_BOLD));
        cli_print_text(landing->goal, 4);
        if (landing->goal.size == 0)
                printf("%s", position == 0 ? "(project created)" : "(no goal)");
        printf("%s\n", cli_color(cli, COLOR_NONE));
        if (position > 0)
                printf("  Session: %s\n", session);
        printf("  Author:  ");
        cli_print_text(landing->author, 11);
        printf("\n");
        print_time(landing->wall_ns);
        if (position > 0)
                printf("  Paths:   %u\n", landing->path_count);
        if (with_paths)
                print_paths(cli, view);
}

/* The landings of one slot, the last first. */
static enum hif_err show_slot(struct cli *cli, const struct args *args, const struct slot *slot,
                              json_t *list, uint64_t *shown)
{
        uint32_t count = slot_landing_count(slot);
        enum hif_err err = HIF_OK;

        for (uint32_t left = count > 0 ? count : 1; err == HIF_OK && left > 0; left--) {
                struct entry_view view = entry_at(slot, left - 1);

                if (args->count > 0 && *shown == args->count)
                        break;
                if (!list && *shown > 0)
                        printf("\n");
                if (list)
                        err = add_json(list, &view, args->paths);
                else
                        print_entry(cli, &view, args->paths);
                ++*shown;
        }
        return err;
}

/* Slots are read backwards from the one that the view has. */
static enum hif_err walk(struct cli *cli, const struct args *args, struct view *view, json_t *list,
                         struct hif_why *why)
{
        uint64_t position = view->slot.slot.position, shown = 0;
        enum hif_err err = HIF_OK;

        while (args->count == 0 || shown < args->count) {
                struct slot_read read;

                err = project_slot(&view->project, position, args->paths, &read, why);
                if (err == HIF_ENOENT) /* slots are dense */
                        return why_set(why, HIF_ECORRUPT, "the record of @%" PRIu64 " is missing",
                                       position);
                if (err != HIF_OK)
                        return err;
                err = show_slot(cli, args, &read.slot, list, &shown);
                slot_read_free(&read);
                if (err != HIF_OK || position-- == 0)
                        return err;
        }
        return err;
}

int cmd_log(struct cli *cli, int argc, char **argv)
{
        struct args args = {.count = COUNT_DEFAULT};
        struct view view = {0};
        struct hif_why why = {0};
        json_t *list = NULL;
        enum hif_err err;
        int code;

        cli_parse(cli, &argp, argc, argv, &args);
        err = view_open(cli, args.project, &view, &why);
        if (err == HIF_OK && cli->json) {
                list = json_array();
                err = list ? HIF_OK : HIF_ENOMEM;
        }
        if (err == HIF_OK)
                err = walk(cli, &args, &view, list, &why);
        if (err != HIF_OK) {
                json_decref(list);
                code = view_fail(cli, err, &why);
        } else {
                code = cli->json ? cli_print_json(cli, list) : cli_finish(cli, EXIT_DONE);
        }
        view_close(&view);
        return code;
}
