/* The journal of a landing.
 *
 *      file     "HIFJ" u32 version (1)  project id [16]  session id [16]  then records
 *      record   u8 kind  [3] 0  u32 frame offset  content hash [32]  pack hash [32]
 *               u32 frame size  [4] 0  u64 SipHash of the bytes before
 *
 * A record counts only if its check is right: a crash can tear the last one. It is written after
 * the store has what it names; losing it costs an upload, nothing else. */
#include "land/internal.h"

#include <fcntl.h>

#define JOURNAL_VERSION     1u
#define JOURNAL_HEADER_SIZE 40u
#define JOURNAL_RECORD_SIZE 88u
#define JOURNAL_SIZE_MAX    (1u << 30)

static const char journal_magic[4] = {'H', 'I', 'F', 'J'};

static void header_put(struct buf *out, const struct project *project,
                       const struct session_id *session)
{
        buf_put(out, journal_magic, sizeof(journal_magic));
        buf_put_u32(out, JOURNAL_VERSION);
        buf_put(out, project->format.project_id, sizeof(project->format.project_id));
        buf_put(out, session->bytes, SESSION_ID_SIZE);
}

static void record_put(struct buf *out, const struct known *known, struct sipkey check)
{
        AUTO_BUF struct buf record = {0};

        buf_put_u8(&record, (uint8_t)known->kind);
        buf_put_zero(&record, 3);
        buf_put_u32(&record, known->loc.offset);
        buf_put(&record, known->hash.bytes, HIF_HASH_SIZE);
        buf_put(&record, known->loc.pack.bytes, HIF_HASH_SIZE);
        buf_put_u32(&record, known->loc.size);
        buf_put_zero(&record, 4);
        if (buf_failed(&record)) {
                out->failed = true;
                return;
        }
        buf_put_span(out, buf_span(&record));
        buf_put_u64(out, siphash(check, record.data, record.size));
}

static enum hif_err record_get(struct reader *rd, struct sipkey check, struct known_set *set)
{
        const uint8_t *start = rd->next;
        struct known in = {0};
        struct known *known;

        in.kind = (enum known_kind)rd_u8(rd);
        (void)rd_span(rd, 3);
        in.loc.offset = rd_u32(rd);
        rd_copy(rd, in.hash.bytes, HIF_HASH_SIZE);
        rd_copy(rd, in.loc.pack.bytes, HIF_HASH_SIZE);
        in.loc.size = rd_u32(rd);
        (void)rd_span(rd, 4);
        if (rd_u64(rd) != siphash(check, start, JOURNAL_RECORD_SIZE - 8) ||
            (in.kind != KNOWN_PACKED && in.kind != KNOWN_BLOB && in.kind != KNOWN_CHUNKS))
                return HIF_ECORRUPT;
        known = known_add(set, in.kind, &in.hash);
        if (!known)
                return HIF_ENOMEM;
        known->loc = in.loc;
        return HIF_OK;
}

/* Read what is there; *size is where the good part ends (0: not even the header). */
static enum hif_err journal_load(struct journal *journal, struct span header, struct span bytes,
                                 struct known_set *set)
{
        struct reader rd = rd_open(bytes);

        journal->size = 0;
        if (!span_eq(rd_span(&rd, JOURNAL_HEADER_SIZE), header))
                return HIF_OK;
        journal->size = JOURNAL_HEADER_SIZE;
        while (rd_left(&rd) >= JOURNAL_RECORD_SIZE) {
                enum hif_err err = record_get(&rd, journal->check, set);

                if (err == HIF_ECORRUPT)
                        break;
                if (err != HIF_OK)
                        return err;
                journal->size += JOURNAL_RECORD_SIZE;
        }
        return HIF_OK;
}

enum hif_err journal_open(struct env *env, const char *path, const struct project *project,
                          const struct session_id *session, struct known_set *set,
                          struct journal *out)
{
        AUTO_BUF struct buf header = {0};
        AUTO_BUF struct buf bytes = {0};
        struct journal journal = {.env = env};
        enum hif_err err;

        header_put(&header, project, session);
        if (buf_failed(&header))
                return HIF_ENOMEM;
        journal.check = (struct sipkey){be64_get(session->bytes), be64_get(session->bytes + 8)};
        err = env_read_file(env, path, JOURNAL_SIZE_MAX, &bytes);
        if (err == HIF_OK)
                err = journal_load(&journal, buf_span(&header), buf_span(&bytes), set);
        if (err != HIF_OK && err != HIF_ENOENT)
                return err;
        err = env->ops->open(env, path, O_RDWR | O_CREAT, 0600, &journal.fd);
        if (err != HIF_OK)
                return err;
        err = env->ops->ftruncate(env, journal.fd, journal.size);
        if (err == HIF_OK && journal.size == 0) {
                err = env_write_all(env, journal.fd, header.data, header.size, 0);
                journal.size = header.size;
        }
        if (err != HIF_OK) {
                env->ops->close(env, journal.fd);
                return err;
        }
        *out = journal;
        return HIF_OK;
}

void journal_add(struct journal *journal, const struct known *known)
{
        if (journal->fd >= 0)
                record_put(&journal->pending, known, journal->check);
}

enum hif_err journal_flush(struct journal *journal)
{
        enum hif_err err;

        if (journal->fd < 0 || (journal->pending.size == 0 && !buf_failed(&journal->pending)))
                return HIF_OK;
        if (buf_failed(&journal->pending))
                return HIF_ENOMEM;
        err = env_write_all(journal->env, journal->fd, journal->pending.data, journal->pending.size,
                            journal->size);
        if (err == HIF_OK)
                journal->size += journal->pending.size;
        buf_reset(&journal->pending);
        return err;
}

enum hif_err journal_settle(struct journal *journal, struct known_set *set)
{
        struct known *left = NULL;

        while (set->awaiting) {
                struct known *known = set->awaiting;

                set->awaiting = known->awaiting;
                known->awaiting = NULL;
                if (known->pending) {
                        known->awaiting = left;
                        left = known;
                } else {
                        journal_add(journal, known);
                }
        }
        set->awaiting = left;
        return journal_flush(journal);
}

void journal_close(struct journal *journal)
{
        if (journal->fd >= 0)
                journal->env->ops->close(journal->env, journal->fd);
        journal->fd = -1;
        buf_free(&journal->pending);
}
