/* The calls of a simulated env that take a path. */
#include "base/simmachine.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* Where a path leads: the last name of it, in dir, and what is there (NULL: nothing). The root is
 * the empty name. */
struct spot {
        struct sim_inode *dir, *inode;
        char name[SIM_NAME_MAX + 1];
};

/* `through`, unless NULL, is a directory that may not be on the way (HIF_EINVAL). */
static enum hif_err find(struct simenv *sim, const char *path, const struct sim_inode *through,
                         struct spot *out)
{
        struct spot spot = {.inode = sim->disk.root};

        assert(path[0] == '/');
        for (;;) {
                size_t size;

                path += strspn(path, "/");
                size = strcspn(path, "/");
                if (size == 0)
                        break;
                if (size > SIM_NAME_MAX)
                        return HIF_ENAMETOOLONG;
                if (strncmp(path, "..", size) == 0) /* also ".": no code of ours makes such paths */
                        return HIF_EINVAL;
                if (!spot.inode)
                        return HIF_ENOENT;
                if (!inode_is_dir(spot.inode))
                        return HIF_ENOTDIR;
                if (spot.inode == through)
                        return HIF_EINVAL;
                spot.dir = spot.inode;
                spot.inode = dir_find(spot.dir, path, size);
                memcpy(spot.name, path, size);
                spot.name[size] = '\0';
                path += size;
        }
        *out = spot;
        return HIF_OK;
}

static enum hif_err begin(struct simenv *sim, const char *path, struct spot *out)
{
        enum hif_err err = sim_call(sim);

        return err ? err : find(sim, path, NULL, out);
}

/* As begin(), for something that has to be there. */
static enum hif_err begin_existing(struct simenv *sim, const char *path, struct spot *out)
{
        struct spot spot;
        enum hif_err err = begin(sim, path, &spot);

        if (err)
                return err;
        if (!spot.inode)
                return HIF_ENOENT;
        *out = spot;
        return HIF_OK;
}

static struct sim_change change_to(struct spot *spot, struct sim_inode *after)
{
        return (struct sim_change){.dir = spot->dir, .name = spot->name, .after = after};
}

static void touch_dir(struct simenv *sim, struct sim_inode *dir)
{
        dir->mtime_ns = dir->ctime_ns = sim_wall_ns(sim);
}

/* One change at spot: `after` (NULL: nothing) is there from now on. */
static enum hif_err change_one(struct simenv *sim, struct spot *spot, struct sim_inode *after)
{
        struct sim_change change = change_to(spot, after);
        enum hif_err err = disk_change(&sim->disk, &change, 1);

        if (!err)
                touch_dir(sim, spot->dir);
        return err;
}

static enum hif_err create(struct simenv *sim, struct spot *spot, mode_t mode)
{
        struct sim_inode *inode = inode_new(&sim->disk, mode, sim_wall_ns(sim));
        enum hif_err err;

        if (!inode)
                return HIF_ENOMEM;
        err = change_one(sim, spot, inode);
        if (!err)
                spot->inode = inode;
        inode_unref(&sim->disk, inode); /* its name holds it, if it got one */
        return err;
}

static enum hif_err open_existing(struct simenv *sim, const struct spot *spot, int flags)
{
        bool writes = (flags & O_ACCMODE) != O_RDONLY;

        if ((flags & O_CREAT) && (flags & O_EXCL))
                return HIF_EEXIST;
        if (inode_is_dir(spot->inode))
                return writes || (flags & O_CREAT) ? HIF_EISDIR : HIF_OK;
        if (flags & O_DIRECTORY)
                return HIF_ENOTDIR;
        if (!(flags & O_TRUNC))
                return HIF_OK;
        spot->inode->mtime_ns = spot->inode->ctime_ns = sim_wall_ns(sim);
        return file_truncate(&sim->disk, spot->inode, 0);
}

static enum hif_err op_open(struct env *env, const char *path, int flags, mode_t mode, int *fd)
{
        SIM(env);
        struct spot spot;
        enum hif_err err = begin(sim, path, &spot);

        if (err)
                return err;
        if ((flags & O_TMPFILE) == O_TMPFILE || (flags & O_APPEND))
                return HIF_ENOTSUP;
        if (spot.inode)
                err = open_existing(sim, &spot, flags);
        else if (flags & O_CREAT)
                err = create(sim, &spot, S_IFREG | (mode & 07777));
        else
                err = HIF_ENOENT;
        return err ? err : sim_fd_open(sim, spot.inode, flags, fd);
}

static enum hif_err op_stat(struct env *env, const char *path, struct stat *out)
{
        SIM(env);
        struct spot spot;
        enum hif_err err = begin_existing(sim, path, &spot);

        if (!err)
                sim_stat(spot.inode, out);
        return err;
}

static enum hif_err op_mkdir(struct env *env, const char *path, mode_t mode)
{
        SIM(env);
        struct spot spot;
        enum hif_err err = begin(sim, path, &spot);

        if (err)
                return err;
        if (spot.inode)
                return HIF_EEXIST;
        return create(sim, &spot, S_IFDIR | (mode & 07777));
}

static enum hif_err op_rmdir(struct env *env, const char *path)
{
        SIM(env);
        struct spot spot;
        enum hif_err err = begin_existing(sim, path, &spot);

        if (err)
                return err;
        if (!inode_is_dir(spot.inode))
                return HIF_ENOTDIR;
        if (!spot.dir)
                return HIF_EBUSY;
        if (spot.inode->names.count)
                return HIF_ENOTEMPTY;
        return change_one(sim, &spot, NULL);
}

static enum hif_err op_unlink(struct env *env, const char *path)
{
        SIM(env);
        struct spot spot;
        enum hif_err err = begin_existing(sim, path, &spot);

        if (err)
                return err;
        if (inode_is_dir(spot.inode))
                return HIF_EISDIR;
        return change_one(sim, &spot, NULL);
}

static enum hif_err op_link(struct env *env, const char *from, const char *to)
{
        SIM(env);
        struct spot source, target;
        enum hif_err err = begin_existing(sim, from, &source);

        if (err)
                return err;
        err = find(sim, to, NULL, &target);
        if (err)
                return err;
        if (target.inode)
                return HIF_EEXIST;
        if (inode_is_dir(source.inode))
                return HIF_EPERM;
        return change_one(sim, &target, source.inode);
}

static enum hif_err check_replace(const struct spot *source, const struct spot *target)
{
        if (!source->dir || !target->dir)
                return HIF_EBUSY;
        if (!target->inode)
                return HIF_OK;
        if (inode_is_dir(target->inode)) {
                if (!inode_is_dir(source->inode))
                        return HIF_EISDIR;
                return target->inode->names.count ? HIF_ENOTEMPTY : HIF_OK;
        }
        return inode_is_dir(source->inode) ? HIF_ENOTDIR : HIF_OK;
}

static enum hif_err rename_to(struct env *env, const char *from, const char *to, bool replace)
{
        SIM(env);
        struct spot source, target;
        struct sim_change changes[2];
        enum hif_err err = begin_existing(sim, from, &source);

        if (err)
                return err;
        err = find(sim, to, source.inode, &target);
        if (err)
                return err;
        if (target.inode && !replace)
                return HIF_EEXIST;
        if (target.inode == source.inode)
                return HIF_OK;
        err = check_replace(&source, &target);
        if (err)
                return err;
        changes[0] = change_to(&source, NULL);
        changes[1] = change_to(&target, source.inode);
        err = disk_change(&sim->disk, changes, 2);
        if (err)
                return err;
        touch_dir(sim, source.dir);
        touch_dir(sim, target.dir);
        return HIF_OK;
}

static enum hif_err op_rename(struct env *env, const char *from, const char *to)
{
        return rename_to(env, from, to, true);
}

static enum hif_err op_rename_noreplace(struct env *env, const char *from, const char *to)
{
        return rename_to(env, from, to, false);
}

struct listing {
        char **names;
        size_t count;
};

static void listing_free(struct listing *listing)
{
        for (size_t i = 0; i < listing->count; i++)
                free(listing->names[i]);
        free(listing->names);
}

static enum hif_err list_names(struct simenv *sim, const char *path, struct listing *out)
{
        struct spot spot;
        enum hif_err err = begin_existing(sim, path, &spot);
        uint64_t hash;
        void *value;

        if (err)
                return err;
        if (!inode_is_dir(spot.inode))
                return HIF_ENOTDIR;
        out->names = calloc(spot.inode->names.count + 1, sizeof(*out->names));
        if (!out->names)
                return HIF_ENOMEM;
        for (size_t i = 0; map_next(&spot.inode->names, &i, &hash, &value);) {
                char *copy = strdup(((const struct sim_name *)value)->text);

                if (!copy)
                        return HIF_ENOMEM;
                out->names[out->count++] = copy;
        }
        return HIF_OK;
}

/* Names are copied first, so that `each` may call the env. */
static enum hif_err op_list(struct env *env, const char *path,
                            bool (*each)(void *arg, const char *name), void *arg)
{
        CLEANUP(listing_free) struct listing listing = {0};
        enum hif_err err;
        {
                SIM(env);
                err = list_names(sim, path, &listing);
        }
        for (size_t i = 0; !err && i < listing.count; i++) {
                if (!each(arg, listing.names[i]))
                        break;
        }
        return err;
}

static enum hif_err op_space(struct env *env, const char *path, uint64_t *free_bytes,
                             uint64_t *total_bytes)
{
        SIM(env);
        struct spot spot;
        enum hif_err err = begin_existing(sim, path, &spot);

        if (err)
                return err;
        *total_bytes = sim->disk.capacity;
        *free_bytes = sim->disk.used < sim->disk.capacity ? sim->disk.capacity - sim->disk.used : 0;
        return HIF_OK;
}

void sim_path_ops(struct env_ops *ops)
{
        ops->open = op_open;
        ops->stat = op_stat;
        ops->mkdir = op_mkdir;
        ops->rmdir = op_rmdir;
        ops->unlink = op_unlink;
        ops->link = op_link;
        ops->rename = op_rename;
        ops->rename_noreplace = op_rename_noreplace;
        ops->list = op_list;
        ops->space = op_space;
}
