/* session.c - the stored form of a session. */
#include "core/session.h"

#include "core/key.h"

#include <assert.h>

/*      0   4   "HIFS"
 *      4   4   version, 1
 *      8   16  id
 *     24   1   state
 *     25   3   zero
 *     28   4   required features: 0, none is defined yet
 *     32   8   base position
 *     40   8   origin
 *     48   8   hlc created
 *     56   8   hlc updated
 *     64   32  base slot
 *     96   2   size, author
 *      .   2   size, goal
 *      .   4   count, operations:  0  1   kind
 *                                  1  2   size, path
 *                                  .  2   size, path2     (RENAME and LINK only)
 *                                  .  32  hash
 *      .   ..  bloom (drawn in bloom.h)
 *      .   4   count, decisions:   0  4   size, text
 *      .   4   count, messages:    0  2   size, role
 *                                  .  4   size, text
 */
#define SESSION_VERSION     1
#define SESSION_OP_SIZE_MIN (1 + 2 + 1 + HIF_HASH_SIZE)
#define DECISION_SIZE_MIN   4
#define MESSAGE_SIZE_MIN    (2 + 4)

static const char session_magic[4] = "HIFS";

void session_id_to_hex(const struct session_id *id, char out[SESSION_ID_HEX_SIZE])
{
        static const char digits[] = "0123456789abcdef";

        for (size_t i = 0; i < SESSION_ID_SIZE; i++) {
                out[2 * i] = digits[id->bytes[i] >> 4];
                out[2 * i + 1] = digits[id->bytes[i] & 15];
        }
        out[2 * SESSION_ID_SIZE] = '\0';
}

static int hex_digit(uint8_t byte)
{
        if (byte >= '0' && byte <= '9')
                return byte - '0';
        if (byte >= 'a' && byte <= 'f')
                return byte - 'a' + 10;
        return -1;
}

bool session_id_from_hex(struct span text, struct session_id *out)
{
        struct session_id id;

        if (text.size != 2 * SESSION_ID_SIZE)
                return false;
        for (size_t i = 0; i < SESSION_ID_SIZE; i++) {
                int high = hex_digit(text.data[2 * i]), low = hex_digit(text.data[2 * i + 1]);

                if (high < 0 || low < 0)
                        return false;
                id.bytes[i] = (uint8_t)(high << 4 | low);
        }
        *out = id;
        return true;
}

/* --- what both directions hold to --- */

static bool state_valid(uint32_t state)
{
        return state >= SESSION_OPEN && state <= SESSION_CONFLICTED;
}

static bool op_has_path2(enum session_op_kind kind)
{
        return kind == SESSION_RENAME || kind == SESSION_LINK;
}

static bool op_path_valid(struct span path)
{
        return path.size > 0 && path_valid(path);
}

static bool op_valid(const struct session_op *op)
{
        if (op->kind < SESSION_CREATE || op->kind > SESSION_LINK || !op_path_valid(op->path))
                return false;
        return op_has_path2(op->kind) ? op_path_valid(op->path2) : op->path2.size == 0;
}

static bool positions_valid(const struct session *session)
{
        return session->base_position <= POSITION_MAX && session->origin <= POSITION_MAX;
}

/* --- writing --- */

/* What people write may be too long: that is their mistake, not ours. */
static enum hif_err texts_check(const struct session *session)
{
        if (session->author.size > SESSION_AUTHOR_MAX || session->goal.size > SESSION_GOAL_MAX)
                return HIF_EINVAL;
        for (uint32_t i = 0; i < session->decision_count; i++) {
                if (session->decisions[i].size > SESSION_TEXT_MAX)
                        return HIF_EINVAL;
        }
        for (uint32_t i = 0; i < session->message_count; i++) {
                if (session->messages[i].role.size > SESSION_ROLE_MAX ||
                    session->messages[i].text.size > SESSION_TEXT_MAX)
                        return HIF_EINVAL;
        }
        return HIF_OK;
}

static void put_text16(struct buf *out, struct span text)
{
        buf_put_u16(out, (uint16_t)text.size);
        buf_put_span(out, text);
}

static void put_text32(struct buf *out, struct span text)
{
        buf_put_u32(out, (uint32_t)text.size);
        buf_put_span(out, text);
}

static void put_header(struct buf *out, const struct session *session)
{
        buf_put(out, session_magic, sizeof(session_magic));
        buf_put_u32(out, SESSION_VERSION);
        buf_put(out, session->id.bytes, SESSION_ID_SIZE);
        buf_put_u8(out, (uint8_t)session->state);
        buf_put_zero(out, 3);
        buf_put_u32(out, 0);
        buf_put_u64(out, session->base_position);
        buf_put_u64(out, session->origin);
        buf_put_u64(out, session->created);
        buf_put_u64(out, session->updated);
}

static void put_ops(struct buf *out, const struct session *session)
{
        buf_put_u32(out, session->op_count);
        for (uint32_t i = 0; i < session->op_count; i++) {
                const struct session_op *op = &session->ops[i];

                assert(op_valid(op));
                buf_put_u8(out, (uint8_t)op->kind);
                put_text16(out, op->path);
                if (op_has_path2(op->kind))
                        put_text16(out, op->path2);
                buf_put(out, op->hash.bytes, HIF_HASH_SIZE);
        }
}

enum hif_err session_put(struct buf *out, const struct session *session)
{
        size_t start = out->size;
        enum hif_err err = texts_check(session);

        if (err)
                return err;
        assert(state_valid(session->state) && positions_valid(session));
        put_header(out, session);
        buf_put(out, session->base_slot.bytes, HIF_HASH_SIZE);
        put_text16(out, session->author);
        put_text16(out, session->goal);
        put_ops(out, session);
        bloom_put(out, &session->bloom);
        buf_put_u32(out, session->decision_count);
        for (uint32_t i = 0; i < session->decision_count; i++)
                put_text32(out, session->decisions[i]);
        buf_put_u32(out, session->message_count);
        for (uint32_t i = 0; i < session->message_count; i++) {
                put_text16(out, session->messages[i].role);
                put_text32(out, session->messages[i].text);
        }
        if (buf_failed(out))
                return HIF_ENOMEM;
        if (out->size - start > SESSION_SIZE_MAX) {
                out->size = start;
                return HIF_ELIMIT;
        }
        return HIF_OK;
}

/* --- reading --- */

static enum hif_err get_header(struct reader *rd, struct session *session)
{
        struct span magic = rd_span(rd, sizeof(session_magic));
        uint32_t version = rd_u32(rd), features;
        struct span zero;
        uint8_t state;

        rd_copy(rd, session->id.bytes, SESSION_ID_SIZE);
        state = rd_u8(rd);
        zero = rd_span(rd, 3);
        features = rd_u32(rd);
        session->base_position = rd_u64(rd);
        session->origin = rd_u64(rd);
        session->created = rd_u64(rd);
        session->updated = rd_u64(rd);
        if (rd_bad(rd) || !span_eq(magic, span_of(session_magic, sizeof(session_magic))))
                return HIF_ECORRUPT;
        if (version != SESSION_VERSION || features != 0)
                return HIF_EUNSUPPORTED;
        if (!state_valid(state) || !span_eq(zero, span_of("\0\0\0", 3)) ||
            !positions_valid(session))
                return HIF_ECORRUPT;
        session->state = (enum session_state)state;
        return HIF_OK;
}

/* A text of at most size_max; a longer one makes the reader bad. */
static struct span get_text(struct reader *rd, size_t size, size_t size_max)
{
        return rd_span(rd, size <= size_max ? size : SIZE_MAX);
}

/* Room for a count from the store. What is left to read bounds it before anything is allocated. */
static enum hif_err get_count(struct reader *rd, size_t size_min, size_t item_size,
                              struct arena *arena, void **items, uint32_t *count)
{
        uint32_t wanted = rd_u32(rd);

        if (rd_bad(rd) || wanted > rd_left(rd) / size_min)
                return HIF_ECORRUPT;
        if (wanted > 0) {
                *items = arena_zalloc(arena, wanted * item_size);
                if (!*items)
                        return HIF_ENOMEM;
        }
        *count = wanted;
        return HIF_OK;
}

static enum hif_err get_ops(struct reader *rd, struct arena *arena, struct session *session)
{
        void *items = NULL;
        enum hif_err err = get_count(rd, SESSION_OP_SIZE_MIN, sizeof(*session->ops), arena, &items,
                                     &session->op_count);

        if (err)
                return err;
        session->ops = items;
        for (uint32_t i = 0; i < session->op_count; i++) {
                struct session_op *op = &session->ops[i];

                op->kind = (enum session_op_kind)rd_u8(rd);
                op->path = rd_span(rd, rd_u16(rd));
                if (op_has_path2(op->kind))
                        op->path2 = rd_span(rd, rd_u16(rd));
                rd_copy(rd, op->hash.bytes, HIF_HASH_SIZE);
                if (rd_bad(rd) || !op_valid(op))
                        return HIF_ECORRUPT;
        }
        return HIF_OK;
}

static enum hif_err get_decisions(struct reader *rd, struct arena *arena, struct session *session)
{
        void *items = NULL;
        enum hif_err err = get_count(rd, DECISION_SIZE_MIN, sizeof(*session->decisions), arena,
                                     &items, &session->decision_count);

        if (err)
                return err;
        session->decisions = items;
        for (uint32_t i = 0; i < session->decision_count; i++)
                session->decisions[i] = get_text(rd, rd_u32(rd), SESSION_TEXT_MAX);
        return rd_bad(rd) ? HIF_ECORRUPT : HIF_OK;
}

static enum hif_err get_messages(struct reader *rd, struct arena *arena, struct session *session)
{
        void *items = NULL;
        enum hif_err err = get_count(rd, MESSAGE_SIZE_MIN, sizeof(*session->messages), arena,
                                     &items, &session->message_count);

        if (err)
                return err;
        session->messages = items;
        for (uint32_t i = 0; i < session->message_count; i++) {
                session->messages[i].role = get_text(rd, rd_u16(rd), SESSION_ROLE_MAX);
                session->messages[i].text = get_text(rd, rd_u32(rd), SESSION_TEXT_MAX);
        }
        return rd_bad(rd) ? HIF_ECORRUPT : HIF_OK;
}

enum hif_err session_get(struct span stored, struct arena *arena, struct session *out)
{
        struct reader rd = rd_open(stored);
        struct session session = {0};
        enum hif_err err = get_header(&rd, &session);

        if (err)
                return err;
        if (stored.size > SESSION_SIZE_MAX)
                return HIF_ECORRUPT;
        rd_copy(&rd, session.base_slot.bytes, HIF_HASH_SIZE);
        session.author = get_text(&rd, rd_u16(&rd), SESSION_AUTHOR_MAX);
        session.goal = get_text(&rd, rd_u16(&rd), SESSION_GOAL_MAX);
        err = get_ops(&rd, arena, &session);
        if (!err)
                err = bloom_get_arena(&rd, arena, &session.bloom);
        if (!err)
                err = get_decisions(&rd, arena, &session);
        if (!err)
                err = get_messages(&rd, arena, &session);
        if (err)
                return err;
        if (!rd_done(&rd))
                return HIF_ECORRUPT;
        *out = session;
        return HIF_OK;
}
