/* internal.h - private to the room.
 *
 * A missing object is a `flight`: one at a time for one object, whoever wants it. It is read from
 * the SSD tier or queued at the `lane` of its store, for demand or for hints, travels alone or with
 * others in a `request`, and is decoded and checked as `work` on the pool. Waiters hang on flights
 * by `links`.
 *
 * One mutex, `lock`, guards all of this; cache and SSD tier have their own below it. Nothing slow
 * and no callback runs under it: what is to be done outside is collected in a `todo`, which
 * settle() carries out. Who waits on a thread helps with the work meanwhile, so that job threads
 * can wait even when they are the whole pool. */
#ifndef HIF_FETCH_INTERNAL_H
#define HIF_FETCH_INTERNAL_H

#include "base/map.h"
#include "fetch/cache.h"
#include "fetch/fetch.h"
#include "fetch/ssd.h"

#include <pthread.h>

#define RAM_MAX_DEFAULT      (256ull << 20)
#define REQUESTS_MAX_DEFAULT 64
#define DEADLINE_MS_DEFAULT  30000
#define HINTS_MAX            4096 /* hinted flights at a time */
#define RUNNERS              16   /* pool jobs at a time */
#define TICK_MS              50
#define STALL_NS             100000000ull /* see fetch_tick */

/* --- work.c --- */

struct work {
        void (*run)(struct fetch *fetch, struct work *work);
        struct work *prev, *next;
        bool queued, demand; /* where it is queued */
};

struct work_queue {
        struct work *first, *last;
};

struct runner {
        struct pool_job job; /* first */
        struct fetch *fetch;
        bool idle;
};

struct codec {
        struct codec *next;
        struct body_codec *codec;
};

/* With the lock held. */
void work_push(struct fetch *fetch, struct work *work, bool demand);
void work_raise(struct fetch *fetch, struct work *work); /* to demand, if it is still queued */
/* Work until over(arg), which is called with the lock held. Without the lock. */
void help_until(struct fetch *fetch, bool (*over)(void *arg), void *arg);
void runners_init(struct fetch *fetch);
struct codec *codec_take(struct fetch *fetch); /* NULL: out of memory */
void codec_give(struct fetch *fetch, struct codec *codec);
void codecs_free(struct fetch *fetch);

/* A tree may claim any size; what is fetched has at most this. 0: not known. */
static inline uint64_t want_size(const struct fetch_want *want)
{
        return want->size < BODY_BLOB_MAX ? want->size : BODY_BLOB_MAX;
}

/* --- engine.c --- */

struct wait;

struct link {
        struct flight *flight; /* NULL: not waiting */
        struct link *prev, *next;
        struct wait *wait;
        struct fetch_want want;
        size_t index;
};

struct flight {
        struct flight *same;        /* another object with the same key in the map */
        struct flight *prev, *next; /* in the lane's queue */
        struct fetch_origin *origin;
        struct fetch_hints *hints; /* who hinted at it, until it is wanted */
        struct fetch_want want;
        struct link *links;
        struct work work;        /* reading it from the SSD */
        struct request *request; /* that it travels in */
        bool demand, queued;
        bool use_pack;         /* try its location next, else its own object */
        bool refetched;        /* from where it is being tried now */
        enum hif_err pack_err; /* why its location did not serve */
        bool looked;      /* the locator was asked: what it said is tried, then all has failed */
        enum hif_err err; /* looked: why what was tried before did not serve */
        struct pack_loc *places; /* that it said */
        size_t place_count, places_tried;
        uint64_t hint_bytes; /* its part of fetch->hint_bytes */
};

struct flight_queue {
        struct flight *first, *last;
};

/* What goes to one store. */
struct lane {
        struct lane *next;
        struct store *store;
        bool use_ssd;
        uint32_t origins;
        struct flight_queue demand, hints;
        struct flight_queue lost; /* to be looked for by `look`, one after the other */
        struct work look;
        bool looking;
        uint32_t demand_in_flight, hints_in_flight;
        uint64_t bytes_in_flight; /* expected */
};

struct request {
        struct store_req req; /* first */
        struct work work;
        struct request *next;
        struct fetch *fetch;
        struct lane *lane;
        struct layout_key key;
        uint64_t bytes;      /* expected */
        bool demand;         /* as it was sent */
        _Atomic bool raised; /* some hint in it is wanted now: decode it first */
        size_t count;
        struct flight *flights[];
};

struct fetch_origin {
        struct fetch *fetch;
        struct lane *lane;
        struct layout layout;
        struct fetch_locator locator;
        uint64_t users; /* flights and prefetch runs */
        bool closing;
};

/* Collected under the lock, done outside. */
struct todo {
        struct wait *done_first, *done_last;
        struct request *submit_first, *submit_last;
};

/* Begin with the lock held and an empty todo; settle() grants, sends, unlocks, and does it. */
void settle(struct fetch *fetch, struct todo *todo);
/* With the lock held: the flight of an object, or NULL. */
struct flight *flight_find(struct fetch *fetch, const struct fetch_want *want);
struct flight *flight_start(struct fetch_origin *origin, const struct fetch_want *want, bool demand,
                            struct fetch_hints *hints);         /* NULL: out of memory */
void flight_demand(struct fetch *fetch, struct flight *flight); /* a hint no longer */
/* Fail everybody of its origin; others try again with theirs. Not queued (asserted). */
void flight_fail(struct fetch *fetch, struct flight *flight, enum hif_err err, struct todo *todo);
/* Drop one that is queued, hinted, and that nobody waits for. */
void flight_drop(struct fetch *fetch, struct flight *flight);
void flight_unqueue(struct flight *flight);
/* Its content has been checked: keep it, tell who waits. Gives the object with a pin, or NULL when
 * it was not kept. The flight is gone. */
struct fetch_ref *flight_land(struct fetch *fetch, struct flight *flight, struct buf *content,
                              struct todo *todo);

/* --- request.c --- */

/* Send what may be sent. */
void lane_pump(struct fetch *fetch, struct lane *lane, struct todo *todo);
void request_submit(struct request *request);
/* The work of a flight that is on the SSD. */
void flight_read_ssd(struct fetch *fetch, struct work *work);
/* With the lock held: queue a flight where it can be read. */
void flight_route(struct fetch *fetch, struct flight *flight, bool try_ssd);

/* --- decode.c --- */

/* HIF_ECORRUPT (or HIF_EUNSUPPORTED) when bytes are not the object. */
HIF_MUST_USE enum hif_err object_check(enum fetch_kind kind, const struct hif_hash *hash,
                                       struct span bytes);
/* From what a store gave, as an object of its own or a pack's frame, to checked content. */
HIF_MUST_USE enum hif_err object_decode(struct fetch *fetch, const struct fetch_want *want,
                                        bool frame, struct span stored, struct buf *out);

/* --- waiter.c --- */

struct wait_list {
        struct wait *first, *last;
};

struct wait {
        struct wait *prev, *next;
        struct wait_list *list; /* that it is in */
        struct fetch_waiter *waiter;
        struct fetch_origin *origin;
        struct fetch *fetch;
        bool demand;
        enum hif_err err;
        uint64_t charge; /* its part of fetch->granted */
        uint64_t deadline_ns;
        struct link links[];
};

/* fetch_want, for demand or (unbudgeted, without deadline) for prefetch. */
void wait_begin(struct fetch_origin *origin, const struct fetch_want *wants, size_t count,
                struct fetch_waiter *waiter, bool demand);
/* With the lock held: tell a link's waiter; the ref (if HIF_OK) gets one more pin. */
void link_resolve(struct link *link, struct fetch_ref *ref, enum hif_err err, struct todo *todo);
void waits_grant(struct fetch *fetch, struct todo *todo);
void waits_cancel(struct fetch_origin *origin, struct todo *todo);
void waits_done(struct todo *todo); /* without the lock */
enum hif_err timer_start(struct fetch *fetch);
void timer_stop(struct fetch *fetch);

/* --- hints --- */

struct fetch_hints {
        struct fetch_origin *origin;
        uint32_t users;      /* the owner, and prefetch runs */
        uint32_t runs;       /* that have not hinted yet */
        uint64_t generation; /* a cancelled run has an older one */
        struct fetch_hinted total;
};

/* fetch_hint, if the hints are still of that generation. */
void hints_push(struct fetch_hints *hints, uint64_t generation, const struct fetch_want *wants,
                size_t count);
void hints_unuse(struct fetch_hints *hints); /* with the lock held */

/* fetch_nodes_init for prefetch: what it looks at does not count as used. */
void nodes_init_unused(struct fetch_nodes *nodes, struct fetch *fetch);

/* --- fetch.c --- */

struct fetch {
        struct env *env;
        struct pool *pool;
        struct fetch_config config;
        struct cache *cache;
        struct ssd *ssd; /* NULL: none */

        pthread_mutex_t lock;
        pthread_cond_t changed; /* for helpers: there is work, or something ended */
        struct fetch_stats stats;
        struct map flights;
        size_t flight_count;
        size_t hint_count;
        uint64_t hint_bytes;
        struct lane *lanes;

        struct wait_list unissued, issued; /* both in the order of their deadlines */
        uint64_t granted;                  /* bytes of pins */
        uint64_t stalled_ns;               /* since when; 0: not */

        struct work_queue work[2]; /* hints, demand */
        size_t work_running;
        size_t helpers;
        struct runner runners[RUNNERS];
        struct codec *codecs;

        pthread_t timer;
        pthread_cond_t timer_wake;
        bool timer_running, timer_idle, ending;
};

#endif
