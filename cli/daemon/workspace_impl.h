/* workspace_impl.h - what the files of a workspace share. */
#ifndef HIF_CLI_DAEMON_WORKSPACE_IMPL_H
#define HIF_CLI_DAEMON_WORKSPACE_IMPL_H

#include "cli/daemon/landings.h"
#include "cli/daemon/netns.h"
#include "cli/daemon/workspace.h"
#include "fuse/fuse_server.h"
#include "nfs/server.h"

#include <stdatomic.h>

/* Names of the overlay values that belong to the workspace. */
#define VALUE_SESSION_ID "session.id"      /* 16 bytes */
#define VALUE_ORIGIN     "session.origin"  /* u64 */
#define VALUE_CREATED    "session.created" /* hlc, u64 */
#define VALUE_GOAL       "session.goal"
/* Of a session that is open in the store (workspace_publish.c): who holds it here [16]; and
 * revision, seq, tree, object, time, changed of what was published last. */
#define VALUE_HOLDER    "session.holder"
#define VALUE_PUBLISHED "session.published"
#define VALUE_LAST      "session.last" /* the position that landed last, u64 */
#define VALUE_PROJECT   "project"
#define VALUE_STORE     "store"
#define VALUE_FORMAT    "project.format" /* the project's, so that a restart needs no store */
#define VALUE_MOUNT     "mount.point"
#define VALUE_FRONT     "mount.front"  /* "nfs" or "fuse" */
#define VALUE_FLAGS     "mount.flags"  /* u8: 1 read-only, 2 power, 4 allow_other, 8 isolated */
#define VALUE_PORT      "mount.port"   /* u16 */
#define VALUE_DEVICE    "mount.device" /* u32: the number of a FUSE mount, 0: not known */
#define VALUE_KEY       "mount.key"    /* 16 bytes: of handles; 8: workspace number; 16: export */
#define VALUE_INTENT                                                                               \
        "land.intent" /* landing id [16], tag, session [16], position, frozen seq, slot */

/* Where a workspace was before its mount moved. */
struct place_before {
        struct place_before *next;
        char *mount_point;
};

/* workspace_check.c */
struct check {
        struct pool_job job;
        struct overlay_ops ops;
        enum hif_err err;
        struct hif_why why;
        atomic_bool stop, found; /* found: why says what */
        sem_t done;
        bool running;
};

struct workspace {
        struct daemon *daemon;
        struct workspace *next; /* in the daemon's list */
        pthread_mutex_t lock;   /* one request at a time */
        int users;              /* requests that are in, or wait to be; daemon->lock */
        bool closed;            /* the last to leave frees it */

        char *project_name, *session_name, *dir, *store_url;
        /* Changes when the mount moves, under lock and daemon->lock; the old one stays readable. */
        char *_Atomic mount_point;
        struct place_before *before;
        bool read_only, power, allow_other;
        bool isolated; /* wanted, or so: its port is in the daemon's network namespace */
        bool damaged;  /* the overlay: then it is read-only */
        enum front_end front;

        struct store *store;
        struct project project;
        struct fetch_origin *origin;
        struct overlay *overlay;
        struct loop *loop;
        struct vfs *vfs;
        struct nfs_server *nfs;
        struct fuse_server *fuse;
        struct ahead *ahead; /* uploads ahead of landing; NULL: off */
        struct check check;
        atomic_bool mounted; /* as far as is known: front_is_mounted looks */
        unsigned device; /* of the mount, by which it is found where it was moved; 0: not known */

        struct landings *landings; /* since it landed first; NULL: it never did */
        struct session_id session;
        uint64_t origin_position;
        uint64_t words_after_ns; /* notes are not published before */
        bool words_failed;
        bool conflicted; /* the last try to land */
        uint16_t port;
        atomic_bool entered;         /* a user of the network namespace */
        struct fuse_mounter mounter; /* the supervisor */
        int mount_end; /* of the helper that takes the mount back unless it is kept; -1 */
        int ghost;     /* the listening socket of a mount that is gone and may be in use; -1 */
        int peers;     /* the table of sockets there (peer.c); -1: not open */
        uint8_t key[40];
};

/* --- call.c: run something on a loop and wait for it --- */

void loop_call(struct loop *loop, void (*run)(void *arg), void *arg);

/* Set overlay values in one transaction and wait until they are on disk. On a request's thread. */
HIF_MUST_USE enum hif_err workspace_set(struct workspace *workspace, const struct vfs_value *values,
                                        size_t count);

/* --- workspace.c --- */

/* Not in the daemon's list, and nothing is open yet. NULL: out of memory. */
struct workspace *workspace_new(struct daemon *daemon, const struct workspace_options *options);
void workspace_free(struct workspace *workspace); /* NULL is fine */
/* Its store, project and origin. */
HIF_MUST_USE enum hif_err workspace_open_store(struct workspace *workspace, struct hif_why *why);
/* Everything but the front end, whatever of it is open. */
void workspace_close_parts(struct workspace *workspace);

/* --- workspace_list.c --- */

/* Add to the daemon's list, entered: who finds it waits until it is open, or closed again.
 * HIF_EBUSY when the session, or the mount point, is taken. */
HIF_MUST_USE enum hif_err workspace_enlist(struct workspace *workspace, struct hif_why *why);
void workspace_delist(struct workspace *workspace);
/* The first that matches, entered; NULL: none does. match is called under the daemon's lock. */
struct workspace *workspace_enter(struct daemon *daemon,
                                  bool (*match)(const struct workspace *workspace, const void *arg),
                                  const void *arg);

/* --- workspace_moved.c: a directory above the mount point was renamed --- */

/* Where its mount is; *now: the caller's to free, NULL: still at its place, or nowhere. */
HIF_MUST_USE enum hif_err workspace_moved(struct workspace *workspace, char **now);

/* --- workspace_check.c: the operations that are recorded, which opening does not read --- */

/* Begin to read them, on the pool. */
void check_start(struct workspace *workspace);
/* Before the overlay is closed; also where none was begun. */
void check_stop(struct workspace *workspace);
/* The sentence: they are damaged. NULL: that has not been found. */
const char *check_found(const struct workspace *workspace);

/* --- workspace_records.c --- */

/* What a session that was mounted before says of itself. HIF_ECORRUPT with a sentence. */
HIF_MUST_USE enum hif_err records_load(struct workspace *workspace, struct hif_why *why);
/* How a daemon before this one had mounted it: the options that opening depends on, and then where
 * its server was. HIF_ECORRUPT. */
HIF_MUST_USE enum hif_err records_options(const struct overlay *overlay,
                                          struct workspace_options *out);
HIF_MUST_USE enum hif_err records_resume(struct workspace *workspace, struct hif_why *why);
/* Is a mount that came back served elsewhere, or in another way, than the records say? */
bool records_moved(struct workspace *workspace);
/* Store what this mount is; first: and what the session is, with its goal (NULL: none yet). */
HIF_MUST_USE enum hif_err records_store(struct workspace *workspace, bool first, const char *goal);
/* A value as text; NULL: not set, or out of memory. The caller's to free. */
char *records_text(const struct overlay *overlay, const char *name);
/* What is damaged: an array of sentences. */
json_t *damage_to_json(const struct overlay *overlay);
/* The file that makes the next daemon bring the mount back. */
HIF_MUST_USE enum hif_err records_mark_mounted(struct workspace *workspace, bool mounted);
/* Write session.json. */
HIF_MUST_USE enum hif_err workspace_summary(struct workspace *workspace, const char *state);

/* --- front.c: NFS or FUSE --- */

/* Decide (FRONT_AUTO), serve, and mount unless `resume`. note as in workspace_mount. */
HIF_MUST_USE enum hif_err front_start(struct workspace *workspace, bool resume, char **note,
                                      struct hif_why *why);
HIF_MUST_USE enum hif_err front_unmount(struct workspace *workspace, bool force,
                                        struct hif_why *why);
/* HIF_EBUSY, and the sentence: its mount is elsewhere now. */
HIF_MUST_USE enum hif_err front_not_moved(struct workspace *workspace, struct hif_why *why);
void front_stop(struct workspace *workspace);
/* Is it there still? umount(8) asks no one. */
bool front_is_mounted(struct workspace *workspace);

/* --- front_fuse.c --- */

/* Go on where a predecessor was (resume), if the supervisor has kept what that takes; else mount. */
HIF_MUST_USE enum hif_err front_fuse_start(struct workspace *workspace, bool resume,
                                           struct hif_why *why);
/* A mount that is to stay is left to the next server; else unmount. */
void front_fuse_stop(struct workspace *workspace);

/* --- mount_nfs.c --- */

bool mount_nfs_available(const struct daemon *daemon,
                         struct hif_why *why); /* why not, when false */
HIF_MUST_USE enum hif_err mount_nfs(struct workspace *workspace, struct hif_why *why);
void export_path_of(const struct workspace *workspace, char out[NFS_EXPORT_MAX]);
/* What the kernel's list of mounts calls it: no other mount is called so. */
#define NFS_SOURCE_MAX (NFS_EXPORT_MAX + 16)
void nfs_source_of(const struct workspace *workspace, char out[NFS_SOURCE_MAX]);
/* Does the kernel have this workspace's mount, wherever? True where that cannot be told. */
bool mount_nfs_is_there(const struct workspace *workspace);

/* --- mount_fuse.c --- */

/* Set workspace->mounter. */
void mounter_init(struct workspace *workspace);
/* Of a mount that a next server would know of, or that is gone in order. */
HIF_MUST_USE enum hif_err mount_keep(struct workspace *workspace);
/* A mount of either kind; not mounted: fine. how: HELP_UNMOUNT and its like (helper.h). HIF_EBUSY and
 * others, with a sentence. */
HIF_MUST_USE enum hif_err unmount(const struct daemon *daemon, const char *mount_point, int how,
                                  struct hif_why *why);

/* --- peer.c --- */

/* The table of this process's namespace, in which peers are looked up; the caller's to close. */
HIF_MUST_USE enum hif_err peer_table(int *out);
/* May the process behind this loopback connection talk to us? The kernel's client (uid 0) or our
 * own user. arg: int *, the table. */
bool peer_admitted(void *arg, int fd);

/* --- kernel.c: what has to touch the mount, in a child process, with a timeout --- */

/* Write the client's dirty pages back. HIF_ETIMEDOUT: it did not finish. */
HIF_MUST_USE enum hif_err kernel_sync(const char *mount_point, uint64_t timeout_ms);
/* Tell the client what a move of the base changed (refresh.h), and wait until it knows. NFS: statx with
 * AT_STATX_FORCE_SYNC; FUSE: invalidation of nodes and names. Best effort: a client that was not
 * told shows old attributes for a while, and the log says so. */
void kernel_refresh(struct workspace *workspace, struct span list);

#endif
