/* The scheduler, the fibers and the store of the simulation. */
#include "tests/land/sim.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>

#define MS 1000000ull

/* --- chance, words --- */

/* splitmix64 (Steele, Lea and Flood, 2014). */
uint64_t world_rand(struct world *world)
{
        uint64_t z = (world->random += 0x9e3779b97f4a7c15);

        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
}

void world_trace(struct world *world, const char *format, ...)
{
        va_list args;

        if (!world->trace)
                return;
        printf("%9.3f ms  ", (double)world->now_ns / 1e6);
        va_start(args, format);
        vprintf(format, args);
        va_end(args);
        putchar('\n');
}

void world_fail(struct world *world, const char *format, ...)
{
        va_list args;

        if (world->failed)
                return;
        world->failed = true;
        va_start(args, format);
        vsnprintf(world->failure, sizeof(world->failure), format, args);
        va_end(args);
        world_trace(world, "VIOLATION: %s", world->failure);
}

/* --- events: a heap by time, then by order of asking --- */

struct event {
        uint64_t at_ns, order;
        void (*run)(struct world *world, void *arg);
        void *arg;
};

static bool before(const struct event *a, const struct event *b)
{
        return a->at_ns < b->at_ns || (a->at_ns == b->at_ns && a->order < b->order);
}

void world_after(struct world *world, uint64_t delay_ns, void (*run)(struct world *, void *),
                 void *arg)
{
        struct event event = {world->now_ns + delay_ns, world->event_order++, run, arg};
        size_t at = world->event_count++;

        if (at == world->event_capacity) {
                world->event_capacity = at ? at * 2 : 256;
                world->events = realloc(world->events, world->event_capacity * sizeof(event));
                assert(world->events);
        }
        for (; at > 0 && before(&event, &world->events[(at - 1) / 2]); at = (at - 1) / 2)
                world->events[at] = world->events[(at - 1) / 2];
        world->events[at] = event;
}

static struct event take_event(struct world *world)
{
        struct event first = world->events[0];
        struct event last = world->events[--world->event_count];
        size_t at = 0;

        for (;;) {
                size_t child = at * 2 + 1;

                if (child >= world->event_count)
                        break;
                if (child + 1 < world->event_count &&
                    before(&world->events[child + 1], &world->events[child]))
                        child++;
                if (!before(&world->events[child], &last))
                        break;
                world->events[at] = world->events[child];
                at = child;
        }
        world->events[at] = last;
        return first;
}

void world_run(struct world *world)
{
        while (world->event_count > 0) {
                struct event event = take_event(world);

                world->now_ns = event.at_ns;
                event.run(world, event.arg);
        }
}

/* --- the store --- */

/* What a request meets on its way. */
enum fate {
        FATE_FINE,
        FATE_LOST,       /* done, the answer is lost */
        FATE_LATE,       /* the answer is "no answer"; done much later */
        FATE_NEVER,      /* "no answer", and not done */
        FATE_TWICE,      /* done, answered, and done again later */
        FATE_FALSE_LOST, /* done; a resend answers "exists" */
        FATE_REFUSED,    /* certainly not done */
};

struct flight {
        struct flight *prev, *next;
        struct lander *lander;
        struct store_req *req;  /* NULL: nobody waits any more */
        struct store_req inner; /* our own copy, to be done */
        char key[256], prefix[64];
        struct buf body;
        uint64_t sessions; /* for whom it is */
        enum fate fate;
        bool unsent; /* its sender died with it */
        int events;  /* that still name this flight */
};

struct sim_store {
        struct store store;
        struct lander *lander;
        const struct store_req *waited; /* the batch that the fiber waits for; NULL: none */
        size_t waited_count;
};

static const char *op_text(enum store_op op)
{
        static const char *const texts[] = {"GET",       "HEAD",   "PUT", "PUT_NEW",
                                            "PUT_MATCH", "DELETE", "LIST"};

        return texts[op];
}

static const char *short_key(const char *key)
{
        const char *cut = strstr(key, "/p/");

        return cut ? cut + 3 : key;
}

static void forget(struct world *world, struct flight *flight)
{
        if (--flight->events > 0)
                return;
        if (flight->prev)
                flight->prev->next = flight->next;
        else
                world->flights = flight->next;
        if (flight->next)
                flight->next->prev = flight->prev;
        store_req_free(&flight->inner);
        buf_free(&flight->body);
        free(flight);
}

static void finish(struct flight *flight, enum hif_err result)
{
        struct store_req *req = flight->req;

        flight->req = NULL;
        req->back_end = NULL;
        store_done(flight->lander->store, req, result);
}

/* Is all answered that the fiber waits for? Others of its requests may be on their way. */
static bool waits_no_more(const struct sim_store *store)
{
        for (size_t i = 0; i < store->waited_count; i++)
                if (store->waited[i].submitted)
                        return false;
        return true;
}

static bool is_slot(const char *key)
{
        return strstr(key, "/landing-log/") != NULL;
}

/* Something was written: let the checks look at it. */
static void noticed(struct world *world, const struct flight *flight)
{
        const char *key = flight->key;

        if (is_slot(key))
                check_slot(world, strtoull(strrchr(key, '/') + 1, NULL, 10),
                           buf_span(&flight->body));
        else if (strcmp(short_key(key), "head") == 0)
                check_head(world, buf_span(&flight->body));
        else
                note_upload(world, key, flight->sessions);
}

/* Do it, on what is really stored. */
static void carry_out(struct world *world, struct flight *flight)
{
        struct store_req *inner = &flight->inner;

        if (flight->unsent)
                return;
        store_req_free(inner);
        inner->done = NULL;
        store_run(world->inner, inner, 1);
        if (inner->op == STORE_PUT || inner->op == STORE_PUT_NEW || inner->op == STORE_PUT_MATCH) {
                world_trace(world, "store: %s %s of lander %d: %s", op_text(inner->op),
                            short_key(flight->key), flight->lander->number,
                            hif_err_name(inner->result));
                if (inner->result == HIF_OK)
                        noticed(world, flight);
        }
}

static void event_done_late(struct world *world, void *arg)
{
        struct flight *flight = arg;

        carry_out(world, flight);
        forget(world, flight);
}

static void event_answer(struct world *world, void *arg)
{
        struct flight *flight = arg;
        struct store_req *req = flight->req;
        struct sim_store *store = (struct sim_store *)flight->lander->store;
        bool write = flight->inner.op >= STORE_PUT && flight->inner.op <= STORE_DELETE;
        enum hif_err result;

        if (!req) {
                forget(world, flight);
                return;
        }
        switch (flight->fate) {
        case FATE_FINE:
        case FATE_TWICE:
                result = flight->inner.result;
                req->data = flight->inner.data;
                req->size = flight->inner.size;
                req->tag = flight->inner.tag;
                req->list = flight->inner.list;
                flight->inner.data = (struct buf){0};
                flight->inner.list = (struct store_list){0};
                break;
        case FATE_FALSE_LOST:
                result = HIF_ELOST;
                break;
        case FATE_REFUSED:
                result = HIF_EUNREACHABLE;
                break;
        default:
                result = write ? HIF_EUNKNOWN : HIF_EUNREACHABLE;
        }
        if (flight->fate != FATE_FINE && flight->fate != FATE_TWICE)
                world_trace(world, "lander %d: %s %s answered %s", flight->lander->number,
                            op_text(flight->inner.op), short_key(flight->key),
                            hif_err_name(result));
        finish(flight, result);
        forget(world, flight);
        if (store->waited && waits_no_more(store))
                lander_resume(store->lander);
}

static void event_done(struct world *world, void *arg)
{
        struct flight *flight = arg;

        carry_out(world, flight);
        flight->events++;
        world_after(world, world_below(world, 20 * MS), event_answer, flight);
        forget(world, flight);
}

/* The network is gone for a while, most often just when a slot is written. */
static enum fate draw_cut_off(struct world *world, bool write)
{
        static const enum fate fates[] = {FATE_LATE, FATE_NEVER, FATE_REFUSED, FATE_REFUSED};

        return write ? fates[world_below(world, 4)] : FATE_NEVER;
}

static enum fate draw_fate(struct world *world, struct lander *lander, const struct store_req *req)
{
        bool write = req->op >= STORE_PUT && req->op <= STORE_PUT_MATCH;
        uint32_t percent = lander->honest ? 0 : world->fault_percent;

        if (percent > 0 && world_chance(world, req->op == STORE_PUT_NEW ? 5 : 0))
                lander->cut_off_until_ns = world->now_ns + world_below(world, 6000 * MS);
        if (!lander->honest && world->now_ns < lander->cut_off_until_ns)
                return draw_cut_off(world, write);
        if (write && req->op == STORE_PUT_NEW)
                percent *= 4; /* the one that matters */
        if (!world_chance(world, percent))
                return FATE_FINE;
        world->faults++;
        if (!write)
                return world_chance(world, 10) ? FATE_LOST : FATE_FINE;
        switch (world_below(world, 6)) {
        case 0:
                return FATE_LOST;
        case 1:
                return FATE_LATE;
        case 2:
                return FATE_NEVER;
        case 3:
                return FATE_TWICE;
        case 4:
                return req->op == STORE_PUT ? FATE_LOST : FATE_FALSE_LOST;
        default:
                return FATE_REFUSED;
        }
}

static void launch(struct world *world, struct flight *flight)
{
        uint64_t there = world_below(world, 20 * MS);

        switch (flight->fate) {
        case FATE_TWICE:
                flight->events++;
                world_after(world, there + world_below(world, 400 * MS), event_done_late, flight);
                break;
        case FATE_LATE:
                flight->events += 2;
                world_after(world, 30 * MS, event_answer, flight);
                world_after(world, 31 * MS + world_below(world, 3000 * MS), event_done_late,
                            flight);
                return;
        case FATE_NEVER:
        case FATE_REFUSED:
                flight->events++;
                world_after(world, 30 * MS, event_answer, flight);
                return;
        default:
                break;
        }
        flight->events++;
        world_after(world, there, event_done, flight);
}

static struct flight *flight_new(struct lander *lander, struct store_req *req)
{
        struct world *world = lander->world;
        struct flight *flight = calloc(1, sizeof(*flight));

        assert(flight);
        flight->lander = lander;
        flight->req = req;
        flight->sessions = lander->uploading;
        flight->fate = draw_fate(world, lander, req);
        flight->inner = (struct store_req){.op = req->op,
                                           .list_max = req->list_max,
                                           .range_start = req->range_start,
                                           .range_size = req->range_size,
                                           .size_max = req->size_max,
                                           .match = req->match};
        buf_put_span(&flight->body, req->body);
        flight->inner.body = buf_span(&flight->body);
        snprintf(flight->key, sizeof(flight->key), "%s", req->key ? req->key : "");
        snprintf(flight->prefix, sizeof(flight->prefix), "%s", req->prefix ? req->prefix : "");
        flight->inner.key = req->key ? flight->key : NULL;
        flight->inner.prefix = req->prefix ? flight->prefix : NULL;
        flight->next = world->flights;
        if (flight->next)
                flight->next->prev = flight;
        world->flights = flight;
        return flight;
}

void lander_crash(struct lander *lander)
{
        struct world *world = lander->world;

        lander->crashed = true;
        world->crashes++;
        world_trace(world, "lander %d: dies", lander->number);
        /* What was sent is on its way; nobody waits for it. Some had not left the machine yet. */
        for (struct flight *flight = world->flights; flight; flight = flight->next)
                if (flight->lander == lander && flight->req) {
                        flight->unsent = world_chance(world, 30);
                        finish(flight, HIF_ECANCELED);
                }
}

bool lander_dies(struct lander *lander)
{
        if (!lander->crashed && lander->crash_in > 0 && --lander->crash_in == 0)
                return true;
        return false;
}

static void sim_submit(struct store *base, struct store_req *req)
{
        struct sim_store *store = (struct sim_store *)base;
        struct lander *lander = store->lander;
        struct world *world = lander->world;
        bool dies = lander_dies(lander), sent = !dies || world_chance(world, 50);

        world->requests++;
        if (lander->crashed || !sent) {
                if (!lander->crashed)
                        lander_crash(lander);
                store_done(base, req, HIF_ECANCELED);
                return;
        }
        req->back_end = flight_new(lander, req);
        launch(world, req->back_end);
        if (dies)
                lander_crash(lander);
}

static void sim_wait(struct store *base, struct store_req *reqs, size_t count)
{
        struct sim_store *store = (struct sim_store *)base;

        store->waited = reqs;
        store->waited_count = count;
        if (!waits_no_more(store))
                lander_yield(store->lander);
        assert(waits_no_more(store));
        store->waited = NULL;
}

static void sim_close(struct store *base)
{
        free(base);
}

static const char *sim_url(struct store *base)
{
        (void)base;
        return "sim:";
}

struct store *world_store(struct lander *lander)
{
        static const struct store_ops ops = {
            .submit = sim_submit, .wait = sim_wait, .close = sim_close, .url = sim_url};
        struct sim_store *store = calloc(1, sizeof(*store));

        assert(store);
        store_init(&store->store, &ops, &lander->env);
        store->lander = lander;
        return &store->store;
}

/* --- clocks and random numbers of a lander --- */

static uint64_t lander_wall_ns(struct env *env)
{
        struct lander *lander = env->state;

        return (uint64_t)((int64_t)(1700000000000000000ull + lander->world->now_ns) +
                          lander->skew_ns);
}

static uint64_t lander_mono_ns(struct env *env)
{
        struct lander *lander = env->state;

        return lander->world->now_ns + 1;
}

static void lander_random(struct env *env, void *out, size_t size)
{
        struct lander *lander = env->state;

        for (size_t i = 0; i < size; i++)
                ((uint8_t *)out)[i] = (uint8_t)world_rand(lander->world);
}

struct env world_env(struct lander *lander)
{
        static const struct env_ops ops = {
            .wall_ns = lander_wall_ns, .mono_ns = lander_mono_ns, .random = lander_random};

        return (struct env){.ops = &ops, .state = lander};
}

/* --- beginning and end --- */

static void lander_init(struct world *world, struct lander *lander, int number)
{
        lander->world = world;
        lander->number = number;
        lander->env = world_env(lander);
        lander->store = world_store(lander);
}

bool world_init(struct world *world, uint64_t seed, bool trace)
{
        *world = (struct world){.seed = seed, .random = seed * 0x2545f4914f6cdd1d, .trace = trace};
        paths_by_key(world->by_key);
        world->landers[LANDERS_MAX].world = world;
        world->landers[LANDERS_MAX].number = LANDERS_MAX;
        world->env = world_env(&world->landers[LANDERS_MAX]);
        if (store_mem_new(&world->env, &world->inner) != HIF_OK)
                return false;
        for (int i = 0; i < LANDERS_MAX; i++)
                lander_init(world, &world->landers[i], i);
        for (int i = 0; i < HELPERS_MAX; i++)
                lander_init(world, &world->helpers[i], LANDERS_MAX + 1 + i);
        return true;
}

void world_free(struct world *world)
{
        for (int i = 0; i < LANDERS_MAX + HELPERS_MAX; i++) {
                struct lander *lander =
                    i < LANDERS_MAX ? &world->landers[i] : &world->helpers[i - LANDERS_MAX];

                store_close(lander->store);
                for (int m = 0; m < MEMBERS_MAX; m++)
                        land_intent_free(&lander->members[m].intent);
                land_line_free(lander->line);
                lander_free(lander);
        }
        node_reader_free(world->reader);
        store_close(world->inner);
        free(world->uploads);
        free(world->events);
}
