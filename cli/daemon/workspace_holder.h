/* workspace_holder.h - what a workspace remembers of its session's record in the store, and what it
 * does when somebody else has taken the session over. Private to the files of publishing. */
#ifndef HIF_CLI_DAEMON_WORKSPACE_HOLDER_H
#define HIF_CLI_DAEMON_WORKSPACE_HOLDER_H

#include "cli/daemon/workspace_impl.h"
#include "land/session_store.h"

/* VALUE_PUBLISHED and VALUE_HOLDER. */
struct published {
        bool have; /* a record was written, or claimed */
        uint8_t holder[OPEN_HOLDER_SIZE];
        uint64_t revision;
        uint64_t seq; /* of the snapshot whose contents were published last */
        struct hif_hash tree, object;
        uint64_t published_ns;
        bool changed;
};

struct loading {
        struct workspace *workspace;
        struct published published;
        bool have_holder;
        bool empty;      /* no edits, goal or notes */
        bool landing;    /* one whose outcome is not known */
        uint64_t newest; /* record of an edit */
};

/* loop_call(workspace->loop, load_published, loading): loading->workspace is set, the rest zero. */
void load_published(void *arg);
/* The bytes of VALUE_PUBLISHED. HIF_ENOMEM. */
HIF_MUST_USE enum hif_err published_put(struct buf *out, uint64_t revision, uint64_t seq,
                                        const struct open_session *record);
HIF_MUST_USE enum hif_err save_published(struct workspace *workspace, uint64_t seq,
                                         const struct open_session *record, struct hif_why *why);
/* Who holds it must be known here before the store says so. */
HIF_MUST_USE enum hif_err make_holder(struct workspace *workspace, struct loading *loading);

/* Go on under a new id with all that there is: the old one is the record's holder's now. None of
 * its landings from here may be unsettled. HIF_EBUSY with the sentence; others: it did not go.
 * verb: what did not happen. */
enum hif_err holder_split(struct workspace *workspace, const struct open_session *record,
                          const char *verb, struct hif_why *why);
/* Has this session a slot? HIF_ENOENT: no. */
HIF_MUST_USE enum hif_err holder_find_slot(struct workspace *workspace, uint64_t *position,
                                           struct hif_why *why);

#endif
