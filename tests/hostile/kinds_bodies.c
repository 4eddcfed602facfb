/* Contents: blobs, chunk lists and packs that are not what their names, or entries, say. */
#include "base/cleanup.h"
#include "tests/hostile/evil.h"

#include <stdlib.h>

/* A tree of one file, whose errors name this object. */
static void land_named(struct evil *evil, struct entry entry, const struct hif_hash *named)
{
        struct leaf leaf = leaf_begin(evil);

        leaf_add(&leaf, "file", entry);
        evil_says_hash(evil, named);
        evil_land_leaf(evil, &leaf);
}

static void land_file(struct evil *evil, struct entry entry)
{
        land_named(evil, entry, &entry.hash);
}

/* --- blobs --- */

static void blob_missing(struct evil *evil, const struct kind *kind)
{
        (void)kind;
        land_file(evil, a_file(evil_text(evil)));
}

/* A good blob under another's name. */
static void blob_other(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf stored = {0};
        struct entry entry = a_file(good_text(evil));

        (void)kind;
        evil_check(body_put(evil->codec, BODY_BLOB, evil_text(evil), &stored) == HIF_OK, "blob");
        evil_blob_stored(evil, &entry.hash, buf_span(&stored));
        land_file(evil, entry);
}

/* The entry says that the content has so many bytes, or below 8 so many more; its hash is right. */
static void blob_size_lies(struct evil *evil, const struct kind *kind)
{
        struct entry entry = a_stored_file(evil, evil_text(evil));

        entry.size =
            kind->number < 8 ? entry.size + (uint64_t)kind->number : (uint64_t)kind->number;
        land_file(evil, entry);
}

static void blob_size_0(struct evil *evil, const struct kind *kind)
{
        struct entry entry = a_stored_file(evil, evil_text(evil));

        (void)kind;
        entry.size = 0;
        land_file(evil, entry);
}

/* arg: the first bytes of the object's header instead. */
static void blob_header(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf stored = {0};
        struct entry entry = a_file(evil_text(evil));

        evil_check(body_put(evil->codec, BODY_BLOB, evil_text(evil), &stored) == HIF_OK, "blob");
        memcpy(stored.data + kind->number, kind->arg.data, kind->arg.size);
        evil_blob_stored(evil, &entry.hash, buf_span(&stored));
        land_file(evil, entry);
}

static void blob_raw(struct evil *evil, const struct kind *kind)
{
        struct entry entry = a_file(evil_text(evil));

        evil_blob_stored(evil, &entry.hash, kind->arg);
        land_file(evil, entry);
}

/* A tree node, named as the content of a file. */
static void blob_is_node(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf stored = {0};
        struct leaf leaf = leaf_begin(evil);
        struct entry entry;

        (void)kind;
        leaf_add(&leaf, "EVIL", a_dir());
        entry = a_file(leaf_bytes(&leaf));
        evil_check(body_put(evil->codec, BODY_NODE, leaf_bytes(&leaf), &stored) == HIF_OK, "node");
        leaf_free(&leaf);
        evil_blob_stored(evil, &entry.hash, buf_span(&stored));
        land_file(evil, entry);
}

/* A blob, named as a tree node. */
static void node_is_blob(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf stored = {0};
        struct leaf leaf = leaf_begin(evil);
        struct hif_hash hash;

        (void)kind;
        leaf_add(&leaf, "EVIL", a_dir());
        hash = hash_of(HASH_NODE, leaf_bytes(&leaf));
        evil_check(body_put(evil->codec, BODY_BLOB, leaf_bytes(&leaf), &stored) == HIF_OK, "blob");
        leaf_free(&leaf);
        evil_node_stored(evil, &hash, buf_span(&stored));
        evil_says_hash(evil, &hash);
        evil_land(evil, hash, 2);
}

static void node_is_chunks(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf list = {0};
        const struct chunk chunk = {.size = 5};
        struct hif_hash hash;

        (void)kind;
        chunk_list_put(&list, 0, &chunk, 1);
        hash = hash_of(HASH_NODE, buf_span(&list));
        evil_node_stored(evil, &hash, buf_span(&list));
        evil_says_hash(evil, &hash);
        evil_land(evil, hash, 2);
}

/* --- chunk lists --- */

#define CHUNK_SIZE ((size_t)3 << 20)

/* Of a file of two chunks, which are stored. The second one is the other way round, so that none is
 * like another kind's. Encoded: 12 the first, 44 its end, 52 the second. */
static struct entry a_large_file(struct evil *evil, struct buf *list)
{
        AUTO_BUF struct buf content = {0};
        struct span text = good_text(evil);
        struct chunk chunks[2] = {{.size = CHUNK_SIZE}, {.size = CHUNK_SIZE}};
        struct entry entry = a_file(span_str(""));

        while (content.size < CHUNK_SIZE)
                buf_put_span(&content, text);
        content.size = CHUNK_SIZE;
        chunks[0].hash = evil_blob(evil, buf_span(&content));
        content.data[0] = '!';
        chunks[1].hash = evil_blob(evil, buf_span(&content));
        chunk_list_put(list, 0, chunks, 2);
        entry.size = 2 * CHUNK_SIZE;
        entry.hash = hash_of(HASH_CHUNKS, buf_span(list));
        return entry;
}

/* arg: bytes that stand at offset `number` of the list instead; it is named by what it is. */
static void a_list(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf list = {0};
        struct entry entry = a_large_file(evil, &list);

        memcpy(list.data + kind->number, kind->arg.data, kind->arg.size);
        entry.hash = evil_chunks(evil, buf_span(&list));
        land_file(evil, entry);
}

static void list_size(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf list = {0};
        struct entry entry = a_large_file(evil, &list);

        if (kind->number < 0)
                list.size -= (size_t)-kind->number;
        else
                buf_put_zero(&list, (size_t)kind->number);
        entry.hash = evil_chunks(evil, buf_span(&list));
        land_file(evil, entry);
}

static void list_missing(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf list = {0};

        (void)kind;
        land_file(evil, a_large_file(evil, &list));
}

static void list_other(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf list = {0};
        struct entry entry = a_large_file(evil, &list);

        (void)kind;
        evil_chunks(evil, buf_span(&list));
        entry.hash.bytes[0] ^= 1;
        evil_blob_stored(evil, &entry.hash, buf_span(&list));
        land_file(evil, entry);
}

static void list_is_blob(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf list = {0}, stored = {0};
        struct entry entry = a_large_file(evil, &list);

        (void)kind;
        evil_check(body_put(evil->codec, BODY_BLOB, buf_span(&list), &stored) == HIF_OK, "blob");
        evil_blob_stored(evil, &entry.hash, buf_span(&stored));
        land_file(evil, entry);
}

/* A list whose second entry leads nowhere. */
static void chunk_missing(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf list = {0};
        struct entry entry = a_large_file(evil, &list);
        struct hif_hash chunk;

        (void)kind;
        memset(list.data + 52, 0x77, HIF_HASH_SIZE);
        memcpy(chunk.bytes, list.data + 52, HIF_HASH_SIZE);
        entry.hash = evil_chunks(evil, buf_span(&list));
        land_named(evil, entry, &chunk);
}

/* A list says that its second chunk has one byte more, or less, than it has. */
static void chunk_size_lies(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf list = {0};
        struct entry entry = a_large_file(evil, &list);
        struct hif_hash chunk;

        be64_put(list.data + 84, 2 * CHUNK_SIZE + (uint64_t)kind->number);
        memcpy(chunk.bytes, list.data + 52, HIF_HASH_SIZE);
        entry.size = 2 * CHUNK_SIZE + (uint64_t)kind->number;
        entry.hash = evil_chunks(evil, buf_span(&list));
        land_named(evil, entry, &chunk);
}

/* The entry's size is not the list's. */
static void large_size_lies(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf list = {0};
        struct entry entry = a_large_file(evil, &list);

        evil_chunks(evil, buf_span(&list));
        entry.size = (uint64_t)kind->number;
        land_file(evil, entry);
}

/* A list of lists, of which one is of the wrong depth, or shorter than its list says. */
static void lists_lie(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf below = {0}, list = {0};
        struct entry entry = a_large_file(evil, &below);
        struct chunk child = {.size = 2 * CHUNK_SIZE};

        child.hash = evil_chunks(evil, buf_span(&below));
        if (kind->number == 0) /* says that it holds more */
                child.size += CHUNK_SIZE;
        chunk_list_put(&list, (uint8_t)(kind->number == 0 ? 1 : kind->number), &child, 1);
        entry.size = child.size;
        entry.hash = evil_chunks(evil, buf_span(&list));
        land_named(evil, entry, &child.hash);
}

/* --- locations and packs --- */

/* A location that does not hold the content; with `number`, nothing else does, either. */
static void land_located(struct evil *evil, const struct kind *kind, struct pack_loc loc)
{
        struct entry entry = a_file(kind->number ? evil_text(evil) : good_text(evil));
        struct leaf leaf = leaf_begin(evil);

        if (!kind->number)
                evil_blob(evil, good_text(evil));
        entry.loc = loc;
        leaf_add(&leaf, kind->number ? "file" : "good", entry);
        evil_says_hash(evil, &entry.hash);
        evil_says_also(evil, &loc.pack);
        evil_land_leaf(evil, &leaf);
}

static void pack_missing(struct evil *evil, const struct kind *kind)
{
        land_located(evil, kind, (struct pack_loc){.pack = {{9}}, .offset = 8, .size = 30});
}

static void pack_elsewhere(struct evil *evil, const struct kind *kind)
{
        land_located(evil, kind, evil_pack(evil, other_text(evil)));
}

static void pack_offset(struct evil *evil, const struct kind *kind)
{
        struct pack_loc loc = evil_pack(evil, other_text(evil));

        loc.offset = UINT32_MAX;
        land_located(evil, kind, loc);
}

static void pack_size(struct evil *evil, const struct kind *kind)
{
        struct pack_loc loc = evil_pack(evil, other_text(evil));

        loc.size = UINT32_MAX;
        land_located(evil, kind, loc);
}

static void pack_in_index(struct evil *evil, const struct kind *kind)
{
        struct pack_loc loc = evil_pack(evil, other_text(evil));

        loc.offset += loc.size;
        land_located(evil, kind, loc);
}

static void pack_is_blob(struct evil *evil, const struct kind *kind)
{
        struct pack_loc loc = evil_pack(evil, other_text(evil));

        evil_put(evil, layout_pack(&evil->layout, &loc.pack), span_str("EVIL"));
        land_located(evil, kind, loc);
}

/* A pack whose index lies, with frames that are good where the tree says. arg: bytes that stand so
 * many before its end instead: 8 where frames end, 4 the count; of the one entry, 20 its offset,
 * 16 its size, 12 the content's. */
static void pack_index_lies(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf frame = {0};
        struct entry entry = a_file(good_text(evil));
        struct leaf leaf = leaf_begin(evil);
        struct pack_writer pack;

        pack_begin(&pack);
        evil_check(body_frame_put(evil->codec, good_text(evil), &frame) == HIF_OK &&
                       pack_add(&pack, &entry.hash, buf_span(&frame), (uint32_t)entry.size,
                                &entry.loc.offset) == HIF_OK &&
                       pack_finish(&pack, &entry.loc.pack) == HIF_OK,
                   "a pack");
        memcpy(pack.bytes.data + pack.bytes.size - kind->number, kind->arg.data, kind->arg.size);
        entry.loc.pack = hash_of(HASH_PACK, buf_span(&pack.bytes));
        entry.loc.size = (uint32_t)frame.size;
        evil_pack_stored(evil, &entry.loc.pack, buf_span(&pack.bytes));
        pack_free(&pack);
        leaf_add(&leaf, "good", entry);
        evil_says_hash(evil, &entry.loc.pack);
        evil_land_leaf(evil, &leaf);
}

const struct kind kinds_of_bodies[] = {
    {"blob-missing", REFUSED, blob_missing, BYTES(""), 0},
    {"blob-other", REFUSED, blob_other, BYTES(""), 0},
    {"blob-size-less", UNSEEN, blob_size_lies, BYTES(""), -1},
    {"blob-size-more", UNSEEN, blob_size_lies, BYTES(""), 1},
    {"blob-size-0", SERVED, blob_size_0, BYTES(""), 0},
    {"blob-size-4-mib", UNSEEN, blob_size_lies, BYTES(""), 4 << 20},
    {"blob-size-2-62", REFUSED, blob_size_lies, BYTES(""), 1ll << 62},
    {"blob-magic", REFUSED, blob_header, BYTES("EVIL"), 0},
    {"blob-version-2", REFUSED, blob_header, BYTES("\2"), 4},
    {"blob-kind-3", REFUSED, blob_header, BYTES("\3"), 5},
    {"blob-encrypted", REFUSED, blob_header, BYTES("\0\1"), 6},
    {"blob-says-4-gib", REFUSED, blob_header, BYTES("\377\377\377\377"), 8},
    {"blob-says-4-mib", REFUSED, blob_header, BYTES("\0\100\0\0"), 8},
    {"blob-empty-object", REFUSED, blob_raw, BYTES(""), 0},
    {"blob-is-its-content", REFUSED, blob_raw, BYTES("EVIL\n"), 0},
    {"blob-is-chunk-list", REFUSED, blob_raw, BYTES("HIFC\1\0\0\0\0\0\0\1"), 0},
    {"blob-is-node", REFUSED, blob_is_node, BYTES(""), 0},
    {"node-is-blob", REFUSED, node_is_blob, BYTES(""), 0},
    {"node-is-chunk-list", REFUSED, node_is_chunks, BYTES(""), 0},
    {"chunks-magic", REFUSED, a_list, BYTES("EVIL"), 0},
    {"chunks-version-2", REFUSED, a_list, BYTES("\2"), 4},
    {"chunks-depth-4", REFUSED, a_list, BYTES("\4"), 5},
    {"chunks-depth-255", REFUSED, a_list, BYTES("\377"), 5},
    {"chunks-reserved", REFUSED, a_list, BYTES("\1"), 6},
    {"chunks-count-0", REFUSED, a_list, BYTES("\0\0\0\0"), 8},
    {"chunks-count-1", REFUSED, a_list, BYTES("\0\0\0\1"), 8},
    {"chunks-count-2-32", REFUSED, a_list, BYTES("\377\377\377\377"), 8},
    {"chunks-ends-descend", REFUSED, a_list, BYTES("\0\0\0\0\0\0\0\1"), 84},
    {"chunks-end-0", REFUSED, a_list, BYTES("\0\0\0\0\0\0\0\0"), 44},
    {"chunks-of-1-tib", REFUSED, a_list, BYTES("\0\0\1\0\0\0\0\0"), 84},
    {"chunks-end-2-64", REFUSED, a_list, BYTES("\377\377\377\377\377\377\377\377"), 84},
    {"chunks-cut", REFUSED, list_size, BYTES(""), -1},
    {"chunks-with-tail", REFUSED, list_size, BYTES(""), 40},
    {"chunks-missing", REFUSED, list_missing, BYTES(""), 0},
    {"chunks-other", REFUSED, list_other, BYTES(""), 0},
    {"chunks-is-blob", REFUSED, list_is_blob, BYTES(""), 0},
    {"chunk-missing", REFUSED, chunk_missing, BYTES(""), 0},
    {"chunk-size-less", UNSEEN, chunk_size_lies, BYTES(""), -1},
    {"chunk-size-more", UNSEEN, chunk_size_lies, BYTES(""), 1},
    {"large-size-less", REFUSED, large_size_lies, BYTES(""), 5 << 20},
    {"large-size-more", REFUSED, large_size_lies, BYTES(""), 7 << 20},
    {"large-size-2-62", REFUSED, large_size_lies, BYTES(""), 1ll << 62},
    {"lists-size", REFUSED, lists_lie, BYTES(""), 0},
    {"lists-depth-2", REFUSED, lists_lie, BYTES(""), 2},
    {"lists-depth-3", REFUSED, lists_lie, BYTES(""), 3},
    {"location-pack-missing", REFUSED, pack_missing, BYTES(""), 1},
    {"location-elsewhere", REFUSED, pack_elsewhere, BYTES(""), 1},
    {"location-offset-4-gib", REFUSED, pack_offset, BYTES(""), 1},
    {"location-size-4-gib", REFUSED, pack_size, BYTES(""), 1},
    {"location-in-index", REFUSED, pack_in_index, BYTES(""), 1},
    {"location-no-pack", REFUSED, pack_is_blob, BYTES(""), 1},
    {"hint-pack-missing", IGNORED, pack_missing, BYTES(""), 0},
    {"hint-elsewhere", IGNORED, pack_elsewhere, BYTES(""), 0},
    {"hint-offset-4-gib", IGNORED, pack_offset, BYTES(""), 0},
    {"hint-size-4-gib", IGNORED, pack_size, BYTES(""), 0},
    {"hint-in-index", IGNORED, pack_in_index, BYTES(""), 0},
    {"hint-no-pack", IGNORED, pack_is_blob, BYTES(""), 0},
    {"index-count-0", FOUND, pack_index_lies, BYTES("\0\0\0\0"), 4},
    {"index-count-2-32", FOUND, pack_index_lies, BYTES("\377\377\377\377"), 4},
    {"index-frames-end-0", FOUND, pack_index_lies, BYTES("\0\0\0\0"), 8},
    {"index-frames-end-4-gib", FOUND, pack_index_lies, BYTES("\377\377\377\377"), 8},
    {"index-offset-0", FOUND, pack_index_lies, BYTES("\0\0\0\0"), 20},
    {"index-size-4-gib", FOUND, pack_index_lies, BYTES("\377\377\377\377"), 16},
    {"index-size-0", FOUND, pack_index_lies, BYTES("\0\0\0\0"), 16},
    {"index-content-4-gib", FOUND, pack_index_lies, BYTES("\377\377\377\377"), 12},
    {0},
};
