/* known.h - what this machine knows of sessions and their mounts without asking the daemon: the
 * kernel's list of mounts, and the summaries that sessions keep of themselves. No mount is touched. */
#ifndef HIF_CLI_KNOWN_H
#define HIF_CLI_KNOWN_H

#include "cli/cli.h"

#define SESSION_NAME_MAX 64
bool session_name_valid(const char *name);

/* The summaries of this machine's sessions, each with "mounted" and "directory" added; the caller's
 * to decref, also on errors. */
HIF_MUST_USE enum hif_err sessions_here(struct cli *cli, json_t **out);

/* Mounts of this user's sessions: {"project", "session", "id", "base", "mount_point", "front_end",
 * "store", "directory" (of its records)}. The caller's to decref, also on errors. */
HIF_MUST_USE enum hif_err known_mounts(struct cli *cli, json_t **out);

/* The one that holds an absolute path (a new reference); NULL: none does, or it is not known. */
json_t *known_mount_of(struct cli *cli, const char *path);

#endif
