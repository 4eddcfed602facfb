/* entry.h - what a tree says of one path. */
#ifndef HIF_CORE_ENTRY_H
#define HIF_CORE_ENTRY_H

#include "core/hash.h"

/* Part of the format. */
enum entry_kind {
        ENTRY_FILE = 1,
        ENTRY_EXEC = 2, /* a file with the executable bit */
        ENTRY_SYMLINK = 3,
        ENTRY_DIR = 4,
};

struct hif_time {
        int64_t sec; /* since 1970 */
        uint32_t nsec;
};

/* Names the landing that last changed an entry: the first slot at or after `position` whose tag is
 * `id`. So an entry need not be rewritten when its landing lost a race. */
struct landing_tag {
        uint64_t position;
        uint64_t id;
};

/* Where a small blob can be read: a hint, outside identity. size == 0: none. */
struct pack_loc {
        struct hif_hash pack;
        uint32_t offset; /* of the zstd frame in the pack's stored bytes */
        uint32_t size;   /* of the frame */
};

#define SYMLINK_SIZE_MAX 4095
#define ENTRY_EXT_MAX    4000
#define ENTRY_SIZE_MAX   8192 /* encoded, without its key */

struct entry {
        enum entry_kind kind;
        uint64_t size;        /* bytes of content; of the target for a symlink; 0 for a directory */
        struct hif_hash hash; /* HASH_BLOB up to BODY_BLOB_MAX, else HASH_CHUNKS; a symlink:
                               * HASH_BLOB of its target; a directory: zeros */
        struct hif_time mtime;
        struct landing_tag tag;
        struct pack_loc loc; /* files only */
        struct span target;  /* symlinks only; borrowed */
        struct span ext;     /* fields of a newer version, kept verbatim; borrowed */
};

static inline bool entry_is_file(const struct entry *entry)
{
        return entry->kind == ENTRY_FILE || entry->kind == ENTRY_EXEC;
}

/* Equal for conflicts, diff and status: kind (with the executable bit), size, hash. Times, tags and
 * locations never matter. NULL is "absent". */
bool entry_same(const struct entry *a, const struct entry *b);

/* Equal in every field, what the fields do not use left aside. */
bool entry_identical(const struct entry *a, const struct entry *b);

/* A valid combination of fields, as an encoder asserts and a decoder checks. */
bool entry_valid(const struct entry *entry);

#endif
