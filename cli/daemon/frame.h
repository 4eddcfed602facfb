/* frame.h - what all that serves workspaces knows: the daemon, and how a workspace is asked for. */
#ifndef HIF_CLI_DAEMON_FRAME_H
#define HIF_CLI_DAEMON_FRAME_H

#include "cli/cli.h"
#include "cli/daemon/sandbox.h"
#include "fetch/fetch.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

struct workspace;
struct hold;
struct landings;
struct tie;
struct retry;

/* The network namespace of NFS mounts (netns.h); zeros are none yet. */
struct netns {
        pthread_mutex_t lock;
        size_t users;
};

/* What all workspaces of a daemon share. */
struct daemon {
        struct cli *cli;
        struct hold *hold;      /* what outlives this process */
        struct tie *tie;        /* to the supervisor */
        atomic_bool ending;     /* the supervisor ends, too: nothing is kept */
        struct sandbox sandbox; /* as it was entered */
        struct pool *pool;
        struct fetch *fetch;
        struct loop **loops;
        pthread_t *threads;
        size_t loop_count;
        size_t next_loop;
        pthread_mutex_t resuming; /* one at a time; before lock */
        pthread_mutex_t lock;     /* of what is below */
        struct workspace *first;
        struct netns netns;
        atomic_int ghosts;       /* ghost.h */
        json_t *unresumed;       /* mount points that did not come back: why */
        struct retry *retry;     /* resume.c; NULL: none did not */
        sem_t uploads;           /* how many workspaces may still store ahead of landing */
        pthread_mutex_t landing; /* of: */
        struct landings *landings;
};

enum front_end { FRONT_AUTO, FRONT_NFS, FRONT_FUSE };

struct workspace_options {
        const char *project;     /* "org/name" */
        const char *session;     /* a name: [A-Za-z0-9._-]{1,64} */
        const char *mount_point; /* absolute, canonical */
        const char *store_url;
        bool at; /* a new session starts at this position instead of the head */
        uint64_t at_position;
        const char *goal; /* of a new session; NULL: none yet */
        bool read_only;
        enum front_end front_end;
        bool power; /* durability */
        bool allow_other;
        bool no_netns; /* the port lies open to this machine, also where it need not */
};

#endif
