/* queue.h - landings that reach one process at the same time land together.
 *
 * As in group commit: who comes when nobody lands leads, and lands what waits, itself among it;
 * whoever comes meanwhile waits, and one of those leads the next batch. Who waits when a slot goes
 * out is decided, and stored, while it is on its way, so that the next slot can follow at once.
 * Alone, nobody waits for anything. One queue a project and store; from any number of threads. */
#ifndef HIF_LAND_QUEUE_H
#define HIF_LAND_QUEUE_H

#include "land/land.h"

struct land_queue;

/* project and nodes (as in land_begin; asked by one thread at a time) are borrowed. */
HIF_MUST_USE enum hif_err land_queue_new(const struct project *project, struct tree_source *nodes,
                                         struct land_queue **out);
/* As land_line_keep. */
void land_queue_keep(struct land_queue *queue, struct tree_sink *sink);
/* Nobody is in it any more (asserted). Waits until head is where the last landing was. */
void land_queue_free(struct land_queue *queue); /* NULL is fine */

/* As land_commit, with whoever is there at the same time. land is staged already, over the same
 * project and store. Its hooks are called on this thread, but for sleep. HIF_ELOST: others, on other
 * machines, are in the way; nothing was landed, go on with land_propose. */
HIF_MUST_USE enum hif_err land_queue_commit(struct land_queue *queue, struct land *land,
                                            const struct land_change *changes, size_t count,
                                            struct land_result *out, struct hif_why *why);

struct land_queue_stats {
        uint64_t landings, batches; /* asked for; calls of land_commit_batch */
};
struct land_queue_stats land_queue_stats(struct land_queue *queue);

#endif
