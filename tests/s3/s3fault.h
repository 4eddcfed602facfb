/* s3fault.h - a fault proxy between an S3 client and its server: everything that networks and
 * servers do to a request, on demand and repeatably. Behind it lies a real server, so that what was
 * applied is applied.
 *
 * Calling sequence: s3fault_start; s3fault_say, any number; s3fault_stop. The program s3fault is
 * the same with a control port, on which each connection carries one line and gets its reply.
 *
 *      add METHOD TARGET SKIP COUNT ACTION [ARG]
 *                            requests SKIP+1 .. SKIP+COUNT that match (COUNT -1: all)
 *      chance METHOD TARGET PERCENT ACTION [ARG]
 *                            so many of them, drawn from the seed
 *                            METHOD "*": any; TARGET: a prefix of /bucket/key, or behind '*' a part
 *                            of it. The reply is "ok ID"
 *      del ID | clear        rules; what they hold goes on
 *      hits ID               on how many requests a rule has acted
 *      release ID            what a rule holds goes on
 *      latency MS            for each request, and once more for each connection
 *      dialect FLAGS         q, c, e (exchange.h), or "-" for none
 *      trace on | trace off  each request to standard error: its trip, method, target
 *      stats | reset         counts (counts.h) as JSON; set to 0
 *
 *      ACTION [ARG]          what happens                             did the server apply it?
 *      delay MS              forwarded later                          yes, even if the client left
 *      hold                  forwarded when released                  yes, even if the client left
 *      late MS               the answer comes later                   yes
 *      status CODE           that answer, nothing forwarded           no
 *      lost CODE             forwarded, then that answer              yes
 *      reset, close          RST or FIN, nothing forwarded            no
 *      resetlate, closelate  forwarded, then RST or FIN               yes
 *      hang, hanglate        no answer; not forwarded, or forwarded   no; yes
 *      cutreq BYTES          so much of the body forwarded, then RST  no
 *      cutresp BYTES         so much of the answer's body, then RST   yes */
#ifndef HIF_TESTS_S3_S3FAULT_H
#define HIF_TESTS_S3_S3FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define S3FAULT_REPLY_MAX 1024

struct s3fault;

/* Addresses are "PORT" or "A.B.C.D:PORT"; a port of 0 to listen on is chosen. NULL, with a message
 * on standard error. */
struct s3fault *s3fault_start(const char *listen, const char *upstream, uint64_t seed);
uint16_t s3fault_port(const struct s3fault *proxy);
void s3fault_stop(struct s3fault *proxy); /* ends all connections; NULL is fine */

/* One line of the language above; the reply has no line end. False: not understood, or no such
 * rule; the reply says what. */
bool s3fault_say(struct s3fault *proxy, const char *line, char reply[S3FAULT_REPLY_MAX]);

#endif
