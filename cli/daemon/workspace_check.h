/* workspace_check.h - the operations that are recorded, which opening does not read. */
#ifndef HIF_CLI_DAEMON_WORKSPACE_CHECK_H
#define HIF_CLI_DAEMON_WORKSPACE_CHECK_H

#include "cli/daemon/frame.h"

/* Begin to read them, on the pool. */
void check_start(struct workspace *workspace);
/* Before the overlay is closed; also where none was begun. */
void check_stop(struct workspace *workspace);
/* The sentence: they are damaged. NULL: that has not been found. */
const char *check_found(const struct workspace *workspace);

#endif
