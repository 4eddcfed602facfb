/* http.h - one small HTTP request, waited for: how sources of credentials are asked. Inside
 * aws_*.c only; the store's own requests go through http.h. */
#ifndef HIF_AWS_HTTP_H
#define HIF_AWS_HTTP_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>

#define AWS_HTTP_BODY_MAX    (64u << 10) /* of an answer */
#define AWS_HTTP_HEADERS_MAX 8

struct aws_http_req {
        const char *method;
        const char *url; /* http or https; redirections are not followed */
        const char *headers[AWS_HTTP_HEADERS_MAX]; /* "Name: value"; NULL ends them */
        struct span body;
        long timeout_ms; /* for all of it */
        long connect_ms;
        bool direct;           /* never through a proxy */
        const char *ca_bundle; /* NULL: the system's */
        bool (*stopped)(void *arg);
        void *arg;
};

struct aws_http_answer {
        long status;
        struct buf body; /* wipe_buf it, whatever was returned */
};

/* HIF_OK: there is an answer, of any status. HIF_EUNREACHABLE with what curl says; HIF_ELIMIT,
 * HIF_ECANCELED, HIF_ENOMEM. why gets a phrase without the URL: the caller's sentence names it. */
HIF_MUST_USE enum hif_err aws_http(const struct aws_http_req *req, struct aws_http_answer *out,
                                   struct hif_why *why);

/* Whether plain http to this URL's host stays on this machine or its link: loopback, or the
 * addresses at which containers are given credentials. False for what is no URL. */
bool aws_http_is_near(const char *url);

#endif
