/* window.h - what every derived record begins with: of which slots it was made.
 *
 * A window is a fixed run of positions: it starts at a multiple of its size, and is complete when
 * its last slot is there. A record of it is made from all of those slots or not at all, names the
 * slot before it and its last one by hash, and holds nothing of who made it: so it can be removed
 * and made again, the same to the byte. */
#ifndef HIF_CORE_WINDOW_H
#define HIF_CORE_WINDOW_H

#include "base/buf.h"
#include "base/err.h"
#include "core/hash.h"

/* How many of a level make one of the next. A simulation has fewer, to see windows fill. */
#ifndef WINDOW_FANOUT
#define WINDOW_FANOUT 100u
#endif
#ifndef WINDOW_SEGMENT_SLOTS
#define WINDOW_SEGMENT_SLOTS 1000u
#endif

/* Part of the format. */
enum window_kind {
        WINDOW_SEGMENT = 1, /* the slots themselves, without their lists (segment.h) */
        WINDOW_LEVEL_1 = 2, /* who touched what (rollup.h) */
        WINDOW_LEVEL_2 = 3,
        WINDOW_LEVEL_3 = 4,
        WINDOW_HASHES = 5, /* where contents lie (hash_index.h) */
        WINDOW_KINDS
};

struct window {
        enum window_kind kind;
        uint64_t start;
        struct hif_hash before; /* HASH_SLOT of the slot before start; zeros at 0 */
        struct hif_hash end;    /* ... and of the last one */
};

/* 1,000; 100, 10,000, 1,000,000; 10,000. */
static inline uint64_t window_size(enum window_kind kind)
{
        const uint64_t fanout = WINDOW_FANOUT;

        switch (kind) {
        case WINDOW_SEGMENT:
                return WINDOW_SEGMENT_SLOTS;
        case WINDOW_LEVEL_1:
                return fanout;
        case WINDOW_LEVEL_3:
                return fanout * fanout * fanout;
        case WINDOW_LEVEL_2:
        case WINDOW_HASHES:
        case WINDOW_KINDS:
                break;
        }
        return fanout * fanout;
}

/* Where the window that holds a position starts, and ends. */
static inline uint64_t window_start(enum window_kind kind, uint64_t position)
{
        return position - position % window_size(kind);
}

static inline uint64_t window_last(enum window_kind kind, uint64_t start)
{
        return start + window_size(kind) - 1;
}

/*      0   4   "HIFD"
 *      4   1   version, 1
 *      5   1   kind
 *      6   2   zero
 *      8   8   start, a multiple of the window's size
 *     16   8   last
 *     24   32  slot before start
 *     56   32  slot at last
 *     88
 */
#define WINDOW_HEAD_SIZE 88

void window_put(struct buf *out, const struct window *window);
/* HIF_ECORRUPT: not a head of this kind and start. HIF_EUNSUPPORTED: a newer version. */
HIF_MUST_USE enum hif_err window_get(struct reader *rd, enum window_kind kind, uint64_t start,
                                     struct window *out);

#endif
