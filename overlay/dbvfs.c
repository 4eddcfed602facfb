/* dbvfs.c - see dbvfs.h; the methods are those of https://sqlite.org/c3ref/vfs.html. */
#include "overlay/dbvfs.h"

#include "base/buf.h"
#include "overlay/oplog.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_SIZE   4096
#define SECTOR_SIZE 4096

/* Where SQLite's file header says how many bytes at the end of each page it leaves to us
 * (https://sqlite.org/fileformat.html, 1.3.4). */
#define HEADER_SIZE     100
#define HEADER_RESERVED 20
#define HEADER_PAGES    28
#define PAGES_MAX       (1u << 28)

struct dbfile {
        sqlite3_file base;
        struct dbvfs *dbvfs;
        int fd;
        bool remove;                /* at close */
        bool dir_sync;              /* its name may not be on disk yet, whoever made it */
        bool pages;                 /* the database itself, not its log */
        bool sums;                  /* its pages end with checksums */
        struct dbvfs_block *blocks; /* read ahead; NULL: never */
        char path[PATH_SIZE];
};

static struct dbfile *file_of(sqlite3_file *file)
{
        return (struct dbfile *)file;
}

static struct dbvfs *vfs_of(sqlite3_vfs *vfs)
{
        return vfs->pAppData;
}

static int code(struct dbvfs *dbvfs, enum hif_err err, int io)
{
        if (err == HIF_OK)
                return SQLITE_OK;
        dbvfs->err = err;
        if (hif_err_is_full(err))
                return SQLITE_FULL;
        return err == HIF_ENOMEM ? SQLITE_NOMEM : io;
}

static enum hif_err sync_parent(struct env *env, const char *path)
{
        char dir[PATH_SIZE];
        char *slash;

        snprintf(dir, sizeof(dir), "%s", path);
        slash = strrchr(dir, '/');
        if (slash == NULL)
                return HIF_EINVAL;
        *slash = '\0';
        return env_sync_dir(env, dir[0] == '\0' ? "/" : dir);
}

/* --- checksums --- */

/* Of one page; its number is part of it, so that a page in another's place is found. */
static uint64_t page_sum(const uint8_t *page, uint64_t offset)
{
        return sum64(offset / DBVFS_PAGE + 1, page, DBVFS_PAGE - DBVFS_RESERVED);
}

static void note_header(struct dbfile *file, const uint8_t *data, size_t size, uint64_t offset)
{
        if (file->pages && offset == 0 && size > HEADER_RESERVED)
                file->sums = data[HEADER_RESERVED] == DBVFS_RESERVED;
}

/* Whole pages only: SQLite reads the header of page 1 by itself before it knows what it has. */
static bool is_page(const struct dbfile *file, size_t size, uint64_t offset)
{
        return file->pages && file->sums && size == DBVFS_PAGE && offset % DBVFS_PAGE == 0;
}

/* What a database of ours begins with (https://sqlite.org/fileformat.html, 1.3): all else can be read
 * if only this is right. */
static void mend_header(uint8_t *page)
{
        static const uint8_t start[24] = "SQLite format 3\0\x10\0\2\2\x08\x40\x20\x20";

        memcpy(page, start, sizeof(start));
        be32_put(page + 44, 4); /* the schema's format */
        be32_put(page + 56, 1); /* UTF-8 */
}

static int check_page(struct dbfile *file, uint8_t *page, uint64_t offset)
{
        struct dbvfs *dbvfs = file->dbvfs;

        if (be64_get(page + DBVFS_PAGE - DBVFS_RESERVED) == page_sum(page, offset))
                return SQLITE_OK;
        if (dbvfs->bad_page == 0)
                dbvfs->bad_page = offset / DBVFS_PAGE + 1;
        dbvfs->bad_more |= dbvfs->bad_page != offset / DBVFS_PAGE + 1;
        if (dbvfs->salvage)
                return SQLITE_OK;
        dbvfs->err = HIF_ECORRUPT;
        return SQLITE_IOERR_DATA;
}

/* Of the header's own, where the file was cut: so that only the pages that are gone are missed. */
static uint64_t pages_size(struct dbfile *file, uint64_t size)
{
        uint8_t count[4];
        size_t got = 0;

        if (!file->dbvfs->salvage || !file->pages || file->fd < 0 ||
            file->dbvfs->env->ops->pread(file->dbvfs->env, file->fd, count, sizeof(count),
                                         HEADER_PAGES, &got) != HIF_OK ||
            got != sizeof(count) || be32_get(count) > PAGES_MAX)
                return size;
        return (uint64_t)be32_get(count) * DBVFS_PAGE > size
                   ? (uint64_t)be32_get(count) * DBVFS_PAGE
                   : size;
}

/* --- reading ahead --- */

void dbvfs_ahead(struct dbvfs *dbvfs, bool on)
{
        dbvfs->ahead = on;
        for (size_t i = 0; !on && i < DBVFS_FILES * DBVFS_BLOCKS; i++) {
                struct dbvfs_block *block = &dbvfs->blocks[i / DBVFS_BLOCKS][i % DBVFS_BLOCKS];

                free(block->bytes);
                *block = (struct dbvfs_block){0};
        }
}

/* The file changes. */
static void forget_blocks(struct dbfile *file)
{
        for (size_t i = 0; file->blocks != NULL && i < DBVFS_BLOCKS; i++)
                file->blocks[i].size = 0;
}

static struct dbvfs_block *block_get(struct dbfile *file, uint64_t number)
{
        struct dbvfs_block *block = &file->blocks[number % DBVFS_BLOCKS];
        struct env *env = file->dbvfs->env;

        if (block->size > 0 && block->number == number)
                return block;
        if (block->bytes == NULL)
                block->bytes = malloc(DBVFS_BLOCK);
        block->number = number;
        block->size = 0;
        if (block->bytes == NULL || env->ops->pread(env, file->fd, block->bytes, DBVFS_BLOCK,
                                                    number * DBVFS_BLOCK, &block->size) != HIF_OK)
                block->size = 0;
        return block;
}

/* As much as is at hand. What is not, at the end of the file or where the disk has an error, is read by
 * itself: so that only who wants those very bytes is told. */
static size_t read_ahead(struct dbfile *file, uint8_t *out, size_t size, uint64_t offset)
{
        size_t done = 0;

        while (done < size) {
                uint64_t at = offset + done;
                const struct dbvfs_block *block = block_get(file, at / DBVFS_BLOCK);
                size_t skip = (size_t)(at % DBVFS_BLOCK), count = size - done;

                if (block->size <= skip)
                        break;
                if (count > block->size - skip)
                        count = block->size - skip;
                memcpy(out + done, block->bytes + skip, count);
                done += count;
        }
        return done;
}

/* --- files --- */

static int file_close(sqlite3_file *base)
{
        struct dbfile *file = file_of(base);
        struct env *env = file->dbvfs->env;

        forget_blocks(file);
        if (file->fd >= 0)
                env->ops->close(env, file->fd);
        if (file->remove)
                return code(file->dbvfs, env->ops->unlink(env, file->path), SQLITE_IOERR_DELETE);
        return SQLITE_OK;
}

static int file_read(sqlite3_file *base, void *out, int amount, sqlite3_int64 offset)
{
        struct dbfile *file = file_of(base);
        struct env *env = file->dbvfs->env;
        size_t done = 0, size = (size_t)amount;

        if (file->dbvfs->ahead && file->blocks != NULL && file->fd >= 0)
                done = read_ahead(file, out, size, (uint64_t)offset);
        while (done < size && file->fd >= 0) {
                size_t count = 0;
                enum hif_err err = env->ops->pread(env, file->fd, (uint8_t *)out + done,
                                                   size - done, (uint64_t)offset + done, &count);

                if (err != HIF_OK)
                        return code(file->dbvfs, err, SQLITE_IOERR_READ);
                if (count == 0)
                        break;
                done += count;
        }
        if (file->dbvfs->salvage && file->pages && offset == 0 && done >= HEADER_SIZE)
                mend_header(out);
        note_header(file, out, done, (uint64_t)offset);
        if (done == size)
                return is_page(file, size, (uint64_t)offset)
                           ? check_page(file, out, (uint64_t)offset)
                           : SQLITE_OK;
        memset((uint8_t *)out + done, 0, size - done);
        return SQLITE_IOERR_SHORT_READ;
}

static int file_write(sqlite3_file *base, const void *data, int amount, sqlite3_int64 offset)
{
        struct dbfile *file = file_of(base);
        uint8_t page[DBVFS_PAGE];

        if (file->dbvfs->salvage)
                return SQLITE_READONLY;
        forget_blocks(file);
        note_header(file, data, (size_t)amount, (uint64_t)offset);
        if (is_page(file, (size_t)amount, (uint64_t)offset)) {
                memcpy(page, data, sizeof(page));
                be64_put(page + DBVFS_PAGE - DBVFS_RESERVED, page_sum(page, (uint64_t)offset));
                data = page;
        }
        return code(
            file->dbvfs,
            env_write_all(file->dbvfs->env, file->fd, data, (size_t)amount, (uint64_t)offset),
            SQLITE_IOERR_WRITE);
}

static int file_truncate(sqlite3_file *base, sqlite3_int64 size)
{
        struct dbfile *file = file_of(base);
        struct env *env = file->dbvfs->env;

        if (file->dbvfs->salvage)
                return SQLITE_READONLY;
        forget_blocks(file);
        return code(file->dbvfs, env->ops->ftruncate(env, file->fd, (uint64_t)size),
                    SQLITE_IOERR_TRUNCATE);
}

static int file_sync(sqlite3_file *base, int flags)
{
        struct dbfile *file = file_of(base);
        struct env *env = file->dbvfs->env;
        enum hif_err err;

        if (file->dbvfs->salvage)
                return SQLITE_OK;
        err = (flags & SQLITE_SYNC_DATAONLY) ? env->ops->fdatasync(env, file->fd)
                                             : env->ops->fsync(env, file->fd);
        if (err == HIF_OK && file->dir_sync) {
                err = sync_parent(env, file->path);
                if (err == HIF_OK)
                        file->dir_sync = false;
        }
        return code(file->dbvfs, err, SQLITE_IOERR_FSYNC);
}

static int file_size(sqlite3_file *base, sqlite3_int64 *size)
{
        struct dbfile *file = file_of(base);
        struct env *env = file->dbvfs->env;
        struct stat st = {0};
        enum hif_err err = file->fd < 0 ? HIF_OK : env->ops->fstat(env, file->fd, &st);

        if (err == HIF_OK)
                *size = (sqlite3_int64)pages_size(file, (uint64_t)st.st_size);
        return code(file->dbvfs, err, SQLITE_IOERR_FSTAT);
}

static int file_lock(sqlite3_file *base, int level)
{
        (void)base;
        (void)level;
        return SQLITE_OK;
}

static int file_check_lock(sqlite3_file *base, int *out)
{
        (void)base;
        *out = 0;
        return SQLITE_OK;
}

static int file_control(sqlite3_file *base, int op, void *arg)
{
        (void)base;
        (void)op;
        (void)arg;
        return SQLITE_NOTFOUND;
}

static int file_sector_size(sqlite3_file *base)
{
        (void)base;
        return SECTOR_SIZE;
}

static int file_characteristics(sqlite3_file *base)
{
        (void)base;
        return 0;
}

static const sqlite3_io_methods file_methods = {
    .iVersion = 1,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_lock,
    .xCheckReservedLock = file_check_lock,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
};

/* --- the file system --- */

static int vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *base, int flags, int *out)
{
        struct dbvfs *dbvfs = vfs_of(vfs);
        struct env *env = dbvfs->env;
        struct dbfile *file = file_of(base);
        struct stat st;
        int mode = (flags & SQLITE_OPEN_READWRITE) && !dbvfs->salvage ? O_RDWR : O_RDONLY;
        enum hif_err err;

        base->pMethods = NULL;
        /* Temporary tables are kept in memory: a file without a name is never asked for. */
        if (path == NULL || strlen(path) >= sizeof(file->path))
                return SQLITE_CANTOPEN;
        if ((flags & SQLITE_OPEN_CREATE) && !dbvfs->salvage)
                mode |= O_CREAT;
        file->dbvfs = dbvfs;
        file->pages = (flags & SQLITE_OPEN_MAIN_DB) != 0;
        file->sums = false;
        file->blocks = file->pages                      ? dbvfs->blocks[0]
                       : (flags & SQLITE_OPEN_WAL) != 0 ? dbvfs->blocks[1]
                                                        : NULL;
        file->remove = (flags & SQLITE_OPEN_DELETEONCLOSE) != 0;
        memcpy(file->path, path, strlen(path) + 1);
        err = env->ops->stat(env, path, &st);
        file->dir_sync = true;
        if (err == HIF_OK || (err == HIF_ENOENT && (mode & O_CREAT)))
                err = env->ops->open(env, path, mode, 0600, &file->fd);
        /* A log that may not be made is an empty one. */
        if (err == HIF_ENOENT && dbvfs->salvage && (flags & SQLITE_OPEN_WAL)) {
                file->fd = -1;
                err = HIF_OK;
        }
        if (err != HIF_OK)
                return code(dbvfs, err, SQLITE_CANTOPEN);
        if (out != NULL)
                *out = dbvfs->salvage ? (flags & ~(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)) |
                                            SQLITE_OPEN_READONLY
                                      : flags;
        base->pMethods = &file_methods;
        return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *path, int sync_dir)
{
        struct dbvfs *dbvfs = vfs_of(vfs);
        struct env *env = dbvfs->env;
        enum hif_err err = dbvfs->salvage ? HIF_EROFS : env->ops->unlink(env, path);

        if (err == HIF_ENOENT)
                return SQLITE_IOERR_DELETE_NOENT;
        if (err == HIF_OK && sync_dir)
                err = sync_parent(env, path);
        return code(dbvfs, err, SQLITE_IOERR_DELETE);
}

static int vfs_access(sqlite3_vfs *vfs, const char *path, int flags, int *out)
{
        struct dbvfs *dbvfs = vfs_of(vfs);
        struct stat st;
        enum hif_err err = dbvfs->env->ops->stat(dbvfs->env, path, &st);

        if (err != HIF_OK && err != HIF_ENOENT)
                return code(dbvfs, err, SQLITE_IOERR_ACCESS);
        /* An empty file counts as none where existence is asked for, as in SQLite's own. */
        *out = err == HIF_OK && (flags != SQLITE_ACCESS_EXISTS || st.st_size > 0);
        return SQLITE_OK;
}

static int vfs_full_path(sqlite3_vfs *vfs, const char *path, int size, char *out)
{
        (void)vfs;
        return snprintf(out, (size_t)size, "%s", path) < size ? SQLITE_OK : SQLITE_CANTOPEN;
}

static int vfs_random(sqlite3_vfs *vfs, int size, char *out)
{
        env_random(vfs_of(vfs)->env, out, (size_t)size);
        return size;
}

/* Nobody else has the database: there is nothing to wait for. */
static int vfs_sleep(sqlite3_vfs *vfs, int us)
{
        (void)vfs;
        return us;
}

static int vfs_time(sqlite3_vfs *vfs, double *out)
{
        uint64_t ms = env_wall_ns(vfs_of(vfs)->env) / 1000000;

        *out = (double)ms / 86400000.0 + 2440587.5; /* the Julian day of 1970 */
        return SQLITE_OK;
}

static int vfs_last_error(sqlite3_vfs *vfs, int size, char *out)
{
        snprintf(out, (size_t)size, "%s", hif_strerror(vfs_of(vfs)->err));
        return SQLITE_OK;
}

enum hif_err dbvfs_init(struct dbvfs *dbvfs, struct env *env)
{
        *dbvfs = (struct dbvfs){.env = env};
        snprintf(dbvfs->name, sizeof(dbvfs->name), "hif-%p", (void *)dbvfs);
        dbvfs->vfs = (sqlite3_vfs){.iVersion = 1,
                                   .szOsFile = sizeof(struct dbfile),
                                   .mxPathname = PATH_SIZE - 1,
                                   .zName = dbvfs->name,
                                   .pAppData = dbvfs,
                                   .xOpen = vfs_open,
                                   .xDelete = vfs_delete,
                                   .xAccess = vfs_access,
                                   .xFullPathname = vfs_full_path,
                                   .xRandomness = vfs_random,
                                   .xSleep = vfs_sleep,
                                   .xCurrentTime = vfs_time,
                                   .xGetLastError = vfs_last_error};
        return sqlite3_vfs_register(&dbvfs->vfs, 0) == SQLITE_OK ? HIF_OK : HIF_ENOMEM;
}

void dbvfs_free(struct dbvfs *dbvfs)
{
        if (dbvfs->env != NULL)
                sqlite3_vfs_unregister(&dbvfs->vfs);
        dbvfs_ahead(dbvfs, false);
        dbvfs->env = NULL;
}
