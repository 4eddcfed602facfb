/* kill_model.h - one process of a load that a server has to survive: it changes a directory of its
 * own in a mount, and knows at any time what has to be there. */
#ifndef HIF_TESTS_RESTART_KILL_MODEL_H
#define HIF_TESTS_RESTART_KILL_MODEL_H

#include <stdbool.h>
#include <stdint.h>

struct model;

/* In a directory that is there and empty; it becomes the current one, and stays that. */
struct model *model_new(const char *dir, uint64_t seed);
void model_free(struct model *model);

/* One random operation. False: it failed, or showed what cannot be; why says how. */
bool model_step(struct model *model, char why[256]);
/* Is all that was acknowledged there, and nothing else? Asks the server, not the kernel's caches,
 * as far as the caller has dropped those. */
bool model_check(struct model *model, char why[256]);

#endif
