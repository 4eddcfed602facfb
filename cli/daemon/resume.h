/* resume.h - mounts come back with the next server. */
#ifndef HIF_CLI_DAEMON_RESUME_H
#define HIF_CLI_DAEMON_RESUME_H

#include "cli/daemon/frame.h"

/* Bring back what is marked as mounted and is not there. What cannot come back now is remembered.
 */
void daemon_resume(struct daemon *daemon);
/* Programs wait in what did not come back, and not all of them in reach of a command that asks for it:
 * so it is tried again, more and more seldom, until nothing is left of it. */
void daemon_retry_start(struct daemon *daemon);
void daemon_retry_stop(struct daemon *daemon);

#endif
