#include "cli/workspace_impl.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SYNC_TIMEOUT_MS 60000
#define RESERVE_BYTES   (64ull << 20)

enum workspace_flags { FLAG_READ_ONLY = 1, FLAG_POWER = 2, FLAG_ALLOW_OTHER = 4 };

static void workspace_free(struct workspace *workspace)
{
        if (workspace == NULL)
                return;
        pthread_mutex_destroy(&workspace->lock);
        free(workspace->project_name);
        free(workspace->session_name);
        free(workspace->dir);
        free(workspace->mount_point);
        free(workspace->store_url);
        free(workspace);
}

/* --- the daemon's list --------------------------------------------------------------------------
 */

/* HIF_EBUSY when the session, or the mount point, is taken. */
static enum hif_err enlist(struct workspace *workspace, struct hif_why *why)
{
        struct daemon *daemon = workspace->daemon;
        enum hif_err err = HIF_OK;

        pthread_mutex_lock(&daemon->lock);
        for (struct workspace *other = daemon->first; other != NULL; other = other->next) {
                if (strcmp(other->dir, workspace->dir) == 0)
                        err =
                            why_set(why, HIF_EBUSY,
                                    "session '%s' of %s is mounted at '%s' already; use it there, "
                                    "or name another with --session",
                                    other->session_name, other->project_name, other->mount_point);
                else if (strcmp(other->mount_point, workspace->mount_point) == 0)
                        err = why_set(why, HIF_EBUSY,
                                      "%s is mounted at '%s' already; `hif unmount` it",
                                      other->project_name, other->mount_point);
        }
        if (err == HIF_OK) {
                workspace->next = daemon->first;
                daemon->first = workspace;
        }
        pthread_mutex_unlock(&daemon->lock);
        return err;
}

static void delist(struct workspace *workspace)
{
        struct daemon *daemon = workspace->daemon;

        pthread_mutex_lock(&daemon->lock);
        for (struct workspace **at = &daemon->first; *at != NULL; at = &(*at)->next) {
                if (*at == workspace) {
                        *at = workspace->next;
                        break;
                }
        }
        pthread_mutex_unlock(&daemon->lock);
}

static bool path_is_below(const char *path, const char *dir)
{
        size_t size = strlen(dir);

        return strncmp(path, dir, size) == 0 && (path[size] == '/' || path[size] == '\0');
}

static struct workspace *enter(struct daemon *daemon,
                               bool (*match)(const struct workspace *workspace, const void *arg),
                               const void *arg)
{
        struct workspace *found = NULL;

        pthread_mutex_lock(&daemon->lock);
        for (struct workspace *at = daemon->first; at != NULL && found == NULL; at = at->next)
                if (match(at, arg))
                        found = at;
        if (found != NULL)
                found->users++;
        pthread_mutex_unlock(&daemon->lock);
        if (found == NULL)
                return NULL;
        pthread_mutex_lock(&found->lock);
        if (found->closed) { /* unmounted while we waited */
                workspace_leave(found);
                return NULL;
        }
        return found;
}

static bool matches_path(const struct workspace *workspace, const void *arg)
{
        return path_is_below(arg, workspace->mount_point);
}

struct workspace *workspace_enter_path(struct daemon *daemon, const char *path)
{
        return enter(daemon, matches_path, path);
}

struct names {
        const char *project, *session;
};

static bool matches_names(const struct workspace *workspace, const void *arg)
{
        const struct names *names = arg;

        return strcmp(workspace->project_name, names->project) == 0 &&
               strcmp(workspace->session_name, names->session) == 0;
}

struct workspace *workspace_enter_name(struct daemon *daemon, const char *project,
                                       const char *session)
{
        struct names names = {.project = project, .session = session};

        return enter(daemon, matches_names, &names);
}

static bool matches_any(const struct workspace *workspace, const void *arg)
{
        (void)workspace;
        (void)arg;
        return true;
}

struct workspace *workspace_enter_any(struct daemon *daemon)
{
        return enter(daemon, matches_any, NULL);
}

struct workspace *workspace_after(const struct workspace *workspace)
{
        return workspace->next;
}

void workspace_leave(struct workspace *workspace)
{
        struct daemon *daemon = workspace->daemon;
        bool last;

        pthread_mutex_unlock(&workspace->lock);
        pthread_mutex_lock(&daemon->lock);
        last = --workspace->users == 0 && workspace->closed;
        pthread_mutex_unlock(&daemon->lock);
        if (last)
                workspace_free(workspace);
}

/* --- values --------------------------------------------------------------------------------------
 */

static uint64_t value_u64(const struct overlay *overlay, const char *name)
{
        struct span value = overlay_value(overlay, name);

        return value.size == 8 ? be64_get(value.data) : 0;
}

static char *value_text(const struct overlay *overlay, const char *name)
{
        struct span value = overlay_value(overlay, name);

        return value.size > 0 ? strndup((const char *)value.data, value.size) : NULL;
}

/* What a session that has been mounted before says of itself. */
static enum hif_err load_values(struct workspace *workspace, struct hif_why *why)
{
        const struct overlay *overlay = workspace->overlay;
        struct span id = overlay_value(overlay, VALUE_SESSION_ID);
        struct span key = overlay_value(overlay, VALUE_KEY);

        if (id.size != SESSION_ID_SIZE || key.size != sizeof(workspace->key))
                return why_set(why, HIF_ECORRUPT,
                               "the records of session '%s' in '%s' are damaged; mount another "
                               "session and copy what you need",
                               workspace->session_name, workspace->dir);
        memcpy(workspace->session.bytes, id.data, id.size);
        memcpy(workspace->key, key.data, key.size);
        workspace->origin_position = value_u64(overlay, VALUE_ORIGIN);
        return HIF_OK;
}

/* A session's first values, and those of this mount. */
static enum hif_err store_values(struct workspace *workspace, bool first)
{
        uint8_t origin[8], created[8], port[2];
        uint8_t flags = (uint8_t)((workspace->read_only ? FLAG_READ_ONLY : 0) |
                                  (workspace->power ? FLAG_POWER : 0) |
                                  (workspace->allow_other ? FLAG_ALLOW_OTHER : 0));
        struct vfs_value values[] = {
            {VALUE_MOUNT, span_str(workspace->mount_point)},
            {VALUE_FRONT, span_str(workspace->front == FRONT_NFS ? "nfs" : "fuse")},
            {VALUE_FLAGS, span_of(&flags, 1)},
            {VALUE_PORT, span_of(port, sizeof(port))},
            {VALUE_SESSION_ID, span_of(workspace->session.bytes, SESSION_ID_SIZE)},
            {VALUE_ORIGIN, span_of(origin, sizeof(origin))},
            {VALUE_CREATED, span_of(created, sizeof(created))},
            {VALUE_PROJECT, span_str(workspace->project_name)},
            {VALUE_STORE, span_str(workspace->store_url)},
            {VALUE_KEY, span_of(workspace->key, sizeof(workspace->key))},
        };
        struct env *env = &workspace->daemon->cli->env;

        be16_put(port, workspace->port);
        be64_put(origin, workspace->origin_position);
        be64_put(created, hlc_next(0, env_wall_ns(env) / 1000000));
        return workspace_set(workspace, values, first ? sizeof(values) / sizeof(values[0]) : 4);
}

/* --- opening
 * -------------------------------------------------------------------------------------- */

static enum hif_err open_store(struct workspace *workspace, struct hif_why *why)
{
        struct cli *cli = workspace->daemon->cli;
        enum hif_err err =
            store_open(&cli->env, workspace->store_url, false, &workspace->store, why);

        if (err == HIF_OK)
                err = project_open(&cli->env, workspace->store, workspace->project_name,
                                   &workspace->project, why);
        if (err == HIF_OK)
                err = fetch_origin_new(workspace->daemon->fetch, workspace->store,
                                       &workspace->project.layout, &workspace->origin);
        return err;
}

static enum hif_err open_overlay(struct workspace *workspace, struct hif_why *why)
{
        struct cli *cli = workspace->daemon->cli;
        struct overlay_config config = {.durability =
                                            workspace->power ? OVERLAY_POWER : OVERLAY_PROCESS,
                                        .reserve_bytes = RESERVE_BYTES};
        enum hif_err err = env_mkdirs(&cli->env, workspace->dir, 0700);

        if (err != HIF_OK)
                return why_set(why, err, "the session's directory '%s' could not be made: %s",
                               workspace->dir, hif_strerror(err));
        return overlay_open(&cli->env, workspace->daemon->pool, workspace->dir, &config,
                            &workspace->overlay, why);
}

/* Where a new session starts. */
static enum hif_err first_base(struct workspace *workspace, const struct workspace_options *options,
                               struct vfs_base *out, struct hif_why *why)
{
        struct slot_read tail = {0}, at = {0};
        enum hif_err err = project_tail(&workspace->project, 0, &tail, why);

        if (err == HIF_OK && options->at && options->at_position > tail.slot.position)
                err = why_set(why, HIF_ENOENT, "%s has no position @%llu yet; its head is @%llu",
                              workspace->project_name, (unsigned long long)options->at_position,
                              (unsigned long long)tail.slot.position);
        if (err == HIF_OK && options->at)
                err = project_slot(&workspace->project, options->at_position, false, &at, why);
        if (err == HIF_OK) {
                const struct slot_read *base = options->at ? &at : &tail;

                *out = (struct vfs_base){
                    .position = base->slot.position, .slot = base->hash, .tree = base->slot.tree};
                workspace->origin_position = tail.slot.position;
        }
        slot_read_free(&at);
        slot_read_free(&tail);
        return err;
}

struct opening {
        struct workspace *workspace;
        const struct vfs_base *first;
        enum hif_err err;
        struct hif_why *why;
};

static void open_vfs(void *arg)
{
        struct opening *opening = arg;
        struct workspace *workspace = opening->workspace;
        struct vfs_config config = {.env = &workspace->daemon->cli->env,
                                    .loop = workspace->loop,
                                    .overlay = workspace->overlay,
                                    .dir = workspace->dir,
                                    .fetch = workspace->daemon->fetch,
                                    .origin = workspace->origin,
                                    .uid = geteuid(),
                                    .gid = getegid(),
                                    .read_only = workspace->read_only,
                                    .allow_other = workspace->allow_other};

        opening->err = vfs_open(&config, opening->first, &workspace->vfs, opening->why);
}

static void close_vfs(void *arg)
{
        struct workspace *workspace = arg;

        vfs_close(workspace->vfs);
        workspace->vfs = NULL;
}

/* Everything but the front end, in the other order. */
static void close_parts(struct workspace *workspace)
{
        if (workspace->vfs != NULL)
                loop_call(workspace->loop, close_vfs, workspace);
        overlay_close(workspace->overlay);
        if (workspace->origin != NULL)
                fetch_origin_free(workspace->origin);
        store_close(workspace->store);
        workspace->overlay = NULL;
        workspace->origin = NULL;
        workspace->store = NULL;
}

static enum hif_err open_parts(struct workspace *workspace, const struct workspace_options *options,
                               bool *first, struct hif_why *why)
{
        struct opening opening = {.workspace = workspace, .why = why};
        struct env *env = &workspace->daemon->cli->env;
        struct vfs_base base;
        enum hif_err err = open_store(workspace, why);

        if (err == HIF_OK)
                err = open_overlay(workspace, why);
        if (err != HIF_OK)
                return err;
        *first = overlay_value(workspace->overlay, VALUE_SESSION_ID).size == 0;
        if (*first) {
                err = first_base(workspace, options, &base, why);
                opening.first = &base;
                env_random(env, workspace->session.bytes, SESSION_ID_SIZE);
                env_random(env, workspace->key, sizeof(workspace->key));
        } else {
                err = load_values(workspace, why);
        }
        if (err != HIF_OK)
                return err;
        loop_call(workspace->loop, open_vfs, &opening);
        return opening.err;
}

/* --- marks beside the overlay
 * --------------------------------------------------------------------- */

static char *file_in(const struct workspace *workspace, const char *name)
{
        char *path = NULL;

        return asprintf(&path, "%s/%s", workspace->dir, name) < 0 ? NULL : path;
}

static enum hif_err mark_mounted(struct workspace *workspace, bool mounted)
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

enum hif_err workspace_describe(struct workspace *workspace, json_t **out)
{
        char id[SESSION_ID_HEX_SIZE];
        struct vfs_base base = vfs_base(workspace->vfs);

        session_id_to_hex(&workspace->session, id);
        *out = json_pack("{s:s, s:s, s:s, s:I, s:s, s:s, s:s, s:b}", "project",
                         workspace->project_name, "session", workspace->session_name, "id", id,
                         "base", (json_int_t)base.position, "mount_point", workspace->mount_point,
                         "front_end", workspace->front == FRONT_NFS ? "nfs" : "fuse", "store",
                         workspace->store_url, "read_only", workspace->read_only);
        return *out != NULL ? HIF_OK : HIF_ENOMEM;
}

enum hif_err workspace_describe_locked(struct workspace *workspace, json_t **out)
{
        *out = json_pack("{s:s, s:s, s:s, s:s, s:s}", "project", workspace->project_name, "session",
                         workspace->session_name, "mount_point", workspace->mount_point,
                         "front_end", workspace->front == FRONT_NFS ? "nfs" : "fuse", "store",
                         workspace->store_url);
        return *out != NULL ? HIF_OK : HIF_ENOMEM;
}

enum hif_err workspace_summary(struct workspace *workspace, const char *state)
{
        AUTO_FREE char *path = file_in(workspace, "session.json"), *text = NULL;
        json_t *summary = NULL;
        enum hif_err err = workspace_describe(workspace, &summary);

        if (err != HIF_OK)
                return err;
        if (json_object_set_new(summary, "state", json_string(state)) != 0 ||
            json_object_set_new(
                summary, "updated",
                json_integer(
                    (json_int_t)(env_wall_ns(&workspace->daemon->cli->env) / 1000000000))) != 0)
                err = HIF_ENOMEM;
        text = json_dumps(summary, JSON_INDENT(2));
        json_decref(summary);
        if (err != HIF_OK || text == NULL || path == NULL)
                return HIF_ENOMEM;
        return env_write_file(&workspace->daemon->cli->env, path, text, strlen(text), 0600);
}

/* --- mounting
 * ------------------------------------------------------------------------------------- */

static struct workspace *workspace_new(struct daemon *daemon,
                                       const struct workspace_options *options)
{
        struct workspace *workspace = calloc(1, sizeof(*workspace));

        if (workspace == NULL)
                return NULL;
        pthread_mutex_init(&workspace->lock, NULL);
        workspace->daemon = daemon;
        workspace->project_name = strdup(options->project);
        workspace->session_name = strdup(options->session);
        workspace->mount_point = strdup(options->mount_point);
        workspace->store_url = strdup(options->store_url);
        workspace->read_only = options->read_only;
        workspace->power = options->power;
        workspace->allow_other = options->allow_other;
        workspace->front = options->front_end;
        if (asprintf(&workspace->dir, "%s/workspaces/%s/%s", daemon->cli->paths.state_dir,
                     options->project, options->session) < 0)
                workspace->dir = NULL;
        if (workspace->project_name == NULL || workspace->session_name == NULL ||
            workspace->mount_point == NULL || workspace->store_url == NULL ||
            workspace->dir == NULL) {
                workspace_free(workspace);
                return NULL;
        }
        pthread_mutex_lock(&daemon->lock);
        workspace->loop = daemon->loops[daemon->next_loop++ % daemon->loop_count];
        pthread_mutex_unlock(&daemon->lock);
        return workspace;
}

static void abandon_mount(struct workspace *workspace)
{
        struct hif_why ignored;

        if (workspace->mounted)
                (void)!front_unmount(workspace, true, &ignored);
        if (workspace->vfs != NULL)
                front_stop(workspace);
        close_parts(workspace);
        delist(workspace);
        workspace_free(workspace);
}

enum hif_err workspace_mount(struct daemon *daemon, const struct workspace_options *options,
                             struct workspace **out, char **note, struct hif_why *why)
{
        struct workspace *workspace = workspace_new(daemon, options);
        bool first = false;
        enum hif_err err;

        if (workspace == NULL)
                return HIF_ENOMEM;
        err = enlist(workspace, why);
        if (err != HIF_OK) {
                workspace_free(workspace);
                return err;
        }
        err = open_parts(workspace, options, &first, why);
        if (err == HIF_OK && !first && options->at && !options->read_only &&
            vfs_base(workspace->vfs).position != options->at_position)
                err = why_set(why, HIF_EEXIST,
                              "session '%s' stands at @%llu already; choose a new name with "
                              "--session to start at @%llu",
                              workspace->session_name,
                              (unsigned long long)vfs_base(workspace->vfs).position,
                              (unsigned long long)options->at_position);
        if (err == HIF_OK)
                err = front_start(workspace, false, note, why);
        /* The values come after the mount, which decides the front end; a crash before them leaves
         * a mount that no daemon knows, and `hif mount` says so. */
        if (err == HIF_OK)
                err = store_values(workspace, first);
        if (err == HIF_OK)
                err = mark_mounted(workspace, true);
        if (err == HIF_OK)
                err = workspace_summary(workspace, "open");
        if (err != HIF_OK) {
                if (why->text[0] == '\0')
                        why_set(why, err, "%s could not be mounted: %s", options->project,
                                hif_strerror(err));
                abandon_mount(workspace);
                return err;
        }
        *out = workspace;
        return HIF_OK;
}

/* The options of a mount that an earlier daemon made, from the overlay's values. */
static enum hif_err resume_values(struct workspace *workspace, struct hif_why *why)
{
        struct span flags = overlay_value(workspace->overlay, VALUE_FLAGS);
        struct span port = overlay_value(workspace->overlay, VALUE_PORT);
        struct span front = overlay_value(workspace->overlay, VALUE_FRONT);

        if (flags.size != 1 || port.size != 2)
                return why_set(why, HIF_ECORRUPT, "'%s' was mounted, but its records are damaged",
                               workspace->dir);
        workspace->read_only = (flags.data[0] & FLAG_READ_ONLY) != 0;
        workspace->power = (flags.data[0] & FLAG_POWER) != 0;
        workspace->allow_other = (flags.data[0] & FLAG_ALLOW_OTHER) != 0;
        workspace->port = be16_get(port.data);
        workspace->front = span_eq(front, span_str("nfs")) ? FRONT_NFS : FRONT_FUSE;
        return HIF_OK;
}

/* project, session and directory are known from the path; the rest is in the overlay. */
static enum hif_err resume_options(struct daemon *daemon, const char *dir,
                                   struct workspace_options *options, char **project,
                                   struct overlay **overlay, struct hif_why *why)
{
        size_t root = strlen(daemon->cli->paths.state_dir) + strlen("/workspaces/");
        struct overlay_config config = {.reserve_bytes = RESERVE_BYTES};
        const char *slash = strrchr(dir, '/');
        enum hif_err err =
            overlay_open(&daemon->cli->env, daemon->pool, dir, &config, overlay, why);

        if (err != HIF_OK)
                return err;
        *project = strndup(dir + root, (size_t)(slash - dir) - root);
        options->project = *project;
        options->session = slash + 1;
        options->mount_point = value_text(*overlay, VALUE_MOUNT);
        options->store_url = value_text(*overlay, VALUE_STORE);
        if (*project == NULL || options->mount_point == NULL || options->store_url == NULL)
                return why_set(why, HIF_ECORRUPT, "'%s' was mounted, but its records are damaged",
                               dir);
        return HIF_OK;
}

enum hif_err workspace_resume(struct daemon *daemon, const char *dir, struct hif_why *why)
{
        struct workspace_options options = {0};
        struct workspace *workspace = NULL;
        struct overlay *overlay = NULL;
        char *project = NULL, *note = NULL;
        bool first;
        enum hif_err err = resume_options(daemon, dir, &options, &project, &overlay, why);

        overlay_close(overlay); /* opened again with its durability, once that is known */
        if (err == HIF_OK) {
                workspace = workspace_new(daemon, &options);
                err = workspace != NULL ? enlist(workspace, why) : HIF_ENOMEM;
        }
        free((void *)(uintptr_t)options.mount_point);
        free((void *)(uintptr_t)options.store_url);
        free(project);
        if (err != HIF_OK) {
                workspace_free(workspace);
                return err;
        }
        err = open_parts(workspace, &options, &first, why);
        if (err == HIF_OK)
                err = resume_values(workspace, why);
        if (err == HIF_OK)
                err = front_start(workspace, workspace->front == FRONT_NFS, &note, why);
        free(note);
        if (err != HIF_OK) {
                abandon_mount(workspace);
                return err;
        }
        workspace->mounted = true;
        log_line(daemon->cli->env.log, LOG_INFO, "daemon", "%s is back at %s",
                 workspace->project_name, workspace->mount_point);
        return HIF_OK;
}

/* The workspace is entered; nobody finds it any more after delist, and the last to leave frees it.
 */
static void close_workspace(struct workspace *workspace)
{
        front_stop(workspace);
        close_parts(workspace);
        delist(workspace);
        workspace->closed = true;
}

enum hif_err workspace_unmount(struct workspace *workspace, bool force, struct hif_why *why)
{
        enum hif_err err = HIF_OK;

        if (workspace->mounted && workspace->front == FRONT_NFS && !workspace->read_only) {
                err = kernel_sync(workspace->mount_point, SYNC_TIMEOUT_MS);
                if (err != HIF_OK && !force)
                        return why_set(why, err,
                                       "'%s' has unwritten data that could not be flushed: %s; try "
                                       "again, or use --force and lose it",
                                       workspace->mount_point, hif_strerror(err));
        }
        err = front_unmount(workspace, force, why);
        if (err != HIF_OK)
                return err;
        err = mark_mounted(workspace, false);
        if (err == HIF_OK)
                err = workspace_summary(workspace, "open");
        close_workspace(workspace);
        if (err != HIF_OK)
                return why_set(why, err, "unmounted, but '%s' could not be updated: %s",
                               workspace->dir, hif_strerror(err));
        return HIF_OK;
}

void workspace_suspend(struct workspace *workspace)
{
        close_workspace(workspace);
}
