/* claim.h - the edits of a session that was published elsewhere, as rows of a fresh overlay.
 *
 * Rows follow from the difference of two trees: the session's base, and base with its edits. Rows of
 * files name the content that was published (I8: none is fetched), so that landing has nothing to
 * read either. What the operations say was renamed is renamed here, too, where the trees bear it
 * out; else it is an addition and a removal. */
#ifndef HIF_VFS_CLAIM_H
#define HIF_VFS_CLAIM_H

#include "vfs/vfs.h"

struct vfs_claim {
        struct env *env;
        struct overlay *overlay;   /* empty; this thread's alone */
        struct tree_source *nodes; /* does not answer HIF_EMISS */
        struct vfs_base base;
        struct hif_hash tree; /* base with the edits */
        const struct session_op *ops;
        size_t op_count;
        uint32_t uid, gid; /* who owns what it made */
};

/* Write rows, operations and the base. Many transactions: the overlay counts once the caller has
 * stored the session's own values behind them. HIF_ECORRUPT: a tree is damaged, or makes no sense;
 * errors of the overlay and of `nodes`. */
HIF_MUST_USE enum hif_err vfs_claim(const struct vfs_claim *claim);

/* --- claim_moves.c --- */

/* Something of the base that is elsewhere now. */
struct moved {
        struct span from, to;
        struct entry base; /* what the base has at `from`; target and ext empty */
        uint64_t rank;
};

struct moves {
        struct moved *items; /* in no order */
        size_t count;
};

/* What operations and both trees agree on. A session that renamed more than CLAIM_RENAMES_MAX times
 * gets none. In the arena. */
#define CLAIM_RENAMES_MAX 1000
HIF_MUST_USE enum hif_err claim_moves(const struct vfs_claim *claim, struct arena *arena,
                                      struct moves *out);
const struct moved *moves_from(const struct moves *moves, struct span path);
const struct moved *moves_to(const struct moves *moves, struct span path);
/* The innermost one that has the path strictly below its `from`, or `to`; NULL: none. */
const struct moved *moves_above_from(const struct moves *moves, struct span path);
const struct moved *moves_above_to(const struct moves *moves, struct span path);

#endif
