/* upgrade.h - another program takes the place of this one, and no mount notices.
 *
 * 1. A spare is made of the new program. If it cannot even set itself up, nothing has happened.
 * 2. The old server suspends: it flushes, closes and ends. What it held is on the shelf.
 * 3. The spare serves. If it does not answer in time, it is killed, and a server of the old program
 *    takes over again.
 * 4. The supervisor itself becomes the new program (become.h). */
#ifndef HIF_CLI_SUPERVISOR_UPGRADE_H
#define HIF_CLI_SUPERVISOR_UPGRADE_H

#include "cli/supervisor/supervisor_impl.h"

/* Make a spare of the program at that path, and have it take over. */
HIF_MUST_USE enum hif_err upgrade_begin(struct supervisor *supervisor, struct span path,
                                        struct hif_why *why);
void upgrade_done(struct supervisor *supervisor); /* the new server answers */
/* The new program is no good: the old one goes on. */
void upgrade_back(struct supervisor *supervisor, const char *reason);
/* When patience with the new program ends. */
uint64_t upgrade_due_ms(const struct supervisor *supervisor);

#endif
