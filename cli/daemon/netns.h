/* netns.h - a network namespace of the daemon's own, for NFS mounts.
 *
 * In it there is a loopback device, the listening sockets of workspaces and the kernel's NFS client
 * of their mounts, and nothing else: no process of this machine can connect to a port in there,
 * unless it is root and enters on purpose. Files are reached through the mount from everywhere. The
 * daemon's threads stay where they are, with the network that stores are on; sockets and mounts are
 * made on short-lived threads inside.
 *
 * All workspaces of a daemon share one. It outlives the server in the supervisor's hold ("netns:"),
 * and both of them as a file, STATE/netns: so a daemon that starts after both were killed finds the
 * way to the ports that its mounts know. With the last mount it goes. Linux, and root, only. */
#ifndef HIF_CLI_DAEMON_NETNS_H
#define HIF_CLI_DAEMON_NETNS_H

#include "cli/daemon/workspace.h"

/* One more user of the daemon's namespace, which is found or made at need. The descriptor stays the
 * daemon's. HIF_ENOTSUP, HIF_EPERM and others, with a reason that goes behind "because". */
HIF_MUST_USE enum hif_err netns_enter(struct daemon *daemon, int *out, struct hif_why *why);
/* The last user takes it away; mounts that are left in it keep what they need of it. */
void netns_leave(struct daemon *daemon);
/* The server ends and its mounts stay: so does the namespace. */
void netns_close(struct daemon *daemon);

/* Run on a thread of its own inside, and wait for it; netns -1: here. */
HIF_MUST_USE enum hif_err netns_run(int netns, void (*run)(void *arg), void *arg);

#endif
