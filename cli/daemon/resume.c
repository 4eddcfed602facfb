/* resume.c - workspaces that were mounted when the last daemon ended come back. One whose store is
 * away stays on a list, and is tried again whenever a command asks for it. */
#include "cli/daemon/daemon.h"
#include "cli/daemon/workspace_impl.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

struct scan {
        struct daemon *daemon;
        const char *dir;
        int depth;
        json_t *failed; /* mount point: why */
};

static void resume(struct scan *scan, const char *dir)
{
        struct hif_why why = {0};
        AUTO_FREE char *mount_point = NULL;

        if (workspace_listed(scan->daemon, dir) ||
            workspace_resume(scan->daemon, dir, &mount_point, &why) == HIF_OK)
                return;
        log_line(scan->daemon->cli->env.log, LOG_ERROR, "daemon",
                 "'%s' was mounted and could not be brought back: %s", dir, why.text);
        if (mount_point != NULL)
                (void)json_object_set_new(scan->failed, mount_point, json_string(why.text));
}

/* workspaces/{org}/{name}/{session} */
static bool resume_one(void *arg, const char *name)
{
        struct scan *scan = arg;
        struct scan deeper = *scan;
        struct env *env = &scan->daemon->cli->env;
        AUTO_FREE char *path = NULL, *mark = NULL;
        struct stat st;

        if (asprintf(&path, "%s/%s", scan->dir, name) < 0) {
                path = NULL;
                return false;
        }
        deeper.dir = path;
        deeper.depth++;
        if (scan->depth < 2) {
                (void)!env->ops->list(env, path, resume_one, &deeper);
                return true;
        }
        if (asprintf(&mark, "%s/mounted", path) < 0) {
                mark = NULL;
                return false;
        }
        if (env->ops->stat(env, mark, &st) == HIF_OK)
                resume(scan, path);
        return true;
}

void daemon_resume(struct daemon *daemon)
{
        struct env *env = &daemon->cli->env;
        AUTO_FREE char *root = NULL;
        struct scan scan = {.daemon = daemon, .failed = json_object()};
        json_t *old;

        if (asprintf(&root, "%s/workspaces", daemon->cli->paths.state_dir) < 0) {
                root = NULL;
                json_decref(scan.failed);
                return;
        }
        scan.dir = root;
        pthread_mutex_lock(&daemon->resuming);
        (void)!env->ops->list(env, root, resume_one, &scan);
        pthread_mutex_lock(&daemon->lock);
        old = daemon->unresumed;
        daemon->unresumed = scan.failed;
        pthread_mutex_unlock(&daemon->lock);
        pthread_mutex_unlock(&daemon->resuming);
        json_decref(old);
}

bool daemon_unresumed(struct daemon *daemon, const char *path, struct hif_why *why)
{
        const char *at;
        json_t *text;
        bool found = false;

        pthread_mutex_lock(&daemon->lock);
        json_object_foreach(daemon->unresumed, at, text)
        {
                if (!path_within(span_str(path), span_str(at)))
                        continue;
                why_set(why, HIF_ENOENT, "'%s' was mounted and could not be brought back: %s", at,
                        json_string_value(text));
                found = true;
        }
        pthread_mutex_unlock(&daemon->lock);
        return found;
}
