/* sockets.h - where this user's daemon may be heard, and getting through to it.
 *
 * It has two unix sockets, which lie in one directory: its server's, and its supervisor's, which answers
 * also when the server hangs. Daemon and command need not have the same environment, so whoever looks for
 * them looks into each of
 *
 *      $XDG_RUNTIME_DIR/hif        where the daemon binds them if it can
 *      what daemon.lock says       the directory that the last daemon bound them in
 *      STATE/run                   where it binds them else, also when it cannot write that down */
#ifndef HIF_CLI_SOCKETS_H
#define HIF_CLI_SOCKETS_H

#include "cli/cli.h"

#include <sys/un.h>

enum daemon_socket {
        SOCKET_CONTROL,    /* control.sock, a stream: control_wire.h */
        SOCKET_SUPERVISOR, /* supervisor.sock, packets: supervisor/wire.h */
};

int sockets_type(enum daemon_socket which); /* SOCK_STREAM, SOCK_SEQPACKET */
/* The address of one in this directory. HIF_ENAMETOOLONG. */
HIF_MUST_USE enum hif_err sockets_address(const char *dir, enum daemon_socket which,
                                          struct sockaddr_un *out, struct hif_why *why);
/* Connect, which takes a quarter of a second at most. HIF_ENOENT: nobody answers there;
 * HIF_EUNREACHABLE: so many wait that it takes no more; others: it could not be tried. */
HIF_MUST_USE enum hif_err sockets_connect(const struct sockaddr_un *address,
                                          enum daemon_socket which, int *out);
/* The same, wherever it is. *where: of what *fd is, or the error is about. */
HIF_MUST_USE enum hif_err sockets_find(struct cli *cli, enum daemon_socket which,
                                       struct sockaddr_un *where, int *fd);

#endif
