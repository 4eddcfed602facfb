/* peer.h - who is at the other end of a loopback connection. */
#ifndef HIF_CLI_DAEMON_PEER_H
#define HIF_CLI_DAEMON_PEER_H

#include "base/err.h"

/* The table of this process's namespace, in which peers are looked up; the caller's to close. */
HIF_MUST_USE enum hif_err peer_table(int *out);
/* May the process behind this loopback connection talk to us? The kernel's client (uid 0) or our
 * own user. arg: int *, the table. */
bool peer_admitted(void *arg, int fd);

#endif
