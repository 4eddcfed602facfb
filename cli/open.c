/* Opening files of a tree that someone else may change meanwhile. */
#include "cli/import/import.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Component by component, where the kernel has no openat2 (before Linux 5.6, or seccomp). */
static int open_steps(int dir_fd, const char *path, int flags)
{
        char name[NAME_SIZE_MAX + 1];
        int at = dir_fd;

        for (;;) {
                size_t size = strcspn(path, "/");
                bool last = path[size] == '\0';
                int next, error;

                if (size > NAME_SIZE_MAX) {
                        next = -1;
                        errno = ENAMETOOLONG;
                } else {
                        memcpy(name, path, size);
                        name[size] = '\0';
                        next = openat(at, name,
                                      last ? flags : O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                }
                error = errno;
                if (at != dir_fd)
                        close(at);
                errno = error;
                if (next < 0 || last)
                        return next;
                at = next;
                path += size + 1;
        }
}

enum hif_err open_below(int dir_fd, const char *path, int flags, int *fd)
{
        struct open_how how = {.flags = (unsigned)(flags | O_CLOEXEC | O_NOFOLLOW),
                               .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
        int opened;

        if (!path[0])
                path = ".";
        do
                opened = (int)syscall(SYS_openat2, dir_fd, path, &how, sizeof(how));
        while (opened < 0 && (errno == EAGAIN || errno == EINTR)); /* a rename went on meanwhile */
        if (opened < 0 && (errno == ENOSYS || errno == EPERM))
                opened = open_steps(dir_fd, path, flags | O_CLOEXEC | O_NOFOLLOW);
        if (opened < 0)
                return hif_err_from_errno(errno);
        *fd = opened;
        return HIF_OK;
}
