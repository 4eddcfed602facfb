#include "cli/supervisor/hold.h"

#include "cli/process.h"
#include "cli/supervisor/shelf.h"
#include "cli/supervisor/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOOK_EVERY_MS 250
#define LOOKS_MAX     40

struct hold {
        pthread_mutex_t lock; /* of all below; kept over a call, so that answers find their calls */
        int socket;           /* -1: no supervisor */
        unsigned owed;        /* answers to calls that were given up */
        struct shelf own;     /* what this server has put or taken, for the next supervisor */
        uint8_t buffer[WIRE_SIZE_MAX];
};

static void set_patience(int socket)
{
        const struct timeval patience = {.tv_usec = LOOK_EVERY_MS * 1000};

        if (socket < 0)
                return;
        (void)setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        (void)setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
}

enum hif_err hold_new(int socket, struct hold **out)
{
        struct hold *hold = calloc(1, sizeof(*hold));

        if (hold == NULL)
                return HIF_ENOMEM;
        pthread_mutex_init(&hold->lock, NULL);
        hold->socket = socket;
        set_patience(socket);
        *out = hold;
        return HIF_OK;
}

static void lose_supervisor(struct hold *hold)
{
        if (hold->socket >= 0)
                close(hold->socket);
        hold->socket = -1;
        hold->owed = 0;
}

void hold_free(struct hold *hold)
{
        if (hold == NULL)
                return;
        lose_supervisor(hold);
        shelf_free(&hold->own);
        pthread_mutex_destroy(&hold->lock);
        free(hold);
}

/* One that is stopped will not answer now. HIF_EAGAIN: nor did one that is not, for so long. */
static enum hif_err receive(struct hold *hold, struct wire_msg *answer)
{
        enum hif_err err = HIF_EAGAIN;

        for (int looks = 0; err == HIF_EAGAIN && looks < LOOKS_MAX; looks++) {
                err = wire_receive(hold->socket, hold->buffer, answer);
                if (err == HIF_EAGAIN && process_stopped(process_of_socket(hold->socket)))
                        break;
        }
        return err;
}

/* Answers that nobody waits for any more come before ours. */
static enum hif_err receive_owed(struct hold *hold)
{
        struct wire_msg late;
        enum hif_err err = HIF_OK;

        while (err == HIF_OK && hold->owed > 0) {
                err = receive(hold, &late);
                if (err != HIF_OK)
                        break;
                hold->owed--;
                if (late.fd >= 0)
                        close(late.fd);
        }
        return err;
}

/* It has ended, or says what no supervisor says. All else passes: no memory for a packet is no
 * reason to have no supervisor for ever. */
static bool is_lost(enum hif_err err)
{
        return err == HIF_ENOENT || err == HIF_ECORRUPT || err == HIF_EUNSUPPORTED;
}

/* Locked. One packet there, one back. The answer's bytes lie in hold->buffer. One that is stopped or
 * silent is as good as none for now, and may go on: then its late answer is passed over. */
static enum hif_err call(struct hold *hold, const struct wire_msg *msg, struct wire_msg *answer)
{
        enum hif_err err;

        if (hold->socket < 0)
                return HIF_EUNREACHABLE;
        err = receive_owed(hold);
        if (err == HIF_OK)
                err = wire_send(hold->socket, msg);
        if (err == HIF_ELIMIT)
                return err; /* our own fault, and known before anything was sent */
        if (err == HIF_OK) {
                err = receive(hold, answer);
                hold->owed += err != HIF_OK && !is_lost(err);
        }
        if (err == HIF_OK && answer->kind != WIRE_DONE)
                err = HIF_ECORRUPT;
        if (is_lost(err))
                lose_supervisor(hold);
        return err == HIF_OK ? hif_err_from_errno((int)answer->value) : HIF_EUNREACHABLE;
}

static enum hif_err tell_put(struct hold *hold, const struct shelf_item *item)
{
        struct wire_msg answer;
        struct wire_msg msg = {
            .kind = WIRE_PUT, .name = span_str(item->name), .note = item->note, .fd = item->fd};

        return call(hold, &msg, &answer);
}

/* Locked. */
static enum hif_err keep(struct hold *hold, const char *name, int fd, struct span note)
{
        int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);

        if (own < 0)
                return hif_err_from_errno(errno);
        return shelf_put(&hold->own, span_str(name), own, note);
}

enum hif_err hold_put(struct hold *hold, const char *name, int fd, struct span note)
{
        enum hif_err err;

        if (note.size > HOLD_NOTE_MAX)
                return HIF_ELIMIT;
        pthread_mutex_lock(&hold->lock);
        err = keep(hold, name, fd, note);
        if (err == HIF_OK && hold->socket >= 0)
                err = tell_put(hold, shelf_find(&hold->own, span_str(name)));
        if (err == HIF_EUNREACHABLE)
                err = HIF_OK; /* it is kept here for the next one */
        pthread_mutex_unlock(&hold->lock);
        return err;
}

/* Locked. */
static enum hif_err take_own(struct hold *hold, const char *name, int *fd, struct buf *note)
{
        const struct shelf_item *item = shelf_find(&hold->own, span_str(name));
        int copy;

        if (item == NULL)
                return HIF_ENOENT;
        copy = fcntl(item->fd, F_DUPFD_CLOEXEC, 3);
        if (copy < 0)
                return hif_err_from_errno(errno);
        if (note != NULL)
                buf_put_span(note, item->note);
        *fd = copy;
        return HIF_OK;
}

enum hif_err hold_take(struct hold *hold, const char *name, int *fd, struct buf *note)
{
        struct wire_msg msg = {.kind = WIRE_TAKE, .name = span_str(name), .fd = -1}, answer;
        enum hif_err err;

        pthread_mutex_lock(&hold->lock);
        err = take_own(hold, name, fd, note);
        if (err == HIF_ENOENT && hold->socket >= 0) {
                err = call(hold, &msg, &answer);
                if (err == HIF_OK && answer.fd < 0)
                        err = HIF_ECORRUPT;
                if (err == HIF_OK)
                        err = shelf_put(&hold->own, span_str(name), answer.fd, answer.note);
                if (err == HIF_OK)
                        err = take_own(hold, name, fd, note);
        }
        pthread_mutex_unlock(&hold->lock);
        return err;
}

enum hif_err hold_drop(struct hold *hold, const char *name)
{
        struct wire_msg msg = {.kind = WIRE_DROP, .name = span_str(name), .fd = -1}, answer;
        enum hif_err err;

        pthread_mutex_lock(&hold->lock);
        err = shelf_drop(&hold->own, span_str(name));
        if (hold->socket >= 0)
                err = call(hold, &msg, &answer);
        if (err == HIF_EUNREACHABLE)
                err = HIF_OK;
        pthread_mutex_unlock(&hold->lock);
        return err;
}

enum hif_err hold_help(struct hold *hold, struct span request, int end)
{
        struct wire_msg msg = {.kind = WIRE_HELP, .note = request, .fd = end}, answer;
        enum hif_err err;

        pthread_mutex_lock(&hold->lock);
        err = call(hold, &msg, &answer);
        pthread_mutex_unlock(&hold->lock);
        return err;
}

enum hif_err hold_move(struct hold *hold, int socket)
{
        enum hif_err err = HIF_OK;

        pthread_mutex_lock(&hold->lock);
        lose_supervisor(hold);
        hold->socket = socket;
        set_patience(socket);
        for (size_t i = 0; err == HIF_OK && i < hold->own.count; i++)
                err = tell_put(hold, &hold->own.items[i]);
        if (err != HIF_OK)
                lose_supervisor(hold);
        pthread_mutex_unlock(&hold->lock);
        return err;
}
