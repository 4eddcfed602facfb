/* base_read.c - content of the base, by pointer into pinned, verified objects. */
#include "vfs/internal.h"

#include "base/log.h"

#include <assert.h>

#define LIST_DEPTH_MAX 4

void want(struct vfs_call *call, enum fetch_kind kind, const struct hif_hash *hash, uint64_t size,
          const struct pack_loc *loc)
{
        struct fetch_want *item;

        for (size_t i = 0; i < call->want_count; i++)
                if (call->wants[i].kind == kind && hash_eq(&call->wants[i].hash, hash))
                        return;
        if (call->want_count == FETCH_WANTS_MAX)
                return; /* asked for when the call runs again */
        item = &call->wants[call->want_count++];
        *item = (struct fetch_want){.kind = kind, .hash = *hash, .size = size};
        if (loc != NULL)
                item->loc = *loc;
}

/* Pin an object for the rest of the call. */
static enum hif_err pin(struct vfs *vfs, struct vfs_call *call, enum fetch_kind kind,
                        const struct hif_hash *hash, uint64_t size, const struct pack_loc *loc,
                        struct span *bytes)
{
        struct fetch_ref *ref;
        enum hif_err err;

        if (call->pin_count == VFS_PINS_MAX)
                return HIF_ELIMIT;
        err = fetch_peek(vfs->config.fetch, kind, hash, &ref);
        if (err == HIF_EMISS)
                want(call, kind, hash, size, loc);
        if (err != HIF_OK)
                return err;
        call->pins[call->pin_count++] = ref;
        *bytes = fetch_ref_bytes(ref);
        return HIF_OK;
}

/* Trees and contents that are what their hashes say may still contradict each other: someone wrote
 * them so. Who reads gets EIO and no reason: it is in the log. */
static enum hif_err disagree(struct vfs *vfs, const char *what, const struct hif_hash *hash)
{
        char hex[HIF_HASH_HEX_SIZE];

        hash_to_hex(hash, hex);
        log_line(loop_env(vfs->config.loop)->log, LOG_WARN, "vfs",
                 "the %s %s is not of the size or depth that its tree says: %s", what, hex,
                 hif_strerror(HIF_ECORRUPT));
        return HIF_ECORRUPT;
}

static void add(struct vfs_data *data, const uint8_t *bytes, uint64_t size)
{
        data->iov[data->iov_count++] =
            (struct iovec){.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
        data->size += size;
}

static enum hif_err read_blob(struct vfs *vfs, struct vfs_call *call, const struct entry *entry,
                              uint64_t offset, uint64_t size, struct vfs_data *data)
{
        struct span bytes;
        enum hif_err err = pin(vfs, call, FETCH_BLOB, &entry->hash, entry->size,
                               entry->loc.size > 0 ? &entry->loc : NULL, &bytes);

        if (err != HIF_OK)
                return err;
        if (bytes.size != entry->size)
                return disagree(vfs, "blob", &entry->hash);
        add(data, bytes.data + offset, size);
        return HIF_OK;
}

/* Where a walk down a chunk list stands: the chunk that holds `offset`, and where it starts. */
struct found_chunk {
        struct chunk chunk;
        uint64_t start;
};

static enum hif_err find_chunk(struct vfs *vfs, struct vfs_call *call, const struct entry *entry,
                               uint64_t offset, struct found_chunk *out)
{
        struct hif_hash hash = entry->hash;
        uint64_t size = entry->size, start = 0;
        int below = 0; /* how deep the next list has to be */

        for (int depth = 0; depth < LIST_DEPTH_MAX; depth++) {
                struct chunk_list list;
                struct chunk chunk;
                struct span bytes;
                uint64_t at;
                uint32_t index;
                enum hif_err err = pin(vfs, call, FETCH_CHUNKS, &hash, 0, NULL, &bytes);

                if (err != HIF_OK)
                        return err;
                if (chunk_list_open(bytes, &list) != HIF_OK || list.size != size ||
                    (depth > 0 && list.depth != below))
                        return disagree(vfs, "chunk list", &hash);
                index = chunk_list_search(&list, offset - start, &at);
                chunk_list_at(&list, index, &chunk);
                start += at;
                if (list.depth == 0) {
                        *out = (struct found_chunk){.chunk = chunk, .start = start};
                        return HIF_OK;
                }
                hash = chunk.hash;
                size = chunk.size;
                below = list.depth - 1;
        }
        return disagree(vfs, "chunk list", &entry->hash);
}

static enum hif_err read_chunks(struct vfs *vfs, struct vfs_call *call, const struct entry *entry,
                                uint64_t offset, uint64_t size, struct vfs_data *data)
{
        bool missing = false;

        /* Two iovs are kept free for what follows in an overlaid file; a short read is allowed. */
        while (size > 0 && data->iov_count + 2 < VFS_IOV_MAX) {
                struct found_chunk found;
                struct span bytes;
                uint64_t skip, take;
                enum hif_err err = find_chunk(vfs, call, entry, offset, &found);

                if (err != HIF_OK)
                        return err;
                skip = offset - found.start;
                take = found.chunk.size - skip < size ? found.chunk.size - skip : size;
                err = pin(vfs, call, FETCH_BLOB, &found.chunk.hash, found.chunk.size, NULL, &bytes);
                if (err == HIF_EMISS)
                        missing = true;
                else if (err != HIF_OK)
                        return err;
                else if (bytes.size != found.chunk.size)
                        return disagree(vfs, "blob", &found.chunk.hash);
                else if (!missing)
                        add(data, bytes.data + skip, take);
                offset += take;
                size -= take;
        }
        return missing ? HIF_EMISS : HIF_OK;
}

enum hif_err base_read(struct vfs *vfs, struct vfs_call *call, const struct entry *entry,
                       uint64_t offset, uint64_t size, struct vfs_data *data)
{
        assert(offset + size <= entry->size);
        if (size == 0)
                return HIF_OK;
        if (entry->size <= BODY_BLOB_MAX)
                return read_blob(vfs, call, entry, offset, size, data);
        return read_chunks(vfs, call, entry, offset, size, data);
}
