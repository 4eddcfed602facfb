#include "store/s3/url.h"
#include "store/percent.h"
#include "store/store.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- encoding --- */

static bool is_unreserved(uint8_t c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '.' || c == '_' || c == '~';
}

void s3_encode(struct buf *out, struct span text, bool keep_slash)
{
        static const char digits[] = "0123456789ABCDEF";
        uint8_t *at = buf_reserve(out, 3 * text.size);
        size_t size = 0;

        if (!at)
                return;
        for (size_t i = 0; i < text.size; i++) {
                uint8_t c = text.data[i];

                if (is_unreserved(c) || (c == '/' && keep_slash)) {
                        at[size++] = c;
                } else {
                        at[size++] = '%';
                        at[size++] = (uint8_t)digits[c >> 4];
                        at[size++] = (uint8_t)digits[c & 15];
                }
        }
        buf_extend(out, size);
}

bool s3_decode_listed(char *text)
{
        for (char *c = text; *c; c++) {
                if (*c == '+')
                        *c = ' ';
        }
        return percent_decode(text);
}

/* RFC 3629: the shortest form only, no surrogates, up to U+10FFFF. */
bool s3_is_utf8(const char *text)
{
        const uint8_t *at = (const uint8_t *)text;

        while (*at) {
                uint8_t first = *at++;
                uint8_t low = 0x80, high = 0xbf;
                int more = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;

                if (first >= 0x80 && (first < 0xc2 || first > 0xf4))
                        return false;
                if (first == 0xe0)
                        low = 0xa0;
                else if (first == 0xed)
                        high = 0x9f;
                else if (first == 0xf0)
                        low = 0x90;
                else if (first == 0xf4)
                        high = 0x8f;
                for (; more > 0; more--, low = 0x80, high = 0xbf) {
                        if (*at < low || *at > high)
                                return false;
                        at++;
                }
        }
        return true;
}

/* --- the URL --- */

static bool is_bucket(const char *name)
{
        size_t size = strlen(name);

        if (size < 3 || size > S3_BUCKET_MAX)
                return false;
        for (size_t i = 0; i < size; i++) {
                if (!is_unreserved((uint8_t)name[i]) || name[i] == '~')
                        return false;
        }
        return name[0] != '.' && name[0] != '-';
}

static enum hif_err parse_prefix(const char *url, char *text, char **out, struct hif_why *why)
{
        size_t size = strlen(text);

        while (size > 0 && text[size - 1] == '/')
                text[--size] = '\0';
        if (size > 0 && (size > S3_PREFIX_MAX || !store_key_valid(text)))
                return why_set(
                    why, HIF_EINVAL,
                    "the store URL %s has no usable prefix: write s3://bucket/some/prefix, "
                    "of at most %d bytes, with no part empty or beginning with a dot",
                    url, S3_PREFIX_MAX);
        *out = malloc(size + 2);
        if (!*out)
                return why_set(why, HIF_ENOMEM, "out of memory");
        snprintf(*out, size + 2, "%s%s", text, size > 0 ? "/" : "");
        return HIF_OK;
}

static bool parse_seconds(const char *text, uint64_t *out)
{
        char *end;
        unsigned long long seconds = strtoull(text, &end, 10);

        if (text[0] < '0' || text[0] > '9' || *end || seconds < 1 || seconds > S3_PATIENCE_S_MAX)
                return false;
        *out = seconds;
        return true;
}

/* One "name=value" of the URL's query. False: there is no such name, it is there twice, or the
 * value makes no sense. */
static bool parse_option(char *option, struct s3_url *out, enum hif_err *err)
{
        char *value = strchr(option, '=');
        char **where = NULL;

        if (!value)
                return false;
        *value++ = '\0';
        if (!percent_decode(value) || !value[0])
                return false;
        if (strcmp(option, "patience") == 0)
                return !out->patience_s && parse_seconds(value, &out->patience_s);
        if (strcmp(option, "quotes") == 0) {
                out->quoted_match = strcmp(value, "yes") == 0;
                return out->quoted_match || strcmp(value, "no") == 0;
        }
        if (strcmp(option, "endpoint") == 0)
                where = &out->endpoint;
        else if (strcmp(option, "region") == 0)
                where = &out->region;
        else if (strcmp(option, "profile") == 0)
                where = &out->profile;
        if (!where || *where)
                return false;
        *where = strdup(value);
        if (!*where)
                *err = HIF_ENOMEM;
        return true;
}

static enum hif_err parse_options(const char *url, char *query, struct s3_url *out,
                                  struct hif_why *why)
{
        enum hif_err err = HIF_OK;
        char *rest = NULL;

        for (char *option = strtok_r(query, "&", &rest); option && !err;
             option = strtok_r(NULL, "&", &rest)) {
                if (!parse_option(option, out, &err))
                        return why_set(
                            why, HIF_EINVAL,
                            "the store URL %s has an option that is not understood: there "
                            "are ?endpoint=https://host:port, region=name, profile=name, "
                            "patience=seconds (1 to %d) and quotes=yes, joined by &",
                            url, S3_PATIENCE_S_MAX);
        }
        return err ? why_set(why, err, "out of memory") : HIF_OK;
}

static enum hif_err parse(const char *url, char *text, struct s3_url *out, struct hif_why *why)
{
        char *query = strchr(text, '?');
        char *slash;
        enum hif_err err;

        if (query)
                *query++ = '\0';
        slash = strchr(text, '/');
        if (slash)
                *slash = '\0';
        if (!is_bucket(text))
                return why_set(
                    why, HIF_EINVAL,
                    "the store URL %s names no bucket: write s3://bucket/prefix, where the "
                    "bucket has 3 to %d letters, digits, dots and hyphens",
                    url, S3_BUCKET_MAX);
        out->bucket = strdup(text);
        if (!out->bucket)
                return why_set(why, HIF_ENOMEM, "out of memory");
        err = parse_prefix(url, slash ? slash + 1 : text + strlen(text), &out->prefix, why);
        if (!err && query)
                err = parse_options(url, query, out, why);
        return err;
}

enum hif_err s3_url_parse(const char *url, struct s3_url *out, struct hif_why *why)
{
        struct s3_url parsed = {0};
        AUTO_FREE char *text = NULL;
        enum hif_err err;

        if (strncmp(url, "s3://", 5) != 0)
                return why_set(why, HIF_EINVAL,
                               "the store URL %s is not complete; write s3://bucket/prefix", url);
        text = strdup(url + 5);
        if (!text)
                return why_set(why, HIF_ENOMEM, "out of memory");
        err = parse(url, text, &parsed, why);
        if (err) {
                s3_url_free(&parsed);
                return err;
        }
        *out = parsed;
        return HIF_OK;
}

void s3_url_free(struct s3_url *url)
{
        free(url->bucket);
        free(url->prefix);
        free(url->endpoint);
        free(url->region);
        free(url->profile);
        *url = (struct s3_url){0};
}

/* --- places --- */

/* What can stand in a URL and in a Host header as it is: nothing ends a line there. */
static bool is_plain(const char *text)
{
        for (; *text; text++)
                if (*text <= ' ' || *text >= 0x7f || strchr("@?#\\", *text))
                        return false;
        return true;
}

/* Split "https://host:port/path/" into host and path; false if it is nothing of the kind. */
static bool split_endpoint(const char *endpoint, bool *tls, char *host, size_t host_size,
                           char *path, size_t path_size)
{
        const char *rest, *slash;
        size_t size;

        *tls = strncasecmp(endpoint, "https://", 8) == 0;
        if (!*tls && strncasecmp(endpoint, "http://", 7) != 0)
                return false;
        rest = strchr(endpoint, ':') + 3;
        slash = strchr(rest, '/');
        size = slash ? (size_t)(slash - rest) : strlen(rest);
        if (size == 0 || size >= host_size || !is_plain(rest))
                return false;
        memcpy(host, rest, size);
        host[size] = '\0';
        snprintf(path, path_size, "%s", slash ? slash : "");
        size = strlen(path);
        while (size > 0 && path[size - 1] == '/')
                path[--size] = '\0';
        return !slash || strlen(slash) < path_size;
}

/* The port that goes without saying is in no Host header. */
static void drop_default_port(char *host, bool tls)
{
        const char *port = tls ? ":443" : ":80";
        size_t size = strlen(host), port_size = strlen(port);

        if (size > port_size && strcmp(host + size - port_size, port) == 0)
                host[size - port_size] = '\0';
}

static void aws_endpoint(const char *region, char *out, size_t size)
{
        bool china = strncmp(region, "cn-", 3) == 0;

        snprintf(out, size, "https://s3.%s.amazonaws.com%s", region, china ? ".cn" : "");
}

enum hif_err s3_place(const char *endpoint, const char *region, const char *bucket, bool path_style,
                      struct s3_place *out, struct hif_why *why)
{
        struct s3_place place = {0};
        char own[160], host[200], path[200];

        if (!endpoint) {
                aws_endpoint(region, own, sizeof(own));
                endpoint = own;
        }
        if (!split_endpoint(endpoint, &place.tls, host, sizeof(host), path, sizeof(path)))
                return why_set(why, HIF_EINVAL,
                               "the S3 endpoint \"%.200s\" is not a URL of a server; write "
                               "https://host or http://host:port",
                               endpoint);
        drop_default_port(host, place.tls);
        if (place.tls && strchr(bucket, '.'))
                path_style = true;
        if (path_style) {
                snprintf(place.host, sizeof(place.host), "%s", host);
                snprintf(place.path, sizeof(place.path), "%s/%s/", path, bucket);
        } else {
                snprintf(place.host, sizeof(place.host), "%s.%s", bucket, host);
                snprintf(place.path, sizeof(place.path), "%s/", path);
        }
        snprintf(place.base, sizeof(place.base), "%s://%s", place.tls ? "https" : "http",
                 place.host);
        *out = place;
        return HIF_OK;
}

/* --- queries --- */

void s3_query_add(struct s3_query *query, const char *name, const char *value)
{
        struct buf *pair = &query->pairs[query->count];

        assert(query->count < S3_QUERY_MAX);
        query->count++;
        s3_encode(pair, span_str(name), false);
        buf_put_u8(pair, '=');
        s3_encode(pair, span_str(value), false);
}

/* By name, then by value: '=' itself does not sort before every byte of a longer name. */
static int compare_pairs(const void *a, const void *b)
{
        const struct buf *left = a, *right = b;
        const uint8_t *left_end = memchr(left->data, '=', left->size);
        const uint8_t *right_end = memchr(right->data, '=', right->size);
        int order = span_cmp(span_of(left->data, (size_t)(left_end - left->data)),
                             span_of(right->data, (size_t)(right_end - right->data)));

        return order ? order : span_cmp(buf_span(left), buf_span(right));
}

void s3_query_put(struct s3_query *query, struct buf *out)
{
        for (size_t i = 0; i < query->count; i++) {
                if (buf_failed(&query->pairs[i])) {
                        out->failed = true;
                        return;
                }
        }
        qsort(query->pairs, query->count, sizeof(query->pairs[0]), compare_pairs);
        for (size_t i = 0; i < query->count; i++) {
                if (i > 0)
                        buf_put_u8(out, '&');
                buf_put_span(out, buf_span(&query->pairs[i]));
        }
}

void s3_query_free(struct s3_query *query)
{
        for (size_t i = 0; i < query->count; i++)
                buf_free(&query->pairs[i]);
        query->count = 0;
}
