#include "cli/supervisor/life.h"

#include "cli/clock.h"
#include "cli/supervisor/helper_fork.h"
#include "cli/supervisor/place.h"
#include "cli/supervisor/upgrade.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CRASH_WINDOW_MS 60000 /* CRASHES_MAX in this time: from then on it is slower */
#define DEATH_WINDOW_MS 10000
#define BACKOFF_MIN_MS  1000
#define BACKOFF_MAX_MS  30000
#define SPARE_AGAIN_MS  5000 /* one that died is not made anew at once */
#define SPARE_AFTER_MS  50   /* programs that waited for the server are answered first */

/* --- starting servers --- */

/* A copy is of this process's own program. And who makes servers crash may be looking for where
 * things are in memory. */
static enum hif_err start_spare(struct supervisor *supervisor, struct hif_why *why)
{
        bool anew = supervisor->other_program || supervisor->faulty;

        return server_start(&supervisor->spare, supervisor->program_fd,
                            anew ? NULL : supervisor->serve, why);
}

/* The spare serves from now on, or a new one as soon as it can. */
void supervisor_start_server(struct supervisor *supervisor)
{
        struct hif_why why = {0};
        enum hif_err err = HIF_OK;

        if (supervisor->spare.pid == 0)
                err = start_spare(supervisor, &why);
        supervisor->aim = supervisor->aim == AIM_RESTART ? AIM_SERVE : supervisor->aim;
        if (err != HIF_OK) {
                log_line(supervisor->log, LOG_ERROR, "supervisor", "%s", why.text);
                supervisor->life = LIFE_WAITING;
                supervisor->start_at_ms = clock_now_ms() + BACKOFF_MIN_MS;
                return;
        }
        supervisor->server = supervisor->spare;
        supervisor->server.started_ms = clock_now_ms();
        server_init(&supervisor->spare);
        supervisor->life = LIFE_STARTING;
        server_tell(&supervisor->server, WIRE_GO, supervisor->log);
}

/* What was to come after it does not. */
static void spare_failed(struct supervisor *supervisor, const char *reason)
{
        log_line(supervisor->log, LOG_WARN, "supervisor", "no spare: %s", reason);
        if (supervisor->old_program_fd >= 0)
                upgrade_back(supervisor, reason);
        if (supervisor->aim == AIM_RESTART) {
                supervisor->aim = AIM_SERVE;
                clients_answer(&supervisor->clients, WIRE_RESTART, HIF_EIO,
                               "another server could not be started, so the old one goes on; "
                               "`hif daemon status` says where the log is");
        }
        supervisor->spare_at_ms = clock_now_ms() + SPARE_AGAIN_MS;
}

/* So that a restart does not wait for a program to be loaded. */
void supervisor_make_spare(struct supervisor *supervisor)
{
        struct hif_why why = {0};

        if (start_spare(supervisor, &why) != HIF_OK)
                spare_failed(supervisor, why.text);
}

/* The n-th last of a ring; 0: there were fewer. */
static uint64_t ring_last(const uint64_t *ring, size_t size, uint64_t count, size_t n)
{
        return count >= n ? ring[(count - n) % size] : 0;
}

/* When the next one may start: now, unless they die again and again. */
static void note_death(struct supervisor *supervisor, bool fault)
{
        uint64_t now = clock_now_ms(), first;
        bool often;

        supervisor->deaths_ms[supervisor->death_count++ % DEATHS_MAX] = now;
        if (fault)
                supervisor->crashes_ms[supervisor->crash_count++ % CRASHES_MAX] = now;
        first =
            ring_last(supervisor->crashes_ms, CRASHES_MAX, supervisor->crash_count, CRASHES_MAX);
        often = fault && first > 0 && now - first < CRASH_WINDOW_MS;
        first = ring_last(supervisor->deaths_ms, DEATHS_MAX, supervisor->death_count, DEATHS_MAX);
        often |= first > 0 && now - first < DEATH_WINDOW_MS;
        if (!often)
                supervisor->backoff_ms = 0;
        else if (supervisor->backoff_ms == 0)
                supervisor->backoff_ms = BACKOFF_MIN_MS;
        else if (supervisor->backoff_ms < BACKOFF_MAX_MS)
                supervisor->backoff_ms *= 2;
        supervisor->start_at_ms = now + supervisor->backoff_ms;
}

/* --- what the server tells --- */

/* Its mounts stay for the next one. */
void supervisor_suspend(struct supervisor *supervisor)
{
        struct server *server = &supervisor->server;

        server_tell(server, WIRE_SUSPEND, supervisor->log);
        supervisor->life = LIFE_LEAVING;
        server->leaving_ms = clock_now_ms();
        if (server->probed_ms == 0)
                server->probed_ms = server->leaving_ms;
        server_tell(server, WIRE_PROBE, supervisor->log);
}

/* It was waited for: now the server may go. */
static void on_warm(struct supervisor *supervisor)
{
        if ((supervisor->aim == AIM_UPGRADE || supervisor->aim == AIM_RESTART) &&
            supervisor->life == LIFE_RUNNING && supervisor->spare.warm)
                supervisor_suspend(supervisor);
}

static void on_ready(struct supervisor *supervisor)
{
        struct server *server = &supervisor->server;
        uint64_t now = clock_now_ms();

        server->ready_ms = server->beat_ms = now;
        server->probed_ms = 0;
        if (supervisor->life == LIFE_STARTING)
                log_line(supervisor->log, LOG_INFO, "supervisor",
                         "the server (process %d, version %s) answers after %llu ms",
                         (int)server->pid, server->version,
                         (unsigned long long)(now - server->started_ms));
        if (supervisor->life == LIFE_STARTING)
                supervisor->spare_at_ms = now + SPARE_AFTER_MS;
        supervisor->life = LIFE_RUNNING;
        if (supervisor->server_stays)
                supervisor_record(supervisor); /* what is written there may be another's */
        supervisor->server_stays = false;
        supervisor->ever_ready = true;
        clients_answer(&supervisor->clients, WIRE_RESTART, HIF_OK, "{}");
        if (supervisor->old_program_fd >= 0)
                upgrade_done(supervisor);
        if (supervisor->aim == AIM_STOP)
                supervisor_aim(supervisor, AIM_STOP);
}

static void set_version(struct server *server, const struct wire_msg *msg)
{
        snprintf(server->version, sizeof(server->version), "%.*s", (int)msg->name.size,
                 (const char *)msg->name.data);
}

static void on_event(struct supervisor *supervisor, struct server *server,
                     const struct wire_msg *msg)
{
        switch (msg->kind) {
        case WIRE_WARM:
                set_version(server, msg);
                server->warm = true;
                on_warm(supervisor);
                break;
        case WIRE_READY:
                set_version(server, msg);
                if (server == &supervisor->server)
                        on_ready(supervisor);
                break;
        case WIRE_BEAT:
                server->beat_ms = clock_now_ms();
                server->probed_ms = 0;
                break;
        case WIRE_FAILED:
                server->failed = true;
                supervisor->failure = hif_err_from_errno((int)msg->value);
                snprintf(supervisor->why.text, sizeof(supervisor->why.text), "%.*s",
                         (int)msg->note.size, (const char *)msg->note.data);
                break;
        case WIRE_ENDING:
                supervisor->aim = AIM_STOP;
                break;
        default:
                break; /* of a newer version */
        }
}

/* One of the two does not hear the other any more. */
static void part(struct supervisor *supervisor, struct server *server)
{
        if (supervisor->life != LIFE_ADOPTING) {
                server_cut(server);
                return;
        }
        /* It did not come over, and serves without us. */
        if (server->events >= 0)
                close(server->events);
        server->events = -1;
}

/* Both return false when there is no more for now. */
bool supervisor_event(struct supervisor *supervisor, struct server *server)
{
        struct wire_msg msg;
        enum hif_err err;

        if (server->events < 0)
                return false;
        err = wire_receive(server->events, supervisor->buffer, &msg);
        if (err == HIF_ENOENT)
                part(supervisor,
                     server); /* most often its end is near, and is seen by the process */
        if (err != HIF_OK)
                return false;
        if (msg.fd >= 0)
                close(msg.fd);
        on_event(supervisor, server, &msg);
        return true;
}

/* It would wait for an answer that does not come, and then take each answer for that of another call. */
static void answer_lost(struct supervisor *supervisor, enum hif_err err)
{
        struct server *server = &supervisor->server;

        log_line(supervisor->log, LOG_WARN, "supervisor", "the server could not be answered: %s",
                 hif_strerror(err));
        close(server->calls);
        server->calls = -1;
        part(supervisor, server);
}

/* A packet that is not one of ours has been taken, and is answered; after other errors it is there still. */
static bool is_taken(enum hif_err err)
{
        return err == HIF_OK || err == HIF_ECORRUPT || err == HIF_EUNSUPPORTED;
}

bool supervisor_call(struct supervisor *supervisor)
{
        struct server *server = &supervisor->server;
        struct wire_msg msg, done = {.kind = WIRE_DONE, .fd = -1};
        const struct shelf_item *item;
        enum hif_err err;

        if (server->calls < 0)
                return false;
        err = wire_receive(server->calls, supervisor->buffer, &msg);
        if (err == HIF_ENOENT) {
                close(server->calls);
                server->calls = -1;
        }
        if (!is_taken(err))
                return false;
        if (err != HIF_OK) {
                msg = (struct wire_msg){.fd = -1};
        } else if (msg.kind == WIRE_PUT && msg.fd >= 0) {
                err = shelf_put(&supervisor->shelf, msg.name, msg.fd, msg.note);
                msg.fd = -1;
        } else if (msg.kind == WIRE_TAKE) {
                item = shelf_find(&supervisor->shelf, msg.name);
                err = item != NULL ? HIF_OK : HIF_ENOENT;
                done.fd = item != NULL ? item->fd : -1;
                done.note = item != NULL ? item->note : (struct span){0};
        } else if (msg.kind == WIRE_DROP) {
                err = shelf_drop(&supervisor->shelf, msg.name);
        } else if (msg.kind == WIRE_HELP) {
                err = supervisor_help(supervisor, &msg);
        } else {
                err = HIF_ENOTSUP;
        }
        if (msg.fd >= 0)
                close(msg.fd);
        done.value = (uint32_t)(err == HIF_OK ? 0 : hif_err_to_errno(err));
        err = wire_send(server->calls, &done);
        if (err != HIF_OK && err != HIF_ENOENT)
                answer_lost(supervisor, err);
        return err == HIF_OK;
}

/* --- the end of a server --- */

void supervisor_gone(struct supervisor *supervisor)
{
        struct server *server = &supervisor->server;
        bool asked = supervisor->life == LIFE_LEAVING, said, fault;
        bool started = supervisor->life == LIFE_STARTING;
        char death[sizeof(supervisor->last_death)];

        while (supervisor_call(supervisor) || supervisor_event(supervisor, server))
                ; /* what it said last; bounded by the sockets' buffers */
        said = server->failed;
        fault = server_reap(server, death, sizeof(death));
        if (!asked || fault)
                memcpy(supervisor->last_death, death, sizeof(death));
        supervisor->life = LIFE_WAITING;
        if (supervisor->aim == AIM_STOP || (!supervisor->ever_ready && !said && !fault)) {
                supervisor->done = true;
                return;
        }
        if (!supervisor->ever_ready) {
                if (!said)
                        supervisor->failure = why_set(
                            &supervisor->why, HIF_EIO, "%s while it started; its log is '%s'",
                            supervisor->last_death, supervisor->cli->paths.log_file);
                supervisor->done = true;
                return;
        }
        if (supervisor->old_program_fd >= 0 && started)
                upgrade_back(supervisor, said ? supervisor->why.text : supervisor->last_death);
        supervisor->failure = HIF_OK;
        supervisor->restarts++;
        if (asked || supervisor->rolled_back) {
                supervisor->rolled_back = false;
                supervisor_start_server(supervisor);
                return;
        }
        note_death(supervisor, fault);
        supervisor->faulty = fault;
        log_line(supervisor->log, LOG_WARN, "supervisor", "%s; the next one starts %s%llu ms",
                 said ? supervisor->why.text : supervisor->last_death,
                 supervisor->backoff_ms > 0 ? "not before " : "within ",
                 (unsigned long long)(supervisor->backoff_ms > 0 ? supervisor->backoff_ms : 1));
        if (supervisor->backoff_ms == 0)
                supervisor_start_server(supervisor);
}

void supervisor_spare_gone(struct supervisor *supervisor)
{
        struct server *spare = &supervisor->spare;
        char text[sizeof(supervisor->last_death)];
        bool said;

        while (supervisor_event(supervisor, spare))
                ;
        said = spare->failed;
        (void)server_reap(spare, text, sizeof(text));
        spare_failed(supervisor, said ? supervisor->why.text : text);
        supervisor->failure = HIF_OK;
}

void supervisor_spare_late(struct supervisor *supervisor)
{
        server_discard(&supervisor->spare);
        spare_failed(supervisor, "it was not ready in time");
}

void supervisor_aim(struct supervisor *supervisor, enum aim aim)
{
        supervisor->aim = aim;
        switch (supervisor->life) {
        case LIFE_WAITING:
                if (aim == AIM_STOP)
                        supervisor->done = true;
                else
                        supervisor_start_server(supervisor);
                break;
        case LIFE_RUNNING:
                if (aim == AIM_RESTART && !server_hung(&supervisor->server)) {
                        /* One that reads the configuration as it is now. */
                        server_discard(&supervisor->spare);
                        supervisor_make_spare(supervisor);
                } else if (aim != AIM_UPGRADE) {
                        supervisor_suspend(supervisor);
                }
                break;
        case LIFE_ADOPTING:
                if (aim == AIM_STOP)
                        supervisor->done = true;
                break;
        case LIFE_STARTING: /* it is told as soon as it listens */
        case LIFE_LEAVING:
                break;
        }
}
