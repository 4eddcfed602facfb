/* faulty_sqlite.c - SQLite's interface, before SQLite's. A call that fails has done nothing; those
 * that SQLite makes itself are not ours to fail. */
#include "faults.h"

#include <dlfcn.h>
#include <sqlite3.h>
#include <stdlib.h>

static __thread int inside; /* SQLite */

static int fails(const char *name)
{
        static const int codes[] = {SQLITE_IOERR, SQLITE_NOMEM, SQLITE_FULL, SQLITE_IOERR_FSYNC};
        uint64_t number;

        if (inside > 0 || !fault_point(FAULT_SQLITE, name, &number))
                return SQLITE_OK;
        return codes[number % (sizeof(codes) / sizeof(codes[0]))];
}

#define STAND_BEFORE(name, parameters, arguments)                                                  \
        int name parameters                                                                        \
        {                                                                                          \
                static int(*real) parameters;                                                      \
                int code = fails(#name);                                                           \
                                                                                                   \
                if (real == NULL)                                                                  \
                        *(void **)&real = dlsym(RTLD_NEXT, #name);                                 \
                if (code == SQLITE_OK) {                                                           \
                        inside++;                                                                  \
                        code = real arguments;                                                     \
                        inside--;                                                                  \
                }                                                                                  \
                return code;                                                                       \
        }

STAND_BEFORE(sqlite3_step, (sqlite3_stmt * statement), (statement))
STAND_BEFORE(sqlite3_exec,
             (sqlite3 * db, const char *sql, int (*row)(void *, int, char **, char **), void *arg,
              char **message),
             (db, sql, row, arg, message))
STAND_BEFORE(sqlite3_bind_int64, (sqlite3_stmt * statement, int at, sqlite3_int64 value),
             (statement, at, value))
STAND_BEFORE(sqlite3_bind_blob64,
             (sqlite3_stmt * statement, int at, const void *data, sqlite3_uint64 size,
              void (*destroy)(void *)),
             (statement, at, data, size, destroy))
STAND_BEFORE(sqlite3_bind_text,
             (sqlite3_stmt * statement, int at, const char *text, int size,
              void (*destroy)(void *)),
             (statement, at, text, size, destroy))

int sqlite3_open_v2(const char *path, sqlite3 **db, int flags, const char *vfs)
{
        static int (*real)(const char *, sqlite3 **, int, const char *);
        int code = fails("sqlite3_open_v2");

        if (real == NULL)
                *(void **)&real = dlsym(RTLD_NEXT, "sqlite3_open_v2");
        if (code != SQLITE_OK) {
                *db = NULL;
                return code;
        }
        inside++;
        code = real(path, db, flags, vfs);
        inside--;
        return code;
}

int sqlite3_prepare_v3(sqlite3 *db, const char *sql, int size, unsigned flags,
                       sqlite3_stmt **statement, const char **tail)
{
        static int (*real)(sqlite3 *, const char *, int, unsigned, sqlite3_stmt **, const char **);
        int code = fails("sqlite3_prepare_v3");

        if (real == NULL)
                *(void **)&real = dlsym(RTLD_NEXT, "sqlite3_prepare_v3");
        if (code != SQLITE_OK) {
                *statement = NULL;
                return code;
        }
        inside++;
        code = real(db, sql, size, flags, statement, tail);
        inside--;
        return code;
}

int sqlite3_prepare_v2(sqlite3 *db, const char *sql, int size, sqlite3_stmt **statement,
                       const char **tail)
{
        return sqlite3_prepare_v3(db, sql, size, 0, statement, tail);
}
