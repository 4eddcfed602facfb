/* A store in a directory: each object is a file whose path is its key, holding its bytes as they
 * are. Any number of processes use it at once, on one machine or over a network file system that
 * has links and locks.
 *
 *      DIR/projects/...        objects; mode 0444, never written to once they have their name
 *      DIR/.hif/tmp/           files being written, under random names
 *      DIR/.hif/locks/00..3f   lock files, by hash of the key
 *
 * No part of a key starts with '.', so neither ours nor any hidden file is ever taken for an
 * object.
 *
 * How each promise is kept:
 *
 *      whole objects   written to a temporary file, synced, and only then named
 *      PUT_NEW         the name is made by link(2), which fails if it exists; where the file system
 *                      refuses links, by renameat2(RENAME_NOREPLACE); with neither, opening fails.
 *                      A network file system may repeat a link that was done, and say that the name
 *                      exists: if our file has two links, we have made it
 *      PUT_MATCH       under the key's lock: read the tag again, then rename. Its tag is a hash of
 *                      the content: see dir_tag_small. Unconditional PUT and DELETE take the lock,
 *                      too. It dies with its holder
 *      durable         before the answer the directory is synced, and every directory above it
 *                      whose own name this process has not synced before: another one may have made
 *                      it, and have died. Where that fails after the name was made, the answer is
 *                      HIF_EUNKNOWN. Who is told HIF_ELOST may rely on the winner: that answer,
 *                      too, waits for the sync. `settled` does the same for readers
 *      leftovers       a crash leaves temporary files; opening removes those older than a day
 *
 * Files: dir_open (opening), dir_names (paths, locks, what is durable), dir_put, dir_read,
 * dir_list. */
#include "store/dir/impl.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct dir_store *dir_of(struct store *store)
{
        return (struct dir_store *)store;
}

struct task {
        struct pool_job job; /* first */
        struct dir_store *dir;
        struct store_req *req;
};

static enum hif_err unlink_object(struct dir_store *dir, const char *key)
{
        struct env *env = dir->store.env;
        AUTO_FREE char *path = dir_path(dir, key);
        struct dir_lock lock;
        enum hif_err err;

        if (!path)
                return HIF_ENOMEM;
        err = dir_lock(dir, key, &lock);
        if (err)
                return err;
        err = env->ops->unlink(env, path);
        dir_unlock(dir, &lock);
        return err == HIF_EIO ? HIF_EUNKNOWN : err;
}

void dir_delete(struct dir_store *dir, struct store_req *req)
{
        enum hif_err err = unlink_object(dir, req->key);

        if (err == HIF_EUNKNOWN) {
                store_done(&dir->store, req, err);
                return;
        }
        if (err == HIF_OK || err == HIF_ENOENT) {
                err = dir_sync_part(dir, dir_parent_of_key(req->key));
                if (err && err != HIF_ENOENT && err != HIF_ENOTDIR)
                        err = HIF_EUNKNOWN;
        }
        if (err == HIF_ENOENT || err == HIF_ENOTDIR || err == HIF_EISDIR)
                err = HIF_OK; /* there is no such object */
        store_done(&dir->store, req, err == HIF_EUNKNOWN ? err : dir_error(STORE_DELETE, err));
}

static void execute(struct dir_store *dir, struct store_req *req)
{
        if (req->op == STORE_LIST)
                dir_list(dir, req);
        else if (req->op == STORE_DELETE)
                dir_delete(dir, req);
        else
                dir_read(dir, req);
}

static void run_task(struct pool_job *job)
{
        struct task *task = (struct task *)job;
        struct dir_store *dir = task->dir;
        struct store_req *req = task->req;

        free(task);
        execute(dir, req);
}

static bool is_put(const struct store_req *req)
{
        return req->op == STORE_PUT || req->op == STORE_PUT_NEW || req->op == STORE_PUT_MATCH;
}

static void dir_submit(struct store *store, struct store_req *req)
{
        struct dir_store *dir = dir_of(store);
        struct task *task;

        if (is_put(req)) {
                dir_put_group(dir, &req, 1);
                return;
        }
        if (!dir->pool) {
                execute(dir, req);
                return;
        }
        task = malloc(sizeof(*task));
        if (!task) {
                store_done(store, req, HIF_ENOMEM);
                return;
        }
        *task = (struct task){.job = {.run = run_task}, .dir = dir, .req = req};
        pool_submit(dir->pool, &task->job);
}

static void dir_submit_batch(struct store *store, struct store_req *reqs, size_t count)
{
        AUTO_FREE struct store_req **puts = calloc(count, sizeof(struct store_req *));
        size_t put_count = 0;

        for (size_t i = 0; puts && i < count; i++) {
                if (is_put(&reqs[i]))
                        puts[put_count++] = &reqs[i];
        }
        if (put_count > 0)
                dir_put_group(dir_of(store), puts, put_count);
        for (size_t i = 0; i < count; i++) {
                if (!puts || !is_put(&reqs[i]))
                        dir_submit(store, &reqs[i]);
        }
}

static void dir_free(struct dir_store *dir)
{
        pool_free(dir->pool);
        dir_forget(dir);
        pthread_mutex_destroy(&dir->known_mutex);
        for (size_t i = 0; i < DIR_LOCKS; i++)
                pthread_mutex_destroy(&dir->lock_mutexes[i]);
        free(dir->root);
        free(dir->url);
        free(dir);
}

static void dir_close(struct store *store)
{
        dir_free(dir_of(store));
}

static const char *dir_url(struct store *store)
{
        return dir_of(store)->url;
}

/* RFC 8089: what is not plainly allowed in a path is percent-encoded. */
static char *url_of_path(const char *path)
{
        struct buf url = {0};

        buf_printf(&url, "file://");
        for (const char *c = path; *c; c++) {
                if ((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                    (*c >= '0' && *c <= '9') || strchr("/-._~+,=@:", *c))
                        buf_put_u8(&url, (uint8_t)*c);
                else
                        buf_printf(&url, "%%%02X", (unsigned)(unsigned char)*c);
        }
        buf_put_u8(&url, 0);
        if (buf_failed(&url)) {
                buf_free(&url);
                return NULL;
        }
        return (char *)url.data;
}

static struct dir_store *dir_new(struct env *env, const char *path)
{
        static const struct store_ops ops = {
            .submit = dir_submit,
            .submit_batch = dir_submit_batch,
            .close = dir_close,
            .url = dir_url,
        };
        struct dir_store *dir = calloc(1, sizeof(*dir));
        size_t size = strlen(path);

        if (!dir)
                return NULL;
        store_init(&dir->store, &ops, env);
        dir->store.local = true;
        pthread_mutex_init(&dir->known_mutex, NULL);
        for (size_t i = 0; i < DIR_LOCKS; i++)
                pthread_mutex_init(&dir->lock_mutexes[i], NULL);
        while (size > 1 && path[size - 1] == '/')
                size--;
        dir->root = strndup(path, size);
        dir->url = dir->root ? url_of_path(dir->root) : NULL;
        if (!dir->url) {
                dir_free(dir);
                return NULL;
        }
        return dir;
}

enum hif_err store_dir_open(struct env *env, const char *path, bool create, size_t io_threads,
                            struct store **out, struct hif_why *why)
{
        struct dir_store *dir;
        enum hif_err err;

        if (path[0] != '/')
                return why_set(why, HIF_EINVAL,
                               "the store directory %s is not an absolute path; give one that "
                               "starts with /",
                               path);
        if (strlen(path) > DIR_PATH_MAX || strspn(path, "/") == strlen(path))
                return why_set(why, HIF_EINVAL,
                               "%.60s cannot be a store directory; choose one below it, of at most "
                               "%d bytes",
                               path, DIR_PATH_MAX);
        dir = dir_new(env, path);
        if (!dir)
                return why_set(why, HIF_ENOMEM, "no memory to open the store %s", path);
        err = dir_prepare(dir, create, why);
        if (!err && io_threads > 0) {
                err = pool_new(io_threads, "store", &dir->pool);
                if (err)
                        (void)why_set(why, err, "cannot start %zu threads for the store %s: %s",
                                      io_threads, path, hif_strerror(err));
        }
        if (err) {
                dir_free(dir);
                return err;
        }
        dir->threads = io_threads;
        *out = &dir->store;
        return HIF_OK;
}
