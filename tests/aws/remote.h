/* remote.h - a server that gives keys as containers, EC2 and STS do, and what becomes of them. */
#ifndef HIF_TESTS_AWS_REMOTE_H
#define HIF_TESTS_AWS_REMOTE_H

#include "taws.h"
#include "thttp.h"

#include "aws/creds.h"

#include <pthread.h>

#define SECRET "hunter2"

/* What it was asked, and what it does. */
struct remote {
        struct taws *aws;
        struct thttp *server;
        pthread_mutex_t mutex;
        char asked[4000]; /* "METHOD TARGET\n" of each request */
        char last_body[4000];
        char last_head[4000];
        unsigned count;
        unsigned fail_first; /* so many requests get `fail_status` */
        int fail_status;
        int life_s;            /* of a key; 0: without end */
        const char *must_have; /* a header line, or 403 */
};

int remote_setup(void **state);
int remote_teardown(void **state);
/* Set a variable to this server's URL with a path behind it. */
void set_url(struct remote *r, const char *name, const char *path);
unsigned asked(struct remote *r);
/* From now on: this status for the first so many requests of all. */
void fail_first(struct remote *r, unsigned count, int status);
struct aws_creds *open_creds(struct remote *r);
enum hif_err wait_key(struct aws_creds *creds, struct aws_key *key, struct hif_why *why);
/* What is configured gives this key; or it is refused, with such a sentence and without the secret. */
void gives(struct remote *r, const char *id, const char *token);
void refuses(struct remote *r, const char *says);

#endif
