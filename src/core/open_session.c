#include "core/open_session.h"

#include "core/landing_check.h"

#include <assert.h>

/*      0   4   "HIFO"
 *      4   4   version, 1
 *      8   4   required features: 0, none is defined yet
 *     12   1   state
 *     13   1   flags: 1 held, 2 the tree is not the base's
 *     14   2   zero
 *     16   8   revision
 *     24   16  session id
 *     40   16  holder
 *     56   16  token
 *     72   8   base position
 *     80   8   origin
 *     88   32  base slot
 *    120   32  tree
 *    152   32  session object
 *    184   8   created, ns
 *    192   8   held since, ns
 *    200   8   updated, ns
 *    208   8   published, ns
 *    216   2   size, author
 *      .   2   size, holder's name
 *      .   2   size, name
 *      .   2   size, goal
 *      .   8   check of all before (landing.c)
 */
#define OPEN_VERSION 1

enum open_flags { FLAG_HELD = 1, FLAG_CHANGES = 2, FLAGS_KNOWN = 3 };

static const char open_magic[4] = "HIFO";

/* What both directions hold to. */
static bool fields_valid(const struct open_session *record)
{
        bool published = !hash_is_zero(&record->tree);

        return record->state >= SESSION_OPEN && record->state <= SESSION_CONFLICTED &&
               record->state != SESSION_LANDED && record->revision > 0 &&
               record->base_position <= POSITION_MAX && record->origin <= POSITION_MAX &&
               (!published || !hash_is_zero(&record->object)) &&
               (published || (record->published_ns == 0 && !record->changed));
}

/* The longest part of a text that does not end inside a UTF-8 sequence. */
static struct span cut(struct span text, size_t size_max)
{
        size_t size = size_max;

        if (text.size <= size_max)
                return text;
        while (size > 0 && (text.data[size] & 0xc0) == 0x80)
                size--;
        return span_of(text.data, size);
}

static void put_text(struct buf *out, struct span text)
{
        buf_put_u16(out, (uint16_t)text.size);
        buf_put_span(out, text);
}

enum hif_err open_session_put(struct buf *out, const struct open_session *record)
{
        size_t start = out->size;

        if (record->author.size > SESSION_AUTHOR_MAX ||
            record->holder_name.size > OPEN_HOLDER_NAME_MAX || record->name.size > OPEN_NAME_MAX)
                return HIF_EINVAL;
        assert(fields_valid(record));
        buf_put(out, open_magic, sizeof(open_magic));
        buf_put_u32(out, OPEN_VERSION);
        buf_put_u32(out, 0);
        buf_put_u8(out, (uint8_t)record->state);
        buf_put_u8(
            out, (uint8_t)((record->held ? FLAG_HELD : 0) | (record->changed ? FLAG_CHANGES : 0)));
        buf_put_zero(out, 2);
        buf_put_u64(out, record->revision);
        buf_put(out, record->id.bytes, SESSION_ID_SIZE);
        buf_put(out, record->holder, OPEN_HOLDER_SIZE);
        buf_put(out, record->token, OPEN_HOLDER_SIZE);
        buf_put_u64(out, record->base_position);
        buf_put_u64(out, record->origin);
        buf_put(out, record->base_slot.bytes, HIF_HASH_SIZE);
        buf_put(out, record->tree.bytes, HIF_HASH_SIZE);
        buf_put(out, record->object.bytes, HIF_HASH_SIZE);
        buf_put_u64(out, record->created_ns);
        buf_put_u64(out, record->held_ns);
        buf_put_u64(out, record->updated_ns);
        buf_put_u64(out, record->published_ns);
        put_text(out, record->author);
        put_text(out, record->holder_name);
        put_text(out, record->name);
        put_text(out, cut(record->goal, OPEN_GOAL_MAX));
        landing_check_put(out, start);
        if (buf_failed(out))
                return HIF_ENOMEM;
        assert(out->size - start <= OPEN_SESSION_SIZE_MAX);
        return HIF_OK;
}

static struct span get_text(struct reader *rd, size_t size_max)
{
        size_t size = rd_u16(rd);

        return rd_span(rd, size <= size_max ? size : SIZE_MAX);
}

static void get_fields(struct reader *rd, struct open_session *out)
{
        out->revision = rd_u64(rd);
        rd_copy(rd, out->id.bytes, SESSION_ID_SIZE);
        rd_copy(rd, out->holder, OPEN_HOLDER_SIZE);
        rd_copy(rd, out->token, OPEN_HOLDER_SIZE);
        out->base_position = rd_u64(rd);
        out->origin = rd_u64(rd);
        rd_copy(rd, out->base_slot.bytes, HIF_HASH_SIZE);
        rd_copy(rd, out->tree.bytes, HIF_HASH_SIZE);
        rd_copy(rd, out->object.bytes, HIF_HASH_SIZE);
        out->created_ns = rd_u64(rd);
        out->held_ns = rd_u64(rd);
        out->updated_ns = rd_u64(rd);
        out->published_ns = rd_u64(rd);
        out->author = get_text(rd, SESSION_AUTHOR_MAX);
        out->holder_name = get_text(rd, OPEN_HOLDER_NAME_MAX);
        out->name = get_text(rd, OPEN_NAME_MAX);
        out->goal = get_text(rd, OPEN_GOAL_MAX);
}

enum hif_err open_session_get(struct span stored, struct open_session *out)
{
        struct reader rd = rd_open(stored);
        struct open_session record = {0};
        struct span magic = rd_span(&rd, sizeof(open_magic)), rest;
        uint32_t version = rd_u32(&rd), features;
        uint8_t state, flags;
        uint16_t zero;

        if (rd_bad(&rd) || !span_eq(magic, span_of(open_magic, sizeof(open_magic))))
                return HIF_ECORRUPT;
        if (version != OPEN_VERSION)
                return HIF_EUNSUPPORTED;
        if (landing_check_get(stored, &rest) != HIF_OK || rest.size < 8)
                return HIF_ECORRUPT;
        rd =
            rd_open(span_of(rest.data + 8, rest.size - 8)); /* the check covers magic and version */
        features = rd_u32(&rd);
        state = rd_u8(&rd);
        flags = rd_u8(&rd);
        zero = rd_u16(&rd);
        get_fields(&rd, &record);
        if (rd_bad(&rd))
                return HIF_ECORRUPT;
        if (features != 0)
                return HIF_EUNSUPPORTED;
        record.state = (enum session_state)state;
        record.held = (flags & FLAG_HELD) != 0;
        record.changed = (flags & FLAG_CHANGES) != 0;
        if (!rd_done(&rd) || zero != 0 || (flags & ~FLAGS_KNOWN) != 0 || !fields_valid(&record))
                return HIF_ECORRUPT;
        *out = record;
        return HIF_OK;
}
