/* mount_point.h - the directory that a user wants to mount on. */
#ifndef HIF_CLI_COMMANDS_MOUNT_POINT_H
#define HIF_CLI_COMMANDS_MOUNT_POINT_H

#include "cli/cli.h"

/* Its canonical form (the caller's to free): made if it is missing (*made), empty, and not inside
 * another mount of ours. What is mounted there already, by whatever links it is named, is the daemon's
 * to judge: it may be just what is asked for, and it is not touched, since its server may hang.
 *
 * It may lie on somebody else's file system, so it is looked at in a child. HIF_ETIMEDOUT: that file
 * system hangs. What only takes its time is waited for, and the user is told. */
HIF_MUST_USE enum hif_err mount_point_take(struct cli *cli, const char *dir, char **out, bool *made,
                                           struct hif_why *why);
/* The mount did not come about: what was made for it goes. */
void mount_point_return(const char *dir);

#endif
