/* wire.h - HTTP/1.1 as it lies on a socket, for the fault proxy: header blocks and bodies, passed
 * on byte by byte.
 *
 * Every function that reads or writes answers false when the peer is gone or does not speak HTTP.
 */
#ifndef HIF_TESTS_S3_WIRE_H
#define HIF_TESTS_S3_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <netinet/in.h>

#define WIRE_BYTES    65536
#define HTTP_HEAD_MAX 32768 /* a header block; less than WIRE_BYTES */

/* A socket, read through a buffer. */
struct wire {
        int fd; /* -1: closed */
        char *bytes;
        size_t start, end; /* what was read and not used yet */
        uint64_t received, sent;
};

bool wire_open(struct wire *wire, int fd); /* takes fd, also when it fails */
void wire_close(struct wire *wire);
void wire_reset(struct wire *wire); /* wire_close will send RST instead of FIN */
/* Nothing has come in, and the peer has not left: fit for another request. */
bool wire_idle(const struct wire *wire);
void wire_wait_for_leave(const struct wire *wire); /* until the peer closes */

bool wire_send(struct wire *wire, const void *bytes, size_t size);
/* Pass body bytes on to another wire; to NULL: drop them. */
bool wire_pass(struct wire *from, struct wire *to, uint64_t size);
bool wire_pass_chunked(struct wire *from, struct wire *to); /* a whole chunked body, as it is */
bool wire_pass_rest(struct wire *from, struct wire *to);    /* until the peer closes */
bool wire_read(struct wire *from, void *out, size_t size);

/* A request line or status line with its fields, CRLF and the empty line included. */
struct http_head {
        size_t size;
        char text[HTTP_HEAD_MAX + 1]; /* NUL-terminated */
};
bool wire_read_head(struct wire *wire, struct http_head *out);
/* The value of a field, up to its line's end; NULL: there is none. */
const char *http_field(const struct http_head *head, const char *name);
bool http_field_has(const struct http_head *head, const char *name, const char *word);
bool http_length(const struct http_head *head, uint64_t *out); /* Content-Length */
void http_drop_field(struct http_head *head, const char *name);
/* Take the quotes out of a field's value. */
void http_unquote_field(struct http_head *head, const char *name);

/* "PORT" (of the loopback) or "A.B.C.D:PORT". */
bool address_parse(const char *text, struct sockaddr_in *out);
int address_listen(struct sockaddr_in *address); /* a socket, or -1 with errno; fills in the port */
int address_connect(const struct sockaddr_in *address);

#endif
