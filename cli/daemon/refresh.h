/* refresh.h - what the kernel has to be told after a move of the base, kept until it has been told:
 * a server that dies in between leaves the list to the next.
 *
 * It is written to the session's directory before the base moves, and removed when the kernel knows.
 * A list that is cut is of a base that has not moved: the move comes after it. Telling what has not
 * changed does no harm.
 *
 *      0   u32 magic "HIFR"   4  u8 version (1)   5  u8 0, u16 0
 *      8   u32 nodes: each u64 number, u32 size, path
 *      ..  u32 names: each u64 directory, u32 size, name
 *      ..  u32 magic again
 */
#ifndef HIF_CLI_DAEMON_REFRESH_H
#define HIF_CLI_DAEMON_REFRESH_H

#include "base/buf.h"
#include "vfs/move.h"

struct workspace;

void refresh_encode(const struct vfs_move *move, struct buf *out);

/* Either may be NULL. id: of the node, or of the directory; text: its path, or the name. HIF_ECORRUPT:
 * it is cut, or no such list; some may have been called for all the same. */
typedef void refresh_fn(void *arg, uint64_t id, struct span text);
HIF_MUST_USE enum hif_err refresh_each(struct span list, refresh_fn *node, refresh_fn *name,
                                       void *arg);

/* Before the move; on an error the next server will not know. */
HIF_MUST_USE enum hif_err refresh_store(const struct workspace *workspace, struct span list);
void refresh_done(const struct workspace *workspace);
/* HIF_ENOENT: nothing is left to tell. */
HIF_MUST_USE enum hif_err refresh_load(const struct workspace *workspace, struct buf *out);

#endif
