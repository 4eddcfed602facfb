#include "cli/supervisor/state.h"

#include "cli/supervisor/wire.h"

#include <limits.h>

#define MAGIC   0x48494653u /* "HIFS" */
#define VERSION 1

enum tag {
        TAG_LOCK = 1,
        TAG_LISTEN = 2,
        TAG_SERVER = 3,
        TAG_ITEM = 4,
        TAG_CONTROL = 5,
        TAG_OWN = 6,
        TAG_PROGRAM = 7,
        TAG_FIGURES = 8,
};

static void put_head(struct buf *out, enum tag tag, size_t size)
{
        buf_put_u16(out, (uint16_t)tag);
        buf_put_u16(out, 0);
        buf_put_u32(out, (uint32_t)size);
}

static void put_fd(struct buf *out, enum tag tag, int fd)
{
        put_head(out, tag, 4);
        buf_put_u32(out, (uint32_t)fd);
}

static void put_text(struct buf *out, enum tag tag, struct span text)
{
        put_head(out, tag, text.size);
        buf_put_span(out, text);
}

void state_put(struct buf *out, const struct state *state)
{
        buf_put_u32(out, MAGIC);
        buf_put_u16(out, VERSION);
        buf_put_u16(out, 0);
        put_fd(out, TAG_LOCK, state->lock_fd);
        put_fd(out, TAG_LISTEN, state->listen_fd);
        put_head(out, TAG_SERVER, 24 + state->version.size);
        buf_put_u32(out, state->server_pid);
        buf_put_u32(out, (uint32_t)state->pidfd);
        buf_put_u32(out, (uint32_t)state->calls);
        buf_put_u32(out, (uint32_t)state->events);
        buf_put_u64(out, state->started_ms);
        buf_put_span(out, state->version);
        put_text(out, TAG_CONTROL, state->control);
        put_text(out, TAG_OWN, state->own);
        put_text(out, TAG_PROGRAM, state->program);
        put_head(out, TAG_FIGURES, 24);
        buf_put_u64(out, state->began_ms);
        buf_put_u64(out, state->restarts);
        buf_put_u64(out, state->crashes);
        for (size_t i = 0; i < state->item_count; i++) {
                const struct state_item *item = &state->items[i];

                put_head(out, TAG_ITEM, 6 + item->name.size + item->note.size);
                buf_put_u32(out, (uint32_t)item->fd);
                buf_put_u16(out, (uint16_t)item->name.size);
                buf_put_span(out, item->name);
                buf_put_span(out, item->note);
        }
}

static int get_fd(struct reader *rd)
{
        uint32_t fd = rd_u32(rd);

        if (fd > INT_MAX)
                rd->bad = true;
        return rd_bad(rd) ? -1 : (int)fd;
}

static void get_item(struct reader *rd, struct state *state)
{
        struct state_item item = {.fd = get_fd(rd)};

        item.name = rd_span(rd, rd_u16(rd));
        item.note = rd_span(rd, rd_left(rd));
        if (item.name.size == 0 || item.name.size > WIRE_NAME_MAX ||
            item.note.size > WIRE_NOTE_MAX || state->item_count == SHELF_MAX)
                rd->bad = true;
        if (!rd_bad(rd))
                state->items[state->item_count++] = item;
}

static void get_field(uint16_t tag, struct reader *rd, struct state *state)
{
        switch (tag) {
        case TAG_LOCK:
                state->lock_fd = get_fd(rd);
                break;
        case TAG_LISTEN:
                state->listen_fd = get_fd(rd);
                break;
        case TAG_SERVER:
                state->server_pid = rd_u32(rd);
                state->pidfd = get_fd(rd);
                state->calls = get_fd(rd);
                state->events = get_fd(rd);
                state->started_ms = rd_u64(rd);
                state->version = rd_span(rd, rd_left(rd));
                break;
        case TAG_ITEM:
                get_item(rd, state);
                break;
        case TAG_CONTROL:
                state->control = rd_span(rd, rd_left(rd));
                break;
        case TAG_OWN:
                state->own = rd_span(rd, rd_left(rd));
                break;
        case TAG_PROGRAM:
                state->program = rd_span(rd, rd_left(rd));
                break;
        case TAG_FIGURES:
                state->began_ms = rd_u64(rd);
                state->restarts = rd_u64(rd);
                state->crashes = rd_u64(rd);
                break;
        default:
                break; /* of a newer version */
        }
}

enum hif_err state_get(struct span bytes, struct state *out)
{
        struct reader rd = rd_open(bytes);
        uint32_t magic = rd_u32(&rd);
        uint16_t version = rd_u16(&rd);

        memset(out, 0, sizeof(*out));
        out->lock_fd = out->listen_fd = out->pidfd = out->calls = out->events = -1;
        (void)rd_u16(&rd);
        if (rd_bad(&rd) || magic != MAGIC)
                return HIF_ECORRUPT;
        if (version != VERSION)
                return HIF_EUNSUPPORTED;
        while (rd_left(&rd) > 0 && !rd_bad(&rd)) {
                uint16_t tag = rd_u16(&rd), zero = rd_u16(&rd);
                struct reader field = rd_open(rd_span(&rd, rd_u32(&rd)));

                if (rd_bad(&rd) || zero != 0)
                        return HIF_ECORRUPT;
                get_field(tag, &field, out);
                if (rd_bad(&field))
                        return HIF_ECORRUPT;
        }
        /* Without these it is no supervisor. */
        if (rd_bad(&rd) || out->lock_fd < 0 || out->listen_fd < 0 || out->server_pid == 0 ||
            out->control.size == 0 || out->own.size == 0)
                return HIF_ECORRUPT;
        return HIF_OK;
}
