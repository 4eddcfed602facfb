#include "cli/sockets.h"

#include "base/cleanup.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define CONNECT_MS 250

int sockets_type(enum daemon_socket which)
{
        return which == SOCKET_CONTROL ? SOCK_STREAM : SOCK_SEQPACKET;
}

enum hif_err sockets_address(const char *dir, enum daemon_socket which, struct sockaddr_un *out,
                             struct hif_why *why)
{
        const char *name = which == SOCKET_CONTROL ? "control.sock" : "supervisor.sock";

        *out = (struct sockaddr_un){.sun_family = AF_UNIX};
        if ((size_t)snprintf(out->sun_path, sizeof(out->sun_path), "%s/%s", dir, name) >=
            sizeof(out->sun_path))
                return why_set(
                    why, HIF_ENAMETOOLONG,
                    "'%s' is too long for a socket; set XDG_RUNTIME_DIR to a shorter path", dir);
        return HIF_OK;
}

static enum hif_err connect_error(int error)
{
        if (error == EAGAIN)
                return HIF_EUNREACHABLE;
        /* A directory of someone else's has no daemon of ours. */
        if (error == ECONNREFUSED || error == ENOENT || error == ENOTDIR || error == EACCES)
                return HIF_ENOENT;
        return hif_err_from_errno(error);
}

enum hif_err sockets_connect(const struct sockaddr_un *address, enum daemon_socket which, int *out)
{
        const struct timeval patience = {.tv_usec = CONNECT_MS * 1000}, ever = {0};
        int fd = socket(AF_UNIX, sockets_type(which) | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return hif_err_from_errno(errno);
        /* With a full backlog connect(2) waits: for ever, when the daemon hangs. */
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
        if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0) {
                int error = errno;

                close(fd);
                return connect_error(error);
        }
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &ever, sizeof(ever));
        *out = fd;
        return HIF_OK;
}

/* The directory that daemon.lock names. */
static bool recorded_dir(struct cli *cli, char *out, size_t size)
{
        AUTO_BUF struct buf text = {0};

        if (env_read_file(&cli->env, cli->paths.daemon_lock, size - 1, &text) != HIF_OK)
                return false;
        buf_put_u8(&text, 0);
        if (buf_failed(&text) || text.data[0] != '/')
                return false;
        snprintf(out, size, "%s", dirname((char *)text.data));
        return true;
}

enum hif_err sockets_find(struct cli *cli, enum daemon_socket which, struct sockaddr_un *where,
                          int *fd)
{
        char recorded[sizeof(where->sun_path)];
        const char *dirs[] = {
            cli->paths.runtime_dir,
            recorded_dir(cli, recorded, sizeof(recorded)) ? recorded : NULL,
            cli->paths.run_dir,
        };
        enum hif_err err = HIF_ENOENT;

        for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]) && err != HIF_OK; i++) {
                struct sockaddr_un address;
                struct hif_why ignored;
                enum hif_err found;

                if (dirs[i] == NULL ||
                    sockets_address(dirs[i], which, &address, &ignored) != HIF_OK)
                        continue;
                found = sockets_connect(&address, which, fd);
                if (found == HIF_ENOENT)
                        continue;
                *where = address;
                err = found;
        }
        return err;
}
