/* engine.c - flights: the life of a missing object, and what follows when it fails. */
#include "fetch/internal.h"

#include <assert.h>
#include <stdlib.h>

static uint64_t map_key(const struct fetch_want *want)
{
        return hash_prefix(&want->hash) + (uint64_t)want->kind;
}

static bool is_of(const struct flight *flight, const struct fetch_want *want)
{
        return flight->want.kind == want->kind && hash_eq(&flight->want.hash, &want->hash);
}

struct flight *flight_find(struct fetch *fetch, const struct fetch_want *want)
{
        struct flight *flight = map_get(&fetch->flights, map_key(want));

        while (flight && !is_of(flight, want))
                flight = flight->same;
        return flight;
}

bool fetch_is_coming(struct fetch *fetch, enum fetch_kind kind, const struct hif_hash *hash)
{
        struct fetch_want want = {.kind = kind, .hash = *hash};
        bool coming;

        pthread_mutex_lock(&fetch->lock);
        coming = flight_find(fetch, &want) != NULL;
        pthread_mutex_unlock(&fetch->lock);
        return coming;
}

static enum hif_err table_add(struct fetch *fetch, struct flight *flight)
{
        uint64_t key = map_key(&flight->want);
        enum hif_err err;

        flight->same = map_get(&fetch->flights, key);
        err = map_put(&fetch->flights, key, flight);
        if (!err)
                fetch->flight_count++;
        return err;
}

static void table_remove(struct fetch *fetch, struct flight *flight)
{
        uint64_t key = map_key(&flight->want);
        struct flight *first = map_get(&fetch->flights, key);

        fetch->flight_count--;
        if (first != flight) {
                while (first->same != flight)
                        first = first->same;
                first->same = flight->same;
        } else if (flight->same) {
                enum hif_err err = map_put(&fetch->flights, key, flight->same);

                assert(err == HIF_OK); /* replaces: no memory needed */
                (void)err;
        } else {
                map_del(&fetch->flights, key);
        }
}

static void hint_ends(struct fetch *fetch, struct flight *flight)
{
        if (flight->demand)
                return;
        fetch->hint_count--;
        fetch->hint_bytes -= flight->hint_bytes;
        flight->hints = NULL;
}

/* A location from a tree is as hostile as the tree. */
static bool location_usable(const struct fetch_want *want)
{
        return want->kind == FETCH_BLOB && want->loc.size > 0 && want->loc.size <= BODY_FRAME_MAX;
}

struct flight *flight_start(struct fetch_origin *origin, const struct fetch_want *want, bool demand,
                            struct fetch_hints *hints)
{
        struct fetch *fetch = origin->fetch;
        struct flight *flight = calloc(1, sizeof(*flight));

        if (!flight)
                return NULL;
        flight->origin = origin;
        flight->want = *want;
        flight->demand = demand;
        flight->use_pack = location_usable(want);
        if (table_add(fetch, flight) != HIF_OK) {
                free(flight);
                return NULL;
        }
        if (!demand) {
                flight->hints = hints;
                flight->hint_bytes = want_size(want);
                fetch->hint_count++;
                fetch->hint_bytes += flight->hint_bytes;
        }
        origin->users++;
        flight_route(fetch, flight, true);
        return flight;
}

static void flight_free(struct fetch *fetch, struct flight *flight)
{
        assert(!flight->queued && !flight->links);
        table_remove(fetch, flight);
        hint_ends(fetch, flight);
        flight->origin->users--;
        free(flight->places);
        free(flight);
        if (fetch->helpers)
                pthread_cond_broadcast(&fetch->changed);
}

void flight_demand(struct fetch *fetch, struct flight *flight)
{
        if (flight->demand)
                return;
        fetch->stats.hints_useful++;
        hint_ends(fetch, flight);
        if (flight->queued) {
                flight_unqueue(flight);
                flight->demand = true;
                flight_route(fetch, flight, false);
        }
        flight->demand = true;
        work_raise(fetch, &flight->work);
        if (flight->request) {
                flight->request->raised = true;
                work_raise(fetch, &flight->request->work);
        }
}

void flight_drop(struct fetch *fetch, struct flight *flight)
{
        assert(!flight->demand && !flight->links);
        flight_unqueue(flight);
        fetch->stats.hints_dropped++;
        flight_free(fetch, flight);
}

/* --- ends --- */

struct fetch_ref *flight_land(struct fetch *fetch, struct flight *flight, struct buf *content,
                              struct todo *todo)
{
        struct fetch_ref *ref = NULL;
        enum hif_err err = cache_insert(fetch->cache, flight->want.kind, &flight->want.hash,
                                        content, flight->links != NULL, !flight->demand, &ref);

        if (err) {
                flight_fail(fetch, flight, err, todo);
                return NULL;
        }
        if (!ref)
                fetch->stats.hints_dropped++;
        while (flight->links)
                link_resolve(flight->links, ref, HIF_OK, todo);
        flight_free(fetch, flight);
        return ref;
}

static bool same_place(const struct fetch_origin *a, const struct fetch_origin *b)
{
        return a->lane == b->lane && strcmp(a->layout.prefix, b->layout.prefix) == 0;
}

void flight_fail(struct fetch *fetch, struct flight *flight, enum hif_err err, struct todo *todo)
{
        struct link *link = flight->links;
        struct link *other;

        assert(!flight->queued);
        while (link) {
                struct link *next = link->next;

                if (err == HIF_ENOMEM || same_place(link->wait->origin, flight->origin))
                        link_resolve(link, NULL, err, todo);
                link = next;
        }
        other = flight->links;
        if (!other) {
                flight_free(fetch, flight);
                return;
        }
        /* The same object is wanted of another project, too, and may exist there. */
        flight->origin->users--;
        flight->origin = other->wait->origin;
        flight->origin->users++;
        flight->want = other->want;
        flight->use_pack = location_usable(&other->want);
        flight->refetched = false;
        flight->pack_err = HIF_OK;
        flight->looked = false;
        flight->place_count = flight->places_tried = 0;
        flight_route(fetch, flight, false);
}

/* --- outside the lock --- */

void settle(struct fetch *fetch, struct todo *todo)
{
        struct request *request;

        waits_grant(fetch, todo);
        for (struct lane *lane = fetch->lanes; lane; lane = lane->next)
                lane_pump(fetch, lane, todo);
        pthread_mutex_unlock(&fetch->lock);
        request = todo->submit_first;
        while (request) {
                struct request *next = request->next;

                request_submit(request);
                request = next;
        }
        waits_done(todo);
}
