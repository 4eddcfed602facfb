/* From a call to the bytes of one try: URL, headers, signature. */
#include "store/s3/impl.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

static const struct {
        const char *name;
        enum http_method method;
        const char *verb;
} kinds[S3_KIND_COUNT] = {
    [S3_GET] = {"GET", HTTP_GET, "GET"},
    [S3_HEAD] = {"HEAD", HTTP_HEAD, "HEAD"},
    [S3_PUT] = {"PUT", HTTP_PUT, "PUT"},
    [S3_PUT_NEW] = {"PUT If-None-Match", HTTP_PUT, "PUT"},
    [S3_PUT_MATCH] = {"PUT If-Match", HTTP_PUT, "PUT"},
    [S3_DELETE] = {"DELETE", HTTP_DELETE, "DELETE"},
    [S3_LIST] = {"ListObjectsV2", HTTP_GET, "GET"},
    [S3_CREATE_UPLOAD] = {"CreateMultipartUpload", HTTP_POST, "POST"},
    [S3_PUT_PART] = {"UploadPart", HTTP_PUT, "PUT"},
    [S3_COMPLETE_UPLOAD] = {"CompleteMultipartUpload", HTTP_POST, "POST"},
    [S3_ABORT_UPLOAD] = {"AbortMultipartUpload", HTTP_DELETE, "DELETE"},
};

const char *s3_kind_name(enum s3_kind kind)
{
        return kinds[kind].name;
}

/* --- the query --- */

static void add_list_query(const struct s3_call *call, struct s3_query *query)
{
        const struct s3_store *s3 = call->s3;
        const struct store_req *req = call->req;
        char text[S3_PREFIX_MAX + 2 * STORE_KEY_MAX + 8];

        s3_query_add(query, "list-type", "2");
        s3_query_add(query, "encoding-type", "url");
        snprintf(text, sizeof(text), "%zu", req->list_max - req->list.count);
        if (req->list_max - req->list.count < 1000)
                s3_query_add(query, "max-keys", text);
        snprintf(text, sizeof(text), "%s%s", s3->prefix, req->prefix);
        s3_query_add(query, "prefix", text);
        if (call->list_after)
                s3_query_add(query, "start-after", call->list_after);
}

static void add_query(const struct s3_call *call, struct s3_query *query)
{
        char part[16];

        if (call->kind == S3_LIST)
                add_list_query(call, query);
        if (call->kind == S3_CREATE_UPLOAD)
                s3_query_add(query, "uploads", "");
        if (call->kind == S3_PUT_PART) {
                snprintf(part, sizeof(part), "%u", call->part);
                s3_query_add(query, "partNumber", part);
        }
        if (call->upload_id)
                s3_query_add(query, "uploadId", call->upload_id);
}

/* --- headers --- */

/* Strings one behind the other in call->text; pointers only when all are there, as it moves. */
struct texts {
        struct buf *out;
        size_t url;
        size_t headers[HTTP_HEADERS_MAX];
        size_t count;
};

static void add_header(struct texts *texts, const char *name, const char *value)
{
        assert(texts->count < HTTP_HEADERS_MAX);
        texts->headers[texts->count++] = texts->out->size;
        buf_printf(texts->out, "%s: %s", name, value);
        buf_put_u8(texts->out, 0);
}

static void add_plain_headers(const struct s3_call *call, struct texts *texts)
{
        const struct store_req *req = call->req;
        char value[STORE_TAG_MAX + 64];

        if (call->kind == S3_GET && req->range_size > 0) {
                uint64_t last = req->range_start + (req->range_size - 1);

                if (last < req->range_start)
                        last = UINT64_MAX >> 1;
                snprintf(value, sizeof(value), "bytes=%" PRIu64 "-%" PRIu64, req->range_start,
                         last);
                add_header(texts, "Range", value);
        }
        if (call->kind == S3_PUT_NEW)
                add_header(texts, "If-None-Match", "*");
        if (call->kind == S3_PUT_MATCH) {
                const char *quote = call->s3->quoted_match ? "\"" : "";

                snprintf(value, sizeof(value), "%s%s%s", quote, call->match.text, quote);
                add_header(texts, "If-Match", value);
        }
        if (call->md5[0])
                add_header(texts, "Content-MD5", call->md5);
}

/* What is signed is what is sent: the same list for both. */
static enum hif_err add_signed_headers(struct s3_call *call, struct span path, struct span query,
                                       struct texts *texts)
{
        struct s3_store *s3 = call->s3;
        AUTO_BUF struct buf authorization = {0};
        char now[S3_TIME_SIZE];
        struct s3_header headers[4] = {{"host", s3->place.host},
                                       {"x-amz-content-sha256", call->hash},
                                       {"x-amz-date", now},
                                       {"x-amz-security-token", s3->key.session_token}};
        struct s3_to_sign what = {.method = kinds[call->kind].verb,
                                  .path = path,
                                  .query = query,
                                  .headers = headers,
                                  .header_count = s3->key.session_token[0] ? 4 : 3,
                                  .payload_hash = call->hash,
                                  .time = now,
                                  .region = s3->region,
                                  .service = S3_SERVICE};
        struct s3_secret secret = {s3->key.access_key_id, s3->key.secret_access_key,
                                   s3->key.generation};
        enum hif_err err;

        s3_time(env_wall_ns(s3->store.env) + (uint64_t)s3->skew_ns, now);
        err = s3_sign(&s3->signer, &secret, &what, &authorization);
        if (err)
                return err;
        buf_put_u8(&authorization, 0);
        for (size_t i = 0; i < what.header_count; i++)
                add_header(texts, headers[i].name, headers[i].value);
        if (buf_failed(&authorization))
                return HIF_ENOMEM;
        add_header(texts, "Authorization", (char *)authorization.data);
        return HIF_OK;
}

static void put_path(const struct s3_call *call, struct buf *out)
{
        const struct s3_store *s3 = call->s3;
        size_t size = strlen(s3->place.path);

        if (call->kind == S3_LIST) { /* the bucket itself: "/bucket", or "/" */
                buf_put(out, s3->place.path, size > 1 ? size - 1 : size);
                return;
        }
        buf_put(out, s3->place.path, size);
        s3_encode(out, span_str(s3->prefix), true);
        s3_encode(out, span_str(call->key), true);
}

static enum hif_err build(struct s3_call *call)
{
        AUTO_BUF struct buf path = {0};
        AUTO_BUF struct buf query_text = {0};
        struct s3_query query = {.count = 0};
        struct texts texts = {.out = &call->text};
        enum hif_err err;

        add_query(call, &query);
        s3_query_put(&query, &query_text);
        s3_query_free(&query);
        put_path(call, &path);
        if (buf_failed(&path) || buf_failed(&query_text))
                return HIF_ENOMEM;
        buf_reset(&call->text);
        buf_printf(&call->text, "%s%.*s%s%.*s", call->s3->place.base, (int)path.size, path.data,
                   query_text.size ? "?" : "", (int)query_text.size,
                   query_text.size ? (char *)query_text.data : "");
        buf_put_u8(&call->text, 0);
        err = add_signed_headers(call, buf_span(&path), buf_span(&query_text), &texts);
        if (err)
                return err;
        add_plain_headers(call, &texts);
        if (buf_failed(&call->text))
                return HIF_ENOMEM;
        call->http.url = (char *)call->text.data;
        call->http.header_count = texts.count;
        for (size_t i = 0; i < texts.count; i++)
                call->http.headers[i] = (char *)call->text.data + texts.headers[i];
        return HIF_OK;
}

enum hif_err s3_prepare(struct http_req *http)
{
        struct s3_call *call = (struct s3_call *)http;
        struct s3_store *s3 = call->s3;
        struct store_req *req = call->req;
        enum hif_err err = s3->keys.peek(s3->keys.arg, &s3->key, &call->key_why);

        if (err)
                return err;
        call->key_generation = s3->key.generation;
        http->method = kinds[call->kind].method;
        http->once = call->kind == S3_PUT_NEW || call->kind == S3_PUT_MATCH;
        http->data = NULL;
        http->timeout_ms = call->kind == S3_COMPLETE_UPLOAD ? S3_COMPLETE_MS : 0;
        if (call->kind == S3_GET) {
                http->data = &call->data;
                http->data_max = req->size_max;
                if (req->range_size > 0 && req->range_size < http->data_max)
                        http->data_max = req->range_size;
        } else if (call->kind == S3_LIST || call->kind == S3_CREATE_UPLOAD ||
                   call->kind == S3_COMPLETE_UPLOAD) {
                http->data = &call->data;
                http->data_max = call->kind == S3_LIST ? S3_LIST_SIZE_MAX : HTTP_ERROR_MAX;
        }
        return build(call);
}
