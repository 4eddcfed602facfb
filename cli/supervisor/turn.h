/* turn.h - one turn of the supervisor's loop. */
#ifndef HIF_CLI_SUPERVISOR_TURN_H
#define HIF_CLI_SUPERVISOR_TURN_H

#include "cli/supervisor/supervisor_impl.h"

/* Wait until something comes or is due, and see to it. */
void supervisor_turn(struct supervisor *supervisor);

#endif
