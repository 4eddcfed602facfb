/* test_pack.c - many small blobs in one object. */
#include "core/body.h"
#include "tests/core/codec_check.h"

#define FLIP_ROUNDS 5000

static void add(struct pack_writer *pack, uint8_t hash, const char *frame, uint32_t content_size,
                uint32_t want_offset)
{
        struct hif_hash name = hash_filled(hash);
        uint32_t offset;

        assert_int_equal(pack_add(pack, &name, span_str(frame), content_size, &offset), HIF_OK);
        assert_int_equal(offset, want_offset);
}

/* Packs do not look into frames, so short stand-ins will do. */
static void make_pack(struct pack_writer *pack, struct hif_hash *name)
{
        pack_begin(pack);
        add(pack, 0xbb, "frame-b", 100, 8);
        add(pack, 0xaa, "fa", 0, 15);
        add(pack, 0xcc, "c", BODY_PACK_BLOB_MAX, 17);
        assert_int_equal(pack_finish(pack, name), HIF_OK);
}

static enum hif_err decode(struct span stored)
{
        AUTO_ARENA struct arena arena = {0};
        struct pack_entry *entries = NULL;
        uint32_t count = 0;
        enum hif_err err = pack_index(stored, &arena, &entries, &count);

        if (err) {
                assert_null(entries);
                return err;
        }
        for (uint32_t i = 0; i < count; i++)
                assert_true((uint64_t)entries[i].offset + entries[i].size <= stored.size);
        return HIF_OK;
}

/* The bytes are as drawn, and the name is the plain hash of all of them. */
static void golden_pack(void **state)
{
        CLEANUP(pack_free) struct pack_writer pack;
        struct hif_hash name, plain;

        (void)state;
        make_pack(&pack, &name);
        expect_hex(buf_span(&pack.bytes),
                   "48494650 01 000000"
                   "6672616d652d62 6661 63"
                   "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
                   "00000008 00000007 00000064"
                   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                   "0000000f 00000002 00000000"
                   "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
                   "00000011 00000001 00040000"
                   "00000012 00000003");
        plain = hash_of(HASH_BLOB, buf_span(&pack.bytes));
        assert_true(hash_eq(&name, &plain));
}

/* The index tells what was added, in the order of adding. */
static void index_round_trips(void **state)
{
        CLEANUP(pack_free) struct pack_writer pack;
        AUTO_ARENA struct arena arena = {0};
        struct pack_entry *entries;
        struct hif_hash name, want = hash_filled(0xaa);
        uint32_t count;

        (void)state;
        make_pack(&pack, &name);
        assert_int_equal(pack_index(buf_span(&pack.bytes), &arena, &entries, &count), HIF_OK);
        assert_int_equal(count, 3);
        assert_true(hash_eq(&entries[1].hash, &want));
        assert_int_equal(entries[1].offset, 15);
        assert_int_equal(entries[1].size, 2);
        assert_int_equal(entries[1].content_size, 0);
        assert_int_equal(entries[2].content_size, BODY_PACK_BLOB_MAX);
}

/* Real frames come back by the offset and size that the index gives. */
static void frames_are_found_by_location(void **state)
{
        CLEANUP(pack_free) struct pack_writer pack;
        AUTO_ARENA struct arena arena = {0};
        AUTO_BUF struct buf frame = {0};
        struct body_codec *codec = body_codec_new(3);
        struct pack_entry *entries;
        struct hif_hash name;
        uint32_t count, offset;
        char text[64];

        (void)state;
        assert_non_null(codec);
        pack_begin(&pack);
        for (int i = 0; i < 100; i++) {
                int size = snprintf(text, sizeof(text), "content number %d", i);
                struct span content = span_of(text, (size_t)size);
                struct hif_hash hash = hash_of(HASH_BLOB, content);

                buf_reset(&frame);
                assert_int_equal(body_frame_put(codec, content, &frame), HIF_OK);
                assert_int_equal(pack_add(&pack, &hash, buf_span(&frame), (uint32_t)size, &offset),
                                 HIF_OK);
        }
        assert_int_equal(pack_finish(&pack, &name), HIF_OK);
        assert_int_equal(pack_index(buf_span(&pack.bytes), &arena, &entries, &count), HIF_OK);
        assert_int_equal(count, 100);
        for (uint32_t i = 0; i < count; i++) {
                AUTO_BUF struct buf out = {0};
                struct span at = span_of(pack.bytes.data + entries[i].offset, entries[i].size);
                struct hif_hash hash;

                assert_int_equal(body_frame_get(codec, at, entries[i].content_size, &out), HIF_OK);
                hash = hash_of(HASH_BLOB, buf_span(&out));
                assert_true(hash_eq(&hash, &entries[i].hash));
        }
        body_codec_free(codec);
}

/* A full pack says so before it would grow past the limit, and can still be finished. */
static void full_pack_is_closed(void **state)
{
        CLEANUP(pack_free) struct pack_writer pack;
        AUTO_BUF struct buf frame = {0};
        struct hif_hash name = hash_filled(1);
        enum hif_err err;
        uint32_t offset = 0, before;

        (void)state;
        buf_put_zero(&frame, BODY_PACK_BLOB_MAX);
        pack_begin(&pack);
        do {
                before = offset;
                err = pack_add(&pack, &name, buf_span(&frame), BODY_PACK_BLOB_MAX, &offset);
        } while (err == HIF_OK);
        assert_int_equal(err, HIF_ELIMIT);
        assert_int_equal(offset, before);
        assert_int_equal(pack.count, BODY_PACK_MAX / BODY_PACK_BLOB_MAX - 1);
        assert_int_equal(pack_finish(&pack, &name), HIF_OK);
        assert_true(pack.bytes.size <= BODY_PACK_MAX);
        assert_int_equal(decode(buf_span(&pack.bytes)), HIF_OK);
}

/* Gaps, overlaps, counts and sizes that do not add up are refused. */
static void hostile_indexes_are_refused(void **state)
{
        CLEANUP(pack_free) struct pack_writer pack;
        struct hif_hash name;
        struct span bytes;
        AUTO_BUF struct buf empty = unhex("48494650 01 000000 00000008 00000000");

        (void)state;
        make_pack(&pack, &name);
        bytes = buf_span(&pack.bytes);
        assert_int_equal(decode_with(bytes, 0, 'h', decode), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, 4, 2, decode), HIF_EUNSUPPORTED);
        assert_int_equal(decode_with(bytes, 5, 1, decode), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, 18 + 35, 7, decode), HIF_ECORRUPT);   /* offset */
        assert_int_equal(decode_with(bytes, 18 + 39, 0, decode), HIF_ECORRUPT);   /* size 0 */
        assert_int_equal(decode_with(bytes, 18 + 39, 8, decode), HIF_ECORRUPT);   /* overlap */
        assert_int_equal(decode_with(bytes, 18 + 36, 255, decode), HIF_ECORRUPT); /* past the end */
        assert_int_equal(decode_with(bytes, 18 + 40, 1, decode), HIF_ECORRUPT);   /* content size */
        assert_int_equal(decode_with(bytes, bytes.size - 1, 2, decode), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, bytes.size - 4, 255, decode), HIF_ECORRUPT);
        assert_int_equal(decode_with(bytes, bytes.size - 5, 0, decode), HIF_ECORRUPT);
        assert_int_equal(decode(buf_span(&empty)), HIF_ECORRUPT);
}

/* A part of a pack has no index; flipped bits never crash. */
static void pack_is_read_whole_only(void **state)
{
        CLEANUP(pack_free) struct pack_writer pack;
        struct hif_hash name;

        (void)state;
        make_pack(&pack, &name);
        expect_whole_only(buf_span(&pack.bytes), decode);
        expect_survives_flips(buf_span(&pack.bytes), decode, 3, FLIP_ROUNDS);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(golden_pack),
            cmocka_unit_test(index_round_trips),
            cmocka_unit_test(frames_are_found_by_location),
            cmocka_unit_test(full_pack_is_closed),
            cmocka_unit_test(hostile_indexes_are_refused),
            cmocka_unit_test(pack_is_read_whole_only),
        };

        return cmocka_run_group_tests_name("pack", tests, NULL, NULL);
}
