/* commands.h - the functions behind the table in commands.c; one file each. */
#ifndef HIF_CLI_COMMANDS_COMMANDS_H
#define HIF_CLI_COMMANDS_COMMANDS_H

#include "cli/cli.h"

command_fn cmd_cat;
command_fn cmd_daemon;
command_fn cmd_diff;
command_fn cmd_doctor;
command_fn cmd_fsck;
command_fn cmd_help;
command_fn cmd_import;
command_fn cmd_land;
command_fn cmd_log;
command_fn cmd_ls;
command_fn cmd_maintain;
command_fn cmd_mount;
command_fn cmd_project;
command_fn cmd_session;
command_fn cmd_status;
command_fn cmd_store;
command_fn cmd_unmount;
command_fn cmd_version;

/* What a status says of uploads ahead, as text (status.c). */
void print_uploads(const json_t *status);

#endif
