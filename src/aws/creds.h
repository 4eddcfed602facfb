/* creds.h - credentials by AWS's chain, kept fresh on a thread of their own.
 *
 * The chain, in AWS's order; the first source that is configured counts, and if it fails, that is
 * an error and no reason to try the next:
 *
 *      environment         AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
 *      role                the profile's role_arn with source_profile or credential_source: STS's
 *      web identity        AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN: STS's answer, too
 *      profile             credentials file, then config file: keys, credential_process
 *      container           AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, ..._FULL_URI
 *      instance metadata   IMDSv2, unless AWS_EC2_METADATA_DISABLED=true
 *
 * Calling sequence: aws_creds_new, then aws_creds_peek before each request; after HIF_EAGAIN, again
 * once wake was called. aws_creds_free when no request is in flight.
 *
 * What expires is fetched anew 5 minutes ahead (or when half of its life is over, if that is
 * later), while the old key goes on being handed out; failures are repeated with a growing pause.
 * Secrets are wiped when they are freed, and are in no message. */
#ifndef HIF_AWS_CREDS_H
#define HIF_AWS_CREDS_H

#include "aws/settings.h"
#include "base/env.h"
#include "base/err.h"

#include <stdint.h>

#define AWS_ID_SIZE     256 /* with the zero byte, as the others */
#define AWS_SECRET_SIZE 256
#define AWS_TOKEN_SIZE  8192

struct aws_key {
        char access_key_id[AWS_ID_SIZE];
        char secret_access_key[AWS_SECRET_SIZE];
        char session_token[AWS_TOKEN_SIZE]; /* "": none */
        uint64_t generation;                /* never 0; another number: another key */
};

void aws_key_wipe(struct aws_key *key);

struct aws_creds; /* opaque; thread-safe */

/* settings and vars are the caller's and outlive it. wake (may be NULL) is called on another
 * thread whenever a fetch has ended, well or badly; it must not call aws_creds_free. What is
 * near, the environment and keys in files, is read before this returns. HIF_ENOMEM; HIF_EAGAIN:
 * no thread could be started. A chain that gives nothing is told by aws_creds_peek. */
HIF_MUST_USE enum hif_err aws_creds_new(struct env *env, const struct aws_settings *settings,
                                        const struct aws_vars *vars, void (*wake)(void *arg),
                                        void *arg, struct aws_creds **out, struct hif_why *why);
/* Waits for a fetch that is under way to notice (under a second). NULL is fine. */
void aws_creds_free(struct aws_creds *creds);

/* A key to sign with now; never blocks. out may hold an earlier key: nothing is copied while its
 * generation is current.
 *   HIF_OK
 *   HIF_EAGAIN    one is being fetched: wake will be called when that ends
 *   HIF_EDENIED   none, with what was tried and what to do; asking later tries again, with pauses
 */
HIF_MUST_USE enum hif_err aws_creds_peek(struct aws_creds *creds, struct aws_key *out,
                                         struct hif_why *why);
/* The store says that the key of this generation has expired, or does not know it any more: fetch
 * another. Once a generation; later calls do nothing. */
void aws_creds_expired(struct aws_creds *creds, uint64_t generation);

/* "environment", "profile ci in /home/me/.aws/credentials" ...: where the key comes from. */
void aws_creds_source(struct aws_creds *creds, char *out, size_t size);

#endif
