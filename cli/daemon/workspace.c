/* workspace.c - opening, mounting, resuming and unmounting a session. */
#include "cli/daemon/workspace.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "cli/daemon/call.h"
#include "cli/daemon/front.h"
#include "cli/daemon/kernel.h"
#include "cli/daemon/mount_fuse.h"
#include "cli/daemon/refresh.h"
#include "cli/daemon/workspace_ahead.h"
#include "cli/daemon/workspace_check.h"
#include "cli/daemon/workspace_list.h"
#include "cli/daemon/workspace_moved.h"
#include "cli/daemon/workspace_parts.h"
#include "cli/daemon/workspace_place.h"
#include "cli/daemon/workspace_publish_when.h"
#include "cli/daemon/workspace_records.h"
#include "cli/store.h"
#include "cli/supervisor/helper.h"
#include "land/derived/derived.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SYNC_TIMEOUT_MS 60000
#define RESERVE_BYTES   (64ull << 20)
#define SPARE_BYTES     (2ull << 20)

/* What can be read of it, to be looked at and copied from. */
static enum hif_err open_damaged(struct workspace *workspace, struct hif_why *why)
{
        struct cli *cli = workspace->daemon->cli;
        struct hif_why reason = *why;
        enum hif_err err = overlay_open_salvage(&cli->env, workspace->daemon->pool, workspace->dir,
                                                &workspace->overlay, why);

        if (err != HIF_OK)
                return err;
        log_line(cli->env.log, LOG_ERROR, "daemon", "session '%s' is damaged: %s",
                 workspace->session_name, reason.text);
        workspace->damaged = workspace->read_only = true;
        if (overlay_value(workspace->overlay, VALUE_SESSION_ID).size == 0)
                return why_set(why, HIF_ECORRUPT,
                               "session '%s' is damaged, and what it stands on is lost: %s; `hif "
                               "session export %s %s DIR` saves the files that are there",
                               workspace->session_name, reason.text, workspace->project_name,
                               workspace->session_name);
        return HIF_OK;
}

/* A disk that fails once says nothing of what is on it. */
static enum hif_err open_session(struct daemon *daemon, const char *dir,
                                 const struct overlay_config *config, struct overlay **out,
                                 struct hif_why *why)
{
        struct env *env = &daemon->cli->env;
        enum hif_err err = overlay_open(env, daemon->pool, dir, config, out, why);

        return err == HIF_EIO ? overlay_open(env, daemon->pool, dir, config, out, why) : err;
}

static enum hif_err open_overlay(struct workspace *workspace, struct hif_why *why)
{
        struct cli *cli = workspace->daemon->cli;
        struct overlay_config config = {.durability =
                                            workspace->power ? OVERLAY_POWER : OVERLAY_PROCESS,
                                        .reserve_bytes = RESERVE_BYTES,
                                        .spare_bytes = SPARE_BYTES};
        enum hif_err err = env_mkdirs(&cli->env, workspace->dir, 0700);

        if (err != HIF_OK)
                return why_set(why, err, "the session's directory '%s' could not be made: %s",
                               workspace->dir, hif_strerror(err));
        err = open_session(workspace->daemon, workspace->dir, &config, &workspace->overlay, why);
        if (err == HIF_EIO) {
                struct hif_why reason = *why;

                return why_set(
                    why, err,
                    "session '%s' cannot be read: %s; look at the disk and try again, or "
                    "save what can be read with `hif session export %s %s DIR`",
                    workspace->session_name, reason.text, workspace->project_name,
                    workspace->session_name);
        }
        return err == HIF_ECORRUPT ? open_damaged(workspace, why) : err;
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

/* A session of the same name and project, but of another store, is another one; a store that was
 * moved is the same. */
static enum hif_err check_store(struct workspace *workspace, struct hif_why *why)
{
        AUTO_FREE char *made = records_text(workspace->overlay, VALUE_STORE);
        struct vfs_base base = vfs_base(workspace->vfs);
        struct slot_read slot = {0};
        enum hif_err err;

        if (made != NULL && strcmp(made, workspace->store_url) == 0)
                return HIF_OK;
        err = project_slot(&workspace->project, base.position, false, &slot, why);
        if (err == HIF_OK && !hash_eq(&slot.hash, &base.slot))
                err = HIF_ENOENT;
        slot_read_free(&slot);
        if (err != HIF_ENOENT)
                return err;
        return why_set(why, HIF_EEXIST,
                       "session '%s' was begun in the store '%s', and '%s' does not have its base; "
                       "choose a new name with --session",
                       workspace->session_name, made != NULL ? made : "?", workspace->store_url);
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

static enum hif_err open_parts(struct workspace *workspace, const struct workspace_options *options,
                               bool *first, struct hif_why *why)
{
        struct opening opening = {.workspace = workspace, .why = why};
        struct env *env = &workspace->daemon->cli->env;
        struct vfs_base base;
        enum hif_err err = workspace_open_store(workspace, why);

        if (err == HIF_OK && workspace->overlay == NULL)
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
                err = records_load(workspace, why);
        }
        if (err != HIF_OK)
                return err;
        loop_call(workspace->loop, open_vfs, &opening);
        return opening.err == HIF_OK && !*first ? check_store(workspace, why) : opening.err;
}

/* The workspace is entered; nobody finds it any more after delist, and the last to leave frees it.
 */
static void close_workspace(struct workspace *workspace)
{
        ahead_stop(STEAL(workspace->ahead));
        check_stop(workspace);
        if (workspace->vfs != NULL)
                front_stop(workspace);
        (void)!mount_keep(workspace); /* what is mounted still is another server's, or nobody's */
        workspace_close_parts(workspace);
        workspace_delist(workspace);
        workspace->closed = true;
}

static void abandon_mount(struct workspace *workspace)
{
        struct hif_why ignored;

        /* Where not even the list of mounts can be read, it is taken away from where it was made: one
         * that stayed would be in the way of the next try. Stopping takes FUSE away. */
        if (workspace->mounted && front_unmount(workspace, true, &ignored) != HIF_OK) {
                workspace->mounted = false;
                if (workspace->front == FRONT_NFS)
                        (void)!unmount(workspace->daemon, workspace->mount_point,
                                       HELP_UNMOUNT_FORCE, &ignored);
        }
        close_workspace(workspace);
        workspace_leave(workspace);
}

enum hif_err workspace_mount(struct daemon *daemon, const struct workspace_options *options,
                             struct workspace **out, char **note, struct hif_why *why)
{
        struct workspace *workspace = workspace_new(daemon, options);
        bool first = false;
        enum hif_err err;

        if (workspace == NULL)
                return HIF_ENOMEM;
        err = workspace_enlist(workspace, why);
        if (err != HIF_OK) {
                workspace_free(workspace);
                return err;
        }
        err = open_parts(workspace, options, &first, why);
        if (err == HIF_OK && !first && options->at &&
            vfs_base(workspace->vfs).position != options->at_position)
                err = why_set(why, HIF_EEXIST,
                              "session '%s' stands at @%llu already; choose a new name with "
                              "--session to start at @%llu",
                              workspace->session_name,
                              (unsigned long long)vfs_base(workspace->vfs).position,
                              (unsigned long long)options->at_position);
        if (err == HIF_OK)
                err = front_start(workspace, false, note, why);
        /* The values come after the mount, which decides the front end; after a crash before the mark,
         * which no daemon would know of, the supervisor's helper takes the mount back. */
        if (err == HIF_OK)
                err = records_store(workspace, first, options->goal);
        if (err == HIF_OK)
                err = records_mark_mounted(workspace, true);
        if (err == HIF_OK)
                err = mount_keep(workspace);
        if (err == HIF_OK)
                err = workspace_summary(workspace, "open");
        if (err == HIF_OK)
                err = ahead_start(workspace, &workspace->ahead);
        if (err != HIF_OK) {
                if (why->text[0] == '\0')
                        why_set(why, err, "%s could not be mounted: %s", options->project,
                                hif_strerror(err));
                abandon_mount(workspace);
                return err;
        }
        check_start(workspace);
        *out = workspace;
        workspace_leave(workspace);
        return HIF_OK;
}

/* project, session and directory are known from the path; the rest is in the overlay. */
static enum hif_err resume_options(struct daemon *daemon, const char *dir,
                                   struct workspace_options *options, char **project,
                                   struct overlay **overlay, struct hif_why *why)
{
        size_t root = strlen(daemon->cli->paths.state_dir) + strlen("/workspaces/");
        struct overlay_config config = {.reserve_bytes = RESERVE_BYTES, .spare_bytes = SPARE_BYTES};
        const char *slash = strrchr(dir, '/');
        enum hif_err err = open_session(daemon, dir, &config, overlay, why);

        /* Programs wait in it: what can be read is better than a mount that hangs. */
        if (err == HIF_ECORRUPT || err == HIF_EIO)
                err = overlay_open_salvage(&daemon->cli->env, daemon->pool, dir, overlay, why);
        if (err != HIF_OK)
                return err;
        *project = strndup(dir + root, (size_t)(slash - dir) - root);
        options->project = *project;
        options->session = slash + 1;
        options->mount_point = records_text(*overlay, VALUE_MOUNT);
        options->store_url = records_text(*overlay, VALUE_STORE);
        if (*project == NULL || options->mount_point == NULL || options->store_url == NULL ||
            records_options(*overlay, options) != HIF_OK)
                return why_set(why, HIF_ECORRUPT, "'%s' was mounted, but its records are damaged",
                               dir);
        return HIF_OK;
}

/* A server that died between moving the base and telling the kernel has left a list. */
static void tell_what_is_left(struct workspace *workspace)
{
        AUTO_BUF struct buf list = {0};

        if (refresh_load(workspace, &list) != HIF_OK)
                return;
        if (refresh_each(buf_span(&list), NULL, NULL, NULL) == HIF_OK)
                kernel_refresh(workspace, buf_span(&list));
        refresh_done(workspace);
}

enum hif_err workspace_resume(struct daemon *daemon, const char *dir, char **mount_point,
                              struct hif_why *why)
{
        struct workspace_options options = {0};
        struct workspace *workspace = NULL;
        struct overlay *overlay = NULL;
        char *project = NULL;
        bool first;
        enum hif_err err = resume_options(daemon, dir, &options, &project, &overlay, why);

        if (err == HIF_OK) {
                workspace = workspace_new(daemon, &options);
                err = workspace != NULL ? workspace_enlist(workspace, why) : HIF_ENOMEM;
        }
        *mount_point = (char *)(uintptr_t)options.mount_point;
        free((void *)(uintptr_t)options.store_url);
        free(project);
        if (err != HIF_OK) {
                overlay_close(overlay);
                workspace_free(workspace);
                return err;
        }
        overlay_set_durability(overlay, options.power ? OVERLAY_POWER : OVERLAY_PROCESS);
        workspace->overlay = overlay;
        if (overlay_damage_count(overlay) > 0)
                workspace->damaged = workspace->read_only = true;
        err = open_parts(workspace, &options, &first, why);
        if (err == HIF_OK)
                err = records_resume(workspace, why);
        /* No other mount has the source of one over NFS: where that is, it is served. */
        if (err == HIF_OK && workspace->front == FRONT_NFS)
                (void)workspace_follow(workspace);
        if (err == HIF_OK)
                err = front_start(workspace, true, NULL, why);
        if (err == HIF_OK && workspace->front == FRONT_FUSE)
                (void)workspace_follow(workspace);
        if (err == HIF_OK) /* the mark is there */
                err = mount_keep(workspace);
        if (err == HIF_OK)
                tell_what_is_left(workspace);
        if (err == HIF_OK)
                err = ahead_start(workspace, &workspace->ahead);
        if (err != HIF_OK) {
                abandon_mount(workspace);
                return err;
        }
        check_start(workspace);
        if (records_moved(workspace))
                err = records_store(workspace, false, NULL);
        if (err != HIF_OK)
                log_line(daemon->cli->env.log, LOG_WARN, "daemon",
                         "where '%s' is served could not be recorded: %s", workspace->mount_point,
                         hif_strerror(err));
        log_line(daemon->cli->env.log, LOG_INFO, "daemon", "%s is back at %s",
                 workspace->project_name, workspace->mount_point);
        workspace_leave(workspace);
        return HIF_OK;
}

enum hif_err workspace_unmount(struct workspace *workspace, bool force, char **warning,
                               struct hif_why *why)
{
        AUTO_FREE char *unheard = NULL;
        enum hif_err err = front_not_moved(workspace, why);

        if (err != HIF_OK)
                return err;
        if (workspace_is_mounted(workspace) && workspace->front == FRONT_NFS &&
            !workspace->read_only) {
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
        err = records_mark_mounted(workspace, false);
        if (!force)
                workspace_publish_unmounted(workspace, warning != NULL ? warning : &unheard);
        if (err == HIF_OK)
                err = workspace_summary(workspace, workspace->conflicted ? "conflicted" : "open");
        store_cancel(workspace->store); /* nothing is needed of it any more: it may say nothing */
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
