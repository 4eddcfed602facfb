/* requests.c - what commands may ask of the daemon: one function a request, in a table. */
#include "cli/daemon/requests.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "cli/daemon/daemon.h"
#include "cli/daemon/resume.h"
#include "cli/daemon/tie.h"
#include "cli/daemon/unresumed.h"
#include "cli/daemon/workspace.h"
#include "cli/daemon/workspace_land.h"
#include "cli/daemon/workspace_list.h"
#include "cli/daemon/workspace_moved.h"
#include "cli/daemon/workspace_place.h"
#include "cli/daemon/workspace_publish_when.h"
#include "cli/daemon/workspace_records.h"
#include "cli/daemon/workspace_status.h"
#include "cli/store.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *text_of(const json_t *args, const char *name)
{
        return json_string_value(json_object_get(args, name));
}

static json_t *describe_sandbox(const struct sandbox *sandbox)
{
        if (!sandbox->filtered)
                return json_pack("{s:b, s:s}", "filtered", false, "why", sandbox->why.text);
        return json_pack("{s:b, s:I, s:I}", "filtered", true, "calls_allowed",
                         (json_int_t)sandbox->allowed, "capabilities",
                         (json_int_t)sandbox->capabilities);
}

static enum hif_err do_ping(struct request *request, json_t **result, struct hif_why *why)
{
        struct fetch_stats stats = fetch_stats(request->daemon->fetch);
        const struct sandbox *sandbox = &request->daemon->sandbox;

        (void)why;
        *result = json_pack(
            "{s:s, s:I, s:{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}}", "version", HIF_VERSION,
            "pid", (json_int_t)getpid(), "fetch", "ram_bytes", (json_int_t)stats.ram_bytes,
            "ssd_bytes", (json_int_t)stats.ssd_bytes, "hits", (json_int_t)stats.hits, "misses",
            (json_int_t)stats.misses, "store_requests", (json_int_t)stats.store_requests,
            "store_bytes", (json_int_t)stats.store_bytes, "nodes", (json_int_t)stats.store_nodes,
            "blobs", (json_int_t)stats.store_blobs, "corrupt", (json_int_t)stats.corrupt);
        if (*result == NULL || json_object_set_new(*result, "sandbox", describe_sandbox(sandbox)))
                return HIF_ENOMEM;
        return HIF_OK;
}

/* Leave a workspace, and close it where its mount was taken away. */
static void leave_if_mounted(struct daemon *daemon, struct workspace *workspace)
{
        struct hif_why why = {0};

        (void)workspace_follow(workspace);
        if (!workspace_is_mounted(workspace) &&
            workspace_unmount(workspace, false, NULL, &why) != HIF_OK)
                log_line(daemon->cli->env.log, LOG_WARN, "daemon", "%s", why.text);
        workspace_leave(workspace);
}

/* The same session at the same place: asking twice is no mistake. A daemon that has just come back
 * has mounted it by itself. */
static bool is_mounted_there(struct daemon *daemon, const struct workspace_options *options)
{
        struct workspace *workspace = workspace_enter_path(daemon, options->mount_point);
        bool there;

        if (workspace != NULL)
                leave_if_mounted(daemon, workspace);
        workspace = workspace_enter_name(daemon, options->project, options->session);
        there = workspace != NULL && workspace_is_mounted(workspace) &&
                workspace_is_at(workspace, options->mount_point);
        if (workspace != NULL)
                leave_if_mounted(daemon, workspace);
        return there;
}

#define OTHER_KEY                                                                                  \
        "the daemon has the AWS credentials of the environment in which it was started, which "    \
        "are not this command's, and uses those; `hif daemon stop --suspend`, and then this "      \
        "again, gives it yours"

/* Whether the command's environment has a key for the store, and ours another or none. */
static bool other_key(const json_t *args)
{
        const char *theirs = text_of(args, "key");
        char ours[CLI_KEY_SIZE];

        return theirs != NULL &&
               !(cli_own_key(text_of(args, "store"), ours) && strcmp(ours, theirs) == 0);
}

static enum hif_err warn_damaged(json_t *result)
{
        const json_t *damage = json_object_get(result, "damage");
        struct hif_why text;

        why_set(&text, HIF_ECORRUPT,
                "the session is damaged, and mounted read-only with what can be read: %s%s. `hif "
                "status` lists what is lost; `hif session export %s %s DIR` saves what is there, "
                "`hif session abandon` then gives it up",
                json_string_value(json_array_get(damage, 0)),
                json_array_size(damage) > 1 ? ", and more" : "", text_of(result, "project"),
                text_of(result, "session"));
        return request_warn(result, text.text);
}

static enum hif_err do_mount(struct request *request, json_t **result, struct hif_why *why)
{
        const json_t *args = request->args, *at = json_object_get(args, "at");
        const char *front = text_of(args, "front_end");
        struct workspace_options options = {
            .project = text_of(args, "project"),
            .session = text_of(args, "session"),
            .mount_point = text_of(args, "mount_point"),
            .store_url = text_of(args, "store"),
            .at = at != NULL,
            .at_position = (uint64_t)json_integer_value(at),
            .goal = text_of(args, "goal"),
            .read_only = json_is_true(json_object_get(args, "read_only")),
            .power = json_is_true(json_object_get(args, "power")),
            .allow_other = json_is_true(json_object_get(args, "allow_other")),
            .no_netns = json_is_true(json_object_get(args, "no_netns")),
        };
        struct workspace *workspace;
        AUTO_FREE char *note = NULL, *warning = NULL;
        enum hif_err err;

        if (options.project == NULL || options.session == NULL || options.mount_point == NULL ||
            options.store_url == NULL || front == NULL)
                return request_missing(why, "project");
        options.front_end = strcmp(front, "nfs") == 0    ? FRONT_NFS
                            : strcmp(front, "fuse") == 0 ? FRONT_FUSE
                                                         : FRONT_AUTO;
        if (daemon_unresumed(request->daemon, options.mount_point, why))
                daemon_resume(request->daemon);
        why->text[0] = '\0';
        if (!is_mounted_there(request->daemon, &options)) {
                err = workspace_mount(request->daemon, &options, &workspace, &note, why);
                if (err != HIF_OK)
                        return err;
        }
        workspace = workspace_enter_name(request->daemon, options.project, options.session);
        if (workspace == NULL)
                return why_set(why, HIF_ENOENT, "'%s' was unmounted again", options.mount_point);
        if (note != NULL && options.goal != NULL)
                workspace_publish_words(workspace, true, &warning);
        else if (note != NULL)
                workspace_publish_mounted(workspace, &warning);
        err = workspace_describe(workspace, result);
        workspace_leave(workspace);
        if (err == HIF_OK && json_array_size(json_object_get(*result, "damage")) > 0)
                err = warn_damaged(*result);
        else if (err == HIF_OK && warning != NULL)
                err = request_warn(*result, warning);
        else if (err == HIF_OK && other_key(args))
                err = request_warn(*result, OTHER_KEY);
        if (err == HIF_OK &&
            json_object_set_new(*result, "note",
                                json_string(note != NULL ? note : "as it was already")) != 0)
                return HIF_ENOMEM;
        return err;
}

static enum hif_err do_unmount(struct request *request, json_t **result, struct hif_why *why)
{
        AUTO_FREE char *warning = NULL;
        struct workspace *workspace;
        enum hif_err err = request_enter(request, &workspace, why);

        if (err != HIF_OK)
                return err;
        /* A slip in a path must not unmount what is around it. */
        if (!workspace_is_at(workspace, request->path))
                err = why_set(why, HIF_EINVAL,
                              "'%s' is no mount but inside one, at '%s'; name that to unmount it",
                              request->path, workspace_mount_point(workspace));
        else
                err = workspace_describe(workspace, result);
        if (err == HIF_OK)
                err = workspace_unmount(workspace,
                                        json_is_true(json_object_get(request->args, "force")),
                                        &warning, why);
        if (err == HIF_OK && warning != NULL)
                err = request_warn(*result, warning);
        workspace_leave(workspace);
        return err;
}

static enum hif_err do_status(struct request *request, json_t **result, struct hif_why *why)
{
        struct workspace *workspace;
        enum hif_err err = request_enter(request, &workspace, why);

        if (err != HIF_OK)
                return err;
        err = workspace_status(workspace, result, why);
        workspace_leave(workspace);
        return err;
}

static enum hif_err do_diff(struct request *request, json_t **result, struct hif_why *why)
{
        struct workspace *workspace;
        enum hif_err err = request_enter(request, &workspace, why);

        if (err != HIF_OK)
                return err;
        err = workspace_diff(workspace, json_object_get(request->args, "paths"), result, why);
        workspace_leave(workspace);
        return err;
}

/* The records that this landing completed: nobody has to wait for them. */
static void after_land(struct request *request)
{
        workspace_landed(request->landed, request->landed_at);
        workspace_leave(request->landed);
}

static enum hif_err do_land(struct request *request, json_t **result, struct hif_why *why)
{
        const char *goal = text_of(request->args, "goal");
        const char *mode = text_of(request->args, "mode");
        struct land_how how = {0};
        struct workspace *workspace;
        enum hif_err err = request_enter(request, &workspace, why);

        if (err != HIF_OK)
                return err;
        how.dry_run = json_is_true(json_object_get(request->args, "dry_run"));
        how.epoch = mode != NULL && strcmp(mode, "epoch") == 0;
        err = workspace_land(workspace, goal != NULL ? goal : "", &how, request_progress, request,
                             result, why);
        /* One of those that landed together is enough for what their position completed. */
        if (err == HIF_OK && !json_is_true(json_object_get(*result, "dry_run")) &&
            json_integer_value(json_object_get(*result, "member")) <= 1) {
                request->after = after_land;
                request->landed = workspace;
                request->landed_at =
                    (uint64_t)json_integer_value(json_object_get(*result, "position"));
        } else {
                workspace_leave(workspace);
        }
        return err;
}

/* Which workspaces are there; counts of what each has served. */
static enum hif_err do_list(struct request *request, json_t **result, struct hif_why *why)
{
        struct daemon *daemon = request->daemon;
        json_t *list = json_array();

        (void)why;
        pthread_mutex_lock(&daemon->lock);
        for (struct workspace *at = daemon->first; at != NULL; at = workspace_after(at)) {
                json_t *item = NULL;

                if (workspace_describe_locked(at, &item) == HIF_OK)
                        json_array_append_new(list, item);
        }
        pthread_mutex_unlock(&daemon->lock);
        *result = list;
        return HIF_OK;
}

static enum hif_err do_stop(struct request *request, json_t **result, struct hif_why *why)
{
        bool suspend = json_is_true(json_object_get(request->args, "suspend"));

        (void)why;
        if (!suspend)
                daemon_close_all(request->daemon, false);
        *result = json_pack("{s:i}", "pid", (int)getpid());
        request->daemon->ending = true;
        tie_ending(request->daemon->tie);
        request->stop(request->stop_arg);
        return *result != NULL ? HIF_OK : HIF_ENOMEM;
}

/* A new supervisor asks a server that has lost its own to come. */
static enum hif_err do_adopt(struct request *request, json_t **result, struct hif_why *why)
{
        enum hif_err err = tie_adopt(request->daemon->tie, request->control_fd, why);

        if (err == HIF_OK)
                *result = json_object();
        return err;
}

struct operation {
        const char *name;
        enum hif_err (*run)(struct request *request, json_t **result, struct hif_why *why);
};

static const struct operation operations[] = {
    {"ping", do_ping},
    {"mount", do_mount},
    {"unmount", do_unmount},
    {"status", do_status},
    {"diff", do_diff},
    {"land", do_land},
    {"list", do_list},
    {"stop", do_stop},
    {"adopt", do_adopt},
    {"session_start", do_session_start},
    {"session_note", do_session_note},
    {"session_show", do_session_show},
    {"session_publish", do_session_publish},
    {"session_export", do_session_export},
};

/* An error as a message; what a text quotes need not be UTF-8. */
static void put_error(json_t *message, enum hif_err err, const char *text)
{
        AUTO_BUF struct buf clean = {0};

        text_escape(&clean, span_str(text));
        if (buf_failed(&clean))
                buf_reset(&clean);
        json_object_set_new(message, "error",
                            json_pack("{s:s, s:s%}", "code", hif_err_name(err), "text",
                                      clean.size > 0 ? (const char *)clean.data : "", clean.size));
}

static enum hif_err answer(struct request *request, const json_t *message)
{
        json_t *instead;
        enum hif_err err = control_send(request->fd, message);

        if (err != HIF_ELIMIT)
                return err;
        instead = json_object();
        put_error(instead, err, "the answer is too large to be sent; ask for less at once");
        err = control_send(request->fd, instead);
        json_decref(instead);
        return err;
}

/* Has it given up before anything was done for it? Then it has been told that nothing was. */
static bool is_gone(int fd)
{
        struct pollfd peer = {.fd = fd};

        return poll(&peer, 1, 0) > 0 && peer.revents & (POLLHUP | POLLERR);
}

void request_serve(struct request *request)
{
        const char *name = text_of(request->args, "op");
        struct hif_why why = {0};
        json_t *result = NULL, *message;
        enum hif_err err = HIF_ENOTSUP;

        if (is_gone(request->fd)) {
                log_line(request->daemon->cli->env.log, LOG_INFO, "daemon",
                         "the command that asked for '%s' has given up: it is not done",
                         name != NULL ? name : "?");
                return;
        }
        for (size_t i = 0; name != NULL && i < sizeof(operations) / sizeof(operations[0]); i++)
                if (strcmp(operations[i].name, name) == 0)
                        err = operations[i].run(request, &result, &why);
        if (err != HIF_OK && why.text[0] == '\0')
                why_set(&why, err, "'%s' failed: %s", name != NULL ? name : "?", hif_strerror(err));
        if (json_is_object(result) && request->moved_from != NULL)
                json_object_set_new(result, "moved_from", json_string(request->moved_from));
        message = json_object();
        if (err != HIF_OK)
                put_error(message, err, why.text);
        if (result != NULL)
                json_object_set_new(message, "result", result);
        if (request->gone || answer(request, message) != HIF_OK)
                log_line(request->daemon->cli->env.log, LOG_INFO, "daemon",
                         "the command that asked for '%s' did not wait for the answer",
                         name != NULL ? name : "?");
        json_decref(message);
        if (request->after != NULL)
                request->after(request);
}

void daemon_close_all(struct daemon *daemon, bool suspend)
{
        for (;;) {
                struct workspace *workspace = workspace_enter_any(daemon);
                struct hif_why why = {0};

                if (workspace == NULL)
                        return;
                (void)workspace_follow(workspace);
                if (suspend)
                        workspace_suspend(workspace);
                else if (workspace_unmount(workspace, false, NULL, &why) != HIF_OK) {
                        log_line(daemon->cli->env.log, LOG_WARN, "daemon", "%s", why.text);
                        workspace_suspend(workspace);
                }
                workspace_leave(workspace);
        }
}
