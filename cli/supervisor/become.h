/* become.h - the supervisor turns into the program that its server is of already. The process
 * stays: it is the server's parent, and has the lock and all descriptors. */
#ifndef HIF_CLI_SUPERVISOR_BECOME_H
#define HIF_CLI_SUPERVISOR_BECOME_H

#include "cli/supervisor/supervisor_impl.h"

/* Turn into the program of the server; returns only if that failed, and then all is as before. */
void supervisor_become(struct supervisor *supervisor);
/* The other side of it. HIF_ECORRUPT, HIF_EUNSUPPORTED. */
HIF_MUST_USE enum hif_err supervisor_resume(struct supervisor *supervisor, int state_fd,
                                            struct hif_why *why);

#endif
