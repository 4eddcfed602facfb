/* oplog_files.h - the segment files of a log as they are found. Private to oplog_*.c. */
#ifndef HIF_OVERLAY_OPLOG_FILES_H
#define HIF_OVERLAY_OPLOG_FILES_H

#include "overlay/oplog.h"

#define SEGMENT_FILE_MAX (OPLOG_RECORD_MAX + (1u << 20))

/* One segment file. */
struct found {
        uint32_t generation;
        uint64_t number, first_seq, salt;
        enum hif_err read; /* of its header */
        bool valid;        /* the header */
        bool same_boot;    /* written since this machine started */
        bool complete;
        uint64_t marked, durable;
        uint64_t whole; /* complete: its last record */
        bool drop;      /* it is to be unlinked: all it says is folded, or does not count */
        bool settle;    /* its records up to `end` may be in memory only */
        bool cut;       /* it has to end at `end` for good */
        size_t end;
};

struct found_list {
        struct found *list; /* the caller's to free, also after an error */
        size_t count, capacity;
        size_t kept; /* the first ones are those that count; the rest goes away at the end */
        bool failed;
};

/* All of the directory, by generation and number, with what their headers say, also where one cannot
 * be read. The log learns the highest numbers in use. */
HIF_MUST_USE enum hif_err oplog_find(struct oplog *log, struct found_list *found);
/* Which generation counts, given that of what was folded: its valid segments come first. */
void oplog_choose(struct oplog *log, struct found_list *found, uint32_t folded);
/* Does the witness name a segment that is not among them, or has no header any more? */
bool oplog_misses(const struct oplog *log, const struct found_list *found);
/* What the marks of the kept ones say; `after` was folded. */
void oplog_marks(struct found_list *found, uint64_t after, struct oplog_scan *out);

/* A segment file. It was allocated at once: most of it may be zeros, which are given as memory that
 * was never touched. */
struct seg_bytes {
        uint8_t *data;
        size_t size, room; /* of the file; of data */
        size_t used;       /* zeros from there on, as far as it was read */
        size_t loaded;     /* up to here */
        bool whole;        /* data is all of the file */
};
/* All of it; or, where not `whole`, up to the first block that is all zeros: usually the end, and what
 * comes after it need not be read. seg_is_open tells. */
HIF_MUST_USE enum hif_err oplog_seg_load(struct oplog *log, uint32_t generation, uint64_t number,
                                         bool whole, struct seg_bytes *out);
/* Records end at `end`: may there be more of them beyond what was loaded? Not if nothing was ever
 * stored from there to that block. */
bool seg_is_open(const struct seg_bytes *bytes, size_t end);
void seg_bytes_free(struct seg_bytes *bytes);
static inline struct span seg_bytes_span(const struct seg_bytes *bytes)
{
        return span_of(bytes->data, bytes->whole ? bytes->size : bytes->loaded);
}

/* The first bytes of a segment file, up to max. */
HIF_MUST_USE enum hif_err oplog_seg_read(struct oplog *log, uint32_t generation, uint64_t number,
                                         size_t max, struct buf *out);
/* Call each for the valid records of a segment's bytes with a seq from `*next` on; stops at the
 * first that is not valid, or for which each returns HIF_ECANCELED. *pos: where it stopped. */
HIF_MUST_USE enum hif_err oplog_records(struct span bytes, uint64_t first_seq, uint64_t salt,
                                        uint64_t *next, size_t *pos, oplog_each each, void *arg);
/* Where the first valid record with a number above `seq` begins in [pos, end); bytes.size: nowhere.
 * Finds out whether what stopped oplog_records was the end. Work is bounded, whatever the bytes. */
size_t oplog_seek(struct span bytes, size_t pos, size_t end, uint64_t salt, uint64_t seq);

#endif
