/* workspace_list.c - which workspaces a daemon has, and which request works on which. */
#include "cli/daemon/workspace_list.h"

#include "cli/daemon/workspace_impl.h"
#include "cli/daemon/workspace_parts.h"

#include <string.h>

enum hif_err workspace_enlist(struct workspace *workspace, struct hif_why *why)
{
        struct daemon *daemon = workspace->daemon;
        enum hif_err err = HIF_OK;

        pthread_mutex_lock(&workspace->lock); /* no one knows it: this does not wait */
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
                workspace->users = 1;
                workspace->next = daemon->first;
                daemon->first = workspace;
        }
        pthread_mutex_unlock(&daemon->lock);
        if (err != HIF_OK)
                pthread_mutex_unlock(&workspace->lock);
        return err;
}

void workspace_delist(struct workspace *workspace)
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

static struct workspace *try_enter(struct daemon *daemon,
                                   bool (*match)(const struct workspace *workspace,
                                                 const void *arg),
                                   const void *arg, bool *closed)
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
        *closed = found->closed;
        if (!*closed)
                return found;
        workspace_leave(found);
        return NULL;
}

/* One that was unmounted while we waited may have made room for another. */
struct workspace *workspace_enter(struct daemon *daemon,
                                  bool (*match)(const struct workspace *workspace, const void *arg),
                                  const void *arg)
{
        struct workspace *found;
        bool closed;

        do {
                closed = false;
                found = try_enter(daemon, match, arg, &closed);
        } while (closed);
        return found;
}

static bool matches_path(const struct workspace *workspace, const void *arg)
{
        return path_is_below(arg, workspace->mount_point);
}

struct workspace *workspace_enter_path(struct daemon *daemon, const char *path)
{
        return workspace_enter(daemon, matches_path, path);
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

        return workspace_enter(daemon, matches_names, &names);
}

static bool matches_any(const struct workspace *workspace, const void *arg)
{
        (void)workspace;
        (void)arg;
        return true;
}

struct workspace *workspace_enter_any(struct daemon *daemon)
{
        return workspace_enter(daemon, matches_any, NULL);
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

bool workspace_is_at(const struct workspace *workspace, const char *mount_point)
{
        return strcmp(workspace->mount_point, mount_point) == 0;
}

const char *workspace_mount_point(const struct workspace *workspace)
{
        return workspace->mount_point;
}

bool workspace_listed(struct daemon *daemon, const char *dir)
{
        bool found = false;

        pthread_mutex_lock(&daemon->lock);
        for (struct workspace *at = daemon->first; at != NULL && !found; at = at->next)
                found = strcmp(at->dir, dir) == 0;
        pthread_mutex_unlock(&daemon->lock);
        return found;
}
