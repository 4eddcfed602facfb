/* supervisor.h - the process that outlives the server.
 *
 * `hif daemon run` is a small process with one thread. It holds what must not go when the server
 * dies: the lock, the listening sockets, whatever the server puts there (hold.h). It starts the
 * server, this program again as `hif daemon serve`, and starts another when that one dies: at once,
 * or slower when it dies again and again. There is never more than one server.
 *
 * What can be asked of it goes to its own socket, so that answers do not depend on the server: a
 * server that hangs is told from one that works, and killed on request. docs/restart.md. */
#ifndef HIF_CLI_SUPERVISOR_SUPERVISOR_H
#define HIF_CLI_SUPERVISOR_SUPERVISOR_H

#include "cli/cli.h"

#define SUPERVISOR_HUNG_MS 5000 /* a server whose loops do not all turn for so long hangs */

/* The server's ends of its sockets to the supervisor. */
#define SERVE_CALLS_FD  3 /* hold.h's */
#define SERVE_EVENTS_FD 4 /* what is told, both ways */

/* Run until told to stop (SIGTERM, SIGINT, SIGHUP, or by a command). HIF_EBUSY: another one runs.
 *   serve     what `hif daemon serve` does: most servers are copies of this process, which has the
 *             program loaded already
 *   state_fd  that of a supervisor before this program took its place; -1: none */
HIF_MUST_USE enum hif_err supervisor_run(struct cli *cli, int (*serve)(void), int state_fd,
                                         struct hif_why *why);

/* --- client.c: what commands ask --- */

/* What the supervisor says of itself and its server. It asks that first: for so long (0: as long as
 * it takes to say that it hangs, some seconds), and then says how long it has been silent.
 * HIF_ENOENT: there is no supervisor; HIF_EUNREACHABLE, with a sentence: it is stopped, or hangs;
 * HIF_ECANCELED: it has ended, or has so many to talk to that this one was sent away. */
HIF_MUST_USE enum hif_err supervisor_status(struct cli *cli, uint64_t patience_ms, json_t **out,
                                            struct hif_why *why);
/* WIRE_STOP, WIRE_RESTART, WIRE_UPGRADE (name: the program's path; else ""). Waits until it is
 * done, two minutes at most. The errors are the supervisor's own, or as above. */
HIF_MUST_USE enum hif_err supervisor_ask(struct cli *cli, uint16_t kind, const char *name,
                                         json_t **out, struct hif_why *why);
/* Is one there, whatever it does? */
bool supervisor_there(struct cli *cli);
/* Its process, if it is stopped, by who holds its lock; else 0. */
pid_t supervisor_stopped(struct cli *cli);

#endif
