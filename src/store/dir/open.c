/* Opening a directory store: is it there, can it be written, can it keep the contract. */
#include "store/dir/impl.h"

#include "base/buf.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLEAN_MAX 10000 /* leftovers that one opening looks at */

static bool dir_exists(struct dir_store *dir, const char *key)
{
        struct env *env = dir->store.env;
        AUTO_FREE char *path = dir_path(dir, key);
        struct stat st;

        return path && !env->ops->stat(env, path, &st);
}

bool dir_is_store(struct dir_store *dir)
{
        return dir_exists(dir, ".hif") || dir_exists(dir, "projects");
}

static enum hif_err make_root(struct dir_store *dir, struct hif_why *why)
{
        struct env *env = dir->store.env;
        enum hif_err err = env_mkdirs(env, dir->root, DIR_DIR_MODE);

        if (err)
                return why_set(why, err,
                               "cannot create the store directory %s: %s; choose a path that you "
                               "may write to",
                               dir->root, hif_strerror(err));
        err = env_sync_above(env, dir->root);
        if (err)
                return why_set(why, err,
                               "cannot sync the directories that hold %s: %s; choose "
                               "another place for the store",
                               dir->root, hif_strerror(err));
        return HIF_OK;
}

/* A directory that nobody made a store of is most likely a mistyped path: leave it alone. (.hif is
 * made once the root's name is durable.) */
static enum hif_err check_root(struct dir_store *dir, bool create, struct hif_why *why)
{
        struct env *env = dir->store.env;
        enum hif_err err;
        int fd;

        err = env->ops->open(env, dir->root, O_RDONLY | O_DIRECTORY, 0, &fd);
        if (!err)
                env->ops->close(env, fd);
        if (err == HIF_ENOTDIR)
                return why_set(why, err,
                               "the store %s is not a directory; name the directory that holds the "
                               "projects",
                               dir->root);
        if (create && (err == HIF_OK || err == HIF_ENOENT))
                return make_root(dir, why);
        if (err == HIF_ENOENT)
                return why_set(why, err,
                               "there is no store at %s; check the path, or create a project there "
                               "(hif project create ORG/NAME --store %s)",
                               dir->root, dir->url);
        if (err)
                return why_set(why, err, "cannot open the store directory %s: %s; %s", dir->root,
                               hif_strerror(err),
                               err == HIF_ELIMIT ? "too many files are open: raise `ulimit -n`"
                                                 : "check its permissions");
        if (!dir_is_store(dir))
                return why_set(why, HIF_ENOENT,
                               "the directory %s is no store; check the path, or create a project "
                               "there (hif project create ORG/NAME --store %s)",
                               dir->root, dir->url);
        return HIF_OK;
}

static enum hif_err make_own(struct dir_store *dir, struct hif_why *why)
{
        struct env *env = dir->store.env;
        static const char *const keys[] = {".hif", ".hif/tmp", ".hif/locks"};

        for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
                AUTO_FREE char *path = dir_path(dir, keys[i]);
                enum hif_err err = path ? env->ops->mkdir(env, path, DIR_DIR_MODE) : HIF_ENOMEM;

                if (err && err != HIF_EEXIST)
                        return why_set(why, err,
                                       "cannot write in the store directory %s: %s; check its "
                                       "permissions and how it is mounted, or choose another store",
                                       dir->root, hif_strerror(err));
        }
        return HIF_OK;
}

static enum hif_err make_empty(struct env *env, const char *path)
{
        int fd;
        enum hif_err err =
            env->ops->open(env, path, O_WRONLY | O_CREAT | O_EXCL, DIR_FILE_MODE, &fd);

        if (!err)
                env->ops->close(env, fd);
        return err;
}

/* A second link counts as one, and does not replace. */
static bool links_work(struct env *env, const char *from, const char *to)
{
        struct stat st;

        return !env->ops->link(env, from, to) && !env->ops->stat(env, from, &st) &&
               st.st_nlink == 2 && env->ops->link(env, from, to) == HIF_EEXIST;
}

static bool renames_work(struct env *env, const char *from, const char *to)
{
        return !env->ops->rename_noreplace(env, from, to) && !make_empty(env, from) &&
               env->ops->rename_noreplace(env, from, to) == HIF_EEXIST;
}

/* Nothing can be written there now, and that is the writer's to hear. */
static bool only_read(enum hif_err err)
{
        return hif_err_is_full(err) || err == HIF_EROFS;
}

/* On a disk so full that it has no room for a name, or that is read-only, reading must go on: suppose
 * links. */
static enum hif_err probe_names(struct dir_store *dir, struct hif_why *why)
{
        struct env *env = dir->store.env;
        AUTO_FREE char *from = dir_temp_path(dir);
        AUTO_FREE char *to = dir_temp_path(dir);
        enum hif_err err = from && to ? make_empty(env, from) : HIF_ENOMEM;
        bool renames = false;

        dir->can_link = true;
        if (only_read(err))
                return HIF_OK;
        if (err)
                return why_set(why, err,
                               "cannot create files in the store directory %s: %s; check the "
                               "permissions of what is in %s/.hif",
                               dir->root, hif_strerror(err), dir->root);
        dir->can_link = links_work(env, from, to);
        if (!dir->can_link) {
                (void)env->ops->unlink(env, to); /* most likely it is not there */
                renames = renames_work(env, from, to);
        }
        (void)env->ops->unlink(env, from); /* else they go when they are old */
        (void)env->ops->unlink(env, to);
        if (dir->can_link || renames)
                return HIF_OK;
        return why_set(why, HIF_ENOTSUP,
                       "the file system of %s has neither hard links nor a rename that does not "
                       "replace, so that two landings could overwrite each other; choose a "
                       "directory on another file system",
                       dir->root);
}

static enum hif_err probe_locks(struct dir_store *dir, struct hif_why *why)
{
        struct dir_lock lock;
        enum hif_err err = dir_lock(dir, "probe", &lock);

        if (!err)
                dir_unlock(dir, &lock);
        if (!err || only_read(err))
                return HIF_OK;
        return why_set(why, err,
                       "cannot lock files in the store directory %s: %s; choose a directory on a "
                       "file system with locks, or check the permissions of %s/.hif/locks",
                       dir->root, hif_strerror(err), dir->root);
}

/* --- leftovers --- */

struct leftovers {
        struct buf names; /* each with its NUL */
        size_t count;
};

static bool collect_leftover(void *arg, const char *name)
{
        struct leftovers *leftovers = arg;

        buf_put(&leftovers->names, name, strlen(name) + 1);
        return ++leftovers->count < CLEAN_MAX;
}

/* What a crash left behind is only litter: whatever fails here may fail. */
static void clean(struct dir_store *dir)
{
        struct env *env = dir->store.env;
        AUTO_FREE char *tmp = dir_path(dir, ".hif/tmp");
        struct leftovers leftovers = {0};
        uint64_t now_ns = env_wall_ns(env);
        const char *name;

        if (tmp && !env->ops->list(env, tmp, collect_leftover, &leftovers) &&
            !buf_failed(&leftovers.names)) {
                name = (const char *)leftovers.names.data;
                for (size_t i = 0; i < leftovers.count; i++, name += strlen(name) + 1) {
                        AUTO_FREE char *path = NULL;
                        struct stat st;

                        if (asprintf(&path, "%s/%s", tmp, name) < 0)
                                path = NULL;
                        if (path && !env->ops->stat(env, path, &st) && S_ISREG(st.st_mode) &&
                            st.st_mtim.tv_sec >= 0 &&
                            (uint64_t)st.st_mtim.tv_sec * 1000000000 + DIR_TEMP_AGE_NS < now_ns)
                                (void)env->ops->unlink(env, path);
                }
        }
        buf_free(&leftovers.names);
}

enum hif_err dir_prepare(struct dir_store *dir, bool create, struct hif_why *why)
{
        enum hif_err err = check_root(dir, create, why);

        if (!err)
                err = make_own(dir, why);
        if (!err)
                err = probe_names(dir, why);
        if (!err)
                err = probe_locks(dir, why);
        if (!err)
                clean(dir);
        return err;
}
