/* window.c - the head of derived records; drawn in window.h. */
#include "core/window.h"

#include "core/session.h"

#include <assert.h>

#define WINDOW_VERSION 1

static const char window_magic[4] = "HIFD";

static bool window_valid(const struct window *window)
{
        return window->kind >= WINDOW_SEGMENT && window->kind < WINDOW_KINDS &&
               window->start % window_size(window->kind) == 0 &&
               window->start <= POSITION_MAX - window_size(window->kind) &&
               hash_is_zero(&window->before) == (window->start == 0) && !hash_is_zero(&window->end);
}

void window_put(struct buf *out, const struct window *window)
{
        assert(window_valid(window));
        buf_put(out, window_magic, sizeof(window_magic));
        buf_put_u8(out, WINDOW_VERSION);
        buf_put_u8(out, (uint8_t)window->kind);
        buf_put_u16(out, 0);
        buf_put_u64(out, window->start);
        buf_put_u64(out, window_last(window->kind, window->start));
        buf_put(out, window->before.bytes, HIF_HASH_SIZE);
        buf_put(out, window->end.bytes, HIF_HASH_SIZE);
}

enum hif_err window_get(struct reader *rd, enum window_kind kind, uint64_t start,
                        struct window *out)
{
        struct span magic = rd_span(rd, sizeof(window_magic));
        uint8_t version = rd_u8(rd);
        struct window window;
        uint64_t last;
        uint16_t zero;

        if (rd_bad(rd) || !span_eq(magic, span_of(window_magic, sizeof(window_magic))))
                return HIF_ECORRUPT;
        if (version != WINDOW_VERSION)
                return HIF_EUNSUPPORTED;
        window.kind = (enum window_kind)rd_u8(rd);
        zero = rd_u16(rd);
        window.start = rd_u64(rd);
        last = rd_u64(rd);
        rd_copy(rd, window.before.bytes, HIF_HASH_SIZE);
        rd_copy(rd, window.end.bytes, HIF_HASH_SIZE);
        if (rd_bad(rd) || zero != 0 || window.kind != kind || window.start != start ||
            !window_valid(&window) || last != window_last(kind, start))
                return HIF_ECORRUPT;
        *out = window;
        return HIF_OK;
}
