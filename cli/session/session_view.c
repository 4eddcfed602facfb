#include "cli/session/session_view.h"

#include <inttypes.h>
#include <time.h>

const char *session_state_name(enum session_state state)
{
        switch (state) {
        case SESSION_OPEN:
                return "open";
        case SESSION_LANDED:
                return "landed";
        case SESSION_ABANDONED:
                return "abandoned";
        case SESSION_CONFLICTED:
                return "conflicted";
        }
        return "unknown";
}

const char *session_op_name(enum session_op_kind kind)
{
        switch (kind) {
        case SESSION_CREATE:
                return "created";
        case SESSION_WRITE:
                return "wrote";
        case SESSION_DELETE:
                return "deleted";
        case SESSION_RENAME:
                return "renamed";
        case SESSION_MKDIR:
                return "made directory";
        case SESSION_RMDIR:
                return "removed directory";
        case SESSION_SYMLINK:
                return "made link";
        case SESSION_CHMOD:
                return "changed mode of";
        case SESSION_LINK:
                return "linked";
        }
        return "unknown";
}

/* --- JSON --- */

static json_t *time_to_json(hlc_t time)
{
        uint64_t ms = hlc_ms(time);
        char text[TIME_TEXT_SIZE];

        time_text((int64_t)(ms / 1000), (uint32_t)(ms % 1000) * 1000000, text);
        return json_string(text);
}

static json_t *ops_to_json(const struct session *session)
{
        json_t *list = json_array();

        for (uint32_t i = 0; i < session->op_count; i++) {
                const struct session_op *op = &session->ops[i];
                json_t *item = json_pack("{s:s}", "operation", session_op_name(op->kind));
                char hash[HIF_HASH_HEX_SIZE];

                json_set_path(item, "path", op->path);
                if (op->path2.size > 0)
                        json_set_path(item, "to", op->path2);
                if (!hash_is_zero(&op->hash)) {
                        hash_to_hex(&op->hash, hash);
                        (void)json_object_set_new(item, "hash", json_string(hash));
                }
                if (json_array_append_new(list, item) != 0) {
                        json_decref(list);
                        return NULL;
                }
        }
        return list;
}

static json_t *decisions_to_json(const struct session *session)
{
        json_t *list = json_array();

        for (uint32_t i = 0; i < session->decision_count; i++) {
                json_t *item = json_object();

                json_set_path(item, "text", session->decisions[i]);
                (void)json_array_append_new(list, item);
        }
        return list;
}

static json_t *messages_to_json(const struct session *session)
{
        json_t *list = json_array();

        for (uint32_t i = 0; i < session->message_count; i++) {
                json_t *item = json_object();

                json_set_path(item, "role", session->messages[i].role);
                json_set_path(item, "text", session->messages[i].text);
                (void)json_array_append_new(list, item);
        }
        return list;
}

enum hif_err session_to_json(json_t *object, const struct session *session)
{
        char id[SESSION_ID_HEX_SIZE];
        bool failed = false;

        session_id_to_hex(&session->id, id);
        json_set_path(object, "goal", session->goal);
        json_set_path(object, "author", session->author);
        failed |= json_object_set_new(object, "id", json_string(id)) != 0;
        failed |= json_object_set_new(object, "state",
                                      json_string(session_state_name(session->state))) != 0;
        failed |= json_object_set_new(object, "base",
                                      json_integer((json_int_t)session->base_position)) != 0;
        failed |=
            json_object_set_new(object, "origin", json_integer((json_int_t)session->origin)) != 0;
        failed |= json_object_set_new(object, "created", time_to_json(session->created)) != 0;
        failed |= json_object_set_new(object, "updated", time_to_json(session->updated)) != 0;
        failed |= json_object_set_new(object, "operations", ops_to_json(session)) != 0;
        failed |= json_object_set_new(object, "decisions", decisions_to_json(session)) != 0;
        failed |= json_object_set_new(object, "messages", messages_to_json(session)) != 0;
        return failed ? HIF_ENOMEM : HIF_OK;
}

/* --- text --- */

void session_print_field(const char *label, struct span text)
{
        printf("  %-9s", label);
        cli_print_text(text, 11);
        printf("\n");
}

static void print_time(const char *label, hlc_t time)
{
        time_t when = (time_t)(hlc_ms(time) / 1000);
        char text[64];
        struct tm tm;

        if (localtime_r(&when, &tm) && strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %z", &tm))
                session_print_field(label, span_str(text));
}

static void print_ops(const struct session *session)
{
        for (uint32_t i = 0; i < session->op_count; i++) {
                const struct session_op *op = &session->ops[i];

                printf("    %s ", session_op_name(op->kind));
                cli_print_path(op->path);
                if (op->path2.size > 0) {
                        printf(" -> ");
                        cli_print_path(op->path2);
                }
                printf("\n");
        }
}

static void print_heading(const struct cli *cli, const char *text, uint32_t count)
{
        printf("  %s%s (%u)%s\n", cli_color(cli, COLOR_BOLD), text, count,
               cli_color(cli, COLOR_NONE));
}

void session_print(const struct cli *cli, const struct session *session)
{
        char id[SESSION_ID_HEX_SIZE], base[64];

        session_id_to_hex(&session->id, id);
        (void)snprintf(base, sizeof(base), "@%" PRIu64, session->base_position);
        session_print_field("Session:", span_str(id));
        session_print_field("State:", span_str(session_state_name(session->state)));
        session_print_field("Goal:",
                            session->goal.size > 0 ? session->goal : span_str("(none yet)"));
        session_print_field("Author:", session->author);
        session_print_field("Base:", span_str(base));
        print_time("Created:", session->created);
        if (session->updated != session->created)
                print_time("Updated:", session->updated);
        print_heading(cli, "Operations", session->op_count);
        print_ops(session);
        print_heading(cli, "Decisions", session->decision_count);
        for (uint32_t i = 0; i < session->decision_count; i++) {
                printf("    - ");
                cli_print_text(session->decisions[i], 6);
                printf("\n");
        }
        print_heading(cli, "Conversation", session->message_count);
        for (uint32_t i = 0; i < session->message_count; i++) {
                printf("    ");
                cli_print_text(session->messages[i].role, 4);
                printf(": ");
                cli_print_text(session->messages[i].text, 6);
                printf("\n");
        }
}
