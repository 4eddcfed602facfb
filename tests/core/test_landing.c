/* test_landing.c - format, head, slots and their lists. */
#include "core/landing.h"
#include "core/landing_check.h"
#include "tests/core/codec_check.h"

#define FLIP_ROUNDS 20000
#define FIELDS_AT   192
#define POSITION    9

static struct project_format make_format(void)
{
        struct project_format format = {
            .tree = {.leaf_min = 16,
                     .leaf_mean = 64,
                     .leaf_max = 128,
                     .inner_min = 32,
                     .inner_mean = 100,
                     .inner_max = 200,
                     .seed = 0x5eed},
            .features_optional = 2,
        };

        memset(format.project_id, 0x9d, sizeof(format.project_id));
        return format;
}

static struct slot_path paths[] = {{.kind = SLOT_CHANGED}, {.kind = SLOT_RENAMED}};
static struct slot_object objects[] = {{.kind = SLOT_NODE}, {.kind = SLOT_PACK}};

static struct slot make_slot(void)
{
        static uint8_t bits[8] = {0x80, 0, 0, 0, 0, 0, 0, 0x01};
        struct slot slot = {
            .kind = SLOT_LANDING,
            .position = POSITION,
            .tag = 0x7a67,
            .session_object = hash_filled(0x50),
            .base_position = 6,
            .previous = hash_filled(0x88),
            .tree = hash_filled(0x33),
            .tree_entries = 1000,
            .hlc = 0x0000018000000001,
            .wall_ns = 0x1122334455667788,
            .author = span_str("Ann"),
            .goal = span_str("fix it"),
            .path_count = 2,
            .paths = paths,
            .object_count = 2,
            .objects = objects,
            .bloom = {.bits = bits, .bit_count = 64, .item_count = 2},
        };

        paths[0].path = span_str("src/a.c");
        paths[1].path = span_str("d/e");
        paths[1].path_from = span_str("b");
        objects[0].hash = hash_filled(0x33);
        objects[1].hash = hash_filled(0x44);
        memset(slot.landing_id, 0xad, sizeof(slot.landing_id));
        memset(slot.session.bytes, 0x1d, sizeof(slot.session.bytes));
        return slot;
}

static void put_slot(struct buf *out)
{
        struct slot slot = make_slot();

        assert_int_equal(slot_put(out, &slot), HIF_OK);
}

static enum hif_err decode_format(struct span stored)
{
        struct project_format format;

        return format_get(stored, &format);
}

static enum hif_err decode_head(struct span stored)
{
        struct head head;

        return head_get(stored, &head);
}

/* What is accepted can be written again; exactly so when it has no fields that we do not know. */
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
static enum hif_err decode_sealed(struct span stored, codec_decode *decode)
{
        AUTO_BUF struct buf sealed = {0};

        assert_true(stored.size > LANDING_CHECK_SIZE);
        buf_put(&sealed, stored.data, stored.size - LANDING_CHECK_SIZE);
        landing_check_put(&sealed, 0);
        return decode_exact(buf_span(&sealed), decode);
}

static enum hif_err decode_sealed_slot(struct span stored)
{
        return decode_sealed(stored, decode_slot);
}

static enum hif_err decode_sealed_format(struct span stored)
{
        return decode_sealed(stored, decode_format);
}

/* Not one bit can change without being told of: any answer but an error is wrong. */
static void expect_every_flip_is_told(struct span stored, codec_decode *decode)
{
        AUTO_FREE uint8_t *copy = malloc(stored.size);

        assert_non_null(copy);
        memcpy(copy, stored.data, stored.size);
        for (size_t bit = 0; bit < stored.size * 8; bit++) {
                enum hif_err err;

                copy[bit / 8] ^= (uint8_t)(1u << (bit & 7));
                err = decode(span_of(copy, stored.size));
                copy[bit / 8] ^= (uint8_t)(1u << (bit & 7));
                if (err != HIF_ECORRUPT && err != HIF_EUNSUPPORTED)
                        print_error("bit %zu: %s\n", bit, hif_err_name(err));
                assert_true(err == HIF_ECORRUPT || err == HIF_EUNSUPPORTED);
        }
}

static enum hif_err decode_paths(struct span stored)
{
        AUTO_ARENA struct arena arena = {0};
        struct slot_path *list;
        uint32_t count;

        return slot_paths_get(stored, &arena, &list, &count);
}

static enum hif_err decode_objects(struct span stored)
{
        AUTO_ARENA struct arena arena = {0};
        struct slot_object *list;
        uint32_t count;

        return slot_objects_get(stored, &arena, &list, &count);
}

/* --- format and head --- */

/* The bytes are as drawn, and come back. */
static void golden_format(void **state)
{
        struct project_format want = make_format(), got;
        AUTO_BUF struct buf stored = {0};

        (void)state;
        format_put(&stored, &want);
        expect_hex(buf_span(&stored), "48494646 0001 0000"
                                      "9d9d9d9d9d9d9d9d9d9d9d9d9d9d9d9d"
                                      "0000000000000000 0000000000000002"
                                      "0000000000005eed"
                                      "0010 0040 0080 0020 0064 00c8"
                                      "00040000 00100000 00400000"
                                      "88580ba1652b57e8");
        assert_int_equal(format_get(buf_span(&stored), &got), HIF_OK);
        assert_memory_equal(got.project_id, want.project_id, sizeof(got.project_id));
        assert_int_equal(got.features_required, 0);
        assert_int_equal(got.features_optional, 2);
        assert_int_equal(got.tree.seed, 0x5eed);
        assert_int_equal(got.tree.leaf_min, 16);
        assert_int_equal(got.tree.leaf_mean, 64);
        assert_int_equal(got.tree.leaf_max, 128);
        assert_int_equal(got.tree.inner_min, 32);
        assert_int_equal(got.tree.inner_mean, 100);
        assert_int_equal(got.tree.inner_max, 200);
}

/* A project that needs what we lack is refused as such, and not as damaged. */
static void newer_format_is_unsupported(void **state)
{
        struct project_format format = make_format();
        AUTO_BUF struct buf stored = {0};
        struct span bytes;

        (void)state;
        format_put(&stored, &format);
        bytes = buf_span(&stored);
        assert_int_equal(decode_with(bytes, 5, 2, decode_format), HIF_EUNSUPPORTED);
        assert_int_equal(decode_with(bytes, 31, 1, decode_sealed_format), HIF_EUNSUPPORTED);
        assert_int_equal(decode_with(bytes, 39, 0xff, decode_sealed_format), HIF_OK);
        assert_int_equal(decode_with(bytes, 61, 8, decode_sealed_format), HIF_EUNSUPPORTED);
        assert_int_equal(decode_with(bytes, 0, 'h', decode_format), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, 7, 1, decode_sealed_format), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, 48, 0xff, decode_sealed_format), HIF_ECORRUPT);
        expect_whole_only(bytes, decode_format);
        expect_survives_flips(bytes, decode_sealed_format, 21, FLIP_ROUNDS);
}

/* Nothing names the format by its hash: it tells of every changed bit itself. */
static void every_flip_in_a_format_is_told(void **state)
{
        struct project_format format = make_format();
        AUTO_BUF struct buf stored = {0};

        (void)state;
        format_put(&stored, &format);
        expect_every_flip_is_told(buf_span(&stored), decode_format);
        /* Also where it would be refused for another reason, once the version is ours. */
        assert_int_equal(decode_with(buf_span(&stored), 31, 1, decode_format), HIF_ECORRUPT);
        assert_int_equal(decode_with(buf_span(&stored), 61, 8, decode_format), HIF_ECORRUPT);
}

/* Head is exactly 48 bytes. */
static void golden_head(void **state)
{
        const struct head head = {.position = 77, .tree = hash_filled(0xee), .hlc = 0x10000};
        AUTO_BUF struct buf stored = {0};
        struct head got;

        (void)state;
        head_put(&stored, &head);
        assert_int_equal(stored.size, HEAD_SIZE);
        expect_hex(buf_span(&stored),
                   "000000000000004d"
                   "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"
                   "0000000000010000");
        assert_int_equal(head_get(buf_span(&stored), &got), HIF_OK);
        assert_int_equal(got.position, 77);
        assert_true(hash_eq(&got.tree, &head.tree));
        assert_int_equal(got.hlc, 0x10000);
        expect_whole_only(buf_span(&stored), decode_head);
        assert_int_equal(decode_with(buf_span(&stored), 0, 1, decode_head), HIF_ECORRUPT);
}

/* --- slots --- */

/* The bytes are as drawn. */
static void golden_slot(void **state)
{
        AUTO_BUF struct buf stored = {0};

        (void)state;
        put_slot(&stored);
        expect_hex(buf_span(&stored),
                   "4849464c 01 01 0000"
                   "0000000000000009"
                   "adadadadadadadadadadadadadadadad"
                   "0000000000007a67"
                   "1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d"
                   "5050505050505050505050505050505050505050505050505050505050505050"
                   "0000000000000006"
                   "8888888888888888888888888888888888888888888888888888888888888888"
                   "3333333333333333333333333333333333333333333333333333333333333333"
                   "00000000000003e8 0000018000000001 1122334455667788"
                   "00000002 00000002"
                   "0001 00000003 416e6e"
                   "0002 00000006 666978206974"
                   "0003 00000013 02 0007 7372632f612e63 04 0003 642f65 0001 62"
                   "0005 00000042"
                   "01 3333333333333333333333333333333333333333333333333333333333333333"
                   "03 4444444444444444444444444444444444444444444444444444444444444444"
                   "0007 00000010 00000040 00000002 8000000000000001"
                   "970163fbbad51b68");
}

/* Every field comes back. */
static void slot_round_trips(void **state)
{
        AUTO_ARENA struct arena arena = {0};
        AUTO_BUF struct buf stored = {0};
        struct slot want = make_slot(), got;

        (void)state;
        put_slot(&stored);
        assert_int_equal(slot_get(buf_span(&stored), POSITION, &arena, &got), HIF_OK);
        assert_int_equal(got.kind, SLOT_LANDING);
        assert_int_equal(got.position, POSITION);
        assert_memory_equal(got.landing_id, want.landing_id, LANDING_ID_SIZE);
        assert_int_equal(got.tag, want.tag);
        assert_true(session_id_eq(&got.session, &want.session));
        assert_true(hash_eq(&got.session_object, &want.session_object));
        assert_int_equal(got.base_position, 6);
        assert_true(hash_eq(&got.previous, &want.previous));
        assert_true(hash_eq(&got.tree, &want.tree));
        assert_int_equal(got.tree_entries, 1000);
        assert_int_equal(got.hlc, want.hlc);
        assert_int_equal(got.wall_ns, want.wall_ns);
        assert_true(span_eq(got.author, want.author));
        assert_true(span_eq(got.goal, want.goal));
        assert_int_equal(got.path_count, 2);
        assert_true(span_eq(got.paths[1].path, want.paths[1].path));
        assert_true(span_eq(got.paths[1].path_from, want.paths[1].path_from));
        assert_int_equal(got.object_count, 2);
        assert_int_equal(got.objects[1].kind, SLOT_PACK);
        assert_true(hash_eq(&got.objects[1].hash, &want.objects[1].hash));
        assert_true(hash_is_zero(&got.paths_list) && hash_is_zero(&got.objects_list));
        assert_false(got.bloom_absent);
        assert_int_equal(got.bloom.bit_count, 64);
}

/* Lists in objects are named, counted, and leave no filter behind that would say no. */
static void slot_names_its_lists(void **state)
{
        AUTO_ARENA struct arena arena = {0};
        AUTO_BUF struct buf stored = {0};
        struct slot slot = make_slot(), got;

        (void)state;
        slot.path_count = 100000;
        slot.paths = NULL;
        slot.paths_list = hash_filled(0xa1);
        slot.object_count = 5000;
        slot.objects = NULL;
        slot.objects_list = hash_filled(0xa2);
        slot.bloom_absent = true;
        assert_int_equal(slot_put(&stored, &slot), HIF_OK);
        assert_int_equal(slot_get(buf_span(&stored), POSITION, &arena, &got), HIF_OK);
        assert_int_equal(got.path_count, 100000);
        assert_int_equal(got.object_count, 5000);
        assert_null(got.paths);
        assert_null(got.objects);
        assert_true(hash_eq(&got.paths_list, &slot.paths_list));
        assert_true(hash_eq(&got.objects_list, &slot.objects_list));
        assert_true(got.bloom_absent);
        expect_survives_flips(buf_span(&stored), decode_sealed_slot, 22, FLIP_ROUNDS);
}

/* Position 0 follows nothing; a void holds its place and nothing else. */
static void first_slot_and_void_round_trip(void **state)
{
        AUTO_ARENA struct arena arena = {0};
        AUTO_BUF struct buf stored = {0};
        const struct slot first = {
            .kind = SLOT_LANDING, .tree = hash_filled(1), .tree_entries = 1, .wall_ns = 1};
        const struct slot empty = {.kind = SLOT_VOID,
                                   .position = POSITION,
                                   .base_position = 8,
                                   .previous = hash_filled(2),
                                   .tree = hash_filled(1),
                                   .tree_entries = 1};
        struct slot got;

        (void)state;
        assert_int_equal(slot_put(&stored, &first), HIF_OK);
        assert_int_equal(stored.size, FIELDS_AT + LANDING_CHECK_SIZE);
        assert_int_equal(slot_get(buf_span(&stored), 0, &arena, &got), HIF_OK);
        assert_false(got.bloom_absent);
        buf_reset(&stored);
        assert_int_equal(slot_put(&stored, &empty), HIF_OK);
        assert_int_equal(slot_get(buf_span(&stored), POSITION, &arena, &got), HIF_OK);
        assert_int_equal(got.kind, SLOT_VOID);
        assert_int_equal(got.base_position, 8);
}

/* A slot under another position's key is not that position's slot. */
static void slot_of_another_position_is_refused(void **state)
{
        AUTO_ARENA struct arena arena = {0};
        AUTO_BUF struct buf stored = {0};
        struct slot got;

        (void)state;
        put_slot(&stored);
        assert_int_equal(slot_get(buf_span(&stored), POSITION + 1, &arena, &got), HIF_ECORRUPT);
        assert_int_equal(slot_get(buf_span(&stored), 0, &arena, &got), HIF_ECORRUPT);
}

/* Fields that contradict each other, or what a slot can be, are refused. */
static void hostile_slots_are_refused(void **state)
{
        AUTO_BUF struct buf stored = {0};
        struct span bytes;

        (void)state;
        put_slot(&stored);
        bytes = buf_span(&stored);
        assert_int_equal(decode_with(bytes, 0, 'h', decode_slot), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, 4, 2, decode_slot), HIF_EUNSUPPORTED);
        assert_int_equal(decode_with(bytes, 5, 6, decode_sealed_slot), HIF_EUNSUPPORTED);
        assert_int_equal(decode_with(bytes, 5, 0, decode_sealed_slot), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, 5, SLOT_VOID, decode_sealed_slot), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, 6, 1, decode_sealed_slot), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, 95, POSITION, decode_sealed_slot), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, 187, 1, decode_sealed_slot), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, 187, 3, decode_sealed_slot), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, 184, 255, decode_sealed_slot), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, 191, 1, decode_sealed_slot), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, 188, 255, decode_sealed_slot), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, FIELDS_AT + 1, 0, decode_sealed_slot), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, FIELDS_AT + 10, 1, decode_sealed_slot), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, FIELDS_AT + 30, '/', decode_sealed_slot), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, FIELDS_AT + 30, 0, decode_sealed_slot), HIF_ECORRUPT);
}

/* The slot of make_slot with one more field behind the others. */
static enum hif_err decode_with_field(uint16_t type, uint32_t size, size_t bytes)
{
        AUTO_BUF struct buf stored = {0};

        put_slot(&stored);
        stored.size -= LANDING_CHECK_SIZE;
        buf_put_u16(&stored, type);
        buf_put_u32(&stored, size);
        for (size_t i = 0; i < bytes; i++)
                buf_put_u8(&stored, 'x');
        landing_check_put(&stored, 0);
        return decode_slot(buf_span(&stored));
}

/* As drawn: the last field, where there are rivals; else there is none. */
static void golden_rivals(void **state)
{
        AUTO_BUF struct buf stored = {0};
        AUTO_ARENA struct arena arena = {0};
        struct slot slot = make_slot(), got;

        (void)state;
        slot.rivals = 0x203;
        assert_int_equal(slot_put(&stored, &slot), HIF_OK);
        expect_hex(span_of(stored.data + stored.size - LANDING_CHECK_SIZE - 10, 10),
                   "0008 00000004 00000203");
        assert_int_equal(slot_get(buf_span(&stored), POSITION, &arena, &got), HIF_OK);
        assert_int_equal(got.rivals, 0x203);
}

/* Later versions may add fields; only those that say so must be understood. */
static void unknown_fields_are_passed_over(void **state)
{
        (void)state;
        assert_int_equal(decode_with_field(9, 64, 64), HIF_OK);
        assert_int_equal(decode_with_field(0x7fff, 1, 1), HIF_OK);
        assert_int_equal(decode_with_field(8, 4, 4), HIF_OK); /* "xxxx" rivals */
        assert_int_equal(decode_with_field(8, 5, 5), HIF_ECORRUPT);
        assert_int_equal(decode_with_field(0x800b, 64, 64), HIF_EUNSUPPORTED);
        assert_int_equal(decode_with_field(9, 0, 0), HIF_ECORRUPT);
        assert_int_equal(decode_with_field(9, 65, 64), HIF_ECORRUPT);
        assert_int_equal(decode_with_field(9, UINT32_MAX, 64), HIF_ECORRUPT);
        assert_int_equal(decode_with_field(9, SLOT_SIZE_MAX, SLOT_SIZE_MAX), HIF_ECORRUPT);
        assert_int_equal(decode_with_field(7, 16, 16), HIF_ECORRUPT); /* a second filter */
        assert_int_equal(decode_with_field(1, 1, 1), HIF_ECORRUPT);   /* out of order */
}

/* Over its limit, a slot says so and leaves the buffer as it was. */
static void slot_size_is_limited(void **state)
{
        enum { COUNT = SLOT_SIZE_MAX / 33 };
        AUTO_FREE struct slot_object *many = calloc(COUNT, sizeof(*many));
        AUTO_BUF struct buf stored = {0};
        struct slot slot = make_slot();

        (void)state;
        assert_non_null(many);
        for (size_t i = 0; i < COUNT; i++)
                many[i] = (struct slot_object){.kind = SLOT_BLOB, .hash = hash_filled(1)};
        slot.objects = many;
        slot.object_count = COUNT;
        buf_put_u8(&stored, '!');
        assert_int_equal(slot_put(&stored, &slot), HIF_ELIMIT);
        assert_int_equal(stored.size, 1);
        slot.object_count = COUNT - 20;
        stored.size = 0;
        assert_int_equal(slot_put(&stored, &slot), HIF_OK);
        assert_true(stored.size <= SLOT_SIZE_MAX);
        assert_int_equal(decode_slot(buf_span(&stored)), HIF_OK);
}

/* A long goal is cut to whole characters; a long author is refused. */
static void texts_are_limited(void **state)
{
        AUTO_ARENA struct arena arena = {0};
        AUTO_BUF struct buf goal = {0};
        AUTO_BUF struct buf stored = {0};
        struct slot slot = make_slot(), got;

        (void)state;
        buf_put_u8(&goal, 'x');
        while (goal.size <= SLOT_GOAL_MAX)
                buf_put(&goal, "\xe2\x82\xac", 3); /* the euro sign; 1024 falls within the 341st */
        slot.goal = buf_span(&goal);
        assert_int_equal(slot_put(&stored, &slot), HIF_OK);
        assert_int_equal(slot_get(buf_span(&stored), POSITION, &arena, &got), HIF_OK);
        assert_int_equal(got.goal.size, 1 + 341 * 3);
        buf_reset(&goal);
        while (goal.size <= SLOT_GOAL_MAX)
                buf_put(&goal, "\xe2\x82\xac", 3);
        slot.goal = buf_span(&goal);
        buf_reset(&stored);
        assert_int_equal(slot_put(&stored, &slot), HIF_OK);
        assert_int_equal(slot_get(buf_span(&stored), POSITION, &arena, &got), HIF_OK);
        assert_int_equal(got.goal.size, 341 * 3);

        slot.author = span_of(goal.data, SESSION_AUTHOR_MAX + 1);
        assert_int_equal(slot_put(&stored, &slot), HIF_EINVAL);
}

/* Cut anywhere, a slot is refused. */
static void slot_is_read_whole_only(void **state)
{
        AUTO_BUF struct buf stored = {0};

        (void)state;
        put_slot(&stored);
        expect_whole_only(buf_span(&stored), decode_slot);
        expect_survives_flips(buf_span(&stored), decode_slot, 23, FLIP_ROUNDS);
        expect_survives_flips(buf_span(&stored), decode_sealed_slot, 26, FLIP_ROUNDS);
}

/* Nothing names the newest slot by its hash: it tells of every changed bit itself. */
static void every_flip_in_a_slot_is_told(void **state)
{
        AUTO_BUF struct buf stored = {0};

        (void)state;
        put_slot(&stored);
        expect_every_flip_is_told(buf_span(&stored), decode_slot);
        /* A kind of a later version is one only if it was written so. */
        assert_int_equal(decode_with(buf_span(&stored), 5, 6, decode_slot), HIF_ECORRUPT);
}

/* A slot that is appended to other bytes ends in the check of its own alone. */
static void check_covers_the_record_alone(void **state)
{
        AUTO_BUF struct buf stored = {0};
        struct project_format format = make_format();

        (void)state;
        buf_put_u8(&stored, '!');
        put_slot(&stored);
        assert_int_equal(decode_exact(span_of(stored.data + 1, stored.size - 1), decode_slot),
                         HIF_OK);
        stored.size = 1;
        format_put(&stored, &format);
        assert_int_equal(decode_exact(span_of(stored.data + 1, stored.size - 1), decode_format),
                         HIF_OK);
}

/* --- lists --- */

/* The bytes are as drawn, and come back. */
static void golden_lists(void **state)
{
        AUTO_ARENA struct arena arena = {0};
        AUTO_BUF struct buf stored = {0};
        struct slot slot = make_slot();
        struct slot_path *got_paths;
        struct slot_object *got_objects;
        uint32_t count;

        (void)state;
        slot_paths_put(&stored, slot.paths, slot.path_count);
        expect_hex(buf_span(&stored), "48494649 01 01 0000 00000002"
                                      "02 0007 7372632f612e63 04 0003 642f65 0001 62");
        assert_int_equal(slot_paths_get(buf_span(&stored), &arena, &got_paths, &count), HIF_OK);
        assert_int_equal(count, 2);
        assert_true(span_eq(got_paths[1].path_from, span_str("b")));
        assert_int_equal(decode_objects(buf_span(&stored)), HIF_ECORRUPT);
        assert_int_equal(decode_with(buf_span(&stored), 4, 2, decode_paths), HIF_EUNSUPPORTED);
        expect_whole_only(buf_span(&stored), decode_paths);
        expect_survives_flips(buf_span(&stored), decode_paths, 24, FLIP_ROUNDS);

        buf_reset(&stored);
        slot_objects_put(&stored, slot.objects, slot.object_count);
        expect_hex(buf_span(&stored),
                   "48494649 01 02 0000 00000002"
                   "01 3333333333333333333333333333333333333333333333333333333333333333"
                   "03 4444444444444444444444444444444444444444444444444444444444444444");
        assert_int_equal(slot_objects_get(buf_span(&stored), &arena, &got_objects, &count), HIF_OK);
        assert_int_equal(count, 2);
        assert_int_equal(got_objects[0].kind, SLOT_NODE);
        assert_int_equal(decode_with(buf_span(&stored), 12, 5, decode_objects), HIF_ECORRUPT);
        expect_whole_only(buf_span(&stored), decode_objects);
        expect_survives_flips(buf_span(&stored), decode_objects, 25, FLIP_ROUNDS);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(golden_format),
            cmocka_unit_test(newer_format_is_unsupported),
            cmocka_unit_test(every_flip_in_a_format_is_told),
            cmocka_unit_test(golden_head),
            cmocka_unit_test(golden_slot),
            cmocka_unit_test(slot_round_trips),
            cmocka_unit_test(slot_names_its_lists),
            cmocka_unit_test(first_slot_and_void_round_trip),
            cmocka_unit_test(slot_of_another_position_is_refused),
            cmocka_unit_test(hostile_slots_are_refused),
            cmocka_unit_test(golden_rivals),
            cmocka_unit_test(unknown_fields_are_passed_over),
            cmocka_unit_test(slot_size_is_limited),
            cmocka_unit_test(texts_are_limited),
            cmocka_unit_test(slot_is_read_whole_only),
            cmocka_unit_test(every_flip_in_a_slot_is_told),
            cmocka_unit_test(check_covers_the_record_alone),
            cmocka_unit_test(golden_lists),
        };

        return cmocka_run_group_tests_name("landing", tests, NULL, NULL);
}
