/* The engine: queues before a fixed number of connections, and the thread that serves them. */
#include "store/s3/http_impl.h"

#include <assert.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define POLL_MAX_MS    1000
#define SILENT_POLL_MS 100 /* where silence ends it */
/* Our clocks may be so far apart; else the machine slept, or somebody has set the time. */
#define CLOCK_APART_NS UINT64_C(10000000000)

/* --- queues --- */

static void queue_init(struct http_queue *queue)
{
        queue->first = NULL;
        queue->last = &queue->first;
}

static void queue_push(struct http_queue *queue, struct http_req *req)
{
        req->next = NULL;
        *queue->last = req;
        queue->last = &req->next;
}

static struct http_req *queue_pop(struct http_queue *queue)
{
        struct http_req *req = queue->first;

        if (!req)
                return NULL;
        queue->first = req->next;
        if (!queue->first)
                queue->last = &queue->first;
        req->next = NULL;
        return req;
}

/* All of `from` behind `to`, in order. */
static void queue_move(struct http_queue *to, struct http_queue *from)
{
        if (!from->first)
                return;
        *to->last = from->first;
        to->last = from->last;
        queue_init(from);
}

static bool is_bulk(const struct http_req *req)
{
        return req->body.size >= HTTP_BULK_SIZE;
}

static void make_ready(struct http *http, struct http_req *req)
{
        queue_push(is_bulk(req) ? &http->bulk : &http->small, req);
}

static void make_delayed(struct http *http, struct http_req *req)
{
        struct http_req **at = &http->delayed;

        while (*at && (*at)->due_ns <= req->due_ns)
                at = &(*at)->next;
        req->next = *at;
        *at = req;
}

/* --- from other threads --- */

void http_submit_after(struct http *http, struct http_req *req, uint64_t delay_ns)
{
        bool first, stopped;

        assert(!req->active && req->done);
        req->active = true;
        req->http = http;
        req->due_ns = delay_ns > 0 ? env_mono_ns(http->env) + delay_ns : 0;
        pthread_mutex_lock(&http->mutex);
        stopped = http->ended;
        first = !http->incoming.first;
        if (!stopped)
                queue_push(&http->incoming, req);
        pthread_mutex_unlock(&http->mutex);
        if (stopped) {
                req->active = false;
                req->outcome = HTTP_CANCELED;
                req->failure = HIF_ECANCELED;
                req->done(req);
        } else if (first) {
                curl_multi_wakeup(http->multi);
        }
}

void http_submit(struct http *http, struct http_req *req)
{
        http_submit_after(http, req, 0);
}

void http_wake(struct http *http)
{
        pthread_mutex_lock(&http->mutex);
        http->wake_parked = true;
        pthread_mutex_unlock(&http->mutex);
        curl_multi_wakeup(http->multi);
}

void http_stop(struct http *http)
{
        pthread_mutex_lock(&http->mutex);
        http->stop = true;
        pthread_mutex_unlock(&http->mutex);
        curl_multi_wakeup(http->multi);
}

void http_stop_silent(struct http *http, uint64_t silent_ms)
{
        pthread_mutex_lock(&http->mutex);
        http->silent_max_ns = silent_ms * 1000000;
        pthread_mutex_unlock(&http->mutex);
        curl_multi_wakeup(http->multi);
}

bool http_date(struct http *http, uint64_t *wall_ns)
{
        uint64_t since_mono, since_wall;
        bool known;

        pthread_mutex_lock(&http->mutex);
        since_mono = env_mono_ns(http->env) - http->date_mono_ns;
        since_wall = env_wall_ns(http->env) - http->date_wall_ns;
        known = http->date_ns > 0 && since_wall - since_mono + CLOCK_APART_NS < 2 * CLOCK_APART_NS;
        if (known)
                *wall_ns = http->date_ns + since_mono;
        pthread_mutex_unlock(&http->mutex);
        return known;
}

uint64_t http_connections(struct http *http)
{
        return __atomic_load_n(&http->connections, __ATOMIC_RELAXED);
}

/* --- the thread --- */

static void finish(struct http_req *req)
{
        req->active = false;
        req->done(req);
}

static void cancel(struct http_req *req, enum hif_err failure)
{
        req->outcome = HTTP_CANCELED;
        req->failure = failure;
        finish(req);
}

static void slot_release(struct http *http, struct http_slot *slot)
{
        slot->req = NULL;
        http->running--;
        http->running_bulk -= slot->bulk;
        slot->next_free = http->free_slots;
        http->free_slots = slot;
}

/* Send one request; what cannot be sent is answered, or parked. */
static void start(struct http *http, struct http_req *req)
{
        enum hif_err err = req->prepare ? req->prepare(req) : HIF_OK;
        struct http_slot *slot = http->free_slots;

        if (err == HIF_EAGAIN) {
                queue_push(&http->parked, req);
                return;
        }
        if (err) {
                cancel(req, err);
                return;
        }
        http->free_slots = slot->next_free;
        slot->req = req;
        slot->bulk = is_bulk(req);
        http->running++;
        http->running_bulk += slot->bulk;
        if (http_slot_start(http, slot) == HIF_OK &&
            curl_multi_add_handle(http->multi, slot->easy) == CURLM_OK)
                return;
        slot_release(http, slot);
        cancel(req, HIF_ENOMEM);
}

/* Uploads neither keep reads waiting nor wait for ever behind them. */
static struct http_req *next_ready(struct http *http)
{
        struct http_req *req = NULL;

        if (http->running_bulk < HTTP_BULK_MIN)
                req = queue_pop(&http->bulk);
        if (!req)
                req = queue_pop(&http->small);
        if (!req && http->running_bulk < HTTP_BULK_MAX)
                req = queue_pop(&http->bulk);
        return req;
}

static void start_ready(struct http *http)
{
        while (http->running < HTTP_CONNECTIONS) {
                struct http_req *req = next_ready(http);

                if (!req)
                        return;
                start(http, req);
        }
}

static void take_delayed(struct http *http)
{
        uint64_t now = http->delayed ? env_mono_ns(http->env) : 0;

        while (http->delayed && http->delayed->due_ns <= now) {
                struct http_req *req = http->delayed;

                http->delayed = req->next;
                make_ready(http, req);
        }
}

/* Has the server said nothing for silent_max_ns? Silence begins with what is asked. */
static bool is_silent(struct http *http, uint64_t silent_max_ns)
{
        uint64_t now = env_mono_ns(http->env);
        bool busy = http->running > 0 || http->delayed || http->parked.first || http->small.first ||
                    http->bulk.first;

        if (!busy || !http->busy)
                http->heard_ns = now;
        http->busy = busy;
        return silent_max_ns > 0 && now - http->heard_ns >= silent_max_ns;
}

/* Take over what other threads have left; false: it is time to end. */
static bool take_incoming(struct http *http)
{
        struct http_queue taken;
        struct http_req *req;
        uint64_t silent_max_ns;
        bool wake, stop;

        queue_init(&taken);
        pthread_mutex_lock(&http->mutex);
        queue_move(&taken, &http->incoming);
        wake = http->wake_parked;
        http->wake_parked = false;
        stop = http->stop;
        silent_max_ns = http->silent_max_ns;
        pthread_mutex_unlock(&http->mutex);
        while ((req = queue_pop(&taken)) != NULL) {
                if (req->due_ns > 0)
                        make_delayed(http, req);
                else
                        make_ready(http, req);
        }
        if (wake) {
                while ((req = queue_pop(&http->parked)) != NULL)
                        make_ready(http, req);
        }
        return !stop && !is_silent(http, silent_max_ns);
}

static void take_finished(struct http *http)
{
        struct CURLMsg *message;
        int left;

        while ((message = curl_multi_info_read(http->multi, &left)) != NULL) {
                CURLcode code = message->data.result;
                struct http_slot *slot = NULL;
                struct http_req *req;
                CURLcode got =
                    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&slot);

                assert(got == CURLE_OK && slot && slot->req);
                (void)got;
                req = slot->req;
                http_slot_finish(http, slot, code);
                curl_multi_remove_handle(http->multi, slot->easy);
                slot_release(http, slot);
                finish(req);
        }
}

static int poll_ms(struct http *http)
{
        uint64_t now, left_ms;
        int max_ms;

        pthread_mutex_lock(&http->mutex);
        max_ms = http->silent_max_ns > 0 ? SILENT_POLL_MS : POLL_MAX_MS;
        pthread_mutex_unlock(&http->mutex);
        if (!http->delayed)
                return max_ms;
        now = env_mono_ns(http->env);
        if (http->delayed->due_ns <= now)
                return 0;
        left_ms = (http->delayed->due_ns - now) / 1000000 + 1;
        return left_ms < (uint64_t)max_ms ? (int)left_ms : max_ms;
}

static bool has_startable(const struct http *http)
{
        if (http->running >= HTTP_CONNECTIONS)
                return false;
        return http->small.first || (http->bulk.first && http->running_bulk < HTTP_BULK_MAX);
}

static void cancel_queue(struct http_queue *queue)
{
        struct http_req *req;

        while ((req = queue_pop(queue)) != NULL)
                cancel(req, HIF_ECANCELED);
}

/* Everything is answered; what done() submits meanwhile, too. */
static void cancel_all(struct http *http)
{
        bool ended = false;

        for (size_t i = 0; i < HTTP_CONNECTIONS; i++) {
                struct http_slot *slot = &http->slots[i];
                struct http_req *req = slot->req;

                if (!req)
                        continue;
                curl_multi_remove_handle(http->multi, slot->easy);
                slot_release(http, slot);
                if (req->data)
                        buf_free(req->data);
                cancel(req, HIF_ECANCELED);
        }
        while (!ended) {
                (void)take_incoming(http);
                while (http->delayed) {
                        struct http_req *req = http->delayed;

                        http->delayed = req->next;
                        cancel(req, HIF_ECANCELED);
                }
                cancel_queue(&http->parked);
                cancel_queue(&http->small);
                cancel_queue(&http->bulk);
                pthread_mutex_lock(&http->mutex);
                ended = http->ended = !http->incoming.first;
                pthread_mutex_unlock(&http->mutex);
        }
}

static void *run(void *arg)
{
        struct http *http = arg;
        int running;

        while (take_incoming(http)) {
                take_delayed(http);
                start_ready(http);
                curl_multi_perform(http->multi, &running);
                take_finished(http);
                if (!has_startable(http))
                        curl_multi_poll(http->multi, NULL, 0, poll_ms(http), NULL);
        }
        cancel_all(http);
        return NULL;
}

/* --- opening and closing --- */

static void http_destroy(struct http *http)
{
        for (size_t i = 0; i < HTTP_CONNECTIONS; i++)
                http_slot_close(&http->slots[i]);
        if (http->multi)
                curl_multi_cleanup(http->multi);
        pthread_mutex_destroy(&http->mutex);
        free(http->ca_bundle);
        free(http);
        curl_global_cleanup();
}

static enum hif_err start_thread(struct http *http)
{
        sigset_t all, before;
        int failed;

        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        failed = pthread_create(&http->thread, NULL, run, http);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (failed)
                return HIF_EAGAIN;
        pthread_setname_np(http->thread, "http");
        return HIF_OK;
}

/* A slot's handle is made when it is first used: few engines ever use all of them. */
static enum hif_err prepare_slots(struct http *http)
{
        http->multi = curl_multi_init();
        if (!http->multi)
                return HIF_ENOMEM;
        if (curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long)HTTP_CONNECTIONS) ||
            curl_multi_setopt(http->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING))
                return HIF_ENOMEM;
        for (size_t i = HTTP_CONNECTIONS; i-- > 0;) {
                http->slots[i].next_free = http->free_slots;
                http->free_slots = &http->slots[i];
        }
        return HIF_OK;
}

/* libcurl would find out at the first request, and say less. */
static enum hif_err check_bundle(struct env *env, const char *path, struct hif_why *why)
{
        int fd;
        enum hif_err err = env->ops->open(env, path, O_RDONLY, 0, &fd);

        if (err)
                return why_set(
                    why, HIF_EINVAL,
                    "the CA bundle %s cannot be read: %s; set AWS_CA_BUNDLE to a file of "
                    "PEM certificates, or unset it",
                    path, hif_strerror(err));
        env->ops->close(env, fd);
        return HIF_OK;
}

enum hif_err http_new(struct env *env, const struct http_limits *limits, const char *ca_bundle,
                      struct http **out, struct hif_why *why)
{
        struct http *http;
        enum hif_err err;

        err = ca_bundle ? check_bundle(env, ca_bundle, why) : HIF_OK;
        if (err)
                return err;
        if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
                return why_set(why, HIF_ENOMEM, "the HTTP library cannot start: out of memory");
        http = calloc(1, sizeof(*http));
        if (!http) {
                curl_global_cleanup();
                return why_set(why, HIF_ENOMEM, "out of memory");
        }
        http->env = env;
        http->limits = *limits;
        pthread_mutex_init(&http->mutex, NULL);
        queue_init(&http->incoming);
        queue_init(&http->small);
        queue_init(&http->bulk);
        queue_init(&http->parked);
        http->ca_bundle = ca_bundle ? strdup(ca_bundle) : NULL;
        err = ca_bundle && !http->ca_bundle ? HIF_ENOMEM : prepare_slots(http);
        if (!err)
                err = start_thread(http);
        if (err) {
                http_destroy(http);
                return why_set(why, err, "the HTTP engine cannot start: %s", hif_strerror(err));
        }
        *out = http;
        return HIF_OK;
}

void http_free(struct http *http)
{
        if (!http)
                return;
        http_stop(http);
        pthread_join(http->thread, NULL);
        http_destroy(http);
}
