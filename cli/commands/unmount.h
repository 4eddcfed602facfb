/* unmount.h - taking a mount away without its server. */
#ifndef HIF_CLI_COMMANDS_UNMOUNT_H
#define HIF_CLI_COMMANDS_UNMOUNT_H

#include "cli/cli.h"

/* Detach a mount of ours whose server does not answer, and see to it that no daemon brings it back.
 * Takes a second at most. HIF_ENOENT: it is none of ours; HIF_ETIMEDOUT. */
HIF_MUST_USE enum hif_err unmount_alone(struct cli *cli, const char *path, struct hif_why *why);

#endif
