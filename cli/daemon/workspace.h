/* workspace.h - a mounted session: the composition of overlay, vfs and a front end.
 *
 * Lives in the daemon. A workspace's directory is state_dir/workspaces/{org}/{name}/{session}/. It
 * holds the overlay; what the workspace needs to come back after a crash (mount point, front end,
 * port, handle key, export path, session id) are values of the overlay, so that there is one
 * history. Beside it lie `session.json`, a summary for `hif session list`, and `mounted`, which
 * says that the daemon has to bring it back.
 *
 * All functions block and belong on a request's thread. What touches vfs runs on the workspace's
 * loop (loop_call), and one request at a time works on a workspace (workspace_enter). */
#ifndef HIF_CLI_DAEMON_WORKSPACE_H
#define HIF_CLI_DAEMON_WORKSPACE_H

#include "cli/cli.h"
#include "cli/daemon/sandbox.h"
#include "fetch/fetch.h"
#include "fuse/fuse_server.h"
#include "land/land.h"
#include "vfs/move.h"
#include "vfs/vfs.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

struct workspace;
struct hold;
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

/* Open or resume the session and mount it. *note: a sentence on which front end was taken and why
 * (malloc'd). HIF_EBUSY: the session is mounted elsewhere. */
HIF_MUST_USE enum hif_err workspace_mount(struct daemon *daemon,
                                          const struct workspace_options *options,
                                          struct workspace **out, char **note,
                                          struct hif_why *why); /* not entered */
/* After a crash of the daemon: bring back a workspace that was mounted, same port, same handles.
 * *mount_point, the caller's to free, is set also on errors, when it can be told. */
HIF_MUST_USE enum hif_err workspace_resume(struct daemon *daemon, const char *dir,
                                           char **mount_point, struct hif_why *why);
/* Is the workspace with this directory there? */
bool workspace_listed(struct daemon *daemon, const char *dir);
/* Flush the client's pages, unmount, publish, close. Entered; leave it afterwards. force: also when
 * it is busy, and nothing is published. *warning (may be NULL): a sentence, the caller's to free,
 * on what was not published; untouched where there is nothing to say. */
HIF_MUST_USE enum hif_err workspace_unmount(struct workspace *workspace, bool force, char **warning,
                                            struct hif_why *why);
/* Close without unmounting: the daemon stops, and the kernel's client waits for the next one. */
void workspace_suspend(struct workspace *workspace);

/* By a path at or below its mount point; entered for this thread until workspace_leave. NULL: none.
 */
struct workspace *workspace_enter_path(struct daemon *daemon, const char *path);
struct workspace *workspace_enter_name(struct daemon *daemon, const char *project,
                                       const char *session);
/* By a path in its mount, which has moved along with a directory above it: it follows, and *from is
 * where it was (good while it is entered). */
struct workspace *workspace_enter_moved(struct daemon *daemon, const char *path, const char **from);
struct workspace *workspace_enter_any(struct daemon *daemon);
void workspace_leave(struct workspace *workspace);
/* Has its mount moved along with a directory above it? Then that is its place from now on. Entered. */
bool workspace_follow(struct workspace *workspace);
bool workspace_is_at(const struct workspace *workspace, const char *mount_point);
/* Is the mount there still? umount(8) tells no one. */
bool workspace_is_mounted(struct workspace *workspace);
const char *workspace_mount_point(const struct workspace *workspace);
/* With daemon->lock held: the next in the list, and what it says of itself. */
struct workspace *workspace_after(const struct workspace *workspace);
HIF_MUST_USE enum hif_err workspace_describe_locked(struct workspace *workspace, json_t **out);

/* JSON shapes: docs/cli.md. */
HIF_MUST_USE enum hif_err workspace_describe(struct workspace *workspace, json_t **out);
HIF_MUST_USE enum hif_err workspace_status(struct workspace *workspace, json_t **result,
                                           struct hif_why *why);
/* paths: NULL or an array of paths inside the workspace. */
HIF_MUST_USE enum hif_err workspace_diff(struct workspace *workspace, const json_t *paths,
                                         json_t **result, struct hif_why *why);
/* What diff needs of libraries: once, before anything is served, since libgit2 does not outlive the lack
 * of memory in its first call. HIF_ENOMEM. */
HIF_MUST_USE enum hif_err workspace_diff_prepare(void);
struct land_how {
        bool dry_run;
        bool epoch; /* through a proposal, which others may land */
};

/* HIF_ECONFLICT: *result lists the conflicts. */
HIF_MUST_USE enum hif_err workspace_land(struct workspace *workspace, const char *goal,
                                         const struct land_how *how,
                                         void (*progress)(void *arg,
                                                          const struct land_progress *progress),
                                         void *arg, json_t **result, struct hif_why *why);
/* After the landing's answer is sent: make the derived records that it completed. */
void workspace_landed(struct workspace *workspace, uint64_t position);

#endif
