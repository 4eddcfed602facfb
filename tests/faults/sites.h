/* sites.h - points told apart by where they are called from.
 *
 * A run has thousands of points, of a few hundred call sites: a site is the function and its callers'
 * return addresses, a few deep, as offsets into their files, so that it is the same in every run of
 * one build. Where HIF_FAULT_SITES names a file, the points that fail are chosen by it: lines "SITE
 * N", the N-th time that this site is passed fails (N 0: it is only counted). At the exit every site
 * that was passed is reported: "site SITE TIMES HITS FUNCTION". */
#ifndef HIF_TESTS_FAULTS_SITES_H
#define HIF_TESTS_FAULTS_SITES_H

#include <stdbool.h>
#include <stdint.h>

void sites_load(const char *path);
bool sites_chosen(void); /* by HIF_FAULT_SITES */
/* Does this one fail? *number (may be NULL): which point it is. */
bool sites_point(const char *name, uint64_t *number);
void sites_report(int fd);

#endif
