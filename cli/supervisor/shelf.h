/* shelf.h - descriptors by name, each with a note: what the supervisor holds for its server, and
 * what a server keeps of that for a new supervisor. Not thread-safe. */
#ifndef HIF_CLI_SUPERVISOR_SHELF_H
#define HIF_CLI_SUPERVISOR_SHELF_H

#include "base/buf.h"
#include "base/err.h"

#define SHELF_MAX 4096 /* names at a time */

struct shelf_item {
        char *name; /* no NUL in it */
        int fd;
        struct span note; /* the item's own */
};

/* Zero-initialised is empty and valid. */
struct shelf {
        struct shelf_item *items;
        size_t count, capacity;
};

/* Put the descriptor there, which is the shelf's from then on (on errors, too: it is closed); one
 * of that name is closed. HIF_ENOMEM, HIF_ELIMIT, HIF_EINVAL: no such name. */
HIF_MUST_USE enum hif_err shelf_put(struct shelf *shelf, struct span name, int fd,
                                    struct span note);
/* NULL: no such name. Valid until the next put or drop. */
const struct shelf_item *shelf_find(const struct shelf *shelf, struct span name);
/* HIF_ENOENT. */
HIF_MUST_USE enum hif_err shelf_drop(struct shelf *shelf, struct span name);
void shelf_free(struct shelf *shelf); /* closes all; leaves it empty */

#endif
