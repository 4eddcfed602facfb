/* dbvfs.h - SQLite's files through struct env: so that a simulated machine has them too, and SQLite
 * opens no path by itself. No locks: the overlay's directory belongs to one process, and a
 * connection in WAL mode with locking_mode=EXCLUSIVE needs no shared memory either
 * (https://sqlite.org/wal.html, "Use of WAL Without Shared-Memory").
 *
 * A page of the database ends with a checksum of what stands before it and of its number (8 bytes,
 * big-endian), in room that SQLite leaves to us: so that a disk which garbles a page is found out.
 * (SQLite's own write-ahead log has checksums of its own.) A database that was made without that
 * room is read as it is. */
#ifndef HIF_OVERLAY_DBVFS_H
#define HIF_OVERLAY_DBVFS_H

#include "base/env.h"

#include <sqlite3.h>

#define DBVFS_PAGE     4096u
#define DBVFS_RESERVED 8u

/* What dbvfs_ahead keeps of the files' blocks: of each file so many, each at one place. */
#define DBVFS_BLOCK  (64u << 10)
#define DBVFS_BLOCKS 4u
#define DBVFS_FILES  2u /* the database, its log */

struct dbvfs_block {
        uint8_t *bytes; /* NULL: none */
        uint64_t number;
        size_t size; /* as much as there was of it */
};

/* Registered under a name of its own while it lives; must not move. */
struct dbvfs {
        sqlite3_vfs vfs;
        struct env *env;
        bool salvage;      /* nothing is written, made or removed; pages are taken as they are */
        enum hif_err err;  /* of the last call that failed */
        uint64_t bad_page; /* the first that had a wrong checksum, from 1; 0: none */
        bool bad_more;     /* and others had, too */
        bool ahead;
        struct dbvfs_block blocks[DBVFS_FILES][DBVFS_BLOCKS];
        char name[40];
};

HIF_MUST_USE enum hif_err dbvfs_init(struct dbvfs *dbvfs, struct env *env);
void dbvfs_free(struct dbvfs *dbvfs);
/* While on, reads are of whole blocks, and what they bring is kept: for who reads all there is, as a
 * call for each page costs more than reading it. For one open database. */
void dbvfs_ahead(struct dbvfs *dbvfs, bool on);

#endif
