#include "core/layout.h"
#include "land/internal.h"

#include <assert.h>
#include <errno.h>
#include <time.h>

const char *next_step(enum hif_err err)
{
        switch (err) {
        case HIF_ENOSPC:
                return "; free some space there, and try again";
        case HIF_EACCES:
        case HIF_EPERM:
        case HIF_EROFS:
                return "; check who owns the store, and how it is mounted";
        case HIF_ENOENT:
        case HIF_ECORRUPT:
        case HIF_EIO:
                return "; put it back from a copy of the store";
        case HIF_EUNREACHABLE:
        case HIF_ETIMEDOUT:
                return "; check the way to the store, and try again";
        case HIF_EUNSUPPORTED:
                return "; a newer hif may know it";
        default:
                return "";
        }
}

enum hif_err object_why(const struct project *project, enum hif_err err, const char *verb,
                        const char *key, struct hif_why *why)
{
        return why_set(why, err, "cannot %s %s in %s: %s%s", verb, key, store_url(project->store),
                       hif_strerror(err), next_step(err));
}

enum hif_err object_get(const struct project *project, const char *key, uint64_t size_max,
                        struct buf *out, struct hif_why *why)
{
        struct store_req req = {.op = STORE_GET, .key = key, .size_max = size_max};

        store_run(project->store, &req, 1);
        if (req.result == HIF_OK) {
                *out = req.data;
                req.data = (struct buf){0};
        }
        store_req_free(&req);
        return req.result == HIF_OK ? HIF_OK : object_why(project, req.result, "read", key, why);
}

enum hif_err object_put_own(const struct project *project, const char *key, struct span body,
                            struct hif_why *why)
{
        enum hif_err err = HIF_EUNKNOWN;

        for (uint32_t i = 0; i < PUT_REPEATS; i++) {
                struct store_req reqs[2] = {
                    {.op = STORE_PUT_NEW, .key = key, .body = body},
                    {.op = STORE_GET, .key = key, .size_max = body.size + SLOT_SIZE_MAX},
                };
                bool there, own;

                if (i > 0)
                        land_pause(project->env, NULL, project->store->local, i);
                store_run(project->store, &reqs[0], 1);
                err = reqs[0].result;
                if (err == HIF_ELOST || err == HIF_EUNKNOWN)
                        store_run(project->store, &reqs[1], 1);
                there = (err == HIF_ELOST || err == HIF_EUNKNOWN) && reqs[1].result == HIF_OK;
                own = there && span_eq(buf_span(&reqs[1].data), body);
                store_req_free(&reqs[0]);
                store_req_free(&reqs[1]);
                if (err == HIF_OK || own)
                        return HIF_OK;
                if (there)
                        return HIF_ELOST;
                if (err != HIF_ELOST && err != HIF_EUNKNOWN)
                        break;
        }
        return object_why(project, err == HIF_ELOST ? HIF_EUNREACHABLE : err, "write", key, why);
}

/* 50 ms doubling to 5 s (a local store: from 1 ms to 50 ms), all of it jitter: whoever lost to the
 * same landing must not come back at the same time. */
void land_pause(struct env *env, struct land_hooks *hooks, bool local, uint32_t attempt)
{
        uint64_t base_ns = local ? 1000000 : 50000000;
        uint64_t most_ns = base_ns * (local ? 50 : 100);
        uint64_t limit_ns = attempt < 10 ? base_ns << attempt : most_ns;
        uint64_t ns;

        if (limit_ns > most_ns)
                limit_ns = most_ns;
        ns = env_random_u64(env) % limit_ns;
        if (hooks && hooks->sleep) {
                hooks->sleep(hooks, ns);
                return;
        }
        struct timespec left = {.tv_sec = (time_t)(ns / 1000000000),
                                .tv_nsec = (long)(ns % 1000000000)};
        while (nanosleep(&left, &left) != 0 && errno == EINTR)
                ;
}

static void puts_drop(struct puts *puts)
{
        for (size_t i = 0; i < puts->count; i++)
                buf_free(&puts->items[i].body);
        puts->count = 0;
        puts->bytes = 0;
}

void puts_free(struct puts *puts)
{
        puts_drop(puts);
}

enum hif_err puts_add(struct puts *puts, const struct layout_key *key, const struct hif_hash *hash,
                      struct buf *body, struct hif_why *why)
{
        struct puts_item *item = &puts->items[puts->count];

        if (buf_failed(body)) {
                buf_free(body);
                return why_set(why, HIF_ENOMEM, "out of memory");
        }
        assert(puts->count < PUTS_BATCH);
        item->key = *key;
        item->hash = *hash;
        item->body = *body;
        *body = (struct buf){0};
        puts->bytes += item->body.size;
        puts->count++;
        if (puts->count == PUTS_BATCH || puts->bytes >= PUTS_BYTES)
                return puts_flush(puts, why);
        return HIF_OK;
}

/* Drop from the list what need not be sent: nothing, but for the mistake that tests make. */
static void mark_existing(const struct puts *puts, bool done[])
{
        for (size_t i = 0; LAND_MUTATION == MUTATE_SKIP_EXISTING && i < puts->count; i++) {
                struct store_req req = {.op = STORE_HEAD, .key = puts->items[i].key.text};

                store_run(puts->project->store, &req, 1);
                done[i] = req.result == HIF_OK;
                store_req_free(&req);
        }
}

/* Send what is not done yet. again: only doubtful answers are left, which a repeat may settle. */
static enum hif_err puts_try(struct puts *puts, bool done[], bool *again, struct hif_why *why)
{
        struct store_req reqs[PUTS_BATCH] = {0};
        size_t index[PUTS_BATCH];
        size_t n = 0, doubtful = PUTS_BATCH, refused = PUTS_BATCH;
        enum hif_err err = HIF_OK;

        for (size_t i = 0; i < puts->count; i++) {
                if (done[i])
                        continue;
                index[n] = i;
                reqs[n].op = STORE_PUT;
                reqs[n].key = puts->items[i].key.text;
                reqs[n].body = buf_span(&puts->items[i].body);
                n++;
        }
        if (n > 0)
                store_run(puts->project->store, reqs, n);
        for (size_t i = 0; i < n; i++) {
                enum hif_err result = reqs[i].result;

                done[index[i]] = result == HIF_OK;
                if (result == HIF_EUNKNOWN || result == HIF_EUNREACHABLE)
                        doubtful = i;
                else if (result != HIF_OK)
                        refused = i;
        }
        *again = refused == PUTS_BATCH && doubtful != PUTS_BATCH;
        if (refused != PUTS_BATCH)
                err = object_why(puts->project, reqs[refused].result, "write", reqs[refused].key,
                                 why);
        else if (doubtful != PUTS_BATCH)
                err = object_why(puts->project, HIF_EUNREACHABLE, "write", reqs[doubtful].key, why);
        for (size_t i = 0; i < n; i++)
                store_req_free(&reqs[i]);
        return err;
}

enum hif_err puts_flush(struct puts *puts, struct hif_why *why)
{
        bool done[PUTS_BATCH] = {false};
        bool again = true;
        enum hif_err err = HIF_OK;

        mark_existing(puts, done);
        for (uint32_t i = 0; i < PUT_REPEATS && again; i++) {
                if (i > 0)
                        land_pause(puts->project->env, puts->hooks, puts->project->store->local, i);
                err = puts_try(puts, done, &again, why);
        }
        for (size_t i = 0; i < puts->count && err == HIF_OK; i++) {
                puts->objects_put++;
                puts->bytes_put += puts->items[i].body.size;
                if (puts->known && !known_add(puts->known, KNOWN_OBJECT, &puts->items[i].hash))
                        err = why_set(why, HIF_ENOMEM, "out of memory");
        }
        puts_drop(puts);
        return err;
}
