/* sandbox_impl.h - what the sandbox's files share. */
#ifndef HIF_CLI_DAEMON_SANDBOX_IMPL_H
#define HIF_CLI_DAEMON_SANDBOX_IMPL_H

#include "cli/daemon/sandbox.h"

/* A build that looks at itself as a debugger would. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define OWN_DEBUGGER 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OWN_DEBUGGER 1
#endif

/* sandbox_calls.c: the filter of system calls. */
HIF_MUST_USE enum hif_err sandbox_filter(struct sandbox *out, struct hif_why *why);

#endif
