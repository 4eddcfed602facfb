/* test_session.c - the stored form of a session. */
#include "core/session.h"
#include "tests/core/codec_check.h"

#define FLIP_ROUNDS 20000
#define OPS_AT      (96 + 2 + 3 + 2 + 8) /* where make_session's operations are counted */

static struct session_op ops[] = {
    {.kind = SESSION_WRITE},
    {.kind = SESSION_RENAME},
};
static struct span decisions[1];
static struct session_message messages[1];

static void make_session(struct session *out)
{
        static uint8_t bits[8] = {0x80, 0, 0, 0, 0, 0, 0, 0x01};

        ops[0].path = span_str("src/a.c");
        ops[0].hash = hash_filled(0x77);
        ops[1].path = span_str("b");
        ops[1].path2 = span_str("d/e");
        decisions[0] = span_str("why");
        messages[0].role = span_str("user");
        messages[0].text = span_str("hi");
        *out = (struct session){
            .state = SESSION_LANDED,
            .origin = 5,
            .base_position = 7,
            .base_slot = hash_filled(0xb5),
            .author = span_str("Ann"),
            .created = 0x0000018000000001,
            .updated = 0x0000018000010000,
            .goal = span_str("fix it!!"),
            .ops = ops,
            .op_count = 2,
            .bloom = {.bits = bits, .bit_count = 64, .item_count = 2},
            .decisions = decisions,
            .decision_count = 1,
            .messages = messages,
            .message_count = 1,
        };
        memset(out->id.bytes, 0x1d, SESSION_ID_SIZE);
}

static void put_session(struct buf *out)
{
        struct session session;

        make_session(&session);
        assert_int_equal(session_put(out, &session), HIF_OK);
}

/* What is accepted is the one encoding of its meaning. */
static enum hif_err decode(struct span stored)
{
        AUTO_ARENA struct arena arena = {0};
        AUTO_BUF struct buf again = {0};
        struct session session;
        enum hif_err err = session_get(stored, &arena, &session);

        if (err)
                return err;
        assert_int_equal(session_put(&again, &session), HIF_OK);
        assert_true(span_eq(buf_span(&again), stored));
        return HIF_OK;
}

/* The bytes are as drawn. */
static void golden_session(void **state)
{
        AUTO_BUF struct buf stored = {0};

        (void)state;
        put_session(&stored);
        expect_hex(buf_span(&stored),
                   "48494653 00000001"
                   "1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d"
                   "02 000000 00000000"
                   "0000000000000007 0000000000000005"
                   "0000018000000001 0000018000010000"
                   "b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5"
                   "0003 416e6e"
                   "0008 6669782069742121"
                   "00000002"
                   "02 0007 7372632f612e63"
                   "7777777777777777777777777777777777777777777777777777777777777777"
                   "04 0001 62 0003 642f65"
                   "0000000000000000000000000000000000000000000000000000000000000000"
                   "00000040 00000002 8000000000000001"
                   "00000001 00000003 776879"
                   "00000001 0004 75736572 00000002 6869");
}

/* Every field comes back. */
static void session_round_trips(void **state)
{
        AUTO_ARENA struct arena arena = {0};
        AUTO_BUF struct buf stored = {0};
        struct session want, got;

        (void)state;
        make_session(&want);
        put_session(&stored);
        assert_int_equal(session_get(buf_span(&stored), &arena, &got), HIF_OK);
        assert_true(session_id_eq(&got.id, &want.id));
        assert_int_equal(got.state, SESSION_LANDED);
        assert_int_equal(got.origin, 5);
        assert_int_equal(got.base_position, 7);
        assert_true(hash_eq(&got.base_slot, &want.base_slot));
        assert_true(span_eq(got.author, want.author));
        assert_true(span_eq(got.goal, want.goal));
        assert_int_equal(got.created, want.created);
        assert_int_equal(got.updated, want.updated);
        assert_int_equal(got.op_count, 2);
        assert_int_equal(got.ops[1].kind, SESSION_RENAME);
        assert_true(span_eq(got.ops[0].path, want.ops[0].path));
        assert_int_equal(got.ops[0].path2.size, 0);
        assert_true(span_eq(got.ops[1].path2, want.ops[1].path2));
        assert_true(hash_eq(&got.ops[0].hash, &want.ops[0].hash));
        assert_int_equal(got.bloom.bit_count, 64);
        assert_int_equal(got.bloom.item_count, 2);
        assert_true(span_eq(got.decisions[0], want.decisions[0]));
        assert_true(span_eq(got.messages[0].role, want.messages[0].role));
        assert_true(span_eq(got.messages[0].text, want.messages[0].text));
}

/* A session that only just began is a session. */
static void empty_session_round_trips(void **state)
{
        struct session session = {.state = SESSION_OPEN};
        AUTO_BUF struct buf stored = {0};

        (void)state;
        assert_int_equal(session_put(&stored, &session), HIF_OK);
        assert_int_equal(stored.size, 64 + 32 + 2 + 2 + 4 + 8 + 4 + 4);
        expect_whole_only(buf_span(&stored), decode);
}

/* A count is held against what is left to read before anything is allocated for it. */
static void counts_are_limited_before_allocation(void **state)
{
        AUTO_BUF struct buf stored = {0};
        AUTO_ARENA struct arena arena = {0};
        struct session got;

        (void)state;
        put_session(&stored);
        buf_set_u32(&stored, OPS_AT, UINT32_MAX);
        assert_int_equal(session_get(buf_span(&stored), &arena, &got), HIF_ECORRUPT);
        assert_int_equal(arena.used, 0);
        buf_set_u32(&stored, OPS_AT, 2);
        buf_set_u32(&stored, OPS_AT + 4 + 42 + 39, 0xffffffc0); /* bits of the bloom */
        assert_int_equal(session_get(buf_span(&stored), &arena, &got), HIF_ECORRUPT);
        assert_true(arena.used < 4096);
}

static enum hif_err get_with_path(const char *path)
{
        AUTO_BUF struct buf stored = {0};
        uint8_t *at;

        put_session(&stored);
        assert_int_equal(strlen(path), 7);
        at = memmem(stored.data, stored.size, "src/a.c", 7);
        assert_non_null(at);
        memcpy(at, path, 7);
        return decode(buf_span(&stored));
}

/* A path from a store never leads anywhere but below the root. */
static void hostile_paths_are_refused(void **state)
{
        (void)state;
        assert_int_equal(get_with_path("src/b.c"), HIF_OK);
        assert_int_equal(get_with_path("../../x"), HIF_ECORRUPT);
        assert_int_equal(get_with_path("src/../"), HIF_ECORRUPT);
        assert_int_equal(get_with_path("src/..c"), HIF_OK);
        assert_int_equal(get_with_path("/rc/a.c"), HIF_ECORRUPT);
        assert_int_equal(get_with_path("src//.c"), HIF_ECORRUPT);
        assert_int_equal(get_with_path("src/a./"), HIF_ECORRUPT);
        assert_int_equal(get_with_path("./c/a.c"), HIF_ECORRUPT);
}

/* A path with a NUL, an unknown state or operation, positions that no slot can have: refused. */
static void hostile_fields_are_refused(void **state)
{
        AUTO_BUF struct buf stored = {0};
        struct span bytes;

        (void)state;
        put_session(&stored);
        bytes = buf_span(&stored);
        assert_int_equal(decode_with(bytes, 0, 'h', decode), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, 7, 2, decode), HIF_EUNSUPPORTED);
        assert_int_equal(decode_with(bytes, 31, 1, decode), HIF_EUNSUPPORTED);
        assert_int_equal(decode_with(bytes, 24, 0, decode), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, 24, 5, decode), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, 25, 1, decode), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, 32, 1, decode), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, 40, 1, decode), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, OPS_AT + 4, 0, decode), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, OPS_AT + 4, 10, decode), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, OPS_AT + 6, 0, decode), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, OPS_AT + 7, 0, decode), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, 96, 0xff, decode), HIF_ECORRUPT); /* author too long */
}

/* Texts of people are refused when too long, with an error and not by an assertion. */
static void long_texts_are_refused(void **state)
{
        AUTO_FREE char *text = calloc(1, SESSION_TEXT_MAX + 1);
        AUTO_BUF struct buf out = {0};
        struct session session;

        (void)state;
        assert_non_null(text);
        make_session(&session);
        session.goal = span_of(text, SESSION_GOAL_MAX + 1);
        assert_int_equal(session_put(&out, &session), HIF_EINVAL);
        session.goal.size--;
        assert_int_equal(session_put(&out, &session), HIF_OK);
        session.author = span_of(text, SESSION_AUTHOR_MAX + 1);
        assert_int_equal(session_put(&out, &session), HIF_EINVAL);
        session.author.size--;
        messages[0].role = span_of(text, SESSION_ROLE_MAX + 1);
        assert_int_equal(session_put(&out, &session), HIF_EINVAL);
        messages[0].role.size--;
        messages[0].text = span_of(text, SESSION_TEXT_MAX + 1);
        assert_int_equal(session_put(&out, &session), HIF_EINVAL);
        messages[0].text.size--;
        decisions[0] = span_of(text, SESSION_TEXT_MAX + 1);
        assert_int_equal(session_put(&out, &session), HIF_EINVAL);
        decisions[0].size--;
        buf_reset(&out);
        assert_int_equal(session_put(&out, &session), HIF_OK);
        assert_int_equal(decode(buf_span(&out)), HIF_OK);
}

/* A part of a session, or one with a tail, is none; flipped bits never crash, and what they leave
 * acceptable is a session that would be written just so. */
static void session_is_read_whole_only(void **state)
{
        AUTO_BUF struct buf stored = {0};

        (void)state;
        put_session(&stored);
        expect_whole_only(buf_span(&stored), decode);
        expect_survives_flips(buf_span(&stored), decode, 11, FLIP_ROUNDS);
}

/* Ids are 32 lower-case digits, and nothing else. */
static void id_is_printed_and_read(void **state)
{
        struct session_id id = {{0x00, 0x1f, 0xab}}, got;
        char hex[SESSION_ID_HEX_SIZE];

        (void)state;
        session_id_to_hex(&id, hex);
        assert_string_equal(hex, "001fab00000000000000000000000000");
        assert_true(session_id_from_hex(span_str(hex), &got));
        assert_true(session_id_eq(&id, &got));
        assert_false(session_id_from_hex(span_str("001fab0000000000000000000000000"), &got));
        assert_false(session_id_from_hex(span_str("001fab000000000000000000000000000"), &got));
        assert_false(session_id_from_hex(span_str("001FAB00000000000000000000000000"), &got));
        assert_false(session_id_from_hex(span_str("001fab0000000000000000000000000g"), &got));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(golden_session),
            cmocka_unit_test(session_round_trips),
            cmocka_unit_test(empty_session_round_trips),
            cmocka_unit_test(counts_are_limited_before_allocation),
            cmocka_unit_test(hostile_paths_are_refused),
            cmocka_unit_test(hostile_fields_are_refused),
            cmocka_unit_test(long_texts_are_refused),
            cmocka_unit_test(session_is_read_whole_only),
            cmocka_unit_test(id_is_printed_and_read),
        };

        return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
