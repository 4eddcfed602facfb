/* segment.c - see segment.h. */
#include "core/segment.h"

#include "core/landing_check.h"

#include <assert.h>

/*      0   88  window (window.h), of the kind WINDOW_SEGMENT
 *     88   4   size of the rows
 *     92   ..  zstd frames of SEGMENT_FRAME_SIZE bytes of rows each, the last of what is left:
 *              0   4   size of the frame
 *              4   ..  frame
 *     -8   8   check of all before (landing_check.h)
 *
 *      A row:
 *      0   1   kind
 *      1   32  hash of the slot
 *     33   32  tree
 *     65   8   tree entries
 *     73   8   hlc
 *     81   4   path count
 *     85   2   member count
 *     87   2   refused count
 *     89   ..  the slot's own landing, laid out as a member; then members; then refused:
 *
 *      A member:
 *      0   16  session id
 *     16   8   tag
 *     24   8   base position
 *     32   8   wall clock
 *     40   4   path count
 *     44   2   size of the author
 *     46   2   size of the goal
 *     48   ..  author, goal
 *
 *      Refused:
 *      0   16  session id
 */
#define SEGMENT_FRAME_SIZE (4u << 20)
#define ROW_SIZE_MIN       (89u + 48u)

static_assert(SEGMENT_FRAME_SIZE <= BODY_FRAME_MAX, "a frame holds a piece");

/* --- rows --- */

static void put_member(struct buf *out, const struct slot_member *member)
{
        buf_put(out, member->session.bytes, SESSION_ID_SIZE);
        buf_put_u64(out, member->tag);
        buf_put_u64(out, member->base_position);
        buf_put_u64(out, member->wall_ns);
        buf_put_u32(out, member->path_count);
        buf_put_u16(out, (uint16_t)member->author.size);
        buf_put_u16(out, (uint16_t)member->goal.size);
        buf_put_span(out, member->author);
        buf_put_span(out, member->goal);
}

static void get_member(struct reader *rd, struct slot_member *member)
{
        uint16_t author, goal;

        rd_copy(rd, member->session.bytes, SESSION_ID_SIZE);
        member->tag = rd_u64(rd);
        member->base_position = rd_u64(rd);
        member->wall_ns = rd_u64(rd);
        member->path_count = rd_u32(rd);
        author = rd_u16(rd);
        goal = rd_u16(rd);
        member->author = rd_span(rd, author);
        member->goal = rd_span(rd, goal);
}

static void put_row(struct buf *out, const struct segment_row *row)
{
        const struct slot *slot = &row->slot;
        struct slot_member own = {.tag = slot->tag,
                                  .session = slot->session,
                                  .base_position = slot->base_position,
                                  .wall_ns = slot->wall_ns,
                                  .author = slot->author,
                                  .goal = slot->goal,
                                  .path_count = slot->path_count};

        assert(slot->member_count == 0 || slot->members);
        buf_put_u8(out, (uint8_t)slot->kind);
        buf_put(out, row->hash.bytes, HIF_HASH_SIZE);
        buf_put(out, slot->tree.bytes, HIF_HASH_SIZE);
        buf_put_u64(out, slot->tree_entries);
        buf_put_u64(out, slot->hlc);
        buf_put_u32(out, slot->path_count);
        buf_put_u16(out, (uint16_t)slot->member_count);
        buf_put_u16(out, (uint16_t)slot->refused_count);
        put_member(out, &own);
        for (uint32_t i = 0; i < slot->member_count; i++)
                put_member(out, &slot->members[i]);
        for (uint32_t i = 0; i < slot->refused_count; i++)
                buf_put(out, slot->refused[i].session.bytes, SESSION_ID_SIZE);
}

static bool texts_valid(const struct slot_member *member)
{
        return member->author.size <= SESSION_AUTHOR_MAX && member->goal.size <= SLOT_GOAL_MAX;
}

/* Members and refused sessions, whose counts are known. */
static enum hif_err get_lists(struct reader *rd, struct arena *arena, struct slot *slot)
{
        if (slot->member_count > SLOT_MEMBERS_MAX || slot->refused_count > SLOT_REFUSED_MAX ||
            (slot->member_count > 0) != (slot->kind == SLOT_BATCH))
                return HIF_ECORRUPT;
        if (slot->member_count > 0)
                slot->members =
                    arena_zalloc(arena, slot->member_count * sizeof(struct slot_member));
        if (slot->refused_count > 0)
                slot->refused =
                    arena_zalloc(arena, slot->refused_count * sizeof(struct slot_refused));
        if ((slot->member_count > 0 && !slot->members) ||
            (slot->refused_count > 0 && !slot->refused))
                return HIF_ENOMEM;
        for (uint32_t i = 0; i < slot->member_count; i++) {
                get_member(rd, &slot->members[i]);
                if (rd_bad(rd) || !texts_valid(&slot->members[i]))
                        return HIF_ECORRUPT;
        }
        for (uint32_t i = 0; i < slot->refused_count; i++)
                rd_copy(rd, slot->refused[i].session.bytes, SESSION_ID_SIZE);
        return rd_bad(rd) || (slot->member_count > 0 && !slot_members_fit(slot)) ? HIF_ECORRUPT
                                                                                 : HIF_OK;
}

static enum hif_err get_row(struct reader *rd, struct arena *arena, struct segment_row *row)
{
        struct slot *slot = &row->slot;
        struct slot_member own;

        slot->kind = (enum slot_kind)rd_u8(rd);
        rd_copy(rd, row->hash.bytes, HIF_HASH_SIZE);
        rd_copy(rd, slot->tree.bytes, HIF_HASH_SIZE);
        slot->tree_entries = rd_u64(rd);
        slot->hlc = rd_u64(rd);
        slot->path_count = rd_u32(rd);
        slot->member_count = rd_u16(rd);
        slot->refused_count = rd_u16(rd);
        get_member(rd, &own);
        if (rd_bad(rd) || slot->kind < SLOT_LANDING || slot->kind > SLOT_GC ||
            own.path_count != slot->path_count || !texts_valid(&own) ||
            (own.base_position != 0 && own.base_position >= slot->position))
                return HIF_ECORRUPT;
        slot->tag = own.tag;
        slot->session = own.session;
        slot->base_position = own.base_position;
        slot->wall_ns = own.wall_ns;
        slot->author = own.author;
        slot->goal = own.goal;
        return get_lists(rd, arena, slot);
}

/* --- frames --- */

static enum hif_err put_frames(struct body_codec *codec, struct span rows, struct buf *out)
{
        for (size_t at = 0; at < rows.size;) {
                size_t size =
                    rows.size - at < SEGMENT_FRAME_SIZE ? rows.size - at : SEGMENT_FRAME_SIZE;
                size_t start = out->size;
                enum hif_err err;

                buf_put_u32(out, 0);
                err = body_frame_put(codec, span_of(rows.data + at, size), out);
                if (err != HIF_OK)
                        return err;
                if (buf_failed(out))
                        return HIF_ENOMEM;
                buf_set_u32(out, start, (uint32_t)(out->size - start - 4));
                at += size;
        }
        return HIF_OK;
}

/* The head, and the rows as they were before compression. */
static enum hif_err open_rows(struct body_codec *codec, struct span stored, uint64_t start,
                              struct window *window, struct buf *rows)
{
        struct span record;
        struct reader rd = rd_open(stored);
        uint32_t total;
        enum hif_err err = window_get(&rd, WINDOW_SEGMENT, start, window);

        if (err != HIF_OK)
                return err;
        if (landing_check_get(stored, &record) != HIF_OK)
                return HIF_ECORRUPT;
        rd = rd_open(record);
        (void)rd_span(&rd, WINDOW_HEAD_SIZE);
        total = rd_u32(&rd);
        if (rd_bad(&rd) || total > SEGMENT_CONTENT_MAX || total < SEGMENT_SLOTS * ROW_SIZE_MIN)
                return HIF_ECORRUPT;
        while (rows->size < total && err == HIF_OK) {
                size_t left = total - rows->size;
                struct span frame = rd_span(&rd, rd_u32(&rd));

                if (rd_bad(&rd))
                        return HIF_ECORRUPT;
                err = body_frame_get(codec, frame,
                                     left < SEGMENT_FRAME_SIZE ? left : SEGMENT_FRAME_SIZE, rows);
        }
        return err == HIF_OK && !rd_done(&rd) ? HIF_ECORRUPT : err;
}

/* --- whole segments --- */

enum hif_err segment_put(struct body_codec *codec, const struct segment *segment, struct buf *out)
{
        const struct window *window = &segment->window;
        AUTO_BUF struct buf rows = {0};
        size_t start = out->size;
        enum hif_err err;

        assert(window->kind == WINDOW_SEGMENT &&
               hash_eq(&segment->rows[SEGMENT_SLOTS - 1].hash, &window->end));
        for (uint32_t i = 0; i < SEGMENT_SLOTS; i++) {
                assert(segment->rows[i].slot.position == window->start + i);
                put_row(&rows, &segment->rows[i]);
                if (rows.size > SEGMENT_CONTENT_MAX)
                        return HIF_ELIMIT;
        }
        if (buf_failed(&rows))
                return HIF_ENOMEM;
        window_put(out, window);
        buf_put_u32(out, (uint32_t)rows.size);
        err = put_frames(codec, buf_span(&rows), out);
        if (err != HIF_OK)
                return err;
        landing_check_put(out, start);
        return buf_failed(out) ? HIF_ENOMEM : HIF_OK;
}

enum hif_err segment_content(struct body_codec *codec, struct span stored, uint64_t start,
                             struct buf *out)
{
        struct window window;
        AUTO_BUF struct buf rows = {0};
        enum hif_err err = open_rows(codec, stored, start, &window, &rows);

        if (err != HIF_OK)
                return err;
        window_put(out, &window);
        buf_put_span(out, buf_span(&rows));
        return buf_failed(out) ? HIF_ENOMEM : HIF_OK;
}

enum hif_err segment_get(struct body_codec *codec, struct span stored, uint64_t start,
                         struct arena *arena, struct segment *out)
{
        struct segment segment = {0};
        AUTO_BUF struct buf bytes = {0};
        struct hif_hash previous;
        struct span rows;
        struct reader rd;
        enum hif_err err = open_rows(codec, stored, start, &segment.window, &bytes);

        if (err != HIF_OK)
                return err;
        rows = arena_span(arena, buf_span(&bytes));
        segment.rows = arena_zalloc(arena, SEGMENT_SLOTS * sizeof(*segment.rows));
        if (!rows.data || !segment.rows)
                return HIF_ENOMEM;
        rd = rd_open(rows);
        previous = segment.window.before;
        for (uint32_t i = 0; i < SEGMENT_SLOTS; i++) {
                struct segment_row *row = &segment.rows[i];

                row->slot.position = start + i;
                row->slot.previous = previous;
                row->slot.bloom_absent = true;
                err = get_row(&rd, arena, row);
                if (err != HIF_OK)
                        return err;
                previous = row->hash;
        }
        if (!rd_done(&rd) || !hash_eq(&previous, &segment.window.end))
                return HIF_ECORRUPT;
        *out = segment;
        return HIF_OK;
}
