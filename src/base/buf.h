/* buf.h - byte spans, a growable byte buffer, and bounds-checked big-endian reading and writing.
 *
 * Both directions have a sticky error, so that a codec reads as a list of fields: check once, at
 * the end, with buf_failed() or rd_bad(). All integers are big-endian. */
#ifndef HIF_BASE_BUF_H
#define HIF_BASE_BUF_H

#include "base/cleanup.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Borrowed bytes. An empty span may have data == NULL. */
struct span {
        const uint8_t *data;
        size_t size;
};

static inline struct span span_of(const void *data, size_t size)
{
        return (struct span){.data = data, .size = size};
}

static inline struct span span_str(const char *text)
{
        return span_of(text, strlen(text));
}

static inline bool span_eq(struct span a, struct span b)
{
        return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* memcmp order; a proper prefix sorts first. */
int span_cmp(struct span a, struct span b);

/* --- writing --- */

/* Owned, growable bytes. Zero-initialised is empty and valid. After a failed allocation the buffer
 * is `failed`: later puts do nothing, and the contents must not be used. */
struct buf {
        uint8_t *data;
        size_t size;
        size_t capacity;
        bool failed;
};

void buf_free(struct buf *buf); /* leaves it empty and valid */
#define AUTO_BUF CLEANUP(buf_free)

static inline bool buf_failed(const struct buf *buf)
{
        return buf->failed;
}

static inline struct span buf_span(const struct buf *buf)
{
        return span_of(buf->data, buf->size);
}

/* Empty the buffer, keep its memory, clear `failed`. */
void buf_reset(struct buf *buf);

/* Room for `size` more bytes; returns where they start, or NULL (and fails the buffer). The bytes
 * count only after buf_extend(). */
uint8_t *buf_reserve(struct buf *buf, size_t size);
void buf_extend(struct buf *buf, size_t size);

void buf_put(struct buf *buf, const void *data, size_t size);
void buf_put_span(struct buf *buf, struct span span);
void buf_put_u8(struct buf *buf, uint8_t value);
void buf_put_u16(struct buf *buf, uint16_t value);
void buf_put_u32(struct buf *buf, uint32_t value);
void buf_put_u64(struct buf *buf, uint64_t value);
void buf_put_zero(struct buf *buf, size_t size);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Overwrite bytes that are already there (asserted), for lengths known late. */
void buf_set_u32(struct buf *buf, size_t offset, uint32_t value);

/* --- reading --- */

/* A cursor over borrowed bytes. After a read past the end it is `bad`: that read and all later ones
 * give zeros and empty spans. */
struct reader {
        const uint8_t *next;
        const uint8_t *end;
        bool bad;
};

static inline struct reader rd_open(struct span span)
{
        const uint8_t *start = span.data ? span.data : (const uint8_t *)"";

        return (struct reader){.next = start, .end = start + span.size};
}

static inline size_t rd_left(const struct reader *rd)
{
        return (size_t)(rd->end - rd->next);
}

static inline bool rd_bad(const struct reader *rd)
{
        return rd->bad;
}

/* True when all was read and nothing failed: what a decoder returns on. */
static inline bool rd_done(const struct reader *rd)
{
        return !rd->bad && rd->next == rd->end;
}

uint8_t rd_u8(struct reader *rd);
uint16_t rd_u16(struct reader *rd);
uint32_t rd_u32(struct reader *rd);
uint64_t rd_u64(struct reader *rd);
struct span rd_span(struct reader *rd, size_t size); /* borrowed from the reader's bytes */
void rd_copy(struct reader *rd, void *out, size_t size);

/* --- loads and stores in place --- */

static inline uint16_t be16_get(const void *p)
{
        uint16_t v;

        memcpy(&v, p, 2);
        return __builtin_bswap16(v);
}

static inline uint32_t be32_get(const void *p)
{
        uint32_t v;

        memcpy(&v, p, 4);
        return __builtin_bswap32(v);
}

static inline uint64_t be64_get(const void *p)
{
        uint64_t v;

        memcpy(&v, p, 8);
        return __builtin_bswap64(v);
}

static inline void be16_put(void *p, uint16_t v)
{
        v = __builtin_bswap16(v);
        memcpy(p, &v, 2);
}

static inline void be32_put(void *p, uint32_t v)
{
        v = __builtin_bswap32(v);
        memcpy(p, &v, 4);
}

static inline void be64_put(void *p, uint64_t v)
{
        v = __builtin_bswap64(v);
        memcpy(p, &v, 8);
}

#endif
