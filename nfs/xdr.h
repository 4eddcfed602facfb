/* xdr.h - XDR (RFC 4506) in place: a bounded cursor over arguments, and stores for replies.
 *
 * Reading: the error is sticky, so that a decoder reads as a list of fields and is checked once.
 * After it, reads give zeros and empty spans; nothing is ever read past `end`. Variable-length data
 * is borrowed from the arguments. Writing: each store returns where the next one goes; the caller
 * has reserved the room, because every reply's largest size is known before it is begun. */
#ifndef HIF_NFS_XDR_H
#define HIF_NFS_XDR_H

#include "base/buf.h"

#include <string.h>

#define XDR_UNIT 4u

/* Bytes that `size` bytes of opaque data take, with their padding. */
static inline size_t xdr_padded(size_t size)
{
        return (size + (XDR_UNIT - 1)) & ~(size_t)(XDR_UNIT - 1);
}

/* --- reading --- */

struct xdr {
        const uint8_t *next;
        const uint8_t *end;
        bool bad;
};

static inline struct xdr xdr_open(struct span bytes)
{
        return (struct xdr){.next = bytes.data, .end = bytes.data + bytes.size};
}

static inline size_t xdr_left(const struct xdr *xdr)
{
        return (size_t)(xdr->end - xdr->next);
}

/* The next `size` bytes, or NULL. */
static inline const uint8_t *xdr_take(struct xdr *xdr, size_t size)
{
        const uint8_t *at = xdr->next;

        if (__builtin_expect(xdr_left(xdr) < size || xdr->bad, 0)) {
                xdr->bad = true;
                return NULL;
        }
        xdr->next = at + size;
        return at;
}

static inline uint32_t xdr_u32(struct xdr *xdr)
{
        const uint8_t *at = xdr_take(xdr, 4);

        return at != NULL ? be32_get(at) : 0;
}

static inline uint64_t xdr_u64(struct xdr *xdr)
{
        const uint8_t *at = xdr_take(xdr, 8);

        return at != NULL ? be64_get(at) : 0;
}

/* RFC 4506 §4.4: anything but 0 and 1 is an error. */
static inline bool xdr_bool(struct xdr *xdr)
{
        uint32_t value = xdr_u32(xdr);

        if (value > 1)
                xdr->bad = true;
        return value == 1;
}

/* An enumeration whose values are 0..max. */
static inline uint32_t xdr_enum(struct xdr *xdr, uint32_t max)
{
        uint32_t value = xdr_u32(xdr);

        if (value <= max)
                return value;
        xdr->bad = true;
        return 0;
}

/* opaque<max> or string<max>: borrowed, without the padding, which must be there. */
static inline struct span xdr_opaque(struct xdr *xdr, size_t max)
{
        uint32_t size = xdr_u32(xdr);
        const uint8_t *at;

        if (size > max || size > xdr_left(xdr)) {
                xdr->bad = true;
                return (struct span){0};
        }
        at = xdr_take(xdr, xdr_padded(size));
        return at != NULL ? span_of(at, size) : (struct span){0};
}

/* --- writing --- */

static inline uint8_t *xdr_put_u32(uint8_t *at, uint32_t value)
{
        be32_put(at, value);
        return at + 4;
}

static inline uint8_t *xdr_put_u64(uint8_t *at, uint64_t value)
{
        be64_put(at, value);
        return at + 8;
}

static inline uint8_t *xdr_put_pad(uint8_t *at, size_t size)
{
        size_t pad = xdr_padded(size) - size;

        memset(at, 0, pad);
        return at + pad;
}

static inline uint8_t *xdr_put_opaque(uint8_t *at, struct span bytes)
{
        at = xdr_put_u32(at, (uint32_t)bytes.size);
        if (bytes.size > 0)
                memcpy(at, bytes.data, bytes.size);
        return xdr_put_pad(at + bytes.size, bytes.size);
}

#endif
