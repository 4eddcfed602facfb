/* The probe's requests: repeated where the answer does not tell, and timed. */
#include "store/probe/probe_impl.h"

#include <assert.h>
#include <stdio.h>
#include <time.h>

#define ATTEMPTS     8 /* for a write whose outcome is not known */
#define FAILED_MAX   2 /* for what failed */
#define NS_PER_RETRY UINT64_C(100000000)
#define BUDGET_NS    UINT64_C(30000000000) /* nothing is repeated later than that */

static void pause_ns(uint64_t ns)
{
        struct timespec time = {.tv_sec = (time_t)(ns / 1000000000),
                                .tv_nsec = (long)(ns % 1000000000)};

        (void)nanosleep(&time, NULL);
}

/* Whether a request goes again that was submitted so many times. A store that is unreachable has
 * tried for long enough itself. */
static bool worth_repeating(const struct probe *probe, enum hif_err err, int submitted)
{
        if (env_mono_ns(probe->store->env) - probe->started_ns > BUDGET_NS)
                return false;
        return err == HIF_EUNKNOWN || (err == HIF_EIO && submitted < FAILED_MAX);
}

void probe_run(struct probe *probe, struct store_req *reqs, size_t count)
{
        bool again = true;

        store_run(probe->store, reqs, count);
        for (int i = 1; i < ATTEMPTS && again; i++) {
                again = false;
                for (size_t j = 0; j < count; j++) {
                        if (!worth_repeating(probe, reqs[j].result, i))
                                continue;
                        if (!again)
                                pause_ns(NS_PER_RETRY * (uint64_t)i);
                        again = true;
                        store_req_free(&reqs[j]);
                        store_run(probe->store, &reqs[j], 1);
                }
        }
}

enum hif_err probe_run_one(struct probe *probe, struct store_req *req, struct probe_times *times)
{
        uint64_t start = env_mono_ns(probe->store->env);

        probe_run(probe, req, 1);
        if (times->count < PROBE_TIMES_MAX)
                times->ns[times->count++] = env_mono_ns(probe->store->env) - start;
        return req->result;
}

const char *probe_new_key(struct probe *probe, const char *name)
{
        char *key;

        assert(probe->key_count < PROBE_KEYS_MAX);
        key = probe->keys[probe->key_count++];

        snprintf(key, PROBE_KEY_SIZE, PROBE_PREFIX "%s-%zu-%s", probe->id, probe->key_count, name);
        return key;
}

struct span probe_new_body(struct probe *probe, char body[PROBE_BODY_SIZE])
{
        snprintf(body, PROBE_BODY_SIZE, "%s %08u", probe->id, probe->serial++);
        return span_str(body);
}

enum hif_err probe_put(struct probe *probe, enum store_op op, const char *key, struct span body,
                       struct store_tag *tag)
{
        struct store_req req = {.op = op, .key = key, .body = body};
        enum hif_err err;

        if (op == STORE_PUT_MATCH)
                req.match = *tag;
        err = probe_run_one(probe, &req, &probe->put);
        if (err == HIF_OK && tag)
                *tag = req.tag;
        return err;
}

enum hif_err probe_put_alone(struct probe *probe, enum store_op op, const char *key,
                             struct span body, struct store_tag *tag)
{
        struct store_req req = {.op = STORE_GET, .key = key};
        enum hif_err err = probe_put(probe, op, key, body, tag);

        if (err != HIF_ELOST)
                return err;
        if (probe_run_one(probe, &req, &probe->get) == HIF_OK &&
            span_eq(buf_span(&req.data), body)) {
                *tag = req.tag;
                err = HIF_OK;
        }
        store_req_free(&req);
        return err;
}

enum hif_err probe_look(struct probe *probe, const char *key, struct span body)
{
        struct store_req req = {.op = STORE_GET, .key = key};
        enum hif_err err = probe_run_one(probe, &req, &probe->get);

        if (err == HIF_OK && !span_eq(buf_span(&req.data), body))
                err = HIF_ELOST;
        store_req_free(&req);
        return err;
}
