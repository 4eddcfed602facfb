/* layout.c - from names and hashes to keys in the store. */
#include "core/layout.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define LAYOUT_NAME_MAX 64
#define LAYOUT_ROOT     "projects/"

static bool name_byte_valid(uint8_t byte)
{
        return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
               (byte >= '0' && byte <= '9') || byte == '.' || byte == '_' || byte == '-';
}

static bool part_valid(struct span part)
{
        if (part.size < 1 || part.size > LAYOUT_NAME_MAX || part.data[0] == '.' ||
            part.data[0] == '-')
                return false;
        for (size_t i = 0; i < part.size; i++) {
                if (!name_byte_valid(part.data[i]))
                        return false;
        }
        return true;
}

enum hif_err layout_init(struct layout *layout, const char *project, struct hif_why *why)
{
        const char *slash = strchr(project, '/');

        if (!slash || !part_valid(span_of(project, (size_t)(slash - project))) ||
            !part_valid(span_str(slash + 1)))
                return why_set(why, HIF_EINVAL,
                               "\"%.160s\" is not a project name: write ORG/NAME, both of 1 to %d "
                               "letters, digits, '.', '_' or '-', not starting with '.' or '-'",
                               project, LAYOUT_NAME_MAX);
        snprintf(layout->prefix, sizeof(layout->prefix), LAYOUT_ROOT "%s/", project);
        return HIF_OK;
}

void layout_project(const struct layout *layout, struct buf *out)
{
        size_t root = strlen(LAYOUT_ROOT), size = strlen(layout->prefix);

        assert(size > root + 1);
        buf_put(out, layout->prefix + root, size - root - 1);
}

static struct layout_key key_of(const struct layout *layout, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static struct layout_key key_of(const struct layout *layout, const char *format, ...)
{
        struct layout_key key;
        size_t size = strlen(layout->prefix);
        va_list args;
        int more;

        memcpy(key.text, layout->prefix, size);
        va_start(args, format);
        more = vsnprintf(key.text + size, sizeof(key.text) - size, format, args);
        va_end(args);
        if (more < 0 || (size_t)more >= sizeof(key.text) - size)
                abort(); /* LAYOUT_PREFIX_MAX leaves room for the longest key */
        return key;
}

static struct layout_key key_of_hash(const struct layout *layout, const char *folder,
                                     const struct hif_hash *hash, const char *suffix)
{
        char hex[HIF_HASH_HEX_SIZE];

        hash_to_hex(hash, hex);
        return key_of(layout, "%s/%.2s/%s%s", folder, hex, hex, suffix);
}

struct layout_key layout_format(const struct layout *layout)
{
        return key_of(layout, "format");
}

struct layout_key layout_head(const struct layout *layout)
{
        return key_of(layout, "head");
}

/* A position beyond POSITION_MAX gives a longer key, under which nothing is ever written. */
struct layout_key layout_slot(const struct layout *layout, uint64_t position)
{
        return key_of(layout, "landing-log/%012" PRIu64, position);
}

struct layout_key layout_session(const struct layout *layout, const struct session_id *id,
                                 const struct hif_hash *hash)
{
        char id_hex[SESSION_ID_HEX_SIZE], hash_hex[HIF_HASH_HEX_SIZE];

        session_id_to_hex(id, id_hex);
        hash_to_hex(hash, hash_hex);
        return key_of(layout, "sessions/%s/%s.bin", id_hex, hash_hex);
}

struct layout_key layout_open_session(const struct layout *layout, const struct session_id *id)
{
        char hex[SESSION_ID_HEX_SIZE];

        session_id_to_hex(id, hex);
        return key_of(layout, "open-sessions/%s", hex);
}

struct layout_key layout_node(const struct layout *layout, const struct hif_hash *hash)
{
        return key_of_hash(layout, "trees", hash, ".bin");
}

struct layout_key layout_blob(const struct layout *layout, const struct hif_hash *hash)
{
        return key_of_hash(layout, "blobs", hash, "");
}

struct layout_key layout_pack(const struct layout *layout, const struct hif_hash *hash)
{
        return key_of_hash(layout, "packs", hash, "");
}

struct layout_key layout_list(const struct layout *layout, const struct hif_hash *hash)
{
        return key_of_hash(layout, "lists", hash, "");
}

struct layout_key layout_proposal(const struct layout *layout, const uint8_t *landing_id)
{
        char hex[SESSION_ID_HEX_SIZE];
        struct session_id id; /* of the same size, and written alike */

        memcpy(id.bytes, landing_id, SESSION_ID_SIZE);
        session_id_to_hex(&id, hex);
        return key_of(layout, "proposals/%s", hex);
}

struct layout_key layout_proposals(const struct layout *layout)
{
        return key_of(layout, "proposals/");
}

static const char *window_folder(enum window_kind kind)
{
        switch (kind) {
        case WINDOW_SEGMENT:
                return "segments";
        case WINDOW_LEVEL_1:
                return "bloom-index/level-1";
        case WINDOW_LEVEL_2:
                return "bloom-index/level-2";
        case WINDOW_LEVEL_3:
                return "bloom-index/level-3";
        case WINDOW_HASHES:
                return "hash-index";
        case WINDOW_KINDS:
                break;
        }
        abort();
}

struct layout_key layout_window(const struct layout *layout, enum window_kind kind, uint64_t start)
{
        return key_of(layout, "%s/%012" PRIu64, window_folder(kind), start);
}

struct layout_key layout_windows(const struct layout *layout, enum window_kind kind)
{
        return key_of(layout, "%s/", window_folder(kind));
}
