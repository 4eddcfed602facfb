/* death.h - the process dies between two calls of its own.
 *
 * HIF_FAULT_DIE=NAME:N - from the moment at which a process makes or empties a file of this name to
 * the one at which it removes it, its calls are counted, and before the N-th it is killed as by
 * SIGKILL. Beside the file is "NAME.died" then, with the call's name, and where that is nobody dies a second
 * time. */
#ifndef HIF_TESTS_FAULTS_DEATH_H
#define HIF_TESTS_FAULTS_DEATH_H

void death_opening(const char *path, int flags);
void death_removing(const char *path);
void death_point(const char *call); /* before each */

#endif
