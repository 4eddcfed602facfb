/* thttp.h - a small HTTP server on a thread of its own, one connection at a time, for the tests of
 * what asks for credentials. */
#ifndef HIF_TESTS_AWS_THTTP_H
#define HIF_TESTS_AWS_THTTP_H

#include <stdbool.h>
#include <stddef.h>

#define THTTP_SIZE_MAX 65536

struct thttp_request {
        char method[16];
        char target[1024];
        const char *head; /* all header lines, each ended by "\r\n", in lower case up to the ':' */
        const char *body; /* NUL-terminated */
};

struct thttp_answer {
        int status; /* 0: close the connection without an answer */
        char body[THTTP_SIZE_MAX / 2];
};

struct thttp;

/* answer is called on the server's thread, with the answer's status 200 and an empty body. The
 * port, on 127.0.0.1, is the system's choice. NULL: it could not be started. */
struct thttp *thttp_new(void (*answer)(void *arg, const struct thttp_request *request,
                                       struct thttp_answer *out),
                        void *arg);
void thttp_free(struct thttp *server);
int thttp_port(const struct thttp *server);

/* Whether there is this line among the headers ("authorization: x"). */
bool thttp_has(const struct thttp_request *request, const char *line);

#endif
