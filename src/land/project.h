/* project.h - one project in a store: its format, its slots, its head, its objects.
 *
 * Everything here blocks (store_run) and belongs on a job thread or in a command, never on an event
 * loop. A struct project may be shared between threads once it is open: it does not change. */
#ifndef HIF_LAND_PROJECT_H
#define HIF_LAND_PROJECT_H

#include "core/landing.h"
#include "core/layout.h"
#include "core/tree.h"
#include "store/store.h"

struct project {
        struct env *env;
        struct store *store; /* the caller's */
        struct layout layout;
        struct project_format format;
};

/* Create a project: format (create-only), slot 0 with the empty tree, head. Creating one whose
 * creation was interrupted finishes it; HIF_EEXIST when it was complete already. */
HIF_MUST_USE enum hif_err project_create(struct env *env, struct store *store, const char *name,
                                         const char *author, struct project *out,
                                         struct hif_why *why);
/* HIF_ENOENT with a sentence that says how to create it; HIF_EUNSUPPORTED. */
HIF_MUST_USE enum hif_err project_open(struct env *env, struct store *store, const char *name,
                                       struct project *out, struct hif_why *why);

/* The same without a look at the store: with the format as project_open saw it, from its stored form
 * (format_put). HIF_ECORRUPT, HIF_EUNSUPPORTED: look. */
HIF_MUST_USE enum hif_err project_open_known(struct env *env, struct store *store, const char *name,
                                             struct span format, struct project *out,
                                             struct hif_why *why);

/* Call each with "org/name" for every project of a store, sorted. */
HIF_MUST_USE enum hif_err project_list(struct env *env, struct store *store,
                                       enum hif_err (*each)(void *arg, const char *name), void *arg,
                                       struct hif_why *why);

/* A slot as read: verified, with the bytes that it borrows from. */
struct slot_read {
        struct slot slot;
        struct hif_hash hash; /* HASH_SLOT */
        struct buf stored;
        struct arena arena;
};
void slot_read_free(struct slot_read *read);

/* HIF_ENOENT: no such position (yet). Lists that the slot names are loaded when with_lists is set.
 */
HIF_MUST_USE enum hif_err project_slot(const struct project *project, uint64_t position,
                                       bool with_lists, struct slot_read *out, struct hif_why *why);

/* The tail: the slot whose successor does not exist. `known` is a position known to exist (0 if
 * nothing is known); head is read at the same time and counts only if its slot exists with that
 * tree. Gallops, then bisects; a head that lags behind is moved forward. */
HIF_MUST_USE enum hif_err project_tail(const struct project *project, uint64_t known,
                                       struct slot_read *out, struct hif_why *why);

/* Move head forward to this slot, if it is behind; losing the race is fine. Failing to is not an
 * error of a landing. */
HIF_MUST_USE enum hif_err project_advance_head(const struct project *project,
                                               const struct slot *slot);

/* --- nodes, for commands and jobs --- */

/* A tree_source that reads the store, verifies, and keeps up to cache_bytes of nodes. It blocks
 * instead of answering HIF_EMISS. One thread at a time. */
struct node_reader;
HIF_MUST_USE enum hif_err node_reader_new(const struct project *project, size_t cache_bytes,
                                          struct node_reader **out);
void node_reader_free(struct node_reader *reader);
struct tree_source *node_reader_source(struct node_reader *reader);
/* Fetch many nodes at once, so that a scan costs round trips a level and not a node. */
HIF_MUST_USE enum hif_err node_reader_prefetch(struct node_reader *reader,
                                               const struct hif_hash *hashes, size_t count);
/* Before a walk over the keys in [from, to) of a tree (to empty: to the end): read the nodes of the
 * range ahead, a level at a time and many together. At most half the cache is filled at once; the
 * walk's own reads then bring the next piece whenever it gets to the end of what is there. Holds
 * for the range that was named last. HIF_ECORRUPT: a node is missing or damaged; errors of the
 * store. */
HIF_MUST_USE enum hif_err node_reader_touch_range(struct node_reader *reader,
                                                  const struct hif_hash *root, struct span from,
                                                  struct span to);

/* Read a file's content through its entry: blob by location or by name, or its chunks. Calls each
 * with verified pieces, in order, covering [offset, offset + size) (size UINT64_MAX: to the end).
 */
HIF_MUST_USE enum hif_err project_read_file(const struct project *project,
                                            const struct entry *entry, uint64_t offset,
                                            uint64_t size,
                                            enum hif_err (*each)(void *arg, struct span piece),
                                            void *arg, struct hif_why *why);

#endif
