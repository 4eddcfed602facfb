/* Paths, locks, and which directories are durable. */
#include "store/dir/impl.h"

#include "base/siphash.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct dir_part dir_parent(struct dir_part part)
{
        while (part.size > 0 && part.text[part.size - 1] != '/')
                part.size--;
        if (part.size > 0)
                part.size--;
        return part;
}

struct dir_part dir_parent_of_key(const char *key)
{
        return dir_parent((struct dir_part){.text = key, .size = strlen(key)});
}

char *dir_part_path(const struct dir_store *dir, struct dir_part part)
{
        char *path;

        if (asprintf(&path, "%s%s%.*s", dir->root, part.size ? "/" : "", (int)part.size,
                     part.text) < 0)
                return NULL;
        return path;
}

char *dir_path(const struct dir_store *dir, const char *key)
{
        return dir_part_path(dir, (struct dir_part){.text = key, .size = strlen(key)});
}

char *dir_temp_path(const struct dir_store *dir)
{
        struct env *env = dir->store.env;
        char *path;

        if (asprintf(&path, "%s/.hif/tmp/%016jx%016jx", dir->root, (uintmax_t)env_random_u64(env),
                     (uintmax_t)env_random_u64(env)) < 0)
                return NULL;
        return path;
}

/* Two directories of one hash only mean that one of them is synced more often. */
static uint64_t part_hash(struct dir_part part)
{
        return siphash((struct sipkey){0}, part.text, part.size);
}

static bool part_is(struct dir_part part, const char *text)
{
        return strlen(text) == part.size && memcmp(text, part.text, part.size) == 0;
}

bool dir_known(struct dir_store *dir, struct dir_part part)
{
        const char *there;
        bool known;

        if (part.size == 0)
                return true;
        pthread_mutex_lock(&dir->known_mutex);
        there = map_get(&dir->known, part_hash(part));
        known = there && part_is(part, there);
        pthread_mutex_unlock(&dir->known_mutex);
        return known;
}

static void forget_all(struct dir_store *dir)
{
        uint64_t key;
        void *value;

        for (size_t i = 0; map_next(&dir->known, &i, &key, &value);)
                free(value);
        map_free(&dir->known);
}

void dir_forget(struct dir_store *dir)
{
        pthread_mutex_lock(&dir->known_mutex);
        forget_all(dir);
        pthread_mutex_unlock(&dir->known_mutex);
}

/* Without memory nothing is learnt, which costs a sync. */
static void learn_one(struct dir_store *dir, struct dir_part part)
{
        char *text = strndup(part.text, part.size);

        if (!text)
                return;
        pthread_mutex_lock(&dir->known_mutex);
        if (dir->known.count >= DIR_KNOWN_MAX)
                forget_all(dir);
        free(map_del(&dir->known, part_hash(part)));
        if (map_put(&dir->known, part_hash(part), text))
                free(text);
        pthread_mutex_unlock(&dir->known_mutex);
}

void dir_learn(struct dir_store *dir, struct dir_part part)
{
        for (; part.size > 0 && !dir_known(dir, part); part = dir_parent(part))
                learn_one(dir, part);
}

void dir_each_unsynced(struct dir_store *dir, struct dir_part leaf,
                       void (*each)(void *arg, struct dir_part part), void *arg)
{
        each(arg, leaf);
        for (; leaf.size > 0 && !dir_known(dir, leaf); leaf = dir_parent(leaf))
                each(arg, dir_parent(leaf));
}

enum hif_err dir_sync_part(struct dir_store *dir, struct dir_part part)
{
        AUTO_FREE char *path = dir_part_path(dir, part);

        return path ? env_sync_dir(dir->store.env, path) : HIF_ENOMEM;
}

struct settling {
        struct dir_store *dir;
        enum hif_err err;
};

static void settle_one(void *arg, struct dir_part part)
{
        struct settling *settling = arg;

        if (!settling->err)
                settling->err = dir_sync_part(settling->dir, part);
}

enum hif_err dir_settle(struct dir_store *dir, struct dir_part leaf)
{
        struct settling settling = {.dir = dir};

        dir_each_unsynced(dir, leaf, settle_one, &settling);
        if (!settling.err)
                dir_learn(dir, leaf);
        return settling.err;
}

static void pause_ns(uint64_t ns)
{
        struct timespec time = {.tv_nsec = (long)ns};

        nanosleep(&time, NULL);
}

/* Poll: the lock is held for a look at a small file and a rename. */
static enum hif_err lock_wait(struct env *env, int fd)
{
        uint64_t start = env_mono_ns(env);
        uint64_t pause = 20000;
        enum hif_err err = env->ops->lock(env, fd);

        while (err == HIF_EBUSY) {
                if (env_mono_ns(env) - start > DIR_LOCK_WAIT_NS)
                        return HIF_EUNREACHABLE;
                pause_ns(pause);
                if (pause < 2000000)
                        pause += pause / 2;
                err = env->ops->lock(env, fd);
        }
        return err;
}

/* A few lock files serve all keys. They are never removed: a lock on a removed file excludes
 * nobody. */
enum hif_err dir_lock(struct dir_store *dir, const char *key, struct dir_lock *out)
{
        struct env *env = dir->store.env;
        unsigned index = (unsigned)(siphash((struct sipkey){0}, key, strlen(key)) % DIR_LOCKS);
        AUTO_FREE char *path = NULL;
        enum hif_err err;
        int fd;

        if (asprintf(&path, "%s/.hif/locks/%02x", dir->root, index) < 0) {
                path = NULL;
                return HIF_ENOMEM;
        }
        pthread_mutex_lock(&dir->lock_mutexes[index]);
        err = env->ops->open(env, path, O_RDWR | O_CREAT, 0666, &fd);
        if (!err && env->ops->lock) {
                err = lock_wait(env, fd);
                if (err)
                        env->ops->close(env, fd);
        }
        if (err) {
                pthread_mutex_unlock(&dir->lock_mutexes[index]);
                return err == HIF_ENOENT ? HIF_EIO : err; /* it is not the object that is absent */
        }
        *out = (struct dir_lock){.mutex = &dir->lock_mutexes[index], .fd = fd};
        return HIF_OK;
}

void dir_unlock(struct dir_store *dir, struct dir_lock *lock)
{
        struct env *env = dir->store.env;

        env->ops->close(env, lock->fd);
        pthread_mutex_unlock(lock->mutex);
}

enum hif_err dir_error(enum store_op op, enum hif_err err)
{
        bool writes = op != STORE_GET && op != STORE_HEAD && op != STORE_LIST;

        switch (err) {
        case HIF_OK:
        case HIF_ENOMEM:
        case HIF_ECANCELED:
        case HIF_EUNREACHABLE:
                return err;
        case HIF_ESTALE:
        case HIF_ETIMEDOUT:
                return HIF_EUNREACHABLE;
        case HIF_EPERM:
        case HIF_EACCES:
                return HIF_EDENIED;
        case HIF_ENOSPC:
        case HIF_EDQUOT:
        case HIF_EROFS:
                return writes ? err : HIF_EIO;
        case HIF_ENOTDIR: /* the key of an object is a directory of this key */
        case HIF_EISDIR:  /* the other way round */
        case HIF_ENAMETOOLONG:
                return writes ? HIF_EINVAL : HIF_EIO;
        default:
                return HIF_EIO;
        }
}
