/* data.h - where written bytes lie: segment files that small writes are appended to, and sparse
 * files, one a node, for large or scattered ones.
 *
 * The owner writes and accounts; any thread reads; the flusher syncs and unlinks. The owner alone
 * changes the map of files (under the lock, so that it may read it without). */
#ifndef HIF_OVERLAY_DATA_H
#define HIF_OVERLAY_DATA_H

#include "overlay/damage.h"
#include "overlay/rows.h"

#include <pthread.h>

#define DATA_SMALL_MAX     (64u << 10) /* writes that end beyond go to a file of the node's own */
#define DATA_EXTENTS_SMALL 48          /* as do those of a node in more pieces */
#define DATA_SEGMENT_BYTES (64u << 20)
#define DATA_OPEN_MAX      256

struct dfile {
        uint32_t number;
        int fd; /* -1: not open */
        uint32_t pins;
        uint32_t epoch;                /* of its making, see data_freeze */
        bool dirty, dead, gone;        /* gone: unlinked, the owner drops it */
        uint64_t live;                 /* bytes that extents name; the owner's */
        uint64_t end;                  /* of what was ever named or written */
        uint64_t alloc_from, alloc_to; /* allocated for sure */
        uint64_t dirty_from, dirty_to; /* written since the last capture */
        uint64_t sync_from, sync_to;   /* being synced, or failed to be */
        uint64_t dead_seq;             /* the record that let go of its last byte */
        struct dfile *dirty_next, *capture_next, *dead_next, *zero_next;
        uint64_t found; /* by data_check: bytes that the file has */
        bool in_zero;
        struct dfile *newer, *older; /* open ones by last use */
};

/* Bytes that lie over those of a file; later ones over earlier ones. */
struct kept {
        uint32_t file;
        uint64_t at;
        size_t size;
        uint8_t *bytes;
};

struct data {
        struct env *env;
        const char *dir; /* of the overlay */
        uint64_t segment_bytes, reserve_bytes;
        pthread_mutex_t lock;
        struct idmap files; /* number -> dfile */
        struct dfile *segment;
        uint64_t floor; /* of the segment: what lies below is not rewritten in place */
        uint32_t next_segment, next_sparse;
        uint32_t epoch, frozen;
        struct dfile *dirty, *dead, *gone, *zero;
        struct dfile *newest, *oldest;
        size_t open_count;
        bool dir_dirty;
        bool read_only;    /* files are opened for reading */
        bool failed_alloc; /* accounting lacked memory (only while rows are loaded) */
        struct kept *kept; /* read_only: bytes that the log carries, oldest first */
        size_t kept_count, kept_capacity;
        uint64_t live_bytes;
};

HIF_MUST_USE enum hif_err data_init(struct data *data, struct env *env, const char *dir,
                                    uint64_t segment_bytes, uint64_t reserve_bytes);
void data_free(struct data *data);
/* After all rows are there: drop files that nothing names, go on in the newest segment. */
HIF_MUST_USE enum hif_err data_recover(struct data *data);

/* After all rows are there: are the files as large as what is named in them? What lacks is told, and
 * put into `bad` (number -> struct dfile, `found` set). bad NULL: the first is told and ends it,
 * HIF_ECORRUPT for a lack, else what kept us from looking: a disk that fails is not damage yet. */
HIF_MUST_USE enum hif_err data_check(struct data *data, struct damage *damage, struct idmap *bad);

/* Tell of files that nothing names: after damage, they may hold what is missed. */
void data_tell_orphans(struct data *data, struct damage *damage);

/* At the end: give back what was allocated ahead. */
void data_trim(struct data *data);

/* rows.account */
void data_account(void *arg, uint32_t file, uint64_t at, uint64_t added, uint64_t removed);
/* Files that record seq left without a live byte can go once it is durable. */
void data_settle(struct data *data, uint64_t seq);
/* A file that a transaction made and did not commit. */
void data_abandon(struct data *data, uint32_t file);

/* Put bytes at file offset `offset` of a node.
 *   row      its committed row, or NULL; `own` tells that its extents are what the transaction sees
 *   sparse   the node's own file, if it has one; set when one is made
 *   out      the extent to log
 * HIF_ENOSPC, HIF_EIO: no extent in use has changed, but for bytes rewritten in place. */
HIF_MUST_USE enum hif_err data_write(struct data *data, const struct node_row *row, bool own,
                                     uint32_t *sparse, uint64_t offset, struct span bytes,
                                     struct oextent *out);
/* Read exactly size bytes. HIF_EMISS unless wait. Thread-safe. */
HIF_MUST_USE enum hif_err data_read(struct data *data, uint32_t file, uint64_t at, uint64_t size,
                                    bool wait, void *out);

void data_freeze(struct data *data);
void data_thaw(struct data *data);

/* Replay: the file's bytes may not be on disk. */
HIF_MUST_USE enum hif_err data_mark_dirty(struct data *data, uint32_t file, uint64_t from,
                                          uint64_t to);

/* Replay after a reboot: bytes that a record carries, whether the file has them or not. HIF_ENOSPC,
 * HIF_EDQUOT: the disk is full. */
HIF_MUST_USE enum hif_err data_restore(struct data *data, uint32_t file, uint64_t at,
                                       struct span bytes);
/* The same where nothing may be written: reads see them. */
HIF_MUST_USE enum hif_err data_keep(struct data *data, uint32_t file, uint64_t at,
                                    struct span bytes);

/* Is there anything for data_sync? Thread-safe. */
bool data_is_dirty(struct data *data);
/* The flusher: take what is dirty, with *seq read in between so that all data of records up to it
 * is included; sync it; afterwards unlink what died at or before `durable`. */
struct dfile *data_capture(struct data *data, const _Atomic uint64_t *seq, uint64_t *captured);
HIF_MUST_USE enum hif_err data_sync(struct data *data, struct dfile *list);
/* After a failed sync: what is dirty is taken and not synced, but left to data_rewrite, which writes
 * what may be lost once more, and syncs it. */
void data_release(struct data *data, struct dfile *list);
HIF_MUST_USE enum hif_err data_rewrite(struct data *data);
void data_reap(struct data *data, uint64_t durable);

#endif
