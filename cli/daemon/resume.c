/* resume.c - workspaces that were mounted when the last daemon ended come back. One whose store is
 * away stays on a list, and is tried again whenever a command asks for it. */
#include "cli/daemon/daemon.h"
#include "cli/daemon/workspace_impl.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define THREADS_MAX 8 /* workspaces that come back at the same time */

struct scan {
        struct daemon *daemon;
        const char *dir;
        int depth;
        struct coming *coming;
};

/* The workspaces that are to come back: programs wait in each of them, so none waits for another. */
struct coming {
        struct daemon *daemon;
        char **dirs;
        size_t count, capacity;
        atomic_size_t next;
        pthread_mutex_t lock;
        json_t *failed; /* mount point: why */
};

static void resume(struct coming *coming, const char *dir)
{
        struct daemon *daemon = coming->daemon;
        struct hif_why why = {0};
        AUTO_FREE char *mount_point = NULL;

        if (workspace_listed(daemon, dir) ||
            workspace_resume(daemon, dir, &mount_point, &why) == HIF_OK)
                return;
        log_line(daemon->cli->env.log, LOG_ERROR, "daemon",
                 "'%s' was mounted and could not be brought back: %s", dir, why.text);
        if (mount_point == NULL)
                return;
        pthread_mutex_lock(&coming->lock);
        (void)json_object_set_new(coming->failed, mount_point, json_string(why.text));
        pthread_mutex_unlock(&coming->lock);
}

static void *resume_some(void *arg)
{
        struct coming *coming = arg;
        size_t i;

        while ((i = atomic_fetch_add(&coming->next, 1)) < coming->count)
                resume(coming, coming->dirs[i]);
        return NULL;
}

static void resume_all(struct coming *coming)
{
        pthread_t threads[THREADS_MAX];
        size_t started = 0;

        while (started < THREADS_MAX && started + 1 < coming->count &&
               pthread_create(&threads[started], NULL, resume_some, coming) == 0)
                started++;
        resume_some(coming);
        while (started > 0)
                pthread_join(threads[--started], NULL);
}

/* Takes the string over. */
static bool add(struct coming *coming, char *dir)
{
        if (coming->count == coming->capacity) {
                size_t capacity = coming->capacity > 0 ? 2 * coming->capacity : 16;
                char **dirs = realloc(coming->dirs, capacity * sizeof(*dirs));

                if (dirs == NULL) {
                        free(dir);
                        return false;
                }
                coming->dirs = dirs;
                coming->capacity = capacity;
        }
        coming->dirs[coming->count++] = dir;
        return true;
}

/* workspaces/{org}/{name}/{session} */
static bool find_one(void *arg, const char *name)
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
                (void)!env->ops->list(env, path, find_one, &deeper);
                return true;
        }
        if (asprintf(&mark, "%s/mounted", path) < 0) {
                mark = NULL;
                return false;
        }
        return env->ops->stat(env, mark, &st) != HIF_OK || add(scan->coming, STEAL(path));
}

void daemon_resume(struct daemon *daemon)
{
        struct env *env = &daemon->cli->env;
        AUTO_FREE char *root = NULL;
        struct coming coming = {.daemon = daemon, .lock = PTHREAD_MUTEX_INITIALIZER};
        struct scan scan = {.daemon = daemon, .coming = &coming};
        json_t *old;

        if (asprintf(&root, "%s/workspaces", daemon->cli->paths.state_dir) < 0) {
                root = NULL;
                return;
        }
        scan.dir = root;
        coming.failed = json_object();
        pthread_mutex_lock(&daemon->resuming);
        (void)!env->ops->list(env, root, find_one, &scan);
        resume_all(&coming);
        pthread_mutex_lock(&daemon->lock);
        old = daemon->unresumed;
        daemon->unresumed = coming.failed;
        pthread_mutex_unlock(&daemon->lock);
        pthread_mutex_unlock(&daemon->resuming);
        json_decref(old);
        for (size_t i = 0; i < coming.count; i++)
                free(coming.dirs[i]);
        free(coming.dirs);
        pthread_mutex_destroy(&coming.lock);
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
