/* impl.h - what the files of the S3 store share. */
#ifndef HIF_STORE_S3_IMPL_H
#define HIF_STORE_S3_IMPL_H

#include "aws/sign.h"
#include "base/pool.h"
#include "store/s3/store_s3.h"
#include "store/s3/url.h"
#include "store/s3/xml.h"

#include <pthread.h>

#define S3_HASH_THREADS    2
#define S3_HASH_INLINE_MAX ((size_t)64 << 10) /* larger bodies are hashed on a thread of ours */
#define S3_HASH_SIGNED_MAX ((size_t)1 << 20)  /* over TLS, larger ones go with Content-MD5 */
#define S3_BACKOFF_MIN_NS  UINT64_C(50000000)
#define S3_BACKOFF_MAX_NS  UINT64_C(2000000000)
#define S3_TRIES_MAX       100   /* of one call, whatever the clock says */
#define S3_COMPLETE_MS     60000 /* joining parts takes the store a while */

/* What sentences are kept of, by result. */
enum s3_trouble { S3_DENIED, S3_BAD_ANSWER, S3_FULL, S3_SILENT, S3_TROUBLES };

struct s3_store {
        struct store store;
        struct http *http;
        struct s3_keys keys;
        char *url;
        char *bucket, *prefix, *endpoint;
        size_t prefix_size;
        bool path_style, quoted_match, tls;
        uint64_t patience_ns;
        size_t multipart_size, part_size;

        /* the engine thread's own */
        struct s3_place place;
        char region[S3_REGION_SIZE];
        struct s3_signer signer;
        struct aws_key key;
        int64_t skew_ns; /* what to add to our clock to have the store's */

        pthread_mutex_t mutex;                /* of what follows */
        struct pool *hash_pool;               /* made with the first large body */
        struct hif_why troubles[S3_TROUBLES]; /* the latest of each; empty: none */
};

/* One kind of request at S3. */
enum s3_kind {
        S3_GET,
        S3_HEAD,
        S3_PUT,
        S3_PUT_NEW,
        S3_PUT_MATCH,
        S3_DELETE,
        S3_LIST,
        S3_CREATE_UPLOAD,
        S3_PUT_PART,
        S3_COMPLETE_UPLOAD,
        S3_ABORT_UPLOAD,
        S3_KIND_COUNT,
};

/* One of them, repeated until its outcome is known. Fill it, then s3_call_submit; finished() is
 * called once, on the engine's thread, and may submit it again. */
struct s3_call {
        struct http_req http; /* first */
        struct pool_job hash_job;
        struct s3_store *s3;
        enum s3_kind kind;
        struct store_req *req; /* whose it is; inputs of GET and LIST are read from it */
        void (*finished)(struct s3_call *call, enum hif_err err);
        void *arg;

        /* in */
        const char *key; /* without the store's prefix */
        const char *list_after;
        const char *upload_id;
        unsigned part; /* from 1 */
        struct store_tag match;
        struct span body;
        uint64_t patience_ns; /* 0: the store's */

        /* out, of a success */
        struct buf data;
        struct store_tag tag; /* empty: none came */
        uint64_t size;        /* GET, HEAD: of the whole object */

        /* what is remembered from try to try */
        uint32_t tries;
        uint64_t failed_ns; /* when it first did; 0: not yet */
        bool unknown;       /* an earlier try may have had an effect */
        bool skew_learnt, region_learnt, key_renewed;
        char hash[S3_HASH_SIZE]; /* of the body; empty until known */
        char md5[25];
        struct hif_why key_why; /* why there is no key */
        uint64_t key_generation;

        /* of the last answer */
        bool has_total, bad_tag, empty_range;
        uint64_t total; /* Content-Range: of the whole object */
        char bucket_region[S3_REGION_SIZE];
        char date[64];
        struct buf text; /* URL and headers, NUL-terminated one by one */
};

/* --- call.c --- */
struct s3_call *s3_call_new(struct s3_store *s3, enum s3_kind kind, struct store_req *req,
                            void (*finished)(struct s3_call *call, enum hif_err err));
void s3_call_free(struct s3_call *call); /* NULL is fine */
void s3_call_submit(struct s3_call *call);

/* --- request.c --- */
/* http_req.prepare: URL, headers and signature for one try. */
enum hif_err s3_prepare(struct http_req *http);

/* --- answer.c --- */
enum s3_verdict {
        S3_DONE,
        S3_FAILED,           /* with an error */
        S3_AGAIN,            /* certainly no effect: repeat */
        S3_AGAIN_OR_UNKNOWN, /* perhaps an effect; repeating is right for every kind */
        S3_MAYBE,            /* perhaps an effect: repeat, unless it is conditional */
        S3_REGION,           /* it is elsewhere */
        S3_SKEW,             /* our clock is wrong */
        S3_KEY,              /* our key has expired */
        S3_RANGE,            /* GET: nothing there */
};
struct s3_judgement {
        enum s3_verdict verdict;
        enum hif_err err;      /* FAILED */
        struct s3_error error; /* what the store said */
};
/* http_req.header: what is kept of an answer. */
void s3_on_header(struct http_req *http, const char *name, const char *value);
void s3_judge(struct s3_call *call, struct s3_judgement *out);
/* Remember and log a sentence on what went wrong. */
void s3_note_trouble(struct s3_call *call, const struct s3_judgement *judgement);
void s3_note_text(struct s3_store *s3, enum hif_err result, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* S3_TROUBLES: nothing is kept of this result. */
enum s3_trouble s3_trouble_of(enum hif_err result);

/* --- list.c, multipart.c: answer req with store_done in the end --- */
void s3_list(struct s3_store *s3, struct store_req *req);
void s3_multipart(struct s3_store *s3, struct store_req *req);

const char *s3_kind_name(enum s3_kind kind);

static inline struct s3_store *s3_of(struct store *store)
{
        return (struct s3_store *)store;
}

#endif
