/* ghost.h - what is left of an NFS mount that was taken away while it was in use.
 *
 * The kernel keeps such a mount for as long as a program has a file of it open, and repeats what it
 * asks of a server that is gone for ever: the program hangs, and with it each sync(2) of the whole
 * machine. So the port goes on answering, every call with an error, for as long as there is a
 * daemon: the supervisor holds it for the next server. A thread each, which shares nothing. */
#ifndef HIF_CLI_DAEMON_GHOST_H
#define HIF_CLI_DAEMON_GHOST_H

#include "base/err.h"

#define GHOSTS_MAX 64 /* in one process */

struct daemon;

/* Both descriptors are taken over, also on errors: a listening socket; the table by which peers are
 * admitted (peer.c). HIF_ELIMIT, HIF_ENOMEM. */
HIF_MUST_USE enum hif_err ghost_start(struct daemon *daemon, int listen_fd, int peers);
/* Those that a predecessor had. */
void ghosts_resume(struct daemon *daemon);

#endif
