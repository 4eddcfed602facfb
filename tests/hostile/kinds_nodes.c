/* Tree nodes that are what their hash says, and still are none: one thing wrong in the encoding. */
#include "base/cleanup.h"
#include "tests/hostile/evil.h"

#include <stdlib.h>

/* Of two entries, root and EVIL, in a leaf (tree_node.c): 16 heads, 32 where the records start, 40
 * the root's record, 72 EVIL's. In an inner node: 40 the sums, 56 and 90 the records. */

/* Land a root of these bytes. */
static void land_bytes(struct evil *evil, struct span bytes)
{
        struct hif_hash hash = evil_node(evil, bytes);

        evil_says_hash(evil, &hash);
        evil_land(evil, hash, 2);
}

static void good_leaf(struct evil *evil, struct buf *out)
{
        struct leaf leaf = leaf_begin(evil);

        leaf_add(&leaf, "EVIL", a_stored_file(evil, evil_text(evil)));
        buf_put_span(out, leaf_bytes(&leaf));
        leaf_free(&leaf);
}

static void good_inner(struct evil *evil, struct buf *out)
{
        struct node_builder inner = {.level = 1};
        AUTO_BUF struct buf key = {0};
        struct leaf leaf = leaf_begin(evil), second = {.evil = evil};
        struct hif_hash child = leaf_end(&leaf), last;

        key_from_path(&key, span_str("EVIL"));
        leaf_add(&second, "EVIL", a_stored_file(evil, evil_text(evil)));
        last = leaf_end(&second);
        evil_check(builder_add_child(&inner, span_str(""), &child, 1) == HIF_OK &&
                       builder_add_child(&inner, buf_span(&key), &last, 1) == HIF_OK &&
                       builder_encode(&inner, &child) == HIF_OK,
                   "an inner node");
        buf_put_span(out, buf_span(&inner.bytes));
        builder_free(&inner);
}

static void patch(struct buf *bytes, const struct kind *kind)
{
        evil_check((size_t)kind->number + kind->arg.size <= bytes->size, "a patch");
        memcpy(bytes->data + kind->number, kind->arg.data, kind->arg.size);
}

/* arg: bytes that stand at offset `number` instead. */
static void a_leaf(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf bytes = {0};

        good_leaf(evil, &bytes);
        patch(&bytes, kind);
        land_bytes(evil, buf_span(&bytes));
}

static void an_inner(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf bytes = {0};

        good_inner(evil, &bytes);
        patch(&bytes, kind);
        land_bytes(evil, buf_span(&bytes));
}

/* Only the first `number` bytes; below zero: so many fewer. */
static void a_part(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf bytes = {0};

        good_leaf(evil, &bytes);
        bytes.size = (size_t)(kind->number < 0 ? (int64_t)bytes.size + kind->number : kind->number);
        land_bytes(evil, buf_span(&bytes));
}

static void a_tail(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf bytes = {0};

        good_leaf(evil, &bytes);
        buf_put_span(&bytes, kind->arg);
        land_bytes(evil, buf_span(&bytes));
}

/* Over TREE_NODE_SIZE_MAX. */
static void too_large(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf bytes = {0};

        good_leaf(evil, &bytes);
        buf_put_zero(&bytes, (size_t)kind->number);
        land_bytes(evil, buf_span(&bytes));
}

/* A prefix that both keys share, and the node does not use. */
static void short_prefix(struct evil *evil, const struct kind *kind)
{
        struct leaf first = leaf_begin(evil), leaf = {.evil = evil};
        struct node_builder inner = {.level = 1};
        AUTO_BUF struct buf key = {0}, bytes = {0};
        struct hif_hash child = leaf_end(&first), last;
        struct span good;

        (void)kind;
        leaf_add(&leaf, "EVIL/a", a_stored_file(evil, evil_text(evil)));
        good = leaf_bytes(&leaf);
        /* The one key is its own prefix, with nothing left: make it a prefix of one byte less. */
        buf_put_span(&bytes, good);
        be16_put(bytes.data + 8, (uint16_t)(be16_get(good.data + 8) - 1));
        last = evil_node(evil, buf_span(&bytes));
        leaf_free(&leaf);
        key_from_path(&key, span_str("EVIL/a"));
        evil_check(builder_add_child(&inner, span_str(""), &child, 1) == HIF_OK &&
                       builder_add_child(&inner, buf_span(&key), &last, 1) == HIF_OK &&
                       builder_encode(&inner, &child) == HIF_OK,
                   "an inner node");
        child = evil_node(evil, buf_span(&inner.bytes));
        builder_free(&inner);
        evil_says_hash(evil, &last);
        evil_land(evil, child, 2);
}

const struct kind kinds_of_nodes[] = {
    {"node-empty", REFUSED, a_part, BYTES(""), 0},
    {"node-magic-only", REFUSED, a_part, BYTES(""), 4},
    {"node-header-only", REFUSED, a_part, BYTES(""), 16},
    {"node-without-records", REFUSED, a_part, BYTES(""), 40},
    {"node-cut-by-one", REFUSED, a_part, BYTES(""), -1},
    {"node-with-tail", REFUSED, a_tail, BYTES("EVIL"), 0},
    {"node-over-limit", REFUSED, too_large, BYTES(""), TREE_NODE_SIZE_MAX},
    {"node-magic", REFUSED, a_leaf, BYTES("EVIL"), 0},
    {"node-version-0", REFUSED, a_leaf, BYTES("\0"), 4},
    {"node-version-2", REFUSED, a_leaf, BYTES("\2"), 4},
    {"node-level-1-of-a-leaf", REFUSED, a_leaf, BYTES("\1"), 5},
    {"node-level-16", REFUSED, a_leaf, BYTES("\20"), 5},
    {"node-level-255", REFUSED, a_leaf, BYTES("\377"), 5},
    {"node-count-0", REFUSED, a_leaf, BYTES("\0\0"), 6},
    {"node-count-1", REFUSED, a_leaf, BYTES("\0\1"), 6},
    {"node-count-3", REFUSED, a_leaf, BYTES("\0\3"), 6},
    {"node-count-65535", REFUSED, a_leaf, BYTES("\377\377"), 6},
    {"node-prefix-4", REFUSED, a_leaf, BYTES("\0\4"), 8},
    {"node-prefix-65535", REFUSED, a_leaf, BYTES("\377\377"), 8},
    {"node-packs-1", REFUSED, a_leaf, BYTES("\0\1"), 10},
    {"node-packs-65535", REFUSED, a_leaf, BYTES("\377\377"), 10},
    {"node-reserved", REFUSED, a_leaf, BYTES("\0\0\0\1"), 12},
    {"node-head-of-root", REFUSED, a_leaf, BYTES("E"), 16},
    {"node-head-other", REFUSED, a_leaf, BYTES("E"), 28},
    {"node-record-before-start", REFUSED, a_leaf, BYTES("\0\0\0\20"), 32},
    {"node-records-overlap", REFUSED, a_leaf, BYTES("\0\0\0\50"), 36},
    {"node-records-descend", REFUSED, a_leaf, BYTES("\0\0\0\40"), 36},
    {"node-record-outside", REFUSED, a_leaf, BYTES("\0\1\0\0"), 36},
    {"node-record-at-4-gib", REFUSED, a_leaf, BYTES("\377\377\377\377"), 36},
    {"node-key-too-long", REFUSED, a_leaf, BYTES("\377\377"), 72},
    {"node-key-to-the-end", REFUSED, a_leaf, BYTES("\0\123"), 72},
    {"node-prefix-short", REFUSED, short_prefix, BYTES(""), 0},
    {"inner-sum-0", REFUSED, an_inner, BYTES("\0\0\0\0\0\0\0\0"), 40},
    {"inner-sums-descend", REFUSED, an_inner, BYTES("\0\0\0\0\0\0\0\3"), 40},
    {"inner-sums-equal", REFUSED, an_inner, BYTES("\0\0\0\0\0\0\0\1"), 48},
    {"inner-sum-over-2-48", REFUSED, an_inner, BYTES("\0\1\0\0\0\0\0\1"), 48},
    {"inner-sum-2-64", REFUSED, an_inner, BYTES("\377\377\377\377\377\377\377\377"), 48},
    {"inner-with-packs", REFUSED, an_inner, BYTES("\0\1"), 10},
    {"inner-as-leaf", REFUSED, an_inner, BYTES("\0"), 5},
    {"inner-hash-cut", REFUSED, an_inner, BYTES("\0\0\0\101"), 36},
    {0},
};
