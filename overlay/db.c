/* db.c - statements, and SQLite's errors as ours. */
#include "overlay/db.h"

#include <assert.h>
#include <stdlib.h>

#define DB_VERSION 1

#define CACHE_USUAL "PRAGMA cache_size=-16384;"
#define CACHE_FEW   "PRAGMA cache_size=-256;"

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS nodes(id INTEGER PRIMARY KEY, row BLOB NOT NULL);"
    "CREATE TABLE IF NOT EXISTS dirents(dir INTEGER, hash60 INTEGER, name BLOB, row BLOB NOT NULL,"
    " PRIMARY KEY(dir, hash60, name)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS ops(n INTEGER PRIMARY KEY, seq INTEGER NOT NULL,"
    " row BLOB NOT NULL);"
    "CREATE TABLE IF NOT EXISTS notes(n INTEGER PRIMARY KEY, seq INTEGER NOT NULL,"
    " row BLOB NOT NULL);"
    "CREATE TABLE IF NOT EXISTS vals(name BLOB PRIMARY KEY, row BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS replies(n INTEGER PRIMARY KEY, row BLOB NOT NULL);"
    "CREATE TABLE IF NOT EXISTS state(name TEXT PRIMARY KEY, value INTEGER NOT NULL)"
    " WITHOUT ROWID;";

static const char *const sql_of[DB_STATEMENT_COUNT] = {
    [DB_NODE_GET] = "SELECT row FROM nodes WHERE id = ?1",
    [DB_NODE_PUT] = "INSERT OR REPLACE INTO nodes VALUES(?1, ?2)",
    [DB_NODE_DEL] = "DELETE FROM nodes WHERE id = ?1",
    [DB_DIRENT_PUT] = "INSERT OR REPLACE INTO dirents VALUES(?1, ?2, ?3, ?4)",
    [DB_DIRENT_DEL] = "DELETE FROM dirents WHERE dir = ?1 AND hash60 = ?2 AND name = ?3",
    [DB_OP_PUT] = "INSERT INTO ops(seq, row) VALUES(?1, ?2)",
    [DB_OPS_GET] = "SELECT row FROM ops WHERE seq > ?1 AND seq <= ?2 ORDER BY n",
    [DB_OP_LAST] = "SELECT seq FROM ops ORDER BY n DESC LIMIT 1",
    [DB_OPS_DROP] = "DELETE FROM ops WHERE seq <= ?1",
    [DB_NOTE_PUT] = "INSERT INTO notes(seq, row) VALUES(?1, ?2)",
    [DB_NOTES_DROP] = "DELETE FROM notes WHERE seq <= ?1",
    [DB_VALUE_PUT] = "INSERT OR REPLACE INTO vals VALUES(?1, ?2)",
    [DB_VALUE_DEL] = "DELETE FROM vals WHERE name = ?1",
    [DB_REPLY_PUT] = "INSERT INTO replies(row) VALUES(?1)",
    [DB_REPLIES_TRIM] = "DELETE FROM replies WHERE n <= (SELECT max(n) FROM replies) - ?1",
    [DB_STATE_PUT] = "INSERT OR REPLACE INTO state VALUES(CAST(?2 AS TEXT), ?1)",
};

static enum hif_err convert(struct db *db, int rc)
{
        enum hif_err io = db->dbvfs.err;

        switch (rc & 0xff) {
        case SQLITE_OK:
        case SQLITE_ROW:
        case SQLITE_DONE:
                return HIF_OK;
        case SQLITE_NOMEM:
                return HIF_ENOMEM;
        case SQLITE_FULL:
                return hif_err_is_full(io) ? io : HIF_ENOSPC;
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
                return HIF_ECORRUPT;
        default:
                return io != HIF_OK ? io : HIF_EIO;
        }
}

enum hif_err db_init(struct db *db, struct env *env)
{
        *db = (struct db){0};
        return dbvfs_init(&db->dbvfs, env);
}

void db_close(struct db *db)
{
        for (size_t i = 0; i < DB_STATEMENT_COUNT; i++) {
                sqlite3_finalize(db->statements[i]);
                db->statements[i] = NULL;
        }
        sqlite3_close(db->sqlite);
        db->sqlite = NULL;
}

void db_free(struct db *db)
{
        db_close(db);
        dbvfs_free(&db->dbvfs);
}

const char *db_error(const struct db *db)
{
        return db->sqlite != NULL ? sqlite3_errmsg(db->sqlite) : "cannot be opened";
}

enum hif_err db_exec(struct db *db, const char *sql)
{
        return convert(db, sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL));
}

static enum hif_err check_version(struct db *db)
{
        uint64_t version;
        enum hif_err err = db_state(db, "version", &version);

        if (err != HIF_OK || version == DB_VERSION)
                return err;
        if (version != 0)
                return HIF_EUNSUPPORTED;
        return db_run(db, DB_STATE_PUT, (uint64_t[]){DB_VERSION}, 1,
                      (struct span[]){span_str("version")}, 1);
}

static enum hif_err open_file(struct db *db, const char *path, int flags)
{
        int reserved = DBVFS_RESERVED, rc;

        db->dbvfs.err = HIF_OK;
        db->dbvfs.bad_page = 0;
        db->dbvfs.bad_more = false;
        rc = sqlite3_open_v2(path, &db->sqlite, flags | SQLITE_OPEN_NOMUTEX, db->dbvfs.name);
        /* Of a database that is there already, this changes nothing. */
        if (rc == SQLITE_OK)
                rc =
                    sqlite3_file_control(db->sqlite, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserved);
        return convert(db, rc);
}

enum hif_err db_open(struct db *db, const char *path)
{
        enum hif_err err;

        if (db->sqlite != NULL)
                return HIF_OK;
        db->dbvfs.salvage = false;
        err = open_file(db, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
        if (err == HIF_OK)
                err = db_exec(db, "PRAGMA page_size=4096;");
        /* FULL syncs the WAL with each commit: folded log segments are removed after it. */
        if (err == HIF_OK)
                err = db_exec(db, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL;"
                                  "PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY;" CACHE_USUAL
                                  "PRAGMA wal_autocheckpoint=0;");
        if (err == HIF_OK)
                err = db_exec(db, schema);
        for (size_t i = 0; i < DB_STATEMENT_COUNT && err == HIF_OK; i++)
                err = convert(db, sqlite3_prepare_v3(db->sqlite, sql_of[i], -1,
                                                     SQLITE_PREPARE_PERSISTENT, &db->statements[i],
                                                     NULL));
        if (err == HIF_OK)
                err = check_version(db);
        return err;
}

enum hif_err db_keep_few(struct db *db, bool few)
{
        return db_exec(db, few ? CACHE_FEW : CACHE_USUAL);
}

static enum hif_err ignore(void *arg, struct span blob)
{
        (void)arg;
        (void)blob;
        return HIF_OK;
}

void db_rehearse(void)
{
        static const char *const reads[] = {"SELECT row FROM nodes",
                                            "SELECT row FROM dirents ORDER BY dir, hash60, name",
                                            "SELECT row FROM vals"};
        struct db db = {0};
        enum hif_err err =
            convert(&db, sqlite3_open_v2(":memory:", &db.sqlite,
                                         SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL));

        if (err == HIF_OK)
                err = db_exec(&db, schema);
        for (size_t i = 0; i < DB_STATEMENT_COUNT && err == HIF_OK; i++)
                err = convert(
                    &db, sqlite3_prepare_v2(db.sqlite, sql_of[i], -1, &db.statements[i], NULL));
        if (err == HIF_OK)
                err = db_run(&db, DB_NODE_PUT, (uint64_t[]){1}, 1, (struct span[]){span_str("row")},
                             1);
        for (size_t i = 0; i < sizeof(reads) / sizeof(reads[0]) && err == HIF_OK; i++)
                err = db_each(&db, reads[i], ignore, NULL);
        db_close(&db);
}

enum hif_err db_open_read(struct db *db, const char *path)
{
        uint64_t version = 0;
        enum hif_err err;

        db->dbvfs.salvage = true;
        err = open_file(db, path, SQLITE_OPEN_READONLY);
        if (err == HIF_OK)
                err = db_exec(db, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA temp_store=MEMORY;"
                                  "PRAGMA cache_size=-16384;");
        if (err == HIF_OK)
                err = db_state(db, "version", &version);
        if (err == HIF_OK && version > DB_VERSION)
                err = HIF_EUNSUPPORTED;
        return err;
}

static int bind(sqlite3_stmt *statement, const uint64_t *numbers, size_t number_count,
                const struct span *blobs, size_t blob_count)
{
        int at = 1, rc = SQLITE_OK;

        for (size_t i = 0; i < number_count && rc == SQLITE_OK; i++)
                rc = sqlite3_bind_int64(statement, at++, (sqlite3_int64)numbers[i]);
        for (size_t i = 0; i < blob_count && rc == SQLITE_OK; i++)
                rc = sqlite3_bind_blob64(statement, at++,
                                         blobs[i].size > 0 ? (const void *)blobs[i].data : "",
                                         blobs[i].size, SQLITE_STATIC);
        return rc;
}

enum hif_err db_run(struct db *db, enum db_statement which, const uint64_t *numbers,
                    size_t number_count, const struct span *blobs, size_t blob_count)
{
        sqlite3_stmt *statement = db->statements[which];
        int rc = bind(statement, numbers, number_count, blobs, blob_count);

        if (rc == SQLITE_OK)
                rc = sqlite3_step(statement);
        sqlite3_reset(statement);
        sqlite3_clear_bindings(statement);
        return convert(db, rc);
}

static struct span column(sqlite3_stmt *statement)
{
        const void *data = sqlite3_column_blob(statement, 0);

        return span_of(data, (size_t)sqlite3_column_bytes(statement, 0));
}

enum hif_err db_node(struct db *db, uint64_t id, struct buf *out)
{
        sqlite3_stmt *statement = db->statements[DB_NODE_GET];
        int rc = bind(statement, &id, 1, NULL, 0);

        if (rc == SQLITE_OK)
                rc = sqlite3_step(statement);
        if (rc == SQLITE_ROW)
                buf_put_span(out, column(statement));
        sqlite3_reset(statement);
        if (buf_failed(out))
                return HIF_ENOMEM;
        return convert(db, rc);
}

enum hif_err db_state(struct db *db, const char *name, uint64_t *out)
{
        sqlite3_stmt *statement = NULL;
        int rc = sqlite3_prepare_v2(db->sqlite, "SELECT value FROM state WHERE name = ?1", -1,
                                    &statement, NULL);

        if (rc == SQLITE_OK)
                rc = sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
        if (rc == SQLITE_OK)
                rc = sqlite3_step(statement);
        if (rc == SQLITE_ROW)
                *out = (uint64_t)sqlite3_column_int64(statement, 0);
        else if (rc == SQLITE_DONE)
                *out = 0;
        sqlite3_finalize(statement);
        return convert(db, rc);
}

static enum hif_err each_row(struct db *db, sqlite3_stmt *statement,
                             enum hif_err (*each)(void *arg, struct span blob), void *arg)
{
        enum hif_err err = HIF_OK;
        int rc = SQLITE_OK;

        while (err == HIF_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW)
                err = each(arg, column(statement));
        return err != HIF_OK ? err : convert(db, rc);
}

enum hif_err db_ops(struct db *db, uint64_t after, uint64_t through,
                    enum hif_err (*each)(void *arg, struct span blob), void *arg)
{
        sqlite3_stmt *statement = db->statements[DB_OPS_GET];
        int rc = bind(statement, (uint64_t[]){after, through}, 2, NULL, 0);
        enum hif_err err = rc == SQLITE_OK ? each_row(db, statement, each, arg) : convert(db, rc);

        sqlite3_reset(statement);
        return err;
}

enum hif_err db_op_last(struct db *db, uint64_t *out)
{
        sqlite3_stmt *statement = db->statements[DB_OP_LAST];
        int rc = sqlite3_step(statement);

        *out = rc == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(statement, 0) : 0;
        sqlite3_reset(statement);
        return convert(db, rc);
}

enum hif_err db_each(struct db *db, const char *sql,
                     enum hif_err (*each)(void *arg, struct span blob), void *arg)
{
        sqlite3_stmt *statement = NULL;
        int rc = sqlite3_prepare_v2(db->sqlite, sql, -1, &statement, NULL);
        enum hif_err err = rc == SQLITE_OK ? each_row(db, statement, each, arg) : convert(db, rc);

        sqlite3_finalize(statement);
        return err;
}
