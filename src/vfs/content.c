/* content.c - what a snapshot's files hold, read and compared on a job thread. */
#include "vfs/changes.h"

#include "vfs/internal.h"

#include <stdlib.h>

/* One blob or chunk of the base, cut to what is asked for. */
static enum hif_err read_object(const struct vfs_snapshot *snapshot, enum fetch_kind kind,
                                const struct hif_hash *hash, uint64_t size,
                                const struct pack_loc *loc, struct fetch_ref **out)
{
        struct fetch_want want = {.kind = kind, .hash = *hash, .size = size};

        if (loc != NULL)
                want.loc = *loc;
        return fetch_get_blocking(snapshot->origin, &want, out);
}

static enum hif_err read_blob(const struct vfs_snapshot *snapshot, const struct hif_hash *hash,
                              uint64_t blob_size, const struct pack_loc *loc, uint64_t offset,
                              void *out, size_t size)
{
        struct fetch_ref *ref;
        struct span bytes;
        enum hif_err err = read_object(snapshot, FETCH_BLOB, hash, blob_size, loc, &ref);

        if (err != HIF_OK)
                return err;
        bytes = fetch_ref_bytes(ref);
        if (bytes.size != blob_size || offset > bytes.size || size > bytes.size - offset)
                err = HIF_ECORRUPT;
        else
                memcpy(out, bytes.data + offset, size);
        fetch_unref(ref);
        return err;
}

/* Down the chunk lists to the chunk that holds `offset`. */
static enum hif_err find_chunk(const struct vfs_snapshot *snapshot, const struct entry *entry,
                               uint64_t offset, struct chunk *chunk, uint64_t *chunk_start)
{
        struct hif_hash hash = entry->hash;
        uint64_t start = 0, at = 0;

        for (int depth = 0; depth < 4; depth++) {
                struct chunk_list list;
                struct fetch_ref *ref;
                uint8_t levels = 0;
                enum hif_err err = read_object(snapshot, FETCH_CHUNKS, &hash, 0, NULL, &ref);

                if (err != HIF_OK)
                        return err;
                err = chunk_list_open(fetch_ref_bytes(ref), &list);
                if (err == HIF_OK && offset - start >= list.size)
                        err = HIF_ECORRUPT;
                if (err == HIF_OK) {
                        chunk_list_at(&list, chunk_list_search(&list, offset - start, &at), chunk);
                        start += at;
                        hash = chunk->hash;
                        levels = list.depth;
                }
                fetch_unref(ref);
                if (err != HIF_OK)
                        return err;
                if (levels == 0) {
                        *chunk_start = start;
                        return HIF_OK;
                }
        }
        return HIF_ECORRUPT;
}

static enum hif_err read_base(const struct vfs_snapshot *snapshot, const struct entry *entry,
                              uint64_t offset, uint8_t *out, size_t size)
{
        if (entry->size <= BODY_BLOB_MAX)
                return read_blob(snapshot, &entry->hash, entry->size, &entry->loc, offset, out,
                                 size);
        while (size > 0) {
                struct chunk chunk;
                uint64_t start = 0, left;
                size_t take;
                enum hif_err err = find_chunk(snapshot, entry, offset, &chunk, &start);

                if (err != HIF_OK)
                        return err;
                left = start + chunk.size - offset;
                take = left < size ? (size_t)left : size;
                err = read_blob(snapshot, &chunk.hash, chunk.size, NULL, offset - start, out, take);
                if (err != HIF_OK)
                        return err;
                offset += take;
                out += take;
                size -= take;
        }
        return HIF_OK;
}

enum hif_err vfs_content_read(const struct vfs_snapshot *snapshot,
                              const struct vfs_content *content, uint64_t offset, void *out,
                              size_t size)
{
        uint8_t *to = out;

        if (offset > content->size || size > content->size - offset)
                return HIF_EINVAL;
        for (size_t i = 0; i < content->piece_count && size > 0; i++) {
                struct opiece piece = content->pieces[i];
                uint64_t skip;
                enum hif_err err = HIF_OK;

                if (piece.offset + piece.size <= offset)
                        continue;
                skip = offset - piece.offset;
                piece.offset += skip;
                piece.at += skip;
                piece.size -= skip;
                if (piece.size > size)
                        piece.size = size;
                switch (piece.kind) {
                case OPIECE_DATA:
                        err = overlay_read(snapshot->overlay, &piece, true, to);
                        break;
                case OPIECE_BASE:
                        err = read_base(snapshot, &content->base, piece.offset, to,
                                        (size_t)piece.size);
                        break;
                case OPIECE_ZERO:
                        memset(to, 0, (size_t)piece.size);
                        break;
                }
                if (err != HIF_OK)
                        return err;
                to += piece.size;
                offset += piece.size;
                size -= (size_t)piece.size;
        }
        return size == 0 ? HIF_OK : HIF_ECORRUPT;
}

/* --- settling --- */

static bool is_local(const struct vfs_content *content)
{
        for (size_t i = 0; i < content->piece_count; i++)
                if (content->pieces[i].kind == OPIECE_BASE)
                        return false;
        return content->size <= BODY_BLOB_MAX;
}

enum hif_err vfs_content_hash(const struct vfs_snapshot *snapshot,
                              const struct vfs_content *content, struct hif_hash *out)
{
        size_t size = (size_t)content->size;
        uint8_t *bytes = malloc(size + 1);
        enum hif_err err;

        if (bytes == NULL)
                return HIF_ENOMEM;
        err = vfs_content_read(snapshot, content, 0, bytes, size);
        if (err == HIF_OK)
                *out = hash_of(HASH_BLOB, span_of(bytes, size));
        free(bytes);
        return err;
}

static bool is_file(enum entry_kind kind)
{
        return kind == ENTRY_FILE || kind == ENTRY_EXEC;
}

/* Does the content equal the base's? */
static enum hif_err equals_base(const struct vfs_snapshot *snapshot,
                                const struct vfs_change *change, const struct entry *base,
                                bool *equal)
{
        struct hif_hash hash;
        enum hif_err err;

        *equal = false;
        if (!change->content_changed || change->size != base->size || !is_local(&change->content))
                return HIF_OK;
        err = vfs_content_hash(snapshot, &change->content, &hash);
        if (err == HIF_EIO)
                return HIF_OK; /* what cannot be read is not known to be equal */
        if (err == HIF_OK)
                *equal = hash_eq(&hash, &base->hash);
        return err;
}

/* Deleted files by size and content, so that many additions find theirs among many deletions. */
struct gone {
        struct vfs_change *change;
        size_t taken; /* of the first with its content: how many of these have been taken */
};

struct goners {
        struct gone *items;
        size_t count;
};

/* size first: then a content needs no hash when no deleted file was as large. */
static int compare_gone(const void *a, const void *b)
{
        const struct vfs_change *x = ((const struct gone *)a)->change;
        const struct vfs_change *y = ((const struct gone *)b)->change;
        int order = (x->base.size > y->base.size) - (x->base.size < y->base.size);

        if (order == 0)
                order = memcmp(&x->base.hash, &y->base.hash, sizeof(x->base.hash));
        return order != 0 ? order : (x > y) - (x < y);
}

static void goners_free(struct goners *goners)
{
        free(goners->items);
}

static enum hif_err goners_find(struct vfs_snapshot *snapshot, struct goners *out)
{
        *out = (struct goners){0};
        out->items = malloc((snapshot->change_count + 1) * sizeof(*out->items));
        if (out->items == NULL)
                return HIF_ENOMEM;
        for (size_t i = 0; i < snapshot->change_count; i++) {
                struct vfs_change *gone = &snapshot->changes[i];

                if (gone->kind == VFS_DELETED && gone->node != NODEID_NONE &&
                    is_file(gone->base.kind))
                        out->items[out->count++] = (struct gone){.change = gone};
        }
        if (out->count > 0)
                qsort(out->items, out->count, sizeof(*out->items), compare_gone);
        return HIF_OK;
}

/* The first of this size whose hash is not below `hash` (NULL: of this size), or NULL. */
static struct gone *goners_at(const struct goners *goners, uint64_t size,
                              const struct hif_hash *hash)
{
        size_t low = 0, high = goners->count;

        while (low < high) {
                size_t middle = low + (high - low) / 2;
                const struct entry *base = &goners->items[middle].change->base;

                if (base->size < size || (base->size == size && hash != NULL &&
                                          memcmp(&base->hash, hash, sizeof(*hash)) < 0))
                        low = middle + 1;
                else
                        high = middle;
        }
        return low < goners->count && goners->items[low].change->base.size == size
                   ? &goners->items[low]
                   : NULL;
}

/* A deleted file whose content an added one has: the first that is not taken yet, in the order of
 * paths. */
static enum hif_err find_source(struct vfs_snapshot *snapshot, const struct goners *goners,
                                const struct vfs_change *added, struct vfs_change **source)
{
        struct hif_hash hash = added->content.base.hash;
        struct gone *first, *next;
        enum hif_err err;

        *source = NULL;
        if (!is_file(added->entry_kind) || added->size == 0 || !is_local(&added->content) ||
            goners_at(goners, added->size, NULL) == NULL)
                return HIF_OK;
        if (added->content_changed) {
                err = vfs_content_hash(snapshot, &added->content, &hash);
                if (err != HIF_OK)
                        return err == HIF_EIO ? HIF_OK : err;
        }
        first = goners_at(goners, added->size, &hash);
        if (first == NULL || !hash_eq(&first->change->base.hash, &hash))
                return HIF_OK;
        next = first + first->taken;
        if (next == goners->items + goners->count || next->change->base.size != added->size ||
            !hash_eq(&next->change->base.hash, &hash))
                return HIF_OK;
        first->taken++;
        *source = next->change;
        return HIF_OK;
}

enum hif_err vfs_changes_settle(struct vfs_snapshot *snapshot)
{
        CLEANUP(goners_free) struct goners goners;
        size_t kept = 0;
        enum hif_err err = goners_find(snapshot, &goners);

        if (err != HIF_OK)
                return err;
        for (size_t i = 0; i < snapshot->change_count; i++) {
                struct vfs_change *change = &snapshot->changes[i];
                struct vfs_change *source;
                bool equal;

                if (change->kind == VFS_MODIFIED || change->kind == VFS_RENAMED) {
                        err = equals_base(snapshot, change, &change->base, &equal);
                        if (err == HIF_OK && equal)
                                change->content_changed = false;
                        /* Gone from the list: nothing but what has no landing value differs. */
                        if (err == HIF_OK && equal && change->kind == VFS_MODIFIED &&
                            change->entry_kind == change->base.kind)
                                change->kind = 0;
                } else if (change->kind == VFS_ADDED) {
                        err = find_source(snapshot, &goners, change, &source);
                        if (err == HIF_OK && source != NULL) {
                                change->kind = VFS_RENAMED;
                                change->path_from = source->path;
                                change->base = source->base;
                                change->content_changed = false;
                                source->kind = 0;
                        }
                }
                if (err != HIF_OK)
                        return err;
        }
        for (size_t i = 0; i < snapshot->change_count; i++)
                if (snapshot->changes[i].kind != 0)
                        snapshot->changes[kept++] = snapshot->changes[i];
        snapshot->change_count = kept;
        return HIF_OK;
}
