/* workspace_records.c - what a workspace remembers: values of its overlay, and the files beside it.
 */
#include "cli/daemon/workspace_records.h"

#include "base/cleanup.h"
#include "cli/daemon/call.h"
#include "cli/daemon/workspace_check.h"
#include "cli/daemon/workspace_impl.h"
#include "cli/daemon/workspace_place.h"
#include "cli/json_encode.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum workspace_flags {
        FLAG_READ_ONLY = 1,
        FLAG_POWER = 2,
        FLAG_ALLOW_OTHER = 4,
        FLAG_ISOLATED = 8
};

static uint64_t value_u64(const struct overlay *overlay, const char *name)
{
        struct span value = overlay_value(overlay, name);

        return value.size == 8 ? be64_get(value.data) : 0;
}

char *records_text(const struct overlay *overlay, const char *name)
{
        struct span value = overlay_value(overlay, name);

        return value.size > 0 ? strndup((const char *)value.data, value.size) : NULL;
}

/* What a session that has been mounted before says of itself. */
enum hif_err records_load(struct workspace *workspace, struct hif_why *why)
{
        const struct overlay *overlay = workspace->overlay;
        struct env *env = &workspace->daemon->cli->env;
        struct span id = overlay_value(overlay, VALUE_SESSION_ID);
        struct span key = overlay_value(overlay, VALUE_KEY);

        if (workspace->damaged && id.size != SESSION_ID_SIZE) {
                env_random(env, workspace->session.bytes, SESSION_ID_SIZE);
                id = span_of(workspace->session.bytes, SESSION_ID_SIZE);
        }
        if (workspace->damaged && key.size != sizeof(workspace->key)) {
                env_random(env, workspace->key, sizeof(workspace->key));
                key = span_of(workspace->key, sizeof(workspace->key));
        }
        if (id.size != SESSION_ID_SIZE || key.size != sizeof(workspace->key))
                return why_set(why, HIF_ECORRUPT,
                               "the records of session '%s' in '%s' are damaged; mount another "
                               "session and copy what you need",
                               workspace->session_name, workspace->dir);
        memmove(workspace->session.bytes, id.data, id.size);
        memmove(workspace->key, key.data, key.size);
        workspace->origin_position = value_u64(overlay, VALUE_ORIGIN);
        return HIF_OK;
}

static uint8_t flags_of(const struct workspace *workspace)
{
        return (uint8_t)((workspace->read_only ? FLAG_READ_ONLY : 0) |
                         (workspace->power ? FLAG_POWER : 0) |
                         (workspace->allow_other ? FLAG_ALLOW_OTHER : 0) |
                         (workspace->isolated ? FLAG_ISOLATED : 0));
}

struct comparing {
        const struct workspace *workspace;
        bool moved;
};

static void compare(void *arg)
{
        struct comparing *comparing = arg;
        const struct workspace *workspace = comparing->workspace;
        const struct overlay *overlay = workspace->overlay;
        uint8_t flags = flags_of(workspace), port[2], device[4];

        be16_put(port, workspace->port);
        be32_put(device, workspace->device);
        comparing->moved =
            !span_eq(overlay_value(overlay, VALUE_DEVICE), span_of(device, sizeof(device))) ||
            !span_eq(overlay_value(overlay, VALUE_MOUNT), span_str(workspace->mount_point)) ||
            !span_eq(overlay_value(overlay, VALUE_PORT), span_of(port, sizeof(port))) ||
            !span_eq(overlay_value(overlay, VALUE_FLAGS), span_of(&flags, 1)) ||
            overlay_value(overlay, VALUE_FORMAT).size == 0;
}

bool records_moved(struct workspace *workspace)
{
        struct comparing comparing = {.workspace = workspace};

        loop_call(workspace->loop, compare, &comparing);
        return comparing.moved;
}

/* A session's first values, and those of this mount. */
enum hif_err records_store(struct workspace *workspace, bool first, const char *goal)
{
        AUTO_BUF struct buf format = {0};
        uint8_t origin[8], created[8], port[2], device[4];
        uint8_t flags = flags_of(workspace);
        struct vfs_value values[] = {
            {VALUE_MOUNT, span_str(workspace->mount_point)},
            {VALUE_FRONT, span_str(workspace->front == FRONT_NFS ? "nfs" : "fuse")},
            {VALUE_FLAGS, span_of(&flags, 1)},
            {VALUE_PORT, span_of(port, sizeof(port))},
            {VALUE_DEVICE, span_of(device, sizeof(device))},
            {VALUE_STORE, span_str(workspace->store_url)},
            {VALUE_FORMAT, (struct span){0}},
            {VALUE_SESSION_ID, span_of(workspace->session.bytes, SESSION_ID_SIZE)},
            {VALUE_ORIGIN, span_of(origin, sizeof(origin))},
            {VALUE_CREATED, span_of(created, sizeof(created))},
            {VALUE_PROJECT, span_str(workspace->project_name)},
            {VALUE_KEY, span_of(workspace->key, sizeof(workspace->key))},
            {VALUE_GOAL, goal != NULL ? span_str(goal) : (struct span){0}},
        };
        struct env *env = &workspace->daemon->cli->env;

        /* Nothing more is written there. */
        if (workspace->damaged)
                return HIF_OK;
        format_put(&format, &workspace->project.format);
        if (buf_failed(&format))
                return HIF_ENOMEM;
        values[6].value = buf_span(&format);
        be16_put(port, workspace->port);
        be32_put(device, workspace->device);
        be64_put(origin, workspace->origin_position);
        be64_put(created, hlc_next(0, env_wall_ns(env) / 1000000));
        return workspace_set(workspace, values, first ? sizeof(values) / sizeof(values[0]) : 7);
}

/* --- opening --- */

enum hif_err records_options(const struct overlay *overlay, struct workspace_options *out)
{
        struct span flags = overlay_value(overlay, VALUE_FLAGS);

        if (flags.size != 1)
                return HIF_ECORRUPT;
        out->read_only = (flags.data[0] & FLAG_READ_ONLY) != 0;
        out->power = (flags.data[0] & FLAG_POWER) != 0;
        out->allow_other = (flags.data[0] & FLAG_ALLOW_OTHER) != 0;
        out->no_netns = (flags.data[0] & FLAG_ISOLATED) == 0;
        return HIF_OK;
}

enum hif_err records_resume(struct workspace *workspace, struct hif_why *why)
{
        struct span port = overlay_value(workspace->overlay, VALUE_PORT);
        struct span front = overlay_value(workspace->overlay, VALUE_FRONT);
        struct span device = overlay_value(workspace->overlay, VALUE_DEVICE);

        if (port.size != 2)
                return why_set(why, HIF_ECORRUPT, "'%s' was mounted, but its records are damaged",
                               workspace->dir);
        workspace->port = be16_get(port.data);
        workspace->device = device.size == 4 ? be32_get(device.data) : 0;
        workspace->front = span_eq(front, span_str("nfs")) ? FRONT_NFS : FRONT_FUSE;
        return HIF_OK;
}

static char *file_in(const struct workspace *workspace, const char *name)
{
        char *path = NULL;

        return asprintf(&path, "%s/%s", workspace->dir, name) < 0 ? NULL : path;
}

enum hif_err records_mark_mounted(struct workspace *workspace, bool mounted)
{
        struct env *env = &workspace->daemon->cli->env;
        AUTO_FREE char *path = file_in(workspace, "mounted");
        enum hif_err err;

        if (path == NULL)
                return HIF_ENOMEM;
        if (mounted)
                return env_write_file(env, path, "", 0, 0600);
        err = env->ops->unlink(env, path);
        return err == HIF_ENOENT ? HIF_OK : err;
}

/* More is not kept: the one after them says so. */
json_t *damage_to_json(const struct overlay *overlay)
{
        json_t *list = json_array();
        size_t count = overlay_damage_count(overlay);

        for (size_t i = 0; i < count && i <= OVERLAY_DAMAGE_MAX; i++) {
                AUTO_BUF struct buf clean = {0};

                text_escape(&clean, span_str(overlay_damage(overlay, i)));
                json_array_append_new(list, json_stringn((const char *)clean.data, clean.size));
        }
        return list;
}

struct describing {
        const struct workspace *workspace;
        json_t *out;
};

/* Values are the loop's to read. */
static void describe_goal(void *arg)
{
        struct describing *describing = arg;

        json_set_path(describing->out, "goal",
                      overlay_value(describing->workspace->overlay, VALUE_GOAL));
}

/* What keeps the session from being landed, if anything was found. */
static enum hif_err tell_check(const struct workspace *workspace, json_t *out)
{
        const char *found = check_found(workspace);
        AUTO_BUF struct buf clean = {0};

        if (found == NULL)
                return HIF_OK;
        text_escape(&clean, span_str(found));
        return !buf_failed(&clean) &&
                       json_object_set_new(out, "operations_damaged",
                                           json_stringn((const char *)clean.data, clean.size)) == 0
                   ? HIF_OK
                   : HIF_ENOMEM;
}

enum hif_err workspace_describe(struct workspace *workspace, json_t **out)
{
        char id[SESSION_ID_HEX_SIZE];
        struct vfs_base base = vfs_base(workspace->vfs);

        session_id_to_hex(&workspace->session, id);
        *out =
            json_pack("{s:s, s:s, s:s, s:I, s:s, s:s, s:s, s:b, s:b}", "project",
                      workspace->project_name, "session", workspace->session_name, "id", id, "base",
                      (json_int_t)base.position, "mount_point", workspace->mount_point, "front_end",
                      workspace->front == FRONT_NFS ? "nfs" : "fuse", "store", workspace->store_url,
                      "read_only", workspace->read_only, "isolated", (int)workspace->entered);
        if (*out == NULL)
                return HIF_ENOMEM;
        loop_call(workspace->loop, describe_goal,
                  &(struct describing){.workspace = workspace, .out = *out});
        if (workspace->damaged &&
            json_object_set_new(*out, "damage", damage_to_json(workspace->overlay)) != 0)
                return HIF_ENOMEM;
        return tell_check(workspace, *out);
}

enum hif_err workspace_describe_locked(struct workspace *workspace, json_t **out)
{
        AUTO_FREE char *moved = NULL;
        const char *mount_point = workspace->mount_point;
        bool mounted = workspace_is_mounted(workspace);
        json_t *now;

        if (workspace_moved(workspace, &moved) != HIF_OK)
                moved = NULL;
        now = json_string(moved); /* NULL also for what is no UTF-8 */
        if (now != NULL)
                mount_point = moved;
        json_decref(now);
        *out = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:b}", "project",
                         workspace->project_name, "session", workspace->session_name, "mount_point",
                         mount_point, "front_end", workspace->front == FRONT_NFS ? "nfs" : "fuse",
                         "store", workspace->store_url, "isolated", (int)workspace->entered,
                         "mounted", (int)mounted, "damaged", (int)workspace->damaged);
        return *out != NULL ? tell_check(workspace, *out) : HIF_ENOMEM;
}

/* On a full disk a second file has no room; the first has a block. It is a summary: one that a power
 * cut tears is made anew by the next mount. */
static enum hif_err write_over(struct env *env, const char *path, struct span text)
{
        int fd;
        enum hif_err err = env->ops->open(env, path, O_RDWR, 0, &fd);

        if (err != HIF_OK)
                return HIF_ENOSPC;
        err = env_write_all(env, fd, text.data, text.size, 0);
        if (err == HIF_OK)
                err = env->ops->ftruncate(env, fd, text.size);
        env->ops->close(env, fd);
        return err;
}

enum hif_err workspace_summary(struct workspace *workspace, const char *state)
{
        AUTO_FREE char *path = file_in(workspace, "session.json"), *text = NULL;
        json_t *summary = NULL;
        enum hif_err err = workspace_describe(workspace, &summary);

        if (err != HIF_OK)
                return err;
        if (json_object_set_new(summary, "state", json_string(state)) != 0 ||
            json_object_set_new(summary, "device", json_integer(workspace->device)) != 0 ||
            json_object_set_new(
                summary, "updated",
                json_integer(
                    (json_int_t)(env_wall_ns(&workspace->daemon->cli->env) / 1000000000))) != 0)
                err = HIF_ENOMEM;
        text = json_encode(summary, JSON_INDENT(2));
        json_decref(summary);
        if (err != HIF_OK || text == NULL || path == NULL)
                return HIF_ENOMEM;
        err = env_write_file(&workspace->daemon->cli->env, path, text, strlen(text), 0600);
        return hif_err_is_full(err) ? write_over(&workspace->daemon->cli->env, path, span_str(text))
                                    : err;
}
