/* handle.h - file handles: which node of which workspace, sealed so that no one can make them up.
 *
 *      0      1        4                12               20               28
 *      +------+--------+----------------+----------------+----------------+
 *      | 0x01 | 000000 | workspace u64  | fileid u64     | MAC u64        |
 *      +------+--------+----------------+----------------+----------------+
 *
 * Integers are big-endian; the MAC is SipHash-2-4 of the first 20 bytes under the workspace's
 * secret key. A handle holds no state of the server, so it outlives restarts. */
#ifndef HIF_NFS_HANDLE_H
#define HIF_NFS_HANDLE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/siphash.h"

#define HANDLE_SIZE 28u

struct handle_seal {
        struct sipkey key;
        uint64_t workspace;
};

struct handle_seal handle_seal_make(const uint8_t key[16], uint64_t workspace);
void handle_put(const struct handle_seal *seal, uint64_t fileid, uint8_t out[HANDLE_SIZE]);
/* HIF_EBADHANDLE: not one that handle_put made with this seal. */
HIF_MUST_USE enum hif_err handle_get(const struct handle_seal *seal, struct span handle,
                                     uint64_t *fileid);

#endif
