/* changes.h - what a session changed against its base, for status, diff and land.
 *
 * Computed from the overlay alone (its rows carry what the base has under each changed name), so it
 * costs what changed and reads no base. What ends equal to the base vanishes; a temporary file
 * renamed over a name is one modification, and so is a file made anew where the base's was renamed
 * aside; `.DS_Store`, `._*`, `.nfs*`, fifos and sockets never show. */
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
        uint64_t data_seq; /* of the row: the same one, the same content (but see overlay_torn) */
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
        bool apart; /* DELETED: said beside what the path is now, because the base's directory lives
                     * on elsewhere */
        bool subtree; /* a base directory, renamed or deleted with all that the base holds below:
                       * vfs_changes_expand spells it out */
        struct vfs_content content; /* !content_changed: base is what the node holds */
};

struct vfs_rows; /* the overlay's rows as they were, copied; private */

/* All of it lives in the arena. */
struct vfs_snapshot {
        struct arena arena;
        struct vfs_base base;
        uint64_t seq;               /* the overlay's, at the snapshot */
        struct vfs_change *changes; /* sorted by path */
        size_t change_count;
        struct overlay_ops recorded;
        /* Operations recorded since the last landing, and the paths they name: by vfs_snapshot_ops. */
        struct session_op *ops;
        size_t op_count;
        struct bloom bloom;
        struct span runs;   /* the run table, as stored (runs.h) */
        struct span epochs; /* struct vfs_base [epoch] */
        struct vfs_rows *rows;
        struct vfs_expanded *kept; /* by vfs_changes_expand: what shows below names that never land,
                                    * sorted by key; for vfs_move_plan */
        size_t kept_count;
        struct vfs *vfs;
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

/* Have ops and bloom. HIF_EIO, HIF_ECORRUPT: they cannot be read. */
HIF_MUST_USE enum hif_err vfs_snapshot_ops(struct vfs_snapshot *snapshot, struct hif_why *why);

/* Read a snapshot's content; base ranges come through fetch, waiting for it. */
HIF_MUST_USE enum hif_err vfs_content_read(const struct vfs_snapshot *snapshot,
                                           const struct vfs_content *content, uint64_t offset,
                                           void *out, size_t size);

/* HASH_BLOB of a content of at most BODY_BLOB_MAX bytes. */
HIF_MUST_USE enum hif_err vfs_content_hash(const struct vfs_snapshot *snapshot,
                                           const struct vfs_content *content, struct hif_hash *out);

/* Drop modifications whose content hashes equal to the base's (reads only local data; a change that
 * still shows base ranges, or is larger than BODY_BLOB_MAX, is taken to differ), and fold a delete
 * and an add of one content into a rename. Compacts the array. */
HIF_MUST_USE enum hif_err vfs_changes_settle(struct vfs_snapshot *snapshot);

/* One path of what landing has to do: every path below renamed and deleted directories spelled out
 * from the base tree, sorted by key, each path once. In the snapshot's arena. */
struct vfs_expanded {
        bool remove;
        bool skip; /* for the caller to set: not to be landed (ignored); its rows stay */
        struct span path;
        struct span path_from; /* renamed from; empty: not */
        uint64_t node;         /* what the path is in this workspace; NODEID_NONE: removed */
        enum entry_kind entry_kind;
        struct hif_time mtime;
        uint64_t size;
        struct span target;
        bool have_hash; /* content is the base's: hash and loc are known. Else the caller may
                         * set them before vfs_move_plan, which need not hash it again then */
        struct hif_hash hash;
        struct pack_loc loc;
        const struct vfs_content *content; /* files whose hash was not known; NULL: it was */
};
HIF_MUST_USE enum hif_err vfs_changes_expand(struct vfs_snapshot *snapshot,
                                             struct tree_source *nodes, struct vfs_expanded **out,
                                             size_t *count);

#endif
