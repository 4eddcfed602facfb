/* zstd frames (RFC 8878) that expand too far, ask for too much, or are more than one frame: around
 * a tree node, a blob, and in a pack. The content is what the hash says, so that a reader that is
 * generous serves it. */
#include "base/cleanup.h"
#include "tests/hostile/evil.h"

#include <stdlib.h>

#define BLOCK_MAX ((size_t)128 << 10)

/* --- frames by hand; zstd's integers are little-endian --- */

static void put_le(struct buf *out, uint64_t value, int size)
{
        for (int i = 0; i < size; i++)
                buf_put_u8(out, (uint8_t)(value >> 8 * i));
}

enum { DESCRIPTOR_SINGLE = 0x20, DESCRIPTOR_RESERVED = 0x08, DESCRIPTOR_CHECKSUM = 0x04 };
enum { BLOCK_RAW = 0, BLOCK_RLE = 1, BLOCK_RESERVED = 3 };

/* A header that states the size in 8 bytes. */
static void put_header(struct buf *out, uint8_t flags, uint64_t size)
{
        put_le(out, 0xfd2fb528, 4);
        buf_put_u8(out, (uint8_t)(0xc0 | flags));
        if (!(flags & DESCRIPTOR_SINGLE))
                buf_put_u8(out, 11 << 3); /* a window of 2 MiB */
        put_le(out, size, 8);
}

static void put_block(struct buf *out, int type, size_t size, bool last)
{
        put_le(out, (last ? 1 : 0) | (uint64_t)type << 1 | (uint64_t)size << 3, 3);
}

static void put_raw(struct buf *out, struct span content)
{
        put_block(out, BLOCK_RAW, content.size, true);
        buf_put_span(out, content);
}

/* 128 MiB of the same byte, in 4 KiB. */
static void put_bomb(struct buf *out, bool last)
{
        for (int i = 0; i < 1024; i++) {
                put_block(out, BLOCK_RLE, BLOCK_MAX, last && i == 1023);
                buf_put_u8(out, 'E');
        }
}

/* --- what is wrong --- */

static void bomb(struct buf *out, struct span content)
{
        put_header(out, DESCRIPTOR_SINGLE, content.size);
        put_bomb(out, true);
}

static void bomb_behind(struct buf *out, struct span content)
{
        put_header(out, DESCRIPTOR_SINGLE, content.size);
        put_block(out, BLOCK_RAW, content.size, false);
        buf_put_span(out, content);
        put_bomb(out, true);
}

static void honest_bomb(struct buf *out, struct span content)
{
        (void)content;
        put_header(out, 0, 1024 * BLOCK_MAX);
        put_bomb(out, true);
}

static void of_1_tib(struct buf *out, struct span content)
{
        put_header(out, 0, (uint64_t)1 << 40);
        put_raw(out, content);
}

static void of_2_64(struct buf *out, struct span content)
{
        put_header(out, 0, UINT64_MAX - 2);
        put_raw(out, content);
}

static void without_size(struct buf *out, struct span content)
{
        put_le(out, 0xfd2fb528, 4);
        buf_put_u8(out, 0);
        buf_put_u8(out, 1 << 3);
        put_raw(out, content);
}

static void window(struct buf *out, struct span content, uint8_t exponent)
{
        put_le(out, 0xfd2fb528, 4);
        buf_put_u8(out, 0xc0);
        buf_put_u8(out, (uint8_t)(exponent << 3));
        put_le(out, content.size, 8);
        put_raw(out, content);
}

static void window_16_mib(struct buf *out, struct span content)
{
        window(out, content, 14);
}

static void window_2_gib(struct buf *out, struct span content)
{
        window(out, content, 21);
}

static void window_2_tib(struct buf *out, struct span content)
{
        window(out, content, 31);
}

static void truncated(struct buf *out, struct span content)
{
        put_header(out, DESCRIPTOR_SINGLE, content.size);
        put_raw(out, content);
        out->size -= 1;
}

static void header_only(struct buf *out, struct span content)
{
        put_header(out, DESCRIPTOR_SINGLE, content.size);
}

static void magic_only(struct buf *out, struct span content)
{
        (void)content;
        put_le(out, 0xfd2fb528, 4);
}

static void nothing(struct buf *out, struct span content)
{
        (void)out;
        (void)content;
}

static void two_frames(struct buf *out, struct span content)
{
        put_header(out, DESCRIPTOR_SINGLE, content.size);
        put_raw(out, content);
        put_header(out, DESCRIPTOR_SINGLE, content.size);
        put_raw(out, content);
}

static void in_halves(struct buf *out, struct span content)
{
        size_t half = content.size / 2;

        put_header(out, DESCRIPTOR_SINGLE, half);
        put_raw(out, span_of(content.data, half));
        put_header(out, DESCRIPTOR_SINGLE, content.size - half);
        put_raw(out, span_of(content.data + half, content.size - half));
}

static void with_tail(struct buf *out, struct span content)
{
        put_header(out, DESCRIPTOR_SINGLE, content.size);
        put_raw(out, content);
        buf_put(out, "EVIL", 4);
}

static void dictionary(struct buf *out, struct span content)
{
        put_le(out, 0xfd2fb528, 4);
        buf_put_u8(out, 0xc0 | DESCRIPTOR_SINGLE | 3);
        put_le(out, 77, 4);
        put_le(out, content.size, 8);
        put_raw(out, content);
}

static void skippable(struct buf *out, struct span content)
{
        put_le(out, 0x184d2a50, 4);
        put_le(out, 4, 4);
        buf_put(out, "EVIL", 4);
        put_header(out, DESCRIPTOR_SINGLE, content.size);
        put_raw(out, content);
}

static void legacy(struct buf *out, struct span content)
{
        put_header(out, DESCRIPTOR_SINGLE, content.size);
        put_raw(out, content);
        out->data[out->size - content.size - 16] = 0x27; /* zstd 0.7's magic */
}

static void checksum(struct buf *out, struct span content)
{
        put_header(out, DESCRIPTOR_SINGLE | DESCRIPTOR_CHECKSUM, content.size);
        put_raw(out, content);
        put_le(out, 0xdeadbeef, 4);
}

static void reserved_bit(struct buf *out, struct span content)
{
        put_header(out, DESCRIPTOR_SINGLE | DESCRIPTOR_RESERVED, content.size);
        put_raw(out, content);
}

static void reserved_block(struct buf *out, struct span content)
{
        put_header(out, DESCRIPTOR_SINGLE, content.size);
        put_block(out, BLOCK_RESERVED, content.size, true);
        buf_put_span(out, content);
}

static void large_block(struct buf *out, struct span content)
{
        put_header(out, DESCRIPTOR_SINGLE, content.size);
        put_block(out, BLOCK_RLE, 2 * BLOCK_MAX, true);
        buf_put_u8(out, 'E');
}

static void not_compressed(struct buf *out, struct span content)
{
        buf_put_span(out, content);
}

static const struct variety {
        const char *name;
        void (*put)(struct buf *out, struct span content);
} varieties[] = {
    {"bomb", bomb},
    {"bomb-behind", bomb_behind},
    {"honest-bomb", honest_bomb},
    {"of-1-tib", of_1_tib},
    {"of-2-64", of_2_64},
    {"without-size", without_size},
    {"window-16-mib", window_16_mib},
    {"window-2-gib", window_2_gib},
    {"window-2-tib", window_2_tib},
    {"truncated", truncated},
    {"header-only", header_only},
    {"magic-only", magic_only},
    {"nothing", nothing},
    {"two", two_frames},
    {"in-halves", in_halves},
    {"with-tail", with_tail},
    {"dictionary", dictionary},
    {"skippable", skippable},
    {"legacy", legacy},
    {"checksum", checksum},
    {"reserved-bit", reserved_bit},
    {"reserved-block", reserved_block},
    {"large-block", large_block},
    {"not-compressed", not_compressed},
};

/* The one that the kind's name ends in. */
static void put_variety(struct buf *out, const struct kind *kind, struct span content)
{
        for (size_t i = 0; i < sizeof(varieties) / sizeof(varieties[0]); i++)
                if (span_eq(kind->arg, span_str(varieties[i].name))) {
                        varieties[i].put(out, content);
                        return;
                }
        evil_check(false, kind->name);
}

static void around_node(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf stored = {0};
        struct leaf leaf = leaf_begin(evil);
        struct span bytes;
        struct hif_hash hash;

        leaf_add(&leaf, "EVIL", a_stored_file(evil, evil_text(evil)));
        bytes = leaf_bytes(&leaf);
        hash = hash_of(HASH_NODE, bytes);
        put_object_header(&stored, 1, 2, 0, (uint32_t)bytes.size);
        put_variety(&stored, kind, bytes);
        leaf_free(&leaf);
        evil_node_stored(evil, &hash, buf_span(&stored));
        evil_says_hash(evil, &hash);
        evil_land(evil, hash, 2);
}

static void land_file(struct evil *evil, struct entry entry)
{
        struct leaf leaf = leaf_begin(evil);

        leaf_add(&leaf, "file", entry);
        evil_says_hash(evil, &entry.hash);
        evil_land_leaf(evil, &leaf);
}

static void around_blob(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf stored = {0};
        struct entry entry = a_file(evil_text(evil));

        put_object_header(&stored, 1, 1, 0, (uint32_t)entry.size);
        put_variety(&stored, kind, evil_text(evil));
        evil_blob_stored(evil, &entry.hash, buf_span(&stored));
        land_file(evil, entry);
}

/* In a pack that is named by its bytes, as a good one is. */
static void in_pack(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf frame = {0};
        struct entry entry = a_file(evil_text(evil));
        struct pack_writer pack;

        put_variety(&frame, kind, evil_text(evil));
        pack_begin(&pack);
        evil_check(pack_add(&pack, &entry.hash, buf_span(&frame), (uint32_t)entry.size,
                            &entry.loc.offset) == HIF_OK &&
                       pack_finish(&pack, &entry.loc.pack) == HIF_OK,
                   "a pack");
        entry.loc.size = (uint32_t)frame.size;
        evil_pack_stored(evil, &entry.loc.pack, buf_span(&pack.bytes));
        pack_free(&pack);
        land_file(evil, entry);
        evil_says_also(evil, &entry.loc.pack);
}

#define IN_ALL(variety)                                                                            \
        {"frame-of-node-" variety, REFUSED, around_node, BYTES(variety), 0},                       \
            {"frame-of-blob-" variety, REFUSED, around_blob, BYTES(variety), 0},                   \
        {                                                                                          \
                "frame-in-pack-" variety, REFUSED, in_pack, BYTES(variety), 0                      \
        }

const struct kind kinds_of_frames[] = {
    IN_ALL("bomb"),
    IN_ALL("bomb-behind"),
    IN_ALL("honest-bomb"),
    IN_ALL("of-1-tib"),
    IN_ALL("of-2-64"),
    IN_ALL("without-size"),
    IN_ALL("window-16-mib"),
    IN_ALL("window-2-gib"),
    IN_ALL("window-2-tib"),
    IN_ALL("truncated"),
    IN_ALL("header-only"),
    IN_ALL("magic-only"),
    {"frame-of-node-nothing", REFUSED, around_node, BYTES("nothing"), 0},
    {"frame-of-blob-nothing", REFUSED, around_blob, BYTES("nothing"), 0},
    IN_ALL("two"),
    IN_ALL("in-halves"),
    IN_ALL("with-tail"),
    IN_ALL("dictionary"),
    IN_ALL("skippable"),
    IN_ALL("legacy"),
    IN_ALL("checksum"),
    IN_ALL("reserved-bit"),
    IN_ALL("reserved-block"),
    IN_ALL("large-block"),
    IN_ALL("not-compressed"),
    {0},
};
