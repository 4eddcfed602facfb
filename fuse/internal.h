/* internal.h - what the files of the FUSE front end share. */
#ifndef HIF_FUSE_INTERNAL_H
#define HIF_FUSE_INTERNAL_H

#define FUSE_USE_VERSION 314

#include "fuse/fuse_server.h"
#include "fuse/handshake.h"
#include "fuse/ledger.h"

#include <fuse_lowlevel.h>
#include <sys/epoll.h>

#define IO_SIZE_MAX (1u << 20) /* of one READ or WRITE */

/* The kernel is told of every change that it does not make itself. */
#define CACHE_FOR_S (365.0 * 86400)

struct notifier;

struct fuse_server {
        struct loop_io io; /* first; the descriptor is the session's */
        struct vfs *vfs;
        struct loop *loop;
        struct fuse_session *session;
        struct ledger *ledger;
        struct {
                struct ledger_slot *slot; /* where the request lies */
                bool again;               /* a predecessor had read it */
                bool kept;                /* it waits */
        } now;                            /* the request that is being run */
        uint8_t *scratch;                 /* IO_SIZE_MAX: of the reply that is being made */
        struct notifier *notifier;
        const struct fuse_mounter *mounter; /* NULL: we ourselves */
        char *mount_point;
        struct op *ops; /* those that wait */
        struct loop_timer watch;
        size_t op_count;
        unsigned failures; /* of reading, in a row */
        bool paused;       /* so many wait that no more are read */
        bool mounted;      /* the kernel has it, as far as we know */
        bool reading;      /* the session's descriptor is watched by the loop */
        bool closing;      /* nothing may wait any more */
        bool leaving;      /* what waits is a successor's to answer */
        bool resumed;      /* mounted by a predecessor */
        enum {
                HELLO_SAYING,
                HELLO_SAID,
                HELLO_OVER
        } hello; /* what becomes of what libfuse says:
                                                              * sent and kept; kept; sent */
        struct handshake handshake;
        struct buf words; /* of libfuse's, so far */
        void (*gone)(void *arg);
        void *gone_arg;
};

/* --- session.c: the first words with the kernel --- */

/* On a descriptor that was just mounted: hears and answers. The descriptor is the session's as soon
 * as there is one. With a sentence. */
HIF_MUST_USE enum hif_err session_new(struct fuse_server *server,
                                      const struct fuse_server_config *config, int fd,
                                      struct hif_why *why);
/* On a predecessor's, by server->handshake. HIF_EUNSUPPORTED: we would have answered otherwise. */
HIF_MUST_USE enum hif_err session_resume(struct fuse_server *server,
                                         const struct fuse_server_config *config, int fd,
                                         struct hif_why *why);

/* --- op.c: one request, from its arrival to its answer --- */

struct op;

struct op_type {
        /* Do it, as often as it takes: HIF_EMISS parks the request, and then it runs again. */
        enum hif_err (*run)(struct op *op);
        /* After HIF_OK, and once what was done is as stable as it has to be. */
        void (*reply)(struct op *op);
        /* A second run would fail, or do it twice: the overlay notes that it was done. */
        bool once;
};

struct op {
        struct vfs_parked parked;
        struct vfs_stable stable;
        struct vfs_call call;
        struct vfs_caller caller;
        struct fuse_server *server;
        fuse_req_t req;
        const struct op_type *type;
        enum { OP_RUNNING, OP_PARKED, OP_STABILISING } state;
        struct ledger_slot *slot;  /* where the request lies */
        struct overlay_reply mark; /* once: what the overlay notes */
        bool done_before;          /* by a predecessor, which could not answer any more */
        bool waited;               /* lives on the heap, with copies of name, name2 and data */
        bool interrupted;          /* by a signal that was not SIGKILL, so far */
        gid_t *groups;             /* the caller's, once they were looked up */
        struct op *prev, *next;

        /* Arguments. Spans are borrowed from the request until the first wait. */
        uint64_t id, id2;
        struct span name, name2, data;
        uint64_t offset;
        size_t size;
        struct vfs_setattr set;
        uint32_t flags;
        enum onode_kind kind;
        uint64_t device; /* mknod */
        struct fuse_file_info file;

        /* Results. */
        struct vfs_attr attr;
        struct vfs_data content;
        struct vfs_statfs statfs;
        struct span target;
        uint8_t *gathered; /* READ of many pieces: what was read so far */
        size_t done;
};

/* Start an op on the caller's stack: set the arguments, then op_go. */
void op_begin(struct op *op, fuse_req_t req, const struct op_type *type, uint64_t id);
void op_go(struct op *op);
/* The file was opened by someone who was allowed to: no further check (POSIX). */
void op_opened(struct op *op);
/* Does the request with the kernel's number wait? */
bool op_is_waiting(const struct fuse_server *server, uint64_t unique);
/* Looks at callers that had a signal: struct fuse_server's watch. */
void op_watch(struct loop_timer *timer);
/* Answer all that wait: those that lack objects with an error, the others once they are stable. */
void op_finish_all(struct fuse_server *server);
/* Forget all that wait; they stay in the ledger. */
void op_leave_all(struct fuse_server *server);
/* Count a file as open, once for this request. HIF_ELIMIT, HIF_ENOMEM. */
HIF_MUST_USE enum hif_err op_hold(struct op *op, uint64_t id);
/* One opener less. */
void server_release(struct fuse_server *server, uint64_t id);

/* Replies that several requests have in common. */
void reply_entry(struct op *op); /* of op->attr */
void reply_attr(struct op *op);
void reply_done(struct op *op);
void stat_of(const struct vfs_attr *attr, struct stat *out);
struct fuse_entry_param entry_of(const struct vfs_attr *attr);

/* --- the requests, by what they are about --- */

void on_lookup(fuse_req_t req, fuse_ino_t dir, const char *name);
void on_getattr(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file);
void on_setattr(fuse_req_t req, fuse_ino_t id, struct stat *attr, int to_set,
                struct fuse_file_info *file);
void on_readlink(fuse_req_t req, fuse_ino_t id);
void on_statfs(fuse_req_t req, fuse_ino_t id);
void on_forget(fuse_req_t req, fuse_ino_t id, uint64_t count);
void on_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);

void on_mknod(fuse_req_t req, fuse_ino_t dir, const char *name, mode_t mode, dev_t device);
void on_mkdir(fuse_req_t req, fuse_ino_t dir, const char *name, mode_t mode);
void on_symlink(fuse_req_t req, const char *target, fuse_ino_t dir, const char *name);
void on_link(fuse_req_t req, fuse_ino_t id, fuse_ino_t dir, const char *name);
void on_unlink(fuse_req_t req, fuse_ino_t dir, const char *name);
void on_rmdir(fuse_req_t req, fuse_ino_t dir, const char *name);
void on_rename(fuse_req_t req, fuse_ino_t dir, const char *name, fuse_ino_t dir2, const char *name2,
               unsigned flags);
void on_create(fuse_req_t req, fuse_ino_t dir, const char *name, mode_t mode,
               struct fuse_file_info *file);

void on_open(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file);
void on_read(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *file);
void on_write(fuse_req_t req, fuse_ino_t id, const char *data, size_t size, off_t offset,
              struct fuse_file_info *file);
void on_lseek(fuse_req_t req, fuse_ino_t id, off_t offset, int whence, struct fuse_file_info *file);
void on_release(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file);
void on_flush(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file);
void on_fsync(fuse_req_t req, fuse_ino_t id, int data_only, struct fuse_file_info *file);

void on_opendir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file);
void on_readdir(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset,
                struct fuse_file_info *file);
void on_readdirplus(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset,
                    struct fuse_file_info *file);

/* --- notify.c: a thread that may wait for the kernel --- */

HIF_MUST_USE enum hif_err notifier_new(struct fuse_session *session, struct loop *loop,
                                       const struct fuse_mounter *mounter, const char *mount_point,
                                       struct notifier **out);
/* Drop what is queued; then, on the thread: unmount if asked to. */
void notifier_finish(struct notifier *notifier, bool unmount);
bool notifier_finished(struct notifier *notifier);
int notifier_fd(const struct notifier *notifier); /* readable once it has finished */
void notifier_free(struct notifier *notifier);    /* finished */
bool notifier_ids(struct notifier *notifier, const uint64_t *ids, size_t count);
bool notifier_names(struct notifier *notifier, const struct fuse_name *names, size_t count);
enum hif_err notifier_told(struct notifier *notifier, struct fuse_told *told);

/* --- mount.c: may we, can we, and why not --- */

/* Everything that can be known before mounting, as a sentence. */
HIF_MUST_USE enum hif_err mount_check(const struct fuse_server_config *config, struct hif_why *why);
/* Mount; the descriptor of /dev/fuse is the caller's. HIF_EIO with a sentence. */
HIF_MUST_USE enum hif_err mount_open(const struct fuse_server_config *config, int *fd,
                                     struct hif_why *why);
/* The -o argument; NULL when out of memory. The caller frees it. */
char *mount_options(const struct fuse_server_config *config);
/* Not lazily; waits for write-back. False: busy, or gone already. */
bool mount_undo(const struct fuse_mounter *mounter, const char *mount_point);
/* Lazily: it is out of the way at once, and ends when nobody uses it any more. */
void mount_detach(const struct fuse_mounter *mounter, const char *mount_point);

#endif
