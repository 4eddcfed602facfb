/* fuzz_body.c - stored objects: no more comes out than the header declares and the kind allows. */
#include "core/body.h"
#include "core/tree.h"
#include "tests/core/fuzz_target.h"

#define CONTENT_SIZE_AT 8

static void fuzz_kind(struct body_codec *codec, enum body_kind kind, struct span stored)
{
        AUTO_BUF struct buf out = {0};
        enum hif_err err = body_get(codec, kind, stored, &out);

        if (err) {
                FUZZ_CHECK(out.size == 0);
                return;
        }
        FUZZ_CHECK(out.size == be32_get(stored.data + CONTENT_SIZE_AT));
        FUZZ_CHECK(out.size <= (kind == BODY_BLOB ? BODY_BLOB_MAX : TREE_NODE_SIZE_MAX));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct body_codec *codec; /* dear to make: one for all inputs */
        size_t declared;

        if (!codec)
                codec = body_codec_new(1);
        FUZZ_CHECK(codec != NULL);
        fuzz_kind(codec, BODY_BLOB, span_of(data, size));
        fuzz_kind(codec, BODY_NODE, span_of(data, size));
        if (body_frame_size(span_of(data, size), 1000, &declared) == HIF_OK)
                FUZZ_CHECK(declared <= 1000);
        return 0;
}
