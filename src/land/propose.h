/* propose.h - landing through proposals: many writers on many machines, one position for all.
 *
 * Private to land. docs/landing.md, "Proposals", has the protocol. */
#ifndef HIF_LAND_PROPOSE_H
#define HIF_LAND_PROPOSE_H

#include "core/proposal.h"
#include "land/batch.h"

#define OFFERS_MAX LAND_BATCH_MAX
#ifndef OFFERS_CHANGES_MAX       /* tests build with a smaller one */
#define OFFERS_CHANGES_MAX 4096u /* of one batch; one's own are always in it */
#endif
#define PROPOSAL_AGE_MAX                                                                           \
        4096u /* positions since its origin: older ones are their owner's to land */

#define PROPOSAL_PATIENCE_NS                                                                       \
        60000000000ull /* of its owner, until the answer is "not known yet"                         \
                        */

/* A proposal, and what it takes to land it. */
struct offer {
        struct buf stored;
        struct arena arena;
        struct proposal proposal; /* with its lists */
        struct session session;   /* as the proposal tells of it */
        struct land_change *changes;
        struct land *land;   /* its owner's own, or: */
        struct land *others; /* made here */
        struct land_result result;
        struct hif_why why;
        bool decided; /* by a slot */
};

/* Takes the bytes. own: the land that proposed it; NULL: somebody else did. HIF_ECORRUPT,
 * HIF_EUNSUPPORTED, errors of the store for its lists. */
HIF_MUST_USE enum hif_err offer_open(const struct project *project, struct buf *stored,
                                     struct land *own, struct offer **out, struct hif_why *why);
void offer_free(struct offer *offer); /* NULL is fine */

struct offers {
        uint8_t ids[OFFERS_MAX]
                   [LANDING_ID_SIZE]; /* listed, and not decided by slots that are kept */
        size_t id_count;
        uint8_t done_ids[OFFERS_MAX][LANDING_ID_SIZE]; /* listed, and decided */
        size_t done_count;
        struct offer *items[OFFERS_MAX]; /* in the order in which they land */
        size_t count, changes;
        /* The changes of one that only its owner can land, as it is too large for others' batches,
         * and who is at it: others give way. 0: there is none. */
        uint32_t large;
};

HIF_MUST_USE enum hif_err offers_list(struct land_line *line, struct offers *offers,
                                      struct hif_why *why);
/* How many of those that are listed come before this one. */
size_t offers_before(const struct offers *offers, const uint8_t id[LANDING_ID_SIZE]);
/* Read those that are listed; `own` is among the items whatever is listed. What is of no use is
 * left out. */
HIF_MUST_USE enum hif_err offers_read(struct land_line *line, struct offers *offers,
                                      struct offer *own);
/* Nobody can land what lies under this key: it is not waited for any more. */
void offers_leave_out(struct land_line *line, const char *key, enum hif_err err);
/* Delete what slots have decided; head follows meanwhile. */
void offers_settle(struct land_line *line, const struct offers *offers);
void offers_free(struct offers *offers, const struct offer *own);

#endif
