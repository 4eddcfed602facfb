/* session_find.h - the session that a user means: here, open in the store, or landed. */
#ifndef HIF_CLI_SESSION_SESSION_FIND_H
#define HIF_CLI_SESSION_SESSION_FIND_H

#include "cli/cli.h"
#include "core/session.h"

struct session_found {
        json_t *about; /* "project", and where it is: "session" (its name), "mount_point",
                        * "position", "index" */
        struct buf stored;
        struct arena arena;
        struct session session;
};
void session_found_free(struct session_found *found);

/* From a daemon's answer (taken over), or what looks like one: its "session_base64" is decoded, the
 * rest is `about`. HIF_ECORRUPT. */
HIF_MUST_USE enum hif_err session_found_take(struct session_found *found, json_t *answer);

/* name: what the user calls it; a session's name here, the start of an id, or "@N", "@N.I" of a
 * landing. project: "org/name", or NULL for any of this machine's sessions, else that of the mount in
 * which we stand. Looked for in this order: on this machine, open in the store, landed. HIF_ENOENT;
 * HIF_EINVAL: it may be several, or is no name. */
HIF_MUST_USE enum hif_err session_find(struct cli *cli, const char *project, const char *name,
                                       struct session_found *out, struct hif_why *why);

/* The summary (sessions_here) of one on this machine, by its name or the start of its id; the
 * caller's to decref. HIF_ENOENT; HIF_EINVAL: there are several. */
HIF_MUST_USE enum hif_err session_find_here(struct cli *cli, const char *project, const char *name,
                                            json_t **out, struct hif_why *why);

/* The project in which to look: the one named, or that of the mount in which we stand. */
HIF_MUST_USE enum hif_err session_project(struct cli *cli, const char *project, char **out,
                                          struct hif_why *why);

#endif
