/* The shim before every back end: it checks what goes in and what comes out, counts, and waits. */
#include "store/store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void store_list_free(struct store_list *list)
{
        for (size_t i = 0; i < list->count; i++)
                free(list->items[i].key);
        free(list->items);
        *list = (struct store_list){0};
}

enum hif_err store_list_add(struct store_list *list, const char *key, uint64_t size)
{
        char *copy = strdup(key);

        if (!copy)
                return HIF_ENOMEM;
        if ((list->count & (list->count - 1)) == 0) { /* full at each power of two */
                size_t capacity = list->count ? 2 * list->count : 1;
                struct store_listed *items = reallocarray(list->items, capacity, sizeof(*items));

                if (!items) {
                        free(copy);
                        return HIF_ENOMEM;
                }
                list->items = items;
        }
        list->items[list->count++] = (struct store_listed){.key = copy, .size = size};
        return HIF_OK;
}

void store_req_free(struct store_req *req)
{
        assert(!req->submitted);
        buf_free(&req->data);
        store_list_free(&req->list);
}

static bool char_valid(char c)
{
        return (unsigned char)c >= 0x20 && c != 0x7f;
}

/* Every component but the last is a valid one; of the last, only that it may be the start of one
 * (of a key, too, that it is not empty). */
static bool text_valid(const char *text, bool is_prefix)
{
        size_t component = 0;
        size_t i;

        for (i = 0; text[i]; i++) {
                if (i == STORE_KEY_MAX || !char_valid(text[i]))
                        return false;
                if (text[i] == '/') {
                        if (component == 0)
                                return false;
                        component = 0;
                        continue;
                }
                if (component == 0 && text[i] == '.')
                        return false;
                if (++component > 255)
                        return false;
        }
        return is_prefix || component > 0;
}

bool store_key_valid(const char *key)
{
        return text_valid(key, false);
}

bool store_prefix_valid(const char *prefix)
{
        return text_valid(prefix, true);
}

enum hif_err store_range(const struct store_req *req, uint64_t size, uint64_t *offset,
                         size_t *count)
{
        uint64_t want = size - req->range_start;

        if (req->range_start > 0 && req->range_start >= size)
                return HIF_EINVAL;
        if (req->range_size > 0 && want > req->range_size)
                want = req->range_size;
        if (want > req->size_max || want > SIZE_MAX)
                return HIF_ELIMIT;
        *offset = req->range_start;
        *count = (size_t)want;
        return HIF_OK;
}

static bool is_put(enum store_op op)
{
        return op == STORE_PUT || op == STORE_PUT_NEW || op == STORE_PUT_MATCH;
}

static bool has_nul(const char *text, size_t size)
{
        return memchr(text, '\0', size) != NULL;
}

void store_init(struct store *store, const struct store_ops *ops, struct env *env)
{
        assert(ops->submit && ops->close && ops->url);
        *store = (struct store){.ops = ops, .env = env};
}

/* Our own mistakes are asserted. A key may come from a store or a user: those are answered. */
static enum hif_err check_in(struct store_req *req)
{
        assert(!req->submitted && !req->done == (req->batch != NULL));
        assert(!req->data.data && !req->list.items);
        assert(req->op <= STORE_LIST);
        assert(req->range_size > 0 || req->range_start == 0);
        assert(req->body.size == 0 || req->body.data);
        assert(has_nul(req->match.text, sizeof(req->match.text)));
        assert(req->op != STORE_PUT_MATCH || req->match.text[0]);
        if (req->op == STORE_LIST) {
                assert(req->prefix);
                if (!store_prefix_valid(req->prefix))
                        return HIF_EINVAL;
                return req->key && strlen(req->key) > STORE_KEY_MAX ? HIF_EINVAL : HIF_OK;
        }
        assert(req->key);
        if (req->op == STORE_PUT_MATCH && req->body.size > STORE_MATCH_MAX)
                return HIF_ELIMIT;
        return store_key_valid(req->key) ? HIF_OK : HIF_EINVAL;
}

/* Count it in, with clean outputs and defaults; false when it has been answered already. */
static bool begin(struct store *store, struct store_req *req)
{
        enum hif_err err = check_in(req);

        req->submitted = true;
        req->next = NULL;
        req->back_end = NULL;
        req->result = HIF_OK;
        req->size = 0;
        req->tag = (struct store_tag){0};
        req->list = (struct store_list){0};
        if (req->list_max == 0)
                req->list_max = STORE_LIST_DEFAULT;
        if (req->size_max == 0)
                req->size_max = STORE_SIZE_MAX_DEFAULT;
        __atomic_add_fetch(&store->in_flight, 1, __ATOMIC_RELAXED);
        __atomic_add_fetch(&store->stats.requests[req->op], 1, __ATOMIC_RELAXED);
        if (err)
                store_done(store, req, err);
        return err == HIF_OK;
}

void store_submit(struct store *store, struct store_req *req)
{
        assert(req->done);
        req->batch = NULL;
        if (begin(store, req))
                store->ops->submit(store, req);
}

static void check_list(const struct store_req *req)
{
        const char *after = req->key ? req->key : "";
        size_t prefix_size = strlen(req->prefix);

        assert(req->list.count <= req->list_max);
        assert(!req->list.more || req->list.count > 0);
        for (size_t i = 0; i < req->list.count; i++) {
                const char *key = req->list.items[i].key;

                assert(strcmp(key, after) > 0 && strncmp(key, req->prefix, prefix_size) == 0);
                assert(store_key_valid(key));
                after = key;
        }
}

/* The results that the contract allows for each operation. A crash of a simulated machine shows as
 * HIF_ECANCELED from any call. */
static bool result_allowed(enum store_op op, enum hif_err result)
{
        switch (result) {
        case HIF_OK:
        case HIF_EUNREACHABLE:
        case HIF_EDENIED:
        case HIF_EIO:
        case HIF_ENOMEM:
        case HIF_ECANCELED:
        case HIF_EINVAL:
                return true;
        case HIF_ENOENT:
                return op == STORE_GET || op == STORE_HEAD || op == STORE_PUT_MATCH;
        case HIF_ELOST:
                return op == STORE_PUT_NEW || op == STORE_PUT_MATCH;
        case HIF_EUNKNOWN:
                return is_put(op) || op == STORE_DELETE;
        case HIF_ENOSPC:
        case HIF_EDQUOT:
        case HIF_EROFS:
                return is_put(op) || op == STORE_DELETE;
        case HIF_ELIMIT:
                return op == STORE_GET || op == STORE_PUT_MATCH;
        default:
                return false;
        }
}

static void check_out(const struct store_req *req, enum hif_err result)
{
        assert(req->submitted); /* answered exactly once */
        assert(result_allowed(req->op, result));
        assert(!buf_failed(&req->data));
        if (result || req->op != STORE_GET)
                assert(!req->data.data);
        if (result || req->op != STORE_LIST)
                assert(!req->list.items);
        if (result)
                return;
        if (req->op == STORE_LIST)
                check_list(req);
        else if (req->op != STORE_DELETE)
                assert(req->tag.text[0] && has_nul(req->tag.text, sizeof(req->tag.text)));
        if (req->op == STORE_GET) {
                assert(req->data.size <= req->size && req->data.size <= req->size_max);
                assert(req->range_size == 0 || req->data.size <= req->range_size);
        }
}

static void count_result(struct store *store, const struct store_req *req, enum hif_err result)
{
        struct store_stats *stats = &store->stats;

        if (result && result != HIF_ENOENT && result != HIF_ELOST)
                __atomic_add_fetch(&stats->failed, 1, __ATOMIC_RELAXED);
        if (!result && req->op == STORE_GET)
                __atomic_add_fetch(&stats->bytes_got, req->data.size, __ATOMIC_RELAXED);
        if (!result && is_put(req->op))
                __atomic_add_fetch(&stats->bytes_put, req->body.size, __ATOMIC_RELAXED);
}

/* The waiter may free the batch as soon as the mutex is free. */
static void batch_done(struct store_batch *batch)
{
        pthread_mutex_lock(&batch->mutex);
        assert(batch->left > 0);
        if (--batch->left == 0)
                pthread_cond_signal(&batch->done);
        pthread_mutex_unlock(&batch->mutex);
}

void store_done(struct store *store, struct store_req *req, enum hif_err result)
{
        struct store_batch *batch = req->batch;
        uint64_t before;

        check_out(req, result);
        count_result(store, req, result);
        req->result = result;
        req->submitted = false;
        req->batch = NULL;
        before = __atomic_fetch_sub(&store->in_flight, 1, __ATOMIC_ACQ_REL);
        assert(before > 0);
        (void)before;
        if (batch)
                batch_done(batch);
        else
                req->done(req);
}

void store_tell_slow(struct store *store, void (*slow)(void *arg), void *arg)
{
        store->slow_arg = arg;
        __atomic_store_n(&store->slow, slow, __ATOMIC_RELEASE);
}

/* With the batch's mutex held. */
static void wait_and_tell(struct store *store, struct store_batch *batch)
{
        void (*slow)(void *arg) = NULL;
        struct timespec until;
        int error = 0;

        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += STORE_SLOW_MS / 1000;
        while (batch->left > 0 && error == 0)
                error =
                    pthread_cond_clockwait(&batch->done, &batch->mutex, CLOCK_MONOTONIC, &until);
        if (batch->left > 0)
                slow = __atomic_exchange_n(&store->slow, NULL, __ATOMIC_ACQ_REL);
        if (slow != NULL)
                slow(store->slow_arg);
}

static void batch_wait(struct store *store, struct store_batch *batch)
{
        pthread_mutex_lock(&batch->mutex);
        if (__atomic_load_n(&store->slow, __ATOMIC_ACQUIRE) != NULL)
                wait_and_tell(store, batch);
        while (batch->left > 0)
                pthread_cond_wait(&batch->done, &batch->mutex);
        pthread_mutex_unlock(&batch->mutex);
}

/* Hand over the longest runs of good requests: a bad one has been answered and is left out. */
static void submit_runs(struct store *store, struct store_batch *batch, struct store_req *reqs,
                        size_t count)
{
        size_t start = 0;

        for (size_t i = 0; i <= count; i++) {
                bool good = false;

                if (i < count) {
                        reqs[i].batch = batch;
                        good = begin(store, &reqs[i]);
                }
                if (good)
                        continue;
                if (i > start)
                        store->ops->submit_batch(store, &reqs[start], i - start);
                start = i + 1;
        }
}

void store_batch_start(struct store *store, struct store_batch *batch, struct store_req *reqs,
                       size_t count)
{
        pthread_mutex_init(&batch->mutex, NULL);
        pthread_cond_init(&batch->done, NULL);
        batch->left = count;
        for (size_t i = 0; i < count; i++)
                assert(!reqs[i].done);
        if (store->ops->submit_batch) {
                submit_runs(store, batch, reqs, count);
                return;
        }
        for (size_t i = 0; i < count; i++) {
                reqs[i].batch = batch;
                if (begin(store, &reqs[i]))
                        store->ops->submit(store, &reqs[i]);
        }
}

void store_batch_wait(struct store *store, struct store_batch *batch, struct store_req *reqs,
                      size_t count)
{
        if (store->ops->wait)
                store->ops->wait(store, reqs, count);
        else
                batch_wait(store, batch);
        assert(batch->left == 0);
        pthread_cond_destroy(&batch->done);
        pthread_mutex_destroy(&batch->mutex);
}

void store_run(struct store *store, struct store_req *reqs, size_t count)
{
        struct store_batch batch;

        store_batch_start(store, &batch, reqs, count);
        store_batch_wait(store, &batch, reqs, count);
}

void store_cancel(struct store *store)
{
        if (store && store->ops->cancel)
                store->ops->cancel(store);
}

void store_cancel_silent(struct store *store, uint64_t silent_ms)
{
        if (store->ops->cancel_silent)
                store->ops->cancel_silent(store, silent_ms);
}

void store_close(struct store *store)
{
        if (!store)
                return;
        assert(__atomic_load_n(&store->in_flight, __ATOMIC_ACQUIRE) == 0);
        store->ops->close(store);
}

const char *store_url(struct store *store)
{
        return store->ops->url(store);
}

bool store_date(struct store *store, uint64_t *wall_ns)
{
        return store->ops->date && store->ops->date(store, wall_ns);
}

bool store_why(struct store *store, enum hif_err result, struct hif_why *out)
{
        return store->ops->why && store->ops->why(store, result, out);
}

const char *store_reason(struct store *store, enum hif_err result, struct hif_why *room)
{
        return store_why(store, result, room) ? room->text : hif_strerror(result);
}

struct store_stats store_stats_get(struct store *store)
{
        struct store_stats *stats = &store->stats;
        struct store_stats out = {0};

        for (size_t i = 0; i <= STORE_LIST; i++)
                out.requests[i] = __atomic_load_n(&stats->requests[i], __ATOMIC_RELAXED);
        out.bytes_got = __atomic_load_n(&stats->bytes_got, __ATOMIC_RELAXED);
        out.bytes_put = __atomic_load_n(&stats->bytes_put, __ATOMIC_RELAXED);
        out.failed = __atomic_load_n(&stats->failed, __ATOMIC_RELAXED);
        return out;
}
