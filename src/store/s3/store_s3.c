#include "store/s3/store_s3.h"
#include "store/s3/impl.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- requests --- */

static enum s3_kind kind_of(enum store_op op)
{
        switch (op) {
        case STORE_GET:
                return S3_GET;
        case STORE_HEAD:
                return S3_HEAD;
        case STORE_PUT:
                return S3_PUT;
        case STORE_PUT_NEW:
                return S3_PUT_NEW;
        case STORE_PUT_MATCH:
                return S3_PUT_MATCH;
        case STORE_DELETE:
                return S3_DELETE;
        case STORE_LIST:
                return S3_LIST;
        }
        abort(); /* the shim lets no other operation through */
}

static void answer(struct s3_call *call, enum hif_err err)
{
        struct s3_store *s3 = call->s3;
        struct store_req *req = call->req;

        if (!err) {
                req->tag = call->tag;
                req->size = call->size;
                if (req->op == STORE_GET)
                        req->data = call->data;
                call->data = (struct buf){0};
        }
        s3_call_free(call);
        store_done(&s3->store, req, err);
}

/* After a GET that was told "no such range", and after a PUT without a tag, HEAD says what is. */
static void head_arrived(struct s3_call *call, enum hif_err err)
{
        struct store_req *req = call->req;

        if (req->op == STORE_PUT && err)
                err = HIF_EUNKNOWN; /* it is written, but not to be seen */
        if (req->op == STORE_GET && !err && call->size > 0)
                err = HIF_EUNREACHABLE; /* it has changed in between: S3 says two things */
        answer(call, err);
}

static void head_instead(struct s3_call *call)
{
        call->kind = S3_HEAD;
        call->body = (struct span){0};
        call->finished = head_arrived;
        buf_free(&call->data);
        s3_call_submit(call);
}

static void call_finished(struct s3_call *call, enum hif_err err)
{
        const struct store_req *req = call->req;

        if (req->op == STORE_GET && err == HIF_EINVAL && call->empty_range && req->range_start == 0)
                head_instead(call); /* no range at all is inside an empty object */
        else if (req->op == STORE_PUT && !err && !call->tag.text[0])
                head_instead(call);
        else
                answer(call, err);
}

/* S3's keys are UTF-8, and its limit is of the whole key. */
static bool key_fits(const struct s3_store *s3, const struct store_req *req)
{
        if (req->op == STORE_LIST)
                return s3_is_utf8(req->prefix) && (!req->key || s3_is_utf8(req->key));
        return s3->prefix_size + strlen(req->key) <= STORE_KEY_MAX && s3_is_utf8(req->key);
}

static void s3_submit(struct store *store, struct store_req *req)
{
        struct s3_store *s3 = s3_of(store);
        struct s3_call *call;

        if (!key_fits(s3, req)) {
                store_done(store, req, HIF_EINVAL);
                return;
        }
        if (req->op == STORE_LIST) {
                s3_list(s3, req);
                return;
        }
        if (req->op == STORE_PUT && req->body.size > s3->multipart_size) {
                s3_multipart(s3, req);
                return;
        }
        call = s3_call_new(s3, kind_of(req->op), req, call_finished);
        if (!call) {
                store_done(store, req, HIF_ENOMEM);
                return;
        }
        call->body = req->body;
        call->match = req->match;
        s3_call_submit(call);
}

/* --- opening and closing --- */

static void s3_close(struct store *store)
{
        struct s3_store *s3 = s3_of(store);

        if (s3->keys.closing)
                s3->keys.closing(s3->keys.arg);
        pool_free(s3->hash_pool);
        http_free(s3->http);
        if (s3->keys.free)
                s3->keys.free(s3->keys.arg);
        s3_signer_wipe(&s3->signer);
        aws_key_wipe(&s3->key);
        pthread_mutex_destroy(&s3->mutex);
        free(s3->url);
        free(s3->bucket);
        free(s3->prefix);
        free(s3->endpoint);
        free(s3);
}

static const char *s3_url(struct store *store)
{
        return s3_of(store)->url;
}

static void s3_cancel(struct store *store)
{
        http_stop(s3_of(store)->http);
}

static void s3_cancel_silent(struct store *store, uint64_t silent_ms)
{
        http_stop_silent(s3_of(store)->http, silent_ms);
}

static bool s3_date(struct store *store, uint64_t *wall_ns)
{
        return http_date(s3_of(store)->http, wall_ns);
}

static bool s3_why(struct store *store, enum hif_err result, struct hif_why *out)
{
        struct s3_store *s3 = s3_of(store);
        enum s3_trouble trouble = s3_trouble_of(result);
        bool known;

        if (trouble == S3_TROUBLES)
                return false;
        pthread_mutex_lock(&s3->mutex);
        known = s3->troubles[trouble].text[0] != '\0';
        if (known)
                *out = s3->troubles[trouble];
        pthread_mutex_unlock(&s3->mutex);
        return known;
}

void store_s3_wake(struct store *store)
{
        http_wake(s3_of(store)->http);
}

/* Append "?name=value", or "&name=value" behind another. */
static void put_option(struct buf *url, const char *name, const char *value)
{
        buf_printf(url, "%c%s=", url->data && memchr(url->data, '?', url->size) ? '&' : '?', name);
        for (const char *c = value; *c; c++) {
                if (*c == ':')
                        buf_put_u8(url, ':'); /* it needs no encoding here, and reads better */
                else
                        s3_encode(url, span_of(c, 1), true);
        }
}

/* "s3://bucket/a/b?endpoint=..." in one spelling: it names the same place wherever it is read. The
 * region does not: it is found out, if need be. */
static char *canonical_url(const struct s3_url *url, const char *endpoint)
{
        struct buf out = {0};
        size_t prefix_size = strlen(url->prefix);
        char seconds[32];

        buf_printf(&out, "s3://%s", url->bucket);
        if (prefix_size > 0)
                buf_printf(&out, "/%.*s", (int)prefix_size - 1, url->prefix);
        if (endpoint)
                put_option(&out, "endpoint", endpoint);
        snprintf(seconds, sizeof(seconds), "%llu", (unsigned long long)url->patience_s);
        if (url->patience_s)
                put_option(&out, "patience", seconds);
        if (url->quoted_match)
                put_option(&out, "quotes", "yes");
        buf_put_u8(&out, 0);
        if (buf_failed(&out)) {
                buf_free(&out);
                return NULL;
        }
        return (char *)out.data;
}

/* Which bucket, where, and how it is spoken to. */
static enum hif_err configure(struct s3_store *s3, const struct s3_config *config,
                              struct hif_why *why)
{
        struct s3_url url = {0};
        const char *endpoint, *region;
        enum hif_err err = s3_url_parse(config->url, &url, why);

        if (err)
                return err;
        endpoint = url.endpoint ? url.endpoint : config->endpoint;
        region = url.region ? url.region : config->region;
        if (!region || !region[0])
                region = "us-east-1";
        if (strlen(region) >= S3_REGION_SIZE) {
                s3_url_free(&url);
                return why_set(why, HIF_EINVAL,
                               "\"%.80s\" is no region of S3; set AWS_REGION to one such as "
                               "eu-central-1",
                               region);
        }
        snprintf(s3->region, sizeof(s3->region), "%s", region);
        s3->path_style =
            config->style == S3_STYLE_AUTO ? endpoint != NULL : config->style == S3_STYLE_PATH;
        if (url.patience_s)
                s3->patience_ns = url.patience_s * UINT64_C(1000000000);
        s3->quoted_match = config->quoted_match || url.quoted_match;
        s3->url = canonical_url(&url, endpoint);
        s3->endpoint = endpoint ? strdup(endpoint) : NULL;
        s3->bucket = STEAL(url.bucket);
        s3->prefix = STEAL(url.prefix);
        s3->prefix_size = strlen(s3->prefix);
        if (!s3->url || (endpoint && !s3->endpoint))
                err = why_set(why, HIF_ENOMEM, "out of memory");
        else
                err = s3_place(s3->endpoint, region, s3->bucket, s3->path_style, &s3->place, why);
        s3->tls = s3->place.tls;
        s3_url_free(&url);
        return err;
}

enum hif_err store_s3_new(struct env *env, const struct s3_config *config, struct store **out,
                          struct hif_why *why)
{
        static const struct store_ops ops = {.submit = s3_submit,
                                             .close = s3_close,
                                             .url = s3_url,
                                             .cancel = s3_cancel,
                                             .cancel_silent = s3_cancel_silent,
                                             .date = s3_date,
                                             .why = s3_why};
        struct http_limits limits = config->limits;
        struct s3_store *s3 = calloc(1, sizeof(*s3));
        enum hif_err err;

        if (!s3) {
                if (config->keys.free)
                        config->keys.free(config->keys.arg);
                return why_set(why, HIF_ENOMEM, "out of memory");
        }
        store_init(&s3->store, &ops, env);
        pthread_mutex_init(&s3->mutex, NULL);
        s3->keys = config->keys;
        s3->patience_ns =
            (config->patience_ms ? config->patience_ms : S3_PATIENCE_MS) * UINT64_C(1000000);
        s3->multipart_size = config->multipart_size ? config->multipart_size : S3_MULTIPART_SIZE;
        s3->part_size = config->part_size ? config->part_size : S3_PART_SIZE;
        if (limits.connect_ms == 0)
                limits = http_limits_default();
        err = configure(s3, config, why);
        if (!err)
                err = http_new(env, &limits, config->ca_bundle, &s3->http, why);
        if (err) {
                s3_close(&s3->store);
                return err;
        }
        *out = &s3->store;
        return HIF_OK;
}

enum hif_err store_s3_check(struct store *store, struct hif_why *why)
{
        struct store_req req = {.op = STORE_LIST, .prefix = "", .list_max = 1};

        store_run(store, &req, 1);
        store_req_free(&req);
        if (req.result && !(why && s3_why(store, req.result, why)))
                (void)why_set(why, req.result, "the store %s cannot be used: %s", store_url(store),
                              hif_strerror(req.result));
        return req.result;
}
