/* A file's content through its entry: a frame in a pack, a blob, or a list of chunks. Every piece
 * is held against its hash before anyone sees it (I3); one that does not match is fetched again,
 * once. */
#include "core/layout.h"
#include "land/derived/derived.h"
#include "land/internal.h"

#include <assert.h>
#include <inttypes.h>

#define CHUNKS_AHEAD    4u
#define CHUNK_DEPTH_MAX 3
#define PLACES_MAX      4u /* of the hash index, that are tried */

struct file_read {
        const struct project *project;
        struct body_codec *codec;
        uint64_t offset, end; /* of the content that is wanted */
        enum hif_err (*each)(void *arg, struct span piece);
        void *arg;
        struct hif_why *why;
};

/* Give what is wanted of a piece that covers [start, start + piece.size). */
static enum hif_err give(struct file_read *file, uint64_t start, struct span piece)
{
        uint64_t from = file->offset > start ? file->offset - start : 0;
        uint64_t to = file->end - start < piece.size ? file->end - start : piece.size;

        if (from >= to)
                return HIF_OK;
        return file->each(file->arg, span_of(piece.data + from, (size_t)(to - from)));
}

static enum hif_err check_content(const struct hif_hash *hash, uint64_t size,
                                  const struct buf *content)
{
        struct hif_hash actual;

        if (buf_failed(content))
                return HIF_ENOMEM;
        if (content->size != size)
                return HIF_ECORRUPT;
        actual = hash_of(HASH_BLOB, buf_span(content));
        return hash_eq(&actual, hash) ? HIF_OK : HIF_ECORRUPT;
}

/* A location is a hint: whatever is wrong with it, the blob's own name is asked next. */
static enum hif_err from_pack(struct file_read *file, const struct entry *entry, struct buf *out)
{
        struct layout_key key = layout_pack(&file->project->layout, &entry->loc.pack);
        struct store_req req = {.op = STORE_GET,
                                .key = key.text,
                                .range_start = entry->loc.offset,
                                .range_size = entry->loc.size};
        enum hif_err err;

        store_run(file->project->store, &req, 1);
        err = req.result;
        if (err == HIF_OK)
                err = body_frame_get(file->codec, buf_span(&req.data), (size_t)entry->size, out);
        store_req_free(&req);
        return err == HIF_OK ? check_content(&entry->hash, entry->size, out) : err;
}

static enum hif_err accept_blob(struct file_read *file, const struct store_req *req,
                                const struct chunk *chunk, struct buf *out)
{
        enum hif_err err = req->result;

        buf_reset(out);
        if (err == HIF_OK)
                err = body_get(file->codec, BODY_BLOB, buf_span(&req->data), out);
        if (err == HIF_OK)
                err = check_content(&chunk->hash, chunk->size, out);
        return err;
}

/* One blob by name; a damaged one is fetched once more. */
static enum hif_err from_blob(struct file_read *file, const struct chunk *chunk, struct buf *out)
{
        struct layout_key key = layout_blob(&file->project->layout, &chunk->hash);
        enum hif_err err = HIF_ECORRUPT;

        for (int i = 0; i < 2 && err == HIF_ECORRUPT; i++) {
                struct store_req req = {.op = STORE_GET, .key = key.text};

                store_run(file->project->store, &req, 1);
                err = accept_blob(file, &req, chunk, out);
                store_req_free(&req);
        }
        if (err != HIF_OK)
                (void)object_why(file->project, err, "read", key.text, file->why);
        return err;
}

/* Neither where the entry says, nor under its own name: the packs that the hash index knows. */
static enum hif_err from_index(struct file_read *file, const struct entry *entry, struct buf *out)
{
        struct pack_loc places[PLACES_MAX];
        size_t count =
            hash_index_find(file->project, &entry->hash, entry->size, places, PLACES_MAX);
        enum hif_err err = HIF_ENOENT;

        for (size_t i = 0; i < count && err != HIF_OK; i++) {
                struct entry there = *entry;

                there.loc = places[i];
                buf_reset(out);
                err = from_pack(file, &there, out);
        }
        return err;
}

static enum hif_err read_small(struct file_read *file, const struct entry *entry)
{
        AUTO_BUF struct buf content = {0};
        struct chunk whole = {.hash = entry->hash, .size = entry->size};
        enum hif_err err = HIF_ENOENT;

        if (entry->loc.size > 0)
                err = from_pack(file, entry, &content);
        if (err == HIF_ECORRUPT) { /* on the way, perhaps */
                buf_reset(&content);
                err = from_pack(file, entry, &content);
        }
        if (err != HIF_OK) {
                enum hif_err first = err;

                buf_reset(&content);
                err = from_blob(file, &whole, &content);
                if (entry->size <= BODY_PACK_BLOB_MAX &&
                    (err == HIF_ENOENT || err == HIF_ECORRUPT) &&
                    from_index(file, entry, &content) == HIF_OK)
                        err = HIF_OK;
                if (err == HIF_ENOENT && entry->loc.size > 0)
                        err = first;
        }
        return err == HIF_OK ? give(file, 0, buf_span(&content)) : err;
}

/* Chunks [first, first + count) of a list, `start` bytes into the file, in one trip. */
static enum hif_err read_chunks(struct file_read *file, const struct chunk *chunks, size_t count,
                                uint64_t start)
{
        struct store_req reqs[CHUNKS_AHEAD] = {0};
        struct layout_key keys[CHUNKS_AHEAD];
        AUTO_BUF struct buf content = {0};
        enum hif_err err = HIF_OK;

        assert(count <= CHUNKS_AHEAD);
        for (size_t i = 0; i < count; i++) {
                keys[i] = layout_blob(&file->project->layout, &chunks[i].hash);
                reqs[i].op = STORE_GET;
                reqs[i].key = keys[i].text;
        }
        store_run(file->project->store, reqs, count);
        for (size_t i = 0; i < count; i++) {
                if (err == HIF_OK)
                        err = accept_blob(file, &reqs[i], &chunks[i], &content);
                if (err != HIF_OK && err == reqs[i].result)
                        (void)object_why(file->project, err, "read", keys[i].text, file->why);
                store_req_free(&reqs[i]);
                if (err == HIF_ECORRUPT) {
                        buf_reset(&content);
                        err = from_blob(file, &chunks[i], &content);
                }
                if (err == HIF_OK)
                        err = give(file, start, buf_span(&content));
                start += chunks[i].size;
        }
        return err;
}

static enum hif_err get_list(struct file_read *file, const struct chunk *of, int depth,
                             struct buf *bytes, struct chunk_list *out)
{
        struct layout_key key = layout_blob(&file->project->layout, &of->hash);
        enum hif_err err = object_get(file->project, key.text, 0, bytes, file->why);
        struct hif_hash actual;

        if (err != HIF_OK)
                return err;
        actual = hash_of(HASH_CHUNKS, buf_span(bytes));
        err = hash_eq(&actual, &of->hash) ? chunk_list_open(buf_span(bytes), out) : HIF_ECORRUPT;
        if (err == HIF_OK && (out->size != of->size || out->depth > CHUNK_DEPTH_MAX ||
                              (depth >= 0 && out->depth != depth)))
                err = HIF_ECORRUPT;
        if (err != HIF_OK)
                (void)object_why(file->project, err, "use", key.text, file->why);
        return err;
}

/* depth -1: the list says how deep it is. Recursion is at most CHUNK_DEPTH_MAX + 1. */
static enum hif_err read_list(struct file_read *file, const struct chunk *of, int depth,
                              uint64_t start)
{
        AUTO_BUF struct buf bytes = {0};
        struct chunk_list list;
        uint64_t at = start;
        enum hif_err err = get_list(file, of, depth, &bytes, &list);

        for (uint32_t i = 0; err == HIF_OK && i < list.count && at < file->end;) {
                struct chunk chunks[CHUNKS_AHEAD];
                size_t n = 0;
                uint64_t first = at;

                while (n < CHUNKS_AHEAD && i < list.count && at < file->end) {
                        chunk_list_at(&list, i++, &chunks[n]);
                        at += chunks[n].size;
                        if (at > file->offset)
                                n++;
                        else
                                first = at;
                }
                if (list.depth == 0 && n > 0)
                        err = read_chunks(file, chunks, n, first);
                for (size_t k = 0; list.depth > 0 && k < n && err == HIF_OK; k++) {
                        err = read_list(file, &chunks[k], list.depth - 1, first);
                        first += chunks[k].size;
                }
        }
        return err;
}

enum hif_err project_read_file(const struct project *project, const struct entry *entry,
                               uint64_t offset, uint64_t size,
                               enum hif_err (*each)(void *arg, struct span piece), void *arg,
                               struct hif_why *why)
{
        struct file_read file = {
            .project = project, .offset = offset, .each = each, .arg = arg, .why = why};
        struct chunk whole = {.hash = entry->hash, .size = entry->size};
        enum hif_err err;

        assert(entry_is_file(entry));
        if (offset >= entry->size || size == 0)
                return HIF_OK;
        file.end = size < entry->size - offset ? offset + size : entry->size;
        file.codec = body_codec_new(3);
        if (!file.codec)
                return why_set(why, HIF_ENOMEM, "out of memory");
        err = entry->size > BODY_BLOB_MAX ? read_list(&file, &whole, -1, 0)
                                          : read_small(&file, entry);
        body_codec_free(file.codec);
        return err;
}
