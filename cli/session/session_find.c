#include "cli/session/session_find.h"

#include "base/cleanup.h"
#include "cli/base64.h"
#include "cli/control.h"
#include "cli/daemon/workspace_session.h"
#include "cli/known.h"
#include "cli/session/session_open.h"
#include "cli/view.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SESSION_OBJECTS_MAX 1000 /* of one id that are looked through */

void session_found_free(struct session_found *found)
{
        json_decref(found->about);
        buf_free(&found->stored);
        arena_free(&found->arena);
}

enum hif_err session_found_take(struct session_found *found, json_t *answer)
{
        enum hif_err err =
            base64_from_json(json_object_get(answer, "session_base64"), &found->stored);

        found->about = answer;
        if (err == HIF_OK)
                err = session_get(buf_span(&found->stored), &found->arena, &found->session);
        (void)json_object_del(answer, "session_base64");
        return err;
}

enum hif_err session_project(struct cli *cli, const char *project, char **out, struct hif_why *why)
{
        if (project == NULL)
                return cli_project_of(cli, NULL, out, why);
        *out = strdup(project);
        return *out != NULL ? HIF_OK : HIF_ENOMEM;
}

/* --- on this machine --- */

static bool is_meant(const json_t *session, const char *project, const char *name)
{
        if (project != NULL && strcmp(json_text(session, "project"), project) != 0)
                return false;
        return strcmp(json_text(session, "session"), name) == 0 ||
               (session_prefix_valid(name) &&
                strncmp(json_text(session, "id"), name, strlen(name)) == 0);
}

/* Out of an overlay that no daemon has open. */
static enum hif_err load_closed(struct cli *cli, const json_t *summary, struct session_found *out,
                                struct hif_why *why)
{
        const char *dir = json_text(summary, "directory");
        struct overlay_ops ops = {0};
        struct overlay *overlay;
        enum hif_err err = overlay_open_salvage(&cli->env, NULL, dir, &overlay, why);

        if (err != HIF_OK)
                return err;
        err = session_load(overlay, &out->arena, &out->session, &ops);
        if (err == HIF_OK)
                err = session_load_ops(overlay, &ops, UINT64_MAX, &out->arena, &out->session, why);
        overlay_ops_free(&ops);
        overlay_close(overlay);
        if (err != HIF_OK)
                return why_set(why, err, "the records of the session in '%s' cannot be read: %s",
                               dir, hif_strerror(err));
        out->session.author = span_str(cli->config.author);
        out->about = json_deep_copy(summary);
        return out->about != NULL ? HIF_OK : HIF_ENOMEM;
}

static enum hif_err load_mounted(struct cli *cli, const json_t *summary, struct session_found *out,
                                 struct hif_why *why)
{
        json_t *answer = NULL;
        enum hif_err err = control_ask(cli,
                                       json_pack("{s:s, s:s}", "op", "session_show", "path",
                                                 json_text(summary, "mount_point")),
                                       NULL, NULL, &answer, why);

        return err == HIF_OK ? session_found_take(out, answer) : err;
}

enum hif_err session_find_here(struct cli *cli, const char *project, const char *name, json_t **out,
                               struct hif_why *why)
{
        json_t *found = NULL, *sessions = NULL, *session;
        size_t index, count = 0;
        enum hif_err err = sessions_here(cli, &sessions);

        json_array_foreach(sessions, index, session)
        {
                if (!is_meant(session, project, name))
                        continue;
                found = session;
                count++;
        }
        if (err == HIF_OK && count == 0)
                err = HIF_ENOENT;
        if (err == HIF_OK && count > 1)
                err = why_set(why, HIF_EINVAL,
                              "%zu sessions here are called '%s'; name the project, too, or the "
                              "start of the id",
                              count, name);
        if (err == HIF_OK)
                *out = json_incref(found);
        json_decref(sessions);
        return err;
}

static enum hif_err find_here(struct cli *cli, const char *project, const char *name,
                              struct session_found *out, struct hif_why *why)
{
        json_t *found = NULL;
        enum hif_err err = session_find_here(cli, project, name, &found, why);

        if (err == HIF_OK)
                err = json_is_true(json_object_get(found, "mounted"))
                          ? load_mounted(cli, found, out, why)
                          : load_closed(cli, found, out, why);
        json_decref(found);
        return err;
}

/* --- open in the store --- */

/* One of which nothing but the record is there yet. */
static void from_record(const struct open_session *record, struct session *out)
{
        *out = (struct session){.id = record->id,
                                .base_position = record->base_position,
                                .base_slot = record->base_slot,
                                .origin = record->origin,
                                .created = hlc_next(0, record->created_ns / 1000000),
                                .updated = hlc_next(0, record->updated_ns / 1000000),
                                .author = record->author,
                                .goal = record->goal};
}

static enum hif_err find_open(struct view *view, const char *name, struct session_found *out,
                              struct hif_why *why)
{
        struct open_read read = {0};
        enum hif_err err = session_open_find(&view->project, name, &read, why);

        if (err != HIF_OK)
                return err;
        out->about = session_record_to_json(view->arg.project, &read.record);
        if (out->about == NULL)
                err = HIF_ENOMEM;
        else if (!hash_is_zero(&read.record.object))
                err = project_get_session(&view->project, &read.record.id, &read.record.object,
                                          &out->stored, &out->arena, &out->session, why);
        if (err == HIF_OK && hash_is_zero(&read.record.object)) {
                from_record(&read.record, &out->session);
                out->stored = read.stored; /* it borrows from there */
                read.stored = (struct buf){0};
        }
        out->session.state = read.record.state;
        open_read_free(&read);
        return err;
}

/* --- landed --- */

/* "@N" or "@N.I" */
static enum hif_err parse_landing(const char *name, uint64_t *position, uint64_t *index,
                                  struct hif_why *why)
{
        AUTO_FREE char *text = strdup(name);
        char *dot = text != NULL ? strchr(text, '.') : NULL;
        enum hif_err err = text != NULL ? HIF_OK : HIF_ENOMEM;

        *index = 0;
        if (err == HIF_OK && dot != NULL) {
                *dot = '\0';
                err = position_parse(dot + 1, index, why);
                if (err == HIF_OK && (*index == 0 || dot[1] == '@'))
                        err = why_set(why, HIF_EINVAL,
                                      "'%s' is no landing; it is @N, or @N.I with I from 1", name);
        }
        return err == HIF_OK ? position_parse(text, position, why) : err;
}

static enum hif_err about_landing(const struct view *view, uint64_t position,
                                  struct session_found *out)
{
        out->about = json_pack("{s:s}", "project", view->arg.project);
        if (out->about == NULL)
                return HIF_ENOMEM;
        if (position > 0)
                return json_object_set_new(out->about, "position",
                                           json_integer((json_int_t)position)) == 0
                           ? HIF_OK
                           : HIF_ENOMEM;
        return HIF_OK;
}

static enum hif_err pick_landing(const struct slot *slot, const char *name, uint64_t index,
                                 struct slot_member *out, struct hif_why *why)
{
        uint32_t count = slot_landing_count(slot);

        if (count > 1 && index == 0)
                return why_set(why, HIF_EINVAL,
                               "%u sessions landed together at %s: say which, as %s.1 to %s.%u",
                               count, name, name, name, count);
        if (index <= count && count > 0)
                slot_landing_at(slot, index > 0 ? (uint32_t)index - 1 : 0, out, NULL);
        if (count == 0 || index > count || hash_is_zero(&out->session_object))
                return why_set(why, HIF_ENOENT, "no session landed at %s", name);
        return HIF_OK;
}

static enum hif_err find_at(struct view *view, const char *name, struct session_found *out,
                            struct hif_why *why)
{
        struct slot_read read = {0};
        struct slot_member landing;
        uint64_t position = 0, index = 0;
        enum hif_err err = parse_landing(name, &position, &index, why);

        if (err != HIF_OK)
                return err;
        err = project_slot(&view->project, position, true, &read, why);
        if (err == HIF_ENOENT)
                return why_set(why, err,
                               "%s has no position @%" PRIu64 " yet; `hif log %s` lists them",
                               view->arg.project, position, view->arg.project);
        if (err != HIF_OK)
                return err;
        err = pick_landing(&read.slot, name, index, &landing, why);
        if (err == HIF_OK)
                err = about_landing(view, position, out);
        if (err == HIF_OK)
                err = project_get_session(&view->project, &landing.session, &landing.session_object,
                                          &out->stored, &out->arena, &out->session, why);
        slot_read_free(&read);
        return err;
}

/* sessions/{id}/{hash}.bin */
static bool parse_key(const char *key, size_t prefix_size, struct session_id *id,
                      struct hif_hash *hash)
{
        const char *hex = key + prefix_size, *slash = strchr(hex, '/');

        return slash != NULL && session_id_from_hex(span_of(hex, (size_t)(slash - hex)), id) &&
               strlen(slash + 1) == 2 * HIF_HASH_SIZE + 4 &&
               hash_from_hex(span_of(slash + 1, 2 * HIF_HASH_SIZE), hash);
}

/* By the start of its id, which its objects' names begin with. Of the objects of a session that was
 * open in the store before it landed, the landed one counts. */
static enum hif_err find_landed(struct view *view, const char *name, struct session_found *out,
                                struct hif_why *why)
{
        AUTO_FREE char *dir = NULL, *prefix = NULL;
        struct hif_why said;
        struct store_req req = {.op = STORE_LIST, .list_max = SESSION_OBJECTS_MAX};
        struct session_id id, last = {0};
        struct hif_hash hash;
        size_t sessions = 0;
        enum hif_err err = HIF_OK;

        if (asprintf(&dir, "%ssessions/", view->project.layout.prefix) < 0 ||
            asprintf(&prefix, "%s%s", dir, name) < 0)
                return HIF_ENOMEM;
        req.prefix = prefix;
        store_run(view->project.store, &req, 1);
        if (req.result != HIF_OK)
                err = why_set(why, req.result, "the sessions in %s cannot be listed: %s",
                              store_url(view->project.store),
                              store_reason(view->project.store, req.result, &said));
        for (size_t i = 0; err == HIF_OK && i < req.list.count; i++) {
                if (!parse_key(req.list.items[i].key, strlen(dir), &id, &hash))
                        continue;
                sessions += sessions == 0 || !session_id_eq(&id, &last);
                last = id;
                if (sessions > 1)
                        err = why_set(why, HIF_EINVAL,
                                      "more than one session's id starts with %s; give more of it",
                                      name);
                else if (out->session.state != SESSION_LANDED) {
                        buf_free(&out->stored);
                        err = project_get_session(&view->project, &id, &hash, &out->stored,
                                                  &out->arena, &out->session, why);
                }
        }
        store_req_free(&req);
        if (err == HIF_OK && sessions == 0)
                err = HIF_ENOENT;
        return err == HIF_OK ? about_landing(view, 0, out) : err;
}

static enum hif_err find_in_store(struct cli *cli, const char *project, const char *name,
                                  struct session_found *out, struct hif_why *why)
{
        AUTO_FREE char *text = NULL;
        struct view view = {0};
        enum hif_err err = session_project(cli, project, &text, why);

        if (err == HIF_OK)
                err = view_open(cli, text, &view, why);
        if (err == HIF_OK && name[0] == '@')
                err = find_at(&view, name, out, why);
        else if (err == HIF_OK)
                err = find_open(&view, name, out, why);
        if (err == HIF_ENOENT && name[0] != '@' && session_prefix_valid(name))
                err = find_landed(&view, name, out, why);
        view_close(&view);
        return err;
}

enum hif_err session_find(struct cli *cli, const char *project, const char *name,
                          struct session_found *out, struct hif_why *why)
{
        bool landing = name[0] == '@';
        enum hif_err err = HIF_ENOENT;

        if (!landing)
                err = find_here(cli, project, name, out, why);
        if (err == HIF_ENOENT) {
                why->text[0] = '\0';
                err = find_in_store(cli, project, name, out, why);
        }
        if (err == HIF_ENOENT && why->text[0] == '\0')
                return why_set(why, err,
                               "there is no session '%s'; `hif session list -a` shows those that "
                               "are open, `hif log` those that have landed",
                               name);
        return err;
}
