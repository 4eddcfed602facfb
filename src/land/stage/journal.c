/* The journal of a landing.
 *
 *      file     "HIFJ" u32 version (2)  project id [16]  session id [16]  then records
 *      record   u8 kind  [3] 0  u32 a  hash [32]  pack hash [32]  u32 b  [4] 0
 *               u64 SipHash of the bytes before
 *
 *      kind                 a              b
 *      1 packed content     frame offset   frame size
 *      2 blob, 3 chunk list 0              0
 *      5 pack               1: own         contents in it (pack hash 0)
 *      6 shared             0              0 (hashes 0)
 *
 * A record counts only if its check is right: a crash can tear the last one, and nothing counts
 * after it. A content's is written after the store has it; losing it costs an upload, nothing else.
 * On a full disk there is none, and what is staged is not remembered.
 * A pack's is written before the store is asked to take it: it tells how many contents are in
 * there, so that a journal which lost some of their records is seen not to know the whole pack. */
#include "land/internal.h"

#include <fcntl.h>

#define JOURNAL_VERSION     2u
#define JOURNAL_HEADER_SIZE 40u
#define JOURNAL_RECORD_SIZE 88u
#define JOURNAL_SIZE_MAX    (1u << 30)

enum { RECORD_PACK = 5, RECORD_SHARED = 6 };

static const char journal_magic[4] = {'H', 'I', 'F', 'J'};

static void header_put(struct buf *out, const struct project *project,
                       const struct session_id *session)
{
        buf_put(out, journal_magic, sizeof(journal_magic));
        buf_put_u32(out, JOURNAL_VERSION);
        buf_put(out, project->format.project_id, sizeof(project->format.project_id));
        buf_put(out, session->bytes, SESSION_ID_SIZE);
}

/* One record, whatever its kind. */
struct record {
        uint8_t kind;
        uint32_t a, b;
        struct hif_hash hash, pack;
};

static void record_put(struct buf *out, const struct record *in, struct sipkey check)
{
        AUTO_BUF struct buf record = {0};

        buf_put_u8(&record, in->kind);
        buf_put_zero(&record, 3);
        buf_put_u32(&record, in->a);
        buf_put(&record, in->hash.bytes, HIF_HASH_SIZE);
        buf_put(&record, in->pack.bytes, HIF_HASH_SIZE);
        buf_put_u32(&record, in->b);
        buf_put_zero(&record, 4);
        if (buf_failed(&record)) {
                out->failed = true;
                return;
        }
        buf_put_span(out, buf_span(&record));
        buf_put_u64(out, siphash(check, record.data, record.size));
}

static enum hif_err content_get(const struct record *in, struct known_set *set)
{
        struct known *known = known_add(set, (enum known_kind)in->kind, &in->hash);
        struct known_pack *pack;

        if (!known)
                return HIF_ENOMEM;
        known->loc = (struct pack_loc){.pack = in->pack, .offset = in->a, .size = in->b};
        if (in->kind != KNOWN_PACKED)
                return HIF_OK;
        pack = known_pack_add(set, &in->pack);
        return pack ? known_pack_member(set, pack, &in->hash, in->b) : HIF_ENOMEM;
}

static enum hif_err pack_get(const struct record *in, struct known_set *set)
{
        struct known_pack *pack = known_pack_add(set, &in->hash);

        if (!pack)
                return HIF_ENOMEM;
        pack->count = in->b;
        pack->own = in->a == 1;
        pack->members = NULL; /* those of this upload follow */
        pack->seen = 0;
        pack->bytes = 0;
        return HIF_OK;
}

static enum hif_err record_get(struct reader *rd, struct sipkey check, struct known_set *set)
{
        const uint8_t *start = rd->next;
        struct record in = {0};

        in.kind = rd_u8(rd);
        (void)rd_span(rd, 3);
        in.a = rd_u32(rd);
        rd_copy(rd, in.hash.bytes, HIF_HASH_SIZE);
        rd_copy(rd, in.pack.bytes, HIF_HASH_SIZE);
        in.b = rd_u32(rd);
        (void)rd_span(rd, 4);
        if (rd_u64(rd) != siphash(check, start, JOURNAL_RECORD_SIZE - 8))
                return HIF_ECORRUPT;
        switch (in.kind) {
        case KNOWN_PACKED:
        case KNOWN_BLOB:
        case KNOWN_CHUNKS:
                return content_get(&in, set);
        case RECORD_PACK:
                return pack_get(&in, set);
        case RECORD_SHARED:
                for (struct known_pack *pack = set->packs; pack; pack = pack->next)
                        pack->own = false;
                return HIF_OK;
        default:
                return HIF_ECORRUPT;
        }
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

/* No room to remember: what was stored is stored once more by the next run. Not even the start of it
 * stays, as what would have followed may have taken it back. */
static enum hif_err give_up(struct journal *journal, enum hif_err err)
{
        if (!hif_err_is_full(err))
                return err;
        err = journal->env->ops->ftruncate(journal->env, journal->fd, 0);
        if (err != HIF_OK)
                return err;
        journal->env->ops->close(journal->env, journal->fd);
        journal->fd = -1;
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
        if (hif_err_is_full(err)) {
                out->fd = -1;
                return HIF_OK;
        }
        if (err != HIF_OK)
                return err;
        err = env->ops->ftruncate(env, journal.fd, journal.size);
        if (err == HIF_OK && journal.size == 0) {
                err = env_write_all(env, journal.fd, header.data, header.size, 0);
                journal.size = header.size;
                err = give_up(&journal, err);
        }
        if (err != HIF_OK) {
                env->ops->close(env, journal.fd);
                return err;
        }
        *out = journal;
        return HIF_OK;
}

static void add(struct journal *journal, const struct record *record)
{
        if (journal->fd >= 0)
                record_put(&journal->pending, record, journal->check);
}

void journal_add(struct journal *journal, const struct known *known)
{
        add(journal, &(struct record){.kind = (uint8_t)known->kind,
                                      .a = known->loc.offset,
                                      .b = known->loc.size,
                                      .hash = known->hash,
                                      .pack = known->loc.pack});
}

void journal_add_pack(struct journal *journal, const struct known_pack *pack)
{
        add(journal,
            &(struct record){
                .kind = RECORD_PACK, .a = pack->own, .b = pack->count, .hash = pack->hash});
}

void journal_add_shared(struct journal *journal)
{
        add(journal, &(struct record){.kind = RECORD_SHARED});
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
        return give_up(journal, err);
}

void journal_close(struct journal *journal)
{
        if (journal->fd >= 0)
                journal->env->ops->close(journal->env, journal->fd);
        journal->fd = -1;
        buf_free(&journal->pending);
}
