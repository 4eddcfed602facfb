/* proxy.h - inside of the fault proxy: what its listener and its control language share. */
#ifndef HIF_TESTS_S3_PROXY_H
#define HIF_TESTS_S3_PROXY_H

#include "exchange.h"
#include "s3fault.h"

struct connection;

struct s3fault {
        struct relay relay;
        int listener;
        uint16_t port;
        pthread_t acceptor;
        pthread_mutex_t lock; /* of the list */
        pthread_cond_t empty;
        struct connection *connections;
};

#endif
