/* out.h - what a connection has to send: encoded bytes, content by pointer, and the pins that keep
 * it in place until the kernel has taken it.
 *
 * Replies are stored one after the other in an area that is used again once all is sent; content
 * is named by pointer between them. One sendmsg takes them all. */
#ifndef HIF_NFS_OUT_H
#define HIF_NFS_OUT_H

#include "vfs/vfs.h"

struct out_piece {
        const uint8_t *data; /* NULL: in the area */
        size_t at;           /* in the area */
        size_t size;
};

struct out_pin {
        struct fetch_ref *ref;
        uint64_t until; /* position in the stream behind which it may go */
};

struct out {
        uint8_t *area;
        size_t used, capacity;
        struct out_piece *pieces;
        size_t piece_first, piece_count, piece_capacity;
        struct out_pin *pins;
        size_t pin_first, pin_count, pin_capacity;
        uint64_t queued, sent; /* positions in the stream */
        uint64_t taken;        /* by sendmsg, in all: a statistic */
};

/* Content that a reply names by pointer. `count` 0: none. */
struct out_data {
        struct iovec iov[VFS_IOV_MAX];
        size_t count;
        size_t size;
        const uint8_t *scratch; /* iovs in [scratch, scratch + scratch_size) lie in the area */
        size_t scratch_size;
        struct vfs_call *call; /* its pins go over to the queue */
};

/* Zero-initialised is empty and valid. */
void out_free(struct out *out);
/* Give the area back, if nothing is queued: it grows again when it is needed. */
void out_trim(struct out *out);

static inline uint64_t out_pending(const struct out *out)
{
        return out->queued - out->sent;
}

/* Room for `size` bytes behind what is queued; NULL when out of memory. Nothing counts before
 * out_commit, and the next call may move what is not committed. */
uint8_t *out_reserve(struct out *out, size_t size);
/* Queue the bytes from the start of the room up to `end`. Cannot fail. */
void out_commit(struct out *out, const uint8_t *end);
/* Queue a head (from the start of the room up to `head_end`), content, and zeros up to a multiple
 * of four. On HIF_ENOMEM nothing is queued. */
HIF_MUST_USE enum hif_err out_commit_data(struct out *out, const uint8_t *head_end,
                                          const struct out_data *data);

/* Send. HIF_OK: all is sent; HIF_EAGAIN: the client must take some first; HIF_EIO: it is gone. */
HIF_MUST_USE enum hif_err out_send(struct out *out, int fd);

#endif
