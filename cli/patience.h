/* patience.h - is an answer of the daemon's still to be expected?
 *
 * Silence alone says nothing: a landing takes its time, and a machine may be busy. So whoever has
 * heard nothing for a moment asks how the daemon does: a process that is stopped is known at once
 * (process.h), and the supervisor knows whether the server's loops turn (docs/restart.md). */
#ifndef HIF_CLI_PATIENCE_H
#define HIF_CLI_PATIENCE_H

#include "cli/cli.h"

#define PATIENCE_FIRST_MS 500  /* without a word: then it is asked how it does */
#define PATIENCE_NEXT_MS  3000 /* and again after so long */

/* fd: the connection on which nothing comes. quick: nothing is lost by giving up, so a server that
 * neither turns nor runs is not waited for until it counts as hung.
 * HIF_EUNREACHABLE, with a sentence: no answer is to be expected. */
HIF_MUST_USE enum hif_err patience_check(struct cli *cli, int fd, bool quick, struct hif_why *why);

/* The same by what the supervisor has said of its server (supervisor_status). */
HIF_MUST_USE enum hif_err patience_judge(struct cli *cli, const json_t *status, bool quick,
                                         struct hif_why *why);

/* The same while there is no connection yet: whoever is to listen may be stopped, or die again and
 * again. */
HIF_MUST_USE enum hif_err patience_check_start(struct cli *cli, struct hif_why *why);

#endif
