/* faults.h - the n-th allocation, library call or SQLite call of this process fails, or its n-th
 * transfer is cut short.
 *
 * Link a program with hif_faults (tests/faults/CMakeLists.txt), and malloc and its family, the
 * system's calls that can fail, and SQLite's interface are ours: they count, let the chosen one
 * fail, and pass everything else on. What shared libraries allocate is counted, too. Under
 * sanitizers the allocations go on to them, so that LeakSanitizer sees what a failure left behind.
 *
 * In a test: fault_arm, run, fault_disarm; between, fault_pause keeps the test's own code out of
 * it. In a process: HIF_FAULT=KIND:N[+BURST] arms at start, and HIF_FAULT_REPORT names a file to
 * which the exit appends "KIND POINTS WHAT". HIF_FAULT_ROLE: only where that is the second argument
 * ("hif daemon serve": serve, which may also be a copy of "hif daemon run"; run: the supervisor, and none
 * of its children). HIF_FAULT_ONCE names a
 * file that the first such process makes, and no later one is armed. HIF_FAULT_SITES chooses points
 * by where they are called from (sites.h). Counting is per process, over all threads. */
#ifndef HIF_TESTS_FAULTS_FAULTS_H
#define HIF_TESTS_FAULTS_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* FAULT_SHORT: nothing fails, but a read or write transfers half of what it could, and a call that may
 * wait is interrupted by a signal (EINTR). Of a burst half of the points pass, so that all goes on. */
enum fault_kind { FAULT_NONE, FAULT_MALLOC, FAULT_CALL, FAULT_SQLITE, FAULT_SHORT };

/* The points from the n-th on, `burst` of them, fail; n 0: only count. Armed at once. */
void fault_arm(enum fault_kind kind, uint64_t n, uint64_t burst);
/* Nothing fails any more. Returns how many points there were. */
uint64_t fault_disarm(void);
bool fault_hit(void);         /* has a point failed since fault_arm */
const char *fault_name(void); /* which function that was; NULL: none */
/* Nested: points neither count nor fail while paused. */
void fault_pause(void);
void fault_resume(void);

/* Allocations that are not freed, in this process. */
int64_t fault_live(void);

/* "malloc", "call", "sqlite", "short"; FAULT_NONE: none of them. */
enum fault_kind fault_kind_of(const char *text, size_t size);

/* In a new process, before it returns from fork. */
void fault_forked(void);
/* Where the report goes, to be left open; -1: nowhere. */
int fault_report_fd(void);

/* For the files that stand before the real functions: does this one fail? *number (may be NULL):
 * the point's, to choose an error by. */
bool fault_point(enum fault_kind kind, const char *name, uint64_t *number);

#endif
