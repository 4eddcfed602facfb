/* conflicts.h - what stands in the way of a landing, for people and for programs. */
#ifndef HIF_CLI_CONFLICTS_H
#define HIF_CLI_CONFLICTS_H

#include "cli/cli.h"
#include "land/land.h"

/* An array of {"path", "ours", "theirs", "position", "session", "author", "goal"}; NULL: out of
 * memory. */
json_t *conflicts_to_json(const struct land_result *result);
/* "Not landed", since when the other side counts ("your base"), and a line for each. */
void conflicts_print(const json_t *conflicts, const char *since);

#endif
