/* mount_fuse.c - unmounting a FUSE mount, so that "busy" is seen before the server goes. */
#include "cli/workspace_impl.h"

#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum hif_err unmount_fuse(const char *mount_point, struct hif_why *why)
{
        char *argv[] = {"fusermount3", "-u", "--", (char *)(uintptr_t)mount_point, NULL};
        int status = 0, error;
        pid_t pid;

        if (umount2(mount_point, UMOUNT_NOFOLLOW) == 0 || errno == EINVAL || errno == ENOENT)
                return HIF_OK;
        error = errno;
        if (error == EPERM) {
                if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ) != 0)
                        return why_set(why, HIF_ENOTSUP,
                                       "fusermount3 is missing; install the package fuse3");
                if (waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
                    WEXITSTATUS(status) == 0)
                        return HIF_OK;
                error = EBUSY;
        }
        return why_set(why, hif_err_from_errno(error),
                       "'%s' could not be unmounted: %s; leave it (`lsof +f -- %s` shows who uses "
                       "it), or use --force",
                       mount_point, strerror(error), mount_point);
}
