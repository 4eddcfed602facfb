#include "cli/supervisor/place.h"

#include "base/cleanup.h"
#include "cli/control_wire.h"
#include "cli/process.h"
#include "cli/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACKLOG      64
#define LOCK_WAIT_MS 1000 /* for one that is just dying */
#define LOCK_POLL_MS 5

enum hif_err supervisor_lock(struct supervisor *supervisor, struct hif_why *why)
{
        const char *path = supervisor->cli->paths.daemon_lock;

        supervisor->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (supervisor->lock_fd < 0)
                return why_set(why, hif_err_from_errno(errno), "'%s' could not be opened: %s", path,
                               strerror(errno));
        for (int waited = 0; flock(supervisor->lock_fd, LOCK_EX | LOCK_NB) != 0;
             waited += LOCK_POLL_MS) {
                if (waited >= LOCK_WAIT_MS)
                        return why_set(why, HIF_EBUSY,
                                       "a daemon is running already; `hif daemon status` "
                                       "shows it, `hif daemon stop` ends it");
                usleep(LOCK_POLL_MS * 1000);
        }
        return HIF_OK;
}

enum hif_err supervisor_log(struct supervisor *supervisor, struct hif_why *why)
{
        /* What libraries and failed assertions say belongs there, too. */
        return log_open(supervisor->cli->paths.log_file, LOG_FILE_MAX, LOG_INFO, true,
                        &supervisor->log, why);
}

/* --- sockets --- */

/* Does anyone answer there? One that takes no more is there, too. */
static bool is_taken(const struct sockaddr_un *address, enum daemon_socket which)
{
        int fd;
        enum hif_err err = sockets_connect(address, which, &fd);

        if (err == HIF_OK)
                close(fd);
        return err == HIF_OK || err == HIF_EUNREACHABLE;
}

/* backlog 0: it is not listened on. */
static enum hif_err bind_at(const struct sockaddr_un *address, enum daemon_socket which,
                            int backlog, int *out, struct hif_why *why)
{
        int fd = socket(AF_UNIX, sockets_type(which) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        unlink(address->sun_path); /* nobody answers: it is stale */
        if (fd < 0 || bind(fd, (const struct sockaddr *)address, sizeof(*address)) != 0 ||
            chmod(address->sun_path, 0600) != 0 || (backlog > 0 && listen(fd, backlog) != 0)) {
                enum hif_err err = hif_err_from_errno(errno);

                if (fd >= 0)
                        close(fd);
                return why_set(why, err, "the socket '%s' could not be made: %s", address->sun_path,
                               hif_strerror(err));
        }
        *out = fd;
        return HIF_OK;
}

/* Both in one directory. HIF_EBUSY: those of another daemon, with other state, are there. */
static enum hif_err bind_in(struct supervisor *supervisor, const char *dir, struct hif_why *why)
{
        struct cli *cli = supervisor->cli;
        enum hif_err err = sockets_address(dir, SOCKET_SUPERVISOR, &supervisor->own, why);
        int fd;

        if (err == HIF_OK)
                err = sockets_address(dir, SOCKET_CONTROL, &supervisor->control, why);
        if (err != HIF_OK)
                return err;
        err = env_mkdirs(&cli->env, dir, 0700);
        if (err != HIF_OK)
                return why_set(why, err, "'%s' could not be made: %s", dir, hif_strerror(err));
        if (is_taken(&supervisor->own, SOCKET_SUPERVISOR) ||
            is_taken(&supervisor->control, SOCKET_CONTROL))
                return why_set(why, HIF_EBUSY, "another daemon listens on '%s'",
                               supervisor->control.sun_path);
        err = bind_at(&supervisor->own, SOCKET_SUPERVISOR, BACKLOG, &supervisor->listen_fd, why);
        if (err != HIF_OK)
                return err;
        err = bind_at(&supervisor->control, SOCKET_CONTROL, 0, &fd, why);
        if (err == HIF_OK)
                err = shelf_put(&supervisor->shelf, span_str("control"), fd, (struct span){0});
        if (err != HIF_OK) {
                close(supervisor->listen_fd);
                supervisor->listen_fd = -1;
        }
        return err;
}

void supervisor_record(struct supervisor *supervisor)
{
        size_t size = strlen(supervisor->control.sun_path);
        bool before = supervisor->unrecorded;

        supervisor->unrecorded =
            ftruncate(supervisor->lock_fd, 0) != 0 ||
            pwrite(supervisor->lock_fd, supervisor->control.sun_path, size, 0) != (ssize_t)size;
        if (supervisor->unrecorded && !before)
                log_line(supervisor->log, LOG_WARN, "supervisor",
                         "the lock file could not be written: %s; until it can, commands find this "
                         "daemon only with the same XDG_RUNTIME_DIR, or none",
                         strerror(errno));
}

enum hif_err supervisor_sockets(struct supervisor *supervisor, struct hif_why *why)
{
        const struct cli_paths *paths = &supervisor->cli->paths;
        enum hif_err err = bind_in(supervisor, paths->runtime_dir, why);

        if (err != HIF_OK) {
                log_line(supervisor->log, LOG_WARN, "supervisor", "%s; the sockets go to '%s'",
                         why->text, paths->run_dir);
                err = bind_in(supervisor, paths->run_dir, why);
        }
        if (err == HIF_OK)
                supervisor_record(supervisor);
        return err;
}

static bool is_socket(const struct sockaddr_un *address)
{
        struct stat st;

        return lstat(address->sun_path, &st) == 0 && S_ISSOCK(st.st_mode);
}

bool supervisor_sockets_there(const struct supervisor *supervisor)
{
        return is_socket(&supervisor->control) && is_socket(&supervisor->own);
}

/* --- a server that has lost its supervisor --- */

/* It holds this lock as long as it lives. */
static enum hif_err server_lives(struct supervisor *supervisor, bool *lives, struct hif_why *why)
{
        const char *path = supervisor->cli->paths.server_lock;
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

        if (fd < 0)
                return why_set(why, hif_err_from_errno(errno), "'%s' could not be opened: %s", path,
                               strerror(errno));
        *lives = flock(fd, LOCK_EX | LOCK_NB) != 0;
        close(fd);
        return HIF_OK;
}

enum hif_err supervisor_say_orphan(struct supervisor *supervisor, struct hif_why *why)
{
        struct cli *cli = supervisor->cli;
        int pid = (int)process_of_lock(&cli->env, cli->paths.server_lock);

        if (process_stopped(pid) && supervisor->server_stays)
                return why_set(why, HIF_EUNREACHABLE,
                               "a server (process %d) that has lost its supervisor is stopped; "
                               "`kill -CONT %d` lets it go on",
                               pid, pid);
        return why_set(why, HIF_EUNREACHABLE,
                       "a server (process %d) that has lost its supervisor %s; `kill -KILL %d` "
                       "ends it, and the next command starts another; sessions keep their edits",
                       pid,
                       process_stopped(pid) ? "and its socket is stopped"
                                            : "is there and does not answer",
                       pid);
}

/* Ask for it on its own socket, beside which ours is bound. */
static enum hif_err ask_to_come(struct supervisor *supervisor, struct hif_why *why)
{
        AUTO_FREE char *control = strdup(supervisor->control.sun_path);
        json_t *request = json_pack("{s:s}", "op", "adopt");
        enum hif_err err =
            control != NULL && request != NULL
                ? sockets_address(dirname(control), SOCKET_SUPERVISOR, &supervisor->own, why)
                : HIF_ENOMEM;

        if (err == HIF_OK)
                err = bind_at(&supervisor->own, SOCKET_SUPERVISOR, BACKLOG, &supervisor->listen_fd,
                              why);
        if (err == HIF_OK)
                err = control_send(supervisor->adopt_fd, request);
        json_decref(request);
        return err;
}

enum hif_err supervisor_adopt(struct supervisor *supervisor, bool *asked, struct hif_why *why)
{
        struct cli *cli = supervisor->cli;
        bool lives = false;
        enum hif_err err = server_lives(supervisor, &lives, why);

        *asked = false;
        if (err != HIF_OK || !lives)
                return err;
        err = sockets_find(cli, SOCKET_CONTROL, &supervisor->control, &supervisor->adopt_fd);
        supervisor->server_stays = err != HIF_ENOENT;
        /* One that is on its way out does not listen any more: ours waits for its lock. */
        if (err == HIF_ENOENT)
                return process_stopped(process_of_lock(&cli->env, cli->paths.server_lock))
                           ? supervisor_say_orphan(supervisor, why)
                           : HIF_OK;
        if (err == HIF_EUNREACHABLE)
                return supervisor_say_orphan(supervisor, why);
        if (err != HIF_OK)
                return why_set(why, err,
                               "the socket '%s' of a server that has lost its supervisor "
                               "could not be used: %s",
                               supervisor->control.sun_path, hif_strerror(err));
        err = ask_to_come(supervisor, why);
        *asked = err == HIF_OK;
        return err;
}
