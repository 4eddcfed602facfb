#include "cli/supervisor/upgrade.h"

#include "base/cleanup.h"
#include "cli/clock.h"
#include "cli/json_encode.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define UPGRADE_WAIT_MS 5000 /* for a new program's server to be warm, and then to answer */

enum hif_err upgrade_begin(struct supervisor *supervisor, struct span name, struct hif_why *why)
{
        char *path = strndup((const char *)name.data, name.size);
        enum hif_err err = HIF_OK;
        struct stat st;
        int fd;

        if (path == NULL)
                return HIF_ENOMEM;
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0)
                err = hif_err_from_errno(errno);
        else if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || access(path, X_OK) != 0)
                err = HIF_EACCES;
        if (err == HIF_OK) {
                server_discard(&supervisor->spare);
                supervisor->old_program_fd = supervisor->program_fd;
                supervisor->old_program = supervisor->program;
                supervisor->program_fd = fd;
                supervisor->other_program = true;
                supervisor->program = path;
                supervisor->upgrade_ms = clock_now_ms();
                err = server_start(&supervisor->spare, supervisor->program_fd, NULL, why);
                if (err != HIF_OK)
                        upgrade_back(supervisor, why->text);
                return err;
        }
        why_set(why, err, "'%s' is no program that can be run: %s", path, hif_strerror(err));
        if (fd >= 0)
                close(fd);
        free(path);
        return err;
}

uint64_t upgrade_due_ms(const struct supervisor *supervisor)
{
        if (supervisor->life == LIFE_STARTING)
                return supervisor->server.started_ms + UPGRADE_WAIT_MS;
        /* The old server takes the time that it needs. */
        return supervisor->spare.warm ? UINT64_MAX : supervisor->upgrade_ms + UPGRADE_WAIT_MS;
}

void upgrade_done(struct supervisor *supervisor)
{
        json_t *versions =
            json_pack("{s:s, s:s}", "version", supervisor->server.version, "from", HIF_VERSION);
        AUTO_FREE char *text = json_encode(versions, JSON_COMPACT);

        json_decref(versions);
        close(supervisor->old_program_fd);
        free(supervisor->old_program);
        supervisor->old_program_fd = -1;
        supervisor->old_program = NULL;
        supervisor->aim = supervisor->aim == AIM_UPGRADE ? AIM_SERVE : supervisor->aim;
        supervisor->upgraded = true;
        log_line(supervisor->log, LOG_INFO, "supervisor", "upgraded to version %s, '%s'",
                 supervisor->server.version, supervisor->program);
        clients_answer(&supervisor->clients, WIRE_UPGRADE, HIF_OK, text != NULL ? text : "{}");
}

void upgrade_back(struct supervisor *supervisor, const char *reason)
{
        char text[sizeof(supervisor->why.text) + 256];

        snprintf(text, sizeof(text), "'%s' did not take over: %s; version %s goes on",
                 supervisor->program, reason, HIF_VERSION);
        log_line(supervisor->log, LOG_ERROR, "supervisor", "%s", text);
        server_discard(&supervisor->spare); /* it is of the new program, if it is there */
        supervisor->rolled_back = supervisor->life == LIFE_STARTING || supervisor->server.pid == 0;
        close(supervisor->program_fd);
        free(supervisor->program);
        supervisor->program_fd = supervisor->old_program_fd;
        supervisor->other_program = false;
        supervisor->program = supervisor->old_program;
        supervisor->old_program_fd = -1;
        supervisor->old_program = NULL;
        supervisor->aim = supervisor->aim == AIM_UPGRADE ? AIM_SERVE : supervisor->aim;
        clients_answer(&supervisor->clients, WIRE_UPGRADE, HIF_EIO, text);
}
