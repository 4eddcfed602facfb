/* Good nodes that do not fit together, and trees that contradict themselves. */
#include "base/cleanup.h"
#include "tests/hostile/evil.h"

#include <stdlib.h>

struct child {
        const char *path; /* of its first key; "": the root */
        struct hif_hash hash;
        uint64_t entries;
};

static struct hif_hash an_inner(struct evil *evil, uint8_t level, const struct child *children,
                                size_t count)
{
        struct node_builder inner = {.level = level};
        struct hif_hash hash;

        for (size_t i = 0; i < count; i++) {
                AUTO_BUF struct buf key = {0};

                key_from_path(&key, span_str(children[i].path));
                evil_check(builder_add_child(&inner, buf_span(&key), &children[i].hash,
                                             children[i].entries) == HIF_OK,
                           "a child");
        }
        evil_check(builder_encode(&inner, &hash) == HIF_OK, "an inner node");
        hash = evil_node(evil, buf_span(&inner.bytes));
        builder_free(&inner);
        return hash;
}

/* The root directory alone. */
static struct hif_hash first_leaf(struct evil *evil)
{
        struct leaf leaf = leaf_begin(evil);

        return leaf_end(&leaf);
}

/* Files of these names, which ascend as keys (asserted). */
static struct hif_hash leaf_of(struct evil *evil, const char *const *paths, size_t count)
{
        struct leaf leaf = {.evil = evil};

        for (size_t i = 0; i < count; i++)
                leaf_add(&leaf, paths[i], a_stored_file(evil, evil_text(evil)));
        return leaf_end(&leaf);
}

static struct hif_hash evil_leaf(struct evil *evil)
{
        static const char *const paths[] = {"EVIL"};

        return leaf_of(evil, paths, 1);
}

static void land_root(struct evil *evil, struct hif_hash root, uint64_t entries,
                      struct hif_hash named)
{
        evil_says_hash(evil, &named);
        evil_land(evil, root, entries);
}

/* A second child that is not what its parent says. number: how many entries it says. */
static void count_lies(struct evil *evil, const struct kind *kind)
{
        const struct child children[] = {{"", first_leaf(evil), 1},
                                         {"EVIL", evil_leaf(evil), (uint64_t)kind->number}};
        struct hif_hash root = an_inner(evil, 1, children, 2);

        land_root(evil, root, 1 + (uint64_t)kind->number, children[1].hash);
}

static void first_key_lies(struct evil *evil, const struct kind *kind)
{
        const struct child children[] = {{"", first_leaf(evil), 1}, {"EVIL2", evil_leaf(evil), 1}};

        (void)kind;
        land_root(evil, an_inner(evil, 1, children, 2), 2, children[1].hash);
}

/* number: the level that the root says it has, over leaves. */
static void level_lies(struct evil *evil, const struct kind *kind)
{
        const struct child children[] = {{"", first_leaf(evil), 1}, {"EVIL", evil_leaf(evil), 1}};
        struct hif_hash root = an_inner(evil, (uint8_t)kind->number, children, 2);

        land_root(evil, root, 2, children[0].hash);
}

static void child_missing(struct evil *evil, const struct kind *kind)
{
        const struct child children[] = {{"", first_leaf(evil), 1}, {"EVIL", evil_leaf(evil), 1}};
        struct hif_hash root = an_inner(evil, 1, children, 2);

        (void)kind;
        evil_remove(evil, layout_node(&evil->layout, &children[1].hash));
        land_root(evil, root, 2, children[1].hash);
}

/* A node that should come below itself: as no node can name its own hash, another one's name leads
 * to the root's bytes. */
static void cycle(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf stored = {0};
        const struct child children[] = {{"", first_leaf(evil), 1}, {"EVIL", {{1, 2, 3}}, 1}};
        struct node_builder inner = {.level = 1};
        struct hif_hash root = an_inner(evil, 1, children, 2), same;

        (void)kind;
        for (size_t i = 0; i < 2; i++) {
                AUTO_BUF struct buf key = {0};

                key_from_path(&key, span_str(children[i].path));
                evil_check(builder_add_child(&inner, buf_span(&key), &children[i].hash, 1) ==
                               HIF_OK,
                           "a child");
        }
        evil_check(builder_encode(&inner, &same) == HIF_OK &&
                       body_put(evil->codec, BODY_NODE, buf_span(&inner.bytes), &stored) == HIF_OK,
                   "an inner node");
        builder_free(&inner);
        evil_node_stored(evil, &children[1].hash, buf_span(&stored));
        land_root(evil, root, 2, children[1].hash);
}

/* Another node's bytes under this one's name. */
static void child_other(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf stored = {0};
        const struct child children[] = {{"", first_leaf(evil), 1}, {"EVIL", evil_leaf(evil), 1}};
        struct hif_hash root = an_inner(evil, 1, children, 2);
        struct leaf leaf = {.evil = evil};

        (void)kind;
        leaf_add(&leaf, "EVIL", a_stored_file(evil, other_text(evil)));
        evil_check(body_put(evil->codec, BODY_NODE, leaf_bytes(&leaf), &stored) == HIF_OK, "node");
        leaf_free(&leaf);
        evil_node_stored(evil, &children[1].hash, buf_span(&stored));
        land_root(evil, root, 2, children[1].hash);
}

/* The root of levels above levels, each of one child: as high as a tree may be, and higher. */
static void tower(struct evil *evil, const struct kind *kind)
{
        const char *const paths[] = {"EVIL"};
        struct leaf leaf = leaf_begin(evil);
        struct hif_hash below;

        leaf_add(&leaf, paths[0], a_stored_file(evil, evil_text(evil)));
        below = leaf_end(&leaf);
        for (int64_t level = 1; level <= kind->number; level++) {
                AUTO_BUF struct buf bytes = {0};
                struct node_builder inner = {.level = 1};

                evil_check(builder_add_child(&inner, span_str(""), &below, 2) == HIF_OK &&
                               builder_encode(&inner, &below) == HIF_OK,
                           "a level");
                buf_put_span(&bytes, buf_span(&inner.bytes));
                bytes.data[5] = (uint8_t)level;
                below = evil_node(evil, buf_span(&bytes));
                builder_free(&inner);
        }
        land_root(evil, below, 2, below);
}

/* One leaf many times: a tree that says it has more entries than any disk, in three objects. */
static void wide(struct evil *evil, const struct kind *kind)
{
        const struct child children[] = {{"", first_leaf(evil), 1},
                                         {"EVIL", evil_leaf(evil), (uint64_t)1 << 47}};

        (void)kind;
        land_root(evil, an_inner(evil, 1, children, 2), 1 + ((uint64_t)1 << 47), children[1].hash);
}

/* A tree without the root directory, or where that is something else. */
static void no_root(struct evil *evil, const struct kind *kind)
{
        struct hif_hash root = evil_leaf(evil);

        (void)kind;
        land_root(evil, root, 1, root);
}

static void root_is(struct evil *evil, const struct kind *kind)
{
        struct leaf leaf = {.evil = evil};
        struct entry entry = a_stored_file(evil, kind->arg);
        struct hif_hash root;

        entry.kind = (enum entry_kind)kind->number;
        if (entry.kind == ENTRY_SYMLINK)
                entry.target = kind->arg;
        leaf_add_key(&leaf, span_str(""), entry);
        leaf_add(&leaf, "EVIL", a_stored_file(evil, evil_text(evil)));
        root = leaf_end(&leaf);
        land_root(evil, root, 2, root);
}

/* Keys of these names, in the order of their keys. */
static void sort_names(const char **names, size_t count)
{
        for (size_t i = 1; i < count; i++)
                for (size_t j = i;
                     j > 0 && name_hash60(span_str(names[j])) < name_hash60(span_str(names[j - 1]));
                     j--) {
                        const char *name = names[j];

                        names[j] = names[j - 1];
                        names[j - 1] = name;
                }
}

/* A leaf that reaches into the next one, so that names come twice. */
static void leaves_overlap(struct evil *evil, const struct kind *kind)
{
        const char *names[] = {"EVIL1", "EVIL2", "EVIL3"};
        const char *outer[2];
        struct child children[3];
        struct hif_hash root;

        (void)kind;
        sort_names(names, 3);
        outer[0] = names[0];
        outer[1] = names[2];
        children[0] = (struct child){"", first_leaf(evil), 1};
        children[1] = (struct child){names[0], leaf_of(evil, outer, 2), 2};
        children[2] = (struct child){names[1], leaf_of(evil, names + 1, 2), 2};
        root = an_inner(evil, 1, children, 3);
        land_root(evil, root, 5, children[2].hash);
        evil_says_also(evil, &children[1].hash);
}

/* The slot says how many entries its tree has. */
static void entries_lie(struct evil *evil, const struct kind *kind)
{
        struct leaf leaf = leaf_begin(evil);

        leaf_add(&leaf, "good", a_stored_file(evil, good_text(evil)));
        evil_says_position(evil, 1);
        evil_land(evil, leaf_end(&leaf), (uint64_t)kind->number);
}

/* An entry below a name that is no directory, or is not there: nothing leads to it. */
static void below(struct evil *evil, const struct kind *kind)
{
        struct leaf leaf = leaf_begin(evil);
        struct hif_hash hash;

        if (kind->number == ENTRY_FILE)
                leaf_add(&leaf, "good", a_stored_file(evil, good_text(evil)));
        if (kind->number == ENTRY_SYMLINK)
                leaf_add(&leaf, "good", a_link(kind->arg));
        leaf_add(&leaf, "good/EVIL", a_stored_file(evil, evil_text(evil)));
        hash = leaf_end(&leaf);
        evil_says_hash(evil, &hash);
        evil_land(evil, hash, kind->number == 0 ? 2 : 3);
}

/* A link whose hash is that of another target: it is what its target says, not its hash. */
static void link_hash_lies(struct evil *evil, const struct kind *kind)
{
        struct leaf leaf = leaf_begin(evil);
        struct entry entry = a_link(span_str("good"));
        struct hif_hash hash;

        (void)kind;
        entry.hash = hash_of(HASH_BLOB, span_str("EVIL"));
        leaf_add(&leaf, "link", entry);
        hash = leaf_end(&leaf);
        evil_says_hash(evil, &hash);
        evil_land(evil, hash, 2);
}

/* Nodes cut where the rule does not say so: a second tree of the same entries. */
static void cut_elsewhere(struct evil *evil, const struct kind *kind)
{
        struct leaf leaf = {.evil = evil};
        struct child children[2];
        struct hif_hash root;

        (void)kind;
        leaf_add(&leaf, "good", a_stored_file(evil, good_text(evil)));
        children[0] = (struct child){"", first_leaf(evil), 1};
        children[1] = (struct child){"good", leaf_end(&leaf), 1};
        root = an_inner(evil, 1, children, 2);
        land_root(evil, root, 2, children[0].hash);
}

const struct kind kinds_of_trees[] = {
    {"tree-count-too-many", REFUSED, count_lies, BYTES(""), 2},
    {"tree-count-huge", REFUSED, count_lies, BYTES(""), 1ll << 40},
    {"tree-first-key", REFUSED, first_key_lies, BYTES(""), 0},
    {"tree-level-2", REFUSED, level_lies, BYTES(""), 2},
    {"tree-level-15", REFUSED, level_lies, BYTES(""), 15},
    {"tree-child-missing", REFUSED, child_missing, BYTES(""), 0},
    {"tree-cycle", REFUSED, cycle, BYTES(""), 0},
    {"tree-child-other", REFUSED, child_other, BYTES(""), 0},
    {"tree-tower-16", REFUSED, tower, BYTES(""), 16},
    {"tree-tower-200", REFUSED, tower, BYTES(""), 200},
    {"tree-wide", REFUSED, wide, BYTES(""), 0},
    {"tree-without-root", REFUSED, no_root, BYTES(""), 0},
    {"tree-root-is-file", REFUSED, root_is, BYTES("EVIL"), ENTRY_FILE},
    {"tree-root-is-link", REFUSED, root_is, BYTES("/etc"), ENTRY_SYMLINK},
    {"tree-leaves-overlap", REFUSED, leaves_overlap, BYTES(""), 0},
    {"tree-entries-more", FOUND, entries_lie, BYTES(""), 3},
    {"tree-entries-2-63", FOUND, entries_lie, BYTES(""), INT64_MAX},
    {"tree-orphan", FOUND, below, BYTES(""), 0},
    {"tree-below-file", FOUND, below, BYTES(""), ENTRY_FILE},
    {"tree-below-link", FOUND, below, BYTES("/etc"), ENTRY_SYMLINK},
    {"tree-link-hash", FOUND, link_hash_lies, BYTES(""), 0},
    {"tree-cut-elsewhere", FOUND, cut_elsewhere, BYTES(""), 0},
    {0},
};
