/* What an answer means: one table, first match counts. docs/s3.md explains the rows. */
#include "store/s3/impl.h"

#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BIT(kind)   (1u << (kind))
#define ANY         (BIT(S3_KIND_COUNT) - 1)
#define CONDITIONAL (BIT(S3_PUT_NEW) | BIT(S3_PUT_MATCH))
#define READS       (BIT(S3_GET) | BIT(S3_HEAD))
#define UPLOADS     (BIT(S3_PUT_PART) | BIT(S3_COMPLETE_UPLOAD) | BIT(S3_ABORT_UPLOAD))
#define DELETES     (BIT(S3_DELETE) | BIT(S3_ABORT_UPLOAD))

static const struct rule {
        unsigned first, last; /* status */
        const char *code;     /* NULL: whatever it says, or nothing */
        unsigned kinds;
        enum s3_verdict verdict;
        enum hif_err err;
} rules[] = {
    {403, 403, "RequestTimeTooSkewed", ANY, S3_SKEW, HIF_EDENIED},
    {400, 403, "ExpiredToken", ANY, S3_KEY, HIF_EDENIED},
    {400, 403, "TokenRefreshRequired", ANY, S3_KEY, HIF_EDENIED},
    {400, 403, "InvalidToken", ANY, S3_KEY, HIF_EDENIED},
    {403, 403, "InvalidAccessKeyId", ANY, S3_KEY, HIF_EDENIED}, /* replaced, perhaps */
    {400, 400, NULL, BIT(S3_HEAD), S3_KEY, HIF_EIO},            /* how HEAD says "expired" */
    {400, 400, "AuthorizationHeaderMalformed", ANY, S3_REGION, HIF_EDENIED},
    {301, 308, NULL, ANY, S3_REGION, HIF_EIO},

    {404, 404, "NoSuchBucket", ANY, S3_FAILED, HIF_EIO},
    {404, 404, "NoSuchUpload", UPLOADS & ~BIT(S3_ABORT_UPLOAD), S3_FAILED, HIF_EUNKNOWN},
    {404, 404, NULL, READS | BIT(S3_PUT_MATCH), S3_FAILED, HIF_ENOENT},
    {404, 404, NULL, DELETES, S3_DONE, HIF_OK},

    {412, 412, NULL, CONDITIONAL, S3_FAILED, HIF_ELOST},
    {409, 409, NULL, ANY, S3_AGAIN, HIF_EUNREACHABLE},
    {416, 416, NULL, BIT(S3_GET), S3_RANGE, HIF_EINVAL},

    {400, 400, "RequestTimeout", ANY, S3_AGAIN_OR_UNKNOWN, HIF_OK},
    {400, 400, "BadDigest", ANY, S3_AGAIN, HIF_EIO}, /* damaged on the way */
    {400, 400, "XAmzContentSHA256Mismatch", ANY, S3_AGAIN, HIF_EIO},
    {400, 400, "KeyTooLongError", ANY, S3_FAILED, HIF_EINVAL},
    {403, 403, "QuotaExceeded", ANY, S3_FAILED, HIF_ENOSPC},
    {507, 507, NULL, ANY, S3_FAILED, HIF_ENOSPC},
    {401, 401, NULL, ANY, S3_FAILED, HIF_EDENIED},
    {403, 403, NULL, ANY, S3_FAILED, HIF_EDENIED},

    {408, 408, NULL, ANY, S3_AGAIN_OR_UNKNOWN, HIF_OK},
    {429, 429, NULL, ANY, S3_AGAIN_OR_UNKNOWN, HIF_OK},
    {503, 503, NULL, ANY, S3_AGAIN_OR_UNKNOWN, HIF_OK},
    {501, 501, NULL, ANY, S3_FAILED, HIF_EIO},
    {500, 599, NULL, ANY, S3_MAYBE, HIF_OK},
    {300, 599, NULL, ANY, S3_FAILED, HIF_EIO},
};

/* --- headers --- */

static void keep(char *out, size_t size, const char *value)
{
        if (strlen(value) < size)
                snprintf(out, size, "%s", value);
}

/* "bytes 0-9/1234" */
static void parse_range(struct s3_call *call, const char *value)
{
        const char *slash = strchr(value, '/');
        char *end;
        unsigned long long total;

        if (!slash || slash[1] < '0' || slash[1] > '9')
                return;
        total = strtoull(slash + 1, &end, 10);
        call->has_total = *end == '\0';
        call->total = total;
}

void s3_on_header(struct http_req *http, const char *name, const char *value)
{
        struct s3_call *call = (struct s3_call *)http;

        if (!name) {
                call->tag = (struct store_tag){0};
                call->bad_tag = call->has_total = false;
                call->bucket_region[0] = call->date[0] = '\0';
        } else if (strcasecmp(name, "etag") == 0) {
                call->bad_tag = s3_tag_parse(value, &call->tag) != HIF_OK;
        } else if (strcasecmp(name, "content-range") == 0) {
                parse_range(call, value);
        } else if (strcasecmp(name, "x-amz-bucket-region") == 0) {
                keep(call->bucket_region, sizeof(call->bucket_region), value);
        } else if (strcasecmp(name, "date") == 0) {
                keep(call->date, sizeof(call->date), value);
        }
}

/* --- verdicts --- */

static void judge_failure(const struct s3_call *call, struct s3_judgement *out)
{
        for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
                const struct rule *rule = &rules[i];

                if (call->http.status < rule->first || call->http.status > rule->last ||
                    !(rule->kinds & BIT(call->kind)) ||
                    (rule->code && strcmp(rule->code, out->error.code) != 0))
                        continue;
                out->verdict = rule->verdict;
                out->err = rule->err;
                return;
        }
        out->verdict = S3_FAILED; /* 1xx, or no HTTP at all */
        out->err = HIF_EIO;
}

/* Of a whole object, or of the part of it that was asked for: is this it? */
static bool is_sound(const struct s3_call *call)
{
        const struct http_req *http = &call->http;
        const struct store_req *req = call->req;
        uint64_t want;

        if (!call->tag.text[0])
                return false;
        if (call->kind == S3_HEAD)
                return http->status == 200 && http->has_length;
        if (http->status == 200) /* where a range was wanted, it must not matter */
                return http->has_length &&
                       (req->range_size == 0 ||
                        (req->range_start == 0 && http->length <= req->range_size));
        if (http->status != 206 || req->range_size == 0 || !call->has_total ||
            call->total <= req->range_start)
                return false;
        want = call->total - req->range_start;
        return call->data.size == (want < req->range_size ? want : req->range_size);
}

/* A success must show what the contract needs; else it is none. */
static void judge_success(struct s3_call *call, struct s3_judgement *out)
{
        out->verdict = S3_DONE;
        out->err = HIF_OK;
        if ((READS & BIT(call->kind)) && !is_sound(call)) {
                out->verdict = S3_FAILED;
                out->err = HIF_EIO;
        }
        if ((CONDITIONAL & BIT(call->kind)) && !call->tag.text[0]) {
                out->verdict = S3_FAILED; /* written, but nobody can say with what tag */
                out->err = HIF_EUNKNOWN;
        }
        call->size = call->http.status == 206 ? call->total : call->http.length;
}

/* More bytes than fit: of the object, or than were asked for? */
static enum hif_err judge_too_large(const struct s3_call *call)
{
        const struct store_req *req = call->req;

        if (call->kind != S3_GET)
                return HIF_EIO;
        return req->range_size > 0 && req->range_size <= req->size_max ? HIF_EIO : HIF_ELIMIT;
}

void s3_judge(struct s3_call *call, struct s3_judgement *out)
{
        const struct http_req *http = &call->http;

        *out = (struct s3_judgement){0};
        switch (http->outcome) {
        case HTTP_CANCELED:
                out->verdict = S3_FAILED;
                out->err = http->failure;
                return;
        case HTTP_TOO_LARGE:
                out->verdict = S3_FAILED;
                out->err = judge_too_large(call);
                return;
        case HTTP_REFUSED:
                out->verdict = http->hopeless ? S3_FAILED : S3_AGAIN;
                out->err = HIF_EUNREACHABLE;
                return;
        case HTTP_BROKEN:
                out->verdict = S3_MAYBE;
                return;
        case HTTP_ANSWERED:
                break;
        }
        if (http->status >= 200 && http->status < 300) {
                judge_success(call, out);
                return;
        }
        s3_error_parse(buf_span(&http->error_body), &out->error);
        if (call->bucket_region[0])
                memcpy(out->error.region, call->bucket_region, sizeof(call->bucket_region));
        judge_failure(call, out);
        /* HEAD has no body that would say so. */
        if (http->status == 400 && out->error.region[0] &&
            strcmp(out->error.region, call->s3->region) != 0)
                out->verdict = S3_REGION;
}

/* --- sentences --- */

static const char *advice(const struct s3_call *call, const struct s3_judgement *judgement)
{
        static const struct {
                const char *code, *text;
        } known[] = {
            {"NoSuchBucket", "; create the bucket, or name another one in the store's URL"},
            {"InvalidAccessKeyId", "; check AWS_ACCESS_KEY_ID, or the profile, and the endpoint"},
            {"SignatureDoesNotMatch", "; check AWS_SECRET_ACCESS_KEY, or the profile"},
            {"RequestTimeTooSkewed", "; set this machine's clock"},
            {"AccessDenied", "; the key needs s3:GetObject, s3:PutObject, s3:DeleteObject on the "
                             "prefix, and s3:ListBucket on the bucket"},
            {"InvalidToken", "; renew the session token"},
            {"ExpiredToken", "; renew the session token"},
        };

        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
                if (strcmp(judgement->error.code, known[i].code) == 0)
                        return known[i].text;
        }
        /* HEAD has no body to give a reason in. */
        return call->kind == S3_HEAD && judgement->err == HIF_EDENIED
                   ? "; the key needs s3:GetObject on the prefix, and s3:ListBucket on the bucket"
                   : "";
}

static void put_sentence(const struct s3_call *call, const struct s3_judgement *judgement,
                         struct hif_why *why)
{
        const struct http_req *http = &call->http;
        const struct s3_error *error = &judgement->error;
        const char *place = call->s3->place.base;

        if (http->outcome == HTTP_CANCELED && call->key_why.text[0])
                *why = call->key_why;
        else if (http->outcome == HTTP_REFUSED)
                snprintf(why->text, sizeof(why->text), "%s cannot be reached: %s%s", place,
                         http->trouble,
                         http->hopeless ? "; set AWS_CA_BUNDLE to a file with the certificate of "
                                          "who signed the server's"
                                        : "");
        else if (http->outcome == HTTP_BROKEN)
                snprintf(why->text, sizeof(why->text), "%s gave no whole answer to %s: %s", place,
                         s3_kind_name(call->kind), http->trouble);
        else if (http->status < 300)
                snprintf(why->text, sizeof(why->text),
                         "%s answered %s with %u, but without the length, range or ETag that S3 "
                         "gives: is something between us that changes answers?",
                         place, s3_kind_name(call->kind), http->status);
        else if (judgement->verdict == S3_REGION && error->region[0])
                snprintf(why->text, sizeof(why->text),
                         "the bucket %s is in the region %s; set AWS_REGION=%s", call->s3->bucket,
                         error->region, error->region);
        else
                snprintf(why->text, sizeof(why->text), "%s answered %u %s%s%s to %s in bucket %s%s",
                         place, http->status, error->code, error->message[0] ? ": " : "",
                         error->message, s3_kind_name(call->kind), call->s3->bucket,
                         advice(call, judgement));
}

enum s3_trouble s3_trouble_of(enum hif_err result)
{
        switch (result) {
        case HIF_EDENIED:
                return S3_DENIED;
        case HIF_EIO:
                return S3_BAD_ANSWER;
        case HIF_ENOSPC:
                return S3_FULL;
        case HIF_EUNREACHABLE:
        case HIF_EUNKNOWN:
                return S3_SILENT;
        default:
                return S3_TROUBLES;
        }
}

static void remember(struct s3_store *s3, enum hif_err result, const struct hif_why *why)
{
        enum s3_trouble trouble = s3_trouble_of(result);

        if (trouble == S3_TROUBLES)
                return;
        pthread_mutex_lock(&s3->mutex);
        s3->troubles[trouble] = *why;
        pthread_mutex_unlock(&s3->mutex);
}

void s3_note_trouble(struct s3_call *call, const struct s3_judgement *judgement)
{
        struct s3_store *s3 = call->s3;
        struct hif_why why = {.text = ""};

        put_sentence(call, judgement, &why);
        log_line(s3->store.env->log,
                 judgement->verdict == S3_FAILED ? LOG_WARN
                 : call->tries == 1              ? LOG_INFO
                                                 : LOG_DEBUG,
                 "s3", "%s (try %u)", why.text, call->tries);
        /* What is repeated ends as no answer, if it does not get better. */
        remember(s3, judgement->err ? judgement->err : HIF_EUNREACHABLE, &why);
}

void s3_note_text(struct s3_store *s3, enum hif_err result, const char *format, ...)
{
        struct hif_why why = {.text = ""};
        va_list args;

        va_start(args, format);
        vsnprintf(why.text, sizeof(why.text), format, args);
        va_end(args);
        log_line(s3->store.env->log, LOG_WARN, "s3", "%s", why.text);
        remember(s3, result, &why);
}
