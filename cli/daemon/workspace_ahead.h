/* workspace_ahead.h - contents of a session are stored while it is open, so that landing is short.
 *
 * A thread of the workspace looks, a few thousand rows a turn of the loop, for files that nobody
 * has written for a while, leaves out what the ignore rules ignore, hashes the rest and stores it,
 * with the session's own journal. What it knows (which content of which file has which hash) stays
 * in memory for the landing; after a restart the contents are hashed again and found in the
 * journal. docs/uploads.md tells it for people.
 *
 * One writer of the journal at a time: who lands pauses this first. NULL (uploads are off) is fine
 * for all functions. */
#ifndef HIF_CLI_DAEMON_WORKSPACE_AHEAD_H
#define HIF_CLI_DAEMON_WORKSPACE_AHEAD_H

#include "cli/daemon/workspace_impl.h"

#define AHEAD_ROUNDS_MAX 4u /* workspaces of one daemon that store at a time */

struct ahead;

/* *out is NULL where uploads are off: by configuration; for a session that never lands; and, unless
 * configured, for a store that is as near as the overlay, where there is nothing to gain. */
HIF_MUST_USE enum hif_err ahead_start(struct workspace *workspace, struct ahead **out);
/* Stops what it is doing, and waits for its thread. */
void ahead_stop(struct ahead *ahead);

#endif
