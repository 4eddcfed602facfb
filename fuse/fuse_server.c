/* fuse_server.c - mounting, reading requests on the loop, unmounting. */
#include "fuse/internal.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define TURN_REQUESTS_MAX 64 /* then others of the loop get their turn */
#define BACKGROUND_MAX    64 /* read-ahead and asynchronous requests in flight */
#define CLOSING_POLL_MS   10

static void on_init(void *userdata, struct fuse_conn_info *conn)
{
        struct fuse_server *server = userdata;

        server->no_opendir = (conn->capable & FUSE_CAP_NO_OPENDIR_SUPPORT) != 0;
        /* Not: AUTO_INVAL_DATA, which would drop the pages at each of our own changes of mtime;
         * splice, which costs a pipe a request and saves nothing from memory; WRITEBACK_CACHE. */
        conn->want = conn->capable &
                     (FUSE_CAP_ASYNC_READ | FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_PARALLEL_DIROPS |
                      FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_ASYNC_DIO |
                      FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_EXPLICIT_INVAL_DATA);
        conn->max_read = IO_SIZE_MAX;
        conn->max_write = IO_SIZE_MAX;
        conn->max_background = BACKGROUND_MAX;
        conn->congestion_threshold = BACKGROUND_MAX / 4 * 3;
        conn->time_gran = 1;
}

/* What is not here gets ENOSYS, and the kernel asks no more: FLUSH, ACCESS (default_permissions),
 * the attributes by name, FALLOCATE, COPY_FILE_RANGE, locks (which it then keeps itself). */
static const struct fuse_lowlevel_ops operations = {
    .init = on_init,
    .lookup = on_lookup,
    .forget = on_forget,
    .forget_multi = on_forget_multi,
    .getattr = on_getattr,
    .setattr = on_setattr,
    .readlink = on_readlink,
    .statfs = on_statfs,
    .mknod = on_mknod,
    .mkdir = on_mkdir,
    .symlink = on_symlink,
    .link = on_link,
    .unlink = on_unlink,
    .rmdir = on_rmdir,
    .rename = on_rename,
    .create = on_create,
    .open = on_open,
    .read = on_read,
    .write = on_write,
    .lseek = on_lseek,
    .release = on_release,
    .fsync = on_fsync,
    .opendir = on_opendir,
    .readdir = on_readdir,
    .readdirplus = on_readdirplus,
    .fsyncdir = on_fsync,
};

/* --- reading --- */

/* At most so many requests. False: the kernel has let go of the mount. */
static bool serve(struct fuse_server *server)
{
        for (int i = 0; i < TURN_REQUESTS_MAX && !server->paused; i++) {
                int size = fuse_session_receive_buf(server->session, &server->request);

                if (size == -EINTR)
                        continue;
                if (size == -EAGAIN)
                        return true;
                if (size <= 0)
                        return false;
                fuse_session_process_buf(server->session, &server->request);
                if (fuse_session_exited(server->session))
                        return false;
        }
        return true;
}

static void stop_reading(struct fuse_server *server)
{
        server->mounted = false;
        loop_remove(server->loop, &server->io);
}

static void ready(struct loop_io *io, uint32_t events)
{
        struct fuse_server *server = (struct fuse_server *)io;

        /* The connection is over: nothing that waits could be answered. */
        if ((events & EPOLLERR) != 0)
                server->paused = false;
        if (serve(server))
                return;
        stop_reading(server);
        if (server->gone != NULL)
                server->gone(server->gone_arg); /* may free the server */
}

/* --- life --- */

static enum hif_err open_session(struct fuse_server *server,
                                 const struct fuse_server_config *config, struct hif_why *why)
{
        AUTO_FREE char *options = mount_options(config);
        char *argv[] = {(char *)"hif", (char *)"-o", options, NULL};
        struct fuse_args args = FUSE_ARGS_INIT(3, argv);

        if (options == NULL)
                return HIF_ENOMEM;
        server->session = fuse_session_new(&args, &operations, sizeof(operations), server);
        fuse_opt_free_args(&args);
        if (server->session == NULL)
                return why_set(why, HIF_EIO, "libfuse refused the mount options '%s'", options);
        if (fuse_session_mount(server->session, config->mount_point) != 0) {
                fuse_session_destroy(server->session);
                server->session = NULL;
                return why_set(why, HIF_EIO,
                               "'%s' could not be mounted through FUSE: %s; the log has the words "
                               "of libfuse",
                               config->mount_point, strerror(errno));
        }
        return HIF_OK;
}

static enum hif_err start_reading(struct fuse_server *server)
{
        int fd = fuse_session_fd(server->session);
        int flags = fcntl(fd, F_GETFL);
        enum hif_err err;

        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
                return hif_err_from_errno(errno);
        err = notifier_new(server->session, server->loop, server->mount_point, &server->notifier);
        if (err != HIF_OK)
                return err;
        server->io = (struct loop_io){.ready = ready, .fd = fd};
        err = loop_add(server->loop, &server->io, EPOLLIN);
        server->mounted = err == HIF_OK;
        return err;
}

enum hif_err fuse_server_new(struct vfs *vfs, const struct fuse_server_config *config,
                             struct fuse_server **out, struct hif_why *why)
{
        struct fuse_server *server;
        enum hif_err err = mount_check(config, why);

        if (err != HIF_OK)
                return err;
        server = calloc(1, sizeof(*server));
        if (server == NULL)
                return why_set(why, HIF_ENOMEM, "out of memory");
        server->watch.run = op_watch;
        server->vfs = vfs;
        server->loop = vfs_loop(vfs);
        server->mount_point = strdup(config->mount_point);
        server->scratch = malloc(IO_SIZE_MAX);
        if (server->mount_point == NULL || server->scratch == NULL)
                err = why_set(why, HIF_ENOMEM, "out of memory");
        if (err == HIF_OK)
                err = open_session(server, config, why);
        if (err == HIF_OK) {
                err = start_reading(server);
                if (err != HIF_OK)
                        why_set(why, err, "'%s' could not be served through FUSE: %s",
                                config->mount_point, hif_strerror(err));
        }
        if (err != HIF_OK) {
                fuse_server_free(server);
                return err;
        }
        *out = server;
        return HIF_OK;
}

/* Answer requests until the notifier has ended: unmounting, or what it was telling the kernel, may
 * depend on them. Nothing waits any more, so each is answered at once. */
static void serve_until_finished(struct fuse_server *server)
{
        while (!notifier_finished(server->notifier)) {
                struct pollfd fd = {.fd = server->io.fd, .events = POLLIN};

                poll(&fd, 1, CLOSING_POLL_MS);
                if (!serve(server))
                        break;
        }
}

void fuse_server_free(struct fuse_server *server)
{
        bool mounted;

        if (server == NULL)
                return;
        mounted = server->mounted;
        if (mounted)
                stop_reading(server);
        server->closing = true;
        loop_timer_disarm(server->loop, &server->watch);
        op_finish_all(server);
        server->paused = false;
        if (server->notifier != NULL) {
                notifier_finish(server->notifier, mounted);
                if (mounted)
                        serve_until_finished(server);
                notifier_free(server->notifier);
        }
        if (server->session != NULL) {
                fuse_session_unmount(server->session); /* lazily, if it is still there */
                fuse_session_destroy(server->session);
        }
        free(server->request.mem);
        free(server->scratch);
        free(server->mount_point);
        free(server);
}

void fuse_server_on_unmount(struct fuse_server *server, void (*gone)(void *arg), void *arg)
{
        server->gone = gone;
        server->gone_arg = arg;
}

/* --- notifications --- */

static bool queued(const struct fuse_server *server, bool all)
{
        if (!all)
                log_line(
                    loop_env(server->loop)->log, LOG_ERROR, "fuse",
                    "%s: too many changes at once; the kernel may show old content until it is "
                    "mounted again",
                    server->mount_point);
        return all;
}

bool fuse_server_invalidate(struct fuse_server *server, const uint64_t *ids, size_t count)
{
        return !server->mounted || queued(server, notifier_ids(server->notifier, ids, count));
}

bool fuse_server_invalidate_names(struct fuse_server *server, const struct fuse_name *names,
                                  size_t count)
{
        return !server->mounted || queued(server, notifier_names(server->notifier, names, count));
}

enum hif_err fuse_server_when_told(struct fuse_server *server, struct fuse_told *told)
{
        return notifier_told(server->notifier, told);
}
