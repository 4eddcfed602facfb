/* call.h - run something on a loop and wait for it. */
#ifndef HIF_CLI_DAEMON_CALL_H
#define HIF_CLI_DAEMON_CALL_H

#include "cli/daemon/workspace_impl.h"

void loop_call(struct loop *loop, void (*run)(void *arg), void *arg);

/* Set overlay values in one transaction and wait until they are on disk. On a request's thread. */
HIF_MUST_USE enum hif_err workspace_set(struct workspace *workspace, const struct vfs_value *values,
                                        size_t count);

#endif
