/* http.h - HTTP/1.1 requests over kept-alive connections, many at a time, on one thread.
 *
 * Calling sequence: http_new; then fill an http_req and http_submit it, any number at a time from
 * any thread. Its prepare() and done() run on the engine's thread: prepare when a connection is
 * about to be used (so that what is signed is fresh), done exactly once. done() may submit the
 * request again, also with a delay. http_free answers what is left with HTTP_CANCELED.
 *
 * At most HTTP_CONNECTIONS requests are under way. The others queue; most of those with large
 * bodies do so behind the rest, and they never take all connections. Proxies come from the
 * environment, as curl reads it (http_proxy, HTTPS_PROXY, ALL_PROXY, NO_PROXY).
 *
 * Nothing is ever sent twice by this engine itself where that could matter: a request with a body
 * whose reused connection dies is HTTP_BROKEN, not silently sent again (a conditional write that
 * was applied would be told that it lost). */
#ifndef HIF_STORE_S3_HTTP_H
#define HIF_STORE_S3_HTTP_H

#include "base/buf.h"
#include "base/env.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define HTTP_CONNECTIONS 64
#define HTTP_BULK_MAX    48                  /* of them, with large bodies */
#define HTTP_BULK_MIN    8                   /* and so many of those go before others */
#define HTTP_BULK_SIZE   ((size_t)256 << 10) /* a large body */
#define HTTP_HEADERS_MAX 16
#define HTTP_ERROR_MAX   ((size_t)16 << 10) /* what is kept of the body of an error */
#define HTTP_HEADER_MAX  ((size_t)64 << 10) /* bytes of an answer's headers */

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_PUT, HTTP_POST, HTTP_DELETE };

enum http_outcome {
        HTTP_ANSWERED,  /* a whole answer */
        HTTP_REFUSED,   /* it was certainly not sent: no name, no connection, no TLS */
        HTTP_BROKEN,    /* no whole answer; it may have taken effect, now or later */
        HTTP_TOO_LARGE, /* the answer's body is over data_max */
        HTTP_CANCELED,  /* http_free, or prepare() failed with `failure` */
};

/* Zero-initialise, set the inputs, submit; it stays in place until done(). All is borrowed. */
struct http_req {
        /* in; what prepare() may still set is marked * */
        enum http_method method;               /* * */
        const char *url;                       /* * */
        const char *headers[HTTP_HEADERS_MAX]; /* * "Name: value" */
        size_t header_count;                   /* * */
        struct span body;                      /* PUT, POST */
        bool once;                             /* never to be sent twice, even without a body */
        struct buf *data;                      /* the body of a 2xx answer; NULL: as of an error */
        uint64_t data_max;
        uint64_t timeout_ms; /* from the start of sending to the end of the answer; 0 = default */
        /* May be NULL. HIF_OK; HIF_EAGAIN: keep it until http_wake; else: done(), HTTP_CANCELED. */
        enum hif_err (*prepare)(struct http_req *req);
        /* Each header of the answer, name and value NUL-terminated, trimmed; NULL: none. Called
         * with NULLs when an answer starts. */
        void (*header)(struct http_req *req, const char *name, const char *value);
        void (*done)(struct http_req *req);

        /* out */
        enum http_outcome outcome;
        enum hif_err failure; /* of prepare(), HIF_ENOMEM */
        unsigned status;      /* 0: none arrived */
        bool has_length;      /* the answer had a Content-Length: */
        uint64_t length;
        struct buf error_body; /* of any other answer, cut at HTTP_ERROR_MAX; yours to free */
        char trouble[256];     /* what went wrong, as the library says it; no secrets */
        bool hopeless; /* REFUSED: the server's certificate is no good; it will not get better */

        /* the engine's own */
        struct http *http;
        struct http_req *next;
        uint64_t due_ns;
        bool active; /* between submission and done() */
};

struct http_limits {
        uint64_t connect_ms; /* until connected, TLS included */
        uint64_t answer_ms;  /* for a small request; a body adds its size at HTTP_RATE_MIN */
        uint32_t stall_s;    /* without progress; HTTP_BULK_STALL times that with a large body */
};
#define HTTP_RATE_MIN   1024 /* bytes a second: of many connections on a slow line, one */
#define HTTP_BULK_STALL 6
struct http_limits http_limits_default(void);

struct http; /* opaque; thread-safe */

/* ca_bundle: a file, NULL: the system's. HIF_ENOMEM; HIF_EAGAIN: no thread; HIF_EINVAL: the bundle
 * cannot be read. */
HIF_MUST_USE enum hif_err http_new(struct env *env, const struct http_limits *limits,
                                   const char *ca_bundle, struct http **out, struct hif_why *why);
/* Cancels what is under way and waits for the thread. NULL is fine. Not on the engine's thread. */
void http_free(struct http *http);

void http_submit(struct http *http, struct http_req *req);
void http_submit_after(struct http *http, struct http_req *req, uint64_t delay_ns);
/* Try again what prepare() put off. Any thread. */
void http_wake(struct http *http);
/* Cancel all that is under way, and all that is submitted from now on. Any thread. */
void http_stop(struct http *http);
/* The same once nothing was heard for so long while something is under way: no answer, and nothing
 * more was taken of a large body. Any thread. */
void http_stop_silent(struct http *http, uint64_t silent_ms);

/* The last Date of an answer, moved on by the time since then; false: none yet, or none since the
 * machine has slept or its clock was set. */
bool http_date(struct http *http, uint64_t *wall_ns);

/* How many connections have been opened so far. */
uint64_t http_connections(struct http *http);

#endif
