/* body.c - zstd frames, and the stored objects that hold one. */
#include "core/body.h"

#include "base/cleanup.h"
#include "core/tree.h"

#include <assert.h>
#include <zstd.h>
#include <zstd_errors.h>

struct body_codec {
        ZSTD_CCtx *compress;
        ZSTD_DCtx *decompress;
};

_Static_assert(BODY_BLOB_MAX <= BODY_FRAME_MAX && TREE_NODE_SIZE_MAX <= BODY_FRAME_MAX,
               "every object fits a frame");

static enum hif_err err_from_zstd(size_t code)
{
        return ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation ? HIF_ENOMEM : HIF_ECORRUPT;
}

struct body_codec *body_codec_new(int level)
{
        struct body_codec *codec = calloc(1, sizeof(*codec));

        if (!codec)
                return NULL;
        codec->compress = ZSTD_createCCtx();
        codec->decompress = ZSTD_createDCtx();
        if (!codec->compress || !codec->decompress ||
            ZSTD_isError(ZSTD_CCtx_setParameter(codec->compress, ZSTD_c_compressionLevel, level))) {
                body_codec_free(codec);
                return NULL;
        }
        return codec;
}

void body_codec_free(struct body_codec *codec)
{
        if (!codec)
                return;
        ZSTD_freeCCtx(codec->compress);
        ZSTD_freeDCtx(codec->decompress);
        free(codec);
}

/* --- frames --- */

/* The window that a frame header asks for (RFC 8878, section 3.1.1.1); 0 where it has a single
 * segment, whose window is its content. The caller has seen a whole, valid header. */
static uint64_t frame_window(struct span frame)
{
        uint8_t descriptor = frame.data[4];
        uint64_t base;

        if (descriptor & 0x20)
                return 0;
        base = 1ull << (10 + (frame.data[5] >> 3));
        return base + base / 8 * (frame.data[5] & 7);
}

enum hif_err body_frame_size(struct span frame, size_t size_max, size_t *out)
{
        static const uint8_t magic[4] = {0x28, 0xb5, 0x2f, 0xfd};
        unsigned long long size;

        /* Skippable and legacy frames have magics of their own. 6 bytes: magic, descriptor, and a
         * window or content size byte; every valid header has them. */
        if (frame.size < 6 || memcmp(frame.data, magic, sizeof(magic)) != 0)
                return HIF_ECORRUPT;
        size = ZSTD_getFrameContentSize(frame.data, frame.size);
        if (size == ZSTD_CONTENTSIZE_UNKNOWN || size == ZSTD_CONTENTSIZE_ERROR)
                return HIF_ECORRUPT;
        if (size > size_max || size > BODY_FRAME_MAX || frame_window(frame) > BODY_FRAME_MAX)
                return HIF_ECORRUPT;
        *out = (size_t)size;
        return HIF_OK;
}

enum hif_err body_frame_put(struct body_codec *codec, struct span content, struct buf *out)
{
        size_t bound = ZSTD_compressBound(content.size);
        uint8_t *to;
        size_t size;

        assert(content.size <= BODY_FRAME_MAX);
        to = buf_reserve(out, bound);
        if (!to)
                return HIF_ENOMEM;
        size = ZSTD_compress2(codec->compress, to, bound, content.data, content.size);
        if (ZSTD_isError(size)) {
                assert(ZSTD_getErrorCode(size) == ZSTD_error_memory_allocation);
                return HIF_ENOMEM;
        }
        buf_extend(out, size);
        return HIF_OK;
}

enum hif_err body_frame_get(struct body_codec *codec, struct span frame, size_t content_size,
                            struct buf *out)
{
        size_t declared, got;
        uint8_t *to;
        enum hif_err err = body_frame_size(frame, content_size, &declared);

        if (err)
                return err;
        if (declared != content_size)
                return HIF_ECORRUPT;
        /* One frame: zstd itself would go on with whatever frames follow. */
        if (ZSTD_findFrameCompressedSize(frame.data, frame.size) != frame.size)
                return HIF_ECORRUPT;
        to = buf_reserve(out, content_size + 1); /* never 0: NULL would be ambiguous */
        if (!to)
                return HIF_ENOMEM;
        got = ZSTD_decompressDCtx(codec->decompress, to, content_size, frame.data, frame.size);
        if (ZSTD_isError(got))
                return err_from_zstd(got);
        if (got != content_size)
                return HIF_ECORRUPT;
        buf_extend(out, got);
        return HIF_OK;
}

/* --- stored objects --- */

/*      0   4   "HIFB"
 *      4   1   version, 1
 *      5   1   kind: 1 blob, 2 tree node
 *      6   2   key id: 0, not encrypted; nothing else is defined yet
 *      8   4   content size
 *     12   ..  one zstd frame, to the end
 */
#define OBJECT_HEADER_SIZE 12
#define OBJECT_VERSION     1

static const char object_magic[4] = "HIFB";

static uint8_t kind_code(enum body_kind kind)
{
        return kind == BODY_BLOB ? 1 : 2;
}

static size_t kind_size_max(enum body_kind kind)
{
        return kind == BODY_BLOB ? BODY_BLOB_MAX : TREE_NODE_SIZE_MAX;
}

enum hif_err body_put(struct body_codec *codec, enum body_kind kind, struct span content,
                      struct buf *out)
{
        size_t start = out->size;
        enum hif_err err;

        assert(content.size <= kind_size_max(kind));
        buf_put(out, object_magic, sizeof(object_magic));
        buf_put_u8(out, OBJECT_VERSION);
        buf_put_u8(out, kind_code(kind));
        buf_put_u16(out, 0);
        buf_put_u32(out, (uint32_t)content.size);
        if (buf_failed(out))
                return HIF_ENOMEM;
        err = body_frame_put(codec, content, out);
        if (err)
                out->size = start;
        return err;
}

enum hif_err body_get(struct body_codec *codec, enum body_kind kind, struct span stored,
                      struct buf *out)
{
        struct reader rd = rd_open(stored);
        struct span magic = rd_span(&rd, sizeof(object_magic));
        uint8_t version = rd_u8(&rd);
        uint8_t code = rd_u8(&rd);
        uint16_t key_id = rd_u16(&rd);
        uint32_t size = rd_u32(&rd);

        if (rd_bad(&rd) || !span_eq(magic, span_of(object_magic, sizeof(object_magic))))
                return HIF_ECORRUPT;
        if (version != OBJECT_VERSION || key_id != 0)
                return HIF_EUNSUPPORTED;
        if (code != kind_code(kind) || size > kind_size_max(kind))
                return HIF_ECORRUPT;
        return body_frame_get(codec, rd_span(&rd, rd_left(&rd)), size, out);
}
