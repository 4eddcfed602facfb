#include "cli/session/session_open.h"

#include "cli/session/session_view.h"

#include <string.h>
#include <time.h>

static json_t *time_json(uint64_t ns)
{
        char text[TIME_TEXT_SIZE];

        if (ns == 0)
                return json_null();
        time_text((int64_t)(ns / 1000000000), (uint32_t)(ns % 1000000000), text);
        return json_string(text);
}

void session_when(uint64_t ns, char out[TIME_TEXT_SIZE])
{
        time_t when = (time_t)(ns / 1000000000);
        struct tm tm;

        if (localtime_r(&when, &tm) == NULL ||
            strftime(out, TIME_TEXT_SIZE, "%Y-%m-%d %H:%M:%S", &tm) == 0)
                (void)snprintf(out, TIME_TEXT_SIZE, "an unknown time");
}

json_t *session_record_to_json(const char *project, const struct open_session *record)
{
        char id[SESSION_ID_HEX_SIZE];
        json_t *object;

        session_id_to_hex(&record->id, id);
        object = json_pack(
            "{s:s, s:s, s:s, s:I, s:I, s:b, s:I, s:o, s:o, s:o}", "project", project, "id", id,
            "state", session_state_name(record->state), "base", (json_int_t)record->base_position,
            "origin", (json_int_t)record->origin, "held", record->held, "revision",
            (json_int_t)record->revision, "held_since", time_json(record->held_ns), "updated",
            time_json(record->updated_ns), "published", time_json(record->published_ns));
        if (object == NULL)
                return NULL;
        json_set_path(object, "session", record->name);
        json_set_path(object, "goal", record->goal);
        json_set_path(object, "author", record->author);
        json_set_path(object, "holder", record->holder_name);
        return object;
}

/* --- finding --- */

bool session_prefix_valid(const char *text)
{
        size_t size = strspn(text, "0123456789abcdef");

        return size >= SESSION_PREFIX_MIN && size < SESSION_ID_HEX_SIZE && text[size] == '\0';
}

struct finding {
        const char *name;
        bool by_prefix;
        size_t count;
        struct session_id id;
};

static enum hif_err match(void *arg, const char *key, const struct open_session *record)
{
        struct finding *finding = arg;

        (void)key;
        if (record == NULL ||
            (!finding->by_prefix && !span_eq(record->name, span_str(finding->name))))
                return HIF_OK;
        finding->count++;
        finding->id = record->id;
        return HIF_OK;
}

static enum hif_err find_id(const struct project *project, const char *name, struct session_id *out,
                            struct hif_why *why)
{
        struct finding finding = {.name = name, .by_prefix = session_prefix_valid(name)};
        enum hif_err err;

        if (session_id_from_hex(span_str(name), out))
                return HIF_OK;
        err = open_record_list(project, finding.by_prefix ? name : "", 0, match, &finding, why);
        if (err == HIF_OK && finding.count == 0 && finding.by_prefix) {
                finding.by_prefix = false; /* a name may look like the start of an id */
                err = open_record_list(project, "", 0, match, &finding, why);
        }
        if (err == HIF_OK && finding.count > 1)
                return why_set(why, HIF_EINVAL,
                               "%zu open sessions may be meant by '%s'; give more of the id",
                               finding.count, name);
        if (err == HIF_OK && finding.count == 0)
                return HIF_ENOENT;
        *out = finding.id;
        return err;
}

/* Its record was left behind by who landed it. */
static enum hif_err check_landed(const struct project *project, const struct open_read *read,
                                 struct hif_why *why)
{
        struct hif_why ignored = {0};
        struct hif_hash slot, tree;
        uint64_t position;
        enum hif_err err =
            land_find(project, &read->record.id, read->record.origin, &position, &slot, &tree, why);

        if (err == HIF_OK)
                (void)!open_record_remove(project, &read->record.id, &ignored);
        return err;
}

enum hif_err session_open_find(const struct project *project, const char *name,
                               struct open_read *out, struct hif_why *why)
{
        struct session_id id;
        enum hif_err err = find_id(project, name, &id, why);

        if (err == HIF_OK)
                err = open_record_read(project, &id, out, why);
        if (err != HIF_OK)
                return err;
        err = check_landed(project, out, why);
        if (err == HIF_ENOENT) {
                why->text[0] = '\0';
                return HIF_OK;
        }
        open_read_free(out);
        return err == HIF_OK ? HIF_ENOENT : err;
}
