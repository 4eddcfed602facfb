/* rows.h - a copy of the overlay's rows, and the paths that follow from them.
 *
 * Two paths matter. The path of a node now follows its PLACED rows up to the root. The base path of
 * a node of the base is where the base has it: a node that was moved has left a row with base_child
 * behind at its old name, one that was not is where it is placed. So both are told from rows alone.
 */
#ifndef HIF_VFS_ROWS_H
#define HIF_VFS_ROWS_H

#include "vfs/changes.h"
#include "vfs/internal.h"

struct vfs_rows {
        struct odirent *dirents; /* sorted by (dir, hash60, name) */
        size_t dirent_count;
        struct onode *nodes;          /* extents NULL: see contents */
        struct vfs_content *contents; /* [i] of nodes[i]; files with CONTENT only */
        size_t node_count;
        struct map node_by_id;    /* -> struct onode */
        struct map by_base_child; /* id -> the dirent where the base has it */
        struct map by_child;      /* id -> a dirent that names it; one that lands, if any does */
};

/* Copy everything into the arena. */
HIF_MUST_USE enum hif_err vfs_rows_copy(const struct overlay *overlay, struct arena *arena,
                                        struct vfs_rows **out);
void vfs_rows_free(struct vfs_rows *rows); /* the maps: the rest is the arena's */

const struct onode *vfs_rows_node(const struct vfs_rows *rows, uint64_t id);
const struct vfs_content *vfs_rows_content(const struct vfs_rows *rows, const struct onode *node);
const struct odirent *vfs_rows_dirent(const struct vfs_rows *rows, uint64_t dir, uint64_t hash60,
                                      struct span name);
/* True when the node and all directories above it still have names. */
bool vfs_rows_alive(const struct vfs_rows *rows, uint64_t id);
/* Would this row's name land: its directory is alive, no name on its path is a tool's own, and it
 * names a file, a directory or a link. */
bool vfs_rows_lands(const struct vfs_rows *rows, const struct odirent *row);
/* Is this a node of the base (`runs` of the snapshot) that still has the name that the base gives
 * it, and does that name land? Its PLACED row then tells its path. */
bool vfs_rows_at_home(const struct vfs_rows *rows, const struct runs *runs,
                      const struct onode *node);
/* Does this node of the base land under another name than the base's? */
bool vfs_rows_renamed(const struct vfs_rows *rows, uint64_t id);
/* Was a directory renamed that the base has above the node, or the node itself? */
bool vfs_rows_carried(const struct vfs_rows *rows, uint64_t id);
/* Append. HIF_ENOENT: no row tells (which the overlay's invariants exclude for dirs of rows). */
HIF_MUST_USE enum hif_err vfs_rows_path(const struct vfs_rows *rows, uint64_t id, struct buf *out);
HIF_MUST_USE enum hif_err vfs_rows_base_path(const struct vfs_rows *rows, uint64_t id,
                                             struct buf *out);

/* What an entry for this row would be; false: it never lands (fifo, socket, device). */
bool vfs_rows_entry_kind(const struct onode *node, enum entry_kind *out);

#endif
