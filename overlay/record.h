/* record.h - the bytes of a log record: a list of items, each a change of one row.
 *
 * An item is (all integers big-endian):
 *
 *      0  kind u8    1  flags u8    2  fields u16    4  size u32 of what follows    8  payload
 *
 *      PUT_NODE      id u64, then the field groups of `fields`, in the order of their bits
 *        ATTRS    1    kind u8, 0 u8, mode u16, flags u32, uid u32, gid u32, nlink u32
 *        SIZE     2    size u64, base_limit u64
 *        TIMES    4    atime, mtime, ctime: each seconds i64, nanoseconds u32
 *        PLACE    8    parent u64, name size u16, name
 *        TARGET  16    target size u16, target
 *        VERIFIER 32   verifier u64
 *        BASE    64    entry (below); kind 0: no base
 *        STATE  128    seq u64, data_seq u64, extents: count u32, then each offset u64, size u64,
 *                      at u64, file u32. Whole rows only: SQLite, and a log written from memory
 *      DEL_NODE      id u64
 *      PUT_DIRENT    dir u64, hash60 u64, child u64, base_child u64, seq u64 (0: the record's),
 *                    name size u16, name; with flag 1 the base's entry
 *      DEL_DIRENT    dir u64, hash60 u64, name size u16, name
 *      EXTENT        id u64, offset u64, size u64, at u64, file u32; with flag 1 the bytes, which a
 *                    power cut may have kept from the data file
 *      CUT           id u64, size u64: no extent at or beyond it
 *      DROP_EXTENTS  id u64
 *      OP            seq u64 (0: the record's), kind u8, hash [32], path size u32, path, path2
 *      OPS_DROP      through u64
 *      VALUE         name size u16, name, value
 *      REPLY         key u64, node u64, xid u32, proc u32
 *      IDS           next u64: numbers below it may have been given out
 *      RESET         no row is left: the first item of a log written from memory
 *      NOTE          seq u64 (0: the record's), kind u8, role size u16, role, text
 *      NOTES_DROP    through u64
 *
 *      entry: kind u8, size u64, hash [32], mtime (i64, u32), tag (u64, u64),
 *             pack [32], offset u32, frame size u32
 */
#ifndef HIF_OVERLAY_RECORD_H
#define HIF_OVERLAY_RECORD_H

#include "overlay/overlay.h"

#include "base/buf.h"

/* Part of the format. */
enum item_kind {
        ITEM_PUT_NODE = 1,
        ITEM_DEL_NODE = 2,
        ITEM_PUT_DIRENT = 3,
        ITEM_DEL_DIRENT = 4,
        ITEM_EXTENT = 5,
        ITEM_CUT = 6,
        ITEM_DROP_EXTENTS = 7,
        ITEM_OP = 8,
        ITEM_OPS_DROP = 9,
        ITEM_VALUE = 10,
        ITEM_REPLY = 11,
        ITEM_IDS = 12,
        ITEM_RESET = 13,
        ITEM_NOTE = 14,
        ITEM_NOTES_DROP = 15,
};

enum node_fields {
        NODE_ATTRS = 1,
        NODE_SIZE = 2,
        NODE_TIMES = 4,
        NODE_PLACE = 8,
        NODE_TARGET = 16,
        NODE_VERIFIER = 32,
        NODE_BASE = 64,
        NODE_STATE = 128,
        NODE_FIELDS_ALL = 255,
};

#define RECORD_EXTENT_SIZE 28
#define RECORD_NAME_MAX    UINT16_MAX

/* One decoded item; spans borrow from the record. */
struct item {
        enum item_kind kind;
        uint16_t fields;   /* PUT_NODE */
        struct onode node; /* PUT_NODE, of the groups in fields; extents are in extent_bytes */
        struct span extent_bytes;
        struct odirent dirent; /* PUT_DIRENT, DEL_DIRENT */
        uint64_t id;           /* every item of a node */
        struct oextent extent; /* EXTENT */
        struct span carried;   /* EXTENT: its bytes; empty: only the data file has them */
        uint64_t number;       /* CUT: size; OPS_DROP, NOTES_DROP: through; IDS: next; OP: seq */
        struct session_op op;
        struct span name, value; /* VALUE */
        struct overlay_reply reply;
        struct onote note;
};

/* Take the next item. HIF_ECORRUPT; HIF_EUNSUPPORTED for a kind of a newer version. */
HIF_MUST_USE enum hif_err item_next(struct reader *rd, struct item *out);
struct oextent item_extent(struct span extent_bytes, size_t index);

/* The groups in which two rows differ, but for STATE. */
uint16_t node_diff(const struct onode *a, const struct onode *b);

void put_node(struct buf *out, const struct onode *node, uint16_t fields);
void put_del_node(struct buf *out, uint64_t id);
/* seq is stored as it is: 0 in a transaction. */
void put_dirent(struct buf *out, const struct odirent *row, uint64_t seq);
void put_del_dirent(struct buf *out, uint64_t dir, uint64_t hash60, struct span name);
/* carried: its bytes, or empty. */
void put_extent(struct buf *out, uint64_t id, const struct oextent *extent, struct span carried);
void put_cut(struct buf *out, uint64_t id, uint64_t size);
void put_drop_extents(struct buf *out, uint64_t id);
void put_op(struct buf *out, const struct session_op *op, uint64_t seq);
void put_ops_drop(struct buf *out, uint64_t through);
void put_value(struct buf *out, struct span name, struct span value);
void put_note(struct buf *out, const struct onote *note, uint64_t seq);
void put_notes_drop(struct buf *out, uint64_t through);
void put_reply(struct buf *out, const struct overlay_reply *reply);
void put_ids(struct buf *out, uint64_t next);
void put_reset(struct buf *out);

/* Whether the record says where content lies, and does not carry it: after a reboot it counts only if
 * that was synced. */
bool record_has_extents(struct span body);

#endif
