/* tie.h - a server's tie to its supervisor: what each tells the other, and the hold.
 *
 * A supervisor that is killed ends nothing: the server goes on, and the next supervisor, which any
 * command starts, asks it to come over (tie_adopt). Then it is given all that the last one held. */
#ifndef HIF_CLI_DAEMON_TIE_H
#define HIF_CLI_DAEMON_TIE_H

#include "base/loop.h"
#include "cli/daemon/frame.h"
#include "cli/supervisor/hold.h"

struct tie;

/* From the descriptors that the supervisor left open for this process (supervisor.h). Words are
 * read on `loop`; `suspend` runs there when the server is to end and leave its mounts. Sets
 * daemon->hold. HIF_EINVAL: this process was not started by a supervisor. */
HIF_MUST_USE enum hif_err tie_new(struct daemon *daemon, struct loop *loop,
                                  void (*suspend)(void *arg), void *arg, struct tie **out,
                                  struct hif_why *why);
/* No more words. On the loop's thread, before the loop goes; NULL is fine. */
void tie_close(struct tie *tie);
void tie_free(struct tie *tie); /* closed, and after the loop */

/* Run the loop until the supervisor says that this server is the one. HIF_ECANCELED: it never will.
 */
HIF_MUST_USE enum hif_err tie_wait(struct tie *tie);

/* What the supervisor is told; from any thread. Nothing happens where there is none. */
void tie_ready(struct tie *tie);
void tie_failed(struct tie *tie, enum hif_err err, const struct hif_why *why);
void tie_ending(struct tie *tie); /* the supervisor is to end with this server */

bool tie_is_orphan(struct tie *tie);
/* Come over to the supervisor that listens beside this control socket. On a request's thread.
 * HIF_EBUSY: there is one already. */
HIF_MUST_USE enum hif_err tie_adopt(struct tie *tie, int control_fd, struct hif_why *why);

#endif
