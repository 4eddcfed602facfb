/* process.h - what becomes of a process that should answer, by /proc: one that is stopped will not,
 * however long one waits for it, and one that waits for a processor will. */
#ifndef HIF_CLI_PROCESS_H
#define HIF_CLI_PROCESS_H

#include "base/env.h"

#include <stdbool.h>
#include <sys/types.h>

/* Who listens at the other end of a connected unix socket, by SO_PEERCRED; 0: not known. */
pid_t process_of_socket(int fd);
/* Who holds a flock(2) on the file at this path, by /proc/locks; 0: nobody, or not known. */
pid_t process_of_lock(struct env *env, const char *path);

/* By a signal (SIGSTOP): it does nothing until SIGCONT. A process in a debugger is not: that steps. */
bool process_stopped(pid_t pid);
/* A thread of it runs, or would if there were a processor for it. */
bool process_busy(pid_t pid);
/* Its only thread waits for something that is no processor. *turns: how often it has run; while that
 * stays the same it has waited for one and the same thing. False: it runs, or it is not known. */
bool process_waits(pid_t pid, uint64_t *turns);

#endif
