/* workspace_export.c - see workspace_export.h. */
#include "cli/daemon/workspace_export.h"

#include "base/cleanup.h"
#include "cli/daemon/call.h"
#include "cli/daemon/export_files.h"
#include "cli/daemon/workspace_impl.h"
#include "cli/daemon/workspace_parts.h"
#include "cli/daemon/workspace_records.h"
#include "cli/daemon/workspace_work.h"
#include "cli/mounts.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- the directory --- */

static bool any_name(void *arg, const char *name)
{
        (void)name;
        *(bool *)arg = true;
        return false;
}

/* By what the kernel's list of mounts says, whoever has moved one: who wrote into a mount of this very
 * server would wait for himself. */
static enum hif_err check_outside(struct env *env, const char *dir, struct hif_why *why)
{
        AUTO_FREE char *mount_point = NULL;
        bool found = false;
        enum hif_err err = mounts_find(env, dir, &found, &mount_point);

        if (err != HIF_OK)
                return why_set(why, err, "the list of mounts could not be read: %s",
                               hif_strerror(err));
        return !found ? HIF_OK
                      : why_set(why, HIF_EINVAL,
                                "'%s' is inside the mount at '%s'; name a directory outside of it",
                                dir, mount_point);
}

static enum hif_err make_dir(struct daemon *daemon, const char *dir, int *files_fd,
                             struct hif_why *why)
{
        struct env *env = &daemon->cli->env;
        AUTO_FREE char *files = NULL;
        bool full = false;
        enum hif_err err = check_outside(env, dir, why);

        if (err != HIF_OK)
                return err;
        err = env->ops->mkdir(env, dir, 0777);
        if (err == HIF_EEXIST) {
                err = env->ops->list(env, dir, any_name, &full);
                if (err == HIF_OK && full)
                        return why_set(why, HIF_EEXIST,
                                       "'%s' is not empty; name a new directory, or an empty one",
                                       dir);
        }
        if (err == HIF_OK && asprintf(&files, "%s/files", dir) < 0) {
                files = NULL;
                return HIF_ENOMEM;
        }
        if (err == HIF_OK)
                err = env->ops->mkdir(env, files, 0777);
        if (err == HIF_OK)
                err = env->ops->open(env, files, O_RDONLY | O_DIRECTORY, 0, files_fd);
        return err == HIF_OK
                   ? err
                   : why_set(why, err, "'%s' could not be made: %s", dir, hif_strerror(err));
}

/* --- the report --- */

struct about {
        const char *project, *session;
        const struct overlay *overlay;
        const char *unflushed; /* what programs wrote last did not arrive: why; NULL: it did */
        const char *no_store;  /* why it cannot be reached; NULL: it can */
};

static enum hif_err write_report(struct env *env, const struct about *about,
                                 const struct export_files *files, const char *dir,
                                 struct hif_why *why)
{
        CLEANUP(buf_free) struct buf text = {0};
        AUTO_FREE char *path = NULL;
        size_t damaged = overlay_damage_count(about->overlay);
        enum hif_err err;

        buf_printf(&text, "Session %s of %s, exported.\n\n", about->session, about->project);
        buf_printf(&text, "%llu file(s) and %llu link(s), %llu bytes, are in files/.\n",
                   (unsigned long long)files->files, (unsigned long long)files->symlinks,
                   (unsigned long long)files->bytes);
        if (about->no_store != NULL)
                buf_printf(&text, "\nThe store could not be asked for what is the base's: %s\n",
                           about->no_store);
        if (about->unflushed != NULL)
                buf_printf(&text, "\nWhat was written last may be missing: %s\n", about->unflushed);
        if (damaged > 0)
                buf_printf(&text, "\nThe session is damaged:\n");
        for (size_t i = 0; i < damaged && i <= OVERLAY_DAMAGE_MAX; i++)
                buf_printf(&text, "%s\n", overlay_damage(about->overlay, i));
        if (files->not_saved_count > 0)
                buf_printf(&text, "\nNot saved, or not wholly:\n");
        buf_put_span(&text, buf_span(&files->not_saved));
        if (files->removed_count > 0)
                buf_printf(&text, "\nRemoved by the session:\n");
        buf_put_span(&text, buf_span(&files->removed));
        if (buf_failed(&text) || asprintf(&path, "%s/report.txt", dir) < 0)
                return HIF_ENOMEM;
        err = env_write_file(env, path, text.data, text.size, 0666);
        return err == HIF_OK
                   ? err
                   : why_set(why, err, "'%s' could not be written: %s", path, hif_strerror(err));
}

static enum hif_err tell(const struct about *about, const struct export_files *files,
                         const char *dir, json_t **result)
{
        *result =
            json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "project",
                      about->project, "session", about->session, "directory", dir, "files",
                      (json_int_t)files->files, "directories", (json_int_t)files->directories,
                      "symlinks", (json_int_t)files->symlinks, "bytes", (json_int_t)files->bytes,
                      "removed", (json_int_t)files->removed_count, "not_saved",
                      (json_int_t)files->not_saved_count, "damage", damage_to_json(about->overlay));
        return *result != NULL ? HIF_OK : HIF_ENOMEM;
}

/* --- the two kinds of sessions --- */

static enum hif_err write_all(struct daemon *daemon, const struct about *about,
                              struct export_files *files, const char *dir, json_t **result,
                              struct hif_why *why)
{
        enum hif_err err = make_dir(daemon, dir, &files->dir_fd, why);

        if (err == HIF_OK)
                err = export_files_write(files, why);
        if (err == HIF_OK)
                err = write_report(&daemon->cli->env, about, files, dir, why);
        return err == HIF_OK ? tell(about, files, dir, result) : err;
}

struct taking {
        struct workspace *workspace;
        struct vfs_export export;
        enum hif_err err;
};

static void take(void *arg)
{
        struct taking *taking = arg;

        taking->err = vfs_export_take(taking->workspace->overlay, &taking->export);
}

static void release(void *arg)
{
        struct taking *taking = arg;

        vfs_export_free(&taking->export);
}

enum hif_err workspace_export(struct workspace *workspace, const char *dir, json_t **result,
                              struct hif_why *why)
{
        struct taking taking = {.workspace = workspace};
        struct about about = {.project = workspace->project_name,
                              .session = workspace->session_name,
                              .overlay = workspace->overlay};
        struct export_files files = {
            .dir_fd = -1, .export = &taking.export, .origin = workspace->origin};
        struct hif_why unflushed = {0};
        enum hif_err err;

        /* The disk may be full, which is no reason to save nothing. */
        if (work_flush(workspace, "lost in the session", &unflushed) != HIF_OK)
                about.unflushed = unflushed.text;
        loop_call(workspace->loop, take, &taking);
        if (taking.err != HIF_OK)
                return taking.err;
        err = write_all(workspace->daemon, &about, &files, dir, result, why);
        export_files_free(&files);
        loop_call(workspace->loop, release, &taking);
        return err;
}

/* With the store, if it can be reached: else without what is the base's. */
static enum hif_err export_overlay(struct workspace *workspace, const char *dir, json_t **result,
                                   struct hif_why *why)
{
        struct hif_why no_store = {0};
        struct taking taking = {.workspace = workspace};
        struct about about = {.project = workspace->project_name,
                              .session = workspace->session_name,
                              .overlay = workspace->overlay};
        struct export_files files = {.dir_fd = -1, .export = &taking.export};
        enum hif_err err;

        if (workspace->store_url[0] == '\0')
                about.no_store = "where it is, is lost";
        else if (workspace_open_store(workspace, &no_store) != HIF_OK)
                about.no_store = no_store.text;
        files.origin = workspace->origin;
        take(&taking);
        if (taking.err != HIF_OK)
                return taking.err;
        err = write_all(workspace->daemon, &about, &files, dir, result, why);
        export_files_free(&files);
        release(&taking);
        return err;
}

enum hif_err workspace_export_closed(struct daemon *daemon, const char *project,
                                     const char *session, const char *dir, json_t **result,
                                     struct hif_why *why)
{
        struct workspace_options options = {
            .project = project, .session = session, .mount_point = "", .store_url = ""};
        struct workspace *workspace = workspace_new(daemon, &options);
        char *store;
        enum hif_err err;

        if (workspace == NULL)
                return HIF_ENOMEM;
        err = overlay_open_salvage(&daemon->cli->env, daemon->pool, workspace->dir,
                                   &workspace->overlay, why);
        if (err == HIF_ENOENT)
                why_set(why, err,
                        "there is no session '%s' of %s on this machine; `hif session list` shows "
                        "those that are",
                        session, project);
        if (err == HIF_OK) {
                store = records_text(workspace->overlay, VALUE_STORE);
                if (store != NULL) {
                        free(workspace->store_url);
                        workspace->store_url = store;
                }
                err = export_overlay(workspace, dir, result, why);
        }
        workspace_close_parts(workspace);
        workspace_free(workspace);
        return err;
}
