/* settled.h - files that the session has written, looked through a little at a time.
 *
 * For uploads ahead of a landing. A snapshot copies every row at once, which holds the loop for as
 * long as there are rows; this looks at a few thousand a turn, copies what is asked for, and
 * freezes nothing. So what is found may be written again while it is read: its data_seq is then
 * another one, and what was read is no one's content any more. A read of it may also fail with
 * HIF_EIO.
 *
 * Calling sequence: fill the inputs; vfs_settled_step on the loop until *done; vfs_settled_free. */
#ifndef HIF_VFS_SETTLED_H
#define HIF_VFS_SETTLED_H

#include "vfs/changes.h"

struct vfs_settled_file {
        uint64_t node;
        struct span path;
        bool changed; /* false: content is the base's, under another name */
        struct vfs_content content;
};

struct vfs_settled {
        /* in */
        bool (*wants)(void *arg, const struct onode *node); /* of files with content of their own */
        void *arg;
        const struct span *always; /* names of files to find whatever wants() says: rule files */
        size_t always_count;
        size_t files_max; /* stop there; the rest is found once these are not wanted any more */

        /* out; everything is in the arena, and the lists in list and always_list */
        struct arena arena;
        struct vfs_base base;
        struct buf list, always_list; /* of struct vfs_settled_file */
        bool full;                    /* files_max stopped it */

        uint32_t part; /* the next */
};

/* HIF_EAGAIN: the base is another one than in the step before; begin anew. */
HIF_MUST_USE enum hif_err vfs_settled_step(struct vfs *vfs, struct vfs_settled *settled,
                                           bool *done);
void vfs_settled_free(struct vfs_settled *settled);

static inline size_t vfs_settled_count(const struct buf *list)
{
        return list->size / sizeof(struct vfs_settled_file);
}

static inline struct vfs_settled_file *vfs_settled_at(const struct buf *list, size_t index)
{
        return (struct vfs_settled_file *)(void *)list->data + index;
}

#endif
