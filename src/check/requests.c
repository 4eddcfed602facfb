/* Reading with patience: what gets no answer is asked again, a few times; what still gets none is
 * not known, which is something else than not there. */
#include "check/internal.h"

#include <errno.h>
#include <time.h>

static bool silent(enum hif_err result)
{
        return result == HIF_EUNREACHABLE || result == HIF_ETIMEDOUT || result == HIF_EUNKNOWN ||
               result == HIF_EAGAIN;
}

static void pause_before(const struct check *c, unsigned try_number)
{
        uint64_t base_ns = c->project.store->local ? 1000000 : 100000000;
        uint64_t ns = base_ns << (2 * (try_number - 1));
        struct timespec left = {.tv_sec = (time_t)(ns / 1000000000),
                                .tv_nsec = (long)(ns % 1000000000)};

        while (nanosleep(&left, &left) != 0 && errno == EINTR)
                ;
}

/* The inputs of a request that is to be sent again. */
static void renew(struct store_req *req)
{
        struct store_req again = {.op = req->op,
                                  .key = req->key,
                                  .prefix = req->prefix,
                                  .list_max = req->list_max,
                                  .range_start = req->range_start,
                                  .range_size = req->range_size,
                                  .size_max = req->size_max,
                                  .arg = req->arg};

        store_req_free(req);
        *req = again;
}

enum hif_err run_requests(struct check *c, struct store_req *reqs, size_t count)
{
        uint64_t started_ns = env_mono_ns(c->env);

        if (count == 0)
                return HIF_OK;
        store_run(c->project.store, reqs, count);
        c->report->requests += count;
        c->report->trips++;
        for (unsigned i = 1; i < TRIES; i++) {
                size_t left = 0;

                for (size_t k = 0; k < count; k++)
                        left += silent(reqs[k].result);
                /* A store that is far away has been patient itself. */
                if (left == 0 || c->silent >= GIVE_UP_AFTER ||
                    env_mono_ns(c->env) - started_ns > PATIENCE_NS)
                        break;
                pause_before(c, i);
                for (size_t k = 0; k < count; k++) {
                        if (!silent(reqs[k].result))
                                continue;
                        renew(&reqs[k]);
                        store_run(c->project.store, &reqs[k], 1);
                        c->report->requests++;
                        if (silent(reqs[k].result) && left > 1)
                                break; /* the others would not fare better now */
                }
        }
        for (size_t k = 0; k < count; k++) {
                c->silent = silent(reqs[k].result) ? c->silent + 1 : 0;
                c->report->bytes_got += reqs[k].data.size;
        }
        if (c->silent < GIVE_UP_AFTER)
                return HIF_OK;
        return why_set(c->why, HIF_EUNREACHABLE,
                       "%s does not answer any more: what was found so far holds, the rest was "
                       "not checked; try again when it does",
                       store_url(c->project.store));
}

enum answer answer_of(const struct store_req *req)
{
        switch (req->result) {
        case HIF_OK:
                return ANSWER_HERE;
        case HIF_ENOENT:
                return ANSWER_ABSENT;
        default:
                return ANSWER_NONE;
        }
}

enum hif_err get_one(struct check *c, const char *key, uint64_t size_max, struct store_req *req)
{
        *req = (struct store_req){.op = STORE_GET, .key = key, .size_max = size_max};
        return run_requests(c, req, 1);
}

static enum hif_err get_batch(struct check *c, const struct session_id *ids, size_t count,
                              const struct visitor *visitor)
{
        AUTO_FREE struct layout_key *keys = calloc(count, sizeof(*keys));
        AUTO_FREE struct store_req *reqs = calloc(count, sizeof(*reqs));
        enum hif_err err;

        if (!keys || !reqs)
                return HIF_ENOMEM;
        for (size_t i = 0; i < count; i++) {
                keys[i] = visitor->key_of(&c->project.layout, &ids[i]);
                reqs[i] = (struct store_req){.op = STORE_GET, .key = keys[i].text};
        }
        err = run_requests(c, reqs, count);
        for (size_t i = 0; i < count; i++) {
                if (err == HIF_OK)
                        err = visitor->take(c, &reqs[i], &ids[i]);
                store_req_free(&reqs[i]);
        }
        return err;
}

enum hif_err get_each(struct check *c, const struct id_list *ids, const struct visitor *visitor)
{
        enum hif_err err = HIF_OK;

        for (size_t i = 0; i < ids->count && err == HIF_OK; i += BATCH) {
                size_t left = ids->count - i;

                err = get_batch(c, &ids->items[i], left < BATCH ? left : BATCH, visitor);
        }
        return err;
}
