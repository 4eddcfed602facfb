/* test_landing_batch.c - slots with several landings, refused proposals, and the one view of all.
 */
#include "core/landing.h"
#include "core/landing_check.h"
#include "tests/core/codec_check.h"

#define FLIP_ROUNDS 20000
#define POSITION    9
#define MEMBERS_AT  255 /* the value of field 8008 in the slot of make_batch */

static struct slot_path paths[] = {
    {.kind = SLOT_ADDED}, {.kind = SLOT_CHANGED}, {.kind = SLOT_REMOVED}};
static struct slot_object objects[] = {{.kind = SLOT_NODE}};
static struct slot_member members[2];
static struct slot_refused refused[1];

static void fill_member(struct slot_member *member, uint8_t byte, uint32_t path_count)
{
        *member = (struct slot_member){.tag = 0x7a00u + byte,
                                       .session_object = hash_filled(0x50),
                                       .base_position = byte,
                                       .wall_ns = 0x1122334455667788,
                                       .author = span_str("Ann"),
                                       .goal = span_str("fix"),
                                       .path_count = path_count};
        memset(member->landing_id, 0xa0 + byte, LANDING_ID_SIZE);
        memset(member->session.bytes, 0xb0 + byte, SESSION_ID_SIZE);
}

static struct slot make_batch(void)
{
        struct slot slot = {.kind = SLOT_BATCH,
                            .position = POSITION,
                            .previous = hash_filled(0x88),
                            .tree = hash_filled(0x33),
                            .tree_entries = 1000,
                            .hlc = 0x0000018000000001,
                            .wall_ns = 0x99,
                            .path_count = 3,
                            .paths = paths,
                            .object_count = 1,
                            .objects = objects,
                            .bloom_absent = true,
                            .member_count = 2,
                            .members = members,
                            .refused_count = 1,
                            .refused = refused};

        paths[0].path = span_str("a");
        paths[1].path = span_str("b");
        paths[2].path = span_str("c");
        objects[0].hash = hash_filled(0x33);
        fill_member(&members[0], 6, 2);
        fill_member(&members[1], 8, 1);
        memset(refused[0].landing_id, 0xc1, LANDING_ID_SIZE);
        memset(refused[0].session.bytes, 0xd1, SESSION_ID_SIZE);
        memset(slot.landing_id, 0xad, LANDING_ID_SIZE);
        return slot;
}

static void put_slot(struct buf *out, const struct slot *slot)
{
        buf_reset(out);
        assert_int_equal(slot_put(out, slot), HIF_OK);
}

static struct session_id session_filled(uint8_t byte)
{
        struct session_id id;

        memset(id.bytes, byte, SESSION_ID_SIZE);
        return id;
}

/* What is accepted can be written again, to the same bytes. */
static enum hif_err decode_slot(struct span stored)
{
        AUTO_ARENA struct arena arena = {0};
        AUTO_BUF struct buf again = {0};
        struct slot slot;
        enum hif_err err = slot_get(stored, POSITION, &arena, &slot);

        if (err)
                return err;
        assert_int_equal(slot_put(&again, &slot), HIF_OK);
        assert_true(again.size <= stored.size);
        if (again.size == stored.size)
                assert_memory_equal(again.data, stored.data, stored.size);
        return HIF_OK;
}

/* With the checksum made right again: damage that only the form tells of. */
static enum hif_err decode_sealed(struct span stored)
{
        AUTO_BUF struct buf sealed = {0};

        assert_true(stored.size > LANDING_CHECK_SIZE);
        buf_put(&sealed, stored.data, stored.size - LANDING_CHECK_SIZE);
        landing_check_put(&sealed, 0);
        return decode_exact(buf_span(&sealed), decode_slot);
}

static enum hif_err decode_members(struct span stored)
{
        AUTO_ARENA struct arena arena = {0};
        struct slot_member *list;
        uint32_t count;

        return slot_members_get(stored, &arena, &list, &count);
}

/* The bytes are as drawn. */
static void golden_batch(void **state)
{
        AUTO_BUF struct buf stored = {0};
        struct slot slot = make_batch();

        (void)state;
        put_slot(&stored, &slot);
        expect_hex(buf_span(&stored),
                   "4849464c 01 02 0000"
                   "0000000000000009"
                   "adadadadadadadadadadadadadadadad"
                   "0000000000000000"
                   "00000000000000000000000000000000"
                   "0000000000000000000000000000000000000000000000000000000000000000"
                   "0000000000000000"
                   "8888888888888888888888888888888888888888888888888888888888888888"
                   "3333333333333333333333333333333333333333333333333333333333333333"
                   "00000000000003e8 0000018000000001 0000000000000099"
                   "00000003 00000001"
                   "0003 0000000c 01 0001 61 02 0001 62 03 0001 63"
                   "0005 00000021"
                   "01 3333333333333333333333333333333333333333333333333333333333333333"
                   "8008 000000d0 00000002"
                   "a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6 0000000000007a06"
                   "b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6"
                   "5050505050505050505050505050505050505050505050505050505050505050"
                   "0000000000000006 1122334455667788 00000002"
                   "0003 416e6e 0003 666978"
                   "a8a8a8a8a8a8a8a8a8a8a8a8a8a8a8a8 0000000000007a08"
                   "b8b8b8b8b8b8b8b8b8b8b8b8b8b8b8b8"
                   "5050505050505050505050505050505050505050505050505050505050505050"
                   "0000000000000008 1122334455667788 00000001"
                   "0003 416e6e 0003 666978"
                   "800a 00000020"
                   "c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1 d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1"
                   "902582d25d8862e6");
        expect_whole_only(buf_span(&stored), decode_slot);
        expect_survives_flips(buf_span(&stored), decode_slot, 31, FLIP_ROUNDS);
        expect_survives_flips(buf_span(&stored), decode_sealed, 32, FLIP_ROUNDS);
}

/* Every member comes back, with the paths that are its own. */
static void members_round_trip_in_order(void **state)
{
        AUTO_ARENA struct arena arena = {0};
        AUTO_BUF struct buf stored = {0};
        struct slot slot = make_batch(), got;
        struct slot_member member;
        uint32_t first;

        (void)state;
        put_slot(&stored, &slot);
        assert_int_equal(slot_get(buf_span(&stored), POSITION, &arena, &got), HIF_OK);
        assert_int_equal(slot_landing_count(&got), 2);
        slot_landing_at(&got, 0, &member, &first);
        assert_int_equal(first, 0);
        assert_int_equal(member.path_count, 2);
        assert_int_equal(member.tag, 0x7a06);
        slot_landing_at(&got, 1, &member, &first);
        assert_int_equal(first, 2);
        assert_int_equal(member.path_count, 1);
        assert_memory_equal(member.landing_id, members[1].landing_id, LANDING_ID_SIZE);
        assert_true(session_id_eq(&member.session, &members[1].session));
        assert_true(hash_eq(&member.session_object, &members[1].session_object));
        assert_int_equal(member.base_position, 8);
        assert_int_equal(member.wall_ns, members[1].wall_ns);
        assert_true(span_eq(member.author, span_str("Ann")));
        assert_true(span_eq(member.goal, span_str("fix")));
        assert_true(span_eq(got.paths[first].path, span_str("c")));
}

/* Who landed and who was refused is answered alike for one landing, several and none. */
static void one_view_of_all_kinds(void **state)
{
        struct slot slot = make_batch();
        struct session_id first = session_filled(0xb6), second = session_filled(0xb8),
                          told = session_filled(0xd1);
        struct slot_member member;
        uint32_t index = 7;

        (void)state;
        assert_true(slot_lands(&slot, &second, &index));
        assert_int_equal(index, 1);
        assert_true(slot_lands(&slot, &first, &index));
        assert_int_equal(index, 0);
        assert_false(slot_lands(&slot, &told, &index));
        assert_true(slot_refuses(&slot, &told));
        assert_false(slot_refuses(&slot, &first));

        slot = (struct slot){.kind = SLOT_LANDING, .session = first, .path_count = 4, .tag = 5};
        assert_int_equal(slot_landing_count(&slot), 1);
        assert_true(slot_lands(&slot, &first, NULL));
        slot_landing_at(&slot, 0, &member, NULL);
        assert_int_equal(member.path_count, 4);
        assert_int_equal(member.tag, 5);

        slot.kind = SLOT_VOID;
        assert_int_equal(slot_landing_count(&slot), 0);
        assert_false(slot_lands(&slot, &first, NULL));
}

/* Members whose records do not fit are an object that the slot names, and that belongs to it. */
static void members_in_a_list_belong_to_the_slot(void **state)
{
        AUTO_ARENA struct arena arena = {0};
        AUTO_BUF struct buf stored = {0};
        AUTO_BUF struct buf list = {0};
        struct slot slot = make_batch(), got;
        uint32_t count;

        (void)state;
        slot.members = NULL;
        slot.members_list = hash_filled(0xa3);
        put_slot(&stored, &slot);
        assert_int_equal(decode_slot(buf_span(&stored)), HIF_OK);
        expect_survives_flips(buf_span(&stored), decode_sealed, 33, FLIP_ROUNDS);
        assert_int_equal(slot_get(buf_span(&stored), POSITION, &arena, &got), HIF_OK);
        assert_null(got.members);
        assert_int_equal(got.member_count, 2);
        assert_true(hash_eq(&got.members_list, &slot.members_list));

        slot_members_put(&list, members, 2);
        assert_int_equal(slot_members_get(buf_span(&list), &arena, &got.members, &count), HIF_OK);
        assert_int_equal(count, 2);
        assert_true(slot_members_fit(&got));
        got.members[0].path_count++;
        assert_false(slot_members_fit(&got));
        got.members[0].path_count--;
        got.members[1].base_position = POSITION;
        assert_false(slot_members_fit(&got));
}

/* The bytes of a list of members are as drawn. */
static void golden_members_list(void **state)
{
        AUTO_BUF struct buf stored = {0};

        (void)state;
        (void)make_batch();
        slot_members_put(&stored, members, 1);
        expect_hex(buf_span(&stored),
                   "48494649 01 03 0000 00000001"
                   "a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6 0000000000007a06"
                   "b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6"
                   "5050505050505050505050505050505050505050505050505050505050505050"
                   "0000000000000006 1122334455667788 00000002"
                   "0003 416e6e 0003 666978");
        expect_whole_only(buf_span(&stored), decode_members);
        expect_survives_flips(buf_span(&stored), decode_members, 34, FLIP_ROUNDS);
}

/* A batch without members, members without a batch, paths that nobody or two have: refused. */
static void hostile_batches_are_refused(void **state)
{
        AUTO_BUF struct buf stored = {0};
        struct slot slot = make_batch();
        struct span bytes;
        const size_t count_at = MEMBERS_AT + 3, first_paths_at = MEMBERS_AT + 4 + 91;

        (void)state;
        put_slot(&stored, &slot);
        bytes = buf_span(&stored);
        assert_int_equal(bytes.data[count_at], 2);
        assert_int_equal(bytes.data[first_paths_at], 2);
        assert_int_equal(decode_sealed(bytes), HIF_OK);
        assert_int_equal(decode_with(bytes, 5, SLOT_LANDING, decode_sealed), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, 5, SLOT_GC, decode_sealed), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, 39, 1, decode_sealed), HIF_ECORRUPT); /* a tag */
        assert_int_equal(decode_with(bytes, 40, 1, decode_sealed), HIF_ECORRUPT); /* a session */
        assert_int_equal(decode_with(bytes, 60, 1, decode_sealed), HIF_ECORRUPT); /* its object */
        assert_int_equal(decode_with(bytes, 95, 1, decode_sealed), HIF_ECORRUPT); /* a base */
        assert_int_equal(decode_with(bytes, count_at, 0, decode_sealed), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, count_at, 1, decode_sealed), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, count_at, 3, decode_sealed), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, count_at - 3, 255, decode_sealed), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, first_paths_at, 1, decode_sealed), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, first_paths_at, 3, decode_sealed), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, 187, 2, decode_sealed), HIF_ECORRUPT);

        slot.member_count = 0;
        slot.members = NULL;
        slot.kind = SLOT_LANDING;
        put_slot(&stored, &slot);
        assert_int_equal(decode_with(buf_span(&stored), 5, SLOT_BATCH, decode_sealed),
                         HIF_ECORRUPT);
}

/* A void may refuse proposals; what is no landing and no void may not. */
static void refused_proposals_lie_in_landings_and_voids(void **state)
{
        AUTO_ARENA struct arena arena = {0};
        AUTO_BUF struct buf stored = {0};
        struct slot got;
        const struct slot empty = {.kind = SLOT_VOID,
                                   .position = POSITION,
                                   .base_position = 8,
                                   .previous = hash_filled(2),
                                   .tree = hash_filled(1),
                                   .tree_entries = 1,
                                   .refused_count = 1,
                                   .refused = refused};

        (void)state;
        (void)make_batch();
        put_slot(&stored, &empty);
        assert_int_equal(slot_get(buf_span(&stored), POSITION, &arena, &got), HIF_OK);
        assert_int_equal(got.refused_count, 1);
        assert_memory_equal(got.refused, refused, sizeof(refused));
        assert_int_equal(decode_with(buf_span(&stored), 5, SLOT_REPAIR, decode_sealed),
                         HIF_ECORRUPT);
        assert_int_equal(decode_with(buf_span(&stored), 197, 31, decode_sealed), HIF_ECORRUPT);
}

/* A long goal is cut, as in a single landing; a long author is refused. */
static void texts_of_members_are_limited(void **state)
{
        AUTO_ARENA struct arena arena = {0};
        AUTO_BUF struct buf stored = {0};
        struct slot slot = make_batch(), got;
        char text[SLOT_GOAL_MAX + 10];

        (void)state;
        memset(text, 'x', sizeof(text));
        members[1].goal = span_of(text, sizeof(text));
        put_slot(&stored, &slot);
        assert_int_equal(slot_get(buf_span(&stored), POSITION, &arena, &got), HIF_OK);
        assert_int_equal(got.members[1].goal.size, SLOT_GOAL_MAX);
        members[1].author = span_of(text, SESSION_AUTHOR_MAX + 1);
        buf_reset(&stored);
        assert_int_equal(slot_put(&stored, &slot), HIF_EINVAL);
}

/* A landing alone is named by its position, one of a batch by both. */
static void landings_have_names(void **state)
{
        char name[LANDING_NAME_SIZE];

        (void)state;
        landing_name(12, 0, name);
        assert_string_equal(name, "@12");
        landing_name(POSITION_MAX, 1024, name);
        assert_string_equal(name, "@999999999999.1024");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(golden_batch),
            cmocka_unit_test(members_round_trip_in_order),
            cmocka_unit_test(one_view_of_all_kinds),
            cmocka_unit_test(members_in_a_list_belong_to_the_slot),
            cmocka_unit_test(golden_members_list),
            cmocka_unit_test(hostile_batches_are_refused),
            cmocka_unit_test(refused_proposals_lie_in_landings_and_voids),
            cmocka_unit_test(texts_of_members_are_limited),
            cmocka_unit_test(landings_have_names),
        };

        return cmocka_run_group_tests_name("landing_batch", tests, NULL, NULL);
}
