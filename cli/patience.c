#include "cli/patience.h"

#include "cli/control_wire.h"
#include "cli/process.h"
#include "cli/sockets.h"
#include "cli/supervisor/supervisor.h"

#include <string.h>
#include <unistd.h>

#define QUICK_MS       1000 /* on top of PATIENCE_FIRST_MS */
#define ORPHAN_PING_MS 5000

static int number_of(const json_t *object, const char *name)
{
        return (int)json_integer_value(json_object_get(object, name));
}

static enum hif_err say_stopped(struct cli *cli, pid_t server, struct hif_why *why)
{
        pid_t supervisor = supervisor_stopped(cli);

        if (supervisor > 0)
                return why_set(why, HIF_EUNREACHABLE,
                               "the daemon hangs: its server (process %d) and its supervisor "
                               "(process %d) are stopped; `kill -CONT %d %d` lets them go on",
                               (int)server, (int)supervisor, (int)server, (int)supervisor);
        return why_set(why, HIF_EUNREACHABLE,
                       "the daemon hangs: its server (process %d) is stopped; `kill -CONT %d` lets "
                       "it go on, `hif daemon restart` ends it and starts another",
                       (int)server, (int)server);
}

static enum hif_err ping(struct cli *cli, uint64_t timeout_ms)
{
        json_t *request = json_pack("{s:s}", "op", "ping"), *pong = NULL;
        struct control_patience patience = control_until(timeout_ms);
        struct sockaddr_un where;
        int fd;
        enum hif_err err = sockets_find(cli, SOCKET_CONTROL, &where, &fd);

        if (err == HIF_OK) {
                err = control_send_patiently(fd, request, &patience);
                if (err == HIF_OK)
                        err = control_receive_patiently(fd, &patience, &pong);
                close(fd);
        }
        json_decref(request);
        json_decref(pong);
        return err;
}

/* A server whose supervisor was killed: does it answer to its name? */
static enum hif_err check_orphan(struct cli *cli, bool quick, struct hif_why *why)
{
        return ping(cli, quick ? QUICK_MS : ORPHAN_PING_MS) == HIF_OK
                   ? HIF_OK
                   : why_set(why, HIF_EUNREACHABLE,
                             "the daemon hangs, and it has no supervisor; `hif doctor` shows its "
                             "process");
}

static enum hif_err say_dying(struct cli *cli, const json_t *status, struct hif_why *why)
{
        const char *death = json_string_value(json_object_get(status, "last_death"));

        return why_set(why, HIF_EUNREACHABLE,
                       "the daemon's server dies again and again: %s; the next one starts in %d s; "
                       "the log '%s' may say why",
                       death != NULL ? death : "", 1 + number_of(status, "next_start_ms") / 1000,
                       cli->paths.log_file);
}

enum hif_err patience_judge(struct cli *cli, const json_t *status, bool quick, struct hif_why *why)
{
        const json_t *server = json_object_get(status, "server");
        const char *state = json_string_value(json_object_get(status, "state"));
        int pid = number_of(server, "pid"), silent = number_of(server, "silent_ms");

        if (process_stopped(pid))
                return say_stopped(cli, pid, why);
        if (state != NULL && strcmp(state, "waiting") == 0)
                return say_dying(cli, status, why);
        if (state != NULL && strcmp(state, "hung") == 0)
                return why_set(why, HIF_EUNREACHABLE,
                               "the daemon's server (process %d) hangs; `hif daemon restart` ends "
                               "it and starts another",
                               pid);
        if (!quick || silent < QUICK_MS || process_busy(pid))
                return HIF_OK;
        return why_set(why, HIF_EUNREACHABLE,
                       "the daemon's server (process %d) hangs, or waits for the disk: it has not "
                       "answered for %d.%d s; try again, or `hif daemon restart` ends it and "
                       "starts another",
                       pid, silent / 1000, silent / 100 % 10);
}

enum hif_err patience_check(struct cli *cli, int fd, bool quick, struct hif_why *why)
{
        struct hif_why answer = {0};
        json_t *status = NULL;
        pid_t server = process_of_socket(fd);
        enum hif_err err;

        if (process_stopped(server))
                return say_stopped(cli, server, why);
        err = supervisor_status(cli, quick ? QUICK_MS : 0, &status, &answer);
        if (err == HIF_ENOENT)
                return check_orphan(cli, quick, why);
        if (err == HIF_ECANCELED)
                return HIF_OK; /* that says nothing of the server: it is asked again later */
        if (err != HIF_OK)
                return why_set(why, HIF_EUNREACHABLE,
                               "the daemon hangs: its server does not answer, and %s", answer.text);
        err = patience_judge(cli, status, quick, why);
        json_decref(status);
        return err;
}

/* Nobody listens. */
static enum hif_err check_lock(struct cli *cli, struct hif_why *why)
{
        int pid = (int)supervisor_stopped(cli);

        if (pid == 0)
                return HIF_OK;
        return why_set(why, HIF_EUNREACHABLE,
                       "the daemon hangs: its supervisor (process %d) is stopped, and its sockets "
                       "are gone; `kill -CONT %d` lets it go on, and it makes them anew",
                       pid, pid);
}

enum hif_err patience_check_start(struct cli *cli, struct hif_why *why)
{
        struct hif_why answer = {0};
        json_t *status = NULL;
        enum hif_err err = supervisor_status(cli, QUICK_MS, &status, &answer);

        if (err == HIF_ENOENT)
                return check_lock(cli, why);
        if (err == HIF_EUNREACHABLE)
                return why_set(why, err, "the daemon hangs: no server listens, and %s",
                               answer.text);
        err = err == HIF_OK ? patience_judge(cli, status, false, why) : HIF_OK;
        json_decref(status);
        return err;
}
