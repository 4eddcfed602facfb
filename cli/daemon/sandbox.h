/* sandbox.h - what the server gives up before it reads a byte of anyone's.
 *
 * Gaining privileges by starting programs (no_new_privs), and all system calls but those on a list
 * (seccomp, sandbox_calls.c), on which there is nothing that mounts, enters a namespace, changes the
 * machine, or looks into other processes. As root, also all capabilities but three, which no program
 * that it starts can get, either. docs/security.md. What it can not do after that, and needs, helpers
 * of the supervisor's do (cli/supervisor/helper.h). */
#ifndef HIF_CLI_DAEMON_SANDBOX_H
#define HIF_CLI_DAEMON_SANDBOX_H

#include "base/err.h"

#include <stdbool.h>

struct log;

struct sandbox {
        bool filtered;         /* no_new_privs, and a filter of system calls */
        unsigned allowed;      /* how many of them it lets pass */
        unsigned capabilities; /* how many are left */
        struct hif_why why;    /* why not, when it is not filtered */
};

/* Enter, before any thread starts: threads and children inherit it, and there is no way back. A call
 * that is refused fails with EPERM, and is named on log_fd, which stays open. Errors leave the process
 * as it was, or with less. */
HIF_MUST_USE enum hif_err sandbox_enter(int log_fd, struct sandbox *out, struct hif_why *why);

#endif
