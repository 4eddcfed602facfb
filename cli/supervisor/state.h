/* state.h - what a supervisor tells the program that takes its place in the same process: the
 * numbers of the descriptors that stay open, and what they are.
 *
 *      0  "HIFS"                  magic
 *      4  version u16 = 1
 *      6  zero    u16
 *      8  fields, each: tag u16, zero u16, size u32, bytes
 *
 *      tag  field
 *      1    the lock          fd u32
 *      2    our own socket    fd u32
 *      3    the server        pid u32, pidfd, calls, events: fd u32; started ms u64; its version
 *      4    a held thing      fd u32, size of the name u16, name, note
 *      5    control.sock      path
 *      6    supervisor.sock   path
 *      7    the program       path
 *      8    figures           began ms u64, restarts u64, crashes u64
 *
 * All integers are big-endian; times are of the monotonic clock. A tag that is not known is passed
 * over, so that programs of different versions can follow each other. */
#ifndef HIF_CLI_SUPERVISOR_STATE_H
#define HIF_CLI_SUPERVISOR_STATE_H

#include "base/buf.h"
#include "base/err.h"
#include "cli/supervisor/shelf.h"

struct state_item {
        int fd;
        struct span name, note;
};

struct state {
        int lock_fd, listen_fd;
        uint32_t server_pid;
        int pidfd, calls, events;
        uint64_t started_ms, began_ms, restarts, crashes;
        struct span version, control, own, program; /* of the bytes that were decoded */
        struct state_item items[SHELF_MAX];
        size_t item_count;
};

void state_put(struct buf *out, const struct state *state);
/* HIF_ECORRUPT, HIF_EUNSUPPORTED. Whether the descriptors are open is for the caller to see. */
HIF_MUST_USE enum hif_err state_get(struct span bytes, struct state *out);

#endif
