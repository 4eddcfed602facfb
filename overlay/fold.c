/* fold.c - a job folds the records of sealed, durable log segments into SQLite, so that opening
 * costs what is there and not what happened. The records decide, not the rows in memory: those
 * belong to the loop. A node's items are applied to a copy of its row by the code that replays
 * them. */
#include "overlay/state.h"

#include "overlay/db.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#define FOLD_SEGMENTS_MAX 4 /* in one transaction */
#define FOLD_RETRY_NS     10000000000ull

struct fold {
        struct overlay *overlay;
        struct pool_job job;
        bool running; /* under the overlay's lock */
        uint64_t failed_ns;
        pthread_mutex_t db_lock; /* for all below */
        struct db db;
        struct fold_state state;
        uint64_t dropped;     /* operations up to here may be gone from the database */
        struct rows rows;     /* copies of the nodes that are being changed */
        struct idmap touched; /* their numbers, also of those that are gone */
        struct buf blob;
};

static void db_path(const struct overlay *overlay, char out[OPLOG_PATH_MAX])
{
        snprintf(out, OPLOG_PATH_MAX, "%s/rows.db", overlay->dir);
}

enum hif_err fold_init(struct overlay *overlay)
{
        struct fold *fold = calloc(1, sizeof(*fold));

        if (fold == NULL)
                return HIF_ENOMEM;
        fold->overlay = overlay;
        overlay->fold = fold;
        rows_init(&fold->rows);
        pthread_mutex_init(&fold->db_lock, NULL);
        return db_init(&fold->db, overlay->env);
}

void fold_free(struct overlay *overlay)
{
        struct fold *fold = overlay->fold;

        if (fold == NULL)
                return;
        db_free(&fold->db);
        rows_free(&fold->rows);
        idmap_free(&fold->touched);
        buf_free(&fold->blob);
        pthread_mutex_destroy(&fold->db_lock);
        free(fold);
        overlay->fold = NULL;
}

/* --- loading --- */

void overlay_rehearse(void)
{
        db_rehearse();
}

static enum hif_err load_item(void *arg, struct span blob)
{
        return rows_load(arg, blob);
}

static enum hif_err load_state(struct fold *fold)
{
        uint64_t generation = 0;
        enum hif_err err = db_state(&fold->db, "seq", &fold->state.seq);

        if (err == HIF_OK)
                err = db_state(&fold->db, "generation", &generation);
        if (err == HIF_OK && generation > UINT32_MAX)
                err = HIF_ECORRUPT;
        fold->state.generation = (uint32_t)generation;
        return err;
}

static enum hif_err load_rows(struct fold *fold, struct rows *rows)
{
        static const char *const queries[] = {
            "SELECT row FROM nodes",
            "SELECT row FROM dirents ORDER BY dir, hash60, name",
            "SELECT row FROM notes ORDER BY n",
            "SELECT row FROM vals",
            "SELECT row FROM replies ORDER BY n",
        };
        enum hif_err err = db_state(&fold->db, "ids", &rows->ids_next);

        if (rows->ids_next < NODEID_FIRST)
                rows->ids_next = NODEID_FIRST;
        for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]) && err == HIF_OK; i++)
                err = db_each(&fold->db, queries[i], load_item, rows);
        /* Operations are read by who wants them: nothing that programs do needs one. */
        if (err == HIF_OK)
                err = db_op_last(&fold->db, &rows->ops_folded);
        return err;
}

/* A process that died in a commit may have left it in memory only. It is going to be believed: so
 * it has to be on disk before the log that says the same goes away. */
enum hif_err fold_secure(struct overlay *overlay)
{
        static const char *const names[] = {"rows.db-wal", "rows.db"};
        struct env *env = overlay->env;
        char path[OPLOG_PATH_MAX];
        int fd;

        for (size_t i = 0; i < 2; i++) {
                enum hif_err err;

                snprintf(path, sizeof(path), "%s/%s", overlay->dir, names[i]);
                err = env->ops->open(env, path, O_RDWR, 0, &fd);
                if (err == HIF_ENOENT)
                        continue;
                if (err == HIF_OK) {
                        err = env->ops->fsync(env, fd);
                        env->ops->close(env, fd);
                }
                if (err != HIF_OK)
                        return err;
        }
        return env_sync_dir(env, overlay->dir);
}

enum hif_err fold_load(struct overlay *overlay, struct fold_state *out, struct hif_why *why)
{
        struct fold *fold = overlay->fold;
        struct stat st;
        char path[OPLOG_PATH_MAX];
        enum hif_err err;

        db_path(overlay, path);
        err = overlay->env->ops->stat(overlay->env, path, &st);
        if (err == HIF_ENOENT || (err == HIF_OK && st.st_size == 0)) {
                *out = (struct fold_state){0};
                return HIF_OK;
        }
        dbvfs_ahead(&fold->db.dbvfs, true);
        if (err == HIF_OK)
                err = db_open(&fold->db, path);
        if (err == HIF_OK)
                err = load_state(fold);
        if (err == HIF_OK)
                err = db_keep_few(&fold->db, true);
        if (err == HIF_OK)
                err = load_rows(fold, &overlay->rows);
        if (err == HIF_OK)
                err = db_keep_few(&fold->db, false);
        dbvfs_ahead(&fold->db.dbvfs, false);
        if (err != HIF_OK)
                return why_set(why, err, "cannot read %s: %s (%s)", path, hif_strerror(err),
                               db_error(&fold->db));
        *out = fold->state;
        return HIF_OK;
}

static enum hif_err open_again(struct fold *fold)
{
        char path[OPLOG_PATH_MAX];
        enum hif_err err;

        if (fold->db.sqlite != NULL)
                return HIF_OK;
        db_path(fold->overlay, path);
        err = db_open(&fold->db, path);
        return err == HIF_OK ? load_state(fold) : err;
}

enum hif_err fold_ops(struct overlay *overlay, uint64_t after, uint64_t through,
                      enum hif_err (*each)(void *arg, struct span blob), void *arg,
                      struct hif_why *why)
{
        struct fold *fold = overlay->fold;
        bool opened = false;
        enum hif_err err;

        pthread_mutex_lock(&fold->db_lock);
        err = fold->dropped > after ? HIF_ECANCELED : open_again(fold);
        opened = err == HIF_OK;
        if (opened) {
                dbvfs_ahead(&fold->db.dbvfs, true);
                err = db_ops(&fold->db, after, through, each, arg);
                dbvfs_ahead(&fold->db.dbvfs, false);
        }
        if (err == HIF_ECANCELED)
                why_set(why, err, "the session was landed meanwhile; try again");
        else if (err != HIF_OK)
                why_set(why, err,
                        "cannot read the recorded operations in %s/rows.db: %s (%s); `hif session "
                        "export DIR` saves the files, `hif session abandon` then gives the session "
                        "up, and the files can be landed from a new one",
                        overlay->dir, hif_strerror(err), db_error(&fold->db));
        if (!opened && err != HIF_ECANCELED)
                db_close(&fold->db);
        pthread_mutex_unlock(&fold->db_lock);
        return err;
}

/* --- folding --- */

/* Have the node's row as it was before, if there is one. */
static enum hif_err fold_touch(struct fold *fold, uint64_t id)
{
        enum hif_err err;

        if (idmap_get(&fold->touched, id) != NULL)
                return HIF_OK;
        buf_reset(&fold->blob);
        err = db_node(&fold->db, id, &fold->blob);
        if (err == HIF_OK && fold->blob.size > 0)
                err = rows_load(&fold->rows, buf_span(&fold->blob));
        return err == HIF_OK ? idmap_put(&fold->touched, id, fold) : err;
}

static void fold_forget(struct fold *fold)
{
        idmap_free(&fold->touched);
        rows_free(&fold->rows);
        rows_init(&fold->rows);
}

static enum hif_err fold_reset(struct fold *fold)
{
        fold_forget(fold);
        return db_exec(&fold->db, "DELETE FROM nodes; DELETE FROM dirents; DELETE FROM ops;"
                                  "DELETE FROM notes; DELETE FROM vals; DELETE FROM replies;");
}

static enum hif_err fold_node(struct fold *fold, uint64_t seq, const struct item *item)
{
        enum hif_err err = fold_touch(fold, item->id);

        return err == HIF_OK ? rows_apply_item(&fold->rows, seq, item) : err;
}

static enum hif_err put_state(struct fold *fold, const char *name, uint64_t value)
{
        return db_run(&fold->db, DB_STATE_PUT, &value, 1, (struct span[]){span_str(name)}, 1);
}

static enum hif_err fold_item(struct fold *fold, uint64_t seq, const struct item *item)
{
        const struct odirent *dirent = &item->dirent;
        uint64_t key[2] = {dirent->dir, dirent->hash60};
        struct buf *blob = &fold->blob;

        buf_reset(blob);
        switch (item->kind) {
        case ITEM_PUT_NODE:
        case ITEM_DEL_NODE:
        case ITEM_EXTENT:
        case ITEM_CUT:
        case ITEM_DROP_EXTENTS:
                return fold_node(fold, seq, item);
        case ITEM_PUT_DIRENT:
                put_dirent(blob, dirent, dirent->seq != 0 ? dirent->seq : seq);
                return db_run(&fold->db, DB_DIRENT_PUT, key, 2,
                              (struct span[]){dirent->name, buf_span(blob)}, 2);
        case ITEM_DEL_DIRENT:
                return db_run(&fold->db, DB_DIRENT_DEL, key, 2, &dirent->name, 1);
        case ITEM_OP:
                key[0] = item->number != 0 ? item->number : seq;
                put_op(blob, &item->op, key[0]);
                return db_run(&fold->db, DB_OP_PUT, key, 1, (struct span[]){buf_span(blob)}, 1);
        case ITEM_OPS_DROP:
                if (fold->dropped < item->number)
                        fold->dropped = item->number;
                return db_run(&fold->db, DB_OPS_DROP, &item->number, 1, NULL, 0);
        case ITEM_NOTE:
                key[0] = item->note.seq != 0 ? item->note.seq : seq;
                put_note(blob, &item->note, key[0]);
                return db_run(&fold->db, DB_NOTE_PUT, key, 1, (struct span[]){buf_span(blob)}, 1);
        case ITEM_NOTES_DROP:
                return db_run(&fold->db, DB_NOTES_DROP, &item->number, 1, NULL, 0);
        case ITEM_VALUE:
                if (item->value.size == 0)
                        return db_run(&fold->db, DB_VALUE_DEL, NULL, 0, &item->name, 1);
                put_value(blob, item->name, item->value);
                return db_run(&fold->db, DB_VALUE_PUT, NULL, 0,
                              (struct span[]){item->name, buf_span(blob)}, 2);
        case ITEM_REPLY:
                put_reply(blob, &item->reply);
                return db_run(&fold->db, DB_REPLY_PUT, NULL, 0, (struct span[]){buf_span(blob)}, 1);
        case ITEM_IDS:
                return put_state(fold, "ids", item->number);
        case ITEM_RESET:
                return fold_reset(fold);
        }
        return HIF_EUNSUPPORTED;
}

static enum hif_err fold_record(void *arg, uint64_t seq, struct span body)
{
        struct fold *fold = arg;
        struct reader rd = rd_open(body);
        struct item item = {0};

        while (rd_left(&rd) > 0) {
                enum hif_err err = item_next(&rd, &item);

                if (err == HIF_OK)
                        err = fold_item(fold, seq, &item);
                if (err == HIF_OK && buf_failed(&fold->blob))
                        err = HIF_ENOMEM;
                if (err != HIF_OK)
                        return err;
        }
        fold->state.seq = seq;
        return HIF_OK;
}

/* Write the changed nodes back. */
static enum hif_err fold_nodes(struct fold *fold)
{
        enum hif_err err = HIF_OK;
        uint64_t id;
        void *value;

        for (struct idmap_at at = {0};
             err == HIF_OK && idmap_next(&fold->touched, &at, &id, &value);) {
                const struct node_row *row = rows_node(&fold->rows, id);

                if (row == NULL) {
                        err = db_run(&fold->db, DB_NODE_DEL, &id, 1, NULL, 0);
                        continue;
                }
                buf_reset(&fold->blob);
                put_node(&fold->blob, &row->node, NODE_FIELDS_ALL);
                err = buf_failed(&fold->blob) ? HIF_ENOMEM
                                              : db_run(&fold->db, DB_NODE_PUT, &id, 1,
                                                       (struct span[]){buf_span(&fold->blob)}, 1);
        }
        fold_forget(fold);
        return err;
}

/* A log that was written from memory says again what the database has, beginning with a reset: it is
 * folded in one go, so that nobody finds a part of the operations there. Was it, or can it be? Called
 * with the overlay's lock. */
static bool is_whole(const struct overlay *overlay)
{
        const struct oplog *log = &overlay->log;

        return overlay->folded >= log->whole ||
               (overlay->settled >= log->whole &&
                (log->current == NULL || log->current->first_seq > log->whole));
}

static const struct oseg *next_segment(struct fold *fold, const struct oseg *after)
{
        struct overlay *overlay = fold->overlay;
        const struct oseg *seg;

        pthread_mutex_lock(&overlay->lock);
        seg = after == NULL ? overlay->log.oldest : after->next;
        if (seg != NULL && (!seg->sealed || seg->last_seq > overlay->settled || !is_whole(overlay)))
                seg = NULL;
        pthread_mutex_unlock(&overlay->lock);
        return seg;
}

static uint64_t log_whole(struct overlay *overlay)
{
        uint64_t whole;

        pthread_mutex_lock(&overlay->lock);
        whole = overlay->log.whole;
        pthread_mutex_unlock(&overlay->lock);
        return whole;
}

/* Fold the oldest in one transaction, as many as are soon done: a process that is killed has done
 * those before, and the next one need not begin anew. *last: the newest segment that is in it. */
static enum hif_err fold_segments(struct fold *fold, const struct oseg **last)
{
        const struct oseg *seg = NULL, *next;
        const uint64_t whole = log_whole(fold->overlay);
        enum hif_err err = db_exec(&fold->db, "BEGIN IMMEDIATE");

        for (unsigned i = 0; (i < FOLD_SEGMENTS_MAX || fold->state.seq < whole) && err == HIF_OK &&
                             (next = next_segment(fold, seg)) != NULL;
             i++) {
                seg = next;
                err = oplog_read(&fold->overlay->log, seg, fold->state.seq, seg->last_seq,
                                 fold_record, fold);
                if (err == HIF_OK)
                        err = fold_nodes(fold);
                fold->state.generation = seg->generation;
        }
        if (err == HIF_OK)
                err = put_state(fold, "seq", fold->state.seq);
        if (err == HIF_OK)
                err = put_state(fold, "generation", fold->state.generation);
        if (err == HIF_OK)
                err = db_run(&fold->db, DB_REPLIES_TRIM, (uint64_t[]){OVERLAY_REPLIES_MAX}, 1, NULL,
                             0);
        if (err == HIF_OK)
                err = db_exec(&fold->db, "COMMIT");
        if (err == HIF_OK && fold->state.seq >= whole)
                fold->overlay->folded = fold->state.seq;
        *last = seg;
        return err;
}

static enum hif_err fold_some(struct fold *fold)
{
        struct overlay *overlay = fold->overlay;
        const struct oseg *last = NULL;
        enum hif_err err = open_again(fold);

        /* What SQLite's own log holds is written back, so that the transaction begins that log anew: else
         * among servers that die early it would grow for ever, and each reads it first. It is not cut
         * off: that is on the disk only with some later sync, and after a power cut a part of the old
         * log might count. Where this fails, all stays as it is for the next fold. */
        if (err == HIF_OK)
                (void)!db_exec(&fold->db, "PRAGMA wal_checkpoint(RESTART)");
        if (err == HIF_OK)
                err = fold_segments(fold, &last);
        if (err != HIF_OK) {
                log_line(overlay->env->log, LOG_WARN, "overlay",
                         "cannot fold the log of %s: %s (%s); it is kept", overlay->dir,
                         hif_strerror(err), db_error(&fold->db));
                /* Whether a failed commit took effect is asked when the database is opened next. */
                fold_forget(fold);
                db_close(&fold->db);
                return err;
        }
        err = oplog_remove(&overlay->log, last->next, fold->state.seq);
        if (err != HIF_OK)
                log_line(overlay->env->log, LOG_WARN, "overlay",
                         "the folded log of %s stays for now: %s", overlay->dir, hif_strerror(err));
        return err;
}

static enum hif_err fold_all(struct fold *fold)
{
        enum hif_err err = HIF_OK;

        while (err == HIF_OK && next_segment(fold, NULL) != NULL) {
                pthread_mutex_lock(&fold->db_lock);
                err = fold_some(fold);
                pthread_mutex_unlock(&fold->db_lock);
        }
        return err;
}

static void fold_run(struct pool_job *job)
{
        struct fold *fold = (struct fold *)(void *)((char *)job - offsetof(struct fold, job));
        struct overlay *overlay = fold->overlay;
        enum hif_err err = fold_all(fold);

        pthread_mutex_lock(&overlay->lock);
        fold->failed_ns = err == HIF_OK ? 0 : env_mono_ns(overlay->env);
        fold->running = false;
        overlay->folds += err == HIF_OK;
        pthread_cond_broadcast(&overlay->idle);
        pthread_mutex_unlock(&overlay->lock);
}

void fold_start(struct overlay *overlay)
{
        struct fold *fold = overlay->fold;
        size_t ready = 0;
        bool start;

        if (overlay->pool == NULL)
                return;
        pthread_mutex_lock(&overlay->lock);
        for (const struct oseg *seg = overlay->log.oldest;
             seg != NULL && seg->sealed && seg->last_seq <= overlay->settled; seg = seg->next)
                ready++;
        start =
            ready >= OVERLAY_FOLD_SEGMENTS && !fold->running && is_whole(overlay) &&
            (fold->failed_ns == 0 || env_mono_ns(overlay->env) - fold->failed_ns >= FOLD_RETRY_NS);
        if (start)
                fold->running = true;
        pthread_mutex_unlock(&overlay->lock);
        if (!start)
                return;
        fold->job.run = fold_run;
        pool_submit(overlay->pool, &fold->job);
}

void fold_wait(struct overlay *overlay)
{
        bool running;

        if (overlay->fold == NULL || overlay->pool == NULL)
                return;
        pthread_mutex_lock(&overlay->lock);
        running = overlay->fold->running;
        pthread_mutex_unlock(&overlay->lock);
        if (running)
                pool_drain(overlay->pool);
}

void fold_finish(struct overlay *overlay)
{
        fold_wait(overlay);
        if (overlay->sync_state != SYNC_OK)
                return;
        oplog_seal(&overlay->log);
        oplog_release(&overlay->log, overlay->durable);
        /* What cannot be folded stays in the log, and is replayed. */
        if (fold_all(overlay->fold) == HIF_OK)
                overlay->folds++;
}
