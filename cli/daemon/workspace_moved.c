/* workspace_moved.c - a mount goes along when a directory above it is renamed, and the workspace
 * follows it: it is at the new place from then on, for commands, for the kernel, and for the next
 * server. Found by what the kernel's list of mounts says, never by a look at the mount. */
#include "cli/daemon/workspace_moved.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "cli/daemon/mount_nfs.h"
#include "cli/daemon/workspace_impl.h"
#include "cli/daemon/workspace_list.h"
#include "cli/daemon/workspace_place.h"
#include "cli/daemon/workspace_records.h"
#include "cli/mounts.h"

#include <stdlib.h>
#include <string.h>

static bool is_text(const char *path)
{
        json_t *string = json_string(path);
        bool valid = string != NULL;

        json_decref(string);
        return valid;
}

/* Other threads may read the old one still: it is freed with the workspace. */
static enum hif_err change_place(struct workspace *workspace, char *now)
{
        struct place_before *before = malloc(sizeof(*before));

        if (before == NULL)
                return HIF_ENOMEM;
        pthread_mutex_lock(&workspace->daemon->lock);
        *before = (struct place_before){workspace->before, workspace->mount_point};
        workspace->before = before;
        workspace->mount_point = now;
        pthread_mutex_unlock(&workspace->daemon->lock);
        return HIF_OK;
}

bool workspace_follow(struct workspace *workspace)
{
        struct log *log = workspace->daemon->cli->env.log;
        AUTO_FREE char *now = NULL;
        const char *old = workspace->mount_point;
        enum hif_err err = workspace_moved(workspace, &now);

        if (err == HIF_OK && now == NULL)
                return false;
        /* What is no UTF-8 cannot be told to commands. */
        if (err == HIF_OK && !is_text(now))
                err = HIF_EINVAL;
        if (err == HIF_OK)
                err = change_place(workspace, now);
        if (err != HIF_OK) {
                log_line(log, LOG_WARN, "daemon", "where '%s' has moved to is not known: %s", old,
                         hif_strerror(err));
                return false;
        }
        log_line(log, LOG_INFO, "daemon",
                 "what was mounted at '%s' is at '%s' now, because a directory was renamed", old,
                 now);
        (void)STEAL(now);
        if (workspace->device == 0 &&
            mounts_device(&workspace->daemon->cli->env, workspace->mount_point,
                          &workspace->device) != HIF_OK)
                workspace->device = 0;
        err = records_store(workspace, false, NULL);
        if (err == HIF_OK)
                err = workspace_summary(workspace, workspace->conflicted ? "conflicted" : "open");
        if (err != HIF_OK)
                log_line(log, LOG_WARN, "daemon", "that could not be recorded: %s",
                         hif_strerror(err));
        return true;
}

/* --- the workspace of a mount --- */

struct holder {
        const char *path;
        char source[NFS_SOURCE_MAX];
        unsigned minor;
        size_t size; /* of its mount point; 0: none holds the path */
        bool ours;
};

/* The longest holds the path; of equal ones the last lies on top. */
static bool look_at(void *arg, const struct mount *mount)
{
        struct holder *holder = arg;
        size_t size = strlen(mount->path);

        if (size < holder->size || !path_within(span_str(holder->path), span_str(mount->path)))
                return true;
        holder->size = size;
        holder->ours = mount->ours && mount->source.size < sizeof(holder->source);
        holder->minor = mount->minor;
        if (holder->ours) {
                memcpy(holder->source, mount->source.data, mount->source.size);
                holder->source[mount->source.size] = '\0';
        }
        return true;
}

static bool matches_mount(const struct workspace *workspace, const void *arg)
{
        const struct holder *holder = arg;
        char source[NFS_SOURCE_MAX];

        if (!workspace->mounted) /* it may not be whole yet */
                return false;
        if (workspace->front != FRONT_NFS)
                return workspace->device == holder->minor &&
                       strncmp(holder->source, "hif:", 4) == 0;
        nfs_source_of(workspace, source);
        return strcmp(source, holder->source) == 0;
}

struct workspace *workspace_enter_moved(struct daemon *daemon, const char *path, const char **from)
{
        struct holder holder = {.path = path};
        struct workspace *workspace;

        if (mounts_each(&daemon->cli->env, look_at, &holder) != HIF_OK || !holder.ours)
                return NULL;
        workspace = workspace_enter(daemon, matches_mount, &holder);
        if (workspace == NULL)
                return NULL;
        if (workspace_follow(workspace)) {
                *from = workspace->before->mount_point;
                return workspace;
        }
        workspace_leave(workspace);
        return NULL;
}
