/* PUTs of the directory store, in groups: what one store_run submits is written, then placed, then
 * its directories are synced, each once. The steps of one phase run in parallel on the pool's
 * threads: the file system's journal makes one commit of what several threads sync at a time.
 *
 * (Measured on ext4 over a disk with a fsync of 70 us, 1,000 objects of 1 KiB: one thread 3,200/s,
 * four 9,700/s, sixteen 17,900/s. syncfs(2) gives 44,700/s, but waits for what every other process
 * has written to that disk as well: gigabytes, during a build.) */
#include "store/dir/impl.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

struct put {
        struct store_req *req;
        char *target;
        char *temp; /* NULL: none is there */
        enum hif_err err;
        bool placed;    /* it has its name */
        bool must_sync; /* the names in its directory */
};

struct sync {
        struct dir_part part;
        enum hif_err err;
};

enum phase { PHASE_WRITE, PHASE_PLACE, PHASE_SYNC, PHASE_END };

struct group;

struct helper {
        struct pool_job job; /* first */
        struct group *group;
};

struct group {
        struct dir_store *dir;
        enum phase phase;
        size_t next;    /* item of this phase; atomic */
        size_t running; /* threads in this phase; atomic */
        struct put *puts;
        size_t put_count;
        struct sync *syncs;
        size_t sync_count;
        struct helper *helpers;
};

/* --- writing --- */

static enum hif_err write_temp(struct dir_store *dir, struct put *put)
{
        struct env *env = dir->store.env;
        struct span body = put->req->body;
        struct stat st;
        enum hif_err err;
        int fd;

        put->temp = dir_temp_path(dir);
        if (!put->temp)
                return HIF_ENOMEM;
        err = env->ops->open(env, put->temp, O_WRONLY | O_CREAT | O_EXCL, DIR_FILE_MODE, &fd);
        if (err)
                return err;
        err = env_write_all(env, fd, body.data, body.size, 0);
        if (!err)
                err = env->ops->fsync(env, fd);
        if (!err && body.size > STORE_MATCH_MAX)
                err = env->ops->fstat(env, fd, &st);
        env->ops->close(env, fd);
        if (!err)
                put->req->tag =
                    body.size > STORE_MATCH_MAX ? dir_tag_large(&st) : dir_tag_small(body);
        return err;
}

static void drop_temp(struct dir_store *dir, struct put *put)
{
        struct env *env = dir->store.env;

        if (!put->temp)
                return;
        (void)env->ops->unlink(env, put->temp); /* else it goes when it is old */
        free(put->temp);
        put->temp = NULL;
}

/* Who loses may act on what the winner wrote, so that must be durable, too. */
static enum hif_err lost(struct put *put)
{
        put->must_sync = true;
        return HIF_ELOST;
}

/* Whether the condition holds now. For PUT_NEW, and before the lock, this only saves work. */
static enum hif_err check_condition(struct dir_store *dir, struct put *put)
{
        struct env *env = dir->store.env;
        struct store_req *req = put->req;
        struct store_tag tag;
        struct stat st;
        enum hif_err err;

        if (req->op == STORE_PUT_NEW) {
                err = env->ops->stat(env, put->target, &st);
                if (err)
                        return err == HIF_ENOENT ? HIF_OK : err;
                return S_ISDIR(st.st_mode) ? HIF_EISDIR : lost(put);
        }
        if (req->op == STORE_PUT_MATCH) {
                err = dir_tag_read(dir, put->target, &tag);
                if (err)
                        return err;
                return strcmp(tag.text, req->match.text) == 0 ? HIF_OK : lost(put);
        }
        return HIF_OK;
}

static enum hif_err make_parents(struct dir_store *dir, const struct put *put)
{
        struct dir_part leaf = dir_parent_of_key(put->req->key);
        AUTO_FREE char *path = NULL;

        if (dir_known(dir, leaf))
                return HIF_OK;
        path = dir_part_path(dir, leaf);
        return path ? env_mkdirs(dir->store.env, path, DIR_DIR_MODE) : HIF_ENOMEM;
}

/* Not the object is absent, but something above it: somebody removed what store_dir_open made, or
 * the store is away. Nothing was placed. */
static enum hif_err absent(struct dir_store *dir)
{
        return dir_is_store(dir) ? HIF_EIO : HIF_EUNREACHABLE;
}

static void put_write(struct dir_store *dir, struct put *put)
{
        put->target = dir_path(dir, put->req->key);
        put->err = put->target ? check_condition(dir, put) : HIF_ENOMEM;
        if (put->err)
                return;
        /* The temporary file first: where there is no store any more, no directory is made. */
        put->err = write_temp(dir, put);
        if (!put->err)
                put->err = make_parents(dir, put);
        if (put->err == HIF_ENOENT)
                put->err = absent(dir);
        if (put->err)
                drop_temp(dir, put);
}

/* --- placing --- */

/* link(2) may have been done and still say that it failed, when a network file system repeats it.
 * Nobody else links our file: two links mean that it was done. */
static enum hif_err link_new(struct env *env, const struct put *put)
{
        enum hif_err err = env->ops->link(env, put->temp, put->target);
        struct stat st;

        if (!err || err == HIF_ECANCELED)
                return err;
        if (env->ops->stat(env, put->temp, &st))
                return HIF_EUNKNOWN;
        return st.st_nlink == 2 ? HIF_OK : err;
}

/* The same for rename, which takes the temporary name away when it is done. noreplace: where there
 * are no links. */
static enum hif_err rename_over(struct env *env, const struct put *put, bool noreplace)
{
        enum hif_err err = noreplace ? env->ops->rename_noreplace(env, put->temp, put->target)
                                     : env->ops->rename(env, put->temp, put->target);
        enum hif_err err_stat;
        struct stat st;

        if (!err || err == HIF_ECANCELED)
                return err;
        err_stat = env->ops->stat(env, put->temp, &st);
        if (err_stat == HIF_ENOENT && err == HIF_EEXIST)
                return HIF_OK;
        return err_stat ? HIF_EUNKNOWN : err;
}

static enum hif_err place_new(struct dir_store *dir, struct put *put)
{
        struct env *env = dir->store.env;
        enum hif_err err = dir->can_link ? link_new(env, put) : rename_over(env, put, true);
        enum hif_err err_check;

        if (err != HIF_EEXIST)
                return err;
        err_check = check_condition(dir, put); /* what is in the way: an object, or a directory? */
        return err_check ? err_check : lost(put);
}

/* Unconditional writers take the lock, too: else one could slip in between the look and the rename
 * of a conditional one. */
static enum hif_err place_over(struct dir_store *dir, struct put *put)
{
        struct dir_lock lock;
        enum hif_err err = dir_lock(dir, put->req->key, &lock);

        if (err)
                return err;
        err = check_condition(dir, put);
        if (!err)
                err = rename_over(dir->store.env, put, false);
        dir_unlock(dir, &lock);
        return err;
}

static enum hif_err place_once(struct dir_store *dir, struct put *put)
{
        return put->req->op == STORE_PUT_NEW ? place_new(dir, put) : place_over(dir, put);
}

static void put_place(struct dir_store *dir, struct put *put)
{
        if (put->err)
                return;
        put->err = place_once(dir, put);
        if (put->err == HIF_ENOENT && put->req->op != STORE_PUT_MATCH) {
                /* Somebody removed directories that we knew. */
                dir_forget(dir);
                put->err = dir_is_store(dir) ? make_parents(dir, put) : HIF_EUNREACHABLE;
                if (!put->err)
                        put->err = place_once(dir, put);
                if (put->err == HIF_ENOENT)
                        put->err = absent(dir);
        }
        put->placed = !put->err;
        put->must_sync |= put->placed;
        drop_temp(dir, put);
}

/* --- syncing --- */

static int compare_syncs(const void *a, const void *b)
{
        const struct sync *left = a, *right = b;

        return span_cmp(span_of(left->part.text, left->part.size),
                        span_of(right->part.text, right->part.size));
}

static void add_sync(void *arg, struct dir_part part)
{
        struct group *group = arg;

        group->syncs[group->sync_count++] = (struct sync){.part = part};
}

static void collect_syncs(struct group *group)
{
        size_t count = 0;

        for (size_t i = 0; i < group->put_count; i++) {
                if (group->puts[i].must_sync)
                        dir_each_unsynced(group->dir, dir_parent_of_key(group->puts[i].req->key),
                                          add_sync, group);
        }
        if (group->sync_count > 1)
                qsort(group->syncs, group->sync_count, sizeof(*group->syncs), compare_syncs);
        for (size_t i = 0; i < group->sync_count; i++) {
                if (count == 0 || compare_syncs(&group->syncs[count - 1], &group->syncs[i]) != 0)
                        group->syncs[count++] = group->syncs[i];
        }
        group->sync_count = count;
}

/* Whether all that is above a put was synced. A part that is not in the list needed none. */
static enum hif_err sync_result(const struct group *group, struct dir_part part)
{
        enum hif_err err = HIF_OK;

        for (;;) {
                struct sync wanted = {.part = part};
                const struct sync *found = bsearch(&wanted, group->syncs, group->sync_count,
                                                   sizeof(wanted), compare_syncs);

                if (found && found->err)
                        err = found->err;
                if (part.size == 0)
                        return err;
                part = dir_parent(part);
        }
}

static enum hif_err put_result(struct group *group, const struct put *put)
{
        struct dir_part leaf = dir_parent_of_key(put->req->key);
        enum store_op op = put->req->op;
        enum hif_err err = put->must_sync ? sync_result(group, leaf) : HIF_OK;

        if (put->must_sync && !err)
                dir_learn(group->dir, leaf);
        if (err) /* it may have its name, but not for ever */
                return put->placed ? HIF_EUNKNOWN : dir_error(op, err);
        switch (put->err) {
        case HIF_ELOST:
        case HIF_EUNKNOWN:
                return put->err;
        case HIF_ENOENT:
        case HIF_ELIMIT:
                return op == STORE_PUT_MATCH ? put->err : HIF_EIO;
        default:
                return dir_error(op, put->err);
        }
}

/* --- groups --- */

static void group_free(struct group *group)
{
        free(group->puts);
        free(group->syncs);
        free(group->helpers);
        free(group);
}

static void group_finish(struct group *group)
{
        struct dir_store *dir = group->dir;

        /* Results first: parts point into keys, which belong to the submitters until done(). */
        for (size_t i = 0; i < group->put_count; i++)
                group->puts[i].err = put_result(group, &group->puts[i]);
        for (size_t i = 0; i < group->put_count; i++) {
                free(group->puts[i].target);
                store_done(&dir->store, group->puts[i].req, group->puts[i].err);
        }
        group_free(group);
}

static size_t item_count(const struct group *group)
{
        return group->phase == PHASE_SYNC ? group->sync_count : group->put_count;
}

static void run_item(struct group *group, size_t index)
{
        struct dir_store *dir = group->dir;

        if (group->phase == PHASE_WRITE)
                put_write(dir, &group->puts[index]);
        else if (group->phase == PHASE_PLACE)
                put_place(dir, &group->puts[index]);
        else
                group->syncs[index].err = dir_sync_part(dir, group->syncs[index].part);
}

static void group_run(struct group *group);

static void help(struct pool_job *job)
{
        group_run(((struct helper *)job)->group);
}

/* Set the threads of the next phase to work; this one is among them. */
static void call_helpers(struct group *group, size_t count)
{
        group->next = 0;
        __atomic_store_n(&group->running, count, __ATOMIC_RELEASE);
        for (size_t i = 0; i + 1 < count; i++) {
                group->helpers[i] = (struct helper){.job = {.run = help}, .group = group};
                pool_submit(group->dir->pool, &group->helpers[i].job);
        }
}

static size_t threads_for(const struct group *group)
{
        size_t items = item_count(group);
        size_t threads = group->dir->threads;

        if (items < threads)
                threads = items;
        return threads ? threads : 1;
}

/* Work on the present phase until nothing of it is left to take. Whoever ends it starts the next.
 */
static void group_run(struct group *group)
{
        for (;;) {
                size_t count = item_count(group);
                size_t index;

                while ((index = __atomic_fetch_add(&group->next, 1, __ATOMIC_RELAXED)) < count)
                        run_item(group, index);
                if (__atomic_sub_fetch(&group->running, 1, __ATOMIC_ACQ_REL) > 0)
                        return; /* the group may be gone now */
                if (group->phase == PHASE_PLACE)
                        collect_syncs(group);
                if (++group->phase == PHASE_END)
                        break;
                call_helpers(group, threads_for(group));
        }
        group_finish(group);
}

static struct group *group_new(struct dir_store *dir, struct store_req **reqs, size_t count)
{
        struct group *group = calloc(1, sizeof(*group));
        size_t sync_max = 0;

        for (size_t i = 0; i < count; i++) {
                sync_max++;
                for (const char *c = reqs[i]->key; *c; c++)
                        sync_max += *c == '/';
        }
        if (!group)
                return NULL;
        group->dir = dir;
        group->puts = calloc(count, sizeof(*group->puts));
        group->syncs = calloc(sync_max, sizeof(*group->syncs));
        group->helpers = calloc(dir->threads + 1, sizeof(*group->helpers));
        if (!group->puts || !group->syncs || !group->helpers) {
                group_free(group);
                return NULL;
        }
        for (size_t i = 0; i < count; i++)
                group->puts[i].req = reqs[i];
        group->put_count = count;
        return group;
}

/* Nothing of the group may be touched once its last helper is submitted. */
static void group_start(struct group *group)
{
        struct pool *pool = group->dir->pool;
        struct helper *helpers = group->helpers;
        size_t count = threads_for(group);

        group->running = count;
        for (size_t i = 0; i < count; i++) {
                helpers[i] = (struct helper){.job = {.run = help}, .group = group};
                if (pool)
                        pool_submit(pool, &helpers[i].job);
                else
                        help(&helpers[i].job);
        }
}

void dir_put_group(struct dir_store *dir, struct store_req **reqs, size_t count)
{
        struct group *group = group_new(dir, reqs, count);

        if (group) {
                group_start(group);
                return;
        }
        for (size_t i = 0; i < count; i++)
                store_done(&dir->store, reqs[i], HIF_ENOMEM);
}
