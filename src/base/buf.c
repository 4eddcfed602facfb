#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define CAPACITY_MIN 64

int span_cmp(struct span a, struct span b)
{
        size_t common = a.size < b.size ? a.size : b.size;
        int order = common ? memcmp(a.data, b.data, common) : 0;

        if (order)
                return order;
        return (a.size > b.size) - (a.size < b.size);
}

void buf_free(struct buf *buf)
{
        free(buf->data);
        *buf = (struct buf){0};
}

void buf_reset(struct buf *buf)
{
        buf->size = 0;
        buf->failed = false;
}

uint8_t *buf_reserve(struct buf *buf, size_t size)
{
        size_t need, capacity;
        uint8_t *data;

        if (buf->failed)
                return NULL;
        if (buf->data && size <= buf->capacity - buf->size)
                return buf->data + buf->size;
        if (__builtin_add_overflow(buf->size, size, &need) || need > PTRDIFF_MAX / 2) {
                buf->failed = true;
                return NULL;
        }
        capacity = buf->capacity * 2;
        if (capacity < need)
                capacity = need;
        if (capacity < CAPACITY_MIN)
                capacity = CAPACITY_MIN;
        data = realloc(buf->data, capacity);
        if (!data) {
                buf->failed = true;
                return NULL;
        }
        buf->data = data;
        buf->capacity = capacity;
        return data + buf->size;
}

void buf_extend(struct buf *buf, size_t size)
{
        if (buf->failed)
                return;
        assert(size <= buf->capacity - buf->size);
        buf->size += size;
}

void buf_put(struct buf *buf, const void *data, size_t size)
{
        uint8_t *room;

        if (size == 0)
                return;
        room = buf_reserve(buf, size);
        if (!room)
                return;
        memcpy(room, data, size);
        buf->size += size;
}

void buf_put_span(struct buf *buf, struct span span)
{
        buf_put(buf, span.data, span.size);
}

void buf_put_u8(struct buf *buf, uint8_t value)
{
        buf_put(buf, &value, 1);
}

void buf_put_u16(struct buf *buf, uint16_t value)
{
        uint8_t bytes[2];

        be16_put(bytes, value);
        buf_put(buf, bytes, sizeof(bytes));
}

void buf_put_u32(struct buf *buf, uint32_t value)
{
        uint8_t bytes[4];

        be32_put(bytes, value);
        buf_put(buf, bytes, sizeof(bytes));
}

void buf_put_u64(struct buf *buf, uint64_t value)
{
        uint8_t bytes[8];

        be64_put(bytes, value);
        buf_put(buf, bytes, sizeof(bytes));
}

void buf_put_zero(struct buf *buf, size_t size)
{
        uint8_t *room = buf_reserve(buf, size);

        if (!room)
                return;
        memset(room, 0, size);
        buf->size += size;
}

void buf_printf(struct buf *buf, const char *format, ...)
{
        va_list args;
        uint8_t *room;
        int size;

        va_start(args, format);
        size = vsnprintf(NULL, 0, format, args);
        va_end(args);
        if (size < 0) {
                buf->failed = true;
                return;
        }
        room =
            buf_reserve(buf, (size_t)size + 1); /* vsnprintf ends with a NUL, which is not kept */
        if (!room)
                return;
        va_start(args, format);
        vsnprintf((char *)room, (size_t)size + 1, format, args);
        va_end(args);
        buf->size += (size_t)size;
}

void buf_set_u32(struct buf *buf, size_t offset, uint32_t value)
{
        if (buf->failed)
                return;
        assert(offset <= buf->size && buf->size - offset >= 4);
        be32_put(buf->data + offset, value);
}

/* The next `size` bytes, or NULL with the reader bad and at its end. */
static const uint8_t *rd_take(struct reader *rd, size_t size)
{
        const uint8_t *start = rd->next;

        if (rd->bad || size > rd_left(rd)) {
                rd->bad = true;
                rd->next = rd->end;
                return NULL;
        }
        rd->next += size;
        return start;
}

uint8_t rd_u8(struct reader *rd)
{
        const uint8_t *p = rd_take(rd, 1);

        return p ? *p : 0;
}

uint16_t rd_u16(struct reader *rd)
{
        const uint8_t *p = rd_take(rd, 2);

        return p ? be16_get(p) : 0;
}

uint32_t rd_u32(struct reader *rd)
{
        const uint8_t *p = rd_take(rd, 4);

        return p ? be32_get(p) : 0;
}

uint64_t rd_u64(struct reader *rd)
{
        const uint8_t *p = rd_take(rd, 8);

        return p ? be64_get(p) : 0;
}

struct span rd_span(struct reader *rd, size_t size)
{
        const uint8_t *p = rd_take(rd, size);

        return p ? span_of(p, size) : span_of(NULL, 0);
}

void rd_copy(struct reader *rd, void *out, size_t size)
{
        const uint8_t *p = rd_take(rd, size);

        if (size == 0)
                return;
        if (p)
                memcpy(out, p, size);
        else
                memset(out, 0, size);
}
