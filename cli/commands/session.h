/* session.h - what the files of `hif session` share. */
#ifndef HIF_CLI_COMMANDS_SESSION_H
#define HIF_CLI_COMMANDS_SESSION_H

#include "cli/commands/commands.h"

command_fn cmd_session_start;
command_fn cmd_session_note;
command_fn cmd_session_decide;
command_fn cmd_session_show;
command_fn cmd_session_list;
command_fn cmd_session_publish;
command_fn cmd_session_abandon;
command_fn cmd_session_claim;
command_fn cmd_session_export;

/* --- session_ask.c --- */

/* Send a request (taken over) about the workspace in which we stand, or -C DIR. */
HIF_MUST_USE enum hif_err session_ask(struct cli *cli, json_t *request, json_t **result,
                                      struct hif_why *why);

/* --- mount.c --- */

/* As `hif mount PROJECT DIR --session SESSION`; goal: of a new session, or NULL. */
HIF_MUST_USE enum hif_err mount_session(struct cli *cli, const char *project, const char *dir,
                                        const char *session, const char *goal, json_t **result,
                                        struct hif_why *why);
/* Print the warning that the daemon gave with a result, if it did. */
void warn_of(const struct cli *cli, const json_t *result);

#endif
