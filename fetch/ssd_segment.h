/* ssd_segment.h - the bytes of a segment file of the SSD tier: records, and the footer that lists
 * them. Not thread-safe; each call blocks on the disk. */
#ifndef HIF_FETCH_SSD_SEGMENT_H
#define HIF_FETCH_SSD_SEGMENT_H

#include "base/env.h"
#include "fetch/fetch.h"

#define SSD_SEGMENT_MAX  (64u << 20)
#define SSD_HEADER_SIZE  52
#define SSD_LISTED_SIZE  16
#define SSD_TRAILER_SIZE 24

/* A record in a segment, as its footer lists it. */
struct ssd_record {
        uint64_t key;          /* ssd_key */
        uint32_t offset, size; /* of the record; of its content */
};

enum ssd_class { SSD_NODES, SSD_DATA, SSD_CLASSES };

struct ssd_segment {
        struct ssd_segment *next; /* newer, of its class; then: to be removed */
        char *path;
        int fd;
        uint32_t id;
        enum ssd_class class;
        uint64_t end;               /* where the next record goes */
        uint64_t charge;            /* of the limit: the records and their footer, written or not */
        uint32_t users;             /* reading or writing it now */
        bool sealed;                /* no more records */
        bool footed;                /* its footer is written, or not wanted */
        bool dead;                  /* evicted: the last user removes it */
        struct ssd_record *records; /* for the footer; NULL once that is written */
        size_t record_count, record_capacity;
};

/* Names an object in the index; another object may have the same. */
static inline uint64_t ssd_key(enum fetch_kind kind, const struct hif_hash *hash)
{
        uint64_t key = hash_prefix(hash) + (uint64_t)kind;

        return key ? key : 1;
}

/* What a record costs, its line in the footer included. */
static inline uint64_t ssd_record_charge(size_t content_size)
{
        return SSD_HEADER_SIZE + (uint64_t)content_size + SSD_LISTED_SIZE;
}

HIF_MUST_USE enum hif_err ssd_record_write(struct env *env, int fd, uint64_t offset,
                                           enum fetch_kind kind, const struct hif_hash *hash,
                                           struct span content);
/* HIF_ENOENT: another object's. HIF_ECORRUPT: no record, or cut. */
HIF_MUST_USE enum hif_err ssd_record_read(struct env *env, int fd, const struct ssd_record *record,
                                          enum fetch_kind kind, const struct hif_hash *hash,
                                          struct buf *out);
HIF_MUST_USE enum hif_err ssd_footer_write(struct env *env, const struct ssd_segment *segment);
/* Remember for the footer. */
HIF_MUST_USE enum hif_err ssd_segment_add(struct ssd_segment *segment, struct ssd_record record);
/* Fill records, end, sealed and footed from the file; what is torn at its end is cut off. */
HIF_MUST_USE enum hif_err ssd_segment_load(struct env *env, struct ssd_segment *segment);
void ssd_segment_free(struct env *env, struct ssd_segment *segment); /* closes it */

#endif
