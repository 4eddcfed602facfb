/* overlay.c - opening and closing. */
#include "overlay/state.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#define LOCK_TRIES_MAX 100

/* --- opening --- */

static enum hif_err make_dirs(struct overlay *overlay)
{
        static const char *const names[] = {"/log", "/data"};
        struct env *env = overlay->env;
        char path[OPLOG_PATH_MAX];
        enum hif_err err;

        if (overlay->dir[0] != '/' || strlen(overlay->dir) > sizeof(path) - 64)
                return overlay->dir[0] != '/' ? HIF_EINVAL : HIF_ENAMETOOLONG;
        err = env_mkdirs(env, overlay->dir, 0700);
        for (size_t i = 0; i < 2 && err == HIF_OK; i++) {
                snprintf(path, sizeof(path), "%s%s", overlay->dir, names[i]);
                err = env->ops->mkdir(env, path, 0700);
                if (err == HIF_EEXIST)
                        err = HIF_OK;
        }
        return err;
}

static enum hif_err take_lock(struct overlay *overlay)
{
        char path[OPLOG_PATH_MAX];
        enum hif_err err;

        snprintf(path, sizeof(path), "%s/lock", overlay->dir);
        err =
            overlay->env->ops->open(overlay->env, path, O_RDWR | O_CREAT, 0600, &overlay->lock_fd);
        if (err != HIF_OK)
                return err;
        err = env_lock(overlay->env, overlay->lock_fd, path, ENV_LOCK_WAIT_MS);
        return err == HIF_OK ? witness_open(&overlay->witness, overlay->lock_fd) : err;
}

/* Whoever had it before may have moved the directory away: then it is made anew. */
static enum hif_err make_and_lock(struct overlay *overlay)
{
        enum hif_err err = HIF_ENOENT;

        for (int tries = 0; err == HIF_ENOENT && tries < LOCK_TRIES_MAX; tries++) {
                if (overlay->lock_fd >= 0)
                        overlay->env->ops->close(overlay->env, overlay->lock_fd);
                overlay->lock_fd = -1;
                err = make_dirs(overlay);
                if (err == HIF_OK)
                        err = take_lock(overlay);
        }
        return err;
}

/* Names this start of the machine. Where there is no name, each open counts as one: then content
 * that was not synced does not count. So one that is there has to be read, or what a killed server
 * had acknowledged would be dropped. */
enum hif_err overlay_read_boot(struct overlay *overlay, struct hif_why *why)
{
        static const char path[] = "/proc/sys/kernel/random/boot_id";
        struct env *env = overlay->env;
        uint8_t text[36];
        size_t count = 0;
        enum hif_err err;
        int fd;

        env_random(env, overlay->log.boot, OPLOG_BOOT_SIZE);
        err = env->ops->open(env, path, O_RDONLY, 0, &fd);
        if (err == HIF_ENOENT || err == HIF_EACCES)
                return HIF_OK;
        if (err == HIF_OK) {
                err = env->ops->pread(env, fd, text, sizeof(text), 0, &count);
                env->ops->close(env, fd);
        }
        if (err != HIF_OK)
                return why_set(why, err, "cannot read %s: %s", path, hif_strerror(err));
        if (count > 0) {
                be64_put(overlay->log.boot, sum64(1, text, count));
                be64_put(overlay->log.boot + 8, sum64(2, text, count));
        }
        return HIF_OK;
}

struct replay {
        struct overlay *overlay;
        struct oplog_scan scan;
};

/* Content of records after the last mark may be in memory only: the next sync has to include it. Where
 * the machine stopped, it may be nowhere but in the record. */
static enum hif_err replay_extent(struct replay *replay, const struct item *item)
{
        struct data *data = &replay->overlay->data;

        if (replay->scan.rebooted && item->carried.size > 0)
                return data_restore(data, item->extent.file, item->extent.at, item->carried);
        return data_mark_dirty(data, item->extent.file, item->extent.at,
                               item->extent.at + item->extent.size);
}

static enum hif_err replay_record(void *arg, uint64_t seq, struct span body)
{
        struct replay *replay = arg;
        struct overlay *overlay = replay->overlay;
        struct reader rd = rd_open(body);
        struct item item = {0};

        while (rd_left(&rd) > 0) {
                enum hif_err err = item_next(&rd, &item);

                if (err == HIF_OK)
                        err = rows_apply_item(&overlay->rows, seq, &item);
                if (err == HIF_OK && item.kind == ITEM_EXTENT && seq > replay->scan.marked)
                        err = replay_extent(replay, &item);
                if (err != HIF_OK)
                        return err;
        }
        return HIF_OK;
}

/* Content that rows name has to be there. */
static enum hif_err check_data(struct overlay *overlay, struct hif_why *why)
{
        struct damage damage = {0};
        enum hif_err err = data_check(&overlay->data, &damage, NULL);

        if (err != HIF_OK && damage.count > 0 && damage.texts[0] != NULL)
                why_set(why, err, "%s/%s", overlay->dir, damage.texts[0]);
        else if (err != HIF_OK)
                why_set(why, err, "cannot look at the data of %s: %s", overlay->dir,
                        hif_strerror(err));
        damage_free(&damage);
        return err;
}

static enum hif_err recover(struct overlay *overlay, struct hif_why *why)
{
        struct fold_state folded = {0};
        struct replay replay = {.overlay = overlay};
        enum hif_err err = fold_load(overlay, &folded, why);

        if (err != HIF_OK)
                return err;
        if (folded.seq < overlay->witness.folded)
                return why_set(why, HIF_ECORRUPT,
                               "%s/rows.db, or its rows.db-wal, is missing or older than it was",
                               overlay->dir);
        overlay->durable = overlay->settled = folded.seq;
        err = oplog_recover(&overlay->log, folded.generation, folded.seq, replay_record, &replay,
                            &replay.scan, why);
        if (err != HIF_OK)
                return err;
        if (folded.seq >= overlay->log.whole)
                overlay->folded = folded.seq;
        overlay->seq = replay.scan.last_seq;
        overlay->bulk = overlay->seq;
        overlay->ids_next = overlay->rows.ids_next;
        data_settle(&overlay->data, 0);
        err = check_data(overlay, why);
        if (err != HIF_OK)
                return err;
        err = data_recover(&overlay->data);
        if (err != HIF_OK)
                return why_set(why, err, "cannot open the data of %s: %s", overlay->dir,
                               hif_strerror(err));
        return HIF_OK;
}

static enum hif_err settle_ids(struct overlay *overlay)
{
        struct otx *tx = otx_begin(overlay);
        uint64_t seq;

        otx_need(tx, OVERLAY_LANDING);
        return otx_commit(tx, &seq);
}

/* Promise the numbers that may be given out. The sync that follows makes all of it durable: from
 * then on, the places of content that was let go of are free. On a full disk the overlay opens for
 * reading: it becomes writable as after a failed sync, once there is room for a fresh log. */
static enum hif_err settle(struct overlay *overlay, struct hif_why *why)
{
        enum hif_err err = settle_ids(overlay);

        if (hif_err_is_full(err) && overlay->config.spare_bytes > 0) {
                oplog_trim(&overlay->log);
                oplog_spare_make(&overlay->log, overlay->config.spare_bytes);
                err = settle_ids(overlay);
        }
        if (hif_err_is_full(err)) {
                log_line(overlay->env->log, LOG_ERROR, "overlay",
                         "no space for the log of %s: it is read-only until there is some",
                         overlay->dir);
                overlay->sync_state = SYNC_SEEN;
                return HIF_OK;
        }
        if (err == HIF_OK && overlay->witness.failed) {
                log_line(overlay->env->log, LOG_WARN, "overlay",
                         "a sync failed before %s was opened: everything is written once more",
                         overlay->dir);
                overlay->sync_state = SYNC_SEEN;
                (void)!flusher_round(overlay); /* what fails is tried again, and it is read-only */
                return HIF_OK;
        }
        if (err == HIF_OK && overlay->config.serial)
                err = flusher_round(overlay);
        if (err != HIF_OK)
                return why_set(why, err, "cannot write to %s: %s", overlay->dir, hif_strerror(err));
        return HIF_OK;
}

/* The log is about to lose segments that rows.db holds, or was said to hold. */
static enum hif_err secure_log(void *arg)
{
        return overlay_secure(arg);
}

void overlay_free(struct overlay *overlay)
{
        fold_free(overlay);
        tx_free(overlay);
        oplog_free(&overlay->log);
        data_free(&overlay->data);
        rows_free(&overlay->rows);
        if (overlay->lock_fd >= 0)
                overlay->env->ops->close(overlay->env, overlay->lock_fd);
        if (overlay->damage != NULL)
                damage_free(overlay->damage);
        free(overlay->damage);
        witness_free(&overlay->witness);
        pthread_cond_destroy(&overlay->wake);
        pthread_cond_destroy(&overlay->idle);
        pthread_mutex_destroy(&overlay->lock);
        free(overlay->dir);
        free(overlay);
}

enum hif_err overlay_new(struct env *env, struct pool *pool, const char *dir,
                         const struct overlay_config *config, struct overlay **out)
{
        struct overlay *overlay = calloc(1, sizeof(*overlay));
        pthread_condattr_t monotonic;

        if (overlay == NULL)
                return HIF_ENOMEM;
        overlay->env = env;
        overlay->pool = pool;
        overlay->lock_fd = -1;
        if (config != NULL)
                overlay->config = *config;
        overlay->dir = strdup(dir);
        if (overlay->dir == NULL ||
            data_init(&overlay->data, env, overlay->dir, overlay->config.data_segment_bytes,
                      overlay->config.reserve_bytes) != HIF_OK) {
                free(overlay->dir);
                free(overlay);
                return HIF_ENOMEM;
        }
        pthread_mutex_init(&overlay->lock, NULL);
        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_cond_init(&overlay->wake, &monotonic);
        pthread_cond_init(&overlay->idle, NULL);
        pthread_condattr_destroy(&monotonic);
        rows_init(&overlay->rows);
        overlay->rows.account = data_account;
        overlay->rows.account_arg = &overlay->data;
        witness_init(&overlay->witness, env);
        oplog_init(&overlay->log, env, overlay->dir, &overlay->witness, &overlay->lock,
                   overlay->config.log_segment_bytes);
        overlay->log.secure = secure_log;
        overlay->log.secure_arg = overlay;
        tx_init(overlay);
        if (rows_reserve_replies(&overlay->rows) != HIF_OK) {
                overlay_free(overlay);
                return HIF_ENOMEM;
        }
        overlay->verifier = env_random_u64(env);
        *out = overlay;
        return HIF_OK;
}

enum hif_err overlay_open(struct env *env, struct pool *pool, const char *dir,
                          const struct overlay_config *config, struct overlay **out,
                          struct hif_why *why)
{
        struct overlay *overlay;
        enum hif_err err = overlay_new(env, pool, dir, config, &overlay);

        if (err != HIF_OK)
                return why_set(why, err, "cannot open %s: %s", dir, hif_strerror(err));
        err = make_and_lock(overlay);
        if (err == HIF_OK)
                err = fold_init(overlay);
        if (err == HIF_EBUSY)
                why_set(why, err, "%s is in use by another process", dir);
        else if (err != HIF_OK)
                why_set(why, err, "cannot open %s: %s", dir, hif_strerror(err));
        if (err == HIF_OK)
                err = overlay_read_boot(overlay, why);
        if (err == HIF_OK)
                err = recover(overlay, why);
        if (err == HIF_OK && overlay->config.spare_bytes > 0)
                oplog_spare_find(&overlay->log);
        if (err == HIF_OK)
                err = settle(overlay, why);
        if (err == HIF_OK)
                err = flusher_start(overlay);
        if (err == HIF_OK && overlay->threaded)
                overlay_kick(overlay);
        if (err != HIF_OK) {
                fold_wait(overlay);
                overlay_free(overlay);
                return err;
        }
        *out = overlay;
        return HIF_OK;
}

void overlay_close(struct overlay *overlay)
{
        if (overlay == NULL)
                return;
        assert(!overlay->tx.open);
        if (overlay->sync_state == SYNC_SALVAGED) {
                overlay_free(overlay);
                return;
        }
        if (overlay->sync_state != SYNC_OK)
                flusher_seen(overlay);
        flusher_stop(overlay);
        data_trim(&overlay->data);
        fold_finish(overlay);
        overlay_free(overlay);
}
