/* overlay.h - a session's local edits: rows in RAM, a log that makes them survive, data files.
 *
 * The overlay knows nothing of the base tree; vfs merges the two. It holds five kinds of rows:
 * nodes, directory entries, session operations, notes, and named values. A transaction changes any
 * number of rows at once: its record is in the log's shared mapping before it is applied, which
 * survives `kill -9`; overlay_sync makes it survive a power cut. Records have numbers (seq), rising
 * by one; after a crash the state is that of a prefix of them, which includes everything that was
 * acknowledged (I9). A job thread folds old records into SQLite, so that opening costs what is
 * there and not what happened. docs/durability.md tells the whole story.
 *
 * One event loop owns an overlay; nothing here blocks it, but for functions that say so. */
#ifndef HIF_OVERLAY_OVERLAY_H
#define HIF_OVERLAY_OVERLAY_H

#include "base/buf.h"
#include "base/env.h"
#include "base/pool.h"
#include "core/entry.h"
#include "core/nodeid.h"
#include "core/session.h"

struct overlay;

enum overlay_durability {
        OVERLAY_PROCESS, /* acknowledged = in the mapping; on disk within 50 ms */
        OVERLAY_POWER,   /* acknowledged = on disk */
};

struct overlay_config {
        enum overlay_durability durability;
        uint64_t reserve_bytes; /* of free space, kept for landing: writes see HIF_ENOSPC before; 0
                                   = none */
        uint64_t
            spare_bytes; /* of the log, allocated ahead, for who has to change something on a disk
                                 that is full: otx_need; 0 = none */
        bool serial; /* no thread of its own: overlay_sync and its like sync before they return. For
                        tests over a simulated machine */
        uint64_t log_segment_bytes;  /* 0 = 4 MiB */
        uint64_t data_segment_bytes; /* 0 = 64 MiB */
};

/* For a process that will have to open one without delay: load what that takes. */
void overlay_rehearse(void);

/* Open or create the overlay in this directory (locked: HIF_EBUSY when another process has it,
 * and keeps it for ENV_LOCK_WAIT_MS).
 * Blocks: replays what is not folded. On a full disk it opens read-only (HIF_EROFS from commits)
 * until there is room again. HIF_ECORRUPT with a reason, and nothing changed, when something that
 * was on the disk is missing or damaged: overlay_open_salvage opens the rest. */
HIF_MUST_USE enum hif_err overlay_open(struct env *env, struct pool *pool, const char *dir,
                                       const struct overlay_config *config, struct overlay **out,
                                       struct hif_why *why);
/* Open what can be read of an overlay that is there, whole or damaged, on any file system: for good
 * read-only (HIF_EROFS), and nothing in its directory is changed. Records after one that is lost
 * are taken without it; names and nodes that then hang in the air are left out. HIF_EBUSY,
 * HIF_ENOENT, HIF_ENOMEM; HIF_EUNSUPPORTED: of a newer version. */
HIF_MUST_USE enum hif_err overlay_open_salvage(struct env *env, struct pool *pool, const char *dir,
                                               struct overlay **out, struct hif_why *why);
/* What is damaged and what of it is lost: sentences that name the file. 0: nothing is. Of more than
 * OVERLAY_DAMAGE_MAX, the rest is only counted. */
#define OVERLAY_DAMAGE_MAX 64u
size_t overlay_damage_count(const struct overlay *overlay);
const char *overlay_damage(const struct overlay *overlay, size_t index);
/* Waits for everything to be on disk and folded. NULL is fine. */
void overlay_close(struct overlay *overlay);

/* --- nodes --- */

enum onode_kind {
        ONODE_FILE = 1,
        ONODE_DIR = 2,
        ONODE_SYMLINK = 3,
        ONODE_FIFO = 4,
        ONODE_SOCKET = 5,
        ONODE_BLOCK = 6, /* devices */
        ONODE_CHAR = 7,
};

enum onode_flags {
        ONODE_PLACED = 1,    /* parent and name are known: how its path is found */
        ONODE_ATTRS = 2,     /* mode, times and size below override the base's */
        ONODE_CONTENT = 4,   /* content differs from the base's, or there is no base */
        ONODE_REMOVED = 8,   /* nlink 0: no name any more, but handles may still be open */
        ONODE_VERIFIER = 16, /* made by an exclusive create: verifier holds its 8 bytes */
};

/* A range of a file that has been written: content[offset, offset+size) lies at `at` of data file
 * `file`. Sorted, disjoint. */
struct oextent {
        uint64_t offset, size;
        uint64_t at;
        uint32_t file;
};

/* Read-only for everyone but transactions. Content at byte o (< size): the extent that covers o;
 * else, below base_limit, the base's content at o; else zero. */
struct onode {
        uint64_t id;
        uint64_t seq;      /* record that changed this row last */
        uint64_t data_seq; /* record that changed its content last; 0 = never */
        enum onode_kind kind;
        uint32_t flags;
        uint16_t mode; /* 07777 */
        uint32_t uid, gid;
        uint32_t nlink;
        uint64_t size;
        struct hif_time atime, mtime, ctime;
        uint64_t parent;    /* PLACED */
        struct span name;   /* PLACED; owned by the row */
        struct span target; /* SYMLINK */
        union {
                uint64_t verifier; /* VERIFIER */
                uint64_t device;   /* BLOCK, CHAR: major << 32 | minor (specdata3 of RFC 1813) */
        };
        uint64_t base_limit; /* bytes of the base's content that are still visible */
        struct entry
            base; /* what base content this stands on; kind 0: none. target and ext empty */
        struct oextent *extents;
        uint32_t extent_count, extent_capacity;
};

/* NULL: no such row. Valid until the next transaction commits. */
const struct onode *overlay_node(const struct overlay *overlay, uint64_t id);
/* The next number for a new node; never used again, also after a crash. */
uint64_t overlay_new_id(struct overlay *overlay);

/* Call each for every node row until it returns false; the overlay must not change meanwhile. */
void overlay_each_node(const struct overlay *overlay,
                       bool (*each)(void *arg, const struct onode *node), void *arg);
/* The same for one of OVERLAY_PARTS parts, so that no call takes long where there are many. A node
 * stays in its part; between two parts the overlay may change. */
#define OVERLAY_PARTS 256u
void overlay_each_node_of(const struct overlay *overlay, uint32_t part,
                          bool (*each)(void *arg, const struct onode *node), void *arg);

/* --- directory entries --- */

/* What the overlay says of one name in one directory. It hides the base's entry of that name. */
struct odirent {
        uint64_t dir;
        uint64_t hash60;  /* name_hash60(name): order within the directory is (hash60, name) */
        struct span name; /* owned by the row */
        uint64_t child;   /* NODEID_NONE: the name is gone (whiteout) */
        uint64_t seq;
        uint64_t base_child; /* what the base has under this name; NODEID_NONE: nothing */
        struct entry base;   /* its entry, so that status reads no base; target and ext empty */
};

const struct odirent *overlay_dirent(const struct overlay *overlay, uint64_t dir, uint64_t hash60,
                                     struct span name);
/* Rows of one directory; 0 tells that the base alone decides. */
size_t overlay_dirent_count(const struct overlay *overlay, uint64_t dir);
/* The first row of the directory at or after (hash60, name); NULL: none. Then the one after a row.
 * Valid until the next transaction commits. */
const struct odirent *overlay_dirent_seek(const struct overlay *overlay, uint64_t dir,
                                          uint64_t hash60, struct span name);
const struct odirent *overlay_dirent_next(const struct overlay *overlay, const struct odirent *row);
/* All rows of all directories, in no particular order of directories. */
void overlay_each_dirent(const struct overlay *overlay,
                         bool (*each)(void *arg, const struct odirent *row), void *arg);

/* --- transactions --- */

/* One at a time. Between begin and commit the overlay shows the old state; commit logs and applies
 * all of it or, on an error, nothing (HIF_ENOSPC, HIF_EDQUOT, HIF_ENOMEM, HIF_EROFS after a failed sync,
 * HIF_EIO, HIF_ELIMIT for more than 64 MiB of rows at once). The transaction ends either way. */
struct otx;
struct otx *otx_begin(
    struct overlay *overlay); /* reused memory; never NULL; errors show at commit */
/* Which transactions may use what was allocated ahead for a full disk. */
enum overlay_need {
        OVERLAY_ORDINARY, /* none */
        OVERLAY_FREEING,  /* it makes room */
        OVERLAY_LANDING,  /* the session could not be landed, opened or closed without it */
};
void otx_need(struct otx *tx, enum overlay_need need);
/* What is written by this transaction goes into the log with its record, too, where it is small: then
 * one sync, of the log, makes it durable. For what is waited for at once; it costs the bytes twice. */
void otx_carry(struct otx *tx);
/* A copy of the row to change in place (a zeroed one with this id when there is none). name and
 * target may be pointed at the caller's bytes, which must live until commit; extents must not be
 * touched: use overlay_write and otx_truncate. */
struct onode *otx_node(struct otx *tx, uint64_t id);
void otx_node_del(struct otx *tx, uint64_t id); /* its data is released too */
/* Cut content at `size` (both extents and base_limit) or extend it with zeros; sets size. */
void otx_truncate(struct otx *tx, uint64_t id, uint64_t size);
/* Forget extents: the content is now wholly the base's (set base, base_limit by otx_node). */
void otx_drop_extents(struct otx *tx, uint64_t id);
/* Insert or replace a row; all fields but seq count. */
void otx_dirent_put(struct otx *tx, const struct odirent *row);
void otx_dirent_del(struct otx *tx, uint64_t dir, uint64_t hash60, struct span name);
/* Record a session operation; paths are borrowed until commit. */
void otx_op(struct otx *tx, const struct session_op *op);
/* Drop the operations recorded up to and including seq: they were landed. */
void otx_ops_drop(struct otx *tx, uint64_t through_seq);
/* Append to what was said and decided; role and text are borrowed until commit. */
struct onote;
void otx_note(struct otx *tx, const struct onote *note);
/* Drop the notes up to and including seq: they were landed. */
void otx_notes_drop(struct otx *tx, uint64_t through_seq);
/* Small named values: session, base, epochs, intent ... An empty value deletes. */
void otx_value(struct otx *tx, const char *name, struct span value);

/* A finished non-idempotent request, kept so that its retransmission is not run again, even after a
 * restart. */
struct overlay_reply {
        uint64_t key; /* hash of the caller, xid and arguments */
        uint32_t xid;
        uint32_t proc;
        uint64_t node; /* the node it made; NODEID_NONE */
};
#define OVERLAY_REPLIES_MAX 4096 /* the newest are kept */
void otx_reply(struct otx *tx, const struct overlay_reply *reply);

HIF_MUST_USE enum hif_err otx_commit(struct otx *tx, uint64_t *seq);
void otx_abort(struct otx *tx);

/* The most recent one with that key, or NULL. */
const struct overlay_reply *overlay_reply(const struct overlay *overlay, uint64_t key);
/* Empty span: not set. Valid until the next commit. */
struct span overlay_value(const struct overlay *overlay, const char *name);

/* --- operations since the last otx_ops_drop. Those that were folded are on disk only --- */

/* The record of the newest; 0: there is none. */
uint64_t overlay_op_last(const struct overlay *overlay);

/* All of one moment. */
struct overlay_ops {
        uint64_t after, folded; /* those between are to be read from the disk; folded 0: none */
        struct buf newer;
};
HIF_MUST_USE enum hif_err overlay_ops_take(const struct overlay *overlay, struct overlay_ops *out);
void overlay_ops_free(struct overlay_ops *ops);

typedef enum hif_err (*overlay_op_each)(void *arg, uint64_t seq, const struct session_op *op);
/* Call each for every one, oldest first; paths are borrowed for the call. Waits for the disk: not on
 * an event loop. HIF_EIO, HIF_ECORRUPT, HIF_ENOMEM; what each returned; HIF_ECANCELED: they were
 * landed since they were taken, and some are gone. */
HIF_MUST_USE enum hif_err overlay_ops_each(struct overlay *overlay, const struct overlay_ops *ops,
                                           overlay_op_each each, void *arg, struct hif_why *why);

/* --- notes: what was said and decided since the last otx_notes_drop, oldest first --- */

/* Part of the format. */
enum onote_kind {
        ONOTE_MESSAGE = 1,  /* of the conversation, by `role` */
        ONOTE_DECISION = 2, /* role is empty */
};

struct onote {
        enum onote_kind kind;
        struct span role, text;
        uint64_t seq; /* of its record; otx_note takes no notice of it */
};

size_t overlay_note_count(const struct overlay *overlay);
size_t overlay_note_bytes(const struct overlay *overlay); /* of all roles and texts */
/* Borrowed until the next commit. */
struct onote overlay_note(const struct overlay *overlay, size_t index);

/* --- content --- */

/* Write within a transaction: the bytes are in a data file (allocated first: HIF_ENOSPC comes
 * before anything changed) and the node's extents, size (if it grew) and data_seq are part of the
 * transaction. Never reads the base (I8). Bytes written before the last freeze are not touched;
 * other bytes of this very range may be rewritten where they lie, so that, as with write(2), an
 * error, an abort or a crash before the commit can leave some of the new ones behind. HIF_EFBIG,
 * HIF_EIO, HIF_EROFS. The caller then aborts. */
HIF_MUST_USE enum hif_err overlay_write(struct otx *tx, uint64_t id, uint64_t offset,
                                        struct span data);

/* Rises when a write was not committed: content may then have changed while data_seq has not, and
 * whoever remembers content by data_seq has to forget it. Thread-safe. */
uint64_t overlay_torn(const struct overlay *overlay);

enum opiece_kind { OPIECE_DATA, OPIECE_BASE, OPIECE_ZERO };

/* One stretch of content. */
struct opiece {
        enum opiece_kind kind;
        uint64_t offset, size; /* in the file */
        uint64_t at;           /* DATA: where in the data file */
        uint32_t file;         /* DATA */
};

/* The pieces that cover [offset, min(offset + size, node->size)), in order. Returns how many were
 * stored (at most max; a caller that got max asks again from where they end). */
size_t overlay_pieces(const struct onode *node, uint64_t offset, uint64_t size, struct opiece *out,
                      size_t max);
/* Read a DATA piece into out; only what is in memory: HIF_EMISS where it would wait (then ask
 * overlay_load and run again). Also for job threads, with `wait` set: then thread-safe against the
 * owner. */
HIF_MUST_USE enum hif_err overlay_read(struct overlay *overlay, const struct opiece *piece,
                                       bool wait, void *out);

/* Bring a piece into memory; done() is called once, on any thread. */
struct overlay_load {
        void (*done)(struct overlay_load *load, enum hif_err err);
        void *arg;
        struct opiece piece;
        struct overlay *overlay;
        struct pool_job job;
};
void overlay_load(struct overlay *overlay, struct overlay_load *load);

/* --- durability --- */

/* The newest record; everything up to overlay_durable() survives a power cut. */
uint64_t overlay_seq(const struct overlay *overlay);
uint64_t overlay_durable(const struct overlay *overlay); /* thread-safe */

/* Called when the prefix up to seq is on disk, or can not be any more (HIF_EIO: the verifier has
 * changed and the overlay is read-only). On the flusher's thread: post to your loop. */
struct overlay_sync {
        void (*done)(struct overlay_sync *sync, enum hif_err err);
        void *arg;
        uint64_t seq;
        struct overlay_sync *next;
};
void overlay_sync(struct overlay *overlay, struct overlay_sync *sync);
HIF_MUST_USE enum hif_err overlay_sync_wait(struct overlay *overlay, uint64_t seq); /* blocks */
/* Let the flusher start on what is new: the owner calls it once a turn in which it committed. */
void overlay_kick(struct overlay *overlay);

/* The write verifier of RFC 1813 §3.3.7: random per start, new after a failed sync. */
uint64_t overlay_verifier(const struct overlay *overlay);
/* For OVERLAY_POWER: what namespace replies have to wait for. */
enum overlay_durability overlay_durability(const struct overlay *overlay);
/* Before the first change: for who learns it from the overlay's own values. */
void overlay_set_durability(struct overlay *overlay, enum overlay_durability durability);

/* Content written from now on goes to new places: what pieces named up to now stays as it is until
 * overlay_thaw, so that a job can hash it while the mount goes on. Returns the frozen seq. */
uint64_t overlay_freeze(struct overlay *overlay);
void overlay_thaw(struct overlay *overlay);

/* Free space of its file system that writes leave alone. */
uint64_t overlay_reserve(const struct overlay *overlay);

struct overlay_stats {
        uint64_t nodes, dirents;
        uint64_t log_bytes, data_bytes;
        uint64_t syncs, folds;
};
struct overlay_stats overlay_stats(const struct overlay *overlay);

#endif
