/* workspace_impl.h - what the files of a workspace all know: its parts, and the names of its values.
 * What each of them does is in a header of its own, and each calls only those below it (docs/rooms.md). */
#ifndef HIF_CLI_DAEMON_WORKSPACE_IMPL_H
#define HIF_CLI_DAEMON_WORKSPACE_IMPL_H

#include "cli/daemon/frame.h"
#include "fuse/fuse_server.h"
#include "land/land.h"
#include "nfs/server.h"
#include "vfs/move.h"
#include "vfs/vfs.h"

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
        atomic_bool mounted; /* as far as is known: workspace_is_mounted looks */
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

#endif
