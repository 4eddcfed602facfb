/* fuzz_segment.c - the input as stored bytes, and as rows: what is accepted can be written again.
 */
#include "core/landing_check.h"
#include "core/segment.h"
#include "tests/core/fuzz_target.h"
#include "tests/core/segment_rows.h"

static void fuzz_stored(struct body_codec *codec, struct span stored)
{
        AUTO_ARENA struct arena arena = {0};
        AUTO_BUF struct buf again = {0}, content = {0}, content_again = {0};
        struct segment segment;

        if (segment_get(codec, stored, 0, &arena, &segment) != HIF_OK)
                return;
        FUZZ_CHECK(segment_content(codec, stored, 0, &content) == HIF_OK);
        FUZZ_CHECK(segment_put(codec, &segment, &again) == HIF_OK);
        FUZZ_CHECK(segment_content(codec, buf_span(&again), 0, &content_again) == HIF_OK);
        FUZZ_CHECK(span_eq(buf_span(&content), buf_span(&content_again)));
}

/* Behind a head and a frame that are right, which no mutation would give. */
static void fuzz_rows(struct body_codec *codec, struct span rows)
{
        AUTO_BUF struct buf stored = {0}, frame = {0};
        struct window window = {.kind = WINDOW_SEGMENT};

        if (rows.size > BODY_FRAME_MAX / 2)
                return;
        fill_hash(&window.end, 0x51, SEGMENT_SLOTS - 1); /* as the rows of the corpus end */
        if (body_frame_put(codec, rows, &frame) != HIF_OK)
                return;
        window_put(&stored, &window);
        buf_put_u32(&stored, (uint32_t)rows.size);
        buf_put_u32(&stored, (uint32_t)frame.size);
        buf_put_span(&stored, buf_span(&frame));
        landing_check_put(&stored, 0);
        fuzz_stored(codec, buf_span(&stored));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct body_codec *codec = body_codec_new(1);

        if (!codec)
                return 0;
        fuzz_stored(codec, span_of(data, size));
        fuzz_rows(codec, span_of(data, size));
        body_codec_free(codec);
        return 0;
}
