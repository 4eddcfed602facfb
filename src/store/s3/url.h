/* url.h - what an S3 store's URL names, where that is, and how keys are written in requests.
 *
 *      s3://BUCKET[/PREFIX][?endpoint=URL][&region=NAME][&profile=NAME][&patience=SECONDS]
 *          [&quotes=yes]
 *
 * The prefix is taken as it stands, without percent-decoding, as other S3 tools do; objects lie
 * below PREFIX/. endpoint, region and profile outrank the environment, and their values are
 * percent-decoded: a URL with them names the same store wherever it is read. patience is how long a
 * request is repeated before its failure is told; quotes sends If-Match with the quotes that ETags
 * have. */
#ifndef HIF_STORE_S3_URL_H
#define HIF_STORE_S3_URL_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define S3_PREFIX_MAX     512
#define S3_BUCKET_MAX     63
#define S3_QUERY_MAX      8
#define S3_PATIENCE_S_MAX 3600

struct s3_url {
        char *bucket;
        char *prefix;        /* "" or "a/b/" */
        char *endpoint;      /* NULL: not given */
        char *region;        /* NULL: not given */
        char *profile;       /* of AWS's shared files; NULL: not given */
        uint64_t patience_s; /* 0: not given */
        bool quoted_match;
};
/* HIF_EINVAL, with a sentence that says what is wrong and what to write; HIF_ENOMEM. */
HIF_MUST_USE enum hif_err s3_url_parse(const char *url, struct s3_url *out, struct hif_why *why);
void s3_url_free(struct s3_url *url);

/* RFC 3986, strictly: all but A-Z a-z 0-9 - . _ ~ becomes %XX; '/' stays where keep_slash. */
void s3_encode(struct buf *out, struct span text, bool keep_slash);
/* percent_decode for keys in lists: there '+' is a space, as in forms, and a '+' itself comes as %2B.
 * (Amazon does so; others encode both.) */
bool s3_decode_listed(char *text);
bool s3_is_utf8(const char *text);

/* Where a bucket is. */
struct s3_place {
        char base[320]; /* "https://bucket.s3.eu-central-1.amazonaws.com": before the path */
        char host[300]; /* as in the Host header */
        char path[400]; /* before the key, encoded: "/" or "/bucket/" */
        bool tls;
};
/* endpoint NULL: AWS's own of that region. Path style is used, too, where a bucket's name cannot
 * be part of a certificate's: with dots. HIF_EINVAL: the endpoint is no http or https URL. */
HIF_MUST_USE enum hif_err s3_place(const char *endpoint, const char *region, const char *bucket,
                                   bool path_style, struct s3_place *out, struct hif_why *why);

/* A query, encoded and sorted as signatures want it. */
struct s3_query {
        struct buf pairs[S3_QUERY_MAX]; /* "name=value" */
        size_t count;
};
void s3_query_add(struct s3_query *query, const char *name, const char *value);
/* Append "a=1&b=2", sorted. */
void s3_query_put(struct s3_query *query, struct buf *out);
void s3_query_free(struct s3_query *query);

#endif
