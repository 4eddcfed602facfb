/* workspace_moved.h - a directory above the mount point was renamed. */
#ifndef HIF_CLI_DAEMON_WORKSPACE_MOVED_H
#define HIF_CLI_DAEMON_WORKSPACE_MOVED_H

#include "cli/daemon/frame.h"

/* By a path in its mount, which has moved along with a directory above it: it follows, and *from is
 * where it was (good while it is entered). */
struct workspace *workspace_enter_moved(struct daemon *daemon, const char *path, const char **from);
/* Has its mount moved along with a directory above it? Then that is its place from now on. Entered. */
bool workspace_follow(struct workspace *workspace);

#endif
