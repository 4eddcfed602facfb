/* sim_derive.h - derived records in the simulation: who makes them, who reads them, what becomes of
 * them, and what has to hold. Windows are of a few slots there (WINDOW_FANOUT), so that a seed's
 * landings fill several levels. */
#ifndef TESTS_LAND_SIM_DERIVE_H
#define TESTS_LAND_SIM_DERIVE_H

#include "tests/land/sim.h"

/* Start the helpers: they make records from what they know of the tail (which may be old), look
 * for sessions and read histories, over a store like everybody's, and die. Records are lost and
 * damaged meanwhile. */
bool derive_start(struct world *world);
/* This lander has landed there, and makes what it has completed, if it lives so long. */
void derive_after(struct lander *lander, uint64_t position);
/* At the end: every record is what is made of its slots; and with all records there, every session
 * is found where it landed. */
void derive_check(struct world *world);

#endif
