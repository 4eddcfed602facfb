/* body.h - how content lies in the store: blobs, chunk lists, packs; and cutting it into chunks.
 *
 * A file of up to BODY_BLOB_MAX bytes is one blob. A larger one is cut by its content into chunks,
 * each a blob of its own, and named by a chunk list. Small blobs of one landing travel together in
 * a pack. Sizes from a store are hostile: nothing expands past its declared and limited size. */
#ifndef HIF_CORE_BODY_H
#define HIF_CORE_BODY_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "core/entry.h"
#include "core/hash.h"

#define BODY_BLOB_MAX      (4u << 20)
#define BODY_CHUNK_MIN     (256u << 10)
#define BODY_CHUNK_MEAN    (1u << 20)
#define BODY_CHUNK_MAX     BODY_BLOB_MAX
#define BODY_LIST_MAX      4096u        /* entries of one chunk list; above that, a list of lists */
#define BODY_PACK_BLOB_MAX (256u << 10) /* content up to this size travels in packs */
#define BODY_PACK_MAX      (32u << 20)  /* a pack is closed before it would grow past this */

/* --- zstd frames --- */

/* No frame holds more content, nor asks for a larger window. */
#define BODY_FRAME_MAX (8u << 20)

/* Compression contexts are dear to make; one thread uses one at a time. */
struct body_codec;
struct body_codec *body_codec_new(int level); /* NULL when out of memory; 3 is the default level */
void body_codec_free(struct body_codec *codec);

/* Append one zstd frame that states its content size (at most BODY_FRAME_MAX, asserted). */
HIF_MUST_USE enum hif_err body_frame_put(struct body_codec *codec, struct span content,
                                         struct buf *out);
/* Append the content of exactly one frame. HIF_ECORRUPT: not one frame, or its content is not of
 * content_size bytes. */
HIF_MUST_USE enum hif_err body_frame_get(struct body_codec *codec, struct span frame,
                                         size_t content_size, struct buf *out);
/* The size that a frame declares; HIF_ECORRUPT when it declares none or more than size_max. */
HIF_MUST_USE enum hif_err body_frame_size(struct span frame, size_t size_max, size_t *out);

/* --- stored objects: blobs and tree nodes --- */

enum body_kind { BODY_BLOB, BODY_NODE };

/* Append an object as it lies in the store (header, frame; drawn in body.c). */
HIF_MUST_USE enum hif_err body_put(struct body_codec *codec, enum body_kind kind,
                                   struct span content, struct buf *out);
/* Append the content of a stored object. Limits: BODY_BLOB_MAX, TREE_NODE_SIZE_MAX. The hash is the
 * caller's to check. */
HIF_MUST_USE enum hif_err body_get(struct body_codec *codec, enum body_kind kind,
                                   struct span stored, struct buf *out);

/* --- chunk lists --- */

struct chunk {
        struct hif_hash hash; /* of a chunk, or of a list where depth > 0 */
        uint64_t size;        /* content bytes that it stands for */
};

/* A checked view. */
struct chunk_list {
        struct span bytes;
        uint64_t size; /* of the whole file's content below this list */
        uint32_t count;
        uint8_t depth; /* 0: of chunks; 1: of lists; ... at most 3 */
};

/* Encode 1..BODY_LIST_MAX chunks; the result is stored as it is, under the hash HASH_CHUNKS. */
void chunk_list_put(struct buf *out, uint8_t depth, const struct chunk *chunks, uint32_t count);
HIF_MUST_USE enum hif_err chunk_list_open(struct span bytes, struct chunk_list *out);
void chunk_list_at(const struct chunk_list *list, uint32_t index, struct chunk *out);
/* The entry that holds byte `offset` (< list->size, asserted), and where that entry starts. */
uint32_t chunk_list_search(const struct chunk_list *list, uint64_t offset, uint64_t *start);

/* --- content-defined chunking --- */

/* FastCDC (Xia et al., 2016) with normalised chunking; its table derives from a fixed context, so
 * that equal content gives equal chunks in every project. Zero-initialise to start a file. */
struct chunker {
        uint64_t fingerprint;
        uint64_t size; /* of the chunk so far */
};

/* How many bytes of data (at least 1, for non-empty data) belong to the current chunk; *cut: the
 * chunk ends there and the next call starts a new one. At the end of the file the rest is a chunk.
 */
size_t chunker_next(struct chunker *chunker, struct span data, bool *cut);

/* --- packs --- */

/* Frames one after the other, then an index (drawn in pack.c). Named HASH_PACK of all its bytes. */
struct pack_entry {
        struct hif_hash hash;
        uint32_t offset, size; /* of the frame */
        uint32_t content_size;
};

struct pack_writer {
        struct buf bytes;
        struct buf index;
        uint32_t count;
};

/* Initialise; pack_free in the end, and before the same writer begins another. */
void pack_begin(struct pack_writer *pack);
/* Add a frame; gives its offset. HIF_ELIMIT: the pack is full, finish it and begin another. */
HIF_MUST_USE enum hif_err pack_add(struct pack_writer *pack, const struct hif_hash *hash,
                                   struct span frame, uint32_t content_size, uint32_t *offset);
/* Append the index of a pack that is not empty (asserted). pack->bytes is then the object and *name
 * its hash. */
HIF_MUST_USE enum hif_err pack_finish(struct pack_writer *pack, struct hif_hash *name);
void pack_free(struct pack_writer *pack);

/* Read the index of a whole stored pack. Entries live in the arena. */
HIF_MUST_USE enum hif_err pack_index(struct span stored, struct arena *arena,
                                     struct pack_entry **entries, uint32_t *count);
/* The same from the last bytes of a stored pack of pack_size bytes. pack_index_size: how many of
 * them that takes, told by the last 8 (0: damaged). Frames are not looked at. */
uint64_t pack_index_size(struct span tail);
HIF_MUST_USE enum hif_err pack_index_of_tail(struct span tail, uint64_t pack_size,
                                             struct arena *arena, struct pack_entry **entries,
                                             uint32_t *count);

#endif
