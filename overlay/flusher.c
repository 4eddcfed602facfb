/* flusher.c - group commit: content first, then the log, then whoever waits.
 *
 * One thread an overlay; in a serial overlay each call runs its round itself. */
#include "overlay/state.h"

#include <assert.h>
#include <errno.h>
#include <time.h>

/* Take those that this result is for: all after a failure. Called with the lock. */
static struct overlay_sync *take_waiters(struct overlay *overlay, enum hif_err err)
{
        struct overlay_sync *ready = NULL, **link = &overlay->waiters;

        while (*link != NULL) {
                struct overlay_sync *sync = *link;

                if (err == HIF_OK && sync->seq > overlay->durable) {
                        link = &sync->next;
                        continue;
                }
                *link = sync->next;
                sync->next = ready; /* newest first in the list: so the oldest is told first */
                ready = sync;
        }
        return ready;
}

static void tell(struct overlay_sync *ready, enum hif_err err)
{
        while (ready != NULL) {
                struct overlay_sync *next = ready->next;

                ready->done(ready, err);
                ready = next;
        }
}

/* Programs wait while an overlay is opened, so it does not wait for the disk: what the process
 * before may have left in memory only is synced by the first one who needs that. */
enum hif_err overlay_secure(struct overlay *overlay)
{
        enum hif_err err = HIF_OK;

        if (overlay->secured)
                return HIF_OK;
        err = env_sync_above(overlay->env, overlay->dir);
        if (err == HIF_OK)
                err = fold_secure(overlay);
        overlay->secured = err == HIF_OK;
        return err;
}

static enum hif_err sync_all(struct overlay *overlay, uint64_t *captured)
{
        uint64_t durable = overlay->durable, carried = overlay->carried;
        struct dfile *files = data_capture(&overlay->data, &overlay->seq, captured);
        enum hif_err err = data_sync(&overlay->data, files);

        if (err == HIF_OK)
                err = overlay_secure(overlay);
        if (err == HIF_OK)
                err = oplog_sync(&overlay->log, oplog_capture(&overlay->log, durable), *captured,
                                 durable);
        if (err != HIF_OK)
                return err;
        overlay->carried -= carried;
        overlay->settled = *captured;
        overlay->settled_ns = env_mono_ns(overlay->env);
        return HIF_OK;
}

/* Someone waits, and the log alone has all of it: the data files can follow later. Not before all that
 * the process before left is synced: `bulk` is its last record at first. */
static bool log_is_enough(struct overlay *overlay)
{
        bool waiting;

        pthread_mutex_lock(&overlay->lock);
        waiting = overlay->waiters != NULL && !overlay->stop;
        pthread_mutex_unlock(&overlay->lock);
        return waiting && overlay->secured && overlay->bulk <= overlay->settled &&
               overlay->carried < OVERLAY_CARRIED_MAX &&
               env_mono_ns(overlay->env) - overlay->settled_ns < OVERLAY_SETTLE_NS &&
               data_is_dirty(&overlay->data);
}

static enum hif_err sync_log(struct overlay *overlay)
{
        uint64_t durable = overlay->durable;

        return oplog_sync(&overlay->log, oplog_capture(&overlay->log, durable), overlay->settled,
                          durable);
}

/* For the process after this one. The file takes no room for it: where that fails, more is wrong. */
static void note_failed(struct overlay *overlay, bool failed)
{
        enum hif_err err = witness_failed(&overlay->witness, failed);

        if (err != HIF_OK)
                log_line(overlay->env->log, LOG_ERROR, "overlay",
                         "%s/lock cannot be written (%s): %s", overlay->dir, hif_strerror(err),
                         failed ? "a process after this one would not know that a sync failed"
                                : "everything is written once more when it is opened");
}

static void failed(struct overlay *overlay, enum hif_err err)
{
        struct overlay_sync *ready;

        log_line(overlay->env->log, LOG_ERROR, "overlay",
                 "sync failed (%s): %s is read-only until everything is written once more",
                 hif_strerror(err), overlay->dir);
        /* A client that saw the old verifier writes again what it was told is unstable. */
        overlay->verifier = env_random_u64(overlay->env);
        overlay->sync_state = SYNC_FAILED;
        note_failed(overlay, true);
        pthread_mutex_lock(&overlay->lock);
        overlay->healed_ns = env_mono_ns(overlay->env);
        ready = take_waiters(overlay, HIF_EIO);
        pthread_mutex_unlock(&overlay->lock);
        tell(ready, HIF_EIO);
}

/* Once what was let go of has left the disk: there may be room now. */
static void make_spare(struct overlay *overlay)
{
        uint64_t now = env_mono_ns(overlay->env);

        if (overlay->log.spare_size >= overlay->spare_want ||
            (overlay->spare_ns != 0 && now - overlay->spare_ns < OVERLAY_HEAL_DELAY_NS))
                return;
        overlay->spare_ns = now;
        oplog_spare_make(&overlay->log, overlay->spare_want);
}

static void synced(struct overlay *overlay, uint64_t seq)
{
        struct overlay_sync *ready;

        pthread_mutex_lock(&overlay->lock);
        overlay->durable = seq;
        overlay->syncs++;
        if (overlay->settled < seq && !overlay->kicked) {
                overlay->kicked = true;
                overlay->kicked_ns = env_mono_ns(overlay->env);
        }
        ready = take_waiters(overlay, HIF_OK);
        pthread_mutex_unlock(&overlay->lock);
        tell(ready, HIF_OK);
        data_reap(&overlay->data, overlay->settled);
        oplog_release(&overlay->log, seq);
        fold_start(overlay);
        make_spare(overlay);
}

/* The owner stands still, or is us: rows may be read. */
static enum hif_err try_heal(struct overlay *overlay)
{
        enum hif_err err = overlay_secure(overlay);

        if (err == HIF_OK)
                err = heal(overlay);
        pthread_mutex_lock(&overlay->lock);
        overlay->healed_ns = env_mono_ns(overlay->env);
        pthread_mutex_unlock(&overlay->lock);
        if (err == HIF_OK) {
                log_line(overlay->env->log, LOG_WARN, "overlay", "%s is writable again",
                         overlay->dir);
                note_failed(overlay, false);
                overlay->sync_state = SYNC_OK;
        }
        return err;
}

enum hif_err flusher_round(struct overlay *overlay)
{
        uint64_t captured = 0;
        enum hif_err err;

        overlay->kicked = false;
        if (overlay->sync_state == SYNC_SALVAGED)
                return HIF_EROFS;
        if (overlay->sync_state == SYNC_SEEN)
                return try_heal(overlay);
        if (overlay->sync_state == SYNC_FAILED)
                return HIF_EIO;
        /* First the number: what the records up to it name is known then. */
        captured = overlay->seq;
        if (log_is_enough(overlay))
                err = sync_log(overlay);
        else
                err = sync_all(overlay, &captured);
        if (err != HIF_OK)
                failed(overlay, err);
        else
                synced(overlay, captured);
        return err;
}

/* --- the thread --- */

static void wait_until(struct overlay *overlay, uint64_t due_ns)
{
        struct timespec due = {.tv_sec = (time_t)(due_ns / 1000000000u),
                               .tv_nsec = (long)(due_ns % 1000000000u)};

        if (due_ns == UINT64_MAX)
                pthread_cond_wait(&overlay->wake, &overlay->lock);
        else
                pthread_cond_timedwait(&overlay->wake, &overlay->lock, &due);
}

/* When the next round is due, on the monotonic clock; 0: now. Called with the lock. */
static uint64_t due(const struct overlay *overlay)
{
        if (overlay->sync_state == SYNC_SEEN)
                return overlay->stop ? 0 : overlay->healed_ns + OVERLAY_HEAL_DELAY_NS;
        if (overlay->sync_state == SYNC_FAILED)
                return UINT64_MAX;
        if (overlay->waiters != NULL || overlay->stop)
                return 0;
        return overlay->kicked ? overlay->kicked_ns + OVERLAY_SYNC_DELAY_NS : UINT64_MAX;
}

static void *flusher_main(void *arg)
{
        struct overlay *overlay = arg;
        bool last = false;

        pthread_mutex_lock(&overlay->lock);
        while (!last) {
                uint64_t at = due(overlay);

                if (at != 0 && at > env_mono_ns(overlay->env) && !overlay->stop) {
                        wait_until(overlay, at);
                        continue;
                }
                last = overlay->stop;
                pthread_mutex_unlock(&overlay->lock);
                if (flusher_round(overlay) != HIF_OK && last)
                        log_line(overlay->env->log, LOG_ERROR, "overlay",
                                 "closed without a last sync: %s", overlay->dir);
                pthread_mutex_lock(&overlay->lock);
        }
        pthread_mutex_unlock(&overlay->lock);
        return NULL;
}

enum hif_err flusher_start(struct overlay *overlay)
{
        if (overlay->config.serial)
                return HIF_OK;
        if (pthread_create(&overlay->thread, NULL, flusher_main, overlay) != 0)
                return HIF_EAGAIN;
        overlay->threaded = true;
        return HIF_OK;
}

void flusher_stop(struct overlay *overlay)
{
        if (!overlay->threaded) {
                if (flusher_round(overlay) != HIF_OK)
                        log_line(overlay->env->log, LOG_ERROR, "overlay",
                                 "closed without a last sync: %s", overlay->dir);
                return;
        }
        pthread_mutex_lock(&overlay->lock);
        overlay->stop = true;
        pthread_cond_signal(&overlay->wake);
        pthread_mutex_unlock(&overlay->lock);
        pthread_join(overlay->thread, NULL);
        overlay->threaded = false;
}

void flusher_seen(struct overlay *overlay)
{
        int expected = SYNC_FAILED;

        if (!__atomic_compare_exchange_n((int *)&overlay->sync_state, &expected, SYNC_SEEN, false,
                                         __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
                return;
        pthread_mutex_lock(&overlay->lock);
        pthread_cond_signal(&overlay->wake);
        pthread_mutex_unlock(&overlay->lock);
}

/* --- what callers see --- */

void overlay_kick(struct overlay *overlay)
{
        bool healing = overlay->sync_state != SYNC_OK;

        if (healing)
                flusher_seen(overlay);
        else if (overlay->kicked || overlay->seq <= overlay->durable)
                return;
        pthread_mutex_lock(&overlay->lock);
        if (!overlay->kicked) {
                overlay->kicked = true;
                overlay->kicked_ns = env_mono_ns(overlay->env);
                pthread_cond_signal(&overlay->wake);
        }
        pthread_mutex_unlock(&overlay->lock);
        if (overlay->config.serial && healing)
                /* A round that fails leaves things as they are, for the next one. */
                (void)flusher_round(overlay);
}

void overlay_sync(struct overlay *overlay, struct overlay_sync *sync)
{
        enum hif_err err;

        assert(sync->seq <= overlay->seq);
        pthread_mutex_lock(&overlay->lock);
        if (sync->seq <= overlay->durable || overlay->sync_state != SYNC_OK) {
                err = sync->seq <= overlay->durable ? HIF_OK : HIF_EIO;
                pthread_mutex_unlock(&overlay->lock);
                sync->done(sync, err);
                return;
        }
        sync->next = overlay->waiters;
        overlay->waiters = sync;
        pthread_cond_signal(&overlay->wake);
        pthread_mutex_unlock(&overlay->lock);
        if (overlay->config.serial)
                /* Its result reaches the waiter. */
                (void)flusher_round(overlay);
}

struct sync_wait {
        struct overlay_sync sync;
        struct overlay *overlay;
        bool done;
        enum hif_err err;
};

static void sync_wait_done(struct overlay_sync *sync, enum hif_err err)
{
        struct sync_wait *wait = sync->arg;

        pthread_mutex_lock(&wait->overlay->lock);
        wait->done = true;
        wait->err = err;
        pthread_cond_broadcast(&wait->overlay->idle);
        pthread_mutex_unlock(&wait->overlay->lock);
}

enum hif_err overlay_sync_wait(struct overlay *overlay, uint64_t seq)
{
        struct sync_wait wait = {.sync = {.done = sync_wait_done, .seq = seq}, .overlay = overlay};

        wait.sync.arg = &wait;
        overlay_sync(overlay, &wait.sync);
        pthread_mutex_lock(&overlay->lock);
        while (!wait.done)
                pthread_cond_wait(&overlay->idle, &overlay->lock);
        pthread_mutex_unlock(&overlay->lock);
        return wait.err;
}
