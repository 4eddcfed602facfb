/* internal.h - what the files of the vfs room share. */
#ifndef HIF_VFS_INTERNAL_H
#define HIF_VFS_INTERNAL_H

#include "vfs/runs.h"
#include "vfs/vfs.h"

#include "base/map.h"

#define VCACHE_MAX (1u << 14)
#define EPOCHS_MAX (NODEID_EPOCH_MAX + 1)

/* Names of the overlay values that belong to vfs. */
#define VALUE_EPOCHS                                                                               \
        "vfs.epochs" /* per epoch: position u64, slot [32], tree [32]; the last is current */
#define VALUE_RUNS "vfs.runs"

/* What the base says of a node, remembered: position in a tree and entry. Facts of a tree, so they
 * stay true until the base moves. At most VCACHE_MAX of them; trimmed between calls only, so
 * pointers are good for the length of a call. */
struct vcached {
        uint64_t id;
        uint64_t rank;
        uint64_t parent;    /* its directory in the base; NODEID_NONE: not known yet */
        bool ghost;         /* of an older epoch's tree: the current one does not have it */
        bool used;          /* since the trimming hand last came by */
        struct entry entry; /* target and ext empty */
        uint32_t key_size;
        uint8_t key[];
};

/* A ring over the cached facts, in the order in which they came. */
struct vcache {
        struct map by_id;
        struct vcached **ring;
        size_t first, count;
};

/* One (node, parent, name) that a transaction has to write down. */
struct placement {
        uint64_t id, parent;
        size_t name_at, name_size; /* in place_names */
};
#define PLACEMENTS_MAX (PATH_DEPTH_MAX * 2)

/* ahead.c: how much is brought around a small file that is read, around a directory that is listed,
 * and behind the place where a large file is read. */
struct look_ahead {
        uint64_t entries;    /* so many, at most: more as long as what was brought gets read */
        uint64_t first, end; /* ranks that were asked for last */
        uint64_t begun;      /* files that were read from their start since then */
        uint64_t objects;    /* asked for by then, ever */
        uint32_t misses;     /* in one directory, since then, of what was not coming */
        bool used_up;        /* the workspace's budget: told */

        uint64_t listed; /* entries, at most, whose nodes are brought around a listing */
        uint64_t list_first, list_end; /* ranks of the subtree around the last one */

        struct hif_hash file;  /* that is read in sequence */
        uint64_t next, window; /* where what was asked for ends, and how much that was */
};

struct vfs {
        struct vfs_config config;
        struct vfs_base *epochs; /* [epoch] */
        uint32_t epoch;
        struct runs runs;
        struct fetch_nodes nodes;
        struct tree_cursor cursor; /* lookups */
        struct tree_cursor scan;   /* readdir */
        char *dir;
        struct vcache cache;
        struct hif_time last_ctime;
        struct fetch_hints *directory_hints, *chunk_hints;
        uint64_t prefetched_dir; /* the directory around which blobs were asked for last, by a hash
                                  * of its name; NODEID_NONE: none */
        struct look_ahead ahead;
        struct buf key, prefix; /* scratch of lookups */
        struct placement *placements;
        size_t placement_count, placement_capacity;
        struct buf place_names;
        uint64_t statfs_ns;
        struct vfs_statfs statfs;

        /* park.c */
        struct vfs_parked *parked_first, *parked_last;
        struct vfs_stable *stable_first, *stable_last;
        struct loop_timer deadline;
        struct sync_wait *sync;
        struct wait *waits;                 /* on their way, given up or not */
        uint64_t outage_ns, outage_seen_ns; /* the store does not answer: since, and at last; 0: it
                                             * does */
        bool closing;
        bool dirty; /* committed in this turn: the flusher wants a kick */
        struct loop_hook turn_end;

        /* removed.c: nodes without a name, oldest first, until they may go */
        struct removed *removed_first, *removed_last;
        struct map held; /* id -> count, for front ends that know what is open */
        struct loop_timer purge;

        struct map links; /* links.c: id -> where names of it are, for files that have several */
        bool links_known; /* all of them had been noted once, and new ones since */

        bool frozen; /* changes.c: a snapshot holds the content */

        struct vfs_stats stats;
};

/* --- ahead.c --- */

/* A miss on content. */
void ahead_of_miss(struct vfs *vfs, struct vfs_call *call, uint64_t id, const struct entry *entry,
                   uint64_t offset);
/* A large file was read there. */
void ahead_of_read(struct vfs *vfs, const struct entry *entry, uint64_t offset);
/* A file was read from its start. */
void ahead_of_begin(struct vfs *vfs, struct vfs_call *call, uint64_t id);
/* A miss at the beginning of a listing. */
void ahead_of_listing(struct vfs *vfs, const struct vcached *dir);

/* --- vcache.c --- */

HIF_MUST_USE enum hif_err vcache_init(struct vcache *cache);
void vcache_free(struct vcache *cache);
void vcache_clear(struct vcache *cache);
void vcache_trim(struct vcache *cache); /* between calls: down to VCACHE_MAX */
struct vcached *vcache_get(struct vcache *cache, uint64_t id);
/* Remember; replaces nothing: the id must be absent. NULL when out of memory. */
struct vcached *vcache_put(struct vcache *cache, uint64_t id, uint64_t rank, struct span key,
                           const struct entry *entry);

/* --- resolve.c: from a number to what it stands for --- */

/* A node, for the length of one call. */
struct vnode {
        uint64_t id;
        const struct onode *row;    /* NULL: none. Valid until a commit */
        const struct vcached *base; /* NULL: not in a base tree, or not needed: the row says all */
        enum onode_kind kind;
};

/* Every public operation starts here: counts, trims, forgets misses. HIF_EACCES: a caller who is
 * not served. */
HIF_MUST_USE enum hif_err enter(struct vfs *vfs, struct vfs_call *call);
/* HIF_EMISS, HIF_ESTALE, HIF_EBADHANDLE. */
HIF_MUST_USE enum hif_err resolve(struct vfs *vfs, struct vfs_call *call, uint64_t id,
                                  struct vnode *out);
/* The same, with `base` set where the base has the directory; HIF_ENOTDIR. */
HIF_MUST_USE enum hif_err resolve_dir(struct vfs *vfs, struct vfs_call *call, uint64_t id,
                                      struct vnode *out);
/* The base's facts of a number; HIF_ENOENT: no base has it. */
HIF_MUST_USE enum hif_err base_of(struct vfs *vfs, struct vfs_call *call, uint64_t id,
                                  const struct vcached **out);
/* The base's child of a base directory; HIF_ENOENT. */
HIF_MUST_USE enum hif_err base_child(struct vfs *vfs, struct vfs_call *call,
                                     const struct vcached *dir, uint64_t hash60, struct span name,
                                     const struct vcached **out);
/* The children prefix of a base directory, in vfs->prefix until the next call of this. */
struct span base_prefix(struct vfs *vfs, const struct vcached *dir);
/* Where the node has its name: parent and name (appended). HIF_ESTALE: it has none any more. */
HIF_MUST_USE enum hif_err parent_of(struct vfs *vfs, struct vfs_call *call, uint64_t id,
                                    uint64_t *parent, struct buf *name);
/* Name in a merged directory -> number. HIF_ENOENT. *row: the overlay's word on it, or NULL.
 * *base: what the base has under that name, or NULL (only looked up when want_base is set). */
struct child {
        uint64_t id; /* NODEID_NONE: no such name */
        uint64_t hash60;
        const struct odirent *row;
        const struct vcached *base;
};
HIF_MUST_USE enum hif_err child_of(struct vfs *vfs, struct vfs_call *call, const struct vnode *dir,
                                   struct span name, struct child *out);
/* HIF_OK for a name that may be made or removed; HIF_EINVAL, HIF_ENAMETOOLONG. */
HIF_MUST_USE enum hif_err check_name(struct span name);
/* What the nodes source missed is what the call lacks. Gives err back. */
enum hif_err take_misses(struct vfs *vfs, struct vfs_call *call, enum hif_err err);

/* --- attr.c --- */

void attr_of(const struct vfs *vfs, const struct vnode *node, struct vfs_attr *out);
void attr_of_base(const struct vfs *vfs, uint64_t id, const struct entry *entry,
                  struct vfs_attr *out);
/* One of the caller's groups? */
bool in_group(const struct vfs_caller *caller, uint32_t gid);
uint32_t granted_of(const struct vfs *vfs, const struct vfs_attr *attr,
                    const struct vfs_caller *caller);
/* HIF_EACCES unless all of `wanted` is granted. */
HIF_MUST_USE enum hif_err require(const struct vfs *vfs, const struct vfs_call *call,
                                  const struct vfs_attr *attr, uint32_t wanted);
/* Sticky directories: who may remove or rename the entry. */
HIF_MUST_USE enum hif_err require_sticky(const struct vfs_call *call, const struct vfs_attr *dir,
                                         const struct vfs_attr *child);
bool is_super(const struct vfs_call *call);
struct hif_time now_of(const struct vfs *vfs); /* this turn's time */
struct hif_time tick(struct vfs *vfs);         /* a ctime: strictly after every one given before */
void wcc_before(struct vfs_wcc *wcc, const struct vfs_attr *attr);
/* Refill wcc->after from the committed state. */
void wcc_after(struct vfs *vfs, struct vfs_call *call, uint64_t id, struct vfs_wcc *wcc);

/* --- change.c: what operations that change something share --- */

/* HIF_EROFS, HIF_EBUSY. */
HIF_MUST_USE enum hif_err may_change(const struct vfs *vfs);
/* Give a row without attributes those of the base's entry. */
void fill_of_base(const struct vfs *vfs, struct onode *row, const struct entry *entry);
/* A row to change in a transaction, filled from the base's facts when there is none. */
struct onode *adopt(struct vfs *vfs, struct otx *tx, const struct vnode *node);
/* Before a transaction: note where the node and its ancestors have their names, for all that no row
 * says yet, so that a path can be told from rows alone. path (may be NULL): appends its path.
 * HIF_EMISS, HIF_ESTALE. */
HIF_MUST_USE enum hif_err place(struct vfs *vfs, struct vfs_call *call, uint64_t id,
                                struct buf *path);
/* In the transaction: write the notes down. */
void place_all(struct vfs *vfs, struct otx *tx);
/* The directory's membership changed. */
void touch_dir(struct vfs *vfs, struct otx *tx, const struct vnode *dir, struct hif_time time);
/* The directory got (by 1) or lost (by -1) a subdirectory. Only directories that the base has not are
 * counted: they have 2 links and one for each subdirectory; others have 1, which says nothing. */
void count_subdir(struct vfs *vfs, struct otx *tx, const struct vnode *dir, int by);
#define NLINK_NOT_COUNTED 1u
#define NLINK_EMPTY_DIR   2u
/* The row of a name. child NODEID_NONE: the name is gone; then a row is kept only where the base
 * has the name. A name that is again what the base has needs no row. */
void put_name(struct otx *tx, const struct vnode *dir, const struct child *old, struct span name,
              uint64_t child);
/* Commit, with the reply; sets stable_seq where the durability asks for it. */
HIF_MUST_USE enum hif_err finish(struct vfs *vfs, struct vfs_call *call, struct otx *tx,
                                 uint64_t node, bool stable);
void record_op(struct otx *tx, enum session_op_kind kind, struct span path, struct span path2);
/* Names that the user's tools make for themselves: they work, and are never recorded or landed. */
bool name_is_local(struct span name);

/* --- removed.c --- */

/* The node has no name any more. Out of memory: it stays until the next start. */
void removed_note(struct vfs *vfs, uint64_t id);
void removed_init(struct vfs *vfs); /* find what an earlier run left */
void removed_close(struct vfs *vfs);

/* --- links.c --- */

/* The file gets this name, and has others: its row is as after that. */
void links_note(struct vfs *vfs, const struct onode *node, uint64_t dir, struct span name);
/* The row of another name of the file than this one. NULL: only the base gives it others. */
const struct odirent *links_other(struct vfs *vfs, uint64_t id, uint64_t not_dir,
                                  struct span not_name);
void links_free(struct vfs *vfs);

/* --- dir.c --- */

/* HIF_ENOTEMPTY unless the merged directory is empty. */
HIF_MUST_USE enum hif_err require_empty(struct vfs *vfs, struct vfs_call *call,
                                        const struct vnode *dir);

/* --- base_read.c --- */

/* Pin content [offset, offset+size) of a base entry and append iovs. HIF_EMISS with wants. */
HIF_MUST_USE enum hif_err base_read(struct vfs *vfs, struct vfs_call *call,
                                    const struct entry *entry, uint64_t offset, uint64_t size,
                                    struct vfs_data *data);
void want(struct vfs_call *call, enum fetch_kind kind, const struct hif_hash *hash, uint64_t size,
          const struct pack_loc *loc);

/* --- park.c --- */

HIF_MUST_USE enum hif_err park_init(struct vfs *vfs);
void park_close(struct vfs *vfs);

#endif
