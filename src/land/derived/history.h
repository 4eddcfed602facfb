/* history.h - landings, the last first: all of them, or those that changed a path.
 *
 * Long stretches are read as segments. Who changed a path is found through the rollups; where these
 * are missing, through the trees: an entry names the landing that wrote it, and the tree before
 * that has the entry of the change before. */
#ifndef HIF_LAND_DERIVED_HISTORY_H
#define HIF_LAND_DERIVED_HISTORY_H

#include "land/project.h"

struct history_wish {
        uint64_t tail;  /* a position that exists: records up to there count */
        uint64_t from;  /* the first that is given, going back */
        uint64_t until; /* the last, included */
        /* Only what changed this path, or something below it; empty: everything. Borrowed. */
        struct span path;
        bool follow;       /* ... under the name that it had before a rename */
        bool paths;        /* slots come with their lists of paths */
        uint64_t expected; /* about so many will be asked for; 0: all */
};

/* One landing, or a slot that is none (void, the project's first ...). */
struct history_item {
        const struct slot *slot; /* until the next call */
        bool landing;
        uint32_t index; /* of the landing in its slot, from 0 */
};

struct history;
HIF_MUST_USE enum hif_err history_new(const struct project *project,
                                      const struct history_wish *wish, struct history **out);
void history_free(struct history *history);
/* HIF_ENOENT: no more. A slot that cannot be read is an error. */
HIF_MUST_USE enum hif_err history_next(struct history *history, struct history_item *out,
                                       struct hif_why *why);

#endif
