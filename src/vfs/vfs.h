/* vfs.h - one workspace as its user sees it: the session's base tree under the overlay's edits.
 *
 * The only room that knows both. Front ends (nfs/, fuse/, tests) call these functions on the loop
 * that owns the workspace (I2); nothing here locks, waits or blocks.
 *
 * Run to completion, or fault (I1): a call completes on what is in RAM, or it returns HIF_EMISS
 * with what it lacks in its struct vfs_call, having changed nothing. The front end parks the
 * request (vfs_park), and runs it again from its start when it is resumed.
 *
 *      vfs_call_begin(call, caller)
 *      err = vfs_lookup(vfs, call, ...)
 *      if (err == HIF_EMISS) { vfs_park(vfs, call, parked); return; }   resumed later: run again
 *      reply; held back while call->stable_seq > overlay_durable(): vfs_when_stable
 *      vfs_call_end(call)                                               releases what was pinned
 *
 * Rules of names, modes, times and errors are POSIX's, as RFC 1813 §3.3 passes them on. */
#ifndef HIF_VFS_VFS_H
#define HIF_VFS_VFS_H

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/loop.h"
#include "core/nodeid.h"
#include "fetch/fetch.h"
#include "overlay/overlay.h"

struct vfs;

/* Where a session stands. The landing that `tree` belongs to. */
struct vfs_base {
        uint64_t position;
        struct hif_hash slot; /* HASH_SLOT */
        struct hif_hash tree;
};

struct vfs_config {
        struct env *env;
        struct loop *loop;
        struct overlay *overlay;
        const char *dir; /* where the overlay lies: for statfs; copied */
        struct fetch *fetch;
        struct fetch_origin *origin;
        uint32_t uid, gid; /* who owns everything that the base holds */
        bool read_only;    /* every change is HIF_EROFS */
        bool allow_other;  /* else callers that are neither the owner nor root get HIF_EACCES */
        uint64_t fault_deadline_ms;  /* how long a call may stay parked before it fails with
                                      * HIF_ETIMEDOUT (NFS: JUKEBOX) while the fetch goes on; 0 =
                                      * 20,000 */
        uint64_t prefetch_bytes_max; /* of one directory; 0 = 8 MiB */
        uint64_t hydrate_bytes_max;  /* of prefetched content per workspace; 0 = 4 GiB */
};

/* Open over an overlay that has a base, or give it its first one (`first`: epoch 0; else NULL). */
HIF_MUST_USE enum hif_err vfs_open(const struct vfs_config *config, const struct vfs_base *first,
                                   struct vfs **out, struct hif_why *why);
/* Parked calls are resumed with HIF_ECANCELED first. Also within a turn of the loop. What is being
 * fetched may go on: free the origin afterwards, and the loop after that. */
void vfs_close(struct vfs *vfs);
struct vfs_base vfs_base(const struct vfs *vfs);
/* Where a session stands whose overlay is not open for a mount. HIF_ECORRUPT. */
HIF_MUST_USE enum hif_err vfs_base_stored(const struct overlay *overlay, struct vfs_base *out);
struct overlay *vfs_overlay(struct vfs *vfs);
struct loop *vfs_loop(struct vfs *vfs);

/* --- one call --- */

struct vfs_caller {
        uint32_t uid, gid;
        const uint32_t *groups; /* supplementary ones; good as long as the call goes on */
        uint32_t group_count;
};

#define VFS_PINS_MAX 72

struct vfs_call {
        /* in */
        const struct vfs_caller *caller;
        const struct overlay_reply
            *reply;  /* of a non-idempotent request that must not run twice: logged
                     * with the change, its `node` filled in; NULL: not kept */
        bool closes; /* the file is open, and vfs_closed follows: with durability "power" it is then
                        that the caller waits */
        bool sgid_checked; /* the kernel has taken the bit from who may not set it */
        /* out, after HIF_OK */
        uint64_t stable_seq; /* answer once the overlay is durable up to here; 0: at once */
        /* out, after HIF_EMISS */
        struct fetch_want wants[FETCH_WANTS_MAX];
        size_t want_count;
        struct opiece load; /* overlay data to bring into memory; size 0: none */
        /* vfs's own: pins on what results borrow from */
        struct fetch_ref *pins[VFS_PINS_MAX];
        size_t pin_count;
        struct fetch_waiter *waiter;
        uint64_t first_ns; /* when it was first parked */
};

void vfs_call_begin(struct vfs_call *call, const struct vfs_caller *caller);
void vfs_call_end(struct vfs_call *call);
/* Give back what results so far borrow from, but not what arrived for the call: it goes on. */
void vfs_call_unpin(struct vfs_call *call);

/* A parked request. Embed it; resume() runs on the loop, once: HIF_OK means run the call again, an
 * error is the answer (HIF_EIO, HIF_ETIMEDOUT: NFS says JUKEBOX, HIF_ECANCELED: say nothing). */
struct vfs_parked {
        void (*resume)(struct vfs_parked *parked, enum hif_err err);
        struct vfs_parked *prev, *next;
        void *internal;
};
/* The call must have answered HIF_EMISS and stays in place until resume(). */
void vfs_park(struct vfs *vfs, struct vfs_call *call, struct vfs_parked *parked);
/* The client is gone: resume() will not be called. */
void vfs_unpark(struct vfs *vfs, struct vfs_parked *parked);

/* Runs on the loop when the overlay is durable up to seq, or can not be (HIF_EIO). */
struct vfs_stable {
        void (*done)(struct vfs_stable *stable, enum hif_err err);
        uint64_t seq;
        struct vfs_stable *prev, *next;
};
void vfs_when_stable(struct vfs *vfs, struct vfs_stable *stable);
void vfs_stable_cancel(struct vfs *vfs, struct vfs_stable *stable);

/* --- attributes --- */

struct vfs_attr {
        uint64_t id;
        enum onode_kind kind;
        uint16_t mode;
        uint32_t nlink;
        uint32_t uid, gid;
        uint64_t size;
        uint64_t used;   /* bytes */
        uint64_t device; /* BLOCK, CHAR: major << 32 | minor */
        struct hif_time atime, mtime, ctime;
};

/* What RFC 1813 calls wcc_data: attributes before and after, from the same call. */
struct vfs_wcc {
        bool have; /* false: the node could not be reached */
        uint64_t size_before;
        struct hif_time mtime_before, ctime_before;
        struct vfs_attr after;
};

enum vfs_set {
        VFS_SET_MODE = 1,
        VFS_SET_UID = 2,
        VFS_SET_GID = 4,
        VFS_SET_SIZE = 8,
        VFS_SET_ATIME = 16, /* to the value */
        VFS_SET_MTIME = 32,
        VFS_SET_ATIME_NOW = 64,
        VFS_SET_MTIME_NOW = 128,
};

struct vfs_setattr {
        uint32_t set; /* enum vfs_set */
        uint16_t mode;
        uint32_t uid, gid;
        uint64_t size;
        struct hif_time atime, mtime;
};

/* --- the operations --- */

/* Common errors: HIF_EMISS; HIF_ESTALE (the node is gone); HIF_EBADHANDLE (no such number);
 * HIF_EACCES, HIF_EPERM, HIF_EROFS, HIF_ENOSPC, HIF_EIO, HIF_ENOTDIR, HIF_EISDIR, HIF_ENAMETOOLONG,
 * HIF_EINVAL (an impossible name). wcc is filled whatever the result, where it can be. */

HIF_MUST_USE enum hif_err vfs_getattr(struct vfs *vfs, struct vfs_call *call, uint64_t id,
                                      struct vfs_attr *attr);
/* name may be "." and "..". dir_attr may be NULL. */
HIF_MUST_USE enum hif_err vfs_lookup(struct vfs *vfs, struct vfs_call *call, uint64_t dir,
                                     struct span name, struct vfs_attr *attr,
                                     struct vfs_attr *dir_attr);

/* As ACCESS3_* of RFC 1813 §3.3.4. */
enum vfs_access {
        VFS_READ = 1,
        VFS_LOOKUP = 2,
        VFS_MODIFY = 4,
        VFS_EXTEND = 8,
        VFS_DELETE = 16,
        VFS_EXECUTE = 32,
};
HIF_MUST_USE enum hif_err vfs_access(struct vfs *vfs, struct vfs_call *call, uint64_t id,
                                     uint32_t wanted, uint32_t *granted, struct vfs_attr *attr);

/* guard: the ctime that must still hold, else HIF_EBUSY (NFS3ERR_NOT_SYNC); NULL: none. */
HIF_MUST_USE enum hif_err vfs_setattr(struct vfs *vfs, struct vfs_call *call, uint64_t id,
                                      const struct vfs_setattr *set, const struct hif_time *guard,
                                      struct vfs_wcc *wcc);
/* target is borrowed until vfs_call_end. */
HIF_MUST_USE enum hif_err vfs_readlink(struct vfs *vfs, struct vfs_call *call, uint64_t id,
                                       struct span *target, struct vfs_attr *attr);

/* Of a file that is written, cut or extended: HIF_EFBIG beyond. What ext4 takes with blocks of 4 KiB; a
 * large or sparse file's data file is as large. */
#define VFS_SIZE_MAX (((uint64_t)1 << 44) - 4096)

#define VFS_IOV_MAX 16

/* Content by pointer: pinned immutable bytes, zeros, or bytes in `scratch`. The iov may cover less
 * than was asked for (a short read, not at the end of the file: eof tells). */
struct vfs_data {
        struct iovec iov[VFS_IOV_MAX];
        size_t iov_count;
        size_t size;
        bool eof;
};
/* scratch: at least `size` bytes of the caller's, for overlay data. */
HIF_MUST_USE enum hif_err vfs_read(struct vfs *vfs, struct vfs_call *call, uint64_t id,
                                   uint64_t offset, size_t size, void *scratch,
                                   struct vfs_data *data, struct vfs_attr *attr);

/* The first byte at or after `offset` that is data, or that is in a hole; the end counts as one. What
 * shows of the base is data. HIF_ENOENT: there is none, or offset is not before the end. */
HIF_MUST_USE enum hif_err vfs_seek(struct vfs *vfs, struct vfs_call *call, uint64_t id,
                                   uint64_t offset, bool hole, uint64_t *found);

/* stable: the reply must wait (call->stable_seq is set). */
HIF_MUST_USE enum hif_err vfs_write(struct vfs *vfs, struct vfs_call *call, uint64_t id,
                                    uint64_t offset, struct span data, bool stable,
                                    struct vfs_wcc *wcc);
/* Open files of a front end that knows (FUSE): while held, a node that has lost its last name keeps
 * its content. Otherwise it goes after VFS_REMOVED_GRACE_MS: an NFS client renames what it has
 * open. */
#define VFS_REMOVED_GRACE_MS 60000
HIF_MUST_USE enum hif_err vfs_hold(struct vfs *vfs, uint64_t id);
void vfs_release(struct vfs *vfs, uint64_t id);

/* Remove the names that Linux' NFS client gave to files which were removed while it had them open
 * (".nfs" and hexadecimal digits), and did not come to remove. To be called before a workspace is mounted,
 * when nobody has it open any more. Needs no objects. */
HIF_MUST_USE enum hif_err vfs_sweep_left(struct vfs *vfs);

/* A program closed the file: with durability "power", sets call->stable_seq to the last change of it;
 * without, there is nothing to wait for. */
void vfs_closed(const struct vfs *vfs, struct vfs_call *call, uint64_t id);
/* Everything so far of this node: sets call->stable_seq. */
HIF_MUST_USE enum hif_err vfs_commit(struct vfs *vfs, struct vfs_call *call, uint64_t id,
                                     struct vfs_wcc *wcc);

enum vfs_create_how { VFS_UNCHECKED, VFS_GUARDED, VFS_EXCLUSIVE };

HIF_MUST_USE enum hif_err vfs_create(struct vfs *vfs, struct vfs_call *call, uint64_t dir,
                                     struct span name, enum vfs_create_how how, uint64_t verifier,
                                     const struct vfs_setattr *set, struct vfs_attr *attr,
                                     struct vfs_wcc *dir_wcc);
HIF_MUST_USE enum hif_err vfs_mkdir(struct vfs *vfs, struct vfs_call *call, uint64_t dir,
                                    struct span name, const struct vfs_setattr *set,
                                    struct vfs_attr *attr, struct vfs_wcc *dir_wcc);
HIF_MUST_USE enum hif_err vfs_symlink(struct vfs *vfs, struct vfs_call *call, uint64_t dir,
                                      struct span name, struct span target,
                                      const struct vfs_setattr *set, struct vfs_attr *attr,
                                      struct vfs_wcc *dir_wcc);
/* FIFO, SOCKET, BLOCK or CHAR (HIF_EINVAL otherwise): work locally, never land. device: of the
 * latter two, which are the superuser's to make (HIF_EPERM). */
HIF_MUST_USE enum hif_err vfs_mknod(struct vfs *vfs, struct vfs_call *call, uint64_t dir,
                                    struct span name, enum onode_kind kind, uint64_t device,
                                    const struct vfs_setattr *set, struct vfs_attr *attr,
                                    struct vfs_wcc *dir_wcc);
HIF_MUST_USE enum hif_err vfs_remove(struct vfs *vfs, struct vfs_call *call, uint64_t dir,
                                     struct span name, struct vfs_wcc *dir_wcc);
HIF_MUST_USE enum hif_err vfs_rmdir(struct vfs *vfs, struct vfs_call *call, uint64_t dir,
                                    struct span name, struct vfs_wcc *dir_wcc);
HIF_MUST_USE enum hif_err vfs_rename(struct vfs *vfs, struct vfs_call *call, uint64_t from_dir,
                                     struct span from, uint64_t to_dir, struct span to,
                                     struct vfs_wcc *from_wcc, struct vfs_wcc *to_wcc);
/* A second name for a file. HIF_ENOTSUP for directories. A file of the base gets a row for it. */
HIF_MUST_USE enum hif_err vfs_link(struct vfs *vfs, struct vfs_call *call, uint64_t id,
                                   uint64_t dir, struct span name, struct vfs_attr *attr,
                                   struct vfs_wcc *dir_wcc);

/* Cookies: 0 starts; 1 is "."; 2 is ".."; others are (60 hash bits of the name << 3 | ordinal), so
 * they stay valid under any change, restart and land: a page starts at the first name after the
 * cookie. They fit in 63 bits. */
struct vfs_dirent {
        struct span name;
        uint64_t id;
        uint64_t cookie;             /* give this back to continue after this entry */
        const struct vfs_attr *attr; /* NULL when plus was not asked for */
};
/* Call each for entries after the cookie until it returns false (that entry was not taken) or the
 * end (*eof). Nothing is fetched but nodes. each() may have run for some entries before HIF_EMISS:
 * front ends start the page anew. */
HIF_MUST_USE enum hif_err vfs_readdir(struct vfs *vfs, struct vfs_call *call, uint64_t dir,
                                      uint64_t cookie, bool plus,
                                      bool (*each)(void *arg, const struct vfs_dirent *entry),
                                      void *arg, bool *eof, struct vfs_attr *dir_attr);

struct vfs_statfs {
        uint64_t bytes_total, bytes_free;
        uint64_t files_total, files_free;
};
HIF_MUST_USE enum hif_err vfs_statfs(struct vfs *vfs, struct vfs_call *call,
                                     struct vfs_statfs *out);

struct vfs_stats {
        uint64_t calls, faults, parked, resumed, timed_out, cached_nodes;
        uint64_t held; /* nodes, now */
};
struct vfs_stats vfs_stats(const struct vfs *vfs);

#endif
