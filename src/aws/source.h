/* source.h - one source of credentials, as the chain asks it. Inside aws_*.c only.
 *
 * A source is a function of type aws_source_fn:
 *      HIF_OK        out is filled
 *      HIF_ENOENT    it is not configured; what it looked for was added to chain->tried
 *      HIF_EAGAIN    it is configured, and would have to wait, which chain->near_only forbids
 *      anything else it is configured and failed, with a sentence that names the source and holds
 *                    no secret */
#ifndef HIF_AWS_SOURCE_H
#define HIF_AWS_SOURCE_H

#include "aws/creds.h"
#include "aws/profile.h"
#include "base/buf.h"

#define AWS_SOURCE_SIZE 400

struct aws_chain {
        struct env *env;
        const struct aws_settings *settings;
        const struct aws_vars *vars;
        bool near_only;
        /* Asked often while waiting: true ends the wait with HIF_ECANCELED. */
        bool (*stopped)(void *arg);
        void *arg;

        struct aws_profiles profiles; /* the chain's own, read once a round */
        struct buf tried;             /* "; "-joined: what was not configured, and why */
};

struct aws_fetched {
        struct aws_key key;           /* without generation */
        uint64_t expires_ns;          /* wall clock; 0: never */
        char source[AWS_SOURCE_SIZE]; /* for people */
};

typedef enum hif_err aws_source_fn(struct aws_chain *chain, struct aws_fetched *out,
                                   struct hif_why *why);

aws_source_fn aws_from_env;
aws_source_fn aws_from_role;
aws_source_fn aws_from_web_identity;
aws_source_fn aws_from_profile;
aws_source_fn aws_from_container;
aws_source_fn aws_from_imds;

/* The keys of any profile, or its credential_process. HIF_ENOENT: it has neither. */
enum hif_err aws_profile_key(struct aws_chain *chain, const char *profile, struct aws_fetched *out,
                             struct hif_why *why);
/* What hands on what only AWS's tools can fetch; for a sentence, with the profile's name. */
#define AWS_EXPORT "aws configure export-credentials --profile %.64s --format process"
/* A profile's credential_process, for aws_profile_key. */
enum hif_err aws_from_process(struct aws_chain *chain, const char *profile, const char *command,
                              struct aws_fetched *out, struct hif_why *why);

/* Ask one after the other. HIF_EDENIED when none is configured; else as a source. */
enum hif_err aws_chain_run(struct aws_chain *chain, struct aws_fetched *out, struct hif_why *why);

/* Add to what was tried. */
void aws_tried(struct aws_chain *chain, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Fill a key; token may be NULL. HIF_EINVAL with a sentence when a part is empty, too long, or
 * holds what no header may. */
HIF_MUST_USE enum hif_err aws_key_set(struct aws_key *key, const char *id, const char *secret,
                                      const char *token, const char *source, struct hif_why *why);

/* The token that is a file's only content, without blanks around it; for wipe_text. HIF_EDENIED
 * with a sentence. */
HIF_MUST_USE enum hif_err aws_token_read(struct env *env, const char *path, char **out,
                                         struct hif_why *why);

#endif
