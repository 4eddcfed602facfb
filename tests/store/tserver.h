/* tserver.h - an HTTP server in the test's own process that answers what the test tells it to.
 *
 * Requests are answered in the order in which they arrive, each by the next reply of the script;
 * what comes after its end gets 500. Any problem of the server's own fails the test. */
#ifndef HIF_TESTS_STORE_TSERVER_H
#define HIF_TESTS_STORE_TSERVER_H

#include <stdbool.h>
#include <stddef.h>

struct tserver;

enum tserver_act {
        TSERVER_ANSWER,
        TSERVER_CUT,   /* the headers, half of the body, and the connection is gone */
        TSERVER_CLOSE, /* read the request, then close without a word */
        TSERVER_HANG,  /* never answer */
};

struct tserver_reply {
        int status;
        const char *headers; /* "Name: value\r\n..."; NULL: none */
        const char *body;    /* NULL: none */
        const char *length;  /* Content-Length, where it is not the body's (HEAD) */
        enum tserver_act act;
        unsigned late_ms; /* an answer waits for so long */
};

struct tserver *tserver_start(void);
/* The same behind TLS, with a certificate for 127.0.0.1 that it signs itself and writes to
 * certificate_path, in PEM. */
struct tserver *tserver_start_tls(const char *certificate_path);
void tserver_stop(struct tserver *server);       /* NULL is fine */
const char *tserver_url(struct tserver *server); /* "http://127.0.0.1:12345" */

/* Behind what is in the script already. Copied. */
void tserver_script(struct tserver *server, const struct tserver_reply *replies, size_t count);
/* Answer all that the script does not. */
void tserver_always(struct tserver *server, struct tserver_reply reply);

size_t tserver_count(struct tserver *server);       /* requests so far */
size_t tserver_connections(struct tserver *server); /* so far */
size_t tserver_open_most(struct tserver *server);   /* most of them at once */
/* Request line, headers and body of the n-th; valid until tserver_stop. */
const char *tserver_request(struct tserver *server, size_t index);
bool tserver_saw(struct tserver *server, size_t index, const char *text);

#endif
