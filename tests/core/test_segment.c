/* test_segment.c - a thousand slots in one object. */
#include "core/landing_check.h"
#include "core/segment.h"
#include "tests/core/codec_check.h"
#include "tests/core/segment_rows.h"

#define START 2000u

struct fixture {
        struct rows rows;
        struct segment segment;
        struct body_codec *codec;
        struct buf stored;
};

static struct body_codec *shared_codec; /* for decoders, which take no argument */

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        f->codec = shared_codec = body_codec_new(3);
        f->segment = rows_segment(&f->rows, START);
        assert_int_equal(segment_put(f->codec, &f->segment, &f->stored), HIF_OK);
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        buf_free(&f->stored);
        body_codec_free(f->codec);
        free(f);
        return 0;
}

static enum hif_err decode(struct span stored)
{
        AUTO_ARENA struct arena arena = {0};
        struct segment segment;

        return segment_get(shared_codec, stored, START, &arena, &segment);
}

static void expect_member(const struct slot_member *got, const struct slot_member *want)
{
        assert_int_equal(got->tag, want->tag);
        assert_int_equal(got->wall_ns, want->wall_ns);
        assert_int_equal(got->path_count, want->path_count);
        assert_int_equal(got->base_position, want->base_position);
        assert_true(session_id_eq(&got->session, &want->session));
        assert_true(span_eq(got->author, want->author));
        assert_true(span_eq(got->goal, want->goal));
}

/* What a reader of history wants of slots comes back. */
static void rows_come_back(void **state)
{
        struct fixture *f = *state;
        AUTO_ARENA struct arena arena = {0};
        struct segment got;

        assert_int_equal(segment_get(f->codec, buf_span(&f->stored), START, &arena, &got), HIF_OK);
        assert_true(hash_eq(&got.window.end, &f->segment.window.end));
        for (uint32_t i = 0; i < SEGMENT_SLOTS; i++) {
                const struct slot *want = &f->rows.rows[i].slot, *slot = &got.rows[i].slot;

                assert_int_equal(slot->position, START + i);
                assert_int_equal(slot->kind, want->kind);
                assert_true(hash_eq(&slot->tree, &want->tree));
                assert_true(hash_eq(&got.rows[i].hash, &f->rows.rows[i].hash));
                assert_int_equal(slot->tree_entries, want->tree_entries);
                assert_int_equal(slot->hlc, want->hlc);
                assert_int_equal(slot->refused_count, want->refused_count);
                assert_int_equal(slot_landing_count(slot), slot_landing_count(want));
                for (uint32_t k = 0; k < slot_landing_count(slot); k++) {
                        struct slot_member a, b;

                        slot_landing_at(slot, k, &a, NULL);
                        slot_landing_at(want, k, &b, NULL);
                        expect_member(&a, &b);
                }
        }
        assert_true(hash_eq(&got.rows[0].slot.previous, &f->segment.window.before));
        assert_true(hash_eq(&got.rows[7].slot.previous, &got.rows[6].hash));
        assert_true(slot_refuses(&got.rows[ROW_BATCH].slot, &f->rows.refused[0].session));
}

/* The bytes before compression are part of the format: head, then the first row. */
static void golden_rows(void **state)
{
        struct fixture *f = *state;
        AUTO_BUF struct buf content = {0};
        struct hif_hash hash;
        char hex[HIF_HASH_HEX_SIZE];

        assert_int_equal(segment_content(f->codec, buf_span(&f->stored), START, &content), HIF_OK);
        expect_hex(span_of(content.data, 88 + 89 + 48 + 3 + 6),
                   "48494644 01 01 0000 00000000000007d0 0000000000000bb7"
                   "00000000000007cf 515151515151515151515151515151515151515151515151"
                   "0000000000000bb7 515151515151515151515151515151515151515151515151"
                   "01 00000000000007d0 515151515151515151515151515151515151515151515151"
                   "0000000000000000 333333333333333333333333333333333333333333333333"
                   "000000000000000a 018bcfe568000000 00000000 0000 0000"
                   "00000000000000000000000000000000 0000000000007a00 00000000000007cf"
                   "17979cfe362a0000 00000000 0003 0006 416e6e 676f616c2030");
        hash = hash_of(HASH_BLOB, buf_span(&content));
        hash_to_hex(&hash, hex);
        assert_string_equal(hex,
                            "ac8fa0366193b27a79b735d0967aaca1314eb83f6afc96056539529afca5c822");
}

/* Not one bit of it can change without being told of. */
static void damage_is_told(void **state)
{
        struct fixture *f = *state;

        for (size_t at = 0; at < f->stored.size; at += 1 + at / 64)
                assert_int_not_equal(decode_with(buf_span(&f->stored), at,
                                                 (uint8_t)(f->stored.data[at] ^ 0x10), decode),
                                     HIF_OK);
        assert_int_equal(decode(span_of(f->stored.data, f->stored.size - 1)), HIF_ECORRUPT);
        expect_survives_flips(buf_span(&f->stored), decode, 7, 300);
}

/* A segment under another's key is none. */
static void another_start_is_refused(void **state)
{
        struct fixture *f = *state;
        AUTO_ARENA struct arena arena = {0};
        struct segment got;

        assert_int_equal(
            segment_get(f->codec, buf_span(&f->stored), START + SEGMENT_SLOTS, &arena, &got),
            HIF_ECORRUPT);
}

/* What is too long for one is not cut: there is none. */
static void too_large_is_refused(void **state)
{
        struct fixture *f = *state;
        AUTO_BUF struct buf out = {0};
        AUTO_FREE struct slot_member *many = calloc(SLOT_MEMBERS_MAX, sizeof(*many));
        static char goal[SLOT_GOAL_MAX];

        assert_non_null(many);
        for (uint32_t i = 0; i < SLOT_MEMBERS_MAX; i++)
                many[i].goal = span_of(goal, sizeof(goal));
        for (uint32_t i = 0; i < SEGMENT_SLOTS; i++) {
                struct slot *slot = &f->rows.rows[i].slot;

                slot->kind = SLOT_BATCH;
                slot->members = many;
                slot->member_count = SLOT_MEMBERS_MAX;
        }
        assert_int_equal(segment_put(f->codec, &f->segment, &out), HIF_ELIMIT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(rows_come_back, setup, teardown),
            cmocka_unit_test_setup_teardown(golden_rows, setup, teardown),
            cmocka_unit_test_setup_teardown(damage_is_told, setup, teardown),
            cmocka_unit_test_setup_teardown(another_start_is_refused, setup, teardown),
            cmocka_unit_test_setup_teardown(too_large_is_refused, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
