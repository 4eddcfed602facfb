/* session_claim.h - go on with a session that was published elsewhere.
 *
 *      1  its records and trees are read, and become a session of this machine, in a directory beside
 *         the sessions: state_dir/claims/{id}. It holds a holder's number of its own
 *      2  the record in the store is moved forward, to that holder: this is the claim
 *      3  the directory is moved to its place among the sessions
 *
 * What dies before 2 has changed nothing; between 2 and 3 the next claim of the id finds the
 * directory, sees that the record names its holder, and does 3. Claims of one session on one machine
 * wait for each other: the directory's lock (flock) is theirs from before 1 to after 3. */
#ifndef HIF_CLI_SESSION_SESSION_CLAIM_H
#define HIF_CLI_SESSION_SESSION_CLAIM_H

#include "cli/session/session_open.h"

struct session_claim {
        struct cli *cli;
        const char *project; /* "org/name" */
        const struct project *opened;
        const struct open_read *read; /* its record, as it was found */
        const char *name; /* what it is to be called here; NULL: as there, if it is free */
        bool force;       /* also when it is in use elsewhere */
};

/* *name: what it is called here; the caller's to free. HIF_EBUSY: in use elsewhere (the sentence says
 * where), or just being changed. HIF_EEXIST: it is here already, or the name is taken. */
HIF_MUST_USE enum hif_err session_claim(const struct session_claim *claim, char **name,
                                        struct hif_why *why);

#endif
