/* netns.h - a network namespace of the daemon's own, for NFS mounts.
 *
 * In it there is a loopback device, the listening sockets of workspaces and the kernel's NFS client
 * of their mounts, and nothing else: no process of this machine can connect to a port in there,
 * unless it is root and enters on purpose. Files are reached through the mount from everywhere. The
 * server itself never is in there, and could not enter: helpers of the supervisor's
 * (cli/supervisor/helper.h) make sockets and mounts inside, and give it the descriptors.
 *
 * All workspaces of a daemon share one. It is a file, STATE/netns, which outlives server and
 * supervisor: so a daemon that starts after both were killed finds the way to the ports that its
 * mounts know. With the last mount it goes. Linux, and root, only. */
#ifndef HIF_CLI_DAEMON_NETNS_H
#define HIF_CLI_DAEMON_NETNS_H

#include "cli/daemon/frame.h"

/* One more user of the daemon's namespace, which is made at need. there: a mount that came back is in
 * it already, so nobody has to be asked. HIF_ENOTSUP, HIF_EPERM and others, with a reason that goes
 * behind "because". */
HIF_MUST_USE enum hif_err netns_enter(struct daemon *daemon, bool there, struct hif_why *why);
/* The last user takes it away, unless it is needed still: a mount is left in it that is to be served
 * there again, or one has not come back. Mounts that are left in it keep what they need of it. */
void netns_leave(struct daemon *daemon, bool needed);

/* HELP_LISTEN or HELP_PEERS: a descriptor that was opened inside. With a sentence. */
HIF_MUST_USE enum hif_err netns_open(struct daemon *daemon, int what, uint16_t port, int *out,
                                     struct hif_why *why);

#endif
