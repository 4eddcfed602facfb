#include "land/internal.h"

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
        struct hif_why said;
        const char *reason = store_reason(project->store, err, &said);

        return why_set(why, err, "cannot %s %s in %s: %s%s", verb, key, store_url(project->store),
                       reason, reason == said.text ? "" : next_step(err));
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

enum hif_err object_get_named(const struct project *project, const char *key, uint64_t size_max,
                              enum hash_kind kind, const struct hif_hash *hash, struct buf *out,
                              struct hif_why *why)
{
        enum hif_err err = HIF_OK;

        for (int tries = 0; tries < 2; tries++) {
                AUTO_BUF struct buf stored = {0};
                struct hif_hash actual;

                err = object_get(project, key, size_max, &stored, why);
                if (err != HIF_OK)
                        return err;
                actual = hash_of(kind, buf_span(&stored));
                if (hash_eq(&actual, hash)) {
                        *out = stored;
                        stored = (struct buf){0};
                        return HIF_OK;
                }
        }
        return object_why(project, HIF_ECORRUPT, "use", key, why);
}

enum hif_err object_put_own(const struct project *project, const char *key, struct span body,
                            struct hif_why *why)
{
        uint64_t start = env_mono_ns(project->env);
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
                if ((err != HIF_ELOST && err != HIF_EUNKNOWN) ||
                    store_was_patient(project->env, start))
                        break;
        }
        return object_why(project, err == HIF_ELOST ? HIF_EUNREACHABLE : err, "write", key, why);
}

bool store_was_patient(struct env *env, uint64_t since_ns)
{
        return env_mono_ns(env) - since_ns > STORE_PATIENCE_NS;
}

void land_sleep(struct land_hooks *hooks, uint64_t ns)
{
        struct timespec left = {.tv_sec = (time_t)(ns / 1000000000),
                                .tv_nsec = (long)(ns % 1000000000)};

        if (hooks && hooks->sleep) {
                hooks->sleep(hooks, ns);
                return;
        }
        while (nanosleep(&left, &left) != 0 && errno == EINTR)
                ;
}

/* 50 ms doubling to 5 s (a local store: from 1 ms to 50 ms), all of it jitter: whoever lost to the
 * same landing must not come back at the same time. */
void land_pause(struct env *env, struct land_hooks *hooks, bool local, uint32_t attempt)
{
        uint64_t base_ns = local ? 1000000 : 50000000;
        uint64_t most_ns = base_ns * (local ? 50 : 100);
        uint64_t limit_ns = attempt < 10 ? base_ns << attempt : most_ns;

        if (limit_ns > most_ns)
                limit_ns = most_ns;
        land_sleep(hooks, env_random_u64(env) % limit_ns);
}
