/* export.h - what an overlay holds of its own, path by path, told from its rows alone: so it works
 * without a mount, without the store, and for what overlay_open_salvage brought back.
 *
 *      vfs_export_take     on the overlay's loop
 *      vfs_export_read     on a job thread, piece by piece
 *      vfs_export_free     on the loop */
#ifndef HIF_VFS_EXPORT_H
#define HIF_VFS_EXPORT_H

#include "vfs/changes.h"

enum vfs_export_kind {
        VFS_EXPORT_FILE,    /* made, changed, or given another name or mode */
        VFS_EXPORT_DIR,     /* made; or one of the base under a new name, whose own files stay in
                             * the base (`renamed`) */
        VFS_EXPORT_SYMLINK, /* made, or under a new name */
        VFS_EXPORT_REMOVED, /* the base's name is gone */
        VFS_EXPORT_SPECIAL, /* a fifo, a socket, a device */
};

struct vfs_export_item {
        enum vfs_export_kind kind;
        struct span path; /* valid (path_valid); below "lost+found" where it cannot be told */
        bool lost;        /* then that is so */
        bool renamed;
        uint16_t mode;
        struct hif_time mtime;
        struct span target;         /* SYMLINK; empty: the base's, which is not told here */
        struct vfs_content content; /* FILE; BASE pieces need the origin */
};

struct vfs_export {
        struct arena arena;
        struct vfs_export_item *items; /* sorted by path */
        size_t count;
        struct vfs_rows *rows;
        struct overlay *overlay;
};

/* The overlay is frozen until vfs_export_free: contents stay as they are. HIF_ENOMEM. */
HIF_MUST_USE enum hif_err vfs_export_take(struct overlay *overlay, struct vfs_export *out);
/* Bytes of an item's content, as vfs_content_read; origin NULL: none of the base's (HIF_ENOENT). */
HIF_MUST_USE enum hif_err vfs_export_read(const struct vfs_export *export,
                                          struct fetch_origin *origin,
                                          const struct vfs_export_item *item, uint64_t offset,
                                          void *out, size_t size);
void vfs_export_free(struct vfs_export *export);

#endif
