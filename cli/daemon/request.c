/* request.c - what many requests of the daemon begin and end with. */
#include "base/cleanup.h"
#include "cli/daemon/requests.h"
#include "cli/daemon/resume.h"
#include "cli/daemon/unresumed.h"
#include "cli/daemon/workspace_list.h"
#include "cli/daemon/workspace_moved.h"

enum hif_err request_missing(struct hif_why *why, const char *name)
{
        return why_set(why, HIF_EINVAL,
                       "the request lacks '%s'; is the daemon of another version? "
                       "`hif daemon stop` and try again",
                       name);
}

enum hif_err request_warn(json_t *result, const char *warning)
{
        return json_object_set_new(result, "warning", json_string(warning)) == 0 ? HIF_OK
                                                                                 : HIF_ENOMEM;
}

/* The answer says so. */
static struct workspace *enter_moved(struct request *request)
{
        const char *from = NULL;
        struct workspace *workspace = workspace_enter_moved(request->daemon, request->path, &from);

        if (workspace != NULL && request->moved_from == NULL)
                request->moved_from = strdup(from);
        return workspace;
}

enum hif_err request_enter(struct request *request, struct workspace **out, struct hif_why *why)
{
        AUTO_BUF struct buf bytes = {0};
        const char *path;

        if (request->path == NULL) {
                if (!json_is_string(json_object_get(request->args, "path")))
                        return request_missing(why, "path");
                json_get_path(request->args, "path", &bytes);
                buf_put_u8(&bytes, '\0');
                if (buf_failed(&bytes))
                        return HIF_ENOMEM;
                request->path = (char *)STEAL(bytes.data);
        }
        path = request->path;
        *out = workspace_enter_path(request->daemon, path);
        if (*out == NULL && daemon_unresumed(request->daemon, path, why)) {
                daemon_resume(request->daemon);
                *out = workspace_enter_path(request->daemon, path);
                if (*out == NULL && daemon_unresumed(request->daemon, path, why))
                        return HIF_ENOENT;
        }
        if (*out == NULL)
                *out = enter_moved(request);
        if (*out == NULL)
                return why_set(
                    why, HIF_ENOENT,
                    "'%s' is not in a mounted workspace; `hif mount` shows what is mounted", path);
        return HIF_OK;
}

void request_progress(void *arg, const struct land_progress *progress)
{
        struct request *request = arg;
        json_t *message = json_pack(
            "{s:{s:I, s:I, s:I, s:I}}", "progress", "files_done", (json_int_t)progress->files_done,
            "files_total", (json_int_t)progress->files_total, "bytes_done",
            (json_int_t)progress->bytes_done, "bytes_total", (json_int_t)progress->bytes_total);

        /* Nobody has to watch: a command that went away does not stop a landing. */
        if (message != NULL && !request->gone)
                request->gone = control_send(request->fd, message) != HIF_OK;
        json_decref(message);
}
