/* hints.c - what may be wanted soon: queued behind all demand, bounded, cancelled together. */
#include "fetch/internal.h"

#include <assert.h>
#include <stdlib.h>

#define BATCH 64 /* hints by one lock */

enum hif_err fetch_hints_new(struct fetch_origin *origin, struct fetch_hints **out)
{
        struct fetch_hints *hints = calloc(1, sizeof(*hints));

        if (!hints)
                return HIF_ENOMEM;
        hints->origin = origin;
        hints->users = 1;
        *out = hints;
        return HIF_OK;
}

/* With the lock held. */
static void drop_queued(struct fetch_hints *hints)
{
        struct fetch *fetch = hints->origin->fetch;

        hints->generation++;
        for (struct flight *flight = hints->origin->lane->hints.first; flight;) {
                struct flight *next = flight->next;

                if (flight->hints == hints && !flight->links)
                        flight_drop(fetch, flight);
                flight = next;
        }
}

void fetch_hints_cancel(struct fetch_hints *hints)
{
        struct fetch *fetch = hints->origin->fetch;

        pthread_mutex_lock(&fetch->lock);
        drop_queued(hints);
        pthread_mutex_unlock(&fetch->lock);
}

struct fetch_hinted fetch_hints_total(struct fetch_hints *hints)
{
        struct fetch *fetch = hints->origin->fetch;
        struct fetch_hinted total;

        pthread_mutex_lock(&fetch->lock);
        total = hints->total;
        total.searching = hints->runs > 0;
        pthread_mutex_unlock(&fetch->lock);
        return total;
}

void hints_unuse(struct fetch_hints *hints)
{
        struct map *flights = &hints->origin->fetch->flights;
        uint64_t key;
        void *value;

        if (--hints->users > 0)
                return;
        for (size_t i = 0; map_next(flights, &i, &key, &value);)
                for (struct flight *flight = value; flight; flight = flight->same)
                        if (flight->hints == hints)
                                flight->hints = NULL;
        free(hints);
}

void fetch_hints_free(struct fetch_hints *hints)
{
        struct fetch *fetch;

        if (!hints)
                return;
        fetch = hints->origin->fetch;
        pthread_mutex_lock(&fetch->lock);
        drop_queued(hints);
        hints_unuse(hints);
        pthread_mutex_unlock(&fetch->lock);
}

/* With the lock held: does not send yet, so that neighbours in a pack can go together. */
static void push_one(struct fetch_hints *hints, const struct fetch_want *want)
{
        struct fetch *fetch = hints->origin->fetch;

        if (flight_find(fetch, want))
                return;
        if (fetch->hint_count >= HINTS_MAX ||
            fetch->hint_bytes + want_size(want) > fetch->config.ram_max / 4 ||
            !flight_start(hints->origin, want, false, hints)) {
                fetch->stats.hints_dropped++;
        } else {
                fetch->stats.hints++;
                hints->total.objects++;
                hints->total.bytes += want_size(want);
        }
}

void hints_push(struct fetch_hints *hints, uint64_t generation, const struct fetch_want *wants,
                size_t count)
{
        struct fetch *fetch = hints->origin->fetch;
        struct todo todo = {0};
        size_t at = 0;

        for (;;) {
                size_t end = count - at < BATCH ? count : at + BATCH;

                pthread_mutex_lock(&fetch->lock);
                if (hints->generation != generation || hints->origin->closing)
                        end = at = count;
                for (; at < end; at++)
                        if (!cache_has(fetch->cache, wants[at].kind, &wants[at].hash))
                                push_one(hints, &wants[at]);
                if (at == count)
                        break;
                pthread_mutex_unlock(&fetch->lock);
        }
        settle(fetch, &todo);
}

void fetch_hint(struct fetch_hints *hints, const struct fetch_want *wants, size_t count)
{
        struct fetch *fetch = hints->origin->fetch;
        uint64_t generation;
        size_t missing = 0;

        /* Most often all is there already: find out without the one lock of all. */
        while (missing < count &&
               cache_has(fetch->cache, wants[missing].kind, &wants[missing].hash))
                missing++;
        if (missing == count)
                return;
        pthread_mutex_lock(&fetch->lock);
        generation = hints->generation;
        pthread_mutex_unlock(&fetch->lock);
        hints_push(hints, generation, wants + missing, count - missing);
}
