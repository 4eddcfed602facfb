/* store_s3.h - a store in a bucket of S3, or of what speaks its protocol; docs/s3.md says which
 * requests it sends and how answers are read.
 *
 * Files: http (the engine), s3_url, s3_sign, s3_xml (values), s3_request (from a call to a
 * request), s3_answer (from an answer to a verdict), s3_call (retries), s3_multipart, s3_list,
 * store_s3. */
#ifndef HIF_STORE_S3_STORE_S3_H
#define HIF_STORE_S3_STORE_S3_H

#include "aws/creds.h"
#include "store/s3/http.h"
#include "store/store.h"

/* Bodies larger than this go up in parts, unless they are conditional. */
#define S3_MULTIPART_SIZE ((size_t)64 << 20)
#define S3_PART_SIZE      ((size_t)16 << 20)
#define S3_PARTS_AT_ONCE  8
/* How long a request is repeated, from its first failure on, before that is its answer. */
#define S3_PATIENCE_MS 15000

/* Where keys come from. Called on the engine's thread; none of them may block. */
struct s3_keys {
        /* As aws_creds_peek: after HIF_EAGAIN, store_s3_wake will be called. */
        enum hif_err (*peek)(void *arg, struct aws_key *key, struct hif_why *why);
        void (*expired)(void *arg, uint64_t generation); /* the store refused that one */
        void (*closing)(void *arg); /* no store_s3_wake from now on; NULL: none */
        void (*free)(void *arg);    /* NULL: nothing to free */
        void *arg;
};

enum s3_style {
        S3_STYLE_AUTO,    /* by path with an endpoint, by host without */
        S3_STYLE_PATH,    /* https://host/bucket/key */
        S3_STYLE_VIRTUAL, /* https://bucket.host/key */
};

struct s3_config {
        const char *url;
        const char *endpoint;  /* NULL: AWS; that of the URL outranks it */
        const char *region;    /* likewise */
        const char *ca_bundle; /* NULL: the system's */
        enum s3_style style;
        bool quoted_match;         /* send If-Match with the quotes of the ETag */
        uint64_t patience_ms;      /* 0 = S3_PATIENCE_MS */
        size_t multipart_size;     /* 0 = S3_MULTIPART_SIZE */
        size_t part_size;          /* 0 = S3_PART_SIZE */
        struct http_limits limits; /* connect_ms 0: the defaults */
        struct s3_keys keys;       /* taken over, also on failure */
};

/* Nothing is sent yet. HIF_EINVAL with a sentence; the errors of http_new. */
HIF_MUST_USE enum hif_err store_s3_new(struct env *env, const struct s3_config *config,
                                       struct store **out, struct hif_why *why);
/* A key may be there now. Any thread. */
void store_s3_wake(struct store *store);
/* Ask for the bucket: HIF_OK, or what is wrong with it. */
HIF_MUST_USE enum hif_err store_s3_check(struct store *store, struct hif_why *why);

#endif
