/* place.c - where a supervisor lives: its lock, its log, its sockets. */
#include "cli/supervisor/supervisor_impl.h"

#include "base/cleanup.h"
#include "cli/control_wire.h"

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

#define BACKLOG 64

enum hif_err supervisor_lock(struct supervisor *supervisor, struct hif_why *why)
{
        struct cli *cli = supervisor->cli;
        AUTO_FREE char *path = NULL;

        if (asprintf(&path, "%s/daemon.lock", cli->paths.state_dir) < 0) {
                path = NULL;
                return HIF_ENOMEM;
        }
        supervisor->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (supervisor->lock_fd < 0)
                return why_set(why, hif_err_from_errno(errno), "'%s' could not be opened: %s", path,
                               strerror(errno));
        if (flock(supervisor->lock_fd, LOCK_EX | LOCK_NB) != 0)
                return why_set(why, HIF_EBUSY,
                               "a daemon is running already; `hif daemon status` "
                               "shows it, `hif daemon stop` ends it");
        return HIF_OK;
}

enum hif_err supervisor_log(struct supervisor *supervisor, struct hif_why *why)
{
        struct cli *cli = supervisor->cli;
        AUTO_FREE char *path = NULL;

        if (asprintf(&path, "%s/daemon.log", cli->paths.state_dir) < 0) {
                path = NULL;
                return HIF_ENOMEM;
        }
        /* What libraries and failed assertions say belongs there, too. */
        return log_open(path, LOG_FILE_MAX, LOG_INFO, true, &supervisor->log, why);
}

/* --- sockets --- */

enum hif_err supervisor_address(const char *dir, struct sockaddr_un *out, struct hif_why *why)
{
        *out = (struct sockaddr_un){.sun_family = AF_UNIX};
        if ((size_t)snprintf(out->sun_path, sizeof(out->sun_path), "%s/supervisor.sock", dir) >=
            sizeof(out->sun_path))
                return why_set(
                    why, HIF_ENAMETOOLONG,
                    "'%s' is too long for a socket; set XDG_RUNTIME_DIR to a shorter path", dir);
        return HIF_OK;
}

/* Does anyone answer there? */
static bool is_taken(const struct sockaddr_un *address, int type)
{
        int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
        bool taken =
            fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0;

        if (fd >= 0)
                close(fd);
        return taken;
}

/* backlog 0: it is not listened on. */
static enum hif_err bind_at(const struct sockaddr_un *address, int type, int backlog, int *out,
                            struct hif_why *why)
{
        int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

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
        enum hif_err err = supervisor_address(dir, &supervisor->own, why);
        int fd;

        if (err == HIF_OK)
                err = control_address(dir, &supervisor->control, why);
        if (err != HIF_OK)
                return err;
        err = env_mkdirs(&cli->env, dir, 0700);
        if (err != HIF_OK)
                return why_set(why, err, "'%s' could not be made: %s", dir, hif_strerror(err));
        if (is_taken(&supervisor->own, SOCK_SEQPACKET) ||
            is_taken(&supervisor->control, SOCK_STREAM))
                return why_set(why, HIF_EBUSY, "another daemon listens on '%s'",
                               supervisor->control.sun_path);
        err = bind_at(&supervisor->own, SOCK_SEQPACKET, BACKLOG, &supervisor->listen_fd, why);
        if (err != HIF_OK)
                return err;
        err = bind_at(&supervisor->control, SOCK_STREAM, 0, &fd, why);
        if (err == HIF_OK)
                err = shelf_put(&supervisor->shelf, span_str("control"), fd, (struct span){0});
        if (err != HIF_OK) {
                close(supervisor->listen_fd);
                supervisor->listen_fd = -1;
        }
        return err;
}

/* The lock file tells commands where we listen, whatever their environment says. */
static void record_socket(struct supervisor *supervisor)
{
        size_t size = strlen(supervisor->control.sun_path);

        if (ftruncate(supervisor->lock_fd, 0) != 0 ||
            pwrite(supervisor->lock_fd, supervisor->control.sun_path, size, 0) != (ssize_t)size)
                log_line(supervisor->log, LOG_WARN, "supervisor",
                         "the lock file could not be written: %s; commands find this daemon only "
                         "with the same XDG_RUNTIME_DIR",
                         strerror(errno));
}

enum hif_err supervisor_sockets(struct supervisor *supervisor, struct hif_why *why)
{
        struct cli *cli = supervisor->cli;
        enum hif_err err = bind_in(supervisor, cli->paths.runtime_dir, why);

        if (err != HIF_OK) {
                AUTO_FREE char *dir = NULL;

                log_line(supervisor->log, LOG_WARN, "supervisor", "%s; the sockets go to '%s/run'",
                         why->text, cli->paths.state_dir);
                if (asprintf(&dir, "%s/run", cli->paths.state_dir) < 0) {
                        dir = NULL;
                        return HIF_ENOMEM;
                }
                err = bind_in(supervisor, dir, why);
        }
        if (err == HIF_OK)
                record_socket(supervisor);
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
static bool server_lives(struct supervisor *supervisor)
{
        AUTO_FREE char *path = NULL;
        bool lives;
        int fd;

        if (asprintf(&path, "%s/server.lock", supervisor->cli->paths.state_dir) < 0) {
                path = NULL;
                return false;
        }
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
                return false;
        lives = flock(fd, LOCK_EX | LOCK_NB) != 0;
        close(fd);
        return lives;
}

/* Where the last supervisor's sockets were. */
static bool recorded(struct supervisor *supervisor, struct sockaddr_un *out)
{
        ssize_t size;

        *out = (struct sockaddr_un){.sun_family = AF_UNIX};
        size = pread(supervisor->lock_fd, out->sun_path, sizeof(out->sun_path) - 1, 0);
        return size > 0;
}

enum hif_err supervisor_adopt(struct supervisor *supervisor, bool *asked, struct hif_why *why)
{
        json_t *request;
        char *dir;
        enum hif_err err;

        *asked = false;
        if (!server_lives(supervisor) || !recorded(supervisor, &supervisor->control))
                return HIF_OK;
        /* One that is on its way out does not listen any more. */
        if (control_try(&supervisor->control, &supervisor->adopt_fd) != HIF_OK) {
                supervisor->adopt_fd = -1;
                return HIF_OK;
        }
        supervisor->adopting = true;
        dir = strdup(supervisor->control.sun_path);
        request = json_pack("{s:s}", "op", "adopt");
        err = dir != NULL && request != NULL
                  ? supervisor_address(dirname(dir), &supervisor->own, why)
                  : HIF_ENOMEM;
        if (err == HIF_OK)
                err =
                    bind_at(&supervisor->own, SOCK_SEQPACKET, BACKLOG, &supervisor->listen_fd, why);
        if (err == HIF_OK)
                err = control_send(supervisor->adopt_fd, request);
        json_decref(request);
        free(dir);
        *asked = err == HIF_OK;
        return err;
}
