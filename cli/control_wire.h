/* control_wire.h - what commands and the daemon tell each other: JSON messages over a unix socket.
 *
 *      message = length u32 (big-endian, at most CONTROL_SIZE_MAX), then that many bytes of JSON
 *
 * A command sends one request {"op": NAME, ...} and gets any number of {"progress": {...}} and then
 * one {"result": ...} or {"error": {"code": "ENOENT", "text": "..."}}. The socket (sockets.h) is 0600 in a
 * 0700 directory, and the daemon checks SO_PEERCRED: only its own user is served. docs/architecture.md,
 * "Control". */
#ifndef HIF_CLI_CONTROL_WIRE_H
#define HIF_CLI_CONTROL_WIRE_H

#include "cli/cli.h"

#define CONTROL_SIZE_MAX (64u << 20)

/* How long the other side is waited for: to a point in time, or as long as it does well; with
 * neither, for ever. */
struct control_patience {
        uint64_t deadline_ms; /* of CLOCK_MONOTONIC; 0: none */
        /* Asked when nothing has come for ask_ms; what is not HIF_OK ends the waiting. NULL: nobody
         * is asked. */
        enum hif_err (*ask)(struct control_patience *patience, int fd);
        int ask_ms;
};
struct control_patience control_until(uint64_t timeout_ms); /* from now; 0: for ever */

/* Both sides. HIF_ENOENT: the peer has closed. HIF_ELIMIT, HIF_ECORRUPT: close it. HIF_ETIMEDOUT: the
 * deadline, or what was answered to the question. A message received is the caller's to decref. */
HIF_MUST_USE enum hif_err control_send(int fd, const json_t *message);
HIF_MUST_USE enum hif_err control_receive(int fd, uint64_t timeout_ms, json_t **out);
HIF_MUST_USE enum hif_err control_send_patiently(int fd, const json_t *message,
                                                 struct control_patience *patience);
HIF_MUST_USE enum hif_err control_receive_patiently(int fd, struct control_patience *patience,
                                                    json_t **out);

#endif
