/* The records that nothing names by hash: format, head, sessions that are open, and what is
 * derived. */
#include "base/cleanup.h"
#include "core/landing_check.h"
#include "core/open_session.h"
#include "tests/hostile/evil.h"

#include <stdio.h>
#include <stdlib.h>

/* Position 1 with a good file. */
static void land_good(struct evil *evil)
{
        struct leaf leaf = leaf_begin(evil);

        leaf_add(&leaf, "good", a_stored_file(evil, good_text(evil)));
        evil_land_leaf(evil, &leaf);
}

static void land_evil(struct evil *evil)
{
        struct leaf leaf = leaf_begin(evil);

        leaf_add(&leaf, "EVIL", a_stored_file(evil, evil_text(evil)));
        evil_land_leaf(evil, &leaf);
}

/* --- format --- */

/* arg: bytes that stand at offset `number` instead (drawn in landing.c). */
static void a_format(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf stored = {0};

        land_evil(evil);
        format_put(&stored, &evil->format);
        stored.size -= LANDING_CHECK_SIZE;
        memcpy(stored.data + kind->number, kind->arg.data, kind->arg.size);
        landing_check_put(&stored, 0);
        evil_put(evil, layout_format(&evil->layout), buf_span(&stored));
        evil_says(evil, "/format");
}

static void format_changed(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf stored = {0};

        land_evil(evil);
        format_put(&stored, &evil->format);
        memcpy(stored.data + kind->number, kind->arg.data, kind->arg.size);
        evil_put(evil, layout_format(&evil->layout), buf_span(&stored));
        evil_says(evil, "/format");
}

static void format_raw(struct evil *evil, const struct kind *kind)
{
        land_evil(evil);
        evil_put(evil, layout_format(&evil->layout), kind->arg);
        evil_says(evil, "/format");
}

static void format_large(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf stored = {0};

        land_evil(evil);
        format_put(&stored, &evil->format);
        buf_put_zero(&stored, (size_t)kind->number);
        evil_put(evil, layout_format(&evil->layout), buf_span(&stored));
        evil_says(evil, "/format");
}

/* --- head: a hint, slots count --- */

static void head_raw(struct evil *evil, const struct kind *kind)
{
        land_good(evil);
        evil_put(evil, layout_head(&evil->layout), kind->arg);
}

/* number: the position that it says, with a tree that no slot has. */
static void head_lies(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf stored = {0};
        struct leaf leaf = leaf_begin(evil);
        struct hif_hash tree;

        land_good(evil);
        leaf_add(&leaf, "EVIL", a_stored_file(evil, evil_text(evil)));
        tree = leaf_end(&leaf);
        buf_put_u64(&stored, (uint64_t)kind->number);
        buf_put(&stored, tree.bytes, HIF_HASH_SIZE);
        buf_put_u64(&stored, 1);
        evil_put(evil, layout_head(&evil->layout), buf_span(&stored));
}

static void head_missing(struct evil *evil, const struct kind *kind)
{
        (void)kind;
        land_good(evil);
        evil_remove(evil, layout_head(&evil->layout));
}

/* --- sessions that are open --- */

static void open_session(struct evil *evil, const struct kind *kind)
{
        static const struct session_id id = {{0xee}};

        land_good(evil);
        evil_put(evil, layout_open_session(&evil->layout, &id), kind->arg);
        evil_says(evil, "ee000000000000000000000000000000");
}

/* One whose key is no session's. */
static void open_session_key(struct evil *evil, const struct kind *kind)
{
        struct layout_key key = layout_head(&evil->layout);

        land_good(evil);
        snprintf(key.text, sizeof(key.text), "%sopen-sessions/%s", evil->layout.prefix,
                 (const char *)kind->arg.data);
        evil_put(evil, key, span_str("EVIL"));
}

/* A good record under another session's name. */
static void open_session_other(struct evil *evil, const struct kind *kind)
{
        static const struct session_id id = {{0xee}};
        AUTO_BUF struct buf stored = {0};
        struct open_session record = {.id = {{0xdd}},
                                      .state = SESSION_OPEN,
                                      .revision = 1,
                                      .author = span_str("Eve"),
                                      .goal = span_str("EVIL")};

        (void)kind;
        land_good(evil);
        evil_check(open_session_put(&stored, &record) == HIF_OK, "a record");
        evil_put(evil, layout_open_session(&evil->layout, &id), buf_span(&stored));
        evil_says(evil, "ee000000000000000000000000000000");
}

/* --- what is derived, and proposals --- */

static void derived(struct evil *evil, const struct kind *kind)
{
        struct layout_key key = layout_window(&evil->layout, (enum window_kind)kind->number, 0);

        land_good(evil);
        evil_put(evil, key, kind->arg);
        evil_says(evil, key.text + strlen(evil->layout.prefix));
}

static void proposal(struct evil *evil, const struct kind *kind)
{
        static const uint8_t id[LANDING_ID_SIZE] = {0xee};

        land_good(evil);
        evil_put(evil, layout_proposal(&evil->layout, id), kind->arg);
}

const struct kind kinds_of_records[] = {
    {"format-empty", REFUSED, format_raw, BYTES(""), 0},
    {"format-text", REFUSED, format_raw, BYTES("EVIL"), 0},
    {"format-1-mib", REFUSED, format_large, BYTES(""), 1 << 20},
    {"format-magic", REFUSED, a_format, BYTES("EVIL"), 0},
    {"format-version-2", REFUSED, a_format, BYTES("\0\2"), 4},
    {"format-reserved", REFUSED, a_format, BYTES("\0\1"), 6},
    {"format-feature-0", REFUSED, a_format, BYTES("\0\0\0\0\0\0\0\1"), 24},
    {"format-feature-63", REFUSED, a_format, BYTES("\200\0\0\0\0\0\0\0"), 24},
    {"format-checksum", REFUSED, format_changed, BYTES("\377"), 10},
    {"format-nodes-of-0", REFUSED, a_format, BYTES("\0\0\0\0\0\0"), 48},
    {"format-mean-0", REFUSED, a_format, BYTES("\0\0"), 50},
    {"format-max-below-min", REFUSED, a_format, BYTES("\377\377\0\1\0\1"), 54},
    {"format-other-chunks", REFUSED, a_format, BYTES("\0\0\0\1"), 60},
    {"head-empty", IGNORED, head_raw, BYTES(""), 0},
    {"head-text", IGNORED, head_raw, BYTES("EVIL"), 0},
    {"head-missing", IGNORED, head_missing, BYTES(""), 0},
    {"head-other-tree", IGNORED, head_lies, BYTES(""), 1},
    {"head-behind", IGNORED, head_lies, BYTES(""), 0},
    {"head-ahead", IGNORED, head_lies, BYTES(""), 5},
    {"head-last-position", IGNORED, head_lies, BYTES(""), 999999999999ll},
    {"head-2-64", IGNORED, head_lies, BYTES(""), -1},
    {"open-session-empty", FOUND, open_session, BYTES(""), 0},
    {"open-session-text", FOUND, open_session, BYTES("EVIL"), 0},
    {"open-session-version-2", FOUND, open_session, BYTES("HIFO\0\0\0\2"), 0},
    {"open-session-other", FOUND, open_session_other, BYTES(""), 0},
    {"open-session-key", IGNORED, open_session_key, BYTES("EVIL"), 0},
    {"proposal-text", IGNORED, proposal, BYTES("EVIL"), 0},
    {"segment-text", FOUND, derived, BYTES("EVIL"), WINDOW_SEGMENT},
    {"level-1-text", FOUND, derived, BYTES("EVIL"), WINDOW_LEVEL_1},
    {"level-2-text", FOUND, derived, BYTES("EVIL"), WINDOW_LEVEL_2},
    {"level-3-empty", FOUND, derived, BYTES(""), WINDOW_LEVEL_3},
    {"hashes-text", FOUND, derived, BYTES("EVIL"), WINDOW_HASHES},
    {0},
};
