/* place.h - where a supervisor lives: its lock, its log, its sockets. */
#ifndef HIF_CLI_SUPERVISOR_PLACE_H
#define HIF_CLI_SUPERVISOR_PLACE_H

#include "cli/supervisor/supervisor_impl.h"

/* HIF_EBUSY: another supervisor has it. */
HIF_MUST_USE enum hif_err supervisor_lock(struct supervisor *supervisor, struct hif_why *why);
HIF_MUST_USE enum hif_err supervisor_log(struct supervisor *supervisor, struct hif_why *why);
/* Bind the control socket, for the server to listen on once it can answer, and our own. */
HIF_MUST_USE enum hif_err supervisor_sockets(struct supervisor *supervisor, struct hif_why *why);
/* Write down where they are, in the lock file, which tells commands whatever their environment says.
 * Where that fails it is tried again. */
void supervisor_record(struct supervisor *supervisor);
/* Are they still where commands look for them? /run/user/UID goes when a user logs out. */
bool supervisor_sockets_there(const struct supervisor *supervisor);
/* A server runs that has lost its supervisor: ask it to come. *asked: there is one. HIF_EUNREACHABLE:
 * there is one that hangs. */
HIF_MUST_USE enum hif_err supervisor_adopt(struct supervisor *supervisor, bool *asked,
                                           struct hif_why *why);
/* It does not come: what to do about it. HIF_EUNREACHABLE. */
HIF_MUST_USE enum hif_err supervisor_say_orphan(struct supervisor *supervisor, struct hif_why *why);

#endif
