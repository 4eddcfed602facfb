/* helper_fork.h - the children that do for a server what needs privileges (helper.h). */
#ifndef HIF_CLI_SUPERVISOR_HELPER_FORK_H
#define HIF_CLI_SUPERVISOR_HELPER_FORK_H

#include "cli/supervisor/supervisor_impl.h"

/* A request of the server's for what needs privileges. HIF_ELIMIT: too many are under way. */
HIF_MUST_USE enum hif_err supervisor_help(struct supervisor *supervisor,
                                          const struct wire_msg *msg);
void supervisor_reap_helpers(struct supervisor *supervisor);

#endif
