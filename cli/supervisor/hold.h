/* hold.h - what must outlive the server: it leaves descriptors with the supervisor, under names.
 *
 * A server that starts takes what its predecessor left, however that one ended: killed at any
 * moment, told to restart, or of another version (an upgrade). So what a name and its note mean
 * must be understood by other versions of the program, too.
 *
 *      control                       the listening socket of commands
 *      nfs-listen:ORG/NAME/SESSION   that of a workspace: its port stays ours
 *      nfs-peers:ORG/NAME/SESSION    the table of sockets where that is (cli/daemon/peer.c)
 *      nfs-ghost:N, nfs-ghost-peers:N  both, of a mount that was taken away (cli/daemon/ghost.h)
 *      fuse:ORG/NAME/SESSION         /dev/fuse of a mount; note: the INIT request
 *
 * Thread-safe; a call is one packet there and one back on a socket of this machine. The server
 * keeps all that it put itself, too: so a supervisor that is killed loses nothing, and the next one
 * is given everything. */
#ifndef HIF_CLI_SUPERVISOR_HOLD_H
#define HIF_CLI_SUPERVISOR_HOLD_H

#include "base/buf.h"
#include "base/err.h"

#define HOLD_NOTE_MAX 65536

struct hold;

/* socket: the server's end, taken over; -1: there is no supervisor, and all is kept here alone. */
HIF_MUST_USE enum hif_err hold_new(int socket, struct hold **out);
void hold_free(struct hold *hold); /* the supervisor keeps what it has */

/* Keep a duplicate of fd, and up to HOLD_NOTE_MAX bytes beside it, in the supervisor under this
 * name until hold_drop; put again replaces. Without a supervisor it waits here for the next one.
 * HIF_ELIMIT, HIF_ENOMEM. */
HIF_MUST_USE enum hif_err hold_put(struct hold *hold, const char *name, int fd, struct span note);
/* What a predecessor left: a new descriptor (the caller's), and its note, appended (NULL: not
 * wanted). It stays there. HIF_ENOENT. */
HIF_MUST_USE enum hif_err hold_take(struct hold *hold, const char *name, int *fd, struct buf *note);
HIF_MUST_USE enum hif_err hold_drop(struct hold *hold, const char *name); /* HIF_ENOENT */

/* Ask for help (helper.h): the request as bytes, and a socket for its answer, which stays the caller's.
 * HIF_EUNREACHABLE: there is no supervisor; HIF_ENOTSUP: it does not know this; HIF_ELIMIT. */
HIF_MUST_USE enum hif_err hold_help(struct hold *hold, struct span request, int end);

/* Another supervisor, at this socket, taken over: it is given all that this server has put or
 * taken. Errors leave the hold without a supervisor. */
HIF_MUST_USE enum hif_err hold_move(struct hold *hold, int socket);

#endif
