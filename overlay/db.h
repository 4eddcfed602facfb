/* db.h - folded rows in SQLite: rows.db in the overlay's directory.
 *
 * A row's blob is the item that puts it, as drawn in record.h; the columns beside it are only what
 * it is found by. One thread at a time. */
#ifndef HIF_OVERLAY_DB_H
#define HIF_OVERLAY_DB_H

#include "overlay/dbvfs.h"
#include "overlay/rows.h"

enum db_statement {
        DB_NODE_GET,
        DB_NODE_PUT,
        DB_NODE_DEL,
        DB_DIRENT_PUT,
        DB_DIRENT_DEL,
        DB_OP_PUT,
        DB_OPS_GET,
        DB_OP_LAST,
        DB_OPS_DROP,
        DB_NOTE_PUT,
        DB_NOTES_DROP,
        DB_VALUE_PUT,
        DB_VALUE_DEL,
        DB_REPLY_PUT,
        DB_REPLIES_TRIM,
        DB_STATE_PUT,
        DB_STATEMENT_COUNT
};

struct db {
        struct dbvfs dbvfs;
        sqlite3 *sqlite; /* NULL: not open */
        sqlite3_stmt *statements[DB_STATEMENT_COUNT];
};

HIF_MUST_USE enum hif_err db_init(struct db *db, struct env *env);
void db_free(struct db *db);
/* Open or create. HIF_ECORRUPT, HIF_EUNSUPPORTED, HIF_ENOSPC, HIF_EIO. */
HIF_MUST_USE enum hif_err db_open(struct db *db, const char *path);
/* Open one that may be damaged, for db_state and db_each only; nothing is changed. */
HIF_MUST_USE enum hif_err db_open_read(struct db *db, const char *path);
void db_close(struct db *db);
/* Keep few pages: for who reads each row once. Memory that was never used before costs more than reading
 * again what the kernel has. */
HIF_MUST_USE enum hif_err db_keep_few(struct db *db, bool few);
/* Have SQLite do, in memory, what opening makes it do, so that all that takes is loaded. Whether it
 * could is seen when it matters. */
void db_rehearse(void);

HIF_MUST_USE enum hif_err db_exec(struct db *db, const char *sql);
/* Bind numbers first, then blobs; run; forget the bindings. */
HIF_MUST_USE enum hif_err db_run(struct db *db, enum db_statement statement,
                                 const uint64_t *numbers, size_t number_count,
                                 const struct span *blobs, size_t blob_count);
/* The node's item, appended to out; empty when there is none. */
HIF_MUST_USE enum hif_err db_node(struct db *db, uint64_t id, struct buf *out);
/* 0 when it was never set. */
HIF_MUST_USE enum hif_err db_state(struct db *db, const char *name, uint64_t *out);
/* Call each for the items of the operations of records in (after, through], oldest first. */
HIF_MUST_USE enum hif_err db_ops(struct db *db, uint64_t after, uint64_t through,
                                 enum hif_err (*each)(void *arg, struct span blob), void *arg);
/* The record of the newest operation; 0: there is none. */
HIF_MUST_USE enum hif_err db_op_last(struct db *db, uint64_t *out);
/* Call each for the one blob of every row of a query. */
HIF_MUST_USE enum hif_err db_each(struct db *db, const char *sql,
                                  enum hif_err (*each)(void *arg, struct span blob), void *arg);
const char *db_error(const struct db *db);

#endif
