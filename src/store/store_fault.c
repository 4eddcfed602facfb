/* Faults before another store: what a network, a proxy or a dying server does to requests. */
#include "store/store.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct rule {
        struct store_fault_rule is;
        uint64_t matched;
        struct rule *next;
};

/* A request on its way to the inner store. */
struct forward {
        struct store_req inner;
        struct faulty_store *faults;
        struct store_req *outer; /* NULL: it was answered long ago */
        bool faulty;
        enum store_fault fault;
        bool delivered; /* store_fault_deliver waits for it */
        char *key;      /* copies, when it outlives the outer one */
        uint8_t *body;
        struct forward *next;
};

struct faulty_store {
        struct store store;
        struct store *inner;
        pthread_mutex_t mutex; /* of what follows */
        pthread_cond_t arrived;
        size_t under_way; /* delivered, and not answered yet */
        struct rule *rules, **rules_last;
        struct forward *waiting, **waiting_last;
        size_t waiting_count;
};

static struct faulty_store *faults_of(struct store *store)
{
        return (struct faulty_store *)store;
}

static bool is_write(enum store_op op)
{
        return op == STORE_PUT || op == STORE_PUT_NEW || op == STORE_PUT_MATCH ||
               op == STORE_DELETE;
}

static bool rule_matches(const struct rule *rule, const struct store_req *req)
{
        const char *key = req->op == STORE_LIST ? req->prefix : req->key;

        if (rule->is.op >= 0 && rule->is.op != (int)req->op)
                return false;
        return !rule->is.key_contains || strstr(key, rule->is.key_contains);
}

/* The first rule that matches now; every one up to it counts the match. */
static bool pick(struct faulty_store *faults, const struct store_req *req,
                 struct store_fault_rule *out)
{
        bool found = false;

        pthread_mutex_lock(&faults->mutex);
        for (struct rule *rule = faults->rules; rule && !found; rule = rule->next) {
                if (!rule_matches(rule, req))
                        continue;
                rule->matched++;
                if (rule->matched <= rule->is.skip ||
                    rule->matched - rule->is.skip > rule->is.count)
                        continue;
                *out = rule->is;
                found = true;
        }
        pthread_mutex_unlock(&faults->mutex);
        return found;
}

static void forward_free(struct forward *forward)
{
        store_req_free(&forward->inner);
        free(forward->key);
        free(forward->body);
        free(forward);
}

static void damage(struct store_req *req, enum store_fault fault)
{
        if (req->data.size == 0)
                return;
        if (fault == STORE_FAULT_TRUNCATE)
                req->data.size--;
        else
                req->data.data[req->data.size / 2] ^= 0x10;
}

static enum hif_err distort(struct store_req *req, enum store_fault fault, enum hif_err result)
{
        bool conditional = req->op == STORE_PUT_NEW || req->op == STORE_PUT_MATCH;

        switch (fault) {
        case STORE_FAULT_LOST:
        case STORE_FAULT_LATE: /* of a read */
                return is_write(req->op) ? HIF_EUNKNOWN : HIF_EUNREACHABLE;
        case STORE_FAULT_FALSE_LOST:
                return conditional && result == HIF_OK ? HIF_ELOST : result;
        case STORE_FAULT_TRUNCATE:
        case STORE_FAULT_FLIP:
                damage(req, fault);
                return result;
        case STORE_FAULT_FAIL:
        case STORE_FAULT_HOLD:
                break;
        }
        return result;
}

/* The outer request is answered with what the inner store has said, or with what the fault makes of
 * it. */
static void answer(struct forward *forward)
{
        struct store_req *inner = &forward->inner, *outer = forward->outer;
        enum hif_err result = inner->result;

        outer->data = inner->data;
        outer->list = inner->list;
        outer->size = inner->size;
        outer->tag = inner->tag;
        inner->data = (struct buf){0};
        inner->list = (struct store_list){0};
        if (forward->faulty)
                result = distort(outer, forward->fault, result);
        if (result) { /* as a failed request holds nothing */
                buf_free(&outer->data);
                store_list_free(&outer->list);
        }
        store_done(&forward->faults->store, outer, result);
}

/* The inner store has answered. */
static void forward_done(struct store_req *inner)
{
        struct forward *forward = inner->arg;
        struct faulty_store *faults = forward->faults;
        bool delivered = forward->delivered;

        if (forward->outer)
                answer(forward);
        forward_free(forward);
        if (!delivered)
                return;
        pthread_mutex_lock(&faults->mutex);
        faults->under_way--;
        pthread_cond_broadcast(&faults->arrived);
        pthread_mutex_unlock(&faults->mutex);
}

/* Make copies of what the outer request only lends until it is answered. */
static bool detach(struct forward *forward)
{
        struct store_req *inner = &forward->inner;

        forward->outer = NULL;
        forward->key = strdup(inner->key);
        forward->body = malloc(inner->body.size ? inner->body.size : 1);
        if (!forward->key || !forward->body)
                return false;
        if (inner->body.size)
                memcpy(forward->body, inner->body.data, inner->body.size);
        inner->key = forward->key;
        inner->body.data = forward->body;
        return true;
}

static void enqueue(struct faulty_store *faults, struct forward *forward)
{
        pthread_mutex_lock(&faults->mutex);
        *faults->waiting_last = forward;
        faults->waiting_last = &forward->next;
        faults->waiting_count++;
        pthread_mutex_unlock(&faults->mutex);
}

static struct forward *forward_new(struct faulty_store *faults, struct store_req *req)
{
        struct forward *forward = calloc(1, sizeof(*forward));

        if (!forward)
                return NULL;
        forward->faults = faults;
        forward->outer = req;
        forward->inner = (struct store_req){
            .op = req->op,
            .key = req->key,
            .prefix = req->prefix,
            .list_max = req->list_max,
            .range_start = req->range_start,
            .range_size = req->range_size,
            .size_max = req->size_max,
            .body = req->body,
            .match = req->match,
            .settled = req->settled,
            .done = forward_done,
            .arg = forward,
        };
        return forward;
}

static void fault_submit(struct store *store, struct store_req *req)
{
        struct faulty_store *faults = faults_of(store);
        struct store_fault_rule rule = {0};
        struct forward *forward;
        bool faulty = pick(faults, req, &rule);

        if (faulty && rule.fault == STORE_FAULT_FAIL) {
                store_done(store, req, rule.err);
                return;
        }
        forward = forward_new(faults, req);
        if (!forward) {
                store_done(store, req, HIF_ENOMEM);
                return;
        }
        forward->faulty = faulty;
        forward->fault = rule.fault;
        if (faulty && rule.fault == STORE_FAULT_HOLD) {
                enqueue(faults, forward);
        } else if (faulty && rule.fault == STORE_FAULT_LATE && is_write(req->op)) {
                if (detach(forward)) {
                        enqueue(faults, forward);
                        store_done(store, req, HIF_EUNKNOWN);
                } else {
                        forward_free(forward);
                        store_done(store, req, HIF_ENOMEM);
                }
        } else {
                store_submit(faults->inner, &forward->inner);
        }
}

static void fault_close(struct store *store)
{
        struct faulty_store *faults = faults_of(store);

        while (faults->waiting) {
                struct forward *next = faults->waiting->next;

                assert(!faults->waiting->outer);
                forward_free(faults->waiting);
                faults->waiting = next;
        }
        store_fault_clear(store);
        pthread_cond_destroy(&faults->arrived);
        pthread_mutex_destroy(&faults->mutex);
        free(faults);
}

static const char *fault_url(struct store *store)
{
        return store_url(faults_of(store)->inner);
}

static void fault_cancel(struct store *store)
{
        store_cancel(faults_of(store)->inner);
}

static void fault_cancel_silent(struct store *store, uint64_t silent_ms)
{
        store_cancel_silent(faults_of(store)->inner, silent_ms);
}

static bool fault_date(struct store *store, uint64_t *wall_ns)
{
        return store_date(faults_of(store)->inner, wall_ns);
}

static bool fault_why(struct store *store, enum hif_err result, struct hif_why *out)
{
        return store_why(faults_of(store)->inner, result, out);
}

enum hif_err store_fault_new(struct env *env, struct store *inner, struct store **out)
{
        static const struct store_ops ops = {.submit = fault_submit,
                                             .close = fault_close,
                                             .url = fault_url,
                                             .cancel = fault_cancel,
                                             .cancel_silent = fault_cancel_silent,
                                             .date = fault_date,
                                             .why = fault_why};
        struct faulty_store *faults = calloc(1, sizeof(*faults));

        if (!faults)
                return HIF_ENOMEM;
        store_init(&faults->store, &ops, env);
        faults->store.local = inner->local;
        faults->inner = inner;
        faults->rules_last = &faults->rules;
        faults->waiting_last = &faults->waiting;
        pthread_mutex_init(&faults->mutex, NULL);
        pthread_cond_init(&faults->arrived, NULL);
        *out = &faults->store;
        return HIF_OK;
}

enum hif_err store_fault_add(struct store *store, const struct store_fault_rule *rule)
{
        struct faulty_store *faults = faults_of(store);
        struct rule *added = calloc(1, sizeof(*added));

        assert(store->ops->submit == fault_submit);
        assert(rule->fault != STORE_FAULT_FAIL || rule->err);
        if (!added)
                return HIF_ENOMEM;
        added->is = *rule;
        pthread_mutex_lock(&faults->mutex);
        *faults->rules_last = added;
        faults->rules_last = &added->next;
        pthread_mutex_unlock(&faults->mutex);
        return HIF_OK;
}

void store_fault_clear(struct store *store)
{
        struct faulty_store *faults = faults_of(store);
        struct rule *rule;

        assert(store->ops->submit == fault_submit);
        pthread_mutex_lock(&faults->mutex);
        rule = faults->rules;
        faults->rules = NULL;
        faults->rules_last = &faults->rules;
        pthread_mutex_unlock(&faults->mutex);
        while (rule) {
                struct rule *next = rule->next;

                free(rule);
                rule = next;
        }
}

/* One after the other, whatever threads the inner store has. */
static void deliver(struct faulty_store *faults, struct forward *forward)
{
        forward->delivered = true;
        pthread_mutex_lock(&faults->mutex);
        faults->under_way++;
        pthread_mutex_unlock(&faults->mutex);
        store_submit(faults->inner, &forward->inner);
        pthread_mutex_lock(&faults->mutex);
        while (faults->under_way > 0)
                pthread_cond_wait(&faults->arrived, &faults->mutex);
        pthread_mutex_unlock(&faults->mutex);
}

void store_fault_deliver(struct store *store)
{
        struct faulty_store *faults = faults_of(store);
        struct forward *forward;

        assert(store->ops->submit == fault_submit);
        pthread_mutex_lock(&faults->mutex);
        forward = faults->waiting;
        faults->waiting = NULL;
        faults->waiting_last = &faults->waiting;
        faults->waiting_count = 0;
        pthread_mutex_unlock(&faults->mutex);
        while (forward) {
                struct forward *next = forward->next;

                deliver(faults, forward);
                forward = next;
        }
}

size_t store_fault_waiting(struct store *store)
{
        struct faulty_store *faults = faults_of(store);
        size_t count;

        assert(store->ops->submit == fault_submit);
        pthread_mutex_lock(&faults->mutex);
        count = faults->waiting_count;
        pthread_mutex_unlock(&faults->mutex);
        return count;
}
