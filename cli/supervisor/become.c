#include "cli/supervisor/become.h"

#include "base/cleanup.h"
#include "cli/clock.h"
#include "cli/supervisor/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STATE_SIZE_MAX ((size_t)SHELF_MAX * (WIRE_SIZE_MAX + 8) + 65536)

extern char **environ;

/* Over the exec, or not any more. */
static void keep_open(int fd, bool keep)
{
        if (fd >= 0)
                (void)fcntl(fd, F_SETFD, keep ? 0 : FD_CLOEXEC);
}

static void keep_all(struct supervisor *supervisor, bool keep)
{
        const struct server *server = &supervisor->server;

        keep_open(supervisor->lock_fd, keep);
        keep_open(supervisor->listen_fd, keep);
        keep_open(server->pidfd, keep);
        keep_open(server->calls, keep);
        keep_open(server->events, keep);
        for (size_t i = 0; i < supervisor->shelf.count; i++)
                keep_open(supervisor->shelf.items[i].fd, keep);
}

static void describe(const struct supervisor *supervisor, struct state *out)
{
        const struct server *server = &supervisor->server;

        *out = (struct state){.lock_fd = supervisor->lock_fd,
                              .listen_fd = supervisor->listen_fd,
                              .server_pid = (uint32_t)server->pid,
                              .pidfd = server->pidfd,
                              .calls = server->calls,
                              .events = server->events,
                              .started_ms = server->started_ms,
                              .began_ms = supervisor->began_ms,
                              .restarts = supervisor->restarts,
                              .crashes = supervisor->crash_count,
                              .version = span_str(server->version),
                              .control = span_str(supervisor->control.sun_path),
                              .own = span_str(supervisor->own.sun_path),
                              .program = span_str(supervisor->program)};
        for (size_t i = 0; i < supervisor->shelf.count; i++) {
                const struct shelf_item *item = &supervisor->shelf.items[i];

                out->items[out->item_count++] = (struct state_item){
                    .fd = item->fd, .name = span_str(item->name), .note = item->note};
        }
}

static enum hif_err write_state(const struct supervisor *supervisor, int *out)
{
        AUTO_FREE struct state *state = calloc(1, sizeof(*state));
        AUTO_BUF struct buf bytes = {0};
        int fd;

        if (state == NULL)
                return HIF_ENOMEM;
        describe(supervisor, state);
        state_put(&bytes, state);
        if (buf_failed(&bytes))
                return HIF_ENOMEM;
        fd = memfd_create("hif-supervisor", 0);
        if (fd < 0)
                return hif_err_from_errno(errno);
        if (write(fd, bytes.data, bytes.size) != (ssize_t)bytes.size) {
                close(fd);
                return HIF_EIO;
        }
        *out = fd;
        return HIF_OK;
}

void supervisor_become(struct supervisor *supervisor)
{
        char number[16], option[] = "--state-fd", name[] = "hif", word[] = "daemon", verb[] = "run";
        char *argv[] = {name, word, verb, option, number, NULL};
        int fd = -1;
        enum hif_err err = write_state(supervisor, &fd);

        if (err == HIF_OK) {
                server_discard(&supervisor->spare);
                snprintf(number, sizeof(number), "%d", fd);
                keep_all(supervisor, true);
                syscall(SYS_execveat, supervisor->program_fd, "", argv, environ, AT_EMPTY_PATH);
                err = hif_err_from_errno(errno);
                keep_all(supervisor, false);
                close(fd);
        }
        log_line(supervisor->log, LOG_WARN, "supervisor",
                 "the supervisor stays at version %s: the new program could not be run: %s",
                 HIF_VERSION, hif_strerror(err));
}

/* --- the other side --- */

static bool read_state(int fd, struct buf *bytes)
{
        struct stat st;
        uint8_t *room;

        if (fstat(fd, &st) != 0 || st.st_size <= 0 || (size_t)st.st_size > STATE_SIZE_MAX)
                return false;
        room = buf_reserve(bytes, (size_t)st.st_size);
        if (room == NULL || pread(fd, room, (size_t)st.st_size, 0) != st.st_size)
                return false;
        buf_extend(bytes, (size_t)st.st_size);
        return true;
}

static bool put_path(struct sockaddr_un *out, struct span path)
{
        if (path.size >= sizeof(out->sun_path))
                return false;
        *out = (struct sockaddr_un){.sun_family = AF_UNIX};
        memcpy(out->sun_path, path.data, path.size);
        return true;
}

static void take_server(struct server *server, const struct state *state)
{
        uint64_t now = clock_now_ms();

        server_init(server);
        server->pid = (pid_t)state->server_pid;
        server->pidfd = state->pidfd;
        server->calls = state->calls;
        server->events = state->events;
        server->child = true;
        server->started_ms = state->started_ms;
        server->ready_ms = server->beat_ms = now;
        snprintf(server->version, sizeof(server->version), "%.*s", (int)state->version.size,
                 (const char *)state->version.data);
}

static enum hif_err take(struct supervisor *supervisor, const struct state *state)
{
        enum hif_err err = HIF_OK;

        if (!put_path(&supervisor->control, state->control) ||
            !put_path(&supervisor->own, state->own))
                return HIF_ECORRUPT;
        supervisor->lock_fd = state->lock_fd;
        supervisor->listen_fd = state->listen_fd;
        supervisor->began_ms = state->began_ms;
        supervisor->restarts = state->restarts;
        supervisor->crash_count = 0; /* the old program's */
        free(supervisor->program);
        supervisor->program = strndup((const char *)state->program.data, state->program.size);
        take_server(&supervisor->server, state);
        for (size_t i = 0; err == HIF_OK && i < state->item_count; i++)
                err = shelf_put(&supervisor->shelf, state->items[i].name, state->items[i].fd,
                                state->items[i].note);
        supervisor->life = LIFE_RUNNING;
        supervisor->ever_ready = true;
        keep_all(supervisor, false);
        return supervisor->program != NULL ? err : HIF_ENOMEM;
}

enum hif_err supervisor_resume(struct supervisor *supervisor, int state_fd, struct hif_why *why)
{
        AUTO_FREE struct state *state = calloc(1, sizeof(*state));
        AUTO_BUF struct buf bytes = {0};
        enum hif_err err = HIF_ENOMEM;

        if (state != NULL)
                err = read_state(state_fd, &bytes) ? state_get(buf_span(&bytes), state)
                                                   : HIF_ECORRUPT;
        close(state_fd);
        if (err == HIF_OK)
                err = take(supervisor, state);
        if (err == HIF_OK)
                return HIF_OK;
        return why_set(why, err,
                       "what the supervisor before this one left cannot be used: %s; its server "
                       "goes on, and the next command starts another supervisor",
                       hif_strerror(err));
}
