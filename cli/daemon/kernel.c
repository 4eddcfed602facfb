/* kernel.c - calls that go through the mount itself, and so come back to this daemon. They run in a
 * child process: if the mount hangs, the child does, and not a thread of the daemon. */
#include "cli/daemon/kernel.h"

#include "base/log.h"
#include "cli/daemon/call.h"
#include "cli/daemon/refresh.h"
#include "cli/daemon/workspace_impl.h"
#include "cli/daemon/workspace_place.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define REFRESH_TIMEOUT_MS 5000
#define REFRESHED_PER_MS   2 /* on top of that */
#define KILL_TIMEOUT_MS    1000
#define FILES_TO_CLOSE     65536 /* where close_range(2) is missing: Linux before 5.9 */

static int pidfd_open(pid_t pid)
{
        return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* Wait for the child; kill it at the timeout. A child that hangs in the kernel is left to init. */
static enum hif_err reap(pid_t pid, uint64_t timeout_ms)
{
        struct pollfd poll_fd = {.fd = pidfd_open(pid), .events = POLLIN};
        int status = 0, ready;

        if (poll_fd.fd < 0)
                return hif_err_from_errno(errno);
        do
                ready = poll(&poll_fd, 1, (int)timeout_ms);
        while (ready < 0 && errno == EINTR);
        if (ready == 0) {
                kill(pid, SIGKILL);
                (void)poll(&poll_fd, 1, KILL_TIMEOUT_MS);
                waitpid(pid, &status, WNOHANG);
                close(poll_fd.fd);
                return HIF_ETIMEDOUT;
        }
        close(poll_fd.fd);
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return HIF_EIO;
        return WIFEXITED(status) ? hif_err_from_errno(WEXITSTATUS(status)) : HIF_EIO;
}

/* Only async-signal-safe calls from here on: other threads' locks are frozen in the child. A child
 * that hangs must not hold what the next daemon needs: the lock of daemon.lock, the listening
 * sockets, the commands' connections. */
static void close_all(void)
{
        if (syscall(SYS_close_range, 3, ~0u, 0) == 0)
                return;
        for (int fd = 3; fd < FILES_TO_CLOSE; fd++)
                close(fd);
}

static void sync_child(const char *mount_point)
{
        int fd;

        close_all();
        fd = open(mount_point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        _exit(fd < 0 || syncfs(fd) != 0 ? errno : 0);
}

enum hif_err kernel_sync(const char *mount_point, uint64_t timeout_ms)
{
        pid_t pid = fork();

        if (pid < 0)
                return hif_err_from_errno(errno);
        if (pid == 0)
                sync_child(mount_point);
        return reap(pid, timeout_ms);
}

static void refresh_child(char *const *paths, size_t count)
{
        close_all();
        for (size_t i = 0; i < count; i++) {
                struct statx out;

                (void)!syscall(SYS_statx, AT_FDCWD, paths[i],
                               AT_STATX_FORCE_SYNC | AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &out);
        }
        _exit(0);
}

/* What a child is to look at: the directories, then the names in them. */
struct dir_path {
        uint64_t id;
        struct span path;
};

struct paths {
        const char *mount_point;
        struct dir_path *dirs;
        size_t dir_count, dir_max;
        char **items;
        size_t count, capacity;
        bool short_of_memory;
};

static void count_dir(void *arg, uint64_t id, struct span text)
{
        struct paths *paths = arg;

        (void)id, (void)text;
        paths->dir_max++;
        paths->capacity++;
}

static void count_name(void *arg, uint64_t id, struct span text)
{
        struct paths *paths = arg;

        (void)id, (void)text;
        paths->capacity++;
}

static void add_path(struct paths *paths, struct span dir, struct span name)
{
        const char *slash = dir.size > 0 && name.size > 0 ? "/" : "";

        if (paths->count < paths->capacity &&
            asprintf(&paths->items[paths->count], "%s/%.*s%s%.*s", paths->mount_point,
                     (int)dir.size, (const char *)dir.data, slash, (int)name.size,
                     (const char *)name.data) >= 0)
                paths->count++;
        else
                paths->short_of_memory = true;
}

static void add_dir(void *arg, uint64_t id, struct span path)
{
        struct paths *paths = arg;

        if (paths->dir_count < paths->dir_max)
                paths->dirs[paths->dir_count++] = (struct dir_path){id, path};
        add_path(paths, path, span_str(""));
}

static int compare_dirs(const void *a, const void *b)
{
        const struct dir_path *dir_a = a, *dir_b = b;

        return dir_a->id < dir_b->id ? -1 : dir_a->id > dir_b->id;
}

/* A directory that is gone took its names along. */
static void add_name(void *arg, uint64_t dir, struct span name)
{
        struct paths *paths = arg;
        const struct dir_path key = {.id = dir}, *found;

        found = bsearch(&key, paths->dirs, paths->dir_count, sizeof(key), compare_dirs);
        if (found != NULL)
                add_path(paths, found->path, name);
}

static enum hif_err list_paths(struct paths *paths, struct span list)
{
        enum hif_err err = refresh_each(list, count_dir, count_name, paths);

        if (err != HIF_OK)
                return err;
        paths->dirs = calloc(paths->dir_max + 1, sizeof(*paths->dirs));
        paths->items = calloc(paths->capacity + 1, sizeof(*paths->items));
        if (paths->dirs == NULL || paths->items == NULL)
                return HIF_ENOMEM;
        err = refresh_each(list, add_dir, NULL, paths);
        qsort(paths->dirs, paths->dir_count, sizeof(*paths->dirs), compare_dirs);
        if (err == HIF_OK)
                err = refresh_each(list, NULL, add_name, paths);
        return err == HIF_OK && paths->short_of_memory ? HIF_ENOMEM : err;
}

/* The names, too: a file that has changed is another one under the same name, and of that its
 * directory's times tell nothing. Asked for the old one's attributes, the kernel learns that it has no
 * link any more, and looks the name up again (RFC 1813 §3.3.1, nlink). */
static bool refresh_nfs(const struct workspace *workspace, struct span list)
{
        struct paths paths = {.mount_point = workspace->mount_point};
        enum hif_err err = list_paths(&paths, list);
        pid_t pid;

        if (err == HIF_OK && paths.count > 0) {
                pid = fork();
                if (pid == 0)
                        refresh_child(paths.items, paths.count);
                err = pid < 0 ? HIF_EAGAIN
                              : reap(pid, REFRESH_TIMEOUT_MS + paths.count / REFRESHED_PER_MS);
        }
        for (size_t i = 0; i < paths.count; i++)
                free(paths.items[i]);
        free(paths.items);
        free(paths.dirs);
        return err == HIF_OK;
}

/* One telling of a FUSE client. */
struct telling {
        struct fuse_told told; /* first */
        struct workspace *workspace;
        struct span list;
        bool all;
        pthread_mutex_t lock;
        pthread_cond_t cond;
        bool done;
};

static void on_told(struct fuse_told *told)
{
        struct telling *telling = (struct telling *)told;

        pthread_mutex_lock(&telling->lock);
        telling->done = true;
        pthread_cond_signal(&telling->cond);
        pthread_mutex_unlock(&telling->lock);
}

static void tell_node(void *arg, uint64_t id, struct span path)
{
        struct telling *telling = arg;

        (void)path;
        telling->all &= fuse_server_invalidate(telling->workspace->fuse, &id, 1);
}

static void tell_name(void *arg, uint64_t dir, struct span name)
{
        struct telling *telling = arg;
        const struct fuse_name item = {.dir = dir, .name = name};

        telling->all &= fuse_server_invalidate_names(telling->workspace->fuse, &item, 1);
}

static void tell(void *arg)
{
        struct telling *telling = arg;

        telling->all = true;
        if (refresh_each(telling->list, tell_node, tell_name, telling) != HIF_OK)
                telling->all = false;
        if (fuse_server_when_told(telling->workspace->fuse, &telling->told) != HIF_OK)
                telling->done = true;
}

static bool refresh_fuse(struct workspace *workspace, struct span list)
{
        struct telling telling = {.told = {.done = on_told},
                                  .workspace = workspace,
                                  .list = list,
                                  .lock = PTHREAD_MUTEX_INITIALIZER,
                                  .cond = PTHREAD_COND_INITIALIZER};

        loop_call(workspace->loop, tell, &telling);
        pthread_mutex_lock(&telling.lock);
        while (!telling.done)
                pthread_cond_wait(&telling.cond, &telling.lock);
        pthread_mutex_unlock(&telling.lock);
        pthread_mutex_destroy(&telling.lock);
        pthread_cond_destroy(&telling.cond);
        return telling.all;
}

void kernel_refresh(struct workspace *workspace, struct span list)
{
        bool told = true;

        if (workspace_is_mounted(workspace))
                told = workspace->front == FRONT_FUSE ? refresh_fuse(workspace, list)
                                                      : refresh_nfs(workspace, list);
        if (!told)
                log_line(workspace->daemon->cli->env.log, LOG_WARN, "mount",
                         "%s: the kernel could not be told of all that has changed, and may show "
                         "what was for a while; unmount and mount to see it",
                         workspace->mount_point);
}
