/* landing_member.c - the landings of a batch, the proposals that a slot refuses, and the view that
 * does not ask whether there was one landing or several. */
#include "core/landing_list.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

/* --- elements --- */

/* A member:    0   16  landing id
 *             16   8   tag
 *             24   16  session id
 *             40   32  session object
 *             72   8   base position
 *             80   8   wall clock, ns since 1970
 *             88   4   path count
 *             92   2   size, author
 *              .   2   size, goal
 */
#define MEMBER_SIZE_MIN 96

struct span slot_goal_cut(struct span goal)
{
        size_t size = SLOT_GOAL_MAX;

        if (goal.size <= size)
                return goal;
        while (size > SLOT_GOAL_MAX - 4 && (goal.data[size] & 0xc0) == 0x80)
                size--;
        return span_of(goal.data, size);
}

static void put_text(struct buf *out, struct span text)
{
        buf_put_u16(out, (uint16_t)text.size);
        buf_put_span(out, text);
}

void slot_member_elements_put(struct buf *out, const struct slot_member *members, uint32_t count)
{
        for (uint32_t i = 0; i < count; i++) {
                const struct slot_member *member = &members[i];

                assert(member->author.size <= SESSION_AUTHOR_MAX);
                buf_put(out, member->landing_id, LANDING_ID_SIZE);
                buf_put_u64(out, member->tag);
                buf_put(out, member->session.bytes, SESSION_ID_SIZE);
                buf_put(out, member->session_object.bytes, HIF_HASH_SIZE);
                buf_put_u64(out, member->base_position);
                buf_put_u64(out, member->wall_ns);
                buf_put_u32(out, member->path_count);
                put_text(out, member->author);
                put_text(out, slot_goal_cut(member->goal));
        }
}

static void get_member(struct reader *rd, struct slot_member *member)
{
        rd_copy(rd, member->landing_id, LANDING_ID_SIZE);
        member->tag = rd_u64(rd);
        rd_copy(rd, member->session.bytes, SESSION_ID_SIZE);
        rd_copy(rd, member->session_object.bytes, HIF_HASH_SIZE);
        member->base_position = rd_u64(rd);
        member->wall_ns = rd_u64(rd);
        member->path_count = rd_u32(rd);
        member->author = rd_span(rd, rd_u16(rd));
        member->goal = rd_span(rd, rd_u16(rd));
}

enum hif_err slot_member_elements_get(struct span bytes, uint32_t count, struct arena *arena,
                                      struct slot_member **members)
{
        struct reader rd = rd_open(bytes);
        struct slot_member *list = NULL;

        if (count > SLOT_MEMBERS_MAX || count > bytes.size / MEMBER_SIZE_MIN)
                return HIF_ECORRUPT;
        if (count > 0) {
                list = arena_zalloc(arena, count * sizeof(*list));
                if (!list)
                        return HIF_ENOMEM;
        }
        for (uint32_t i = 0; i < count; i++) {
                get_member(&rd, &list[i]);
                if (rd_bad(&rd) || list[i].author.size > SESSION_AUTHOR_MAX ||
                    list[i].goal.size > SLOT_GOAL_MAX)
                        return HIF_ECORRUPT;
        }
        if (!rd_done(&rd))
                return HIF_ECORRUPT;
        *members = list;
        return HIF_OK;
}

/* Refused:     0   16  landing id
 *             16   16  session id
 */
#define REFUSED_SIZE (LANDING_ID_SIZE + SESSION_ID_SIZE)

void slot_refused_elements_put(struct buf *out, const struct slot_refused *refused, uint32_t count)
{
        for (uint32_t i = 0; i < count; i++) {
                buf_put(out, refused[i].landing_id, LANDING_ID_SIZE);
                buf_put(out, refused[i].session.bytes, SESSION_ID_SIZE);
        }
}

enum hif_err slot_refused_elements_get(struct span bytes, struct arena *arena,
                                       struct slot_refused **refused, uint32_t *count)
{
        struct reader rd = rd_open(bytes);
        size_t n = bytes.size / REFUSED_SIZE;
        struct slot_refused *list;

        if (bytes.size % REFUSED_SIZE != 0 || n == 0 || n > SLOT_REFUSED_MAX)
                return HIF_ECORRUPT;
        list = arena_zalloc(arena, n * sizeof(*list));
        if (!list)
                return HIF_ENOMEM;
        for (size_t i = 0; i < n; i++) {
                rd_copy(&rd, list[i].landing_id, LANDING_ID_SIZE);
                rd_copy(&rd, list[i].session.bytes, SESSION_ID_SIZE);
        }
        *refused = list;
        *count = (uint32_t)n;
        return HIF_OK;
}

/* --- what a slot landed --- */

uint32_t slot_landing_count(const struct slot *slot)
{
        switch (slot->kind) {
        case SLOT_LANDING:
                return 1;
        case SLOT_BATCH:
                return slot->member_count;
        case SLOT_VOID:
        case SLOT_REPAIR:
        case SLOT_GC:
                break;
        }
        return 0;
}

void slot_landing_at(const struct slot *slot, uint32_t index, struct slot_member *out,
                     uint32_t *first_path)
{
        uint32_t first = 0;

        assert(index < slot_landing_count(slot));
        if (slot->kind == SLOT_BATCH) {
                assert(slot->members);
                for (uint32_t i = 0; i < index; i++)
                        first += slot->members[i].path_count;
                *out = slot->members[index];
        } else {
                *out = (struct slot_member){.tag = slot->tag,
                                            .session = slot->session,
                                            .session_object = slot->session_object,
                                            .base_position = slot->base_position,
                                            .wall_ns = slot->wall_ns,
                                            .author = slot->author,
                                            .goal = slot->goal,
                                            .path_count = slot->path_count};
                memcpy(out->landing_id, slot->landing_id, LANDING_ID_SIZE);
        }
        if (first_path)
                *first_path = first;
}

bool slot_lands(const struct slot *slot, const struct session_id *session, uint32_t *index)
{
        uint32_t count = slot_landing_count(slot);

        for (uint32_t i = 0; i < count; i++) {
                const struct session_id *at = &slot->session;

                if (slot->kind == SLOT_BATCH) {
                        assert(slot->members);
                        at = &slot->members[i].session;
                }
                if (!session_id_eq(at, session))
                        continue;
                if (index)
                        *index = i;
                return true;
        }
        return false;
}

bool slot_refuses(const struct slot *slot, const struct session_id *session)
{
        for (uint32_t i = 0; i < slot->refused_count; i++)
                if (session_id_eq(&slot->refused[i].session, session))
                        return true;
        return false;
}

bool slot_members_fit(const struct slot *slot)
{
        uint64_t paths = 0;

        for (uint32_t i = 0; i < slot->member_count; i++) {
                if (slot->members[i].base_position >= slot->position)
                        return false;
                paths += slot->members[i].path_count;
        }
        return paths == slot->path_count;
}

void landing_name(uint64_t position, uint32_t member, char out[LANDING_NAME_SIZE])
{
        if (member > 0)
                (void)snprintf(out, LANDING_NAME_SIZE, "@%" PRIu64 ".%" PRIu32, position, member);
        else
                (void)snprintf(out, LANDING_NAME_SIZE, "@%" PRIu64, position);
}
