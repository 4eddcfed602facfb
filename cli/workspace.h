/* workspace.h - a mounted session: the composition of overlay, vfs and a front end.
 *
 * Lives in the daemon. A workspace's directory is state_dir/workspaces/{org}/{name}/{session}/ and
 * holds the overlay; what it needs to come back after a crash (mount point, front end, port, handle
 * key, export path, session id, goal) are values of the overlay, so there is one history. Blocking
 * steps run on job threads; everything that touches vfs runs on the workspace's loop. */
#ifndef HIF_CLI_WORKSPACE_H
#define HIF_CLI_WORKSPACE_H

#include "cli/cli.h"
#include "fetch/fetch.h"
#include "land/land.h"
#include "vfs/changes.h"
#include "vfs/vfs.h"

/* What all workspaces of a daemon share. */
struct daemon {
        struct cli *cli;
        struct pool *pool;
        struct fetch *fetch;
        struct loop **loops;
        size_t loop_count;
        struct workspace *first; /* guarded by the main loop: only it adds and removes */
};

enum front_end { FRONT_AUTO, FRONT_NFS, FRONT_FUSE, FRONT_NONE };

struct workspace_options {
        const char *project;     /* "org/name" */
        const char *session;     /* name; NULL = "default" */
        const char *mount_point; /* absolute, canonical */
        const char *store_url;
        bool at; /* start at a position instead of the head */
        uint64_t at_position;
        bool read_only;
        enum front_end front_end;
        const char *durability; /* NULL = configured */
        bool allow_other;
};

struct workspace;

/* Open or resume the session and mount it. Blocks: call it on a job thread. */
HIF_MUST_USE enum hif_err workspace_mount(struct daemon *daemon,
                                          const struct workspace_options *options,
                                          struct workspace **out, struct hif_why *why);
/* After a crash: bring a workspace that was mounted back (same port, same handles). */
HIF_MUST_USE enum hif_err workspace_resume(struct daemon *daemon, const char *dir,
                                           struct workspace **out, struct hif_why *why);
/* Flush the client's pages, unmount, close. force: also when it is busy or hung. */
HIF_MUST_USE enum hif_err workspace_unmount(struct workspace *workspace, bool force,
                                            struct hif_why *why);

/* The result of a landing as the control protocol tells it; see docs/cli.md, "hif land". */
HIF_MUST_USE enum hif_err workspace_land(struct workspace *workspace, const char *goal,
                                         bool dry_run,
                                         void (*progress)(void *arg, json_t *progress), void *arg,
                                         json_t **result, struct hif_why *why);
HIF_MUST_USE enum hif_err workspace_status(struct workspace *workspace, json_t **result,
                                           struct hif_why *why);
HIF_MUST_USE enum hif_err workspace_diff(struct workspace *workspace, const json_t *paths,
                                         json_t **result, struct hif_why *why);

#endif
