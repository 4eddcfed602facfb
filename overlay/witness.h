/* witness.h - what must be in an overlay's directory, written down in its lock file: so that a log
 * segment or a database that has gone is missed, instead of the overlay looking like a younger one.
 *
 *      0   "HIFOLOK1"        8  flags u32: 1 a segment is named, 2 a sync failed
 *      12  its generation u32   16  its number u64
 *      24  folded u64: the record up to which rows.db holds everything
 *      32  sum64(0, bytes 0..31)
 *
 * A segment is named only once its name is on disk, and no name is given up on the disk before the
 * segment is: so a power cut never makes it a liar. What is lost of it (or all of it: no file, a
 * wrong checksum) is only not missed.
 *
 * That a sync failed is for the process after this one: it would be told that all is well, as pages
 * that could not be written count as clean. Thread-safe. */
#ifndef HIF_OVERLAY_WITNESS_H
#define HIF_OVERLAY_WITNESS_H

#include "base/env.h"

#include <pthread.h>

struct witness {
        struct env *env;
        int fd; /* of the lock file; -1: none */
        pthread_mutex_t lock;
        bool named, failed;
        uint32_t generation;
        uint64_t number; /* of the newest synced segment */
        uint64_t folded;
};

void witness_init(struct witness *witness, struct env *env);
void witness_free(struct witness *witness);
/* Take what the open lock file says; the descriptor stays the caller's. */
HIF_MUST_USE enum hif_err witness_open(struct witness *witness, int fd);

/* This segment is on disk, with its name. Not synced. */
void witness_segment(struct witness *witness, uint32_t generation, uint64_t number);
/* A sync failed, or everything was written once more. Not synced: a power cut takes those pages, too. */
HIF_MUST_USE enum hif_err witness_failed(struct witness *witness, bool failed);
/* Before segments with numbers up to this one are unlinked, as all they say is folded up to
 * `folded` or said elsewhere: on disk when it returns. */
HIF_MUST_USE enum hif_err witness_removing(struct witness *witness, uint64_t number,
                                           uint64_t folded);

#endif
