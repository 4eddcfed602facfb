#include "cli/commands/commands.h"

/* In the order of use, as `hif help` shows them. */
const struct command commands[] = {
    {"project", "create and list projects", cmd_project},
    {"import", "land a directory tree", cmd_import},
    {"mount", "mount a project, or list the mounts", cmd_mount},
    {"unmount", "flush and unmount", cmd_unmount},
    {"status", "show what the session changed", cmd_status},
    {"diff", "show the changes as a unified diff", cmd_diff},
    {"land", "publish the session", cmd_land},
    {"log", "list the landings of a project", cmd_log},
    {"ls", "list a directory of a project", cmd_ls},
    {"cat", "write a file of a project", cmd_cat},
    {"session", "list, show and abandon sessions", cmd_session},
    {"store", "ask a store whether landing there is safe", cmd_store},
    {"fsck", "check a project in the store", cmd_fsck},
    {"maintain", "make what sums up many landings", cmd_maintain},
    {"doctor", "say what is wrong here, and what to do", cmd_doctor},
    {"daemon", "show, run and stop the daemon", cmd_daemon},
    {"help", "list the commands, or tell about one", cmd_help},
    {"version", "print the version", cmd_version},
    {0}};
