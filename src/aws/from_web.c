/* Web identity: a token that an identity provider wrote into a file (EKS's service accounts, CI
 * services) is exchanged at STS for a role's keys. */
#include "aws/answer.h"
#include "aws/sts.h"
#include "aws/wipe.h"

#include <stdio.h>

struct identity {
        const char *token_file, *role, *session;
        const char *role_from; /* for people: where the role is set */
};

/* The environment's, else the profile's. HIF_ENOENT: none. */
static enum hif_err find(struct aws_chain *chain, struct identity *out)
{
        const char *profile = chain->settings->profile;

        if (!chain->settings->profile_chosen)
                out->token_file = aws_var(chain->vars, "AWS_WEB_IDENTITY_TOKEN_FILE");
        if (out->token_file) {
                out->role = aws_var(chain->vars, "AWS_ROLE_ARN");
                out->session = aws_var(chain->vars, "AWS_ROLE_SESSION_NAME");
                out->role_from = "AWS_ROLE_ARN";
                return HIF_OK;
        }
        out->token_file = aws_profiles_get(&chain->profiles, profile, "web_identity_token_file");
        if (!out->token_file) {
                aws_tried(chain, "AWS_WEB_IDENTITY_TOKEN_FILE is not set");
                return HIF_ENOENT;
        }
        out->role = aws_profiles_get(&chain->profiles, profile, "role_arn");
        out->session = aws_profiles_get(&chain->profiles, profile, "role_session_name");
        out->role_from = "the profile's role_arn";
        return HIF_OK;
}

enum hif_err aws_from_web_identity(struct aws_chain *chain, struct aws_fetched *out,
                                   struct hif_why *why)
{
        AUTO_WIPE_BUF struct buf form = {0};
        AUTO_WIPE char *token = NULL;
        char session[AWS_SESSION_NAME_SIZE];
        struct identity identity = {0};
        enum hif_err err = find(chain, &identity);

        if (err != HIF_OK)
                return err;
        if (!identity.role)
                return why_set(why, HIF_EDENIED,
                               "a web identity token file is set (%.200s), but %s is not: set the "
                               "role that it is for",
                               identity.token_file, identity.role_from);
        if (chain->near_only)
                return HIF_EAGAIN;
        snprintf(out->source, sizeof(out->source), "the web identity for %.250s", identity.role);
        err = aws_token_read(chain->env, identity.token_file, &token, why);
        if (err != HIF_OK)
                return err;
        aws_session_name(chain, session);
        if (!buf_reserve(&form, 4 * AWS_TOKEN_SIZE))
                return why_set(why, HIF_ENOMEM, "out of memory");
        aws_form_put(&form, "Action", "AssumeRoleWithWebIdentity");
        aws_form_put(&form, "Version", "2011-06-15");
        aws_form_put(&form, "RoleArn", identity.role);
        aws_form_put(&form, "RoleSessionName", identity.session ? identity.session : session);
        aws_form_put(&form, "WebIdentityToken", token);
        if (buf_failed(&form))
                return why_set(why, HIF_ENOMEM, "out of memory");
        return aws_sts_call(chain, buf_span(&form), NULL, out, why);
}
