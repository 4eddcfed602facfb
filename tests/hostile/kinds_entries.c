/* Entries that no file can be: unknown kinds, sizes that do not fit, fields where none belong. */
#include "base/cleanup.h"
#include "tests/hostile/evil.h"

#include <stdlib.h>

/* What an entry is encoded as; the defaults are a good file. */
struct value {
        uint8_t kind, flags;
        uint32_t nsec;
        bool sized; /* has size and hash */
        uint64_t size;
        struct hif_hash hash;
        bool located;
        uint16_t pack;
        uint32_t offset, frame;
        struct span target, ext;
        bool extended;
        uint16_t ext_size;
};

static struct value a_value(struct evil *evil)
{
        struct span text = evil_text(evil);

        return (struct value){
            .kind = ENTRY_FILE, .sized = true, .size = text.size, .hash = evil_blob(evil, text)};
}

static void put_value(struct buf *out, const struct value *value)
{
        buf_put_u8(out, value->kind);
        buf_put_u8(out, value->flags);
        buf_put_u64(out, 1000000000);
        buf_put_u32(out, value->nsec);
        buf_put_u64(out, 1);
        buf_put_u64(out, 7);
        if (value->sized) {
                buf_put_u64(out, value->size);
                buf_put(out, value->hash.bytes, HIF_HASH_SIZE);
        }
        if (value->located) {
                buf_put_u16(out, value->pack);
                buf_put_u32(out, value->offset);
                buf_put_u32(out, value->frame);
        }
        buf_put_span(out, value->target);
        if (value->extended) {
                buf_put_u16(out, value->ext_size);
                buf_put_span(out, value->ext);
        }
}

/* A tree whose one entry, EVIL, has this value. */
static void land_value(struct evil *evil, const struct value *value)
{
        AUTO_BUF struct buf bytes = {0};
        struct leaf leaf = leaf_begin(evil);
        struct hif_hash hash;

        leaf_add(&leaf, "EVIL", a_dir());
        put_value(&bytes, value);
        leaf_set_value(&leaf, buf_span(&bytes));
        hash = leaf_end(&leaf);
        evil_says_hash(evil, &hash);
        evil_land(evil, hash, 2);
}

/* number: a device, a socket, a set-uid file; what else a kind may be taken for. */
static void of_kind(struct evil *evil, const struct kind *kind)
{
        struct value value = a_value(evil);

        value.kind = (uint8_t)kind->number;
        land_value(evil, &value);
}

static void with_flags(struct evil *evil, const struct kind *kind)
{
        struct value value = a_value(evil);

        value.flags = (uint8_t)kind->number;
        land_value(evil, &value);
}

static void with_nsec(struct evil *evil, const struct kind *kind)
{
        struct value value = a_value(evil);

        value.nsec = (uint32_t)kind->number;
        land_value(evil, &value);
}

static void with_size(struct evil *evil, const struct kind *kind)
{
        struct value value = a_value(evil);

        value.size = (uint64_t)kind->number;
        land_value(evil, &value);
}

static void dir_with_size(struct evil *evil, const struct kind *kind)
{
        struct value value = a_value(evil);

        (void)kind;
        value.kind = ENTRY_DIR;
        land_value(evil, &value);
}

static void file_without_hash(struct evil *evil, const struct kind *kind)
{
        struct value value = a_value(evil);

        (void)kind;
        value.sized = false;
        land_value(evil, &value);
}

/* A location, on what has none or where it leads nowhere. number: the entry's kind. */
static void located(struct evil *evil, const struct kind *kind)
{
        struct value value = a_value(evil);

        value.kind = (uint8_t)kind->number;
        value.flags = TREE_RECORD_LOCATED;
        value.located = true;
        value.frame = 10;
        if (value.kind == ENTRY_DIR) {
                value.sized = false;
        } else if (value.kind == ENTRY_SYMLINK) {
                value.target = evil_text(evil);
        } else {
                value.pack = 3; /* of none */
        }
        land_value(evil, &value);
}

static void located_nowhere(struct evil *evil, const struct kind *kind)
{
        struct value value = a_value(evil);

        (void)kind;
        value.flags = TREE_RECORD_LOCATED;
        value.located = true; /* a frame of no bytes */
        land_value(evil, &value);
}

/* arg: the target; number: the size that the entry says it has. */
static void a_target(struct evil *evil, const struct kind *kind)
{
        struct value value = a_value(evil);

        value.kind = ENTRY_SYMLINK;
        value.target = kind->arg;
        value.size = (uint64_t)kind->number;
        value.hash = hash_of(HASH_BLOB, kind->arg);
        land_value(evil, &value);
}

static void a_long_target(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf target = {0};
        struct value value = a_value(evil);

        for (int64_t i = 0; i < kind->number; i++)
                buf_put_u8(&target, 't');
        value.kind = ENTRY_SYMLINK;
        value.target = buf_span(&target);
        value.size = target.size;
        value.hash = hash_of(HASH_BLOB, value.target);
        land_value(evil, &value);
}

/* Fields of a newer version: none, too many, cut. number: how many it says; arg: what there is. */
static void extended(struct evil *evil, const struct kind *kind)
{
        struct value value = a_value(evil);

        value.flags = TREE_RECORD_EXT;
        value.extended = true;
        value.ext_size = (uint16_t)kind->number;
        value.ext = kind->arg;
        land_value(evil, &value);
}

static void extended_too_far(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf ext = {0};
        struct value value = a_value(evil);

        buf_put_zero(&ext, (size_t)kind->number);
        value.flags = TREE_RECORD_EXT;
        value.extended = true;
        value.ext_size = (uint16_t)kind->number;
        value.ext = buf_span(&ext);
        land_value(evil, &value);
}

const struct kind kinds_of_entries[] = {
    {"kind-0", REFUSED, of_kind, BYTES(""), 0},
    {"kind-5", REFUSED, of_kind, BYTES(""), 5},
    {"kind-character-device", REFUSED, of_kind, BYTES(""), 0x20},
    {"kind-block-device", REFUSED, of_kind, BYTES(""), 0x60},
    {"kind-255", REFUSED, of_kind, BYTES(""), 255},
    {"kind-directory-of-a-file", REFUSED, of_kind, BYTES(""), ENTRY_DIR},
    {"kind-link-of-a-file", REFUSED, of_kind, BYTES(""), ENTRY_SYMLINK},
    {"flags-4", REFUSED, with_flags, BYTES(""), 4},
    {"flags-setuid", REFUSED, with_flags, BYTES(""), 0x80},
    {"flags-located-without", REFUSED, with_flags, BYTES(""), TREE_RECORD_LOCATED},
    {"flags-extended-without", REFUSED, with_flags, BYTES(""), TREE_RECORD_EXT},
    {"time-of-1-billion-ns", REFUSED, with_nsec, BYTES(""), 1000000000},
    {"time-of-4-billion-ns", REFUSED, with_nsec, BYTES(""), 0xffffffffll},
    {"size-2-63", REFUSED, with_size, BYTES(""), INT64_MIN},
    {"size-2-64", REFUSED, with_size, BYTES(""), -1},
    {"directory-with-size", REFUSED, dir_with_size, BYTES(""), 0},
    {"file-without-hash", REFUSED, file_without_hash, BYTES(""), 0},
    {"location-of-a-directory", REFUSED, located, BYTES(""), ENTRY_DIR},
    {"location-of-a-link", REFUSED, located, BYTES(""), ENTRY_SYMLINK},
    {"location-in-no-pack", REFUSED, located, BYTES(""), ENTRY_FILE},
    {"location-of-no-bytes", REFUSED, located_nowhere, BYTES(""), 0},
    {"target-empty", REFUSED, a_target, BYTES(""), 0},
    {"target-longer-than-said", REFUSED, a_target, BYTES("EVIL"), 3},
    {"target-shorter-than-said", REFUSED, a_target, BYTES("EVIL"), 5},
    {"target-of-2-62", REFUSED, a_target, BYTES("EVIL"), 1ll << 62},
    {"target-with-nul", REFUSED, a_target, BYTES("good\0EVIL"), 9},
    {"target-of-nul", REFUSED, a_target, BYTES("\0"), 1},
    {"target-4096-bytes", REFUSED, a_long_target, BYTES(""), 4096},
    {"target-65535-bytes", REFUSED, a_long_target, BYTES(""), 65535},
    {"extension-empty", REFUSED, extended, BYTES(""), 0},
    {"extension-cut", REFUSED, extended, BYTES("EVIL"), 100},
    {"extension-over-limit", REFUSED, extended_too_far, BYTES(""), ENTRY_EXT_MAX + 1},
    {0},
};
