/* db_salvage.c - table by table, from both ends and, where rows have numbers, around what is bad. */
#include "overlay/db_salvage.h"

#include "overlay/db.h"

/* One table: its rows are read in the order of its key, and then from the other end. */
struct table {
        const char *what;     /* it holds */
        const char *forward;  /* a query of the rows after key ?1, where `key` is not NULL */
        const char *backward; /* NULL: from the front only */
        bool numbered;        /* the query gives the key (an integer) in its second column */
};

static const struct table tables[] = {
    {"files and directories", "SELECT row, id FROM nodes WHERE id > ?1 ORDER BY id", NULL, true},
    {"names", "SELECT row FROM dirents ORDER BY dir, hash60, name",
     "SELECT row FROM dirents ORDER BY dir DESC, hash60 DESC, name DESC", false},
    {"recorded operations", "SELECT row, n FROM ops WHERE n > ?1 ORDER BY n", NULL, true},
    {"notes", "SELECT row, n FROM notes WHERE n > ?1 ORDER BY n", NULL, true},
    {"settings", "SELECT row FROM vals ORDER BY name", "SELECT row FROM vals ORDER BY name DESC",
     false},
    {"answers to repeated requests", "SELECT row, n FROM replies WHERE n > ?1 ORDER BY n", NULL,
     true},
};
#define TABLE_NAMES 1

struct reading {
        struct db *db;
        struct rows *rows;
        uint64_t bad_rows; /* that were read and not understood */
        uint64_t last;     /* key of the last one that was read */
};

static enum hif_err take_row(struct reading *reading, struct span blob)
{
        enum hif_err err = rows_load(reading->rows, blob);

        if (err == HIF_ENOMEM)
                return err;
        reading->bad_rows += err != HIF_OK;
        return HIF_OK;
}

/* Run a query to its end, or to what cannot be read: *broken. limit 0: none. */
static enum hif_err run(struct reading *reading, const struct table *table, const char *sql,
                        uint64_t after, uint64_t limit, bool *broken)
{
        sqlite3_stmt *statement = NULL;
        enum hif_err err = HIF_OK;
        uint64_t count = 0;
        int rc = sqlite3_prepare_v2(reading->db->sqlite, sql, -1, &statement, NULL);

        *broken = true;
        if (rc == SQLITE_OK && table->numbered)
                rc = sqlite3_bind_int64(statement, 1, (sqlite3_int64)after);
        while (rc == SQLITE_OK || rc == SQLITE_ROW) {
                const void *blob;

                rc = sqlite3_step(statement);
                if (rc != SQLITE_ROW)
                        break;
                if (table->numbered)
                        reading->last = (uint64_t)sqlite3_column_int64(statement, 1);
                blob = sqlite3_column_blob(statement, 0);
                if (limit == 0)
                        err = take_row(reading,
                                       span_of(blob, (size_t)sqlite3_column_bytes(statement, 0)));
                if (err != HIF_OK || ++count == limit) {
                        rc = SQLITE_DONE;
                        break;
                }
        }
        *broken = rc != SQLITE_DONE;
        sqlite3_finalize(statement);
        return (rc & 0xff) == SQLITE_NOMEM ? HIF_ENOMEM : err;
}

/* The lowest key after which there is something to be read again, found by doubling and halving.
 * False: nothing is. */
static enum hif_err find_beyond(struct reading *reading, const struct table *table, uint64_t *after,
                                bool *found)
{
        uint64_t low = *after, step = 1, high = 0;
        bool broken = true;
        enum hif_err err = HIF_OK;

        while (err == HIF_OK && broken && step < (uint64_t)1 << 62) {
                high = low > INT64_MAX - step ? INT64_MAX : low + step;
                err = run(reading, table, table->forward, high, 1, &broken);
                step *= 2;
        }
        *found = !broken;
        while (err == HIF_OK && *found && high - low > 1) {
                uint64_t middle = low + (high - low) / 2;

                err = run(reading, table, table->forward, middle, 1, &broken);
                *(broken ? &low : &high) = middle;
        }
        *after = high;
        return err;
}

#define HOLES_MAX 1000

static enum hif_err read_table(struct reading *reading, const struct table *table, bool *lost)
{
        uint64_t after = 0;
        bool broken = false, found = true;
        enum hif_err err = run(reading, table, table->forward, after, 0, &broken);

        *lost = broken;
        for (size_t holes = 0; err == HIF_OK && broken && table->numbered && holes < HOLES_MAX;
             holes++) {
                after = reading->last > after ? reading->last : after;
                err = find_beyond(reading, table, &after, &found);
                if (err != HIF_OK || !found)
                        break;
                err = run(reading, table, table->forward, after, 0, &broken);
        }
        if (err == HIF_OK && broken && table->backward != NULL)
                err = run(reading, table, table->backward, 0, 0, &broken);
        return err;
}

static enum hif_err read_state(struct db *db, struct rows *rows, struct db_salvaged *out)
{
        uint64_t generation = 0, seq = 0, ids = 0;
        enum hif_err err = db_state(db, "seq", &seq);

        if (err == HIF_OK)
                err = db_state(db, "generation", &generation);
        if (err == HIF_OK)
                err = db_state(db, "ids", &ids);
        if (err == HIF_OK && generation > UINT32_MAX)
                err = HIF_ECORRUPT;
        if (err != HIF_OK)
                return err;
        *out = (struct db_salvaged){.known = true, .generation = (uint32_t)generation, .seq = seq};
        if (ids > rows->ids_next)
                rows->ids_next = ids;
        return HIF_OK;
}

static enum hif_err read_tables(struct db *db, struct rows *rows, struct db_salvaged *out,
                                struct damage *damage)
{
        enum hif_err err = HIF_OK;

        for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]) && err == HIF_OK; i++) {
                struct reading reading = {.db = db, .rows = rows};
                bool lost;

                err = read_table(&reading, &tables[i], &lost);
                if (err == HIF_OK && lost)
                        damage_add(damage, "rows.db: %s: some %s are lost", db_error(db),
                                   tables[i].what);
                if (err == HIF_OK && reading.bad_rows > 0)
                        damage_add(damage, "rows.db: %llu of the %s cannot be understood",
                                   (unsigned long long)reading.bad_rows, tables[i].what);
                out->names_lost |= i == TABLE_NAMES && (lost || reading.bad_rows > 0);
        }
        return err;
}

/* What a page says is taken all the same: of a bit that flipped, most is right. */
static void tell_pages(const struct db *db, struct damage *damage)
{
        if (db->dbvfs.bad_page != 0)
                damage_add(damage,
                           "rows.db: page %llu%s is damaged: what it still says of files and names "
                           "is taken as it is, and may be wrong",
                           (unsigned long long)db->dbvfs.bad_page,
                           db->dbvfs.bad_more ? ", and more," : "");
}

enum hif_err db_salvage(struct env *env, const char *path, struct rows *rows,
                        struct db_salvaged *out, struct damage *damage)
{
        struct db db;
        struct stat st;
        enum hif_err err = env->ops->stat(env, path, &st);

        *out = (struct db_salvaged){0};
        if (err == HIF_ENOENT || (err == HIF_OK && st.st_size == 0)) {
                out->known = true; /* nothing was folded yet; the witness knows better if it was */
                return HIF_OK;
        }
        err = db_init(&db, env);
        if (err != HIF_OK)
                return err;
        err = db_open_read(&db, path);
        if (err == HIF_OK)
                err = read_state(&db, rows, out);
        if (err == HIF_OK) {
                err = read_tables(&db, rows, out, damage);
                tell_pages(&db, damage);
        } else if (err != HIF_ENOMEM && err != HIF_EUNSUPPORTED) {
                damage_add(damage,
                           "rows.db cannot be read (%s): everything but the newest changes, which "
                           "the log has, is lost",
                           db_error(&db));
                out->names_lost = true;
                err = HIF_OK;
        }
        db_free(&db);
        return err;
}
