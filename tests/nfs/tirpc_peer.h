/* tirpc_peer.h - the second codec: what rpcgen makes of nfs3.x, on libtirpc.
 *
 * In a file of its own, because the names of RFC 1813 are taken by our own header elsewhere. */
#ifndef HIF_TESTS_NFS_TIRPC_PEER_H
#define HIF_TESTS_NFS_TIRPC_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What any of the procedures may ask; each takes what it knows. */
struct tirpc_question {
        const void *handle, *handle2;
        size_t handle_size;
        const char *name, *name2, *target;
        uint64_t offset, cookie;
        uint32_t count, stable, access, type, how;
        const void *data;
        int mode;     /* -1: do not set */
        int64_t size; /* -1: do not set */
        bool guard;
        uint32_t guard_sec, guard_nsec;
};

/* Encode the arguments; 0: failed. */
size_t tirpc_nfs_args(uint32_t proc, const struct tirpc_question *question, uint8_t *out,
                      size_t size);
size_t tirpc_mount_args(uint32_t proc, const char *path, uint8_t *out, size_t size);

/* What is told of a result, where the procedure has it; 0 else. */
struct tirpc_answer {
        uint32_t status;
        bool wcc_before, attributes; /* of the first wcc_data or attributes in the result */
        uint64_t fileid, attr_size;
        uint8_t handle[64];
        size_t handle_size;
        uint32_t count, committed, access;
        uint64_t verifier, cookie;
        size_t entries;
        bool eof;
        uint64_t data_sum; /* of the bytes of READ's data, READLINK's target */
};

/* Decode the result of a procedure, encode it again, and compare: true when every byte was used and
 * the same bytes come back. */
bool tirpc_nfs_result(uint32_t proc, const uint8_t *bytes, size_t size, struct tirpc_answer *out);
bool tirpc_mount_result(uint32_t proc, const uint8_t *bytes, size_t size, struct tirpc_answer *out);

#endif
