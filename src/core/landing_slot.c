/* landing_slot.c - a slot: the record whose creation is a landing (I6). */
#include "core/landing.h"
#include "core/landing_check.h"
#include "core/landing_list.h"

#include <assert.h>

/*      0   4   "HIFL"
 *      4   1   version, 1
 *      5   1   kind
 *      6   2   zero
 *      8   8   position
 *     16   16  landing id
 *     32   8   tag
 *     40   16  session id
 *     56   32  session object
 *     88   8   base position
 *     96   32  previous slot
 *    128   32  tree
 *    160   8   tree entries
 *    168   8   hlc
 *    176   8   wall clock, ns since 1970
 *    184   4   path count
 *    188   4   object count
 *    192   ..  fields, in ascending order of type, each at most once:
 *              0   2   type
 *              2   4   size, not 0
 *              6   ..  value
 *      ..  8   check of all before (landing.c)
 *
 *      type 1  author          text
 *           2  goal            text
 *           3  paths           elements (landing_list.c), path count of them
 *           4  paths list      32, HASH_LIST; instead of 3
 *           5  objects         elements, object count of them
 *           6  objects list    32, HASH_LIST; instead of 5
 *           7  bloom           (bloom.h)
 *           8  rivals          4, not 0
 *        8008  members         4 count, so many elements (landing_member.c); a batch only
 *        8009  members list    4 count, 32 HASH_LIST; instead of 8008
 *        800a  refused         elements (landing_member.c)
 *
 * Fields of later versions, signatures among them, take further numbers. A reader passes over those
 * that it does not know, and refuses the slot if such a one has the bit 8000: it changes what the
 * slot means.
 */
#define SLOT_VERSION   1
#define FIELD_CRITICAL 0x8000

enum field {
        FIELD_AUTHOR = 1,
        FIELD_GOAL = 2,
        FIELD_PATHS = 3,
        FIELD_PATHS_LIST = 4,
        FIELD_OBJECTS = 5,
        FIELD_OBJECTS_LIST = 6,
        FIELD_BLOOM = 7,
        FIELD_RIVALS = 8,
        FIELD_MEMBERS = FIELD_CRITICAL | 8,
        FIELD_MEMBERS_LIST = FIELD_CRITICAL | 9,
        FIELD_REFUSED = FIELD_CRITICAL | 10,
};

static const char slot_magic[4] = "HIFL";

/* --- what both directions hold to --- */

/* A counted list is inline or in an object; one that is empty is neither. */
static bool list_valid(uint32_t count, const void *items, const struct hif_hash *list)
{
        bool in_slot = items != NULL, in_object = !hash_is_zero(list);

        return count > 0 ? in_slot != in_object : !in_object;
}

/* A batch has its members, which have what a single landing says in the slot itself. */
static bool members_valid(const struct slot *slot)
{
        static const struct session_id no_session;

        if ((slot->kind == SLOT_BATCH) != (slot->member_count > 0) ||
            slot->member_count > SLOT_MEMBERS_MAX ||
            !list_valid(slot->member_count, slot->members, &slot->members_list))
                return false;
        if (slot->kind != SLOT_BATCH)
                return true;
        return slot->tag == 0 && slot->base_position == 0 && slot->author.size == 0 &&
               slot->goal.size == 0 && hash_is_zero(&slot->session_object) &&
               session_id_eq(&slot->session, &no_session) &&
               (!slot->members || slot_members_fit(slot));
}

static bool refused_valid(const struct slot *slot)
{
        return slot->refused_count == 0 ||
               (slot->refused && slot->refused_count <= SLOT_REFUSED_MAX && slot->position > 0 &&
                slot->kind <= SLOT_VOID);
}

static bool slot_valid(const struct slot *slot)
{
        bool first = slot->position == 0;

        if (slot->kind < SLOT_LANDING || slot->kind > SLOT_GC || slot->position > POSITION_MAX)
                return false;
        if (first ? slot->base_position != 0 : slot->base_position >= slot->position)
                return false;
        if (hash_is_zero(&slot->previous) != first)
                return false;
        if (hash_is_zero(&slot->tree) || slot->tree_entries == 0)
                return false;
        if ((first || slot->kind == SLOT_VOID) && !hash_is_zero(&slot->session_object))
                return false;
        if (slot->kind == SLOT_VOID && (slot->path_count > 0 || slot->object_count > 0))
                return false;
        return list_valid(slot->path_count, slot->paths, &slot->paths_list) &&
               list_valid(slot->object_count, slot->objects, &slot->objects_list) &&
               members_valid(slot) && refused_valid(slot);
}

/* --- writing --- */

static void put_head(struct buf *out, const struct slot *slot)
{
        buf_put(out, slot_magic, sizeof(slot_magic));
        buf_put_u8(out, SLOT_VERSION);
        buf_put_u8(out, (uint8_t)slot->kind);
        buf_put_u16(out, 0);
        buf_put_u64(out, slot->position);
        buf_put(out, slot->landing_id, LANDING_ID_SIZE);
        buf_put_u64(out, slot->tag);
        buf_put(out, slot->session.bytes, SESSION_ID_SIZE);
        buf_put(out, slot->session_object.bytes, HIF_HASH_SIZE);
        buf_put_u64(out, slot->base_position);
        buf_put(out, slot->previous.bytes, HIF_HASH_SIZE);
        buf_put(out, slot->tree.bytes, HIF_HASH_SIZE);
        buf_put_u64(out, slot->tree_entries);
        buf_put_u64(out, slot->hlc);
        buf_put_u64(out, slot->wall_ns);
        buf_put_u32(out, slot->path_count);
        buf_put_u32(out, slot->object_count);
}

static size_t begin_field(struct buf *out, enum field type)
{
        buf_put_u16(out, (uint16_t)type);
        buf_put_u32(out, 0);
        return out->size;
}

static void end_field(struct buf *out, size_t start)
{
        /* A size that 32 bits do not hold is refused later with the whole slot, as too large. */
        if (!buf_failed(out))
                buf_set_u32(out, start - 4, (uint32_t)(out->size - start));
}

static void put_field(struct buf *out, enum field type, struct span value)
{
        size_t start;

        if (value.size == 0)
                return;
        start = begin_field(out, type);
        buf_put_span(out, value);
        end_field(out, start);
}

static void put_lists(struct buf *out, const struct slot *slot)
{
        size_t start;

        if (slot->path_count > 0 && slot->paths) {
                start = begin_field(out, FIELD_PATHS);
                slot_path_elements_put(out, slot->paths, slot->path_count);
                end_field(out, start);
        } else if (slot->path_count > 0) {
                put_field(out, FIELD_PATHS_LIST, span_of(slot->paths_list.bytes, HIF_HASH_SIZE));
        }
        if (slot->object_count > 0 && slot->objects) {
                start = begin_field(out, FIELD_OBJECTS);
                slot_object_elements_put(out, slot->objects, slot->object_count);
                end_field(out, start);
        } else if (slot->object_count > 0) {
                put_field(out, FIELD_OBJECTS_LIST,
                          span_of(slot->objects_list.bytes, HIF_HASH_SIZE));
        }
}

static void put_members(struct buf *out, const struct slot *slot)
{
        size_t start;

        if (slot->member_count > 0) {
                start = begin_field(out, slot->members ? FIELD_MEMBERS : FIELD_MEMBERS_LIST);
                buf_put_u32(out, slot->member_count);
                if (slot->members)
                        slot_member_elements_put(out, slot->members, slot->member_count);
                else
                        buf_put(out, slot->members_list.bytes, HIF_HASH_SIZE);
                end_field(out, start);
        }
        if (slot->refused_count > 0) {
                start = begin_field(out, FIELD_REFUSED);
                slot_refused_elements_put(out, slot->refused, slot->refused_count);
                end_field(out, start);
        }
}

static bool authors_fit(const struct slot *slot)
{
        for (uint32_t i = 0; slot->members && i < slot->member_count; i++)
                if (slot->members[i].author.size > SESSION_AUTHOR_MAX)
                        return false;
        return slot->author.size <= SESSION_AUTHOR_MAX;
}

enum hif_err slot_put(struct buf *out, const struct slot *slot)
{
        size_t start = out->size, field;

        if (!authors_fit(slot))
                return HIF_EINVAL;
        assert(slot_valid(slot));
        /* An empty filter would say no to every path. */
        assert(slot->bloom_absent || slot->bloom.bit_count > 0 || slot->path_count == 0);
        put_head(out, slot);
        put_field(out, FIELD_AUTHOR, slot->author);
        put_field(out, FIELD_GOAL, slot_goal_cut(slot->goal));
        put_lists(out, slot);
        if (!slot->bloom_absent && slot->bloom.bit_count > 0) {
                field = begin_field(out, FIELD_BLOOM);
                bloom_put(out, &slot->bloom);
                end_field(out, field);
        }
        if (slot->rivals > 0) {
                field = begin_field(out, FIELD_RIVALS);
                buf_put_u32(out, slot->rivals);
                end_field(out, field);
        }
        put_members(out, slot);
        landing_check_put(out, start);
        if (buf_failed(out))
                return HIF_ENOMEM;
        if (out->size - start > SLOT_SIZE_MAX) {
                out->size = start;
                return HIF_ELIMIT;
        }
        return HIF_OK;
}

/* --- reading --- */

static enum hif_err get_head(struct reader *rd, struct slot *slot)
{
        uint8_t kind = rd_u8(rd);
        uint16_t zero = rd_u16(rd);

        slot->position = rd_u64(rd);
        rd_copy(rd, slot->landing_id, LANDING_ID_SIZE);
        slot->tag = rd_u64(rd);
        rd_copy(rd, slot->session.bytes, SESSION_ID_SIZE);
        rd_copy(rd, slot->session_object.bytes, HIF_HASH_SIZE);
        slot->base_position = rd_u64(rd);
        rd_copy(rd, slot->previous.bytes, HIF_HASH_SIZE);
        rd_copy(rd, slot->tree.bytes, HIF_HASH_SIZE);
        slot->tree_entries = rd_u64(rd);
        slot->hlc = rd_u64(rd);
        slot->wall_ns = rd_u64(rd);
        slot->path_count = rd_u32(rd);
        slot->object_count = rd_u32(rd);
        if (rd_bad(rd))
                return HIF_ECORRUPT;
        if (kind > SLOT_GC)
                return HIF_EUNSUPPORTED;
        if (zero != 0)
                return HIF_ECORRUPT;
        slot->kind = (enum slot_kind)kind;
        return HIF_OK;
}

static enum hif_err get_text(struct span value, size_t size_max, struct span *out)
{
        if (value.size > size_max)
                return HIF_ECORRUPT;
        *out = value;
        return HIF_OK;
}

static enum hif_err get_hash(struct span value, struct hif_hash *out)
{
        if (value.size != HIF_HASH_SIZE)
                return HIF_ECORRUPT;
        memcpy(out->bytes, value.data, HIF_HASH_SIZE);
        return HIF_OK;
}

static enum hif_err get_bloom(struct span value, struct arena *arena, struct bloom *out)
{
        struct reader rd = rd_open(value);
        enum hif_err err = bloom_get_arena(&rd, arena, out);

        if (err)
                return err;
        return rd_done(&rd) && out->bit_count > 0 ? HIF_OK : HIF_ECORRUPT;
}

static enum hif_err get_rivals(struct span value, uint32_t *out)
{
        struct reader rd = rd_open(value);
        uint32_t rivals = rd_u32(&rd);

        if (!rd_done(&rd) || rivals == 0)
                return HIF_ECORRUPT;
        *out = rivals;
        return HIF_OK;
}

static enum hif_err get_members(struct span value, struct arena *arena, struct slot *slot)
{
        struct reader rd = rd_open(value);

        slot->member_count = rd_u32(&rd);
        if (slot->member_count == 0)
                return HIF_ECORRUPT;
        return slot_member_elements_get(rd_span(&rd, rd_left(&rd)), slot->member_count, arena,
                                        &slot->members);
}

static enum hif_err get_members_list(struct span value, struct slot *slot)
{
        struct reader rd = rd_open(value);

        if (slot->member_count > 0) /* 8008 was there, too */
                return HIF_ECORRUPT;
        slot->member_count = rd_u32(&rd);
        return get_hash(rd_span(&rd, rd_left(&rd)), &slot->members_list);
}

static enum hif_err get_field(uint16_t type, struct span value, struct arena *arena,
                              struct slot *slot)
{
        switch (type) {
        case FIELD_AUTHOR:
                return get_text(value, SESSION_AUTHOR_MAX, &slot->author);
        case FIELD_GOAL:
                return get_text(value, SLOT_GOAL_MAX, &slot->goal);
        case FIELD_PATHS:
                return slot_path_elements_get(value, slot->path_count, arena, &slot->paths);
        case FIELD_PATHS_LIST:
                return get_hash(value, &slot->paths_list);
        case FIELD_OBJECTS:
                return slot_object_elements_get(value, slot->object_count, arena, &slot->objects);
        case FIELD_OBJECTS_LIST:
                return get_hash(value, &slot->objects_list);
        case FIELD_BLOOM:
                return get_bloom(value, arena, &slot->bloom);
        case FIELD_RIVALS:
                return get_rivals(value, &slot->rivals);
        case FIELD_MEMBERS:
                return get_members(value, arena, slot);
        case FIELD_MEMBERS_LIST:
                return get_members_list(value, slot);
        case FIELD_REFUSED:
                return slot_refused_elements_get(value, arena, &slot->refused,
                                                 &slot->refused_count);
        default:
                return type & FIELD_CRITICAL ? HIF_EUNSUPPORTED : HIF_OK;
        }
}

static enum hif_err get_fields(struct reader *rd, struct arena *arena, struct slot *slot)
{
        uint16_t last = 0;

        while (rd_left(rd) > 0) {
                uint16_t type = rd_u16(rd);
                struct span value = rd_span(rd, rd_u32(rd));
                enum hif_err err;

                if (rd_bad(rd) || type <= last || value.size == 0)
                        return HIF_ECORRUPT;
                last = type;
                err = get_field(type, value, arena, slot);
                if (err)
                        return err;
        }
        return HIF_OK;
}

enum hif_err slot_get(struct span stored, uint64_t position, struct arena *arena, struct slot *out)
{
        struct reader rd;
        struct slot slot = {0};
        enum hif_err err;

        if (stored.size > SLOT_SIZE_MAX)
                return HIF_ECORRUPT;
        err = landing_record_open(stored, slot_magic, SLOT_VERSION, &rd);
        if (!err)
                err = get_head(&rd, &slot);
        if (!err)
                err = get_fields(&rd, arena, &slot);
        if (err)
                return err;
        slot.bloom_absent = slot.path_count > 0 && slot.bloom.bit_count == 0;
        if (slot.position != position || !slot_valid(&slot))
                return HIF_ECORRUPT;
        *out = slot;
        return HIF_OK;
}
