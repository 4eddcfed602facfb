/* decode.c - from stored bytes to checked content (I3: what does not match is never handed out). */
#include "fetch/internal.h"

#include <stdlib.h>

static enum hash_kind hash_kind_of(enum fetch_kind kind)
{
        switch (kind) {
        case FETCH_NODE:
                return HASH_NODE;
        case FETCH_BLOB:
                return HASH_BLOB;
        case FETCH_CHUNKS:
                return HASH_CHUNKS;
        }
        abort();
}

enum hif_err object_check(enum fetch_kind kind, const struct hif_hash *hash, struct span bytes)
{
        struct hif_hash is = hash_of(hash_kind_of(kind), bytes);
        struct chunk_list list;

        if (!hash_eq(&is, hash))
                return HIF_ECORRUPT;
        switch (kind) {
        case FETCH_NODE:
                return tree_node_check(bytes);
        case FETCH_CHUNKS:
                return chunk_list_open(bytes, &list);
        case FETCH_BLOB:
                return bytes.size <= BODY_BLOB_MAX ? HIF_OK : HIF_ECORRUPT;
        }
        abort();
}

static enum hif_err expand(struct body_codec *codec, const struct fetch_want *want, bool frame,
                           struct span stored, struct buf *out)
{
        size_t size;
        enum hif_err err;

        if (frame) {
                err = body_frame_size(stored, BODY_BLOB_MAX, &size);
                return err ? err : body_frame_get(codec, stored, size, out);
        }
        switch (want->kind) {
        case FETCH_NODE:
                return body_get(codec, BODY_NODE, stored, out);
        case FETCH_BLOB:
                return body_get(codec, BODY_BLOB, stored, out);
        case FETCH_CHUNKS:
                buf_put_span(out, stored); /* stored as it is */
                return buf_failed(out) ? HIF_ENOMEM : HIF_OK;
        }
        abort();
}

enum hif_err object_decode(struct fetch *fetch, const struct fetch_want *want, bool frame,
                           struct span stored, struct buf *out)
{
        struct codec *codec = codec_take(fetch);
        enum hif_err err;

        if (!codec)
                return HIF_ENOMEM;
        err = expand(codec->codec, want, frame, stored, out);
        codec_give(fetch, codec);
        return err ? err : object_check(want->kind, &want->hash, buf_span(out));
}
