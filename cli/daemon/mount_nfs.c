/* mount_nfs.c - mount(2) with the kernel's own NFS client. */
#include "cli/daemon/workspace_impl.h"
#include "cli/import/import.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

/* One client, this machine's kernel, and it is told of every change from elsewhere: attributes may
 * be kept for long. Locks are local to the one client. hard: a daemon that restarts is a pause, not
 * an error. */
#define NFS_OPTIONS                                                                                \
        "vers=3,proto=tcp,mountproto=tcp,nolock,noacl,hard,actimeo=600,timeo=600,retrans=2,"       \
        "rsize=1048576,wsize=1048576,sec=sys,addr=127.0.0.1,mountaddr=127.0.0.1"

#define SOURCE_MAX (NFS_EXPORT_MAX + 16)

bool mount_nfs_available(struct hif_why *why)
{
        if (geteuid() != 0) {
                why_set(why, HIF_EPERM, "only root may mount NFS");
                return false;
        }
        /* Without options it cannot succeed, but it loads the module where there is one. */
        if (mount("none", "/", "nfs", 0, NULL) != 0 && errno == ENODEV) {
                why_set(why, HIF_ENOTSUP, "this kernel has no NFS client");
                return false;
        }
        return true;
}

void export_path_of(const struct workspace *workspace, char out[NFS_EXPORT_MAX])
{
        char hex[33];

        for (size_t i = 0; i < 16; i++)
                snprintf(hex + 2 * i, 3, "%02x", workspace->key[24 + i]);
        snprintf(out, NFS_EXPORT_MAX, "/s-%s", hex);
}

static void source_of(const char *export_path, char out[SOURCE_MAX])
{
        snprintf(out, SOURCE_MAX, "127.0.0.1:%s", export_path);
}

bool mount_nfs_is_there(const struct workspace *workspace)
{
        char export_path[NFS_EXPORT_MAX], source[SOURCE_MAX];
        bool there;

        export_path_of(workspace, export_path);
        source_of(export_path, source);
        return mounts_hold(&workspace->daemon->cli->env, source, workspace->mount_point, &there) !=
                   HIF_OK ||
               there;
}

struct mounting {
        const char *source, *mount_point, *options;
        unsigned long flags;
        int error; /* errno; 0: mounted */
};

static void do_mount(void *arg)
{
        struct mounting *m = arg;

        m->error = mount(m->source, m->mount_point, "nfs", m->flags, m->options) == 0 ? 0 : errno;
}

/* The kernel's client connects from the namespace that the calling thread is in. */
enum hif_err mount_nfs(const struct workspace *workspace, const char *export_path,
                       struct hif_why *why)
{
        char source[SOURCE_MAX], options[512];
        struct mounting m = {.source = source,
                             .mount_point = workspace->mount_point,
                             .options = options,
                             .flags =
                                 MS_NOSUID | MS_NODEV | (workspace->read_only ? MS_RDONLY : 0)};
        enum hif_err err;

        source_of(export_path, source);
        snprintf(options, sizeof(options), "%s,port=%u,mountport=%u", NFS_OPTIONS, workspace->port,
                 workspace->port);
        err = netns_run(workspace->netns, do_mount, &m);
        if (err == HIF_OK && m.error != 0)
                err = hif_err_from_errno(m.error);
        if (err == HIF_OK)
                return HIF_OK;
        return why_set(
            why, err, "the kernel's NFS client could not mount '%s': %s; try `hif mount --fuse`",
            workspace->mount_point, m.error != 0 ? strerror(m.error) : hif_strerror(err));
}

enum hif_err unmount_nfs(const char *mount_point, bool force, struct hif_why *why)
{
        int error;

        if (umount2(mount_point, UMOUNT_NOFOLLOW) == 0)
                return HIF_OK;
        error = errno;
        if (error == EINVAL || error == ENOENT)
                return HIF_OK; /* someone unmounted it already */
        if (!force)
                return why_set(
                    why, hif_err_from_errno(error),
                    "'%s' could not be unmounted: %s; leave it (`lsof +f -- %s` shows who "
                    "uses it), or use --force",
                    mount_point, strerror(error), mount_point);
        /* The first forced unmount ends calls that wait for us with EIO, a later one succeeds. */
        for (int i = 0; i < 3; i++)
                if (umount2(mount_point, MNT_FORCE | UMOUNT_NOFOLLOW) == 0)
                        return HIF_OK;
        if (umount2(mount_point, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
                return HIF_OK;
        return why_set(why, hif_err_from_errno(errno), "'%s' could not be detached: %s",
                       mount_point, strerror(errno));
}
