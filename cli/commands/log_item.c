/* log_item.c - one landing, for people and as JSON. */
#include "cli/commands/log.h"

#include <inttypes.h>
#include <time.h>

/* A landing, or a slot that is none, as both are shown. */
struct shown {
        char name[LANDING_NAME_SIZE];
        uint32_t member; /* from 1; 0: it landed alone, or none did */
        struct slot_member what;
        const struct slot_path *paths; /* NULL: not there */
};

static struct shown shown_of(const struct history_item *item)
{
        const struct slot *slot = item->slot;
        struct shown shown = {.paths = slot->paths};
        uint32_t first = 0;

        shown.member = item->landing && slot->kind == SLOT_BATCH ? item->index + 1 : 0;
        landing_name(slot->position, shown.member, shown.name);
        if (item->landing) {
                slot_landing_at(slot, item->index, &shown.what, &first);
                if (slot->paths)
                        shown.paths = slot->paths + first;
        } else {
                shown.what = (struct slot_member){.session = slot->session,
                                                  .base_position = slot->base_position,
                                                  .wall_ns = slot->wall_ns,
                                                  .author = slot->author,
                                                  .goal = slot->goal,
                                                  .path_count = slot->path_count};
        }
        return shown;
}

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

/* --- JSON --- */

static enum hif_err add_paths(json_t *object, const struct shown *shown)
{
        json_t *paths = json_array();

        for (uint32_t i = 0; shown->paths && i < shown->what.path_count; i++) {
                const struct slot_path *path = &shown->paths[i];
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

enum hif_err log_item_json(json_t *list, const struct history_item *item, bool with_paths)
{
        const struct slot *slot = item->slot;
        struct shown shown = shown_of(item);
        char session[SESSION_ID_HEX_SIZE], tree[HIF_HASH_HEX_SIZE], when[TIME_TEXT_SIZE];
        json_t *object;

        session_id_to_hex(&shown.what.session, session);
        hash_to_hex(&slot->tree, tree);
        time_text((int64_t)(shown.what.wall_ns / 1000000000),
                  (uint32_t)(shown.what.wall_ns % 1000000000), when);
        object = json_pack("{s:I, s:I, s:s, s:s, s:I, s:s, s:s, s:I, s:I}", "position",
                           (json_int_t)slot->position, "member", (json_int_t)shown.member, "kind",
                           slot_kind_name(slot->kind), "session", session, "base",
                           (json_int_t)shown.what.base_position, "time", when, "tree", tree,
                           "entries", (json_int_t)slot->tree_entries, "path_count",
                           (json_int_t)shown.what.path_count);
        if (!object || json_array_append_new(list, object) != 0)
                return HIF_ENOMEM;
        json_set_path(object, "author", shown.what.author);
        json_set_path(object, "goal", shown.what.goal);
        return with_paths ? add_paths(object, &shown) : HIF_OK;
}

/* --- text --- */

/* Local time, as people read it. */
static void print_time(uint64_t wall_ns)
{
        time_t when = (time_t)(wall_ns / 1000000000);
        char text[64];
        struct tm tm;

        if (localtime_r(&when, &tm) && strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %z", &tm))
                printf("  Time:    %s\n", text);
}

static void print_paths(const struct cli *cli, const struct shown *shown)
{
        for (uint32_t i = 0; shown->paths && i < shown->what.path_count; i++) {
                const struct slot_path *path = &shown->paths[i];
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

void log_item_print(const struct cli *cli, const struct history_item *item, bool with_paths)
{
        const struct slot *slot = item->slot;
        struct shown shown = shown_of(item);
        char session[SESSION_ID_HEX_SIZE];

        session_id_to_hex(&shown.what.session, session);
        printf("%s%s%s", cli_color(cli, COLOR_YELLOW), shown.name, cli_color(cli, COLOR_NONE));
        if (slot->kind == SLOT_VOID) {
                printf("  (void: %s)\n", slot->refused_count > 0
                                             ? "proposals that were refused"
                                             : "an attempt to land that was given up");
                return;
        }
        printf("  %s", cli_color(cli, COLOR_BOLD));
        cli_print_text(shown.what.goal, 4);
        if (shown.what.goal.size == 0)
                printf("%s", slot->position == 0 ? "(project created)" : "(no goal)");
        printf("%s\n", cli_color(cli, COLOR_NONE));
        if (slot->position > 0)
                printf("  Session: %s\n", session);
        printf("  Author:  ");
        cli_print_text(shown.what.author, 11);
        printf("\n");
        print_time(shown.what.wall_ns);
        if (slot->position > 0)
                printf("  Paths:   %u\n", shown.what.path_count);
        if (with_paths)
                print_paths(cli, &shown);
}
