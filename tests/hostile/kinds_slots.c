/* Slots that are none: the record of position 1, with one thing wrong, and its checksum right. */
#include "base/cleanup.h"
#include "core/landing_check.h"
#include "core/landing_list.h"
#include "tests/hostile/evil.h"

#include <stdlib.h>

/* A tree that must not be served. */
static struct hif_hash evil_tree(struct evil *evil)
{
        struct leaf leaf = leaf_begin(evil);

        leaf_add(&leaf, "EVIL", a_stored_file(evil, evil_text(evil)));
        return leaf_end(&leaf);
}

static void put_good(struct evil *evil, struct buf *out)
{
        struct hif_hash tree = evil_tree(evil);
        struct slot slot = a_slot(evil, 1, tree, 2);

        slot.object_count = slot.path_count = 0;
        slot.objects = NULL;
        slot.paths = NULL;
        evil_check(slot_put(out, &slot) == HIF_OK, "a slot");
        evil_head(evil, 1, tree);
        evil_says_position(evil, 1);
}

/* Make the checksum of what stands there right, and store it. */
static void put_checked(struct evil *evil, struct buf *stored)
{
        landing_check_put(stored, 0);
        evil_slot_stored(evil, 1, buf_span(stored));
}

/* arg: bytes that stand at offset `number` instead (drawn in landing_slot.c). */
static void a_record(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf stored = {0};

        put_good(evil, &stored);
        stored.size -= LANDING_CHECK_SIZE;
        memcpy(stored.data + kind->number, kind->arg.data, kind->arg.size);
        put_checked(evil, &stored);
}

/* The same without a new checksum. */
static void changed(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf stored = {0};

        put_good(evil, &stored);
        memcpy(stored.data + kind->number, kind->arg.data, kind->arg.size);
        evil_slot_stored(evil, 1, buf_span(&stored));
}

static void cut(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf stored = {0};

        put_good(evil, &stored);
        stored.size = (size_t)kind->number;
        put_checked(evil, &stored);
}

static void raw(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf stored = {0};

        put_good(evil, &stored);
        evil_slot_stored(evil, 1, kind->arg);
}

/* arg: fields behind the good ones. */
static void more_fields(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf stored = {0};

        put_good(evil, &stored);
        stored.size -= LANDING_CHECK_SIZE;
        buf_put_span(&stored, kind->arg);
        put_checked(evil, &stored);
}

/* A field of one type and `number` bytes. arg: its type. */
static void a_large_field(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf stored = {0};

        put_good(evil, &stored);
        stored.size = 192; /* no author, no goal */
        buf_put_span(&stored, kind->arg);
        buf_put_u32(&stored, (uint32_t)kind->number);
        buf_put_zero(&stored, (size_t)kind->number);
        put_checked(evil, &stored);
}

/* The paths of a landing, encoded by hand. number: how many it says there are; arg: they. */
static void paths(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf stored = {0};

        put_good(evil, &stored);
        stored.size -= LANDING_CHECK_SIZE;
        be32_put(stored.data + 184, (uint32_t)kind->number);
        buf_put_u16(&stored, 3);
        buf_put_u32(&stored, (uint32_t)kind->arg.size);
        buf_put_span(&stored, kind->arg);
        put_checked(evil, &stored);
}

/* The same of a good tree, with the paths in a list of their own: what is served does not depend on
 * them. */
static void paths_list(struct evil *evil, const struct kind *kind)
{
        struct leaf leaf = leaf_begin(evil);
        struct hif_hash tree, list = hash_of(HASH_LIST, kind->arg);
        struct slot slot;

        leaf_add(&leaf, "good", a_stored_file(evil, good_text(evil)));
        tree = leaf_end(&leaf);
        slot = a_slot(evil, 1, tree, 2);
        slot.path_count = (uint32_t)kind->number;
        slot.paths = NULL;
        slot.paths_list = list;
        if (kind->arg.size > 0)
                evil_put(evil, layout_list(&evil->layout, &list), kind->arg);
        evil_slot(evil, &slot);
        evil_head(evil, 1, tree);
        evil_says_position(evil, 1);
}

/* A batch: members that do not fit. */
static void members(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf stored = {0};

        put_good(evil, &stored);
        stored.size = 192;
        stored.data[5] = SLOT_BATCH;
        memset(stored.data + 32, 0, 56); /* tag, session, session object */
        buf_put_u16(&stored, 0x8008);
        buf_put_u32(&stored, (uint32_t)(4 + kind->arg.size));
        buf_put_u32(&stored, (uint32_t)kind->number);
        buf_put_span(&stored, kind->arg);
        put_checked(evil, &stored);
}

/* A batch whose members are in a list. arg: its bytes; none: missing. */
static void members_list(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf stored = {0};
        struct hif_hash list = hash_of(HASH_LIST, kind->arg);

        put_good(evil, &stored);
        stored.size = 192;
        stored.data[5] = SLOT_BATCH;
        memset(stored.data + 32, 0, 56);
        if (kind->arg.size > 0)
                evil_put(evil, layout_list(&evil->layout, &list), kind->arg);
        buf_put_u16(&stored, 0x8009);
        buf_put_u32(&stored, 4 + HIF_HASH_SIZE);
        buf_put_u32(&stored, (uint32_t)kind->number);
        buf_put(&stored, list.bytes, HIF_HASH_SIZE);
        put_checked(evil, &stored);
}

/* --- good slots of bad trees, and what a slot says of others --- */

static void tree_missing(struct evil *evil, const struct kind *kind)
{
        struct hif_hash tree = {{7, 7, 7}};

        (void)kind;
        evil_says_hash(evil, &tree);
        evil_land(evil, tree, 2);
}

static void good_tree(struct evil *evil, struct slot *slot)
{
        struct leaf leaf = leaf_begin(evil);

        leaf_add(&leaf, "good", a_stored_file(evil, good_text(evil)));
        *slot = a_slot(evil, 1, leaf_end(&leaf), 2);
        evil_says_position(evil, 1);
}

/* Another history: what it follows is not what is there. */
static void previous_other(struct evil *evil, const struct kind *kind)
{
        struct slot slot;

        (void)kind;
        good_tree(evil, &slot);
        slot.previous.bytes[3] ^= 1;
        evil_slot(evil, &slot);
        evil_head(evil, 1, slot.tree);
}

static void session_missing(struct evil *evil, const struct kind *kind)
{
        struct slot slot;

        (void)kind;
        good_tree(evil, &slot);
        slot.session_object.bytes[0] = 5;
        evil_slot(evil, &slot);
        evil_head(evil, 1, slot.tree);
        evil_says_hash(evil, &slot.session_object);
}

static void session_is(struct evil *evil, const struct kind *kind)
{
        struct slot slot;

        good_tree(evil, &slot);
        slot.session_object = hash_of(HASH_SESSION, kind->arg);
        evil_put(evil, layout_session(&evil->layout, &slot.session, &slot.session_object),
                 kind->arg);
        evil_slot(evil, &slot);
        evil_head(evil, 1, slot.tree);
        evil_says_hash(evil, &slot.session_object);
}

/* A filter that says no to what the slot touched. */
static void bloom_lies(struct evil *evil, const struct kind *kind)
{
        struct slot_path path = {.kind = SLOT_ADDED, .path = span_str("good")};
        struct slot slot;

        (void)kind;
        good_tree(evil, &slot);
        slot.path_count = 1;
        slot.paths = &path;
        slot.bloom_absent = false;
        evil_check(bloom_init(&slot.bloom, 10) == HIF_OK, "a filter");
        evil_slot(evil, &slot);
        bloom_free(&slot.bloom);
        evil_head(evil, 1, slot.tree);
}

/* The slot says that it changed what it did not, and not what it did. */
static void paths_lie(struct evil *evil, const struct kind *kind)
{
        struct slot_path path = {.kind = SLOT_ADDED, .path = span_str("other")};
        struct slot slot;

        (void)kind;
        good_tree(evil, &slot);
        slot.path_count = 1;
        slot.paths = &path;
        evil_slot(evil, &slot);
        evil_head(evil, 1, slot.tree);
}

static void first_slot(struct evil *evil, const struct kind *kind)
{
        (void)kind;
        evil_put(evil, layout_slot(&evil->layout, 0), span_str("EVIL"));
        evil_says(evil, "@0");
}

/* Position 2 is there, and position 1 is not. */
static void gap(struct evil *evil, const struct kind *kind)
{
        struct leaf leaf = leaf_begin(evil);
        struct hif_hash tree;
        struct slot slot;

        (void)kind;
        leaf_add(&leaf, "good", a_stored_file(evil, good_text(evil)));
        tree = leaf_end(&leaf);
        slot = a_slot(evil, 2, tree, 2);
        evil_slot(evil, &slot);
        evil_head(evil, 2, tree);
        evil_says_position(evil, 1);
}

const struct kind kinds_of_slots[] = {
    {"slot-empty", REFUSED, raw, BYTES(""), 0},
    {"slot-text", REFUSED, raw, BYTES("EVIL"), 0},
    {"slot-cut", REFUSED, cut, BYTES(""), 100},
    {"slot-magic", REFUSED, a_record, BYTES("EVIL"), 0},
    {"slot-version-2", REFUSED, a_record, BYTES("\2"), 4},
    {"slot-kind-0", REFUSED, a_record, BYTES("\0"), 5},
    {"slot-kind-6", REFUSED, a_record, BYTES("\6"), 5},
    {"slot-batch-of-none", REFUSED, a_record, BYTES("\2"), 5},
    {"slot-reserved", REFUSED, a_record, BYTES("\0\1"), 6},
    {"slot-position-2", REFUSED, a_record, BYTES("\0\0\0\0\0\0\0\2"), 8},
    {"slot-position-2-64", REFUSED, a_record, BYTES("\377\377\377\377\377\377\377\377"), 8},
    {"slot-base-is-itself", REFUSED, a_record, BYTES("\0\0\0\0\0\0\0\1"), 88},
    {"slot-base-2-64", REFUSED, a_record, BYTES("\377\377\377\377\377\377\377\377"), 88},
    {"slot-previous-none", REFUSED, a_record,
     BYTES("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), 96},
    {"slot-tree-none", REFUSED, a_record,
     BYTES("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), 128},
    {"slot-entries-0", REFUSED, a_record, BYTES("\0\0\0\0\0\0\0\0"), 160},
    {"slot-paths-without", REFUSED, a_record, BYTES("\0\0\0\1"), 184},
    {"slot-objects-without", REFUSED, a_record, BYTES("\377\377\377\377"), 188},
    {"slot-checksum", REFUSED, changed, BYTES("\1"), 176},
    {"slot-field-0", REFUSED, more_fields, BYTES("\0\0\0\0\0\1E"), 0},
    {"slot-field-twice", REFUSED, more_fields, BYTES("\0\2\0\0\0\1E"), 0},
    {"slot-field-descends", REFUSED, more_fields, BYTES("\0\1\0\0\0\1E"), 0},
    {"slot-field-empty", REFUSED, more_fields, BYTES("\0\11\0\0\0\0"), 0},
    {"slot-field-cut", REFUSED, more_fields, BYTES("\0\11\0\0"), 0},
    {"slot-field-4-gib", REFUSED, more_fields, BYTES("\0\11\377\377\377\377E"), 0},
    {"slot-field-critical", REFUSED, more_fields, BYTES("\220\1\0\0\0\1E"), 0},
    {"slot-author-too-long", REFUSED, a_large_field, BYTES("\0\1"), SESSION_AUTHOR_MAX + 1},
    {"slot-goal-too-long", REFUSED, a_large_field, BYTES("\0\2"), SLOT_GOAL_MAX + 1},
    {"slot-over-64-kib", REFUSED, a_large_field, BYTES("\0\20"), SLOT_SIZE_MAX},
    {"slot-bloom-empty", REFUSED, a_large_field, BYTES("\0\7"), 8},
    {"slot-bloom-huge", REFUSED, more_fields,
     BYTES("\0\7\0\0\0\20\377\377\377\300\0\0\0\1\0\0\0\0\0\0\0\0"), 0},
    {"slot-bloom-odd", REFUSED, more_fields, BYTES("\0\7\0\0\0\11\0\0\0\1\0\0\0\1\1"), 0},
    {"slot-path-kind-9", REFUSED, paths, BYTES("\11\0\4EVIL"), 1},
    {"slot-path-absolute", REFUSED, paths, BYTES("\1\0\5/EVIL"), 1},
    {"slot-path-dot-dot", REFUSED, paths, BYTES("\1\0\7../EVIL"), 1},
    {"slot-path-empty", REFUSED, paths, BYTES("\1\0\0"), 1},
    {"slot-path-nul", REFUSED, paths, BYTES("\1\0\5EVIL\0"), 1},
    {"slot-path-cut", REFUSED, paths, BYTES("\1\0\377EVIL"), 1},
    {"slot-paths-more", REFUSED, paths, BYTES("\1\0\4EVIL"), 2},
    {"slot-paths-2-32", REFUSED, paths, BYTES("\1\0\4EVIL"), 0xffffffffll},
    {"slot-members-0", REFUSED, members, BYTES(""), 0},
    {"slot-members-cut", REFUSED, members, BYTES("EVIL"), 1},
    {"slot-members-2-32", REFUSED, members, BYTES("EVIL"), 0xffffffffll},
    {"slot-members-missing", REFUSED, members_list, BYTES(""), 2},
    {"slot-members-list-text", REFUSED, members_list, BYTES("EVIL"), 2},
    {"slot-members-list-of-paths", REFUSED, members_list, BYTES("HIFI\1\1\0\0\0\0\0\0"), 2},
    {"slot-members-list-empty", REFUSED, members_list, BYTES("HIFI\1\3\0\0\0\0\0\0"), 2},
    {"slot-members-list-2-32", REFUSED, members_list, BYTES("HIFI\1\3\0\0\377\377\377\377"), 2},
    {"slot-members-5000", REFUSED, members_list, BYTES("HIFI\1\3\0\0\0\0\23\210"), 5000},
    {"slot-gap", FOUND, gap, BYTES(""), 0},
    {"slot-tree-missing", REFUSED, tree_missing, BYTES(""), 0},
    {"list-missing", FOUND, paths_list, BYTES(""), 1},
    {"list-text", FOUND, paths_list, BYTES("EVIL"), 1},
    {"list-version-2", FOUND, paths_list, BYTES("HIFI\2\1\0\0\0\0\0\0"), 1},
    {"list-of-objects", FOUND, paths_list, BYTES("HIFI\1\2\0\0\0\0\0\0"), 1},
    {"list-short", FOUND, paths_list, BYTES("HIFI\1\1\0\0\0\0\0\1\1\0\4EVIL"), 2},
    {"list-2-32", FOUND, paths_list, BYTES("HIFI\1\1\0\0\377\377\377\377\1\0\4EVIL"), -1},
    {"list-path-dot-dot", FOUND, paths_list, BYTES("HIFI\1\1\0\0\0\0\0\1\1\0\7../EVIL"), 1},
    {"slot-previous-other", FOUND, previous_other, BYTES(""), 0},
    {"slot-bloom-lies", FOUND, bloom_lies, BYTES(""), 0},
    {"slot-paths-lie", FOUND, paths_lie, BYTES(""), 0},
    {"slot-0-text", REFUSED, first_slot, BYTES(""), 0},
    {"session-missing", FOUND, session_missing, BYTES(""), 0},
    {"session-empty", FOUND, session_is, BYTES(""), 0},
    {"session-text", FOUND, session_is, BYTES("EVIL"), 0},
    {"session-header-only", FOUND, session_is, BYTES("HIFS\0\0\0\1"), 0},
    {0},
};
