#include "cli/daemon/netns.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "cli/supervisor/hold.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <unistd.h>

#define HELD_NAME "netns:"

/* --- threads inside --- */

struct visit {
        int netns; /* -1: a new one */
        void (*run)(void *arg);
        void *arg;
        enum hif_err err;
};

/* The thread ends inside: no other ever sees that namespace by accident. */
static void *visit(void *arg)
{
        struct visit *v = arg;

        if (v->netns >= 0 ? setns(v->netns, CLONE_NEWNET) != 0 : unshare(CLONE_NEWNET) != 0)
                v->err = hif_err_from_errno(errno);
        else
                v->run(v->arg);
        return NULL;
}

static enum hif_err send_in(struct visit *v)
{
        pthread_t thread;

        if (pthread_create(&thread, NULL, visit, v) != 0)
                return HIF_ENOMEM;
        pthread_join(thread, NULL);
        return v->err;
}

enum hif_err netns_run(int netns, void (*run)(void *arg), void *arg)
{
        struct visit v = {.netns = netns, .run = run, .arg = arg};

        if (netns >= 0)
                return send_in(&v);
        run(arg);
        return HIF_OK;
}

/* --- making one --- */

static char *path_of(const struct daemon *daemon)
{
        char *path;

        return asprintf(&path, "%s/netns", daemon->cli->paths.state_dir) < 0 ? NULL : path;
}

struct making {
        const char *path;
        int fd;
        enum hif_err err;
        const char *what; /* failed */
};

static bool raise_loopback(void)
{
        struct ifreq loopback = {.ifr_name = "lo", .ifr_flags = IFF_UP};
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        bool up = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &loopback) == 0;

        if (fd >= 0)
                close(fd);
        return up;
}

/* Inside: raise the loopback device, and give the namespace a file, by which it is found again when
 * neither server nor supervisor are left. */
static void furnish(void *arg)
{
        static const char self[] = "/proc/thread-self/ns/net";
        struct making *making = arg;
        int file;

        making->what = "its loopback device cannot be raised";
        if (!raise_loopback()) {
                making->err = hif_err_from_errno(errno);
                return;
        }
        making->what = "it cannot be opened";
        making->fd = open(self, O_RDONLY | O_CLOEXEC);
        if (making->fd < 0) {
                making->err = hif_err_from_errno(errno);
                return;
        }
        making->what = "it cannot be kept as a file";
        file = open(making->path, O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (file < 0 || mount(self, making->path, NULL, MS_BIND, NULL) != 0) {
                making->err = hif_err_from_errno(errno);
                close(making->fd);
        }
        if (file >= 0)
                close(file);
}

static enum hif_err make(const struct daemon *daemon, const char *path, int *out,
                         struct hif_why *why)
{
        struct making making = {.path = path, .fd = -1};
        struct visit v = {.netns = -1, .run = furnish, .arg = &making};
        enum hif_err err = send_in(&v);

        if (err != HIF_OK)
                return why_set(why, err, "no network namespace can be made: %s", hif_strerror(err));
        if (making.err != HIF_OK)
                return why_set(why, making.err, "of a new network namespace %s: %s", making.what,
                               hif_strerror(making.err));
        log_line(daemon->cli->env.log, LOG_INFO, "daemon",
                 "NFS mounts get a network namespace of their own ('%s')", path);
        *out = making.fd;
        return HIF_OK;
}

/* What a daemon before this one has made. */
static bool find(const struct daemon *daemon, const char *path, int *out)
{
        struct statfs fs;
        int fd;

        if (hold_take(daemon->hold, HELD_NAME, out, NULL) == HIF_OK)
                return true;
        fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return false;
        if (fstatfs(fd, &fs) != 0 || fs.f_type != NSFS_MAGIC) {
                close(fd); /* the file that it was mounted on, before a reboot */
                return false;
        }
        *out = fd;
        return true;
}

static enum hif_err find_or_make(struct daemon *daemon, struct hif_why *why)
{
        AUTO_FREE char *path = path_of(daemon);
        enum hif_err err;

        if (path == NULL)
                return HIF_ENOMEM;
        if (!find(daemon, path, &daemon->netns.fd)) {
                err = make(daemon, path, &daemon->netns.fd, why);
                if (err != HIF_OK)
                        return err;
        }
        err = hold_put(daemon->hold, HELD_NAME, daemon->netns.fd, (struct span){0});
        if (err != HIF_OK) /* the file is there */
                log_line(daemon->cli->env.log, LOG_WARN, "daemon",
                         "the network namespace cannot be held: %s", hif_strerror(err));
        return HIF_OK;
}

/* --- users --- */

enum hif_err netns_enter(struct daemon *daemon, int *out, struct hif_why *why)
{
        struct netns *netns = &daemon->netns;
        enum hif_err err = HIF_OK;

        if (geteuid() != 0)
                return why_set(why, HIF_EPERM, "only root may make one");
        pthread_mutex_lock(&netns->lock);
        if (netns->users == 0)
                err = find_or_make(daemon, why);
        if (err == HIF_OK) {
                netns->users++;
                *out = netns->fd;
        }
        pthread_mutex_unlock(&netns->lock);
        return err;
}

void netns_leave(struct daemon *daemon)
{
        AUTO_FREE char *path = path_of(daemon);
        struct netns *netns = &daemon->netns;

        pthread_mutex_lock(&netns->lock);
        if (--netns->users == 0) {
                close(netns->fd);
                (void)!hold_drop(daemon->hold, HELD_NAME); /* a supervisor may be new */
                if (path != NULL &&
                    (umount2(path, UMOUNT_NOFOLLOW | MNT_DETACH) != 0 || unlink(path) != 0))
                        log_line(daemon->cli->env.log, LOG_WARN, "daemon",
                                 "'%s', the network namespace's file, could not be removed: %s",
                                 path, strerror(errno));
        }
        pthread_mutex_unlock(&netns->lock);
}

void netns_close(struct daemon *daemon)
{
        if (daemon->netns.users > 0)
                close(daemon->netns.fd);
        pthread_mutex_destroy(&daemon->netns.lock);
}
