/* requests_session.c - what commands ask of the daemon about a mounted session. */
#include "base/cleanup.h"
#include "cli/daemon/requests.h"
#include "cli/daemon/workspace_export.h"
#include "cli/daemon/workspace_list.h"
#include "cli/daemon/workspace_publish.h"
#include "cli/daemon/workspace_publish_when.h"
#include "cli/daemon/workspace_records.h"
#include "cli/daemon/workspace_session.h"

#include <stdlib.h>
#include <string.h>

static struct span span_arg(const json_t *args, const char *name)
{
        const json_t *value = json_object_get(args, name);

        return span_of(json_string_value(value), json_string_length(value));
}

enum hif_err do_session_start(struct request *request, json_t **result, struct hif_why *why)
{
        AUTO_FREE char *warning = NULL;
        struct workspace *workspace;
        enum hif_err err = request_enter(request, &workspace, why);

        if (err != HIF_OK)
                return err;
        err = workspace_session_start(workspace, span_arg(request->args, "goal"), result, why);
        if (err == HIF_OK)
                workspace_publish_words(workspace, true, &warning);
        if (err == HIF_OK && warning != NULL)
                err = request_warn(*result, warning);
        workspace_leave(workspace);
        return err;
}

enum hif_err do_session_note(struct request *request, json_t **result, struct hif_why *why)
{
        struct onote note = {.kind = ONOTE_MESSAGE,
                             .role = span_arg(request->args, "role"),
                             .text = span_arg(request->args, "text")};
        AUTO_FREE char *warning = NULL;
        struct workspace *workspace;
        enum hif_err err = request_enter(request, &workspace, why);

        if (err != HIF_OK)
                return err;
        if (json_is_true(json_object_get(request->args, "decision")))
                note = (struct onote){.kind = ONOTE_DECISION, .text = note.text};
        err = workspace_session_note(workspace, &note, result, why);
        if (err == HIF_OK)
                workspace_publish_words(workspace, note.kind == ONOTE_DECISION, &warning);
        if (err == HIF_OK && warning != NULL)
                err = request_warn(*result, warning);
        workspace_leave(workspace);
        return err;
}

enum hif_err do_session_show(struct request *request, json_t **result, struct hif_why *why)
{
        struct workspace *workspace;
        enum hif_err err = request_enter(request, &workspace, why);

        if (err != HIF_OK)
                return err;
        err = workspace_session_show(workspace, result, why);
        workspace_leave(workspace);
        return err;
}

enum hif_err do_session_publish(struct request *request, json_t **result, struct hif_why *why)
{
        const struct publish publish = {
            .what = PUBLISH_ALL, .flush = true, .progress = request_progress, .arg = request};
        struct workspace *workspace;
        uint64_t revision = 0;
        enum hif_err err = request_enter(request, &workspace, why);

        if (err != HIF_OK)
                return err;
        err = workspace_publish(workspace, &publish, &revision, why);
        if (err == HIF_OK)
                err = workspace_describe(workspace, result);
        workspace_leave(workspace);
        if (err == HIF_OK &&
            json_object_set_new(*result, "revision", json_integer((json_int_t)revision)) != 0)
                err = HIF_ENOMEM;
        return err;
}

/* Of the workspace that the request names by a path in it, or of a session by its name. */
enum hif_err do_session_export(struct request *request, json_t **result, struct hif_why *why)
{
        const json_t *args = request->args;
        const char *project = json_string_value(json_object_get(args, "project"));
        const char *session = json_string_value(json_object_get(args, "session"));
        const char *dir = json_string_value(json_object_get(args, "directory"));
        struct workspace *workspace;
        enum hif_err err = HIF_OK;

        if (dir == NULL)
                return request_missing(why, "directory");
        if (project == NULL || session == NULL)
                err = request_enter(request, &workspace, why);
        else
                workspace = workspace_enter_name(request->daemon, project, session);
        if (err != HIF_OK)
                return err;
        if (workspace == NULL)
                return workspace_export_closed(request->daemon, project, session, dir, result, why);
        err = workspace_export(workspace, dir, result, why);
        workspace_leave(workspace);
        return err;
}
