/* requests.h - what commands ask of the supervisor. */
#ifndef HIF_CLI_SUPERVISOR_REQUESTS_H
#define HIF_CLI_SUPERVISOR_REQUESTS_H

#include "cli/supervisor/supervisor_impl.h"

/* One has said something, or has gone. */
void request_ready(struct supervisor *supervisor, struct client *client);
/* Those who asked how the server does: when it is known. */
void requests_status(struct supervisor *supervisor);

#endif
