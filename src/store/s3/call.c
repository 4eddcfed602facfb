/* One call until its outcome is known: what is repeated, when, and what a doubt makes of it. */
#include "store/s3/impl.h"

#include "base/log.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <curl/curl.h>
#include <openssl/crypto.h>

static void on_done(struct http_req *http);

struct s3_call *s3_call_new(struct s3_store *s3, enum s3_kind kind, struct store_req *req,
                            void (*finished)(struct s3_call *call, enum hif_err err))
{
        struct s3_call *call = calloc(1, sizeof(*call));

        if (!call)
                return NULL;
        call->s3 = s3;
        call->kind = kind;
        call->req = req;
        call->key = req ? req->key : NULL;
        call->finished = finished;
        call->http.prepare = s3_prepare;
        call->http.header = s3_on_header;
        call->http.done = on_done;
        return call;
}

void s3_call_free(struct s3_call *call)
{
        if (!call)
                return;
        if (call->text.data) /* a session token is in it */
                OPENSSL_cleanse(call->text.data, call->text.capacity);
        buf_free(&call->text);
        buf_free(&call->data);
        buf_free(&call->http.error_body);
        free(call);
}

static bool is_conditional(const struct s3_call *call)
{
        return call->kind == S3_PUT_NEW || call->kind == S3_PUT_MATCH;
}

static bool is_read(const struct s3_call *call)
{
        return call->kind == S3_GET || call->kind == S3_HEAD || call->kind == S3_LIST;
}

/* --- hashing, then sending --- */

static void hash_body(struct s3_call *call)
{
        if (call->body.size == 0) {
                memcpy(call->hash, S3_HASH_OF_NOTHING, S3_HASH_SIZE);
        } else if (call->s3->tls && call->body.size > S3_HASH_SIGNED_MAX) {
                s3_md5_base64(call->body, call->md5);
                memcpy(call->hash, S3_UNSIGNED, sizeof(S3_UNSIGNED));
        } else {
                s3_sha256_hex(call->body, call->hash);
        }
}

static void hash_and_send(struct pool_job *job)
{
        struct s3_call *call =
            (struct s3_call *)(void *)((char *)job - offsetof(struct s3_call, hash_job));

        hash_body(call);
        http_submit(call->s3->http, &call->http);
}

/* Threads that hash large bodies, from the first of those on; NULL: none could be made. */
static struct pool *hash_pool(struct s3_store *s3)
{
        struct pool *pool;

        pthread_mutex_lock(&s3->mutex);
        if (!s3->hash_pool && pool_new(S3_HASH_THREADS, "s3-hash", &s3->hash_pool) != HIF_OK)
                s3->hash_pool = NULL;
        pool = s3->hash_pool;
        pthread_mutex_unlock(&s3->mutex);
        return pool;
}

void s3_call_submit(struct s3_call *call)
{
        struct pool *pool = call->body.size > S3_HASH_INLINE_MAX ? hash_pool(call->s3) : NULL;

        call->http.body = call->body; /* its size decides in which queue it waits */
        call->tries = 0;
        call->failed_ns = 0;
        call->unknown = call->skew_learnt = call->region_learnt = call->key_renewed = false;
        call->md5[0] = '\0';
        if (pool) {
                call->hash_job.run = hash_and_send;
                pool_submit(pool, &call->hash_job);
                return;
        }
        hash_body(call);
        http_submit(call->s3->http, &call->http);
}

/* --- again, or not --- */

/* What stands when no more is tried. */
static enum hif_err give_up(const struct s3_call *call, enum hif_err certain)
{
        if (call->unknown && !is_read(call))
                return HIF_EUNKNOWN;
        return certain ? certain : HIF_EUNREACHABLE;
}

/* An answer about the object says nothing on what an earlier try of ours has done: it may have been
 * that try which made the condition fail. */
static enum hif_err doubt(const struct s3_call *call, enum hif_err err)
{
        if (err == HIF_ECANCELED)
                return err;
        return call->unknown && is_conditional(call) ? HIF_EUNKNOWN : err;
}

/* Full jitter below a limit that doubles: whoever failed together must not come back together. */
static uint64_t backoff_ns(struct s3_call *call)
{
        uint64_t limit = S3_BACKOFF_MAX_NS;

        if (call->tries < 6 && S3_BACKOFF_MIN_NS << call->tries < limit)
                limit = S3_BACKOFF_MIN_NS << call->tries;
        return 1 + env_random_u64(call->s3->store.env) % limit;
}

/* Patience begins with the first failure: before it, a body may have taken its time to send. */
static void again(struct s3_call *call, enum hif_err certain)
{
        uint64_t delay = backoff_ns(call);
        uint64_t now = env_mono_ns(call->s3->store.env);
        uint64_t patience = call->patience_ns ? call->patience_ns : call->s3->patience_ns;

        if (call->failed_ns == 0)
                call->failed_ns = now;
        if (call->tries >= S3_TRIES_MAX || now + delay - call->failed_ns > patience) {
                log_line(call->s3->store.env->log, LOG_WARN, "s3",
                         "%s is given up after %u tries in %u ms", s3_kind_name(call->kind),
                         call->tries, (unsigned)((now - call->failed_ns) / 1000000));
                call->finished(call, give_up(call, certain));
                return;
        }
        http_submit_after(call->s3->http, &call->http, delay);
}

/* --- what can be learnt --- */

static bool is_region(const char *name)
{
        return name[0] && strlen(name) < S3_REGION_SIZE &&
               strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(name);
}

static bool learn_region(struct s3_call *call, const char *region)
{
        struct s3_store *s3 = call->s3;
        struct s3_place place;

        if (call->region_learnt || !is_region(region) ||
            s3_place(s3->endpoint, region, s3->bucket, s3->path_style, &place, NULL) != HIF_OK)
                return false;
        call->region_learnt = true;
        memmove(s3->region, region, strlen(region) + 1);
        s3->place = place;
        return true;
}

static bool learn_skew(struct s3_call *call)
{
        struct s3_store *s3 = call->s3;
        time_t theirs = call->date[0] ? curl_getdate(call->date, NULL) : -1;

        if (call->skew_learnt || theirs <= 0)
                return false;
        call->skew_learnt = true;
        s3->skew_ns = (int64_t)theirs * 1000000000 - (int64_t)env_wall_ns(s3->store.env);
        return true;
}

static bool renew_key(struct s3_call *call)
{
        struct s3_store *s3 = call->s3;

        if (call->key_renewed || !s3->keys.expired)
                return false;
        call->key_renewed = true;
        s3->keys.expired(s3->keys.arg, call->key_generation);
        return true;
}

/* --- the answer --- */

/* Neither what callers reckon with, nor what they asked for themselves. */
static bool is_trouble(const struct s3_judgement *judgement)
{
        switch (judgement->err) {
        case HIF_ENOENT:
        case HIF_ELOST:
        case HIF_ECANCELED:
        case HIF_ENOMEM:
                return false;
        default:
                return judgement->verdict != S3_DONE && judgement->verdict != S3_RANGE;
        }
}

static void on_done(struct http_req *http)
{
        struct s3_call *call = (struct s3_call *)http;
        struct s3_judgement judgement;
        bool learnt = false;

        s3_judge(call, &judgement);
        call->tries++;
        if (is_trouble(&judgement))
                s3_note_trouble(call, &judgement);
        switch (judgement.verdict) {
        case S3_DONE:
                call->finished(call, HIF_OK);
                return;
        case S3_RANGE:
                call->empty_range = true;
                call->finished(call, HIF_EINVAL);
                return;
        case S3_FAILED:
                call->finished(call, doubt(call, judgement.err));
                return;
        case S3_AGAIN:
                again(call, judgement.err);
                return;
        case S3_MAYBE:
        case S3_AGAIN_OR_UNKNOWN:
                call->unknown = true;
                if (judgement.verdict == S3_MAYBE && is_conditional(call))
                        call->finished(call, HIF_EUNKNOWN);
                else
                        again(call, HIF_OK);
                return;
        case S3_REGION:
                learnt = learn_region(call, judgement.error.region);
                break;
        case S3_SKEW:
                learnt = learn_skew(call);
                break;
        case S3_KEY:
                learnt = renew_key(call);
                break;
        }
        if (learnt)
                http_submit(call->s3->http, http);
        else
                call->finished(call, doubt(call, judgement.err));
}
