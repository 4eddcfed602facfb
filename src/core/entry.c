/* entry.c - comparing and checking entries. */
#include "core/entry.h"

bool entry_same(const struct entry *a, const struct entry *b)
{
        if (!a || !b)
                return a == b;
        return a->kind == b->kind && a->size == b->size && hash_eq(&a->hash, &b->hash);
}

bool entry_identical(const struct entry *a, const struct entry *b)
{
        if (!entry_same(a, b))
                return false;
        if (!a)
                return true;
        if (a->mtime.sec != b->mtime.sec || a->mtime.nsec != b->mtime.nsec ||
            a->tag.position != b->tag.position || a->tag.id != b->tag.id ||
            a->loc.size != b->loc.size)
                return false;
        if (a->loc.size > 0 &&
            (a->loc.offset != b->loc.offset || !hash_eq(&a->loc.pack, &b->loc.pack)))
                return false;
        return span_eq(a->target, b->target) && span_eq(a->ext, b->ext);
}

bool entry_valid(const struct entry *entry)
{
        if (entry->mtime.nsec >= 1000000000u || entry->ext.size > ENTRY_EXT_MAX ||
            entry->size > INT64_MAX)
                return false;
        switch (entry->kind) {
        case ENTRY_FILE:
        case ENTRY_EXEC:
                return entry->target.size == 0;
        case ENTRY_SYMLINK:
                return entry->loc.size == 0 && entry->size == entry->target.size &&
                       entry->size > 0 && entry->size <= SYMLINK_SIZE_MAX &&
                       !memchr(entry->target.data, 0, entry->target.size);
        case ENTRY_DIR:
                return entry->loc.size == 0 && entry->target.size == 0 && entry->size == 0 &&
                       hash_is_zero(&entry->hash);
        }
        return false;
}
