/* test_body.c - zstd frames, stored objects, chunk lists. */
#include "base/arena.h"
#include "core/body.h"
#include "core/tree.h"
#include "tests/core/codec_check.h"

#define FLIP_ROUNDS 3000

static const char hello_frame[] = "28b52ffd 20 05 290000 68656c6c6f";

static struct body_codec *codec;

static int setup(void **state)
{
        (void)state;
        codec = body_codec_new(3);
        return codec ? 0 : -1;
}

static int teardown(void **state)
{
        (void)state;
        body_codec_free(codec);
        return 0;
}

static enum hif_err get_frame(const char *hex, size_t content_size, struct buf *out)
{
        AUTO_BUF struct buf frame = unhex(hex);

        return body_frame_get(codec, buf_span(&frame), content_size, out);
}

static void expect_frame_refused(const char *hex, size_t content_size)
{
        AUTO_BUF struct buf out = {0};

        assert_int_equal(get_frame(hex, content_size, &out), HIF_ECORRUPT);
        assert_int_equal(out.size, 0);
}

static enum hif_err decode_blob(struct span stored)
{
        AUTO_BUF struct buf out = {0};

        return body_get(codec, BODY_BLOB, stored, &out);
}

static enum hif_err decode_node(struct span stored)
{
        AUTO_BUF struct buf out = {0};

        return body_get(codec, BODY_NODE, stored, &out);
}

static enum hif_err decode_list(struct span stored)
{
        struct chunk_list list;
        struct chunk chunk;
        uint64_t start;
        enum hif_err err = chunk_list_open(stored, &list);

        if (err)
                return err;
        chunk_list_at(&list, list.count - 1, &chunk);
        assert_int_equal(chunk_list_search(&list, list.size - 1, &start), list.count - 1);
        assert_int_equal(start + chunk.size, list.size);
        return HIF_OK;
}

/* --- frames --- */

/* A frame that any zstd might have written is read. */
static void golden_frame_is_read(void **state)
{
        AUTO_BUF struct buf out = {0};

        (void)state;
        assert_int_equal(get_frame(hello_frame, 5, &out), HIF_OK);
        assert_true(span_eq(buf_span(&out), span_str("hello")));
}

/* Every content comes back, appended behind what the buffer held; the size is declared. */
static void frame_round_trips(void **state)
{
        static const size_t sizes[] = {0, 1, 5, 255, 256, 65791, 65792, 1 << 20, BODY_BLOB_MAX};
        AUTO_BUF struct buf content = {0};
        uint64_t random = 42;

        (void)state;
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
                AUTO_BUF struct buf frame = {0};
                AUTO_BUF struct buf out = {0};
                size_t declared;

                buf_reset(&content);
                while (content.size < sizes[i])
                        buf_put_u8(&content, (uint8_t)(next_random(&random) % 17));
                assert_int_equal(body_frame_put(codec, buf_span(&content), &frame), HIF_OK);
                assert_int_equal(body_frame_size(buf_span(&frame), sizes[i], &declared), HIF_OK);
                assert_int_equal(declared, sizes[i]);
                buf_put_u8(&out, '!');
                assert_int_equal(body_frame_get(codec, buf_span(&frame), sizes[i], &out), HIF_OK);
                assert_int_equal(out.data[0], '!');
                assert_true(span_eq(span_of(out.data + 1, out.size - 1), buf_span(&content)));
        }
}

/* A frame is only taken for what its reader expects of it. */
static void frame_of_another_size_is_refused(void **state)
{
        size_t declared = 77;
        AUTO_BUF struct buf frame = unhex(hello_frame);

        (void)state;
        expect_frame_refused(hello_frame, 4);
        expect_frame_refused(hello_frame, 6);
        expect_frame_refused(hello_frame, 0);
        expect_frame_refused(hello_frame, SIZE_MAX);
        assert_int_equal(body_frame_size(buf_span(&frame), 4, &declared), HIF_ECORRUPT);
        assert_int_equal(declared, 77);
        assert_int_equal(body_frame_size(buf_span(&frame), SIZE_MAX, &declared), HIF_OK);
        assert_int_equal(declared, 5);
}

/* Nothing that is not exactly one honest, plain frame is taken. */
static void hostile_frames_are_refused(void **state)
{
        (void)state;
        expect_frame_refused("", 0);
        /* no content size: a window descriptor instead */
        expect_frame_refused("28b52ffd 00 58 290000 68656c6c6f", 5);
        /* a window of 16 MiB */
        expect_frame_refused("28b52ffd 80 70 05000000 290000 68656c6c6f", 5);
        /* holds 131,072 bytes where it declares 100 */
        expect_frame_refused("28b52ffd 20 64 030010 61", 100);
        /* declares 100 where it holds 5 */
        expect_frame_refused("28b52ffd 20 64 290000 68656c6c6f", 100);
        /* declares 2^64 - 1, and just over the limit */
        expect_frame_refused("28b52ffd e0 ffffffffffffffff 290000 68656c6c6f", SIZE_MAX);
        expect_frame_refused("28b52ffd a0 01008000 290000 68656c6c6f", (8u << 20) + 1);
        /* two frames; a frame and garbage; a frame and a skippable one; a skippable one alone */
        expect_frame_refused("28b52ffd 20 05 290000 68656c6c6f"
                             "28b52ffd 20 00 010000",
                             5);
        expect_frame_refused("28b52ffd 20 05 290000 68656c6c6f 00", 5);
        expect_frame_refused("28b52ffd 20 05 290000 68656c6c6f 502a4d18 00000000", 5);
        expect_frame_refused("502a4d18 01000000 00", 0);
        /* a dictionary that nobody has; the reserved bit; the reserved block type */
        expect_frame_refused("28b52ffd 21 07 05 290000 68656c6c6f", 5);
        expect_frame_refused("28b52ffd 28 05 290000 68656c6c6f", 5);
        expect_frame_refused("28b52ffd 20 05 2f0000 68656c6c6f", 5);
}

/* --- stored objects --- */

/* The header is as drawn; the frame behind it depends on zstd's version. */
static void golden_object_is_read(void **state)
{
        AUTO_BUF struct buf stored = unhex("48494642 01 01 0000 00000005"
                                           "28b52ffd 20 05 290000 68656c6c6f");
        AUTO_BUF struct buf written = {0};
        AUTO_BUF struct buf out = {0};

        (void)state;
        assert_int_equal(body_get(codec, BODY_BLOB, buf_span(&stored), &out), HIF_OK);
        assert_true(span_eq(buf_span(&out), span_str("hello")));
        assert_int_equal(body_put(codec, BODY_BLOB, span_str("hello"), &written), HIF_OK);
        expect_hex(span_of(written.data, 12), "48494642 01 01 0000 00000005");
        buf_reset(&written);
        assert_int_equal(body_put(codec, BODY_NODE, span_str("hello"), &written), HIF_OK);
        expect_hex(span_of(written.data, 12), "48494642 01 02 0000 00000005");
}

/* A node never passes for a blob, a newer or an encrypted object never for one of ours. */
static void object_says_what_it_is(void **state)
{
        AUTO_BUF struct buf stored = {0};
        struct span bytes;

        (void)state;
        assert_int_equal(body_put(codec, BODY_NODE, span_str("hello"), &stored), HIF_OK);
        bytes = buf_span(&stored);
        assert_int_equal(decode_node(bytes), HIF_OK);
        assert_int_equal(decode_blob(bytes), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, 0, 'h', decode_node), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, 4, 2, decode_node), HIF_EUNSUPPORTED);
        assert_int_equal(decode_with(bytes, 5, 3, decode_node), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, 7, 1, decode_node), HIF_EUNSUPPORTED);
        assert_int_equal(decode_with(bytes, 11, 6, decode_node), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, 8, 0xff, decode_node), HIF_ECORRUPT);
}

/* The largest content goes; a stored object that declares one byte more is refused unread. */
static void object_size_is_limited(void **state)
{
        AUTO_BUF struct buf content = {0};
        AUTO_BUF struct buf stored = {0};
        AUTO_BUF struct buf out = {0};

        (void)state;
        buf_put_zero(&content, BODY_BLOB_MAX);
        assert_int_equal(body_put(codec, BODY_BLOB, buf_span(&content), &stored), HIF_OK);
        assert_int_equal(body_get(codec, BODY_BLOB, buf_span(&stored), &out), HIF_OK);
        assert_true(span_eq(buf_span(&out), buf_span(&content)));

        buf_put_u8(&content, 0);
        stored.size = 12;
        assert_int_equal(body_frame_put(codec, buf_span(&content), &stored), HIF_OK);
        buf_set_u32(&stored, 8, BODY_BLOB_MAX + 1);
        buf_reset(&out);
        assert_int_equal(body_get(codec, BODY_BLOB, buf_span(&stored), &out), HIF_ECORRUPT);
        assert_int_equal(out.size, 0);
}

static void put_text_object(struct buf *stored)
{
        AUTO_BUF struct buf content = {0};

        for (int i = 0; i < 300; i++)
                buf_printf(&content, "line %d of a text that compresses\n", i * i);
        assert_int_equal(body_put(codec, BODY_BLOB, buf_span(&content), stored), HIF_OK);
}

/* A part of an object, or one with a tail, is no object. */
static void object_is_read_whole_only(void **state)
{
        AUTO_BUF struct buf stored = {0};

        (void)state;
        put_text_object(&stored);
        expect_whole_only(buf_span(&stored), decode_blob);
}

/* Flipped bits give an error or other content, which the hash then shows; never a crash. */
static void object_survives_flips(void **state)
{
        AUTO_BUF struct buf stored = {0};

        (void)state;
        put_text_object(&stored);
        expect_survives_flips(buf_span(&stored), decode_blob, 7, FLIP_ROUNDS);
}

/* --- chunk lists --- */

static void put_small_list(struct buf *out)
{
        const struct chunk chunks[] = {
            {.hash = hash_filled(0x11), .size = 0x100000},
            {.hash = hash_filled(0x22), .size = 1},
            {.hash = hash_filled(0x33), .size = BODY_CHUNK_MAX},
        };

        chunk_list_put(out, 0, chunks, 3);
        assert_false(buf_failed(out));
}

/* The bytes are as drawn. */
static void golden_list(void **state)
{
        AUTO_BUF struct buf stored = {0};

        (void)state;
        put_small_list(&stored);
        expect_hex(buf_span(&stored),
                   "48494643 01 00 0000 00000003"
                   "1111111111111111111111111111111111111111111111111111111111111111"
                   "0000000000100000"
                   "2222222222222222222222222222222222222222222222222222222222222222"
                   "0000000000100001"
                   "3333333333333333333333333333333333333333333333333333333333333333"
                   "0000000000500001");
}

/* Every offset is found in the entry that holds it. */
static void offset_is_found(void **state)
{
        AUTO_FREE struct chunk *chunks = calloc(BODY_LIST_MAX, sizeof(*chunks));
        AUTO_BUF struct buf stored = {0};
        struct chunk_list list;
        uint64_t random = 9, at = 0, start;

        (void)state;
        assert_non_null(chunks);
        for (uint32_t i = 0; i < BODY_LIST_MAX; i++) {
                chunks[i].hash = hash_filled((uint8_t)i);
                chunks[i].size = 1 + next_random(&random) % BODY_CHUNK_MAX;
        }
        chunk_list_put(&stored, 0, chunks, BODY_LIST_MAX);
        assert_int_equal(chunk_list_open(buf_span(&stored), &list), HIF_OK);
        assert_int_equal(list.count, BODY_LIST_MAX);
        for (uint32_t i = 0; i < BODY_LIST_MAX; i++) {
                struct chunk chunk;

                chunk_list_at(&list, i, &chunk);
                assert_int_equal(chunk.size, chunks[i].size);
                assert_true(hash_eq(&chunk.hash, &chunks[i].hash));
                assert_int_equal(chunk_list_search(&list, at, &start), i);
                assert_int_equal(start, at);
                at += chunk.size;
                assert_int_equal(chunk_list_search(&list, at - 1, &start), i);
        }
        assert_int_equal(list.size, at);
}

/* A list of lists holds more, and no more than its depth allows. */
static void depth_limits_sizes(void **state)
{
        const uint64_t at_depth_1 = (uint64_t)BODY_CHUNK_MAX * BODY_LIST_MAX;
        const struct chunk chunk = {.hash = hash_filled(1), .size = at_depth_1};
        AUTO_BUF struct buf stored = {0};
        struct chunk_list list;

        (void)state;
        chunk_list_put(&stored, 1, &chunk, 1);
        assert_int_equal(chunk_list_open(buf_span(&stored), &list), HIF_OK);
        assert_int_equal(list.size, at_depth_1);
        assert_int_equal(list.depth, 1);
        assert_int_equal(decode_with(buf_span(&stored), 5, 0, decode_list), HIF_ECORRUPT);
        assert_int_equal(decode_with(buf_span(&stored), 5, 3, decode_list), HIF_OK);
        assert_int_equal(decode_with(buf_span(&stored), 5, 4, decode_list), HIF_ECORRUPT);
        assert_int_equal(decode_with(buf_span(&stored), 51, 1, decode_list), HIF_ECORRUPT);
}

/* Entries of no size, falling ends, no entries, other versions: refused. */
static void hostile_lists_are_refused(void **state)
{
        AUTO_BUF struct buf stored = {0};
        AUTO_BUF struct buf empty = unhex("48494643 01 00 0000 00000000");
        struct span bytes;

        (void)state;
        put_small_list(&stored);
        bytes = buf_span(&stored);
        assert_int_equal(decode_with(bytes, 91, 0, decode_list), HIF_ECORRUPT);  /* equal ends */
        assert_int_equal(decode_with(bytes, 89, 0, decode_list), HIF_ECORRUPT);  /* falling */
        assert_int_equal(decode_with(bytes, 131, 2, decode_list), HIF_ECORRUPT); /* too large */
        assert_int_equal(decode_with(bytes, 11, 2, decode_list), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, 11, 4, decode_list), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, 8, 0xff, decode_list), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, 4, 2, decode_list), HIF_EUNSUPPORTED);
        assert_int_equal(decode_with(bytes, 6, 1, decode_list), HIF_ECORRUPT);
        assert_int_equal(decode_list(buf_span(&empty)), HIF_ECORRUPT);
}

/* A part of a list, or one with a tail, is no list; flipped bits never crash. */
static void list_is_read_whole_only(void **state)
{
        AUTO_BUF struct buf stored = {0};

        (void)state;
        put_small_list(&stored);
        expect_whole_only(buf_span(&stored), decode_list);
        expect_survives_flips(buf_span(&stored), decode_list, 8, FLIP_ROUNDS);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(golden_frame_is_read),
            cmocka_unit_test(frame_round_trips),
            cmocka_unit_test(frame_of_another_size_is_refused),
            cmocka_unit_test(hostile_frames_are_refused),
            cmocka_unit_test(golden_object_is_read),
            cmocka_unit_test(object_says_what_it_is),
            cmocka_unit_test(object_size_is_limited),
            cmocka_unit_test(object_is_read_whole_only),
            cmocka_unit_test(object_survives_flips),
            cmocka_unit_test(golden_list),
            cmocka_unit_test(offset_is_found),
            cmocka_unit_test(depth_limits_sizes),
            cmocka_unit_test(hostile_lists_are_refused),
            cmocka_unit_test(list_is_read_whole_only),
        };

        return cmocka_run_group_tests_name("body", tests, setup, teardown);
}
