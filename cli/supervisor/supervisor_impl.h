/* supervisor_impl.h - what a supervisor knows: its files work on this, each with its own header, and
 * each calls only those below it:
 *
 *      supervisor.h    the frame: set up, run, end
 *      turn.h          one turn: what has come, and what is due
 *      requests.h      what commands ask
 *      life.h          servers start, say how they are, and end
 *      upgrade.h       another program's server
 *      become.h, place.h, helper_fork.h
 *      clients.h, server.h, shelf.h, wire.h    which know no supervisor */
#ifndef HIF_CLI_SUPERVISOR_SUPERVISOR_IMPL_H
#define HIF_CLI_SUPERVISOR_SUPERVISOR_IMPL_H

#include "base/log.h"
#include "cli/supervisor/clients.h"
#include "cli/supervisor/server.h"
#include "cli/supervisor/shelf.h"
#include "cli/supervisor/supervisor.h"
#include "cli/supervisor/wire.h"

#include <sys/un.h>

#define CRASHES_MAX 3   /* the last so many are remembered */
#define DEATHS_MAX  200 /* the same of any kind, by others' hands, too */

enum life {
        LIFE_WAITING,  /* no server; the next one starts at start_at_ms */
        LIFE_ADOPTING, /* one that has lost its supervisor was asked to come */
        LIFE_STARTING,
        LIFE_RUNNING,
        LIFE_LEAVING, /* told to suspend */
};

/* What is to happen once the server is gone. */
enum aim {
        AIM_SERVE, /* start another */
        AIM_RESTART,
        AIM_UPGRADE,
        AIM_STOP,
};

struct supervisor {
        struct cli *cli;
        struct log *log;
        int lock_fd, signal_fd, listen_fd;
        int program_fd;     /* what servers are started from, also when its file is replaced */
        char *program;      /* its path, for people */
        bool other_program; /* it is not what this process runs: since an upgrade */
        int (*serve)(void);
        struct sockaddr_un control, own;
        uint64_t looked_ms; /* when they were last seen to be there */
        struct shelf shelf;

        enum life life;
        enum aim aim;
        struct server server;
        struct server spare;  /* the next one, set up as far as it can be */
        uint64_t spare_at_ms; /* not before */
        bool faulty;          /* the last one died by its own fault: the next ones are run anew */
        uint64_t began_ms, start_at_ms, backoff_ms;
        uint64_t deaths_ms[DEATHS_MAX], crashes_ms[CRASHES_MAX]; /* rings */
        uint64_t death_count, crash_count, restarts;
        char last_death[128]; /* for people */
        bool ever_ready, done;
        int adopt_fd; /* the request to come, while it waits */
        /* A server lives that is not with us: the control socket is its own, and not ours to remove. */
        bool server_stays;
        bool unrecorded; /* the lock file does not say where the sockets are */

        /* An upgrade: what to go back to. */
        int old_program_fd; /* -1: no upgrade under way */
        char *old_program;
        uint64_t upgrade_ms; /* since when */
        bool rolled_back;    /* the server that ends next is of the program that is no good */
        bool upgraded;       /* the server is the new one: the supervisor is next */

        struct clients clients;
        size_t helpers;       /* children that have not been reaped */
        enum hif_err failure; /* why it ends, when it does so by itself */
        struct hif_why why;
        uint8_t buffer[WIRE_SIZE_MAX];
};

#endif
