/* handshake.h - what a FUSE server and the kernel agreed on when it was mounted, for a successor.
 *
 * The kernel says what it can (FUSE_INIT) once a mount, and never asks again. A successor answers
 * the very same words to itself, so that its libfuse knows them, and sends nothing. It has to come
 * to the same answer, to the byte: else it would take the kernel for another.
 *
 *      0   u32 magic "HFHS"   4  u8 version (1)   5  u8 0, u16 0
 *      8   u64, u64 key of the requests' numbers: random, of this mount
 *      24  u32 what libfuse was asked to use (FUSE_CAP_*)
 *      28  u32 size, FUSE_INIT as the kernel sent it
 *      ..  u32 size, the answer as it was sent
 */
#ifndef HIF_FUSE_HANDSHAKE_H
#define HIF_FUSE_HANDSHAKE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/siphash.h"

#define HANDSHAKE_WORDS_MAX 4096u /* of either side */

struct handshake {
        struct sipkey key;
        uint32_t want;
        struct buf request, reply;
};

void handshake_free(struct handshake *handshake);
void handshake_encode(const struct handshake *handshake, struct buf *out);
/* HIF_ECORRUPT, HIF_EUNSUPPORTED (another version), HIF_ENOMEM. */
HIF_MUST_USE enum hif_err handshake_decode(struct span bytes, struct handshake *out);

#endif
