/* workspace_publish_when.h - when a session that is open is published, and what becomes of its record.
 *
 * Everything here blocks, and belongs on a request's thread in an entered workspace. */
#ifndef HIF_CLI_DAEMON_WORKSPACE_PUBLISH_WHEN_H
#define HIF_CLI_DAEMON_WORKSPACE_PUBLISH_WHEN_H

#include "cli/daemon/frame.h"
#include "core/session.h"

/* Is publishing left to hif (publish = auto)? */
bool workspace_publishes(const struct workspace *workspace);
/* After goal, note or decision: publish the words, but not each time. On a failure *warning is a
 * sentence (the caller's to free), and a while passes before the next try. */
void workspace_publish_words(struct workspace *workspace, bool now, char **warning);
/* Before a landing: may this workspace land its session? HIF_EBUSY: another one has taken it over;
 * as above. HIF_OK, too, when the store cannot say: landing finds out. */
HIF_MUST_USE enum hif_err workspace_may_land(struct workspace *workspace, struct hif_why *why);
/* The session has landed: its record goes. Met conflicts: its record says so. Best effort, with a
 * line in the log. */
void workspace_record_landed(struct workspace *workspace, const struct session_id *session);
void workspace_record_conflicted(struct workspace *workspace);
/* It was mounted, or unmounted: the record says whether it is in use, and with the latter what the
 * session holds. Best effort; *warning is a sentence for the user (theirs to free), or untouched.
 */
void workspace_publish_mounted(struct workspace *workspace, char **warning);
void workspace_publish_unmounted(struct workspace *workspace, char **warning);

#endif
