#include "cli/daemon/tie.h"

#include "base/log.h"
#include "cli/daemon/call.h"
#include "cli/daemon/workspace_impl.h"
#include "cli/sockets.h"
#include "cli/supervisor/supervisor.h"
#include "cli/supervisor/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* One question after all loops: each turns, and the last one tells the tie's own. */
struct beat {
        struct loop_msg msg; /* first */
        struct tie *tie;
};

struct tie {
        struct daemon *daemon;
        struct loop *loop;
        struct loop_io events;
        void (*suspend)(void *arg);
        void *suspend_arg;
        pthread_mutex_t lock; /* of events.fd, for those who send */
        bool waiting, go;     /* as a spare; to serve */
        struct beat *beats;   /* one a loop */
        struct loop_msg all_turned;
        atomic_size_t not_turned; /* loops; 0: no question is under way */
        uint8_t buffer[WIRE_SIZE_MAX];
};

static void send_word(struct tie *tie, const struct wire_msg *msg)
{
        enum hif_err err = HIF_OK;

        pthread_mutex_lock(&tie->lock);
        if (tie->events.fd >= 0)
                err = wire_send(tie->events.fd, msg);
        /* It would wait for a word that does not come. So it sees that there is none, and takes another
         * server. */
        if (err != HIF_OK)
                (void)shutdown(tie->events.fd, SHUT_RDWR);
        pthread_mutex_unlock(&tie->lock);
        if (err != HIF_OK && err != HIF_ENOENT)
                log_line(tie->daemon->cli->env.log, LOG_WARN, "daemon",
                         "the supervisor could not be told: %s", hif_strerror(err));
}

void tie_ready(struct tie *tie)
{
        const struct wire_msg msg = {.kind = WIRE_READY,
                                     .value = (uint32_t)getpid(),
                                     .name = span_str(HIF_VERSION),
                                     .fd = -1};

        send_word(tie, &msg);
}

enum hif_err tie_wait(struct tie *tie)
{
        const struct wire_msg msg = {.kind = WIRE_WARM, .name = span_str(HIF_VERSION), .fd = -1};

        send_word(tie, &msg);
        tie->waiting = true;
        loop_run(tie->loop);
        tie->waiting = false;
        return tie->go ? HIF_OK : HIF_ECANCELED;
}

void tie_failed(struct tie *tie, enum hif_err err, const struct hif_why *why)
{
        const struct wire_msg msg = {
            .kind = WIRE_FAILED,
            .value = (uint32_t)hif_err_to_errno(err),
            .note = span_str(why->text[0] != '\0' ? why->text : hif_strerror(err)),
            .fd = -1};

        send_word(tie, &msg);
}

void tie_ending(struct tie *tie)
{
        send_word(tie, &(struct wire_msg){.kind = WIRE_ENDING, .fd = -1});
}

/* --- do all loops turn? --- */

static void all_turned(struct loop_msg *msg)
{
        struct tie *tie = (struct tie *)((char *)msg - offsetof(struct tie, all_turned));

        atomic_store(&tie->not_turned, 0);
        send_word(tie, &(struct wire_msg){.kind = WIRE_BEAT, .fd = -1});
}

static void turned(struct loop_msg *msg)
{
        struct tie *tie = ((struct beat *)msg)->tie;

        /* The last one leaves its 1 for all_turned to take. */
        if (atomic_fetch_sub(&tie->not_turned, 1) == 2)
                loop_post(tie->loop, &tie->all_turned);
}

static void probe(struct tie *tie)
{
        size_t count = tie->daemon->loop_count;

        log_tend(tie->daemon->cli->env.log);
        if (atomic_load(&tie->not_turned) > 0)
                return; /* the last question has no answer yet: neither has this one */
        atomic_store(&tie->not_turned, count + 1);
        for (size_t i = 0; i < count; i++)
                loop_post(tie->daemon->loops[i], &tie->beats[i].msg);
}

/* --- words --- */

static void lose(struct tie *tie)
{
        loop_remove(tie->loop, &tie->events);
        pthread_mutex_lock(&tie->lock);
        close(tie->events.fd);
        tie->events.fd = -1;
        pthread_mutex_unlock(&tie->lock);
}

static void on_event(struct loop_io *io, uint32_t events)
{
        struct tie *tie = (struct tie *)((char *)io - offsetof(struct tie, events));
        struct wire_msg msg;
        enum hif_err err = wire_receive(io->fd, tie->buffer, &msg);

        (void)events;
        if (err == HIF_EAGAIN)
                return;
        if (err != HIF_OK) {
                lose(tie);
                if (tie->waiting) {
                        loop_stop(tie->loop);
                        return;
                }
                log_line(tie->daemon->cli->env.log, LOG_WARN, "daemon",
                         "the supervisor has ended (%s); mounts are served as before, and the next "
                         "command starts another",
                         hif_strerror(err));
                return;
        }
        if (msg.fd >= 0)
                close(msg.fd);
        if (msg.kind == WIRE_GO) {
                tie->go = true;
                loop_stop(tie->loop);
        } else if (msg.kind == WIRE_PROBE)
                probe(tie);
        else if (msg.kind == WIRE_SUSPEND)
                tie->suspend(tie->suspend_arg);
}

/* --- life --- */

static bool is_packet_socket(int fd)
{
        int type;
        socklen_t size = sizeof(type);

        return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

enum hif_err tie_new(struct daemon *daemon, struct loop *loop, void (*suspend)(void *arg),
                     void *arg, struct tie **out, struct hif_why *why)
{
        struct tie *tie;
        enum hif_err err;

        if (!is_packet_socket(SERVE_CALLS_FD) || !is_packet_socket(SERVE_EVENTS_FD))
                return why_set(why, HIF_EINVAL,
                               "`hif daemon serve` is what `hif daemon run` starts; run that");
        (void)fcntl(SERVE_CALLS_FD, F_SETFD, FD_CLOEXEC);
        (void)fcntl(SERVE_EVENTS_FD, F_SETFD, FD_CLOEXEC);
        tie = calloc(1, sizeof(*tie));
        if (tie == NULL)
                return HIF_ENOMEM;
        *tie = (struct tie){.daemon = daemon,
                            .loop = loop,
                            .suspend = suspend,
                            .suspend_arg = arg,
                            .events = {.ready = on_event, .fd = SERVE_EVENTS_FD},
                            .all_turned.run = all_turned};
        pthread_mutex_init(&tie->lock, NULL);
        tie->beats = calloc(daemon->loop_count, sizeof(*tie->beats));
        err = tie->beats != NULL ? hold_new(SERVE_CALLS_FD, &daemon->hold) : HIF_ENOMEM;
        if (err == HIF_OK)
                err = loop_add(loop, &tie->events, EPOLLIN);
        if (err != HIF_OK) {
                free(tie->beats);
                free(tie);
                return err;
        }
        for (size_t i = 0; i < daemon->loop_count; i++)
                tie->beats[i] = (struct beat){.msg.run = turned, .tie = tie};
        *out = tie;
        return HIF_OK;
}

void tie_close(struct tie *tie)
{
        if (tie != NULL && tie->events.fd >= 0)
                lose(tie);
}

void tie_free(struct tie *tie)
{
        if (tie == NULL)
                return;
        pthread_mutex_destroy(&tie->lock);
        free(tie->beats);
        free(tie);
}

/* --- another supervisor --- */

bool tie_is_orphan(struct tie *tie)
{
        bool orphan;

        pthread_mutex_lock(&tie->lock);
        orphan = tie->events.fd < 0;
        pthread_mutex_unlock(&tie->lock);
        return orphan;
}

struct attaching {
        struct tie *tie;
        int fd;
        enum hif_err err;
};

static void attach(void *arg)
{
        struct attaching *attaching = arg;
        struct tie *tie = attaching->tie;

        if (tie->events.fd >= 0) {
                attaching->err = HIF_EBUSY;
                return;
        }
        pthread_mutex_lock(&tie->lock);
        tie->events.fd = attaching->fd;
        pthread_mutex_unlock(&tie->lock);
        attaching->err = loop_add(tie->loop, &tie->events, EPOLLIN);
        if (attaching->err == HIF_OK)
                return;
        pthread_mutex_lock(&tie->lock);
        tie->events.fd = -1;
        pthread_mutex_unlock(&tie->lock);
}

static enum hif_err connect_as(const struct sockaddr_un *address, uint16_t kind, int *out)
{
        const struct wire_msg msg = {.kind = kind, .value = (uint32_t)getpid(), .fd = -1};
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        enum hif_err err;

        if (fd < 0)
                return hif_err_from_errno(errno);
        if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0) {
                err = hif_err_from_errno(errno);
                close(fd);
                return err;
        }
        err = wire_send(fd, &msg);
        if (err != HIF_OK)
                close(fd);
        else
                *out = fd;
        return err;
}

enum hif_err tie_adopt(struct tie *tie, int control_fd, struct hif_why *why)
{
        struct sockaddr_un control = {0}, address;
        socklen_t size = sizeof(control) - 1;
        struct attaching attaching = {.tie = tie, .fd = -1};
        int calls = -1;
        enum hif_err err = HIF_OK;

        if (!tie_is_orphan(tie))
                return why_set(why, HIF_EBUSY, "the server has a supervisor already");
        if (getsockname(control_fd, (struct sockaddr *)&control, &size) != 0)
                err = hif_err_from_errno(errno);
        if (err == HIF_OK)
                err = sockets_address(dirname(control.sun_path), SOCKET_SUPERVISOR, &address, why);
        if (err == HIF_OK)
                err = connect_as(&address, WIRE_ADOPT_CALLS, &calls);
        if (err == HIF_OK)
                err = hold_move(tie->daemon->hold, calls);
        if (err == HIF_OK)
                err = connect_as(&address, WIRE_ADOPT_EVENTS, &attaching.fd);
        if (err == HIF_OK) {
                loop_call(tie->loop, attach, &attaching);
                err = attaching.err;
                if (err != HIF_OK)
                        close(attaching.fd);
        }
        if (err != HIF_OK)
                return why_set(why, err, "the new supervisor could not be reached: %s",
                               hif_strerror(err));
        log_line(tie->daemon->cli->env.log, LOG_INFO, "daemon", "there is a supervisor again");
        tie_ready(tie);
        return HIF_OK;
}
