/* open_session.h - the record of a session that is open: what of it lies in the store, and who
 * holds it. The one object of a project, beside head, that is replaced; always under a condition.
 *
 * It is as small as STORE_MATCH_MAX wants it. What it names (tree, contents, the session's object)
 * is immutable and stored before. docs/sessions.md tells how it is used. */
#ifndef HIF_CORE_OPEN_SESSION_H
#define HIF_CORE_OPEN_SESSION_H

#include "core/session.h"

#define OPEN_SESSION_SIZE_MAX 4096
#define OPEN_HOLDER_SIZE      16
#define OPEN_HOLDER_NAME_MAX  256
#define OPEN_NAME_MAX         64
#define OPEN_GOAL_MAX         1024 /* written cut; the session's object has it whole */

struct open_session {
        struct session_id id;
        enum session_state state; /* not LANDED: who lands removes the record */
        bool held;                /* it is mounted, or was when its holder was last heard of */
        bool changed;             /* `tree` is not the base's: something would land */
        uint64_t revision;        /* from 1, one more each time it is replaced */
        uint8_t holder[OPEN_HOLDER_SIZE]; /* random, of the workspace that holds it */
        uint8_t token[OPEN_HOLDER_SIZE];  /* random, of this replacement: no two have equal bytes */
        uint64_t base_position, origin;
        struct hif_hash base_slot;
        struct hif_hash tree;   /* base and edits, as they were last published; zeros: never */
        struct hif_hash object; /* the session's own: sessions/{id}/{object}.bin; zeros: none yet */
        uint64_t created_ns;    /* wall clocks of those who wrote, for display */
        uint64_t held_ns;       /* since when this holder has it */
        uint64_t updated_ns;
        uint64_t published_ns;   /* when `tree` was; 0: never */
        struct span author;      /* "Name <mail>" */
        struct span holder_name; /* "user@machine" */
        struct span name;        /* what its holder calls it; may be empty */
        struct span goal;
};

/* Append the stored bytes (drawn in open_session.c). HIF_EINVAL: a text is over its limit, but for
 * the goal, which is cut. */
HIF_MUST_USE enum hif_err open_session_put(struct buf *out, const struct open_session *record);
/* Spans borrow from `stored`. HIF_ECORRUPT, HIF_EUNSUPPORTED. */
HIF_MUST_USE enum hif_err open_session_get(struct span stored, struct open_session *out);

#endif
