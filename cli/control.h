/* control.h - how a command talks to the daemon: connecting, starting one where there is none, and
 * calling it. Messages and socket: control_wire.h. */
#ifndef HIF_CLI_CONTROL_H
#define HIF_CLI_CONTROL_H

#include "cli/cli.h"

/* Connect to the daemon; start: start one when none runs (a stale socket is replaced; one daemon at
 * a time by a lock on state_dir/daemon.lock) and wait until it answers; and a supervisor, for a
 * server that has lost its own. HIF_EUNREACHABLE. */
HIF_MUST_USE enum hif_err control_connect(struct cli *cli, bool start, int *fd,
                                          struct hif_why *why);
/* A server that runs and has lost its supervisor gets another one, without which it can neither
 * unmount nor be restarted. Errors are those of one that could not start. */
HIF_MUST_USE enum hif_err control_supervise(struct cli *cli, struct hif_why *why);
/* Nobody answers. Is somebody there all the same, who is just starting or ending, or whom nobody hears
 * any more? That is who holds a lock of the daemon's. HIF_OK: nobody does; HIF_EUNREACHABLE, with what to
 * do. */
HIF_MUST_USE enum hif_err control_unheard(struct cli *cli, struct hif_why *why);
/* Send a request (taken over) and wait for its result (the caller's to decref). progress may be
 * NULL. timeout_ms 0: as long as nothing says that it will not come (patience.h). A daemon that
 * dies, or hangs, is HIF_EUNREACHABLE. */
HIF_MUST_USE enum hif_err control_call(struct cli *cli, int fd, json_t *request,
                                       uint64_t timeout_ms,
                                       void (*progress)(void *arg, const json_t *progress),
                                       void *arg, json_t **result, struct hif_why *why);

/* Does it answer to its name? One that runs; what it says of itself is the caller's to decref.
 * timeout_ms as above. */
HIF_MUST_USE enum hif_err control_ping(struct cli *cli, uint64_t timeout_ms, json_t **pong,
                                       struct hif_why *why);

/* Both, starting a daemon if none runs, and once more if it ends before it has answered: it was
 * about to end when we came, and all that a daemon does can be asked for again. request: taken
 * over. */
HIF_MUST_USE enum hif_err control_ask(struct cli *cli, json_t *request,
                                      void (*progress)(void *arg, const json_t *progress),
                                      void *arg, json_t **result, struct hif_why *why);

#endif
