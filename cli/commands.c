#include "cli/commands.h"

/* In the order of use, as `hif help` shows them. */
const struct command commands[] = {{"project", "create and list projects", cmd_project},
                                   {"help", "list the commands, or tell about one", cmd_help},
                                   {"version", "print the version", cmd_version},
                                   {0}};
