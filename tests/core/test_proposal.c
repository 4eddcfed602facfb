/* test_proposal.c - what a session would land. */
#include "core/landing_check.h"
#include "core/proposal.h"
#include "tests/core/codec_check.h"

#define FLIP_ROUNDS 20000
#define FIELDS_AT   160

static struct proposal_change changes[4];
static struct slot_object objects[1];

/* In the order of their keys: top-level names go by their hashes. */
static struct proposal make_proposal(void)
{
        struct proposal proposal = {.tag = {.id = 0x7a67, .position = 7},
                                    .session_object = hash_filled(0x50),
                                    .origin = 5,
                                    .base_position = 6,
                                    .base_slot = hash_filled(0x88),
                                    .hlc = 0x10000,
                                    .wall_ns = 0x99,
                                    .author = span_str("Ann"),
                                    .goal = span_str("fix"),
                                    .change_count = 4,
                                    .changes = changes,
                                    .object_count = 1,
                                    .objects = objects};

        changes[0] = (struct proposal_change){
            .path = span_str("d"), .entry = {.kind = ENTRY_DIR, .mtime = {.sec = 1, .nsec = 2}}};
        changes[1] = (struct proposal_change){
            .path = span_str("d/a"),
            .path_from = span_str("b"),
            .entry = {.kind = ENTRY_EXEC,
                      .size = 3,
                      .hash = hash_filled(0x11),
                      .loc = {.pack = hash_filled(0x22), .offset = 64, .size = 12}}};
        changes[2] = (struct proposal_change){.path = span_str("d/c/l"),
                                              .entry = {.kind = ENTRY_SYMLINK,
                                                        .size = 1,
                                                        .target = span_str("x"),
                                                        .hash = hash_of(HASH_BLOB, span_str("x"))}};
        changes[3] = (struct proposal_change){.remove = true, .path = span_str("e/f")};
        objects[0] = (struct slot_object){.kind = SLOT_PACK, .hash = hash_filled(0x22)};
        memset(proposal.landing_id, 0xad, LANDING_ID_SIZE);
        memset(proposal.session.bytes, 0x1d, SESSION_ID_SIZE);
        return proposal;
}

static void put(struct buf *out, const struct proposal *proposal)
{
        buf_reset(out);
        assert_int_equal(proposal_put(out, proposal), HIF_OK);
}

static enum hif_err decode(struct span stored)
{
        AUTO_ARENA struct arena arena = {0};
        AUTO_BUF struct buf again = {0};
        struct proposal proposal;
        enum hif_err err = proposal_get(stored, &arena, &proposal);

        if (err)
                return err;
        assert_int_equal(proposal_put(&again, &proposal), HIF_OK);
        assert_true(again.size <= stored.size);
        return HIF_OK;
}

static enum hif_err decode_sealed(struct span stored)
{
        AUTO_BUF struct buf sealed = {0};

        buf_put(&sealed, stored.data, stored.size - LANDING_CHECK_SIZE);
        landing_check_put(&sealed, 0);
        return decode_exact(buf_span(&sealed), decode);
}

static enum hif_err decode_changes(struct span stored)
{
        AUTO_ARENA struct arena arena = {0};
        struct proposal_change *list;
        uint32_t count;

        return proposal_changes_get(stored, &arena, &list, &count);
}

/* The bytes are as drawn. */
static void golden_proposal(void **state)
{
        AUTO_BUF struct buf stored = {0};
        struct proposal proposal = make_proposal();

        (void)state;
        put(&stored, &proposal);
        expect_hex(buf_span(&stored),
                   "48494652 01 000000"
                   "adadadadadadadadadadadadadadadad"
                   "0000000000007a67 0000000000000007"
                   "1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d"
                   "5050505050505050505050505050505050505050505050505050505050505050"
                   "0000000000000005 0000000000000006"
                   "8888888888888888888888888888888888888888888888888888888888888888"
                   "0000000000010000 0000000000000099 00000004 00000001"
                   "0001 00000003 416e6e"
                   "0002 00000003 666978"
                   "0003 00000098"
                   "04 0001 64 0000 0000000000000001 00000002"
                   "02 0003 642f61 0001 62 0000000000000000 00000000 0000000000000003"
                   "1111111111111111111111111111111111111111111111111111111111111111"
                   "0000000c 00000040"
                   "2222222222222222222222222222222222222222222222222222222222222222"
                   "03 0005 642f632f6c 0000 0000000000000000 00000000 0001 78"
                   "00 0003 652f66 0000"
                   "0005 00000021"
                   "03 2222222222222222222222222222222222222222222222222222222222222222"
                   "b05c8a2381c23833");
        expect_whole_only(buf_span(&stored), decode);
        expect_survives_flips(buf_span(&stored), decode_sealed, 41, FLIP_ROUNDS);
}

/* Every field comes back. */
static void proposal_round_trips(void **state)
{
        AUTO_ARENA struct arena arena = {0};
        AUTO_BUF struct buf stored = {0};
        struct proposal want = make_proposal(), got;

        (void)state;
        put(&stored, &want);
        assert_int_equal(proposal_get(buf_span(&stored), &arena, &got), HIF_OK);
        assert_memory_equal(got.landing_id, want.landing_id, LANDING_ID_SIZE);
        assert_int_equal(got.tag.id, want.tag.id);
        assert_int_equal(got.tag.position, 7);
        assert_true(session_id_eq(&got.session, &want.session));
        assert_int_equal(got.origin, 5);
        assert_int_equal(got.base_position, 6);
        assert_true(hash_eq(&got.base_slot, &want.base_slot));
        assert_int_equal(got.hlc, want.hlc);
        assert_true(span_eq(got.goal, want.goal));
        assert_int_equal(got.change_count, 4);
        for (int i = 0; i < 3; i++)
                assert_true(entry_identical(&got.changes[i].entry, &changes[i].entry));
        assert_true(got.changes[3].remove);
        assert_true(span_eq(got.changes[1].path_from, span_str("b")));
        assert_int_equal(got.objects[0].kind, SLOT_PACK);
}

/* What a store may hold and no author writes: refused. */
static void hostile_proposals_are_refused(void **state)
{
        AUTO_BUF struct buf stored = {0};
        struct proposal proposal = make_proposal();
        struct span bytes;

        (void)state;
        put(&stored, &proposal);
        bytes = buf_span(&stored);
        assert_int_equal(decode_with(bytes, 0, 'h', decode), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, 4, 2, decode), HIF_EUNSUPPORTED);
        assert_int_equal(decode_with(bytes, 5, 1, decode_sealed), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, 39, 6, decode_sealed), HIF_ECORRUPT); /* at its base */
        assert_int_equal(decode_with(bytes, 155, 3, decode_sealed), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, 155, 0, decode_sealed), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, 152, 255, decode_sealed), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, 159, 2, decode_sealed), HIF_ECORRUPT);
        /* A path that is none, and one out of order: "d" becomes "/", "d/a" becomes "z/a". */
        assert_int_equal(decode_with(bytes, FIELDS_AT + 27, '/', decode_sealed), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, FIELDS_AT + 45, 'z', decode_sealed), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, FIELDS_AT + 1, 9, decode_sealed), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, FIELDS_AT, 0x80, decode_sealed), HIF_EUNSUPPORTED);
}

/* Lists in objects are named and counted; what is over the size says so. */
static void long_proposals_name_their_lists(void **state)
{
        AUTO_ARENA struct arena arena = {0};
        AUTO_BUF struct buf stored = {0};
        AUTO_BUF struct buf list = {0};
        AUTO_FREE struct slot_object *many = calloc(4000, sizeof(*many));
        struct proposal proposal = make_proposal(), got;
        struct proposal_change *got_changes;
        uint32_t count;

        (void)state;
        assert_non_null(many);
        for (size_t i = 0; i < 4000; i++)
                many[i] = objects[0];
        proposal.objects = many;
        proposal.object_count = 4000;
        assert_int_equal(proposal_put(&stored, &proposal), HIF_ELIMIT);
        assert_int_equal(stored.size, 0);
        proposal.objects = NULL;
        proposal.objects_list = hash_filled(0xa2);
        proposal.changes = NULL;
        proposal.changes_list = hash_filled(0xa1);
        put(&stored, &proposal);
        assert_int_equal(proposal_get(buf_span(&stored), &arena, &got), HIF_OK);
        assert_null(got.changes);
        assert_int_equal(got.change_count, 4);
        assert_int_equal(got.object_count, 4000);
        assert_true(hash_eq(&got.changes_list, &proposal.changes_list));

        proposal_changes_put(&list, changes, 4);
        assert_int_equal(list.data[5], 4);
        assert_int_equal(proposal_changes_get(buf_span(&list), &arena, &got_changes, &count),
                         HIF_OK);
        assert_int_equal(count, 4);
        expect_whole_only(buf_span(&list), decode_changes);
        expect_survives_flips(buf_span(&list), decode_changes, 42, FLIP_ROUNDS);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(golden_proposal),
            cmocka_unit_test(proposal_round_trips),
            cmocka_unit_test(hostile_proposals_are_refused),
            cmocka_unit_test(long_proposals_name_their_lists),
        };

        return cmocka_run_group_tests_name("proposal", tests, NULL, NULL);
}
