/* workspace_session.h - the session of a workspace as a value: goal, operations, what was said and
 * decided. Everything comes from the overlay, which is its one history. */
#ifndef HIF_CLI_DAEMON_WORKSPACE_SESSION_H
#define HIF_CLI_DAEMON_WORKSPACE_SESSION_H

#include "cli/daemon/frame.h"
#include "overlay/overlay.h"

/* The session that an overlay holds, copied into the arena: id, origin, base, created, goal,
 * decisions, conversation; its operations are the caller's to load and free. Author, state and bloom
 * are the caller's. On the loop that owns the overlay. HIF_ECORRUPT: it holds none. */
HIF_MUST_USE enum hif_err session_load(const struct overlay *overlay, struct arena *arena,
                                       struct session *out, struct overlay_ops *ops);
/* Its operations of records up to `through`. Waits for the disk. HIF_ECANCELED: they were landed
 * meanwhile. */
HIF_MUST_USE enum hif_err session_load_ops(struct overlay *overlay, const struct overlay_ops *ops,
                                           uint64_t through, struct arena *arena,
                                           struct session *out, struct hif_why *why);
/* Only goal, decisions and conversation. */
HIF_MUST_USE enum hif_err session_load_notes(const struct overlay *overlay, struct arena *arena,
                                             struct session *out);

/* The rest on a request's thread, in an entered workspace. */

/* Give the session its goal. HIF_EINVAL: none, or too long. */
HIF_MUST_USE enum hif_err workspace_session_start(struct workspace *workspace, struct span goal,
                                                  json_t **result, struct hif_why *why);
/* Append to the conversation, or to the decisions. HIF_EINVAL, HIF_ELIMIT. */
HIF_MUST_USE enum hif_err workspace_session_note(struct workspace *workspace,
                                                 const struct onote *note, json_t **result,
                                                 struct hif_why *why);
/* What the workspace says of itself, with "session_base64": its stored form, as of now. */
HIF_MUST_USE enum hif_err workspace_session_show(struct workspace *workspace, json_t **result,
                                                 struct hif_why *why);

#endif
