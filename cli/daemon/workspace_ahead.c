/* workspace_ahead.c - the thread that stores contents ahead, and who has to do with it. */
#include "cli/daemon/workspace_ahead.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "cli/daemon/ahead_impl.h"
#include "cli/daemon/workspace_publish.h"
#include "cli/daemon/workspace_publish_when.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define TICK_NS 500000000ull
#define NICE    10

#define FROM_HOOKS(ptr) ((struct ahead *)((char *)(ptr)-offsetof(struct ahead, hooks)))

/* --- the thread --- */

/* With the lock held: until someone wakes us, or the time has passed. */
static void wait_for(struct ahead *ahead, uint64_t ns)
{
        struct timespec until;

        clock_gettime(CLOCK_MONOTONIC, &until);
        ns += (uint64_t)until.tv_nsec;
        until.tv_sec += (time_t)(ns / 1000000000);
        until.tv_nsec = (long)(ns % 1000000000);
        (void)pthread_cond_timedwait(&ahead->wake, &ahead->lock, &until);
}

/* A pause between two tries of a request ends as soon as someone wants to land. */
static void on_sleep(struct land_hooks *hooks, uint64_t ns)
{
        struct ahead *ahead = FROM_HOOKS(hooks);

        pthread_mutex_lock(&ahead->lock);
        if (!atomic_load(&ahead->cancel))
                wait_for(ahead, ns);
        pthread_mutex_unlock(&ahead->lock);
}

static bool is_cancelled(struct land_hooks *hooks)
{
        return atomic_load(&FROM_HOOKS(hooks)->cancel);
}

static bool is_due(const struct ahead *ahead)
{
        return (ahead->left || overlay_seq(ahead->workspace->overlay) != ahead->done_seq) &&
               ahead_now_ns(ahead) >= ahead->due_ns;
}

/* The log tells when it stops working, and when it works again; the status tells in between. */
static void take_result(struct ahead *ahead, enum hif_err err, const struct hif_why *why)
{
        struct workspace *workspace = ahead->workspace;
        struct log *log = workspace->daemon->cli->env.log;
        uint64_t seconds = AHEAD_BACKOFF_MIN_S;

        if (err == HIF_OK || err == HIF_ECANCELED) {
                if (err == HIF_OK && ahead->failures > 0)
                        log_line(log, LOG_INFO, "uploads", "%s: uploads go on",
                                 workspace->mount_point);
                if (err == HIF_OK)
                        ahead->failures = 0;
                ahead->state = AHEAD_RESTING;
                return;
        }
        if (ahead->failures++ == 0)
                log_line(
                    log, LOG_WARN, "uploads", "%s: what the session holds cannot be stored yet: %s",
                    workspace->mount_point, why->text[0] != '\0' ? why->text : hif_strerror(err));
        for (uint32_t i = 1; i < ahead->failures && seconds < AHEAD_BACKOFF_MAX_S; i++)
                seconds *= 2;
        if (seconds > AHEAD_BACKOFF_MAX_S)
                seconds = AHEAD_BACKOFF_MAX_S;
        ahead->due_ns = ahead_now_ns(ahead) + seconds * 1000000000;
        ahead->state = AHEAD_WAITING;
        ahead->why = *why;
        if (why->text[0] == '\0')
                why_set(&ahead->why, err, "%s", hif_strerror(err));
}

/* --- publishing --- */

/* Nothing has changed for long, and all of it is stored. */
static bool is_quiet(struct ahead *ahead)
{
        uint64_t seq = overlay_seq(ahead->workspace->overlay), now = ahead_now_ns(ahead);

        if (seq != ahead->quiet_seq || ahead->quiet_ns == 0) {
                ahead->quiet_seq = seq;
                ahead->quiet_ns = now;
        }
        return seq == ahead->done_seq && !ahead->left && seq != ahead->published_seq &&
               now - ahead->quiet_ns >= ahead->after_ns * AHEAD_PUBLISH_AFTER;
}

/* Others see the session as it is then, and can go on with it. Requests go first: while one is in
 * the workspace, and after a failure, the quiet begins anew. */
static void publish(struct ahead *ahead)
{
        const struct publish what = {.what = PUBLISH_ALL, .content_max = AHEAD_PUBLISH_MAX};
        struct workspace *workspace = ahead->workspace;
        struct hif_why why = {0};
        enum hif_err err = HIF_OK;

        ahead->quiet_ns = ahead_now_ns(ahead);
        if (workspace_publishes(workspace)) {
                if (pthread_mutex_trylock(&workspace->lock) != 0)
                        return;
                err = workspace_publish(workspace, &what, NULL, &why);
                pthread_mutex_unlock(&workspace->lock);
        }
        if (err == HIF_EUNREACHABLE || err == HIF_ETIMEDOUT)
                return; /* the store is away: the next round says so */
        if (err != HIF_OK && err != HIF_ENOTHING)
                log_line(workspace->daemon->cli->env.log, LOG_INFO, "uploads",
                         "%s: the session was not published: %s", workspace->mount_point, why.text);
        ahead->published_seq = overlay_seq(workspace->overlay);
}

static void *run(void *arg)
{
        struct ahead *ahead = arg;

        /* Of this thread alone: what people wait for goes first. */
        (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICE);
        pthread_mutex_lock(&ahead->lock);
        while (!ahead->stop) {
                struct hif_why why = {0};
                enum hif_err err = HIF_OK;
                bool due;

                ahead_make_mark(ahead);
                due = is_due(ahead);
                if (ahead->paused > 0 || (!is_quiet(ahead) && !due)) {
                        wait_for(ahead, TICK_NS);
                        continue;
                }
                ahead->running = true;
                pthread_mutex_unlock(&ahead->lock);
                if (due)
                        err = ahead_round(ahead, &why);
                else
                        publish(ahead);
                pthread_mutex_lock(&ahead->lock);
                if (due)
                        take_result(ahead, err, &why);
                ahead->running = false;
                pthread_cond_broadcast(&ahead->idle);
        }
        pthread_mutex_unlock(&ahead->lock);
        return NULL;
}

/* --- starting and stopping --- */

static bool is_wanted(const struct workspace *workspace)
{
        const char *setting = workspace->daemon->cli->config.ahead;

        if (workspace->read_only || strcmp(setting, "off") == 0)
                return false;
        return strcmp(setting, "on") == 0 || !workspace->store->local;
}

static void ahead_free(struct ahead *ahead)
{
        land_free(ahead->land);
        ahead_memory_clear(&ahead->memory);
        pthread_cond_destroy(&ahead->wake);
        pthread_cond_destroy(&ahead->idle);
        pthread_mutex_destroy(&ahead->lock);
        free(ahead);
}

enum hif_err ahead_start(struct workspace *workspace, struct ahead **out)
{
        struct ahead *ahead;
        pthread_condattr_t attr;

        *out = NULL;
        if (!is_wanted(workspace))
                return HIF_OK;
        ahead = calloc(1, sizeof(*ahead));
        if (ahead == NULL)
                return HIF_ENOMEM;
        ahead->workspace = workspace;
        ahead->after_ns = workspace->daemon->cli->config.ahead_after * 1000000000ull;
        ahead->left = true;
        ahead->hooks = (struct land_hooks){.sleep = on_sleep, .cancelled = is_cancelled};
        pthread_mutex_init(&ahead->lock, NULL);
        pthread_condattr_init(&attr);
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        pthread_cond_init(&ahead->wake, &attr);
        pthread_cond_init(&ahead->idle, NULL);
        pthread_condattr_destroy(&attr);
        if (pthread_create(&ahead->thread, NULL, run, ahead) != 0) {
                ahead_free(ahead);
                return HIF_ENOMEM;
        }
        *out = ahead;
        return HIF_OK;
}

void ahead_stop(struct ahead *ahead)
{
        if (ahead == NULL)
                return;
        pthread_mutex_lock(&ahead->lock);
        ahead->stop = true;
        atomic_store(&ahead->cancel, true);
        pthread_cond_broadcast(&ahead->wake);
        pthread_mutex_unlock(&ahead->lock);
        pthread_join(ahead->thread, NULL);
        ahead_free(ahead);
}
