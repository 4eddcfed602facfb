#include "tests/land/trips.h"

/* The trips that were over when a request was sent are remembered in the request. */
static void *sent_at(uint64_t trips)
{
        return (void *)(uintptr_t)trips;
}

static void submit(struct store *store, struct store_req *req)
{
        struct trips *trips = (struct trips *)store;
        struct store_req inner = {.op = req->op,
                                  .key = req->key,
                                  .prefix = req->prefix,
                                  .list_max = req->list_max,
                                  .range_start = req->range_start,
                                  .range_size = req->range_size,
                                  .size_max = req->size_max,
                                  .body = req->body,
                                  .match = req->match,
                                  .settled = req->settled};

        trips->requests++;
        trips->deletes += req->op == STORE_DELETE;
        if (req->op == STORE_PUT || req->op == STORE_PUT_NEW || req->op == STORE_PUT_MATCH) {
                trips->puts++;
                trips->contents +=
                    strstr(req->key, "/packs/") != NULL || strstr(req->key, "/blobs/") != NULL;
        }
        if (req->key && strstr(req->key, "/trees/")) {
                trips->nodes_read += req->op == STORE_GET;
                trips->nodes_put += req->op == STORE_PUT;
        }
        if (req->key) {
                const char *name = strrchr(req->key, '/');

                trips->slots += strstr(req->key, "/landing-log/") != NULL;
                trips->heads += name && strcmp(name, "/head") == 0;
        }
        store_run(trips->inner, &inner, 1);
        req->data = inner.data;
        req->size = inner.size;
        req->tag = inner.tag;
        req->list = inner.list;
        req->back_end = sent_at(trips->trips);
        store_done(store, req, inner.result);
}

/* All that was sent together with these, or before, is answered by then. */
static void wait(struct store *store, struct store_req *reqs, size_t count)
{
        struct trips *trips = (struct trips *)store;

        for (size_t i = 0; i < count; i++)
                if ((uintptr_t)reqs[i].back_end >= trips->trips)
                        trips->trips = (uintptr_t)reqs[i].back_end + 1;
}

static const char *url(struct store *store)
{
        return store_url(((struct trips *)store)->inner);
}

static void close_nothing(struct store *store)
{
        (void)store;
}

void trips_init(struct trips *trips, struct env *env, struct store *inner)
{
        static const struct store_ops ops = {
            .submit = submit, .wait = wait, .close = close_nothing, .url = url};

        *trips = (struct trips){.inner = inner};
        store_init(&trips->store, &ops, env);
}
