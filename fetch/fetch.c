/* fetch.c - making and ending it: tiers, origins, figures. */
#include "fetch/internal.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

static void set_defaults(struct fetch_config *config)
{
        if (!config->ram_max)
                config->ram_max = RAM_MAX_DEFAULT;
        if (!config->requests_max)
                config->requests_max = REQUESTS_MAX_DEFAULT;
        if (!config->deadline_ms)
                config->deadline_ms = DEADLINE_MS_DEFAULT;
}

static void conditions_init(struct fetch *fetch)
{
        pthread_condattr_t attr;

        pthread_mutex_init(&fetch->lock, NULL);
        pthread_cond_init(&fetch->changed, NULL);
        pthread_condattr_init(&attr);
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        pthread_cond_init(&fetch->timer_wake, &attr);
        pthread_condattr_destroy(&attr);
}

enum hif_err fetch_new(struct env *env, struct pool *pool, const struct fetch_config *config,
                       struct fetch **out, struct hif_why *why)
{
        struct fetch *fetch = calloc(1, sizeof(*fetch));
        enum hif_err err;

        if (!fetch)
                return why_set(why, HIF_ENOMEM, "out of memory");
        fetch->env = env;
        fetch->pool = pool;
        fetch->config = *config;
        fetch->config.ssd_dir = NULL; /* borrowed for this call */
        set_defaults(&fetch->config);
        conditions_init(fetch);
        runners_init(fetch);
        err = cache_new(fetch->config.ram_max, &fetch->cache);
        if (err)
                why_set(why, err, "out of memory");
        if (!err && config->ssd_max)
                err = ssd_open(env, config->ssd_dir, config->ssd_max, &fetch->ssd, why);
        if (!err && !config->no_timer) {
                err = timer_start(fetch);
                if (err)
                        why_set(why, err, "no thread could be started: %s", hif_strerror(err));
        }
        if (err) {
                fetch_free(fetch);
                return err;
        }
        *out = fetch;
        return HIF_OK;
}

void fetch_free(struct fetch *fetch)
{
        if (!fetch)
                return;
        fetch_quiesce(fetch);
        timer_stop(fetch);
        pool_drain(fetch->pool); /* of runners that find nothing to do */
        for (size_t i = 0; i < RUNNERS; i++)
                assert(fetch->runners[i].idle);
        assert(!fetch->lanes && !fetch->issued.first && !fetch->unissued.first);
        codecs_free(fetch);
        ssd_close(fetch->ssd);
        cache_free(fetch->cache);
        map_free(&fetch->flights);
        pthread_cond_destroy(&fetch->timer_wake);
        pthread_cond_destroy(&fetch->changed);
        pthread_mutex_destroy(&fetch->lock);
        free(fetch);
}

/* With the lock held. */
static bool is_quiet(void *arg)
{
        const struct fetch *fetch = arg;

        return fetch->flight_count == 0 && fetch->work_running == 0 && !fetch->work[0].first &&
               !fetch->work[1].first;
}

void fetch_quiesce(struct fetch *fetch)
{
        help_until(fetch, is_quiet, fetch);
}

struct fetch_stats fetch_stats(struct fetch *fetch)
{
        struct fetch_stats stats;

        pthread_mutex_lock(&fetch->lock);
        stats = fetch->stats;
        pthread_mutex_unlock(&fetch->lock);
        cache_stats(fetch->cache, &stats);
        if (fetch->ssd)
                stats.ssd_bytes = ssd_bytes(fetch->ssd);
        return stats;
}

enum hif_err fetch_peek(struct fetch *fetch, enum fetch_kind kind, const struct hif_hash *hash,
                        struct fetch_ref **out)
{
        struct fetch_ref *ref = cache_peek(fetch->cache, kind, hash);

        if (!ref)
                return HIF_EMISS;
        *out = ref;
        return HIF_OK;
}

/* --- origins --- */

/* With the lock held; NULL: out of memory. */
static struct lane *lane_for(struct fetch *fetch, struct store *store)
{
        struct lane *lane = fetch->lanes;

        while (lane && lane->store != store)
                lane = lane->next;
        if (!lane) {
                lane = calloc(1, sizeof(*lane));
                if (!lane)
                        return NULL;
                lane->store = store;
                lane->use_ssd = fetch->ssd && (!store->local || fetch->config.ssd_for_local);
                lane->next = fetch->lanes;
                fetch->lanes = lane;
        }
        lane->origins++;
        return lane;
}

enum hif_err fetch_origin_new(struct fetch *fetch, struct store *store, const struct layout *layout,
                              struct fetch_origin **out)
{
        struct fetch_origin *origin = calloc(1, sizeof(*origin));

        if (!origin)
                return HIF_ENOMEM;
        origin->fetch = fetch;
        origin->layout = *layout;
        pthread_mutex_lock(&fetch->lock);
        origin->lane = lane_for(fetch, store);
        pthread_mutex_unlock(&fetch->lock);
        if (!origin->lane) {
                free(origin);
                return HIF_ENOMEM;
        }
        if (origin->lane->use_ssd)
                ssd_hold_nodes(fetch->ssd);
        *out = origin;
        return HIF_OK;
}

void fetch_origin_set_locator(struct fetch_origin *origin, struct fetch_locator locator)
{
        origin->locator = locator;
}

static void cancel_queue(struct fetch_origin *origin, struct flight_queue *queue, struct todo *todo)
{
        for (struct flight *flight = queue->first; flight;) {
                struct flight *next = flight->next;

                if (flight->origin == origin) {
                        flight_unqueue(flight);
                        flight_fail(origin->fetch, flight, HIF_ECANCELED, todo);
                }
                flight = next;
        }
}

/* A request of the origin may outlive its flights by a moment. */
static bool origin_is_quiet(void *arg)
{
        const struct fetch_origin *origin = arg;
        const struct lane *lane = origin->lane;

        return origin->users == 0 &&
               (lane->origins > 1 || (lane->demand_in_flight == 0 && lane->hints_in_flight == 0));
}

static void lane_leave(struct fetch *fetch, struct lane *lane)
{
        struct lane **at = &fetch->lanes;

        if (--lane->origins > 0)
                return;
        while (*at != lane)
                at = &(*at)->next;
        *at = lane->next;
        free(lane);
}

void fetch_origin_free(struct fetch_origin *origin)
{
        struct fetch *fetch;
        struct todo todo = {0};

        if (!origin)
                return;
        fetch = origin->fetch;
        pthread_mutex_lock(&fetch->lock);
        origin->closing = true;
        waits_cancel(origin, &todo);
        cancel_queue(origin, &origin->lane->demand, &todo);
        cancel_queue(origin, &origin->lane->hints, &todo);
        settle(fetch, &todo);
        help_until(fetch, origin_is_quiet, origin);
        if (origin->lane->use_ssd)
                ssd_release_nodes(fetch->ssd);
        pthread_mutex_lock(&fetch->lock);
        lane_leave(fetch, origin->lane);
        pthread_mutex_unlock(&fetch->lock);
        free(origin);
}
