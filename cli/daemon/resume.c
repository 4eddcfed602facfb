/* resume.c - workspaces that were mounted when the last daemon ended come back. One that cannot stays
 * on a list, and is tried again whenever a command asks for it, and now and then without. */
#include "cli/daemon/resume.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "cli/daemon/unresumed.h"
#include "cli/daemon/workspace.h"
#include "cli/daemon/workspace_impl.h"
#include "cli/daemon/workspace_list.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define THREADS_MAX    8   /* workspaces that come back at the same time */
#define RETRY_FIRST_MS 250 /* a supervisor that an upgrade replaces is there by then */
#define RETRY_MAX_MS   60000

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

static bool is_known(struct daemon *daemon, const char *mount_point, const char *reason)
{
        const char *known;
        bool same;

        pthread_mutex_lock(&daemon->lock);
        known = json_string_value(json_object_get(daemon->unresumed, mount_point));
        same = known != NULL && strcmp(known, reason) == 0;
        pthread_mutex_unlock(&daemon->lock);
        return same;
}

static void resume(struct coming *coming, const char *dir)
{
        struct daemon *daemon = coming->daemon;
        struct hif_why why = {0};
        AUTO_FREE char *mount_point = NULL;

        if (workspace_listed(daemon, dir) ||
            workspace_resume(daemon, dir, &mount_point, &why) == HIF_OK)
                return;
        /* Known already: once in the log is enough. */
        if (mount_point == NULL || !is_known(daemon, mount_point, why.text))
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

static bool find_one(void *arg, const char *name);

/* What cannot be listed now may hold mounts: it counts as not brought back, and is tried again. */
static void find_in(struct scan *scan)
{
        struct env *env = &scan->daemon->cli->env;
        enum hif_err err = env->ops->list(env, scan->dir, find_one, scan);

        if (err == HIF_OK || err == HIF_ENOENT || err == HIF_ENOTDIR)
                return;
        log_line(env->log, LOG_WARN, "daemon", "the sessions in '%s' could not be listed: %s",
                 scan->dir, hif_strerror(err));
        (void)json_object_set_new(scan->coming->failed, scan->dir, json_string(hif_strerror(err)));
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
                find_in(&deeper);
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
        find_in(&scan);
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

/* --- without being asked --- */

struct retry {
        struct daemon *daemon;
        pthread_t thread;
        pthread_mutex_t lock;
        pthread_cond_t wake;
        bool stopping;
};

/* False: it is over. */
static bool pause_for(struct retry *retry, uint64_t ms)
{
        struct timespec until;
        bool stopping;

        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += (time_t)(ms / 1000);
        until.tv_nsec += (long)(ms % 1000) * 1000000;
        if (until.tv_nsec >= 1000000000) {
                until.tv_nsec -= 1000000000;
                until.tv_sec++;
        }
        pthread_mutex_lock(&retry->lock);
        while (!retry->stopping && pthread_cond_timedwait(&retry->wake, &retry->lock, &until) == 0)
                ;
        stopping = retry->stopping;
        pthread_mutex_unlock(&retry->lock);
        return !stopping;
}

static void *try_again(void *arg)
{
        struct retry *retry = arg;
        uint64_t pause_ms = RETRY_FIRST_MS;

        while (daemon_unresumed_any(retry->daemon) && pause_for(retry, pause_ms)) {
                daemon_resume(retry->daemon);
                pause_ms = 2 * pause_ms < RETRY_MAX_MS ? 2 * pause_ms : RETRY_MAX_MS;
        }
        return NULL;
}

static void retry_free(struct retry *retry)
{
        pthread_cond_destroy(&retry->wake);
        pthread_mutex_destroy(&retry->lock);
        free(retry);
}

void daemon_retry_start(struct daemon *daemon)
{
        struct retry *retry;
        pthread_condattr_t attr;

        if (!daemon_unresumed_any(daemon))
                return;
        retry = calloc(1, sizeof(*retry));
        if (retry != NULL) {
                retry->daemon = daemon;
                pthread_mutex_init(&retry->lock, NULL);
                pthread_condattr_init(&attr);
                pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
                pthread_cond_init(&retry->wake, &attr);
                pthread_condattr_destroy(&attr);
                if (pthread_create(&retry->thread, NULL, try_again, retry) == 0) {
                        daemon->retry = retry;
                        return;
                }
                retry_free(retry);
        }
        log_line(daemon->cli->env.log, LOG_WARN, "daemon",
                 "what could not be brought back is tried again when a command asks for it only: "
                 "there is no memory for a thread");
}

void daemon_retry_stop(struct daemon *daemon)
{
        struct retry *retry = daemon->retry;

        if (retry == NULL)
                return;
        pthread_mutex_lock(&retry->lock);
        retry->stopping = true;
        pthread_cond_signal(&retry->wake);
        pthread_mutex_unlock(&retry->lock);
        pthread_join(retry->thread, NULL);
        daemon->retry = NULL;
        retry_free(retry);
}
