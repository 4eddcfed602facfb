/* rollup.h - which part of a window touched a path, or carries a session.
 *
 * A window of level 1 has 100 slots, one of level 2 has 100 windows of level 1, one of level 3 has
 * 100 of level 2: its parts. A rollup is a sorted list of fingerprints (40 bits of the BLAKE3 of
 * what was touched), each with the set of parts that have it. So it answers "none of a million
 * landings touched this" as a Bloom filter would, and where it says maybe it also says where to
 * look on. Unlike Bloom filters, whose union is one only at equal sizes, lists of one level merge
 * into the list of the next: each level is made from the one below alone. n fingerprints say maybe
 * wrongly with a chance of n / 2^40.
 *
 * In it are every path that a landing touched, where it was renamed from, and all directories above
 * both; every session that landed or was refused. A part whose paths are too many is "wide": it
 * says maybe to all paths.
 *
 * The list lies in blocks, named by a table in the head: a reader gets the head, and the one block
 * that it wants. */
#ifndef HIF_CORE_ROLLUP_H
#define HIF_CORE_ROLLUP_H

#include "core/session.h"
#include "core/window.h"

#define ROLLUP_LEVELS           3
#define ROLLUP_PARTS            WINDOW_FANOUT
#define ROLLUP_FINGERPRINT_BITS 40
#define ROLLUP_BLOCK_ITEMS      4096u
/* Beyond so many there is no rollup: a wrong maybe has a chance of 1 in 32,000 here. Parts' items
 * are summed, so that it is known before they are merged. */
#define ROLLUP_ITEMS_MAX (32u << 20)
/* A landing of more paths than that is wide. */
#define ROLLUP_PATHS_MAX (2u << 20)

static inline enum window_kind rollup_kind(int level)
{
        return (enum window_kind)(WINDOW_LEVEL_1 + level - 1);
}

/* A set of parts. */
struct rollup_set {
        uint64_t bits[2];
};

static inline bool rollup_set_has(const struct rollup_set *set, uint32_t part)
{
        return set->bits[part / 64] >> part % 64 & 1;
}

static inline void rollup_set_add(struct rollup_set *set, uint32_t part)
{
        set->bits[part / 64] |= UINT64_C(1) << part % 64;
}

uint64_t rollup_of_path(struct span path);
uint64_t rollup_of_session(const struct session_id *session);

/* --- writing --- */

struct rollup_writer {
        struct window window;
        struct rollup_set wide;
        struct buf table, blocks;
        uint64_t last;        /* fingerprint */
        uint32_t block_start; /* in blocks */
        uint32_t block_items, items, block_count;
        bool full; /* over a limit of the format */
};

void rollup_begin(struct rollup_writer *writer, const struct window *window,
                  const struct rollup_set *wide);
/* Fingerprints in strictly ascending order, sets not empty (asserted). */
void rollup_add(struct rollup_writer *writer, uint64_t fingerprint, const struct rollup_set *set);
/* Append the stored bytes (drawn in rollup.c). HIF_ELIMIT: blocks of over 4 GiB. */
HIF_MUST_USE enum hif_err rollup_finish(struct rollup_writer *writer, struct buf *out);
void rollup_writer_free(struct rollup_writer *writer);

/* --- reading --- */

/* The head: a checked view of borrowed bytes. */
struct rollup {
        struct window window;
        struct rollup_set wide;
        uint32_t item_count, block_count;
        struct span table;
        uint32_t head_size; /* blocks begin there */
};

#define ROLLUP_HEAD_FIXED 116 /* bytes that tell the size of the head */

/* From the first ROLLUP_HEAD_FIXED bytes, how many the whole head has. HIF_ECORRUPT. */
HIF_MUST_USE enum hif_err rollup_head_size(struct span start, uint32_t *out);
/* `head`: at least the whole head; what follows is not looked at. HIF_ECORRUPT, HIF_EUNSUPPORTED.
 */
HIF_MUST_USE enum hif_err rollup_open(struct span head, enum window_kind kind, uint64_t start,
                                      struct rollup *out);
/* The block that would have a fingerprint; false: none would. */
bool rollup_block_of(const struct rollup *rollup, uint64_t fingerprint, uint32_t *block);
/* Where a block (< block_count, asserted) lies in the stored bytes. */
void rollup_block_at(const struct rollup *rollup, uint32_t block, uint64_t *offset, uint32_t *size);

/* A walk over the items of a block. */
struct rollup_items {
        struct reader rd;
        uint64_t fingerprint;
        uint32_t left;
        struct rollup_set set;
};

/* bytes: of that block, whole. HIF_ECORRUPT: they are not what the head says. */
HIF_MUST_USE enum hif_err rollup_items_open(const struct rollup *rollup, uint32_t block,
                                            struct span bytes, struct rollup_items *out);
/* The next: fingerprint and set. HIF_ENOENT: no more. */
HIF_MUST_USE enum hif_err rollup_items_next(struct rollup_items *items);
/* Which parts have it; an empty set: none has. Wide parts are the caller's to add. */
HIF_MUST_USE enum hif_err rollup_find(const struct rollup *rollup, uint32_t block,
                                      struct span bytes, uint64_t fingerprint,
                                      struct rollup_set *out);

#endif
