/* helper_run.c - what a child of the supervisor does for the server: mounting and unmounting. It may
 * hang in the kernel. Nothing that it is told is taken for true before it was looked at here. */
#include "base/cleanup.h"
#include "cli/mounts.h"
#include "cli/supervisor/helper.h"
#include "core/key.h"
#include "fuse/fuse_server.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

/* One client, this machine's kernel, and it is told of every change from elsewhere: attributes may
 * be kept for long. Locks are local to the one client. hard: a daemon that restarts is a pause, not
 * an error. */
#define NFS_OPTIONS                                                                                \
        "vers=3,proto=tcp,mountproto=tcp,nolock,noacl,hard,actimeo=600,timeo=600,retrans=2,"       \
        "rsize=1048576,wsize=1048576,sec=sys,addr=127.0.0.1,mountaddr=127.0.0.1"

/* --- the place --- */

#define PLACE_MAX 32

/* A directory that is where its path says, and empty. It is mounted on by descriptor: what was looked
 * at is what is mounted on. */
struct place {
        int fd;
        char path[PLACE_MAX];
};

static enum hif_err look_empty(const struct place *place, const char *path, struct hif_why *why)
{
        DIR *dir = opendir(place->path);
        const struct dirent *entry;
        bool empty = true;

        if (dir == NULL)
                return why_set(why, hif_err_from_errno(errno), "'%s' cannot be looked at: %s", path,
                               strerror(errno));
        while (empty && (entry = readdir(dir)) != NULL)
                empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
        closedir(dir);
        return empty ? HIF_OK
                     : why_set(why, HIF_ENOTEMPTY,
                               "'%s' is not empty, and a mount would hide what is in it; empty it, "
                               "or mount elsewhere",
                               path);
}

static enum hif_err place_open(struct place *place, const char *path, struct hif_why *why)
{
        char real[PATH_MAX];
        enum hif_err err = HIF_OK;
        ssize_t size;

        place->fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (place->fd < 0)
                return why_set(why, hif_err_from_errno(errno), "'%s' cannot be mounted on: %s",
                               path, strerror(errno));
        snprintf(place->path, sizeof(place->path), "/proc/self/fd/%d", place->fd);
        size = readlink(place->path, real, sizeof(real) - 1);
        real[size > 0 ? size : 0] = '\0';
        if (strcmp(real, path) != 0)
                err = why_set(why, HIF_EINVAL,
                              "'%s' leads through symbolic links, or has just been moved; name the "
                              "directory itself",
                              path);
        if (err == HIF_OK)
                err = look_empty(place, path, why);
        if (err != HIF_OK)
                close(place->fd);
        return err;
}

/* --- mounting --- */

static enum hif_err mount_nfs(const char *state_dir, const struct help_request *request,
                              struct hif_why *why)
{
        unsigned long flags = MS_NOSUID | MS_NODEV | (request->read_only ? MS_RDONLY : 0);
        char source[64], options[512];
        struct place place;
        enum hif_err err = place_open(&place, request->mount_point, why);
        int at;

        if (err != HIF_OK)
                return err;
        at = snprintf(source, sizeof(source), "127.0.0.1:/s-");
        for (size_t i = 0; i < HELP_KEY_SIZE; i++)
                at += snprintf(source + at, 3, "%02x", request->key[i]);
        snprintf(options, sizeof(options), "%s,port=%u,mountport=%u", NFS_OPTIONS, request->port,
                 request->port);
        /* The kernel's client connects from the namespace that its caller is in. */
        if (request->isolated)
                err = helper_netns_enter(state_dir, why);
        if (err == HIF_OK && mount(source, place.path, "nfs", flags, options) != 0)
                err = why_set(why, hif_err_from_errno(errno),
                              "the kernel's NFS client could not mount '%s': %s; try `hif mount "
                              "--fuse`",
                              request->mount_point, strerror(errno));
        close(place.fd);
        return err;
}

/* Of a name that a project can have: it stands in the kernel's list of mounts. */
static bool is_project(const char *name)
{
        const char *slash = strchr(name, '/');

        return slash != NULL && name_valid(span_of(name, (size_t)(slash - name))) &&
               name_valid(span_str(slash + 1));
}

static enum hif_err mount_fuse(const struct help_request *request, int *fd, struct hif_why *why)
{
        AUTO_FREE char *name = NULL;
        struct fuse_server_config config = {.mount_point = request->mount_point,
                                            .allow_other = request->allow_other,
                                            .read_only = request->read_only};
        struct place place;
        enum hif_err err;

        if (!is_project(request->name))
                return why_set(why, HIF_EINVAL, "a mount of no project was asked for");
        if (asprintf(&name, "hif:%s", request->name) < 0) {
                name = NULL;
                return HIF_ENOMEM;
        }
        config.name = name;
        if (geteuid() != 0) /* fusermount3 looks at it with its own eyes */
                return fuse_mount_here(&config, NULL, fd, why);
        err = place_open(&place, request->mount_point, why);
        if (err != HIF_OK)
                return err;
        err = fuse_mount_here(&config, place.path, fd, why);
        close(place.fd);
        return err;
}

/* Without options it cannot succeed, but it loads the module where there is one. */
static enum hif_err nfs_client(struct hif_why *why)
{
        if (geteuid() != 0)
                return why_set(why, HIF_EPERM, "only root may mount NFS");
        if (mount("none", "/", "nfs", 0, NULL) != 0 && errno == ENODEV)
                return why_set(why, HIF_ENOTSUP, "this kernel has no NFS client");
        return HIF_OK;
}

/* --- unmounting --- */

struct top {
        const char *path;
        bool there, ours;
};

static bool look_at(void *arg, const struct mount *mount)
{
        struct top *top = arg;

        if (strcmp(mount->path, top->path) == 0) {
                top->there = true;
                top->ours = mount->ours; /* the last one lies on top */
        }
        return true;
}

/* Both in one: calls that wait for the server end with EIO, and whoever made them finds nothing at the
 * path that he could wait for next. */
static int force(const char *mount_point)
{
        return umount2(mount_point, MNT_FORCE | MNT_DETACH | UMOUNT_NOFOLLOW);
}

static enum hif_err unmount_as_root(const char *mount_point, enum help_op how)
{
        int result = how == HELP_UNMOUNT  ? umount2(mount_point, UMOUNT_NOFOLLOW)
                     : how == HELP_DETACH ? umount2(mount_point, UMOUNT_NOFOLLOW | MNT_DETACH)
                                          : force(mount_point);

        /* Someone may have unmounted it already. */
        return result == 0 || errno == EINVAL || errno == ENOENT ? HIF_OK
                                                                 : hif_err_from_errno(errno);
}

enum hif_err helper_unmount(const char *mount_point, enum help_op how, struct hif_why *why)
{
        struct env env = env_system(NULL);
        struct top top = {.path = mount_point};
        enum hif_err err = mounts_each(&env, look_at, &top);

        if (err != HIF_OK)
                return why_set(why, err, "the kernel's list of mounts could not be read: %s",
                               hif_strerror(err));
        if (!top.there)
                return HIF_OK;
        if (!top.ours)
                return why_set(why, HIF_EBUSY,
                               "what is mounted at '%s' is not hif's; unmount that first",
                               mount_point);
        if (geteuid() == 0)
                err = unmount_as_root(mount_point, how);
        else
                err = fuse_unmount_here(mount_point, how != HELP_UNMOUNT) ? HIF_OK : HIF_EBUSY;
        return err == HIF_OK
                   ? HIF_OK
                   : why_set(why, err,
                             "'%s' could not be unmounted: %s; leave it (`lsof +f -- %s` shows who "
                             "uses it), or use --force",
                             mount_point, hif_strerror(err), mount_point);
}

/* --- all of it --- */

static bool is_absolute(const char *path)
{
        return path[0] == '/' && path[1] != '\0' && strlen(path) < PATH_MAX;
}

static bool has_place(enum help_op op)
{
        return op == HELP_MOUNT_NFS || op == HELP_MOUNT_FUSE || op == HELP_UNMOUNT ||
               op == HELP_UNMOUNT_FORCE || op == HELP_DETACH;
}

enum hif_err helper_run(const char *state_dir, const struct help_request *request, int *fd,
                        struct hif_why *why)
{
        if (has_place(request->op) && !is_absolute(request->mount_point))
                return why_set(why, HIF_EINVAL, "'%s' is no absolute path", request->mount_point);
        switch (request->op) {
        case HELP_MOUNT_NFS:
                return mount_nfs(state_dir, request, why);
        case HELP_MOUNT_FUSE:
                return mount_fuse(request, fd, why);
        case HELP_UNMOUNT:
        case HELP_UNMOUNT_FORCE:
        case HELP_DETACH:
                return helper_unmount(request->mount_point, request->op, why);
        case HELP_NFS_CLIENT:
                return nfs_client(why);
        case HELP_NETNS_MAKE:
        case HELP_NETNS_REMOVE:
        case HELP_LISTEN:
        case HELP_PEERS:
                return helper_netns(state_dir, request, fd, why);
        }
        return HIF_EUNSUPPORTED;
}
