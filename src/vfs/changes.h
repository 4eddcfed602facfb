/* changes.h - what a session changed against its base, for status, diff and land.
 *
 * Computed from the overlay alone (its rows carry what the base has under each changed name), so it
 * costs what changed and reads no base. What ends equal to the base vanishes; a temporary file
 * renamed over a name is one modification; `.DS_Store`, `._*`, `.nfs*`, fifos and sockets never
 * show. */
#ifndef HIF_VFS_CHANGES_H
#define HIF_VFS_CHANGES_H

#include "vfs/vfs.h"

enum vfs_change_kind {
        VFS_ADDED = 'A',
        VFS_MODIFIED = 'M', /* content, kind, or executable bit */
        VFS_DELETED = 'D',
        VFS_RENAMED = 'R', /* of a base file or directory; content may have changed too */
};

/* A file's content as it was at the snapshot: which ranges lie in data files, which in the base. */
struct vfs_content {
        struct opiece *pieces;
        size_t piece_count;
        struct entry base; /* for BASE pieces */
        uint64_t size;
};

struct vfs_change {
        enum vfs_change_kind kind;
        struct span path;
        struct span path_from; /* RENAMED: where the base has it */
        uint64_t node;
        enum entry_kind entry_kind; /* now; DELETED: what the base had */
        struct entry base;          /* what the base has at path (or path_from); kind 0: nothing */
        struct hif_time mtime;
        uint64_t size;
        struct span target;
        bool content_changed; /* false: content is `base`'s (renamed, chmod) and needs no reading */
        bool subtree; /* a base directory, renamed or deleted with all that the base holds below:
                       * vfs_changes_expand spells it out */
        struct vfs_content content;
};

/* All of it lives in the arena. */
struct vfs_snapshot {
        struct arena arena;
        struct vfs_base base;
        uint64_t seq;               /* the overlay's, at the snapshot */
        struct vfs_change *changes; /* sorted by path */
        size_t change_count;
        struct session session; /* ops and bloom copied; id, goal, author as the overlay has them */
        struct overlay *overlay;
        struct fetch_origin *origin;
        bool frozen;
};

/* On the loop. freeze: contents stay readable until vfs_snapshot_free, while the mount goes on
 * (one frozen snapshot at a time: HIF_EBUSY). HIF_EMISS never: no base is read. */
HIF_MUST_USE enum hif_err vfs_snapshot_take(struct vfs *vfs, bool freeze, struct vfs_snapshot *out);
/* On the loop. */
void vfs_snapshot_free(struct vfs_snapshot *snapshot);

/* The rest runs on job threads. */

/* Read a snapshot's content; base ranges come through fetch, waiting for it. */
HIF_MUST_USE enum hif_err vfs_content_read(const struct vfs_snapshot *snapshot,
                                           const struct vfs_content *content, uint64_t offset,
                                           void *out, size_t size);

/* Drop modifications whose content hashes equal to the base's (reads only local data; a change that
 * still shows base ranges is taken to differ), and fold a delete and an add of one content into a
 * rename. Marks what it dropped in the array and compacts it. */
HIF_MUST_USE enum hif_err vfs_changes_settle(struct vfs_snapshot *snapshot);

/* One path of what landing has to do: every path below renamed and deleted directories spelled out
 * from the base tree, sorted by key, each path once. */
struct vfs_expanded {
        bool remove;
        struct span path;
        struct span path_from;
        enum entry_kind entry_kind;
        struct hif_time mtime;
        uint64_t size;
        struct span target;
        bool have_hash;
        struct hif_hash hash;
        struct pack_loc loc;
        const struct vfs_content *content; /* !have_hash, files */
};
HIF_MUST_USE enum hif_err vfs_changes_expand(struct vfs_snapshot *snapshot,
                                             struct tree_source *nodes, struct vfs_expanded **out,
                                             size_t *count);

#endif
