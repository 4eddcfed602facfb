/* exchange.h - one request through the proxy: taken in, met by a fault or not, forwarded, answered.
 */
#ifndef HIF_TESTS_S3_EXCHANGE_H
#define HIF_TESTS_S3_EXCHANGE_H

#include "counts.h"
#include "faults.h"
#include "wire.h"

/* What servers do differently from the one behind the proxy. */
#define DIALECT_STRIP_QUOTES                                                                       \
        1u                   /* q: take the quotes out of If-Match, as a server that knows none */
#define DIALECT_CONFLICT  2u /* c: a conditional PUT that the server answers with 500 is a 409 */
#define DIALECT_BARE_TAGS 4u /* e: ETags come without quotes */
bool dialect_parse(const char *flags, unsigned *out);

/* What all connections share. */
struct relay {
        struct sockaddr_in upstream;
        struct faults *faults;
        struct counts counts;
        uint32_t
            latency_ms;   /* atomic: added to each request, and once more to a connection's first */
        unsigned dialect; /* atomic */
        bool trace;       /* atomic: each request to standard error */
};

/* A client's connection and ours to the server, which is opened when the first request is
 * forwarded. Heads are kept here, because a thread's stack is small. */
struct exchange {
        struct relay *relay;
        struct wire client, server;
        bool warm; /* a request has been through */
        struct http_head request, answer;
};

/* Carry out one request. False: this connection is over, and both sides are to be closed. */
bool exchange_run(struct exchange *exchange);

#endif
