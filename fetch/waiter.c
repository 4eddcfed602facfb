/* waiter.c - who waits for objects, the pins that they are granted, and their deadlines. */
#include "fetch/internal.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

/* What a want will cost of the pin budget, as far as one can know before. */
#define NODE_GUESS   (32u << 10)
#define CHUNKS_GUESS (64u << 10)
#define BLOB_GUESS   (256u << 10)

static uint64_t expected_charge(const struct fetch_want *want)
{
        if (want_size(want) && want->kind == FETCH_BLOB)
                return want_size(want) + sizeof(struct fetch_ref);
        switch (want->kind) {
        case FETCH_NODE:
                return NODE_GUESS;
        case FETCH_BLOB:
                return BLOB_GUESS;
        case FETCH_CHUNKS:
                return CHUNKS_GUESS;
        }
        abort();
}

/* --- lists --- */

static void list_push(struct wait_list *list, struct wait *wait)
{
        wait->list = list;
        wait->next = NULL;
        wait->prev = list->last;
        *(list->last ? &list->last->next : &list->first) = wait;
        list->last = wait;
}

static void list_remove(struct wait *wait)
{
        struct wait_list *list = wait->list;

        if (!list)
                return;
        *(wait->prev ? &wait->prev->next : &list->first) = wait->next;
        *(wait->next ? &wait->next->prev : &list->last) = wait->prev;
        wait->list = NULL;
}

static void link_cut(struct link *link)
{
        if (!link->flight)
                return;
        *(link->prev ? &link->prev->next : &link->flight->links) = link->next;
        if (link->next)
                link->next->prev = link->prev;
        link->flight = NULL;
}

static void link_tie(struct link *link, struct flight *flight)
{
        link->flight = flight;
        link->prev = NULL;
        link->next = flight->links;
        if (flight->links)
                flight->links->prev = link;
        flight->links = link;
}

/* --- the end of a wait --- */

static void drop_refs(struct fetch_waiter *waiter)
{
        for (size_t i = 0; i < waiter->want_count; i++) {
                fetch_unref(waiter->refs[i]);
                waiter->refs[i] = NULL;
        }
}

static void set_charge(struct wait *wait, uint64_t charge)
{
        wait->fetch->granted = wait->fetch->granted - wait->charge + charge;
        wait->charge = charge;
}

/* Nothing is pending any more: settle() will call done(). */
static void wait_over(struct wait *wait, struct todo *todo)
{
        uint64_t charge = 0;

        list_remove(wait);
        if (wait->err) {
                drop_refs(wait->waiter);
        } else {
                for (size_t i = 0; i < wait->waiter->want_count; i++)
                        charge += wait->waiter->refs[i]->charge;
        }
        if (wait->demand)
                set_charge(wait, charge);
        wait->next = NULL;
        *(todo->done_last ? &todo->done_last->next : &todo->done_first) = wait;
        todo->done_last = wait;
}

void waits_done(struct todo *todo)
{
        struct wait *wait = todo->done_first;

        while (wait) {
                struct wait *next = wait->next;
                struct fetch_waiter *waiter = wait->waiter;
                enum hif_err err = wait->err;

                /* A failed wait holds nothing, released or not. */
                if (err) {
                        waiter->internal = NULL;
                        free(wait);
                }
                waiter->done(waiter, err);
                wait = next;
        }
}

void link_resolve(struct link *link, struct fetch_ref *ref, enum hif_err err, struct todo *todo)
{
        struct wait *wait = link->wait;

        link_cut(link);
        if (err) {
                wait->err = wait->err ? wait->err : err;
        } else {
                wait->waiter->refs[link->index] = fetch_ref_get(ref);
        }
        if (--wait->waiter->pending == 0)
                wait_over(wait, todo);
}

/* Give up what is still pending; the downloads go on. */
static void wait_abort(struct wait *wait, enum hif_err err, struct todo *todo)
{
        for (size_t i = 0; i < wait->waiter->want_count; i++)
                link_cut(&wait->links[i]);
        wait->waiter->pending = 0;
        wait->err = err;
        wait_over(wait, todo);
}

void waits_cancel(struct fetch_origin *origin, struct todo *todo)
{
        struct wait_list *lists[] = {&origin->fetch->issued, &origin->fetch->unissued};

        for (size_t i = 0; i < 2; i++) {
                for (struct wait *wait = lists[i]->first; wait;) {
                        struct wait *next = wait->next;

                        if (wait->origin == origin)
                                wait_abort(wait, HIF_ECANCELED, todo);
                        wait = next;
                }
        }
}

/* --- the beginning --- */

static enum hif_err link_begin(struct link *link)
{
        struct wait *wait = link->wait;
        struct fetch *fetch = wait->fetch;
        struct flight *flight;

        wait->waiter->refs[link->index] =
            cache_pin(fetch->cache, link->want.kind, &link->want.hash);
        if (wait->waiter->refs[link->index])
                return HIF_OK;
        flight = flight_find(fetch, &link->want);
        if (!flight)
                flight = flight_start(wait->origin, &link->want, wait->demand, NULL);
        else if (wait->demand)
                flight_demand(fetch, flight);
        if (!flight)
                return HIF_ENOMEM;
        link_tie(link, flight);
        wait->waiter->pending++;
        return HIF_OK;
}

static void wait_issue(struct wait *wait, struct todo *todo)
{
        if (wait->origin->closing)
                wait->err = HIF_ECANCELED;
        for (size_t i = 0; i < wait->waiter->want_count && !wait->err; i++)
                wait->err = link_begin(&wait->links[i]);
        if (wait->waiter->pending == 0)
                wait_over(wait, todo);
        else if (wait->demand)
                list_push(&wait->fetch->issued, wait);
}

static uint64_t charge_of(const struct wait *wait)
{
        uint64_t charge = 0;

        for (size_t i = 0; i < wait->waiter->want_count; i++)
                charge += expected_charge(&wait->links[i].want);
        return charge;
}

/* Half of the RAM tier is for pins; who is alone gets what it wants. */
static bool grant_first(struct fetch *fetch, bool force, struct todo *todo)
{
        struct wait *wait = fetch->unissued.first;
        uint64_t charge;

        if (!wait)
                return false;
        charge = charge_of(wait);
        if (!force && fetch->granted && fetch->granted + charge > fetch->config.ram_max / 2)
                return false;
        list_remove(wait);
        set_charge(wait, charge);
        wait_issue(wait, todo);
        return true;
}

void waits_grant(struct fetch *fetch, struct todo *todo)
{
        while (grant_first(fetch, false, todo))
                ;
}

static struct wait *wait_new(struct fetch_origin *origin, const struct fetch_want *wants,
                             struct fetch_waiter *waiter, bool demand)
{
        size_t count = waiter->want_count;
        struct wait *wait = malloc(sizeof(*wait) + count * sizeof(wait->links[0]));

        if (!wait)
                return NULL;
        *wait = (struct wait){.waiter = waiter,
                              .origin = origin,
                              .fetch = origin->fetch,
                              .demand = demand,
                              .err = HIF_OK};
        for (size_t i = 0; i < count; i++)
                wait->links[i] = (struct link){.wait = wait, .want = wants[i], .index = i};
        waiter->internal = wait;
        return wait;
}

void wait_begin(struct fetch_origin *origin, const struct fetch_want *wants, size_t count,
                struct fetch_waiter *waiter, bool demand)
{
        struct fetch *fetch = origin->fetch;
        struct todo todo = {0};
        struct wait *wait;

        assert(count <= FETCH_WANTS_MAX);
        memset(waiter->refs, 0, sizeof(waiter->refs));
        waiter->want_count = count;
        waiter->pending = 0;
        waiter->err = HIF_OK;
        waiter->next = NULL;
        waiter->internal = NULL;
        wait = wait_new(origin, wants, waiter, demand);
        if (!wait) {
                waiter->done(waiter, HIF_ENOMEM);
                return;
        }
        pthread_mutex_lock(&fetch->lock);
        if (demand) {
                wait->deadline_ns = env_mono_ns(fetch->env) + fetch->config.deadline_ms * 1000000;
                list_push(&fetch->unissued, wait);
                if (fetch->timer_idle) {
                        fetch->timer_idle = false;
                        pthread_cond_signal(&fetch->timer_wake);
                }
        } else {
                wait_issue(wait, &todo);
        }
        settle(fetch, &todo); /* grants */
}

void fetch_want(struct fetch_origin *origin, const struct fetch_want *wants, size_t count,
                struct fetch_waiter *waiter)
{
        wait_begin(origin, wants, count, waiter, true);
}

void fetch_waiter_release(struct fetch_waiter *waiter)
{
        struct wait *wait = waiter->internal;
        struct todo todo = {0};
        struct fetch *fetch;

        if (!wait)
                return;
        fetch = wait->fetch;
        assert(waiter->pending == 0);
        drop_refs(waiter);
        waiter->internal = NULL;
        pthread_mutex_lock(&fetch->lock);
        if (wait->demand)
                set_charge(wait, 0);
        free(wait);
        settle(fetch, &todo);
}

/* --- time --- */

/* Requests that need objects one after the other hold pins while they wait for more. When all of
 * the budget is held so and nobody is being served, no one would ever give anything back: then it
 * is exceeded, by one waiter at a time. */
static void break_stall(struct fetch *fetch, uint64_t now, struct todo *todo)
{
        if (!fetch->unissued.first || fetch->issued.first) {
                fetch->stalled_ns = 0;
        } else if (fetch->stalled_ns == 0) {
                fetch->stalled_ns = now;
        } else if (now - fetch->stalled_ns >= STALL_NS) {
                fetch->stalled_ns = 0;
                grant_first(fetch, true, todo);
        }
}

static void expire(struct wait_list *list, uint64_t now, struct todo *todo)
{
        while (list->first && list->first->deadline_ns <= now)
                wait_abort(list->first, HIF_ETIMEDOUT, todo);
}

/* With the lock held; drops it. */
static void tick(struct fetch *fetch)
{
        uint64_t now = env_mono_ns(fetch->env);
        struct todo todo = {0};

        expire(&fetch->issued, now, &todo);
        expire(&fetch->unissued, now, &todo);
        break_stall(fetch, now, &todo);
        settle(fetch, &todo);
}

void fetch_tick(struct fetch *fetch)
{
        pthread_mutex_lock(&fetch->lock);
        tick(fetch);
}

static void *timer_main(void *arg)
{
        struct fetch *fetch = arg;

        pthread_mutex_lock(&fetch->lock);
        while (!fetch->ending) {
                struct timespec until;

                if (!fetch->issued.first && !fetch->unissued.first) {
                        fetch->timer_idle = true;
                        pthread_cond_wait(&fetch->timer_wake, &fetch->lock);
                        continue;
                }
                clock_gettime(CLOCK_MONOTONIC, &until);
                until.tv_nsec += TICK_MS * 1000000;
                if (until.tv_nsec >= 1000000000) {
                        until.tv_nsec -= 1000000000;
                        until.tv_sec++;
                }
                pthread_cond_timedwait(&fetch->timer_wake, &fetch->lock, &until);
                tick(fetch);
                pthread_mutex_lock(&fetch->lock);
        }
        pthread_mutex_unlock(&fetch->lock);
        return NULL;
}

enum hif_err timer_start(struct fetch *fetch)
{
        sigset_t all, before;
        int errnum;

        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        errnum = pthread_create(&fetch->timer, NULL, timer_main, fetch);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        fetch->timer_running = errnum == 0;
        return errnum ? hif_err_from_errno(errnum) : HIF_OK;
}

void timer_stop(struct fetch *fetch)
{
        if (!fetch->timer_running)
                return;
        pthread_mutex_lock(&fetch->lock);
        fetch->ending = true;
        pthread_cond_signal(&fetch->timer_wake);
        pthread_mutex_unlock(&fetch->lock);
        pthread_join(fetch->timer, NULL);
}
