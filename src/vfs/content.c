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
        if (err == HIF_OK)
                *equal = hash_eq(&hash, &base->hash);
        return err;
}

/* A deleted file whose content an added one has. */
static enum hif_err find_source(struct vfs_snapshot *snapshot, const struct vfs_change *added,
                                struct vfs_change **source)
{
        struct hif_hash hash;
        bool hashed = false;

        *source = NULL;
        if (!is_file(added->entry_kind) || added->size == 0 || !is_local(&added->content))
                return HIF_OK;
        if (!added->content_changed) {
                hash = added->content.base.hash;
                hashed = true;
        }
        for (size_t i = 0; i < snapshot->change_count; i++) {
                struct vfs_change *gone = &snapshot->changes[i];
                enum hif_err err;

                if (gone->kind != VFS_DELETED || gone->node == NODEID_NONE ||
                    !is_file(gone->base.kind) || gone->base.size != added->size)
                        continue;
                if (!hashed) {
                        err = vfs_content_hash(snapshot, &added->content, &hash);
                        if (err != HIF_OK)
                                return err;
                        hashed = true;
                }
                if (hash_eq(&hash, &gone->base.hash)) {
                        *source = gone;
                        return HIF_OK;
                }
        }
        return HIF_OK;
}

enum hif_err vfs_changes_settle(struct vfs_snapshot *snapshot)
{
        size_t kept = 0;

        for (size_t i = 0; i < snapshot->change_count; i++) {
                struct vfs_change *change = &snapshot->changes[i];
                struct vfs_change *source;
                bool equal;
                enum hif_err err = HIF_OK;

                if (change->kind == VFS_MODIFIED || change->kind == VFS_RENAMED) {
                        err = equals_base(snapshot, change, &change->base, &equal);
                        if (err == HIF_OK && equal)
                                change->content_changed = false;
                        /* Gone from the list: nothing but what has no landing value differs. */
                        if (err == HIF_OK && equal && change->kind == VFS_MODIFIED &&
                            change->entry_kind == change->base.kind)
                                change->kind = 0;
                } else if (change->kind == VFS_ADDED) {
                        err = find_source(snapshot, change, &source);
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
