/* dbvfs.h - SQLite's files through struct env: so that a simulated machine has them too, and SQLite
 * opens no path by itself. No locks: the overlay's directory belongs to one process, and a
 * connection in WAL mode with locking_mode=EXCLUSIVE needs no shared memory either
 * (https://sqlite.org/wal.html, "Use of WAL Without Shared-Memory"). */
#ifndef HIF_OVERLAY_DBVFS_H
#define HIF_OVERLAY_DBVFS_H

#include "base/env.h"

#include <sqlite3.h>

/* Registered under a name of its own while it lives; must not move. */
struct dbvfs {
        sqlite3_vfs vfs;
        struct env *env;
        enum hif_err err; /* of the last call that failed */
        char name[40];
};

HIF_MUST_USE enum hif_err dbvfs_init(struct dbvfs *dbvfs, struct env *env);
void dbvfs_free(struct dbvfs *dbvfs);

#endif
