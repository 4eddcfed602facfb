/* workspace_land.h - the session becomes the next position. */
#ifndef HIF_CLI_DAEMON_WORKSPACE_LAND_H
#define HIF_CLI_DAEMON_WORKSPACE_LAND_H

#include "cli/daemon/frame.h"
#include "land/land.h"

struct land_how {
        bool dry_run;
        bool epoch; /* through a proposal, which others may land */
};

/* HIF_ECONFLICT: *result lists the conflicts. */
HIF_MUST_USE enum hif_err workspace_land(struct workspace *workspace, const char *goal,
                                         const struct land_how *how,
                                         void (*progress)(void *arg,
                                                          const struct land_progress *progress),
                                         void *arg, json_t **result, struct hif_why *why);
/* After the landing's answer is sent: make the derived records that it completed. */
void workspace_landed(struct workspace *workspace, uint64_t position);

#endif
