/* request.c - from queued flights to requests at a store, and what became of them. */
#include "fetch/internal.h"

#include "base/log.h"
#include "fetch/plan.h"

#include <assert.h>
#include <stdlib.h>

#define GATHER_MAX      1024        /* flights looked at for neighbours in a pack */
#define OBJECT_GUESS    (64u << 10) /* bytes, where nothing is known */
#define STORED_SIZE_MAX (BODY_FRAME_MAX + (64u << 10))
#define WINDOW_MIN      (8u << 20) /* bytes in flight that are always allowed */

/* --- queues --- */

static struct flight_queue *queue_of(struct flight *flight)
{
        struct lane *lane = flight->origin->lane;

        return flight->demand ? &lane->demand : &lane->hints;
}

static void flight_queue(struct flight *flight)
{
        struct flight_queue *queue = queue_of(flight);

        assert(!flight->queued);
        flight->queued = true;
        flight->next = NULL;
        flight->prev = queue->last;
        *(queue->last ? &queue->last->next : &queue->first) = flight;
        queue->last = flight;
}

void flight_unqueue(struct flight *flight)
{
        struct flight_queue *queue = queue_of(flight);

        assert(flight->queued);
        *(flight->prev ? &flight->prev->next : &queue->first) = flight->next;
        *(flight->next ? &flight->next->prev : &queue->last) = flight->prev;
        flight->queued = false;
}

void flight_route(struct fetch *fetch, struct flight *flight, bool try_ssd)
{
        const struct fetch_want *want = &flight->want;

        if (try_ssd && flight->origin->lane->use_ssd &&
            ssd_has(fetch->ssd, want->kind, &want->hash)) {
                flight->work.run = flight_read_ssd;
                work_push(fetch, &flight->work, flight->demand);
        } else {
                flight_queue(flight);
        }
}

/* --- sending --- */

static void request_arrived(struct store_req *req);

static struct request *request_new(struct fetch *fetch, struct lane *lane, size_t count)
{
        struct request *request = calloc(1, sizeof(*request) + count * sizeof(request->flights[0]));

        if (!request)
                return NULL;
        request->fetch = fetch;
        request->lane = lane;
        request->req.op = STORE_GET;
        request->req.size_max = STORED_SIZE_MAX;
        request->req.done = request_arrived;
        return request;
}

static void request_take(struct request *request, struct flight *flight)
{
        flight_unqueue(flight);
        flight->request = request;
        request->flights[request->count++] = flight;
}

static struct request *request_for_object(struct fetch *fetch, struct lane *lane,
                                          struct flight *flight)
{
        struct request *request = request_new(fetch, lane, 1);
        const struct layout *layout = &flight->origin->layout;

        if (!request)
                return NULL;
        request->bytes = want_size(&flight->want) ? want_size(&flight->want) : OBJECT_GUESS;
        request->key = flight->want.kind == FETCH_NODE ? layout_node(layout, &flight->want.hash)
                                                       : layout_blob(layout, &flight->want.hash);
        request_take(request, flight);
        return request;
}

/* Flights of the queue that lie in the same pack as `seed`, itself included. */
static size_t gather(struct flight *seed, struct plan_item items[GATHER_MAX])
{
        size_t count = 0;
        struct flight *flight = seed; /* the first of its queue */

        for (int looked = 0; flight && looked < GATHER_MAX; flight = flight->next, looked++) {
                const struct pack_loc *loc = &flight->want.loc;

                if (flight->use_pack && flight->origin == seed->origin &&
                    hash_eq(&loc->pack, &seed->want.loc.pack))
                        items[count++] = (struct plan_item){
                            .offset = loc->offset, .size = loc->size, .arg = flight};
        }
        return count;
}

static struct request *request_for_range(struct fetch *fetch, struct lane *lane,
                                         struct flight *seed)
{
        struct plan_item items[GATHER_MAX];
        size_t count = gather(seed, items);
        struct plan_range range = plan_around(items, count, seed);
        struct request *request = request_new(fetch, lane, range.count);

        if (!request)
                return NULL;
        request->bytes = range.size;
        request->req.range_start = range.start;
        request->req.range_size = range.size;
        request->req.size_max = range.size;
        request->key = layout_pack(&seed->origin->layout, &seed->want.loc.pack);
        for (size_t i = 0; i < range.count; i++)
                request_take(request, items[range.first + i].arg);
        return request;
}

/* The first flight of a queue and what goes well with it. */
static void send(struct fetch *fetch, struct lane *lane, struct flight *flight, struct todo *todo)
{
        struct request *request = flight->use_pack ? request_for_range(fetch, lane, flight)
                                                   : request_for_object(fetch, lane, flight);

        if (!request) {
                flight_unqueue(flight);
                flight_fail(fetch, flight, HIF_ENOMEM, todo);
                return;
        }
        request->demand = flight->demand;
        *(request->demand ? &lane->demand_in_flight : &lane->hints_in_flight) += 1;
        lane->bytes_in_flight += request->bytes;
        fetch->stats.store_requests++;
        *(todo->submit_last ? &todo->submit_last->next : &todo->submit_first) = request;
        todo->submit_last = request;
}

void lane_pump(struct fetch *fetch, struct lane *lane, struct todo *todo)
{
        uint64_t window = fetch->config.ram_max / 4;
        uint32_t hints_max = fetch->config.requests_max / 2 ? fetch->config.requests_max / 2 : 1;

        if (window < WINDOW_MIN)
                window = WINDOW_MIN;
        while (lane->demand.first && lane->demand_in_flight < fetch->config.requests_max &&
               lane->bytes_in_flight < window)
                send(fetch, lane, lane->demand.first, todo);
        while (!lane->demand.first && lane->hints.first && lane->hints_in_flight < hints_max &&
               lane->bytes_in_flight < window / 2)
                send(fetch, lane, lane->hints.first, todo);
}

void request_submit(struct request *request)
{
        request->req.key = request->key.text;
        store_submit(request->lane->store, &request->req);
}

/* --- arriving --- */

/* On a thread of the store's, perhaps inside store_submit: the work is for the pool. */
static void request_run(struct fetch *fetch, struct work *work);

static void request_arrived(struct store_req *req)
{
        struct request *request = (struct request *)req;
        struct fetch *fetch = request->fetch;
        bool demand = request->demand;

        pthread_mutex_lock(&fetch->lock);
        for (size_t i = 0; i < request->count && !demand; i++)
                demand = request->flights[i]->demand;
        request->work.run = request_run;
        work_push(fetch, &request->work, demand);
        pthread_mutex_unlock(&fetch->lock);
}

/* Who reads gets EIO and no reason: it is in the log. (The log itself limits how often.) */
static void log_failure(struct fetch *fetch, const struct flight *flight, enum hif_err err)
{
        static const char *const kinds[] = {
            [FETCH_NODE] = "tree node", [FETCH_BLOB] = "blob", [FETCH_CHUNKS] = "chunk list"};
        char hex[HIF_HASH_HEX_SIZE];

        hash_to_hex(&flight->want.hash, hex);
        log_line(fetch->env->log, LOG_WARN, "fetch",
                 "the %s %s could not be read from the store: %s", kinds[flight->want.kind], hex,
                 hif_strerror(err));
}

static void give_up(struct fetch *fetch, struct flight *flight, enum hif_err err, struct todo *todo)
{
        log_failure(fetch, flight, err);
        flight_fail(fetch, flight, err, todo);
}

/* --- elsewhere --- */

/* Only small contents lie in packs; and a hint is not worth the search. */
static bool may_be_elsewhere(const struct flight *flight, enum hif_err err)
{
        return flight->origin->locator.find != NULL && flight->demand &&
               flight->want.kind == FETCH_BLOB && flight->want.size > 0 &&
               flight->want.size <= BODY_PACK_BLOB_MAX &&
               (err == HIF_ENOENT || err == HIF_ECORRUPT);
}

static bool try_next_place(struct fetch *fetch, struct flight *flight)
{
        if (flight->places_tried == flight->place_count)
                return false;
        flight->want.loc = flight->places[flight->places_tried++];
        flight->use_pack = true;
        flight->refetched = false;
        flight_route(fetch, flight, false);
        return true;
}

/* The work of a lane: asks for the places of one flight, and comes again for the next one. */
static void look_for_first(struct fetch *fetch, struct work *work)
{
        struct lane *lane = (struct lane *)((char *)work - offsetof(struct lane, look));
        struct pack_loc *places = malloc(FETCH_PLACES_MAX * sizeof(*places));
        struct fetch_locator locator;
        struct todo todo = {0};
        struct fetch_want want;
        struct flight *flight;
        bool closing;
        size_t count = 0;

        pthread_mutex_lock(&fetch->lock);
        flight = lane->lost.first;
        lane->lost.first = flight->next;
        if (flight->next == NULL)
                lane->lost.last = NULL;
        locator = flight->origin->locator;
        closing = flight->origin->closing;
        want = flight->want;
        pthread_mutex_unlock(&fetch->lock);
        if (places != NULL && !closing)
                count = locator.find(locator.arg, &want.hash, want.size, places, FETCH_PLACES_MAX);
        pthread_mutex_lock(&fetch->lock);
        free(flight->places);
        flight->places = places;
        flight->place_count = count;
        flight->places_tried = 0;
        if (!try_next_place(fetch, flight))
                give_up(fetch, flight, flight->err, &todo);
        lane->looking = lane->lost.first != NULL;
        if (lane->looking)
                work_push(fetch, &lane->look, true);
        settle(fetch, &todo);
}

/* With the lock held. */
static void look_elsewhere(struct fetch *fetch, struct flight *flight)
{
        struct lane *lane = flight->origin->lane;

        flight->next = NULL;
        *(lane->lost.last ? &lane->lost.last->next : &lane->lost.first) = flight;
        lane->lost.last = flight;
        if (lane->looking)
                return;
        lane->looking = true;
        lane->look.run = look_for_first;
        work_push(fetch, &lane->look, true);
}

/* --- failing --- */

/* With the lock held: a flight came back from the store with an error. Where next? A location gets
 * two tries when its bytes are wrong, then the object's own name gets as many, then each place that
 * the locator knows. */
static void store_failed(struct fetch *fetch, struct flight *flight, enum hif_err err,
                         struct todo *todo)
{
        bool wrong = err == HIF_ECORRUPT || err == HIF_EUNSUPPORTED;
        bool elsewhere = false;

        if (wrong)
                fetch->stats.corrupt++;
        if (wrong && !flight->refetched) {
                flight->refetched = true;
                fetch->stats.refetched++;
                flight_route(fetch, flight, false);
                return;
        }
        if (flight->use_pack && !flight->looked) {
                flight->use_pack = false;
                flight->refetched = false;
                flight->pack_err = err;
                flight_route(fetch, flight, false);
                return;
        }
        if (!flight->looked) {
                elsewhere = may_be_elsewhere(flight, err);
                /* Small blobs often have no object of their own: then the reason is the pack's,
                 * unless that just has no such range. */
                flight->err =
                    err == HIF_ENOENT && flight->pack_err && flight->pack_err != HIF_EINVAL
                        ? flight->pack_err
                        : err;
                flight->looked = true;
        }
        if (elsewhere)
                look_elsewhere(fetch, flight);
        else if (!try_next_place(fetch, flight))
                give_up(fetch, flight, flight->err, todo);
}

static void count_arrival(struct fetch *fetch, enum fetch_kind kind)
{
        switch (kind) {
        case FETCH_NODE:
                fetch->stats.store_nodes++;
                break;
        case FETCH_BLOB:
                fetch->stats.store_blobs++;
                break;
        case FETCH_CHUNKS:
                fetch->stats.store_chunk_lists++;
                break;
        }
}

/* The flight's part of what arrived. */
static enum hif_err stored_span(const struct request *request, const struct flight *flight,
                                struct span *out)
{
        const struct store_req *req = &request->req;
        struct span all = buf_span(&req->data);
        uint64_t at;

        if (req->result == HIF_ELIMIT)
                return HIF_ECORRUPT; /* larger than any object */
        if (req->result)
                return req->result;
        if (!req->range_size) {
                *out = all;
                return HIF_OK;
        }
        at = flight->want.loc.offset - req->range_start;
        if (at > all.size || flight->want.loc.size > all.size - at)
                return HIF_ECORRUPT;
        *out = span_of(all.data + at, flight->want.loc.size);
        return HIF_OK;
}

/* Decode, check, hand out. The object with a pin, or NULL. */
static struct fetch_ref *arrive(struct fetch *fetch, struct request *request, struct flight *flight)
{
        AUTO_BUF struct buf content = {0};
        struct todo todo = {0};
        struct fetch_ref *ref = NULL;
        struct span stored;
        enum hif_err err = stored_span(request, flight, &stored);

        if (!err)
                err = object_decode(fetch, &flight->want, request->req.range_size > 0, stored,
                                    &content);
        if (!err)
                cache_make_room(fetch->cache, content.size);
        pthread_mutex_lock(&fetch->lock);
        flight->request = NULL;
        if (err) {
                store_failed(fetch, flight, err, &todo);
        } else {
                count_arrival(fetch, flight->want.kind);
                fetch->stats.elsewhere += flight->looked;
                ref = flight_land(fetch, flight, &content, &todo);
        }
        settle(fetch, &todo);
        return ref;
}

static void keep_on_ssd(struct fetch *fetch, struct fetch_ref *ref)
{
        if (ref)
                ssd_put(fetch->ssd, ref->kind, &ref->hash, fetch_ref_bytes(ref));
        fetch_unref(ref);
}

/* Of the flights from `at` on, those that somebody waits for come first: a hint's request may hold
 * hundreds. */
static void bring_forward(struct fetch *fetch, struct request *request, size_t at)
{
        if (!request->raised)
                return;
        pthread_mutex_lock(&fetch->lock);
        request->raised = false;
        for (size_t i = at; i < request->count; i++) {
                struct flight *flight = request->flights[i];

                if (flight->demand) {
                        request->flights[i] = request->flights[at];
                        request->flights[at++] = flight;
                }
        }
        pthread_mutex_unlock(&fetch->lock);
}

static void request_run(struct fetch *fetch, struct work *work)
{
        struct request *request = (struct request *)((char *)work - offsetof(struct request, work));
        struct lane *lane = request->lane;
        struct fetch_ref *refs[PLAN_ITEMS_MAX];
        size_t count = request->count;
        struct todo todo = {0};

        for (size_t i = 0; i < count; i++) {
                bring_forward(fetch, request, i);
                refs[i] = arrive(fetch, request, request->flights[i]);
                if (!lane->use_ssd) {
                        fetch_unref(refs[i]);
                        refs[i] = NULL;
                }
        }
        pthread_mutex_lock(&fetch->lock);
        *(request->demand ? &lane->demand_in_flight : &lane->hints_in_flight) -= 1;
        lane->bytes_in_flight -= request->bytes;
        fetch->stats.store_bytes += request->req.data.size;
        settle(fetch, &todo);
        store_req_free(&request->req);
        free(request);
        for (size_t i = 0; i < count; i++)
                if (refs[i])
                        keep_on_ssd(fetch, refs[i]);
}

void flight_read_ssd(struct fetch *fetch, struct work *work)
{
        struct flight *flight = (struct flight *)((char *)work - offsetof(struct flight, work));
        const struct fetch_want *want = &flight->want;
        AUTO_BUF struct buf content = {0};
        struct todo todo = {0};
        struct fetch_ref *ref = NULL;
        enum hif_err err = ssd_get(fetch->ssd, want->kind, &want->hash, &content);

        if (!err) {
                err = object_check(want->kind, &want->hash, buf_span(&content));
                if (err)
                        ssd_drop(fetch->ssd, want->kind, &want->hash);
        }
        if (!err)
                cache_make_room(fetch->cache, content.size);
        pthread_mutex_lock(&fetch->lock);
        if (err) {
                fetch->stats.corrupt += err == HIF_ECORRUPT;
                flight_route(fetch, flight, false);
        } else {
                fetch->stats.ssd_hits++;
                ref = flight_land(fetch, flight, &content, &todo);
        }
        settle(fetch, &todo);
        fetch_unref(ref);
}
