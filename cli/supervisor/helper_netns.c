/* helper_netns.c - the private network namespace (cli/daemon/netns.h): it is made, entered and taken
 * away by children of the supervisor alone, which find it by its file. */
#include "base/cleanup.h"
#include "cli/supervisor/helper.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <unistd.h>

#define OWN            "/proc/self/ns/net"
#define TABLE          "/proc/self/net/tcp"
#define LISTEN_BACKLOG 64

static char *path_of(const char *state_dir)
{
        char *path;

        return asprintf(&path, "%s/netns", state_dir) < 0 ? NULL : path;
}

/* False: none was made, or a reboot has left the file that it was mounted on. */
static bool find(const char *path, int *out)
{
        int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        struct statfs fs;

        if (fd < 0)
                return false;
        if (fstatfs(fd, &fs) != 0 || fs.f_type != NSFS_MAGIC) {
                close(fd);
                return false;
        }
        *out = fd;
        return true;
}

static bool raise_loopback(void)
{
        struct ifreq loopback = {.ifr_name = "lo", .ifr_flags = IFF_UP};
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        bool up = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &loopback) == 0;

        if (fd >= 0)
                close(fd);
        return up;
}

static enum hif_err failed(const char *what, struct hif_why *why)
{
        return why_set(why, hif_err_from_errno(errno), "%s: %s", what, strerror(errno));
}

/* With a loopback device, and a file by which it is found again whoever has died. */
static enum hif_err make(const char *path, struct hif_why *why)
{
        int fd;

        if (find(path, &fd)) {
                close(fd);
                return HIF_OK;
        }
        if (unshare(CLONE_NEWNET) != 0)
                return failed("no network namespace can be made", why);
        if (!raise_loopback())
                return failed("the loopback device of a new network namespace cannot be raised",
                              why);
        fd = open(path, O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return failed("a new network namespace cannot be kept as a file", why);
        close(fd);
        if (mount(OWN, path, NULL, MS_BIND, NULL) != 0)
                return failed("a new network namespace cannot be kept as a file", why);
        return HIF_OK;
}

static enum hif_err take_away(const char *path, struct hif_why *why)
{
        int fd;

        if (find(path, &fd)) {
                close(fd);
                if (umount2(path, UMOUNT_NOFOLLOW | MNT_DETACH) != 0)
                        return failed("the network namespace's file cannot be unmounted", why);
        }
        if (unlink(path) != 0 && errno != ENOENT)
                return failed("the network namespace's file cannot be removed", why);
        return HIF_OK;
}

enum hif_err helper_netns_enter(const char *state_dir, struct hif_why *why)
{
        AUTO_FREE char *path = path_of(state_dir);
        enum hif_err err = HIF_OK;
        int fd;

        if (path == NULL)
                return HIF_ENOMEM;
        if (!find(path, &fd))
                return why_set(why, HIF_ENOENT, "the network namespace '%s' is gone", path);
        if (setns(fd, CLONE_NEWNET) != 0)
                err = failed("the network namespace cannot be entered", why);
        close(fd);
        return err;
}

enum hif_err helper_listen(uint16_t port, int *out)
{
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons(port),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), yes = 1;

        if (fd < 0)
                return hif_err_from_errno(errno);
        if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) != 0 ||
            bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
            listen(fd, LISTEN_BACKLOG) != 0) {
                enum hif_err err = hif_err_from_errno(errno);

                close(fd);
                return err;
        }
        *out = fd;
        return HIF_OK;
}

static enum hif_err open_inside(const char *state_dir, const struct help_request *request, int *fd,
                                struct hif_why *why)
{
        enum hif_err err = helper_netns_enter(state_dir, why);

        if (err != HIF_OK)
                return err;
        if (request->op == HELP_LISTEN) {
                err = helper_listen(request->port, fd);
                return err == HIF_OK ? HIF_OK
                                     : why_set(why, err, "port %u cannot be listened on: %s",
                                               request->port, hif_strerror(err));
        }
        *fd = open(TABLE, O_RDONLY | O_CLOEXEC);
        return *fd >= 0 ? HIF_OK : failed(TABLE " cannot be read", why);
}

enum hif_err helper_netns(const char *state_dir, const struct help_request *request, int *fd,
                          struct hif_why *why)
{
        AUTO_FREE char *path = path_of(state_dir);

        if (path == NULL)
                return HIF_ENOMEM;
        if (geteuid() != 0)
                return why_set(why, HIF_EPERM, "only root may make one");
        if (request->op == HELP_NETNS_MAKE)
                return make(path, why);
        if (request->op == HELP_NETNS_REMOVE)
                return take_away(path, why);
        return open_inside(state_dir, request, fd, why);
}
