/* tmount.h - a whole workspace in one process: a memory store with a project's tree, fetch, an
 * overlay, vfs, and on request the NFS server over it.
 *
 * Calling sequence: tmount_new, tmount_add for what the base holds, tmount_open; then vfs calls
 * through the verbs below, or tmount_connect and bytes; tmount_free. Nothing here needs cmocka: a
 * failure of the fixture itself prints where and aborts.
 *
 * On a simulated machine (the default) everything runs in the caller's thread, in an order that the
 * seed fixes; time moves only by tmount_advance. On the real one the overlay lies in a temporary
 * directory, and tmount_thread gives the loop a thread of its own. */
#ifndef HIF_TESTS_VFS_TMOUNT_H
#define HIF_TESTS_VFS_TMOUNT_H

#include "base/simenv.h"
#include "nfs/server.h"
#include "vfs/vfs.h"

#define TMOUNT_EXPORT    "/s-0123456789abcdef"
#define TMOUNT_WORKSPACE 0x1122334455667788ull
#define TMOUNT_UID       1000u
#define TMOUNT_GID       1000u

struct tmount_options {
        bool real;               /* the real machine */
        const char *dir;         /* real: where the overlay lies; NULL: a temporary directory */
        uint64_t seed;           /* simulated */
        bool nfs;                /* with a server */
        bool listen;             /* ... that listens on a port of 127.0.0.1 */
        uint16_t port;           /* 0: any */
        const char *export_path; /* NULL: TMOUNT_EXPORT */
        bool (*admit)(void *arg, int fd);
        void *admit_arg;
        struct overlay_config overlay;
        struct vfs_config vfs; /* read_only, allow_other, and the limits; the rest is filled in */
        struct fetch_config fetch;
};

struct tmount {
        struct tmount_options options;
        struct env real;
        struct simenv *sim;
        struct env *env;
        struct loop *loop;
        struct pool *pool;
        struct store *mem, *store; /* store: faults before mem */
        struct layout layout;
        struct fetch *fetch;
        struct fetch_origin *origin;
        struct overlay *overlay;
        struct vfs *vfs;
        struct nfs_server *server;
        struct body_codec *codec;
        struct vfs_base base;
        struct vfs_caller caller; /* of the verbs: the owner, unless changed */
        char dir[96];
        uint16_t port;
        struct tmount_entry *entries;
        size_t entry_count, entry_capacity;
        bool own_dir;
        void *thread;
};

struct tmount *tmount_new(const struct tmount_options *options);
void tmount_free(struct tmount *m);

/* --- the base --- */

/* Parents are added when they are missing. Times are 2001-09-09 01:46:40 plus the entry's number.
 */
void tmount_add_file(struct tmount *m, const char *path, const void *data, size_t size, bool exec);
void tmount_add_text(struct tmount *m, const char *path, const char *text);
void tmount_add_dir(struct tmount *m, const char *path);
void tmount_add_link(struct tmount *m, const char *path, const char *target);
/* Some of every kind, for who asks for anything: file, link, dir/a, dir/sub/b, run.sh, big (2 MiB). */
void tmount_add_samples(struct tmount *m);
/* Write the tree into the store; m->base is its landing. */
void tmount_land(struct tmount *m);
/* The content of a file of `size` bytes by seed: for large ones. The caller frees it. */
uint8_t *tmount_bytes(uint64_t seed, size_t size);

/* --- running --- */

void tmount_open(struct tmount *m); /* lands first, if nothing was landed yet */
void tmount_close(struct tmount *m);
/* Close and open again: a restart of the daemon. The RAM of fetch is lost too. */
void tmount_restart(struct tmount *m);
/* Simulated: the process dies now, or the power goes, and comes back. */
void tmount_kill(struct tmount *m);
void tmount_power_cut(struct tmount *m);
/* One turn of everything that is not waiting for the outside. */
void tmount_turn(struct tmount *m);
/* Turns until nothing happens any more. */
void tmount_settle(struct tmount *m);
void tmount_advance(struct tmount *m, uint64_t ns); /* simulated */
/* Real: the loop runs on a thread of its own from now on, until tmount_join. */
void tmount_thread(struct tmount *m);
void tmount_join(struct tmount *m);
/* A connection to the server: our end of a socketpair, non-blocking. */
int tmount_connect(struct tmount *m);
/* Forget what fetch has in RAM: the next access faults. */
void tmount_cool(struct tmount *m);

/* --- verbs: run a vfs call to its end, through its faults --- */

/* for (TMOUNT_CALL(m, call)) err = vfs_getattr(m->vfs, &call, ...): again while it faults. */
struct tmount_run {
        struct tmount *m;
        struct vfs_call call;
        struct vfs_parked parked;
        enum hif_err resumed;
        int state;
};
void tmount_begin(struct tmount *m, struct tmount_run *run);
/* True: run it (again). Set *err before each later call; a failed wait replaces it. */
bool tmount_again(struct tmount_run *run, enum hif_err *err);

uint64_t tmount_id(struct tmount *m, const char *path); /* NODEID_NONE: no such path */
enum hif_err tmount_lookup(struct tmount *m, uint64_t dir, const char *name, uint64_t *id);
struct vfs_attr tmount_attr(struct tmount *m, const char *path);
enum hif_err tmount_create(struct tmount *m, const char *path, uint64_t *id);
enum hif_err tmount_mkdir(struct tmount *m, const char *path);
enum hif_err tmount_write(struct tmount *m, const char *path, uint64_t offset, const void *data,
                          size_t size, bool stable);
enum hif_err tmount_remove(struct tmount *m, const char *path);
enum hif_err tmount_rename(struct tmount *m, const char *from, const char *to);
/* The whole content; the caller frees it. NULL: not a file that can be read. */
uint8_t *tmount_read(struct tmount *m, const char *path, size_t *size);
bool tmount_holds(struct tmount *m, const char *path, const char *text);

#define tmount_check(condition)                                                                    \
        ((condition) ? (void)0 : tmount_fail(__FILE__, __LINE__, #condition))
_Noreturn void tmount_fail(const char *file, int line, const char *what);

#endif
