/* session_view.h - a session for people and as JSON: the same for one in a mount, one that lies in
 * the store to be continued, and one that has landed. */
#ifndef HIF_CLI_SESSION_SESSION_VIEW_H
#define HIF_CLI_SESSION_SESSION_VIEW_H

#include "cli/cli.h"
#include "core/session.h"

/* "open", "landed", "abandoned", "conflicted". */
const char *session_state_name(enum session_state state);
/* "created", "wrote", "renamed" ... */
const char *session_op_name(enum session_op_kind kind);

/* Add the session's fields to an object: id, state, goal, author, base, origin, created, updated,
 * operations, decisions, messages (docs/cli.md). HIF_ENOMEM. */
HIF_MUST_USE enum hif_err session_to_json(json_t *object, const struct session *session);
/* Print all of it; lines of the caller's own stand before. */
void session_print(const struct cli *cli, const struct session *session);
/* "  Label:   text", several lines indented. */
void session_print_field(const char *label, struct span text);

#endif
