/* known.h - what this machine knows of mounted workspaces while the daemon does not answer: the
 * kernel's list of mounts, and the summaries that sessions keep of themselves. No mount is touched. */
#ifndef HIF_CLI_COMMANDS_KNOWN_H
#define HIF_CLI_COMMANDS_KNOWN_H

#include "cli/cli.h"

/* Mounts of this user's sessions: {"project", "session", "id", "base", "mount_point", "front_end",
 * "store", "directory" (of its records)}. The caller's to decref, also on errors. */
HIF_MUST_USE enum hif_err known_mounts(struct cli *cli, json_t **out);

/* The one that holds an absolute path (a new reference); NULL: none does, or it is not known. */
json_t *known_mount_of(struct cli *cli, const char *path);

/* Report a failure as cli_fail does, and, if it means that the daemon does not answer, what is
 * known all the same of the workspace in which we stand. */
int known_fail(struct cli *cli, enum hif_err err, const struct hif_why *why);

#endif
