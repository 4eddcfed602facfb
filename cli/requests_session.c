/* requests_session.c - what commands ask of the daemon about a mounted session. */
#include "cli/requests.h"
#include "cli/workspace_session.h"

#include <string.h>

static struct span span_arg(const json_t *args, const char *name)
{
        const json_t *value = json_object_get(args, name);

        return span_of(json_string_value(value), json_string_length(value));
}

enum hif_err do_session_start(struct request *request, json_t **result, struct hif_why *why)
{
        struct workspace *workspace;
        enum hif_err err = request_enter(request, &workspace, why);

        if (err != HIF_OK)
                return err;
        err = workspace_session_start(workspace, span_arg(request->args, "goal"), result, why);
        workspace_leave(workspace);
        return err;
}

enum hif_err do_session_note(struct request *request, json_t **result, struct hif_why *why)
{
        struct onote note = {.kind = ONOTE_MESSAGE,
                             .role = span_arg(request->args, "role"),
                             .text = span_arg(request->args, "text")};
        struct workspace *workspace;
        enum hif_err err = request_enter(request, &workspace, why);

        if (err != HIF_OK)
                return err;
        if (json_is_true(json_object_get(request->args, "decision")))
                note = (struct onote){.kind = ONOTE_DECISION, .text = note.text};
        err = workspace_session_note(workspace, &note, result, why);
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
