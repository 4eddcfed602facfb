/* impl.h - what the files of the directory store share; store_dir.c explains the whole. */
#ifndef HIF_STORE_DIR_IMPL_H
#define HIF_STORE_DIR_IMPL_H

#include "base/map.h"
#include "base/pool.h"
#include "store/store.h"

#include <pthread.h>

#define DIR_LOCKS     64
#define DIR_PATH_MAX  2048 /* of the root */
#define DIR_KNOWN_MAX 65536
#define DIR_FILE_MODE 0444
#define DIR_DIR_MODE  0777
/* A temporary file this old is not being written any more. */
#define DIR_TEMP_AGE_NS (UINT64_C(24) * 3600 * 1000000000)
/* Locks are held for microseconds; whoever waits this long waits for a stopped process. */
#define DIR_LOCK_WAIT_NS (UINT64_C(20) * 1000000000)

struct dir_store {
        struct store store;
        char *root;
        char *url;
        struct pool *pool; /* NULL: everything runs inside store_submit */
        size_t threads;
        bool can_link; /* else it can rename without replacing */

        /* Directories whose names, up to the root, are known to be durable. */
        pthread_mutex_t known_mutex;
        struct map known;
        pthread_mutex_t lock_mutexes[DIR_LOCKS];
};

/* A directory inside the store, by its key without '/' at the end: a part of a longer key. The root
 * is the empty one. */
struct dir_part {
        const char *text;
        size_t size;
};

struct dir_part dir_parent(struct dir_part part);
struct dir_part dir_parent_of_key(const char *key);

/* Absolute paths, for the caller to free; NULL: no memory. */
char *dir_path(const struct dir_store *dir, const char *key);
char *dir_part_path(const struct dir_store *dir, struct dir_part part);
char *dir_temp_path(const struct dir_store *dir);

/* Names known to be durable: of the directory and of those above it. */
bool dir_known(struct dir_store *dir, struct dir_part part);
void dir_learn(struct dir_store *dir, struct dir_part part);
void dir_forget(struct dir_store *dir); /* all of them: something was removed under us */

/* What must be synced to make the names in `leaf`, and leaf's own, durable: leaf, then the parents
 * of what is not known. Calls each for at most as many as leaf has components, and one. */
void dir_each_unsynced(struct dir_store *dir, struct dir_part leaf,
                       void (*each)(void *arg, struct dir_part part), void *arg);
HIF_MUST_USE enum hif_err dir_sync_part(struct dir_store *dir, struct dir_part part);
/* Sync all that. */
HIF_MUST_USE enum hif_err dir_settle(struct dir_store *dir, struct dir_part leaf);

/* Does the root hold a store? Not so when it was moved away, or is not mounted. */
bool dir_is_store(struct dir_store *dir);

/* An error of the environment as one that the contract allows for this operation. */
enum hif_err dir_error(enum store_op op, enum hif_err err);

struct dir_lock {
        pthread_mutex_t *mutex;
        int fd; /* -1: none */
};

/* The lock of a key, among threads and processes. */
HIF_MUST_USE enum hif_err dir_lock(struct dir_store *dir, const char *key, struct dir_lock *out);
void dir_unlock(struct dir_store *dir, struct dir_lock *lock);

/* Tags: of the content, up to STORE_MATCH_MAX bytes; of the file, for larger ones. */
struct store_tag dir_tag_small(struct span content);
struct store_tag dir_tag_large(const struct stat *st);
/* The tag of the object at a path, for a condition: HIF_ENOENT, HIF_ELIMIT over STORE_MATCH_MAX. */
HIF_MUST_USE enum hif_err dir_tag_read(struct dir_store *dir, const char *path,
                                       struct store_tag *out);

/* Requests, answered with store_done. PUTs go as a group, on the pool's threads where there are. */
void dir_read(struct dir_store *dir, struct store_req *req); /* GET, HEAD */
void dir_list(struct dir_store *dir, struct store_req *req);
void dir_delete(struct dir_store *dir, struct store_req *req);
void dir_put_group(struct dir_store *dir, struct store_req **reqs, size_t count);

/* What opening does: the directories of our own, what the file system can do, old leftovers. */
HIF_MUST_USE enum hif_err dir_prepare(struct dir_store *dir, bool create, struct hif_why *why);

#endif
