/* Which project a directory belongs to. */
#include "cli/cli.h"

enum hif_err cli_project_of(struct cli *cli, const char *dir, char **project, struct hif_why *why)
{
        (void)cli;
        (void)project;
        return why_set(why, HIF_ENOENT,
                       "no project was named, and %s is not inside a mount: name one, as ORG/NAME",
                       dir ? dir : "the current directory");
}
