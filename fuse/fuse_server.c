/* fuse_server.c - mounting, reading requests on the loop, unmounting; leaving a mount to a successor,
 * and following a predecessor. */
#include "fuse/internal.h"
#include "fuse/request.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define TURN_REQUESTS_MAX 64   /* then others of the loop get their turn */
#define FAILURES_MAX      1000 /* reads in a row: then it is given up */
#define CLOSING_POLL_MS   10

/* --- reading --- */

static void refuse(const struct fuse_server *server, const struct fuse_in_header *in)
{
        struct fuse_out_header out = {.len = sizeof(out), .error = -EIO, .unique = in->unique};

        if (request_wants_answer(in))
                (void)!write(server->io.fd, &out, sizeof(out)); /* the kernel may have let go */
}

/* Is there anything to carry out? Not of a part of a request, nor of the answer to a question that
 * was never asked. And of a signal only while the request that it is about waits: requests are read
 * in order, so it has its answer, and libfuse would keep the signal for one that is to come. */
static bool is_for_libfuse(const struct fuse_server *server, struct span request)
{
        struct fuse_interrupt_in interrupt;
        struct fuse_in_header in;

        memcpy(&in, request.data, sizeof(in));
        if (!request_is_whole(request)) {
                refuse(server, &in);
                return false;
        }
        if (in.opcode != FUSE_INTERRUPT)
                return in.opcode != FUSE_NOTIFY_REPLY;
        memcpy(&interrupt, request.data + sizeof(in), sizeof(interrupt));
        return op_is_waiting(server, interrupt.unique);
}

/* One request, which lies in the ledger; there it stays while it waits. again: a predecessor had
 * read it, and may have carried it out. */
static void process(struct fuse_server *server, struct ledger_slot *slot, size_t size, bool again)
{
        struct fuse_buf request = {.size = size, .mem = ledger_request(server->ledger, slot)};

        server->now.slot = slot;
        server->now.again = again;
        server->now.kept = false;
        if (is_for_libfuse(server, span_of(request.mem, size)))
                fuse_session_process_buf(server->session, &request);
        if (slot == ledger_inbox(server->ledger))
                ledger_clear(server->ledger);
        else if (!server->now.kept)
                ledger_drop(server->ledger, slot);
}

/* Unmounted, or aborted. Anything else may pass: the request is still there, or has had its error. */
static bool is_over(int error)
{
        return error == ENODEV || error == ECONNABORTED || error == ENOTCONN || error == EPERM;
}

static void not_read(const struct fuse_server *server, int error)
{
        log_line(loop_env(server->loop)->log, LOG_ERROR, "fuse",
                 "%s: requests cannot be read any more (%s); `hif unmount --force` takes it away",
                 server->mount_point, strerror(error));
}

/* At most so many requests. False: the kernel has let go of the mount. */
static bool serve(struct fuse_server *server)
{
        struct ledger_slot *inbox = ledger_inbox(server->ledger);

        for (int i = 0; i < TURN_REQUESTS_MAX && !server->paused; i++) {
                ssize_t size =
                    read(server->io.fd, ledger_request(server->ledger, inbox), LEDGER_REQUEST_MAX);

                if (size < 0 && (errno == EINTR || errno == ENOENT))
                        continue;
                if (size < 0 && errno == EAGAIN)
                        return true;
                if (size < 0 && !is_over(errno) && ++server->failures < FAILURES_MAX)
                        return true; /* the next turn tries again */
                if (size < (ssize_t)sizeof(struct fuse_in_header)) {
                        if (size < 0 && !is_over(errno))
                                not_read(server, errno);
                        ledger_clear(server->ledger); /* too little is nothing to a successor */
                        return false;
                }
                server->failures = 0;
                process(server, inbox, (size_t)size, false);
                if (fuse_session_exited(server->session))
                        return false;
        }
        return true;
}

/* What a predecessor had read and not answered. What waits goes on waiting; what it was reading
 * last comes last, as it may speak of the others (FUSE_INTERRUPT). */
static void run_again(struct fuse_server *server)
{
        struct ledger *ledger = server->ledger;
        struct ledger_slot *slot;
        uint32_t left = ledger_inbox_left(ledger);
        uint64_t order = 0;

        while ((slot = ledger_after(ledger, order)) != NULL) {
                order = slot->order;
                process(server, slot, slot->size, true);
        }
        if (left > 0)
                process(server, ledger_inbox(ledger), left, true);
        else
                ledger_clear(ledger);
}

static void stop_reading(struct fuse_server *server)
{
        server->reading = false;
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
        server->mounted = false;
        if (server->gone != NULL)
                server->gone(server->gone_arg); /* may free the server */
}

/* --- life --- */

static enum hif_err start_reading(struct fuse_server *server, int fd)
{
        int flags = fcntl(fd, F_GETFL);
        enum hif_err err;

        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
                return hif_err_from_errno(errno);
        err = notifier_new(server->session, server->loop, server->mounter, server->mount_point,
                           &server->notifier);
        if (err != HIF_OK)
                return err;
        server->io = (struct loop_io){.ready = ready, .fd = fd};
        err = loop_add(server->loop, &server->io, EPOLLIN);
        server->reading = err == HIF_OK;
        server->mounted |= server->reading; /* a mount of our own is there anyway, to be undone */
        return err;
}

static enum hif_err make(struct vfs *vfs, const struct fuse_server_config *config,
                         struct fuse_server **out, struct hif_why *why)
{
        struct fuse_server *server = calloc(1, sizeof(*server));

        if (server == NULL)
                return why_set(why, HIF_ENOMEM, "out of memory");
        server->watch.run = op_watch;
        server->vfs = vfs;
        server->loop = vfs_loop(vfs);
        server->mounter = config->mounter;
        server->mount_point = strdup(config->mount_point);
        server->scratch = malloc(IO_SIZE_MAX);
        if (server->mount_point == NULL || server->scratch == NULL) {
                fuse_server_free(server);
                return why_set(why, HIF_ENOMEM, "out of memory");
        }
        *out = server;
        return HIF_OK;
}

/* The descriptor is the session's, and goes with it. */
static bool has_descriptor(const struct fuse_server *server, int fd)
{
        return server->session != NULL && fuse_session_fd(server->session) == fd;
}

static enum hif_err not_served(enum hif_err err, const char *mount_point, struct hif_why *why)
{
        return why_set(why, err, "'%s' could not be served through FUSE: %s", mount_point,
                       hif_strerror(err));
}

enum hif_err fuse_server_new(struct vfs *vfs, const struct fuse_server_config *config,
                             struct fuse_server **out, struct hif_why *why)
{
        struct fuse_server *server;
        enum hif_err err = mount_check(config, why);
        int fd;

        if (err == HIF_OK)
                err = make(vfs, config, &server, why);
        if (err != HIF_OK)
                return err;
        err = ledger_new(&server->ledger);
        if (err != HIF_OK) {
                fuse_server_free(server);
                return not_served(err, config->mount_point, why);
        }
        err = mount_open(config, &fd, why);
        if (err == HIF_OK) {
                server->mounted = true;
                err = session_new(server, config, fd, why);
                if (!has_descriptor(server, fd))
                        close(fd);
        }
        if (err == HIF_OK) {
                err = start_reading(server, fd);
                if (err != HIF_OK)
                        not_served(err, config->mount_point, why);
        }
        if (err != HIF_OK) {
                fuse_server_free(server);
                return err;
        }
        *out = server;
        return HIF_OK;
}

/* --- from server to server --- */

enum hif_err fuse_server_kept(const struct fuse_server *server, struct fuse_kept *out)
{
        struct fuse_kept kept = {.fd = server->io.fd, .ledger_fd = ledger_fd(server->ledger)};

        handshake_encode(&server->handshake, &kept.note);
        if (buf_failed(&kept.note)) {
                buf_free(&kept.note);
                return HIF_ENOMEM;
        }
        *out = kept;
        return HIF_OK;
}

/* Files that programs have open keep their content when they lose their last name. */
static enum hif_err hold_open_files(struct fuse_server *server)
{
        enum hif_err err = HIF_OK;
        uint64_t node;

        for (size_t i = 0; err == HIF_OK && ledger_next_open(server->ledger, &i, &node);)
                err = vfs_hold(server->vfs, node);
        return err;
}

static bool is_gone(int fd)
{
        struct pollfd kernel = {.fd = fd};

        return poll(&kernel, 1, 0) > 0 && (kernel.revents & POLLERR) != 0;
}

/* *fd: closed by whoever has it, -1 once that is the session. */
static enum hif_err follow(struct fuse_server *server, const struct fuse_server_config *config,
                           const struct fuse_kept *kept, int *fd, struct hif_why *why)
{
        enum hif_err err = handshake_decode(buf_span(&kept->note), &server->handshake);

        if (err != HIF_OK)
                return why_set(why, err,
                               "what the server before had noted of '%s' can not be read: %s",
                               config->mount_point, hif_strerror(err));
        if (is_gone(*fd))
                return why_set(why, HIF_ENOENT, "'%s' is not mounted any more",
                               config->mount_point);
        err = session_resume(server, config, *fd, why);
        if (has_descriptor(server, *fd))
                *fd = -1;
        if (err == HIF_OK) {
                err = hold_open_files(server);
                if (err == HIF_OK)
                        err = start_reading(server, kept->fd);
                if (err != HIF_OK)
                        not_served(err, config->mount_point, why);
        }
        return err;
}

enum hif_err fuse_server_resume(struct vfs *vfs, const struct fuse_server_config *config,
                                const struct fuse_kept *kept, struct fuse_server **out,
                                struct hif_why *why)
{
        struct fuse_server *server;
        int fd = kept->fd;
        enum hif_err err = make(vfs, config, &server, why);

        if (err != HIF_OK) {
                close(kept->fd);
                close(kept->ledger_fd);
                return err;
        }
        err = ledger_open(kept->ledger_fd, &server->ledger);
        if (err != HIF_OK) {
                close(kept->ledger_fd);
                why_set(why, err,
                        "the list of requests that the server before left of '%s' can not be "
                        "read: %s",
                        config->mount_point, hif_strerror(err));
        }
        if (err == HIF_OK)
                err = follow(server, config, kept, &fd, why);
        if (fd >= 0)
                close(fd);
        if (err != HIF_OK) {
                server->mounted = false; /* whoever mounts anew takes it away */
                fuse_server_free(server);
                return err;
        }
        run_again(server);
        *out = server;
        return HIF_OK;
}

/* Answer requests until the notifier has ended: unmounting, or what it was telling the kernel, may
 * depend on them. Nothing waits any more, so each is answered at once. */
static void serve_until_finished(struct fuse_server *server)
{
        while (!notifier_finished(server->notifier)) {
                struct pollfd fds[] = {{.fd = server->io.fd, .events = POLLIN},
                                       {.fd = notifier_fd(server->notifier), .events = POLLIN}};

                poll(fds, 2, CLOSING_POLL_MS);
                if (!serve(server))
                        break;
        }
}

static void release(struct fuse_server *server)
{
        if (server->session != NULL)
                fuse_session_destroy(server->session); /* closes the descriptor */
        ledger_free(server->ledger);
        handshake_free(&server->handshake);
        buf_free(&server->words);
        free(server->scratch);
        free(server->mount_point);
        free(server);
}

void fuse_server_free(struct fuse_server *server)
{
        bool mounted;

        if (server == NULL)
                return;
        mounted = server->mounted;
        if (server->reading)
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
        if (mounted && !(server->session != NULL && is_gone(fuse_session_fd(server->session))))
                mount_detach(server->mounter, server->mount_point);
        release(server);
}

void fuse_server_leave(struct fuse_server *server)
{
        if (server->reading)
                stop_reading(server);
        server->leaving = true;
        loop_timer_disarm(server->loop, &server->watch);
        op_leave_all(server);
        server->paused = false;
        notifier_finish(server->notifier, false);
        serve_until_finished(server);
        notifier_free(server->notifier);
        release(server);
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
