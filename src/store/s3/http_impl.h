/* http_impl.h - what the engine's two files share: http.c has queues and thread, http_slot.c one
 * easy handle and its callbacks. */
#ifndef HIF_STORE_S3_HTTP_IMPL_H
#define HIF_STORE_S3_HTTP_IMPL_H

#include "store/s3/http.h"

#include <pthread.h>

#include <curl/curl.h>

/* A place for one request under way: a handle that is used again and again. */
struct http_slot {
        CURL *easy;
        struct http_req *req; /* NULL: free */
        struct curl_slist headers[HTTP_HEADERS_MAX + 1];
        char error[CURL_ERROR_SIZE];
        size_t sent; /* of the body */
        size_t header_bytes, error_bytes;
        bool bulk, too_large, no_memory;
        struct http_slot *next_free;
};

struct http_queue {
        struct http_req *first, **last;
};

struct http {
        struct env *env;
        struct http_limits limits;
        char *ca_bundle;
        CURLM *multi;
        pthread_t thread;

        pthread_mutex_t mutex; /* of what follows */
        struct http_queue incoming;
        bool wake_parked, stop;
        uint64_t silent_max_ns;              /* then it stops; 0: never */
        bool ended;                          /* the thread takes nothing more */
        uint64_t date_ns;                    /* of the last answer; 0: none */
        uint64_t date_mono_ns, date_wall_ns; /* when that was, by our clocks */

        /* the thread's own */
        struct http_queue small, bulk, parked;
        struct http_req *delayed; /* by due_ns */
        struct http_slot slots[HTTP_CONNECTIONS];
        struct http_slot *free_slots;
        size_t running, running_bulk;
        bool busy;            /* something is under way */
        uint64_t heard_ns;    /* the last sign of life since it is */
        uint64_t connections; /* atomic */
};

void http_slot_close(struct http_slot *slot);
/* Set the handle up for slot->req; it is made where there is none. */
HIF_MUST_USE enum hif_err http_slot_start(struct http *http, struct http_slot *slot);
/* Fill the request's outputs. */
void http_slot_finish(struct http *http, struct http_slot *slot, CURLcode code);

#endif
