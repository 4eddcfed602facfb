/* fetch.h - verified objects through RAM, SSD and the object store.
 *
 * One struct fetch a daemon, shared by all loops and projects: objects are named by their hash, so
 * a blob that twenty mounts read is fetched once. A struct fetch_origin is a project to fetch from.
 *
 * Calling sequence: fetch_new, fetch_origin_new; then fetch_peek from an event loop (never blocks);
 * on HIF_EMISS fetch_want with a waiter, and run again when it is done. fetch_hint is the same for
 * what may be wanted soon. All functions are thread-safe. docs/architecture.md, "Faults".
 *
 * Promises: an object that does not match its name is never handed out (I3): it is dropped, fetched
 * once more, and then an error. One request at a time for one object (single flight). Demand goes
 * before prefetch. RAM and SSD never hold more than their limits, but for what is pinned; pins are
 * granted within half of the RAM limit, and later waiters wait unissued. Every queue is bounded. */
#ifndef HIF_FETCH_FETCH_H
#define HIF_FETCH_FETCH_H

#include "base/pool.h"
#include "core/body.h"
#include "core/layout.h"
#include "core/tree.h"
#include "store/store.h"

enum fetch_kind {
        FETCH_NODE,   /* bytes: an encoded node that tree_node_check accepted */
        FETCH_BLOB,   /* bytes: the content */
        FETCH_CHUNKS, /* bytes: a list that chunk_list_open accepts */
};

struct fetch_want {
        enum fetch_kind kind;
        struct hif_hash hash;
        uint64_t size;       /* of the content if known, else 0: for budgets */
        struct pack_loc loc; /* BLOB: where it probably lies; size 0: only by its own name */
};

struct fetch;
struct fetch_origin;
struct fetch_ref; /* counted pin on immutable, verified bytes */

struct fetch_config {
        uint64_t ram_max;      /* bytes; 0 = 256 MiB */
        uint64_t ssd_max;      /* bytes; 0 = no SSD tier */
        const char *ssd_dir;   /* created if missing; one process at a time (locked) */
        bool ssd_for_local;    /* keep objects of local stores there too (for tests) */
        uint32_t requests_max; /* in flight at a store for demand; 0 = 64; prefetch has half as many
                                  more */
        uint64_t
            deadline_ms; /* from want to HIF_ETIMEDOUT when the store does not answer; 0 = 30,000 */
        bool no_timer;   /* no thread looks at deadlines, only fetch_tick does: for simulations */
};

struct fetch_stats {
        uint64_t ram_bytes, ram_objects, pinned_bytes, ssd_bytes;
        uint64_t hits, misses, ssd_hits;
        uint64_t store_nodes, store_blobs, store_chunk_lists; /* objects that came from a store */
        uint64_t store_requests, store_bytes;
        uint64_t corrupt, refetched, evicted;
        uint64_t elsewhere; /* contents that lay where the locator said */
        uint64_t hints, hints_useful, hints_dropped;
};

HIF_MUST_USE enum hif_err fetch_new(struct env *env, struct pool *pool,
                                    const struct fetch_config *config, struct fetch **out,
                                    struct hif_why *why);
/* Nothing pinned or waited for, no origin any more (asserted). Not on a thread of the pool. */
void fetch_free(struct fetch *fetch);
/* Wait, and help, until nothing is in flight, hinted or being prefetched any more. */
void fetch_quiesce(struct fetch *fetch);
/* Look at the deadlines now; with a timer thread (the default) nobody needs to. */
void fetch_tick(struct fetch *fetch);
struct fetch_stats fetch_stats(struct fetch *fetch);

/* store stays the caller's; the layout is copied. */
HIF_MUST_USE enum hif_err fetch_origin_new(struct fetch *fetch, struct store *store,
                                           const struct layout *layout, struct fetch_origin **out);

#define FETCH_PLACES_MAX 4u

/* Knows where else a packed content may lie: up to `most` places, the best first; how many. Hints, as
 * every location. Blocks: called on threads of the pool, for one object of a store at a time. */
struct fetch_locator {
        size_t (*find)(void *arg, const struct hif_hash *hash, uint64_t content_size,
                       struct pack_loc *places, size_t most);
        void *arg; /* stays the caller's, until the origin is freed */
};
/* Asked for contents that are wanted, and that neither their location nor their own name gave.
 * Before the first fetch. */
void fetch_origin_set_locator(struct fetch_origin *origin, struct fetch_locator locator);

/* Cancels what it was asked for, and waits for what is in flight. Its hints are freed before. */
void fetch_origin_free(struct fetch_origin *origin);

/* --- demand --- */

/* Pin the object if it is in RAM; never blocks. HIF_OK; HIF_EMISS (nothing has changed). */
HIF_MUST_USE enum hif_err fetch_peek(struct fetch *fetch, enum fetch_kind kind,
                                     const struct hif_hash *hash, struct fetch_ref **out);
struct span fetch_ref_bytes(const struct fetch_ref *ref);
struct fetch_ref *fetch_ref_get(struct fetch_ref *ref); /* one more pin */
void fetch_unref(struct fetch_ref *ref);                /* NULL is fine */

/* Is somebody fetching it, for demand or for a hint? */
bool fetch_is_coming(struct fetch *fetch, enum fetch_kind kind, const struct hif_hash *hash);

#define FETCH_WANTS_MAX 64 /* of one waiter */

/* Waits for all its wants. It pins what arrives until fetch_waiter_release, so that two requests
 * can not evict each other for ever. Embed it; it stays in place until done() was called. */
struct fetch_waiter {
        /* Called exactly once, on any thread, possibly before fetch_want returns; it does not
         * block. HIF_OK: all are resident and pinned, until the release. Else nothing is pinned (a
         * release does nothing). HIF_ENOENT: the store has no such object. HIF_ECORRUPT: it arrived
         * wrong twice. HIF_EUNSUPPORTED: it is of a newer version. HIF_ETIMEDOUT, HIF_EUNREACHABLE,
         * HIF_EDENIED, HIF_EIO, HIF_ENOMEM, HIF_ECANCELED. */
        void (*done)(struct fetch_waiter *waiter, enum hif_err err);
        void *arg; /* the caller's */
        /* fetch's own: */
        struct fetch_ref *refs[FETCH_WANTS_MAX];
        size_t want_count;
        size_t pending;
        enum hif_err err;
        struct fetch_waiter *next;
        void *internal;
};

/* Get the wants (copied) into RAM and tell the waiter. count <= FETCH_WANTS_MAX (asserted). The
 * budget of pins may be exceeded by one waiter at a time, when all of it is held by waiters that
 * were told long ago: they may be holding it while they wait for this one. */
void fetch_want(struct fetch_origin *origin, const struct fetch_want *wants, size_t count,
                struct fetch_waiter *waiter);
void fetch_waiter_release(struct fetch_waiter *waiter);

/* --- prefetch --- */

/* A client whose hints can be cancelled together: an open directory, a sequential reader. */
struct fetch_hints;
HIF_MUST_USE enum hif_err fetch_hints_new(struct fetch_origin *origin, struct fetch_hints **out);
void fetch_hints_cancel(struct fetch_hints *hints); /* what is not in flight yet is dropped */
void fetch_hints_free(struct fetch_hints *hints);

/* What was asked for through these hints since they were made: objects that were neither there nor
 * on their way, and the bytes of their content as far as they were known. */
struct fetch_hinted {
        uint64_t objects, bytes;
        bool searching; /* a prefetch is still finding out what to ask for */
};
struct fetch_hinted fetch_hints_total(struct fetch_hints *hints);

/* Fetch these soon, after all demand, best first. Blobs of one pack are fetched as few coalesced
 * ranges. Never fails: beyond the bounds hints are dropped and counted. */
void fetch_hint(struct fetch_hints *hints, const struct fetch_want *wants, size_t count);

/* --- as a source of tree nodes --- */

/* Answers from RAM; what is missing is collected in wants (up to FETCH_WANTS_MAX; more are not
 * recorded). For one event loop. */
struct fetch_nodes {
        struct tree_source source; /* first */
        struct fetch *fetch;
        struct fetch_want wants[FETCH_WANTS_MAX];
        size_t want_count;
};
void fetch_nodes_init(struct fetch_nodes *nodes, struct fetch *fetch);

/* The same, but it waits for the store instead of answering HIF_EMISS: for job threads. */
struct fetch_nodes_blocking {
        struct tree_source source; /* first */
        struct fetch_origin *origin;
};
void fetch_nodes_blocking_init(struct fetch_nodes_blocking *nodes, struct fetch_origin *origin);

/* Takes in nodes that were made here and are on their way to the origin's store, so that nobody
 * fetches them. Always HIF_OK: what cannot be kept is fetched when it is wanted. For job threads.
 */
struct fetch_nodes_made {
        struct tree_sink sink; /* first */
        struct fetch_origin *origin;
};
void fetch_nodes_made_init(struct fetch_nodes_made *made, struct fetch_origin *origin);

/* Wait for one object; for job threads, those of the same pool included: who waits helps. The
 * errors of a waiter. */
HIF_MUST_USE enum hif_err fetch_get_blocking(struct fetch_origin *origin,
                                             const struct fetch_want *want, struct fetch_ref **out);

/* --- what is wanted soon --- */

/* Keys as in core/key.h: of a directory's children, and of a part of the tree around it. */
struct prefetch_range {
        struct span near_from, near_to;
        bool wide;
        struct span from, to; /* wide; to empty: to the end of the tree */
        uint32_t entries_max; /* wide: from there on, about so many; 0: all */
};

/* Small files are being read: bring the tree nodes of the range, then its small blobs that are not
 * there: the near ones first (in the order of READDIR, source-like names before binary ones), then
 * all others (in the order of the tree, which is the order in packs), within `bytes_max`,
 * asynchronously. The keys are copied. A later call with the same hints cancels the earlier one. */
void prefetch_range(struct fetch_hints *hints, const struct hif_hash *root,
                    const struct prefetch_range *range, uint64_t bytes_max);
/* The same for a directory alone, by its prefix. bytes_max 0: it is being listed, and only nodes
 * are wanted; this cancels nothing. */
void prefetch_directory(struct fetch_hints *hints, const struct hif_hash *root,
                        struct span dir_prefix, uint64_t bytes_max);
/* A file is read in sequence: bring the chunks that cover [offset, offset + size). */
void prefetch_chunks(struct fetch_hints *hints, const struct entry *entry, uint64_t offset,
                     uint64_t size);

#endif
