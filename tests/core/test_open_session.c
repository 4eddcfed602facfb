/* test_open_session.c - the stored form of an open session's record. */
#include "core/layout.h"
#include "core/open_session.h"
#include "tests/core/codec_check.h"

#define FLIP_ROUNDS 20000

static struct open_session make_record(void)
{
        struct open_session record = {
            .state = SESSION_OPEN,
            .held = true,
            .changed = true,
            .revision = 3,
            .base_position = 7,
            .origin = 5,
            .base_slot = hash_filled(0xb5),
            .tree = hash_filled(0x77),
            .object = hash_filled(0x0b),
            .created_ns = 1,
            .held_ns = 2,
            .updated_ns = 3,
            .published_ns = 4,
            .author = span_str("Ann"),
            .holder_name = span_str("ann@pc"),
            .name = span_str("fix"),
            .goal = span_str("fix it!!"),
        };

        memset(record.id.bytes, 0x1d, SESSION_ID_SIZE);
        memset(record.holder, 0x40, OPEN_HOLDER_SIZE);
        memset(record.token, 0x70, OPEN_HOLDER_SIZE);
        return record;
}

static void put_record(struct buf *out)
{
        struct open_session record = make_record();

        assert_int_equal(open_session_put(out, &record), HIF_OK);
}

static enum hif_err decode(struct span stored)
{
        AUTO_BUF struct buf again = {0};
        struct open_session record;
        enum hif_err err = open_session_get(stored, &record);

        if (err)
                return err;
        assert_int_equal(open_session_put(&again, &record), HIF_OK);
        assert_true(span_eq(buf_span(&again), stored));
        return HIF_OK;
}

/* The bytes are as drawn. */
static void golden_record(void **state)
{
        AUTO_BUF struct buf stored = {0};

        (void)state;
        put_record(&stored);
        expect_hex(buf_span(&stored),
                   "4849464f 00000001 00000000 01 03 0000"
                   "0000000000000003"
                   "1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d"
                   "40404040404040404040404040404040"
                   "70707070707070707070707070707070"
                   "0000000000000007 0000000000000005"
                   "b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5"
                   "7777777777777777777777777777777777777777777777777777777777777777"
                   "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"
                   "0000000000000001 0000000000000002 0000000000000003 0000000000000004"
                   "0003 416e6e 0006 616e6e407063 0003 666978 0008 6669782069742121"
                   "d8f267a738eaf0a1");
        assert_int_equal(decode(buf_span(&stored)), HIF_OK);
}

/* A changed bit, a missing byte and a byte too many are noticed. */
static void damage_is_noticed(void **state)
{
        AUTO_BUF struct buf stored = {0};

        (void)state;
        put_record(&stored);
        expect_whole_only(buf_span(&stored), decode);
        expect_survives_flips(buf_span(&stored), decode, 12, FLIP_ROUNDS);
        for (size_t bit = 0; bit < stored.size * 8; bit++) {
                stored.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
                assert_int_not_equal(decode(buf_span(&stored)), HIF_OK);
                stored.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
}

/* A newer version is told apart from damage. */
static void newer_version_is_unsupported(void **state)
{
        AUTO_BUF struct buf stored = {0};

        (void)state;
        put_record(&stored);
        stored.data[7] = 2;
        assert_int_equal(decode(buf_span(&stored)), HIF_EUNSUPPORTED);
}

/* The longest texts fit what a conditional write may replace; a goal is cut between characters. */
static void longest_texts_fit(void **state)
{
        AUTO_BUF struct buf stored = {0};
        struct open_session record = make_record(), got;
        static char text[SESSION_GOAL_MAX];

        (void)state;
        memset(text, 'x', sizeof(text));
        memcpy(text + OPEN_GOAL_MAX - 1, "\xc3\xa9", 2);
        record.author = span_of(text, SESSION_AUTHOR_MAX);
        record.holder_name = span_of(text, OPEN_HOLDER_NAME_MAX);
        record.name = span_of(text, OPEN_NAME_MAX);
        record.goal = span_of(text, SESSION_GOAL_MAX);
        assert_int_equal(open_session_put(&stored, &record), HIF_OK);
        assert_true(stored.size <= OPEN_SESSION_SIZE_MAX);
        assert_int_equal(open_session_get(buf_span(&stored), &got), HIF_OK);
        assert_int_equal(got.goal.size, OPEN_GOAL_MAX - 1);
        buf_reset(&stored);
        record.holder_name.size++;
        assert_int_equal(open_session_put(&stored, &record), HIF_EINVAL);
}

/* One key a session. */
static void key_names_the_session(void **state)
{
        struct open_session record = make_record();
        struct layout layout;
        struct layout_key key;
        struct hif_why why;

        (void)state;
        assert_int_equal(layout_init(&layout, "acme/app", &why), HIF_OK);
        key = layout_open_session(&layout, &record.id);
        assert_string_equal(key.text,
                            "projects/acme/app/open-sessions/1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(golden_record),
            cmocka_unit_test(damage_is_noticed),
            cmocka_unit_test(newer_version_is_unsupported),
            cmocka_unit_test(longest_texts_fit),
            cmocka_unit_test(key_names_the_session),
        };

        return cmocka_run_group_tests_name("open session", tests, NULL, NULL);
}
