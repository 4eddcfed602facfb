/* Names that would lead out of the mount, or confuse whoever walks it: in the keys of a tree. */
#include "base/cleanup.h"
#include "tests/hostile/evil.h"

#include <stdlib.h>

/* A tree whose one entry has this key. */
static void land_key(struct evil *evil, struct span key)
{
        struct leaf leaf = leaf_begin(evil);
        struct hif_hash hash;

        leaf_add_key(&leaf, key, a_stored_file(evil, evil_text(evil)));
        hash = leaf_end(&leaf);
        evil_says_hash(evil, &hash);
        evil_land(evil, hash, 2);
}

static void a_name(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf key = {0};

        put_key(&key, span_str(""), kind->arg);
        land_key(evil, buf_span(&key));
}

static void a_raw_key(struct evil *evil, const struct kind *kind)
{
        land_key(evil, kind->arg);
}

/* number: the size of the name. */
static void a_long_name(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf name = {0}, key = {0};

        for (int64_t i = 0; i < kind->number; i++)
                buf_put_u8(&name, 'e');
        put_key(&key, span_str(""), buf_span(&name));
        land_key(evil, buf_span(&key));
}

/* arg: what stands before the key of EVIL, components with their 00. */
static void a_parent(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf key = {0};

        put_key(&key, kind->arg, span_str("EVIL"));
        land_key(evil, buf_span(&key));
}

static void a_long_parent(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf above = {0}, key = {0};

        for (int64_t i = 0; i < kind->number; i++)
                buf_put_u8(&above, 'e');
        buf_put_u8(&above, 0);
        put_key(&key, buf_span(&above), span_str("EVIL"));
        land_key(evil, buf_span(&key));
}

/* number: how many directories of one letter. */
static void a_deep_path(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf above = {0}, key = {0};

        for (int64_t i = 0; i < kind->number; i++)
                buf_put(&above, "d", 2);
        put_key(&key, buf_span(&above), span_str("EVIL"));
        land_key(evil, buf_span(&key));
}

/* A path of good names, in all too long. */
static void a_long_path(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf above = {0}, key = {0};

        for (int64_t i = 0; i < kind->number; i++) {
                if (i % 200 == 199)
                        buf_put_u8(&above, 0);
                else
                        buf_put_u8(&above, 'p');
        }
        buf_put_u8(&above, 0);
        put_key(&key, buf_span(&above), span_str("EVIL"));
        land_key(evil, buf_span(&key));
}

/* The hash that orders a name, with some bits of it changed. */
static void a_wrong_hash(struct evil *evil, const struct kind *kind)
{
        const struct span name = span_str("EVIL");
        AUTO_BUF struct buf key = {0};

        buf_put_u8(&key, 0);
        buf_put_u64(&key, name_hash60(name) ^ (uint64_t)kind->number);
        buf_put_span(&key, name);
        land_key(evil, buf_span(&key));
}

/* An entry's key, and the same once more with another content. */
static void a_duplicate(struct evil *evil, const struct kind *kind)
{
        struct leaf leaf = leaf_begin(evil);
        struct tree_item *items;
        struct hif_hash hash;

        (void)kind;
        leaf_add(&leaf, "EVIL", a_stored_file(evil, evil_text(evil)));
        leaf_add(&leaf, "other", a_stored_file(evil, other_text(evil)));
        items = (struct tree_item *)(void *)leaf.builder.items.data;
        items[2].key_at = items[1].key_at;
        items[2].key_size = items[1].key_size;
        hash = leaf_end(&leaf);
        evil_says_hash(evil, &hash);
        evil_land(evil, hash, 3);
}

static void unsorted(struct evil *evil, const struct kind *kind)
{
        struct leaf leaf = leaf_begin(evil);
        struct tree_item *items, item;
        struct hif_hash hash;

        (void)kind;
        leaf_add(&leaf, "EVIL", a_stored_file(evil, evil_text(evil)));
        leaf_add(&leaf, "other", a_stored_file(evil, other_text(evil)));
        items = (struct tree_item *)(void *)leaf.builder.items.data;
        item = items[1];
        items[1] = items[2];
        items[2] = item;
        hash = leaf_end(&leaf);
        evil_says_hash(evil, &hash);
        evil_land(evil, hash, 3);
}

/* The root directory a second time, as an entry of its own. */
static void two_roots(struct evil *evil, const struct kind *kind)
{
        struct leaf leaf = leaf_begin(evil);
        struct tree_item *items;
        struct hif_hash hash;

        (void)kind;
        leaf_add(&leaf, "EVIL", a_stored_file(evil, evil_text(evil)));
        items = (struct tree_item *)(void *)leaf.builder.items.data;
        items[1].key_size = 0;
        hash = leaf_end(&leaf);
        evil_says_hash(evil, &hash);
        evil_land(evil, hash, 2);
}

const struct kind kinds_of_names[] = {
    {"name-empty", REFUSED, a_name, BYTES(""), 0},
    {"name-dot", REFUSED, a_name, BYTES("."), 0},
    {"name-dot-dot", REFUSED, a_name, BYTES(".."), 0},
    {"name-slash", REFUSED, a_name, BYTES("/"), 0},
    {"name-with-slash", REFUSED, a_name, BYTES("dir/EVIL"), 0},
    {"name-absolute", REFUSED, a_name, BYTES("/etc/EVIL"), 0},
    {"name-dot-dot-slash", REFUSED, a_name, BYTES("../EVIL"), 0},
    {"name-trailing-slash", REFUSED, a_name, BYTES("EVIL/"), 0},
    {"name-nul", REFUSED, a_name, BYTES("\0"), 0},
    {"name-with-nul", REFUSED, a_name, BYTES("good\0EVIL"), 0},
    {"name-trailing-nul", REFUSED, a_name, BYTES("EVIL\0"), 0},
    {"name-256-bytes", REFUSED, a_long_name, BYTES(""), 256},
    {"name-4000-bytes", REFUSED, a_long_name, BYTES(""), 4000},
    {"parent-dot-dot", REFUSED, a_parent, BYTES("..\0"), 0},
    {"parent-dot", REFUSED, a_parent, BYTES(".\0"), 0},
    {"parent-with-slash", REFUSED, a_parent, BYTES("../../etc\0"), 0},
    {"parent-empty-component", REFUSED, a_parent, BYTES("a\0\0"), 0},
    {"parent-dot-dot-later", REFUSED, a_parent, BYTES("a\0b\0..\0..\0..\0etc\0"), 0},
    {"parent-256-bytes", REFUSED, a_long_parent, BYTES(""), 256},
    {"path-too-deep", REFUSED, a_deep_path, BYTES(""), 2047},
    {"path-too-long", REFUSED, a_long_path, BYTES(""), 4092},
    {"hash-other", REFUSED, a_wrong_hash, BYTES(""), 1ll << 40},
    {"hash-low-bits", REFUSED, a_wrong_hash, BYTES(""), 1},
    {"hash-nothing-left", REFUSED, a_raw_key, BYTES("\0\1\2\3\4"), 0},
    {"key-without-hash", REFUSED, a_raw_key, BYTES("EVIL"), 0},
    {"key-ends-in-parent", REFUSED, a_raw_key, BYTES("EVIL\0"), 0},
    {"key-of-zeros", REFUSED, a_raw_key, BYTES("\0\0\0\0\0\0\0\0\0"), 0},
    {"key-duplicate", REFUSED, a_duplicate, BYTES(""), 0},
    {"key-unsorted", REFUSED, unsorted, BYTES(""), 0},
    {"key-two-roots", REFUSED, two_roots, BYTES(""), 0},
    {0},
};
