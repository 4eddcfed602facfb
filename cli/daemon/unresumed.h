/* unresumed.h - mounts that did not come back (resume.c). */
#ifndef HIF_CLI_DAEMON_UNRESUMED_H
#define HIF_CLI_DAEMON_UNRESUMED_H

#include "cli/daemon/frame.h"

/* Is the path in a mount that did not come back? Then *why says why. */
bool daemon_unresumed(struct daemon *daemon, const char *path, struct hif_why *why);
/* Is there any? */
bool daemon_unresumed_any(struct daemon *daemon);

#endif
