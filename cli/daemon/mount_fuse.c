/* mount_fuse.c - unmounting a FUSE mount, so that "busy" is seen before the server goes. */
#include "cli/daemon/helper.h"
#include "cli/daemon/workspace_impl.h"

#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* fusermount3 with these flags, for who may not umount(2); through the helper, where there is one. */
static enum hif_err run_fusermount(struct helper *helper, const char *flags,
                                   const char *mount_point, struct hif_why *why)
{
        char *argv[] = {"fusermount3", (char *)(uintptr_t)flags, "--",
                        (char *)(uintptr_t)mount_point, NULL};
        int status = 0;
        pid_t pid;

        if (helper != NULL)
                return helper_unmount(helper, mount_point, strcmp(flags, "-uz") == 0);
        if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ) != 0)
                return why_set(why, HIF_ENOTSUP,
                               "fusermount3 is missing; install the package fuse3");
        if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
                return HIF_EBUSY;
        return HIF_OK;
}

static enum hif_err not_unmounted(const char *mount_point, enum hif_err err, struct hif_why *why)
{
        return why_set(why, err,
                       "'%s' could not be unmounted: %s; leave it (`lsof +f -- %s` shows who uses "
                       "it), or use --force",
                       mount_point, hif_strerror(err), mount_point);
}

enum hif_err unmount_fuse(struct helper *helper, const char *mount_point, struct hif_why *why)
{
        enum hif_err err;

        if (umount2(mount_point, UMOUNT_NOFOLLOW) == 0 || errno == EINVAL || errno == ENOENT)
                return HIF_OK;
        err = hif_err_from_errno(errno);
        if (err == HIF_EPERM)
                err = run_fusermount(helper, "-u", mount_point, why);
        return err == HIF_EBUSY ? not_unmounted(mount_point, err, why) : err;
}

enum hif_err detach_mount(struct helper *helper, const char *mount_point, struct hif_why *why)
{
        enum hif_err err;

        /* The first ends calls that wait for a server which is gone. */
        (void)!umount2(mount_point, MNT_FORCE | UMOUNT_NOFOLLOW);
        if (umount2(mount_point, MNT_DETACH | UMOUNT_NOFOLLOW) == 0 || errno == EINVAL)
                return HIF_OK;
        err = hif_err_from_errno(errno);
        if (err == HIF_EPERM)
                err = run_fusermount(helper, "-uz", mount_point, why);
        return err == HIF_OK ? HIF_OK : not_unmounted(mount_point, err, why);
}
