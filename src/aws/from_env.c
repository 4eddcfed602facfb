/* Keys in environment variables. */
#include "aws/source.h"

#include <stdio.h>

enum hif_err aws_from_env(struct aws_chain *chain, struct aws_fetched *out, struct hif_why *why)
{
        const char *id = aws_var(chain->vars, "AWS_ACCESS_KEY_ID");
        const char *secret = aws_var(chain->vars, "AWS_SECRET_ACCESS_KEY");

        if (!id && !secret) {
                aws_tried(chain, "AWS_ACCESS_KEY_ID is not set");
                return HIF_ENOENT;
        }
        if (!id || !secret)
                return why_set(why, HIF_EDENIED,
                               "%s is set, but %s is not: set both, or neither to use another "
                               "source of credentials",
                               id ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
                               id ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
        snprintf(out->source, sizeof(out->source), "the environment");
        out->expires_ns = 0;
        return aws_key_set(&out->key, id, secret, aws_var(chain->vars, "AWS_SESSION_TOKEN"),
                           "the environment", why);
}
