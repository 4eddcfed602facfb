#include "cli/conflicts.h"

#include "base/cleanup.h"

#include <string.h>

json_t *conflicts_to_json(const struct land_result *result)
{
        json_t *list = json_array();

        for (uint32_t i = 0; list && i < result->conflict_count; i++) {
                const struct land_conflict *conflict = &result->conflicts[i];
                char id[SESSION_ID_HEX_SIZE];
                json_t *item;

                session_id_to_hex(&conflict->session, id);
                item = json_pack("{s:s, s:s, s:I, s:I, s:s}", "ours", conflict->ours, "theirs",
                                 conflict->theirs, "position", (json_int_t)conflict->position,
                                 "member", (json_int_t)conflict->member, "session", id);
                if (item) {
                        json_set_path(item, "path", conflict->path);
                        json_set_path(item, "author", conflict->author);
                        json_set_path(item, "goal", conflict->goal);
                }
                if (json_array_append_new(list, item) != 0) {
                        json_decref(list);
                        list = NULL;
                }
        }
        return list;
}

/* "changed it"; what was "replaced a directory above it" has its object already. */
static const char *object_of(const char *verb)
{
        size_t size = strlen(verb);

        return size > 3 && strcmp(verb + size - 3, " it") == 0 ? "" : " it";
}

void conflicts_print(const json_t *conflicts, const char *since)
{
        json_t *item;
        size_t index;

        printf("Not landed: %zu path(s) were changed on both sides since %s.\n",
               json_array_size(conflicts), since);
        json_array_foreach(conflicts, index, item)
        {
                AUTO_BUF struct buf path = {0}, author = {0}, goal = {0};
                const char *theirs = json_string_value(json_object_get(item, "theirs"));
                char name[LANDING_NAME_SIZE];

                json_get_path(item, "path", &path);
                json_get_path(item, "author", &author);
                json_get_path(item, "goal", &goal);
                landing_name((uint64_t)json_integer_value(json_object_get(item, "position")),
                             (uint32_t)json_integer_value(json_object_get(item, "member")), name);
                fputs("  ", stdout);
                cli_print_path(buf_span(&path));
                printf(": you %s it, %s %s%s (", json_string_value(json_object_get(item, "ours")),
                       name, theirs, object_of(theirs));
                cli_print_path(buf_span(&author));
                fputs(": ", stdout);
                cli_print_path(buf_span(&goal));
                fputs(")\n", stdout);
        }
}
