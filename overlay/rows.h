/* rows.h - the rows of an overlay in memory, and the one piece of code that changes them: applying
 * a record, whether it was just logged, is replayed, or is folded.
 *
 * Room that applying needs can be reserved first (rows_reserve_*, and the slab); then it cannot
 * fail. Not thread-safe. */
#ifndef HIF_OVERLAY_ROWS_H
#define HIF_OVERLAY_ROWS_H

#include "overlay/dirents.h"
#include "overlay/idmap.h"
#include "overlay/record.h"
#include "overlay/slab.h"

/* This bit of a data file's number tells that it is one node's own: a byte lies at its own offset.
 * The other files are segments, appended to. */
#define OVERLAY_FILE_SPARSE 0x80000000u

struct node_row {
        struct onode node;
        uint32_t sparse_file; /* the newest data file of its own; 0: none */
};

struct op_row {
        uint64_t seq;
        struct session_op op; /* paths follow in the same allocation */
};

struct note_row {
        struct onote note; /* role and text follow in the same allocation */
};

/* Oldest first. */
struct notes {
        struct note_row **rows;
        size_t count, capacity;
        size_t bytes; /* of roles and texts */
};

struct value_row {
        struct span name, value; /* owned */
};

#define REPLY_NONE OVERLAY_REPLIES_MAX

/* The newest replies in a ring, chained by key. */
struct replies {
        struct overlay_reply ring[OVERLAY_REPLIES_MAX];
        uint16_t next[OVERLAY_REPLIES_MAX];
        uint16_t heads[OVERLAY_REPLIES_MAX];
        uint64_t count; /* ever recorded */
};

struct rows {
        struct slab slab;
        struct idmap nodes;
        struct dirents dirents;
        /* Operations, oldest first: those above ops_dropped count, and those up to ops_folded are
         * not here, but in rows.db. */
        struct op_row **ops;
        size_t op_count, op_capacity;
        uint64_t ops_dropped, ops_folded;
        struct notes notes;
        struct value_row *values;
        size_t value_count, value_capacity;
        struct replies *replies; /* NULL: none was recorded yet */
        uint64_t ids_next;
        /* Told of every change of what extents name: `added` and `removed` bytes of a data file,
         * of which [at, at + added) is the new part. May be NULL. */
        void (*account)(void *arg, uint32_t file, uint64_t at, uint64_t added, uint64_t removed);
        void *account_arg;
};

void rows_init(struct rows *rows);
void rows_free(struct rows *rows);
/* Room for replies, so that recording one cannot fail. */
HIF_MUST_USE enum hif_err rows_reserve_replies(struct rows *rows);

static inline struct node_row *rows_node(const struct rows *rows, uint64_t id)
{
        return idmap_get(&rows->nodes, id);
}

/* Apply all items of a record, or one. HIF_ECORRUPT, HIF_EUNSUPPORTED, HIF_ENOMEM. */
HIF_MUST_USE enum hif_err rows_apply(struct rows *rows, uint64_t seq, struct span body);
HIF_MUST_USE enum hif_err rows_apply_item(struct rows *rows, uint64_t seq, const struct item *item);

/* Apply the one item that a row of the database is. */
HIF_MUST_USE enum hif_err rows_load(struct rows *rows, struct span blob);

/* Room for more of each, outside the slab. */
HIF_MUST_USE enum hif_err rows_reserve_extents(struct rows *rows, struct node_row *row,
                                               uint32_t more);
HIF_MUST_USE enum hif_err rows_reserve_ops(struct rows *rows, size_t more);
HIF_MUST_USE enum hif_err rows_reserve_values(struct rows *rows, size_t more);
/* Slab bytes for `count` extents of a new row. */
size_t rows_extents_cost(uint32_t count);

/* rows.db has all operations up to that record: they need not be here, too. */
void rows_ops_folded(struct rows *rows, uint64_t through);

struct value_row *rows_value(const struct rows *rows, struct span name);
/* NULL: it is not among the newest. replies: may be NULL. */
const struct overlay_reply *replies_find(const struct replies *replies, uint64_t key);

/* notes.c */
size_t note_size(const struct onote *note); /* of its row in the slab */
HIF_MUST_USE enum hif_err notes_reserve(struct notes *notes, size_t more);
HIF_MUST_USE enum hif_err notes_add(struct notes *notes, struct slab *slab, uint64_t seq,
                                    const struct onote *note);
void notes_drop(struct notes *notes, struct slab *slab, uint64_t through);
void notes_free(struct notes *notes); /* the slab keeps the rows */

/* extents.c */
HIF_MUST_USE enum hif_err extents_put(struct rows *rows, struct node_row *row,
                                      const struct oextent *extent);
void extents_cut(struct rows *rows, struct node_row *row, uint64_t size);
/* Replace all by encoded ones; HIF_ECORRUPT when they are not sorted and disjoint. */
HIF_MUST_USE enum hif_err extents_load(struct rows *rows, struct node_row *row, struct span bytes);
void extents_free(struct rows *rows, struct node_row *row);
/* The extent that covers the byte, or the first one after it; extent_count: none. */
uint32_t extents_find(const struct onode *node, uint64_t offset);

#endif
