/* oplog.h - the overlay's log: numbered, checksummed records in shared mappings of segment files.
 *
 * A segment file log/GGGGGGGG-NNNNNNNN.log (generation, number; hexadecimal) is, big-endian:
 *
 *      0     "HIFOLOG1"      8  version u32 = 1     12  generation u32
 *      16    number u64      24 first seq u64       32  salt u64
 *      40    boot id [16]    56 sum64(0, bytes 0..55)
 *      512   mark A: seq u64: content up to seq was synced; durable u64: so was the log up to
 *            durable; sum64(salt, those 16 bytes)
 *      1024  mark B: the same; the two are written in turn
 *      1536  complete: the same; seq is the last record of a log written whole from memory
 *      4096  records, each at a multiple of 8:
 *
 *              0  size of the body u32   4  0 u32   8  seq u64
 *              16 sum64(salt, bytes 0..15 and the body) u64    24 body (record.h)
 *
 * The end is the first record that is not valid: the rest of the file is zeros, or torn. A segment
 * is never appended to after its process died; the next one goes on. A mark is written after the
 * content was synced and before the log is: so after a reboot, the mark tells which records may
 * name content. Within one boot the page cache has lost nothing, and every record counts.
 *
 * The checksum is a 64-bit one of multiplications and folds, keyed by the segment's salt: its job
 * is to tell what a power cut tore or a disk garbled, at memory speed for each record on the hot
 * path, not to withstand someone who can write the user's files. A record left over from elsewhere
 * fails by its salt and its seq. */
#ifndef HIF_OVERLAY_OPLOG_H
#define HIF_OVERLAY_OPLOG_H

#include "base/buf.h"
#include "base/env.h"
#include "base/log.h"
#include "overlay/damage.h"
#include "overlay/overlay.h"
#include "overlay/witness.h"

#include <pthread.h>
#include <stdbool.h>

#define OPLOG_VERSION       1u
#define OPLOG_HEADER_SIZE   4096u
#define OPLOG_RECORD_HEADER 24u
#define OPLOG_RECORD_MAX    (64u << 20)
#define OPLOG_SEGMENT_BYTES (4u << 20)
#define OPLOG_BOOT_SIZE     16u

struct oseg {
        struct oseg *next;         /* newer */
        struct oseg *capture_next; /* of the flusher */
        uint64_t number, first_seq;
        uint64_t last_seq; /* 0: no record yet */
        uint64_t salt;
        uint64_t size;
        uint64_t pos;  /* of the next record */
        uint8_t *map;  /* NULL: read only, its records are synced, unless: */
        bool unsynced; /* of a process before: the next sync includes it */
        int fd;        /* -1 likewise */
        uint32_t generation;
        bool sealed, mark_odd;
        bool spare; /* it was the spare: for those who may use that */
};

struct oplog {
        struct env *env;
        const char *dir;         /* of the overlay */
        struct witness *witness; /* of the overlay */
        pthread_mutex_t *lock; /* guards the list of segments and their fields, but for the owner's
                                * pos and the mapping */
        uint64_t segment_bytes;
        struct oseg *oldest, *current;
        uint64_t next_number;
        uint32_t generation, generation_max; /* in use; ever seen */
        uint8_t boot[OPLOG_BOOT_SIZE];
        bool dir_dirty;
        uint64_t bytes; /* of all segments */
        uint64_t whole; /* records up to here say everything, written from memory; 0: none do */
        /* Allocated, under the name log/spare: the next segment when the disk is full. 0: none. */
        _Atomic uint64_t spare_size;
        /* Called before recovery removes segments: what they say must be safe elsewhere. */
        enum hif_err (*secure)(void *arg);
        void *secure_arg;
};

uint64_t sum64(uint64_t salt, const void *data, size_t size);

void oplog_init(struct oplog *log, struct env *env, const char *dir, struct witness *witness,
                pthread_mutex_t *lock, uint64_t segment_bytes);
void oplog_free(struct oplog *log);

/* Room for a record of that size: a new segment where the current one has none, and on a full disk
 * the spare, for those that may use it. HIF_ENOSPC, HIF_EDQUOT, HIF_ELIMIT, HIF_EIO. */
HIF_MUST_USE enum hif_err oplog_reserve(struct oplog *log, uint64_t seq, size_t size,
                                        enum overlay_need need);
/* Append a record in two parts; room for it was reserved. Returns its body in the mapping. */
struct span oplog_append(struct oplog *log, uint64_t seq, struct span head, struct span tail);
/* The file of a segment. HIF_ENOENT and others. */
HIF_MUST_USE enum hif_err oplog_seg_open(const struct oplog *log, uint32_t generation,
                                         uint64_t number, int flags, int *fd);
/* Start a new segment at the next record. */
void oplog_seal(struct oplog *log);

/* The flusher: the segments with records after `durable`; then sync them up to seq, whose content
 * is on disk. */
struct oseg *oplog_capture(struct oplog *log, uint64_t durable);
HIF_MUST_USE enum hif_err oplog_sync(struct oplog *log, struct oseg *list, uint64_t seq,
                                     uint64_t durable);
/* Unmap sealed segments of which all is durable. */
void oplog_release(struct oplog *log, uint64_t durable);
/* Take segments before `upto` (NULL: all) off the list and unlink them: all they say is folded, up
 * to `folded`, or said elsewhere. After an error they stay. */
HIF_MUST_USE enum hif_err oplog_remove(struct oplog *log, const struct oseg *upto, uint64_t folded);

/* --- the spare (oplog_spare.c): room that is allocated ahead, so that a session can be landed, given
 * up and thinned out on a disk that is full to the last byte --- */

#define OPLOG_SPARE_MIN ((uint64_t)256 << 10)

/* At open: is there one from before? */
void oplog_spare_find(struct oplog *log);
/* Have one of that size, or of less where there is not that much. Not while the owner may be in
 * oplog_reserve on a full disk: it would find none. */
void oplog_spare_make(struct oplog *log, uint64_t size);
/* Its file under that path, with a descriptor: it is the spare no more. HIF_ENOSPC: there is none. */
HIF_MUST_USE enum hif_err oplog_spare_take(struct oplog *log, const char *path, int *fd);
/* Give back what sealed segments do not use. */
void oplog_trim(struct oplog *log);

/* The log of this segment's generation says everything up to seq by itself. */
void oplog_mark_complete(struct oseg *seg, uint64_t seq);

/* --- reading (oplog_read.c) --- */

typedef enum hif_err (*oplog_each)(void *arg, uint64_t seq, struct span body);

/* What a directory of segments holds, and what of it counts. */
struct oplog_scan {
        uint64_t last_seq; /* of the valid prefix */
        uint64_t marked;   /* content of records up to here was synced; set before any call */
        uint64_t durable;  /* the log up to here was synced */
        bool cut;          /* records after the prefix were dropped */
        bool rebooted;     /* for each: the machine has stopped since this record */
};

/* Call each for all records after `after` that count, remove what does not, and list the segments
 * in log->oldest.. as sealed.
 *   generation  of the log that `after` was folded from
 * HIF_ECORRUPT when what was synced cannot be read. */
HIF_MUST_USE enum hif_err oplog_recover(struct oplog *log, uint32_t generation, uint64_t after,
                                        oplog_each each, void *arg, struct oplog_scan *out,
                                        struct hif_why *why);
/* The same for a log that may be damaged: each is called for every record that can be read, damage
 * is told, and nothing in the directory changes.
 *   folded  whether `generation` and `after` are known: else any generation is taken */
HIF_MUST_USE enum hif_err oplog_salvage(struct oplog *log, bool folded, uint32_t generation,
                                        uint64_t after, oplog_each each, void *arg,
                                        struct oplog_scan *out, struct damage *damage);
/* Call each for the records of one sealed segment with a seq in (after, upto]. */
HIF_MUST_USE enum hif_err oplog_read(struct oplog *log, const struct oseg *seg, uint64_t after,
                                     uint64_t upto, oplog_each each, void *arg);

/* Shared by both halves. */
#define OPLOG_PATH_MAX 4096
HIF_MUST_USE enum hif_err oplog_path(const struct oplog *log, uint32_t generation, uint64_t number,
                                     char out[OPLOG_PATH_MAX]);
HIF_MUST_USE enum hif_err oplog_dir(const struct oplog *log, char out[OPLOG_PATH_MAX]);
uint64_t oplog_record_sum(uint64_t salt, const uint8_t *record);

#define OPLOG_MARK_A        512u
#define OPLOG_MARK_B        1024u
#define OPLOG_MARK_COMPLETE 1536u

#endif
