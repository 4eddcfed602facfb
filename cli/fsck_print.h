/* fsck_print.h - what a check finds and a repair does, for people and as JSON. Private to fsck. */
#ifndef HIF_CLI_FSCK_PRINT_H
#define HIF_CLI_FSCK_PRINT_H

#include "check/check.h"
#include "cli/cli.h"

/* Give its hooks to check_run. */
struct fsck_print {
        struct check_hooks hooks;
        const struct cli *cli;
        bool verbose;
        json_t *findings, *repairs; /* NULL: print */
        struct progress *progress;
        enum check_stage stage;
        uint64_t explained; /* bits: kinds whose meaning was printed */
};

/* HIF_ENOMEM. */
HIF_MUST_USE enum hif_err fsck_print_begin(struct fsck_print *print, const struct cli *cli,
                                           bool verbose);
void fsck_print_end(
    struct fsck_print *print); /* the progress line goes; lists that were not taken */

void fsck_print_report(const struct cli *cli, const char *project,
                       const struct check_report *report);
/* Takes the lists. NULL: out of memory. */
json_t *fsck_json_report(const char *project, const struct check_report *report,
                         struct fsck_print *print);

#endif
