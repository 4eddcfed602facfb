/* life.h - servers start, say how they are, and end; and what the supervisor makes of that. */
#ifndef HIF_CLI_SUPERVISOR_LIFE_H
#define HIF_CLI_SUPERVISOR_LIFE_H

#include "cli/supervisor/supervisor_impl.h"

/* The spare serves from now on, or a new one as soon as it can. */
void supervisor_start_server(struct supervisor *supervisor);
/* So that a restart does not wait for a program to be loaded. */
void supervisor_make_spare(struct supervisor *supervisor);
/* Take one word of the server's or the spare's, or one call of the server's. False: there is none. */
bool supervisor_event(struct supervisor *supervisor, struct server *server);
bool supervisor_call(struct supervisor *supervisor);
/* The process has ended. */
void supervisor_gone(struct supervisor *supervisor);
void supervisor_spare_gone(struct supervisor *supervisor);
/* The spare takes too long. */
void supervisor_spare_late(struct supervisor *supervisor);
/* Have the server flush and end. Its mounts stay for the next one. */
void supervisor_suspend(struct supervisor *supervisor);
/* Have the server go, for this aim. */
void supervisor_aim(struct supervisor *supervisor, enum aim aim);

#endif
