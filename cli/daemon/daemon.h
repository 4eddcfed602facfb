/* daemon.h - the process that serves a user's mounts. One per user, started by its supervisor
 * (cli/supervisor/), and again whenever it dies. */
#ifndef HIF_CLI_DAEMON_DAEMON_H
#define HIF_CLI_DAEMON_DAEMON_H

#include "cli/control_wire.h"
#include "cli/daemon/frame.h"

/* Serve until told to stop (SIGTERM, SIGINT, the request "stop", or by the supervisor). HIF_EINVAL:
 * not started by a supervisor. */
HIF_MUST_USE enum hif_err daemon_serve(struct cli *cli, struct hif_why *why);

/* --- requests.c --- */

/* One connection of a command. */
struct request {
        struct daemon *daemon;
        int fd;
        int control_fd;          /* where connections come from */
        json_t *args;            /* the request's object */
        char *path;              /* its "path", once request_enter has read it; the frame's */
        char *moved_from;        /* where the mount of "path" was, if it has moved; the frame's */
        bool gone;               /* the command does not read what it is sent */
        void (*stop)(void *arg); /* make daemon_serve return */
        void *stop_arg;
        /* What is left to do once the answer is sent; NULL: nothing. */
        void (*after)(struct request *request);
        struct workspace *landed; /* entered */
        uint64_t landed_at;
};

/* Carry out request->args and send the answer. */
void request_serve(struct request *request);

/* Unmount everything, or with `suspend` leave NFS mounts for the next daemon. */
void daemon_close_all(struct daemon *daemon, bool suspend);

#endif
