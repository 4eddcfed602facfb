/* workspace_publish.h - a session that is open, in the store: docs/sessions.md.
 *
 * Everything here blocks, and belongs on a request's thread in an entered workspace. */
#ifndef HIF_CLI_DAEMON_WORKSPACE_PUBLISH_H
#define HIF_CLI_DAEMON_WORKSPACE_PUBLISH_H

#include "cli/daemon/frame.h"
#include "land/session_store.h"

enum publish_what {
        PUBLISH_HOLDER, /* who has it, and whether it is in use */
        PUBLISH_WORDS,  /* and goal, notes and decisions; its tree stays as it was published last */
        PUBLISH_ALL,    /* and its contents and its tree */
};

struct publish {
        enum publish_what what;
        bool flush;               /* write back what programs have written, first */
        bool release;             /* nobody has it mounted from now on */
        enum session_state state; /* 0: open */
        uint64_t content_max;     /* of bytes to be read and hashed; 0: no limit */
        void (*progress)(void *arg, const struct land_progress *progress);
        void *arg;
};

/* Bring the store up to date.
 *      HIF_OK        *revision: of the record (may be NULL)
 *      HIF_ENOTHING  there is nothing to publish: no edits, goal, notes; and nothing was before
 *      HIF_EBUSY     another one has taken the session over. This workspace goes on with all that
 * it has under a new id: the sentence says so HIF_EEXIST    the session has landed from elsewhere:
 * `hif land` goes on from there HIF_ELIMIT    over content_max: nothing was published others the
 * store's; what was published before stands */
HIF_MUST_USE enum hif_err workspace_publish(struct workspace *workspace,
                                            const struct publish *publish, uint64_t *revision,
                                            struct hif_why *why);

#endif
