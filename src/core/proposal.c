#include "core/proposal.h"

#include "core/key.h"
#include "core/landing_check.h"
#include "core/landing_list.h"

#include <assert.h>

/* --- changes --- */

/*      0   1   0: removed; else the kind of the entry
 *      1   2   size, path
 *      .   2   size, path from; 0: not a rename
 *              not for what is removed:
 *      .   8   mtime, seconds since 1970
 *      .   4   mtime, nanoseconds
 *              of a symbolic link:
 *      .   2   size, target
 *              of a file:
 *      .   8   size
 *      .   32  hash
 *      .   4   size of its frame in a pack; 0: in none, and nothing follows
 *      .   4   offset of the frame
 *      .   32  pack
 */
#define CHANGE_SIZE_MIN (1 + 2 + 1 + 2)
#define CHANGE_REMOVED  0

static void put_text(struct buf *out, struct span text)
{
        buf_put_u16(out, (uint16_t)text.size);
        buf_put_span(out, text);
}

static void put_entry(struct buf *out, const struct entry *entry)
{
        buf_put_u64(out, (uint64_t)entry->mtime.sec);
        buf_put_u32(out, entry->mtime.nsec);
        if (entry->kind == ENTRY_SYMLINK)
                put_text(out, entry->target);
        if (!entry_is_file(entry))
                return;
        buf_put_u64(out, entry->size);
        buf_put(out, entry->hash.bytes, HIF_HASH_SIZE);
        buf_put_u32(out, entry->loc.size);
        if (entry->loc.size == 0)
                return;
        buf_put_u32(out, entry->loc.offset);
        buf_put(out, entry->loc.pack.bytes, HIF_HASH_SIZE);
}

static void get_entry(struct reader *rd, struct entry *entry)
{
        entry->mtime.sec = (int64_t)rd_u64(rd);
        entry->mtime.nsec = rd_u32(rd);
        if (entry->kind == ENTRY_SYMLINK) {
                entry->target = rd_span(rd, rd_u16(rd));
                entry->size = entry->target.size;
                entry->hash = hash_of(HASH_BLOB, entry->target);
        }
        if (!entry_is_file(entry))
                return;
        entry->size = rd_u64(rd);
        rd_copy(rd, entry->hash.bytes, HIF_HASH_SIZE);
        entry->loc.size = rd_u32(rd);
        if (entry->loc.size == 0)
                return;
        entry->loc.offset = rd_u32(rd);
        rd_copy(rd, entry->loc.pack.bytes, HIF_HASH_SIZE);
}

static bool change_valid(const struct proposal_change *change)
{
        if (change->path.size == 0 || !path_valid(change->path) || !path_valid(change->path_from))
                return false;
        return change->remove ? change->path_from.size == 0 : entry_valid(&change->entry);
}

/* Sorted by key, and so each path once. */
static bool in_order(const struct proposal_change *before, const struct proposal_change *after)
{
        AUTO_BUF struct buf a = {0};
        AUTO_BUF struct buf b = {0};

        key_from_path(&a, before->path);
        key_from_path(&b, after->path);
        return !buf_failed(&a) && !buf_failed(&b) && span_cmp(buf_span(&a), buf_span(&b)) < 0;
}

static void change_elements_put(struct buf *out, const struct proposal_change *changes,
                                uint32_t count)
{
        for (uint32_t i = 0; i < count; i++) {
                assert(change_valid(&changes[i]));
                buf_put_u8(out,
                           changes[i].remove ? CHANGE_REMOVED : (uint8_t)changes[i].entry.kind);
                put_text(out, changes[i].path);
                put_text(out, changes[i].path_from);
                if (!changes[i].remove)
                        put_entry(out, &changes[i].entry);
        }
}

static enum hif_err change_elements_get(struct span bytes, uint32_t count, struct arena *arena,
                                        struct proposal_change **changes)
{
        struct reader rd = rd_open(bytes);
        struct proposal_change *list;

        if (count == 0 || count > bytes.size / CHANGE_SIZE_MIN)
                return HIF_ECORRUPT;
        list = arena_zalloc(arena, count * sizeof(*list));
        if (!list)
                return HIF_ENOMEM;
        for (uint32_t i = 0; i < count; i++) {
                uint8_t kind = rd_u8(&rd);

                list[i].remove = kind == CHANGE_REMOVED;
                list[i].entry.kind = (enum entry_kind)kind;
                list[i].path = rd_span(&rd, rd_u16(&rd));
                list[i].path_from = rd_span(&rd, rd_u16(&rd));
                if (!list[i].remove)
                        get_entry(&rd, &list[i].entry);
                if (rd_bad(&rd) || !change_valid(&list[i]) ||
                    (i > 0 && !in_order(&list[i - 1], &list[i])))
                        return HIF_ECORRUPT;
        }
        if (!rd_done(&rd))
                return HIF_ECORRUPT;
        *changes = list;
        return HIF_OK;
}

void proposal_changes_put(struct buf *out, const struct proposal_change *changes, uint32_t count)
{
        landing_list_header_put(out, LIST_CHANGES, count);
        change_elements_put(out, changes, count);
}

enum hif_err proposal_changes_get(struct span stored, struct arena *arena,
                                  struct proposal_change **changes, uint32_t *count)
{
        struct reader rd = rd_open(stored);
        uint32_t n;
        enum hif_err err = landing_list_header_get(&rd, LIST_CHANGES, &n);

        if (!err)
                err = change_elements_get(rd_span(&rd, rd_left(&rd)), n, arena, changes);
        if (!err)
                *count = n;
        return err;
}

/* --- the proposal --- */

/*      0   4   "HIFR"
 *      4   1   version, 1
 *      5   3   zero
 *      8   16  landing id
 *     24   8   tag
 *     32   8   the first position that it may land at
 *     40   16  session id
 *     56   32  session object
 *     88   8   origin
 *     96   8   base position
 *    104   32  base slot
 *    136   8   hlc
 *    144   8   wall clock, ns since 1970
 *    152   4   change count
 *    156   4   object count
 *    160   ..  fields as in a slot (landing_slot.c):
 *
 *      type 1  author          text
 *           2  goal            text
 *           3  changes         elements, change count of them
 *           4  changes list    32, HASH_LIST; instead of 3
 *           5  objects         elements (landing_list.c), object count of them
 *           6  objects list    32, HASH_LIST; instead of 5
 *
 *      ..  8 check of all before (landing.c)
 */
#define PROPOSAL_VERSION 1
#define FIELD_CRITICAL   0x8000

enum field {
        FIELD_AUTHOR = 1,
        FIELD_GOAL = 2,
        FIELD_CHANGES = 3,
        FIELD_CHANGES_LIST = 4,
        FIELD_OBJECTS = 5,
        FIELD_OBJECTS_LIST = 6,
};

static const char proposal_magic[4] = "HIFR";

static bool list_valid(uint32_t count, const void *items, const struct hif_hash *list)
{
        bool in_slot = items != NULL, in_object = !hash_is_zero(list);

        return count > 0 ? in_slot != in_object : !in_slot && !in_object;
}

static bool proposal_valid(const struct proposal *proposal)
{
        return proposal->tag.id != 0 && proposal->tag.position > proposal->base_position &&
               proposal->tag.position <= POSITION_MAX && proposal->origin <= POSITION_MAX &&
               !hash_is_zero(&proposal->base_slot) && !hash_is_zero(&proposal->session_object) &&
               proposal->change_count > 0 &&
               list_valid(proposal->change_count, proposal->changes, &proposal->changes_list) &&
               list_valid(proposal->object_count, proposal->objects, &proposal->objects_list);
}

static size_t begin_field(struct buf *out, enum field type)
{
        buf_put_u16(out, (uint16_t)type);
        buf_put_u32(out, 0);
        return out->size;
}

static void end_field(struct buf *out, size_t start)
{
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

static void put_lists(struct buf *out, const struct proposal *proposal)
{
        size_t start;

        if (proposal->changes) {
                start = begin_field(out, FIELD_CHANGES);
                change_elements_put(out, proposal->changes, proposal->change_count);
                end_field(out, start);
        } else {
                put_field(out, FIELD_CHANGES_LIST,
                          span_of(proposal->changes_list.bytes, HIF_HASH_SIZE));
        }
        if (proposal->objects) {
                start = begin_field(out, FIELD_OBJECTS);
                slot_object_elements_put(out, proposal->objects, proposal->object_count);
                end_field(out, start);
        } else if (proposal->object_count > 0) {
                put_field(out, FIELD_OBJECTS_LIST,
                          span_of(proposal->objects_list.bytes, HIF_HASH_SIZE));
        }
}

enum hif_err proposal_put(struct buf *out, const struct proposal *proposal)
{
        size_t start = out->size;

        if (proposal->author.size > SESSION_AUTHOR_MAX)
                return HIF_EINVAL;
        assert(proposal_valid(proposal));
        buf_put(out, proposal_magic, sizeof(proposal_magic));
        buf_put_u8(out, PROPOSAL_VERSION);
        buf_put_zero(out, 3);
        buf_put(out, proposal->landing_id, LANDING_ID_SIZE);
        buf_put_u64(out, proposal->tag.id);
        buf_put_u64(out, proposal->tag.position);
        buf_put(out, proposal->session.bytes, SESSION_ID_SIZE);
        buf_put(out, proposal->session_object.bytes, HIF_HASH_SIZE);
        buf_put_u64(out, proposal->origin);
        buf_put_u64(out, proposal->base_position);
        buf_put(out, proposal->base_slot.bytes, HIF_HASH_SIZE);
        buf_put_u64(out, proposal->hlc);
        buf_put_u64(out, proposal->wall_ns);
        buf_put_u32(out, proposal->change_count);
        buf_put_u32(out, proposal->object_count);
        put_field(out, FIELD_AUTHOR, proposal->author);
        put_field(out, FIELD_GOAL, slot_goal_cut(proposal->goal));
        put_lists(out, proposal);
        landing_check_put(out, start);
        if (buf_failed(out))
                return HIF_ENOMEM;
        if (out->size - start > PROPOSAL_SIZE_MAX) {
                out->size = start;
                return HIF_ELIMIT;
        }
        return HIF_OK;
}

static enum hif_err get_head(struct reader *rd, struct proposal *proposal)
{
        uint8_t zero = rd_u8(rd);
        uint16_t zeros = rd_u16(rd);

        rd_copy(rd, proposal->landing_id, LANDING_ID_SIZE);
        proposal->tag.id = rd_u64(rd);
        proposal->tag.position = rd_u64(rd);
        rd_copy(rd, proposal->session.bytes, SESSION_ID_SIZE);
        rd_copy(rd, proposal->session_object.bytes, HIF_HASH_SIZE);
        proposal->origin = rd_u64(rd);
        proposal->base_position = rd_u64(rd);
        rd_copy(rd, proposal->base_slot.bytes, HIF_HASH_SIZE);
        proposal->hlc = rd_u64(rd);
        proposal->wall_ns = rd_u64(rd);
        proposal->change_count = rd_u32(rd);
        proposal->object_count = rd_u32(rd);
        return rd_bad(rd) || zero != 0 || zeros != 0 ? HIF_ECORRUPT : HIF_OK;
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

static enum hif_err get_field(uint16_t type, struct span value, struct arena *arena,
                              struct proposal *proposal)
{
        switch (type) {
        case FIELD_AUTHOR:
                return get_text(value, SESSION_AUTHOR_MAX, &proposal->author);
        case FIELD_GOAL:
                return get_text(value, SLOT_GOAL_MAX, &proposal->goal);
        case FIELD_CHANGES:
                return change_elements_get(value, proposal->change_count, arena,
                                           &proposal->changes);
        case FIELD_CHANGES_LIST:
                return get_hash(value, &proposal->changes_list);
        case FIELD_OBJECTS:
                return slot_object_elements_get(value, proposal->object_count, arena,
                                                &proposal->objects);
        case FIELD_OBJECTS_LIST:
                return get_hash(value, &proposal->objects_list);
        default:
                return type & FIELD_CRITICAL ? HIF_EUNSUPPORTED : HIF_OK;
        }
}

enum hif_err proposal_get(struct span stored, struct arena *arena, struct proposal *out)
{
        struct reader rd;
        struct proposal proposal = {0};
        uint16_t last = 0;
        enum hif_err err = stored.size > PROPOSAL_SIZE_MAX ? HIF_ECORRUPT : HIF_OK;

        if (!err)
                err = landing_record_open(stored, proposal_magic, PROPOSAL_VERSION, &rd);
        if (!err)
                err = get_head(&rd, &proposal);
        while (!err && rd_left(&rd) > 0) {
                uint16_t type = rd_u16(&rd);
                struct span value = rd_span(&rd, rd_u32(&rd));

                if (rd_bad(&rd) || type <= last || value.size == 0)
                        return HIF_ECORRUPT;
                last = type;
                err = get_field(type, value, arena, &proposal);
        }
        if (err)
                return err;
        if (!proposal_valid(&proposal))
                return HIF_ECORRUPT;
        *out = proposal;
        return HIF_OK;
}
